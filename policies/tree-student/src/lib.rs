//! Trees instead of the small network: a decision tree or a random forest (smartcore's) fitted to
//! the teacher's decisions. States are weighted by the cost of a wrong decision in them
//! (max Q − min Q).
//!
//! A tree sees the features, the newest load of every server, and the mean load over the window.
//! `offramp inspect CHECKPOINT` prints a single tree as rules.
//!
//! One reading order: `parameters` (the choices), `columns` (what a tree sees), `states` (what it learns from), `grow` (from states
//! to trees), `tree` (a tree as a device has it), `export` (trees as C), `policy` (observations in,
//! decisions out), `saved` (checkpoints, the state of a distillation).
//!
//! # What it reaches
//! `offramp reproduce --only trees`: three training seeds, 50 episodes, one tree or forest for
//! all devices, taught by the shared teacher (13,148 bytes of weights).
//!
//! | | QoE | drops | nodes, bytes (seed 1) | µs per decision |
//! |---|---|---|---|---|
//! | its teacher | 895.9 | 28.2 | | 0.36 |
//! | a tree of depth 8 | 878.1 | 45.9 | 177, 2,124 | 0.09 |
//! | a tree of depth 10 | 887.2 | 37.0 | 599, 7,188 | 0.10 |
//! | a forest of 10, depth 14 | 891.5 | 32.8 | 24,106, 289,272 | 0.74 |
//! | a small network (H = 16), shared | 892.7 | 29.6 | 2,247 parameters, 8,988 | 0.30 |
//!
//! A tree of about the size of the small network decides in a third of its time, a little worse.
//!
//! `paper-tree.ron` as it is (a teacher of γ = 0.5; the study's has 0.8), 20 validation episodes,
//! mean of seeds 1 to 6 (`distill --seed`), except the last row, of seeds 1 to 4:
//!
//! | | QoE | agrees with its teacher |
//! |---|---|---|
//! | a tree of depth 10 | 885.5 | in 82.6 % of states |
//! | without the weighting by cost | 881.5 | in 86.1 %, of those that matter less |
//! | three on-policy rounds | 887.4 | in 83.3 % |
//! | depth 12, `min_leaf: 20` | 888.1 | in 84.7 % |
//! | a forest of 10, depth 14 | 888.8 | in 87.4 % |
//! | a tree for each device, taught by networks per device (877.3) | 866.3 | in 81.1 % |
//!
//! QoE varies by 4 (standard deviation) from seed to seed: the states differ.
//!
//! # Its memory
//! Each state is kept once, however often it is drawn: 300 steps of `paper-tree.ron` see 99.5 % of
//! the states that are not held out. More steps change next to nothing, and cost little: 10,000
//! with ten validations take 16 s and 0.2 GB in all.

mod columns;
mod export;
mod grow;
mod parameters;
mod policy;
mod saved;
mod states;
mod tree;

use policy::TreeStudent;

offramp_plugin::register_policy!(
    TreeStudent,
    "tree-student",
    "A decision tree or a random forest fitted to a teacher's decisions.",
    [saved, student, exportable],
);
offramp_plugin::export_plugin!();
