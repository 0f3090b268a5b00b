//! `offramp new`: the crate of a policy, ready to build.

use std::path::{Path, PathBuf};

use offramp_explain::Problem;
use offramp_host::Registry;
use offramp_report::Format;
use offramp_report::records::{Field, Kind, Records, json_text};
use serde_json::json;

use crate::Outcome;
use crate::arguments::NewArguments;

/// A file of a new crate: its path, and its text with the placeholders `the-name` and `TheName`.
type Template = (&'static str, &'static str);

const CARGO_TOML: &str = include_str!("../../../../plugins/template/Cargo.toml.in");
/// The versions that offramp is tested with; cargo drops those that the crate does not need.
const CARGO_LOCK: &str = include_str!("../../../../Cargo.lock");

const POLICY: [Template; 2] = [
    ("src/lib.rs", include_str!("../../../../plugins/template/policy.rs")),
    ("scenario.ron", include_str!("../../../../plugins/template/policy.ron")),
];
const LEARNER: [Template; 2] = [
    ("src/lib.rs", include_str!("../../../../plugins/template/learner.rs")),
    ("scenario.ron", include_str!("../../../../plugins/template/learner.ron")),
];
const EXPLORER: [Template; 2] = [
    ("src/lib.rs", include_str!("../../../../plugins/template/explorer.rs")),
    ("scenario.ron", include_str!("../../../../plugins/template/explorer.ron")),
];

pub(crate) fn run(arguments: &NewArguments) -> Result<Outcome, Problem> {
    let folder = &arguments.path;
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.filter(|name| is_crate_name(name)).ok_or_else(|| {
        Problem::new(format!("{}: not a valid name for a crate", folder.display())).with_help(
            "use at most 64 lower-case letters, digits and hyphens, beginning with a letter: \
             my-policy",
        )
    })?;
    if folder.exists() {
        return Err(Problem::new(format!("{} already exists", folder.display()))
            .with_help("choose another name, or remove it"));
    }
    let files = match (arguments.learner, arguments.explorer) {
        (true, _) => LEARNER,
        (_, true) => EXPLORER,
        _ => POLICY,
    };
    if let Some(meaning) = other_meaning(&name, &files, &super::load_plugins(&arguments.search)?) {
        return Err(Problem::new(format!("`{name}` {meaning}"))
            .with_help(format!("choose another name: my-{name}")));
    }
    let source = source(arguments)?;
    let fill = |text: &str| {
        let text = text.replace("the-name", &name).replace("TheName", &type_name(&name));
        text.replace("THE_SOURCE", &source)
    };
    let unwritable = |error| {
        Problem::new(format!("can't write {}: {error}", folder.display()))
            .with_help("choose a folder that can be written")
    };
    std::fs::create_dir_all(folder.join("src")).map_err(unwritable)?;
    for (file, text) in files.iter().chain(&[("Cargo.toml", CARGO_TOML)]) {
        std::fs::write(folder.join(file), fill(text)).map_err(unwritable)?;
    }
    for (file, text) in [("Cargo.lock", CARGO_LOCK), (".gitignore", "/target\n/runs\n/trained\n")] {
        std::fs::write(folder.join(file), text).map_err(unwritable)?;
    }
    let mut commands = vec![
        format!("cd {}", folder.display()),
        "cargo test".into(),
        "cargo build --release".into(),
    ];
    if files != POLICY {
        let train = "offramp train scenario.ron --plugins target/release --out trained";
        commands.push(train.to_owned());
    }
    commands.push("offramp run scenario.ron --plugins target/release".to_owned());
    let records = || {
        let mut records = Records::new([Field::new("next_command", Kind::Text)]);
        records.rows.extend(commands.iter().map(|command| vec![command.as_str().into()]));
        records
    };
    let text = |format| match format {
        Format::Table => commands.iter().map(|command| format!("{command}\n")).collect(),
        Format::Json => json_text(&json!({ "folder": folder, "next_commands": commands })),
        Format::Csv => records().csv(),
    };
    arguments.format.print(text, records)?;
    Ok(Outcome::Success)
}

