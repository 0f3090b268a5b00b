//! Playing: the stream of a policy, slot by slot.

use std::path::Path;

use offramp_harness::environment::Environment;
use offramp_harness::events::{Event, Observer};
use offramp_harness::metrics::{NotFinite, WindowMeter};
use offramp_harness::resume::{self, FolderError};
use offramp_harness::seeds;
use offramp_harness::states::States;
use offramp_host::plugin::{Needs, Observation, Progress, UNDECIDED};
use offramp_host::{CallFailure, Explorer, Policy};
use offramp_results::live::{LiveFault, LiveRow, LiveStream};
use serde::{Deserialize, Serialize};

use crate::federated::Federated;
use crate::online::Online;
use crate::setup::{Setup, multiply_adds};
use crate::wire::Spent;

/// The saved state of a stream, besides its decisions.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct State {
    /// Slots that have been played.
    pub(crate) slots: u32,
    /// Results of these slots.
    pub(crate) stream: LiveStream,
}

impl State {
    /// True if nothing is left to be played of a stream of so many slots.
    pub(crate) fn is_over(&self, slots: u32) -> bool {
        self.slots >= slots || self.stream.error.is_some()
    }
}

/// The reason why a stream ends early.
#[derive(Debug, thiserror::Error)]
enum EndsEarly {
    #[error(transparent)]
    Call(#[from] CallFailure),
    #[error(transparent)]
    Illegal(#[from] offramp_model::IllegalDecision),
    #[error(transparent)]
    Incompatible(#[from] offramp_model::Incompatible),
    #[error("window {}: {} is {}, not a finite number", .0.episode, .0.metric, .0.value)]
    NotFinite(#[from] NotFinite),
    #[error(
        "it decides otherwise than before the run was interrupted: its decisions depend on more than \
         its seed and what it sees"
    )]
    Differs,
}

/// A stream under way.
struct Player<'s> {
    setup: &'s Setup<'s>,
    environment: Environment,
    policy: Box<dyn Policy>,
    explorer: Option<Box<dyn Explorer>>,
    needs: Needs,
    /// True while the policy learns.
    learns: bool,
    progress: Progress,
    /// The checkpoint at the end of the last window in which it learned, if there is one.
    good: Option<Vec<u8>>,
    /// What its devices learn from a teacher.
    online: Option<Online<'s>>,
    /// What its devices tell each other.
    federated: Option<Federated<'s>>,
    /// What they are shown of each other's or a teacher's states.
    shown: States,
    /// Fits so far.
    fits: u64,
    /// Multiply-adds of learning in this window, of all devices, if the policy tells.
    multiply_adds: Option<u64>,
    /// What had been spent when the window began.
    spent: Spent,
    meter: WindowMeter,
    /// Sum of the losses of the window, and in how many slots there was one.
    losses: (f64, u64),
    stream: LiveStream,
    actions: Vec<u32>,
    decisions: Decisions,
}

/// All decisions of a stream, in as few bytes each as M needs.
struct Decisions {
    width: usize,
    bytes: Vec<u8>,
}

impl Decisions {
    fn new(servers: u32) -> Self {
        let width = match servers {
            0..=0xff => 1,
            0x100..=0xffff => 2,
            _ => 4,
        };
        Self { width, bytes: Vec::new() }
    }

    fn push(&mut self, actions: &[u32]) {
        for action in actions {
            self.bytes.extend_from_slice(&action.to_le_bytes()[..self.width]);
        }
    }

