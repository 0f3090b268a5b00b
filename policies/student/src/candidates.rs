//! Candidates: networks of one device that begin at different random weights and learn from the
//! same rows; the one with the smallest loss decides.

use offramp_nn::learning::{OptimiserState, clip};
use offramp_nn::merge::{self, LengthMismatch};
use offramp_nn::{Histories, Shape, Threads, Workspace, window_of as window_of_row};

use crate::loss::Losses;
use crate::parameters::{PART, Parameters};

/// The candidates of one device, or of all.
pub(crate) struct Candidates {
    pub(crate) all: Vec<Candidate>,
    /// The one that decides.
    pub(crate) best: usize,
    /// Their rows in the batch at hand.
    pub(crate) rows: Vec<usize>,
}

/// A network from one random initialisation, and its optimiser.
pub(crate) struct Candidate {
    pub(crate) weights: Vec<f32>,
    pub(crate) optimiser: OptimiserState<f32>,
    /// Running mean of the loss that it descends.
    pub(crate) loss: f32,
    /// True if it has stopped learning, since others were far ahead.
    pub(crate) ended: bool,
}

/// Share of a new loss in the running mean.
const LOSS_SHARE: f32 = 0.01;

/// Buffers of a step, for a part of its rows at a time.
pub(crate) struct Scratch {
    workspace: Workspace<f32>,
    features: Vec<f32>,
    /// Windows of rows that have none in common.
    windows: Vec<f32>,
    /// The window of each row, of those that the part's rows see.
    window_of: Vec<u32>,
    d_values: Vec<f32>,
    /// Of a part.
    gradient: Vec<f32>,
    /// Of all parts.
    sum: Vec<f32>,
    losses: Losses,
}

/// A batch of observations, scaled, and the teacher's values.
pub(crate) struct Batch<'a> {
    /// Rows × F.
    pub(crate) features: &'a [f32],
    /// Windows of K × M.
    pub(crate) histories: &'a [f32],
    /// The window of each row, see [`window_of`].
    pub(crate) history_of: &'a [u32],
    /// Rows × (1 + M), unscaled.
    pub(crate) targets: &'a [f32],
}

impl Candidates {
    /// Candidates with these weights, none of which has learned yet.
    pub(crate) fn new(
        weights: impl IntoIterator<Item = Vec<f32>>,
        parameters: &Parameters,
    ) -> Self {
        let candidate = |weights: Vec<f32>| Candidate {
            optimiser: parameters.optimiser.state(weights.len()),
            weights,
            loss: 0.0,
            ended: false,
        };
        Self { all: weights.into_iter().map(candidate).collect(), best: 0, rows: Vec::new() }
    }

    /// The weights of the one that decides.
    pub(crate) fn weights(&self) -> &[f32] {
        &self.all[self.best].weights
    }

    /// One step of every candidate that still learns, on the rows of the batch; returns the loss
    /// of eq. (16) before it, of the one that decided. Each element of `scratch` computes a part of
    /// the rows at a time.
    pub(crate) fn step(
        &mut self,
        shape: &Shape,
        parameters: &Parameters,
        batch: &Batch<'_>,
        scratch: &mut [Scratch],
        threads: &Threads,
    ) -> f64 {
        let mut of_best = 0.0;
        let learning = self.all.iter_mut().enumerate().filter(|(_, one)| !one.ended);
        for (number, candidate) in learning {
            let loss = candidate.step(shape, parameters, &self.rows, batch, scratch, threads);
            if number == self.best {
                of_best = loss;
            }
        }
        self.select(parameters);
        of_best
    }

    /// Lets the candidate with the smallest loss decide. After an eighth, a quarter and a half of
    /// the annealing, the worse half of those that learn ends.
    fn select(&mut self, parameters: &Parameters) {
        let Self { all, best, .. } = self;
        let mut learning: Vec<usize> = (0..all.len()).filter(|&one| !all[one].ended).collect();
        learning.sort_by(|&a, &b| all[a].loss.total_cmp(&all[b].loss));
        *best = learning[0];
        let steps = all[*best].optimiser.steps;
        if [8, 4, 2].iter().any(|part| steps == parameters.anneal_steps / part) {
            for &number in &learning[learning.len().div_ceil(2)..] {
                all[number].ended = true;
            }
        }
    }
}

/// For federated learning: a vector is the network that decides.
impl Candidates {
    /// Replaces the parameters of the network that decides; the other candidates, optimisers and
    /// losses stay.
    ///
    /// # Errors
    /// [`LengthMismatch`] if the vector is not of a network of this shape.
    pub(crate) fn set_parameters(&mut self, vector: &[f32]) -> Result<(), LengthMismatch> {
        merge::split(vector, &mut [&mut self.all[self.best].weights])
    }
}

