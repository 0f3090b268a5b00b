//! `plugins/README.md`, step by step as it stands, and what `offramp new` makes.

use std::path::Path;
use std::process::{Command, Output};

use offramp_tests::{Ran, Sandbox, built, workspace};

/// Runs a script in `folder`, with `offramp` on the path.
fn script(folder: &Path, text: &str) -> Ran {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = [built().to_owned()].into_iter().chain(std::env::split_paths(&path));
    let output: Output = Command::new("sh")
        .current_dir(folder)
        .args(["-ec", text])
        .env("PATH", std::env::join_paths(paths).unwrap())
        .env("CHECKOUT", workspace())
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("OFFRAMP_PLUGINS")
        .output()
        .unwrap();
    output.into()
}

/// A row of a table without its last column, which is time, and without what only aligns.
fn row(line: &str) -> Vec<&str> {
    let untimed = line.trim_end_matches('|').rsplit_once('|').map_or(line, |(row, _)| row);
    untimed.split('|').map(str::trim).collect()
}

#[test]
fn the_guide_says_what_happens() {
    let desk = Sandbox::new();
    let guide = std::fs::read_to_string(workspace().join("plugins/README.md")).unwrap();
    let (mut folder, mut printed, mut steps) = (desk.path().to_owned(), String::new(), 0);
    for block in guide.split("\n```").skip(1).step_by(2) {
        let (kind, text) = block.split_once('\n').unwrap();
        match kind.split_once(' ') {
            None if kind == "sh" => {
                // Where a script ends, the next begins.
                let ran = script(&folder, &format!("{text}\npwd"));
                assert_eq!(ran.code, 0, "{text}\n{}{}", ran.out, ran.err);
                folder = ran.out.trim_end().lines().last().unwrap().into();
                printed = ran.out;
                steps += 1;
            }
            None if kind == "text" => {
                for expected in text.lines() {
                    let found = printed.lines().any(|line| row(line) == row(expected));
                    assert!(found, "{expected}\nis not in\n{printed}");
                }
            }
            Some((_, file)) => std::fs::write(folder.join(file), text).unwrap(),
            None => panic!("a block of `{kind}`: is it to be run, written or compared?"),
        }
    }
    assert_eq!(steps, 5);
    // An explorer, and a learner's own test; what is built of offramp-plugin is there already.
    let variants = script(
        desk.path(),
        "offramp new my-explorer --explorer
        for crate in my-learner my-explorer; do
            cargo test --quiet --manifest-path $crate/Cargo.toml --target-dir my-policy/target
        done
        cargo build --release --manifest-path my-explorer/Cargo.toml --target-dir my-learner/target
        cd my-explorer
        offramp train scenario.ron --quick --plugins ../my-learner/target/release --out trained
        offramp run scenario.ron --quick --plugins ../my-learner/target/release
        echo '(name: \"live\", live: (slots: 600, policies: [(plugin: \"my-learner\", learns: Alone)]))' > live.ron
        offramp live live.ron --plugins ../my-learner/target/release --out lived",
    );
    assert_eq!(variants.code, 0, "{}{}", variants.out, variants.err);
    assert_eq!(variants.out.matches("1 passed").count(), 2, "{}", variants.out);
    // It learns in deployment, too, without a change.
    assert!(variants.out.contains("QoE per task | updates |"), "{}", variants.out);
}

#[test]
fn what_can_not_be_made_is_refused() {
    let desk = Sandbox::new();
    desk.write("taken", "");
    let mut errors = String::new();
    for arguments in [
        vec!["new", "taken"],
        vec!["new", "My_Policy"],
        vec!["new", "fresh", "--checkout", "elsewhere"],
        vec!["new", "fresh", "--learner", "--explorer"],
        vec!["new", "random"],
        vec!["new", "d3qn", "--explorer"],
        vec!["new", "fn"],
        vec!["new", "std"],
        vec!["new", "test"],
        vec!["new", "offramp-plugin"],
        vec!["new", "policy"],
        vec!["new", "parameters", "--learner"],
        vec!["new", "nul"],
        vec!["new", "2nd-policy"],
        vec!["new", "größte"],
        vec!["new", &"a".repeat(65)],
    ] {
        let ran = desk.offramp(&arguments);
        assert_eq!(ran.code, 2, "{}", ran.out);
        errors += &ran.err;
    }
    // Nothing was made.
    assert_eq!(std::fs::read_dir(desk.path()).unwrap().count(), 1);
    insta::assert_snapshot!(errors);
    let far = desk.offramp(&["new", "far", "--git", "https://example.org/offramp"]);
    assert_eq!(far.code, 0, "{}", far.err);
    let manifest = std::fs::read_to_string(desk.path().join("far/Cargo.toml")).unwrap();
    assert!(manifest.contains("offramp-plugin = { git = \"https://example.org/offramp\" }"));
}
