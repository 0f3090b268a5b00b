//! Files that someone made to mislead: paths that lead elsewhere, sizes that are not there,
//! plugins that are not the ones meant.

use offramp_tests::{Sandbox, workspace};

fn policies(entry: &str) -> String {
    format!("(name: \"one\", policies: [{entry}], evaluate: (episodes: 1))")
}

#[test]
fn a_scenario_names_no_file_outside_its_folder() {
    let sandbox = Sandbox::new();
    std::fs::create_dir_all(sandbox.path().join("inside/deeper")).unwrap();
    let checkpoint = workspace().join("scenarios/paper/tree-devices.safetensors");
    for copy in ["outside.safetensors", "inside/own.safetensors"] {
        std::fs::copy(&checkpoint, sandbox.path().join(copy)).unwrap();
    }
    #[cfg(unix)]
    std::os::unix::fs::symlink("../outside.safetensors", sandbox.path().join("inside/link"))
        .unwrap();
    let absolute = sandbox.path().join("outside.safetensors").display().to_string();
    let run = |file: &str| {
        let entry = format!(
            "(plugin: \"tree-student\", checkpoint: \"{file}\", parameters: (sharing: PerDevice))"
        );
        sandbox.write("inside/one.ron", policies(&entry));
        sandbox.offramp(&["run", "inside/one.ron"])
    };
    for file in ["own.safetensors", "deeper/../own.safetensors", absolute.as_str()] {
        let ran = run(file);
        assert_eq!(ran.code, 0, "{file}: {}", ran.err);
    }
    let mut errors = String::new();
    for file in ["../outside.safetensors", "deeper/../../outside.safetensors", "link"] {
        let ran = run(file);
        assert_eq!(ran.code, 2, "{file}");
        errors += &ran.err;
    }
    insta::assert_snapshot!(errors);
}

#[test]
fn a_scenario_can_say_which_file_a_plugin_must_be() {
    let sandbox = Sandbox::new();
    let listed = sandbox.offramp(&["plugins", "--format", "json"]).out;
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let random =
        listed["plugins"].as_array().unwrap().iter().find(|plugin| plugin["name"] == "random");
    let sha256 = random.unwrap()["sha256"].as_str().unwrap();
    sandbox.write("right.ron", policies(&format!("(plugin: \"random\", sha256: \"{sha256}\")")));
    assert_eq!(sandbox.offramp(&["run", "right.ron"]).code, 0);
    let other = "0".repeat(64);
    sandbox.write("wrong.ron", policies(&format!("(plugin: \"random\", sha256: \"{other}\")")));
    let wrong = sandbox.offramp(&["run", "wrong.ron"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.contains("which is another file"), "{}", wrong.err);
    assert!(wrong.err.replace(['\n', ' ', '│'], "").contains(sha256), "{}", wrong.err);
    assert!(wrong.err.contains("wrong.ron:1:"), "{}", wrong.err);
}

#[test]
fn a_scenario_that_needs_all_memory_is_refused_before_it_takes_any() {
    let sandbox = Sandbox::new();
    for (fields, message) in [
        ("system: (servers: 1000000), history_slots: 10000", "history_slots × servers is more"),
        ("system: (devices: 100000000, servers: 1000)", "devices × servers is more"),
    ] {
        let policies = "policies: [(plugin: \"random\")]";
        sandbox.write("huge.ron", format!("(name: \"huge\", {fields}, {policies})"));
        let ran = sandbox.offramp(&["run", "huge.ron"]);
        assert_eq!(ran.code, 2, "{}", ran.out);
        assert!(ran.err.contains(message), "{}", ran.err);
    }
}

/// Sparse, so that it takes no room.
#[test]
fn a_checkpoint_of_any_size_is_not_read() {
    let sandbox = Sandbox::new();
    let file = std::fs::File::create(sandbox.path().join("large")).unwrap();
    file.set_len(1 << 40).unwrap();
    sandbox.write("large.ron", policies("(plugin: \"student\", checkpoint: \"large\")"));
    let ran = sandbox.offramp(&["run", "large.ron"]);
    assert_eq!(ran.code, 2);
    let inspected = sandbox.offramp(&["inspect", "large"]);
    let exported = sandbox.offramp(&["export", "large", "--out", "out"]);
    assert_eq!((inspected.code, exported.code), (2, 2));
    for printed in [ran.err, inspected.err, exported.err] {
        let words = printed.replace('│', "");
        let printed = words.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(printed.contains("it has more than 1073741824 bytes"), "{printed}");
    }
    #[cfg(unix)]
    {
        let endless = sandbox.offramp(&["inspect", "/dev/zero"]);
        assert_eq!(endless.code, 2);
        assert!(endless.err.contains("it has more than"), "{}", endless.err);
    }
}

/// A generated scenario may be one line of a megabyte.
#[test]
fn a_fault_in_a_long_line_is_shown_with_its_surroundings_alone() {
    let sandbox = Sandbox::new();
    let about = "x".repeat(400_000);
    sandbox.write("long.ron", format!("(name: \"a\", about: \"{about}\", polices: [])"));
    let ran = sandbox.offramp(&["run", "long.ron"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("did you mean `policies`?"), "{}", ran.err);
    assert!(ran.err.contains("polices: [])"), "{}", ran.err);
    assert!(ran.err.chars().count() < 1000, "{} characters", ran.err.chars().count());
}
