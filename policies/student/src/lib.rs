//! The student (section 5.3 of the paper): the teacher's topology with fewer neurons, fitted to
//! the teacher's values.
//!
//! H = round(20 · ratio). The loss is eq. (16), the mean squared error, over all actions, or, as the
//! paper writes it, over the one that was taken (`actions: Taken(0.1)`); optional companions are the squared error of the advantages (the differences between actions), and the
//! divergence of the temperature-softened policies (Hinton, Vinyals and Dean 2015). There is one
//! student per device, or one for all.
//!
//! One reading order: `parameters` (the choices), `loss` (eq. 16 and its companions, with their
//! derivatives), `candidates` (a step of one network, and the choice among several), `policy`
//! (observations in, decisions out), `saved` (checkpoints, the state of a distillation).
//!
//! # What it reaches
//! `offramp reproduce --only table-1,table-2,student-options`: three training seeds, each with a
//! teacher of its own, 50 episodes, QoE and drops; their teachers have 881.2 and 43.1. Trainings drew
//! other tasks then than they do now, so repeating it gives other numbers.
//!
//! | ratio | parameters | eq. (16), 5,000 steps | 10,000 steps |
//! |---|---|---|---|
//! | 0.1 | 115 | 547.1, 407.5 | |
//! | 0.2 | 271 | 791.4, 136.0 | 810.3, 118.8 |
//! | 0.4 | 727 | 876.4, 48.8 | 880.2, 44.9 |
//! | 0.6 | 1,375 | 879.5, 45.8 | |
//! | 0.8 | 2,215 | 880.6, 44.6 | |
//! | 1.0 | 3,247 | 880.5, 44.2 | |
//!
//! Small networks cannot fit values and the differences between actions at once, and depend on
//! their initial weights. With `starts: 6` each device keeps the best of six candidates.
//!
//! The value of each option at ratio 0.2, 10,000 steps:
//!
//! | option | QoE | drops |
//! |---|---|---|
//! | none | 810.3 | 118.8 |
//! | `starts: 6` | 879.1 | 45.8 |
//! | `advantage_weight: 30.0` | 865.3 | 59.6 |
//! | both | 880.1 | 44.6 |
//! | two on-policy rounds | 830.7 | 98.3 |
//! | `policy_weight: 0.01` | 784.9 | 153.9 |
//! | one student for all devices, taught by their fifty teachers | 725.7 | 205.6 |
//!
//! `starts: 6` and `advantage_weight: 30.0`, 10,000 steps (`offramp reproduce --only
//! table-2-advantages`): 115 parameters per device are enough. Letting all six learn to the end
//! takes 2.8 times the steps.
//!
//! | ratio | QoE, drops | all six to the end |
//! |---|---|---|
//! | 0.1 | 875.5, 49.9 | 875.9, 49.7 |
//! | 0.2 | 880.1, 44.6 | 880.6, 43.9 |
//! | 0.4 | 880.3, 44.5 | 880.7, 44.1 |
//!
//! One student for all devices does well if its teacher is one for all, too, and both read ρ and
//! the deadline (`offramp reproduce --only trees`): 892.7, 29.6 with 2,247 parameters; its teacher
//! has 895.9, 28.2.
//!
//! At an arrival probability of 0.5 its 12 neurons are too few. QoE in validation (`offramp
//! distill` of `paper-student-shared.ron` with that probability and teachers of γ = 0.9; 12
//! neurons are `ratio: 0.6`, 16 are 0.8):
//!
//! | | seed 1 | seed 3 |
//! |---|---|---|
//! | 12 neurons | 1,092 | 1,100 |
//! | 16 neurons | 1,139 | 1,147 |
//! | their teachers | 1,150 | 1,147 |
//!
//! # Delay or energy
//! Under high load the teacher's γ trades delay for energy. Students at arrival probabilities of
//! 0.5 and 0.6 (50 episodes, `offramp reproduce` with that discount in the study; γ = 0.7 and 0.8
//! training seed 1, γ = 0.9 three seeds), delay in slots, energy per task:
//!
//! | | delay 0.5 | delay 0.6 | energy 0.5 | energy 0.6 | QoE 0.5 | QoE 0.6 |
//! |---|---|---|---|---|---|---|
//! | γ = 0.7 | 7.265 | 7.940 | 12.65 | 12.03 | 1,144 | 1,086 |
//! | γ = 0.8 | 7.125 | 7.770 | 12.87 | 12.72 | 1,140 | 1,098 |
//! | γ = 0.9 | 6.964 | 7.627 | 13.54 | 13.38 | 1,150 | 1,113 |
//! | QECO | 7.155 | 7.844 | 13.06 | 12.44 | 1,100 | 1,056 |
//!
//! A student beats QECO in delay with γ = 0.9 and in energy with γ = 0.7. No single γ beats QECO
//! in both at 0.6.

mod candidates;
mod loss;
mod parameters;
mod policy;
mod saved;

use policy::DistilledStudent;

offramp_plugin::register_policy!(
    DistilledStudent,
    "student",
    "A small network fitted to a teacher's values.",
    [saved, value_function, student, exportable, mergeable],
);
offramp_plugin::export_plugin!();
