//! The environment of reinforcement learning: reset, observe, step.
//!
//! An [`Environment`] plays the episodes of one system, and every loop over slots is one over it:
//! evaluation, training, the collection of datasets, tests, other languages. It owns all it needs
//! and allocates nothing once its buffers have grown to their size.
//!
//! ```text
//! let mut environment = Environment::new(&system, observation, seed, episode);
//! while !environment.is_over() {
//!     let observation = environment.observe(needs);   // what the devices with a new task see
//!     /* fill one action per row */
//!     environment.step(&actions)?;                    // carry them out, end the slot
//!     environment.transitions(&actions).batch();      // what a learner records of it
//! }
//! environment.reset(seed, episode + 1);
//! ```

use std::sync::Arc;

use offramp_host::plugin::{EndedTask, Needs, Observation, TransitionBatch};
use offramp_model::{
    Episode, IllegalDecision, Incompatible, ObservationSpec, Outcome, System, Workload, reward,
};

/// A system, the episode under way in it, and buffers for what is observed.
#[derive(Debug)]
pub struct Environment {
    system: Arc<System>,
    observation: ObservationSpec,
    episode: Episode,
    threads: usize,
    seen: Buffers,
    ended: Vec<EndedTask>,
}

/// A slot that has ended, as a learner records it.
#[derive(Clone, Copy, Debug)]
pub struct Transitions<'a> {
    /// The observation at its start.
    pub observation: Observation<'a>,
    /// The actions that were carried out, one per row.
    pub actions: &'a [u32],
    /// The tasks that ended in it, with their rewards.
    pub ended: &'a [EndedTask],
}

impl Transitions<'_> {
    /// In the form that crosses the boundary.
    pub fn batch(&self) -> TransitionBatch<'_> {
        TransitionBatch {
            observation: &self.observation,
            actions: self.actions.into(),
            ended: self.ended.into(),
        }
    }
}

/// The observation of a slot. Parts that were not asked for are empty.
#[derive(Debug, Default)]
struct Buffers {
    slot: u32,
    server_count: u32,
    history_slots: u32,
    devices: Vec<u32>,
    features: Vec<f64>,
    histories: Vec<f64>,
    tasks: Vec<f64>,
    links: Vec<f64>,
    servers: Vec<f64>,
}

impl Environment {
    /// An environment of `system`, in which policies observe what `observation` says, at the
    /// beginning of an episode as after [`reset`](Self::reset).
    pub fn new(
        system: &Arc<System>,
        observation: ObservationSpec,
        seed: u64,
        episode: u64,
    ) -> Self {
        let workload = Workload::Drawn { seed, episode };
        Self {
            episode: Episode::new(system, workload, observation),
            system: Arc::clone(system),
            observation,
            threads: 1,
            seen: Buffers::default(),
            ended: Vec::new(),
        }
    }

    /// Begins an episode. Its tasks are a pure function of `seed` and `episode`, whatever is
    /// decided.
    pub fn reset(&mut self, seed: u64, episode: u64) {
        let workload = Workload::Drawn { seed, episode };
        self.episode = Episode::new(&self.system, workload, self.observation);
        self.episode.set_threads(self.threads);
    }

    /// Goes on in another system from the slot at which the episode stands; see
    /// [`Episode::continue_in`].
    ///
    /// # Errors
    /// [`Incompatible`]; nothing has changed then.
    pub fn continue_in(&mut self, system: &Arc<System>) -> Result<(), Incompatible> {
        self.episode.continue_in(system)?;
        self.system = Arc::clone(system);
        Ok(())
    }

    /// Carries out each slot on at most `threads` threads; see [`Episode::set_threads`].
    pub fn set_threads(&mut self, threads: usize) {
        self.threads = threads;
        self.episode.set_threads(threads);
    }

    /// The episode under way: its slot, its arrivals, the tasks that ended.
    pub fn episode(&self) -> &Episode {
        &self.episode
    }

    /// True after the last slot, when every task has ended.
    pub fn is_over(&self) -> bool {
        self.episode.is_over()
    }

    /// How many tasks wait for a decision in this slot: the rows of an observation.
    pub fn rows(&self) -> usize {
        self.episode.arrivals().len()
    }

    /// The observation of the devices with a new task in this slot, one row per task in the order of
    /// devices. Only what `needs` asks for is computed; the rest is empty.
    pub fn observe(&mut self, needs: Needs) -> Observation<'_> {
        self.seen.fill(&self.episode, needs);
        self.seen.observation()
    }

    /// Ends the slot with one action per task: 0 computes locally, j = 1 … M offloads to server
    /// j. [`Episode::ended`] then has the tasks that ended in it.
    ///
    /// # Errors
    /// [`IllegalDecision`]; the slot has not ended then.
    pub fn step(&mut self, actions: &[u32]) -> Result<(), IllegalDecision> {
        self.episode.advance(actions)
    }

    /// A learner's record of the slot that [`step`](Self::step) ended with `actions`: what
    /// was last [observed](Self::observe), the actions, and the tasks that ended, with rewards.
    pub fn transitions<'a>(&'a mut self, actions: &'a [u32]) -> Transitions<'a> {
        let Self { system, episode, seen, ended, .. } = self;
        ended.clear();
        ended.extend(episode.ended().iter().map(|task| {
            let energy = system.energy().of(&task.energy);
            EndedTask {
                device: task.device,
                arrival_slot: task.arrival_slot,
                action: task.action,
                delay_slots: task.delay_slots,
                dropped: task.outcome == Outcome::Dropped,
                reward: reward::reward(system, task),
                energy: [energy.local, energy.transmit, energy.server, energy.idle],
            }
        }));
        Transitions { observation: seen.observation(), actions, ended }
    }
}

impl Buffers {
    fn fill(&mut self, episode: &Episode, needs: Needs) {
        self.slot = episode.slot();
        self.server_count = episode.system().server_count();
        self.history_slots = episode.observation().history_slots;
        self.devices.clear();
        self.devices.extend(episode.arrivals().iter().map(|arrival| arrival.device));
        // What is not needed now may have been filled for someone else before.
        let Self { features, histories, tasks, links, servers, .. } = self;
        for buffer in [&mut *features, histories, tasks, links, servers] {
            buffer.clear();
        }
        if needs.includes(Needs::FEATURES) {
            episode.features(features);
        }
        if needs.includes(Needs::HISTORY) {
            histories.extend_from_slice(episode.history());
        }
        if needs.includes(Needs::TASKS) {
            episode.task_table(tasks);
        }
        if needs.includes(Needs::LINKS) {
            episode.link_table(links);
        }
        if needs.includes(Needs::SERVERS) {
            episode.server_table(servers);
        }
    }

    fn observation(&self) -> Observation<'_> {
        Observation {
            slot: self.slot,
            server_count: self.server_count,
            history_slots: self.history_slots,
            devices: self.devices.as_slice().into(),
            features: self.features.as_slice().into(),
            histories: self.histories.as_slice().into(),
            history_of: [].as_slice().into(),
            tasks: self.tasks.as_slice().into(),
            links: self.links.as_slice().into(),
            servers: self.servers.as_slice().into(),
        }
    }
}
