//! What can be chosen of D3QN. The teacher's values are the defaults; `qeco` keeps the published
//! ones.

use offramp_nn::Initial;
use offramp_nn::learning::{Loss, Optimiser, Schedule, TargetUpdate};
use offramp_nn::networks::Sharing;
use offramp_plugin::Error;
use offramp_plugin::serde::Deserialize;

/// What the next state of an experience is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(crate = "offramp_plugin::serde")]
pub(crate) enum NextState {
    /// That of the next slot (eq. 14 as written), zeros if the device has no task then.
    NextSlot,
    /// That of the device's next task, Δ slots later, discounted by γ^Δ.
    NextTask,
}

/// Which weights decide after training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(crate = "offramp_plugin::serde")]
pub(crate) enum Deploy {
    /// The evaluation network.
    Evaluation,
    /// The target network: with soft updates a running mean of the evaluation network, which
    /// does not swing from one update to the next.
    Target,
}

/// Everything that can be chosen.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(crate = "offramp_plugin::serde", deny_unknown_fields, default)]
pub(crate) struct Parameters {
    /// H.
    pub(crate) hidden: usize,
    pub(crate) sharing: Sharing,
    pub(crate) next_state: NextState,
    pub(crate) optimiser: Optimiser,
    /// Updates over which the learning rate falls linearly to a tenth; 0 keeps it.
    pub(crate) anneal_updates: u64,
    pub(crate) loss: Loss,
    /// The largest norm of a gradient.
    pub(crate) clip: f64,
    /// γ, per slot.
    pub(crate) discount: f64,
    /// Experiences of an update.
    pub(crate) batch: usize,
    /// Experiences kept by a network.
    pub(crate) replay: usize,
    pub(crate) target: TargetUpdate,
    pub(crate) deploy: Deploy,
    /// Slots between updates of a network.
    pub(crate) every_slots: u64,
    /// Slots before the first.
    pub(crate) warm_up_slots: u64,
    /// What rewards are divided by.
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

/// Where the code that was published departs from the algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(crate = "offramp_plugin::serde")]
pub(crate) enum Flaw {
    /// The target network keeps the LSTM it was born with; only dense layers are copied.
    FrozenTargetLstm,
    /// A replayed history strings together the loads of successively *stored* experiences, not
    /// of successive slots.
    StoredHistories,
    /// The next state is that of the next slot, zeros if there is no task: a state that is
    /// bootstrapped from and never learned, since only tasks are stored.
    NextSlot,
    /// With it: the last states of an episode are bootstrapped from as if it went on.
    NoTerminal,
    /// Features and loads are fed to the network as they are.
    Unscaled,
}

/// How faithful `qeco` is to the code that was published.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(crate = "offramp_plugin::serde")]
pub(crate) enum Fidelity {
    /// As the code runs, with its flaws: to be held against its own log, on
    /// `observation: Published` and α `Fixed`.
    AsPublished,
    /// The algorithm as its paper means it: the fair baseline.
    Corrected,
    /// Corrected but for these: what does each cost?
    CorrectedBut(Vec<Flaw>),
}

/// What can be chosen of `qeco`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(crate = "offramp_plugin::serde", deny_unknown_fields, default)]
pub(crate) struct QecoParameters {
    pub(crate) fidelity: Fidelity,
}

impl Default for QecoParameters {
    fn default() -> Self {
        Self { fidelity: Fidelity::Corrected }
    }
}

/// What a learner is made of, whichever policy asked for it.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    pub(crate) parameters: Parameters,
    pub(crate) initial: Initial,
    flaws: Vec<Flaw>,
}

impl Recipe {
    /// Whether it departs from the algorithm so.
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
