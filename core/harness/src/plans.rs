//! Plans: the decisions of [references](Reference), made before the episode begins.
//!
//! They are kept in a cache, since a search takes seconds per episode: a file for each episode, found by a
//! hash of all that the plan depends on. A file that is missing or damaged is made again, so results never
//! depend on it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use offramp_hindsight::{Known, Plan, TRIALS_PER_TASK};
use offramp_host::plugin::{EpisodeStart, Needs, Observation};
use offramp_host::{CallFailure, Learner, Policy, Saved, Student, ValueFunction};
use offramp_model::{System, Workload};
use offramp_results::files::{replace_atomically, sha256};
use offramp_scenario::{Scenario, fields_of};

use crate::engine::ENGINE;
use crate::identity::recorded_files;
use crate::reference::Reference;
use crate::seeds;

/// Plans for an episode, and a bound.
#[derive(Clone, Debug)]
pub struct Attainable {
    /// The plan of chance.
    pub chance: Plan,
    /// The plan with all information except the future.
    pub central: Plan,
    /// The best plan found.
    pub hindsight: Plan,
    /// A sum of rewards that no plan exceeds, if it was found.
    pub bound: Option<f64>,
}

/// The plans for evaluation episode `episode` of `scenario`, counted from 0, and the bound.
pub fn attainable(scenario: &Scenario, episode: u64) -> Attainable {
    let plan = |reference: Reference| Planner::new(reference, scenario).plan(episode);
    let workload = Workload::Drawn { seed: scenario.evaluation.seed, episode };
    let [chance, central, hindsight] =
        [Reference::Chance, Reference::Central, Reference::Hindsight].map(plan);
    // One that a plan exceeds would be no bound, whatever its reason.
    let exceeded = |bound: f64| [&chance, &central, &hindsight].iter().any(|p| p.reward > bound);
    let bound = Known::new(&scenario.system, workload).bound().filter(|bound| !exceeded(*bound));
    Attainable { chance, central, hindsight, bound }
}

/// A policy that plays the plans of a reference in the evaluation episodes of `scenario`.
pub(crate) fn policy(reference: Reference, scenario: &Scenario) -> Box<dyn Policy> {
    let planner = Arc::new(Planner::new(reference, scenario));
    Box::new(Planned { planner, plan: None })
}

/// Makes the plans of a reference.
#[derive(Debug)]
struct Planner {
    reference: Reference,
    system: Arc<System>,
    /// The seed of the evaluation.
    seed: u64,
    /// The folder that keeps the plans of these episodes, if any are kept.
    kept: Option<PathBuf>,
}

impl Planner {
    fn new(reference: Reference, scenario: &Scenario) -> Self {
        let seed = scenario.evaluation.seed;
        let kept = match reference {
            Reference::Chance => None,
            Reference::Central | Reference::Hindsight => cache().zip(key(reference, scenario)),
        };
        let kept = kept.map(|(cache, key)| cache.join("plans").join(key));
        Self { reference, system: Arc::clone(&scenario.system), seed, kept }
    }

    fn plan(&self, episode: u64) -> Plan {
        let Self { reference, system, seed, kept } = self;
        let known = Known::new(system, Workload::Drawn { seed: *seed, episode });
        let file = kept.as_ref().map(|folder| folder.join(format!("{episode}.json")));
        let there = file.as_deref().and_then(read).and_then(|actions| known.carry_out(actions));
        if let Some(plan) = there {
            return plan;
        }
        let mut stream = seeds::reference(*seed, episode);
        let plan = match reference {
            Reference::Chance => known.chance(&mut stream),
            Reference::Central => known.central(),
            Reference::Hindsight => known.hindsight(TRIALS_PER_TASK, &mut stream),
        };
        if let Some(file) = file {
            // Without a cache it takes longer, and that is all.
            let _ = write(&file, &plan.actions);
        }
        plan
    }
}

/// The folder of caches: `OFFRAMP_CACHE` (none if it is empty), or that of the user.
fn cache() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let found = folder("OFFRAMP_CACHE").or_else(|| {
        let home = || Some(folder("HOME")?.join(".cache"));
        let caches = folder("XDG_CACHE_HOME").filter(|path| path.is_absolute()).or_else(home);
        Some(caches?.join("offramp"))
    });
    found.filter(|folder| !folder.as_os_str().is_empty())
}

/// The hash of all that the plans of a scenario's episodes depend on; `None` if its recorded data can't
/// be read.
fn key(reference: Reference, scenario: &Scenario) -> Option<String> {
    const SYSTEM: [&str; 6] = ["system", "world", "tasks", "alpha", "energy", "recordings"];
    let mut fields = fields_of(&scenario.text);
    fields.retain(|(name, _)| SYSTEM.contains(&name.as_str()));
    fields.sort();
    let files = recorded_files(scenario).ok()?;
    let hashes: Vec<&str> = files.iter().map(|file| file.sha256.as_str()).collect();
    let (name, seed) = (reference.name(), scenario.evaluation.seed);
    let described = format!("{ENGINE} {name} {TRIALS_PER_TASK} {seed} {fields:?} {hashes:?}");
    Some(sha256(described.as_bytes()))
}

/// The actions that a file of the cache keeps; `None` if it is missing or damaged.
fn read(file: &Path) -> Option<Vec<u32>> {
    let text = std::fs::read_to_string(file).ok()?;
    let (hash, actions) = text.split_once('\n')?;
    (hash == sha256(actions.as_bytes())).then_some(())?;
    serde_json::from_str(actions).ok()
}

/// Keeps actions, with their hash.
fn write(file: &Path, actions: &[u32]) -> Option<()> {
    let actions = serde_json::to_string(actions).ok()?;
    std::fs::create_dir_all(file.parent()?).ok()?;
    let text = format!("{}\n{actions}", sha256(actions.as_bytes()));
    replace_atomically(file, text.as_bytes()).ok()
}

/// Plays the plans of a reference.
struct Planned {
    planner: Arc<Planner>,
    /// That of the episode under way.
    plan: Option<Plan>,
}

impl Policy for Planned {
    fn needs(&self) -> Needs {
        Needs::NOTHING
    }

    fn begin_episode(&mut self, start: &EpisodeStart<'_>) -> Result<(), CallFailure> {
        self.plan = Some(self.planner.plan(start.episode));
        Ok(())
    }

    fn decide(
        &mut self,
        observation: &Observation<'_>,
        actions: &mut [u32],
    ) -> Result<(), CallFailure> {
        let planned = self.plan.as_ref().map_or(&[][..], |plan| plan.of_slot(observation.slot));
        actions.iter_mut().zip(planned).for_each(|(action, planned)| *action = *planned);
        Ok(())
    }

    fn end_episode(&mut self) -> Result<(), CallFailure> {
        self.plan = None;
        Ok(())
    }

    fn files(&self) -> Result<Vec<PathBuf>, CallFailure> {
        Ok(Vec::new())
    }

    fn fresh(&self) -> Result<Option<Box<dyn Policy>>, CallFailure> {
        Ok(Some(Box::new(Self { planner: Arc::clone(&self.planner), plan: None })))
    }

    fn saved(&mut self) -> Option<&mut dyn Saved> {
        None
    }

    fn learner(&mut self) -> Option<&mut dyn Learner> {
        None
    }

    fn value_function(&mut self) -> Option<&mut dyn ValueFunction> {
        None
    }

    fn student(&mut self) -> Option<&mut dyn Student> {
        None
    }
}
