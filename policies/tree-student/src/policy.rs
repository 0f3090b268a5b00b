//! The policy: observations in, decisions out, and states to grow trees of.

use std::cell::OnceCell;
use std::sync::Arc;

use offramp_nn::checkpoint::Checkpoint;
use offramp_nn::checkpoint_spec::CheckpointSpec;
use offramp_nn::inputs::{Inputs, Scaling};
use offramp_nn::networks::NETWORKS;
use offramp_nn::{argmax, expect_finite, stream};
use offramp_plugin::{Context, Error, Needs, Observation, Policy, Student, UNDECIDED};

use crate::columns::Columns;
use crate::grow::grow;
use crate::parameters::Parameters;
use crate::states::States;
use crate::tree::Tree;

/// The kind of its checkpoints.
pub(crate) const KIND: &str = "tree-student";

/// Trees fitted to a teacher's decisions, for each device or for all.
#[derive(Clone)]
pub(crate) struct TreeStudent {
    pub(crate) parameters: Parameters,
    pub(crate) columns: Columns,
    pub(crate) checkpoint: CheckpointSpec,
    seed: u64,
    /// The states of all batches, of each device or of all.
    pub(crate) taught: Vec<States>,
    /// `parameters.trees` trees of each device, or of all, in order; grown when first needed
    /// after a batch with states that were not known.
    pub(crate) trees: OnceCell<Arc<[Tree]>>,
    /// The trees before these.
    earlier: Arc<[Tree]>,
    /// The columns of the row at hand.
    row: Vec<f32>,
    /// Votes of the trees for each action.
    votes: Vec<u32>,
}

impl Policy for TreeStudent {
    const NEEDS: Needs = Needs::FEATURES.and(Needs::HISTORY);

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        let parameters: Parameters = context.parameters::<Parameters>()?.checked()?;
        let spec = &context.observation;
        let servers = context.system.servers();
        let inputs = Inputs {
            observation: spec.kind.to_string(),
            features: spec.features.iter().map(|feature| feature.name.to_string()).collect(),
            scaling: Scaling::identity(spec.features.len()),
            history_slots: spec.history_slots as usize,
            servers,
            devices: context.system.devices(),
        };
        let columns = Columns::new(&inputs);
        let groups = parameters.sharing.networks(context.system.devices());
        let mut student = Self {
            checkpoint: CheckpointSpec::new(KIND, inputs)
                .require("networks", groups, NETWORKS)
                .require("trees", parameters.trees.into(), "trees for each network (`trees`)")
                .on_hardware(&context.hardware_sha256, parameters.sharing),
            parameters,
            seed: context.seed,
            taught: vec![States::default(); groups],
            trees: OnceCell::new(),
            earlier: Arc::default(),
            row: vec![0.0; columns.len()],
            votes: vec![0; servers + 1],
            columns,
        };
        if let Some(bytes) = context.checkpoint.into_option() {
            let checkpoint = Checkpoint::from_bytes(bytes.as_slice())?;
            student.checkpoint.deploy(&checkpoint)?;
            let trees = student.read(&checkpoint)?;
            student.trees = OnceCell::from(Arc::from(trees));
        }
        Ok(student)
    }

    fn decide(&mut self, observation: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
        self.grown()?;
        for (row, action) in actions.iter_mut().enumerate() {
            if *action == UNDECIDED {
                let device = observation.devices[row];
                self.observe(observation, row);
                expect_finite(&self.row, "column", device, observation.slot)?;
                *action = self.vote(device as usize);
            }
        }
        Ok(())
    }

    fn fresh(&self) -> Option<Self> {
        Some(self.clone())
    }
}

impl Student for TreeStudent {
    /// Keeps the states that are not known; trees are grown of all together when they are needed.
    /// The loss is the mean cost, max Q − Q, of the decisions that the trees grown last would take
    /// on the batch; before there are any, of computing locally.
    fn fit(&mut self, observation: &Observation<'_>, targets: &[f32]) -> Result<f64, Error> {
        let (groups, actions) = (self.taught.len(), self.votes.len());
        let (mut loss, mut learned) = (0.0, false);
        for (row, targets) in targets.chunks_exact(actions).enumerate() {
            let device = observation.devices[row];
            expect_finite(targets, "the teacher's value of action", device, observation.slot)?;
            self.observe(observation, row);
            expect_finite(&self.row, "column", device, observation.slot)?;
            let device = device as usize;
            let decided = self.vote(device);
            let best = argmax(targets);
            let worst = targets.iter().copied().fold(f32::INFINITY, f32::min);
            loss += f64::from(targets[best] - targets[decided as usize]);
            let states = &mut self.taught[device % groups];
            learned |= states.add(&self.row, best as u32, targets[best] - worst);
        }
        if learned && let Some(trees) = self.trees.take() {
            self.earlier = trees;
        }
        Ok(loss / observation.rows().max(1) as f64)
    }
}

impl TreeStudent {
    /// The trees; grows them if there are none of all known states.
    ///
    /// # Errors
    /// If there is nothing to grow them of, or smartcore fails.
    pub(crate) fn grown(&self) -> Result<&[Tree], Error> {
        if let Some(trees) = self.trees.get() {
            return Ok(trees);
        }
        if self.taught.iter().all(|states| states.len() == 0) {
            return Err(Error::new("it has learned nothing: it needs a checkpoint"));
        }
        let mut trees = Vec::new();
        for (group, states) in self.taught.iter().enumerate() {
            let mut rng = stream(self.seed, group as u64);
            trees.extend(grow(states, self.columns.len(), &self.parameters, &mut rng)?);
        }
        Ok(self.trees.get_or_init(|| trees.into()))
    }

