//! The agreement with a teacher that takes no learning.

use std::collections::BTreeMap;

use serde_json::Value;

/// The share of a dataset's states in which the teacher takes the action that it takes most often for
/// the device of the state: the agreement of the best student that looks at nothing.
///
/// # Panics
/// If the bytes are not those of a dataset.
pub fn majority_share(dataset: &[u8]) -> f64 {
    let (length, rest) = dataset.split_first_chunk::<8>().unwrap_or_else(|| panic!("too short"));
    let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let header: Value = serde_json::from_slice(header).unwrap_or_else(|error| panic!("{error}"));
    let tensor = |name: &str| {
        let at = |end: usize| header[name]["data_offsets"][end].as_u64().unwrap_or(0) as usize;
        data[at(0)..at(1)].as_chunks::<4>().0
    };
    let (devices, values) = (tensor("devices"), tensor("values"));
    let mut counts: BTreeMap<([u8; 4], usize), usize> = BTreeMap::new();
    for (device, values) in devices.iter().zip(values.chunks(values.len() / devices.len())) {
        let values = values.iter().map(|value| f32::from_le_bytes(*value));
        let best = values.enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
        *counts.entry((*device, best.map_or(0, |(action, _)| action))).or_default() += 1;
    }
    let mut commonest = BTreeMap::new();
    for ((device, _), count) in counts {
        let most = commonest.entry(device).or_insert(0);
        *most = count.max(*most);
    }
    commonest.values().sum::<usize>() as f64 / devices.len() as f64
}
