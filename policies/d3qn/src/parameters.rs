//! The parameters of D3QN. The teacher's are the defaults; `qeco` keeps the published ones.

use offramp_nn::learning::{Loss, Optimiser, Schedule, TargetUpdate};
use offramp_nn::networks::{NetworkSpec, Sharing};
use offramp_nn::range::{
    self, ParameterError, check, check_batch, check_loss, check_memory, check_optimiser,
    check_target,
};
use offramp_nn::{Initial, Shape};
use offramp_plugin::serde::Deserialize;

/// Rows that one workspace computes at a time. A gradient is the sum over such parts of a batch,
/// in order, so that it is bit-identical on any number of threads.
pub(crate) const PART: usize = 64;

/// The next state of an experience.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(crate = "offramp_plugin::serde")]
pub(crate) enum NextState {
    /// The state of the next slot (eq. 14 as written), zeros if the device has no task then.
    NextSlot,
    /// The state of the device's next task, Δ slots later, discounted by γ^Δ.
    NextTask,
}

/// The network that decides after training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(crate = "offramp_plugin::serde")]
pub(crate) enum Deploy {
    /// The evaluation network.
    Evaluation,
    /// The target network: with soft updates a running mean of the evaluation network, which
    /// does not swing from one update to the next.
    Target,
}

/// `parameters` of the teacher in a scenario.
///
/// | name | symbol, unit | range | default |
/// |---|---|---|---|
/// | `hidden` | H, neurons | 1 to 4096 | 20 |
/// | `sharing` | | `PerDevice`, `Shared` | `PerDevice` |
/// | `next_state` | s' | `NextSlot`, `NextTask` | `NextTask` |
/// | `optimiser` | learning rate | `Adam(rate)`, `RmsProp(rate)`, 10⁻⁷ to 1 | `Adam(0.001)` |
/// | `anneal_updates` | T, updates | 0 or more | 11,000 |
/// | `loss` | | `Squared`, `Huber(width)`, 0.001 to 10⁶ | `Huber(1.0)` |
/// | `clip` | norm | 0.001 to 10⁶ | 10 |
/// | `discount` | γ, per slot | 0 to 1 | 0.9 |
/// | `batch` | experiences | 1 to 65,536, at most `replay` | 32 |
/// | `replay` | experiences of a network | 2 to 10⁷ | 2,000 |
/// | `target` | | `Hard(updates)`, 1 to 100,000; `Soft(share)`, 10⁻⁶ to 1 | `Soft(0.01)` |
/// | `deploy` | | `Evaluation`, `Target` | `Target` |
/// | `every_slots` | slots | 1 to 10,000 | 10 |
/// | `warm_up_slots` | slots | 0 to 10⁶ | 200 |
/// | `reward_scale` | units of reward | 0.001 to 10⁶ | 40 |
///
/// Networks, replay and batches together need at most 16 GiB.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(crate = "offramp_plugin::serde", deny_unknown_fields, default)]
pub(crate) struct Parameters {
    /// Width of the LSTM and of both dense layers.
    pub(crate) hidden: usize,
    /// Devices that use a network.
    pub(crate) sharing: Sharing,
    /// The next state of an experience.
    pub(crate) next_state: NextState,
    /// Optimiser, with the learning rate of the first update.
    pub(crate) optimiser: Optimiser,
    /// Updates over which the learning rate falls linearly to a tenth; 0 keeps it.
    pub(crate) anneal_updates: u64,
    /// Loss of an error of Q.
    pub(crate) loss: Loss,
    /// Upper bound of a gradient's norm.
    pub(crate) clip: f64,
    /// Discount of a reward.
    pub(crate) discount: f64,
    /// Experiences of an update.
    pub(crate) batch: usize,
    /// Experiences kept by a network.
    pub(crate) replay: usize,
    /// How the target network follows the evaluation network.
    pub(crate) target: TargetUpdate,
    /// The network that decides after training.
    pub(crate) deploy: Deploy,
    /// Slots between updates of a network.
    pub(crate) every_slots: u64,
    /// Slots before the first update.
    pub(crate) warm_up_slots: u64,
    /// Divisor of rewards.
    pub(crate) reward_scale: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            hidden: 20,
            sharing: Sharing::PerDevice,
            next_state: NextState::NextTask,
            optimiser: Optimiser::Adam(1e-3),
            anneal_updates: 11_000,
            loss: Loss::Huber(1.0),
            clip: 10.0,
            discount: 0.9,
            batch: 32,
            replay: 2_000,
            target: TargetUpdate::Soft(0.01),
            deploy: Deploy::Target,
            every_slots: 10,
            warm_up_slots: 200,
            reward_scale: 40.0,
        }
    }
}

/// A departure of the published code from the algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(crate = "offramp_plugin::serde")]
pub(crate) enum Flaw {
    /// The target network keeps its first LSTM; only dense layers are copied.
    FrozenTargetLstm,
    /// A replayed history strings together the loads of successively *stored* experiences, not
    /// of successive slots.
    StoredHistories,
    /// The next state is that of the next slot, zeros if there is no task: targets bootstrap from
    /// a state that is never learned, since only tasks are stored.
    NextSlot,
    /// With it: targets bootstrap from the last states of an episode as if it continued.
    NoTerminal,
    /// The network sees features and loads unscaled.
    Unscaled,
}

