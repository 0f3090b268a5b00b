//! Checking: everything that a study refers to must exist, and everything it states must be able to
//! have an effect.

use std::collections::BTreeMap;

use offramp_results::exhibit::{ExhibitKind, Quantity};
use offramp_scenario::{Fault, LiveEntry, LivePolicy, check_name, fault_of, nearest};

use crate::effect::{Setter, why_without_effect};
use crate::file::{
    ClaimSection, Condition, ExhibitSection, Place, PolicySource, Settings, StudyFile, TrainedAt,
};

/// Ids that the study's own files or the sections of its page have.
const RESERVED: [&str; 4] = ["index", "lessons", "claims", "budgets"];

/// A study file that is being checked.
struct Checked<'s> {
    file: &'s StudyFile,
    source_name: &'s str,
    text: &'s str,
}

/// Checks that everything a study refers to exists, and that nothing in it is without effect.
///
/// # Errors
/// The first fault.
pub(crate) fn check(file: &StudyFile, source_name: &str, text: &str) -> Result<(), Fault> {
    let checked = Checked { file, source_name, text };
    checked.name()?;
    checked.seeds()?;
    checked.policies()?;
    checked.settings("quick.set", &file.quick.set, Setter::Anything)?;
    if file.items.is_empty() {
        return checked.fault("items", "there is nothing to make".to_owned(), None);
    }
    for (number, exhibit) in file.items.iter().enumerate() {
        checked.id(number, exhibit)?;
        checked.exhibit(number, exhibit)?;
        checked.points(number, exhibit)?;
        checked.live(number, exhibit)?;
    }
    let mut claims = file.claims.iter().enumerate();
    claims.try_for_each(|(number, claim)| checked.claim(number, claim))
}

