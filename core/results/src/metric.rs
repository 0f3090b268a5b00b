//! Metrics: the numbers by which policies are compared (section 4 of the model), one row each.
//!
//! The table in this file is the only place that names a metric. The fields of
//! [`EpisodeMetrics`] and with them the columns of `episodes.csv`, `power-modes.csv` and `classes.csv`,
//! those of [`EpisodeMobility`] and of `mobility.csv`, the keys of the JSON and the columns of the CSV that `offramp run` prints, the columns of its tables,
//! the names that study files may use and the table in `scenarios/README.md` all derive from it.
//! To add a metric, add a row; where it is taken from an episode's tasks, the compiler then asks
//! for the value.

use serde::{Deserialize, Serialize};

use crate::group::Grouped;
use crate::statistics::{MeanSd, Weighted};

/// A metric: one row of the table.
#[derive(Debug)]
pub struct Metric {
    /// The CSV column and JSON key: `delay_slots`.
    pub id: &'static str,
    /// The spelling in study files: `Delay`.
    pub name: &'static str,
    /// The heading of tables and the label of axes: `AvgDelay`.
    pub title: &'static str,
    /// The unit; empty for a share.
    pub unit: &'static str,
    /// Digits after the point that an estimate with its interval shows.
    pub digits: usize,
    /// The direction in which a policy is better.
    pub better: Better,
    /// True if the JSON and CSV of `offramp run` include it.
    pub summarised: bool,
    /// Its column in the tables of `offramp run`, if it has one.
    pub column: Option<Column>,
    /// Weights of its mean over episodes.
    pub pooling: Pooling,
    /// The definition, in a sentence or two.
    pub about: &'static str,
    /// True if its values are whole numbers.
    pub is_whole: bool,
    /// How it is taken from an episode.
    pub source: Source,
}

/// The direction in which a policy is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
    /// It describes the episode, not the policy.
    Neither,
}

/// The weight of an episode, or of a group of its tasks, in a mean over episodes.
///
/// Episodes that lack a value, such as the delay where no task arrived, are left out. So the means
/// by power mode, weighted in the same way, come to the mean of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// Of episodes: each counts once.
    Episodes,
    /// Of tasks: an episode counts as often as it has tasks.
    Tasks,
    /// Of devices: an episode counts as often as it has devices (in a power mode: on average).
    Devices,
    /// Of decisions: an episode counts as often as decisions were made in it.
    Decisions,
    /// Of time: an episode counts as long as its devices were present, all together.
    DeviceTime,
    /// Of time with a serving station: likewise.
    StationTime,
    /// Of handovers: an episode counts as often as it has handovers.
    Handovers,
}

impl Pooling {
    /// The word for it in documentation.
    fn name(self) -> &'static str {
        match self {
            Self::Episodes => "episodes",
            Self::Tasks => "tasks",
            Self::Devices => "devices",
            Self::Decisions => "decisions",
            Self::DeviceTime => "time of devices",
            Self::StationTime => "time with a station",
            Self::Handovers => "handovers",
        }
    }
}

/// A column of the tables of `offramp run`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Form of its cells.
    pub form: Form,
    /// True if the tables by group, such as a power mode, include it.
    pub by_group: bool,
}

/// Form of a cell of the tables of `offramp run`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Mean ± standard deviation, with so many digits after the point.
    MeanSd(usize),
    /// The mean alone, with so many digits after the point.
    Mean(usize),
    /// The mean of a share, per cent with so many digits after the point.
    Percent(usize),
}

/// The text of a cell that has no value.
pub const NONE: &str = "–";

impl Form {
    /// The text of a cell: `–` if there is no value, and no deviation where one episode says
    /// nothing about it.
    pub fn text(self, value: Option<MeanSd>) -> String {
        let Some(MeanSd { mean, sd }) = value else { return NONE.to_owned() };
        match (self, sd) {
            (Self::MeanSd(digits), Some(sd)) => format!("{mean:.digits$} ± {sd:.digits$}"),
            (Self::MeanSd(digits) | Self::Mean(digits), _) => format!("{mean:.digits$}"),
            (Self::Percent(digits), _) => format!("{:.digits$} %", 100.0 * mean),
        }
    }
}

