//! One D3QN agent: its two networks, its experience, and its update (section 5.2).

use offramp_nn::learning::{OptimiserState, clip};
use offramp_nn::merge::{self, LengthMismatch};
use offramp_nn::replay::{Experience, LoadLog, Replay, gather_windows};
use offramp_nn::{Histories, Shape, Workspace, argmax, initial_parameters, step_stream, stream};
use rayon::prelude::*;

use crate::parameters::{Deploy, Flaw, PART, Recipe};

/// An agent: of one device, or of all.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    /// θ_eval.
    pub(crate) evaluation: Vec<f32>,
    /// θ_target.
    pub(crate) target: Vec<f32>,
    pub(crate) optimiser: OptimiserState<f32>,
    pub(crate) replay: Replay<f32>,
    /// Updates so far.
    pub(crate) updates: u64,
    /// Seed of its batches, one stream per update.
    pub(crate) seed: u64,
}

/// Buffers of an update.
#[derive(Debug)]
pub(crate) struct Scratch {
    workspace: Workspace<f32>,
    features: Vec<f32>,
    next_features: Vec<f32>,
    windows: Vec<f32>,
    next_windows: Vec<f32>,
    newest: Vec<u64>,
    next_actions: Vec<usize>,
    d_values: Vec<f32>,
    gradient: Vec<f32>,
    loss: f64,
}

