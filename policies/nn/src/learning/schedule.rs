//! Annealing: a factor that falls while a network learns.

/// A factor that falls linearly from 1 to `floor` over `steps` steps and stays there. With 0
/// steps it stays 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// T, steps; 0 keeps the factor at 1.
    pub steps: u64,
    /// f, from 0 to 1.
    pub floor: f64,
}

impl Schedule {
    /// max(1 − (1 − f) · t / T, f) at step `step`.
    pub fn factor(self, step: u64) -> f64 {
        match self.steps {
            0 => 1.0,
            over => (1.0 - (1.0 - self.floor) * step as f64 / over as f64).max(self.floor),
        }
    }

    /// f + (1 − f) · max(1 − t / T, 0) at step `step`: the same line as [`Schedule::factor`], but
    /// rounded in another order, so that the last bit may differ. Learners keep the one they
    /// began with, since a training must stay bit-identical.
    pub fn blend(self, step: u64) -> f64 {
        let left = match self.steps {
            0 => 1.0,
            over => (1.0 - step as f64 / over as f64).max(0.0),
        };
        self.floor + (1.0 - self.floor) * left
    }
}

/// The slots of a training in which a network is updated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cadence {
    /// Slots between updates, at least 1.
    pub every_slots: u64,
    /// Slots before the first update.
    pub warm_up_slots: u64,
}

impl Cadence {
    /// True if there is an update after slot number `slots`, counted from 1.
    pub fn due_at(self, slots: u64) -> bool {
        slots >= self.warm_up_slots && slots.is_multiple_of(self.every_slots)
    }

    /// The updates in a training of so many slots.
    pub fn updates(self, slots: u64) -> u64 {
        let before = self.warm_up_slots.saturating_sub(1).min(slots);
        slots / self.every_slots - before / self.every_slots
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_falls_to_its_floor_and_stays() {
        let schedule = Schedule { steps: 100, floor: 0.1 };
        for (step, expected) in [(0, 1.0), (50, 0.55), (100, 0.1), (1000, 0.1)] {
            assert!((schedule.factor(step) - expected).abs() < 1e-15, "{step}");
            assert!((schedule.blend(step) - expected).abs() < 1e-15, "{step}");
        }
        let constant = Schedule { steps: 0, floor: 0.1 };
        assert_eq!((constant.factor(9), constant.blend(9)), (1.0, 1.0));
    }

    #[test]
    fn updates_are_counted_as_they_come_due() {
        for (every_slots, warm_up_slots) in [(1, 0), (10, 200), (7, 3), (7, 7), (4, 1000)] {
            let cadence = Cadence { every_slots, warm_up_slots };
            let due = (1..=500).filter(|&slots| cadence.due_at(slots)).count() as u64;
            assert_eq!(cadence.updates(500), due, "{cadence:?}");
        }
    }

    /// The floors in use leave the numbers that the formulas were once written with.
    #[test]
    fn what_lies_above_a_floor_in_use_is_not_rounded() {
        for (floor, above) in [(0.1, 0.9), (0.05, 0.95), (0.01, 0.99)] {
            assert_eq!(1.0 - floor, above);
        }
    }
}
