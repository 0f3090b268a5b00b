//! ONNX networks as policies: what `offramp export` writes, and what PyTorch does.

use std::path::Path;

use offramp_tests::{Ran, Sandbox, workspace};

/// The episodes of a policy.
fn rows(episodes: &str, policy: &str) -> Vec<String> {
    let own = episodes.lines().filter_map(|line| line.split_once(&format!(",{policy},")));
    own.map(|(_, row)| row.to_owned()).collect()
}

/// All that a run printed, without the frames and line breaks of messages.
fn printed(ran: &Ran) -> String {
    let all = format!("{} {}", ran.out, ran.err);
    all.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ")
}

/// A checkpoint that is included.
fn included(checkpoint: &str) -> String {
    workspace().join("scenarios/paper").join(checkpoint).display().to_string()
}

/// Exports a network to the folder `out`; returns its file.
fn export(sandbox: &Sandbox, checkpoint: &str, out: &str, more: &[&str]) -> String {
    let checkpoint = included(checkpoint);
    let arguments = ["export", &checkpoint, "--as", "onnx", "--out", out];
    let ran = sandbox.offramp(&[&arguments, more].concat());
    assert_eq!(ran.code, 0, "{}", ran.err);
    let mut files = std::fs::read_dir(sandbox.path().join(out)).unwrap();
    let file = files.next().unwrap().unwrap().file_name().into_string().unwrap();
    assert!(files.next().is_none());
    format!("{out}/{file}")
}

