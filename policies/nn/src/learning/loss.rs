//! The loss of an error of Q, and its derivative.

use serde::{Deserialize, Serialize};

use crate::real::Real;

/// The loss of an error e = Q − Y.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Loss {
    /// e².
    Squared,
    /// e²/2 up to the given |e|, then linear (Huber 1964). The width is above 0.
    Huber(f64),
}

impl Loss {
    /// Loss and derivative at an error.
    pub fn of<F: Real>(self, error: F) -> (F, F) {
        let half = F::of(0.5);
        match self {
            Self::Squared => (error * error, error + error),
            Self::Huber(width) => {
                let width = F::of(width);
                let size = if error < F::ZERO { -error } else { error };
                if size <= width {
                    (half * error * error, error)
                } else {
                    let slope = if error < F::ZERO { -width } else { width };
                    (width * (size - half * width), slope)
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_by_hand() {
        assert_eq!(Loss::Squared.of(-3.0), (9.0, -6.0));
        assert_eq!(Loss::Huber(2.0).of(1.0), (0.5, 1.0));
        assert_eq!(Loss::Huber(2.0).of(-5.0), (8.0, -2.0));
    }
}
