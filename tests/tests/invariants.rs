//! Promises of the code map: which crate and which module may use which, what is linked, what is
//! loaded, and that the documents are true.

use std::process::Command;

use offramp_tests::{
    Sandbox, built, cargo, crates, example, files, find_cycles, module_graph, names_crate, offramp,
    read, workspace,
};
use serde_json::Value;

/// The crates of ours that each crate may use: the arrows of the code map, and all of them.
const ARROWS: [(&str, &[&str]); 20] = [
    ("core/model", &[]),
    ("core/hindsight", &["offramp-model"]),
    ("core/scenario", &["offramp-model", "offramp-recorded"]),
    // Of the model its random streams, in a test alone, see below.
    ("core/results", &["offramp-columns", "offramp-model"]),
    ("core/timeline", &["offramp-model", "offramp-results"]),
    ("core/trace", &["offramp-model", "offramp-results", "offramp-timeline"]),
    ("core/tensorboard", &["offramp-results"]),
    ("core/columns", &[]),
    ("core/recorded", &["offramp-columns"]),
    ("core/report", &["offramp-columns", "offramp-results"]),
    (
        "core/harness",
        &[
            "offramp-hindsight",
            "offramp-host",
            "offramp-model",
            "offramp-results",
            "offramp-scenario",
            "offramp-timeline",
        ],
    ),
    ("core/study", &["offramp-harness", "offramp-live", "offramp-results", "offramp-scenario"]),
    ("core/tune", &["offramp-harness", "offramp-results", "offramp-scenario"]),
    (
        "core/live",
        &[
            "offramp-harness",
            "offramp-host",
            "offramp-model",
            "offramp-results",
            "offramp-scenario",
        ],
    ),
    (
        "core/explain",
        &[
            "offramp-harness",
            "offramp-host",
            "offramp-live",
            "offramp-results",
            "offramp-scenario",
            "offramp-study",
            "offramp-tune",
        ],
    ),
    (
        "core/cli",
        &[
            "offramp-explain",
            "offramp-harness",
            "offramp-host",
            "offramp-live",
            "offramp-model",
            "offramp-report",
            "offramp-results",
            "offramp-scenario",
            "offramp-study",
            "offramp-tensorboard",
            "offramp-trace",
            "offramp-tune",
        ],
    ),
    (
        "core/python",
        &[
            "offramp-explain",
            "offramp-harness",
            "offramp-host",
            "offramp-live",
            "offramp-model",
            "offramp-plugin",
            "offramp-report",
            "offramp-results",
            "offramp-scenario",
            "offramp-study",
        ],
    ),
    ("plugins/api", &[]),
    ("plugins/host", &["offramp-plugin"]),
    ("policies/nn", &[]),
];

/// The crates that any other crate under `policies` may use.
const OF_A_POLICY: &[&str] = &["offramp-nn", "offramp-plugin"];

/// Dependencies of `[dependencies]` that no source names, and why they are there all the same:
/// crate, dependency, reason.
const UNNAMED: [(&str, &str, &str); 0] = [];

#[test]
fn crates_use_only_what_the_code_map_allows() {
    let crates = crates();
    let ours: Vec<&str> = crates.iter().map(|one| one.name.as_str()).collect();
    let mut wrong = Vec::new();
    for one in &crates {
        // Tests across crates are what offramp-tests is for.
        if one.folder == "tests" {
            continue;
        }
        let listed = ARROWS.iter().find(|(folder, _)| *folder == one.folder);
        let allowed = match listed {
            Some((_, allowed)) => *allowed,
            None if one.folder.starts_with("policies/") => OF_A_POLICY,
            None => panic!("{} is not in the table of arrows", one.folder),
        };
        // Dependencies of a crate's own tests and benchmarks obey the same arrows.
        for dependency in one.dependencies.iter().map(|dependency| dependency.name.as_str()) {
            if ours.contains(&dependency) && !allowed.contains(&dependency) {
                wrong.push(format!("{} → {dependency}", one.folder));
            }
        }
    }
    assert!(wrong.is_empty(), "not in the table of arrows:\n{}", wrong.join("\n"));
    for (folder, _) in ARROWS {
        assert!(crates.iter().any(|one| one.folder == folder), "there is no crate {folder}");
    }
}

