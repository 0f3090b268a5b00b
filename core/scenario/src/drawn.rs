//! Drawn systems: a distribution over the systems that episodes are played in.
//!
//! It is stated as a sweep is, by the paths of fields, so that whatever a sweep can set of a system
//! can be drawn; a list of fields that may be drawn would be a second definition of them. What is
//! drawn once for a system (quantities of devices and servers, rates) is drawn anew with it: its
//! `system.seed` is a draw, too, unless it is named.
//!
//! A sweep replaces values of the whole text, field by field. There may be thousands of episodes, so
//! here the places of the fields are found once, in a text that has the system alone.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use offramp_model::System;
use offramp_model::rng::Stream;

use crate::domain::{Domain, Scale, real, whole};
use crate::file::DrawnField;
use crate::outline::replace;
use crate::source::Source;
use crate::sweep::point_text;
use crate::{Fault, alone};

/// The field of the seed of all that is drawn once for a system.
const SEED: &str = "system.seed";

/// A distribution of systems: fields of a scenario, each drawn on its own.
#[derive(Clone, Debug, PartialEq)]
pub struct DrawnSystems {
    /// The path of each field, and what it may be; at least one.
    fields: Vec<(String, Domain)>,
    /// The text of the scenario's system, with a [`mark`] in the place of each value.
    text: String,
    /// How errors refer to the scenario.
    source_name: String,
    /// The folder that paths in it are relative to.
    folder: PathBuf,
}

impl DrawnSystems {
    /// The path of each field, in order, and what it may be; at least one.
    pub fn fields(&self) -> &[(String, Domain)] {
        &self.fields
    }

    /// Draws a system from `stream`: fields and values, for [`system`](Self::system).
    pub fn draw(&self, mut stream: Stream) -> Vec<(String, String)> {
        // Always drawn, so that naming it changes no other value.
        let seed = (SEED.to_owned(), stream.next_u64().to_string());
        let drawn = self.fields.iter().map(|(field, domain)| {
            let value = domain.draw(&mut stream);
            (field.clone(), value)
        });
        own_seed(&self.fields).then_some(seed).into_iter().chain(drawn).collect()
    }

    /// The system with these values, as [`draw`](Self::draw) returned them.
    ///
    /// # Errors
    /// [`Fault`] if they do not describe a system.
    pub fn system(&self, values: &[(String, String)]) -> Result<Arc<System>, Fault> {
        let mut text = self.text.clone();
        for (number, (_, value)) in values.iter().enumerate() {
            text = text.replacen(&mark(number), value, 1);
        }
        let name = format!("{} (drawn, {})", self.source_name, point_text(values));
        let source = Source { name: &name, text: &text, folder: &self.folder };
        let systems = alone::read(source)?;
        if !systems.files.is_empty() {
            let message = "a system with recorded data can't be drawn anew for each episode";
            return Err(source.fault("", message.to_owned(), None));
        }
        Ok(systems.evaluation)
    }
}

/// True if the seed of a system is drawn without being named.
fn own_seed(fields: &[(String, Domain)]) -> bool {
    fields.iter().all(|(field, _)| field != SEED)
}

/// Stands for the value of that number in a text; no text of a person has it.
fn mark(number: usize) -> String {
    format!("\u{1}{number}\u{1}")
}

/// The distribution that the map at `path` describes; `None` if it is empty.
pub(crate) fn systems(
    source: Source<'_>,
    path: &str,
    map: &BTreeMap<String, DrawnField>,
) -> Result<Option<DrawnSystems>, Fault> {
    let mut fields = Vec::with_capacity(map.len());
    for (field, form) in map {
        let at = format!("{path}.{field}");
        alone::check_field(source, (&at, source.text), field, "drawn")?;
        let inside = |other: &&String| {
            other.strip_prefix(field.as_str()).is_some_and(|rest| rest.starts_with('.'))
        };
        if let Some(part) = map.keys().find(inside) {
            let message = format!("`{part}` is a part of `{field}`, which is drawn too");
            let help = "draw one of them".to_owned();
            return Err(source.fault(&format!("{path}.{part}"), message, Some(help)));
        }
        fields.push((field.clone(), domain(source, &at, form)?));
    }
    if fields.is_empty() {
        return Ok(None);
    }
    let text = marked(source, path, &fields)?;
    let (source_name, folder) = (source.name.to_owned(), source.folder.to_owned());
    let systems = DrawnSystems { fields, text, source_name, folder };
    check_edges(source, path, &systems)?;
    Ok(Some(systems))
}

