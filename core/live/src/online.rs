//! Online distillation: devices send states to a teacher at an edge server, and are fitted to the values that
//! it returns.
//!
//! In each slot a device may send the state of the task that waits, if its draw says so and its bytes last. A
//! state is what the teacher sees of the device and its task; loads and histories of servers are known at the
//! edge, and cost nothing. The values come back before the slot is over, and the device keeps the state
//! beside them, in its memory of bounded size. Every few slots it takes a step towards the values of some
//! states of its memory.
//!
//! A teacher that learns does so from devices that report: of each of their tasks the state, the action,
//! and, once it has ended, the reward.

use std::collections::{BTreeSet, VecDeque};

use offramp_harness::environment::Transitions;
use offramp_harness::seeds;
use offramp_harness::states::States;
use offramp_host::plugin::{EndedTask, Needs, Observation, TransitionBatch};
use offramp_host::{CallFailure, Policy};
use offramp_scenario::{Encoding, LivePolicy, OnlineEntry};

use crate::rows::Selected;
use crate::wire::{self, Scales, Spent};

/// Slots for which the budget of bytes is counted, and after which other devices report.
const PERIOD: u32 = 1_000;

/// Bytes of an action, and of a reward.
const ACTION: u64 = 1;
const REWARD: u64 = 4;

/// A state that a device keeps, with its values.
struct Known {
    features: Vec<f64>,
    window: Vec<f64>,
    values: Vec<f32>,
}

/// Numbers as a device keeps them in its memory.
fn kept(encoding: Encoding, numbers: &[f64], scales: &[f32]) -> Vec<f64> {
    let mut kept: Vec<f32> = numbers.iter().map(|&number| number as f32).collect();
    wire::send_scaled(encoding, &mut kept, scales);
    kept.into_iter().map(f64::from).collect()
}

/// Online distillation under way.
pub(crate) struct Online<'l> {
    entry: &'l OnlineEntry,
    policy: &'l LivePolicy,
    teacher: Box<dyn Policy>,
    /// The last states of each device.
    memories: Vec<VecDeque<Known>>,
    /// Bytes of each device in this period.
    used: Vec<u64>,
    /// Devices that report in this period.
    reporting: BTreeSet<u32>,
    /// Tasks that were reported and have not ended: device and slot of arrival.
    reported: BTreeSet<(u32, u32)>,
    seed: u64,
    pub(crate) spent: Spent,
    /// Multiply-adds of a fit, for each device, if the policy tells.
    of_a_fit: Option<u64>,
    /// Multiply-adds of each device so far.
    multiply_adds: u64,
    scales: Scales,
    /// Those of the numbers of a state that the teacher sees.
    of_state: Vec<f32>,
}

impl<'l> Online<'l> {
    pub(crate) fn new(
        entry: &'l OnlineEntry,
        policy: &'l LivePolicy,
        teacher: Box<dyn Policy>,
        devices: u32,
        seed: u64,
        of_a_fit: Option<u64>,
        scales: Scales,
    ) -> Self {
        Self {
            entry,
            policy,
            memories: (0..devices).map(|_| VecDeque::new()).collect(),
            used: vec![0; devices as usize],
            reporting: BTreeSet::new(),
            reported: BTreeSet::new(),
            seed,
            spent: Spent::default(),
            of_a_fit,
            multiply_adds: 0,
            of_state: scales.of_state(teacher.needs()),
            scales,
            teacher,
        }
    }

    /// The teacher alone.
    pub(crate) fn into_teacher(self) -> Box<dyn Policy> {
        self.teacher
    }

    /// The files that the teacher reads by itself.
    ///
    /// # Errors
    /// [`CallFailure`] of the teacher.
    pub(crate) fn files(&self) -> Result<Vec<std::path::PathBuf>, CallFailure> {
        self.teacher.files()
    }

    /// The parts of an observation that the teacher reads.
    pub(crate) fn needs(&self) -> Needs {
        self.teacher.needs()
    }

    fn is_away(&self, slot: u32) -> bool {
        self.entry.away.iter().any(|away| away.contains(&slot))
    }

    /// True if the device may send and receive so many bytes more in this period; then they are counted.
    fn pays(&mut self, device: u32, sent: u64, received: u64) -> bool {
        let used = &mut self.used[device as usize];
        let budget = self.entry.bytes_per_slot * f64::from(PERIOD);
        let fits = (*used + sent + received) as f64 <= budget;
        if fits {
            *used += sent + received;
            self.spent.sent += sent;
            self.spent.received += received;
        }
        fits
    }

