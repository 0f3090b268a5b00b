//! Chosen settings: what policies take from files, and the searches that chose them.

use std::path::Path;

use offramp_results::tuning::Budget;
use offramp_scenario::{
    ScenarioError, SettingsFile, TuningFacts, fault_of, read_scenario_settings, read_settings,
};

use crate::effect::{Setter, why_without_effect};
use crate::file::{PolicySource, Settings, Size, StudyFile};

/// The text of a study file, and where it is.
#[derive(Clone, Copy)]
pub(crate) struct Source<'s> {
    pub(crate) name: &'s str,
    pub(crate) text: &'s str,
    pub(crate) folder: &'s Path,
}

impl Source<'_> {
    fn fault(&self, field: &str, message: String) -> ScenarioError {
        let Self { name, text, .. } = self;
        ScenarioError::Invalid(Box::new(fault_of(name, text, field, message, None)))
    }
}

/// Puts the settings of files below what each policy sets itself; returns the searches that chose
/// what is left of them, and of the settings that scenarios take from files of their own.
///
/// # Errors
/// [`ScenarioError`] with the place of a file that can't be used.
pub(crate) fn take(
    file: &mut StudyFile,
    source: Source<'_>,
    size: Size,
) -> Result<Vec<Budget>, ScenarioError> {
    let mut budgets = Vec::new();
    let quick_set = if size == Size::Quick { file.quick.set.clone() } else { Settings::new() };
    for (policy, origin) in &mut file.policies {
        let setter = Setter::of(origin);
        let (PolicySource::Trained { scenario, settings, set, quick, .. }
        | PolicySource::Distilled { scenario, settings, set, quick, .. }) = origin
        else {
            continue;
        };
        // Whatever overrides a file: the policy's own settings, then files that come later.
        let mut above: Vec<String> = set.keys().cloned().collect();
        if size == Size::Quick {
            above.extend(quick.keys().cloned());
        }
        let mut own_budgets = Vec::new();
        for (number, name) in settings.iter().enumerate().rev() {
            let at = format!("policies.{policy}.settings.{number}");
            let chosen = read(source, &at, name)?;
            for field in chosen.settings.keys() {
                if let Some(why) = why_without_effect(field, setter) {
                    let message = format!("{name} sets `{field}`, which has no effect here: {why}");
                    return Err(source.fault(&at, message));
                }
            }
            own_budgets.extend(budget(policy, &chosen, &above));
            above.extend(chosen.settings.keys().cloned());
            below(set, chosen.settings);
        }
        above.extend(quick_set.keys().cloned());
        let of_scenario = read_scenario_settings(&source.folder.join(scenario.as_str()))?;
        for chosen in of_scenario.into_iter().rev() {
            own_budgets.extend(budget(policy, &chosen, &above));
            above.extend(chosen.settings.into_keys());
        }
        budgets.extend(own_budgets.into_iter().rev());
    }
    Ok(budgets)
}

/// Reads the file of settings that a study names in the field `at`.
fn read(source: Source<'_>, at: &str, name: &str) -> Result<SettingsFile, ScenarioError> {
    read_settings(&source.folder.join(name)).map_err(|error| match error {
        ScenarioError::Unreadable { .. } => source.fault(at, error.to_string()),
        error @ ScenarioError::Invalid(_) => error,
    })
}

/// The search that a file comes from, unless all that it chose is overridden by the fields `above`.
fn budget(policy: &str, file: &SettingsFile, above: &[String]) -> Option<Budget> {
    let TuningFacts { scenario, configurations, slots, steps, validation_qoe, .. } =
        file.tuning.clone()?;
    let (overridden, left): (Vec<String>, Vec<String>) =
        file.settings.keys().cloned().partition(|field| is_in_any(field, above.iter()));
    let budget = Budget {
        policy: policy.to_owned(),
        scenario,
        configurations,
        slots,
        steps,
        validation_qoe,
        overridden,
    };
    (!left.is_empty()).then_some(budget)
}

/// Adds settings to others, which override them, fields inside their sections too.
fn below(set: &mut Settings, mut chosen: Settings) {
    chosen.retain(|field, _| !is_in_any(field, set.keys()));
    set.append(&mut chosen);
}

