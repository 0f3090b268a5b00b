//! Texts of scenarios, and what a study sets in them.

use std::collections::BTreeMap;

use offramp_scenario::{Fault, fault_of, replace};

use crate::file::Settings;

/// All settings as one, later ones over earlier ones. The same settings yield the same text of a
/// scenario in whichever order they come, so that nothing is learned twice.
pub(crate) fn merged<'s>(settings: &[&'s Settings]) -> BTreeMap<&'s str, &'s str> {
    let mut merged = BTreeMap::new();
    for (field, value) in settings.iter().copied().flatten() {
        // Setting a whole section discards earlier settings inside it.
        merged.retain(|earlier: &&str, _| {
            !earlier.strip_prefix(field.as_str()).is_some_and(|rest| rest.starts_with('.'))
        });
        merged.insert(field.as_str(), value.0.as_str());
    }
    merged
}

/// The text of a scenario with `field` set to `value`.
pub(crate) fn with(
    scenario: &str,
    text: &str,
    field: &str,
    value: &str,
) -> Result<String, Box<Fault>> {
    if field == "settings" {
        // It would be read relative to wherever the scenario is run.
        let message = "a study names files of settings in the `settings` of a policy".to_owned();
        return Err(Box::new(fault_of(scenario, text, field, message, None)));
    }
    replace(text, field, value).ok_or_else(|| {
        let message = format!("the study sets `{field}`, and the scenario has no such field");
        Box::new(fault_of(scenario, text, field, message, None))
    })
}
