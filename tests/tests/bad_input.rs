//! Mistakes a user may make, and how offramp explains them.

use offramp_tests::Sandbox;

/// Runs a scenario that is wrong: exit code 2, nothing printed, nothing written.
fn refused(text: &str) -> String {
    let desk = Sandbox::new();
    desk.write("scenario.ron", text);
    let ran = desk.offramp(&["run", "scenario.ron"]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{}", ran.err);
    assert!(!desk.path().join("runs").exists());
    ran.err
}

macro_rules! refused {
    ($($name:ident: $text:literal,)*) => {
        $(#[test]
        fn $name() {
            insta::assert_snapshot!(stringify!($name), refused($text));
        })*
    };
}

refused! {
    unknown_field: r#"(
    name: "x",
    // The field is called `devices`.
    system: (device: 50, servers: 5),
    policies: [(plugin: "random")],
)"#,
    unknown_section: r#"(name: "x", polices: [(plugin: "random")])"#,
    unknown_policy: r#"(name: "x", policies: [
    (plugin: "random"),
    (plugin: "heuristics"),
])"#,
    unknown_policy_nothing_near: r#"(name: "x", policies: [(plugin: "deep-thought")])"#,
    unknown_variant: r#"(name: "x", energy: Publishd, policies: [(plugin: "random")])"#,
    unknown_distribution: r#"(name: "x", tasks: (size_mbit: Unifrom(1.0, 2.0)), policies: [(plugin: "random")])"#,
    missing_field: r#"(name: "x")"#,
    syntax: r#"(
    name: "x",
    system: (devices: 50 servers: 5),
    policies: [(plugin: "random")],
)"#,
    not_closed: r#"(name: "x", policies: [(plugin: "random")]"#,
    wrong_type: r#"(name: "x", system: (devices: "fifty"), policies: [(plugin: "random")])"#,
    no_devices: r#"(name: "x", system: (devices: 0), policies: [(plugin: "random")])"#,
    too_many_devices: r#"(name: "x", system: (devices: 4000000000), policies: [(plugin: "random")])"#,
    probability_above_one: r#"(
    name: "x",
    tasks: (
        arrival_probability: 1.5,
    ),
    policies: [(plugin: "random")],
)"#,
    negative_size: r#"(name: "x", tasks: (size_mbit: Uniform(-1.0, 7.0)), policies: [(plugin: "random")])"#,
    bounds_swapped: r#"(name: "x", tasks: (size_mbit: Uniform(7.0, 1.0)), policies: [(plugin: "random")])"#,
    list_of_wrong_length: r#"(name: "x", system: (server_ghz: [1.0, 2.0]), policies: [(plugin: "random")])"#,
    rates_of_wrong_length: r#"(name: "x", system: (uplink_mbps: PerServer([1.0])), policies: [(plugin: "random")])"#,
    list_for_tasks: r#"(name: "x", tasks: (density: [0.1, 0.2]), policies: [(plugin: "random")])"#,
    alpha_out_of_range: r#"(name: "x", alpha: (modes: [0.5, 2.0]), policies: [(plugin: "random")])"#,
    no_deadline: r#"(name: "x", tasks: (deadline_slots: 0), policies: [(plugin: "random")])"#,
    no_policies: r#"(name: "x", policies: [])"#,
    same_label: r#"(name: "x", policies: [(plugin: "random"), (plugin: "random")])"#,
    no_checkpoint: r#"(name: "x", policies: [(plugin: "random", checkpoint: "none.safetensors")])"#,
    no_episodes: r#"(name: "x", evaluate: (episodes: 0), policies: [(plugin: "random")])"#,
    name_with_slash: r#"(name: "../x", policies: [(plugin: "random")])"#,
    sweep_of_unknown_field: r#"(name: "x", tasks: (), policies: [(plugin: "random")],
    sweep: {"tasks.arrival": [0.1]})"#,
    sweep_of_no_section: r#"(name: "x", policies: [(plugin: "random")], sweep: {"nothing.there": [0.1]})"#,
    sweep_of_no_struct: r#"(name: "x", policies: [(plugin: "random")], sweep: {"energy.scale": [0.1]}, energy: Published)"#,
    sweep_out_of_range: r#"(name: "x", tasks: (arrival_probability: 0.1), policies: [(plugin: "random")],
    sweep: {"tasks.arrival_probability": [0.2, 2.0]})"#,
    modes_twice: r#"(name: "x", alpha: (modes: [0.5, 0.25, 0.50]), policies: [(plugin: "random")])"#,
    value_swept_twice: r#"(name: "x", policies: [(plugin: "random")], sweep: {"system.devices": [1, 2, 1]})"#,
    not_a_whole_number: r#"(
    name: "x",
    system: (devices: 10.0, servers: 2),
    policies: [(plugin: "random")],
)"#,
    swept_number_not_whole: r#"(name: "x", policies: [(plugin: "random")], sweep: {"system.devices": [10, 2.5]})"#,
    negative_count: r#"(name: "x", evaluate: (episodes: -5), policies: [(plugin: "random")])"#,
    negative_rate: r#"(name: "x", system: (uplink_mbps: PerServer([14.0, 0.0, 1.0, 2.0, -3.0])), policies: [(plugin: "random")])"#,
    sha256_of_wrong_length: r#"(name: "x", policies: [(plugin: "random", sha256: "abc")])"#,
    name_with_line_break: "(name: \"x\", policies: [(plugin: \"random\", name: \"a\\nb\")])",
    empty_sweep: r#"(name: "x", policies: [(plugin: "random")], sweep: {"energy": []})"#,
    empty_file: "",
}

