//! What can be chosen of the student.

use offramp_nn::bank::Sharing;
use offramp_nn::learning::Optimiser;
use offramp_plugin::Error;
use offramp_plugin::serde::Deserialize;

/// Everything that can be chosen.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(crate = "offramp_plugin::serde", deny_unknown_fields, default)]
pub(crate) struct Parameters {
    /// STUDENT_RATIO: width of the student by that of the teacher.
    pub(crate) ratio: f64,
    /// Width of the teacher.
    pub(crate) teacher_hidden: usize,
    pub(crate) sharing: Sharing,
    /// Networks that are fitted for each, from different beginnings; the one with the smallest
    /// loss decides. What networks of a few neurons learn depends on where they begin. The worse
    /// half of those left ends after an eighth, a quarter and a half of `anneal_steps`, so that
    /// six take 2.1 times the steps of one, not six times.
    pub(crate) starts: usize,
    pub(crate) optimiser: Optimiser,
    /// Steps over which the learning rate falls linearly to a twentieth; 0 keeps it.
    pub(crate) anneal_steps: u64,
    /// The largest norm of a gradient.
    pub(crate) clip: f64,
    /// Weight of eq. (16).
    pub(crate) value_weight: f64,
    /// Weight of the squared error of the advantages.
    pub(crate) advantage_weight: f64,
    /// Weight of the divergence of the softened policies.
    pub(crate) policy_weight: f64,
    /// Of the softened policies, in units of `value_scale`.
    pub(crate) temperature: f64,
    /// What the teacher's values are divided by.
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

    /// Itself, if every value is in its range.
    pub(crate) fn checked(self) -> Result<Self, Error> {
        let check = |holds: bool, text: &str| if holds { Ok(()) } else { Err(Error::new(text)) };
        check(self.ratio > 0.0 && self.ratio <= 16.0, "ratio: above 0, at most 16 is needed")?;
        check((1..=4096).contains(&self.teacher_hidden), "teacher_hidden: 1 … 4096 is needed")?;
        check((1..=1000).contains(&self.starts), "starts: 1 … 1000 is needed")?;
        check(self.clip > 0.0, "clip: a number above 0 is needed")?;
        let (Optimiser::Adam(rate) | Optimiser::RmsProp(rate)) = self.optimiser;
        check(rate > 0.0 && rate.is_finite(), "optimiser: a rate above 0 is needed")?;
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