/// How a metric is taken from an episode.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// From the tasks of the episode, or of one group of them; `None` if they have no value.
    Tasks(fn(&EpisodeMetrics) -> Option<f64>),
    /// From the episode as a whole; `None` if it has no value.
    Episode(fn(&EpisodeResult) -> Option<f64>),
    /// From mobility and rates of the episode; `None` if it has no value.
    Mobility(fn(&EpisodeMobility) -> Option<f64>),
}

/// Outcome of one evaluation episode of a policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EpisodeResult {
    /// The metrics of all tasks.
    #[serde(rename = "all")]
    pub overall: EpisodeMetrics,
    /// The same by group, in the order of the scenario.
    #[serde(flatten)]
    pub by_group: Grouped<EpisodeMetrics>,
    /// Tasks that were completed in 1 slot, in 2 slots, and so on; as many numbers as the slowest took.
    pub done_by_delay: Vec<u64>,
    /// Decisions made.
    pub decisions: u64,
    /// Time spent in the policy's `decide`, nanoseconds; the one number that is not
    /// reproducible.
    pub decide_ns: u64,
    /// Mobility and rates, if devices move or rates change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mobility: Option<Box<EpisodeMobility>>,
}

impl Metric {
    /// The value in an episode with its weight; `None` leaves the episode out of means and
    /// intervals.
    pub fn of(&self, episode: &EpisodeResult) -> Option<Weighted> {
        let EpisodeResult { overall, decisions, mobility, .. } = episode;
        let value = match self.source {
            Source::Tasks(value) => value(overall)?,
            Source::Episode(value) => value(episode)?,
            Source::Mobility(value) => value(mobility.as_deref()?)?,
        };
        self.weighted(value, overall, *decisions, mobility.as_deref())
    }

    /// The value of one group of an episode's tasks with its weight; `None` if they have none, or it
    /// is not defined by group.
    pub fn of_group(&self, metrics: &EpisodeMetrics) -> Option<Weighted> {
        match self.source {
            Source::Tasks(value) => self.weighted(value(metrics)?, metrics, 0, None),
            Source::Episode(_) | Source::Mobility(_) => None,
        }
    }

    /// Its value, of a metric of mobility and rates; `None` if there is none, or it is of something else.
    pub fn of_mobility(&self, mobility: &EpisodeMobility) -> Option<f64> {
        match self.source {
            Source::Mobility(value) => value(mobility),
            Source::Tasks(_) | Source::Episode(_) => None,
        }
    }

    /// True if it is defined by group, such as a power mode.
    pub fn has_groups(&self) -> bool {
        matches!(self.source, Source::Tasks(_))
    }

    fn weighted(
        &self,
        value: f64,
        metrics: &EpisodeMetrics,
        decisions: u64,
        mobility: Option<&EpisodeMobility>,
    ) -> Option<Weighted> {
        let found = |weight: fn(&EpisodeMobility) -> Option<f64>| mobility.and_then(weight);
        let weight = match self.pooling {
            Pooling::Episodes => 1.0,
            Pooling::Tasks => metrics.tasks as f64,
            Pooling::Devices => metrics.devices,
            Pooling::Decisions => decisions as f64,
            Pooling::DeviceTime => found(|mobility| Some(mobility.device_minutes))?,
            Pooling::StationTime => found(|mobility| mobility.station_minutes)?,
            Pooling::Handovers => found(|mobility| mobility.handovers.map(|count| count as f64))?,
        };
        (weight > 0.0).then_some(Weighted { value, weight })
    }
}

/// A field of [`EpisodeMetrics`] as the value of a metric.
trait Value {
    /// True if the values are whole numbers.
    const WHOLE: bool;

    fn value(self) -> Option<f64>;
}

impl Value for u64 {
    const WHOLE: bool = true;

    fn value(self) -> Option<f64> {
        Some(self as f64)
    }
}

