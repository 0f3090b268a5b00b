//! Losses, steps, targets and schedules by hand.

use offramp_nn::learning::{Loss, Optimiser, Schedule, TargetUpdate, clip};

#[track_caller]
fn assert_close(found: &[f64], wanted: &[f64]) {
    assert_eq!(found.len(), wanted.len());
    for (one, other) in found.iter().zip(wanted) {
        assert!((one - other).abs() < 1e-9, "{found:?} instead of {wanted:?}");
    }
}

/// e²/2 up to a width of 2, on either side; beyond it, 2·|e| − 2.
#[test]
fn hubers_loss_is_smooth_at_its_width() {
    for (error, loss, slope) in [
        (0.0, 0.0, 0.0),
        (1.0, 0.5, 1.0),
        (-1.0, 0.5, -1.0),
        (2.0, 2.0, 2.0),
        (-2.0, 2.0, -2.0),
        (3.0, 4.0, 2.0),
        (-5.0, 8.0, -2.0),
    ] {
        assert_eq!(Loss::Huber(2.0).of(error), (loss, slope), "{error}");
        assert_eq!(Loss::Squared.of(error), (error * error, 2.0 * error), "{error}");
    }
}

#[test]
fn a_gradient_of_at_most_the_norm_is_not_scaled() {
    for (norm, expected) in
        [(5.0, [3.0, -4.0]), (6.0, [3.0, -4.0]), (2.5, [1.5, -2.0]), (10.0, [3.0, -4.0])]
    {
        let mut gradient = [3.0_f64, -4.0];
        assert_eq!(clip(&mut gradient, norm), 5.0);
        assert_close(&gradient, &expected);
    }
}

/// Adam's first step is the rate times the sign of the gradient. After g and −g, the mean gradient
/// is (0.09 − 0.1)·g over 1 − 0.9², and the mean square g² again.
#[test]
fn two_steps_of_adam_by_hand() {
    let optimiser = Optimiser::Adam(0.5);
    let mut state = optimiser.state::<f64>(3);
    assert_eq!(
        (state.steps, &state.first[..], &state.second[..]),
        (0, &[0.0; 3][..], &[0.0; 3][..])
    );
    let mut parameters = [1.0, 1.0, 1.0];
    optimiser.step(&mut state, &mut parameters, &[4.0, -0.25, 0.0]);
    let rounded =
        |values: &[f64]| values.iter().map(|x| (x * 1e6).round() / 1e6).collect::<Vec<_>>();
    assert_close(&rounded(&parameters), &[0.5, 1.5, 1.0]);
    assert_close(&state.first, &[0.4, -0.025, 0.0]);
    assert_close(&state.second, &[0.016, 0.000_062_5, 0.0]);
    optimiser.step(&mut state, &mut parameters, &[-4.0, 0.25, 0.0]);
    let back = 0.5 * 0.01 / 0.19;
    assert_close(&rounded(&parameters), &rounded(&[0.5 + back, 1.5 - back, 1.0]));
    assert_eq!(state.steps, 2);
}

/// TensorFlow's RMSProp: the mean square begins at 1.
#[test]
fn two_steps_of_rmsprop_by_hand() {
    let optimiser = Optimiser::RmsProp(0.5);
    let mut state = optimiser.state::<f64>(2);
    assert_eq!((state.steps, &state.second[..]), (0, &[1.0; 2][..]));
    let mut parameters = [1.0, 1.0];
    optimiser.step(&mut state, &mut parameters, &[3.0, 0.0]);
    // 0.9 + 0.1·9.
    let first = 1.0 - 0.5 * 3.0 / 1.8_f64.sqrt();
    assert_close(&parameters, &[first, 1.0]);
    assert_close(&state.second, &[1.8, 0.9]);
    optimiser.step(&mut state, &mut parameters, &[-1.0, 2.0]);
    // 0.9·1.8 + 0.1; 0.9·0.9 + 0.4.
    assert_close(&state.second, &[1.72, 1.21]);
    assert_close(&parameters, &[first + 0.5 / 1.72_f64.sqrt(), 1.0 - 1.0 / 1.21_f64.sqrt()]);
    assert_eq!(state.steps, 2);
}

#[test]
fn a_scaled_optimiser_steps_by_its_rate_times_the_factor() {
    for (optimiser, scaled) in [
        (Optimiser::Adam(0.4), Optimiser::Adam(0.1)),
        (Optimiser::RmsProp(0.4), Optimiser::RmsProp(0.1)),
    ] {
        assert_eq!(optimiser.scaled(0.25), scaled);
        assert_eq!((optimiser.rate(), scaled.rate()), (0.4, 0.1));
    }
}

#[test]
fn a_target_moves_when_its_rule_says_so() {
    let moves = |rule: TargetUpdate| (1..=6).map(|n| rule.moves_at(n)).collect::<Vec<_>>();
    assert_eq!(moves(TargetUpdate::Hard(3)), [false, false, true, false, false, true]);
    assert_eq!(moves(TargetUpdate::Hard(1)), [true; 6]);
    assert_eq!(moves(TargetUpdate::Hard(0)), [true; 6]);
    assert_eq!(moves(TargetUpdate::Soft(0.1)), [true; 6]);
    let mut target = [8.0_f64, -2.0];
    for (update, wanted) in [(1, [7.0, -1.0]), (2, [6.25, -0.25])] {
        TargetUpdate::Soft(0.25).follow(update, &mut target, &[4.0, 2.0]);
        assert_eq!(target, wanted);
    }
}

/// From 1 to 0.2 over 8 steps: 0.1 a step.
#[test]
fn a_schedule_falls_linearly_to_its_floor() {
    let schedule = Schedule { steps: 8, floor: 0.2 };
    for step in 0..20 {
        let wanted = if step < 8 { 1.0 - 0.1 * step as f64 } else { 0.2 };
        assert_close(&[schedule.factor(step), schedule.blend(step)], &[wanted, wanted]);
    }
    let constant = Schedule { steps: 0, floor: 0.2 };
    assert_eq!((constant.factor(7), constant.blend(7)), (1.0, 1.0));
}