/// The dependency on `offramp-plugin`, as it stands in `Cargo.toml`.
fn source(arguments: &NewArguments) -> Result<String, Problem> {
    if let Some(url) = &arguments.git {
        return Ok(format!("git = {url:?}"));
    }
    // The checkout that this command was built from.
    let built_from = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let checkout = arguments.checkout.clone().unwrap_or_else(built_from);
    let api = checkout.join("plugins/api");
    let found: Option<PathBuf> =
        api.join("Cargo.toml").exists().then(|| api.canonicalize().ok()).flatten();
    match found {
        Some(path) => Ok(format!("path = {:?}", path.display().to_string())),
        None => Err(Problem::new(format!("{} is not a checkout of offramp", checkout.display()))
            .with_help(
                "name one with --checkout DIR, or the address of its repository with --git URL",
            )),
    }
}

/// True if cargo and scenarios accept it as a name.
fn is_crate_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(plain)
        && name.len() <= MAX_NAME_BYTES
}

/// Longer names make paths that some systems refuse.
const MAX_NAME_BYTES: usize = 64;

/// Words that Rust keeps for itself, now or later, in any edition.
const KEYWORDS: &str = "abstract as async await become box break const continue crate do dyn else \
    enum extern false final fn for gen if impl in let loop macro match mod move mut override priv \
    pub ref return self static struct super trait true try type typeof union unsafe unsized use \
    virtual where while yield";

/// Crates that come with the compiler, and those that every policy depends on by name.
const CRATES: &str = "std core alloc test proc-macro offramp-plugin";

/// Names of devices, which Windows makes neither folders nor files of.
const DEVICES: &str = "con prn aux nul com1 com2 com3 com4 com5 com6 com7 com8 com9 lpt1 lpt2 lpt3 \
    lpt4 lpt5 lpt6 lpt7 lpt8 lpt9";

/// The other meaning of a name for a new crate, as the end of a sentence: `is a keyword of Rust`.
fn other_meaning(name: &str, files: &[Template], registry: &Registry) -> Option<String> {
    let is_one_of = |names: &str| names.split_whitespace().any(|listed| listed == name);
    if is_one_of(KEYWORDS) {
        return Some("is a keyword of Rust".to_owned());
    }
    if is_one_of(CRATES) {
        return Some("is the name of a crate that a policy is built with".to_owned());
    }
    if is_one_of(DEVICES) {
        return Some("is the name of a device on Windows".to_owned());
    }
    let mut offers = registry
        .libraries
        .iter()
        .flat_map(|library| library.offers.iter().map(move |offer| (offer, &library.plugin)));
    if let Some((offer, plugin)) = offers.find(|(offer, _)| offer.name == name) {
        return Some(format!("is the name of a known {}, of {plugin}", offer.kind.name()));
    }
    // Those that the scenario compares it with, whether or not they are there.
    if files.iter().any(|(_, text)| text.contains(&format!("plugin: \"{name}\""))) {
        return Some("is the name of a standard policy or explorer".to_owned());
    }
    let type_name = type_name(name);
    let code = files.iter().flat_map(|(_, text)| text.lines());
    let mut words = code
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_'));
    words
        .any(|word| word == type_name)
        .then(|| format!("makes a type `{type_name}`, which has another meaning in the new code"))
}

/// The name of the crate's type: `MyPolicy` for `my-policy`.
fn type_name(name: &str) -> String {
    let part = |part: &str| {
        let mut letters = part.chars();
        letters.next().map_or_else(String::new, |first| {
            first.to_ascii_uppercase().to_string() + letters.as_str()
        })
    };
    name.split('-').map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_another_meaning_are_found() {
        let meaning = |name| other_meaning(name, &LEARNER, &Registry::default());
        for name in ["fn", "self", "std", "proc-macro", "offramp-plugin", "nul", "error", "default"]
        {
            assert!(meaning(name).is_some(), "{name}");
        }
        for name in ["my-policy", "squares", "greedy-edge", "fn-1", "x"] {
            assert_eq!(meaning(name), None);
        }
        assert!(!is_crate_name(&"a".repeat(65)) && is_crate_name(&"a".repeat(64)));
        assert!(!is_crate_name("2nd") && !is_crate_name("é") && !is_crate_name(""));
    }
}
