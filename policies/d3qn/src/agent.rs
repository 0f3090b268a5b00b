//! One D3QN agent: its two networks, its experience, and its update (section 5.2).

use offramp_nn::learning::{OptimiserState, TargetUpdate, Update, clip, double_q_target};
use offramp_nn::merge::{self, LengthMismatch};
use offramp_nn::replay::{BySlot, Draw, Experience, LoadLog, Replay, gather_windows};
use offramp_nn::{Histories, Shape, Threads, Workspace, initial_parameters, step_stream, stream};
use rand::Rng;

use crate::parameters::{Flaw, PART, Recipe};

/// An agent: of one device, or of all.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    /// θ_eval.
    pub(crate) evaluation: Vec<f32>,
    /// θ_target.
    pub(crate) target: Vec<f32>,
    pub(crate) optimiser: OptimiserState<f32>,
    replay: Replay<f32>,
    /// The experiences of each slot, if batches are drawn by slot.
    by_slot: Option<BySlot>,
    /// Values of a target network that is copied now and then.
    cache: Option<TargetCache>,
    /// Updates so far.
    pub(crate) updates: u64,
    /// Seed of its batches, one stream per update.
    seed: u64,
}

/// States, and what an agent is fitted to in each: the values of a teacher, in the networks' scale.
pub(crate) struct Lesson<'l> {
    /// Rows × F.
    pub(crate) features: &'l [f32],
    /// Windows of K × M.
    pub(crate) histories: &'l [f32],
    /// The window of each row; empty if all see the first.
    pub(crate) history_of: &'l [u32],
    /// Rows × (1 + M).
    pub(crate) targets: &'l [f32],
}

/// Buffers of an update.
#[derive(Debug)]
pub(crate) struct Scratch {
    workspace: Workspace<f32>,
    target: Workspace<f32>,
    /// Features of the states, then of the next states.
    features: Vec<f32>,
    windows: SharedWindows,
    next_windows: SharedWindows,
    d_values: Vec<f32>,
    gradient: Vec<f32>,
    update: Update,
}

/// Windows that several rows may see.
#[derive(Debug, Default)]
struct SharedWindows {
    /// The newest row of each.
    newest: Vec<u64>,
    /// K × M each.
    windows: Vec<f32>,
    /// The window of each row.
    of: Vec<u32>,
}

/// Q of the target network in next states, kept as long as that network stays the same: an
/// experience is drawn about thirteen times in that time by QECO's values.
#[derive(Clone, Debug, Default)]
struct TargetCache {
    /// Number of the target network, counted up from 1.
    network: u64,
    /// By experience: the number of the network that its values are of, and the values.
    networks: Vec<u64>,
    values: Vec<f32>,
}

impl Scratch {
    pub(crate) fn new(shape: Shape) -> Self {
        Self {
            workspace: Workspace::new(shape),
            target: Workspace::new(shape),
            features: Vec::new(),
            windows: SharedWindows::default(),
            next_windows: SharedWindows::default(),
            d_values: Vec::new(),
            gradient: vec![0.0; shape.parameters()],
            update: Update::default(),
        }
    }
}

impl SharedWindows {
    fn clear(&mut self) {
        self.newest.clear();
        self.windows.clear();
        self.of.clear();
    }

    /// Adds a row that sees the window that ends at `newest`.
    fn add(&mut self, log: &LoadLog<f32>, history_slots: usize, newest: u64) {
        // Rows of a slot come one after the other: those that share a window are not far.
        let place = match self.newest.iter().rposition(|&other| other == newest) {
            Some(place) => place,
            None => {
                self.newest.push(newest);
                let rows = newest + 1 - history_slots as u64..newest + 1;
                self.windows.extend_from_slice(log.rows(rows));
                self.newest.len() - 1
            }
        };
        self.of.push(place as u32);
    }

    /// As a workspace takes them; without numbers each row has its own window.
    fn histories(&self) -> Histories<'_, f32> {
        match self.of.is_empty() {
            true => Histories::Each(&self.windows),
            false => Histories::Of(&self.windows, &self.of),
        }
    }
}

impl TargetCache {
    /// Forgets the values of an experience.
    fn forget(&mut self, index: usize) {
        if let Some(network) = self.networks.get_mut(index) {
            *network = 0;
        }
    }

    /// Q of the next state of an experience, 1 + M.
    fn of(&self, index: usize, actions: usize) -> &[f32] {
        &self.values[index * actions..(index + 1) * actions]
    }

