//! Checking: everything that a study refers to must exist.

use std::collections::BTreeMap;

use offramp_scenario::{Fault, fault_of, nearest};

use crate::file::{ClaimSection, Condition, ExhibitSection, PolicySource, StudyFile};

/// A study file that is being checked.
struct Checked<'s> {
    file: &'s StudyFile,
    source_name: &'s str,
    text: &'s str,
}

/// Checks that everything a study refers to exists.
///
/// # Errors
/// The first fault.
pub(crate) fn check(file: &StudyFile, source_name: &str, text: &str) -> Result<(), Fault> {
    let checked = Checked { file, source_name, text };
    checked.seeds()?;
    checked.policies()?;
    for (number, exhibit) in file.items.iter().enumerate() {
        checked.exhibit(number, exhibit)?;
    }
    let mut claims = file.claims.iter().enumerate();
    claims.try_for_each(|(number, claim)| checked.claim(number, claim))
}

impl Checked<'_> {
    fn fault(&self, field: &str, message: String, help: Option<String>) -> Result<(), Fault> {
        Err(fault_of(self.source_name, self.text, field, message, help))
    }

    fn unknown(&self, field: &str, name: &str) -> Result<(), Fault> {
        let help = nearest(name, self.file.policies.keys().map(String::as_str))
            .map(|near| format!("did you mean `{near}`?"));
        self.fault(field, format!("the study has no policy `{name}`"), help)
    }

    /// Checks the training seeds and the number of episodes.
    fn seeds(&self) -> Result<(), Fault> {
        let file = self.file;
        if file.training_seeds.is_empty() {
            return self.fault("training_seeds", "at least one is needed".to_owned(), None);
        }
        if file.quick.training_seeds.as_ref().is_some_and(Vec::is_empty) {
            return self.fault("quick.training_seeds", "at least one is needed".to_owned(), None);
        }
        if !(1..=1_000_000).contains(&file.evaluate.episodes) || file.quick.episodes == Some(0) {
            return self.fault("evaluate.episodes", "1 … 10⁶ is needed".to_owned(), None);
        }
        Ok(())
    }

    /// Checks that every teacher is a policy that is trained.
    fn policies(&self) -> Result<(), Fault> {
        for (name, source) in &self.file.policies {
            let PolicySource::Distilled { teacher, .. } = source else { continue };
            let field = format!("policies.{name}.teacher");
            match self.file.policies.get(teacher) {
                None => return self.unknown(&field, teacher),
                Some(PolicySource::Trained { .. }) => {}
                Some(_) => {
                    let message = format!("`{teacher}` is not trained, so it can't teach here");
                    return self.fault(&field, message, None);
                }
            }
        }
        Ok(())
    }

    /// Checks that an item has an id of its own, and that its policies and points exist.
    fn exhibit(&self, number: usize, exhibit: &ExhibitSection) -> Result<(), Fault> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let taken = self.file.items[..number].iter().any(|earlier| earlier.id == exhibit.id);
        if exhibit.id.is_empty() || !exhibit.id.chars().all(plain) || taken {
            let message =
                "an id consists of letters, digits and hyphens, and differs from all others";
            return self.fault(&format!("items.{number}.id"), message.to_owned(), None);
        }
        let policies = exhibit.policies.iter().enumerate();
        let named = policies
            .map(|(at, policy)| (format!("policies.{at}"), policy))
            .chain(exhibit.reference.iter().map(|policy| ("reference".to_owned(), policy)))
            .chain(exhibit.paper.keys().map(|policy| ("paper".to_owned(), policy)))
            .chain(exhibit.points.iter().enumerate().flat_map(|(at, point)| {
                point.of.keys().map(move |policy| (format!("points.{at}.of"), policy))
            }));
        for (field, policy) in named {
            if !self.file.policies.contains_key(policy) {
                return self.unknown(&format!("items.{number}.{field}"), policy);
            }
        }
        let labels: Vec<&String> = exhibit.points.iter().map(|point| &point.label).collect();
        let of_paper = exhibit.paper.values().flat_map(BTreeMap::keys);
        let of_quick = exhibit.quick_points.iter().flatten();
        let named = of_paper.map(|l| ("paper", l)).chain(of_quick.map(|l| ("quick_points", l)));
        for (field, label) in named {
            if !labels.contains(&label) {
                let message = format!("`{}` has no point `{label}`", exhibit.id);
                return self.fault(&format!("items.{number}.{field}"), message, None);
            }
        }
        Ok(())
    }

    /// Checks that the item of a claim and the policies it compares exist.
    fn claim(&self, number: usize, claim: &ClaimSection) -> Result<(), Fault> {
        let field = format!("claims.{number}");
        let (id, policies) = match &claim.holds_if {
            Condition::Best { item, policy, rivals, .. } => {
                (item, [policy].into_iter().chain(rivals).collect::<Vec<_>>())
            }
            Condition::Compare { item, left, right, .. } => {
                (item, vec![&left.policy, &right.policy])
            }
        };
        let Some(exhibit) = self.file.items.iter().find(|listed| listed.id == *id) else {
            return self.fault(&field, format!("the study has no item `{id}`"), None);
        };
        let missing = |policy: &&String| {
            !exhibit.policies.contains(policy) && exhibit.reference.as_ref() != Some(policy)
        };
        if let Some(policy) = policies.into_iter().find(missing) {
            let message = format!("`{}` has no policy `{policy}`", exhibit.id);
            return self.fault(&field, message, None);
        }
        Ok(())
    }
}
