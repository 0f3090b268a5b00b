//! The parameters of D3QN. The teacher's are the defaults; `qeco` keeps the published ones.

use offramp_nn::learning::{Cadence, Deploy, Loss, Optimiser, Schedule, TargetUpdate};
use offramp_nn::networks::{NetworkSpec, Sharing};
use offramp_nn::pending::{NextState, PendingRule};
use offramp_nn::range::{
    self, ParameterError, check, check_batch, check_checkpoint, check_loss, check_memory,
    check_optimiser, check_target, refused,
};
use offramp_nn::replay::Draw;
use offramp_nn::{Initial, Shape};
use offramp_plugin::serde::Deserialize;

/// Rows that one workspace computes at a time. A gradient is the sum over such parts of a batch,
/// in order, so that it is bit-identical on any number of threads. A batch of 128 as two parts on two
/// threads takes longer than as one: each part runs the LSTM for its windows, and a thread is woken.
pub(crate) const PART: usize = 128;

/// Devices whose experience a shared network keeps, unless its parameters state how many.
pub(crate) const KEPT_DEVICES: usize = 100;

/// `parameters` of the teacher in a scenario.
///
/// | name | symbol, unit | range | default |
/// |---|---|---|---|
/// | `hidden` | H, neurons | 1 to 4096 | 20 |
/// | `sharing` | | `PerDevice`, `Shared` | `PerDevice` |
/// | `next_state` | s' | `NextSlot`, `NextTask` | `NextTask` |
/// | `optimiser` | learning rate | `Adam(rate)`, `RmsProp(rate)`, 10⁻⁷ to 1 | `Adam(0.001)` |
/// | `anneal` | share of the training | 0 to 1 | 1 |
/// | `loss` | | `Squared`, `Huber(width)`, 0.001 to 10⁶ | `Huber(1.0)` |
/// | `clip` | norm | 0.001 to 10⁶ | 10 |
/// | `discount` | γ, per slot | 0 to 1 | 0.9 |
/// | `batch` | experiences | 1 to 65,536, at most `replay` | 32 |
/// | `replay` | experiences of a network | 2 to 10⁷ | 2,000 |
/// | `draw` | | `Experiences`; with one shared network `Slots(run)`, 1 to 1000 | `Slots(4)` where it can be |
/// | `devices` | devices one shared network learns from | 1 or more; with one shared network | 100 |
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
    /// Share of the training over which the learning rate falls linearly to a tenth; 0 keeps it.
    pub(crate) anneal: f64,
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
    /// How the experiences of a batch are drawn; `None` is the better way for `sharing`.
    pub(crate) draw: Option<Draw>,
    /// Devices whose experience a shared network keeps: some of them, drawn anew for each episode. The
    /// experience of a slot, and with it the time that the replay spans and the use that updates
    /// make of it, then does not depend on how many devices there are.
    /// `None` is [`KEPT_DEVICES`].
    pub(crate) devices: Option<usize>,
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
            anneal: 1.0,
            loss: Loss::Huber(1.0),
            clip: 10.0,
            discount: 0.9,
            batch: 32,
            replay: 2_000,
            draw: None,
            devices: None,
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

/// `parameters` of `qeco` in a scenario: its faithfulness, and what the published code has as
/// constants to choose, with the published values as defaults and the ranges of [`Parameters`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(crate = "offramp_plugin::serde", deny_unknown_fields, default)]
pub(crate) struct QecoParameters {
    /// `AsPublished`, `Corrected` (default) or `CorrectedBut([…])`.
    pub(crate) fidelity: Fidelity,
    /// Optimiser, with a learning rate that stays.
    pub(crate) optimiser: Optimiser,
    /// Discount of a reward.
    pub(crate) discount: f64,
    /// Experiences of an update.
    pub(crate) batch: usize,
    /// Experiences kept by a network.
    pub(crate) replay: usize,
    /// How the target network follows the evaluation network.
    pub(crate) target: TargetUpdate,
    /// Slots between updates of a network.
    pub(crate) every_slots: u64,
}

