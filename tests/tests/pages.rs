//! Pages of runs and of what was learned: what they show, what they link to, and that they take
//! nobody's place.

use std::path::Path;
use std::process::Command;

use offramp_tests::{Fields, Ran, Sandbox, built, example, plugin, quoted};

const SMALL: &str = "(
    name: \"small\",
    system: (devices: 6, servers: 2, slots: 30),
    policies: [(plugin: \"all-local\"), (plugin: \"random\"), (plugin: \"heuristic\")],
    evaluate: (episodes: 4, seed: 1),
)";

/// A folder with the results of [`SMALL`] in `run`.
fn evaluated() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("small.ron", SMALL);
    sandbox.succeed(&["run", "small.ron", "--out", "run"]);
    sandbox
}

/// Fails unless the page needs nothing else, and every link leads to a section or a file.
#[track_caller]
fn assert_whole(sandbox: &Sandbox, page: &str) -> String {
    let html = sandbox.read(page);
    let namespace = "xmlns=\"http://www.w3.org/2000/svg\"";
    assert!(!html.replace(namespace, "").contains("http") && !html.contains("src="), "{page}");
    let folder = Path::new(page).parent().unwrap();
    let address = |rest: &str| rest.split_once('"').unwrap().0.to_owned();
    for rest in html.split(" href=\"").skip(1) {
        let address = address(rest);
        let leads = match address.strip_prefix('#') {
            Some(anchor) => html.contains(&format!("id=\"{anchor}\"")),
            None => sandbox.has(&folder.join(&address).display().to_string()),
        };
        assert!(leads, "{page}: {address}");
    }
    html
}

#[test]
fn a_run_folder_has_a_page_with_intervals_differences_and_figures() {
    let sandbox = evaluated();
    let html = assert_whole(&sandbox, "run/report.html");
    assert!(html.contains("<meta name=\"generator\" content=\"offramp "));
    assert!(html.contains("3 policies, 3 runs of 4 episodes, seed 1. offramp "), "{html}");
    for heading in [
        "QoE per device",
        "mean delay (slots)",
        "dropped tasks per episode",
        "share of tasks completed",
        "QoE per device, by power mode",
    ] {
        assert!(html.contains(&format!("<h3>{heading}</h3>")), "{heading}");
    }
    for text in ["Differences from the best", "offramp-heuristic", "scenarios/small.ron"] {
        assert!(html.contains(text), "{text}");
    }
    // The mean of the table that is printed, with an interval.
    let printed = sandbox.succeed(&["report", "run"]);
    let random = printed.lines().find(|line| line.contains("random")).unwrap();
    let mean = random.split('|').nth(2).unwrap().split_once('±').unwrap().0.trim();
    assert!(html.contains(&format!("{mean} <small>[")), "{mean}");
}

