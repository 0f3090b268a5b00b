//! Contents of a scenario file: the first of the two stages in which it is read. Fields that are
//! left out have the values of the paper; fields that do not exist are errors.
//!
//! Each field is defined here once. The tables in `scenarios/README.md` are generated from these
//! definitions.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use offramp_model::world::{PathLoss, RadioParameters};
use offramp_model::{Distribution, Range, SystemParameters, TaskClass, Uplink, UplinkRates};
use serde::Deserialize;

use crate::Raw;
use crate::field::{Bounds, Field, IfGiven, Section, Shown};
use crate::sections;

/// The fields of a scenario file, in order, those of nested sections too.
pub fn fields() -> Vec<Field> {
    let mut fields = Vec::new();
    ScenarioFile::list("", &mut fields);
    fields
}

/// The source of all defaults that describe the system.
fn paper() -> SystemParameters {
    SystemParameters::paper(1, 1)
}

/// The paper's tasks.
fn class() -> TaskClass {
    let mut classes = paper().classes;
    classes.swap_remove(0)
}

/// The radio channel of a handset in a city.
fn radio() -> RadioParameters {
    RadioParameters::new(PathLoss::Umi)
}

fn number(value: f64) -> Raw {
    Raw(format!("{value:?}"))
}

fn quantity(distribution: &Distribution) -> Raw {
    match distribution {
        Distribution::Constant(value) => number(*value),
        Distribution::Uniform(low, high) => Raw(format!("Uniform({low:?}, {high:?})")),
        Distribution::Choice(values) => Raw(format!("Choice({values:?})")),
    }
}

fn device(quantity: fn(&offramp_model::Device) -> f64) -> Raw {
    paper().devices.first().map_or_else(Raw::default, |device| number(quantity(device)))
}

fn server(quantity: fn(&offramp_model::Server) -> f64) -> Raw {
    paper().servers.first().map_or_else(Raw::default, |server| number(quantity(server)))
}

fn uplink() -> Raw {
    match paper().uplink {
        Uplink::Constant(UplinkRates::Same(rate)) => number(rate),
        other => Raw(format!("{other:?}")),
    }
}

/// Upper bound on devices: more are surely a slip, and would not fit into memory.
const MAX_DEVICES: u64 = 100_000_000;
/// Upper bound on servers.
const MAX_SERVERS: u64 = 1_000_000;
/// Upper bound on K.
const MAX_HISTORY_SLOTS: u64 = 10_000;
/// Upper bound on episodes, steps, states and all other counts.
const MAX_COUNT: u64 = 1_000_000_000;
/// Upper bound on the configurations of a search.
const MAX_CONFIGURATIONS: u64 = 10_000;
/// The range of counts.
pub(crate) const COUNTS: RangeInclusive<u64> = 1..=MAX_COUNT;