    /// True if they are those of `earlier`, as far as both go.
    fn agree(&self, from: usize, earlier: &[u8]) -> bool {
        let until = self.bytes.len().min(earlier.len());
        from >= until || self.bytes[from..until] == earlier[from..until]
    }
}

/// Plays the stream of a policy from slot 0 on, and saves it every now and then. `earlier` is what was
/// saved of it before, with its decisions.
///
/// # Errors
/// [`FolderError`], also if it was to end early. What is wrong with the policy is part of the stream.
pub(crate) fn play(
    setup: &Setup<'_>,
    path: &Path,
    earlier: &(State, Vec<u8>),
    observer: &dyn Observer,
) -> Result<LiveStream, FolderError> {
    let label = setup.policy.label.clone();
    let slots = setup.live.entry.slots;
    let ended = |slot: u32, cause: String, stream: LiveStream| {
        let error = Some(LiveFault { slot, cause });
        let state = State { slots: slot, stream: LiveStream { error, ..stream } };
        resume::save(path, &setup.origin, &state, &[])?;
        observer.on_event(Event::SlotsEnded(u64::from(slots - slot)));
        Ok(state.stream)
    };
    let begun = match &setup.crashed {
        Some(failure) => Err(failure.clone().into()),
        None => Player::new(setup),
    };
    let mut player = match begun {
        Ok(player) => player,
        Err(failure) => {
            let stream = LiveStream { policy: label, ..LiveStream::default() };
            return ended(0, failure.to_string(), stream);
        }
    };
    for slot in 0..slots {
        if observer.interrupted() {
            player.save(path, slot, earlier.0.slots)?;
            return Err(FolderError::Interrupted);
        }
        if let Err(cause) = player.slot(slot, &earlier.1) {
            return ended(slot, cause.to_string(), player.stream);
        }
        let done = slot + 1;
        if done.is_multiple_of(setup.live.entry.save_every) && done < slots {
            player.save(path, done, earlier.0.slots)?;
        }
        observer.on_event(Event::SlotsEnded(1));
    }
    if let Err(failure) = player.policy.end_episode() {
        return ended(slots, failure.to_string(), player.stream);
    }
    player.save(path, slots, 0)?;
    Ok(player.stream)
}

impl<'s> Player<'s> {
    fn new(setup: &'s Setup<'s>) -> Result<Self, EndsEarly> {
        let entry = &setup.live.entry;
        let system = entry.phases.first().map(|phase| &phase.system);
        let system = system.unwrap_or(&setup.live.scenario.system);
        let environment = Environment::new(system, setup.live.scenario.observation, setup.seed, 0);
        let learns = setup.policy.learns;
        let mut policy = setup.begun()?;
        let mut needs = policy.needs();
        let own = seeds::policy_episode(setup.seed, 0);
        setup.begin(own, learns, |start| policy.begin_episode(start))?;
        let mut explorer = setup.explorer()?;
        if let Some(explorer) = &mut explorer {
            needs = needs.and(explorer.needs());
            let own = seeds::explorer_episode(setup.seed, 0);
            setup.begin(own, learns, |start| explorer.begin_episode(start))?;
        }
        let devices = system.device_count();
        let mut online = setup.online()?;
        if let Some(online) = &mut online {
            let of_states = Needs::FEATURES.and(Needs::HISTORY);
            needs = needs.and(online.needs()).and(of_states);
        }
        let history_slots = setup.live.scenario.observation.history_slots;
        let mut shown = States::new(system.server_count(), history_slots);
        let mut federated = setup.federated(devices)?;
        if let Some(federated) = &mut federated {
            federated.begin(policy.as_mut(), &mut shown)?;
        }
        Ok(Self {
            online,
            federated,
            shown,
            fits: 0,
            multiply_adds: None,
            spent: Spent::default(),
            setup,
            environment,
            policy,
            explorer,
            needs,
            learns: learns.is_some(),
            progress: Progress::default(),
            good: None,
            meter: WindowMeter::default(),
            losses: (0.0, 0),
            stream: LiveStream { policy: setup.policy.label.clone(), ..LiveStream::default() },
            actions: Vec::new(),
            decisions: Decisions::new(system.server_count()),
        })
    }

    /// Plays a slot: first what changes in it, then the decisions, then learning.
    fn slot(&mut self, slot: u32, earlier: &[u8]) -> Result<(), EndsEarly> {
        let entry = &self.setup.live.entry;
        if let Ok(phase) = entry.phases[1..].binary_search_by_key(&slot, |phase| phase.slot) {
            self.environment.continue_in(&entry.phases[1 + phase].system)?;
        }
        let renewed = &self.setup.renewed;
        if let Ok(at) = renewed.binary_search_by_key(&slot, |renewed| renewed.0) {
            self.replace(|setup| setup.create(&renewed[at].1))?;
        }
        self.decide(slot)?;
        let from = self.decisions.bytes.len();
        self.decisions.push(&self.actions);
        if !self.decisions.agree(from, earlier) {
            return Err(EndsEarly::Differs);
        }
        self.environment.step(&self.actions)?;
        self.meter.after_slot(self.environment.episode());
        if self.learns
            && let Err(failure) = self.learn()
        {
            self.stop_learning(slot, &failure)?;
        }
        if let Err(failure) = self.report(slot) {
            self.lose_teacher(slot, &failure);
        }
        if let Err(failure) = self.fit(slot) {
            self.stop_learning(slot, &failure)?;
        }
        let done = slot + 1;
        if done.is_multiple_of(entry.window_slots) || done == entry.slots {
            self.end_window(done)?;
        }
        Ok(())
    }

