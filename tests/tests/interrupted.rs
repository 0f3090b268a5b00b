//! Commands that another language ends early: what was done is kept, and continues bit-identically.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use offramp_harness::Registry;
use offramp_harness::batch::{Batch, BatchError};
use offramp_harness::bind::{bind_distillation, bind_evaluation, bind_training};
use offramp_harness::distill::distill;
use offramp_harness::events::{Event, Observer, Quiet};
use offramp_harness::executor::InProcess;
use offramp_harness::resume::{FolderError, Start};
use offramp_harness::train::{TrainError, train};
use offramp_results::Error;
use offramp_scenario::{Experiment, Scenario};
use offramp_tests::{Sandbox, built};

/// Ends a command after so many episodes, or validations of a distillation.
struct After {
    limit: u64,
    done: AtomicU64,
}

impl After {
    fn new(limit: u64) -> Self {
        Self { limit, done: AtomicU64::new(0) }
    }
}

impl Observer for After {
    fn on_event(&self, event: Event<'_>) {
        let more = match event {
            Event::EpisodesEnded(count) => count,
            Event::TrainingEpisode(_) | Event::Validation(_) => 1,
            _ => 0,
        };
        self.done.fetch_add(more, Ordering::Relaxed);
    }

    fn interrupted(&self) -> bool {
        self.done.load(Ordering::Relaxed) >= self.limit
    }
}

const TEXT: &str = r#"(
    name: "interrupted", system: (devices: 4, servers: 2, slots: 30),
    policies: [(plugin: "random"), (plugin: "heuristic")],
    evaluate: (episodes: 40, seed: 3),
    train: (
        learner: (plugin: "d3qn", parameters: (hidden: 4, batch: 8, warm_up_slots: 20)),
        episodes: 12, validate_every: 4, validate_episodes: 2, save_every: 5,
    ),
    distill: (
        teacher: (plugin: "d3qn", checkpoint: "whole/best.safetensors", parameters: (hidden: 4)),
        student: (plugin: "student", parameters: (teacher_hidden: 4)),
        states: 300, steps: 60, validate_every: 20, validate_episodes: 2,
    ),
)"#;

fn registry() -> Registry {
    Registry::discover(&[], Some(built())).unwrap()
}

fn scenario(folder: &Path) -> Scenario {
    let experiment = Experiment::parse("interrupted.ron", TEXT.into(), folder, &[]).unwrap();
    experiment.points.into_iter().next().unwrap()
}

#[track_caller]
fn assert_same(folder: &Path, whole: &str, parts: &str, files: &[&str]) {
    for file in files {
        let [whole, parts] =
            [whole, parts].map(|name| std::fs::read(folder.join(name).join(file)).unwrap());
        assert!(whole == parts, "{file}");
    }
}

#[test]
fn a_training_and_a_distillation_continue_after_they_were_ended_early() {
    let sandbox = Sandbox::new();
    let folder = sandbox.path();
    let training = bind_training(scenario(folder), &registry()).unwrap();
    train(&training, &folder.join("whole"), Start::New, &Quiet).unwrap();
    let parts = folder.join("parts");
    // Between two saves: what was done since the last is saved, too.
    let ended = train(&training, &parts, Start::New, &After::new(7));
    assert!(matches!(ended, Err(TrainError::Folder(FolderError::Interrupted))), "{ended:?}");
    let rows = std::fs::read_to_string(parts.join("training.csv")).unwrap();
    assert_eq!(rows.lines().count(), 1 + 7);
    train(&training, &parts, Start::Resume, &Quiet).unwrap();
    let files = ["training.csv", "best.safetensors", "final.safetensors"];
    assert_same(folder, "whole", "parts", &files);

    let distillation = bind_distillation(scenario(folder), &registry()).unwrap();
    let into = |name: &str, start, observer: &dyn Observer| {
        let out = folder.join(name);
        distill(&distillation, &out, &out.join("dataset.safetensors"), start, observer)
    };
    into("whole-student", Start::New, &Quiet).unwrap();
    into("student", Start::New, &After::new(1)).unwrap_err();
    into("student", Start::Resume, &Quiet).unwrap();
    let files = ["distillation.csv", "best.safetensors", "final.safetensors"];
    assert_same(folder, "whole-student", "student", &files);
}

#[test]
fn a_batch_that_was_ended_early_resumes() {
    let sandbox = Sandbox::new();
    let experiments = [Experiment::parse("interrupted.ron", TEXT.into(), sandbox.path(), &[])
        .unwrap()
        .try_map(|point| bind_evaluation(point, &registry()))
        .unwrap()];
    let run = |name: &str, start, observer: &dyn Observer| {
        let attempt = Batch::new(&experiments, None).open(&sandbox.path().join(name), start);
        attempt.unwrap().run(&InProcess, observer)
    };
    run("whole", Start::New, &Quiet).unwrap();
    let ended = run("parts", Start::New, &After::new(45)).unwrap_err();
    assert!(matches!(ended, BatchError::Results(Error::Interrupted)), "{ended}");
    assert!(!sandbox.path().join("parts").exists());
    run("parts", Start::Resume, &Quiet).unwrap();
    assert_same(
        sandbox.path(),
        "whole",
        "parts",
        &["episodes.csv", "power-modes.csv", "delays.csv"],
    );
}
