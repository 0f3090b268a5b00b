//! Records: the runs of an evaluation as run folders store them.

use offramp_results::run_folder::{PluginRecord, RunRecord, Scenarios, StoredRun};

use offramp_scenario::Experiment;

use crate::bind::Evaluation;
use crate::run::Run;

/// The record of a run: scenario, point, policy, plugin, and the reason if it failed.
pub fn run_record(run: &Run<'_>) -> RunRecord {
    let Run { evaluation: Evaluation { scenario, .. }, policy, outcome } = run;
    let library = &policy.plugin.library;
    let file = library.path.file_name();
    RunRecord {
        scenario: scenario.name.clone(),
        policy: policy.label.clone(),
        seed: scenario.evaluation.seed,
        sweep: scenario.point.clone(),
        power_modes: scenario.system.parameters().power_preference.modes.clone(),
        episodes: outcome.as_ref().map_or(0, |episodes| episodes.len() as u64),
        plugin: PluginRecord {
            policy: policy.plugin.offer.name.clone(),
            name: library.plugin.clone(),
            version: library.version.clone(),
            file: file.map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
            sha256: library.sha256.clone(),
        },
        error: outcome.as_ref().err().map(ToString::to_string),
    }
}

/// A run as a run folder stores it: its record and its episodes, none if it failed.
pub fn stored_run(run: &Run<'_>) -> StoredRun {
    let episodes = run.outcome.as_ref().map_or_else(|_| Vec::new(), Clone::clone);
    StoredRun { record: run_record(run), episodes }
}

/// The name and the text, as it is run, of each scenario, in the order of `experiments`.
pub fn scenarios(experiments: &[Experiment<Evaluation>]) -> Scenarios {
    experiments.iter().map(|each| (each.name.clone(), each.text.clone())).collect()
}