sections! {
    /// A scenario.
    struct ScenarioFile("Scenario") {
        /// The name that results use: not empty, without slashes, not beginning with a dot.
        name: String {},
        /// Its purpose, in a sentence.
        about: String { default: String::new(), },
        /// Files of [settings](#settings-from-files), relative to the scenario: fields and values,
        /// such as `offramp tune` chooses, which override those written here; later files override
        /// earlier ones.
        settings: Vec<String> { default: Vec::new(), shown: "none", },
        /// Devices, servers, uplinks and time.
        system: SystemSection { default: SystemSection::default(), nested: section, },
        /// Positions, movement and radio channel; without it devices are nowhere, and rates stay those of
        /// `system.uplink_mbps`.
        world: Option<WorldSection> { default: None, shown: "none", nested: section, },
        /// The tasks that arrive.
        tasks: TasksSection { default: TasksSection::default(), nested: section, },
        /// α, the power preference of devices.
        alpha: AlphaSection { default: AlphaSection::default(), nested: section, },
        /// The energy accounting of rewards and metrics: `Published` (that of the public code, on
        /// which the paper's tables rest) or `Physical` (power × time, in joules).
        energy: EnergyField { default: EnergyField::default(), },
        /// The features that policies see: `Paper` (eq. 10), `Extended` (ρ and the deadline too),
        /// `Published` (as the public code shows them, quirks included), or a list of
        /// [columns](#observation-columns).
        observation: Raw { default: Raw("Paper".to_owned()), },
        /// K: load vectors in the history h.
        history_slots: u32 { default: 10, unit: "slots", range: 1..=MAX_HISTORY_SLOTS, },
        /// The columns that servers broadcast besides their loads, any of `queued_gcycles`, `uploads` and
        /// `arrivals_per_slot`: policies find them in the server table, and `observation` may list them.
        broadcast: Vec<String> { default: Vec::new(), shown: "none", },
        /// The policies to compare, a list; `offramp run` needs at least one.
        policies: Vec<PolicySection> { default: Vec::new(), nested: section, },
        /// The division of [recorded data](#recorded-data) in time; without it all is evaluated on.
        recordings: Option<RecordingsSection> { default: None, shown: "none", nested: section, },
        /// What `offramp train` trains.
        train: Option<TrainSection> { default: None, nested: section, },
        /// What `offramp distill` distils.
        distill: Option<DistillSection> { default: None, nested: section, },
        /// What `offramp tune` tries, to choose fields of `train` or of `distill`.
        tune: Option<TuneSection> { default: None, nested: section, },
        /// What `offramp live` runs: [one long stream](#live-runs) in a system that drifts.
        live: Option<LiveSection> { default: None, nested: section, },
        /// How policies are evaluated.
        evaluate: EvaluateSection { default: EvaluateSection::default(), nested: section, },
        /// Whether to show what was attainable: rows of `chance`, which knows nothing, of `central` and of
        /// `hindsight`, which know more than any device, and each row's
        /// [share of hindsight](#share-of-hindsight).
        hindsight: bool { default: false, },
        /// Whether each run has a process of its own. A policy that crashes, hangs or exhausts
        /// memory is then a failed row, and the other runs continue.
        isolate: bool { default: false, },
        /// Limits of a run in a process of its own.
        limits: LimitsSection { default: LimitsSection::default(), nested: section, },
        /// Values to try, each once, by the path of a field:
        /// `{ "tasks.arrival_probability": [0.1, 0.2] }`.
        /// Several fields yield all combinations. Every field except `name` can be swept, including
        /// the parameters of a policy: `"policies.0.parameters.temperature"`.
        sweep: BTreeMap<String, Vec<Raw>> { default: BTreeMap::new(), },
    }

    /// Devices, servers, uplinks and time.
    struct SystemSection("system"): Default {
        /// N: mobile devices.
        devices: u32 { default: SystemParameters::PAPER_DEVICES as u32, range: 1..=MAX_DEVICES, },
        /// M: edge servers.
        servers: u32 { default: SystemParameters::PAPER_SERVERS as u32, range: 1..=MAX_SERVERS, },
        /// S: slots in which tasks may arrive; `tasks.deadline_slots` more follow.
        slots: u32 { default: paper().arrival_slots, unit: "slots", range: "1 or more", },
        /// τ: duration of a slot.
        slot_seconds: f64 { default: paper().slot_seconds, unit: "s", range: "above 0", },
        /// f^L: CPU of a device; a [quantity](#quantities) of each device.
        device_ghz: Raw {
            default: device(|device| device.cpu_ghz), unit: "GHz", range: Range::Positive,
        },
        /// f^E: CPU of a server; a quantity of each server.
        server_ghz: Raw { default: server(|server| server.ghz), unit: "GHz", range: Range::Positive, },
        /// R: rate of an uplink; a number, `Uniform(low, high)` or `Choice([…])`, which are drawn
        /// for each device and server, `PerDevice([…])`, `PerServer([…])`, `PerPair([[…], …])`
        /// with one row per device, or `Recorded("rates.csv")` ([recorded data](#recorded-data)). 0 is
        /// no coverage: a task sent there never arrives, holds the uplink until its deadline, and takes no
        /// energy.
        uplink_mbps: Raw { default: uplink(), unit: "Mbit/s", range: Range::ZeroOrPositive, },
        /// The wired ways from the station that receives a task to its server.
        backhaul: BackhaulSection { default: BackhaulSection::default(), nested: section, },
        /// Outages of servers: drawn for each, or named servers that are down.
        outages: Option<OutageSection> { default: None, shown: "none", nested: section, },
        /// Power of devices and servers.
        power: PowerSection { default: PowerSection::default(), nested: section, },
        /// The seed of everything that is drawn once for the system: [quantities](#quantities) of
        /// devices and servers, uplink rates, and power modes that are `Fixed`. It is the same in
        /// training, validation and evaluation, whatever the seeds of their tasks.
        seed: u64 { default: 1, },
    }

    /// The wired ways from the station that receives a task to its server.
    struct BackhaulSection("backhaul"): Default {
        /// Slots of delay of a way: a number, for all ways to a server that does not stand at the
        /// receiving station; a list, one per server whatever the station (a cloud is a fast server
        /// with a delay); or `PerPair([[…], …])` with one row per station. Devices whose association is
        /// `Direct` send to the server's own station.
        delay_slots: Raw { default: Raw("0".to_owned()), unit: "slots", range: "whole, 0 … 10⁹", },
        /// Rate of a way, in the same forms; without one, only the delay counts. Ways are not shared.
        mbps: Option<Raw> { default: None, unit: "Mbit/s", range: "above 0", },
    }

    /// Outages of servers: each is up and down by turns, for slots that are drawn, or some are down all
    /// the time.
    struct OutageSection("outages") {
        /// Mean slots between two outages of a server. It needs `mean_down_slots`, too.
        mean_up_slots: Option<f64> { default: None, unit: "slots", range: "1 or more", },
        /// Mean slots of an outage.
        mean_down_slots: Option<f64> { default: None, unit: "slots", range: "1 or more", },
        /// The servers that are down, counted from 1; instead of drawn outages.
        servers: Vec<u32> { default: Vec::new(), shown: "none", range: "each 1 … servers", },
        /// Share of its speed that a server has in an outage. At 0 it serves nothing: its tasks wait.
        capacity: f64 { default: 0.0, range: Range::Unit, },
    }

    /// Positions, movement and radio channel.
    struct WorldSection("world") {
        /// Width of the area, from west to east.
        width_m: f64 { default: 1000.0, unit: "m", range: "above 0", },
        /// Height of the area, from south to north.
        height_m: f64 { default: 1000.0, unit: "m", range: "above 0", },
        /// The base stations: `Grid(columns, rows)`, evenly spaced; `Drawn(n)`, uniform in the area;
        /// `OnePerServer`, as many as servers, likewise; a list, `[(x, y), …]`, metres; or
        /// `Recorded("stations.csv")`. Server j stands at station j;
        /// servers beyond the last station are clouds.
        stations: Raw { range: "1 … servers", },
        /// How devices move: `Static`; `At([(x, y), …])` or `At("positions.csv")`; `Recorded("tracks.csv")`;
        /// `RandomWaypoint(speed_mps: (1, 2), pause_slots: 0)`;
        /// `GaussMarkov(mean_speed_mps: 1.5, memory: 0.9, sigma_mps: 0.5)`; or
        /// `Manhattan(block_m: (433, 250), lanes: 2, lane_m: 3.5, speed_mps: 16.7, straight: 0.5,
        /// left: 0.25, right: 0.25)`, which may leave out any of these. A speed is that of all
        /// devices or, in parentheses, of each drawn between two; a mean speed is of all.
        mobility: Raw { default: Raw("Static".to_owned()), },
        /// Latitude and longitude of the south-western corner of the area, for files of positions in
        /// degrees; without it that of the stations' file, or else of the devices'.
        origin: Option<(f64, f64)> { default: None, shown: "that of the file", unit: "°", },
        /// The radio channel; without it rates are those of `system.uplink_mbps`.
        radio: Option<RadioSection> { default: None, shown: "none", nested: section, },
        /// `Direct`: a device reaches each station over a link of its own. Or
        /// `Serving(hysteresis_db: 3, time_to_trigger_slots: 2, interruption_slots: 1)`: it sends to its
        /// serving station alone, and a neighbour whose signal is better by the hysteresis for the time
        /// to trigger takes over; nothing is sent during the interruption.
        association: Raw { default: Raw("Direct".to_owned()), },
    }

    /// The radio channel.
    struct RadioSection("radio"): Default {
        /// Mean loss over distance: `Umi` or `Uma` (3GPP TR 38.901), `FreeSpace`, or
        /// `LogDistance(exponent: 3, reference_db: 43.3)`, the loss at 1 m.
        path_loss: Raw { default: Raw("Umi".to_owned()), },
        /// Variation of the loss along the way: `None`, `Standard` (of `Umi` and `Uma`), or
        /// `Gudmundson(sigma_db: 6, correlation_m: 20)`.
        shadowing: Raw {
            default: Raw::default(), shown: "`Standard`, if the path loss has one",
        },
        /// Variation from slot to slot: `None`, `Rayleigh`, or `Rician(k_db: 6)`.
        fading: Raw { default: Raw("Rayleigh".to_owned()), },
        /// f_c: carrier.
        frequency_ghz: f64 { default: radio().frequency_ghz, unit: "GHz", range: "0.5 … 100", },
        /// B: band of a station.
        bandwidth_mhz: f64 { default: radio().bandwidth_mhz, unit: "MHz", range: Range::Positive, },
        /// Whether each device has a band of its own (`PerDevice`), or those that send to a station in a
        /// slot share it equally (`Shared`).
        band: BandField { default: BandField::PerDevice, },
        /// Power that a device radiates, with the gains of both antennas.
        transmit_dbm: f64 { default: radio().transmit_dbm, unit: "dBm", range: "−200 … 200", },
        /// Noise figure of a station.
        noise_figure_db: f64 { default: radio().noise_figure_db, unit: "dB", range: "0 … 100", },
        /// Rise of the noise by other cells' devices.
        interference_margin_db: f64 {
            default: radio().interference_margin_db, unit: "dB", range: "0 … 100",
        },
        /// SINR, averaged over fading, below which there is no coverage.
        min_sinr_db: f64 { default: radio().min_sinr_db, unit: "dB", range: "−200 … 200", },
        /// η_max: 7.4063 is 256-QAM.
        max_efficiency: f64 {
            default: radio().max_efficiency, unit: "bit/s/Hz", range: Range::Positive,
        },
        /// h_BS: height of stations.
        station_height_m: Option<f64> { default: None, shown: "10, with `Uma` 25", unit: "m", range: "`Umi`, `Uma`: 5 … 50", },
        /// h_UT: height of devices.
        device_height_m: f64 { default: radio().device_height_m, unit: "m", range: "`Umi`, `Uma`: 1.5 … 13", },
    }

    /// Power of devices and servers.
    struct PowerSection("power"): Default {
        /// p^T: power of a device while it sends; a quantity of each device.
        transmit_w: Raw {
            default: device(|device| device.transmit_w), unit: "W", range: Range::NotNegative,
        },
        /// p^I: power of a device while it waits for a server; a quantity of each device.
        idle_w: Raw {
            default: device(|device| device.idle_w), unit: "W", range: Range::NotNegative,
        },
        /// p^C: power of a device while it computes, in `Physical` energy only; a quantity of each
        /// device.
        compute_w: Raw {
            default: device(|device| device.compute_w), unit: "W", range: Range::NotNegative,
        },
        /// p^E: power of a server while it computes; a quantity of each server.
        server_w: Raw {
            default: server(|server| server.power_w), unit: "W", range: Range::NotNegative,
        },
    }

    /// The tasks that arrive.
    struct TasksSection("tasks"): Default {
        /// z: probability that a task arrives at a device in a slot; a quantity of each device.
        arrival_probability: Raw {
            default: device(|device| device.arrival_probability), range: Range::Unit,
        },
        /// λ: size of a task; a number, or `Uniform(low, high)` or `Choice([…])`, which are drawn
        /// for each task.
        size_mbit: Raw {
            default: quantity(&class().size_mbit), unit: "Mbit", range: Range::Positive,
        },
        /// ρ: density of a task; as for the size.
        density: Raw {
            default: quantity(&class().density), unit: "Gcycles/Mbit", range: Range::Positive,
        },
        /// D_max: slots within which a task must end, counting that of its arrival.
        deadline_slots: u32 {
            default: class().deadline_slots, unit: "slots", range: "1 or more",
        },
        /// When tasks arrive: `Bernoulli` (in each slot with `arrival_probability`);
        /// `Bursty(p_on: 0.05, p_off: 0.1, probability_on: 0.8, probability_off: 0.05)`, a Markov chain
        /// of each device, whatever its `arrival_probability`;
        /// `Daily(period_slots: 100, amplitude: 0.5)`, the probability times a sine around 1; or
        /// `Recorded("tasks.csv")`, whose tasks have sizes and densities of their own.
        arrivals: Raw { default: Raw("Bernoulli".to_owned()), },
        /// Classes of tasks, such as applications; without any, all tasks are as above.
        classes: Vec<ClassSection> { default: Vec::new(), nested: section, },
    }

    /// A class of tasks. What it leaves out is that of all tasks.
    struct ClassSection("class") {
        /// Its name, which no other class has.
        name: String {},
        /// How often a task is of it, relative to the shares of the others.
        share: f64 { default: 1.0, range: Range::Positive, },
        /// λ: size of a task.
        size_mbit: Option<Raw> {
            default: None, shown: "`tasks.size_mbit`", unit: "Mbit", range: "above 0",
        },
        /// ρ: density of a task.
        density: Option<Raw> {
            default: None, shown: "`tasks.density`", unit: "Gcycles/Mbit", range: "above 0",
        },
        /// D_max: slots within which a task must end.
        deadline_slots: Option<u32> {
            default: None, shown: "`tasks.deadline_slots`", unit: "slots", range: "1 or more",
        },
    }

    /// The division of recorded tasks, rates and tracks: first what is trained on, then what validates,
    /// then what is evaluated on.
    struct RecordingsSection("recordings") {
        /// Share that trainings and datasets take their episodes from; 0, with `validate`, if nothing was
        /// learned from these recordings.
        train: f64 { default: 0.6, range: "0 or more", },
        /// Share that validations take theirs from; together with `train` below 1.
        validate: f64 { default: 0.2, range: "0 or more", },
    }

    /// α, the power preference of devices.
    struct AlphaSection("alpha"): Default {
        /// α of each power mode, the weight of delay against energy, all different; devices draw a
        /// mode, all equally likely.
        modes: Vec<f64> { default: paper().power_preference.modes, range: "each 0 … 1", },
        /// When a device draws its mode: `PerEpisode`, `Fixed` (once, with `system.seed`), or
        /// `Switching(p)` (per episode, then another mode with probability p in each slot).
        rule: AlphaRule { default: AlphaRule::PerEpisode, },
    }

    /// A policy to compare.
    struct PolicySection("policy") {
        /// The name of the policy; `offramp plugins` lists them.
        plugin: String {},
        /// The SHA-256 that the plugin's file must have, as `offramp plugins inspect FILE` prints it;
        /// any other file is refused.
        sha256: Option<String> { default: None, range: Sha256, },
        /// The name that results use; needed if a plugin is listed twice.
        name: Option<String> { default: None, shown: "that of the plugin", },
        /// The file with what it has learned, relative to the scenario. A policy that learns needs
        /// one.
        checkpoint: Option<String> { default: None, },
        /// Whether a policy that learns runs without a checkpoint, as it is before any training;
        /// results then call it `NAME (untrained)`.
        untrained: bool { default: false, },
        /// The [parameters](#parameters-of-policies-and-explorers) of the policy itself.
        parameters: Option<Raw> { default: None, },
    }

    /// What is trained, and how.
    struct TrainSection("train") {
        /// The policy that learns.
        learner: PluginSection { nested: section, },
        /// The explorer; without one the learner decides everything.
        explorer: Option<PluginSection> { default: None, nested: section, },
        /// The teacher: a policy with a value function. In each slot the learner, which must be a student
        /// too, is shown the teacher's values of what it is about to decide
        /// ([teachers](#training-beside-a-teacher)).
        teacher: Option<TeacherSection> { default: None, nested: section, },
        /// The checkpoint that the learner begins from, relative to the scenario.
        from: Option<String> { default: None, },
        /// Training episodes.
        episodes: u64 { range: 1..=MAX_COUNT, },
        /// The seed of all randomness of the training. Its tasks are those of no evaluation, whatever
        /// the seed of that.
        seed: u64 { default: 1, },
        /// Episodes between validations. A validation judges the checkpoint on episodes that are
        /// neither trained on nor part of any evaluation.
        validate_every: u64 { default: 50, unit: "episodes", range: 1..=MAX_COUNT, },
        /// Episodes of a validation.
        validate_episodes: u64 { default: 20, range: 1..=MAX_COUNT, },
        /// Validations in a row without a better one after which the training ends early.
        stop_after: Option<u64> { default: None, unit: "validations", range: IfGiven(1..=MAX_COUNT), },
        /// Fields of the system that are drawn anew for each training episode
        /// ([many systems](#training-over-many-systems)), by their paths, and what each may be:
        /// `Choice([…])`, `Uniform(low, high)`, `LogUniform(low, high)`, or `Whole(low, high)`. Fields
        /// that are not drawn stay as they are. Learner and explorer must cope with any system.
        systems: BTreeMap<String, DrawnField> { default: BTreeMap::new(), },
        /// Systems that validations draw, once and for all, from what `systems` describes; they are
        /// played in turn, so there are at most `validate_episodes`. Without it they play the
        /// scenario's own system alone.
        validate_systems: Option<u64> { default: None, range: IfGiven(1..=MAX_COUNT), },
        /// Episodes between saves of everything that `--resume` needs.
        save_every: u64 { default: 50, unit: "episodes", range: 1..=MAX_COUNT, },
    }

    /// What is distilled into what, and how.
    struct DistillSection("distill") {
        /// The teacher: a policy with a value function.
        teacher: TeacherSection { nested: section, },
        /// The student: a policy that can be fitted to a teacher.
        student: PluginSection { nested: section, },
        /// The checkpoint that the student begins from, relative to the scenario.
        from: Option<String> { default: None, },
        /// States in the dataset; it consists of whole episodes and may have a few more.
        states: u64 { default: 100_000, range: 1..=MAX_COUNT, },
        /// Share of decisions that are drawn at random, instead of taken by the teacher, while the
        /// dataset is collected.
        explored: f64 { default: 0.1, range: Range::Unit, },
        /// Mini-batch steps.
        steps: u64 { default: 10_000, range: 1..=MAX_COUNT, },
        /// The states of a mini-batch, drawn at random in each step: `PerDevice(n)` (n of each
        /// device), `Slots(n)` (all states of n slots, which share a window of history), or
        /// `States(n)` (n of all). The size of the last two does not grow with the devices.
        batch: Raw { default: Raw("PerDevice(32)".to_owned()), range: "n: 1 … 10⁹", },
        /// Rounds in which the student plays episodes of its own, whose states are labelled by the
        /// teacher and added to the dataset.
        rounds: u64 { default: 0, range: "0 … steps − 1", },
        /// States that each round adds.
        round_states: u64 { default: 20_000, range: 1..=MAX_COUNT, },
        /// The seed of all randomness of the distillation. The tasks of its dataset are those of no
        /// training or evaluation, whatever the seeds of those.
        seed: u64 { default: 1, },
        /// Steps between validations of the student.
        validate_every: u64 { default: 1_000, unit: "steps", range: 1..=MAX_COUNT, },
        /// Episodes of a validation.
        validate_episodes: u64 { default: 20, range: 1..=MAX_COUNT, },
        /// Validations in a row without a better one after which the distillation ends early.
        stop_after: Option<u64> { default: None, unit: "validations", range: IfGiven(1..=MAX_COUNT), },
    }

    /// A teacher.
    struct TeacherSection("teacher") {
        /// The name of the policy; `offramp plugins` lists them.
        plugin: String {},
        /// The SHA-256 that the plugin's file must have.
        sha256: Option<String> { default: None, range: Sha256, },
        /// The file with what it has learned, relative to the scenario. A policy that learns needs
        /// one.
        checkpoint: Option<String> { default: None, },
        /// Whether a policy that learns teaches without a checkpoint, as it is before any training.
        untrained: bool { default: false, },
        /// The parameters of the policy itself.
        parameters: Option<Raw> { default: None, },
    }

    /// A learner, a student or an explorer.
    struct PluginSection("plugin") {
        /// Its name; `offramp plugins` lists them.
        plugin: String {},
        /// The SHA-256 that the plugin's file must have.
        sha256: Option<String> { default: None, range: Sha256, },
        /// The parameters of the plugin itself.
        parameters: Option<Raw> { default: None, },
    }

    /// A search for the values of some fields.
    struct TuneSection("tune") {
        /// The fields to choose, all of `train` or all of `distill`, and what each may be:
        /// `Values([…])`, `Range(low, high)`, or `LogRange(low, high)`, whose logarithm is uniform.
        /// A range of whole numbers has whole numbers alone; others are rounded to four digits.
        space: BTreeMap<String, DomainField> { range: "at least one", },
        /// Configurations to try, if there are as many and `budget` allows them; each is drawn at
        /// random, none twice.
        configurations: u64 { range: 1..=MAX_CONFIGURATIONS, },
        /// Slots that all trainings together may play (their tasks' deadlines included, validations
        /// apart), or steps that all distillations together may take. As many configurations are tried
        /// as it allows: with the same budget every learner is tuned with the same effort.
        budget: Option<u64> {
            default: None, unit: "slots or steps", range: IfGiven(1..=1_000_000_000_000_000),
        },
        /// Share of the configurations that each rung keeps, those with the best validation; the
        /// next rung is longer by its inverse.
        keep: f64 { default: 0.33, range: 0.01..=0.9, },
        /// Length of the first rung, at most that of a finalist.
        first: u64 { unit: "episodes or steps", range: COUNTS, },
        /// Configurations that are trained or distilled in full, under every one of `seeds`.
        finalists: u64 { default: 3, range: 1..=MAX_CONFIGURATIONS, },
        /// The seed of the configurations, of the rungs' trainings or distillations, and of the
        /// episodes that judge.
        seed: u64 { default: 1, },
        /// The seeds under which finalists are trained or distilled.
        seeds: Vec<u64> { default: vec![1, 2, 3], shown: "[1, 2, 3]", range: "at least one", },
        /// Episodes that judge each checkpoint with the best validation. They are the same for all,
        /// and neither trained on, nor those of that validation, nor part of any evaluation.
        validate_episodes: u64 { default: 50, range: COUNTS, },
    }

    /// A live run: one long stream of tasks, in which policies keep their state, queues are never
    /// emptied, and the system drifts.
    struct LiveSection("live") {
        /// T: slots of the stream; they take the place of `system.slots`.
        slots: u32 { range: COUNTS, },
        /// Slots of a window, for which results have a row; the last window may be shorter.
        window_slots: u32 { default: 500, unit: "slots", range: COUNTS, },
        /// The seed of all randomness of the run. Every policy faces the same tasks, which belong to no
        /// training, dataset, validation or evaluation.
        seed: u64 { default: 1, },
        /// Slots between saves of everything that `--resume` needs.
        save_every: u32 { default: 5_000, unit: "slots", range: COUNTS, },
        /// The name of the policy that the others are compared with: regret and time to recover are those
        /// against it.
        ceiling: Option<String> { default: None, },
        /// The changes of the system, by slot. Each keeps what the earlier ones have set.
        drift: Vec<ChangeSection> { default: Vec::new(), shown: "none", nested: section, },
        /// The policies, each with a stream of its own; at least one.
        policies: Vec<LivePolicySection> { nested: section, },
    }

    /// A change of the system.
    struct ChangeSection("change") {
        /// The slot in which it begins, after all that the change before it does.
        at: u32 { unit: "slots", range: "1 … live.slots − 1", },
        /// Slots over which numbers change linearly, in 100 equal steps of which the last is taken in slot
        /// `at + over`; without it they change at once.
        over: Option<u32> { default: None, unit: "slots", range: "ends before live.slots", },
        /// Fields of `system`, `world`, `tasks`, `alpha` and `energy` by their paths, with their new values,
        /// as a sweep has them. The number of devices and servers and the duration of a slot stay the
        /// same. A device with an `arrival_probability` of 0 is not active.
        set: BTreeMap<String, Raw> {},
    }

    /// A policy of a live run.
    struct LivePolicySection("policy") {
        /// The name of the policy; `offramp plugins` lists them.
        plugin: String {},
        /// The SHA-256 that the plugin's file must have.
        sha256: Option<String> { default: None, range: Sha256, },
        /// The name that results use; needed if a plugin is listed twice.
        name: Option<String> { default: None, shown: "that of the plugin", },
        /// The file with what it has learned, relative to the scenario. A policy that learns elsewhere needs
        /// one.
        checkpoint: Option<String> { default: None, },
        /// Whether a policy that learns runs without a checkpoint, as it is before any training.
        untrained: bool { default: false, },
        /// The parameters of the policy itself.
        parameters: Option<Raw> { default: None, },
        /// Checkpoints that replace it, by the slot from which they decide: `{ 15000: "b.safetensors" }`.
        /// A policy that is replaced begins anew, without memory of the slots before.
        renewed: BTreeMap<u32, String> { default: BTreeMap::new(), },
        /// How it learns while it decides: `Alone`, from its own decisions, as a learner in training.
        /// Without it nothing is learned, unless `online` says so.
        learns: Option<LearnsField> { default: None, },
        /// What devices learn from a teacher at an edge server while they decide
        /// ([online distillation](#online-distillation)).
        online: Option<OnlineSection> { default: None, nested: section, },
        /// What devices that learn tell each other ([federated learning](#federated-learning)).
        federated: Option<FederatedSection> { default: None, nested: section, },
        /// Slots in which nothing reaches a device or leaves it, by device, counted from 1: `{ 3: (0, 5000) }`.
        silent: BTreeMap<u32, (u32, u32)> { default: BTreeMap::new(), shown: "none", },
        /// Slots in which a device sends numbers that are not finite, likewise.
        broken: BTreeMap<u32, (u32, u32)> { default: BTreeMap::new(), shown: "none", },
        /// The explorer of a policy that learns; without one it decides everything.
        explorer: Option<PluginSection> { default: None, nested: section, },
    }

    /// Online distillation: devices send states to a teacher, and are fitted to the values it returns.
    struct OnlineSection("online") {
        /// The teacher: a policy with a value function. It sees the loads of all servers anyway; of a device,
        /// what is sent to it.
        teacher: TeacherSection { nested: section, },
        /// Share of devices, drawn anew every 1,000 slots, whose decisions and rewards the teacher learns
        /// from; it must be a learner then. At 0 it stays as it is.
        reporting: f64 { default: 0.0, range: Range::Unit, },
        /// Share of its tasks whose states a device sends to be valued, as long as it may send.
        asking: f64 { default: 0.5, range: Range::Unit, },
        /// What a device may send and receive, per 1,000 slots; what is more is not sent.
        budget_kb: f64 { default: 10.0, unit: "kB", range: Range::Positive, },
        /// The numbers on the wire and in a device's memory: `F32`, `F16`, or `Int8`, each over the scale of
        /// its column, with one more scale for each message.
        encoding: EncodingField { default: EncodingField::F16, },
        /// Memory of a device for states with their values, the last ones; at least one.
        memory_kb: f64 { default: 8.0, unit: "kB", range: Range::Positive, },
        /// Slots between fits.
        every_slots: u32 { default: 20, unit: "slots", range: COUNTS, },
        /// States of a fit, drawn from the memory of each device.
        batch: u32 { default: 16, unit: "states", range: 1..=65_536, },
        /// Multiply-adds that a device may spend on learning, per slot; fits that would need more are left
        /// out. Without it there is no bound.
        multiply_adds: Option<u64> { default: None, unit: "per slot", range: IfGiven(COUNTS), },
        /// Slots in which the teacher does not answer: `[(20000, 25000)]`, from one slot to the one before
        /// another.
        away: Vec<(u32, u32)> { default: Vec::new(), shown: "none", },
    }

    /// Federated learning: devices that learn alone exchange what they have learned, but no states.
    struct FederatedSection("federated") {
        /// What is exchanged: `Parameters` of networks (FedAvg), or `Values` of states that all know.
        exchange: ExchangeField { default: ExchangeField::Values, },
        /// Slots of a round.
        round_slots: u32 { default: 500, unit: "slots", range: COUNTS, },
        /// Probability with which a device takes part in a round.
        share: f64 { default: 1.0, range: Range::Unit, },
        /// Probability with which a device that takes part is not heard of.
        dropouts: f64 { default: 0.0, range: Range::Unit, },
        /// Probability with which what a device sends arrives a round late.
        stragglers: f64 { default: 0.0, range: Range::Unit, },
        /// The numbers on the wire: `F32`, `F16` or `Int8`.
        encoding: EncodingField { default: EncodingField::F16, },
        /// States that all know, of `Values`: what a device sees that decides at random in a simulation of the
        /// system from slot 0 on.
        states: u32 { default: 128, range: 1..=100_000, },
        /// Fits of a device to the mean of all values, each round, of `Values`.
        steps: u32 { default: 8, range: 1..=10_000, },
        /// States of a fit.
        batch: u32 { default: 32, unit: "states", range: 1..=65_536, },
        /// Differential privacy of devices; without it there is none.
        privacy: Option<PrivacySection> { default: None, nested: section, },
    }

    /// The Gaussian mechanism: what a device sends is clipped, and noise is added to the sum.
    struct PrivacySection("privacy") {
        /// C: the largest norm of what a device changes, in units of what is exchanged.
        clip: f64 { range: Range::Positive, },
        /// σ: standard deviation of the noise, over C.
        noise: f64 { range: Range::Positive, },
        /// δ of (ε, δ).
        delta: f64 { default: 1e-5, range: Range::Unit, },
    }

    /// How policies are evaluated.
    struct EvaluateSection("evaluate"): Default {
        /// Episodes.
        episodes: u64 { default: 50, range: 1..=MAX_COUNT, },
        /// The seed of all randomness of the evaluation. With the same seed all policies face
        /// bit-identical tasks, which belong to no training, dataset or validation, whatever the seeds
        /// of those.
        seed: u64 { default: 1, },
    }

    /// Limits of a run in a process of its own.
    struct LimitsSection("limits"): Default {
        /// Duration of one call into the policy.
        call_seconds: f64 { default: 10.0, unit: "s", range: 0.001..=1e6, },
        /// Memory beyond what the process has before the policy is created.
        memory_mib: u64 { default: 4096, unit: "MiB", range: 1..=1 << 30, },
    }
}

