//! Systems of episodes: the scenario's own in each, or one that is drawn for it.
//!
//! A drawn system is a pure function of the scenario, the seed under which the episode's tasks are
//! drawn, and the number of the episode. So it does not depend on what was played before, nor on
//! threads, and all systems of a training are known, and checked, before its first episode.

use std::sync::Arc;

use offramp_host::plugin::EpisodeStart;
use offramp_model::System;
use offramp_scenario::{DrawnSystems, Scenario, TrainingEntry};
use rayon::prelude::*;
use serde::Serialize;

use crate::context::SystemTables;
use crate::origin::Refusal;
use crate::seeds;

/// The field that describes the distribution of systems.
pub(crate) const FIELD: &str = "train.systems";

/// The systems of the episodes of a training or of validations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Systems<'s> {
    /// The system of each episode, if none is drawn.
    own: &'s Arc<System>,
    drawn: Option<Drawn<'s>>,
}

#[derive(Clone, Copy, Debug)]
struct Drawn<'s> {
    distribution: &'s DrawnSystems,
    /// The seed under which the tasks of the episodes are drawn.
    seed: u64,
    /// So many of them are played in turn; without a number each episode has its own.
    count: Option<u64>,
}

/// The system of an episode.
pub(crate) struct EpisodeSystem {
    pub(crate) system: Arc<System>,
    /// The drawn fields and values, and the system as plugins see it; `None` for the scenario's own.
    drawn: Option<(SystemTables, Vec<(String, String)>)>,
}

/// A row of the table of systems.
#[derive(Debug, Serialize)]
pub(crate) struct SystemRow {
    episode: u64,
    devices: u32,
    servers: u32,
    deadline_slots: u32,
    slots: u32,
    /// The fields that were drawn, with their values.
    system: String,
}

impl<'s> Systems<'s> {
    /// The systems of the episodes of a training.
    pub(crate) fn of_training(scenario: &'s Scenario, entry: &'s TrainingEntry) -> Self {
        let seed = seeds::training_tasks(entry.seed);
        let drawn = entry.systems.as_ref();
        let drawn = drawn.map(|distribution| Drawn { distribution, seed, count: None });
        Self { own: &scenario.training_system, drawn }
    }

    /// The systems of validation episodes whose tasks are drawn under `seed`: those that the training
    /// of `entry` validates in, the scenario's own without one.
    pub(crate) fn of_validation(
        scenario: &'s Scenario,
        entry: Option<&'s TrainingEntry>,
        seed: u64,
    ) -> Self {
        let drawn = entry.and_then(|entry| {
            let (distribution, count) = (entry.systems.as_ref()?, entry.validate_systems?);
            Some(Drawn { distribution, seed, count: Some(count) })
        });
        Self { own: &scenario.validation_system, drawn }
    }

    /// True if systems are drawn.
    pub(crate) fn are_drawn(&self) -> bool {
        self.drawn.is_some()
    }

    /// The system of an episode.
    ///
    /// # Errors
    /// [`Refusal`] if what is drawn is not a system.
    pub(crate) fn episode(&self, number: u64) -> Result<EpisodeSystem, Refusal> {
        let Some(Drawn { distribution, seed, count }) = self.drawn else {
            return Ok(EpisodeSystem { system: Arc::clone(self.own), drawn: None });
        };
        let values = distribution.draw(seeds::system(seed, count.map_or(number, |n| number % n)));
        let system = distribution.system(&values).map_err(|fault| {
            let (shown, message) = (shown(&values), fault.message);
            let cause = format!("the system of episode {number} ({shown}): {message}");
            Refusal { field: FIELD.to_owned(), cause }
        })?;
        let tables = SystemTables::new(&system);
        Ok(EpisodeSystem { system, drawn: Some((tables, values)) })
    }

    /// The slots of the first `episodes` episodes together, each of whose systems is checked.
    ///
    /// # Errors
    /// [`Refusal`] of the first episode whose system is not one.
    pub(crate) fn slots(&self, episodes: u64) -> Result<u64, Refusal> {
        if self.drawn.is_none() {
            return Ok(episodes.saturating_mul(u64::from(self.own.slot_count())));
        }
        let slots = |number: u64| match self.episode(number) {
            Ok(episode) => (u64::from(episode.system.slot_count()), None),
            Err(refusal) => (0, Some((number, refusal))),
        };
        // That of the first episode, whichever thread finds one first.
        let first = |one: Option<(u64, Refusal)>, two: Option<(u64, Refusal)>| match (one, two) {
            (Some(one), Some(two)) => Some(if one.0 <= two.0 { one } else { two }),
            (one, two) => one.or(two),
        };
        let (sum, refused) = (0..episodes)
            .into_par_iter()
            .map(slots)
            .reduce(|| (0, None), |one, two| (one.0.saturating_add(two.0), first(one.1, two.1)));
        refused.map_or(Ok(sum), |(_, refusal)| Err(refusal))
    }
}

