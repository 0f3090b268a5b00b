//! Hardware: the devices and servers that a policy was trained on, as one hash.
//!
//! A device's own network has learned that device: its speed, its powers, its uplinks. On other
//! hardware network i would decide for another device i. So a checkpoint records the hash of the
//! hardware, and a policy with one network per device refuses a checkpoint of another.
//!
//! The hash covers each quantity in which devices or servers differ, and where stations are. One that is the same for all
//! distinguishes none of them and is left out. So if everything is alike, there is no hash, and
//! networks may be carried to other speeds, deadlines and loads. The arrival probability of a
//! device describes its tasks, not its hardware.

use offramp_model::world::Position;
use offramp_model::{PreferenceRule, System, Uplink, UplinkRates};
use offramp_results::files::sha256;

/// SHA-256 of the hardware of a system, in hexadecimal; empty if devices, servers and uplinks are
/// alike and no device keeps a power mode of its own.
pub fn hardware_sha256(system: &System) -> String {
    let parameters = system.parameters();
    let (devices, servers) = (parameters.devices.iter(), parameters.servers.iter());
    let preference = &parameters.power_preference;
    let modes = match preference.rule {
        PreferenceRule::Fixed(streams) => values("modes", preference.modes.iter().copied())
            .map(|modes| format!("{modes} drawn {:016x}", streams.seed())),
        PreferenceRule::PerEpisode | PreferenceRule::Switching(_) => None,
    };
    let differing: Vec<String> = [
        values("device_ghz", devices.clone().map(|device| device.cpu_ghz)),
        values("compute_w", devices.clone().map(|device| device.compute_w)),
        values("transmit_w", devices.clone().map(|device| device.transmit_w)),
        values("idle_w", devices.map(|device| device.idle_w)),
        values("server_ghz", servers.clone().map(|server| server.ghz)),
        values("server_w", servers.map(|server| server.power_w)),
        match &parameters.uplink {
            Uplink::Constant(rates) => uplink(rates),
            // Each episode plays another part of a recording: no device keeps rates of its own.
            Uplink::Recorded(_) => None,
        },
        parameters.world.as_ref().and_then(|world| stations(&world.stations)),
        modes,
    ]
    .into_iter()
    .flatten()
    .collect();
    if differing.is_empty() { String::new() } else { sha256(differing.join("\n").as_bytes()) }
}

/// A quantity of all devices or servers, as text; `None` if it is the same for each.
fn values(name: &str, values: impl Iterator<Item = f64> + Clone) -> Option<String> {
    let first = values.clone().next()?;
    if values.clone().all(|value| value == first) {
        return None;
    }
    let bytes: Vec<u8> = values.flat_map(f64::to_le_bytes).collect();
    Some(format!("{name} {}", sha256(&bytes)))
}

/// The rates, likewise.
fn uplink(rates: &UplinkRates) -> Option<String> {
    match rates {
        UplinkRates::Same(_) => None,
        UplinkRates::PerDevice(rates) => values("uplink per device", rates.iter().copied()),
        UplinkRates::PerServer(rates) => values("uplink per server", rates.iter().copied()),
        UplinkRates::PerPair(rows) => values("uplink per pair", rows.iter().flatten().copied()),
        // There may be too many pairs to read them all, and they follow from these two.
        UplinkRates::Drawn(distribution, streams) => (distribution.min() < distribution.max())
            .then(|| format!("uplink {distribution:?} drawn {:016x}", streams.seed())),
    }
}

/// The places of stations, likewise.
fn stations(places: &[Position]) -> Option<String> {
    let (x, y) = (places.iter().map(|place| place.x_m), places.iter().map(|place| place.y_m));
    match (values("station x", x), values("station y", y)) {
        (None, None) => None,
        (x, y) => Some([x, y].into_iter().flatten().collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use offramp_scenario::Experiment;

    use super::*;

    fn hash(fields: &str) -> String {
        let text = format!("(name: \"x\", {fields})");
        let experiment = Experiment::parse("x", text, Path::new(""), &[]).unwrap();
        hardware_sha256(&experiment.points[0].system)
    }

    #[test]
    fn what_is_alike_has_no_hash() {
        for fields in [
            "",
            "system: (devices: 4, servers: 2, device_ghz: 3, server_ghz: 30, seed: 5)",
            "system: (devices: 3, device_ghz: [2.0, 2.0, 2.0], uplink_mbps: PerDevice([9, 9, 9]))",
            "system: (uplink_mbps: Choice([14, 14]), device_ghz: Choice([2.6]))",
            // Tasks are not hardware.
            "tasks: (arrival_probability: Uniform(0.1, 0.5), deadline_slots: 5)",
            "alpha: (modes: [0.1, 0.9], rule: Switching(0.1))",
            "alpha: (modes: [0.5], rule: Fixed)",
            "evaluate: (seed: 9)",
        ] {
            assert_eq!(hash(fields), "", "{fields}");
        }
    }

    #[test]
    fn each_quantity_that_differs_is_part_of_it() {
        let of_seed = |quantity: &str, seed: u64| {
            let (system, alpha) = match quantity {
                "alpha" => (String::new(), "alpha: (rule: Fixed)"),
                quantity => (format!("{quantity}, "), ""),
            };
            hash(&format!("system: ({system} seed: {seed}), evaluate: (seed: {seed}), {alpha}"))
        };
        for quantity in [
            "device_ghz: Uniform(1, 3)",
            "server_ghz: Uniform(30, 60)",
            "uplink_mbps: Uniform(8, 20)",
            "power: (compute_w: Uniform(1, 3))",
            "power: (transmit_w: Uniform(1, 3))",
            "power: (idle_w: Uniform(0.1, 0.3))",
            "power: (server_w: Uniform(4, 6))",
            "alpha",
        ] {
            let one = of_seed(quantity, 1);
            assert_eq!(one.len(), 64, "{quantity}");
            assert_ne!(one, of_seed(quantity, 2), "{quantity}");
        }
        // It does not depend on tasks, nor on what is the same for all.
        let system = "device_ghz: Uniform(1, 3)";
        let one = hash(&format!("system: ({system})"));
        assert_eq!(hash(&format!("system: ({system}), evaluate: (seed: 7)")), one);
        assert_eq!(
            hash(&format!("system: ({system}, server_ghz: 50), tasks: (deadline_slots: 4)")),
            one
        );
        let rates = |rates: &str| hash(&format!("system: (devices: 2, uplink_mbps: {rates})"));
        assert_ne!(rates("PerDevice([8, 9])"), rates("PerDevice([9, 8])"));
        let pairs = "PerPair([[1, 1, 1, 1, 1], [1, 1, 1, 1, 2]])";
        assert_ne!(rates(pairs), rates("PerServer([1, 1, 1, 1, 2])"));
    }
}
