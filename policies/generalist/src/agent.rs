//! The one agent: its two networks, the experience of many systems, and its update (section 5.2 of
//! the paper) over the network over servers.

use offramp_nn::learning::{OptimiserState, Update, clip, double_q_target};
use offramp_nn::merge::{self, LengthMismatch};
use offramp_nn::set::{SetShape, SetWorkspace};
use offramp_nn::{Initial, Threads, step_stream, stream};

use crate::log::{Gathered, Log};
use crate::parameters::{PART, Recipe};
use crate::replay::{Drawn, Experience, Replay};

/// What learns.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    /// θ_eval.
    pub(crate) evaluation: Vec<f32>,
    /// θ_target.
    pub(crate) target: Vec<f32>,
    pub(crate) optimiser: OptimiserState<f32>,
    pub(crate) replay: Replay,
    /// Updates so far.
    pub(crate) updates: u64,
    /// Seed of its batches, one stream per update.
    seed: u64,
}

/// Buffers of an update, for a part of its batch.
#[derive(Debug)]
pub(crate) struct Scratch {
    workspace: SetWorkspace<f32>,
    target: SetWorkspace<f32>,
    /// The states, then the next states of those that have one.
    states: Gathered,
    /// The next states of those that have one.
    next_states: Gathered,
    d_values: Vec<f32>,
    gradient: Vec<f32>,
    /// Q(s, a) − Y of each row.
    errors: Vec<f32>,
    update: Update,
}

impl Scratch {
    pub(crate) fn new(shape: SetShape) -> Self {
        Self {
            workspace: SetWorkspace::new(shape),
            target: SetWorkspace::new(shape),
            states: Gathered::default(),
            next_states: Gathered::default(),
            d_values: Vec::new(),
            gradient: vec![0.0; shape.parameters()],
            errors: Vec::new(),
            update: Update::default(),
        }
    }
}

/// The first weights of both networks.
pub(crate) fn drawn_weights(shape: &SetShape, seed: u64) -> Vec<f32> {
    shape.initial(Initial::Glorot, &mut stream(seed, 0))
}

impl Agent {
    /// An agent whose networks both have these weights.
    pub(crate) fn new(shape: &SetShape, recipe: &Recipe, seed: u64, weights: Vec<f32>) -> Self {
        Self {
            optimiser: recipe.parameters.optimiser.state(shape.parameters()),
            replay: Replay::new(Log::new(*shape), recipe),
            target: weights.clone(),
            evaluation: weights,
            updates: 0,
            seed,
        }
    }

    /// One update from a batch of its experience, if it has a batch. What it shows is in units of
    /// reward.
    ///
    /// `scratch` has one element for each part of a batch.
    pub(crate) fn learn(
        &mut self,
        recipe: &Recipe,
        scratch: &mut [Scratch],
        threads: &Threads,
    ) -> Option<Update> {
        let parameters = &recipe.parameters;
        if self.replay.ring().items().len() < parameters.batch {
            return None;
        }
        // Seeded anew for each update, so that there is no state of a generator to be saved.
        let mut rng = step_stream(self.seed, self.updates + 1);
        let drawn = self.replay.draw(recipe, self.updates, &mut rng);
        let Drawn { indices, importance } = &drawn;

        let parts = indices.len().div_ceil(PART);
        let agent = &*self;
        let importance = |part: usize| importance.get(part * PART..).unwrap_or_default();
        let compute = |((number, part), scratch): ((usize, &[usize]), &mut Scratch)| {
            agent.part_gradient(recipe, part, importance(number), scratch);
        };
        threads.each(indices.chunks(PART).enumerate().zip(&mut *scratch), compute);
        let (first, rest) = scratch.split_first_mut()?;
        for part in &rest[..parts - 1] {
            for (sum, &gradient) in first.gradient.iter_mut().zip(&part.gradient) {
                *sum += gradient;
            }
            first.update.loss += part.update.loss;
            first.update.q += part.update.q;
            first.update.td_error += part.update.td_error;
            first.errors.extend_from_slice(&part.errors);
        }

        first.update.gradient_norm = clip(&mut first.gradient, parameters.clip);
        let optimiser = parameters.optimiser.scaled(recipe.annealing.factor(self.updates));
        optimiser.step(&mut self.optimiser, &mut self.evaluation, &first.gradient);
        self.updates += 1;
        parameters.target.follow(self.updates, &mut self.target, &self.evaluation);
        self.replay.set_errors(recipe, indices, &first.errors);
        Some(first.update)
    }

    /// Gradient and loss of some experiences of a batch, top to bottom as eq. (14) has it.
    fn part_gradient(
        &self,
        recipe: &Recipe,
        part: &[usize],
        importance: &[f32],
        scratch: &mut Scratch,
    ) {
        let Scratch { workspace, target, states, next_states, .. } = scratch;
        let Scratch { d_values, gradient, errors, update, .. } = scratch;
        let (log, ring) = (&self.replay.log, self.replay.ring().items());
        let experiences = || part.iter().map(|&index| ring[index]);
        let next_rows = || experiences().filter(|one| one.discount != 0.0).map(|one| one.next);
        states.clear();
        experiences().for_each(|one| states.add(log, one.row));
        next_rows().for_each(|next| states.add(log, next));
        next_states.clear();
        next_rows().for_each(|next| next_states.add(log, next));

        // Q_eval(s, ·) and Q_eval(s', ·), then Q_target(s', ·).
        workspace.forward(&self.evaluation, &states.batch());
        target.forward(&self.target, &next_states.batch());

        // The mean loss of Q_eval(s, a) − Y over the whole batch, where
        // Y = r + γ^Δ · Q_target(s', argmax_a Q_eval(s', a)).
        let share = 1.0 / recipe.parameters.batch as f32;
        *update = Update::default();
        d_values.clear();
        errors.clear();
        let mut next = 0;
        for (row, Experience { row: number, action, reward, discount, .. }) in
            experiences().enumerate()
        {
            let y = if discount == 0.0 {
                reward
            } else {
                next += 1;
                let by_evaluation = workspace.values_of(part.len() + next - 1);
                double_q_target(reward, discount, by_evaluation, target.values_of(next - 1))
            };
            let values = workspace.values_of(row);
            let q = values[action as usize];
            let error = q - y;
            let share = share * importance.get(row).copied().unwrap_or(1.0);
            let (loss, derivative) = recipe.parameters.loss.of(error);
            // Shown in units of reward, and as if all weighed alike.
            let shown = log.base(number) / recipe.parameters.batch as f32;
            update.loss += f64::from(loss * share);
            update.q += f64::from(q * shown);
            update.td_error += f64::from(error.abs() * shown);
            errors.push(error);
            let first = d_values.len();
            d_values.resize(first + values.len(), 0.0);
            d_values[first + action as usize] = derivative * share;
        }
        gradient.fill(0.0);
        workspace.backward(&self.evaluation, d_values, gradient);
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

#[cfg(test)]
mod toy;