/// The faithfulness of `qeco` to the published code.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(crate = "offramp_plugin::serde")]
pub(crate) enum Fidelity {
    /// As the code runs, with its flaws: for comparison with its own log, on
    /// `observation: Published` and α `Fixed`.
    AsPublished,
    /// The algorithm as its paper means it: the fair baseline.
    Corrected,
    /// Corrected, except for these: what does each cost?
    CorrectedBut(Vec<Flaw>),
}

/// `parameters` of `qeco` in a scenario.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(crate = "offramp_plugin::serde", deny_unknown_fields, default)]
pub(crate) struct QecoParameters {
    /// `AsPublished`, `Corrected` (default) or `CorrectedBut([…])`.
    pub(crate) fidelity: Fidelity,
}

impl Default for QecoParameters {
    fn default() -> Self {
        Self { fidelity: Fidelity::Corrected }
    }
}

/// All choices of a learner, whichever policy asked for it.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    pub(crate) parameters: Parameters,
    pub(crate) initial: Initial,
    flaws: Vec<Flaw>,
}

impl Recipe {
    /// True if it departs from the algorithm in this way.
    pub(crate) fn has(&self, flaw: Flaw) -> bool {
        self.flaws.contains(&flaw)
    }
}

impl QecoParameters {
    /// The values of the public QECO code.
    pub(crate) fn recipe(self) -> Recipe {
        let flaws = match self.fidelity {
            Fidelity::Corrected => Vec::new(),
            Fidelity::CorrectedBut(flaws) => flaws,
            Fidelity::AsPublished => vec![
                Flaw::FrozenTargetLstm,
                Flaw::StoredHistories,
                Flaw::NextSlot,
                Flaw::NoTerminal,
                Flaw::Unscaled,
            ],
        };
        Recipe {
            parameters: Parameters {
                hidden: 20,
                sharing: Sharing::PerDevice,
                next_state: if flaws.contains(&Flaw::NextSlot) {
                    NextState::NextSlot
                } else {
                    NextState::NextTask
                },
                optimiser: Optimiser::RmsProp(0.01),
                anneal_updates: 0,
                loss: Loss::Squared,
                clip: f64::INFINITY,
                discount: 0.9,
                batch: 32,
                replay: 500,
                target: TargetUpdate::Hard(200),
                deploy: Deploy::Evaluation,
                every_slots: 10,
                warm_up_slots: 200,
                reward_scale: 1.0,
            },
            initial: Initial::Normal { weights: 0.3, biases: 0.1 },
            flaws,
        }
    }
}

impl Parameters {
    /// The fall of the learning rate.
    pub(crate) fn annealing(&self) -> Schedule {
        Schedule { steps: self.anneal_updates, floor: 0.1 }
    }

    /// The recipe, if every value is in its range.
    ///
    /// # Errors
    /// [`ParameterError`] names the first that is not.
    pub(crate) fn recipe(self) -> Result<Recipe, ParameterError> {
        check("hidden", self.hidden, range::HIDDEN)?;
        check_batch(self.batch, 65_536, self.replay, 10_000_000)?;
        check_optimiser("optimiser", self.optimiser)?;
        check_loss("loss", self.loss)?;
        check("clip", self.clip, range::CLIP)?;
        check("discount", self.discount, range::UNIT)?;
        check_target("target", self.target)?;
        check("every_slots", self.every_slots, range::EVERY_SLOTS)?;
        check("warm_up_slots", self.warm_up_slots, 0..=1_000_000)?;
        check("reward_scale", self.reward_scale, range::SCALE)?;
        Ok(Recipe { parameters: self, initial: Initial::Glorot, flaws: Vec::new() })
    }
}

impl Recipe {
    /// Checks that agents of `networks` can be held in memory, with their replay memories full and
    /// the buffers of updates on `threads` threads.
    ///
    /// # Errors
    /// [`ParameterError::Memory`] if not.
    pub(crate) fn check_memory(
        &self,
        networks: &NetworkSpec,
        threads: usize,
    ) -> Result<(), ParameterError> {
        let Parameters { hidden, batch, replay, .. } = self.parameters;
        let Shape { features, servers, history_slots, .. } = networks.shape;
        let weights = networks.shape.parameters();
        // Both networks and two numbers of the optimiser for each parameter; an experience.
        let agent = 16 * weights as u128 + replay as u128 * (8 * features + 40) as u128;
        // A gradient, and per row and slot what a backward pass needs.
        let row = history_slots * (10 * hidden + 2 * servers);
        let part = 4 * (weights as u128 + (batch.min(PART) * row) as u128);
        let parts =
            (batch.div_ceil(PART) * if networks.networks == 1 { 1 } else { threads }) as u128;
        let bytes = networks.networks as u128 * agent + parts * part;
        let what = match networks.networks {
            1 => format!("a network of {weights} parameters, its replay and its batches"),
            count => format!("{count} networks of {weights} parameters, their replay and batches"),
        };
        check_memory(&what, bytes, "less `hidden`, `replay` or `batch`, or `sharing: Shared`")
    }
}
