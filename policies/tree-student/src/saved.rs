//! Checkpoints and the state of a distillation.

use std::cell::OnceCell;
use std::sync::Arc;

use offramp_nn::checkpoint::Checkpoint;
use offramp_nn::checkpoint_spec::Stage;
use offramp_nn::export as nn;
use offramp_plugin::{Error, ExportRequest, Exportable, ExportedFile, Saved};

use crate::export::{FORMATS, export};
use crate::policy::TreeStudent;
use crate::states::States;
use crate::tree::{self, NODE_BYTES, Tree};

impl Saved for TreeStudent {
    fn checkpoint(&self) -> Result<Vec<u8>, Error> {
        Ok(self.describe(Stage::Deployed)?.to_bytes()?)
    }

    fn save(&self) -> Result<Vec<u8>, Error> {
        let mut state = self.describe(Stage::Training)?;
        let taught = || self.taught.iter();
        let width = self.columns.len();
        let count = taught().map(|states| states.len()).sum::<usize>();
        let columns = taught().flat_map(|states| &states.columns).copied();
        state.put_f32("taught_columns", &[count, width], columns);
        state.put_f32("taught_costs", &[count], taught().flat_map(|s| &s.costs).copied());
        let actions = taught().flat_map(|states| &states.actions);
        state.put_u64("taught_actions", actions.map(|&action| action.into()));
        state.put_u64("taught_states", taught().map(|states| states.len() as u64));
        Ok(state.to_bytes()?)
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let state = Checkpoint::from_bytes(bytes)?;
        self.checkpoint.expect(&state, Stage::Training)?;
        let trees = self.read(&state)?;
        let width = self.columns.len();
        let counts = state.u64("taught_states")?;
        let actions = state.u64("taught_actions")?;
        let costs = state.f32_of_shape("taught_costs", &[actions.len()])?;
        let columns = state.f32_of_shape("taught_columns", &[actions.len(), width])?;
        let total = counts.iter().try_fold(0_u64, |sum, &count| sum.checked_add(count));
        let known = actions.iter().all(|&action| action <= self.columns.servers() as u64);
        if total != Some(actions.len() as u64) || counts.len() != self.taught.len() || !known {
            return Err(Error::new("the saved student contradicts itself"));
        }
        let mut saved = columns.chunks_exact(width).zip(&actions).zip(&costs);
        for (states, count) in self.taught.iter_mut().zip(counts) {
            *states = States::default();
            for ((columns, &action), &cost) in saved.by_ref().take(count as usize) {
                states.add(columns, action as u32, cost);
            }
        }
        self.trees = OnceCell::from(Arc::from(trees));
        Ok(())
    }
}

impl TreeStudent {
    /// A checkpoint with the trees.
    fn describe(&self, stage: Stage) -> Result<Checkpoint, Error> {
        let trees = self.grown()?;
        let nodes: usize = trees.iter().map(Tree::len).sum();
        let spec = self.checkpoint.clone().record("nodes", nodes);
        let mut checkpoint = spec.record("bytes", nodes * NODE_BYTES).describe(stage);
        if let [tree] = trees {
            let rules = tree.rules(self.columns.names());
            checkpoint.metadata.insert("rules".to_owned(), rules);
        }
        tree::put(trees, &mut checkpoint);
        Ok(checkpoint)
    }

    /// The trees of a checkpoint.
    ///
    /// # Errors
    /// If it has another number of trees, or one that can't be followed.
    pub(crate) fn read(&self, checkpoint: &Checkpoint) -> Result<Vec<Tree>, Error> {
        let trees = tree::take(checkpoint, self.columns.len(), self.columns.servers() + 1)?;
        if trees.len() != self.taught.len() * self.parameters.trees as usize {
            return Err(Error::new("the checkpoint contradicts itself"));
        }
        Ok(trees)
    }
}

impl Exportable for TreeStudent {
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