/// Of the model, results use the random streams (to test coverage), not the physics.
#[test]
fn results_use_of_the_model_its_random_streams_alone() {
    for path in files(&workspace().join("core/results/src"), "rs") {
        for (at, _) in read(&path).match_indices("offramp_model") {
            let named = &read(&path)[at..];
            assert!(
                named.starts_with("offramp_model::rng"),
                "{}: {}",
                path.display(),
                named.lines().next().unwrap()
            );
        }
    }
}

#[test]
fn each_dependency_is_used() {
    let mut unused = Vec::new();
    for one in crates() {
        let folder = workspace().join(&one.folder);
        let sources = |folders: &[&str]| -> Vec<String> {
            let paths = folders.iter().flat_map(|inner| files(&folder.join(inner), "rs"));
            let build = Some(folder.join("build.rs")).filter(|build| build.exists());
            paths.chain(build).map(|path| read(&path)).collect()
        };
        let (shipped, all) =
            (sources(&["src"]), sources(&["src", "tests", "benches", "plugins", "fuzz"]));
        for dependency in &one.dependencies {
            let excepted = UNNAMED.iter().any(|(folder, name, _)| {
                (*folder, *name) == (one.folder.as_str(), dependency.name.as_str())
            });
            // What tests alone use belongs to [dev-dependencies]; examples in documentation are
            // tests too.
            let identifier = &dependency.identifier;
            let is_used = if dependency.is_dev {
                let in_example = format!("{identifier}::");
                all.iter().any(|source| {
                    names_crate(source, identifier, true) || source.contains(&in_example)
                })
            } else {
                shipped.iter().any(|source| names_crate(source, identifier, false))
            };
            if is_used == excepted {
                let is = if excepted { "is excepted, but used" } else { "is unused" };
                unused.push(format!("{}: {} {is}", one.folder, dependency.name));
            }
        }
    }
    assert!(unused.is_empty(), "{}", unused.join("\n"));
}

#[test]
fn modules_of_a_crate_form_no_cycle() {
    let (mut found, mut arrows) = (Vec::new(), 0);
    for one in crates() {
        let graph = module_graph(&workspace().join(&one.folder).join("src"));
        arrows += graph.values().map(std::collections::BTreeSet::len).sum::<usize>();
        for cycle in find_cycles(&graph) {
            found.push(format!("{}: {} → {}", one.folder, cycle.join(" → "), cycle[0]));
        }
    }
    assert!(arrows > 50, "{arrows}");
    assert!(found.is_empty(), "cycles between modules:\n{}", found.join("\n"));
}

/// It reads stored results; it loads nothing and runs nothing.
#[test]
fn reports_link_neither_plugins_nor_threads() {
    let linked = |package: &str| {
        cargo(&["tree", "--package", package, "--edges", "normal", "--prefix", "none"])
    };
    let links =
        |tree: &str, name: &str| tree.lines().any(|line| line.split(' ').next() == Some(name));
    let report = linked("offramp-report");
    assert!(links(&report, "offramp-results"));
    for not_for_it in ["abi_stable", "libloading", "offramp-host", "offramp-plugin", "rayon"] {
        assert!(!links(&report, not_for_it), "offramp-report links {not_for_it}");
    }
    // The command does link them: their absence above is no accident of spelling.
    let command = linked("offramp");
    assert!(["abi_stable", "libloading", "rayon"].iter().all(|name| links(&command, name)));
}

#[test]
fn core_does_not_name_abi_stable() {
    for path in files(&workspace().join("core"), "rs") {
        assert!(!read(&path).contains("abi_stable"), "{}", path.display());
    }
}

/// The names of all policies and explorers, as the plugins themselves have them.
fn names() -> Vec<String> {
    let ran = offramp(workspace(), &["plugins", "--format", "json"]);
    let listed: Value = serde_json::from_str(&ran.out).unwrap();
    let plugins = listed["plugins"].as_array().unwrap().iter();
    plugins.map(|plugin| plugin["name"].as_str().unwrap().to_owned()).collect()
}

/// Where a policy's name is that of a role or capability too: a distillation has a student, whichever it is.
const ROLES: [(&str, &str); 2] = [
    ("core/cli/src/commands/inspect/scenario.rs", "student"),
    ("plugins/api/src/boundary.rs", "student"),
];

