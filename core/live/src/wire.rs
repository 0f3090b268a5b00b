//! The wire: numbers as they are sent and kept, and what has been spent.

use offramp_host::plugin::Needs;
use offramp_model::{Column, ObservationSpec, System, observation};
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

/// Like [`send`], for numbers in different units. `scales` has a value per number, above 0, that it rarely
/// exceeds; both ends know it. With one scale for metres and Mbit, eight bits would round the Mbit to 0.
pub(crate) fn send_scaled(encoding: Encoding, numbers: &mut [f32], scales: &[f32]) {
    if encoding != Encoding::Int8 {
        return send(encoding, numbers);
    }
    for (number, scale) in numbers.iter_mut().zip(scales) {
        *number /= scale;
    }
    send(encoding, numbers);
    for (number, scale) in numbers.iter_mut().zip(scales) {
        *number *= scale;
    }
}

/// The scales of what devices send.
#[derive(Clone, Debug)]
pub(crate) struct Scales {
    /// F.
    pub(crate) features: Vec<f32>,
    /// C_t.
    tasks: Vec<f32>,
    /// C_l × M.
    links: Vec<f32>,
    /// That of a load.
    pub(crate) load: f32,
}

impl Scales {
    /// Those of a scenario's observation in `system`.
    pub(crate) fn new(system: &System, observation: ObservationSpec) -> Self {
        let servers = system.server_count() as usize;
        let features = observation::features(system, observation.kind);
        let column = |column: &Column| column.scale(system) as f32;
        let of_links = observation::link_columns().iter();
        Self {
            features: features.iter().map(|feature| feature.scale as f32).collect(),
            tasks: observation::task_columns().iter().map(column).collect(),
            links: of_links.flat_map(|link| std::iter::repeat_n(column(link), servers)).collect(),
            load: observation::load_scale(system) as f32,
        }
    }

    /// Those of the numbers that a device sends of a state to someone with these needs.
    pub(crate) fn of_state(&self, needs: Needs) -> Vec<f32> {
        let parts = [
            (Needs::FEATURES, &self.features),
            (Needs::TASKS, &self.tasks),
            (Needs::LINKS, &self.links),
        ];
        let read = parts.iter().filter(|(need, _)| needs.includes(*need));
        read.flat_map(|(_, scales)| scales.iter().copied()).collect()
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
    fn columns_of_small_units_arrive_beside_those_of_large_ones() {
        let numbers = [900.0_f32, 3.0, 0.25];
        let arrived = |send: &dyn Fn(&mut [f32])| {
            let mut arrived = numbers;
            send(&mut arrived);
            arrived
        };
        // One scale for all leaves nothing of what is below half of its step.
        assert_eq!(arrived(&|all| send(Encoding::Int8, all))[1..], [0.0, 0.0]);
        let scales = [1000.0, 7.0, 1.0];
        let found = arrived(&|all| send_scaled(Encoding::Int8, all, &scales));
        for ((found, sent), scale) in found.iter().zip(numbers).zip(scales) {
            assert!((found - sent).abs() <= scale * 0.9 / 127.0 * 0.5001, "{found}, not {sent}");
        }
        // Other encodings have a scale in each number.
        let found = arrived(&|all| send_scaled(Encoding::F16, all, &scales));
        assert_eq!(found, arrived(&|all| send(Encoding::F16, all)));
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
