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
    let names: Vec<&str> = spec.features.iter().map(|feature| feature.name.as_str()).collect();
    for (key, what, here) in [
        ("observation", "another observation", spec.kind.as_str().to_owned()),
        ("features", "other features", names.join(",")),
        ("servers", "another number of servers", context.system.servers().to_string()),
        ("history_slots", "another number of slots of history", spec.history_slots.to_string()),
    ] {
        if let Some(there) = fact(key).filter(|there| *there != here) {
            return Err(Error::new(format!(
                "the network was trained on {what}: {there}; the scenario has {here}"
            )));
        }
    }
    let devices = context.system.devices();
    let is_shared = fact("networks") == Some("1");
    let refused = devices > 1 && !is_shared && !for_all_devices;
    if let Some(device) = fact("network").filter(|_| refused) {
        let of = fact("networks").map_or_else(String::new, |networks| format!(" of {networks}"));
        return Err(Error::new(format!(
            "is the network of device {device}{of}; to let it decide for all {devices} devices of \
             the scenario, state `parameters: (for_all_devices: true)`"
        )));
    }
    Ok(())
}
