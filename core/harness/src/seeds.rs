//! Seeds: the source of all randomness, one function per purpose.
//!
//! Purposes 1 to 5 belong to the model, 6 to 9 and 11 to 19 to this module; 10 was in use once. The
//! numbers are part of every result: never renumber, only append.
//!
//! Training, the collection of datasets, validation, searches, live runs and evaluation each have tasks of their
//! own, under equal seeds too: an evaluation draws its tasks under `evaluate.seed` itself, each other
//! one under a seed derived for its purpose ([`training_tasks`], [`dataset_tasks`],
//! [`validation`], [`selection`], [`live`]). So nothing is evaluated on tasks that it was trained on or chosen by.
//!
//! Every stream is a pure function of a seed, an episode (or step) and a purpose, see
//! [`offramp_model::rng`]. The seeds handed to plugins and the streams of the harness itself are
//! made here and nowhere else, so that no two purposes share one.

use offramp_model::rng::{Purpose, Stream, StreamFamily, WHOLE_RUN};

/// The randomness of a policy: its own draws, and its creation as a teacher.
pub const POLICY: Purpose = Purpose::new(6);
/// The randomness of an explorer, and of what is explored while a dataset is collected.
pub const EXPLORER: Purpose = Purpose::new(7);
/// The initialisation of a learner, its replay, and the mini-batches of a distillation.
pub const LEARNER: Purpose = Purpose::new(8);
/// The episodes by which a training or a distillation is judged while it continues.
pub const VALIDATION: Purpose = Purpose::new(9);
/// The tasks that a learner is trained on.
pub const TRAINING_TASKS: Purpose = Purpose::new(11);
/// The tasks of the states of a dataset, and of the rounds of a distillation.
pub const DATASET_TASKS: Purpose = Purpose::new(12);
/// The configurations that a search for hyper-parameters tries.
pub const SEARCH: Purpose = Purpose::new(13);
/// The episodes by which a search judges what has learned.
pub const SELECTION: Purpose = Purpose::new(14);
/// The systems of episodes, where each is played in another one.
pub const SYSTEMS: Purpose = Purpose::new(15);
/// The decisions of references: of chance, and of plans that know the future.
pub const REFERENCES: Purpose = Purpose::new(16);
/// Which tasks of a training episode are judged.
pub const JUDGED: Purpose = Purpose::new(17);
/// The randomness of a teacher in the episodes of a training.
pub const TEACHER: Purpose = Purpose::new(18);
/// All of a live run.
pub const LIVE: Purpose = Purpose::new(19);

/// The seed of a live run under `seed`, under which its tasks, and all that its policies draw, are
/// drawn.
pub fn live(seed: u64) -> u64 {
    StreamFamily::new(seed, WHOLE_RUN, LIVE).seed()
}

/// The draws of what devices send in a slot of a live run under `seed`, which is one of [`live`].
pub fn exchange(seed: u64, slot: u64) -> Stream {
    StreamFamily::new(seed, slot, LIVE).of(0)
}

/// The draws of the states that devices are fitted to after a slot of a live run.
pub fn exchange_fit(seed: u64, slot: u64) -> Stream {
    StreamFamily::new(seed, slot, LIVE).of(1)
}

/// The draws of the devices that report to a teacher in a period of a live run.
pub fn reporting(seed: u64, period: u64) -> Stream {
    StreamFamily::new(seed, period, LIVE).of(2)
}

/// The noise that is added for privacy after a slot of a live run.
pub fn privacy(seed: u64, slot: u64) -> Stream {
    StreamFamily::new(seed, slot, LIVE).of(3)
}

/// The draws of the decisions of the simulation whose states all devices of a live run know.
pub fn public_states(seed: u64) -> Stream {
    StreamFamily::new(seed, WHOLE_RUN, LIVE).of(4)
}

/// The seed of the tasks of that simulation.
pub fn public_tasks(seed: u64) -> u64 {
    StreamFamily::new(seed, WHOLE_RUN, LIVE).of(5).next_u64()
}

/// The seed with which a policy is created to be evaluated under `seed`.
pub fn evaluation(seed: u64) -> u64 {
    StreamFamily::new(seed, WHOLE_RUN, LEARNER).seed()
}

/// The seed of a policy's own draws in an episode.
pub fn policy_episode(seed: u64, episode: u64) -> u64 {
    StreamFamily::new(seed, episode, POLICY).seed()
}

/// The seed of a teacher's own draws in a training episode.
pub fn teacher_episode(seed: u64, episode: u64) -> u64 {
    StreamFamily::new(seed, episode, TEACHER).seed()
}

/// The seed of an explorer's own draws in an episode.
pub fn explorer_episode(seed: u64, episode: u64) -> u64 {
    StreamFamily::new(seed, episode, EXPLORER).seed()
}

/// The seed with which a learner is created to be trained, or a student to be fitted.
pub fn learner(seed: u64) -> u64 {
    StreamFamily::new(seed, WHOLE_RUN, LEARNER).seed()
}

/// The seed with which an explorer is created for a training.
pub fn explorer(seed: u64) -> u64 {
    StreamFamily::new(seed, WHOLE_RUN, EXPLORER).seed()
}

/// The seed with which a teacher is created.
pub fn teacher(seed: u64) -> u64 {
    StreamFamily::new(seed, WHOLE_RUN, POLICY).seed()
}

/// The seed under which the validation episodes of a training or distillation are drawn.
pub fn validation(seed: u64) -> u64 {
    StreamFamily::new(seed, WHOLE_RUN, VALIDATION).seed()
}

/// The seed under which the tasks of a training are drawn.
pub fn training_tasks(seed: u64) -> u64 {
    StreamFamily::new(seed, WHOLE_RUN, TRAINING_TASKS).seed()
}

/// The seed under which the tasks of a dataset are drawn, those of the rounds too.
pub fn dataset_tasks(seed: u64) -> u64 {
    StreamFamily::new(seed, WHOLE_RUN, DATASET_TASKS).seed()
}

/// The draws that replace decisions of the teacher in an episode of a dataset.
pub fn exploration(seed: u64, episode: u64) -> Stream {
    StreamFamily::new(seed, episode, EXPLORER).of(0)
}

/// The draws that select the states of a device in the mini-batch of a step.
pub fn mini_batch(seed: u64, step: u64, device: u32) -> Stream {
    StreamFamily::new(seed, step, LEARNER).of(u64::from(device))
}

/// The draws of one attempt at the configuration `number` of a search.
pub fn search(seed: u64, number: u64, attempt: u64) -> Stream {
    StreamFamily::new(seed, number, SEARCH).of(attempt)
}

/// The seed under which the episodes are drawn by which a search judges what has learned.
pub fn selection(seed: u64) -> u64 {
    StreamFamily::new(seed, WHOLE_RUN, SELECTION).seed()
}

/// The draws of a reference in an evaluation episode under `seed`: the decisions of chance, or the moves
/// of the search for a plan.
pub fn reference(seed: u64, episode: u64) -> Stream {
    StreamFamily::new(seed, episode, REFERENCES).of(0)
}

/// The draws of the system of an episode whose tasks are drawn under `tasks`, such as
/// [`training_tasks`] or [`validation`]: so each purpose has systems of its own.
pub fn system(tasks: u64, episode: u64) -> Stream {
    StreamFamily::new(tasks, episode, SYSTEMS).of(0)
}

/// The draws of the tasks of a training episode whose counterfactuals a learner receives.
pub fn judged(seed: u64, episode: u64) -> Stream {
    StreamFamily::new(seed, episode, JUDGED).of(0)
}
