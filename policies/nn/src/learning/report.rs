//! What updates show: loss, gradient norm, Q and errors, and their means.

/// What an update shows, means over its batch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Update {
    /// The loss that was descended.
    pub loss: f64,
    /// Of the gradient, before it is clipped.
    pub gradient_norm: f64,
    /// Q(s, a).
    pub q: f64,
    /// |Q(s, a) − Y|.
    pub td_error: f64,
}

/// A loss that is not finite.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("its loss is {0}: a smaller learning rate?")]
pub struct LossNotFinite(f64);

/// Sums of what updates showed, since each was last asked for.
#[derive(Clone, Debug, Default)]
pub struct UpdateReport {
    loss: f64,
    losses: u64,
    shown: Update,
    updates: u64,
    /// Since the last diagnostics.
    multiply_adds: u64,
}

impl UpdateReport {
    /// Counts an update.
    ///
    /// # Errors
    /// [`LossNotFinite`]: the training can't go on.
    pub fn add(&mut self, update: &Update) -> Result<(), LossNotFinite> {
        let Update { loss, gradient_norm, q, td_error } = *update;
        if !loss.is_finite() {
            return Err(LossNotFinite(loss));
        }
        self.loss += loss;
        self.losses += 1;
        self.shown.gradient_norm += gradient_norm;
        self.shown.q += q;
        self.shown.td_error += td_error;
        self.updates += 1;
        Ok(())
    }

    /// The updates since the last call, and their mean loss; 0 if there were none.
    pub fn take_loss(&mut self) -> (u64, f64) {
        let count = std::mem::take(&mut self.losses);
        match count {
            0 => (0, 0.0),
            _ => (count, std::mem::take(&mut self.loss) / count as f64),
        }
    }

    /// Counts the multiply-adds of so many passes over so many rows, each of the size of a forward pass; the
    /// backward pass of a row is two.
    pub fn count_passes(&mut self, operations: usize, passes: usize, rows: usize) {
        self.multiply_adds += (operations / 2 * passes * rows) as u64;
    }

    /// Means over the updates since the last call, by name; `scale` is the unit of values. And
    /// `multiply_adds`, the sum of all that were counted since.
    pub fn take_diagnostics(&mut self, scale: f64) -> Vec<(String, f64)> {
        let count = std::mem::take(&mut self.updates);
        let multiply_adds = std::mem::take(&mut self.multiply_adds);
        let Update { gradient_norm, q, td_error, .. } = std::mem::take(&mut self.shown);
        let mut all = Vec::new();
        if count > 0 {
            let means = [
                ("gradient_norm", gradient_norm),
                ("q", q * scale),
                ("td_error", td_error * scale),
            ];
            all.extend(means.map(|(name, sum)| (name.to_owned(), sum / count as f64)));
        }
        if multiply_adds > 0 {
            all.push(("multiply_adds".to_owned(), multiply_adds as f64));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_of_the_updates_since_the_last_call() {
        let mut report = UpdateReport::default();
        assert_eq!(report.take_loss(), (0, 0.0));
        assert!(report.take_diagnostics(2.0).is_empty());
        report.count_passes(10, 3, 4);
        assert_eq!(report.take_diagnostics(2.0), [("multiply_adds".to_owned(), 60.0)]);
        for loss in [1.0, 3.0] {
            report.add(&Update { loss, gradient_norm: loss, q: 4.0, td_error: 0.5 }).unwrap();
        }
        assert_eq!(report.take_loss(), (2, 2.0));
        assert_eq!(report.take_loss(), (0, 0.0));
        let names = ["gradient_norm", "q", "td_error"].map(str::to_owned);
        let expected: Vec<_> = names.into_iter().zip([2.0, 8.0, 1.0]).collect();
        assert_eq!(report.take_diagnostics(2.0), expected);
        let error = report.add(&Update { loss: f64::NAN, ..Update::default() }).unwrap_err();
        assert_eq!(error.to_string(), "its loss is NaN: a smaller learning rate?");
    }
}