    /// Puts a row of the observation into `row`.
    fn observe(&mut self, observation: &Observation<'_>, row: usize) {
        self.columns.fill(observation.features_of(row), observation.window_of(row), &mut self.row);
    }

    /// The decision of most trees of a device on `row`, of those grown last; on ties, or without
    /// any, the first.
    fn vote(&mut self, device: usize) -> u32 {
        let count = self.parameters.trees as usize;
        let group = device % self.taught.len();
        let trees = self.trees.get().unwrap_or(&self.earlier);
        self.votes.fill(0);
        for tree in trees.iter().skip(group * count).take(count) {
            self.votes[tree.decide(&self.row) as usize] += 1;
        }
        argmax(&self.votes) as u32
    }
}

#[cfg(test)]
mod tests {
    use offramp_plugin::Saved;
    use offramp_plugin::testing::Bench;

    use super::*;

    /// A student of states in which action 1 is best for one device and action 2 for the other.
    fn taught(bench: &Bench) -> TreeStudent {
        let mut student: TreeStudent = bench.create().unwrap();
        let targets = [0.0, 5.0, 1.0, 0.0, 1.0, 5.0];
        for _ in 0..20 {
            bench.observe(|observation| student.fit(observation, &targets)).unwrap();
        }
        student
    }

    #[test]
    fn any_accepted_parameters_grow_trees() {
        let mut bench = Bench::new(2, 2);
        bench.set_task(1, "alpha", 0.9);
        for field in ["trees", "max_depth", "min_leaf"] {
            for value in ["0", "1", "3", "64", "1000000", "1000000000", "18446744073709551615"] {
                bench.parameters = format!("({field}: {value}, sharing: Shared)");
                if bench.create::<TreeStudent>().is_ok() {
                    bench.decide(&mut taught(&bench)).unwrap();
                }
            }
        }
        bench.parameters = "(min_leaf: 1000000000)".to_owned();
        assert_eq!(
            bench.create::<TreeStudent>().err().unwrap().message(),
            "min_leaf: 1000000000 is out of range: 1 to 1000000 is needed"
        );
    }

    /// What an earlier tree decided wrongly is its loss, and nothing is grown again of states that
    /// are known.
    #[test]
    fn states_are_kept_once_and_the_loss_is_that_of_the_trees_at_hand() {
        let mut bench = Bench::new(2, 2);
        bench.set_task(1, "alpha", 0.9);
        bench.parameters = "(min_leaf: 1, weighted: false)".to_owned();
        let mut student: TreeStudent = bench.create().unwrap();
        let targets = [0.0, 5.0, 1.0, 0.0, 1.0, 5.0];
        let fit = |student: &mut TreeStudent, bench: &Bench| {
            bench.observe(|observation| student.fit(observation, &targets)).unwrap()
        };
        for _ in 0..20 {
            // Before there is a tree, of computing locally.
            assert_eq!(fit(&mut student, &bench), 5.0);
        }
        assert_eq!(student.taught[0].len(), 2);
        bench.decide(&mut student).unwrap();
        let grown = student.trees.get().unwrap().clone();
        assert_eq!(fit(&mut student, &bench), 0.0);
        assert!(Arc::ptr_eq(student.trees.get().unwrap(), &grown), "grown again");

        // An unknown state, in which the tree decides like the device's other.
        bench.set_task(1, "alpha", 0.1);
        for _ in 0..2 {
            assert_eq!(fit(&mut student, &bench), 2.0);
            assert!(student.trees.get().is_none());
        }
        assert_eq!(student.taught[0].len(), 3);
        let saved = {
            bench.decide(&mut student).unwrap();
            student.save().unwrap()
        };
        let mut loaded: TreeStudent = bench.create().unwrap();
        loaded.load(&saved).unwrap();
        assert_eq!(loaded.taught, student.taught);
        assert_eq!(fit(&mut loaded, &bench), fit(&mut student, &bench));
        assert_eq!(loaded.taught[0].len(), 3);
    }

    /// A state's cost is that of the worst decision in it, in units of the teacher's values.
    #[test]
    fn a_state_costs_what_its_worst_decision_does() {
        let mut bench = Bench::new(2, 2);
        bench.set_task(1, "alpha", 0.9);
        let mut student: TreeStudent = bench.create().unwrap();
        let targets = [3.0, 5.0, -2.0, 4.0, 4.5, 7.0];
        bench.observe(|observation| student.fit(observation, &targets)).unwrap();
        assert_eq!(
            (&student.taught[0].actions, &student.taught[0].costs),
            (&vec![1, 2], &vec![7.0, 3.0])
        );
    }

    #[test]
    fn numbers_that_are_not_finite_are_an_error() {
        let mut bench = Bench::new(2, 2);
        let mut student = taught(&bench);
        let targets = [0.0, 5.0, 1.0, 0.0, f32::NAN, 5.0];
        let error = bench.observe(|observation| student.fit(observation, &targets)).unwrap_err();
        assert_eq!(
            error.message(),
            "device 1 in slot 0: the teacher's value of action 1 is NaN; only finite numbers decide"
        );
        bench.set_task(1, "alpha", f64::NAN);
        let error = bench.decide(&mut student).unwrap_err();
        assert!(error.message().starts_with("device 1 in slot 0: column"), "{}", error.message());
    }

    #[test]
    fn a_checkpoint_is_held_to_its_number_of_trees() {
        let mut bench = Bench::new(2, 2);
        bench.checkpoint = Some(taught(&bench).checkpoint().unwrap());
        bench.parameters = "(sharing: PerDevice)".to_owned();
        assert_eq!(
            bench.create::<TreeStudent>().err().unwrap().message(),
            "the checkpoint has 1 networks (one per device, or one for all: `sharing`), and 2 are \
             needed"
        );
    }
}
