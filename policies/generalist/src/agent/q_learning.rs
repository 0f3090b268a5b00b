//! Learning from rewards: D3QN (section 5.2 of the paper).

use offramp_nn::learning::{Update, double_q_target};

use super::{Agent, Scratch};
use crate::parameters::Recipe;
use crate::replay::{Experience, Replay};

impl Agent {
    /// Gradient and loss of some experiences of a batch, top to bottom as eq. (14) has it.
    pub(super) fn q_gradient(
        &self,
        replay: &Replay<Experience>,
        recipe: &Recipe,
        part: &[usize],
        importance: &[f32],
        scratch: &mut Scratch,
    ) {
        let Scratch { workspace, target, states, next_states, .. } = scratch;
        let Scratch { d_values, gradient, errors, update, .. } = scratch;
        let (log, ring) = (&replay.log, replay.ring().items());
        let experiences = || part.iter().map(|&index| ring[index]);
        let next_rows = || experiences().filter(|one| one.discount != 0.0).map(|one| one.next);
        states.clear();
        experiences().for_each(|one| states.add(log, one.row));
        next_rows().for_each(|next| states.add(log, next));
        next_states.clear();
        next_rows().for_each(|next| next_states.add(log, next));

        // Q_eval(s, ·) and Q_eval(s', ·), then Q_target(s', ·).
        workspace.forward(&self.evaluation, &states.batch());
        target.forward(&self.target, &next_states.batch());

        // The mean loss of Q_eval(s, a) − Y over the whole batch, where
        // Y = r + γ^Δ · Q_target(s', argmax_a Q_eval(s', a)).
        let share = 1.0 / recipe.parameters.batch as f32;
        *update = Update::default();
        d_values.clear();
        errors.clear();
        let mut next = 0;
        for (row, Experience { row: number, action, reward, discount, .. }) in
            experiences().enumerate()
        {
            let y = if discount == 0.0 {
                reward
            } else {
                next += 1;
                let by_evaluation = workspace.values_of(part.len() + next - 1);
                double_q_target(reward, discount, by_evaluation, target.values_of(next - 1))
            };
            let values = workspace.values_of(row);
            let q = values[action as usize];
            let error = q - y;
            let share = share * importance.get(row).copied().unwrap_or(1.0);
            let (loss, derivative) = recipe.parameters.loss.of(error);
            // Shown in units of reward, and as if all weighed alike.
            let shown = log.base(number) / recipe.parameters.batch as f32;
            update.loss += f64::from(loss * share);
            update.q += f64::from(q * shown);
            update.td_error += f64::from(error.abs() * shown);
            errors.push(error);
            let first = d_values.len();
            d_values.resize(first + values.len(), 0.0);
            d_values[first + action as usize] = derivative * share;
        }
        gradient.fill(0.0);
        workspace.backward(&self.evaluation, d_values, gradient);
    }
}
