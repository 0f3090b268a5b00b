//! Validation: how a training or a distillation is judged while it continues, and how a search for
//! hyper-parameters judges it afterwards.
//!
//! The episodes are drawn under [`seeds::validation`] or [`seeds::selection`]: they are neither
//! trained on nor part of any evaluation. A search has its own, because the checkpoint with the best
//! of many validations is better on their episodes than on others.
//!
//! A training over many systems may validate in several, too: so many are drawn once and for all, from
//! the same distribution and from a stream of the validation's, and played in turn. Means are those of
//! all episodes; a system with many tasks counts for more.

use offramp_host::Policy;
use offramp_results::statistics::MeanSd;
use offramp_results::{EpisodeMetrics, EpisodeResult};
use offramp_scenario::{Scenario, TrainingEntry};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::bind::BoundPlugin;
use crate::context::PolicyContext;
use crate::instances::Instances;
use crate::run::{RunError, run_episode};
use crate::seeds;
use crate::systems::Systems;

/// The episodes that validations play. Means over different ones can't be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Validated {
    episodes: u64,
    /// The number of drawn systems, if they are drawn.
    systems: Option<u64>,
}

impl Validated {
    /// Those of a training, or of a distillation (`systems` is `None`).
    pub(crate) fn new(episodes: u64, systems: Option<u64>) -> Self {
        Self { episodes, systems }
    }
}

/// Returns mean AvgQoE and mean number of dropped tasks of `episodes` validation episodes of a
/// training, described by `entry`, or distillation with seed `seed`. Each is played by an instance of its own, as `create`
/// makes it. Episodes run in parallel, on the rayon pool this is called in; their number of threads
/// changes no result.
///
/// # Errors
/// [`RunError`] of the first episode that failed.
pub fn validate(
    scenario: &Scenario,
    context: &PolicyContext,
    entry: Option<&TrainingEntry>,
    seed: u64,
    episodes: u64,
    create: impl Fn() -> Result<Box<dyn Policy>, RunError> + Sync,
) -> Result<(f64, f64), RunError> {
    play(scenario, context, entry, seeds::validation(seed), episodes, create)
}

/// Returns mean AvgQoE and mean number of dropped tasks of a checkpoint on the `episodes` episodes by
/// which a search with seed `seed` judges. `plugin` is what wrote the checkpoint, in the training of
/// `entry` or in a distillation.
///
/// # Errors
/// [`RunError`] of the first episode that failed.
pub fn judge(
    scenario: &Scenario,
    plugin: &BoundPlugin,
    checkpoint: &[u8],
    entry: Option<&TrainingEntry>,
    seed: u64,
    episodes: u64,
) -> Result<(f64, f64), RunError> {
    let context = PolicyContext::new(scenario, "");
    play(scenario, &context, entry, seeds::selection(seed), episodes, || {
        let lent = context.lend();
        let context = lent.context(&plugin.parameters, Some(checkpoint), 0, 1);
        Ok(plugin.plugin.create_policy(&context)?)
    })
}

/// Means over the episodes that are drawn under `seed`.
fn play(
    scenario: &Scenario,
    context: &PolicyContext,
    entry: Option<&TrainingEntry>,
    seed: u64,
    episodes: u64,
    create: impl Fn() -> Result<Box<dyn Policy>, RunError> + Sync,
) -> Result<(f64, f64), RunError> {
    let scenario = &scenario.in_validation();
    let systems = Systems::of_validation(scenario, entry, seed);
    let instances = Instances::default();
    let results: Vec<EpisodeResult> = (0..episodes)
        .into_par_iter()
        .map(|episode| {
            let mut policy = instances.next(&create)?;
            if !systems.are_drawn() {
                return run_episode(scenario, context, policy.as_mut(), seed, episode);
            }
            let drawn = systems.episode(episode);
            let system = drawn.map_err(|refusal| RunError::Refused(refusal.to_string()))?.system;
            let scenario = Scenario { system, ..scenario.clone() };
            let context = PolicyContext::new(&scenario, "");
            run_episode(&scenario, &context, policy.as_mut(), seed, episode)
        })
        .collect::<Result<_, _>>()?;
    let mean = |metric: fn(&EpisodeMetrics) -> f64| {
        let values = results.iter().map(|result| metric(&result.overall));
        MeanSd::of(values).map_or(0.0, |of| of.mean)
    };
    // A system has devices, so each episode has a QoE.
    let qoe = mean(|metrics| metrics.qoe.unwrap_or_default());
    Ok((qoe, mean(|metrics| metrics.dropped as f64)))
}