impl Candidate {
    /// One step on these rows; returns the loss of eq. (16) before it, in units of the teacher's
    /// values, squared.
    fn step(
        &mut self,
        shape: &Shape,
        parameters: &Parameters,
        rows: &[usize],
        batch: &Batch<'_>,
        scratch: &mut [Scratch],
        threads: &Threads,
    ) -> f64 {
        let (losses, mut gradient) =
            self.gradient(shape, parameters, rows, batch, scratch, threads);
        self.loss = match self.optimiser.steps {
            0 => losses.descended,
            _ => self.loss + LOSS_SHARE * (losses.descended - self.loss),
        };
        clip(&mut gradient, parameters.clip);
        let factor = parameters.annealing().factor(self.optimiser.steps);
        let optimiser = parameters.optimiser.scaled(factor);
        optimiser.step(&mut self.optimiser, &mut self.weights, &gradient);
        scratch[0].sum = gradient;
        let scale = f64::from(parameters.value_scale as f32);
        losses.values * scale * scale
    }

    /// The losses on these rows, and their gradient, in the first scratch's buffer.
    fn gradient(
        &self,
        shape: &Shape,
        parameters: &Parameters,
        rows: &[usize],
        batch: &Batch<'_>,
        scratch: &mut [Scratch],
        threads: &Threads,
    ) -> (Losses, Vec<f32>) {
        let share = 1.0 / rows.len() as f32;
        let mut sum = std::mem::take(&mut scratch[0].sum);
        sum.clear();
        sum.resize(shape.parameters(), 0.0);
        let mut losses = Losses::default();
        for rows in rows.chunks(PART * scratch.len()) {
            let compute = |(rows, scratch): (&[usize], &mut Scratch)| {
                scratch.part(&self.weights, shape, parameters, rows, share, batch);
            };
            let parts = rows.len().div_ceil(PART);
            threads.each(rows.chunks(PART).zip(&mut *scratch), compute);
            for part in &scratch[..parts] {
                losses.values += part.losses.values;
                losses.descended += part.losses.descended;
                sum.iter_mut().zip(&part.gradient).for_each(|(sum, &part)| *sum += part);
            }
        }
        (losses, sum)
    }
}

impl Scratch {
    /// Losses and gradient of some rows of a batch, times `share`.
    fn part(
        &mut self,
        weights: &[f32],
        shape: &Shape,
        parameters: &Parameters,
        rows: &[usize],
        share: f32,
        batch: &Batch<'_>,
    ) {
        let Self { workspace, features, windows, window_of, d_values, gradient, losses, .. } = self;
        let (width, actions) = (shape.features, shape.actions());
        features.clear();
        for &row in rows {
            features.extend_from_slice(&batch.features[row * width..(row + 1) * width]);
        }
        let histories = batch.histories_of(shape, rows, windows, window_of);
        let values = workspace.forward(weights, features, histories);
        *losses = Losses::default();
        d_values.clear();
        for (values, &row) in values.chunks_exact(actions).zip(rows) {
            let targets = &batch.targets[row * actions..(row + 1) * actions];
            losses.add_row(parameters, values, targets, share, d_values);
        }
        gradient.fill(0.0);
        workspace.backward(weights, d_values, gradient);
    }

    /// Buffers for networks of `shape`.
    pub(crate) fn new(shape: Shape) -> Self {
        Self {
            workspace: Workspace::new(shape),
            features: Vec::new(),
            windows: Vec::new(),
            window_of: Vec::new(),
            d_values: Vec::new(),
            gradient: vec![0.0; shape.parameters()],
            sum: Vec::new(),
            losses: Losses::default(),
        }
    }
}

impl Batch<'_> {
    /// The histories of some rows: those of a slot share a window, for which the LSTM then runs once.
    fn histories_of<'h>(
        &'h self,
        shape: &Shape,
        rows: &[usize],
        windows: &'h mut Vec<f32>,
        window_of: &'h mut Vec<u32>,
    ) -> Histories<'h, f32> {
        let length = shape.window();
        let window = |row: usize| self.history_of.get(row).copied().unwrap_or(0);
        let first = rows.iter().map(|&row| window(row)).min().unwrap_or(0);
        let last = rows.iter().map(|&row| window(row)).max().unwrap_or(0);
        // Rows of the same slots come one after the other: they see few windows in a row.
        if ((last - first) as usize) < rows.len() / 2 {
            window_of.clear();
            window_of.extend(rows.iter().map(|&row| window(row) - first));
            let seen = &self.histories[first as usize * length..(last as usize + 1) * length];
            return Histories::Of(seen, window_of);
        }
        windows.clear();
        for &row in rows {
            windows.extend_from_slice(window_of_row(self.histories, self.history_of, length, row));
        }
        Histories::Each(windows)
    }
}

#[cfg(test)]
mod tests {
    use offramp_nn::{Initial, initial_parameters, stream};

