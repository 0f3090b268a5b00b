//! The `tune` section: the values that a search may give to fields, and how long it may be.

use crate::Fault;
use crate::domain::{Domain, Scale, real, whole};
use crate::file::{DomainField, ScenarioFile, TuneSection};
use crate::source::Source;
use crate::sweep::identity;

/// The search that a scenario describes.
#[derive(Clone, Debug, PartialEq)]
pub struct TuningEntry {
    /// The section whose fields are chosen.
    pub section: Tuned,
    /// The fields to choose, in the order of their paths, and what each may be; at least one.
    pub space: Vec<(String, Domain)>,
    /// Configurations to try at most, 1 … 10,000.
    pub configurations: u64,
    /// Slots or steps that all trainings or distillations may take, if that is bounded.
    pub budget: Option<u64>,
    /// Share of the configurations that each rung keeps, 0.01 … 0.9.
    pub keep: f64,
    /// Episodes or steps of the first rung, 1 … 10⁹.
    pub first: u64,
    /// Configurations that are trained or distilled in full, 1 … 10,000.
    pub finalists: u64,
    /// The seed of the configurations, of the rungs and of the episodes that judge.
    pub seed: u64,
    /// The seeds of the finalists, all different; at least one.
    pub seeds: Vec<u64>,
    /// Episodes that judge a checkpoint, 1 … 10⁹.
    pub validate_episodes: u64,
}

/// The section whose fields a search chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tuned {
    /// `train`; lengths are episodes.
    Training,
    /// `distill`; lengths are steps.
    Distillation,
}

impl Tuned {
    /// Its name in a scenario.
    pub fn name(self) -> &'static str {
        match self {
            Self::Training => "train",
            Self::Distillation => "distill",
        }
    }

    /// The field of its length.
    pub fn length(self) -> &'static str {
        match self {
            Self::Training => "train.episodes",
            Self::Distillation => "distill.steps",
        }
    }

    /// The field of its seed.
    pub fn seed(self) -> &'static str {
        match self {
            Self::Training => "train.seed",
            Self::Distillation => "distill.seed",
        }
    }

    /// The fields that a search can't choose: those that it sets itself, how a checkpoint is
    /// selected, and what all configurations have in common.
    fn fixed(self) -> &'static [&'static str] {
        match self {
            Self::Training => &[
                "train.episodes",
                "train.seed",
                "train.validate_every",
                "train.validate_episodes",
                "train.validate_systems",
                "train.systems",
                "train.stop_after",
                "train.save_every",
            ],
            Self::Distillation => &[
                "distill.teacher",
                "distill.steps",
                "distill.seed",
                "distill.validate_every",
                "distill.validate_episodes",
                "distill.stop_after",
            ],
        }
    }
}

/// The search that a section describes.
pub(crate) fn tuning(
    source: Source<'_>,
    file: &ScenarioFile,
    section: &TuneSection,
) -> Result<TuningEntry, Fault> {
    let wrong = |field: &str, message: String, help: Option<&str>| {
        Err(source.fault(&format!("tune.{field}"), message, help.map(str::to_owned)))
    };
    if !file.sweep.is_empty() {
        let message = "a scenario with a `tune` section can't have a `sweep`".to_owned();
        return Err(source.fault("sweep", message, None));
    }
    let Some(first) = section.space.keys().next() else {
        return wrong("space", "there is nothing to choose".to_owned(), None);
    };
    let tuned = if first.starts_with("distill.") { Tuned::Distillation } else { Tuned::Training };
    let present = match tuned {
        Tuned::Training => file.train.is_some(),
        Tuned::Distillation => file.distill.is_some(),
    };
    let mut space = Vec::with_capacity(section.space.len());
    for (field, domain) in &section.space {
        let at = format!("space.{field}");
        let name = tuned.name();
        if !field.starts_with(&format!("{name}.")) {
            let message = format!("`{field}` is not a field of `{name}`");
            let help = "a search chooses fields of `train` alone, or of `distill` alone";
            return wrong(&at, message, Some(help));
        }
        if !present {
            let message = format!("this scenario has no `{name}`");
            return wrong(&at, message, None);
        }
        let inside = |fixed: &&&str| {
            field.strip_prefix(**fixed).is_some_and(|r| r.is_empty() || r.starts_with('.'))
        };
        if let Some(fixed) = tuned.fixed().iter().find(inside) {
            let message = format!("`{fixed}` is the same for all configurations");
            return wrong(&at, message, Some("set it in its section"));
        }
        let within = |other: &&String| {
            other.strip_prefix(field.as_str()).is_some_and(|rest| rest.starts_with('.'))
        };
        if let Some(part) = section.space.keys().find(within) {
            let message = format!("`{part}` is a part of `{field}`, which is chosen too");
            return wrong(&format!("space.{part}"), message, Some("choose one of them"));
        }
        space.push((field.clone(), self::domain(source, &format!("tune.{at}"), domain)?));
    }
    let full = match tuned {
        Tuned::Training => file.train.as_ref().map(|train| train.episodes),
        Tuned::Distillation => file.distill.as_ref().map(|distill| distill.steps),
    };
    if let Some(full) = full.filter(|full| section.first > *full) {
        let message = format!("the first rung is longer than `{}`, {full}", tuned.length());
        return wrong("first", message, Some("each rung is at most as long as a finalist"));
    }
    if section.seeds.is_empty() {
        return wrong("seeds", "at least one is needed".to_owned(), None);
    }
    let mut seeds = section.seeds.iter().enumerate();
    if let Some((at, seed)) = seeds.find(|(at, seed)| section.seeds[..*at].contains(seed)) {
        return wrong(&format!("seeds.{at}"), format!("the seed {seed} is listed twice"), None);
    }
    Ok(TuningEntry {
        section: tuned,
        space,
        configurations: section.configurations,
        budget: section.budget,
        keep: section.keep,
        first: section.first,
        finalists: section.finalists,
        seed: section.seed,
        seeds: section.seeds.clone(),
        validate_episodes: section.validate_episodes,
    })
}

