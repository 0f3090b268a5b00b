//! `offramp inspect`: the contents of a checkpoint or a scenario.

mod map;
mod scenario;

use offramp_explain::Problem;
use offramp_report::Format;
use offramp_report::records::{Field, Kind, Records, json_text};
use offramp_results::checkpoint::{self, Contents};
use serde_json::json;

use crate::Outcome;
use crate::arguments::InspectArguments;

pub(crate) fn run(arguments: &InspectArguments) -> Result<Outcome, Problem> {
    if arguments.file.extension().is_some_and(|extension| extension == "ron") {
        let experiment = super::read_scenario(&arguments.file, &[])?;
        if let Some(path) = &arguments.map {
            map::write(&experiment, path)?;
        }
        let text = |format| match format {
            Format::Table => scenario::text(&experiment),
            Format::Json => scenario::json(&experiment),
            Format::Csv => scenario::records(&experiment).csv(),
        };
        arguments.format.print(text, || scenario::records(&experiment))?;
    } else {
        if arguments.map.is_some() {
            let problem = Problem::new("only a scenario has a map");
            return Err(problem.with_help("name a scenario (.ron), or leave out --map"));
        }
        let contents = checkpoint::read(&arguments.file).map_err(|error| {
            let help = "name a checkpoint (.safetensors) or a scenario (.ron); what a policy saves \
                        in a form of its own is only read by `offramp export --policy NAME`";
            Problem::new(error)
                .with_help(help)
                .unless_mistaken(&arguments.file, offramp_explain::Kind::Checkpoint)
        })?;
        let text = |format| match format {
            Format::Table => checkpoint_text(&contents),
            Format::Json => checkpoint_json(&contents),
            Format::Csv => checkpoint_records(&contents).csv(),
        };
        arguments.format.print(text, || checkpoint_records(&contents))?;
    }
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
    Records::new(["kind", "name", "value"].map(|name| Field::new(name, Kind::Text)))
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
