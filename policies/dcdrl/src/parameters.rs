//! The parameters of DC-DRL.

use offramp_nn::learning::{Schedule, TargetUpdate};
use offramp_plugin::Error;
use offramp_plugin::serde::Deserialize;

/// `parameters` of DC-DRL in a scenario.
///
/// | name | symbol, unit | range | default |
/// |---|---|---|---|
/// | `hidden` | neurons | 1 to 4096 | 64 |
/// | `actors` | E | 4 to 1024 | 8 |
/// | `rounds` | G | 1 or more | 5 |
/// | `mutation` | standard deviations of the tensor | 0 or more | 0.05 |
/// | `discount` | γ, per slot | 0 to 1 | 0.5 |
/// | `steps` | n_max, tasks | 1 to 1000 | 5 |
/// | `trust` | probability ratio | 0 to 1 | 0.5 |
/// | `critic_rate` | learning rate | above 0 | 0.001 |
/// | `actor_rate` | learning rate | above 0 | 0.001 |
/// | `entropy` | β | 0 or more | 0.01 |
/// | `anneal_updates` | T, updates | 0 or more | 110,000 |
/// | `clip` | norm | above 0 | 10 |
/// | `batch` | transitions | 1 to 100,000 | 128 |
/// | `replay` | transitions | 1 to 10⁸ | 100,000 |
/// | `target` | | `Hard(updates)`, `Soft(share)` | `Soft(0.001)` |
/// | `every_slots` | slots | 1 or more | 1 |
/// | `reward_scale` | units of reward | above 0 | 40 |
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(crate = "offramp_plugin::serde", deny_unknown_fields, default)]
pub(crate) struct Parameters {
    /// Width of both hidden layers of actor and critic.
    pub(crate) hidden: usize,
    /// Actors, and environments of a round.
    pub(crate) actors: usize,
    /// Rounds of a generation.
    pub(crate) rounds: u64,
    /// Standard deviation of a mutation.
    pub(crate) mutation: f64,
    /// Discount of a reward.
    pub(crate) discount: f64,
    /// Upper bound of the steps of a target.
    pub(crate) steps: usize,
    /// A trajectory is followed while the product of min(1, π_now/π_then) is at least this.
    pub(crate) trust: f64,
    /// Learning rate of the critic's first update (Adam).
    pub(crate) critic_rate: f64,
    /// Learning rate of the actor's first update (Adam).
    pub(crate) actor_rate: f64,
    /// Weight of the entropy in the first update.
    pub(crate) entropy: f64,
    /// Updates over which the learning rates fall linearly to a tenth and the weight of the
    /// entropy to a hundredth; 0 keeps them.
    pub(crate) anneal_updates: u64,
    /// Upper bound of a gradient's norm.
    pub(crate) clip: f64,
    /// Transitions of an update.
    pub(crate) batch: usize,
    /// Transitions kept, of all actors together.
    pub(crate) replay: usize,
    /// How the critic's target network and the deployed actor follow.
    pub(crate) target: TargetUpdate,
    /// Slots between updates.
    pub(crate) every_slots: u64,
    /// Divisor of rewards.
    pub(crate) reward_scale: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            hidden: 64,
            actors: 8,
            rounds: 5,
            mutation: 0.05,
            discount: 0.5,
            steps: 5,
            trust: 0.5,
            critic_rate: 1e-3,
            actor_rate: 1e-3,
            entropy: 0.01,
            anneal_updates: 110_000,
            clip: 10.0,
            batch: 128,
            replay: 100_000,
            target: TargetUpdate::Soft(0.001),
            every_slots: 1,
            reward_scale: 40.0,
        }
    }
}

impl Parameters {
    /// The fall of both learning rates.
    pub(crate) fn rate_annealing(&self) -> Schedule {
        Schedule { steps: self.anneal_updates, floor: 0.1 }
    }

    /// The fall of the weight of the entropy.
    pub(crate) fn entropy_annealing(&self) -> Schedule {
        Schedule { steps: self.anneal_updates, floor: 0.01 }
    }

    /// Itself, if every value is in its range.
    pub(crate) fn checked(self) -> Result<Self, Error> {
        let check = |holds: bool, text: &str| if holds { Ok(()) } else { Err(Error::new(text)) };
        check((1..=4096).contains(&self.hidden), "hidden: 1 … 4096 is needed")?;
        check((4..=1024).contains(&self.actors), "actors: 4 … 1024 is needed")?;
        check((1..=1000).contains(&self.steps), "steps: 1 … 1000 is needed")?;
        check(
            self.rounds >= 1 && self.every_slots >= 1,
            "rounds, every_slots: 1 or more is needed",
        )?;
        check((1..=100_000).contains(&self.batch), "batch: 1 … 100000 is needed")?;
        check((1..=100_000_000).contains(&self.replay), "replay: 1 … 10⁸ is needed")?;
        let unit = |value: f64| (0.0..=1.0).contains(&value);
        check(unit(self.discount) && unit(self.trust), "discount, trust: 0 … 1 is needed")?;
        let above = |value: f64| value > 0.0 && value.is_finite();
        let rates = [self.critic_rate, self.actor_rate, self.clip, self.reward_scale];
        check(
            rates.into_iter().all(above),
            "critic_rate, actor_rate, clip, reward_scale: numbers above 0 are needed",
        )?;
        let weights = [self.entropy, self.mutation];
        check(
            weights.iter().all(|weight| (0.0..=f64::MAX).contains(weight)),
            "entropy, mutation: numbers of 0 or more are needed",
        )?;
        Ok(self)
    }
}
