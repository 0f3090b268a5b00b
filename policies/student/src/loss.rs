//! The loss of a student's values on a row, and its derivative.

use offramp_nn::{argmax, softmax};

use crate::parameters::Parameters;

/// Sums over the rows of a batch.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Losses {
    /// Eq. (16), in the network's scale.
    pub(crate) values: f64,
    /// The loss that is descended: eq. (16) and its companions, weighted.
    pub(crate) descended: f32,
}

impl Losses {
    /// Adds a row's losses, times `share` (1 / rows), and appends their derivatives by the
    /// student's values, 1 + M, to `d_values`.
    ///
    /// With e = Q − Y, p the weights of the [actions](crate::parameters::Actions), A the advantages and
    /// π the softmax of values / T, the descended loss is Σ p · w_v · e², plus the mean over all
    /// actions of w_a · (e − mean e)², plus w_p · Σ π_teacher ln(π_teacher / π_student).
    pub(crate) fn add_row(
        &mut self,
        parameters: &Parameters,
        values: &[f32],
        targets: &[f32],
        share: f32,
        d_values: &mut Vec<f32>,
    ) {
        let actions = values.len();
        let target = |action: usize| targets[action] / parameters.value_scale as f32;
        let error = |action: usize| values[action] - target(action);
        let mean_error = (0..actions).map(error).sum::<f32>() / actions as f32;
        let value_weight = parameters.value_weight as f32;
        let advantage_weight = parameters.advantage_weight as f32;
        let policy_weight = parameters.policy_weight as f32;
        let softened = (parameters.policy_weight > 0.0).then(|| {
            let temperature = parameters.temperature as f32;
            let (mut student, mut teacher) = (Vec::new(), Vec::new());
            softmax(values.iter().map(|value| value / temperature), &mut student);
            softmax((0..actions).map(|action| target(action) / temperature), &mut teacher);
            (student, teacher, temperature)
        });
        let greedy = argmax(targets);
        for action in 0..actions {
            let of_values = error(action);
            let of_advantages = of_values - mean_error;
            let weight = parameters.actions.weight(action, greedy, actions);
            self.values += f64::from(of_values * of_values * share * weight);
            let mut d = value_weight * 2.0 * of_values * weight;
            d += advantage_weight * 2.0 * of_advantages / actions as f32;
            self.descended += value_weight * of_values * of_values * share * weight;
            self.descended +=
                advantage_weight * of_advantages * of_advantages * share / actions as f32;
            if let Some((student, teacher, temperature)) = &softened {
                d += policy_weight * (student[action] - teacher[action]) / temperature;
                let ratio = teacher[action].max(1e-12) / student[action].max(1e-12);
                self.descended += policy_weight * (teacher[action] * ratio.ln()) * share;
            }
            d_values.push(d * share);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::Actions;

    /// The derivative of each value against central differences of the descended loss.
    #[test]
    fn the_derivative_is_that_of_what_is_descended() {
        for actions in [Actions::All, Actions::Taken(0.1)] {
            check(Parameters {
                actions,
                advantage_weight: 3.0,
                policy_weight: 0.5,
                temperature: 0.4,
                value_scale: 10.0,
                ..Parameters::default()
            });
        }
    }

    #[test]
    fn eq_16_is_over_all_actions_or_the_one_that_was_taken() {
        let values = |actions| {
            let parameters = Parameters { actions, value_scale: 1.0, ..Parameters::default() };
            let mut losses = Losses::default();
            losses.add_row(&parameters, &[1.0, 2.0, 4.0], &[1.5, 4.0, 4.5], 1.0, &mut Vec::new());
            assert!((f64::from(losses.descended) - losses.values).abs() < 1e-6);
            losses.values
        };
        assert!((values(Actions::All) - (0.25 + 4.0 + 0.25) / 3.0).abs() < 1e-6);
        assert!((values(Actions::Taken(0.0)) - 0.25).abs() < 1e-6);
        assert!((values(Actions::Taken(0.4)) - (0.6 * 0.25 + 0.4 * 1.5)).abs() < 1e-6);
    }

    fn check(parameters: Parameters) {
        let targets = [9.0, -3.0, 4.0];
        let at = |values: &[f32]| {
            let (mut losses, mut d_values) = (Losses::default(), Vec::new());
            losses.add_row(&parameters, values, &targets, 0.5, &mut d_values);
            (losses.descended, d_values)
        };
        let values = [0.3, -0.2, 0.7];
        let (_, derivatives) = at(&values);
        for action in 0..3 {
            let moved = |by: f32| {
                let mut values = values;
                values[action] += by;
                at(&values).0
            };
            let slope = (moved(1e-2) - moved(-1e-2)) / 2e-2;
            assert!((slope - derivatives[action]).abs() < 2e-3, "{slope} {derivatives:?}");
        }
    }
}