#[test]
fn core_and_boundary_know_no_policy_by_name() {
    let names = names();
    assert!(names.len() >= 4, "{names:?}");
    for folder in ["core", "plugins"] {
        for path in files(&workspace().join(folder), "rs") {
            let shown = path.strip_prefix(workspace()).unwrap();
            if shown.components().any(|part| part.as_os_str() == "benches") {
                continue;
            }
            // Documentation and tests may.
            let code = read(&path);
            let code = code.split("#[cfg(test)]").next().unwrap();
            let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            for line in lines {
                for name in &names {
                    if ROLES.contains(&(shown.to_str().unwrap(), name)) {
                        continue;
                    }
                    assert!(!line.contains(&format!("\"{name}\"")), "{}: {line}", shown.display());
                }
            }
        }
    }
}

/// A library that ends the process when it is loaded lies where plugins are looked for.
#[test]
fn a_scenario_is_inspected_without_loading_a_plugin() {
    let library = example("aborts_when_loaded");
    let scenario = workspace().join("scenarios/paper.ron").display().to_string();
    let offramp = |arguments: &[&str]| {
        let mut command = Command::new(built().join("offramp"));
        command.args(arguments).env("OFFRAMP_PLUGINS", &library);
        command.output().unwrap()
    };
    assert!(!offramp(&["plugins"]).status.success(), "it does no harm when it is loaded");
    let inspected = offramp(&["inspect", &scenario]);
    assert!(inspected.status.success(), "{}", String::from_utf8_lossy(&inspected.stderr));
    let printed = String::from_utf8_lossy(&inspected.stdout);
    assert!(printed.contains("label heuristic, plugin heuristic"), "{printed}");
}

#[test]
fn a_scenario_is_inspected_where_there_is_no_plugin() {
    let sandbox = Sandbox::new();
    // Plugins are looked for beside the executable: here it has none.
    let alone = sandbox.path().join("offramp");
    std::fs::copy(built().join("offramp"), &alone).unwrap();
    for scenario in ["scenarios/paper.ron", "scenarios/small.ron"] {
        let output = Command::new(&alone)
            .current_dir(workspace())
            .args(["inspect", scenario])
            .env_remove("OFFRAMP_PLUGINS")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let beside_plugins = offramp(workspace(), &["inspect", scenario]);
        assert_eq!(String::from_utf8_lossy(&output.stdout), beside_plugins.out);
    }
}

/// The paths of the code map, in its order.
fn code_map() -> Vec<String> {
    let readme = read(&workspace().join("README.md"));
    let map = readme.split("## Code map").nth(1).unwrap();
    let rows = map.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.split('`').nth(1).unwrap().to_owned()).collect()
}

#[test]
fn the_code_map_has_every_crate_and_no_other_path() {
    let map = code_map();
    for path in &map {
        assert!(workspace().join(path).exists(), "{path}");
    }
    // Those outside the workspace too.
    let outside = ["tests/fuzz", "plugins/template"].map(str::to_owned);
    for folder in crates().into_iter().map(|one| one.folder).chain(outside) {
        assert!(map.contains(&folder), "{folder}");
    }
}

#[test]
fn the_code_map_lists_a_crate_below_all_it_uses() {
    let (map, crates) = (code_map(), crates());
    let place = |folder: &str| map.iter().position(|path| path == folder).unwrap();
    for one in &crates {
        for used in &crates {
            if one.dependencies.iter().any(|dependency| dependency.name == used.name) {
                let (user, used) = (one.folder.as_str(), used.folder.as_str());
                assert!(place(user) > place(used), "{user} uses {used}");
            }
        }
    }
}

/// Every field of a scenario or study has a row in the README, and every scenario file too.
#[test]
fn every_field_and_every_scenario_is_documented() {
    let documented = read(&workspace().join("scenarios/README.md"));
    let fields = [offramp_scenario::fields(), offramp_study::fields()].concat();
    assert!(fields.len() > 100, "{}", fields.len());
    for field in fields {
        assert!(documented.contains(&format!("\n| `{}` | ", field.path)), "{}", field.path);
        // A sentence, not a word.
        assert!(field.about.ends_with('.') && !field.about.contains('|'), "{}", field.path);
    }
    for scenario in files(&workspace().join("scenarios"), "ron") {
        let name = scenario.file_name().unwrap().display().to_string();
        assert!(documented.contains(&format!("`{name}`")), "{name}");
    }
}
