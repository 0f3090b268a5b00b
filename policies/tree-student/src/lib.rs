//! Trees in the place of the small network: a decision tree or a random forest (smartcore's)
//! fitted to the teacher's decisions, states counting by what a wrong decision costs in them
//! (max Q − min Q).
//!
//! A tree sees the features, the newest load of every server, and the mean load over the window.
//! `offramp inspect CHECKPOINT` prints a single tree as rules.
//!
//! # What it reaches
//! `offramp reproduce --only trees`: three training seeds, 50 episodes, one tree or forest for
//! all devices, taught by the shared teacher (13,148 bytes of weights).
//!
//! | | QoE | drops | nodes, bytes (seed 1) | µs a decision |
//! |---|---|---|---|---|
//! | its teacher | 895.9 | 28.2 | | 0.36 |
//! | a tree of depth 8 | 878.1 | 45.9 | 177, 2,124 | 0.09 |
//! | a tree of depth 10 | 887.2 | 37.0 | 599, 7,188 | 0.10 |
//! | a forest of 10, depth 14 | 891.5 | 32.8 | 24,106, 289,272 | 0.74 |
//! | a small network (H = 16), shared | 892.7 | 29.6 | 2,247 parameters, 8,988 | 0.30 |
//!
//! A tree of about the size of the small network decides in a third of its time, a little worse.
//!
//! With `paper-tree.ron` as it is (a teacher of γ = 0.5; the study's has 0.8; 20 validation episodes,
//! seed 1): without the weighting by cost a tree of depth 10 has 883.5 for 889.9, and agrees with its
//! teacher in more states (85.1 for 81.8 %), of those that matter less. Three on-policy rounds changed
//! nothing (889.6). A tree for each device, taught by networks per device, has 863.8 (its teacher
//! 877.3).

mod grow;
mod parameters;
mod tree;

use std::cell::OnceCell;

use offramp_nn::bank::greedy;
use offramp_nn::checkpoint::Checkpoint;
use offramp_plugin::{Context, Error, Needs, Observation, Policy, Saved, Student, UNDECIDED};

use grow::{States, grow};
use parameters::Parameters;
use tree::{NODE_BYTES, Tree};

struct TreeStudent {
    parameters: Parameters,
    names: Vec<String>,
    features: usize,
    servers: usize,
    window: usize,
    seed: u64,
    /// Of each device, or of all: what it has been taught.
    taught: Vec<States>,
    /// Of each device, or of all, as many trees as the parameters say; grown when first needed
    /// after a lesson.
    trees: OnceCell<Vec<Tree>>,
    /// The row at hand.
    columns: Vec<f32>,
    votes: Vec<u32>,
}

impl Policy for TreeStudent {
    const NEEDS: Needs = Needs::FEATURES.and(Needs::HISTORY);

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        let parameters: Parameters = context.parameters::<Parameters>()?.checked()?;
        let spec = &context.observation;
        let servers = context.system.servers();
        let mut names: Vec<String> =
            spec.features.iter().map(|feature| feature.name.to_string()).collect();
        let features = names.len();
        names.extend((1..=servers).map(|server| format!("server_{server}_load")));
        names.extend((1..=servers).map(|server| format!("server_{server}_mean_load")));
        let groups = parameters.sharing.networks(context.system.devices());
        let mut student = Self {
            parameters,
            features,
            servers,
            window: spec.history_slots as usize,
            seed: context.seed,
            taught: vec![States::default(); groups],
            trees: OnceCell::new(),
            columns: vec![0.0; names.len()],
            votes: vec![0; servers + 1],
            names,
        };
        if let Some(bytes) = context.checkpoint.into_option() {
            let checkpoint = Checkpoint::from_bytes(bytes.as_slice())?;
            let trees = student.read(&checkpoint, KIND)?;
            student.trees = OnceCell::from(trees);
        }
        Ok(student)
    }

    fn decide(&mut self, observation: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
        self.grown()?;
        for (row, action) in actions.iter_mut().enumerate() {
            if *action == UNDECIDED {
                self.look(observation, row);
                *action = self.vote(observation.devices[row] as usize);
            }
        }
        Ok(())
    }
}

impl Student for TreeStudent {
    /// Keeps the batch; trees are grown of all batches together when they are needed. The loss
    /// is what the decisions of the trees at hand cost on the batch, max Q − Q, or, before there
    /// are any, what computing locally does.
    fn fit(&mut self, observation: &Observation<'_>, targets: &[f32]) -> Result<f64, Error> {
        let (groups, actions) = (self.taught.len(), self.servers + 1);
        let mut loss = 0.0;
        for (row, targets) in targets.chunks_exact(actions).enumerate() {
            self.look(observation, row);
            let device = observation.devices[row] as usize;
            let decided = if self.trees.get().is_some() { self.vote(device) } else { 0 };
            let best = greedy(targets);
            let worst = targets.iter().copied().fold(f32::INFINITY, f32::min);
            loss += f64::from(targets[best] - targets[decided as usize]);
            let states = &mut self.taught[device % groups];
            states.columns.extend_from_slice(&self.columns);
            states.actions.push(best as u32);
            states.costs.push(targets[best] - worst);
        }
        self.trees = OnceCell::new();
        Ok(loss / observation.rows().max(1) as f64)
    }
}

/// What a checkpoint of it says it is.
const KIND: &str = "tree-student";

impl Saved for TreeStudent {
    fn checkpoint(&self) -> Result<Vec<u8>, Error> {
        Ok(self.describe(KIND)?.to_bytes()?)
    }

