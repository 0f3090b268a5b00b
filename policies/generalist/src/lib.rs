//! `generalist`: one network for every system, learned by D3QN over many.
//!
//! A network that is tied to its number of servers, or to the load it was trained at, is another
//! one for each system. This one takes servers as a set ([`offramp_nn::set`]) and sees nothing but
//! dimensionless numbers (`inputs`); its rewards are divided by R_base = 4·D_max of each task, so
//! that what one system teaches has the unit of what another does. Trained once over systems that
//! are drawn anew for each episode (`train.systems`), a checkpoint decides in any of them.
//!
//! One reading order: `parameters` (the choices), `inputs` (what the network sees), `log` (slots
//! and rows of episodes, which differ in their number of servers), `replay` (experiences that refer
//! to them, and which of them a batch is), `agent` (two networks, and an update as in eqs. (14) and
//! (15)), `policy` (observations in, decisions out), `saved` (checkpoints, the state of a training).
//!
//! # Where this differs from `d3qn`
//! 1. One network for all devices, always; states are ragged.
//! 2. Q is in R_base of the task that waits, and so is each reward of eq. (14): where the deadlines
//!    of a device's tasks differ, so does the unit of its rewards.
//! 3. Options that are off unless a scenario sets them: returns over several tasks (`n_step`), and
//!    prioritised replay (`priority`).

mod agent;
mod inputs;
mod log;
mod parameters;
mod policy;
mod replay;
mod saved;

use policy::Generalist;

offramp_plugin::register_policy!(
    Generalist,
    "generalist",
    "One network for systems of any size, learned over many: a value for each action.",
    [learner, value_function, exportable, mergeable, any_system],
);
offramp_plugin::export_plugin!();
