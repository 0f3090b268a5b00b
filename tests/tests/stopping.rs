//! Trainings and distillations that end early, when validations no longer become better.

use offramp_results::learning;
use offramp_tests::state_file::parts;
use offramp_tests::{Fields, Ran, Sandbox, example, plugin, quoted};

/// Runs `offramp` with the plugin `linear`.
fn offramp(sandbox: &Sandbox, arguments: &[&str]) -> Ran {
    let linear = example("linear").display().to_string();
    let ran = sandbox.offramp(&[arguments, &["--plugins", &linear]].concat());
    assert_eq!(ran.code, 0, "{arguments:?}\n{}{}", ran.out, ran.err);
    ran
}

fn small_system(name: &str) -> Fields {
    Fields::scenario(name)
        .set("system.devices", 4)
        .set("system.servers", 2)
        .set("system.slots", 40)
        .set("tasks.arrival_probability", 0.4)
}

fn training() -> Fields {
    small_system("learning")
        .set("train.learner", plugin("linear"))
        .set("train.explorer", plugin("uniform"))
        .set("train.episodes", 60)
        .set("train.validate_every", 2)
        .set("train.validate_episodes", 3)
        .set("train.save_every", 3)
}

fn distillation() -> Fields {
    let teacher = plugin("linear").set("checkpoint", quoted("taught/final.safetensors"));
    small_system("distilling")
        .set("distill.teacher", teacher)
        .set("distill.student", plugin("student").set("parameters.teacher_hidden", 4))
        .set("distill.states", 400)
        .set("distill.steps", 600)
        .set("distill.validate_every", 10)
        .set("distill.validate_episodes", 3)
}

/// A training or distillation, and where it stops.
struct Lesson {
    command: &'static str,
    /// The section of its scenario, and what its length is counted in.
    section: &'static str,
    unit: &'static str,
    scenario: Fields,
    /// Its files.
    files: &'static [&'static str],
}

fn lessons() -> [Lesson; 2] {
    [
        Lesson {
            command: "train",
            section: "train",
            unit: "episode",
            scenario: training(),
            files: &["training.csv", "best.safetensors", "final.safetensors", "state"],
        },
        Lesson {
            command: "distill",
            section: "distill",
            unit: "step",
            scenario: distillation(),
            files: &["distillation.csv", "best.safetensors", "final.safetensors", "state"],
        },
    ]
}

/// A folder with a teacher in `taught`.
fn taught() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("taught.ron", training().set("train.episodes", 4).to_string());
    offramp(&sandbox, &["train", "taught.ron", "--out", "taught"]);
    sandbox
}

impl Lesson {
    /// Carries it out into `out`, stopping after `validations` without a better one, and returns
    /// what it reported.
    fn learn(&self, sandbox: &Sandbox, validations: u32, arguments: &[&str]) -> String {
        let field = format!("{}.stop_after", self.section);
        let scenario = self.scenario.clone().set(&field, validations);
        sandbox.write("lesson.ron", scenario.to_string());
        offramp(sandbox, &[&[self.command, "lesson.ron"], arguments].concat()).err
    }

    /// The QoE of each validation, with its episode or step.
    fn validations(&self, sandbox: &Sandbox, out: &str) -> Vec<(u64, f64)> {
        let folder = sandbox.path().join(out);
        if self.command == "train" {
            let rows = learning::training(&folder).unwrap().into_iter();
            return rows.filter_map(|row| Some((row.episode + 1, row.validation_qoe?))).collect();
        }
        let rows = learning::distillation(&folder).unwrap().into_iter();
        rows.map(|row| (row.step, row.validation_qoe)).collect()
    }

    #[track_caller]
    fn same(&self, sandbox: &Sandbox, one: &str, other: &str) {
        for file in self.files {
            let [one, other] = [one, other].map(|out| sandbox.bytes(&format!("{out}/{file}")));
            assert_eq!(one, other, "{}: {file}", self.command);
        }
    }
}

#[test]
fn it_ends_when_validations_no_longer_become_better() {
    let sandbox = taught();
    for lesson in lessons() {
        let out = format!("{}-once", lesson.command);
        let stated = lesson.learn(&sandbox, 3, &["--out", &out]);
        let validations = lesson.validations(&sandbox, &out);
        let (last, _) = *validations.last().unwrap();
        let expected = format!("stopped after {} {last}: no better validation in 3", lesson.unit);
        assert!(stated.lines().any(|line| line == expected), "{stated}");
        // The first of the best is the fourth from the end, and never before were there three in a
        // row that were not better.
        let best = validations.iter().map(|(_, qoe)| *qoe).fold(f64::MIN, f64::max);
        let first = validations.iter().position(|(_, qoe)| *qoe == best).unwrap();
        assert_eq!(first + 4, validations.len());
        let (mut record, mut since) = (f64::MIN, 0);
        for (_, qoe) in &validations[..validations.len() - 1] {
            (record, since) = if *qoe > record { (*qoe, 0) } else { (record, since + 1) };
            assert!(since < 3);
        }
        // Resumed, it is done.
        let before = lesson.files.iter().map(|file| sandbox.bytes(&format!("{out}/{file}")));
        let before: Vec<_> = before.collect();
        lesson.learn(&sandbox, 3, &["--out", &out, "--resume"]);
        let after = lesson.files.iter().map(|file| sandbox.bytes(&format!("{out}/{file}")));
        assert!(after.eq(before));
    }
}

