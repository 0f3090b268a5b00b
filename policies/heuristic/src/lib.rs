//! The heuristic of contribution 2 of the paper: rules over what one device can know.
//!
//! The rules are in `rules.rs`. The policy `heuristic` always follows them; the explorer follows
//! them with a probability that adapts, and leaves the other decisions to the learner.

#[cfg(test)]
mod by_hand;
mod explorer;
mod rules;

use offramp_plugin::serde::Deserialize;
use offramp_plugin::{
    AnySystem, Context, EpisodeStart, Error, LocalColumns, Needs, Observation, Policy,
};
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

use explorer::HeuristicExplorer;
use rules::{RuleParameters, Rules};

/// The tables of an observation that the rules read.
const NEEDS: Needs = LocalColumns::NEEDS.and(Needs::SERVERS);

#[derive(Debug, Deserialize)]
#[serde(crate = "offramp_plugin::serde", deny_unknown_fields, default)]
struct Parameters {
    /// Temperature of the soft rule, 10⁻⁶ to 10⁶ units of cost; 0 takes the cheapest action.
    temperature: f64,
    /// Trust in a server's last load, 0 … 1; the rest of the weight is on the mean load.
    load_trust: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { temperature: 0.0, load_trust: 0.25 }
    }
}

struct Heuristic {
    rules: Rules,
    rng: Xoshiro256PlusPlus,
}

impl Policy for Heuristic {
    const NEEDS: Needs = NEEDS;

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        if context.checkpoint.is_some() {
            return Err(Error::new("it takes no checkpoint"));
        }
        let Parameters { temperature, load_trust } = context.parameters()?;
        Ok(Self {
            rules: Rules::new(context, RuleParameters { temperature, load_trust })?,
            rng: Xoshiro256PlusPlus::seed_from_u64(context.seed),
        })
    }

    fn begin_episode(&mut self, start: &EpisodeStart<'_>) -> Result<(), Error> {
        self.rules.enter(start.system)?;
        self.rng = Xoshiro256PlusPlus::seed_from_u64(start.seed);
        Ok(())
    }

    fn decide(&mut self, observation: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
        for (row, action) in actions.iter_mut().enumerate() {
            self.rules.predict(observation, row)?;
            *action = self.rules.choose(&mut self.rng);
        }
        Ok(())
    }
}

impl AnySystem for Heuristic {}
impl AnySystem for HeuristicExplorer {}

offramp_plugin::register_policy!(
    Heuristic,
    "heuristic",
    "Predicts delay and energy of each action from what one device knows, and takes the cheapest \
     that meets the deadline.",
    [any_system],
);
offramp_plugin::register_explorer!(
    HeuristicExplorer,
    "heuristic",
    "Follows the heuristic rules with a probability that falls with urgency and congestion, else \
     the learner.",
    [any_system],
);
offramp_plugin::export_plugin!();

#[cfg(test)]
mod tests {
    use offramp_plugin::testing::Bench;
    use offramp_plugin::{Explorer, Progress, UNDECIDED};

    use super::*;

    #[test]
    fn what_is_out_of_range_is_refused_with_field_value_and_range() {
        let mut bench = Bench::new(3, 2);
        for (field, value) in [
            ("temperature", "-1.0"),
            ("temperature", "1e-30"),
            ("temperature", "NaN"),
            ("load_trust", "2.0"),
            ("load_trust", "inf"),
        ] {
            bench.parameters = format!("({field}: {value})");
            let error = bench.create::<Heuristic>().err().unwrap();
            let begin = format!("{field}: {value} is out of range: ");
            assert!(error.message().starts_with(&begin), "{}", error.message());
            assert!(bench.create_explorer::<HeuristicExplorer>().is_err());
        }
        for parameters in ["(from: inf)", "(over: NaN)", "(over: 1.5)", "(to: 1.5)", "(from: -1.0)"]
        {
            bench.parameters = parameters.to_owned();
            assert!(bench.create_explorer::<HeuristicExplorer>().is_err(), "{parameters}");
        }
    }

    /// ε(step) falls to 0, which `to` bounds, over the same share of any training.
    #[test]
    fn exploration_ends_after_a_share_of_the_training() {
        for episodes in [10, 1000] {
            let mut bench = Bench::new(3, 2);
            bench.learning_steps = episodes * 110;
            bench.parameters = "(from: 0.5, to: 0.01, over: 0.4)".to_owned();
            let mut explorer: HeuristicExplorer = bench.create_explorer().unwrap();
            let mut rate = |share: f64| {
                let slot = (share * bench.learning_steps as f64) as u64;
                bench.episode(slot / 110, |start| explorer.begin_episode(start)).unwrap();
                bench.slot = (slot % 110) as u32;
                let mut actions = [UNDECIDED; 3];
                let progress = Progress::default();
                bench.observe(|seen| explorer.propose(seen, &progress, &mut actions)).unwrap()
            };
            let (first, half, last) = (rate(0.0), rate(0.2), rate(0.4));
            assert!(first > 0.1 && (half - first / 2.0).abs() < 1e-12, "{first} {half}");
            assert!((last - 0.01).abs() < 1e-12 && (rate(0.9) - 0.01).abs() < 1e-12);
        }
    }

    #[test]
    fn costs_that_are_not_numbers_decide_nothing() {
        let mut bench = Bench::new(2, 2);
        bench.set_task(1, "size_mbit", f64::NAN);
        let mut policy: Heuristic = bench.create().unwrap();
        let begin = "device 1 in slot 0: the predicted cost of action";
        let error = bench.decide(&mut policy).unwrap_err();
        assert!(error.message().starts_with(begin), "{}", error.message());
        let mut explorer: HeuristicExplorer = bench.create_explorer().unwrap();
        let error = bench.propose(&mut explorer, &Progress::default()).unwrap_err();
        assert!(error.message().starts_with(begin), "{}", error.message());
    }
}
