//! The parameters of the generalist.

use std::fmt::Debug;

use offramp_nn::learning::{Cadence, Deploy, Loss, Optimiser, Schedule, TargetUpdate};
use offramp_nn::pending::{NextState, PendingRule};
use offramp_nn::range::{
    self, ParameterError, check, check_batch, check_loss, check_memory, check_optimiser,
    check_target, refused,
};
use offramp_nn::replay::Draw;
use offramp_nn::set::{SetShape, SetWidths};
use offramp_plugin::serde::Deserialize;

use crate::inputs::Predictions;
use crate::rule::Rule;

/// Rows that one workspace computes at a time. A gradient is the sum over such parts of a batch,
/// in order, so that it is bit-identical on any number of threads.
pub(crate) const PART: usize = 64;

/// The root mean square that gains are brought to: about what it is at a load that is neither light nor
/// heavy, so that preferences keep their unit.
const LEVEL: f64 = 0.3;

/// Added to the root mean square of gains, so that an episode in which nothing matters is not blown up.
const LEAST_SIZE: f64 = 1e-3;

/// Servers that memory is estimated for, if the scenario's own system has fewer.
const SERVERS_OF_ESTIMATE: usize = 32;

/// `parameters` of the policy in a scenario.
///
/// | name | symbol, unit | range | default |
/// |---|---|---|---|
/// | `lstm` | L, neurons | 1 to 256 | 8 |
/// | `embedding` | E, numbers | 1 to 1024 | 24 |
/// | `hidden` | H, neurons | 1 to 4096 | 16 |
/// | `predictions` | | `true`, `false` | `true` |
/// | `broadcast` | columns that servers broadcast | any of `queued_gcycles`, `uploads`, `arrivals_per_slot` | none |
/// | `learn_from` | | `Counterfactuals(tasks of an episode)`, `Teacher(tasks of an episode)`, 1 to 10⁶; `Rewards` | `Counterfactuals(400)` |
/// | `fit` | weight of fitting preferences to gains, at first | 0 to 100 | 3 |
/// | `level` | exponent | 0 to 1 | 0.75 |
/// | `imitate` | weight of imitating a teacher beside counterfactuals, at first | 0 to 100 | 0.1 |
/// | `optimiser` | learning rate | `Adam(rate)`, `RmsProp(rate)`, 10⁻⁷ to 1 | `Adam(0.004)` |
/// | `anneal` | share of the training | 0 to 1 | 1 |
/// | `loss` | | `Squared`, `Huber(width)`, 0.001 to 10⁶ | `Huber(1.0)` |
/// | `clip` | norm | 0.001 to 10⁶ | 10 |
/// | `discount` | γ, per slot | 0 to 1 | 0.9 |
/// | `n_step` | n, tasks of a device | 1 to 100 | 1 |
/// | `priority` | exponent | 0 to 1; 0 draws all alike | 0 |
/// | `batch` | tasks | 1 to 65,536, at most `replay` | 512 |
/// | `replay` | tasks | 2 to 10⁷ | 25,600 |
/// | `draw` | | `Experiences`, `Slots(run)`, 1 to 1000 | `Slots(1)`; `Experiences` with `priority` |
/// | `devices` | devices of an episode that it learns from | 1 or more | 32 |
/// | `target` | | `Hard(updates)`, 1 to 100,000; `Soft(share)`, 10⁻⁶ to 1 | `Soft(0.005)` |
/// | `deploy` | | `Evaluation`, `Target` | `Target` |
/// | `every_slots` | slots | 1 to 10,000 | 25 |
/// | `warm_up_slots` | slots | 0 to 10⁶ | 1,000 |
///
/// `discount`, `n_step`, `priority` and `devices` belong to learning from rewards, `fit`, `level` and `imitate`
/// to learning from counterfactuals; they are refused otherwise. `Teacher` needs a teacher
/// (`train.teacher`), whom `Counterfactuals` imitates too, if there is one: another `imitate` than by default,
/// except 0, needs one. Network, replay and batches together need
/// at most 16 GiB.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(crate = "offramp_plugin::serde", deny_unknown_fields, default)]
pub(crate) struct Parameters {
    /// Width of the LSTM.
    pub(crate) lstm: usize,
    /// Width of the embedding of a server.
    pub(crate) embedding: usize,
    /// Width of the hidden layer.
    pub(crate) hidden: usize,
    /// Whether the inputs include the delay and energy that the model predicts for each action.
    pub(crate) predictions: bool,
    /// What servers broadcast besides their loads that is among the inputs; the scenario has to broadcast it.
    pub(crate) broadcast: Vec<String>,
    /// What it learns from.
    pub(crate) learn_from: LearnFrom,
    /// Weight of fitting preferences to what actions gain, of the first update; over the first half of
    /// the training it falls to a hundredth.
    pub(crate) fit: f64,
    /// How far the gains of episodes are scaled to one level: those of a system with few tasks are far
    /// smaller than those of one that is overloaded, and would be learned last. With 0 they stay as
    /// they are, with 1 all have the same root mean square.
    pub(crate) level: f64,
    /// Weight of imitating a teacher beside counterfactuals, of the first update; it falls as `fit` does.
    pub(crate) imitate: f64,
    /// Optimiser, with the learning rate of the first update.
    pub(crate) optimiser: Optimiser,
    /// Share of the training over which the learning rate falls linearly to a tenth; 0 keeps it.
    pub(crate) anneal: f64,
    /// Loss of an error of Q, or of a preference.
    pub(crate) loss: Loss,
    /// Upper bound of a gradient's norm.
    pub(crate) clip: f64,
    /// Discount of a reward.
    pub(crate) discount: f64,
    /// Successive tasks of a device whose rewards an experience sums.
    pub(crate) n_step: usize,
    /// Exponent of the error of an experience in its probability of being drawn.
    pub(crate) priority: f64,
    /// Experiences of an update.
    pub(crate) batch: usize,
    /// Experiences kept.
    pub(crate) replay: usize,
    /// How the experiences of a batch are drawn; `None` is the faster way that `priority` allows.
    pub(crate) draw: Option<Draw>,
    /// Devices of an episode whose experience is kept, drawn anew for each: a system of many
    /// devices then does not fill the replay alone.
    pub(crate) devices: usize,
    /// How the target network follows the evaluation network.
    pub(crate) target: TargetUpdate,
    /// The network that decides after training.
    pub(crate) deploy: Deploy,
    /// Slots between updates.
    pub(crate) every_slots: u64,
    /// Slots before the first update.
    pub(crate) warm_up_slots: u64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            lstm: 8,
            embedding: 24,
            hidden: 16,
            predictions: true,
            broadcast: Vec::new(),
            learn_from: LearnFrom::Counterfactuals(400),
            fit: 3.0,
            level: 0.75,
            imitate: 0.1,
            optimiser: Optimiser::Adam(4e-3),
            anneal: 1.0,
            loss: Loss::Huber(1.0),
            clip: 10.0,
            discount: 0.9,
            n_step: 1,
            priority: 0.0,
            batch: 512,
            replay: 25_600,
            draw: None,
            devices: 32,
            target: TargetUpdate::Soft(0.005),
            deploy: Deploy::Target,
            every_slots: 25,
            warm_up_slots: 1_000,
        }
    }
}

