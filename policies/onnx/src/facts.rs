//! The facts that a network's metadata states about what it was trained on: those of the
//! checkpoint that `offramp export` made it from. A fact that is not there is not checked.

use offramp_plugin::{Context, Error};
use rten_onnx::onnx::ModelProto;

/// What the scenario has must be what the network was trained on.
pub(crate) fn check(
    model: &ModelProto,
    context: &Context<'_>,
    for_all_devices: bool,
) -> Result<(), Error> {
    let fact = |key: &str| {
        let mut entries = model.metadata_props.iter();
        entries.find(|entry| entry.key.as_deref() == Some(key))?.value.as_deref()
    };
    let spec = &context.observation;
    for (key, here, trained, before, after) in [
        ("observation", spec.kind.as_str().to_owned(), "on observation", "`", "`"),
        ("history_slots", spec.history_slots.to_string(), "with", "", " slots of history"),
        ("servers", context.system.servers().to_string(), "for", "", " servers"),
    ] {
        if let Some(there) = fact(key).filter(|there| *there != here) {
            return Err(Error::new(format!(
                "it was trained {trained} {before}{there}{after}, and this scenario has \
                 {before}{here}{after}"
            )));
        }
    }
    if let Some(there) = fact("features") {
        let there: Vec<&str> = there.split(',').collect();
        let here: Vec<&str> = spec.features.iter().map(|feature| feature.name.as_str()).collect();
        let alike = there.iter().zip(&here).take_while(|(there, here)| there == here).count();
        let [shown_there, shown_here] = [&there, &here].map(|names| match names.get(alike) {
            Some(name) => format!("`{name}` as feature {} of {}", alike + 1, names.len()),
            None => format!("{} features", names.len()),
        });
        if there != here {
            return Err(Error::new(format!(
                "it was trained with {shown_there}, and this scenario has {shown_here}"
            )));
        }
    }
    let devices = context.system.devices();
    let is_shared = fact("networks") == Some("1");
    let refused = devices > 1 && !is_shared && !for_all_devices;
    if let Some(device) = fact("network").filter(|_| refused) {
        let of = fact("networks").map_or_else(String::new, |networks| format!(" of {networks}"));
        return Err(Error::new(format!(
            "it is the network of device {device}{of}; to let it decide for all {devices} devices of \
             the scenario, state `parameters: (for_all_devices: true)`"
        )));
    }
    Ok(())
}
