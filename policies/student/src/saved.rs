//! Checkpoints and the state of a distillation.

use offramp_nn::checkpoint::Checkpoint;
use offramp_nn::checkpoint_spec::Stage;
use offramp_nn::learning::OptimiserState;
use offramp_plugin::{Error, Saved};

use crate::candidates::{Candidate, Candidates};
use crate::policy::DistilledStudent;

impl Saved for DistilledStudent {
    fn checkpoint(&self) -> Result<Vec<u8>, Error> {
        let mut checkpoint = self.networks.describe(Stage::Deployed);
        let weights = self.candidates.iter().map(Candidates::weights);
        self.networks.put(&mut checkpoint, "", weights);
        Ok(checkpoint.to_bytes()?)
    }

    fn save(&self) -> Result<Vec<u8>, Error> {
        let mut state = self.networks.describe(Stage::Training);
        for number in 0..self.candidates.first().map_or(0, |candidates| candidates.all.len()) {
            let mut put = |part: &str, numbers: fn(&Candidate) -> &[f32]| {
                let each = self.candidates.iter().map(|candidates| &candidates.all[number]);
                self.networks.put(&mut state, &format!("{part}_{number}."), each.map(numbers));
            };
            put("weights", |candidate| &candidate.weights);
            put("first", |candidate| &candidate.optimiser.first);
            put("second", |candidate| &candidate.optimiser.second);
        }
        let all = || self.candidates.iter().flat_map(|candidates| &candidates.all);
        state.put_u64("steps", all().map(|candidate| candidate.optimiser.steps));
        state.put_u64("losses", all().map(|candidate| candidate.loss.to_bits().into()));
        state.put_u64("ended", all().map(|candidate| candidate.ended.into()));
        state.put_u64("best", self.candidates.iter().map(|candidates| candidates.best as u64));
        Ok(state.to_bytes()?)
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let state = Checkpoint::from_bytes(bytes)?;
        self.networks.expect(&state, Stage::Training)?;
        let count = self.parameters.starts;
        let (steps, losses) = (state.u64("steps")?, state.u64("losses")?);
        let (ended, best) = (state.u64("ended")?, state.u64("best")?);
        let networks = self.candidates.len();
        let per_candidate = |numbers: &Vec<u64>| numbers.len() == networks * count;
        let decides = |(network, &best): (usize, &u64)| {
            let best = usize::try_from(best).ok().filter(|&best| best < count);
            best.is_some_and(|best| ended[network * count + best] == 0)
        };
        if ![&steps, &losses, &ended].into_iter().all(per_candidate)
            || best.len() != networks
            || !best.iter().enumerate().all(decides)
        {
            return Err(Error::new("the saved student contradicts itself"));
        }
        let mut all: Vec<Candidates> = best
            .into_iter()
            .map(|best| Candidates { all: Vec::new(), best: best as usize, rows: Vec::new() })
            .collect();
        for number in 0..count {
            let take = |part: &str| self.networks.take(&state, &format!("{part}_{number}."));
            let parts = take("weights")?.into_iter().zip(take("first")?).zip(take("second")?);
            for ((network, candidates), ((weights, first), second)) in
                all.iter_mut().enumerate().zip(parts)
            {
                let at = network * count + number;
                let optimiser = OptimiserState { steps: steps[at], first, second };
                candidates.all.push(Candidate {
                    weights,
                    optimiser,
                    loss: f32::from_bits(losses[at] as u32),
                    ended: ended[at] != 0,
                });
            }
        }
        self.candidates = all;
        Ok(())
    }
}

/// Federated learning: one vector per network, see [`Candidates::parameters`].
#[allow(dead_code, reason = "the plugin interface has no capability that calls it yet")]
impl DistilledStudent {
    /// The parameters of every network.
    pub(crate) fn parameters(&self) -> Vec<Vec<f32>> {
        self.candidates.iter().map(Candidates::parameters).collect()
    }

    /// Replaces the parameters of every network.
    ///
    /// # Errors
    /// If there is not one vector per network, each of the length that
    /// [`DistilledStudent::parameters`] returns; networks before the wrong one are changed then.
    pub(crate) fn set_parameters(&mut self, vectors: &[Vec<f32>]) -> Result<(), Error> {
        if vectors.len() != self.candidates.len() {
            let (found, networks) = (vectors.len(), self.candidates.len());
            return Err(Error::new(format!("{found} vectors for {networks} networks")));
        }
        for (candidates, vector) in self.candidates.iter_mut().zip(vectors) {
            candidates.set_parameters(vector)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use offramp_plugin::testing::Bench;

    use super::*;

    #[test]
    fn parameters_are_set_as_they_were_returned() {
        let mut bench = Bench::new(3, 2);
        let one: DistilledStudent = bench.create().unwrap();
        bench.seed = 2;
        let mut other: DistilledStudent = bench.create().unwrap();
        let parameters = one.parameters();
        assert_eq!(parameters.len(), 3);
        assert_ne!(other.parameters(), parameters);
        other.set_parameters(&parameters).unwrap();
        assert_eq!(other.parameters(), parameters);
        assert_eq!(other.checkpoint().unwrap(), one.checkpoint().unwrap());
        assert!(other.set_parameters(&parameters[1..]).is_err());
    }
}
