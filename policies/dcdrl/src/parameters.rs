//! The parameters of DC-DRL.

use offramp_nn::PerceptronShape;
use offramp_nn::learning::TargetUpdate;
use offramp_nn::range::{self, ParameterError, check, check_batch, check_memory, check_target};
use offramp_plugin::serde::Deserialize;

/// Transitions of a batch that are computed together. Their gradients are added up in order, so
/// that the sum is bit-identical for any number of threads.
pub(crate) const PART: usize = 64;

/// `parameters` of DC-DRL in a scenario.
///
/// | name | symbol, unit | range | default |
/// |---|---|---|---|
/// | `hidden` | neurons | 1 to 4096 | 64 |
/// | `actors` | E | 4 to 1024 | 8 |
/// | `rounds` | G | 1 to 10⁶ | 5 |
/// | `mutation` | standard deviations of the tensor | 0 to 1 | 0.05 |
/// | `discount` | γ, per slot | 0 to 1 | 0.5 |
/// | `steps` | n_max, tasks | 1 to 1000 | 5 |
/// | `trust` | probability ratio | 0 to 1 | 0.5 |
/// | `critic_rate` | learning rate | 10⁻⁷ to 1 | 0.001 |
/// | `actor_rate` | learning rate | 10⁻⁷ to 1 | 0.001 |
/// | `entropy` | β | 0 to 1000 | 0.01 |
/// | `anneal` | share of the training | 0 to 1 | 1 |
/// | `clip` | norm | 0.001 to 10⁶ | 10 |
/// | `batch` | transitions | 1 to 100,000, at most `replay` | 128 |
/// | `replay` | transitions | 2 to 10⁸ | 100,000 |
/// | `target` | | `Hard(updates)`, 1 to 100,000; `Soft(share)`, 10⁻⁶ to 1 | `Soft(0.001)` |
/// | `every_slots` | slots | 1 to 10,000 | 1 |
/// | `reward_scale` | units of reward | 0.001 to 10⁶ | 40 |
/// | `deploy` | | `Greedy`, `Sampled` | `Sampled` |
///
/// Networks, replay and batch together need at most 16 GiB.
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
    /// Share of the training over which the learning rates fall linearly to a tenth and the weight
    /// of the entropy to a hundredth; 0 keeps them.
    pub(crate) anneal: f64,
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
    /// How the deployed actor decides.
    pub(crate) deploy: Deploy,
}

/// How an actor decides once it is deployed; in training it always samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(crate = "offramp_plugin::serde")]
pub(crate) enum Deploy {
    /// The most probable action.
    Greedy,
    /// An action drawn from π with the episode's seed.
    Sampled,
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
            anneal: 1.0,
            clip: 10.0,
            batch: 128,
            replay: 100_000,
            target: TargetUpdate::Soft(0.001),
            every_slots: 1,
            reward_scale: 40.0,
            deploy: Deploy::Sampled,
        }
    }
}

impl Parameters {
    /// T: the updates, of a training in which the learner is asked to learn `learning_steps` times,
    /// over which rates and entropy fall; 0 keeps them.
    pub(crate) fn anneal_updates(&self, learning_steps: u64) -> u64 {
        let updates = learning_steps / self.every_slots;
        (self.anneal * updates as f64).ceil() as u64
    }

    /// Itself, if every value is in its range.
    ///
    /// # Errors
    /// [`ParameterError`] names the first that is not.
    pub(crate) fn checked(self) -> Result<Self, ParameterError> {
        check("hidden", self.hidden, range::HIDDEN)?;
        check("actors", self.actors, 4..=1024)?;
        check("rounds", self.rounds, 1..=1_000_000)?;
        check("mutation", self.mutation, range::UNIT)?;
        check("discount", self.discount, range::UNIT)?;
        check("steps", self.steps, 1..=1000)?;
        check("trust", self.trust, range::UNIT)?;
        check("critic_rate", self.critic_rate, range::RATE)?;
        check("actor_rate", self.actor_rate, range::RATE)?;
        check("anneal", self.anneal, range::UNIT)?;
        check("entropy", self.entropy, 0.0..=1000.0)?;
        check("clip", self.clip, range::CLIP)?;
        check_batch(self.batch, 100_000, self.replay, 100_000_000)?;
        check_target("target", self.target)?;
        check("every_slots", self.every_slots, range::EVERY_SLOTS)?;
        check("reward_scale", self.reward_scale, range::SCALE)?;
        Ok(self)
    }

    /// Bytes that networks of `shape`, a full replay, what is saved of both, and a batch need.
    pub(crate) fn memory(&self, shape: PerceptronShape) -> u128 {
        let PerceptronShape { inputs, hidden, outputs } = shape;
        // Actor, its mean, critic, its target, gradient, and four of the optimisers; the population.
        // And both gradients of each part of a batch.
        let networks = 9 + 2 * self.actors + 2 * self.batch.div_ceil(PART);
        let networks = networks as u128 * 4 * shape.parameters() as u128;
        let replay = self.replay as u128 * (16 + 4 * inputs) as u128;
        let batch = self.batch as u128 * 4 * (3 * inputs + 4 * hidden + 4 * outputs) as u128;
        // Networks and replay are copied, and then written, to a state beside them.
        3 * (networks + replay) + batch
    }

    /// Checks that networks of `shape`, the replay and a batch can be held in memory.
    ///
    /// # Errors
    /// [`ParameterError::Memory`] if not.
    pub(crate) fn check_memory(&self, shape: PerceptronShape) -> Result<(), ParameterError> {
        let what = format!(
            "{} actors of {} parameters, replay and batch",
            self.actors,
            shape.parameters()
        );
        let advice = "less `hidden`, `actors`, `replay` or `batch`";
        check_memory(&what, self.memory(shape), advice)
    }
}
