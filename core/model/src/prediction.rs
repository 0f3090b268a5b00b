//! Predictions: the delay and the energy of each action, as far as a device can work them out itself.
//!
//! They follow from the task, the device's own queues, its backlog at the server, and what it sees of
//! the server in this slot; nothing is foretold of what others decide. Computing locally is foretold
//! exactly. At a server, it is taken that rate and speed stay those of this slot, and that as many
//! devices share it as were active at the end of the last one (eq. 5).
//!
//! A prediction does not stop at the deadline, so that a late end and a very late one differ. Each
//! value is at most [`CAP`] times the scale of its column, and is so much where the task would never
//! get anywhere: without coverage, or at a server that is down.

use crate::energy::EnergyAccounting;
use crate::reward;
use crate::system::System;
use crate::task::Arrival;

/// The largest value of a prediction, as a multiple of its scale.
pub(crate) const CAP: f64 = 4.0;

/// The scale of a predicted energy: E_scaled of the costliest way, by the physical accounting.
pub(crate) const ENERGY_SCALE: f64 = 10.0;

/// The predicted outcome of an action.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Prediction {
    /// D if there were no deadline: slots up to the end of the task, counting this one.
    pub(crate) delay_slots: f64,
    /// E_scaled.
    pub(crate) energy: f64,
}

/// The way of a task to a server and the server itself, as they are in this slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    /// τ^T of the device, slots.
    pub(crate) uplink_queue_slots: f64,
    /// R, Mbit/s; 0 without coverage.
    pub(crate) uplink_mbps: f64,
    /// On the backhaul.
    pub(crate) wired_slots: f64,
    /// Speed of the server, less in an outage; 0 if it is down.
    pub(crate) ghz: f64,
    /// m(t−1) of the server, devices.
    pub(crate) load: f64,
    /// B^E: Mbit of the device in service and waiting at the server.
    pub(crate) backlog_mbit: f64,
}

/// The outcome of computing on the device, whose CPU is busy for `compute_queue_slots`.
pub(crate) fn local(system: &System, arrival: &Arrival, compute_queue_slots: f64) -> Prediction {
    let parameters = system.parameters();
    let device = &parameters.devices[arrival.device as usize];
    let Arrival { size_mbit, density, .. } = *arrival;
    let per_slot = device.cpu_ghz * parameters.slot_seconds / density;
    let slots = (size_mbit / per_slot).ceil();
    let energy = match system.energy() {
        EnergyAccounting::Physical => device.compute_w * size_mbit * density / device.cpu_ghz,
        EnergyAccounting::Published => {
            // c² for each full slot, (left/ρ)·c for the last.
            let left = size_mbit - (slots - 1.0) * per_slot;
            (slots - 1.0) * per_slot * per_slot + left / density * per_slot
        }
    };
    capped(system, compute_queue_slots + slots, reward::scaled(system, energy))
}

/// The outcome of sending the task to a server.
#[inline(always)]
pub(crate) fn offloaded(system: &System, arrival: &Arrival, way: &Way) -> Prediction {
    let &Way { uplink_queue_slots, uplink_mbps, wired_slots, ghz, load, backlog_mbit } = way;
    if uplink_mbps <= 0.0 || ghz <= 0.0 {
        return capped(system, f64::INFINITY, f64::INFINITY);
    }
    let parameters = system.parameters();
    let device = &parameters.devices[arrival.device as usize];
    let Arrival { size_mbit, density, .. } = *arrival;
    let slot_seconds = parameters.slot_seconds;
    let sent_per_slot = uplink_mbps * slot_seconds;
    let sending = (size_mbit / sent_per_slot).ceil();
    let at_server = uplink_queue_slots + sending + wired_slots;
    // Eq. (5): the device is one of those that share the server, or joins them.
    let sharing = if backlog_mbit > 0.0 { load.max(1.0) } else { load + 1.0 };
    let served_per_slot = ghz * slot_seconds / density / sharing;
    let backlog_then = (backlog_mbit - served_per_slot * at_server).max(0.0);
    let waiting = (backlog_then / served_per_slot).ceil();
    // Of the last slot, the device waits for the fraction that its service takes.
    let service = size_mbit / served_per_slot;
    let energy = match system.energy() {
        EnergyAccounting::Physical => {
            device.transmit_w * size_mbit / uplink_mbps
                + device.idle_w * (wired_slots + waiting + service) * slot_seconds
        }
        EnergyAccounting::Published => sending * sent_per_slot * device.transmit_w,
    };
    let delay_slots = at_server + waiting + service.ceil();
    capped(system, delay_slots, reward::scaled(system, energy))
}

