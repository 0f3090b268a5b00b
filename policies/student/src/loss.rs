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

    /// Each loss alone and all together, in f64, as [`Losses::add_row`] states them.
    fn descended(parameters: &Parameters, values: &[f64], targets: &[f64]) -> f64 {
        let count = values.len() as f64;
        let targets: Vec<f64> = targets.iter().map(|y| y / parameters.value_scale).collect();
        let errors: Vec<f64> = values.iter().zip(&targets).map(|(q, y)| q - y).collect();
        let mean = errors.iter().sum::<f64>() / count;
        let greedy = (0..targets.len()).max_by(|&a, &b| targets[a].total_cmp(&targets[b])).unwrap();
        let weight = |action| f64::from(parameters.actions.weight(action, greedy, targets.len()));
        let of_values = errors.iter().enumerate().map(|(action, e)| weight(action) * e * e);
        let of_advantages = errors.iter().map(|e| (e - mean) * (e - mean)).sum::<f64>() / count;
        let policy = |values: &[f64]| {
            let powers: Vec<f64> =
                values.iter().map(|q| (q / parameters.temperature).exp()).collect();
            let sum: f64 = powers.iter().sum();
            powers.iter().map(|power| power / sum).collect::<Vec<_>>()
        };
        let (teacher, student) = (policy(&targets), policy(values));
        let divergence = teacher.iter().zip(student).map(|(t, s)| t * (t / s).ln());
        parameters.value_weight * of_values.sum::<f64>()
            + parameters.advantage_weight * of_advantages
            + parameters.policy_weight * divergence.sum::<f64>()
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

    #[test]
    fn each_loss_and_its_derivative_are_those_of_its_formula() {
        let (values, targets) = ([0.3_f32, -0.2, 0.7], [9.0_f32, -3.0, 4.0]);
        let [wide, wide_targets] = [values, targets].map(|all| all.map(f64::from));
        for (weights, temperature, actions) in [
            ([1.0, 0.0, 0.0], 0.4, Actions::All),
            ([2.0, 3.0, 0.5], 0.4, Actions::Taken(0.1)),
            ([0.0, 3.0, 0.0], 0.4, Actions::All),
            ([0.0, 0.0, 0.5], 0.4, Actions::All),
            ([0.0, 0.0, 2.0], 0.9, Actions::All),
            ([2.0, 3.0, 0.5], 0.4, Actions::All),
        ] {
            let [value_weight, advantage_weight, policy_weight] = weights;
            let parameters = Parameters {
                actions,
                value_weight,
                advantage_weight,
                policy_weight,
                temperature,
                value_scale: 10.0,
                ..Parameters::default()
            };
            // Two rows, each a half; what was there before stays.
            let (mut losses, mut d_values) = (Losses::default(), vec![7.0]);
            for _ in 0..2 {
                losses.add_row(&parameters, &values, &targets, 0.5, &mut d_values);
            }
            let expected = descended(&parameters, &wide, &wide_targets);
            let what = format!("{weights:?}: {losses:?} {expected}");
            assert!((f64::from(losses.descended) - expected).abs() < 1e-5, "{what}");
            // Eq. (16) whatever is descended: 0.6², 0.1² and 0.3², their mean.
            if actions == Actions::All {
                assert!((losses.values - 0.46 / 3.0).abs() < 1e-6, "{what}");
            }
            assert_eq!((d_values.len(), d_values[0]), (7, 7.0));
            for action in 0..3 {
                let moved = |by: f64| {
                    let mut values = wide;
                    values[action] += by;
                    descended(&parameters, &values, &wide_targets)
                };
                let slope = 0.5 * (moved(1e-6) - moved(-1e-6)) / 2e-6;
                for derivative in [d_values[1 + action], d_values[4 + action]] {
                    assert!((slope - f64::from(derivative)).abs() < 1e-5, "{weights:?} {slope}");
                }
            }
        }
    }
}