    use super::*;

    const SHAPE: Shape = Shape { features: 3, servers: 2, history_slots: 2, hidden: 2 };

    fn candidates(seeds: impl IntoIterator<Item = u64>, parameters: &Parameters) -> Candidates {
        let weights = |seed| initial_parameters(&SHAPE, Initial::Glorot, &mut stream(seed, 0));
        let all = seeds.into_iter().map(weights);
        Candidates { rows: (0..4).collect(), ..Candidates::new(all, parameters) }
    }

    #[test]
    fn parameters_are_set_as_they_were_returned() {
        let mut all = candidates(0..3, &Parameters::default());
        all.best = 1;
        let vector: Vec<f32> = (0..SHAPE.parameters()).map(|n| n as f32).collect();
        all.set_parameters(&vector).unwrap();
        assert_eq!(all.weights(), vector);
        assert_eq!(all.all[1].weights, vector);
        assert_ne!(all.all[0].weights, vector);
        assert!(all.set_parameters(&vector[1..]).is_err());
    }

    #[test]
    fn of_six_candidates_the_best_is_left_as_if_it_had_learned_alone() {
        let parameters = Parameters { anneal_steps: 400, ..Parameters::default() };
        let batch = Batch {
            features: &[0.1, 0.9, 0.3, 0.8, 0.2, 0.5, 0.4, 0.4, 0.7, 0.0, 1.0, 0.6],
            histories: &[
                0.2, 0.4, 0.6, 0.1, 0.9, 0.3, 0.5, 0.5, 0.0, 0.7, 0.8, 0.1, 0.3, 0.2, 1.0, 0.6,
            ],
            history_of: &[0, 1, 2, 3],
            targets: &[10.0, -20.0, 5.0, 0.0, 30.0, -8.0, 12.0, 12.0, -15.0, 25.0, -3.0, 7.0],
        };
        let (mut scratch, threads) = ([Scratch::new(SHAPE)], Threads::alone());
        let mut all = candidates(0..6, &parameters);
        let mut alone = [0, 1, 2, 3, 4, 5].map(|number| candidates([number], &parameters));
        for step in 1..=400 {
            all.step(&SHAPE, &parameters, &batch, &mut scratch, &threads);
            for one in &mut alone {
                one.step(&SHAPE, &parameters, &batch, &mut scratch, &threads);
            }
            let left: Vec<usize> = (0..6).filter(|&number| !all.all[number].ended).collect();
            let expected = match step {
                0..50 => 6,
                50..100 => 3,
                100..200 => 2,
                _ => 1,
            };
            assert_eq!(left.len(), expected, "after {step} steps");
            let losses = left.iter().map(|&number| all.all[number].loss);
            assert_eq!(Some(all.all[all.best].loss), losses.reduce(f32::min));
            for number in left {
                assert_eq!(all.all[number].weights, alone[number].weights());
            }
        }
    }

    /// Neither the parts that are computed at a time nor shared windows change a step.
    #[test]
    fn parts_and_shared_windows_change_nothing() {
        let rows = 2 * PART + 60;
        let number = |at: usize| (at * 7919 % 1000) as f32 / 1000.0 - 0.5;
        let features: Vec<f32> = (0..rows * SHAPE.features).map(number).collect();
        let targets: Vec<f32> = (0..rows * SHAPE.actions()).map(|at| 40.0 * number(at)).collect();
        let shared: Vec<f32> = (0..20 * SHAPE.window()).map(number).collect();
        let slots: Vec<u32> = (0..rows as u32).map(|row| row / 30).collect();
        let window = |&slot: &u32| slot as usize * SHAPE.window();
        let apart: Vec<f32> = slots
            .iter()
            .flat_map(|slot| &shared[window(slot)..][..SHAPE.window()])
            .copied()
            .collect();
        let each: Vec<u32> = (0..rows as u32).collect();
        let step = |histories: &[f32], history_of: &[u32], count: usize| {
            let batch = Batch { features: &features, histories, history_of, targets: &targets };
            let parameters = Parameters::default();
            let mut one = candidates([3], &parameters);
            one.rows = (0..rows).collect();
            let mut scratch: Vec<_> = (0..count).map(|_| Scratch::new(SHAPE)).collect();
            let threads = Threads::new(count).unwrap();
            let loss = one.step(&SHAPE, &parameters, &batch, &mut scratch, &threads);
            (loss, one.weights().to_vec())
        };
        let alone = step(&shared, &slots, 1);
        assert_eq!(alone, step(&shared, &slots, 2));
        assert_eq!(alone, step(&shared, &slots, 5));
        let (loss, weights) = step(&apart, &each, 2);
        assert!((loss - alone.0).abs() < 1e-3 * loss);
        assert!(weights.iter().zip(&alone.1).all(|(a, b)| (a - b).abs() < 1e-5));
    }
}