/// What a field may be in a drawn system.
#[derive(Clone, Debug, Deserialize)]
pub(crate) enum DrawnField {
    /// One of these, all equally likely.
    Choice(Vec<Raw>),
    /// A number between two numbers.
    Uniform(Raw, Raw),
    /// Likewise, with a logarithm that is uniform.
    LogUniform(Raw, Raw),
    /// A whole number between two, which it may be itself.
    Whole(Raw, Raw),
}

/// How a policy of a live run learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum LearnsField {
    /// From its own decisions.
    Alone,
}

impl Shown for LearnsField {
    fn shown(&self) -> Option<String> {
        Some(format!("{self:?}"))
    }
}

/// The numbers that are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum EncodingField {
    F32,
    F16,
    Int8,
}

/// What devices exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum ExchangeField {
    Parameters,
    Values,
}

impl Shown for EncodingField {
    fn shown(&self) -> Option<String> {
        Some(format!("{self:?}"))
    }
}

impl Shown for ExchangeField {
    fn shown(&self) -> Option<String> {
        Some(format!("{self:?}"))
    }
}

/// What a field may be in a search.
#[derive(Clone, Debug, Deserialize)]
pub(crate) enum DomainField {
    /// One of these.
    Values(Vec<Raw>),
    /// A number between two numbers.
    Range(Raw, Raw),
    /// Likewise, with a logarithm that is uniform.
    LogRange(Raw, Raw),
}