impl EpisodeSystem {
    /// Calls `begin` with `start`, whose system is the scenario's own, for this system.
    pub(crate) fn begin<T>(
        &self,
        start: EpisodeStart<'_>,
        begin: impl FnOnce(&EpisodeStart<'_>) -> T,
    ) -> T {
        match &self.drawn {
            None => begin(&start),
            Some((tables, _)) => begin(&EpisodeStart { system: &tables.spec(), ..start }),
        }
    }

    /// Its row in the table of systems; `None` of the scenario's own.
    pub(crate) fn row(&self, episode: u64) -> Option<SystemRow> {
        let (_, values) = self.drawn.as_ref()?;
        let system = &self.system;
        Some(SystemRow {
            episode,
            devices: system.device_count(),
            servers: system.server_count(),
            deadline_slots: system.deadline_slots(),
            slots: system.slot_count(),
            system: shown(values),
        })
    }
}

/// Fields and values as `field = value, …`, in one line.
fn shown(values: &[(String, String)]) -> String {
    let one_line = |value: &str| value.split_whitespace().collect::<Vec<_>>().join(" ");
    let parts = values.iter().map(|(field, value)| format!("{field} = {}", one_line(value)));
    parts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use offramp_scenario::Experiment;

    use super::*;

    const DRAWN: &str = "{
        \"system.devices\": Whole(2, 90), \"system.servers\": Whole(1, 9),
        \"tasks.deadline_slots\": Whole(3, 20),
    }";

    fn scenario(train: &str) -> Scenario {
        let learner = "learner: (plugin: \"a\"), episodes: 9, validate_episodes: 9";
        let text = format!("(name: \"x\", train: ({learner}, {train}))");
        let mut read = Experiment::parse("x", text, Path::new(""), &[]).unwrap();
        read.points.remove(0)
    }

    fn sizes(systems: &Systems<'_>, episodes: u64) -> Vec<(u32, u32, u32)> {
        let size = |number: u64| {
            let system = systems.episode(number).unwrap().system;
            (system.device_count(), system.server_count(), system.deadline_slots())
        };
        (0..episodes).map(size).collect()
    }

    #[test]
    fn each_purpose_draws_systems_of_its_own() {
        let scenario = scenario(&format!("systems: {DRAWN}, validate_systems: 3"));
        let entry = scenario.training.as_ref().unwrap();
        let validation = |seed| Systems::of_validation(&scenario, Some(entry), seed);
        let training = sizes(&Systems::of_training(&scenario, entry), 9);
        assert_eq!(training.iter().collect::<BTreeSet<_>>().len(), 9, "{training:?}");
        let validated = sizes(&validation(seeds::validation(1)), 9);
        assert_eq!(validated[..3], validated[3..6]);
        assert_eq!(validated[..3], validated[6..]);
        let selected = sizes(&validation(seeds::selection(1)), 3);
        let all: BTreeSet<_> =
            [&training[..], &validated[..3], &selected].concat().into_iter().collect();
        assert_eq!(all.len(), 9 + 3 + 3, "{all:?}");
        // Another seed of the training draws others.
        let other = TrainingEntry { seed: 2, ..entry.clone() };
        let other = sizes(&Systems::of_training(&scenario, &other), 9);
        assert!(other.iter().all(|size| !training.contains(size)), "{other:?}");
    }

    #[test]
    fn slots_are_those_of_all_episodes() {
        let drawn = scenario(&format!("systems: {DRAWN}"));
        let entry = drawn.training.as_ref().unwrap();
        let systems = Systems::of_training(&drawn, entry);
        let expected: u64 = sizes(&systems, 9).iter().map(|size| 100 + u64::from(size.2)).sum();
        assert_eq!(systems.slots(9).unwrap(), expected);
        // Validations stay in the scenario's own system unless they are asked to draw some.
        let validation = Systems::of_validation(&drawn, Some(entry), seeds::validation(1));
        assert_eq!(sizes(&validation, 2), [(50, 5, 10); 2]);
        let own = scenario("seed: 3");
        let systems = Systems::of_training(&own, own.training.as_ref().unwrap());
        assert_eq!((sizes(&systems, 2), systems.slots(9).unwrap()), (vec![(50, 5, 10); 2], 990));
    }

    #[test]
    fn the_first_system_that_is_not_one_is_named() {
        let scenario = scenario(
            "systems: {
                \"system.device_ghz\": Choice([2.0, [
                    1.0, 2.0]]),
                \"system.devices\": Choice([2, 3]),
            }",
        );
        let systems = Systems::of_training(&scenario, scenario.training.as_ref().unwrap());
        let faulty = |number: &u64| systems.episode(*number).is_err();
        let first = (0..100).find(faulty).unwrap();
        assert!(systems.slots(first).is_ok());
        let Refusal { field, cause } = systems.slots(100).unwrap_err();
        assert_eq!(field, "train.systems");
        let begins = format!("the system of episode {first} (system.seed = ");
        let ends =
            ", system.device_ghz = [ 1.0, 2.0], system.devices = 3): a list of 2 for 3 devices";
        assert!(cause.starts_with(&begins) && cause.ends_with(ends), "{cause}");
    }
}
