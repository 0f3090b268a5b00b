//! Recorded tracks: timed positions of devices.

use std::sync::Arc;

use super::{Area, Bodies, Position, check_inside};
use crate::world::InvalidWorld;

/// The position of a device at one time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Seconds since the start of slot 0, any finite number.
    pub time_s: f64,
    /// The device.
    pub device: u32,
    /// Its position.
    pub place: Position,
}

/// Recorded tracks, checked. Between two samples a device moves in a straight
/// line at constant speed.
#[derive(Clone, Debug, PartialEq)]
pub struct Tracks {
    /// All samples, by device and then time.
    points: Vec<Point>,
    /// First point of each device, and one past the last of all; one more entry than devices.
    starts: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    time_s: f64,
    place: Position,
    /// Length of the track up to here.
    travelled_m: f64,
}

/// The first fault of recorded tracks.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("sample {index}: {fault}")]
pub struct InvalidTracks {
    /// The sample, counted from 0 in the order given.
    pub index: usize,
    /// The fault.
    pub fault: TrackFault,
}

/// A fault of one sample.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TrackFault {
    /// A number is infinite or not a number, or beyond 10¹⁵.
    #[error("{quantity} is not a finite number of at most 1e15")]
    NotFinite {
        /// The field of [`Sample`].
        quantity: &'static str,
    },
    /// Another sample has the same device and time.
    #[error("device {device} has two samples at {time_s} s")]
    Duplicate {
        /// The device.
        device: u32,
        /// The time, seconds.
        time_s: f64,
    },
    /// Its device has a number that no system can have.
    #[error("device {device} is out of range: there are at most 4294967294 devices")]
    Device {
        /// The device.
        device: u32,
    },
}

impl Tracks {
    /// The tracks of these samples, in any order. Devices without a sample are never present.
    ///
    /// # Errors
    /// [`InvalidTracks`] names the first sample whose time or position is not finite, or the later of
    /// two samples of one device and time.
    pub fn new(samples: &[Sample]) -> Result<Self, InvalidTracks> {
        for (index, sample) in samples.iter().enumerate() {
            let Sample { time_s, device, place: Position { x_m, y_m } } = *sample;
            for (quantity, value) in [("time_s", time_s), ("x_m", x_m), ("y_m", y_m)] {
                if !(-1e15..=1e15).contains(&value) {
                    let fault = TrackFault::NotFinite { quantity };
                    return Err(InvalidTracks { index, fault });
                }
            }
            if device == u32::MAX {
                return Err(InvalidTracks { index, fault: TrackFault::Device { device } });
            }
        }
        let mut order: Vec<usize> = (0..samples.len()).collect();
        let key = |index: usize| (samples[index].device, samples[index].time_s);
        order.sort_by(|&a, &b| {
            let ((device, time), (other, other_time)) = (key(a), key(b));
            device.cmp(&other).then(time.total_cmp(&other_time)).then(a.cmp(&b))
        });
        if let Some(pair) = order.windows(2).find(|pair| key(pair[0]) == key(pair[1])) {
            let (device, time_s) = key(pair[1]);
            let fault = TrackFault::Duplicate { device, time_s };
            return Err(InvalidTracks { index: pair[1], fault });
        }
        let devices = order.last().map_or(0, |&last| samples[last].device as usize + 1);
        let (mut points, mut starts) = (Vec::<Point>::with_capacity(order.len()), vec![0]);
        for sample in order.into_iter().map(|index| samples[index]) {
            while starts.len() <= sample.device as usize {
                starts.push(points.len());
            }
            let first = points.len() == starts[sample.device as usize];
            let before = points.last().filter(|_| !first);
            let travelled_m = before
                .map_or(0.0, |before| before.travelled_m + before.place.distance_m(sample.place));
            points.push(Point { time_s: sample.time_s, place: sample.place, travelled_m });
        }
        starts.resize(devices, points.len());
        starts.push(points.len());
        Ok(Self { points, starts })
    }

    /// Number of devices: one more than the largest.
    pub fn device_count(&self) -> u32 {
        (self.starts.len() - 1) as u32
    }

    /// False for a device without a sample, which is never present.
    pub fn has(&self, device: u32) -> bool {
        let device = device as usize;
        self.starts.get(device + 1).is_some_and(|end| self.starts[device] < *end)
    }

    /// Slots up to the last sample, the slot of that one too.
    pub fn slot_count(&self, slot_seconds: f64) -> u32 {
        let last = self.points.iter().map(|point| point.time_s).fold(0.0, f64::max);
        ((last / slot_seconds + 1e-6) as u32).saturating_add(1)
    }

    /// Checks that these are tracks of at most `devices` devices in `area`.
    pub(super) fn check(&self, area: Area, devices: u32) -> Result<(), InvalidWorld> {
        if self.device_count() > devices {
            let fault =
                format!("tracks of {} devices: the system has {devices}", self.device_count());
            return Err(InvalidWorld { parameter: "tracks", fault });
        }
        self.points.iter().try_for_each(|point| check_inside("tracks", area, point.place))
    }