#[test]
fn it_ends_alike_when_it_is_resumed() {
    let sandbox = taught();
    for lesson in lessons() {
        let named = |name: &str| format!("{}-{name}", lesson.command);
        lesson.learn(&sandbox, 6, &["--out", &named("once")]);
        let kills = sandbox.killed_until_done(&[
            lesson.command,
            "lesson.ron",
            "--plugins",
            &example("linear").display().to_string(),
            "--out",
            &named("killed"),
            "--resume",
        ]);
        assert!(kills > 0, "it was never killed");
        lesson.same(&sandbox, &named("once"), &named("killed"));
        // What has stopped continues if it may wait longer.
        lesson.learn(&sandbox, 2, &["--out", &named("longer")]);
        let count = |name: &str| lesson.validations(&sandbox, &named(name)).len();
        assert!(count("longer") < count("once"), "{} and {}", count("longer"), count("once"));
        lesson.learn(&sandbox, 6, &["--out", &named("longer"), "--resume"]);
        lesson.same(&sandbox, &named("once"), &named("longer"));
    }
}

/// Means over other episodes can't be compared: the best is sought anew, and counted from there.
#[test]
fn other_validations_are_not_compared_with_earlier_ones() {
    let sandbox = taught();
    for lesson in lessons() {
        let (field, short) = match lesson.command {
            "train" => ("train.episodes", 20),
            _ => ("distill.steps", 100),
        };
        let validate = format!("{}.validate_episodes", lesson.section);
        let with = |field: &str, value: u32| Lesson {
            scenario: lesson.scenario.clone().set(field, value),
            ..lesson
        };
        // There is nothing left to do, so nothing is claimed to have been validated otherwise.
        let out = format!("{}-whole", lesson.command);
        let short = with(field, short);
        short.learn(&sandbox, 100, &["--out", &out]);
        let files = || [lesson.files, &["scenario.ron"]].concat();
        let bytes = || -> Vec<_> {
            files().iter().map(|file| sandbox.bytes(&format!("{out}/{file}"))).collect()
        };
        let finished = bytes();
        let other = Lesson { scenario: short.scenario.clone().set(&validate, 1), ..short };
        other.learn(&sandbox, 100, &["--out", &out, "--resume"]);
        assert!(bytes() == finished, "{out}");
        // What is left is validated otherwise: its best replaces the best of before, whatever that was.
        let out = format!("{}-stopped", lesson.command);
        lesson.learn(&sandbox, 2, &["--out", &out]);
        let before = lesson.validations(&sandbox, &out);
        let best = sandbox.bytes(&format!("{out}/best.safetensors"));
        let other = with(&validate, 1);
        other.learn(&sandbox, 100, &["--out", &out, "--resume"]);
        let rows = other.validations(&sandbox, &out);
        assert_eq!(rows[..before.len()], before);
        let highest = |rows: &[(u64, f64)]| rows.iter().map(|row| row.1).fold(f64::MIN, f64::max);
        let new = highest(&rows[before.len()..]);
        assert!(highest(&before) != new);
        assert!(sandbox.bytes(&format!("{out}/best.safetensors")) != best, "{out}");
        let first = rows[before.len()..].iter().position(|row| row.1 == new).unwrap();
        let state = sandbox.bytes(&format!("{out}/state"));
        let (header, _) = parts(&state);
        let header: serde_json::Value = serde_json::from_slice(header).unwrap();
        assert_eq!(header["state"]["best_qoe"].as_f64(), Some(new));
        let since = rows.len() - before.len() - first - 1;
        assert_eq!(header["state"]["since_best"].as_u64(), Some(since as u64));
    }
}

#[test]
fn it_waits_for_at_least_one_validation() {
    let sandbox = taught();
    for Lesson { command, section, scenario, .. } in lessons() {
        let scenario = scenario.set(&format!("{section}.stop_after"), 0);
        sandbox.write("lesson.ron", scenario.to_string());
        let linear = example("linear").display().to_string();
        let ran = sandbox.offramp(&[command, "lesson.ron", "--plugins", &linear]);
        assert_eq!(ran.code, 2);
        assert!(ran.err.contains("0 is out of range 1 … 10⁹"), "{}", ran.err);
    }
}