    /// Computes what is missing for a batch.
    fn refresh(
        &mut self,
        shape: &Shape,
        target: &[f32],
        replay: &Replay<f32>,
        log: &LoadLog<f32>,
        batch: &[usize],
        scratch: &mut Scratch,
    ) {
        let actions = shape.actions();
        self.networks.resize(replay.len(), 0);
        self.values.resize(replay.len() * actions, 0.0);
        let mut missing: Vec<usize> = batch.to_vec();
        missing.retain(|&index| self.networks[index] != self.network);
        missing.sort_unstable();
        missing.dedup();
        if missing.is_empty() {
            return;
        }
        let Scratch { target: workspace, features, next_windows, .. } = scratch;
        features.clear();
        next_windows.clear();
        for &index in &missing {
            features.extend_from_slice(replay.next_features(index));
            next_windows.add(log, shape.history_slots, replay.experience(index).next_window);
        }
        let values = workspace.forward(target, features, next_windows.histories());
        for (&index, values) in missing.iter().zip(values.chunks_exact(actions)) {
            self.values[index * actions..(index + 1) * actions].copy_from_slice(values);
            self.networks[index] = self.network;
        }
    }
}

impl Agent {
    /// Draws both networks from the stream `seed`.
    pub(crate) fn new(shape: &Shape, recipe: &Recipe, seed: u64) -> Self {
        let mut rng = stream(seed, 0);
        let evaluation = initial_parameters(shape, recipe.initial, &mut rng);
        let mut target = evaluation.clone();
        if recipe.has(Flaw::FrozenTargetLstm) {
            // The published code draws both networks and never copies the LSTM.
            let other = initial_parameters(shape, recipe.initial, &mut rng);
            let lstm = lstm_length(shape);
            target[..lstm].copy_from_slice(&other[..lstm]);
        }
        Self::of(shape, recipe, seed, evaluation, target)
    }

    /// Both networks as they are given, without experience.
    pub(crate) fn of(
        shape: &Shape,
        recipe: &Recipe,
        seed: u64,
        evaluation: Vec<f32>,
        target: Vec<f32>,
    ) -> Self {
        let parameters = &recipe.parameters;
        // The histories of stored experiences change while the ring moves on.
        let stays = matches!(parameters.target, TargetUpdate::Hard(2..));
        let cached = stays && !recipe.has(Flaw::StoredHistories);
        Self {
            optimiser: parameters.optimiser.state(shape.parameters()),
            replay: Replay::new(parameters.replay, shape.features),
            by_slot: matches!(recipe.draw, Draw::Slots(_)).then(BySlot::default),
            cache: cached.then(|| TargetCache { network: 1, ..TargetCache::default() }),
            evaluation,
            target,
            updates: 0,
            seed,
        }
    }

    /// Its experience.
    pub(crate) fn replay(&self) -> &Replay<f32> {
        &self.replay
    }

    /// Replaces its experience by what was saved.
    pub(crate) fn set_replay(&mut self, replay: Replay<f32>) {
        if let Some(by_slot) = &mut self.by_slot {
            *by_slot = BySlot::of(&replay);
        }
        self.replay = replay;
        self.forget_targets();
    }

    /// Adds an experience.
    pub(crate) fn remember(
        &mut self,
        experience: Experience<f32>,
        features: &[f32],
        next_features: &[f32],
    ) {
        let (index, replaced) = self.replay.push(experience, features, next_features);
        if let Some(cache) = &mut self.cache {
            cache.forget(index);
        }
        if let Some(by_slot) = &mut self.by_slot {
            if let Some(replaced) = replaced {
                by_slot.remove(index, replaced.window);
            }
            by_slot.add(index, experience.window);
        }
    }

    /// The target network is another one now.
    fn forget_targets(&mut self) {
        if let Some(cache) = &mut self.cache {
            cache.network += 1;
        }
    }

    /// The number of experiences that a batch may be drawn from: the first ones.
    fn places(&self, shape: &Shape, recipe: &Recipe) -> usize {
        // A history that is strung together needs others after it.
        let strung = if recipe.has(Flaw::StoredHistories) { shape.history_slots } else { 0 };
        self.replay.len().saturating_sub(strung)
    }

    /// Draws the batch of the next update.
    fn draw(&self, shape: &Shape, recipe: &Recipe) -> Vec<usize> {
        let (batch, replay) = (recipe.parameters.batch, &self.replay);
        // Seeded anew for each update, so that there is no state of a generator to be saved.
        let mut rng = step_stream(self.seed, self.updates + 1);
        let (Draw::Slots(run), Some(by_slot)) = (recipe.draw, &self.by_slot) else {
            let places = self.places(shape, recipe);
            return (0..batch).map(|_| rng.random_range(0..places)).collect();
        };
        by_slot.draw(run, batch, &mut rng, |rng| replay.experience(replay.draw(rng)).window)
    }

