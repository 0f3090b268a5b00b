//! Uniform exploration (ε-greedy): with probability ε an action drawn uniformly, otherwise the
//! learner's.

use offramp_plugin::serde::Deserialize;
use offramp_plugin::{
    AnySystem, Context, EpisodeStart, Error, Explorer, Needs, Observation, Progress, TrainingPlace,
    UNDECIDED,
};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

#[derive(Debug, Deserialize)]
#[serde(crate = "offramp_plugin::serde")]
enum Actions {
    /// 0 … M.
    All,
    /// 1 … M, as the public QECO code draws them.
    Offload,
}

#[derive(Debug, Deserialize)]
#[serde(crate = "offramp_plugin::serde", deny_unknown_fields, default)]
struct Parameters {
    /// ε in the first slot, 0 to 1.
    from: f64,
    /// ε in the end, 0 to 1.
    to: f64,
    /// Share of the training's slots over which ε changes linearly, 0 to 1; 0 keeps it.
    over: f64,
    /// The actions to draw from.
    actions: Actions,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { from: 1.0, to: 0.01, over: 0.36, actions: Actions::All }
    }
}

struct Uniform {
    parameters: Parameters,
    place: TrainingPlace,
    /// The first action that may be drawn: 0, or 1 without the local one.
    first: u32,
    servers: u32,
    rng: Xoshiro256PlusPlus,
}

impl Explorer for Uniform {
    const NEEDS: Needs = Needs::LENGTH;

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        let parameters: Parameters = context.parameters()?;
        let Parameters { from, to, over, .. } = parameters;
        for (name, value) in [("from", from), ("to", to), ("over", over)] {
            if !(0.0..=1.0).contains(&value) {
                let message = format!("{name}: {value:?} is out of range: 0 to 1 is needed");
                return Err(Error::new(message));
            }
        }
        let first = match parameters.actions {
            Actions::All => 0,
            Actions::Offload => 1,
        };
        let servers = context.system.servers() as u32;
        Ok(Self {
            parameters,
            place: TrainingPlace::new(context),
            first,
            servers,
            rng: Xoshiro256PlusPlus::seed_from_u64(context.seed),
        })
    }

    fn begin_episode(&mut self, start: &EpisodeStart<'_>) -> Result<(), Error> {
        self.place.begin_episode(start);
        self.servers = start.system.servers() as u32;
        self.rng = Xoshiro256PlusPlus::seed_from_u64(start.seed);
        Ok(())
    }

    fn propose(
        &mut self,
        observation: &Observation<'_>,
        _: &Progress,
        actions: &mut [u32],
    ) -> Result<f64, Error> {
        let Parameters { from, to, over, .. } = self.parameters;
        let rate = from - (from - to) * self.place.progress(observation.slot, over);
        for action in actions {
            // Both draws are made either way, so that one row does not shift the next.
            let (explores, drawn) =
                (self.rng.random::<f64>() < rate, self.rng.random_range(self.first..=self.servers));
            *action = if explores { drawn } else { UNDECIDED };
        }
        Ok(rate)
    }
}

impl AnySystem for Uniform {}

offramp_plugin::register_explorer!(
    Uniform,
    "uniform",
    "With probability ε an action drawn uniformly, else the learner's.",
    [any_system],
);
offramp_plugin::export_plugin!();

#[cfg(test)]
mod tests {
    use offramp_plugin::testing::Bench;

    use super::*;

    #[test]
    fn epsilon_changes_over_a_share_of_any_training() {
        for episodes in [10, 1000] {
            let mut bench = Bench::new(3, 2);
            bench.learning_steps = episodes * 110;
            bench.parameters = "(from: 0.8, to: 0.2, over: 0.5)".to_owned();
            let mut explorer: Uniform = bench.create_explorer().unwrap();
            let mut rate = |share: f64| {
                let slot = (share * bench.learning_steps as f64) as u64;
                bench.episode(slot / 110, |start| explorer.begin_episode(start)).unwrap();
                bench.slot = (slot % 110) as u32;
                let mut actions = [UNDECIDED; 3];
                let progress = Progress::default();
                bench.observe(|seen| explorer.propose(seen, &progress, &mut actions)).unwrap()
            };
            let rates = [0.0, 0.1, 0.25, 0.5, 0.9].map(&mut rate);
            let expected = [0.8, 0.68, 0.5, 0.2, 0.2];
            assert!(rates.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{rates:?}");
        }
    }

    /// With probability ε any action is drawn, each equally likely; the others are left open.
    #[test]
    fn actions_are_drawn_uniformly_with_probability_epsilon() {
        let devices = 12_000;
        for (actions, expected) in [("All", [0.15; 4]), ("Offload", [0.0, 0.2, 0.2, 0.2])] {
            let mut bench = Bench::new(devices, 3);
            bench.parameters = format!("(from: 0.6, over: 0.0, actions: {actions})");
            let mut explorer: Uniform = bench.create_explorer().unwrap();
            let drawn = bench.propose(&mut explorer, &Progress::default()).unwrap();
            let share = |action: u32| {
                drawn.iter().filter(|&&other| other == action).count() as f64 / devices as f64
            };
            for (action, expected) in (0..).zip(expected) {
                assert!(
                    (share(action) - expected).abs() < 0.015 * f64::from(expected > 0.0) + 1e-9
                );
            }
            assert!((share(UNDECIDED) - 0.4).abs() < 0.02);
        }
    }

    /// What is drawn depends on the episode's seed and the row, not on ε: with a larger one, the same
    /// actions and more.
    #[test]
    fn an_episode_draws_by_its_seed_whatever_epsilon_is() {
        let drawn = |from: f64, seed: u64, episode_servers: usize| {
            let mut bench = Bench::new(400, 3);
            bench.parameters = format!("(from: {from}, over: 0.0)");
            let mut explorer: Uniform = bench.create_explorer().unwrap();
            Bench::new(400, episode_servers)
                .episode(0, |start| explorer.begin_episode(&EpisodeStart { seed, ..*start }))
                .unwrap();
            bench.propose(&mut explorer, &Progress::default()).unwrap()
        };
        assert_eq!(drawn(0.5, 1, 3), drawn(0.5, 1, 3));
        assert_ne!(drawn(0.5, 1, 3), drawn(0.5, 2, 3));
        let all = drawn(1.0, 1, 3);
        let some = drawn(0.5, 1, 3);
        assert!(!all.contains(&UNDECIDED) && some.contains(&UNDECIDED));
        assert!(some.iter().zip(&all).all(|(some, all)| [UNDECIDED, *all].contains(some)));
        assert!(drawn(0.0, 1, 3).iter().all(|&action| action == UNDECIDED));
        // The servers are those of the episode's system.
        assert_eq!(all.iter().max(), Some(&3));
        assert_eq!(drawn(1.0, 1, 1).iter().max(), Some(&1));
    }

    #[test]
    fn what_is_out_of_range_is_refused_with_field_value_and_range() {
        let mut bench = Bench::new(3, 2);
        for field in ["from", "to", "over"] {
            for value in ["-0.1", "NaN", "inf", "1e9"] {
                bench.parameters = format!("({field}: {value})");
                let error = bench.create_explorer::<Uniform>().err().unwrap();
                let shown = value.replace("1e9", "1000000000.0");
                let expected = format!("{field}: {shown} is out of range: 0 to 1 is needed");
                assert_eq!(error.message(), expected);
            }
        }
    }
}