/// True if a field is one of these sections, or inside one.
fn is_in_any<'s>(field: &str, mut sections: impl Iterator<Item = &'s String>) -> bool {
    sections.any(|section| {
        field
            .strip_prefix(section.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

#[cfg(test)]
mod tests {
    use offramp_scenario::read_ron;

    use super::*;

    /// The searches of a study whose policy has these fields, and what is overridden of each; beside
    /// it are `a.ron`, which chose `train.x` and `train.y`, and `b.ron`, which chose `train.x`.
    fn budgets(
        fields: &str,
        quick: &str,
        size: Size,
    ) -> Result<Vec<(String, Vec<String>)>, String> {
        let folder = tempfile::tempdir().unwrap();
        let tuning = |name: &str| {
            format!(
                "tuning: (scenario: \"{name}\", configurations: 2, learned: 3, slots: 4, \
                 seeds: [1], validation_qoe: 5.0)"
            )
        };
        for (name, text) in [
            ("a.ron", format!("(settings: {{\"train.x\": 1, \"train.y\": 2}}, {})", tuning("a"))),
            ("b.ron", format!("(settings: {{\"train.x\": 3}}, {})", tuning("b"))),
            ("c.ron", "(settings: {\"distill.steps\": 3})".to_owned()),
            ("plain.ron", "(name: \"x\")".to_owned()),
            ("settled.ron", "(name: \"x\", settings: [\"a.ron\"])".to_owned()),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let text = format!(
            "(name: \"x\", scenario: \"s\", training_seeds: [1], evaluate: (episodes: 1, seed: 1),
              policies: {{\"p\": Trained({fields})}}, items: [], quick: (set: {{{quick}}}))"
        );
        let mut file: StudyFile = read_ron("x.ron", &text).unwrap();
        let source = Source { name: "x.ron", text: &text, folder: folder.path() };
        let budgets = take(&mut file, source, size).map_err(|error| error.to_string())?;
        Ok(budgets.into_iter().map(|budget| (budget.scenario, budget.overridden)).collect())
    }

    #[test]
    fn only_searches_that_something_is_left_of_are_listed() {
        let full = |fields: &str| budgets(fields, "", Size::Full).unwrap();
        let all = |name: &str| (name.to_owned(), Vec::new());
        let but = |name: &str, field: &str| (name.to_owned(), vec![field.to_owned()]);
        let taken = "scenario: \"plain.ron\", settings";
        assert_eq!(full(&format!("{taken}: [\"a.ron\"]")), [all("a")]);
        assert_eq!(
            full(&format!("{taken}: [\"a.ron\", \"b.ron\"]")),
            [but("a", "train.x"), all("b")]
        );
        assert_eq!(full(&format!("{taken}: [\"b.ron\", \"a.ron\"]")), [all("a")]);
        let set = format!("{taken}: [\"a.ron\"], set: {{\"train.y\": 5}}");
        assert_eq!(full(&set), [but("a", "train.y")]);
        assert_eq!(full(&format!("{taken}: [\"b.ron\"], set: {{\"train.x\": 5}}")), []);
        assert_eq!(full(&format!("{taken}: [\"a.ron\"], set: {{\"train\": ()}}")), []);
        let quick = format!("{taken}: [\"a.ron\"], quick: {{\"train.y\": 5}}");
        assert_eq!(full(&quick), [all("a")]);
        assert_eq!(budgets(&quick, "", Size::Quick).unwrap(), [but("a", "train.y")]);
    }

    /// A scenario may name files of settings too.
    #[test]
    fn what_a_scenario_takes_from_a_search_is_listed() {
        let all = ("a".to_owned(), Vec::new());
        let settled = "scenario: \"settled.ron\"";
        assert_eq!(budgets(settled, "", Size::Full).unwrap(), std::slice::from_ref(&all));
        let taken = format!("{settled}, settings: [\"a.ron\"]");
        assert_eq!(budgets(&taken, "", Size::Full).unwrap(), [all]);
        let quick = budgets(settled, "\"train.x\": 1", Size::Quick).unwrap();
        assert_eq!(quick, [("a".to_owned(), vec!["train.x".to_owned()])]);
    }

    #[test]
    fn a_file_whose_settings_have_no_effect_is_named() {
        let error = budgets("scenario: \"plain.ron\", settings: [\"c.ron\"]", "", Size::Full);
        let expected =
            "c.ron sets `distill.steps`, which has no effect here: this policy is trained";
        assert!(error.unwrap_err().ends_with(expected));
    }
}