impl Value for f64 {
    const WHOLE: bool = false;

    fn value(self) -> Option<f64> {
        Some(self)
    }
}

impl Value for Option<f64> {
    const WHOLE: bool = false;

    fn value(self) -> Option<f64> {
        self
    }
}

impl Value for Option<u64> {
    const WHOLE: bool = true;

    fn value(self) -> Option<f64> {
        self.map(|count| count as f64)
    }
}

impl Value for Option<u32> {
    const WHOLE: bool = true;

    fn value(self) -> Option<f64> {
        self.map(f64::from)
    }
}

impl EpisodeMetrics {
    /// The first metric whose value is not a finite number, with that value.
    pub fn not_finite(&self) -> Option<(&'static Metric, f64)> {
        all().iter().find_map(|metric| match metric.source {
            Source::Tasks(value) => {
                value(self).filter(|value| !value.is_finite()).map(|value| (metric, value))
            }
            Source::Episode(_) | Source::Mobility(_) => None,
        })
    }
}

impl EpisodeMobility {
    /// The first quantity whose value is not a finite number, with that value.
    pub fn not_finite(&self) -> Option<(&'static Metric, f64)> {
        mobility().iter().find_map(|metric| {
            let value = metric.of_mobility(self).filter(|value| !value.is_finite())?;
            Some((metric, value))
        })
    }
}

/// Metrics are equal if their ids are: each has one row.
impl PartialEq for Metric {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Metric {}

impl PartialOrd for Metric {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Metric {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.id.cmp(other.id)
    }
}

/// All metrics, in the order of columns.
pub fn all() -> &'static [Metric] {
    TABLE
}

/// Mobility and rates of an episode, the same for every policy, in the order of the columns of `mobility.csv`;
/// studies have no names for it.
pub fn mobility() -> &'static [Metric] {
    MOBILITY
}

/// The metrics that the JSON and CSV of `offramp run` include, in order.
pub fn summarised() -> impl Iterator<Item = &'static Metric> + Clone {
    TABLE.iter().filter(|metric| metric.summarised)
}

/// The metric of that id, which [`mobility`] does not have: `by_id("qoe")`.
pub fn by_id(id: &str) -> Option<&'static Metric> {
    TABLE.iter().find(|metric| metric.id == id)
}

/// The metric that study files spell so: `by_name("Qoe")`.
pub fn by_name(name: &str) -> Option<&'static Metric> {
    TABLE.iter().find(|metric| metric.name == name)
}

/// The table as Markdown, as `scenarios/README.md` has it.
pub fn documentation() -> String {
    let mut text = String::from(
        "| column | in studies | title | unit | better | mean over | meaning |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for Metric { id, name, title, unit, better, pooling, about, .. } in TABLE {
        let pooling = pooling.name();
        let better = match better {
            Better::Higher => "higher",
            Better::Lower => "lower",
            Better::Neither => "",
        };
        text += &format!(
            "| `{id}` | `{name}` | {title} | {unit} | {better} | {pooling} | {} |\n",
            about.trim()
        );
    }
    text
}

/// The table of [`mobility`] as Markdown, as `scenarios/README.md` has it.
pub fn mobility_documentation() -> String {
    let mut text =
        String::from("| column | title | unit | mean over | meaning |\n|---|---|---|---|---|\n");
    for Metric { id, title, unit, pooling, about, .. } in MOBILITY {
        text += &format!("| `{id}` | {title} | {unit} | {} | {} |\n", pooling.name(), about.trim());
    }
    text
}