    /// Fills the actions of the slot. What can't decide while it learns may be able to without.
    fn decide(&mut self, slot: u32) -> Result<(), EndsEarly> {
        let rows = self.environment.rows();
        let undecided = |actions: &mut Vec<u32>| {
            actions.clear();
            actions.resize(rows, UNDECIDED);
        };
        undecided(&mut self.actions);
        let (failed, asked) = {
            let Self { environment, needs, actions, policy, explorer, progress, online, .. } = self;
            // Also without tasks: what a learner records has it.
            let observation = environment.observe(*needs);
            let failed = match actions.is_empty() {
                true => None,
                false => decided(&observation, progress, policy.as_mut(), explorer, actions).err(),
            };
            let asked = match (&failed, online) {
                (None, Some(online)) => online.ask(&observation),
                _ => Ok(()),
            };
            (failed, asked)
        };
        if let Err(failure) = asked {
            self.lose_teacher(slot, &failure);
        }
        let Some(failure) = failed else { return Ok(()) };
        if !self.learns && self.online.is_none() {
            return Err(failure.into());
        }
        self.stop_learning(slot, &failure)?;
        undecided(&mut self.actions);
        let observation = self.environment.observe(self.needs);
        Ok(self.policy.decide(&observation, &mut self.actions)?)
    }

    /// Lets the policy record the slot and learn.
    fn learn(&mut self) -> Result<(), CallFailure> {
        let Self { environment, policy, actions, progress, losses, .. } = self;
        // That it has the capability was checked when it was bound; a loss is finite, which the host
        // checks.
        let Some(learner) = policy.learner() else { return Ok(()) };
        learner.record(&environment.transitions(actions).batch())?;
        *progress = learner.learn()?;
        if progress.recent_updates > 0 {
            *losses = (losses.0 + progress.loss, losses.1 + 1);
        }
        Ok(())
    }

    /// Lets a teacher learn from what devices report.
    fn report(&mut self, slot: u32) -> Result<(), CallFailure> {
        let Self { environment, actions, online, .. } = self;
        match online {
            Some(online) => online.report(slot, &environment.transitions(actions)),
            None => Ok(()),
        }
    }

    /// Fits the devices to what a teacher or the others have told them, if it is time for it.
    fn fit(&mut self, slot: u32) -> Result<(), CallFailure> {
        let Self { environment, policy, online, federated, shown, losses, .. } = self;
        let mut loss = None;
        if let Some(online) = online {
            loss = online.fit(slot, policy.as_mut(), shown)?;
        }
        if let Some(federated) = federated {
            federated.see(&environment.transitions(&self.actions).observation.devices);
            loss = federated.round(slot, policy.as_mut(), shown)?;
        }
        let Some(loss) = loss else { return Ok(()) };
        *losses = (losses.0 + loss, losses.1 + 1);
        self.fits += 1;
        if let Some(cost) = self.cost()?
            && let Some(online) = &mut self.online
        {
            let devices = u64::from(self.environment.episode().system().device_count());
            online.pay_fit(cost / devices.max(1));
        }
        Ok(())
    }

    /// What learning has cost since the last call: multiply-adds, if the policy tells.
    fn cost(&mut self) -> Result<Option<u64>, CallFailure> {
        let cost = multiply_adds(self.policy.as_mut())?;
        if let Some(cost) = cost {
            *self.multiply_adds.get_or_insert(0) += cost;
        }
        Ok(cost)
    }

    /// From here on there is no teacher; the policy stays as it is, and reports why.
    fn lose_teacher(&mut self, slot: u32, failure: &CallFailure) {
        self.online = None;
        let cause = format!("its teacher: {failure}");
        self.stream.stopped_learning = Some(LiveFault { slot, cause });
    }

    /// From here on the policy decides as at the end of the last window, and learns nothing.
    fn stop_learning(&mut self, slot: u32, failure: &CallFailure) -> Result<(), CallFailure> {
        (self.learns, self.explorer) = (false, None);
        (self.online, self.federated) = (None, None);
        self.stream.stopped_learning = Some(LiveFault { slot, cause: failure.to_string() });
        let good = self.good.take();
        self.replace(|setup| match &good {
            Some(bytes) => setup.create_from(bytes),
            None => setup.begun(),
        })
    }

    /// Replaces the policy by another instance, which begins in this slot and does not learn.
    fn replace(
        &mut self,
        create: impl FnOnce(&'s Setup<'s>) -> Result<Box<dyn Policy>, CallFailure>,
    ) -> Result<(), CallFailure> {
        let setup = self.setup;
        self.policy = create(setup)?;
        let own = seeds::policy_episode(setup.seed, 0);
        setup.begin(own, None, |start| self.policy.begin_episode(start))
    }