impl Default for QecoParameters {
    fn default() -> Self {
        Self {
            fidelity: Fidelity::Corrected,
            optimiser: Optimiser::RmsProp(0.01),
            discount: 0.9,
            batch: 32,
            replay: 500,
            target: TargetUpdate::Hard(200),
            every_slots: 10,
        }
    }
}

/// All choices of a learner, whichever policy asked for it.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    pub(crate) parameters: Parameters,
    pub(crate) initial: Initial,
    /// How batches are drawn.
    pub(crate) draw: Draw,
    /// The fall of the learning rate.
    pub(crate) annealing: Schedule,
    flaws: Vec<Flaw>,
}

impl Recipe {
    /// True if it departs from the algorithm in this way.
    pub(crate) fn has(&self, flaw: Flaw) -> bool {
        self.flaws.contains(&flaw)
    }

    /// How decisions make up experiences.
    pub(crate) fn pending(&self) -> PendingRule {
        PendingRule {
            next: self.parameters.next_state,
            discount: self.parameters.discount as f32,
            terminal: !self.has(Flaw::NoTerminal),
            steps: 1,
        }
    }
}

impl QecoParameters {
    /// Checks that every value is in its range.
    ///
    /// # Errors
    /// [`ParameterError`] names the first that is not.
    pub(crate) fn check(&self) -> Result<(), ParameterError> {
        check_batch(self.batch, 65_536, self.replay, 10_000_000)?;
        check_optimiser("optimiser", self.optimiser)?;
        check("discount", self.discount, range::UNIT)?;
        check_target("target", self.target)?;
        check("every_slots", self.every_slots, range::EVERY_SLOTS)
    }

    /// The values of the public QECO code, except those that are set. Its learning rate stays.
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
                optimiser: self.optimiser,
                anneal: 0.0,
                loss: Loss::Squared,
                clip: f64::INFINITY,
                discount: self.discount,
                batch: self.batch,
                replay: self.replay,
                draw: None,
                devices: None,
                target: self.target,
                deploy: Deploy::Evaluation,
                every_slots: self.every_slots,
                warm_up_slots: 200,
                reward_scale: 1.0,
            },
            initial: Initial::Normal { weights: 0.3, biases: 0.1 },
            draw: Draw::Experiences,
            annealing: Schedule { steps: 0, floor: 1.0 },
            flaws,
        }
    }
}

impl Parameters {
    /// When a network is updated.
    pub(crate) fn cadence(&self) -> Cadence {
        Cadence { every_slots: self.every_slots, warm_up_slots: self.warm_up_slots }
    }

    /// The recipe for a training of so many slots, if every value is in its range.
    ///
    /// # Errors
    /// [`ParameterError`] names the first that is not.
    pub(crate) fn recipe(self, slots: u64) -> Result<Recipe, ParameterError> {
        check("hidden", self.hidden, range::HIDDEN)?;
        check_batch(self.batch, 65_536, self.replay, 10_000_000)?;
        check_optimiser("optimiser", self.optimiser)?;
        check_loss("loss", self.loss)?;
        check("clip", self.clip, range::CLIP)?;
        check("anneal", self.anneal, range::UNIT)?;
        if let Some(devices) = self.devices {
            if self.sharing == Sharing::PerDevice {
                refused("devices", &devices, "without `sharing: Shared`, none")?;
            }
            if devices == 0 {
                refused("devices", &devices, "1 or more")?;
            }
        }
        let draw = match (self.draw, self.sharing) {
            (None, Sharing::PerDevice) => Draw::Experiences,
            (None, Sharing::Shared) => Draw::Slots(4),
            (Some(draw), _) => draw,
        };
        if self.sharing == Sharing::PerDevice && draw != Draw::Experiences {
            refused("draw", &draw, "without `sharing: Shared`, `Experiences`")?;
        }
        if let Draw::Slots(run) = draw {
            check("draw", run, 1..=1000)?;
        }
        check("discount", self.discount, range::UNIT)?;
        check_target("target", self.target)?;
        check("every_slots", self.every_slots, range::EVERY_SLOTS)?;
        check("warm_up_slots", self.warm_up_slots, 0..=1_000_000)?;
        check("reward_scale", self.reward_scale, range::SCALE)?;
        let steps = (self.anneal * self.cadence().updates(slots.max(1)) as f64).round() as u64;
        Ok(Recipe {
            // A fall that is over before the first update leaves a rate that stays.
            annealing: Schedule { steps: if slots == 0 { 0 } else { steps }, floor: 0.1 },
            parameters: self,
            initial: Initial::Glorot,
            draw,
            flaws: Vec::new(),
        })
    }
}

