//! The gallery in `scenarios/README.md`: of each scenario its table and one picture, as the command
//! makes them.
//!
//! The test makes those that take seconds again and compares. To make them anew:
//!
//! ```text
//! UPDATE_DOCS=1 cargo test --release -p offramp-tests --test gallery
//! ```
//!
//! With `OFFRAMP_GALLERY=DIR` that is done for all scenarios: each has a folder of its name in DIR, and what
//! is there already is not run again. Trainings take minutes, searches up to ten each on two cores.

use std::path::{Path, PathBuf};

use offramp_tests::{Sandbox, offramp, read, workspace};

/// How a scenario is run.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Verb {
    Run,
    Train,
    Distill,
    Tune,
    Live,
}

impl Verb {
    fn of(text: &str) -> Self {
        // The keys of the outermost section.
        let has = |key: &str| text.lines().any(|line| line.starts_with(&format!("    {key}: (")));
        if has("live") {
            Self::Live
        } else if has("tune") {
            Self::Tune
        } else if has("distill") {
            Self::Distill
        } else if has("train") {
            Self::Train
        } else {
            Self::Run
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Train => "train",
            Self::Distill => "distill",
            Self::Tune => "tune",
            Self::Live => "live",
        }
    }
}

/// The scenario of a million devices, which is not run again here.
const LARGE: &str = "large";

struct Scenario {
    name: String,
    about: String,
    verb: Verb,
}

impl Scenario {
    fn is_quick(&self) -> bool {
        matches!(self.verb, Verb::Run | Verb::Live) && self.name != LARGE
    }

    /// Its file, relative to the workspace.
    fn file(&self) -> String {
        format!("scenarios/{}.ron", self.name)
    }

    fn picture(&self) -> PathBuf {
        workspace().join("scenarios/gallery").join(format!("{}.svg", self.name))
    }
}

/// All scenarios, by name, those that are evaluated first.
fn scenarios() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for entry in std::fs::read_dir(workspace().join("scenarios")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "ron") {
            continue;
        }
        let text = read(&path);
        let about = text.lines().find_map(|line| line.trim().strip_prefix("about: \""));
        scenarios.push(Scenario {
            name: path.file_stem().unwrap().to_string_lossy().into_owned(),
            about: about.unwrap().trim_end_matches("\",").to_owned(),
            verb: Verb::of(&text),
        });
    }
    scenarios.sort_by_key(|scenario| (scenario.verb.name() != "run", scenario.name.clone()));
    scenarios
}

/// A printed text without the columns that differ from machine to machine.
fn comparable(printed: &str) -> String {
    let mut text = String::new();
    let mut kept: Vec<usize> = Vec::new();
    for line in printed.lines() {
        let Some(row) = line.strip_prefix('|').and_then(|line| line.strip_suffix('|')) else {
            kept.clear();
            text += &format!("{line}\n");
            continue;
        };
        let cells: Vec<&str> = row.split('|').collect();
        if kept.is_empty() {
            let other = ["µs/decision", "folder", "seconds"];
            kept = (0..cells.len()).filter(|&at| !other.contains(&cells[at].trim())).collect();
        }
        let cells: Vec<&str> = kept.iter().map(|&at| cells[at]).collect();
        text += &format!("|{}|\n", cells.join("|"));
    }
    text
}

/// The section of a scenario whose results are in `folder`; draws its picture to `picture`.
fn section(scenario: &Scenario, folder: &Path, picture: &Path) -> String {
    let (shown, drawn) = (folder.display().to_string(), picture.display().to_string());
    let ran = match scenario.verb {
        // What is done is not done again, but printed.
        Verb::Live => {
            let (file, out) = (scenario.file(), ["--out", &shown, "--resume", "--quiet"]);
            let ran = offramp(workspace(), &[&["live", &file][..], &out].concat());
            std::fs::copy(folder.join("live.svg"), picture).unwrap();
            ran
        }
        _ => offramp(workspace(), &["report", &shown, "--figure", &drawn, "--quiet"]),
    };
    assert_eq!(ran.code, 0, "{}: {}", scenario.name, ran.err);
    let Scenario { name, about, verb } = scenario;
    let (verb, file) = (verb.name(), scenario.file());
    let table = comparable(&ran.out);
    // The line above a table is a paragraph of its own in Markdown.
    let table = table.replace("\n|", "\n\n|").replace("|\n\n|", "|\n|");
    // A line below a table would be one of its rows.
    let lines: Vec<&str> = table.lines().collect();
    let is_row = |line: &str| line.starts_with('|');
    let blocks = lines.chunk_by(|above, below| !is_row(above) || is_row(below) || below.is_empty());
    let table = blocks.map(|block| block.join("\n") + "\n").collect::<Vec<_>>().join("\n");
    let rows = table.lines().filter(|line| line.starts_with('|')).count();
    let table = match rows {
        0..16 => table,
        _ => format!("<details><summary>Table</summary>\n\n{table}\n</details>\n"),
    };
    format!(
        "### `{name}.ron`\n\n{about} `offramp {verb} {file}`\n\n![{name}](gallery/{name}.svg)\n\n\
         {}\n",
        table.trim_end()
    )
}

/// Where the section of a scenario stands in the document.
fn place(document: &str, name: &str) -> Option<std::ops::Range<usize>> {
    let begin = format!("<!-- gallery {name} -->\n\n");
    let from = document.find(&begin)? + begin.len();
    let length = document[from..].find("\n<!-- end of gallery")?;
    Some(from..from + length)
}

/// Runs a scenario into `folder`, unless that is there.
fn run(scenario: &Scenario, folder: &Path) {
    let done = ["run.json", "curves.csv", "best.safetensors", "tune.csv", "live.json"];
    if done.iter().any(|file| folder.join(file).exists()) {
        return;
    }
    let (file, out) = (scenario.file(), folder.display().to_string());
    let ran = offramp(workspace(), &[scenario.verb.name(), &file, "--out", &out, "--resume"]);
    assert_eq!(ran.code, 0, "{}: {}", scenario.name, ran.err);
}

#[test]
fn scenarios_make_the_tables_and_pictures_of_the_gallery() {
    let sandbox = Sandbox::new();
    let path = workspace().join("scenarios/README.md");
    let mut document = read(&path);
    let kept = std::env::var_os("OFFRAMP_GALLERY").map(PathBuf::from);
    let updates = std::env::var_os("UPDATE_DOCS").is_some();
    for scenario in scenarios() {
        let name = &scenario.name;
        let place = place(&document, name);
        let place = place.unwrap_or_else(|| panic!("scenarios/README.md: no gallery of {name}"));
        assert!(updates || scenario.picture().exists(), "there is no picture of {name}");
        let folder = match &kept {
            Some(kept) => kept.join(name),
            None if scenario.is_quick() => sandbox.path().join(name),
            None => continue,
        };
        run(&scenario, &folder);
        let drawn = sandbox.path().join(format!("{name}.svg"));
        let made = section(&scenario, &folder, &drawn);
        if updates {
            document.replace_range(place, &made);
            std::fs::copy(&drawn, scenario.picture()).unwrap();
        } else {
            let help = "see the top of tests/tests/gallery.rs";
            assert_eq!(document[place], made, "{name}: {help}");
            assert_eq!(read(&scenario.picture()), read(&drawn), "{name}: {help}");
        }
    }
    if updates {
        std::fs::write(&path, document).unwrap();
    }
}