#[test]
fn no_such_file() {
    let desk = Sandbox::new();
    let ran = desk.offramp(&["run", "nowhere.ron"]);
    assert_eq!(ran.code, 2);
    insta::assert_snapshot!(ran.err);
}

#[test]
fn not_a_text() {
    let desk = Sandbox::new();
    desk.write("scenario.ron", [b'(', 0xff, b')']);
    let ran = desk.offramp(&["run", "scenario.ron"]);
    assert_eq!(ran.code, 2);
    insta::assert_snapshot!(ran.err);
}

#[test]
fn a_text_in_utf_16() {
    let desk = Sandbox::new();
    let text = "(name: \"x\", policies: [(plugin: \"random\")])";
    desk.write("scenario.ron", text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>());
    let ran = desk.offramp(&["run", "scenario.ron"]);
    assert_eq!(ran.code, 2);
    insta::assert_snapshot!(ran.err);
}

#[test]
fn a_byte_order_mark_is_not_an_error() {
    let desk = Sandbox::new();
    let text = "(name: \"x\", system: (devices: 2), evaluate: (episodes: 1),
        policies: [(plugin: \"random\")])";
    desk.write("plain.ron", text);
    desk.write("marked.ron", format!("\u{feff}{text}"));
    let qoe = |name: &str| {
        let text =
            desk.succeed(&["run", &format!("{name}.ron"), "--format", "json", "--out", name]);
        let results: serde_json::Value = serde_json::from_str(&text).unwrap();
        results["runs"][0]["metrics"]["qoe"].clone()
    };
    let plain = qoe("plain");
    assert!(plain["mean"].is_number());
    assert_eq!(qoe("marked"), plain);
}

/// A scenario that a program wrote is one line, of any length.
#[test]
fn an_error_in_a_long_line_is_short() {
    let desk = Sandbox::new();
    let entries: String =
        (0..8000).map(|n| format!("(plugin: \"random\", name: \"{n}, äöü\"), ")).collect();
    let before = format!("(name: \"x\", policies: [{entries}], evaluate: (episodes: ");
    assert!(before.len() > 300_000);
    desk.write("scenario.ron", format!("{before}1.0), about: \"{}\")", "b".repeat(100_000)));
    let ran = desk.offramp(&["run", "scenario.ron"]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert!(ran.err.len() < 2000, "{}", ran.err.len());
    let place = format!("[scenario.ron:1:{}]", before.chars().count() + 1);
    assert!(ran.err.contains(&place), "{}", ran.err);
    assert!(ran.err.contains("evaluate: (episodes: 1.0), about"), "{}", ran.err);
    // As is one of a value that is long itself.
    let list = "1.0, ".repeat(80_000);
    desk.write("scenario.ron", format!("(name: \"x\", system: (server_ghz: [{list}]))"));
    let ran = desk.offramp(&["run", "scenario.ron"]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert!(ran.err.len() < 2000, "{}", ran.err.len());
}

#[test]
fn two_scenarios_of_one_name() {
    let desk = Sandbox::new();
    desk.write("a.ron", "(name: \"x\", policies: [(plugin: \"random\")])");
    desk.write("b.ron", "(name: \"x\", policies: [(plugin: \"random\")])");
    let ran = desk.offramp(&["run", "a.ron", "b.ron"]);
    assert_eq!(ran.code, 2);
    insta::assert_snapshot!(ran.err);
}

#[test]
fn an_output_folder_that_cannot_be_written() {
    let desk = Sandbox::new();
    desk.write("scenario.ron", "(name: \"x\", policies: [(plugin: \"random\")])");
    desk.write("file", "not a folder");
    let ran = desk.offramp(&["run", "scenario.ron", "--out", "file/run"]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    insta::assert_snapshot!(ran.err);
    assert_eq!(std::fs::read_to_string(desk.path().join("file")).unwrap(), "not a folder");
}

#[test]
fn arguments() {
    let desk = Sandbox::new();
    for arguments in [&["rum"][..], &["run"], &["run", "x.ron", "--jobs", "0"]] {
        assert_eq!(desk.offramp(arguments).code, 2);
    }
    insta::assert_snapshot!(desk.offramp(&["rum"]).err);
}

#[test]
fn reproduce_outside_a_checkout() {
    let desk = Sandbox::new();
    let ran = desk.offramp(&["reproduce"]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    insta::assert_snapshot!(ran.err);
    assert_eq!(std::fs::read_dir(desk.path()).unwrap().count(), 0);
}
