//! The contents of a scenario, at the first point of its sweep.
//!
//! One list of parts, each with named values, from which all formats are made.

use offramp_harness::survey::{Survey, survey};
use offramp_report::records::{Records, json_text};
use offramp_scenario::{
    Change, Experiment, FieldDefault, LivePolicy, PluginEntry, PolicyEntry, Scenario,
};
use offramp_scenario::{fields, value_of};
use serde_json::{Map, Value};

/// A part of a scenario: its name, and its values by name.
struct Part {
    name: &'static str,
    values: Vec<(String, Value)>,
}

/// Parts of which there are several.
const POLICY: &str = "policy";
const LIVE_CHANGE: &str = "live change";
const LIVE_POLICY: &str = "live policy";

/// One line for each part; a part that is listed several times has several.
pub(super) fn text(experiment: &Experiment<Scenario>) -> String {
    let parts = parts(experiment);
    let width = parts.iter().map(|part| part.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for Part { name, values } in &parts {
        let shown = values.iter().map(|(name, value)| format!("{name} {}", plain(value)));
        text += &format!("{name:width$}  {}\n", shown.collect::<Vec<_>>().join(", "));
    }
    text
}

/// An object with the parts; those that are listed several times are lists.
pub(super) fn json(experiment: &Experiment<Scenario>) -> String {
    let mut object = Map::new();
    object.insert("policies".to_owned(), Value::Array(Vec::new()));
    for Part { name, values } in parts(experiment) {
        let values = Value::Object(values.into_iter().collect());
        let list = match name {
            POLICY => "policies",
            LIVE_CHANGE => "live_changes",
            LIVE_POLICY => "live_policies",
            _ => {
                object.insert(name.to_owned(), values);
                continue;
            }
        };
        let list = object.entry(list).or_insert_with(|| Value::Array(Vec::new()));
        list.as_array_mut().into_iter().for_each(|list| list.push(values.clone()));
    }
    json_text(&Value::Object(object))
}

/// A row for each value.
pub(super) fn records(experiment: &Experiment<Scenario>) -> Records {
    let mut records = super::named_values();
    for Part { name: kind, values } in parts(experiment) {
        for (name, value) in values {
            records.rows.push(vec![kind.into(), name.as_str().into(), plain(&value).into()]);
        }
    }
    records
}

/// A value as a person writes it.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

fn parts(experiment: &Experiment<Scenario>) -> Vec<Part> {
    let mut scenario = vec![("name".to_owned(), experiment.name.clone().into())];
    let Some(first) = experiment.points.first() else {
        return vec![Part { name: "scenario", values: scenario }];
    };
    if !first.about.is_empty() {
        scenario.push(("about".to_owned(), first.about.clone().into()));
    }
    scenario.push(("points".to_owned(), experiment.points.len().into()));
    let observation = &first.observation;
    let columns: Vec<_> = observation.kind.columns().iter().map(|column| column.name).collect();
    let mut seen = vec![
        ("kind".to_owned(), observation.kind.name().into()),
        ("columns".to_owned(), columns.into()),
        ("history_slots".to_owned(), observation.history_slots.into()),
    ];
    let broadcast: Vec<_> = observation.broadcast.columns().map(|column| column.name).collect();
    if !broadcast.is_empty() {
        seen.push(("broadcast".to_owned(), broadcast.into()));
    }
    let mut parts = vec![
        Part { name: "scenario", values: scenario },
        section(first, "system"),
        section(first, "tasks"),
        section(first, "alpha"),
        Part { name: "observation", values: seen },
    ];
    if let Some(survey) = survey(&first.system, first.evaluation.seed, SURVEYED) {
        let world = section(first, "world");
        parts.insert(2, world);
        parts.insert(3, found(&survey));
    }
    if !first.point.is_empty() {
        parts.push(sweep(experiment, first));
    }
    parts.extend(first.policies.iter().map(|entry| Part { name: POLICY, values: policy(entry) }));
    parts.push(section(first, "evaluate"));
    if let Some(entry) = &first.training {
        let mut values = plugin("learner", &entry.learner);
        values.extend(entry.explorer.iter().flat_map(|entry| plugin("explorer", entry)));
        if let Some(entry) = &entry.teacher {
            values.extend(plugin("teacher", &entry.plugin));
            values.extend(file("teacher_checkpoint", entry.checkpoint.as_ref()));
        }
        values.extend(file("from", entry.from.as_ref()));
        values.extend(section(first, "train").values);
        parts.push(Part { name: "train", values });
    }
    if let Some(entry) = &first.distillation {
        let mut values = plugin("teacher", &entry.teacher.plugin);
        values.extend(file("teacher_checkpoint", entry.teacher.checkpoint.as_ref()));
        values.extend(plugin("student", &entry.student));
        values.extend(file("from", entry.from.as_ref()));
        values.extend(section(first, "distill").values);
        parts.push(Part { name: "distill", values });
    }
    if let Some(entry) = &first.live {
        let mut live = section(first, "live");
        // Lists have parts of their own.
        live.values.retain(|(name, _)| !["drift", "policies"].contains(&name.as_str()));
        parts.push(live);
        parts.extend(
            entry.changes.iter().map(|change| Part { name: LIVE_CHANGE, values: changed(change) }),
        );
        parts.extend(
            entry.policies.iter().map(|one| Part { name: LIVE_POLICY, values: live_policy(one) }),
        );
    }
    parts
}

/// A change of a live run, with the new values of fields.
fn changed(change: &Change) -> Vec<(String, Value)> {
    let mut values = vec![("at_slot".to_owned(), change.at.into())];
    if change.until > change.at {
        values.push(("until_slot".to_owned(), change.until.into()));
    }
    values.extend(change.set.iter().map(|(field, value)| (field.clone(), value.clone().into())));
    values
}

/// A policy of a live run, with how it learns.
fn live_policy(one: &LivePolicy) -> Vec<(String, Value)> {
    let mut values = policy(&one.policy);
    for (slot, renewed) in &one.renewed {
        values.extend(file(&format!("renewed_{slot}"), Some(renewed)));
    }
    if let Some(learns) = &one.learns {
        values.push(("learns".to_owned(), format!("{learns:?}").into()));
    }
    values.extend(one.explorer.iter().flat_map(|entry| plugin("explorer", entry)));
    if let Some(online) = &one.online {
        values.extend(plugin("teacher", &online.teacher.plugin));
        values.extend(file("teacher_checkpoint", online.teacher.checkpoint.as_ref()));
    }
    if let Some(federated) = &one.federated {
        values.push(("exchange".to_owned(), format!("{:?}", federated.exchange).into()));
        values.push(("round_slots".to_owned(), federated.round_slots.into()));
    }
    values
}

/// Episodes of a survey.
const SURVEYED: u64 = 3;

/// Mobility, coverage and rates of a world that moves.
fn found(survey: &Survey) -> Part {
    let number = |value: f64, digits: i32| {
        let power = 10.0_f64.powi(digits);
        Value::from((value * power).round() / power)
    };
    let mut values = vec![
        ("episodes".to_owned(), survey.episodes.into()),
        ("mean_mbps".to_owned(), number(survey.mean_mbps, 2)),
        ("covered".to_owned(), number(survey.covered, 4)),
        ("mean_speed_mps".to_owned(), number(survey.mean_speed_mps, 2)),
    ];
    if let Some(handovers) = survey.handovers {
        values.extend([
            ("handovers_per_minute".to_owned(), number(handovers.per_minute, 2)),
            ("ping_pongs".to_owned(), number(handovers.ping_pongs, 4)),
            ("interrupted".to_owned(), number(handovers.interrupted, 4)),
        ]);
    }
    Part { name: "found", values }
}

/// The fields of a section that are numbers or quantities, written or left out.
fn section(scenario: &Scenario, name: &'static str) -> Part {
    let mut values = Vec::new();
    for field in fields() {
        let Some(rest) = field.path.strip_prefix(name).and_then(|rest| rest.strip_prefix('.'))
        else {
            continue;
        };
        // Plugins and files are shown by their entries.
        let entries = ["learner", "explorer", "teacher", "student", "from"];
        if entries.iter().any(|part| rest.starts_with(part)) || is_absent(scenario, &field.path) {
            continue;
        }
        let value = match (value_of(&scenario.text, &field.path), &field.default) {
            (Some(value), _) => value.to_owned(),
            (None, FieldDefault::Value(value)) => value.clone(),
            (None, _) => continue,
        };
        // A section is shown by its fields.
        if !value.starts_with('(') {
            let number = serde_json::from_str(&value).ok().filter(Value::is_number);
            values.push((rest.to_owned(), number.unwrap_or_else(|| value.into())));
        }
    }
    Part { name, values }
}

/// True for a field of a section that the scenario does not have, or of an entry of a list.
fn is_absent(scenario: &Scenario, path: &str) -> bool {
    let sections = path.match_indices('.').map(|(end, _)| &path[..end]);
    let optional = |section: &str| {
        let field = fields().into_iter().find(|field| field.path == section);
        field.is_some_and(|field| field.default == FieldDefault::Words("none".to_owned()))
    };
    path.contains(".N.")
        || sections.filter(|section| value_of(&scenario.text, section).is_none()).any(optional)
}

/// The swept fields, each with its values in order.
fn sweep(experiment: &Experiment<Scenario>, first: &Scenario) -> Part {
    let values = first.point.iter().enumerate().map(|(at, (field, _))| {
        let mut all: Vec<&str> = Vec::new();
        for (_, value) in experiment.points.iter().filter_map(|point| point.point.get(at)) {
            if !all.contains(&value.as_str()) {
                all.push(value);
            }
        }
        (field.clone(), all.into())
    });
    Part { name: "sweep", values: values.collect() }
}

fn policy(entry: &PolicyEntry) -> Vec<(String, Value)> {
    let mut values = vec![("label".to_owned(), entry.label.clone().into())];
    values.extend(plugin("plugin", &entry.plugin));
    values.extend(file("checkpoint", entry.checkpoint.as_ref()));
    values
}

/// The file of a checkpoint under `name`, if there is one.
fn file(name: &str, file: Option<&String>) -> Option<(String, Value)> {
    Some((name.to_owned(), file?.clone().into()))
}

/// The name of a plugin under `role`, and its parameters.
fn plugin(role: &str, entry: &PluginEntry) -> Vec<(String, Value)> {
    let mut values = vec![(role.to_owned(), entry.name.clone().into())];
    if !entry.parameters.is_empty() {
        let name = match role {
            "plugin" => "parameters".to_owned(),
            _ => format!("{role}_parameters"),
        };
        values.push((name, entry.parameters.clone().into()));
    }
    values
}
