//! Checkpoints and the state of a training.

use std::sync::Arc;

use offramp_nn::checkpoint::{Checkpoint, CheckpointError};
use offramp_nn::checkpoint_spec::Stage;
use offramp_nn::{export as nn, merge};
use offramp_plugin::{Error, ExportRequest, Exportable, ExportedFile, Mergeable, Saved};

use crate::export::{FORMATS, export};
use crate::learning::Learning;
use crate::policy::{DcDrl, take};
use crate::replay::{Replay, Transition};

impl Saved for DcDrl {
    fn checkpoint(&self) -> Result<Vec<u8>, Error> {
        let mut checkpoint = self.checkpoint.describe(Stage::Deployed);
        self.put(&mut checkpoint, "actor", [&*self.deployed]);
        Ok(checkpoint.to_bytes()?)
    }

    fn save(&self) -> Result<Vec<u8>, Error> {
        let mut state = self.checkpoint.describe(Stage::Training);
        self.put(&mut state, "actor", [&*self.actor]);
        self.put(&mut state, "deployed", [&*self.deployed]);
        let Some(learning) = &self.learning else { return Ok(state.to_bytes()?) };
        let Learning { actor_optimiser, critic_optimiser, .. } = &**learning;
        for (name, numbers) in [
            ("critic", &learning.critic),
            ("target", &learning.target),
            ("actor_first", &actor_optimiser.first),
            ("actor_second", &actor_optimiser.second),
            ("critic_first", &critic_optimiser.first),
            ("critic_second", &critic_optimiser.second),
        ] {
            self.put(&mut state, name, [numbers.as_slice()]);
        }
        self.put(&mut state, "population", learning.population.iter().map(Vec::as_slice));
        let (next, transitions, states) = learning.replay.parts();
        let count = transitions.len();
        state.put_u64(
            "counters",
            [learning.episodes, learning.slots, learning.updates, next as u64],
        );
        state.put_u64("fitness", learning.fitness.iter().flatten().map(|value| value.to_bits()));
        state.put_u64("replay_actions", transitions.iter().map(|t| t.action.into()));
        let numbers = transitions.iter().flat_map(|t| [t.probability, t.reward, t.discount]);
        state.put_f32("replay_numbers", &[count, 3], numbers);
        state.put_f32("replay_states", &[count, self.shape.inputs], states.iter().copied());
        Ok(state.to_bytes()?)
    }

    fn memory(&self) -> u64 {
        self.parameters.memory(self.shape).try_into().unwrap_or(u64::MAX)
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let state = Checkpoint::from_bytes(bytes)?;
        self.checkpoint.expect(&state, Stage::Training)?;
        let actor = self.take(&state, "actor")?.into();
        let deployed = self.take(&state, "deployed")?.into();
        if state.u64("counters").is_err() {
            (self.actor, self.deployed, self.learning) = (actor, deployed, None);
            return Ok(());
        }
        let wrong = || Error::new("the saved learner contradicts itself");
        let mut learning = self.begun();
        learning.critic = self.take(&state, "critic")?;
        learning.target = self.take(&state, "target")?;
        let [episodes, slots, updates, next] = state.u64("counters")?[..] else {
            return Err(wrong());
        };
        (learning.episodes, learning.slots, learning.updates) = (episodes, slots, updates);
        for (optimiser, name) in
            [(&mut learning.actor_optimiser, "actor"), (&mut learning.critic_optimiser, "critic")]
        {
            optimiser.steps = updates;
            optimiser.first = self.take(&state, &format!("{name}_first"))?;
            optimiser.second = self.take(&state, &format!("{name}_second"))?;
        }
        let actors = self.parameters.actors;
        learning.population = state.take_vectors("population", actors, self.shape.parameters())?;
        let fitness: Vec<f64> = state.u64("fitness")?.into_iter().map(f64::from_bits).collect();
        let (pairs, rest) = fitness.as_chunks::<2>();
        if pairs.len() != actors || !rest.is_empty() {
            return Err(wrong());
        }
        learning.fitness = pairs.to_vec();
        let actions = state.u64("replay_actions")?;
        let numbers = state.f32_of_shape("replay_numbers", &[actions.len(), 3])?;
        let states = state.f32_of_shape("replay_states", &[actions.len(), self.shape.inputs])?;
        if actions.iter().any(|&action| action > self.servers as u64) {
            return Err(wrong());
        }
        let transitions = actions.iter().zip(numbers.as_chunks::<3>().0);
        let transitions = transitions.map(|(&action, &[probability, reward, discount])| {
            Transition { action: action as u32, probability, reward, discount }
        });
        let capacity = self.parameters.replay;
        let next = usize::try_from(next).map_err(|_| wrong())?;
        learning.replay =
            Replay::from_parts(capacity, self.shape.inputs, next, transitions.collect(), states)
                .ok_or_else(wrong)?;
        (self.actor, self.deployed, self.learning) = (actor, deployed, Some(learning));
        Ok(())
    }
}

impl DcDrl {
    /// Puts the parameters of some networks, networks × parameters.
    fn put<'n>(
        &self,
        checkpoint: &mut Checkpoint,
        name: &str,
        networks: impl IntoIterator<Item = &'n [f32]>,
    ) {
        checkpoint.put_vectors(name, self.shape.parameters(), networks);
    }

    /// Takes the parameters of one network.
    fn take(&self, checkpoint: &Checkpoint, name: &str) -> Result<Vec<f32>, CheckpointError> {
        take(checkpoint, name, self.shape)
    }
}

impl Exportable for DcDrl {
    fn formats() -> &'static [&'static str] {
        &FORMATS
    }

    fn export(checkpoint: &[u8], request: &ExportRequest<'_>) -> Result<Vec<ExportedFile>, Error> {
        let request =
            nn::Request { format: &request.format, network: request.network, name: &request.name };
        let files = export(checkpoint, &request)?;
        let file = |nn::ExportedFile { name, bytes, note }| ExportedFile { name, bytes, note };
        Ok(files.into_iter().map(file).collect())
    }
}

/// All devices share one network, so there is one vector: the gradient's actor, then its running
/// mean, which decides. Critic, population and experience stay each learner's own.
impl Mergeable for DcDrl {
    fn networks(&self) -> usize {
        1
    }

    fn parameters(&self, _: usize) -> Result<Vec<f32>, Error> {
        Ok(merge::join(&[&self.actor, &self.deployed]))
    }

    fn set_parameters(&mut self, _: usize, parameters: &[f32]) -> Result<(), Error> {
        let [actor, deployed] = [&mut self.actor, &mut self.deployed].map(Arc::make_mut);
        Ok(merge::split(parameters, &mut [actor, deployed])?)
    }
}

#[cfg(test)]
mod tests {
    use offramp_plugin::testing::Bench;

    use super::*;

    #[test]
    fn parameters_are_set_as_they_were_returned() {
        let mut bench = Bench::new(3, 2);
        let one: DcDrl = bench.create().unwrap();
        bench.seed = 2;
        let mut other: DcDrl = bench.create().unwrap();
        let parameters = one.parameters(0).unwrap();
        assert_ne!(other.parameters(0).unwrap(), parameters);
        other.set_parameters(0, &parameters).unwrap();
        assert_eq!(other.parameters(0).unwrap(), parameters);
        assert!(other.set_parameters(0, &parameters[1..]).is_err());
        assert_eq!(other.checkpoint().unwrap(), one.checkpoint().unwrap());
    }
}
