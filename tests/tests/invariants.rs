//! What the code map promises: who knows whom, and that the documents are true.

use std::path::{Path, PathBuf};

use offramp_tests::{offramp, workspace};

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|own| own == extension) {
            found.push(path);
        }
    }
    found
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// The names of all policies and explorers, as the plugins themselves have them.
fn names() -> Vec<String> {
    let ran = offramp(workspace(), &["plugins", "--format", "csv"]);
    let rows = ran.out.lines().skip(1);
    rows.map(|row| row.split(',').nth(1).unwrap().to_owned()).collect()
}

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
            let code = text(&path);
            let code = code.split("#[cfg(test)]").next().unwrap();
            let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            for line in lines {
                for name in &names {
                    assert!(!line.contains(&format!("\"{name}\"")), "{}: {line}", shown.display());
                }
            }
        }
    }
}

#[test]
fn arrows_point_one_way() {
    let dependencies = |folder: &str| -> Vec<String> {
        let manifest = text(&workspace().join(folder).join("Cargo.toml"));
        let section = manifest.split("[dependencies]").nth(1).unwrap_or("");
        let section = section.split("\n[").next().unwrap_or("");
        let ours = section.lines().filter(|line| line.starts_with("offramp-"));
        ours.map(|line| line.split(['.', ' ', '=']).next().unwrap().to_owned()).collect()
    };
    assert_eq!(dependencies("core/model"), [""; 0]);
    assert_eq!(dependencies("plugins/api"), [""; 0]);
    assert_eq!(dependencies("plugins/host"), ["offramp-plugin"]);
    for entry in std::fs::read_dir(workspace().join("policies")).unwrap() {
        let folder = entry.unwrap().path();
        for dependency in
            dependencies(&format!("policies/{}", folder.file_name().unwrap().display()))
        {
            assert!(
                ["offramp-plugin", "offramp-nn", "offramp-d3qn"].contains(&dependency.as_str()),
                "{}: {dependency}",
                folder.display()
            );
        }
    }
    for path in files(&workspace().join("core"), "rs") {
        assert!(!text(&path).contains("abi_stable"), "{}", path.display());
    }
}

#[test]
fn every_path_in_the_code_map_exists() {
    let readme = text(&workspace().join("README.md"));
    let map = readme.split("## Code map").nth(1).unwrap();
    let mut count = 0;
    for row in map.lines().filter(|line| line.starts_with("| `")) {
        let path = row.split('`').nth(1).unwrap();
        assert!(workspace().join(path).exists(), "{path}");
        count += 1;
    }
    // And every crate is in it.
    for manifest in files(workspace(), "toml") {
        let folder = manifest.parent().unwrap().strip_prefix(workspace()).unwrap();
        let own = manifest.ends_with("Cargo.toml") && !folder.starts_with("target");
        if own && !folder.as_os_str().is_empty() {
            assert!(map.contains(&format!("`{}`", folder.display())), "{}", folder.display());
        }
    }
    assert!(count >= 10);
}

/// Every field of a scenario or study has a row in the README, and every scenario file too.
#[test]
fn every_field_and_every_scenario_is_documented() {
    let documented = text(&workspace().join("scenarios/README.md"));
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