#[test]
fn a_sweep_has_lines_over_its_values_and_failures_come_first() {
    let sandbox = Sandbox::new();
    let sweep =
        "policies: [(plugin: \"random\"), (plugin: \"hostile\", parameters: (misdeed: PanicIn(\"decide\")))],
        sweep: { \"tasks.arrival_probability\": [0.1, 0.2, 0.3] }, evaluate:";
    let policies = SMALL.find("policies").unwrap()..SMALL.find("evaluate:").unwrap() + 9;
    let mut text = SMALL.to_owned();
    text.replace_range(policies, sweep);
    sandbox.write("sweep.ron", text);
    let hostile = example("hostile").display().to_string();
    let ran = sandbox.offramp(&["run", "sweep.ron", "--plugins", &hostile, "--out", "run"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    let html = assert_whole(&sandbox, "run/report.html");
    let place = |text: &str| html.find(text).unwrap_or_else(|| panic!("{text}: {html}"));
    assert!(place("<h2>3 runs failed</h2>") < place("<h2>small</h2>"));
    assert!(place("\narrival probability\n") > place("<h3>QoE per device</h3>"));
    assert!(!html.contains("by power mode"));
}

#[test]
fn merged_and_resumed_folders_have_their_page() {
    let sandbox = evaluated();
    for part in ["1/2", "2/2"] {
        let out = format!("part-{}", &part[..1]);
        sandbox.succeed(&["run", "small.ron", "--shard", part, "--out", &out]);
    }
    sandbox.succeed(&["merge", "part-1", "part-2", "--out", "whole"]);
    assert_whole(&sandbox, "whole/report.html");
    std::fs::remove_file(sandbox.path().join("run/report.html")).unwrap();
    sandbox.succeed(&["run", "small.ron", "--out", "run", "--resume"]);
    assert_whole(&sandbox, "run/report.html");
}

#[test]
fn several_folders_make_one_page_that_takes_no_other_files_place() {
    let sandbox = evaluated();
    sandbox.succeed(&["run", "small.ron", "--seed", "2", "--out", "again"]);
    std::fs::create_dir(sandbox.path().join("pages")).unwrap();
    let write = ["report", "run", "again", "--html", "pages/both.html"];
    let printed = sandbox.succeed(&write);
    assert_eq!(printed.matches("random").count(), 2, "{printed}");
    let html = assert_whole(&sandbox, "pages/both.html");
    assert!(html.contains("<h2>small, run</h2>") && html.contains("<h2>small, again</h2>"));
    assert!(html.contains("href=\"../again/scenarios/small.ron\""));
    // Its own page may be replaced, another file may not.
    sandbox.succeed(&write);
    sandbox.write("notes.html", "<p>mine</p>");
    let ran = sandbox.offramp(&["report", "run", "--html", "notes.html"]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert!(
        ran.err.contains("notes.html is not a page of results that offramp wrote"),
        "{}",
        ran.err
    );
    assert_eq!(sandbox.read("notes.html"), "<p>mine</p>");
    sandbox.write("run/report.html", "mine");
    let ran = sandbox.offramp(&["run", "small.ron", "--out", "run", "--resume"]);
    assert_eq!((ran.code, sandbox.read("run/report.html").as_str()), (1, "mine"), "{}", ran.err);
    // Nothing is written where nothing can be read.
    let ran = sandbox.offramp(&["report", "run", "nowhere", "--html", "new.html"]);
    assert_eq!((ran.code, sandbox.has("new.html")), (2, false), "{}", ran.err);
}

/// Runs `offramp` where the program that opens files is `opener`, a shell script, or none.
#[cfg(unix)]
fn with_opener(sandbox: &Sandbox, opener: Option<&str>, arguments: &[&str]) -> Ran {
    use std::os::unix::fs::PermissionsExt;

    let programs = sandbox.path().join("programs");
    std::fs::create_dir_all(&programs).unwrap();
    for name in ["xdg-open", "open"] {
        let path = programs.join(name);
        let _ = std::fs::remove_file(&path);
        if let Some(text) = opener {
            std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        }
    }
    let mut command = Command::new(built().join("offramp"));
    command.current_dir(sandbox.path()).args(arguments).env("PATH", &programs);
    command.output().unwrap().into()
}

#[test]
#[cfg(unix)]
fn a_page_opens_in_the_browser() {
    let sandbox = evaluated();
    let opener = format!("echo \"$1\" > \"{}\"", sandbox.path().join("opened").display());
    std::fs::remove_file(sandbox.path().join("run/report.html")).unwrap();
    let ran = with_opener(&sandbox, Some(&opener), &["report", "run", "--open"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    for _ in 0..100 {
        if sandbox.has("opened") && sandbox.read("opened").ends_with('\n') {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(sandbox.read("opened").ends_with("run/report.html\n"));
    // Missing, it was written.
    assert_whole(&sandbox, "run/report.html");
    let ran = with_opener(&sandbox, None, &["report", "run", "--open"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("can't start a browser") && ran.err.contains("run/report.html"));
    let ran = with_opener(&sandbox, None, &["report", "run", "run", "--open"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("--html FILE"), "{}", ran.err);
    let ran = with_opener(&sandbox, None, &["report", "nowhere", "--open"]);
    assert_eq!(ran.code, 2, "{}", ran.err);
}

fn learning(name: &str) -> Fields {
    let system = Fields::scenario(name).set("system.devices", 4).set("system.servers", 2);
    system.set("system.slots", 40).set("tasks.arrival_probability", 0.4)
}

fn training() -> Fields {
    learning("learning")
        .set("train.learner", plugin("linear"))
        .set("train.explorer", plugin("uniform").set("parameters.over", 1))
        .set("train.episodes", 24)
        .set("train.validate_every", 8)
        .set("train.validate_episodes", 2)
}

#[test]
fn a_study_has_a_page_for_each_of_its_trainings() {
    let sandbox = Sandbox::new();
    sandbox.write("learning.ron", training().to_string());
    sandbox.write("small.ron", learning("small").to_string());
    let study = r#"(
        name: "study", scenario: "small.ron", training_seeds: [1, 2], evaluate: (episodes: 2, seed: 9),
        policies: { "linear": Trained(scenario: "learning.ron") },
        items: [(id: "all", title: "All", form: Table, policies: ["linear"], metrics: [Qoe])],
    )"#;
    sandbox.write("study.ron", study);
    let linear = example("linear").display().to_string();
    let ran = sandbox.offramp(&["reproduce", "study.ron", "--out", "study", "--plugins", &linear]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let html = assert_whole(&sandbox, "study/index.html");
    let mut pages = html.split("href=\"").skip(1).map(|rest| rest.split_once('"').unwrap().0);
    let first = pages.find(|page| page.ends_with("/report.html")).unwrap();
    assert_eq!(1 + pages.filter(|page| page.ends_with("/report.html")).count(), 2);
    assert_whole(&sandbox, &format!("study/{first}"));
}

#[test]
#[cfg(unix)]
fn a_search_has_a_page() {
    let sandbox = Sandbox::new();
    let search = training()
        .set("tune.space", r#"{"train.explorer.parameters.over": Range(0.1, 0.9)}"#)
        .set("tune.configurations", 4)
        .set("tune.first", 6)
        .set("tune.finalists", 1)
        .set("tune.validate_episodes", 2);
    sandbox.write("search.ron", search.to_string());
    let linear = example("linear").display().to_string();
    let tune = ["tune", "search.ron", "--out", "search", "--plugins", &linear];
    let ran = sandbox.offramp(&tune);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let html = assert_whole(&sandbox, "search/report.html");
    assert!(
        html.contains("4 configurations; chosen: train.explorer.parameters.over = 0."),
        "{html}"
    );
    std::fs::remove_file(sandbox.path().join("search/report.html")).unwrap();
    let ran = with_opener(&sandbox, Some("true"), &["report", "search", "--open"]);
    assert_eq!((ran.code, sandbox.has("search/report.html")), (0, true), "{}", ran.err);
}

#[test]
#[cfg(unix)]
fn trainings_and_distillations_have_pages() {
    let sandbox = Sandbox::new();
    let training = training();
    sandbox.write("training.ron", training.to_string());
    let swept = training.set("sweep", "{\"train.seed\": [1, 2]}");
    sandbox.write("swept.ron", swept.to_string());
    let linear = example("linear").display().to_string();
    let with = |arguments: &[&str]| {
        let ran = sandbox.offramp(&[arguments, &["--plugins", &linear]].concat());
        assert_eq!(ran.code, 0, "{}", ran.err);
    };
    with(&["train", "training.ron", "--out", "one"]);
    let html = assert_whole(&sandbox, "one/report.html");
    for heading in ["QoE per device in validation", "QoE per device while training", "loss"] {
        assert!(html.contains(&format!("<h3>{heading}</h3>")), "{heading}");
    }
    with(&["train", "swept.ron", "--out", "two"]);
    let html = assert_whole(&sandbox, "two/report.html");
    assert!(html.contains("train.seed = 2") && html.contains("href=\"point-001/training.csv\""));
    let distillation = learning("distilling")
        .set("distill.teacher", plugin("linear").set("checkpoint", quoted("one/final.safetensors")))
        .set("distill.student", plugin("student").set("parameters.teacher_hidden", 4))
        .set("distill.states", 400)
        .set("distill.steps", 60)
        .set("distill.validate_every", 20)
        .set("distill.validate_episodes", 2);
    sandbox.write("distilling.ron", distillation.to_string());
    with(&["distill", "distilling.ron", "--out", "student"]);
    let html = assert_whole(&sandbox, "student/report.html");
    assert!(html.contains("<h3>agreement with the teacher</h3>"));
    // A page that is missing is made again, from the rows alone.
    for folder in ["one", "two", "student"] {
        let page = format!("{folder}/report.html");
        std::fs::remove_file(sandbox.path().join(&page)).unwrap();
        let ran = with_opener(&sandbox, Some("true"), &["report", folder, "--open"]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert_whole(&sandbox, &page);
    }
}

/// The table that a command printed, the figure, and what is refused.
#[test]
fn a_folder_is_printed_and_drawn_again() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "learning.ron",
        "(name: \"learning\", system: (devices: 6, servers: 2, slots: 40), train: (
            learner: (plugin: \"linear\"), explorer: (plugin: \"uniform\"), episodes: 6,
            validate_every: 2, validate_episodes: 2,
        ), sweep: { \"tasks.arrival_probability\": [0.2, 0.5] })",
    );
    let linear = example("linear").display().to_string();
    let trained =
        sandbox.offramp(&["train", "learning.ron", "--plugins", &linear, "--out", "trained"]);
    assert_eq!(trained.code, 0, "{}", trained.err);
    let ran = sandbox.offramp(&["report", "trained", "--figure", "curves of mine.svg"]);
    assert_eq!((ran.code, &ran.out), (0, &trained.out), "{}", ran.err);
    let figure = sandbox.read("curves of mine.svg");
    assert!(figure.contains("trained") && figure.contains("QoE per device"), "{figure}");
    for (arguments, message) in [
        (&["trained", "--figure", "curves of mine.svg"][..], "exists and stays as it is"),
        (&["trained", "--figure", "curves.png"], "--figure draws SVG"),
        (&["trained", "--power-modes"], "--power-modes is for runs"),
        (&["trained", "trained", "--figure", "x.svg"], "--figure takes one folder; 2 were given"),
        (&["trained", "--html", "x.html", "--figure", "x.svg"], "cannot be used with"),
        (&["trained", "--html", "x.html"], "trained: not a run folder"),
        (&["trained", "trained"], "trained: not a run folder"),
        (&["."], "not the folder of a run, training, distillation, search or live run"),
    ] {
        let ran = sandbox.offramp(&[&["report"], arguments].concat());
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{arguments:?}: {}", ran.err);
        let text: String = ran.err.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(message), "{arguments:?}: {}", ran.err);
    }
    assert_eq!(sandbox.read("curves of mine.svg"), figure);
}