    /// One update from a batch of its experience, if it has a batch.
    ///
    /// `scratch` has one element for each part of a batch that may be computed at a time.
    pub(crate) fn learn(
        &mut self,
        shape: &Shape,
        recipe: &Recipe,
        log: &LoadLog<f32>,
        scratch: &mut [Scratch],
        threads: &Threads,
    ) -> Option<Update> {
        let parameters = &recipe.parameters;
        if self.replay.len() < parameters.batch || self.places(shape, recipe) == 0 {
            return None;
        }
        let batch = self.draw(shape, recipe);
        let Self { cache, target, replay, .. } = self;
        if let (Some(cache), Some(scratch)) = (cache, scratch.first_mut()) {
            cache.refresh(shape, target, replay, log, &batch, scratch);
        }

        let parts = batch.len().div_ceil(PART);
        let agent = &*self;
        let compute = |(part, scratch): (&[usize], &mut Scratch)| {
            agent.part_gradient(shape, recipe, log, part, scratch);
        };
        threads.each(batch.chunks(PART).zip(&mut *scratch), compute);
        let (first, rest) = scratch.split_first_mut()?;
        for part in &rest[..parts - 1] {
            for (sum, &gradient) in first.gradient.iter_mut().zip(&part.gradient) {
                *sum += gradient;
            }
            first.update.loss += part.update.loss;
            first.update.q += part.update.q;
            first.update.td_error += part.update.td_error;
        }

        first.update.gradient_norm = self.descend(shape, recipe, &mut first.gradient);
        Some(first.update)
    }

    /// One step towards the values of `rows`, those of the states that it decides; returns the mean loss
    /// of all of them before it.
    pub(crate) fn fit(
        &mut self,
        shape: &Shape,
        recipe: &Recipe,
        lesson: &Lesson<'_>,
        rows: &[usize],
        scratch: &mut Scratch,
    ) -> f64 {
        let Scratch { workspace, features, windows, d_values, gradient, .. } = scratch;
        let (width, actions) = (shape.features, shape.actions());
        let share = 1.0 / (rows.len() * actions) as f32;
        let mut sum = 0.0;
        gradient.fill(0.0);
        for part in rows.chunks(PART) {
            features.clear();
            windows.of.clear();
            for &row in part {
                features.extend_from_slice(&lesson.features[row * width..][..width]);
                windows.of.push(lesson.history_of.get(row).copied().unwrap_or(0));
            }
            let histories = Histories::Of(lesson.histories, &windows.of);
            let values = workspace.forward(&self.evaluation, features, histories);
            d_values.clear();
            for (&row, values) in part.iter().zip(values.chunks_exact(actions)) {
                let targets = &lesson.targets[row * actions..][..actions];
                d_values.extend(values.iter().zip(targets).map(|(value, target)| {
                    let (loss, derivative) = recipe.parameters.loss.of(value - target);
                    sum += f64::from(loss * share);
                    derivative * share
                }));
            }
            workspace.backward(&self.evaluation, d_values, gradient);
        }
        self.descend(shape, recipe, gradient);
        sum
    }

    /// One step of the optimiser, after which the target network follows; returns the norm of the gradient.
    fn descend(&mut self, shape: &Shape, recipe: &Recipe, gradient: &mut [f32]) -> f64 {
        let parameters = &recipe.parameters;
        let norm = clip(gradient, parameters.clip);
        let optimiser = parameters.optimiser.scaled(recipe.annealing.factor(self.updates));
        optimiser.step(&mut self.optimiser, &mut self.evaluation, gradient);
        self.updates += 1;
        let kept = if recipe.has(Flaw::FrozenTargetLstm) { lstm_length(shape) } else { 0 };
        parameters.target.follow(self.updates, &mut self.target[kept..], &self.evaluation[kept..]);
        if parameters.target.moves_at(self.updates) {
            self.forget_targets();
        }
        norm
    }

