//! The parameters of the student.

use offramp_nn::Shape;
use offramp_nn::learning::{Optimiser, Schedule};
use offramp_nn::networks::{NetworkSpec, Sharing};
use offramp_nn::range::{
    self, ParameterError, check, check_checkpoint, check_memory, check_optimiser, refused,
};
use offramp_plugin::serde::Deserialize;

/// Rows that a workspace computes at a time. A gradient is the sum over such parts, in order, so
/// that it is bit-identical on any number of threads.
pub(crate) const PART: usize = 256;

/// `parameters` of the student in a scenario.
///
/// | name | symbol | range | default |
/// |---|---|---|---|
/// | `ratio` | STUDENT_RATIO | 0.001 to 16 | 0.4 |
/// | `teacher_hidden` | H of the teacher, neurons | 1 to 4096 | 20 |
/// | `sharing` | | `PerDevice`, `Shared` | `PerDevice` |
/// | `starts` | candidates per network | 1 to 1000 | 1 |
/// | `optimiser` | learning rate | `Adam(rate)`, `RmsProp(rate)`, 10⁻⁷ to 1 | `Adam(0.003)` |
/// | `anneal` | share of the distillation | 0 to 1 | 1 |
/// | `clip` | norm | 0.001 to 10⁶ | 10 |
/// | `actions` | of eq. (16) | `All`, `Taken(ε)`, 0 to 1 | `All` |
/// | `value_weight` | w_v | 0 to 10⁶ | 1 |
/// | `advantage_weight` | w_a | 0 to 10⁶ | 0 |
/// | `policy_weight` | w_p | 0 to 10⁶ | 0 |
/// | `temperature` | T, units of `value_scale` | 0.001 to 1000 | 0.05 |
/// | `value_scale` | units of the teacher's values | 0.001 to 10⁶ | 40 |
///
/// At least one of the three weights is 0.001 or more. All candidates together need at most 16 GiB.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(crate = "offramp_plugin::serde", deny_unknown_fields, default)]
pub(crate) struct Parameters {
    /// Width of the student by that of the teacher.
    pub(crate) ratio: f64,
    /// Width of the teacher.
    pub(crate) teacher_hidden: usize,
    /// Devices that use a network.
    pub(crate) sharing: Sharing,
    /// Candidates that are fitted per network, from different random weights; the one with the
    /// smallest loss decides. What networks of a few neurons learn depends on their initial
    /// weights. The worse half of those left ends after an eighth, a quarter and a half of
    /// the annealing, so that six take 2.1 times the steps of one, not six times.
    pub(crate) starts: usize,
    /// Optimiser, with the learning rate of the first step.
    pub(crate) optimiser: Optimiser,
    /// Share of the distillation over which the learning rate falls linearly to a twentieth; 0 keeps
    /// it.
    pub(crate) anneal: f64,
    /// The same in steps, of the distillation at hand.
    #[serde(skip)]
    pub(crate) anneal_steps: u64,
    /// Upper bound of a gradient's norm.
    pub(crate) clip: f64,
    /// Actions of a state that eq. (16) is over.
    pub(crate) actions: Actions,
    /// Weight of eq. (16).
    pub(crate) value_weight: f64,
    /// Weight of the squared error of the advantages.
    pub(crate) advantage_weight: f64,
    /// Weight of the divergence of the softened policies.
    pub(crate) policy_weight: f64,
    /// Temperature of the softened policies.
    pub(crate) temperature: f64,
    /// Divisor of the teacher's values.
    pub(crate) value_scale: f64,
}

/// Actions of a state that eq. (16) is over.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(crate = "offramp_plugin::serde")]
pub(crate) enum Actions {
    /// All of them: the teacher knows their values.
    All,
    /// The one that was taken, as the paper writes it, (s_k, a_k): the teacher's, or with this
    /// probability (that of `distill.explored`) any. Its place is taken by the mean over both, which
    /// has the same expectation and scatters less.
    Taken(f64),
}

