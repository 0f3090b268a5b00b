//! Memory: what learning will need, as far as the plugin knows, against what the machine has.

use offramp_host::Policy;
use offramp_scenario::{DistillationEntry, MiniBatch, Scenario};

use crate::origin::{NotCreated, Refusal};

/// Bytes that `policy`, which the scenario names in `field`, will need at most to learn; 0 if it
/// does not know.
///
/// # Errors
/// [`Refusal`] if that is more than the machine has; a plugin that crashes.
pub(crate) fn needed(field: &str, policy: &mut dyn Policy) -> Result<u64, NotCreated> {
    let needed = match policy.saved() {
        Some(saved) => saved.memory().map_err(NotCreated::Crashed)?,
        None => 0,
    };
    checked(field, "to learn, it needs", needed).map_err(NotCreated::Refused)
}

/// Bytes that the states of a distillation and its mini-batches need at most.
///
/// # Errors
/// [`Refusal`] if that is more than the machine has.
pub(crate) fn of_states(scenario: &Scenario, entry: &DistillationEntry) -> Result<u64, Refusal> {
    let servers = u64::from(scenario.system.server_count());
    let devices = u64::from(scenario.system.device_count());
    let width = scenario.observation.kind.width(scenario.system.server_count()) as u64;
    let window = u64::from(scenario.observation.history_slots) * servers;
    // As numbers of 4 bytes: features, values, device, window; and the file is made beside them.
    let state = 2 * 4 * (width + servers + 3);
    let states = entry.states.saturating_add(entry.rounds.saturating_mul(entry.round_states));
    let states = checked("distill.states", "they need", states.saturating_mul(state))?;
    let (rows, windows) = match entry.batch {
        MiniBatch::PerDevice(count) => {
            (count.saturating_mul(devices), count.saturating_mul(devices))
        }
        MiniBatch::Slots(count) => (count.saturating_mul(devices), count),
        MiniBatch::States(count) => (count, count),
    };
    // Numbers of 8 bytes, which the student scales to others of 4.
    let row = 12 * width + 4 * (servers + 3);
    let batch = rows.saturating_mul(row).saturating_add(windows.saturating_mul(12 * window));
    Ok(states.saturating_add(checked("distill.batch", "it needs", batch)?))
}

/// `needed`, unless it is more than the machine has.
fn checked(field: &str, what: &str, needed: u64) -> Result<u64, Refusal> {
    match physical() {
        Some(has) if needed > has => {
            let (needed, has) = (shown(needed), shown(has));
            let cause = format!("{what} up to {needed} of memory, and this machine has {has}");
            Err(Refusal { field: field.to_owned(), cause })
        }
        _ => Ok(needed),
    }
}

/// Bytes in the largest binary unit of which they are at least one, such as `2.9 GiB`.
pub fn shown(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let unit = bytes.checked_ilog2().unwrap_or(0) as usize / 10;
    let value = bytes as f64 / (1_u64 << (10 * unit)) as f64;
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// The machine's memory, bytes, if the system states it as Linux does.
fn physical() -> Option<u64> {
    let stated = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kib = stated.lines().find_map(|line| line.strip_prefix("MemTotal:")?.strip_suffix("kB"))?;
    kib.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_shown_in_binary_units() {
        let cases = [0, 1023, 1024, 3_113_851_290, u64::MAX].map(shown);
        assert_eq!(cases, ["0 B", "1023 B", "1.0 KiB", "2.9 GiB", "16.0 EiB"]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_machine_has_memory() {
        assert!(physical().unwrap() > 1 << 26);
    }
}
