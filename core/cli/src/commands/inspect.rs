//! `offramp inspect`: what a file holds.

use offramp_results::checkpoint;
use offramp_scenario::Experiment;

use crate::arguments::InspectArguments;
use crate::problem::Problem;
use crate::{Done, print};

pub(crate) fn inspect(arguments: &InspectArguments) -> Result<Done, Problem> {
    let text = if arguments.file.extension().is_some_and(|extension| extension == "ron") {
        scenario(arguments)?
    } else {
        checkpoint(arguments)?
    };
    print(&text);
    Ok(Done::Well)
}

fn checkpoint(arguments: &InspectArguments) -> Result<String, Problem> {
    let contents = checkpoint::read(&arguments.file).map_err(Problem::new)?;
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
    Ok(text)
}

fn scenario(arguments: &InspectArguments) -> Result<String, Problem> {
    let experiment = Experiment::read(&arguments.file, &[])?;
    let mut text = format!("{}\n", experiment.name);
    let Some(first) = experiment.points.first() else { return Ok(text) };
    let system = &first.system;
    text += &format!(
        "{}\n\n{} devices, {} servers, {} slots, {} points\n",
        first.about,
        system.device_count(),
        system.server_count(),
        system.slot_count(),
        experiment.points.len()
    );
    for policy in &first.policies {
        text += &format!("policy {} ({})\n", policy.label, policy.plugin.name);
    }
    if let Some(train) = &first.training {
        let explorer = train.explorer.as_ref().map_or("no one", |explorer| &explorer.name);
        text += &format!(
            "trains {} for {} episodes, explored by {explorer}\n",
            train.learner.name, train.episodes
        );
    }
    if let Some(distill) = &first.distillation {
        text += &format!(
            "distils {} into {} in {} steps\n",
            distill.teacher.plugin.name, distill.student.name, distill.steps
        );
    }
    Ok(text)
}
