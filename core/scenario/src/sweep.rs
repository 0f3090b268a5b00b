//! Sweeps: every combination of the values of swept fields.

use std::collections::{BTreeMap, BTreeSet};

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
        if ["name", "settings", "sweep"].contains(&field.as_str()) || field.starts_with("sweep.") {
            return Err(source.fault(&at, format!("`{field}` can't be swept"), None));
        }
        if all.len().saturating_mul(values.len()) > MAX_POINTS {
            let message = format!("the sweep has more than {MAX_POINTS} points");
            return Err(source.fault("sweep", message, None));
        }
        let mut known = BTreeSet::new();
        if let Some(twice) = values.iter().position(|value| !known.insert(identity(&value.0))) {
            let message = "this value is listed twice".to_owned();
            let help = "list each value once; for more episodes raise `evaluate.episodes`";
            return Err(source.fault(&format!("{at}.{twice}"), message, Some(help.to_owned())));
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

/// A point of a sweep, or another choice of values, as `field = value, …`.
pub(crate) fn point_text(point: &[(String, String)]) -> String {
    let parts: Vec<_> = point.iter().map(|(field, value)| format!("{field} = {value}")).collect();
    parts.join(", ")
}

/// A text that is equal for equal values: `1` and `1.0` are the same number.
pub(crate) fn identity(value: &str) -> String {
    let plain = value.replace('_', "");
    if let Ok(integer) = plain.parse::<i128>() {
        return integer.to_string();
    }
    match plain.parse::<f64>() {
        // Up to here every integer is a number of its own.
        Ok(number) if number.fract() == 0.0 && number.abs() <= 2_f64.powi(53) => {
            (number as i128).to_string()
        }
        Ok(number) => format!("{number:?}"),
        Err(_) => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use crate::Experiment;

    fn read(values: &str) -> Result<usize, String> {
        let text = format!("(name: \"x\", sweep: {{\"system.slot_seconds\": [{values}]}})");
        match Experiment::parse("x.ron", text, "".as_ref(), &[]) {
            Ok(experiment) => Ok(experiment.points.len()),
            Err(fault) => Err(fault.to_string()),
        }
    }

    #[test]
    fn a_value_is_swept_once() {
        assert_eq!(read("0.1, 0.2, 1").as_ref(), Ok(&3));
        let twice = |column: u32| Err(format!("x.ron:1:{column}: this value is listed twice"));
        assert_eq!(read("0.1, 0.2, 0.1"), twice(55));
        assert_eq!(read("1, 1.0"), twice(48));
        assert_eq!(read("0.5, 5e-1"), twice(50));
    }
}