/// The form of a SHA-256.
struct Sha256;

impl Bounds<Option<String>> for Sha256 {
    fn shown(&self) -> String {
        "64 hex digits".to_owned()
    }

    fn fault(&self, value: &Option<String>) -> Option<String> {
        let value = value.as_ref()?;
        let valid = value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
        (!valid).then(|| {
            let found = if value.len() <= 80 { value.as_str() } else { "a longer text" };
            format!(
                "a SHA-256 has 64 hex digits; this is {found:?}: copy it from \
                 `offramp plugins inspect FILE`"
            )
        })
    }
}

/// When a device draws its power mode.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) enum AlphaRule {
    /// Anew for each episode.
    PerEpisode,
    /// Once for the system.
    Fixed,
    /// Anew for each episode, then changing with this probability per slot.
    Switching(f64),
}

impl Shown for AlphaRule {
    fn shown(&self) -> Option<String> {
        Some(format!("{self:?}"))
    }
}

/// The energy accounting.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(crate) enum EnergyField {
    /// That of the public code.
    #[default]
    Published,
    /// Power × time, in joules.
    Physical,
}

impl Shown for EnergyField {
    fn shown(&self) -> Option<String> {
        Some(format!("{self:?}"))
    }
}

/// The division of a station's band.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) enum BandField {
    /// Each device has its own.
    PerDevice,
    /// Those that send share it.
    Shared,
}

