//! Quantities that a scenario describes, from its fields to the system.

use std::path::Path;

use offramp_scenario::Experiment;

/// The fault of a scenario with these fields.
fn fault(fields: &str) -> Option<String> {
    let text = format!("(name: \"x\", {fields})");
    Experiment::parse("x.ron", text, Path::new("."), &[]).err().map(|fault| fault.message)
}

/// A distribution is accepted or refused as a whole, whatever values a seed draws from it.
#[test]
fn a_distribution_must_lie_in_the_range_of_its_quantity() {
    for (fields, expected) in [
        (
            "tasks: (arrival_probability: Uniform(0.5, 1.01))",
            "1.01 is out of range: a number from 0 to 1",
        ),
        ("system: (device_ghz: Uniform(0, 5))", "0 is out of range: a number above 0"),
        ("system: (server_ghz: Choice([40, 0]))", "0 is out of range: a number above 0"),
        ("system: (power: (idle_w: Uniform(-1, 1)))", "-1 is out of range: a number of 0 or more"),
    ] {
        for seed in 1..6 {
            let fields = format!("evaluate: (seed: {seed}), {fields}");
            let message = fault(&fields).unwrap_or_default();
            let start: String = message.chars().take(expected.chars().count()).collect();
            assert_eq!(start, expected, "{message}");
        }
    }
    assert_eq!(fault("tasks: (arrival_probability: Uniform(0, 1))"), None);
    assert_eq!(fault("system: (uplink_mbps: Uniform(0, 9), power: (idle_w: Uniform(0, 1)))"), None);
}