/// What an agent learns from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(crate = "offramp_plugin::serde")]
pub(crate) enum LearnFrom {
    /// The rewards of its own tasks, by D3QN; it decides by the largest Q.
    Rewards,
    /// What decisions changed for everybody, known of so many tasks of each episode, by a policy gradient;
    /// its decisions are drawn.
    Counterfactuals(u64),
    /// How a teacher would decide, in so many tasks of each episode; its decisions are drawn.
    Teacher(u64),
}

/// All choices of a learner, checked.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    pub(crate) parameters: Parameters,
    /// How batches are drawn.
    pub(crate) draw: Draw,
    /// The fall of the learning rate.
    pub(crate) annealing: Schedule,
    /// What is left of the training.
    pub(crate) left: Schedule,
}

impl Parameters {
    /// When the network is updated.
    pub(crate) fn cadence(&self) -> Cadence {
        Cadence { every_slots: self.every_slots, warm_up_slots: self.warm_up_slots }
    }

    /// The widths of the network.
    pub(crate) fn widths(&self) -> SetWidths {
        SetWidths { lstm: self.lstm, embedding: self.embedding, hidden: self.hidden }
    }

    /// Whether predictions are among the inputs.
    pub(crate) fn predictions(&self) -> Predictions {
        if self.predictions { Predictions::Included } else { Predictions::LeftOut }
    }

