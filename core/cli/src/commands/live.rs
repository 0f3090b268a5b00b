//! `offramp live`: one long stream per policy, in a system that drifts.

use offramp_explain::Problem;
use offramp_harness::bind::{Live, bind_live};
use offramp_harness::resume::{Claim, Work};
use offramp_live::{check, live};
use offramp_report::live::{figure, outcomes};
use offramp_report::live_page;
use offramp_results::learning::folder_of_point;
use offramp_results::live::LiveRun;

use crate::Outcome;
use crate::arguments::LiveArguments;
use crate::progress::{Notes, show_failure, show_warning};

pub(crate) fn run(arguments: &LiveArguments, notes: Notes) -> Result<Outcome, Problem> {
    let registry = super::load_plugins(&arguments.search)?;
    let experiment = super::read_scenario(&arguments.scenario, &arguments.settings())?;
    let experiment = experiment.try_map(|scenario| bind_live(scenario, &registry))?;
    let out = arguments.folder.folder(&experiment.name);
    let start = arguments.folder.start();
    let threads = super::thread_pool(&arguments.threads)?;
    let folder = |number, live: &Live| folder_of_point(&out, number, &live.scenario.point_text());
    let _claim = Claim::new(&out, start, &Work::Live)?;
    // All of them before the first, so that a mistake shows at once.
    for (number, live) in experiment.points.iter().enumerate() {
        let checked = threads.install(|| check(live, &folder(number, live), start));
        checked.map_err(|error| Problem::of_live(live, error))?;
    }
    let mut runs = Vec::with_capacity(experiment.points.len());
    let mut outcome = Outcome::Success;
    for (number, of_point) in experiment.points.iter().enumerate() {
        let folder = folder(number, of_point);
        let slots = u64::from(of_point.entry.slots) * of_point.policies.len() as u64;
        let template = "{bar:30} {pos}/{len} slots, {eta} left";
        let progress = notes.progress(slots, template, &of_point.scenario.point_text());
        let run = threads.install(|| live(of_point, &folder, start, &progress));
        drop(progress);
        let run = run.map_err(|error| Problem::of_live(of_point, error))?;
        if !show_faults(of_point, &run) {
            outcome = Outcome::Failures;
        }
        figure(&run).write_svg(&folder.join("live.svg")).map_err(Problem::new)?;
        notes.say(format_args!("written: {}", folder.display()));
        runs.push(run);
    }
    arguments.format.print_records("live", outcomes(&runs))?;
    Ok(super::with_page(outcome, live_page::write(&out)))
}

/// Reports what went wrong in the streams of a run, and which policies never sent anything. Returns true if
/// every stream reached its end.
fn show_faults(live: &Live, run: &LiveRun) -> bool {
    for (stream, policy) in run.streams.iter().zip(&live.policies) {
        let label = &stream.policy;
        if let Some(fault) = &stream.stopped_learning {
            let (slot, cause) = (fault.slot, &fault.cause);
            show_warning(format_args!("{label} learns no more from slot {slot} on: {cause}"));
        }
        let exchanges = policy.entry.online.is_some() || policy.entry.federated.is_some();
        if exchanges && stream.rows.iter().all(|row| row.bytes_sent == 0) {
            show_warning(format_args!(
                "{label} has sent nothing: see its budget, `asking`, `away`, the length of its rounds, and whether \
                 tasks arrive"
            ));
        }
        if let Some(fault) = &stream.error {
            show_failure(format_args!("{label} ended in slot {}: {}", fault.slot, fault.cause));
        }
    }
    run.streams.iter().all(|stream| stream.error.is_none())
}