    fn save(&self) -> Result<Vec<u8>, Error> {
        let mut state = self.describe("tree-student in training")?;
        let taught = || self.taught.iter();
        let width = self.names.len();
        let count = taught().map(|states| states.actions.len()).sum::<usize>();
        let columns = taught().flat_map(|states| &states.columns).copied();
        state.put_f32("taught_columns", &[count, width], columns);
        state.put_f32("taught_costs", &[count], taught().flat_map(|s| &s.costs).copied());
        let actions = taught().flat_map(|states| &states.actions);
        state.put_u64("taught_actions", actions.map(|&action| action.into()));
        state.put_u64("taught_states", taught().map(|states| states.actions.len() as u64));
        Ok(state.to_bytes()?)
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let state = Checkpoint::from_bytes(bytes)?;
        let trees = self.read(&state, "tree-student in training")?;
        let width = self.names.len();
        let counts = state.u64("taught_states")?;
        let actions = state.u64("taught_actions")?;
        let costs = state.f32_of_shape("taught_costs", &[actions.len()])?;
        let columns = state.f32_of_shape("taught_columns", &[actions.len(), width])?;
        let total = counts.iter().try_fold(0_u64, |sum, &count| sum.checked_add(count));
        let known = actions.iter().all(|&action| action <= self.servers as u64);
        if total != Some(actions.len() as u64) || counts.len() != self.taught.len() || !known {
            return Err(Error::new("the saved student contradicts itself"));
        }
        let mut from = 0;
        for (states, count) in self.taught.iter_mut().zip(counts) {
            let to = from + count as usize;
            *states = States {
                columns: columns[from * width..to * width].to_vec(),
                actions: actions[from..to].iter().map(|&action| action as u32).collect(),
                costs: costs[from..to].to_vec(),
            };
            from = to;
        }
        self.trees = OnceCell::from(trees);
        Ok(())
    }
}

impl TreeStudent {
    /// The trees, grown if they are not.
    fn grown(&self) -> Result<&[Tree], Error> {
        if let Some(trees) = self.trees.get() {
            return Ok(trees);
        }
        if self.taught.iter().all(|states| states.actions.is_empty()) {
            return Err(Error::new("it has learned nothing: it needs a checkpoint"));
        }
        let mut trees = Vec::new();
        for (group, states) in self.taught.iter().enumerate() {
            let seed = self.seed ^ (group as u64).wrapping_mul(0xd6e8_feb8_6659_fd93);
            trees.extend(grow(states, self.names.len(), &self.parameters, seed)?);
        }
        Ok(self.trees.get_or_init(|| trees))
    }

    /// Puts what a row shows into the columns.
    fn look(&mut self, observation: &Observation<'_>, row: usize) {
        let Self { features, servers, window, .. } = *self;
        let seen = observation.history_of.get(row).map_or(0, |&seen| seen as usize);
        let history = &observation.histories[seen * window * servers..][..window * servers];
        let newest = &history[(window - 1) * servers..];
        for (column, &feature) in self.columns.iter_mut().zip(observation.features_of(row)) {
            *column = feature as f32;
        }
        for (server, &load) in newest.iter().enumerate() {
            let sum: f64 = history.iter().skip(server).step_by(servers).sum();
            self.columns[features + server] = load as f32;
            self.columns[features + servers + server] = (sum / window as f64) as f32;
        }
    }

    /// What most trees of a device decide of the columns at hand; the first of several.
    fn vote(&mut self, device: usize) -> u32 {
        let count = self.parameters.trees as usize;
        let group = device % self.taught.len();
        let trees = self.trees.get().map_or(&[][..], |trees| trees);
        self.votes.fill(0);
        for tree in trees.iter().skip(group * count).take(count) {
            self.votes[tree.decide(&self.columns) as usize] += 1;
        }
        let mut most = 0;
        for (action, &votes) in self.votes.iter().enumerate() {
            if votes > self.votes[most] {
                most = action;
            }
        }
        most as u32
    }

    /// What must be the same for a checkpoint to be of use.
    fn must_agree(&self) -> [(&'static str, String); 4] {
        [
            ("columns", self.names.join(",")),
            ("history_slots", self.window.to_string()),
            ("networks", self.taught.len().to_string()),
            ("trees", self.parameters.trees.to_string()),
        ]
    }

    /// A checkpoint of `kind` with the trees.
    fn describe(&self, kind: &str) -> Result<Checkpoint, Error> {
        let trees = self.grown()?;
        let nodes: usize = trees.iter().map(Tree::len).sum();
        let mut checkpoint = Checkpoint::default();
        let further = [
            ("kind", kind.to_owned()),
            ("nodes", nodes.to_string()),
            ("bytes", (nodes * NODE_BYTES).to_string()),
        ];
        let all = self.must_agree().into_iter().chain(further);
        checkpoint.metadata = all.map(|(key, value)| (key.to_owned(), value)).collect();
        if let [tree] = trees {
            checkpoint.metadata.insert("rules".to_owned(), tree.rules(&self.names));
        }
        tree::put(trees, &mut checkpoint);
        Ok(checkpoint)
    }

    /// The trees of a checkpoint of `kind`.
    fn read(&self, checkpoint: &Checkpoint, kind: &str) -> Result<Vec<Tree>, Error> {
        checkpoint.expect("kind", kind)?;
        for (key, value) in self.must_agree() {
            checkpoint.expect(key, &value)?;
        }
        let trees = tree::take(checkpoint, self.names.len(), self.servers + 1)?;
        if trees.len() != self.taught.len() * self.parameters.trees as usize {
            return Err(Error::new("the checkpoint contradicts itself"));
        }
        Ok(trees)
    }
}

offramp_plugin::register_policy!(
    TreeStudent,
    "tree-student",
    "A decision tree or a random forest fitted to a teacher's decisions.",
    [saved, student],
);
offramp_plugin::export_plugin!();
