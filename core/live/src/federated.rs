//! Federated learning: devices that learn from their own rewards exchange what they have learned, but no
//! states.
//!
//! In a round each device takes part by a draw, and sends a vector: the parameters of its network (McMahan and
//! others 2017), or its values of states that all know (Jeong and others 2018; Li and Wang 2019), whose size
//! does not depend on the network. The mean of these, weighted by the tasks that each device has seen since it
//! last took part, goes back to all that sent in time, as their parameters, or as values that they are fitted
//! to. Some devices are not heard of, and what some send arrives a round late.
//!
//! With parameters, all begin with the network of the first device, unless they begin with a checkpoint.
//!
//! With privacy, what a device changes against the last mean is clipped and noise is added to the sum
//! ([`crate::privacy`]). All devices weigh alike then, the sum is divided by the expected number of devices,
//! and what is late counts as lost: a device is in a sum once.

use offramp_harness::environment::Environment;
use offramp_harness::seeds;
use offramp_harness::states::States;
use offramp_host::plugin::Needs;
use offramp_host::{CallFailure, Policy};
use offramp_scenario::{Exchange, FederatedEntry, LivePolicy, PrivacyEntry};

use crate::privacy::{add_noise, clip, epsilon};
use crate::wire::{self, Spent};

/// The share of the tasks of a simulation whose states are known to all.
const TAKEN: f64 = 0.1;

/// Simulations in a row without a state after which no more are sought.
const MOST_IDLE: u32 = 100;

/// A state that all know.
pub(crate) struct Public {
    features: Vec<f64>,
    window: Vec<f64>,
}

impl Public {
    /// So many states of simulations in which devices decide at random, with tasks of the seed `tasks`; fewer
    /// if there is hardly ever a task.
    ///
    /// # Errors
    /// [`IllegalDecision`](offramp_model::IllegalDecision), which no simulation causes: each decision is legal.
    pub(crate) fn states(
        mut simulation: Environment,
        count: u32,
        tasks: u64,
        seed: u64,
    ) -> Result<Vec<Self>, offramp_model::IllegalDecision> {
        let mut draws = seeds::public_states(seed);
        let mut states = Vec::with_capacity(count as usize);
        let mut actions = Vec::new();
        let (mut episode, mut idle, mut before) = (0, 0, 0);
        while states.len() < count as usize {
            if simulation.is_over() {
                idle = if states.len() == before { idle + 1 } else { 0 };
                if idle == MOST_IDLE {
                    break;
                }
                (episode, before) = (episode + 1, states.len());
                simulation.reset(tasks, episode);
            }
            let seen = simulation.observe(Needs::FEATURES.and(Needs::HISTORY));
            let choices = 1 + seen.server_count as usize;
            actions.clear();
            for row in 0..seen.rows() {
                if draws.uniform() < TAKEN && states.len() < count as usize {
                    let (features, window) = (seen.features_of(row), seen.window_of(row));
                    states.push(Self { features: features.to_vec(), window: window.to_vec() });
                }
                actions.push(draws.below(choices) as u32);
            }
            simulation.step(&actions)?;
        }
        Ok(states)
    }
}

/// Federated learning under way.
pub(crate) struct Federated<'l> {
    entry: &'l FederatedEntry,
    policy: &'l LivePolicy,
    /// True if its networks are not those of a checkpoint.
    is_new: bool,
    public: Vec<Public>,
    /// The last mean; before the first round what all know.
    mean: Vec<f32>,
    /// Tasks that each device has seen since it last took part.
    tasks: Vec<u64>,
    /// Messages that arrive in the next round: weight and vector of each.
    late: Vec<(f64, Vec<f32>)>,
    rounds: u64,
    seed: u64,
    pub(crate) spent: Spent,
}

impl<'l> Federated<'l> {
    pub(crate) fn new(
        entry: &'l FederatedEntry,
        policy: &'l LivePolicy,
        is_new: bool,
        public: Vec<Public>,
        devices: u32,
        seed: u64,
    ) -> Self {
        Self {
            entry,
            policy,
            is_new,
            public,
            mean: Vec::new(),
            tasks: vec![0; devices as usize],
            late: Vec::new(),
            rounds: 0,
            seed,
            spent: Spent::default(),
        }
    }