    /// The recipe for a training of so many slots, if every value is in its range.
    ///
    /// # Errors
    /// [`ParameterError`] names the first that is not.
    pub(crate) fn recipe(self, slots: u64) -> Result<Recipe, ParameterError> {
        check("lstm", self.lstm, 1..=256)?;
        check("embedding", self.embedding, 1..=1024)?;
        check("hidden", self.hidden, range::HIDDEN)?;
        check_batch(self.batch, 65_536, self.replay, 10_000_000)?;
        check_optimiser("optimiser", self.optimiser)?;
        check_loss("loss", self.loss)?;
        check("clip", self.clip, range::CLIP)?;
        check("anneal", self.anneal, range::UNIT)?;
        check("discount", self.discount, range::UNIT)?;
        check("n_step", self.n_step, 1..=100)?;
        check("priority", self.priority, range::UNIT)?;
        let prioritised = self.priority > 0.0;
        let draw = match self.draw {
            None if prioritised => Draw::Experiences,
            None => Draw::Slots(1),
            Some(draw) => draw,
        };
        if prioritised && draw != Draw::Experiences {
            refused("draw", &draw, "with `priority`, `Experiences`")?;
        }
        if let Draw::Slots(run) = draw {
            check("draw", run, 1..=1000)?;
        }
        if let LearnFrom::Counterfactuals(tasks) | LearnFrom::Teacher(tasks) = self.learn_from {
            check("learn_from", tasks, 1..=1_000_000)?;
        }
        check("fit", self.fit, 0.0..=100.0)?;
        check("level", self.level, range::UNIT)?;
        check("imitate", self.imitate, 0.0..=100.0)?;
        self.check_effects()?;
        if self.devices == 0 {
            refused("devices", &self.devices, "1 or more")?;
        }
        check_target("target", self.target)?;
        check("every_slots", self.every_slots, range::EVERY_SLOTS)?;
        check("warm_up_slots", self.warm_up_slots, 0..=1_000_000)?;
        if slots > 0 && self.cadence().updates(slots) == 0 {
            let Self { warm_up_slots, every_slots, .. } = self;
            return Err(ParameterError::NoUpdate { warm_up_slots, every_slots, slots });
        }
        let updates = self.cadence().updates(slots.max(1));
        let fall = (self.anneal * updates as f64).round() as u64;
        let of_length = |steps| if slots == 0 { 0 } else { steps };
        Ok(Recipe {
            annealing: Schedule { steps: of_length(fall), floor: 0.1 },
            left: Schedule { steps: of_length(updates), floor: 0.0 },
            draw,
            parameters: self,
        })
    }
}

