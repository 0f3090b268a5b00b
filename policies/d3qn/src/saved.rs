//! Checkpoints and the state of a training.

use offramp_nn::checkpoint::Checkpoint;
use offramp_nn::checkpoint_spec::Stage;
use offramp_nn::export::{self as nn, FORMAT_NAMES, export};
use offramp_nn::learning::OptimiserState;
use offramp_nn::replay::{LoadLog, Replay};
use offramp_plugin::{Error, ExportRequest, Exportable, ExportedFile, Mergeable, Saved};

use crate::agent::Agent;
use crate::policy::{D3qn, Plan, Preset};

impl<P: Preset> Saved for D3qn<P> {
    fn checkpoint(&self) -> Result<Vec<u8>, Error> {
        let mut checkpoint = self.describe(Stage::Deployed);
        self.plan.networks.put(&mut checkpoint, "", self.deployed());
        Ok(checkpoint.to_bytes()?)
    }

    /// Called between episodes, when no decision is pending.
    fn save(&self) -> Result<Vec<u8>, Error> {
        let Some(training) = &self.training else {
            return Err(Error::new("it has not been trained"));
        };
        let mut state = self.describe(Stage::Training);
        let mut put = |prefix: &str, numbers: fn(&Agent) -> &[f32]| {
            self.plan.networks.put(&mut state, prefix, self.agents.iter().map(numbers));
        };
        put("evaluation.", |agent| &agent.evaluation);
        put("target.", |agent| &agent.target);
        put("optimiser.first.", |agent| &agent.optimiser.first);
        put("optimiser.second.", |agent| &agent.optimiser.second);
        let counts = self.agents.iter().flat_map(|agent| [agent.updates, agent.optimiser.steps]);
        state.put_u64("counts", counts);
        let (first, rows) = training.log.parts();
        state.put_u64("log.first_row_and_slots", [first, training.slots]);
        state.put_f32("log.rows", &[rows.len()], rows.iter().copied());
        for (number, agent) in self.agents.iter().enumerate() {
            let (next, whole, real, features, next_features) = agent.replay().parts();
            let name = |part: &str| format!("replay.{number}.{part}");
            state.put_u64(&name("whole"), std::iter::once(next as u64).chain(whole));
            state.put_f32(&name("real"), &[real.len()], real.iter().copied());
            state.put_f32(&name("features"), &[features.len()], features.iter().copied());
            let length = [next_features.len()];
            state.put_f32(&name("next_features"), &length, next_features.iter().copied());
        }
        Ok(state.to_bytes()?)
    }

    fn diagnostics(&mut self) -> Vec<(String, f64)> {
        let scale = self.plan.recipe.parameters.reward_scale;
        self.training
            .as_mut()
            .map_or_else(Vec::new, |training| training.report.take_diagnostics(scale))
    }

    fn memory(&self) -> u64 {
        self.plan.memory()
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let state = Checkpoint::from_bytes(bytes)?;
        self.plan.networks.expect(&state, Stage::Training)?;
        let mut agents = self.make_agents().to_vec();
        let Plan { shape, recipe, .. } = &*self.plan;
        let parts = [
            self.plan.networks.take(&state, "evaluation.")?,
            self.plan.networks.take(&state, "target.")?,
            self.plan.networks.take(&state, "optimiser.first.")?,
            self.plan.networks.take(&state, "optimiser.second.")?,
        ];
        let [evaluation, target, first, second] = parts.map(Vec::into_iter);
        let counts = state.u64("counts")?;
        let mut training = self.plan.new_training()?;
        let log = state.u64("log.first_row_and_slots")?;
        let rows = state.f32("log.rows")?;
        let malformed = || Error::new("the saved training contradicts itself");
        let ([log_first, slots], true) = (log.as_slice(), counts.len() == 2 * agents.len()) else {
            return Err(malformed());
        };
        if rows.len() % shape.servers != 0 {
            return Err(malformed());
        }
        training.slots = *slots;
        training.log = LoadLog::from_parts(shape.servers, *log_first, rows);
        let end = training.log.end();
        let weights = evaluation.zip(target).zip(first).zip(second).zip(counts.chunks_exact(2));
        for ((number, agent), ((((evaluation, target), first), second), counts)) in
            agents.iter_mut().enumerate().zip(weights)
        {
            let name = |part: &str| format!("replay.{number}.{part}");
            let whole = state.u64(&name("whole"))?;
            let real = state.f32(&name("real"))?;
            let (next, whole) = whole.split_first().ok_or_else(malformed)?;
            let replay = Replay::from_parts(
                recipe.parameters.replay,
                shape.features,
                (*next as usize, whole, &real),
                state.f32(&name("features"))?,
                state.f32(&name("next_features"))?,
            )
            .ok_or_else(malformed)?;
            let oldest = replay.oldest_row(shape.history_slots);
            let within = |experience: &[u64]| {
                experience[..2].iter().all(|&row| row < end)
                    && experience[2] < shape.actions() as u64
            };
            if oldest.is_some_and(|oldest| oldest < *log_first)
                || !whole.chunks_exact(3).all(within)
            {
                return Err(malformed());
            }
            agent.set_replay(replay);
            agent.evaluation = evaluation;
            agent.target = target;
            agent.updates = counts[0];
            agent.optimiser = OptimiserState { steps: counts[1], first, second };
        }
        self.agents = agents;
        self.training = Some(Box::new(training));
        Ok(())
    }
}

impl<P: Preset> D3qn<P> {
    /// A checkpoint with the description of the networks and the updates so far.
    fn describe(&self, stage: Stage) -> Checkpoint {
        let mut checkpoint = self.plan.networks.describe(stage);
        let updates = self.agents.iter().map(|agent| agent.updates).sum::<u64>();
        let updates = (updates / self.agents.len().max(1) as u64).to_string();
        checkpoint.metadata.insert("updates".to_owned(), updates);
        checkpoint
    }
}

impl<P: Preset> Exportable for D3qn<P> {
    fn formats() -> &'static [&'static str] {
        &FORMAT_NAMES
    }

    fn export(checkpoint: &[u8], request: &ExportRequest<'_>) -> Result<Vec<ExportedFile>, Error> {
        let request =
            nn::Request { format: &request.format, network: request.network, name: &request.name };
        let files = export(P::KIND, checkpoint, &request)?;
        let file = |nn::ExportedFile { name, bytes, note }| ExportedFile { name, bytes, note };
        Ok(files.into_iter().map(file).collect())
    }
}

/// One vector per agent: its evaluation network, then its target network.
impl<P: Preset> Mergeable for D3qn<P> {
    fn networks(&self) -> usize {
        self.plan.networks.networks
    }

    fn parameters(&self, network: usize) -> Result<Vec<f32>, Error> {
        Ok(match self.agents.get(network) {
            Some(agent) => agent.parameters(),
            None => self.plan.agent(network, self.weights_of(network)).parameters(),
        })
    }

    fn set_parameters(&mut self, network: usize, parameters: &[f32]) -> Result<(), Error> {
        Ok(self.make_agents()[network].set_parameters(parameters)?)
    }
}

#[cfg(test)]
mod tests {
    use offramp_plugin::testing::Bench;

    use super::*;
    use crate::policy::Teacher;

    #[test]
    fn parameters_are_set_as_they_were_returned() {
        let mut bench = Bench::new(3, 2);
        let one: D3qn<Teacher> = bench.create().unwrap();
        bench.seed = 2;
        let mut other: D3qn<Teacher> = bench.create().unwrap();
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