impl Recipe {
    /// Bytes that agents of `networks` need, with their replay memories full, what is saved of them,
    /// and the buffers of updates on `threads` threads.
    pub(crate) fn memory(&self, networks: &NetworkSpec, threads: usize) -> u128 {
        let Parameters { hidden, batch, replay, .. } = self.parameters;
        let Shape { features, servers, history_slots, .. } = networks.shape;
        let weights = networks.shape.parameters();
        // Both networks and two numbers of the optimiser for each parameter; an experience, with
        // the values of a target network that stays for a while.
        let experience = 8 * features + 40 + 4 * servers + 12;
        let agent = 16 * weights as u128 + replay as u128 * experience as u128;
        // A gradient, packed weights, and per row and slot what passes of s and s' need.
        let row = (history_slots + 1) * (3 * servers + 24 * hidden) + 4 * (features + hidden);
        let part = 4 * (4 * weights as u128 + (batch.clamp(32, PART) * row) as u128);
        let parts =
            (batch.div_ceil(PART) * if networks.networks == 1 { 1 } else { threads }) as u128;
        // All of the agents is copied, and then written, to a state beside them.
        3 * networks.networks as u128 * agent + parts * part
    }

    /// Checks that agents of `networks` can be held in memory, and their checkpoint be read.
    ///
    /// # Errors
    /// [`ParameterError::Memory`] or [`ParameterError::Checkpoint`] if not.
    pub(crate) fn check_memory(
        &self,
        networks: &NetworkSpec,
        threads: usize,
    ) -> Result<(), ParameterError> {
        let (bytes, weights) = (self.memory(networks, threads), networks.shape.parameters());
        let what = match networks.networks {
            1 => format!("a network of {weights} parameters, its replay and its batches"),
            count => format!("{count} networks of {weights} parameters, their replay and batches"),
        };
        check_memory(&what, bytes, "less `hidden`, `replay` or `batch`, or `sharing: Shared`")?;
        check_checkpoint(networks.networks, weights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without parameters `qeco` is the published code, corrected; what can be tuned has ranges.
    #[test]
    fn qeco_has_the_published_values_unless_told_otherwise() {
        let published = QecoParameters::default();
        published.check().unwrap();
        let recipe = published.clone().recipe().parameters;
        assert_eq!((recipe.optimiser, recipe.discount), (Optimiser::RmsProp(0.01), 0.9));
        assert_eq!((recipe.batch, recipe.replay, recipe.every_slots), (32, 500, 10));
        assert_eq!(recipe.target, TargetUpdate::Hard(200));
        let tuned = QecoParameters { discount: 0.5, batch: 64, ..published.clone() };
        let recipe = tuned.recipe().parameters;
        assert_eq!((recipe.discount, recipe.batch), (0.5, 64));
        let refused = |parameters: QecoParameters| parameters.check().unwrap_err().to_string();
        let shown = refused(QecoParameters { discount: 1.5, ..published.clone() });
        assert!(shown.contains("discount"), "{shown}");
        let shown = refused(QecoParameters { batch: 501, ..published });
        assert!(shown.contains("batch"), "{shown}");
    }
}