/// What the field of a search at `path` may be.
fn domain(source: Source<'_>, path: &str, field: &DomainField) -> Result<Domain, Fault> {
    match field {
        DomainField::Values(values) => {
            if values.is_empty() {
                return Err(source.fault(path, "there is no value to try".to_owned(), None));
            }
            let names: Vec<String> = values.iter().map(|value| identity(&value.0)).collect();
            if let Some(twice) = (1..names.len()).find(|&at| names[..at].contains(&names[at])) {
                let message = "this value is listed twice".to_owned();
                return Err(source.fault(&format!("{path}.0.{twice}"), message, None));
            }
            Ok(Domain::Values(values.iter().map(|value| value.0.clone()).collect()))
        }
        DomainField::Range(low, high) => either(source, path, [&low.0, &high.0], Scale::Linear),
        DomainField::LogRange(low, high) => either(source, path, [&low.0, &high.0], Scale::Log),
    }
}

/// The numbers between two bounds: whole ones alone if the bounds are written so.
fn either(
    source: Source<'_>,
    path: &str,
    bounds: [&str; 2],
    scale: Scale,
) -> Result<Domain, Fault> {
    let real = real(source, path, bounds, scale)?;
    Ok(whole(bounds).map_or(real, |[low, high]| Domain::Whole(low, high, scale)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Experiment;

    fn read(tune: &str) -> Result<TuningEntry, Fault> {
        let train = "train: (learner: (plugin: \"a\"), episodes: 9)";
        let text = format!("(name: \"x\", {train}, tune: ({tune}))");
        let experiment = Experiment::parse("x.ron", text, "".as_ref(), &[])?;
        Ok(experiment.points[0].tuning.clone().unwrap())
    }

    fn space(domain: &str) -> Result<Domain, String> {
        let space = format!("space: {{\"train.learner.parameters.p\": {domain}}}");
        let entry = read(&format!("{space}, configurations: 4, first: 2"));
        entry
            .map(|entry| entry.space[0].1.clone())
            .map_err(|fault| format!("{} at {}", fault.message, &fault.text[fault.span.clone()]))
    }

    #[test]
    fn a_field_is_one_of_some_values_or_a_number_of_a_range() {
        let values = ["0.5", "Adam(0.001)", "None"].map(str::to_owned).to_vec();
        assert_eq!(space("Values([0.5, Adam(0.001), None])"), Ok(Domain::Values(values)));
        assert_eq!(space("Range(16, 1_024)"), Ok(Domain::Whole(16, 1024, Scale::Linear)));
        assert_eq!(space("Range(0, 0.5)"), Ok(Domain::Real(0.0, 0.5, Scale::Linear)));
        assert_eq!(space("LogRange(1e-4, 1e-2)"), Ok(Domain::Real(1e-4, 1e-2, Scale::Log)));
    }

    #[test]
    fn what_can_not_be_searched_is_refused_at_its_place() {
        let check = |domain: &str, expected: &str| {
            assert_eq!(space(domain).unwrap_err(), expected);
        };
        check("Values([])", "there is no value to try at Values([])");
        check("Values([1, 2, 1.0])", "this value is listed twice at 1.0");
        check("Range(2, 1)", "2 is not below 1 at Range(2, 1)");
        check("Range(1, 1.0)", "1 is not below 1.0 at Range(1, 1.0)");
        check("LogRange(0, 1)", "0 has no logarithm: it is not above 0 at 0");
        check("Range(0, \"1\")", "a number is needed, not \"1\" at \"1\"");
        check("Span(0, 1)", "there is no `Span` here at Span");
    }

    #[test]
    fn a_search_chooses_what_configurations_may_differ_in() {
        let fault = |field: &str| {
            let space = format!("space: {{\"{field}\": Values([1])}}, configurations: 4, first: 2");
            read(&space).unwrap_err().message
        };
        assert_eq!(fault("train.episodes"), "`train.episodes` is the same for all configurations");
        assert_eq!(
            fault("train.systems.energy"),
            "`train.systems` is the same for all configurations"
        );
        assert_eq!(fault("system.devices"), "`system.devices` is not a field of `train`");
        assert_eq!(fault("distill.batch"), "this scenario has no `distill`");
        assert!(read("space: {}, configurations: 4, first: 2").is_err());
        let seeds = |seeds: &str| {
            let space = "space: {\"train.from\": Values([\"a\"])}, configurations: 4, first: 2";
            read(&format!("{space}, seeds: {seeds}")).map(|entry| entry.seeds)
        };
        assert_eq!(seeds("[7, 8]").unwrap(), [7, 8]);
        assert_eq!(seeds("[]").unwrap_err().message, "at least one is needed");
        assert_eq!(seeds("[7, 8, 7]").unwrap_err().message, "the seed 7 is listed twice");
        let space = "space: {\"train.from\": Values([\"a\"])}, configurations: 4";
        assert!(read(&format!("{space}, first: 9")).is_ok());
        assert_eq!(
            read(&format!("{space}, first: 10")).unwrap_err().message,
            "the first rung is longer than `train.episodes`, 9"
        );
        let rate = "train.learner.parameters.rate";
        let both = format!("\"{rate}.0\": Values([1]), \"{rate}\": Values([2])");
        let both = format!("space: {{{both}}}, configurations: 4, first: 2");
        assert_eq!(
            read(&both).unwrap_err().message,
            format!("`{rate}.0` is a part of `{rate}`, which is chosen too")
        );
    }
}
