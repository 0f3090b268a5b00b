//! Pages that play an episode, for `offramp run --html`.

use std::path::{Path, PathBuf};

use offramp_explain::Problem;
use offramp_harness::bind::Evaluation;
use offramp_harness::run::watch_episode;
use offramp_report::episode;
use offramp_report::page::check_ours;
use offramp_results::files::write_atomically;
use offramp_results::timeline::Timeline;
use offramp_scenario::Experiment;
use rayon::prelude::*;

use super::report::explained;
use crate::progress::show_failure;

/// Fails if the policies of an experiment must not be played in this process.
///
/// # Errors
/// [`Problem`] names the scenario.
pub(super) fn check(experiments: &[Experiment<Evaluation>]) -> Result<(), Problem> {
    let isolated = |experiment: &&Experiment<Evaluation>| {
        experiment.points.iter().any(|point| point.scenario.isolation.is_some())
    };
    let Some(experiment) = experiments.iter().find(isolated) else { return Ok(()) };
    let message = format!(
        "--html plays policies in this process, and `{}` runs each in a process of its own",
        experiment.name
    );
    Err(Problem::new(message).with_help("leave out --html, or `isolate` of the scenario"))
}

/// Plays `episode` at the first point of each experiment with every policy there, and writes a page
/// of each experiment to `folder`. Returns the paths. A policy that fails is reported and left out; if
/// all do, there is no page.
///
/// # Errors
/// [`Problem`] names the page that can't be written.
pub(super) fn write(
    experiments: &[Experiment<Evaluation>],
    episode: u64,
    folder: &Path,
) -> Result<Vec<PathBuf>, Problem> {
    let firsts =
        experiments.iter().filter_map(|experiment| Some((experiment, experiment.points.first()?)));
    let page = |(experiment, point): (&Experiment<Evaluation>, &Evaluation)| -> Result<Option<PathBuf>, Problem> {
        let played: Vec<(String, Timeline)> = point
            .policies
            .par_iter()
            .filter_map(|policy| match watch_episode(point, policy, episode) {
                Ok(timeline) => Some((policy.label.clone(), timeline)),
                Err(error) => {
                    show_failure(format_args!("{}, watched: {error}", policy.label));
                    None
                }
            })
            .collect();
        if played.is_empty() {
            return Ok(None);
        }
        let file = match experiments {
            [_] => "episode.html".to_owned(),
            _ => format!("episode-{}.html", experiment.name),
        };
        let seed = point.scenario.evaluation.seed;
        let about = format!("episode {episode} under seed {seed}");
        let path = folder.join(file);
        write_page(&path, &episode::page(&experiment.name, &about, &played))?;
        Ok(Some(path))
    };
    firsts.filter_map(|first| page(first).transpose()).collect()
}

/// Writes a page, over an earlier page of offramp.
///
/// # Errors
/// [`Problem`] names the file that can't be written.
pub(super) fn write_page(path: &Path, page: &str) -> Result<(), Problem> {
    check_ours(path).map_err(explained)?;
    write_atomically(path, page.as_bytes())
        .map_err(|error| Problem::new(format!("can't write {}: {error}", path.display())))
}