    /// Begins with the mean of what all devices have. Networks that no checkpoint gives begin as that of the
    /// first device, if it is parameters that are exchanged: the mean of networks that began apart means
    /// nothing. Nothing is sent for it: it is how devices are delivered.
    ///
    /// # Errors
    /// [`CallFailure`] of the policy.
    pub(crate) fn begin(
        &mut self,
        policy: &mut dyn Policy,
        shown: &mut States,
    ) -> Result<(), CallFailure> {
        if let (Exchange::Parameters, true, Some(networks)) =
            (self.entry.exchange, self.is_new, policy.mergeable())
        {
            let first = networks.parameters(0)?;
            (1..self.tasks.len()).try_for_each(|device| networks.set_parameters(device, &first))?;
        }
        let devices: Vec<u32> = (0..self.tasks.len() as u32).collect();
        let all = self.vectors(&devices, policy, shown)?;
        let all: Vec<(f64, Vec<f32>)> = all.into_iter().map(|vector| (1.0, vector)).collect();
        self.mean = weighted_mean(&all).unwrap_or_default();
        Ok(())
    }

    /// ε at δ of all rounds so far; `None` without privacy.
    pub(crate) fn epsilon(&self) -> Option<f64> {
        let PrivacyEntry { noise, delta, .. } = self.entry.privacy?;
        Some(epsilon(self.entry.share, noise, self.rounds, delta))
    }

    /// Takes in the devices of the tasks of a slot.
    pub(crate) fn see(&mut self, devices: &[u32]) {
        for &device in devices {
            self.tasks[device as usize] += 1;
        }
    }

    /// Holds a round, if one ends with this slot; returns the loss of fits.
    ///
    /// # Errors
    /// [`CallFailure`] of the policy.
    pub(crate) fn round(
        &mut self,
        slot: u32,
        policy: &mut dyn Policy,
        shown: &mut States,
    ) -> Result<Option<f64>, CallFailure> {
        if !(slot + 1).is_multiple_of(self.entry.round_slots) {
            return Ok(None);
        }
        let FederatedEntry { share, dropouts, stragglers, encoding, privacy, .. } = *self.entry;
        let mut draws = seeds::exchange(self.seed, u64::from(slot));
        let mut arrived = std::mem::take(&mut self.late);
        let (mut sending, mut in_time) = (Vec::new(), Vec::new());
        for device in 0..self.tasks.len() as u32 {
            // All are drawn for each, so that no device's luck depends on another's.
            let [part, lost, late] = [share, dropouts, stragglers].map(|p| draws.uniform() < p);
            if !part {
                continue;
            }
            if lost || self.policy.is_silent(device, slot) {
                self.spent.missing += 1;
                continue;
            }
            sending.push((device, late));
        }
        let devices: Vec<u32> = sending.iter().map(|(device, _)| *device).collect();
        let vectors = self.vectors(&devices, policy, shown)?;
        for ((device, late), mut vector) in sending.into_iter().zip(vectors) {
            let weight = std::mem::take(&mut self.tasks[device as usize]) as f64;
            if self.policy.is_broken(device, slot) {
                vector.fill(f32::NAN);
            }
            self.spent.sent += wire::bytes(encoding, vector.len());
            wire::send(encoding, &mut vector);
            if vector.iter().any(|number| !number.is_finite()) {
                self.spent.refused += 1;
                continue;
            }
            match (late, privacy) {
                (false, _) => {
                    in_time.push(device);
                    arrived.push((weight, vector));
                }
                (true, None) => self.late.push((weight, vector)),
                (true, Some(_)) => self.spent.missing += 1,
            }
        }
        self.rounds += 1;
        let Some(mut mean) = self.mean_of(&arrived, slot) else { return Ok(None) };
        self.spent.received += wire::bytes(encoding, mean.len()) * in_time.len() as u64;
        self.mean.clone_from(&mean);
        wire::send(encoding, &mut mean);
        self.deliver(&in_time, &mean, slot, policy, shown)
    }