impl Scratch {
    pub(crate) fn new(shape: Shape) -> Self {
        Self {
            workspace: Workspace::new(shape),
            features: Vec::new(),
            next_features: Vec::new(),
            windows: Vec::new(),
            next_windows: Vec::new(),
            newest: Vec::new(),
            next_actions: Vec::new(),
            d_values: Vec::new(),
            gradient: vec![0.0; shape.parameters()],
            loss: 0.0,
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
        Self {
            optimiser: recipe.parameters.optimiser.state(shape.parameters()),
            replay: Replay::new(recipe.parameters.replay, shape.features),
            evaluation,
            target,
            updates: 0,
            seed,
        }
    }

    /// The network that a checkpoint of this agent deploys.
    pub(crate) fn deployed(&self, deploy: Deploy) -> &[f32] {
        match deploy {
            Deploy::Evaluation => &self.evaluation,
            Deploy::Target => &self.target,
        }
    }

    /// One update from a batch of its experience, if it has a batch; returns the mean loss.
    ///
    /// `scratch` has one element for each part of a batch that may be computed at a time.
    pub(crate) fn learn(
        &mut self,
        shape: &Shape,
        recipe: &Recipe,
        log: &LoadLog<f32>,
        scratch: &mut [Scratch],
    ) -> Option<f64> {
        let parameters = &recipe.parameters;
        if self.replay.len() < parameters.batch {
            return None;
        }
        // Seeded anew for each update, so that there is no state of a generator to be saved.
        let mut rng = step_stream(self.seed, self.updates + 1);
        let batch: Vec<usize> = (0..parameters.batch).map(|_| self.replay.draw(&mut rng)).collect();

        let parts = batch.len().div_ceil(PART);
        let agent = &*self;
        let compute = |(part, scratch): (&[usize], &mut Scratch)| {
            agent.part_gradient(shape, recipe, log, part, scratch);
        };
        let work = batch.chunks(PART).zip(&mut *scratch);
        if parts == 1 {
            work.for_each(compute);
        } else {
            work.collect::<Vec<_>>().into_par_iter().for_each(compute);
        }
        let (first, rest) = scratch.split_first_mut()?;
        for part in &rest[..parts - 1] {
            for (sum, &gradient) in first.gradient.iter_mut().zip(&part.gradient) {
                *sum += gradient;
            }
            first.loss += part.loss;
        }

        clip(&mut first.gradient, parameters.clip);
        let optimiser = parameters.optimiser.scaled(parameters.annealing().factor(self.updates));
        optimiser.step(&mut self.optimiser, &mut self.evaluation, &first.gradient);
        self.updates += 1;
        let kept = if recipe.has(Flaw::FrozenTargetLstm) { lstm_length(shape) } else { 0 };
        parameters.target.follow(self.updates, &mut self.target[kept..], &self.evaluation[kept..]);
        Some(first.loss)
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
        let Scratch { workspace, features, next_features, d_values, gradient, .. } = scratch;
        let (actions, replay) = (shape.actions(), &self.replay);
        features.clear();
        next_features.clear();
        for &index in part {
            features.extend_from_slice(replay.features(index));
            next_features.extend_from_slice(replay.next_features(index));
        }
        self.gather_histories(
            shape,
            recipe,
            log,
            part,
            &mut scratch.newest,
            [&mut scratch.windows, &mut scratch.next_windows],
        );

        // argmax_a Q_eval(s', a).
        let next_histories = Histories::Each(&scratch.next_windows);
        let next_values = workspace.forward(&self.evaluation, next_features, next_histories);
        scratch.next_actions.clear();
        scratch.next_actions.extend(next_values.chunks_exact(actions).map(argmax));

        // Y = r + γ^Δ · Q_target(s', that action).
        let next_values = workspace.forward(&self.target, next_features, next_histories);
        d_values.clear();
        d_values.resize(part.len() * actions, 0.0);
        for ((row, &index), &best) in (0..).zip(part).zip(&scratch.next_actions) {
            let Experience { action, reward, discount, .. } = *replay.experience(index);
            let target = reward + discount * next_values[row * actions + best];
            // Kept where its derivative will be.
            d_values[row * actions + action as usize] = target;
        }

        // The mean loss of Q_eval(s, a) − Y over the whole batch.
        let histories = Histories::Each(&scratch.windows);
        let values = workspace.forward(&self.evaluation, features, histories);
        let share = 1.0 / recipe.parameters.batch as f32;
        scratch.loss = 0.0;
        for (row, &index) in part.iter().enumerate() {
            let at = row * actions + replay.experience(index).action as usize;
            let (loss, derivative) = recipe.parameters.loss.of(values[at] - d_values[at]);
            scratch.loss += f64::from(loss * share);
            d_values[at] = derivative * share;
        }
        gradient.fill(0.0);
        workspace.backward(&self.evaluation, d_values, gradient);
    }

    /// The windows of the states and of the next states of `part`, K × rows × M each.
    fn gather_histories(
        &self,
        shape: &Shape,
        recipe: &Recipe,
        log: &LoadLog<f32>,
        part: &[usize],
        newest: &mut Vec<u64>,
        [windows, next_windows]: [&mut Vec<f32>; 2],
    ) {
        let (replay, slots) = (&self.replay, shape.history_slots);
        if recipe.has(Flaw::StoredHistories) {
            // Row k of a history is the load stored with the experience K − 1 − k places before,
            // whatever slots and episodes lie between.
            let string = |window_of: fn(&Experience<f32>) -> u64, into: &mut Vec<f32>| {
                into.clear();
                for slot in 0..slots {
                    for &index in part {
                        let stored = (index + slot + 1 + replay.len() - slots) % replay.len();
                        into.extend_from_slice(log.row(window_of(replay.experience(stored))));
                    }
                }
            };
            string(|experience| experience.window, windows);
            string(|experience| experience.next_window, next_windows);
            return;
        }
        newest.clear();
        newest.extend(part.iter().map(|&index| replay.experience(index).window));
        gather_windows(log, slots, newest, windows);
        newest.clear();
        newest.extend(part.iter().map(|&index| replay.experience(index).next_window));
        gather_windows(log, slots, newest, next_windows);
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
            agent.replay.push(experience, &[0.3, 0.6, 0.9], &[0.0; 3]);
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
                anneal_updates: 0,
                ..Parameters::default()
            };
            let recipe = parameters.recipe().unwrap();
            let mut log = LoadLog::new(2);
            let mut agent = agent_with_one_experience(&recipe, &mut log);
            let mut scratch = [Scratch::new(SHAPE)];
            let first = agent.learn(&SHAPE, &recipe, &log, &mut scratch).unwrap();
            let last = (0..300).map(|_| agent.learn(&SHAPE, &recipe, &log, &mut scratch)).last();
            assert!(last.flatten().unwrap() < 1e-4 * first.max(1e-2));
            assert!((value(&agent) - 0.75).abs() < 0.02, "{}", value(&agent));
            assert_eq!(agent.updates, 301);
        }
    }

    #[test]
    fn parameters_are_set_as_they_were_returned() {
        let recipe = Parameters::default().recipe().unwrap();
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
        let recipe = Parameters::default().recipe().unwrap();
        let mut agent = Agent::new(&SHAPE, &recipe, 5);
        let before = agent.evaluation.clone();
        let log = LoadLog::new(2);
        assert_eq!(agent.learn(&SHAPE, &recipe, &log, &mut [Scratch::new(SHAPE)]), None);
        assert_eq!((agent.evaluation, agent.updates), (before, 0));
    }

    #[test]
    fn the_published_target_keeps_the_lstm_it_was_born_with() {
        for (fidelity, keeps) in [
            (Fidelity::CorrectedBut(vec![Flaw::FrozenTargetLstm]), true),
            (Fidelity::Corrected, false),
        ] {
            let mut recipe = QecoParameters { fidelity }.recipe();
            recipe.parameters.target = TargetUpdate::Hard(1);
            let mut log = LoadLog::new(2);
            let mut agent = agent_with_one_experience(&recipe, &mut log);
            let born = agent.target.clone();
            agent.learn(&SHAPE, &recipe, &log, &mut [Scratch::new(SHAPE)]).unwrap();
            let lstm = lstm_length(&SHAPE);
            assert_eq!(agent.target[..lstm] == born[..lstm], keeps);
            assert_eq!(agent.target[lstm..], agent.evaluation[lstm..]);
        }
    }
}