impl Parameters {
    /// Checks that nothing is chosen that has no effect.
    fn check_effects(&self) -> Result<(), ParameterError> {
        let default = Self::default();
        let of_rewards: [(&'static str, bool, &dyn Debug); 4] = [
            ("discount", self.discount == default.discount, &self.discount),
            ("n_step", self.n_step == default.n_step, &self.n_step),
            ("priority", self.priority == default.priority, &self.priority),
            ("devices", self.devices == default.devices, &self.devices),
        ];
        let of_counterfactuals: [(&'static str, bool, &dyn Debug); 3] = [
            ("fit", self.fit == default.fit, &self.fit),
            ("level", self.level == default.level, &self.level),
            ("imitate", self.imitate == default.imitate, &self.imitate),
        ];
        let (rewards, counterfactuals) =
            ("`learn_from: Rewards`", "`learn_from: Counterfactuals(…)`");
        let others = match self.learn_from {
            LearnFrom::Rewards => &[(&of_counterfactuals[..], counterfactuals)][..],
            LearnFrom::Counterfactuals(_) => &[(&of_rewards[..], rewards)],
            LearnFrom::Teacher(_) => {
                &[(&of_rewards[..], rewards), (&of_counterfactuals[..], counterfactuals)]
            }
        };
        let mut unused = others.iter().flat_map(|(options, wanted)| {
            let unused = options.iter().filter(|(_, is_default, _)| !is_default);
            unused.map(move |(name, _, value)| (*name, *value, *wanted))
        });
        match unused.next() {
            Some((name, value, wanted)) => refused(name, value, wanted),
            None => Ok(()),
        }
    }
}

impl Recipe {
    /// How decisions make up experiences.
    pub(crate) fn pending(&self) -> PendingRule {
        PendingRule {
            next: NextState::NextTask,
            discount: self.parameters.discount as f32,
            terminal: true,
            steps: self.parameters.n_step,
        }
    }

    /// β: exponent of importance weights at an update, from 0.4 to 1 at the end of the training
    /// (Schaul and others 2016).
    pub(crate) fn importance_exponent(&self, update: u64) -> f64 {
        1.0 - 0.6 * self.left.factor(update)
    }

    /// The weight of fitting preferences to what actions gain, at an update.
    pub(crate) fn fit(&self, update: u64) -> f64 {
        self.parameters.fit * self.guidance(update)
    }

    /// The weight of imitating a teacher, at an update.
    pub(crate) fn imitate(&self, update: u64) -> f64 {
        match self.parameters.learn_from {
            LearnFrom::Teacher(_) => 1.0,
            _ => self.parameters.imitate * self.guidance(update),
        }
    }

    /// True if the scenario sets how far a teacher is imitated beside counterfactuals.
    pub(crate) fn asks_to_imitate(&self) -> bool {
        let Parameters { learn_from, imitate, .. } = self.parameters;
        let beside = matches!(learn_from, LearnFrom::Counterfactuals(_));
        beside && imitate != Parameters::default().imitate && imitate != 0.0
    }

    /// The share of what guides the policy gradient: from 1 to a hundredth over the first half.
    fn guidance(&self, update: u64) -> f64 {
        let left = (2.0 * self.left.factor(update) - 1.0).max(0.0);
        100_f64.powf(left - 1.0)
    }

    /// The factor that brings the gains of an episode, centred and over R_base, to one level.
    pub(crate) fn level(&self, gains: impl Iterator<Item = f64> + Clone) -> f64 {
        let square: f64 = gains.clone().map(|gain| gain * gain).sum();
        let size = (square / gains.count().max(1) as f64).sqrt();
        (LEVEL / (size + LEAST_SIZE)).powf(self.parameters.level)
    }

    /// The rule by which the networks decide.
    pub(crate) fn rule(&self) -> Rule {
        match self.parameters.learn_from {
            LearnFrom::Rewards => Rule::Largest,
            LearnFrom::Counterfactuals(_) | LearnFrom::Teacher(_) => Rule::Drawn,
        }
    }

    /// Tasks of an episode whose counterfactuals are learned from.
    pub(crate) fn judged_tasks(&self) -> u64 {
        match self.parameters.learn_from {
            LearnFrom::Rewards | LearnFrom::Teacher(_) => 0,
            LearnFrom::Counterfactuals(tasks) => tasks,
        }
    }

    /// Tasks of an episode in which a teacher alone is learned from.
    pub(crate) fn taught_tasks(&self) -> u64 {
        match self.parameters.learn_from {
            LearnFrom::Rewards | LearnFrom::Counterfactuals(_) => 0,
            LearnFrom::Teacher(tasks) => tasks,
        }
    }

    /// Bytes that learning needs with a full replay, what is saved of it, and the buffers of
    /// updates; for systems of `servers` servers, with at most `tasks` in an episode.
    pub(crate) fn memory(&self, shape: &SetShape, servers: usize, tasks: u128) -> u128 {
        let Parameters { batch, replay, .. } = self.parameters;
        let servers = servers.max(SERVERS_OF_ESTIMATE);
        let SetShape { device_features, link_features, server_features, .. } = *shape;
        let SetShape { history_slots, lstm, embedding, hidden, .. } = *shape;
        // A row, a slot of which it may be the only one, and what is known of its actions.
        let row = 4 * (device_features + servers * (link_features + server_features + 3)) + 72;
        let weights = 16 * shape.parameters() as u128;
        // Both passes of a row, its next one, and their slots.
        let pass = servers * (history_slots * 12 * lstm + 4 * (embedding + hidden))
            + 8 * (embedding + hidden);
        let part = 4 * (2 * shape.parameters() as u128 + (3 * batch.min(PART) * pass) as u128);
        // The rows of an episode are kept until some of them are judged.
        let kept = self.judged_tasks() + self.taught_tasks() > 0;
        let episode = if kept { tasks * row as u128 } else { 0 };
        // All of the experience is copied, and then written, to a state beside it.
        episode + 3 * (weights + replay as u128 * row as u128) + batch.div_ceil(PART) as u128 * part
    }

    /// Checks that it can be held in memory.
    ///
    /// # Errors
    /// [`ParameterError::Memory`] if not.
    pub(crate) fn check_memory(
        &self,
        shape: &SetShape,
        servers: usize,
        tasks: u128,
    ) -> Result<(), ParameterError> {
        let what =
            format!("a network of {} parameters, its replay and its batches", shape.parameters());
        check_memory(
            &what,
            self.memory(shape, servers, tasks),
            "less `hidden`, `replay` or `batch`",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_relative_to_the_length() {
        let parameters = || Parameters {
            learn_from: LearnFrom::Rewards,
            every_slots: 4,
            anneal: 0.5,
            priority: 0.6,
            ..Parameters::default()
        };
        // From slot 1,000 on, each fourth: 251 updates.
        let recipe = parameters().recipe(2_000).unwrap();
        assert_eq!(recipe.annealing, Schedule { steps: 126, floor: 0.1 });
        assert_eq!(recipe.draw, Draw::Experiences);
        let exponents = [0, 251, 1000].map(|update| recipe.importance_exponent(update));
        assert_eq!(exponents, [0.4, 1.0, 1.0]);
        let recipe =
            Parameters { priority: 0.0, learn_from: LearnFrom::Counterfactuals(9), ..parameters() }
                .recipe(2_000)
                .unwrap();
        let close = |one: f64, other: f64| (one - other).abs() < 0.1;
        assert_eq!(recipe.fit(0), 3.0);
        assert!(close(recipe.fit(63), 0.3) && close(recipe.fit(126), 0.03), "{}", recipe.fit(63));
        assert!((recipe.fit(1000) - 0.03).abs() < 1e-12);
        // Gains of ±0.3 stay as they are; ±0.003 becomes nearer to it, and with an exponent of 1 all but that.
        let level = |level: f64, gain: f64| {
            let parameters = Parameters { level, ..Parameters::default() };
            parameters.recipe(0).unwrap().level([gain, -gain].into_iter())
        };
        assert!((level(0.75, 0.299) - 1.0).abs() < 1e-9);
        assert_eq!(level(0.0, 0.003), 1.0);
        assert!((level(1.0, 0.003) - 75.0).abs() < 1e-9);
        assert!((level(0.5, 0.003) - 75.0_f64.sqrt()).abs() < 1e-9);
        assert!(level(1.0, 0.0).is_finite());
        // Without a length nothing falls.
        let recipe = parameters().recipe(0).unwrap();
        assert_eq!(recipe.annealing.factor(1_000_000), 1.0);
        assert_eq!(recipe.importance_exponent(1_000_000), 0.4);
    }

    #[test]
    fn a_network_of_the_default_size_is_small() {
        let Parameters { lstm, embedding, hidden, .. } = Parameters::default();
        let shape = SetShape {
            device_features: 10,
            link_features: 9,
            server_features: 4,
            history_slots: 10,
            lstm,
            embedding,
            hidden,
        };
        assert_eq!(shape.parameters(), 2_467);
    }
}