    /// The mean of what has arrived; `None` if it says nothing.
    fn mean_of(&self, arrived: &[(f64, Vec<f32>)], slot: u32) -> Option<Vec<f32>> {
        if let Some(PrivacyEntry { clip: norm, noise, .. }) = self.entry.privacy {
            let mut sum = vec![0.0_f32; self.mean.len()];
            for (_, vector) in arrived {
                let mut change: Vec<f32> =
                    vector.iter().zip(&self.mean).map(|(a, b)| a - b).collect();
                clip(&mut change, norm);
                sum.iter_mut().zip(change).for_each(|(sum, change)| *sum += change);
            }
            add_noise(&mut sum, noise * norm, &mut seeds::privacy(self.seed, u64::from(slot)));
            let expected = (self.entry.share * self.tasks.len() as f64).max(1.0) as f32;
            return Some(
                self.mean.iter().zip(sum).map(|(mean, sum)| mean + sum / expected).collect(),
            );
        }
        weighted_mean(arrived)
    }

    /// The vectors that these devices would send, in order.
    fn vectors(
        &self,
        devices: &[u32],
        policy: &mut dyn Policy,
        shown: &mut States,
    ) -> Result<Vec<Vec<f32>>, CallFailure> {
        match self.entry.exchange {
            Exchange::Parameters => {
                let Some(networks) = policy.mergeable() else { return Ok(Vec::new()) };
                devices.iter().map(|&device| networks.parameters(device as usize)).collect()
            }
            Exchange::Values { .. } => {
                shown.clear();
                for &device in devices {
                    for Public { features, window } in &self.public {
                        shown.push_window(window);
                        shown.push(device, features, &[]);
                    }
                }
                let observation = shown.observation();
                let of_device = self.public.len() * (1 + observation.server_count as usize);
                let mut values = vec![0.0; devices.len() * of_device];
                if let Some(network) = policy.value_function()
                    && !shown.is_empty()
                {
                    network.values(&observation, &mut values)?;
                }
                Ok(values.chunks(of_device.max(1)).map(<[f32]>::to_vec).collect())
            }
        }
    }

    /// Gives devices the mean; returns the loss of fits.
    fn deliver(
        &self,
        devices: &[u32],
        mean: &[f32],
        slot: u32,
        policy: &mut dyn Policy,
        shown: &mut States,
    ) -> Result<Option<f64>, CallFailure> {
        match self.entry.exchange {
            Exchange::Parameters => {
                let Some(networks) = policy.mergeable() else { return Ok(None) };
                devices
                    .iter()
                    .try_for_each(|&device| networks.set_parameters(device as usize, mean))?;
                Ok(None)
            }
            Exchange::Values { steps, batch, .. } => {
                let Some(student) = policy.student() else { return Ok(None) };
                if devices.is_empty() || self.public.is_empty() {
                    return Ok(None);
                }
                let actions = mean.len() / self.public.len();
                let mut draws = seeds::exchange_fit(self.seed, u64::from(slot));
                let mut losses = 0.0;
                for _ in 0..steps {
                    shown.clear();
                    let states: Vec<usize> =
                        (0..batch).map(|_| draws.below(self.public.len())).collect();
                    for &device in devices {
                        for &state in &states {
                            let Public { features, window } = &self.public[state];
                            let targets = &mean[state * actions..][..actions];
                            shown.push_window(window);
                            shown.push(device, features, targets);
                        }
                    }
                    losses += student.fit(&shown.observation(), shown.targets())?;
                }
                Ok(Some(losses / f64::from(steps)))
            }
        }
    }
}

/// The mean of vectors by their weights; `None` without any, or if all weights are 0.
fn weighted_mean(vectors: &[(f64, Vec<f32>)]) -> Option<Vec<f32>> {
    let total: f64 = vectors.iter().map(|(weight, _)| weight).sum();
    let (_, first) = vectors.first()?;
    if total == 0.0 {
        return None;
    }
    let mut mean = vec![0.0_f64; first.len()];
    for (weight, vector) in vectors {
        for (sum, &number) in mean.iter_mut().zip(vector) {
            *sum += weight / total * f64::from(number);
        }
    }
    Some(mean.into_iter().map(|number| number as f32).collect())
}