    /// Gradient and loss of some experiences of a batch, top to bottom as eq. (14) has it.
    fn part_gradient(
        &self,
        shape: &Shape,
        recipe: &Recipe,
        log: &LoadLog<f32>,
        part: &[usize],
        scratch: &mut Scratch,
    ) {
        let Scratch { features, windows, next_windows, d_values, gradient, update, .. } = scratch;
        let (actions, replay, rows) = (shape.actions(), &self.replay, part.len());
        features.clear();
        part.iter().for_each(|&index| features.extend_from_slice(replay.features(index)));
        part.iter().for_each(|&index| features.extend_from_slice(replay.next_features(index)));
        self.gather_histories(shape, recipe, log, part, [windows, next_windows]);

        // Q_target(s', ·), if it is not known.
        let next_features = &features[rows * shape.features..];
        if self.cache.is_none() {
            scratch.target.forward(&self.target, next_features, next_windows.histories());
        }
        let target_values = |row: usize| match &self.cache {
            Some(cache) => cache.of(part[row], actions),
            None => &scratch.target.values()[row * actions..(row + 1) * actions],
        };

        // Q_eval(s, ·), then Q_eval(s', ·).
        let workspace = &mut scratch.workspace;
        let values = workspace.forward(&self.evaluation, features, windows.histories());
        let (values, next_values) = values.split_at(rows * actions);

        // The mean loss of Q_eval(s, a) − Y over the whole batch, where
        // Y = r + γ^Δ · Q_target(s', argmax_a Q_eval(s', a)).
        let share = 1.0 / recipe.parameters.batch as f32;
        *update = Update::default();
        d_values.clear();
        d_values.resize(rows * actions, 0.0);
        for (row, &index) in part.iter().enumerate() {
            let Experience { action, reward, discount, .. } = *replay.experience(index);
            let next_values = &next_values[row * actions..(row + 1) * actions];
            let target = double_q_target(reward, discount, next_values, target_values(row));
            let at = row * actions + action as usize;
            let error = values[at] - target;
            let (loss, derivative) = recipe.parameters.loss.of(error);
            update.loss += f64::from(loss * share);
            update.q += f64::from(values[at] * share);
            update.td_error += f64::from(error.abs() * share);
            d_values[at] = derivative * share;
        }
        gradient.fill(0.0);
        workspace.backward(&self.evaluation, d_values, gradient);
    }

    /// The windows of the states and then of the next states of `part`, and of the next states alone.
    fn gather_histories(
        &self,
        shape: &Shape,
        recipe: &Recipe,
        log: &LoadLog<f32>,
        part: &[usize],
        [windows, next_windows]: [&mut SharedWindows; 2],
    ) {
        let (replay, slots) = (&self.replay, shape.history_slots);
        let state = |&index: &usize| replay.experience(index).window;
        let next = |&index: &usize| replay.experience(index).next_window;
        windows.clear();
        next_windows.clear();
        let (all, of_next) = (&mut windows.windows, &mut next_windows.windows);
        if self.by_slot.is_some() {
            part.iter().map(state).for_each(|newest| windows.add(log, slots, newest));
            part.iter().map(next).for_each(|newest| windows.add(log, slots, newest));
            part.iter().map(next).for_each(|newest| next_windows.add(log, slots, newest));
        } else if recipe.has(Flaw::StoredHistories) {
            // Row k of a history is the load stored with the experience k places after, whatever
            // slots and episodes lie between.
            let string = |window_of: fn(&Experience<f32>) -> u64, into: &mut Vec<f32>| {
                for &index in part {
                    for slot in 0..slots {
                        let stored = replay.experience(index + slot);
                        into.extend_from_slice(log.row(window_of(stored)));
                    }
                }
            };
            string(|experience| experience.next_window, of_next);
            string(|experience| experience.window, all);
            all.extend_from_slice(of_next);
        } else {
            gather_windows(log, slots, part.iter().map(next), of_next);
            gather_windows(log, slots, part.iter().map(state), all);
            all.extend_from_slice(of_next);
        }
    }
}

/// For federated learning: a vector is the evaluation network, then the target network.
impl Agent {
    /// Both networks.
    pub(crate) fn parameters(&self) -> Vec<f32> {
        merge::join(&[&self.evaluation, &self.target])
    }

    /// Replaces both networks; optimiser, experience and counters stay.
    ///
    /// # Errors
    /// [`LengthMismatch`] if the vector is not of networks of this shape.
    pub(crate) fn set_parameters(&mut self, vector: &[f32]) -> Result<(), LengthMismatch> {
        self.forget_targets();
        merge::split(vector, &mut [&mut self.evaluation, &mut self.target])
    }
}

/// Number of parameters of the LSTM, which come first.
fn lstm_length(shape: &Shape) -> usize {
    let [_, lstm_bias, ..] = shape.tensors();
    lstm_bias.range.end
}

#[cfg(test)]
mod tests {
    use offramp_nn::learning::{Loss, Optimiser, TargetUpdate};

