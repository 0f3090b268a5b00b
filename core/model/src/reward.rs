//! The reward: cost and reward of a task that has ended (eqs. 11 and 12).

use crate::energy::EnergyAccounting;
use crate::system::System;
use crate::task::{EndedTask, Outcome};

/// R_base = 4·D_max of a task: the reward of meeting the deadline, before the cost.
pub fn base_reward(deadline_slots: u32) -> f64 {
    4.0 * f64::from(deadline_slots)
}

/// E_scaled of eq. (11), dimensionless.
///
/// Published accounting: 10·(local + transmit)/20. Physical accounting: 10·E/E_ref, with E the
/// device's energy of eq. (8) (local + transmit + idle) and E_ref that of
/// [`System::reference_energy`]; 0 where E_ref is 0, since nothing that could be compared takes any
/// energy.
pub fn scaled_energy(system: &System, task: &EndedTask) -> f64 {
    match system.energy() {
        EnergyAccounting::Published => {
            let energy = &task.energy.published;
            scaled(system, energy.local + energy.transmit)
        }
        EnergyAccounting::Physical => {
            let energy = &task.energy.physical;
            scaled(system, energy.local + energy.transmit + energy.idle)
        }
    }
}

/// E_scaled of the energy that counts by the system's accounting, in its unit.
pub(crate) fn scaled(system: &System, energy: f64) -> f64 {
    match system.energy() {
        EnergyAccounting::Published => 10.0 * energy / 20.0,
        EnergyAccounting::Physical => match system.reference_energy() {
            0.0 => 0.0,
            reference => 10.0 * energy / reference,
        },
    }
}

/// Cost of a task (eq. 11): 2·(α·D + (1 − α)·E_scaled), 0 or above, with D in slots.
pub fn cost(system: &System, task: &EndedTask) -> f64 {
    2.0 * (task.alpha * f64::from(task.delay_slots)
        + (1.0 - task.alpha) * scaled_energy(system, task))
}

/// Reward of a task (eq. 12), its quality of experience: R_base − cost if done, −cost if dropped.
pub fn reward(system: &System, task: &EndedTask) -> f64 {
    match task.outcome {
        Outcome::Done => base_reward(task.deadline_slots) - cost(system, task),
        Outcome::Dropped => -cost(system, task),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::energy::{Energies, Energy};
    use crate::system::SystemParameters;

    /// Eqs. (11) and (12) by hand.
    #[test]
    fn cost_and_reward_of_a_task() {
        let mut task = EndedTask {
            device: 0,
            arrival_slot: 0,
            action: 0,
            outcome: Outcome::Done,
            delay_slots: 6,
            deadline_slots: 10,
            class: 0,
            sent_slot: None,
            service_slot: Some(2),
            size_mbit: 1.0,
            density: 0.3,
            alpha: 0.25,
            energy: Energies {
                published: Energy { local: 3.0, transmit: 5.0, server: 100.0, idle: 200.0 },
                physical: Energy { local: 0.25, transmit: 0.5, server: 9.0, idle: 1.0 },
            },
        };
        let mut parameters = SystemParameters::paper(1, 1);
        let published = System::new(parameters.clone()).unwrap();
        parameters.energy = EnergyAccounting::Physical;
        // E_ref: 7 Mbit of 0.397 Gcycles/Mbit at 2.6 GHz.
        let physical = System::new(parameters.clone()).unwrap();
        let reference = 2.0 * 7.0 * 0.397 / 2.6;
        assert_eq!(base_reward(10), 40.0);
        for (system, scaled) in [(&published, 4.0), (&physical, 17.5 / reference)] {
            let expected = 2.0 * (0.25 * 6.0 + 0.75 * scaled);
            assert!((scaled_energy(system, &task) - scaled).abs() < 1e-12);
            assert!((cost(system, &task) - expected).abs() < 1e-12);
            assert!((reward(system, &task) - (40.0 - expected)).abs() < 1e-12);
            task.outcome = Outcome::Dropped;
            assert!((reward(system, &task) + expected).abs() < 1e-12);
            task.outcome = Outcome::Done;
        }
        // Where nothing takes any energy, there is none to compare with.
        let device = &mut parameters.devices[0];
        (device.compute_w, device.transmit_w, device.idle_w) = (0.0, 0.0, 0.0);
        let free = System::new(parameters).unwrap();
        assert_eq!(scaled_energy(&free, &task), 0.0);
    }
}
