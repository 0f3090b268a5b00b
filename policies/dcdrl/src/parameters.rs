//! What can be chosen of DC-DRL.

use offramp_nn::learning::TargetUpdate;
use offramp_plugin::Error;
use offramp_plugin::serde::Deserialize;

/// Everything that can be chosen.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(crate = "offramp_plugin::serde", deny_unknown_fields, default)]
pub(crate) struct Parameters {
    /// Width of both hidden layers of actor and critic.
    pub(crate) hidden: usize,
    /// E: actors, and environments of a round.
    pub(crate) actors: usize,
    /// G: rounds of a generation.
    pub(crate) rounds: u64,
    /// Standard deviation of a mutation, in units of that of the tensor.
    pub(crate) mutation: f64,
    /// γ, per slot.
    pub(crate) discount: f64,
    /// n_max: the most steps of a target.
    pub(crate) steps: usize,
    /// A trajectory is followed while the product of min(1, π_now/π_then) is at least this.
    pub(crate) trust: f64,
    /// Learning rate of the critic (Adam).
    pub(crate) critic_rate: f64,
    /// Learning rate of the actor (Adam).
    pub(crate) actor_rate: f64,
    /// Weight of the entropy, falling linearly to a hundredth over `anneal_updates`.
    pub(crate) entropy: f64,
    /// Updates over which entropy and learning rates fall, the rates to a tenth; 0 keeps them.
    pub(crate) anneal_updates: u64,
    /// The largest norm of a gradient.
    pub(crate) clip: f64,
    /// Transitions of an update.
    pub(crate) batch: usize,
    /// Transitions kept, of all actors together.
    pub(crate) replay: usize,
    pub(crate) target: TargetUpdate,
    /// Slots between updates.
    pub(crate) every_slots: u64,
    /// What rewards are divided by.
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
