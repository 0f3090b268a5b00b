//! A study small enough to train and distil in a test.

use crate::Sandbox;

/// The system of its scenarios.
const SYSTEM: &str = "system: (devices: 4, servers: 2, slots: 40, server_ghz: [6.0, 12.0]),
    tasks: (arrival_probability: 0.4)";

/// A folder with the study `study`, in `toy.ron`, and the scenarios that it may refer to: `system.ron`,
/// `teacher.ron`, which trains for so many episodes, and `student.ron`.
///
/// # Panics
/// If a file can't be written.
pub fn with_study(study: &str, episodes: u32) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("system.ron", format!("(name: \"system\", {SYSTEM})"));
    sandbox.write(
        "teacher.ron",
        format!(
            "(name: \"teacher\", {SYSTEM}, train: (
                learner: (plugin: \"d3qn\", parameters: (hidden: 4, every_slots: 4)),
                explorer: (plugin: \"uniform\"), validate_every: 4, validate_episodes: 2,
                episodes: {episodes},
            ))"
        ),
    );
    sandbox.write(
        "student.ron",
        format!(
            "(name: \"student\", {SYSTEM}, distill: (
                teacher: (plugin: \"d3qn\", checkpoint: \"elsewhere\"),
                student: (plugin: \"student\", parameters: (teacher_hidden: 4, ratio: 0.5)),
                states: 500, steps: 40, validate_every: 20, validate_episodes: 2,
            ))"
        ),
    );
    sandbox.write("toy.ron", study);
    sandbox
}
