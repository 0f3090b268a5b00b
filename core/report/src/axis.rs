//! Axes: what a figure's quantities are called on its axes and above its panels, with their units.

use offramp_results::exhibit::Quantity;
use offramp_results::metric::{self, Metric};

/// The label of an axis of AvgQoE.
pub const QOE: &str = "QoE per device";
/// The label of an axis of dropped tasks.
pub const DROPPED: &str = "dropped tasks per episode";

/// The label of an axis of the quantity: `mean delay (slots)`.
pub fn label(quantity: Quantity) -> String {
    match quantity {
        Quantity::Metric(metric) => metric_label(metric),
        Quantity::Parameters => "parameters, as the paper counts them".to_owned(),
        Quantity::Live(metric) => metric.title().to_owned(),
    }
}

/// The label of an axis of the metric with that id; the id itself if there is none.
pub(crate) fn of_metric(id: &str) -> String {
    metric::by_id(id).map_or_else(|| id.to_owned(), metric_label)
}

/// The label of an axis of the metric: `mean delay (slots)`.
pub fn metric_label(metric: &Metric) -> String {
    let Some(words) = words(metric.id) else {
        return with_unit(metric.title, metric.unit);
    };
    match metric.unit {
        // The words name these units themselves.
        "tasks" | "devices" | "reward" => words.to_owned(),
        "as accounted" => with_unit(words, "the scenario’s units"),
        unit => with_unit(words, unit),
    }
}

/// The label of an axis of a swept field of scenarios: `arrival probability`; the field's path if it has no
/// words of its own.
pub(crate) fn of_field(path: &str) -> &str {
    match path {
        "system.devices" => "devices",
        "system.servers" => "servers",
        "system.slots" => "slots with arrivals",
        "system.slot_seconds" => "length of a slot (s)",
        "system.device_ghz" => "speed of a device (GHz)",
        "system.server_ghz" => "speed of a server (GHz)",
        "system.uplink_mbps" => "speed of an uplink (Mbit/s)",
        "tasks.arrival_probability" => "arrival probability",
        "tasks.size_mbit" => "task size (Mbit)",
        "tasks.density" => "density ρ (Gcycles/Mbit)",
        "tasks.deadline_slots" => "deadline (slots)",
        "alpha.modes" => "power mode α",
        path => path,
    }
}

fn with_unit(words: &str, unit: &str) -> String {
    if unit.is_empty() { words.to_owned() } else { format!("{words} ({unit})") }
}

fn words(id: &str) -> Option<&'static str> {
    Some(match id {
        "tasks" => "tasks per episode",
        "devices" => "devices",
        "qoe" => QOE,
        "delay_slots" => "mean delay",
        "energy" => "energy per device",
        "dropped" => DROPPED,
        "completion_ratio" => "share of tasks completed",
        "local_share" => "share of tasks computed locally",
        "energy_per_task" => "energy per task",
        "delay_p50" => "median delay",
        "delay_p95" => "95th percentile of delay",
        "delay_p99" => "99th percentile of delay",
        "decision_us" => "time per decision",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_words_for_its_axis() {
        assert!(metric::all().iter().all(|metric| words(metric.id).is_some()));
        assert_eq!(of_metric("qoe"), "QoE per device");
        assert_eq!(of_metric("delay_slots"), "mean delay (slots)");
        assert_eq!(of_metric("dropped"), "dropped tasks per episode");
        assert_eq!(of_metric("energy"), "energy per device (the scenario’s units)");
    }

    #[test]
    fn a_swept_field_has_words_or_its_path() {
        assert_eq!(of_field("tasks.deadline_slots"), "deadline (slots)");
        assert_eq!(of_field("policies.0.parameters.x"), "policies.0.parameters.x");
    }
}
