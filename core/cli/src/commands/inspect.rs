//! `offramp inspect`: the contents of a checkpoint or a scenario.

use offramp_report::Format;
use offramp_report::records::{Field, Records, json_text};
use offramp_results::checkpoint::{self, Contents};
use offramp_scenario::{Experiment, Scenario};
use serde_json::json;

use crate::Outcome;
use crate::arguments::InspectArguments;
use crate::mistaken::Kind;
use crate::output::print;
use crate::problem::Problem;

pub(crate) fn run(arguments: &InspectArguments) -> Result<Outcome, Problem> {
    let format = arguments.format.format();
    let text = if arguments.file.extension().is_some_and(|extension| extension == "ron") {
        let experiment = super::read_scenario(&arguments.file, &[])?;
        match format {
            Format::Table => scenario_text(&experiment),
            Format::Json => scenario_json(&experiment),
            Format::Csv => scenario_records(&experiment).csv(),
        }
    } else {
        let contents = checkpoint::read(&arguments.file).map_err(|error| {
            let help = "name a checkpoint (.safetensors) or a scenario (.ron); what a policy saves \
                        in a form of its own is only read by `offramp export --policy NAME`";
            Problem::new(error).with_help(help).unless_mistaken(&arguments.file, Kind::Checkpoint)
        })?;
        match format {
            Format::Table => checkpoint_text(&contents),
            Format::Json => checkpoint_json(&contents),
            Format::Csv => checkpoint_records(&contents).csv(),
        }
    };
    print(&text)?;
    Ok(Outcome::Success)
}

fn checkpoint_text(contents: &Contents) -> String {
    let width = contents.metadata.keys().map(String::len).max().unwrap_or(0);
    let mut text = String::new();
    let (texts, values): (Vec<_>, Vec<_>) =
        contents.metadata.iter().partition(|(_, value)| value.contains('\n'));
    for (key, value) in values {
        text += &format!("{key:width$}  {value}\n");
    }
    text += "\n";
    for (name, kind, shape) in &contents.tensors {
        text += &format!("{name}  {kind} {shape:?}\n");
    }
    for (key, value) in texts {
        text += &format!("\n{key}:\n{value}");
    }
    text
}

fn checkpoint_json(contents: &Contents) -> String {
    let tensors: Vec<_> = contents
        .tensors
        .iter()
        .map(|(name, kind, shape)| json!({ "name": name, "type": kind, "shape": shape }))
        .collect();
    json_text(&json!({ "metadata": contents.metadata, "tensors": tensors }))
}

/// Rows of [`Records`] with the fields `kind`, `name` and `value`.
fn named_values() -> Records {
    Records::new(["kind", "name", "value"].map(Field::new))
}

fn checkpoint_records(contents: &Contents) -> Records {
    let mut records = named_values();
    for (key, value) in &contents.metadata {
        records.rows.push(vec!["metadata".into(), key.as_str().into(), value.as_str().into()]);
    }
    for (name, kind, shape) in &contents.tensors {
        let value = format!("{kind} {shape:?}");
        records.rows.push(vec!["tensor".into(), name.as_str().into(), value.into()]);
    }
    records
}

fn scenario_text(experiment: &Experiment<Scenario>) -> String {
    let mut text = format!("{}\n", experiment.name);
    let Some(first) = experiment.points.first() else { return text };
    let system = &first.system;
    let points = experiment.points.len();
    text += &format!(
        "{}\n\n{} devices, {} servers, {} slots, {points} {}\n",
        first.about,
        system.device_count(),
        system.server_count(),
        system.slot_count(),
        if points == 1 { "point" } else { "points" },
    );
    for policy in &first.policies {
        text += &format!("policy {} ({})\n", policy.label, policy.plugin.name);
    }
    if let Some(train) = &first.training {
        let explorer = train.explorer.as_ref().map(|explorer| explorer.name.as_str());
        let explorer = explorer
            .map_or_else(|| "without an explorer".to_owned(), |name| format!("explored by {name}"));
        text +=
            &format!("trains {} for {} episodes, {explorer}\n", train.learner.name, train.episodes);
    }
    if let Some(distill) = &first.distillation {
        text += &format!(
            "distils {} into {} in {} steps\n",
            distill.teacher.plugin.name, distill.student.name, distill.steps
        );
    }
    text
}

/// The parts of a scenario at its first point, and the number of points.
fn scenario_json(experiment: &Experiment<Scenario>) -> String {
    let mut object = json!({ "name": experiment.name, "points": experiment.points.len() });
    if let Some(first) = experiment.points.first() {
        let policies = first.policies.iter();
        let policies =
            policies.map(|policy| json!({ "label": policy.label, "plugin": policy.plugin.name }));
        object["about"] = first.about.clone().into();
        object["devices"] = first.system.device_count().into();
        object["servers"] = first.system.server_count().into();
        object["slots"] = json!(first.system.slot_count());
        object["policies"] = policies.collect();
        if let Some(train) = &first.training {
            object["train"] = json!({
                "learner": train.learner.name,
                "explorer": train.explorer.as_ref().map(|explorer| &explorer.name),
                "episodes": train.episodes,
            });
        }
        if let Some(distill) = &first.distillation {
            object["distill"] = json!({
                "teacher": distill.teacher.plugin.name,
                "student": distill.student.name,
                "steps": distill.steps,
            });
        }
    }
    json_text(&object)
}

fn scenario_records(experiment: &Experiment<Scenario>) -> Records {
    let mut records = named_values();
    let mut row = |kind: &str, name: &str, value: String| {
        records.rows.push(vec![kind.into(), name.into(), value.into()]);
    };
    row("scenario", "name", experiment.name.clone());
    row("scenario", "points", experiment.points.len().to_string());
    if let Some(first) = experiment.points.first() {
        row("scenario", "about", first.about.clone());
        row("system", "devices", first.system.device_count().to_string());
        row("system", "servers", first.system.server_count().to_string());
        row("system", "slots", first.system.slot_count().to_string());
        for policy in &first.policies {
            row("policy", &policy.label, policy.plugin.name.clone());
        }
        if let Some(train) = &first.training {
            row("train", "learner", train.learner.name.clone());
            if let Some(explorer) = &train.explorer {
                row("train", "explorer", explorer.name.clone());
            }
            row("train", "episodes", train.episodes.to_string());
        }
        if let Some(distill) = &first.distillation {
            row("distill", "teacher", distill.teacher.plugin.name.clone());
            row("distill", "student", distill.student.name.clone());
            row("distill", "steps", distill.steps.to_string());
        }
    }
    records
}
