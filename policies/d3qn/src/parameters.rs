//! The parameters of D3QN. The teacher's are the defaults; `qeco` keeps the published ones.

use offramp_nn::Initial;
use offramp_nn::learning::{Loss, Optimiser, Schedule, TargetUpdate};
use offramp_nn::networks::Sharing;
use offramp_plugin::Error;
use offramp_plugin::serde::Deserialize;

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
/// | `optimiser` | learning rate | `Adam(rate)`, `RmsProp(rate)`, above 0 | `Adam(0.001)` |
/// | `anneal_updates` | T, updates | 0 or more | 11,000 |
/// | `loss` | | `Squared`, `Huber(width)`, above 0 | `Huber(1.0)` |
/// | `clip` | norm | above 0 | 10 |
/// | `discount` | γ, per slot | 0 to 1 | 0.9 |
/// | `batch` | experiences | 1 to 65,536 | 32 |
/// | `replay` | experiences of a network | 1 to 10⁷ | 2,000 |
/// | `target` | | `Hard(updates)`, `Soft(share)`, share above 0, at most 1 | `Soft(0.01)` |
/// | `deploy` | | `Evaluation`, `Target` | `Target` |
/// | `every_slots` | slots | 1 or more | 10 |
/// | `warm_up_slots` | slots | 0 or more | 200 |
/// | `reward_scale` | units of reward | above 0 | 40 |
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
    pub(crate) fn recipe(self) -> Result<Recipe, Error> {
        let check = |holds: bool, text: &str| if holds { Ok(()) } else { Err(Error::new(text)) };
        check((1..=4096).contains(&self.hidden), "hidden: 1 … 4096 is needed")?;
        check((1..=65_536).contains(&self.batch), "batch: 1 … 65536 is needed")?;
        check((1..=10_000_000).contains(&self.replay), "replay: 1 … 10000000 is needed")?;
        check(self.every_slots >= 1, "every_slots: at least 1 is needed")?;
        check((0.0..=1.0).contains(&self.discount), "discount: a number from 0 to 1 is needed")?;
        check(self.clip > 0.0, "clip: a number above 0 is needed")?;
        check(
            self.reward_scale > 0.0 && self.reward_scale.is_finite(),
            "reward_scale: a number above 0 is needed",
        )?;
        check(self.optimiser.is_valid(), "optimiser: a rate above 0 is needed")?;
        if let TargetUpdate::Soft(share) = self.target {
            check(share > 0.0 && share <= 1.0, "target: a share above 0, at most 1, is needed")?;
        }
        if let Loss::Huber(width) = self.loss {
            check(width > 0.0 && width.is_finite(), "loss: a width above 0 is needed")?;
        }
        Ok(Recipe { parameters: self, initial: Initial::Glorot, flaws: Vec::new() })
    }
}
