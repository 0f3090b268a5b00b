//! `generalist`: one network for every system.
//!
//! A network that is tied to its number of servers, or to the load it was trained at, is another
//! one for each system. This one takes servers as a set ([`offramp_nn::set`]) and sees nothing but
//! dimensionless numbers (`inputs`); what it learns from is divided by R_base = 4·D_max of each task, so
//! that what one system teaches has the unit of what another does. Trained once over systems that
//! are drawn anew for each episode (`train.systems`), a checkpoint decides in any of them.
//!
//! It learns from counterfactuals: after each training episode, of some of its tasks, what the sum of all
//! rewards would have gained by each action. A task's own reward does not show what its decision cost
//! the tasks it shared a server with. Its decisions are drawn from
//! the probabilities that the network learns (`agent/policy_gradient`): devices that see the same loads and
//! all took the best server would not find it the best. It may learn from a teacher too, or alone
//! (`train.teacher`). With `learn_from: Rewards` it is a D3QN instead.
//!
//! One reading order: `parameters` (the choices), `inputs` (what the network sees), `log` (slots
//! and rows of episodes, which differ in their number of servers), `replay` (experiences or judged
//! decisions that refer to them, and which of them a batch is), `rule` (how numbers decide), `agent` (two
//! networks and an update; `agent/policy_gradient` from counterfactuals, `agent/q_learning` as in eqs. (14)
//! and (15)), `policy` (observations in, decisions out), `saved` (checkpoints, the state of a training).
//!
//! # Inputs
//! What a program that runs an exported network has to compute; its files state it, too, with the
//! formulas and scales. D is the
//! task's own deadline in slots; times are divided by it, and are 4 at most.
//!
//! | kind | name | value |
//! |---|---|---|
//! | device | `local_work`, `sending` | slots of computing on the device alone, and of sending at its best rate, over D |
//! | device | `deadline_slots`, `alpha` | D, α |
//! | device | `compute_queue`, `uplink_queue` | slots for which CPU and uplink stay busy, over D |
//! | device | `server_capacity` | speed of all servers per device, over that of the device; 20 at most |
//! | device | `local_delay`, `local_energy`, `local_reward` | the columns `local_delay_slots` and `local_energy` (E_scaled) over D, and the reward that follows, over R_base |
//! | link | `sending_there`, `wired`, `work_there`, `backlog` | slots of sending at the present rate, on the wired way, of computing alone at the server, and of the device's backlog there at this ρ, over D |
//! | link | `reachable`, `serving` | 1 if the rate is above 0 and the server is up; 1 if the server serves the device |
//! | link | `predicted_delay`, `predicted_energy`, `predicted_reward` | as for the device |
//! | server | `load`, `newcomer_share` | m over the share N·f/Σf, 20 at most; 1/(1 + m) |
//! | server | `speed`, `up` | f over the mean of all servers; the share of its speed that it has |
//! | server | `queued_gcycles` | with `broadcast`: slots for which the server is busy with all that it holds; 80 at most |
//! | server | `uploads`, `arrivals_per_slot` | with `broadcast`: tasks on their way to it, and that reached it per slot of the history, over its share; 20 at most |
//! | history | | loads of the last K slots, each over the server's share N·f/Σf; 20 at most |
//!
//! # Decisions of an exported network
//! A checkpoint that has learned from counterfactuals states a `temperature` τ, 0.05: each action is drawn with
//! the probability e^(A/τ) / Σ e^(A/τ) of its number A. Exported C has a function that draws; whoever runs ONNX
//! has to draw, as its metadata state (`decision`). Without it the largest number decides.
//!
//! # The value of each choice
//! QoE of the best validation (96 episodes in 48 systems) of a training of 2,000 episodes, a fifth of the
//! shipped one's; one choice changed at a time. Each seed has validation systems of its own, so only numbers of
//! one column compare. `offramp train scenarios/generalist.ron --episodes 2000 --seed 1`, with these
//! parameters:
//!
//! | | seed 1 | seed 2 |
//! |---|---|---|
//! | counterfactuals of 400 tasks per episode, as shipped | 1467.0 | 1104.7 |
//! | of 100 tasks | 1458.7 | 1107.9 |
//! | a teacher alone, `learn_from: Teacher(400)` | 1461.1 | 1112.7 |
//! | counterfactuals and that teacher, `imitate: 0.1` | 1465.5 | 1105.2 |
//! | the same, `imitate: 1.0` | 1467.1 | 1116.0 |
//! | `level: 0.0`: gains are not scaled | 1460.8 | 1105.7 |
//! | `level: 1.0`: to one level in all episodes | 1463.6 | 1113.8 |
//! | `fit: 0.0`: preferences are not fitted to gains | 1449.0 | 1096.5 |
//! | `predictions: false` | 1399.3 | 1063.9 |
//! | rewards, γ = 0.5 | 1414.7 | 1064.1 |
//! | rewards, γ = 0.9 | 1410.5 | 1045.1 |
//! | rewards, γ = 0.5, `n_step: 3` | 1420.6 | 1071.4 |
//! | rewards, γ = 0.5, `priority: 0.6` | 1420.6 | |
//! | 26,435 parameters: `lstm: 24, embedding: 96, hidden: 64` | 1463.8 | |
//!
//! The teacher is the network of the last row. From rewards: `optimiser: Adam(0.001), batch: 128, replay: 50000,
//! draw: Slots(4), every_slots: 2`, with priority without `draw`. What counts are the model's predictions among
//! the inputs, and counterfactuals or a teacher instead of rewards. Which of the two teaches better, or both,
//! two seeds can't tell; nor does a network of ten times the size learn more.
//!
//! # The value of what servers could broadcast
//! AvgQoE in the paper's system by arrival probability, the mean of training seeds 1, 2 and 3 (2,000 episodes each)
//! over 50 episodes of seed 20271101. In brackets, what each seed gains over loads alone:
//!
//! | broadcast besides loads | 0.1 | 0.2 | 0.3 | 0.4 | 0.5 | 0.6 |
//! |---|---|---|---|---|---|---|
//! | nothing | 314.7 | 620.2 | 892.0 | 1,075.2 | 1,124.6 | 1,056.7 |
//! | `queued_gcycles` | 314.1 | 620.1 | 894.2 | 1,081.0 | 1,138.3 | 1,066.7 |
//! | | (0, 0, −2) | (1, 0, −1) | (2, 1, 4) | (1, 9, 7) | (−6, 35, 12) | (−34, 56, 7) |
//! | `uploads` | 314.8 | 621.9 | 900.6 | 1,104.0 | 1,183.8 | 1,137.4 |
//! | | (0, 0, 1) | (1, 2, 2) | (7, 9, 10) | (21, 39, 26) | (30, 92, 55) | (−13, 145, 110) |
//! | `arrivals_per_slot` | 315.0 | 620.7 | 893.7 | 1,078.2 | 1,133.3 | 1,080.0 |
//! | | (0, 0, 1) | (0, 1, 1) | (−3, 3, 5) | (−24, 20, 12) | (−53, 45, 34) | (−65, 65, 70) |
//! | all three | 314.8 | 621.5 | 899.1 | 1,098.4 | 1,155.6 | 1,056.1 |
//! | | (1, 0, 0) | (2, 1, 1) | (6, 5, 10) | (19, 28, 22) | (28, 46, 20) | (−19, 25, −9) |
//!
//! So from 0.3 to 0.5 what a device lacks most is knowledge of the tasks already on their way to a server: 47, 47 and
//! 58 % of the distance to `central` (910.3, 1,136.9 and 1,226.9), which knows everything but the future. What queues
//! and arrivals would add three seeds can't tell from nothing. All three columns together do no better than `uploads`:
//! more inputs are not learned faster in 2,000 episodes, and at 0.6 the noise of training is larger than all of this.
//! In validation the same networks have 1467.0, 1104.7 and 1522.9 (nothing), 1466.9, 1113.8 and 1521.2 (queues),
//! 1468.9, 1116.5 and 1529.1 (uploads), 1461.2, 1109.2 and 1523.2 (arrivals), 1471.8, 1101.5 and 1525.1 (all).
//!
//! The commands: `offramp train FILE --episodes 2000 --seed 1`, where FILE is scenarios/generalist.ron with
//! `broadcast: ["uploads"]` and with `parameters: (broadcast: ["uploads"])` of the learner, then `offramp run` with
//! the paper's system, all of `broadcast`, and those parameters. `offramp reproduce information` does likewise with
//! other seeds and other episodes, with intervals.
//!
//! # Where learning from rewards differs from `d3qn`
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
mod rule;
mod saved;

use policy::Generalist;

offramp_plugin::register_policy!(
    Generalist,
    "generalist",
    "One network for systems of any size, learned over many, from what decisions change for all.",
    [learner, value_function, student, exportable, mergeable, any_system],
);
offramp_plugin::export_plugin!();