/// One network for all devices, exported and read back by the `onnx` plugin, decides alike.
#[test]
fn an_exported_network_is_a_policy() {
    let sandbox = Sandbox::new();
    let exported = export(&sandbox, "teacher-shared.safetensors", "shared", &[]);
    let shared = included("teacher-shared.safetensors");
    let scenario = format!(
        "(name: \"onnx\", observation: Extended, system: (slots: 20), policies: [
            (plugin: \"onnx\", checkpoint: \"{exported}\"),
            (plugin: \"d3qn\", checkpoint: \"{shared}\", parameters: (sharing: Shared)),
        ], evaluate: (episodes: 2))"
    );
    sandbox.write("onnx.ron", &scenario);
    let ran = sandbox.offramp(&["run", "onnx.ron", "--out", "out"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let episodes = sandbox.read("out/episodes.csv");
    assert_eq!(rows(&episodes, "onnx").len(), 2);
    assert_eq!(rows(&episodes, "onnx"), rows(&episodes, "d3qn"));
    // What can't be a policy says why.
    sandbox.write("text.onnx", "not a network");
    for (from, to, why) in [
        (exported.as_str(), "text.onnx", "the ONNX file: not a network, or cut off"),
        (&format!(", checkpoint: \"{exported}\""), "", "it needs a `checkpoint`: the ONNX file"),
        (
            "observation: Extended",
            "observation: Paper",
            "the ONNX file: it was trained on observation `Extended`, and this scenario has `Paper`",
        ),
        (
            "system: (slots: 20)",
            "system: (slots: 20, servers: 4)",
            "the ONNX file: it was trained for 5 servers, and this scenario has 4 servers",
        ),
        (
            "observation: Extended",
            "observation: Extended, history_slots: 4",
            "the ONNX file: it was trained with 10 slots of history, and this scenario has 4 slots \
             of history",
        ),
    ] {
        assert!(scenario.contains(from), "{from}");
        sandbox.write("wrong.ron", scenario.replace(from, to));
        let ran = sandbox.offramp(&["run", "wrong.ron"]);
        assert_ne!(ran.code, 0, "{to}: {}{}", ran.out, ran.err);
        assert!(printed(&ran).contains(why), "{to}: {}{}", ran.out, ran.err);
    }
}

#[test]
fn the_network_of_one_device_is_refused_where_there_are_several() {
    let sandbox = Sandbox::new();
    let exported = export(&sandbox, "student.safetensors", "one", &["--network", "3"]);
    let run = |parameters: &str| {
        sandbox.write(
            "one.ron",
            format!(
                "(name: \"one\", system: (slots: 20), policies: [
                    (plugin: \"onnx\", checkpoint: \"{exported}\"{parameters}),
                ], evaluate: (episodes: 1))"
            ),
        );
        sandbox.offramp(&["run", "one.ron"])
    };
    let refused = run("");
    assert_ne!(refused.code, 0, "{}{}", refused.out, refused.err);
    let why = "the ONNX file: it is the network of device 3 of 50; to let it decide for all 50 devices of the \
               scenario, state `parameters: (for_all_devices: true)`";
    assert!(printed(&refused).contains(why), "{}\n{why}", printed(&refused));
    let ran = run(", parameters: (for_all_devices: true)");
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
}

/// The files of both exporters of PyTorch, whatever their batch and wherever their weights are,
/// are one policy; the scenario is run from another folder than theirs.
#[test]
fn networks_of_pytorch_are_policies() {
    let sandbox = Sandbox::new();
    let fixtures = workspace().join("policies/onnx/tests/fixtures");
    std::fs::create_dir(sandbox.path().join("networks")).unwrap();
    let mut entries = String::new();
    let mut names = Vec::new();
    for network in ["dense", "lstm"] {
        for exporter in ["dynamo", "legacy"] {
            for batch in ["open", "1", "32"] {
                let name = format!("{network}-{exporter}-{batch}");
                for ending in ["onnx", "onnx.data"] {
                    let file = fixtures.join(format!("{name}.{ending}"));
                    if file.exists() {
                        let copy = format!("networks/{name}.{ending}");
                        std::fs::copy(file, sandbox.path().join(copy)).unwrap();
                    }
                }
                entries +=
                    &format!("(plugin: \"onnx\", name: \"{name}\", checkpoint: \"{name}.onnx\"),");
                names.push(name);
            }
        }
    }
    let scenario = |policies: &str| {
        format!(
            "(name: \"torch\", system: (servers: 2, slots: 20), policies: [{policies}],
              evaluate: (episodes: 2))"
        )
    };
    sandbox.write("networks/torch.ron", scenario(&entries));
    let ran = sandbox.offramp(&["run", "networks/torch.ron", "--out", "out"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let episodes = sandbox.read("out/episodes.csv");
    for name in &names {
        let first = names.iter().find(|other| other[..4] == name[..4]).unwrap();
        assert_eq!(rows(&episodes, name).len(), 2, "{name}");
        assert_eq!(rows(&episodes, name), rows(&episodes, first), "{name}");
    }
    assert_ne!(rows(&episodes, &names[0]), rows(&episodes, &names[6]));
    // Without the file beside it.
    std::fs::remove_file(sandbox.path().join("networks/lstm-dynamo-open.onnx.data")).unwrap();
    let ran = sandbox.offramp(&["run", "networks/torch.ron"]);
    assert_ne!(ran.code, 0, "{}{}", ran.out, ran.err);
    let why = "are in `lstm-dynamo-open.onnx.data`: No such file or directory";
    assert!(printed(&ran).contains(why), "{}{}", ran.out, ran.err);
}

/// A network whose values are not numbers does not decide.
#[test]
fn a_network_of_nan_is_a_failed_row() {
    let sandbox = Sandbox::new();
    let nan = Path::new("policies/onnx/tests/fixtures/nan.onnx");
    std::fs::copy(workspace().join(nan), sandbox.path().join("nan.onnx")).unwrap();
    sandbox.write(
        "nan.ron",
        "(name: \"nan\", system: (servers: 2, slots: 20), policies: [
            (plugin: \"onnx\", checkpoint: \"nan.onnx\"), (plugin: \"random\"),
        ], evaluate: (episodes: 2))",
    );
    let ran = sandbox.offramp(&["run", "nan.ron"]);
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    let printed = printed(&ran);
    for part in ["failed: onnx: policy `onnx`, decide: device ", ": the value of action 1 is NaN"] {
        assert!(printed.contains(part), "{}{}", ran.out, ran.err);
    }
    assert!(printed.contains("| random"), "{}", ran.out);
}