impl Actions {
    /// The weight of each action's squared error; they add up to 1.
    pub(crate) fn weight(self, action: usize, greedy: usize, actions: usize) -> f32 {
        let any = 1.0 / actions as f32;
        match self {
            Self::All => any,
            Self::Taken(explored) => {
                let explored = explored as f32;
                let taken = if action == greedy { 1.0 - explored } else { 0.0 };
                explored.mul_add(any, taken)
            }
        }
    }
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            ratio: 0.4,
            teacher_hidden: 20,
            sharing: Sharing::PerDevice,
            starts: 1,
            optimiser: Optimiser::Adam(3e-3),
            anneal: 1.0,
            anneal_steps: 0,
            clip: 10.0,
            actions: Actions::All,
            value_weight: 1.0,
            advantage_weight: 0.0,
            policy_weight: 0.0,
            temperature: 0.05,
            value_scale: 40.0,
        }
    }
}

impl Parameters {
    /// H = round(teacher's · ratio), at least 1.
    pub(crate) fn hidden(&self) -> usize {
        ((self.teacher_hidden as f64 * self.ratio).round() as usize).max(1)
    }

    /// The fall of the learning rate.
    pub(crate) fn annealing(&self) -> Schedule {
        Schedule { steps: self.anneal_steps, floor: 0.05 }
    }

    /// Itself, for a distillation of so many steps.
    pub(crate) fn for_steps(self, steps: u64) -> Self {
        let anneal_steps = (self.anneal * steps as f64).round() as u64;
        Self { anneal_steps, ..self }
    }

    /// Itself, if every value is in its range.
    ///
    /// # Errors
    /// [`ParameterError`] names the first that is not.
    pub(crate) fn checked(self) -> Result<Self, ParameterError> {
        check("ratio", self.ratio, 1e-3..=16.0)?;
        check("teacher_hidden", self.teacher_hidden, range::HIDDEN)?;
        check("starts", self.starts, 1..=1000)?;
        check_optimiser("optimiser", self.optimiser)?;
        check("anneal", self.anneal, range::UNIT)?;
        check("clip", self.clip, range::CLIP)?;
        if let Actions::Taken(explored) = self.actions {
            check("actions", explored, range::UNIT)?;
        }
        check("temperature", self.temperature, 1e-3..=1e3)?;
        check("value_scale", self.value_scale, range::SCALE)?;
        let weights = [
            ("value_weight", self.value_weight),
            ("advantage_weight", self.advantage_weight),
            ("policy_weight", self.policy_weight),
        ];
        for (field, weight) in weights {
            check(field, weight, 0.0..=1e6)?;
        }
        let fields = "value_weight, advantage_weight, policy_weight";
        let weights = weights.map(|(_, weight)| weight);
        if weights.iter().all(|&weight| weight < LEAST_WEIGHT) {
            let range = format!("at least one of {LEAST_WEIGHT} or more");
            refused(fields, &weights, &range)?;
        }
        Ok(self)
    }

    /// Bytes that fitting `networks` on so many threads needs, with their candidates and what is
    /// saved of them.
    pub(crate) fn memory(&self, networks: &NetworkSpec, threads: usize) -> u128 {
        let Shape { features, servers, history_slots, hidden } = networks.shape;
        let weights = networks.shape.parameters() as u128;
        // The weights and two numbers of the optimiser for each, which are copied, and then written,
        // to a state beside them.
        let candidates = (networks.networks * self.starts) as u128 * 36 * weights;
        // Gradients, packed weights, and per row and slot what a pass needs.
        let row = (history_slots + 1) * (servers + 12 * hidden) + 4 * (features + hidden);
        candidates + threads as u128 * 4 * (5 * weights + (PART * row) as u128)
    }

    /// Checks that `networks`, with their candidates, can be held in memory.
    ///
    /// # Errors
    /// [`ParameterError::Memory`] if not.
    pub(crate) fn check_memory(&self, networks: &NetworkSpec) -> Result<(), ParameterError> {
        let (count, starts) = (networks.networks, self.starts);
        let weights = networks.shape.parameters();
        // The weights, and two numbers of the optimiser for each.
        let bytes = (count * starts) as u128 * 12 * weights as u128;
        let what = format!("{count} × {starts} networks of {weights} parameters");
        let advice = "less `ratio`, `teacher_hidden` or `starts`, or `sharing: Shared`";
        check_memory(&what, bytes, advice)?;
        check_checkpoint(count, weights)
    }
}

/// Where all weights of the losses are below, nothing is learned.
const LEAST_WEIGHT: f64 = 1e-3;