    use super::*;
    use crate::parameters::{Fidelity, Flaw, Parameters, QecoParameters};

    const SHAPE: Shape = Shape { features: 3, servers: 2, history_slots: 2, hidden: 4 };

    /// An agent whose only experience is one that ends there, so that Q(s, a) has to become r.
    fn agent_with_one_experience(recipe: &Recipe, log: &mut LoadLog<f32>) -> Agent {
        let mut agent = Agent::new(&SHAPE, recipe, 5);
        let rows = [0.0, 0.1, 0.2].map(|load| log.push([load, load]));
        for _ in 0..recipe.parameters.batch {
            let experience = Experience {
                window: rows[1],
                next_window: rows[2],
                action: 1,
                reward: 0.75,
                discount: 0.0,
            };
            agent.remember(experience, &[0.3, 0.6, 0.9], &[0.0; 3]);
        }
        agent
    }

    fn value(agent: &Agent) -> f32 {
        let mut workspace = Workspace::new(SHAPE);
        let history = [0.0, 0.0, 0.1, 0.1];
        workspace.forward(&agent.evaluation, &[0.3, 0.6, 0.9], Histories::Shared(&history))[1]
    }

    #[test]
    fn it_learns_what_an_action_is_worth() {
        for loss in [Loss::Squared, Loss::Huber(1.0)] {
            let parameters = Parameters {
                loss,
                optimiser: Optimiser::Adam(0.01),
                target: TargetUpdate::Soft(0.1),
                ..Parameters::default()
            };
            let recipe = parameters.recipe(0).unwrap();
            let mut log = LoadLog::new(2);
            let mut agent = agent_with_one_experience(&recipe, &mut log);
            let mut scratch = [Scratch::new(SHAPE)];
            let first =
                agent.learn(&SHAPE, &recipe, &log, &mut scratch, &Threads::alone()).unwrap();
            let last = (0..300)
                .map(|_| agent.learn(&SHAPE, &recipe, &log, &mut scratch, &Threads::alone()))
                .last();
            assert!(last.flatten().unwrap().loss < 1e-4 * first.loss.max(1e-2));
            assert!((value(&agent) - 0.75).abs() < 0.02, "{}", value(&agent));
            assert_eq!(agent.updates, 301);
        }
    }

    #[test]
    fn parameters_are_set_as_they_were_returned() {
        let recipe = Parameters::default().recipe(0).unwrap();
        let mut agent = Agent::new(&SHAPE, &recipe, 5);
        let vector: Vec<f32> = (0..2 * SHAPE.parameters()).map(|n| n as f32).collect();
        agent.set_parameters(&vector).unwrap();
        assert_eq!(agent.parameters(), vector);
        assert_eq!(agent.evaluation, vector[..SHAPE.parameters()]);
        assert_eq!(agent.target, vector[SHAPE.parameters()..]);
        assert!(agent.set_parameters(&vector[1..]).is_err());
        assert_eq!(agent.parameters(), vector);
    }

    #[test]
    fn without_a_batch_nothing_is_learned() {
        let recipe = Parameters::default().recipe(0).unwrap();
        let mut agent = Agent::new(&SHAPE, &recipe, 5);
        let before = agent.evaluation.clone();
        let log = LoadLog::new(2);
        assert_eq!(
            agent.learn(&SHAPE, &recipe, &log, &mut [Scratch::new(SHAPE)], &Threads::alone()),
            None
        );
        assert_eq!((agent.evaluation, agent.updates), (before, 0));
    }

    #[test]
    fn the_published_target_keeps_the_lstm_it_was_born_with() {
        for (fidelity, keeps) in [
            (Fidelity::CorrectedBut(vec![Flaw::FrozenTargetLstm]), true),
            (Fidelity::Corrected, false),
        ] {
            let mut recipe = QecoParameters { fidelity, ..QecoParameters::default() }.recipe();
            recipe.parameters.target = TargetUpdate::Hard(1);
            let mut log = LoadLog::new(2);
            let mut agent = agent_with_one_experience(&recipe, &mut log);
            let born = agent.target.clone();
            agent
                .learn(&SHAPE, &recipe, &log, &mut [Scratch::new(SHAPE)], &Threads::alone())
                .unwrap();
            let lstm = lstm_length(&SHAPE);
            assert_eq!(agent.target[..lstm] == born[..lstm], keeps);
            assert_eq!(agent.target[lstm..], agent.evaluation[lstm..]);
        }
    }
}

#[cfg(test)]
mod by_hand;
#[cfg(test)]
mod toy;
