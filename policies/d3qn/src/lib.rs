//! D3QN (section 5.2 of the paper): the teacher `d3qn`, and the baseline `qeco`, which is the same
//! algorithm with the values of the public QECO code.

mod agent;
mod experience;
mod parameters;
mod policy;

use policy::{D3qn, Qeco, Teacher};

offramp_plugin::register_policy!(
    D3qn<Teacher>,
    "d3qn",
    "LSTM-D3QN, the teacher: learns a value for each action.",
    [learner, value_function],
);
offramp_plugin::register_policy!(
    D3qn<Qeco>,
    "qeco",
    "D3QN with the values of the published QECO code, as published or corrected.",
    [learner, value_function],
);
offramp_plugin::export_plugin!();