/// The text of the system alone, with marks in the places of the values that are drawn.
fn marked(source: Source<'_>, path: &str, fields: &[(String, Domain)]) -> Result<String, Fault> {
    let mut text = alone::text_of(source, &[]);
    let seed = own_seed(fields).then_some(SEED);
    let paths = seed.into_iter().chain(fields.iter().map(|(field, _)| field.as_str()));
    for (number, field) in paths.enumerate() {
        text = replace(&text, field, &mark(number)).ok_or_else(|| {
            let message = format!("this scenario has no place for `{field}`");
            source.fault(&format!("{path}.{field}"), message, None)
        })?;
    }
    Ok(text)
}

/// What the field at `path` may be.
fn domain(source: Source<'_>, path: &str, form: &DrawnField) -> Result<Domain, Fault> {
    match form {
        DrawnField::Choice(values) if values.is_empty() => {
            Err(source.fault(path, "Choice([]) has nothing to choose from".to_owned(), None))
        }
        DrawnField::Choice(values) => {
            Ok(Domain::Values(values.iter().map(|value| value.0.clone()).collect()))
        }
        DrawnField::Uniform(low, high) => real(source, path, [&low.0, &high.0], Scale::Linear),
        DrawnField::LogUniform(low, high) => real(source, path, [&low.0, &high.0], Scale::Log),
        DrawnField::Whole(low, high) => {
            let bounds = [low.0.as_str(), &high.0];
            real(source, path, bounds, Scale::Linear)?;
            let Some([low, high]) = whole(bounds) else {
                let message = "whole numbers are needed here".to_owned();
                return Err(source.fault(path, message, None));
            };
            Ok(Domain::Whole(low, high, Scale::Linear))
        }
    }
}

