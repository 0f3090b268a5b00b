//! The wire: numbers as they are sent and kept, and what has been spent.

use offramp_scenario::Encoding;

/// Bytes that so many numbers take in a message, or in a device's memory.
pub(crate) fn bytes(encoding: Encoding, numbers: usize) -> u64 {
    let numbers = numbers as u64;
    match encoding {
        Encoding::F32 => 4 * numbers,
        Encoding::F16 => 2 * numbers,
        // And the scale.
        Encoding::Int8 => numbers + 4,
    }
}

/// Replaces the numbers of a message by what arrives of them.
pub(crate) fn send(encoding: Encoding, numbers: &mut [f32]) {
    match encoding {
        Encoding::F32 => {}
        Encoding::F16 => {
            for number in numbers {
                *number = half::f16::from_f32(*number).to_f32();
            }
        }
        Encoding::Int8 => {
            let largest = numbers.iter().fold(0.0_f32, |largest, number| largest.max(number.abs()));
            let scale = largest / 127.0;
            if scale > 0.0 {
                for number in numbers {
                    *number = (*number / scale).round() * scale;
                }
            }
        }
    }
}

/// What all devices of a policy have sent, received and spent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Spent {
    /// Bytes from devices.
    pub(crate) sent: u64,
    /// Bytes to devices.
    pub(crate) received: u64,
    /// States that a teacher valued.
    pub(crate) queries: u64,
    /// Messages that were refused, since they had numbers that are not finite.
    pub(crate) refused: u64,
    /// Messages that did not arrive.
    pub(crate) missing: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_arrives_as_exactly_as_its_bytes_allow() {
        let sent = |encoding| {
            let mut numbers = [1.0_f32, -0.3, 63.5, 0.0, 1000.1];
            send(encoding, &mut numbers);
            numbers
        };
        assert_eq!(sent(Encoding::F32), [1.0, -0.3, 63.5, 0.0, 1000.1]);
        assert_eq!(sent(Encoding::F16), [1.0, -0.300_048_83, 63.5, 0.0, 1000.0]);
        let near = sent(Encoding::Int8);
        let scale = 1000.1 / 127.0;
        assert!(
            near.iter()
                .zip([1.0, -0.3, 63.5, 0.0, 1000.1])
                .all(|(a, b)| (a - b).abs() <= 0.5001 * scale)
        );
        let mut zeros = [0.0; 2];
        send(Encoding::Int8, &mut zeros);
        assert_eq!(zeros, [0.0; 2]);
        assert_eq!(
            [Encoding::F32, Encoding::F16, Encoding::Int8].map(|one| bytes(one, 6)),
            [24, 12, 10]
        );
    }

    #[test]
    fn what_is_not_finite_stays_so() {
        for encoding in [Encoding::F32, Encoding::F16, Encoding::Int8] {
            let mut numbers = [1.0, f32::NAN];
            send(encoding, &mut numbers);
            assert!(numbers.iter().any(|number| !number.is_finite()), "{encoding:?}");
        }
    }
}
