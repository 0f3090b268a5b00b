//! The reward: cost and reward of a task that has ended (eqs. 11 and 12).

use crate::energy::EnergyAccounting;
use crate::system::System;
use crate::task::{EndedTask, Outcome};

/// R_base = 4·D_max: the reward of meeting the deadline, before the cost.
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
            10.0 * (energy.local + energy.transmit) / 20.0
        }
        EnergyAccounting::Physical => {
            let energy = &task.energy.physical;
            match system.reference_energy() {
                0.0 => 0.0,
                reference => 10.0 * (energy.local + energy.transmit + energy.idle) / reference,
            }
        }
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
        Outcome::Done => base_reward(system.deadline_slots()) - cost(system, task),
        Outcome::Dropped => -cost(system, task),
    }
}