    /// Asks the teacher for the values of some of the states of a slot.
    ///
    /// # Errors
    /// [`CallFailure`] of the teacher.
    pub(crate) fn ask(&mut self, seen: &Observation<'_>) -> Result<(), CallFailure> {
        let slot = seen.slot;
        if slot.is_multiple_of(PERIOD) {
            self.begin_period(slot);
        }
        if self.is_away(slot) {
            return Ok(());
        }
        let actions = 1 + seen.server_count as usize;
        let encoding = self.entry.encoding;
        let state = wire::bytes(encoding, Selected::numbers(seen, self.teacher.needs()));
        let values = wire::bytes(encoding, actions);
        let mut draws = seeds::exchange(self.seed, u64::from(slot));
        let mut asking = Vec::new();
        for (row, &device) in seen.devices.iter().enumerate() {
            // Drawn for each, so that no draw depends on another device's budget.
            let asks = draws.uniform() < self.entry.asking;
            if !asks {
                continue;
            }
            if self.policy.is_silent(device, slot) {
                self.spent.missing += 1;
            } else if self.pays(device, state, values) {
                asking.push(row);
            }
        }
        let mut sent = Selected::of(seen, &asking, self.teacher.needs());
        for (place, &row) in asking.iter().enumerate() {
            if self.policy.is_broken(seen.devices[row], slot) {
                sent.break_row(place);
            }
        }
        sent.send(encoding, &self.of_state);
        let whole: Vec<usize> = (0..asking.len()).filter(|&place| sent.is_finite(place)).collect();
        for (place, &row) in asking.iter().enumerate() {
            if !sent.is_finite(place) {
                // Nothing comes back.
                self.spent.refused += 1;
                self.spent.received -= values;
                self.used[seen.devices[row] as usize] -= values;
            }
        }
        if whole.is_empty() {
            return Ok(());
        }
        let Some(teacher) = self.teacher.value_function() else { return Ok(()) };
        let mut all = vec![0.0; whole.len() * actions];
        sent.keep(&whole);
        teacher.values(&sent.observation(seen), &mut all)?;
        self.spent.queries += whole.len() as u64;
        for (&place, values) in whole.iter().zip(all.chunks_exact_mut(actions)) {
            let row = asking[place];
            wire::send(encoding, values);
            let (features, window) = (seen.features_of(row), seen.window_of(row));
            let loads = vec![self.scales.load; window.len()];
            let known = Known {
                features: kept(encoding, features, &self.scales.features),
                window: kept(encoding, window, &loads),
                values: values.to_vec(),
            };
            let of_one = wire::bytes(encoding, features.len() + window.len() + actions);
            let most = (self.entry.memory_bytes / of_one as f64) as usize;
            let memory = &mut self.memories[seen.devices[row] as usize];
            memory.push_back(known);
            while memory.len() > most {
                memory.pop_front();
            }
        }
        Ok(())
    }

    fn begin_period(&mut self, slot: u32) {
        self.used.fill(0);
        let mut draws = seeds::reporting(self.seed, u64::from(slot / PERIOD));
        let devices = 0..self.used.len() as u32;
        self.reporting = devices.filter(|_| draws.uniform() < self.entry.reporting).collect();
    }

    /// Lets the teacher learn from what devices report of a slot that is over.
    ///
    /// # Errors
    /// [`CallFailure`] of the teacher.
    pub(crate) fn report(&mut self, slot: u32, over: &Transitions<'_>) -> Result<(), CallFailure> {
        if self.entry.reporting == 0.0 || self.is_away(slot) {
            return Ok(());
        }
        let seen = &over.observation;
        let state = wire::bytes(self.entry.encoding, Selected::numbers(seen, self.teacher.needs()));
        let mut rows = Vec::new();
        for (row, &device) in seen.devices.iter().enumerate() {
            let reports = self.reporting.contains(&device) && !self.policy.is_silent(device, slot);
            if reports && self.pays(device, state + ACTION + REWARD, 0) {
                rows.push(row);
                self.reported.insert((device, slot));
            }
        }
        let reported =
            |task: &&EndedTask| self.reported.contains(&(task.device, task.arrival_slot));
        let ended: Vec<EndedTask> = over.ended.iter().filter(reported).copied().collect();
        for task in &ended {
            self.reported.remove(&(task.device, task.arrival_slot));
        }
        let mut sent = Selected::of(seen, &rows, self.teacher.needs());
        sent.send(self.entry.encoding, &self.of_state);
        let actions: Vec<u32> = rows.iter().map(|&row| over.actions[row]).collect();
        let Some(teacher) = self.teacher.learner() else { return Ok(()) };
        teacher.record(&TransitionBatch {
            observation: &sent.observation(seen),
            actions: actions[..].into(),
            ended: ended[..].into(),
        })?;
        teacher.learn().map(drop)
    }

    /// Fits the devices to values of their memories, if it is time for it; returns the loss.
    ///
    /// # Errors
    /// [`CallFailure`] of the policy.
    pub(crate) fn fit(
        &mut self,
        slot: u32,
        policy: &mut dyn Policy,
        shown: &mut States,
    ) -> Result<Option<f64>, CallFailure> {
        let done = slot + 1;
        if !done.is_multiple_of(self.entry.every_slots) {
            return Ok(None);
        }
        if let (Some(budget), Some(cost)) = (self.entry.multiply_adds, self.of_a_fit)
            && self.multiply_adds + cost > budget.saturating_mul(u64::from(done))
        {
            return Ok(None);
        }
        shown.clear();
        let mut draws = seeds::exchange_fit(self.seed, u64::from(slot));
        for (device, memory) in (0..).zip(&self.memories) {
            if memory.is_empty() {
                continue;
            }
            for _ in 0..self.entry.batch {
                let Known { features, window, values } = &memory[draws.below(memory.len())];
                shown.push_window(window);
                shown.push(device, features, values);
            }
        }
        if shown.is_empty() {
            return Ok(None);
        }
        let Some(student) = policy.student() else { return Ok(None) };
        let loss = student.fit(&shown.observation(), shown.targets())?;
        Ok(Some(loss))
    }

    /// Takes in what the last fit has cost each device.
    pub(crate) fn pay_fit(&mut self, multiply_adds: u64) {
        self.multiply_adds += multiply_adds;
    }
}
