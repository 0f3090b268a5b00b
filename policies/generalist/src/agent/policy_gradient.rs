//! Learning from counterfactuals, the policy gradient of the sum of all rewards, and from a teacher.
//!
//! The network's numbers are preferences: π(a|s) = e^(A(s, a)/τ) / Σ e^(A(s, ·)/τ). Of a judged decision it is
//! known what the sum of all rewards would have gained by each action, G(a). What it gains on average by
//! π is Σ π(a|s) G(a), and the gradient of that by A(s, a) is π(a|s) (G(a) − Σ π G)/τ: no action has to
//! be drawn for it, and there is nothing to be estimated. That is the gradient of counterfactual
//! multi-agent learning (Foerster and others 2018) with exact differences (Wolpert and Tumer 2002) in
//! place of a critic.
//!
//! Alone that would get stuck: what π all but excludes changes nothing, whatever it would gain, and if on
//! average one action is best at first, π takes it everywhere before it has learned to tell states
//! apart. So preferences are also fitted to gains: the loss of A(s, a) − G(a) is added, where G is less its
//! mean over all actions, with a weight that falls to a hundredth over the first half of the training.
//!
//! A teacher may be imitated, beside counterfactuals with a weight that falls alike (Schmitt and others
//! 2018), or alone (Rusu and others 2016): the loss of a state is the divergence Σ π_T ln(π_T/π) from its own
//! probabilities π_T, those of its values over R_base; the gradient of that by A(s, a) is (π − π_T)/τ.
//!
//! Greedy decisions would not do: devices that see the same loads would all choose the same server. π
//! spreads them, and learns how much.

use offramp_nn::learning::Update;

use super::{Agent, Scratch};
use crate::parameters::Recipe;
use crate::replay::{Judged, Replay};
use crate::rule::{TEMPERATURE, divergence, probabilities};

impl Agent {
    /// Gradient and loss of some judged decisions of a batch.
    pub(super) fn policy_gradient(
        &self,
        replay: &Replay<Judged>,
        recipe: &Recipe,
        part: &[usize],
        scratch: &mut Scratch,
    ) {
        let Scratch { workspace, states, d_values, gradient, errors, update, .. } = scratch;
        let judged = || part.iter().map(|&index| &replay.ring().items()[index]);
        states.clear();
        judged().for_each(|one| states.add(&replay.log, one.row));
        workspace.forward(&self.evaluation, &states.batch());

        let share = 1.0 / recipe.parameters.batch as f32;
        let fit = recipe.fit(self.updates) as f32;
        let imitate = recipe.imitate(self.updates) as f32;
        *update = Update::default();
        d_values.clear();
        errors.clear();
        let mut policy = Vec::new();
        for (row, Judged { gains, taught, .. }) in judged().enumerate() {
            let preferences = workspace.values_of(row);
            probabilities(preferences, &mut policy);
            let first = d_values.len();
            d_values.resize(first + policy.len(), 0.0);
            let d_values = &mut d_values[first..];
            if !gains.is_empty() {
                let mean: f32 = policy.iter().zip(gains).map(|(p, gain)| p * gain).sum();
                // The loss is what is not gained: of what the best action would gain, what π does not.
                let regret = gains.iter().copied().fold(f32::NEG_INFINITY, f32::max) - mean;
                update.loss += f64::from(regret * share);
                let each = policy.iter().zip(gains).zip(preferences);
                for (d, ((p, gain), preference)) in d_values.iter_mut().zip(each) {
                    let (loss, derivative) = recipe.parameters.loss.of(preference - gain);
                    update.loss += f64::from(fit * loss * share);
                    *d = (p * (mean - gain) / TEMPERATURE + fit * derivative) * share;
                }
            }
            if !taught.is_empty() {
                update.loss += f64::from(imitate * share) * divergence(taught, &policy);
                for (d, (p, theirs)) in d_values.iter_mut().zip(policy.iter().zip(taught)) {
                    *d += imitate * share * (p - theirs) / TEMPERATURE;
                }
            }
        }
        gradient.fill(0.0);
        workspace.backward(&self.evaluation, d_values, gradient);
    }
}