#[inline]
fn capped(system: &System, delay_slots: f64, energy: f64) -> Prediction {
    Prediction {
        delay_slots: delay_slots.min(CAP * f64::from(system.deadline_slots())),
        energy: energy.min(CAP * ENERGY_SCALE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::SystemParameters;

    /// 5 Mbit of ρ = 0.13 and α = 0.25.
    const TASK: Arrival = Arrival {
        device: 0,
        size_mbit: 5.0,
        density: 0.13,
        alpha: 0.25,
        deadline_slots: 10,
        class: 0,
    };

    /// Over an uplink that is busy for two slots, to a server where 20 devices are active, this one
    /// with 50 Mbit among them.
    const CROWDED: Way = Way {
        uplink_queue_slots: 2.0,
        uplink_mbps: 14.0,
        wired_slots: 0.0,
        ghz: 42.0,
        load: 20.0,
        backlog_mbit: 50.0,
    };
    const EMPTY: Way = Way { load: 0.0, backlog_mbit: 0.0, ..CROWDED };

    fn system(energy: EnergyAccounting) -> System {
        System::new(SystemParameters { energy, ..SystemParameters::paper(1, 2) }).unwrap()
    }

    #[track_caller]
    fn check(found: Prediction, delay_slots: f64, energy: f64) {
        assert_eq!(found.delay_slots, delay_slots, "{found:?}");
        assert!((found.energy - energy).abs() < 1e-6, "{found:?}, not {energy}");
    }

    /// 2 Mbit a slot at 2.6 GHz, after one slot of another task; 1.4 Mbit a slot over the uplink;
    /// 32.3 Mbit at a server of 42 GHz.
    #[test]
    fn delay_and_energy_by_hand() {
        // Locally 1 + 3 slots. At the crowded server it is sent in 2 + 4 slots; by then 50 − 6·1.6154
        // Mbit are left before it, 25 slots of 1.6154 Mbit, and its own take 3.0952: 35 slots. At the
        // empty one it takes 0.1548 of a slot.
        // Published: two full slots of 2² and (1/0.13)·2; four slots of 1.4 Mbit at 2.3 W. Over 2.
        let published = system(EnergyAccounting::Published);
        let sent = 4.0 * 1.4 * 2.3 / 2.0;
        check(local(&published, &TASK, 1.0), 4.0, (8.0 + 2.0 / 0.13) / 2.0);
        check(offloaded(&published, &TASK, &CROWDED), 35.0, sent);
        check(offloaded(&published, &TASK, &EMPTY), 7.0, sent);
        // Physical: 2 W · 0.25 s; 2.3 W · 5/14 s, and 0.1 W while it is at the server. Ten times
        // that over E_ref, 7 Mbit of 0.397 Gcycles/Mbit computed locally.
        let physical = system(EnergyAccounting::Physical);
        let tenth = 2.0 * 7.0 * 0.397 / 2.6 / 10.0;
        let sent = 2.3 * 5.0 / 14.0;
        check(local(&physical, &TASK, 1.0), 4.0, 0.5 / tenth);
        check(offloaded(&physical, &TASK, &CROWDED), 35.0, (sent + 0.01 * 28.095_238) / tenth);
        check(offloaded(&physical, &TASK, &EMPTY), 7.0, (sent + 0.01 * 0.154_762) / tenth);
    }

    /// 4 Mbit of ρ = 0.297, 14.14 Mbit a slot for a device alone, and three slots of sending.
    #[test]
    fn a_loaded_server_is_shared() {
        let system = system(EnergyAccounting::Published);
        let task = Arrival { size_mbit: 4.0, density: 0.297, ..TASK };
        let delay = |load: f64, backlog_mbit: f64| {
            let way = Way { uplink_queue_slots: 0.0, load, backlog_mbit, ..CROWDED };
            offloaded(&system, &task, &way).delay_slots
        };
        // With 9 others and with one, 10 and 2 in all: 1.414 and 7.07 Mbit a slot.
        assert_eq!((delay(9.0, 0.0), delay(1.0, 0.0)), (6.0, 4.0));
        // With a task there itself it is one of the 9: 1.571 Mbit a slot, and 5 of its 6 Mbit are
        // done by the time it gets there.
        assert_eq!(delay(9.0, 6.0), 3.0 + 1.0 + 3.0);
        // Alone.
        assert_eq!(delay(0.0, 0.0), 4.0);
        // The wired way comes between, and half a server takes two slots less a bit.
        let wired = Way { uplink_queue_slots: 0.0, wired_slots: 2.0, ghz: 10.5, ..EMPTY };
        assert_eq!(offloaded(&system, &task, &wired).delay_slots, 3.0 + 2.0 + 2.0);
    }

    /// All of it is finite, and as bad as can be where the task never gets anywhere.
    #[test]
    fn what_never_ends_is_predicted_at_the_cap() {
        for energy in [EnergyAccounting::Published, EnergyAccounting::Physical] {
            let system = system(energy);
            let never = Prediction { delay_slots: 40.0, energy: 40.0 };
            let uncovered = Way { uplink_mbps: 0.0, ..EMPTY };
            let down = Way { ghz: 0.0, ..EMPTY };
            let hardly = Way { uplink_mbps: 1e-300, ghz: 1e-300, ..CROWDED };
            assert_eq!(offloaded(&system, &TASK, &uncovered), never);
            assert_eq!(offloaded(&system, &TASK, &down), never);
            assert_eq!(offloaded(&system, &TASK, &hardly).delay_slots, 40.0);
            assert!(offloaded(&system, &TASK, &hardly).energy <= 40.0);
            let late = Way { backlog_mbit: 500.0, ..CROWDED };
            assert_eq!(offloaded(&system, &TASK, &late).delay_slots, 40.0);
        }
        // Where nothing takes any energy, none is scaled.
        let mut parameters = SystemParameters::paper(1, 1);
        parameters.energy = EnergyAccounting::Physical;
        let device = &mut parameters.devices[0];
        (device.compute_w, device.transmit_w, device.idle_w) = (0.0, 0.0, 0.0);
        let free = System::new(parameters).unwrap();
        check(local(&free, &TASK, 1.0), 4.0, 0.0);
        check(offloaded(&free, &TASK, &EMPTY), 7.0, 0.0);
    }
}
