//! Observations that a scenario composes itself of columns.

use offramp_tests::Sandbox;

/// Trains and evaluates a policy that reads features.
fn scenario(observation: &str, checkpoint: &str) -> String {
    format!(
        "(
    name: \"columns\",
    system: (devices: 3, servers: 2, slots: 20),
    observation: {observation},
    policies: [(plugin: \"d3qn\", parameters: (hidden: 4){checkpoint})],
    train: (
        learner: (plugin: \"d3qn\", parameters: (hidden: 4, batch: 8, every_slots: 2, warm_up_slots: 20)),
        episodes: 4, validate_every: 2, validate_episodes: 2,
    ),
    evaluate: (episodes: 2),
)"
    )
}

const COLUMNS: &str = r#"["size_mbit", "backlog_mbit", "load", "alpha"]"#;

#[test]
fn a_policy_learns_from_a_list_of_columns() {
    let desk = Sandbox::new();
    desk.write("x.ron", scenario(COLUMNS, ""));
    let ran = desk.offramp(&["train", "x.ron", "--out", "run"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    // Its checkpoint names the features, in the order of the list.
    let ran = desk.offramp(&["inspect", "run/final.safetensors"]);
    let features = [
        "size_mbit",
        "server_1_backlog_mbit",
        "server_2_backlog_mbit",
        "server_1_load",
        "server_2_load",
        "alpha",
    ];
    let places: Vec<_> = features.iter().map(|name| ran.out.find(name)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{}", ran.out);

    let checkpoint = ", checkpoint: \"run/final.safetensors\"";
    desk.write("x.ron", scenario(COLUMNS, checkpoint));
    let ran = desk.offramp(&["run", "x.ron"]);
    assert_eq!(ran.code, 0, "{}{}", ran.err, ran.out);
    // It is not one for another observation of the same width.
    desk.write("x.ron", scenario(&COLUMNS.replace("alpha", "deadline_slots"), checkpoint));
    let ran = desk.offramp(&["run", "x.ron"]);
    assert_eq!(ran.code, 2, "{}{}", ran.err, ran.out);
    assert!(ran.err.contains("deadline_slots"), "{}", ran.err);
}

/// The columns of eq. (10) in its order are the paper's observation.
#[test]
fn a_list_of_the_papers_columns_changes_no_number() {
    let desk = Sandbox::new();
    let mut tables = Vec::new();
    for (out, observation) in [
        ("named", "Paper"),
        (
            "listed",
            r#"["size_mbit", "compute_queue_slots", "uplink_queue_slots", "backlog_mbit", "alpha"]"#,
        ),
    ] {
        desk.write("x.ron", scenario(observation, ""));
        let ran = desk.offramp(&["train", "x.ron", "--out", out]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        tables.push(std::fs::read(desk.path().join(out).join("training.csv")).unwrap());
    }
    assert_eq!(tables[0], tables[1]);
}

#[test]
fn a_column_that_does_not_exist_is_shown_at_its_place() {
    let desk = Sandbox::new();
    desk.write("x.ron", scenario(&COLUMNS.replace("backlog_mbit", "backlog"), ""));
    let ran = desk.offramp(&["run", "x.ron"]);
    assert_eq!(ran.code, 2);
    insta::assert_snapshot!(ran.err);
}
