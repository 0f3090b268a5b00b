//! Sweeps: every combination of the values of swept fields.

use std::collections::BTreeMap;

use crate::source::Source;
use crate::{Fault, Raw};

/// Upper bound on the points of one sweep.
const MAX_POINTS: usize = 100_000;

/// Every combination of the swept values, each as a list of fields and values; the last field varies
/// fastest. A single empty list if nothing is swept.
pub(crate) fn points(
    source: &Source<'_>,
    sweep: &BTreeMap<String, Vec<Raw>>,
) -> Result<Vec<Vec<(String, String)>>, Fault> {
    let mut all = vec![Vec::new()];
    for (field, values) in sweep {
        let at = format!("sweep.{field}");
        if values.is_empty() {
            return Err(source.fault(&at, "there is nothing to sweep over".into(), None));
        }
        if field == "sweep" || field.starts_with("sweep.") || field == "name" {
            return Err(source.fault(&at, format!("`{field}` can't be swept"), None));
        }
        if all.len().saturating_mul(values.len()) > MAX_POINTS {
            let message = format!("the sweep has more than {MAX_POINTS} points");
            return Err(source.fault("sweep", message, None));
        }
        all = all
            .into_iter()
            .flat_map(|point| {
                values.iter().map(move |value| {
                    let mut point = point.clone();
                    point.push((field.clone(), value.0.clone()));
                    point
                })
            })
            .collect();
    }
    Ok(all)
}
