//! The one agent: its two networks, what it learns from in many systems, and its update over the
//! network over servers.

use offramp_nn::learning::{OptimiserState, Update, clip};
use offramp_nn::merge::{self, LengthMismatch};
use offramp_nn::set::{SetShape, SetWorkspace};
use offramp_nn::{Initial, Threads, step_stream, stream};
use rand::Rng;

use crate::log::{Gathered, Log};
use crate::parameters::{LearnFrom, PART, Recipe};
use crate::replay::{Drawn, Experience, Judged, OfRow, Replay};

mod policy_gradient;
mod q_learning;

/// What learns.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    /// θ_eval.
    pub(crate) evaluation: Vec<f32>,
    /// θ_target.
    pub(crate) target: Vec<f32>,
    pub(crate) optimiser: OptimiserState<f32>,
    pub(crate) lessons: Lessons,
    /// Updates so far.
    pub(crate) updates: u64,
    /// Seed of its batches, one stream per update.
    seed: u64,
}

/// The data that an agent learns from.
#[derive(Clone, Debug)]
pub(crate) enum Lessons {
    /// The rewards of its own tasks, by D3QN.
    Rewards(Replay<Experience>),
    /// What is known of all actions of its decisions, by a policy gradient.
    Judged(Replay<Judged>),
}

impl Lessons {
    /// Nothing yet.
    pub(crate) fn new(shape: SetShape, recipe: &Recipe) -> Self {
        let log = Log::new(shape);
        match recipe.parameters.learn_from {
            LearnFrom::Rewards => Self::Rewards(Replay::new(log, recipe)),
            LearnFrom::Counterfactuals(_) | LearnFrom::Teacher(_) => {
                Self::Judged(Replay::new(log, recipe))
            }
        }
    }

    /// The slots and rows that it refers to.
    pub(crate) fn log(&mut self) -> &mut Log {
        match self {
            Self::Rewards(replay) => &mut replay.log,
            Self::Judged(replay) => &mut replay.log,
        }
    }

    /// Forgets the episodes that nothing is learned from any more; nothing is pending.
    pub(crate) fn forget(&mut self) {
        match self {
            Self::Rewards(replay) => replay.forget(),
            Self::Judged(replay) => replay.forget(),
        }
    }

    /// The batch of update number `update`, if there are so many items.
    fn draw(&self, recipe: &Recipe, update: u64, rng: &mut impl Rng) -> Option<Drawn> {
        fn of<T: OfRow>(
            replay: &Replay<T>,
            recipe: &Recipe,
            update: u64,
            rng: &mut impl Rng,
        ) -> Option<Drawn> {
            let enough = replay.ring().items().len() >= recipe.parameters.batch;
            enough.then(|| replay.draw(recipe, update, rng))
        }
        match self {
            Self::Rewards(replay) => of(replay, recipe, update, rng),
            Self::Judged(replay) => of(replay, recipe, update, rng),
        }
    }
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
            lessons: Lessons::new(*shape, recipe),
            target: weights.clone(),
            evaluation: weights,
            updates: 0,
            seed,
        }
    }

    /// One update from a batch, if it has one. What it shows is in units of reward.
    ///
    /// `scratch` has one element for each part of a batch.
    pub(crate) fn learn(
        &mut self,
        recipe: &Recipe,
        scratch: &mut [Scratch],
        threads: &Threads,
    ) -> Option<Update> {
        let parameters = &recipe.parameters;
        // Seeded anew for each update, so that there is no state of a generator to be saved.
        let mut rng = step_stream(self.seed, self.updates + 1);
        let drawn = self.lessons.draw(recipe, self.updates, &mut rng)?;
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
        if let Lessons::Rewards(replay) = &mut self.lessons {
            replay.set_errors(recipe, indices, &first.errors);
        }
        Some(first.update)
    }

    /// Gradient and loss of some items of a batch.
    fn part_gradient(
        &self,
        recipe: &Recipe,
        part: &[usize],
        importance: &[f32],
        scratch: &mut Scratch,
    ) {
        match &self.lessons {
            Lessons::Rewards(replay) => {
                self.q_gradient(replay, recipe, part, importance, scratch);
            }
            Lessons::Judged(replay) => {
                self.policy_gradient(replay, recipe, part, scratch);
            }
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
        merge::split(vector, &mut [&mut self.evaluation, &mut self.target])
    }
}

#[cfg(test)]
mod toy;