/// Checks each value at the edge of a field, with the others at their first, so that most mistakes
/// show when the file is read. Combinations are checked when it is known which of them are drawn.
fn check_edges(source: Source<'_>, path: &str, systems: &DrawnSystems) -> Result<(), Fault> {
    let first = |(field, domain): &(String, Domain)| {
        (field.clone(), domain.edges().into_iter().next().unwrap_or_default())
    };
    let first: Vec<_> = systems.fields.iter().map(first).collect();
    for (number, (field, domain)) in systems.fields.iter().enumerate() {
        // That of all first values is checked with the first field.
        for value in domain.edges().into_iter().skip(usize::from(number > 0)) {
            let mut values = first.clone();
            values[number].1 = value;
            let shown = point_text(&values);
            let seed = own_seed(&systems.fields).then(|| (SEED.to_owned(), "0".to_owned()));
            let values: Vec<_> = seed.into_iter().chain(values).collect();
            systems.system(&values).map_err(|Fault { message, help, .. }| {
                let whole = message.starts_with("a whole number is needed");
                let help = match domain {
                    Domain::Real(..) if whole => Some("`Whole(low, high)` draws them".to_owned()),
                    _ => help,
                };
                source.fault(&format!("{path}.{field}"), format!("with {shown}: {message}"), help)
            })?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use offramp_model::rng::{Purpose, StreamFamily};
    use offramp_model::world::{Area, Position};

    use super::*;
    use crate::Experiment;

    fn read(systems: &str, fields: &str) -> Result<Option<DrawnSystems>, Fault> {
        let train = format!("train: (learner: (plugin: \"a\"), episodes: 9, systems: {systems})");
        let text = format!("(name: \"x\", {fields} {train})");
        let experiment = Experiment::parse("x.ron", text, "".as_ref(), &[])?;
        Ok(experiment.points[0].training.as_ref().unwrap().systems.clone())
    }

    fn drawn(systems: &DrawnSystems, episode: u64) -> Vec<(String, String)> {
        systems.draw(StreamFamily::new(1, episode, Purpose::new(15)).of(0))
    }

    #[test]
    fn whatever_describes_a_system_can_be_drawn() {
        let systems = "{
            \"tasks.arrival_probability\": Uniform(0.05, 0.7),
            \"system.devices\": Choice([10, 20, 50]),
            \"system.servers\": Whole(1, 4),
            \"tasks.deadline_slots\": Whole(4, 20),
            \"system.device_ghz\": Choice([2.6, Uniform(1.5, 4.0)]),
            \"system.server_ghz\": LogUniform(10, 100),
            \"system.uplink_mbps\": Uniform(5, 30),
            \"tasks.size_mbit.1\": Uniform(3, 9),
            \"energy\": Choice([Published, Physical]),
        }";
        let fields = "policies: [(plugin: \"a\")], tasks: (size_mbit: Uniform(1.0, 7.0)),";
        let systems = read(systems, fields).unwrap().unwrap();
        let mut seen = BTreeSet::new();
        let (mut heterogeneous, mut whole) = (0, BTreeSet::new());
        for episode in 0..100 {
            let values = drawn(&systems, episode);
            assert_eq!(values, drawn(&systems, episode));
            assert!(seen.insert(values.clone()), "{values:?}");
            let system = systems.system(&values).unwrap();
            assert!([10, 20, 50].contains(&system.device_count()));
            whole.insert(system.server_count());
            assert!((4..=20).contains(&system.deadline_slots()));
            assert!((3.0..=9.0).contains(&system.largest_mbit()));
            let devices = &system.parameters().devices;
            assert!((0.05..=0.7).contains(&devices[0].arrival_probability));
            heterogeneous += u32::from(devices[0].cpu_ghz != devices[1].cpu_ghz);
        }
        assert_eq!(whole, BTreeSet::from([1, 2, 3, 4]));
        // One half, with a standard error of 5.
        assert!((30..70).contains(&heterogeneous), "{heterogeneous}");
    }

    #[test]
    fn a_world_may_have_a_station_for_each_server_that_is_drawn() {
        let drawn_systems = read(
            "{\"system.servers\": Whole(1, 6), \"world\": Choice([None, (stations: OnePerServer)])}",
            "",
        );
        let systems = drawn_systems.unwrap().unwrap();
        let mut places = BTreeSet::new();
        let mut worlds = 0;
        for episode in 0..40 {
            let system = systems.system(&drawn(&systems, episode)).unwrap();
            let Some(world) = &system.parameters().world else { continue };
            assert_eq!(world.stations.len(), system.server_count() as usize);
            let Area { width_m, height_m } = world.area;
            for Position { x_m, y_m } in &world.stations {
                assert!((0.0..=width_m).contains(x_m) && (0.0..=height_m).contains(y_m));
                places.insert(x_m.to_bits());
            }
            worlds += 1;
        }
        // They are drawn anew with each system.
        assert!(worlds > 10 && places.len() > 2 * worlds, "{worlds} {}", places.len());
    }

    /// Its files would be read in each episode, and may change meanwhile.
    #[test]
    fn recorded_data_is_not_drawn() {
        let folder = tempfile::tempdir().unwrap();
        let row = |slot: u32| format!("{slot},0,1,14\n");
        let rows: String = (0..200).map(row).collect();
        let rates = format!("slot,device,server,mbps\n{rows}");
        std::fs::write(folder.path().join("rates.csv"), rates).unwrap();
        let text = "(name: \"x\", system: (devices: 1, servers: 1), train: (episodes: 1,
            learner: (plugin: \"a\"),
            systems: {\"system.uplink_mbps\": Choice([9, Recorded(\"rates.csv\")])}))";
        let fault = Experiment::parse("x.ron", text.to_owned(), folder.path(), &[]).unwrap_err();
        let expected = "with system.uplink_mbps = Recorded(\"rates.csv\"): a system with recorded data \
                        can't be drawn anew for each episode";
        assert_eq!(fault.message, expected);
    }

    /// Two systems with the same speeds to draw from have other devices.
    #[test]
    fn what_is_drawn_once_for_a_system_is_drawn_anew() {
        let fields = "system: (device_ghz: Uniform(1, 4), seed: 7),";
        let speeds = |systems: &str, episode: u64| {
            let systems = read(systems, fields).unwrap().unwrap();
            let system = systems.system(&drawn(&systems, episode)).unwrap();
            system.parameters().devices.iter().map(|device| device.cpu_ghz).collect::<Vec<_>>()
        };
        let loads = "{\"tasks.arrival_probability\": Choice([0.3])}";
        assert_ne!(speeds(loads, 0), speeds(loads, 1));
        let fixed = "{\"system.seed\": Choice([7])}";
        assert_eq!(speeds(fixed, 0), speeds(fixed, 1));
        assert!(read("{}", fields).unwrap().is_none());
    }

    #[test]
    fn what_can_not_be_drawn_is_refused_at_its_place() {
        let check = |systems: &str, at: &str, message: &str, help: &str| {
            let fault = read(systems, "").unwrap_err();
            assert_eq!((fault.message.as_str(), &fault.text[fault.span.clone()]), (message, at));
            assert_eq!(fault.help.as_deref().unwrap_or(""), help);
        };
        check(
            "{\"tasks.arrival_probabilty\": Uniform(0, 1)}",
            "Uniform(0, 1)",
            "there is no field `tasks.arrival_probabilty`",
            "did you mean `tasks.arrival_probability`?",
        );
        check(
            "{\"evaluate.seed\": Choice([1])}",
            "Choice([1])",
            "`evaluate.seed` does not describe a system",
            "fields of system, world, tasks, alpha, energy can be drawn",
        );
        check(
            "{\"observation\": Choice([Paper])}",
            "Choice([Paper])",
            "`observation` does not describe a system",
            "fields of system, world, tasks, alpha, energy can be drawn",
        );
        check(
            "{\"system.devices\": Uniform(1, 9)}",
            "Uniform(1, 9)",
            "with system.devices = 1.0: a whole number is needed, not 1.0: write 1",
            "`Whole(low, high)` draws them",
        );
        check(
            "{\"system.devices\": Whole(0, 9)}",
            "Whole(0, 9)",
            "with system.devices = 0: 0 is out of range 1 … 10⁸",
            "",
        );
        check(
            "{\"system.servers\": Choice([2, 3]), \"tasks.arrival_probability\": Uniform(0.5, 2)}",
            "Uniform(0.5, 2)",
            "with system.servers = 2, tasks.arrival_probability = 2.0: 2 is out of range: a \
             number from 0 to 1 is needed",
            "",
        );
        check(
            "{\"tasks\": Choice([()]), \"tasks.density\": Choice([0.2])}",
            "Choice([0.2])",
            "`tasks.density` is a part of `tasks`, which is drawn too",
            "draw one of them",
        );
        check(
            "{\"energy\": Choice([])}",
            "Choice([])",
            "Choice([]) has nothing to choose from",
            "",
        );
        check(
            "{\"system.slots\": Whole(1, 2.5)}",
            "Whole(1, 2.5)",
            "whole numbers are needed here",
            "",
        );
        let fault = read("{\"energy\": Choice([Published])}", "observation: Published,");
        assert!(fault.is_ok());
        let world = "world: (stations: Grid(1, 1)), observation: Published,";
        let fault = read("{\"energy\": Choice([Published])}", world).unwrap_err();
        assert!(fault.message.starts_with("the public code knows no system"), "{fault}");
        let validates = "{}, validate_systems: 3";
        assert_eq!(
            read(validates, "").unwrap_err().message,
            "there are no `systems` that validations could draw from"
        );
        let drawn = "{\"system.servers\": Whole(1, 5)}";
        let few = format!("{drawn}, validate_episodes: 2, validate_systems: 5");
        let fault = read(&few, "").unwrap_err();
        assert_eq!(fault.message, "2 `validate_episodes` do not play 5 systems");
        assert!(fault.text[fault.span].starts_with('5'));
        let enough = format!("{drawn}, validate_episodes: 5, validate_systems: 5");
        assert!(read(&enough, "").is_ok());
    }
}