impl Shown for BandField {
    fn shown(&self) -> Option<String> {
        Some(format!("{self:?}"))
    }
}

/// The named observations.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) enum NamedObservation {
    /// Eq. (10).
    Paper,
    /// With ρ and deadline.
    Extended,
    /// That of the public code.
    Published,
}
/// The forms of a quantity.
#[derive(Debug)]
pub(crate) enum Quantity {
    /// The same value for all.
    One(f64),
    /// One value each.
    List(Vec<f64>),
    /// Values that are drawn.
    Drawn(DrawnQuantity),
}

/// The named forms of a quantity.
#[derive(Debug, Deserialize)]
pub(crate) enum DrawnQuantity {
    /// Uniform between two values.
    Uniform(f64, f64),
    /// One of these, all equally likely.
    Choice(Vec<f64>),
}

/// The named forms of the uplink rates.
#[derive(Debug, Deserialize)]
pub(crate) enum NamedRates {
    /// Drawn for each device and server, uniform between two rates.
    Uniform(f64, f64),
    /// Drawn for each device and server, one of these.
    Choice(Vec<f64>),
    /// One rate per device.
    PerDevice(Vec<f64>),
    /// One rate per server.
    PerServer(Vec<f64>),
    /// One row per device, with one rate per server.
    PerPair(Vec<Vec<f64>>),
}

