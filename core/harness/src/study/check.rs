//! That everything a study names is there.

use std::collections::BTreeMap;

use offramp_scenario::{Fault, fault_of, nearest};

use super::file::{Condition, PolicySource, StudyFile};

/// The first thing that is wrong with a study, if something is.
pub(super) fn check(file: &StudyFile, source_name: &str, text: &str) -> Result<(), Fault> {
    let fault = |field: &str, message: String, help: Option<String>| {
        Err(fault_of(source_name, text, field, message, help))
    };
    if file.training_seeds.is_empty() {
        return fault("training_seeds", "at least one is needed".to_owned(), None);
    }
    if file.quick.training_seeds.as_ref().is_some_and(Vec::is_empty) {
        return fault("quick.training_seeds", "at least one is needed".to_owned(), None);
    }
    if !(1..=1_000_000).contains(&file.evaluate.episodes) || file.quick.episodes == Some(0) {
        return fault("evaluate.episodes", "1 … 10⁶ is needed".to_owned(), None);
    }
    let unknown = |field: &str, name: &str| {
        let help = nearest(name, file.policies.keys().map(String::as_str))
            .map(|near| format!("did you mean `{near}`?"));
        fault(field, format!("the study has no policy `{name}`"), help)
    };
    for (name, source) in &file.policies {
        if let PolicySource::Distilled { teacher, .. } = source {
            let field = format!("policies.{name}.teacher");
            match file.policies.get(teacher) {
                None => return unknown(&field, teacher),
                Some(PolicySource::Trained { .. }) => {}
                Some(_) => {
                    let message = format!("`{teacher}` is not trained, so it can't teach here");
                    return fault(&field, message, None);
                }
            }
        }
    }
    for (number, item) in file.items.iter().enumerate() {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let taken = file.items[..number].iter().any(|earlier| earlier.id == item.id);
        if item.id.is_empty() || !item.id.chars().all(plain) || taken {
            let message = "an id is of letters, digits and hyphens, and no other item's".to_owned();
            return fault(&format!("items.{number}.id"), message, None);
        }
        let policies = item.policies.iter().enumerate();
        let named = policies
            .map(|(at, policy)| (format!("policies.{at}"), policy))
            .chain(item.reference.iter().map(|policy| ("reference".to_owned(), policy)))
            .chain(item.paper.keys().map(|policy| ("paper".to_owned(), policy)))
            .chain(item.points.iter().enumerate().flat_map(|(at, point)| {
                point.of.keys().map(move |policy| (format!("points.{at}.of"), policy))
            }));
        for (field, policy) in named {
            if !file.policies.contains_key(policy) {
                return unknown(&format!("items.{number}.{field}"), policy);
            }
        }
        let labels: Vec<&String> = item.points.iter().map(|point| &point.label).collect();
        let of_paper = item.paper.values().flat_map(BTreeMap::keys);
        let of_quick = item.quick_points.iter().flatten();
        let named = of_paper.map(|l| ("paper", l)).chain(of_quick.map(|l| ("quick_points", l)));
        for (field, label) in named {
            if !labels.contains(&label) {
                let message = format!("`{label}` is no point of `{}`", item.id);
                return fault(&format!("items.{number}.{field}"), message, None);
            }
        }
    }
    for (number, claim) in file.claims.iter().enumerate() {
        let field = format!("claims.{number}");
        let (item, policies) = match &claim.holds_if {
            Condition::Best { item, policy, rivals, .. } => {
                (item, [policy].into_iter().chain(rivals).collect::<Vec<_>>())
            }
            Condition::Compare { item, left, right, .. } => {
                (item, vec![&left.policy, &right.policy])
            }
        };
        let Some(item) = file.items.iter().find(|listed| listed.id == *item) else {
            return fault(&field, format!("the study has no item `{item}`"), None);
        };
        let listed = |policy: &&String| {
            !item.policies.contains(policy) && item.reference.as_ref() != Some(policy)
        };
        if let Some(policy) = policies.into_iter().find(listed) {
            let message = format!("`{}` has no policy `{policy}`", item.id);
            return fault(&field, message, None);
        }
    }
    Ok(())
}
