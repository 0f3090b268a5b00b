//! Checkpoints and the state of a distillation.

use offramp_nn::checkpoint::Checkpoint;
use offramp_nn::checkpoint_spec::Stage;
use offramp_nn::export::{self as nn, FORMAT_NAMES, export};
use offramp_nn::learning::OptimiserState;
use offramp_plugin::{Error, ExportRequest, Exportable, ExportedFile, Mergeable, Saved};

use crate::candidates::{Candidate, Candidates};
use crate::policy::{DistilledStudent, KIND};

impl Saved for DistilledStudent {
    fn checkpoint(&self) -> Result<Vec<u8>, Error> {
        let mut checkpoint = self.networks.describe(Stage::Deployed);
        self.networks.put(&mut checkpoint, "", self.weights());
        Ok(checkpoint.to_bytes()?)
    }

    fn diagnostics(&mut self) -> Vec<(String, f64)> {
        let multiply_adds = std::mem::take(&mut self.multiply_adds);
        vec![("multiply_adds".to_owned(), multiply_adds as f64)]
    }

    fn save(&self) -> Result<Vec<u8>, Error> {
        let mut state = self.networks.describe(Stage::Training);
        let new;
        let all = match self.candidates.as_slice() {
            [] => {
                new = self.new_candidates();
                &new
            }
            all => all,
        };
        for number in 0..all.first().map_or(0, |candidates| candidates.all.len()) {
            let mut put = |part: &str, numbers: fn(&Candidate) -> &[f32]| {
                let each = all.iter().map(|candidates| &candidates.all[number]);
                self.networks.put(&mut state, &format!("{part}_{number}."), each.map(numbers));
            };
            put("weights", |candidate| &candidate.weights);
            put("first", |candidate| &candidate.optimiser.first);
            put("second", |candidate| &candidate.optimiser.second);
        }
        let each = || all.iter().flat_map(|candidates| &candidates.all);
        state.put_u64("steps", each().map(|candidate| candidate.optimiser.steps));
        state.put_u64("losses", each().map(|candidate| candidate.loss.to_bits().into()));
        state.put_u64("ended", each().map(|candidate| candidate.ended.into()));
        state.put_u64("best", all.iter().map(|candidates| candidates.best as u64));
        Ok(state.to_bytes()?)
    }

    fn memory(&self) -> u64 {
        let bytes = self.parameters.memory(&self.networks, self.threads);
        bytes.try_into().unwrap_or(u64::MAX)
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let state = Checkpoint::from_bytes(bytes)?;
        self.networks.expect(&state, Stage::Training)?;
        let count = self.starts();
        let (steps, losses) = (state.u64("steps")?, state.u64("losses")?);
        let (ended, best) = (state.u64("ended")?, state.u64("best")?);
        let networks = self.networks.networks;
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

impl Exportable for DistilledStudent {
    fn formats() -> &'static [&'static str] {
        &FORMAT_NAMES
    }

    fn export(checkpoint: &[u8], request: &ExportRequest<'_>) -> Result<Vec<ExportedFile>, Error> {
        let request =
            nn::Request { format: &request.format, network: request.network, name: &request.name };
        let files = export(KIND, checkpoint, &request)?;
        let file = |nn::ExportedFile { name, bytes, note }| ExportedFile { name, bytes, note };
        Ok(files.into_iter().map(file).collect())
    }
}

/// One vector per network: that of the candidate which decides.
impl Mergeable for DistilledStudent {
    fn networks(&self) -> usize {
        self.networks.networks
    }

    fn parameters(&self, network: usize) -> Result<Vec<f32>, Error> {
        Ok(self.weights().nth(network).unwrap_or_default().to_vec())
    }

    fn set_parameters(&mut self, network: usize, parameters: &[f32]) -> Result<(), Error> {
        self.make_candidates();
        Ok(self.candidates[network].set_parameters(parameters)?)
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
        assert_eq!(one.networks(), 3);
        for network in 0..3 {
            let parameters = one.parameters(network).unwrap();
            assert_ne!(other.parameters(network).unwrap(), parameters);
            other.set_parameters(network, &parameters).unwrap();
            assert_eq!(other.parameters(network).unwrap(), parameters);
            assert!(other.set_parameters(network, &parameters[1..]).is_err());
        }
        assert_eq!(other.checkpoint().unwrap(), one.checkpoint().unwrap());
    }
}
