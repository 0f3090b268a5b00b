//! DC-DRL (Qiu, Zhang, Chen and Zheng, IEEE TPDS 32(5), 2021), the paper's baseline [6, 14].
//!
//! # From the publication
//! Training that is *distributed and collective*: several environments, one learner that learns
//! from all; *adaptive n-step* targets, whose length adapts to how far the data is still of the
//! policy that learns; *neuroevolution with policy gradient*: a population of actors explores,
//! and the one trained by gradient is among them.
//!
//! # Adapted
//! The exact update rules are not public; these are ours.
//! - Actor: the features o and the last loads m(t) → two dense layers with ReLU → softmax over
//!   0 … M; critic: the same with Q. No LSTM: DC-DRL does not model the past. With 64 neurons a
//!   layer they have 11,020 parameters for M = 5, the teacher 3,247. Shared by all devices.
//! - E environments side by side are E episodes one after the other here, a *round*: each actor
//!   plays one of them, its tasks its own. Fitness is the mean reward a task over the rounds of a
//!   generation, since rounds on the same tasks can't be had from a harness that gives every
//!   training episode tasks of its own.
//! - Critic: double (the evaluation network chooses, the target network values), Huber loss; an
//!   n-step target follows a device's own tasks while ∏ min(1, π_now/π_then) ≥ `trust`, at most
//!   n_max steps, discounted by γ^Δ.
//! - Actor gradient: of Σ_a π(a|s) Q(s, a) plus an entropy bonus that falls.
//! - Evolution after every G rounds: the best quarter stays, the rest are uniform crossovers of
//!   two of the better half, with Gaussian mutations scaled per tensor; the worst makes place for
//!   the gradient's actor. That one plays the first episode of every round itself.
//! - Deployed is the running mean of the gradient's actor (as the teacher deploys its target
//!   network), at the training episode of the best validation. It draws from π like in training
//!   (`deploy: Sampled`); exports take the most probable action, as `deploy: Greedy` does.
//!
//! One reading order: `parameters` (the choices), `replay` (from decisions and ends of tasks to
//! trajectories), `lesson` (targets, the gradients of critic and actor), `learning` (their steps,
//! evolution), `policy` (observations in,
//! decisions out), `saved` (checkpoints, the state of a training), `export` (the actor as C).
//!
//! # The value of each choice
//! `paper-dcdrl.ron` with one choice changed at a time (a `sweep`), from batch 64, G = 2 and
//! `target: Soft(0.005)`; training seed 1, 20 validation episodes after 1,000 training episodes,
//! which take 24 s:
//!
//! | | QoE |
//! |---|---|
//! | as above | 843.7 |
//! | actor rate 0.0003 | 839.6 |
//! | γ = 0.9 | 847.3 |
//! | entropy 0.003 | 861.9 |
//! | entropy 0.05 | 863.4 |
//! | mutation 0.02 | 843.6 |
//! | batch 128 | 875.4 |
//! | trust 0.1 | 849.9 |
//! | one-step targets | 818.8 |
//! | G = 5 | 859.1 |
//!
//! A greedy actor that all devices share swings: when it sends them all to the same server, they
//! queue there, and QoE moves by 20 from one validation to the next. One seed therefore separates
//! none of these from its neighbours. The slower mean was steadier; batch 128 and G = 5:
//!
//! | | seed 1 | seed 2 |
//! |---|---|---|
//! | `target: Soft(0.001)` | 868.3 | 863.8 |
//! | `target: Soft(0.005)` | 851.8 | 865.7 |
//!
//! These were decided greedily. The same trainings of `paper-dcdrl.ron`, validated with either
//! `deploy` (20 validation episodes; mean and standard deviation of the ten validations of the
//! second half): drawn decisions spread devices over servers that look alike, and swing less.
//!
//! | | seed 1 | seed 2 | seed 3 |
//! |---|---|---|---|
//! | `Greedy`: best | 862.6 | 873.5 | 868.8 |
//! | `Sampled`: best | 866.5 | 874.4 | 869.3 |
//! | `Greedy`: second half | 853.1 ± 5.7 | 855.0 ± 14.7 | 849.2 ± 8.2 |
//! | `Sampled`: second half | 857.5 ± 5.9 | 862.7 ± 9.3 | 853.9 ± 7.2 |
//!
//! # Threads
//! A batch is computed in parts of 64 transitions, whose gradients are added in order. Two parts on
//! two threads take 22 % less time than on one for a whole training (200 episodes: 6.5 s instead of
//! 8.3 s, means of three pairs on a busy machine of two cores), for 6 % more computing.
//!
//! Under higher load it pays to look further ahead. QoE by arrival probability (0.1 and 0.2 in 50
//! episodes; at 0.4 there was no difference):
//!
//! | | 0.1 | 0.2 | 0.5 | 0.6 |
//! |---|---|---|---|---|
//! | γ = 0.9 | 314.4 | 614.9 | 1011.1 | 809.6 |
//! | γ = 0.5 | 315.0 | 616.0 | 879.0 (in its evaluation) | 769.2 |

mod export;
mod learning;
mod lesson;
mod parameters;
mod policy;
mod replay;
mod saved;

use policy::DcDrl;

offramp_plugin::register_policy!(
    DcDrl,
    "dcdrl",
    "Distributed and collective actor-critic learning with evolution.",
    [learner, exportable, mergeable],
);
offramp_plugin::export_plugin!();