/// Defines [`EpisodeMetrics`], [`EpisodeMobility`] and the tables. A row is documentation, id, type, spelling in study
/// files, and the other fields of [`Metric`].
macro_rules! metrics {
    (
        tasks {$(
            $(#[doc = $about:literal])+
            $id:ident: $type:ty as $name:ident { $($attribute:ident: $value:expr),+ $(,)? }
        )+}
        episode {$(
            $(#[doc = $episode_about:literal])+
            $episode_id:ident as $episode_name:ident {
                of: $of:expr, $($episode_attribute:ident: $episode_value:expr),+ $(,)?
            }
        )+}
        mobility {$(
            $(#[doc = $mobility_about:literal])+
            $mobility_id:ident: $mobility_type:ty {
                $($mobility_attribute:ident: $mobility_value:expr),+ $(,)?
            }
        )+}
    ) => {
        /// The metrics of one episode, or of one group of its tasks.
        ///
        /// Without tasks there is no delay, no share and no energy per task; without devices, as
        /// in a power mode that nobody was in, there are no sums per device.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
        pub struct EpisodeMetrics {$(
            $(#[doc = $about])+
            pub $id: $type,
        )+}

        static TABLE: &[Metric] = &[
            $(Metric {
                id: stringify!($id),
                name: stringify!($name),
                about: concat!($($about),+),
                is_whole: <$type as Value>::WHOLE,
                source: Source::Tasks(|metrics| metrics.$id.value()),
                $($attribute: $value),+
            },)+
            $(Metric {
                id: stringify!($episode_id),
                name: stringify!($episode_name),
                about: concat!($($episode_about),+),
                is_whole: false,
                source: Source::Episode($of),
                $($episode_attribute: $episode_value),+
            },)+
        ];

        /// Mobility and rates of one episode, the same for every policy.
        ///
        /// Without a device there is no share and no mean; of handovers there is nothing where devices
        /// reach each station over a link of its own.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
        pub struct EpisodeMobility {$(
            $(#[doc = $mobility_about])+
            pub $mobility_id: $mobility_type,
        )+}

        static MOBILITY: &[Metric] = &[
            $(Metric {
                id: stringify!($mobility_id),
                name: "",
                better: Better::Neither,
                summarised: true,
                about: concat!($($mobility_about),+),
                is_whole: <$mobility_type as Value>::WHOLE,
                source: Source::Mobility(|mobility| mobility.$mobility_id.value()),
                $($mobility_attribute: $mobility_value),+
            },)+
        ];

        /// How study files spell the quantities of an exhibit: the metrics, the number of parameters, and
        /// the numbers of live runs.
        pub(crate) const QUANTITY_NAMES: &[&str] = &[
            $(stringify!($name),)+ $(stringify!($episode_name),)+ "Parameters",
            "QoePerTask", "Recovery", "Regret", "BytesPerDevice", "QueriesPerDevice", "MultiplyAdds",
            "Epsilon",
        ];
    };
}

metrics! {
    tasks {
        /// Tasks that arrived; each ended exactly once.
        tasks: u64 as Tasks {
            title: "tasks", unit: "tasks", digits: 1, better: Better::Neither,
            pooling: Pooling::Episodes, summarised: true, column: None,
        }
        /// Devices. In a power mode, the mean number of devices in it.
        devices: f64 as Devices {
            title: "devices", unit: "devices", digits: 1, better: Better::Neither,
            pooling: Pooling::Episodes, summarised: true, column: None,
        }
        /// The sum of all rewards, per device.
        qoe: Option<f64> as Qoe {
            title: "AvgQoE", unit: "reward", digits: 1, better: Better::Higher,
            pooling: Pooling::Devices, summarised: true,
            column: Some(Column { form: Form::MeanSd(1), by_group: true }),
        }
        /// Mean delay of all tasks; a dropped task counts its deadline.
        delay_slots: Option<f64> as Delay {
            title: "AvgDelay", unit: "slots", digits: 3, better: Better::Lower,
            pooling: Pooling::Tasks, summarised: true,
            column: Some(Column { form: Form::MeanSd(3), by_group: true }),
        }
        /// Energy of all tasks, all four components, per device.
        energy: Option<f64> as Energy {
            title: "AvgEnergy", unit: "as accounted", digits: 1, better: Better::Lower,
            pooling: Pooling::Devices, summarised: true,
            column: Some(Column { form: Form::MeanSd(1), by_group: true }),
        }
        /// Tasks that were dropped at their deadline.
        dropped: u64 as Dropped {
            title: "Drop", unit: "tasks", digits: 1, better: Better::Lower,
            pooling: Pooling::Episodes, summarised: true,
            column: Some(Column { form: Form::MeanSd(1), by_group: true }),
        }
        /// Share of the tasks that were completed.
        completion_ratio: Option<f64> as CompletionRatio {
            title: "completed", unit: "", digits: 4, better: Better::Higher,
            pooling: Pooling::Tasks, summarised: true,
            column: Some(Column { form: Form::Percent(1), by_group: true }),
        }
        /// Share of the tasks that were computed locally; the others were sent to a server. A
        /// policy that has collapsed into one action shows it here.
        local_share: Option<f64> as LocalShare {
            title: "local", unit: "", digits: 4, better: Better::Neither,
            pooling: Pooling::Tasks, summarised: true,
            column: Some(Column { form: Form::Percent(1), by_group: true }),
        }
        /// Energy of all tasks, all four components, per task.
        energy_per_task: Option<f64> as EnergyPerTask {
            title: "energy per task", unit: "as accounted", digits: 3, better: Better::Lower,
            pooling: Pooling::Tasks, summarised: true, column: None,
        }
        /// Median delay.
        delay_p50: Option<u32> as DelayP50 {
            title: "median delay", unit: "slots", digits: 1, better: Better::Lower,
            pooling: Pooling::Episodes, summarised: true, column: None,
        }
        /// 95th percentile of the delay: the smallest number of slots that 95 % do not exceed.
        delay_p95: Option<u32> as DelayP95 {
            title: "p95 delay", unit: "slots", digits: 1, better: Better::Lower,
            pooling: Pooling::Episodes, summarised: true,
            column: Some(Column { form: Form::Mean(1), by_group: false }),
        }
        /// 99th percentile of the delay.
        delay_p99: Option<u32> as DelayP99 {
            title: "p99 delay", unit: "slots", digits: 1, better: Better::Lower,
            pooling: Pooling::Episodes, summarised: true, column: None,
        }
    }
    episode {
        /// Mean time of a decision. From `timing.csv`. Whatever else runs at the time disturbs it:
        /// compare times of runs with `--jobs 1`; studies measure them so.
        decision_us as DecisionTime {
            of: |episode| (episode.decisions > 0)
                .then(|| episode.decide_ns as f64 / 1000.0 / episode.decisions as f64),
            title: "µs/decision", unit: "µs", digits: 2, better: Better::Lower,
            pooling: Pooling::Decisions, summarised: true,
            column: Some(Column { form: Form::Mean(3), by_group: false }),
        }
    }
    mobility {
        /// Time that devices were present, all together.
        device_minutes: f64 {
            title: "device time", unit: "min", digits: 1, pooling: Pooling::Episodes, column: None,
        }
        /// Mean speed of a device.
        mean_speed_mps: Option<f64> {
            title: "speed", unit: "m/s", digits: 2, pooling: Pooling::DeviceTime,
            column: Some(Column { form: Form::Mean(2), by_group: false }),
        }
        /// Share of the time in which a device can send to some server.
        covered: Option<f64> {
            title: "covered", unit: "", digits: 4, pooling: Pooling::DeviceTime,
            column: Some(Column { form: Form::Percent(1), by_group: false }),
        }
        /// Mean rate at which a device can send to a server, over servers and slots; 0 without
        /// coverage. Empty where devices share a band: there it depends on what they decide.
        mean_mbps: Option<f64> {
            title: "mean rate", unit: "Mbit/s", digits: 2, pooling: Pooling::DeviceTime,
            column: Some(Column { form: Form::Mean(2), by_group: false }),
        }
        /// Time with a serving station, of all devices together. Empty, like all that follows, where
        /// devices reach each station over a link of its own.
        station_minutes: Option<f64> {
            title: "station time", unit: "min", digits: 1, pooling: Pooling::Episodes, column: None,
        }
        /// Handovers of all devices.
        handovers: Option<u64> {
            title: "handovers", unit: "handovers", digits: 1, pooling: Pooling::Episodes,
            column: None,
        }
        /// Handovers per device and minute.
        handovers_per_minute: Option<f64> {
            title: "handovers/min", unit: "", digits: 2, pooling: Pooling::DeviceTime,
            column: Some(Column { form: Form::Mean(2), by_group: false }),
        }
        /// Share of handovers that go back to the station before within a second.
        ping_pongs: Option<f64> {
            title: "ping-pong", unit: "", digits: 4, pooling: Pooling::Handovers,
            column: Some(Column { form: Form::Percent(1), by_group: false }),
        }
        /// Share of the time with a station in which a handover lets nothing be sent.
        interrupted: Option<f64> {
            title: "interrupted", unit: "", digits: 4, pooling: Pooling::StationTime,
            column: Some(Column { form: Form::Percent(1), by_group: false }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_names_are_unique() {
        for metric in all() {
            assert_eq!(by_id(metric.id), Some(metric));
            assert!(std::ptr::eq(by_name(metric.name).unwrap(), metric), "{}", metric.name);
        }
    }

    #[test]
    fn an_episode_without_decisions_has_no_decision_time() {
        let time = by_name("DecisionTime").unwrap();
        let episode = EpisodeResult { decisions: 4, decide_ns: 6_000, ..EpisodeResult::default() };
        assert_eq!(time.of(&episode), Some(Weighted { value: 1.5, weight: 4.0 }));
        assert_eq!(time.of(&EpisodeResult::default()), None);
        assert_eq!(time.of_group(&EpisodeMetrics::default()), None);
    }

    #[test]
    fn what_devices_find_is_weighted_by_hand() {
        let mobility = EpisodeMobility {
            device_minutes: 20.0,
            covered: Some(0.75),
            station_minutes: Some(16.0),
            handovers: Some(4),
            handovers_per_minute: Some(0.2),
            ping_pongs: Some(0.25),
            interrupted: Some(0.125),
            ..EpisodeMobility::default()
        };
        let episode =
            EpisodeResult { mobility: Some(Box::new(mobility)), ..EpisodeResult::default() };
        let expected = [
            ("device_minutes", Some((20.0, 1.0))),
            ("mean_speed_mps", None),
            ("covered", Some((0.75, 20.0))),
            ("mean_mbps", None),
            ("station_minutes", Some((16.0, 1.0))),
            ("handovers", Some((4.0, 1.0))),
            ("handovers_per_minute", Some((0.2, 20.0))),
            ("ping_pongs", Some((0.25, 4.0))),
            ("interrupted", Some((0.125, 16.0))),
        ];
        for (metric, (id, found)) in super::mobility().iter().zip(expected) {
            let found = found.map(|(value, weight)| Weighted { value, weight });
            assert_eq!((metric.id, metric.of(&episode)), (id, found));
            assert_eq!(metric.of(&EpisodeResult::default()), None);
            assert_eq!((by_id(id), metric.has_groups()), (None, false));
        }
        assert_eq!(mobility.not_finite(), None);
        let wrong = EpisodeMobility { interrupted: Some(f64::NAN), ..mobility };
        assert_eq!(wrong.not_finite().map(|(metric, _)| metric.id), Some("interrupted"));
    }

    /// The documents have the tables; with `UPDATE_DOCS=1` they get them.
    #[test]
    fn the_documents_have_the_tables() {
        document("metrics", documentation());
        document("mobility", mobility_documentation());
    }

    #[track_caller]
    fn document(name: &str, documentation: String) {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scenarios/README.md");
        let text = std::fs::read_to_string(path).unwrap();
        let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->\n"));
        let (before, rest) = text.split_once(&begin).unwrap();
        let (table, after) = rest.split_once(&end).unwrap();
        let wanted = format!("\n{documentation}\n");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, format!("{before}{begin}{wanted}{end}{after}")).unwrap();
        } else {
            assert_eq!(table, wanted, "run this test with UPDATE_DOCS=1");
        }
    }
}
