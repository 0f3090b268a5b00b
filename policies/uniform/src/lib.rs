//! Uniform exploration (ε-greedy): with probability ε an action drawn uniformly, otherwise the
//! learner's.

use offramp_plugin::serde::Deserialize;
use offramp_plugin::{
    AnySystem, Context, EpisodeStart, Error, Explorer, Needs, Observation, Progress, UNDECIDED,
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
    /// ε before the first update, 0 to 1.
    from: f64,
    /// Lower bound of ε, 0 to 1.
    to: f64,
    /// Decrease of ε per update of a network, 0 to 1.
    per_update: f64,
    /// The actions to draw from.
    actions: Actions,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { from: 1.0, to: 0.01, per_update: 0.000_25, actions: Actions::All }
    }
}

struct Uniform {
    parameters: Parameters,
    /// The first action that may be drawn: 0, or 1 without the local one.
    first: u32,
    servers: u32,
    rng: Xoshiro256PlusPlus,
}

impl Explorer for Uniform {
    const NEEDS: Needs = Needs::NOTHING;

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        let parameters: Parameters = context.parameters()?;
        for (name, value) in [
            ("from", parameters.from),
            ("to", parameters.to),
            ("per_update", parameters.per_update),
        ] {
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
            first,
            servers,
            rng: Xoshiro256PlusPlus::seed_from_u64(context.seed),
        })
    }

    fn begin_episode(&mut self, start: &EpisodeStart<'_>) -> Result<(), Error> {
        self.servers = start.system.servers() as u32;
        self.rng = Xoshiro256PlusPlus::seed_from_u64(start.seed);
        Ok(())
    }

    fn propose(
        &mut self,
        _: &Observation<'_>,
        progress: &Progress,
        actions: &mut [u32],
    ) -> Result<f64, Error> {
        let Parameters { from, to, per_update, .. } = self.parameters;
        let rate = (from - per_update * progress.updates as f64).max(to);
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
    fn what_is_out_of_range_is_refused_with_field_value_and_range() {
        let mut bench = Bench::new(3, 2);
        for field in ["from", "to", "per_update"] {
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