    /// Adds the row of the window that ends before slot `end`.
    fn end_window(&mut self, end: u32) -> Result<(), EndsEarly> {
        let window = self.stream.rows.len() as u64;
        let system = self.environment.episode().system();
        let (metrics, qoe_per_task) = self.meter.metrics(system, window)?;
        let completed = metrics.tasks - metrics.dropped;
        let (sum, losses) = std::mem::take(&mut self.losses);
        if (self.learns || self.online.is_some())
            && let Err(failure) = self.cost()
        {
            self.stop_learning(end - 1, &failure)?;
        }
        let of_online = self.online.as_ref().map(|online| online.spent);
        let of_federated = self.federated.as_ref().map(|federated| federated.spent);
        // What stopped spends nothing more.
        let spent = of_online.or(of_federated).unwrap_or(self.spent);
        let before = std::mem::replace(&mut self.spent, spent);
        self.meter = WindowMeter::default();
        self.stream.rows.push(LiveRow {
            policy: self.stream.policy.clone(),
            window,
            first_slot: self.stream.rows.last().map_or(0, |before| before.end_slot),
            end_slot: end,
            tasks: metrics.tasks,
            completed,
            qoe_per_task,
            delay_slots: metrics.delay_slots,
            energy_per_task: metrics.energy_per_task,
            dropped_share: metrics.completion_ratio.map(|completed| 1.0 - completed),
            local_share: metrics.local_share,
            updates: self.progress.updates + self.fits,
            loss: (losses > 0).then(|| sum / losses as f64),
            bytes_sent: spent.sent - before.sent,
            bytes_received: spent.received - before.received,
            queries: spent.queries - before.queries,
            refused: spent.refused - before.refused,
            missing: spent.missing - before.missing,
            multiply_adds: self.multiply_adds.take(),
            epsilon: self.federated.as_ref().and_then(Federated::epsilon),
        });
        let learns = self.learns || self.online.is_some();
        if learns && self.progress.updates + self.fits > 0 {
            match self.policy.saved().map_or_else(|| Ok(Vec::new()), |saved| saved.checkpoint()) {
                Ok(checkpoint) => self.good = Some(checkpoint),
                Err(failure) => self.stop_learning(end - 1, &failure)?,
            }
        }
        Ok(())
    }

    /// Saves the stream after so many slots, unless more of it is saved already.
    fn save(&self, path: &Path, slots: u32, saved: u32) -> Result<(), FolderError> {
        if slots < saved {
            return Ok(());
        }
        let state = State { slots, stream: self.stream.clone() };
        resume::save(path, &self.setup.origin, &state, &self.decisions.bytes)
    }
}

/// Fills the actions of a slot: those that the explorer leaves open are the policy's.
fn decided(
    observation: &Observation<'_>,
    progress: &Progress,
    policy: &mut dyn Policy,
    explorer: &mut Option<Box<dyn Explorer>>,
    actions: &mut [u32],
) -> Result<(), CallFailure> {
    if let Some(explorer) = explorer {
        explorer.propose(observation, progress, actions)?;
    }
    policy.decide(observation, actions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_takes_as_few_bytes_as_the_servers_need() {
        for (servers, width) in [(5, 1), (255, 1), (256, 2), (65_535, 2), (65_536, 4)] {
            let mut decisions = Decisions::new(servers);
            decisions.push(&[0, servers]);
            assert_eq!(decisions.bytes.len(), 2 * width);
            let last = &decisions.bytes[width..];
            let mut whole = [0; 4];
            whole[..width].copy_from_slice(last);
            assert_eq!(u32::from_le_bytes(whole), servers);
        }
    }

    #[test]
    fn decisions_agree_as_far_as_both_go() {
        let mut decisions = Decisions::new(5);
        decisions.push(&[1, 2]);
        let agrees = |from, earlier: &[u8]| decisions.agree(from, earlier);
        assert!(agrees(0, &[]) && agrees(0, &[1]) && agrees(0, &[1, 2, 3]));
        assert!(!agrees(0, &[2]) && !agrees(1, &[1, 3]));
        // What came before has been compared.
        assert!(agrees(1, &[9]));
    }

    #[test]
    fn a_stream_is_over_at_its_end_or_with_an_error() {
        let mut state = State { slots: 9, ..State::default() };
        assert!(!state.is_over(10) && state.is_over(9));
        state.stream.error = Some(LiveFault::default());
        assert!(state.is_over(10));
    }
}
