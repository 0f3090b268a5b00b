//! Pages that play an episode, for `offramp run --html`.

use std::path::{Path, PathBuf};

use offramp_explain::Problem;
use offramp_harness::bind::{BoundPolicy, Evaluation};
use offramp_harness::environment::Environment;
use offramp_harness::run::watch_episode;
use offramp_report::episode::{self, Whereabouts, World};
use offramp_report::page::PageError;
use offramp_results::timeline::Timeline;
use offramp_results::words::counted;
use offramp_scenario::{Experiment, Scenario};
use rayon::prelude::*;

use crate::progress::show_failure;

/// Fails if the policies of an experiment must not be played in this process, or `episode`, counted
/// from 0, is not one of its evaluation.
///
/// # Errors
/// [`Problem`] names the scenario.
pub(super) fn check(experiments: &[Experiment<Evaluation>], episode: u64) -> Result<(), Problem> {
    for experiment in experiments {
        let episodes = experiment.points.first().map(|point| point.scenario.evaluation.episodes);
        if let Some(episodes) = episodes.filter(|episodes| episode >= *episodes) {
            let (name, counted) = (&experiment.name, counted(episodes, "episode"));
            let message = format!("--html={episode}: `{name}` has {counted}, counted from 0");
            let help = format!("name one of 0 to {}", episodes - 1);
            return Err(Problem::new(message).with_help(help));
        }
    }
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

/// The pages of the experiments of a run folder, one each.
pub(super) fn pages(experiments: &[Experiment<Evaluation>], folder: &Path) -> Vec<PathBuf> {
    let several = experiments.len() > 1;
    let name = |experiment: &Experiment<Evaluation>| {
        folder.join(episode::file_name(several.then_some(experiment.name.as_str())))
    };
    experiments.iter().map(name).collect()
}

/// Plays `episode` at the first point of an experiment with every policy there, and writes the page.
/// A policy that fails is reported and left out. Returns false, and writes no page, if all of them fail.
///
/// # Errors
/// [`PageError`] names the page that can't be written.
pub(super) fn write(
    experiment: &Experiment<Evaluation>,
    episode: u64,
    page: &Path,
) -> Result<bool, PageError> {
    let Some(point) = experiment.points.first() else { return Ok(false) };
    let watch = |policy: &BoundPolicy| match watch_episode(point, policy, episode) {
        Ok(timeline) => Some((policy.label.clone(), timeline)),
        Err(error) => {
            let label = &policy.label;
            show_failure(format_args!("{label}, while recording the episode: {error}"));
            None
        }
    };
    let played: Vec<(String, Timeline)> = point.policies.par_iter().filter_map(watch).collect();
    if played.is_empty() {
        return Ok(false);
    }
    let seed = point.scenario.evaluation.seed;
    let about = format!("episode {episode} under seed {seed}");
    let shown_devices = played.first().map_or(0, |(_, timeline)| timeline.shown_devices);
    let world = world(&point.scenario, episode, shown_devices);
    episode::write(page, &experiment.name, &about, &played, world.as_ref())?;
    Ok(true)
}

/// Where stations and the first devices are in `episode`, slot by slot; `None` without positions.
/// Decisions change none of it, so everyone computes locally.
fn world(scenario: &Scenario, episode: u64, shown_devices: u32) -> Option<World> {
    let (system, seed) = (&scenario.system, scenario.evaluation.seed);
    let world = system.parameters().world.as_deref()?;
    let mut environment = Environment::new(system, scenario.observation, seed, episode);
    let mut ways = vec![Vec::new(); shown_devices as usize];
    let mut actions = Vec::new();
    while !environment.is_over() {
        let episode = environment.episode();
        for (device, way) in (0..).zip(&mut ways) {
            let position = episode.position(device)?;
            let mut servers = 0..system.server_count();
            way.push(Whereabouts {
                position: (position.x_m, position.y_m),
                is_present: episode.is_present(device),
                serving: episode.serving(device),
                can_send: servers.any(|server| episode.uplink_mbps(device, server) > 0.0),
            });
        }
        actions.clear();
        actions.resize(environment.rows(), 0);
        // An action of 0 is legal.
        let _ = environment.step(&actions);
    }
    Some(World {
        width_m: world.area.width_m,
        height_m: world.area.height_m,
        stations: world.stations.iter().map(|station| (station.x_m, station.y_m)).collect(),
        ways,
    })
}
