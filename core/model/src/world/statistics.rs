//! Means against theory, for tests.

/// The mean of some values and its standard error.
pub(super) fn mean(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (mut n, mut sum, mut squares) = (0.0, 0.0, 0.0);
    for value in values {
        n += 1.0;
        sum += value;
        squares += value * value;
    }
    let mean = sum / n;
    (mean, ((squares / n - mean * mean) / n).sqrt())
}

/// Fails if a mean is four standard errors or more from theory; 6 of 100,000 right ones are.
#[track_caller]
pub(super) fn assert_mean(what: &str, (mean, error): (f64, f64), wanted: f64) {
    eprintln!("{what}: {mean:.5} ± {error:.5} for {wanted:.5}");
    assert!((mean - wanted).abs() <= 4.0 * error, "{what}: {mean} ± {error} for {wanted}");
}