/// The named processes of arrivals.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) enum NamedArrivals {
    /// Independent slots.
    Bernoulli,
    /// On and off by turns.
    Bursty { p_on: f64, p_off: f64, probability_on: f64, probability_off: f64 },
    /// A sine.
    Daily { period_slots: f64, amplitude: f64 },
}

impl Raw {
    /// Reads a quantity: a number, a list, or a named distribution.
    pub(crate) fn quantity(&self) -> Result<Quantity, ron::error::SpannedError> {
        match self.0.chars().next() {
            Some('[') => ron::from_str(&self.0).map(Quantity::List),
            Some(first) if first.is_alphabetic() && !matches!(self.0.as_str(), "inf" | "NaN") => {
                ron::from_str(&self.0).map(Quantity::Drawn)
            }
            _ => ron::from_str(&self.0).map(Quantity::One),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use offramp_model::System;

    use super::*;
    use crate::field::{table, with_generated};
    use crate::{Experiment, observation};

    /// The system of a scenario, as text that is equal if all parameters are bit-identical.
    fn system(text: &str) -> String {
        let experiment = Experiment::parse("x.ron", text.to_owned(), "".as_ref(), &[]).unwrap();
        format!("{:?}", experiment.points[0].system.parameters())
    }

    #[test]
    fn the_defaults_and_the_papers_scenario_are_the_papers_system() {
        let paper = format!("{:?}", System::paper(50, 5).parameters());
        assert_eq!(system("(name: \"x\")"), paper);
        assert_eq!(system("(name: \"x\", system: (), tasks: (), alpha: ())"), paper);
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios/paper.ron");
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(system(&text), paper);
        // It spells out every field of the system that the paper has.
        let starts = |field: &Field, sections: &[&str]| {
            sections.iter().any(|section| field.path.starts_with(section))
        };
        let spelled_out = |field: &Field| {
            let beyond = ["system.backhaul", "system.outages", "tasks.arrivals", "tasks.classes"];
            starts(field, &["system.", "tasks.", "alpha."]) && !starts(field, &beyond)
        };
        for Field { path, .. } in fields().iter().filter(|field| spelled_out(field)) {
            assert!(crate::has(&text, path), "{path}");
        }
    }

    /// The seeds of tasks draw nothing of it.
    #[test]
    fn only_its_own_seed_draws_the_system() {
        let drawn = |quantity: &str, seeds: &str| {
            system(&format!("(name: \"x\", system: (devices: 9, {quantity}), {seeds})"))
        };
        for quantity in [
            "device_ghz: Uniform(1, 3)",
            "server_ghz: Choice([20, 30, 40, 50])",
            "uplink_mbps: Uniform(8, 20)",
            "power: (compute_w: Uniform(1, 3))",
            "power: (server_w: Uniform(4, 6))",
        ] {
            let one = drawn(quantity, "");
            assert_eq!(one, drawn(quantity, "evaluate: (seed: 2)"));
            assert_eq!(one, drawn(&format!("{quantity}, seed: 1"), ""));
            assert_ne!(one, drawn(&format!("{quantity}, seed: 2"), ""));
        }
        let fixed = "alpha: (rule: Fixed)";
        let one = drawn("", fixed);
        assert_eq!(one, drawn("", &format!("{fixed}, evaluate: (seed: 2)")));
        assert_ne!(one, drawn("seed: 2", fixed));
    }

    #[test]
    fn a_sha256_has_64_hex_digits() {
        let read = |entry: &str| {
            let text = format!("(name: \"x\", {entry})");
            Experiment::parse("x.ron", text, "".as_ref(), &[]).map_err(|fault| fault.to_string())
        };
        let valid = "aB3".repeat(22).split_off(2);
        assert!(read(&format!("policies: [(plugin: \"a\", sha256: \"{valid}\")]")).is_ok());
        let refused = |entry: &str, column: usize| {
            let expected = format!(
                "x.ron:1:{column}: a SHA-256 has 64 hex digits; this is \"abc\": copy it from \
                 `offramp plugins inspect FILE`"
            );
            assert_eq!(read(entry).unwrap_err(), expected);
        };
        refused("policies: [(plugin: \"a\", sha256: \"abc\")]", 46);
        refused("train: (learner: (plugin: \"a\", sha256: \"abc\"), episodes: 1)", 52);
        let other = valid.replace('a', "g");
        assert!(read(&format!("policies: [(plugin: \"a\", sha256: \"{other}\")]")).is_err());
    }

    #[test]
    fn names_have_no_control_characters() {
        for (text, place) in [
            ("name: \"a\\tb\"", "1:8"),
            ("name: \"a\\nb\"", "1:8"),
            ("name: \"x\", policies: [(plugin: \"a\", name: \"b\\u{7f}\")]", "1:44"),
            ("name: \"x\", policies: [(plugin: \"a\\rb\")]", "1:24"),
        ] {
            let text = format!("({text})");
            let fault = Experiment::parse("x.ron", text, "".as_ref(), &[]).unwrap_err();
            let shown = fault.to_string();
            assert!(shown.starts_with(&format!("x.ron:{place}: ")), "{shown}");
            assert!(shown.contains("control characters"), "{shown}");
        }
    }

    #[test]
    fn a_power_mode_is_listed_once() {
        let read = |modes: &str| {
            let text = format!("(name: \"x\", alpha: (modes: {modes}))");
            Experiment::parse("x.ron", text, "".as_ref(), &[])
        };
        assert!(read("[0.5, 0.25]").is_ok());
        let fault = read("[0.5, 0.25, 5e-1]").unwrap_err();
        assert_eq!(fault.to_string(), "x.ron:1:40: the power mode 0.5 is listed twice");
        assert!(fault.help.is_some_and(|help| help.contains("list each α once")));
    }

    /// Every form in which a rate may be 0, and no rate that quotients can't bear.
    #[test]
    fn an_uplink_may_have_no_coverage() {
        let read = |rates: &str| {
            let text =
                format!("(name: \"x\", system: (devices: 2, servers: 2, uplink_mbps: {rates}))");
            Experiment::parse("x.ron", text, "".as_ref(), &[])
        };
        for rates in [
            "0",
            "0.0",
            "PerDevice([0, 14.0])",
            "PerServer([14.0, 0])",
            "PerPair([[0, 14.0], [0.0, 0.0]])",
            "Uniform(0, 14)",
            "Uniform(0, 0)",
            "Choice([0, 14])",
        ] {
            assert!(read(rates).is_ok(), "{rates}");
        }
        for rates in ["-1", "-0.0", "1e-30", "Choice([0, -14])", "PerServer([1e-30, 0])"] {
            assert!(read(rates).unwrap_err().message.contains("is out of range"), "{rates}");
        }
    }

    /// The documents have the tables; with `UPDATE_DOCS=1` they get them.
    #[test]
    fn the_documents_have_the_tables() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scenarios/README.md");
        let document = std::fs::read_to_string(path).unwrap();
        let wanted = [
            ("scenario fields", table(&fields())),
            ("observation columns", observation::documentation()),
        ]
        .iter()
        .fold(document.clone(), |document, (name, text)| {
            with_generated(&document, name, text).unwrap()
        });
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, wanted).unwrap();
        } else {
            assert_eq!(document, wanted, "run this test with UPDATE_DOCS=1");
        }
    }
}
