//! The parameters of the student.

use offramp_nn::learning::{Optimiser, Schedule};
use offramp_nn::networks::Sharing;
use offramp_plugin::Error;
use offramp_plugin::serde::Deserialize;

/// `parameters` of the student in a scenario.
///
/// | name | symbol | range | default |
/// |---|---|---|---|
/// | `ratio` | STUDENT_RATIO | above 0, at most 16 | 0.4 |
/// | `teacher_hidden` | H of the teacher, neurons | 1 to 4096 | 20 |
/// | `sharing` | | `PerDevice`, `Shared` | `PerDevice` |
/// | `starts` | candidates per network | 1 to 1000 | 1 |
/// | `optimiser` | learning rate | `Adam(rate)`, `RmsProp(rate)`, above 0 | `Adam(0.003)` |
/// | `anneal_steps` | T, steps | 0 or more | 10,000 |
/// | `clip` | norm | above 0 | 10 |
/// | `value_weight` | w_v | 0 or more | 1 |
/// | `advantage_weight` | w_a | 0 or more | 0 |
/// | `policy_weight` | w_p | 0 or more | 0 |
/// | `temperature` | T, units of `value_scale` | above 0 | 0.05 |
/// | `value_scale` | units of the teacher's values | above 0 | 40 |
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
    /// `anneal_steps`, so that six take 2.1 times the steps of one, not six times.
    pub(crate) starts: usize,
    /// Optimiser, with the learning rate of the first step.
    pub(crate) optimiser: Optimiser,
    /// Steps over which the learning rate falls linearly to a twentieth; 0 keeps it.
    pub(crate) anneal_steps: u64,
    /// Upper bound of a gradient's norm.
    pub(crate) clip: f64,
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

impl Default for Parameters {
    fn default() -> Self {
        Self {
            ratio: 0.4,
            teacher_hidden: 20,
            sharing: Sharing::PerDevice,
            starts: 1,
            optimiser: Optimiser::Adam(3e-3),
            anneal_steps: 10_000,
            clip: 10.0,
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

    /// Itself, if every value is in its range.
    pub(crate) fn checked(self) -> Result<Self, Error> {
        let check = |holds: bool, text: &str| if holds { Ok(()) } else { Err(Error::new(text)) };
        check(self.ratio > 0.0 && self.ratio <= 16.0, "ratio: above 0, at most 16 is needed")?;
        check((1..=4096).contains(&self.teacher_hidden), "teacher_hidden: 1 … 4096 is needed")?;
        check((1..=1000).contains(&self.starts), "starts: 1 … 1000 is needed")?;
        check(self.clip > 0.0, "clip: a number above 0 is needed")?;
        check(self.optimiser.is_valid(), "optimiser: a rate above 0 is needed")?;
        for (name, value) in [("temperature", self.temperature), ("value_scale", self.value_scale)]
        {
            let text = format!("{name}: a number above 0 is needed");
            check(value > 0.0 && value.is_finite(), &text)?;
        }
        let weights = [self.value_weight, self.advantage_weight, self.policy_weight];
        check(
            weights.iter().all(|weight| (0.0..=f64::MAX).contains(weight)),
            "value_weight, advantage_weight, policy_weight: 0 or more is needed",
        )?;
        Ok(self)
    }
}