    fn of(&self, device: usize) -> &[Point] {
        match self.starts.get(device..device + 2) {
            Some(bounds) => &self.points[bounds[0]..bounds[1]],
            None => &[],
        }
    }
}

/// The progress of the devices along their tracks.
#[derive(Clone, Debug)]
pub(super) struct State {
    tracks: Arc<Tracks>,
    slot: u64,
    /// Samples of each device that lie in the past or present.
    passed: Vec<u32>,
    present: Vec<bool>,
    /// Length of a track up to slot 0.
    before_m: Vec<f64>,
}

impl State {
    pub(super) fn new(tracks: &Arc<Tracks>, bodies: &mut Bodies) -> Self {
        let devices = bodies.x_m.len();
        let mut state = Self {
            tracks: Arc::clone(tracks),
            slot: 0,
            passed: vec![0; devices],
            present: vec![false; devices],
            before_m: vec![0.0; devices],
        };
        state.begin(0, bodies);
        state
    }

    /// Makes `slot` of the tracks the present one and the origin of distances.
    pub(super) fn begin(&mut self, slot: u64, bodies: &mut Bodies) {
        self.slot = slot;
        self.passed.fill(0);
        self.before_m.fill(0.0);
        self.read(bodies);
        self.before_m.copy_from_slice(&bodies.travelled_m);
        bodies.travelled_m.fill(0.0);
    }

    pub(super) fn advance(&mut self, bodies: &mut Bodies) {
        self.slot += 1;
        self.read(bodies);
    }

    pub(super) fn is_present(&self, device: u32) -> bool {
        self.present[device as usize]
    }

    fn read(&mut self, bodies: &mut Bodies) {
        let time = self.slot as f64 * bodies.slot_seconds;
        // Slot 3 of 0.1 s is at 0.30000000000000004 s, and a sample at 0.3 s is in it.
        let rounding = 1e-6 * bodies.slot_seconds;
        for device in 0..self.passed.len() {
            let track = self.tracks.of(device);
            let mut passed = self.passed[device] as usize;
            while track.get(passed).is_some_and(|next| next.time_s <= time + rounding) {
                passed += 1;
            }
            self.passed[device] = passed as u32;
            let (last, next) = (passed.checked_sub(1).map(|last| track[last]), track.get(passed));
            let (place, travelled_m, speed_mps, present) = match (last, next) {
                (Some(last), Some(next)) => {
                    let (seconds, length) =
                        (next.time_s - last.time_s, next.travelled_m - last.travelled_m);
                    let share = ((time - last.time_s) / seconds).max(0.0);
                    let between = |from: f64, to: f64| from + share * (to - from);
                    let place = Position {
                        x_m: between(last.place.x_m, next.place.x_m),
                        y_m: between(last.place.y_m, next.place.y_m),
                    };
                    (place, last.travelled_m + share * length, length / seconds, true)
                }
                (Some(last), None) => {
                    (last.place, last.travelled_m, 0.0, time <= last.time_s + rounding)
                }
                (None, Some(next)) => (next.place, 0.0, 0.0, false),
                (None, None) => (Position::default(), 0.0, 0.0, false),
            };
            bodies.place(device, place);
            bodies.speed_mps[device] = speed_mps;
            bodies.travelled_m[device] = travelled_m - self.before_m[device];
            self.present[device] = present;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(time_s: f64, device: u32, x_m: f64, y_m: f64) -> Sample {
        Sample { time_s, device, place: Position { x_m, y_m } }
    }

    #[test]
    fn samples_may_come_in_any_order_and_devices_may_be_missing() {
        let samples = [
            sample(2.0, 3, 9.0, 4.0),
            sample(0.0, 1, 1.0, 1.0),
            sample(1.0, 3, 6.0, 0.0),
            sample(5.0, 1, 1.0, 3.0),
        ];
        let tracks = Tracks::new(&samples).unwrap();
        assert_eq!(tracks.device_count(), 4);
        let lengths = [0, 1, 2, 3, 4].map(|device| tracks.of(device).len());
        assert_eq!(lengths, [0, 2, 0, 2, 0]);
        assert_eq!(tracks.of(3)[1].travelled_m, 5.0);
        assert_eq!(tracks.of(1)[1].travelled_m, 2.0);
        assert_eq!(Tracks::new(&[]).unwrap().device_count(), 0);
    }

    #[test]
    fn samples_that_contradict_each_other_are_refused() {
        let fault = |samples: &[Sample]| Tracks::new(samples).unwrap_err().to_string();
        let good = sample(1.0, 0, 2.0, 2.0);
        assert_eq!(
            fault(&[good, sample(2.0, 0, 2.0, 2.0), good]),
            "sample 2: device 0 has two samples at 1 s"
        );
        assert_eq!(
            fault(&[good, sample(f64::NAN, 0, 2.0, 2.0)]),
            "sample 1: time_s is not a finite number of at most 1e15"
        );
        assert_eq!(
            fault(&[sample(1.0, 0, 2.0, f64::INFINITY)]),
            "sample 0: y_m is not a finite number of at most 1e15"
        );
        assert!(fault(&[sample(1.0, u32::MAX, 0.0, 0.0)]).contains("out of range"));
    }
}
