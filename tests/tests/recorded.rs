//! Recorded data: what is learned and what is evaluated, and files that change in between.

use offramp_tests::{Fields, Ran, Sandbox, plugin};

/// Tasks of four devices in 400 slots, whose sizes tell when they came.
fn tasks(largest: f64) -> String {
    let row = |slot: u32| {
        let size = 0.5 + (largest - 0.5) * f64::from(slot) / 400.0;
        format!("{slot},{},{size},0.3\n", slot % 4)
    };
    format!("slot,device,size_mbit,density\n{}", (0..400).map(row).collect::<String>())
}

fn scenario() -> Fields {
    Fields::scenario("small")
        .set("system.devices", 4)
        .set("system.servers", 2)
        .set("system.slots", 20)
        .set("tasks.arrivals", "Recorded(\"tasks.csv\")")
        .set("recordings", "(train: 0.5, validate: 0.25)")
        .set("evaluate.episodes", 4)
        .set("policies", format!("[{}]", plugin("all-local")))
}

fn run(sandbox: &Sandbox, verb: &str, scenario: &Fields, more: &[&str]) -> Ran {
    sandbox.write("small.ron", scenario.to_string());
    sandbox.offramp(&[&[verb, "small.ron", "--out", verb], more].concat())
}

#[test]
fn a_run_with_other_recorded_data_is_not_resumed() {
    let sandbox = Sandbox::new();
    sandbox.write("tasks.csv", tasks(5.0));
    let first = run(&sandbox, "run", &scenario(), &[]);
    assert_eq!(first.code, 0, "{}", first.err);
    let again = run(&sandbox, "run", &scenario(), &["--resume"]);
    assert_eq!((again.code, again.out), (0, first.out), "{}", again.err);
    sandbox.write("tasks.csv", tasks(5.5));
    let changed = run(&sandbox, "run", &scenario(), &["--resume"]);
    assert_eq!(changed.code, 2, "{}", changed.out);
    assert!(changed.err.contains("the file tasks.csv has changed"), "{}", changed.err);
    sandbox.write("tasks.csv", tasks(5.0).replace("\n7,3,", "\n7,9,"));
    let wrong = run(&sandbox, "run", &scenario(), &["--resume"]);
    assert_eq!(wrong.code, 2, "{}", wrong.out);
    assert!(wrong.err.contains("tasks.csv, row 8: device 9 is out of range"), "{}", wrong.err);
}

#[test]
fn a_training_learns_on_its_part_alone() {
    let training = scenario()
        .set("train.learner.plugin", "\"d3qn\"")
        .set(
            "train.learner.parameters",
            "(hidden: 2, sharing: Shared, every_slots: 1, batch: 8, warm_up_slots: 40, anneal: 0)",
        )
        .set("train.episodes", 6)
        .set("train.validate_every", 6)
        .set("train.validate_episodes", 2);
    let learned = |tasks: &str| {
        let sandbox = Sandbox::new();
        sandbox.write("tasks.csv", tasks);
        let ran = run(&sandbox, "train", &training, &[]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        let rows = sandbox.read("train/training.csv");
        let (losses, validation): (Vec<_>, Vec<_>) = rows
            .lines()
            .skip(1)
            .map(|row| {
                let cells: Vec<&str> = row.split(',').collect();
                (cells[1].to_owned(), cells[cells.len() - 2..].join(","))
            })
            .unzip();
        (losses, validation)
    };
    // Smaller tasks from a slot on, of the 400.
    let smaller_from = |from: usize| {
        let tasks = tasks(5.0);
        let row = |(slot, row): (usize, &str)| {
            let cells: Vec<&str> = row.split(',').collect();
            let size = if slot > from { "0.5" } else { cells[2] };
            format!("{},{},{size},{}\n", cells[0], cells[1], cells[3])
        };
        // The largest size, by which observations are scaled, stays.
        let text: String = tasks.lines().enumerate().map(row).collect();
        format!("{}399,0,5,0.3\n", text.trim_end().rsplit_once('\n').unwrap().0.to_owned() + "\n")
    };
    let whole = learned(&smaller_from(399));
    assert_eq!(learned(&smaller_from(300)), whole, "what is evaluated on plays no part");
    let validated = learned(&smaller_from(200));
    assert_eq!(validated.0, whole.0, "what validates is not trained on");
    assert_ne!(validated.1, whole.1);
    assert_ne!(learned(&smaller_from(0)).0, whole.0);
}

#[test]
fn a_training_with_other_recorded_data_is_not_resumed() {
    let training = scenario()
        .set("train.learner.plugin", "\"d3qn\"")
        .set(
            "train.learner.parameters",
            "(hidden: 2, sharing: Shared, every_slots: 1, batch: 8, warm_up_slots: 40, anneal: 0)",
        )
        .set("train.episodes", 6);
    let sandbox = Sandbox::new();
    sandbox.write("tasks.csv", tasks(5.0));
    let ran = run(&sandbox, "train", &training, &[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    sandbox.write("tasks.csv", tasks(6.0));
    let ran = run(&sandbox, "train", &training.set("train.episodes", 7), &["--resume"]);
    assert_eq!(ran.code, 2, "{}", ran.out);
    assert!(ran.err.contains("the recorded data tasks.csv has changed"), "{}", ran.err);
}
