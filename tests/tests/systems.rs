//! Training over many systems: `train.systems`, end to end.

use std::collections::BTreeSet;

use offramp_tests::{Fields, Sandbox, example, plugin};

const SYSTEMS: &str = "{ \
    \"tasks.arrival_probability\": Uniform(0.05, 0.7), \"tasks.deadline_slots\": Whole(4, 20), \
    \"system.devices\": Choice([2, 5, 10]), \"system.servers\": Whole(1, 9), \
    \"system.device_ghz\": Choice([2.6, Uniform(1.5, 4.0)]), \
    \"energy\": Choice([Published, Physical]) }";

const EPISODES: u32 = 12;

fn training() -> Fields {
    Fields::scenario("many")
        .set("system", Fields::new())
        .set("system.slots", 20)
        .set("train.learner", plugin("roaming"))
        .set("train.explorer", plugin("uniform"))
        .set("train.explorer.parameters.over", 0.5)
        .set("train.episodes", EPISODES)
        .set("train.systems", SYSTEMS)
        .set("train.validate_systems", 3)
        .set("train.validate_episodes", 6)
        .set("train.validate_every", 4)
        .set("train.save_every", 2)
}

fn sandbox(scenario: &Fields) -> (Sandbox, String) {
    let sandbox = Sandbox::new();
    sandbox.write("many.ron", scenario.to_string());
    (sandbox, example("roaming").display().to_string())
}

/// The columns of `systems.csv` before the fields themselves, without its header.
fn table(sandbox: &Sandbox, out: &str) -> Vec<[u64; 5]> {
    let text = sandbox.read(&format!("{out}/systems.csv"));
    let mut rows = text.lines();
    assert_eq!(rows.next(), Some("episode,devices,servers,deadline_slots,slots,system"));
    rows.map(|row| {
        let cells: Vec<u64> = row.split(',').take(5).map(|cell| cell.parse().unwrap()).collect();
        cells.try_into().unwrap()
    })
    .collect()
}

#[test]
fn each_episode_is_learned_from_in_a_system_of_its_own() {
    let (sandbox, roaming) = sandbox(&training());
    sandbox.succeed(&["train", "many.ron", "--out", "run", "--plugins", &roaming]);
    let table = table(&sandbox, "run");
    assert_eq!(table.len(), EPISODES as usize);
    let checkpoint = sandbox.read("run/final.safetensors");
    let mut lines = checkpoint.lines();
    let slots: u64 = table.iter().map(|row| row[4]).sum();
    // What it recorded; what it was told.
    assert_eq!(lines.next(), Some(format!("{slots} {slots}").as_str()));
    assert_eq!(lines.next(), Some(slots.to_string().as_str()));
    let seen: Vec<&str> = lines.collect();
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), EPISODES as usize, "{seen:?}");
    for (line, [episode, devices, servers, deadline, slots]) in seen.iter().zip(table) {
        assert!(line.starts_with(&format!("{devices},{servers},{deadline},")), "{episode}: {line}");
        assert_eq!(slots, 20 + deadline);
    }
    let shown = sandbox.succeed(&["inspect", "many.ron"]);
    assert!(
        shown.contains("systems { \"tasks.arrival_probability\": Uniform(0.05, 0.7)"),
        "{shown}"
    );
}

#[test]
fn neither_threads_nor_interruptions_change_the_systems() {
    let (sandbox, roaming) = sandbox(&training());
    for (out, jobs) in [("one", "1"), ("four", "4")] {
        let command = ["train", "many.ron", "--out", out, "--plugins", &roaming, "--jobs", jobs];
        sandbox.succeed(&command);
    }
    let command = ["train", "many.ron", "--out", "killed", "--resume", "--plugins", &roaming];
    sandbox.killed_until_done(&command);
    for file in ["systems.csv", "training.csv", "final.safetensors", "best.safetensors", "state"] {
        let one = sandbox.bytes(&format!("one/{file}"));
        assert_eq!(one, sandbox.bytes(&format!("four/{file}")), "{file}");
        assert_eq!(one, sandbox.bytes(&format!("killed/{file}")), "{file}");
    }
    // What decides what is learned can't change; the systems of validations can.
    let other = SYSTEMS.replace("0.7", "0.6");
    sandbox.write("many.ron", training().set("train.systems", other).to_string());
    let refused = sandbox.offramp(&command);
    assert_eq!(refused.code, 2);
    for part in ["`train.systems.tasks.arrival_probability` was", "is Uniform(0.05, 0.6) now"] {
        assert!(refused.err.contains(part), "{}", refused.err);
    }
    sandbox.write("many.ron", training().set("train.validate_systems", 1).to_string());
    sandbox.succeed(&command);
}

/// The mean QoE of each validation.
fn validations(train: &Fields) -> Vec<String> {
    let (sandbox, roaming) = sandbox(train);
    sandbox.succeed(&["train", "many.ron", "--out", "run", "--plugins", &roaming]);
    let text = sandbox.read("run/training.csv");
    let mut rows = text.lines().map(|row| row.split(',').collect::<Vec<_>>());
    let at = rows.next().unwrap().iter().position(|name| *name == "validation_qoe").unwrap();
    rows.map(|row| row[at].to_owned()).filter(|cell| !cell.is_empty()).collect()
}

/// This learner decides the same before and after it has learned.
#[test]
fn a_validation_plays_the_same_systems_each_time() {
    let drawn = validations(&training());
    assert_eq!(drawn.len(), 3);
    assert!(drawn.iter().all(|qoe| *qoe == drawn[0]), "{drawn:?}");
    let own = validations(&training().without("train.validate_systems"));
    assert_ne!(drawn, own);
    // That of the scenario itself, whatever is trained in.
    let plain = training().without("train.validate_systems").without("train.systems");
    assert_eq!(validations(&plain), own);
}

#[test]
fn what_does_not_cope_with_other_systems_is_refused() {
    let check = |scenario: &Fields, name: &str, place: &str| {
        let (sandbox, _) = sandbox(scenario);
        let fresh = example("fresh").display().to_string();
        let roaming = example("roaming").display().to_string();
        let command =
            ["train", "many.ron", "--out", "run", "--plugins", &fresh, "--plugins", &roaming];
        let refused = sandbox.offramp(&command);
        assert_eq!(refused.code, 2, "{}", refused.err);
        let message = format!("`{name}` does not cope with a system that differs");
        for part in [&message, "capability `any_system`", place] {
            assert!(refused.err.contains(part), "{}", refused.err);
        }
        assert!(!sandbox.has("run"));
    };
    check(&training().set("train.learner", plugin("d3qn")), "d3qn", "(plugin: \"d3qn\")");
    let explorer = training().without("train.explorer").set("train.explorer", plugin("lengthy"));
    check(&explorer, "lengthy", "(plugin: \"lengthy\")");
}

/// Each field is valid at both its ends, and so is the scenario.
#[test]
fn a_combination_that_is_not_a_system_is_found_before_the_training_begins() {
    let systems = "{ \"system.device_ghz\": Choice([2.0, [1.0, 2.0]]), \
                   \"system.devices\": Choice([2, 3]) }";
    let (sandbox, roaming) = sandbox(&training().set("train.systems", systems));
    let refused = sandbox.offramp(&["train", "many.ron", "--out", "run", "--plugins", &roaming]);
    assert_eq!(refused.code, 2, "{}", refused.err);
    for part in ["the system of episode ", "system.devices = 3): a list of 2 for 3 devices"] {
        assert!(refused.err.contains(part), "{}", refused.err);
    }
    assert!(!sandbox.has("run"));
}