/// Checks what a study states of a live run, whose scenario has been read.
///
/// # Errors
/// The first fault.
pub(crate) fn check_streams(
    file: &StudyFile,
    source_name: &str,
    text: &str,
    number: usize,
    live: &LiveEntry,
) -> Result<(), Fault> {
    Checked { file, source_name, text }.streams(number, live)
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

    /// Checks that a list is not empty and has nothing twice.
    fn list(&self, field: &str, names: &[String]) -> Result<(), Fault> {
        if names.is_empty() {
            return self.fault(field, "at least one is needed".to_owned(), None);
        }
        match (1..names.len()).find(|&at| names[..at].contains(&names[at])) {
            None => Ok(()),
            Some(at) => {
                let message = format!("`{}` is listed twice", names[at]);
                self.fault(&format!("{field}.{at}"), message, None)
            }
        }
    }

    fn name(&self) -> Result<(), Fault> {
        check_name(&self.file.name).or_else(|message| self.fault("name", message, None))
    }

    /// Checks the training seeds and the number of episodes.
    fn seeds(&self) -> Result<(), Fault> {
        let StudyFile { training_seeds, evaluate, quick, .. } = self.file;
        let quick_seeds = quick.training_seeds.iter();
        let lists = [("training_seeds", training_seeds)].into_iter();
        for (field, seeds) in lists.chain(quick_seeds.map(|seeds| ("quick.training_seeds", seeds)))
        {
            let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
            self.list(field, &seeds)?;
        }
        let quick_episodes = quick.episodes.map(|episodes| ("quick.episodes", episodes));
        for (field, episodes) in
            [("evaluate.episodes", evaluate.episodes)].into_iter().chain(quick_episodes)
        {
            if !(1..=1_000_000).contains(&episodes) {
                return self.fault(field, "1 … 10⁶ is needed".to_owned(), None);
            }
        }
        Ok(())
    }

    /// Checks that every teacher is a policy that is trained, and what is set for each policy.
    fn policies(&self) -> Result<(), Fault> {
        if self.file.policies.is_empty() {
            return self.fault("policies", "at least one is needed".to_owned(), None);
        }
        for (name, source) in &self.file.policies {
            let at = format!("policies.{name}");
            let (set, quick) = match source {
                PolicySource::Fixed { set, .. } | PolicySource::Reference { set, .. } => {
                    (set, None)
                }
                PolicySource::Trained { set, quick, .. }
                | PolicySource::Distilled { set, quick, .. } => (set, Some(quick)),
            };
            self.settings(&format!("{at}.set"), set, Setter::of(source))?;
            if let Some(quick) = quick {
                self.settings(&format!("{at}.quick"), quick, Setter::of(source))?;
            }
            let PolicySource::Distilled { teacher, .. } = source else { continue };
            let field = format!("{at}.teacher");
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

    /// Checks that each of these settings can have an effect.
    fn settings(&self, at: &str, settings: &Settings, setter: Setter) -> Result<(), Fault> {
        for field in settings.keys() {
            if let Some(why) = why_without_effect(field, setter) {
                let message = format!("`{field}` has no effect here: {why}");
                return self.fault(&format!("{at}.{field}"), message, None);
            }
        }
        Ok(())
    }

    /// Checks that an item has an id of its own, by which files can be called on any system.
    fn id(&self, number: usize, ExhibitSection { id, .. }: &ExhibitSection) -> Result<(), Fault> {
        let field = format!("items.{number}.id");
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let mut earlier = self.file.items[..number].iter();
        if id.is_empty()
            || !id.chars().all(plain)
            || earlier.any(|item| item.id.eq_ignore_ascii_case(id))
        {
            let message = "an id consists of letters, digits and hyphens, and differs from all \
                           others, not only in capitals";
            return self.fault(&field, message.to_owned(), None);
        }
        if RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(id)) {
            let message = format!("`{id}` is the name of a part that every study has");
            return self.fault(&field, message, Some("choose another id".to_owned()));
        }
        Ok(())
    }

    /// Checks that the policies and metrics of an item exist, each listed once.
    fn exhibit(&self, number: usize, exhibit: &ExhibitSection) -> Result<(), Fault> {
        let at = format!("items.{number}");
        self.list(&format!("{at}.policies"), &exhibit.policies)?;
        let metrics: Vec<String> =
            exhibit.metrics.iter().map(|metric| metric.name().to_owned()).collect();
        if exhibit.form != ExhibitKind::Curves || !metrics.is_empty() {
            self.list(&format!("{at}.metrics"), &metrics)?;
        }
        let is_live = exhibit.form == ExhibitKind::Streams;
        let other = |quantity: &Quantity| matches!(quantity, Quantity::Live(_)) != is_live;
        if let Some(other) = exhibit.metrics.iter().position(other) {
            let name = exhibit.metrics[other].name();
            let message = match is_live {
                true => format!("live runs have no `{name}`"),
                false => format!("only live runs, `form: Streams`, have `{name}`"),
            };
            return self.fault(&format!("{at}.metrics.{other}"), message, None);
        }
        // Those of a live run are in its scenario.
        let policies = exhibit.policies.iter().enumerate().filter(|_| !is_live);
        let named = policies
            .map(|(at, policy)| (format!("policies.{at}"), policy))
            .chain(exhibit.reference.iter().map(|policy| ("reference".to_owned(), policy)))
            .chain(exhibit.paper.keys().map(|policy| ("paper".to_owned(), policy)))
            .chain(exhibit.points.iter().enumerate().flat_map(|(at, point)| {
                point.of.keys().map(move |policy| (format!("points.{at}.of"), policy))
            }));
        for (field, policy) in named {
            if !self.file.policies.contains_key(policy) {
                return self.unknown(&format!("{at}.{field}"), policy);
            }
        }
        Ok(())
    }

    /// Checks the points of an item, and that the labels it refers to are theirs.
    fn points(&self, number: usize, exhibit: &ExhibitSection) -> Result<(), Fault> {
        let at = format!("items.{number}");
        let labels: Vec<String> = exhibit.points.iter().map(|point| point.label.clone()).collect();
        self.list(&format!("{at}.points"), &labels)?;
        if let Some(quick) = &exhibit.quick_points {
            self.list(&format!("{at}.quick_points"), quick)?;
        }
        let of_paper = exhibit.paper.values().flat_map(BTreeMap::keys);
        let of_quick = exhibit.quick_points.iter().flatten();
        let named = of_paper.map(|l| ("paper", l)).chain(of_quick.map(|l| ("quick_points", l)));
        for (field, label) in named {
            if !labels.contains(label) {
                let message = format!("`{}` has no point `{label}`", exhibit.id);
                return self.fault(&format!("{at}.{field}"), message, None);
            }
        }
        for (number, point) in exhibit.points.iter().enumerate() {
            let at = format!("{at}.points.{number}");
            let source = |policy: &String| self.file.policies.get(policy);
            let once = |source: &PolicySource| source.trained(exhibit.trained) == TrainedAt::Once;
            let all_once = exhibit.policies.iter().filter_map(source).all(once);
            let shared = if all_once { Setter::Evaluation } else { Setter::Anything };
            self.settings(&format!("{at}.set"), &point.set, shared)?;
            for (policy, set) in &point.of {
                let setter = match source(policy) {
                    Some(source) if !once(source) => Setter::of(source),
                    _ => Setter::Evaluation,
                };
                self.settings(&format!("{at}.of.{policy}"), set, setter)?;
            }
        }
        Ok(())
    }

    /// Checks that an item says which live runs it shows, and nothing that they have no use for.
    fn live(&self, number: usize, exhibit: &ExhibitSection) -> Result<(), Fault> {
        let at = format!("items.{number}");
        let Some(live) = &exhibit.live else {
            if exhibit.form != ExhibitKind::Streams {
                return Ok(());
            }
            let help = "such as live: (scenario: \"drift.ron\")".to_owned();
            let message = "`Streams` shows live runs: say which in `live`".to_owned();
            return self.fault(&format!("{at}.form"), message, Some(help));
        };
        if exhibit.form != ExhibitKind::Streams {
            let message = "only `form: Streams` shows live runs".to_owned();
            return self.fault(&format!("{at}.live"), message, None);
        }
        let points = exhibit.points.iter().any(|point| !point.label.is_empty());
        let idle = [
            ("points", points),
            ("quick_points", exhibit.quick_points.is_some()),
            ("reference", exhibit.reference.is_some()),
            ("paper", !exhibit.paper.is_empty()),
        ];
        if let Some((field, _)) = idle.iter().find(|(_, stated)| *stated) {
            let message =
                format!("`{field}` has no effect here: an item of live runs has its phases");
            return self.fault(&format!("{at}.{field}"), message, None);
        }
        for (file, policy) in &live.checkpoints {
            let field = format!("{at}.live.checkpoints.{file}");
            match self.file.policies.get(policy) {
                None => return self.unknown(&field, policy),
                Some(source) if source.learns() => {}
                Some(_) => {
                    let message = format!("`{policy}` does not learn, so it has no checkpoint");
                    return self.fault(&field, message, None);
                }
            }
        }
        self.settings(&format!("{at}.live.set"), &live.set, Setter::Live)?;
        self.settings(&format!("{at}.live.quick"), &live.quick, Setter::Live)
    }

    /// Checks that the live run of an item has the policies, checkpoints and phases that the study names.
    fn streams(&self, number: usize, live: &LiveEntry) -> Result<(), Fault> {
        let at = format!("items.{number}");
        let exhibit = &self.file.items[number];
        let labels = || live.policies.iter().map(|one| one.policy.label.as_str());
        for (place, policy) in exhibit.policies.iter().enumerate() {
            if !labels().any(|label| label == policy) {
                let help = nearest(policy, labels()).map(|near| format!("did you mean `{near}`?"));
                let message = format!("the live run has no policy `{policy}`");
                return self.fault(&format!("{at}.policies.{place}"), message, help);
            }
        }
        let files: Vec<&str> = live.policies.iter().flat_map(LivePolicy::checkpoints).collect();
        let checkpoints = exhibit.live.iter().flat_map(|live| live.checkpoints.keys());
        for file in checkpoints {
            if !files.contains(&file.as_str()) {
                let help = nearest(file, files.iter().copied())
                    .map(|near| format!("did you mean `{near}`?"));
                let message = format!("no policy of the live run has the checkpoint `{file}`");
                return self.fault(&format!("{at}.live.checkpoints.{file}"), message, help);
            }
        }
        let phases: Vec<String> = std::iter::once(0)
            .chain(live.changes.iter().map(|change| change.at))
            .map(|slot| slot.to_string())
            .collect();
        let claims = self.file.claims.iter().enumerate();
        let own = claims.filter(|(_, claim)| *claim.holds_if.compared().0 == exhibit.id);
        for (number, claim) in own {
            let named: Vec<(&str, &String)> = match &claim.holds_if {
                Condition::Compare { left, right, .. } => {
                    vec![("left.point", &left.point), ("right.point", &right.point)]
                }
                Condition::Steadier { from, to, .. } => vec![("from", from), ("to", to)],
                Condition::Best { .. } | Condition::Bounded { .. } => Vec::new(),
            };
            for (field, point) in named {
                if !phases.contains(point) {
                    let message = format!("`{}` has no phase `{point}`", exhibit.id);
                    let help = format!("there are: {}", phases.join(", "));
                    return self.fault(
                        &format!("claims.{number}.holds_if.{field}"),
                        message,
                        Some(help),
                    );
                }
            }
        }
        Ok(())
    }

    /// Checks that the item of a claim, the policies it compares and their points exist.
    fn claim(&self, number: usize, claim: &ClaimSection) -> Result<(), Fault> {
        let at = format!("claims.{number}.holds_if");
        let (item, metric, _) = claim.holds_if.compared();
        let Some(exhibit) = self.file.items.iter().find(|listed| listed.id == *item) else {
            let help = nearest(item, self.file.items.iter().map(|listed| listed.id.as_str()))
                .map(|near| format!("did you mean `{near}`?"));
            return self.fault(
                &format!("{at}.item"),
                format!("the study has no item `{item}`"),
                help,
            );
        };
        if exhibit.form == ExhibitKind::Curves {
            let message =
                format!("`{item}` shows the course of trainings: nothing is evaluated in it");
            let help = "name a table or a figure of results".to_owned();
            return self.fault(&format!("{at}.item"), message, Some(help));
        }
        let is_live = exhibit.form == ExhibitKind::Streams;
        if matches!(metric, Quantity::Live(_)) != is_live {
            let message = format!("`{item}` has no `{}`", metric.name());
            return self.fault(&format!("{at}.metric"), message, None);
        }
        let compared = |field: &str, policy: &String| {
            let known =
                exhibit.policies.contains(policy) || exhibit.reference.as_ref() == Some(policy);
            if !known {
                let message = format!("`{item}` has no policy `{policy}`");
                return self.fault(&format!("{at}.{field}"), message, None);
            }
            if metric == Quantity::Parameters
                && !self.file.policies.get(policy).is_some_and(PolicySource::learns)
            {
                let message =
                    format!("`{policy}` does not learn, so it has no parameters to count");
                return self.fault(&format!("{at}.{field}"), message, None);
            }
            Ok(())
        };
        let ahead_of = |policy: &String, rivals: &[String]| {
            compared("policy", policy)?;
            self.list(&format!("{at}.rivals"), rivals)?;
            for (number, rival) in rivals.iter().enumerate() {
                let field = format!("rivals.{number}");
                compared(&field, rival)?;
                if rival == policy {
                    let message = format!("`{policy}` can't be its own rival");
                    return self.fault(&format!("{at}.{field}"), message, None);
                }
            }
            Ok(())
        };
        match &claim.holds_if {
            Condition::Best { policy, rivals, .. } => ahead_of(policy, rivals)?,
            Condition::Bounded { policy, bound, .. } => {
                compared("policy", policy)?;
                if !bound.is_finite() {
                    let message = format!("a finite number is needed, not {bound}");
                    return self.fault(&format!("{at}.bound"), message, None);
                }
            }
            Condition::Steadier { policy, rivals, from, to, .. } => {
                ahead_of(policy, rivals)?;
                for (field, point) in [("from", from), ("to", to)] {
                    self.point(&format!("{at}.{field}"), exhibit, point)?;
                }
                if from == to {
                    let message = "nothing changes from a point to itself".to_owned();
                    return self.fault(&format!("{at}.to"), message, None);
                }
            }
            Condition::Compare { left, factor, right, .. } => {
                for (field, place) in [("left", left), ("right", right)] {
                    compared(&format!("{field}.policy"), &place.policy)?;
                    self.place(&format!("{at}.{field}"), exhibit, place)?;
                }
                if (&left.policy, &left.point) == (&right.policy, &right.point) {
                    let message = "this compares a number with itself".to_owned();
                    return self.fault(&format!("{at}.right"), message, None);
                }
                if !(factor.0.is_finite() && factor.0 > 0.0) {
                    let message = format!("a number above 0 is needed, not {}", factor.0);
                    return self.fault(&format!("{at}.factor"), message, None);
                }
            }
        }
        Ok(())
    }

    /// Checks that the item of a claim has the point that a place names.
    fn place(&self, at: &str, exhibit: &ExhibitSection, place: &Place) -> Result<(), Fault> {
        let Place { policy, point } = place;
        let unlabelled = exhibit.points.iter().any(|listed| listed.label.is_empty());
        if !point.is_empty() || unlabelled || exhibit.live.is_some() {
            return self.point(&format!("{at}.point"), exhibit, point);
        }
        let message = format!("`{}` has several points; which one of `{policy}`?", exhibit.id);
        let first = exhibit.points.first().map(|listed| listed.label.as_str()).unwrap_or_default();
        let help = format!("name one: (policy: \"{policy}\", point: \"{first}\")");
        self.fault(at, message, Some(help))
    }

    /// Checks that an item has a point.
    fn point(&self, at: &str, exhibit: &ExhibitSection, point: &str) -> Result<(), Fault> {
        let labels = || exhibit.points.iter().map(|listed| listed.label.as_str());
        // The phases of a live run are in its scenario.
        if exhibit.live.is_some() || labels().any(|label| label == point) {
            return Ok(());
        }
        let help = nearest(point, labels()).map(|near| format!("did you mean `{near}`?"));
        self.fault(at, format!("`{}` has no point `{point}`", exhibit.id), help)
    }
}

#[cfg(test)]
mod tests {
    use offramp_scenario::read_ron;

    use super::*;
    use crate::live_entry::read_entry;

    const STUDY: &str = r#"(
        name: "toy",
        scenario: "system.ron",
        training_seeds: [1, 2],
        evaluate: (episodes: 6, seed: 9),
        policies: {
            "local": Fixed(plugin: "all-local"),
            "rules": Fixed(plugin: "heuristic", set: { "tasks.density": 0.3 }),
            "teacher": Trained(scenario: "teacher.ron", set: { "train.episodes": 9 }),
            "student": Distilled(scenario: "student.ron", teacher: "teacher", quick: { "distill.steps": 8 }),
        },
        quick: (training_seeds: [1], set: { "alpha.modes": [0.5] }),
        items: [
            (
                id: "loads",
                title: "At each load",
                form: Lines,
                policies: ["local", "rules", "teacher", "student"],
                points: [
                    (label: "0.2", set: { "tasks.arrival_probability": 0.2 }),
                    (label: "0.6", of: { "student": { "distill.rounds": 0 } }),
                ],
                quick_points: ["0.6"],
                metrics: [Qoe, Parameters],
            ),
            (id: "course", title: "", form: Curves, policies: ["teacher"], metrics: []),
            (
                id: "carried", title: "", form: Table, trained: Once, policies: ["teacher"],
                points: [(label: "a", of: { "teacher": { "system.servers": 2 } })], metrics: [Qoe],
            ),
            (
                id: "drift", title: "", form: Streams, policies: ["frozen", "renewed"],
                live: (
                    scenario: "drift.ron", quick: { "live.slots": 50 },
                    checkpoints: { "low.safetensors": "student", "high.safetensors": "teacher" },
                ),
                metrics: [QoePerTask, Recovery],
            ),
        ],
        claims: [
            (
                text: "", source: "",
                holds_if: Best(item: "loads", metric: Qoe, order: Above, policy: "rules", rivals: ["local", "teacher"]),
            ),
            (
                text: "", source: "",
                holds_if: Compare(
                    item: "loads", metric: Parameters, order: Below,
                    left: (policy: "student", point: "0.2"),
                    factor: 0.5,
                    right: (policy: "teacher", point: "0.2"),
                ),
            ),
            (
                text: "", source: "",
                holds_if: Steadier(
                    item: "loads", metric: Qoe, order: Above, policy: "student", rivals: ["rules"],
                    from: "0.2", to: "0.6",
                ),
            ),
            (
                text: "", source: "",
                holds_if: Compare(
                    item: "drift", metric: QoePerTask, order: Below,
                    left: (policy: "frozen", point: "40"), right: (policy: "renewed", point: "40"),
                ),
            ),
            (
                text: "", source: "",
                holds_if: Bounded(item: "drift", metric: Recovery, order: Below, policy: "renewed", bound: 9.5),
            ),
        ],
    )"#;

    /// The live run of the item "drift".
    const DRIFT: &str = r#"(
        name: "drift",
        live: (
            slots: 90,
            drift: [(at: 40, set: { "tasks.arrival_probability": 0.5 })],
            policies: [
                (plugin: "d3qn", name: "frozen", checkpoint: "low.safetensors"),
                (plugin: "d3qn", name: "renewed", checkpoint: "low.safetensors", renewed: { 40: "high.safetensors" }),
            ],
        ),
    )"#;

    fn checked(text: &str) -> Result<(), Fault> {
        let file: StudyFile = read_ron("toy.ron", text)?;
        check(&file, "toy.ron", text)?;
        let section = file.items[3].live.as_ref().unwrap();
        let live = read_entry(section, DRIFT, "".as_ref()).map_err(|fault| *fault)?;
        check_streams(&file, "toy.ron", text, 3, &live)
    }

    /// What is wrong with the study if `from` in it is `to`, and the text of the place.
    #[track_caller]
    fn check_fault(from: &str, to: &str, expected: &str) {
        assert_eq!(STUDY.matches(from).count(), 1, "{from}");
        let fault = checked(&STUDY.replace(from, to)).unwrap_err();
        assert_eq!(format!("{} at {}", fault.message, &fault.text[fault.span]), expected);
    }

    #[test]
    fn a_study_without_a_fault_passes() {
        checked(STUDY).unwrap();
    }

    #[test]
    fn training_seeds_differ() {
        check_fault("[1, 2]", "[1, 1]", "`1` is listed twice at 1");
        check_fault(
            "training_seeds: [1],",
            "training_seeds: [7, 8, 7],",
            "`7` is listed twice at 7",
        );
        check_fault("training_seeds: [1],", "training_seeds: [],", "at least one is needed at []");
    }

    #[test]
    fn names_and_ids_are_those_of_files() {
        let rule = "a name must not be empty, begin with a dot, or have slashes or line breaks or \
                    other control characters";
        check_fault("\"toy\"", "\"\"", &format!("{rule} at \"\""));
        check_fault("\"toy\"", "\"a/b\"", &format!("{rule} at \"a/b\""));
        let rule = "an id consists of letters, digits and hyphens, and differs from all others, not \
                    only in capitals";
        check_fault("\"course\"", "\"Loads\"", &format!("{rule} at \"Loads\""));
        let reserved = "`Lessons` is the name of a part that every study has at \"Lessons\"";
        check_fault("\"course\"", "\"Lessons\"", reserved);
    }

    #[test]
    fn lists_have_something_and_nothing_twice() {
        let needed = "at least one is needed at []";
        check_fault("[\"local\", \"rules\", \"teacher\", \"student\"]", "[]", needed);
        check_fault("[Qoe, Parameters]", "[]", needed);
        check_fault("[Qoe, Parameters]", "[Qoe, Qoe]", "`Qoe` is listed twice at Qoe");
        check_fault("[\"0.6\"]", "[]", needed);
        check_fault("[\"0.6\"]", "[\"0.6\", \"0.6\"]", "`0.6` is listed twice at \"0.6\"");
        let twice = "`local` is listed twice at \"local\"";
        check_fault(
            "\"local\", \"rules\", \"teacher\", \"student\"",
            "\"local\", \"local\"",
            twice,
        );
        let point = "(label: \"0.2\", of: { \"student\": { \"distill.rounds\": 0 } })";
        let expected = format!("`0.2` is listed twice at {point}");
        check_fault("(label: \"0.6\", of", "(label: \"0.2\", of", &expected);
        check_fault("[\"local\", \"teacher\"]", "[]", needed);
        check_fault("[\"local\", \"teacher\"]", "[\"local\", \"local\"]", twice);
        check_fault(
            "[\"local\", \"teacher\"]",
            "[\"local\", \"rules\"]",
            "`rules` can't be its own rival at \"rules\"",
        );
    }

    #[test]
    fn a_claim_names_a_number_that_exists() {
        check_fault(
            "(policy: \"student\", point: \"0.2\")",
            "(policy: \"student\", point: \"0.3\")",
            "`loads` has no point `0.3` at \"0.3\"",
        );
        check_fault(
            "(policy: \"student\", point: \"0.2\")",
            "(policy: \"student\")",
            "`loads` has several points; which one of `student`? at (policy: \"student\")",
        );
        check_fault(
            "(policy: \"student\", point: \"0.2\")",
            "(policy: \"teacher\", point: \"0.2\")",
            "this compares a number with itself at (policy: \"teacher\", point: \"0.2\")",
        );
        check_fault(
            "(policy: \"student\", point: \"0.2\")",
            "(policy: \"local\", point: \"0.2\")",
            "`local` does not learn, so it has no parameters to count at \"local\"",
        );
        check_fault("to: \"0.6\"", "to: \"0.7\"", "`loads` has no point `0.7` at \"0.7\"");
        check_fault(
            "to: \"0.6\"",
            "to: \"0.2\"",
            "nothing changes from a point to itself at \"0.2\"",
        );
        check_fault(
            "rivals: [\"rules\"]",
            "rivals: [\"student\"]",
            "`student` can't be its own rival at \"student\"",
        );
        check_fault(
            "Best(item: \"loads\"",
            "Best(item: \"course\"",
            "`course` shows the course of trainings: nothing is evaluated in it at \"course\"",
        );
        for factor in ["0.0", "-1.0", "inf", "NaN"] {
            let wrong = STUDY.replace("factor: 0.5", &format!("factor: {factor}"));
            let fault = checked(&wrong).unwrap_err();
            assert!(fault.message.starts_with("a number above 0 is needed, not "), "{factor}");
        }
    }

    #[test]
    fn live_runs_have_what_the_study_names() {
        let streams = "(
                id: \"drift\", title: \"\", form: Streams, policies: [\"frozen\", \"renewed\"],";
        let of = |form: &str| streams.replace("form: Streams", form);
        check_fault(
            streams,
            &of("form: Lines"),
            "only live runs, `form: Streams`, have `QoePerTask` at QoePerTask",
        );
        check_fault(
            "policies: [\"frozen\", \"renewed\"]",
            "policies: [\"frozen\", \"renewed\", \"reneved\"]",
            "the live run has no policy `reneved` at \"reneved\"",
        );
        check_fault(
            "\"low.safetensors\": \"student\"",
            "\"lov.safetensors\": \"student\"",
            "no policy of the live run has the checkpoint `lov.safetensors` at \"student\"",
        );
        check_fault(
            "\"low.safetensors\": \"student\"",
            "\"low.safetensors\": \"rules\"",
            "`rules` does not learn, so it has no checkpoint at \"rules\"",
        );
        check_fault(
            "[QoePerTask, Recovery]",
            "[QoePerTask, Qoe]",
            "live runs have no `Qoe` at Qoe",
        );
        check_fault(
            "left: (policy: \"frozen\", point: \"40\")",
            "left: (policy: \"frozen\", point: \"30\")",
            "`drift` has no phase `30` at \"30\"",
        );
        check_fault("bound: 9.5", "bound: inf", "a finite number is needed, not inf at inf");
        check_fault(
            "item: \"drift\", metric: QoePerTask",
            "item: \"drift\", metric: Qoe",
            "`drift` has no `Qoe` at Qoe",
        );
        let seed = "`live.seed` has no effect here: the study's `evaluate` and `training_seeds` count at 50";
        check_fault("\"live.slots\": 50", "\"live.seed\": 50", seed);
        let points = "metrics: [QoePerTask, Recovery], points: [(label: \"a\")]";
        let idle =
            "`points` has no effect here: an item of live runs has its phases at [(label: \"a\")]";
        check_fault("metrics: [QoePerTask, Recovery]", points, idle);
    }

    #[test]
    fn what_is_set_has_an_effect() {
        let check = |from: &str, to: &str, reason: &str| {
            let fault = checked(&STUDY.replace(from, to)).unwrap_err();
            assert!(fault.message.contains(" has no effect here: "), "{}", fault.message);
            assert!(fault.message.ends_with(reason), "{}", fault.message);
        };
        check(
            "\"alpha.modes\": [0.5]",
            "\"evaluate.episodes\": 2",
            "the study's `evaluate` counts",
        );
        check("\"train.episodes\": 9", "\"train.seed\": 9", "the study's `training_seeds` count");
        check("\"train.episodes\": 9", "\"distill.steps\": 9", "this policy is trained");
        check("\"tasks.density\": 0.3", "\"train.episodes\": 9", "this policy does not learn");
        check("\"distill.steps\": 8", "\"train.episodes\": 9", "this policy is distilled");
        check("\"distill.rounds\": 0", "\"train.episodes\": 9", "this policy is distilled");
        check("\"system.servers\": 2", "\"train.episodes\": 9", "it is evaluated here, not taught");
        check(
            "\"tasks.arrival_probability\": 0.2",
            "\"policies\": []",
            "the study's `policies` count",
        );
    }
}
