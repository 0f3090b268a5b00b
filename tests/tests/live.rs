//! Live runs, end to end: resumed and on any number of threads they are the same, what learns learns, and
//! what fails harms nothing else.

use offramp_results::live::{LiveRow, read_rows};
use offramp_tests::state_file::rehashed;
use offramp_tests::{Fields, Ran, Sandbox, example, plugin, quoted};
use serde_json::Value;

/// Four devices and two servers for 600 slots, in windows of 50, with two changes.
fn scenario(policies: &[Fields]) -> Fields {
    let policies: Vec<String> = policies.iter().map(ToString::to_string).collect();
    Fields::scenario("stream")
        .set("system.devices", 4)
        .set("system.servers", 2)
        .set("live.slots", 600)
        .set("live.window_slots", 50)
        .set("live.save_every", 70)
        .set(
            "live.drift",
            "[(at: 200, set: {\"tasks.arrival_probability\": 0.8}),
              (at: 400, over: 50, set: {\"tasks.arrival_probability\": 0.2, \"system.server_ghz\": 10})]",
        )
        .set("live.policies", format!("[{}]", policies.join(", ")))
}

fn named(name: &str, policy: Fields) -> Fields {
    policy.set("name", quoted(name))
}

fn learner() -> Fields {
    named("learner", plugin("linear")).set("learns", "Alone")
}

fn hostile(name: &str, misdeed: &str) -> Fields {
    named(name, plugin("hostile-learner")).set("parameters.misdeed", misdeed)
}

fn arguments(more: &[&str]) -> Vec<String> {
    let mut all = vec!["live".to_owned(), "stream.ron".to_owned()];
    for name in ["linear", "hostile"] {
        all.extend(["--plugins".to_owned(), example(name).display().to_string()]);
    }
    all.extend(more.iter().map(|&part| part.to_owned()));
    all
}

fn live(sandbox: &Sandbox, scenario: &Fields, more: &[&str]) -> Ran {
    sandbox.write("stream.ron", scenario.to_string());
    let arguments = arguments(more);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    sandbox.offramp(&arguments)
}

#[track_caller]
fn succeed(sandbox: &Sandbox, scenario: &Fields, more: &[&str]) -> Ran {
    let ran = live(sandbox, scenario, more);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    ran
}

/// A live run is shown again from its folder, as the command showed it.
#[test]
fn a_live_run_is_reported_from_its_folder() {
    let sandbox = Sandbox::new();
    let scenario = all_kinds().set("sweep", "{\"system.server_ghz\": [20, 40]}");
    let ran = succeed(&sandbox, &scenario, &["--out", "run"]);
    std::fs::remove_file(sandbox.path().join("run/report.html")).unwrap();
    let shown = sandbox.succeed(&["report", "run", "--figure", "curves.svg"]);
    assert_eq!(shown, ran.out);
    let figure = sandbox.read("curves.svg");
    assert!(figure.contains("shortest-queue") && figure.contains("QoE per task"), "{figure}");
    // The page is written once more by whoever finds it missing.
    succeed(&sandbox, &scenario, &["--out", "run", "--resume"]);
    let page = sandbox.read("run/report.html");
    for text in [
        "system.server_ghz = 40",
        "point-001/recovery.csv",
        "tasks.arrival_probability = 0.8",
        "400 to 450",
        "mean delay (slots)",
    ] {
        assert!(page.contains(text), "{text}");
    }
}

#[test]
fn a_scenario_of_a_live_run_is_inspected() {
    let sandbox = Sandbox::new();
    let renewed = named("renewed", plugin("d3qn"))
        .set("untrained", true)
        .set("renewed", "{ 200: \"next.safetensors\" }");
    sandbox.write("stream.ron", scenario(&[plugin("random"), renewed, learner()]).to_string());
    let text = sandbox.succeed(&["inspect", "stream.ron"]);
    for line in [
        "live         slots 600, window_slots 50, seed 1, save_every 70",
        "live change  at_slot 200, tasks.arrival_probability 0.8",
        "live change  at_slot 400, until_slot 450, ",
        "live policy  label renewed (untrained), plugin d3qn, renewed_200 next.safetensors",
        "live policy  label learner, plugin linear, learns Alone",
    ] {
        assert!(text.contains(line), "{line} is not in:\n{text}");
    }
    let json: Value =
        serde_json::from_str(&sandbox.succeed(&["inspect", "stream.ron", "--format", "json"]))
            .unwrap();
    assert_eq!(json["live_changes"][1]["until_slot"], 450);
    assert_eq!(json["live_policies"][2]["learns"], "Alone");
    assert_eq!(json["policies"].as_array().unwrap().len(), 0);
}

/// The windows of a policy.
fn rows(sandbox: &Sandbox, folder: &str, policy: &str) -> Vec<LiveRow> {
    let rows = read_rows(&sandbox.path().join(folder).join("live.csv")).unwrap();
    rows.into_iter().filter(|row| row.policy == policy).collect()
}

/// What `live.json` has of a policy.
fn summary(sandbox: &Sandbox, folder: &str, policy: &str) -> Value {
    let json: Value = serde_json::from_str(&sandbox.read(&format!("{folder}/live.json"))).unwrap();
    let all = json["policies"].as_array().unwrap().clone();
    all.into_iter().find(|summary| summary["policy"] == policy).unwrap()
}

const FILES: [&str; 5] = ["live.csv", "recovery.csv", "live.json", "live.svg", "report.html"];

#[track_caller]
fn assert_same(sandbox: &Sandbox, one: &str, other: &str) {
    for file in FILES {
        let same =
            sandbox.bytes(&format!("{one}/{file}")) == sandbox.bytes(&format!("{other}/{file}"));
        assert!(same, "{file} of {one} and {other}");
    }
}

fn all_kinds() -> Fields {
    let explored = named("explored", learner()).set("explorer", plugin("uniform"));
    scenario(&[plugin("random"), plugin("shortest-queue"), learner(), explored])
        .set("live.ceiling", quoted("shortest-queue"))
}

#[test]
fn killed_and_resumed_it_is_the_same_as_whole() {
    let sandbox = Sandbox::new();
    let scenario = all_kinds().set("live.slots", 6_000);
    let whole = succeed(&sandbox, &scenario, &["--out", "whole"]);
    let resumed = arguments(&["--out", "killed", "--resume"]);
    let kills = sandbox.killed_until_done(&resumed.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(kills > 1, "{kills}");
    assert_same(&sandbox, "whole", "killed");
    // Nothing is left to do, and the result is printed again.
    let again = succeed(&sandbox, &scenario, &["--out", "killed", "--resume"]);
    assert_eq!(again.out, whole.out);
    assert_same(&sandbox, "whole", "killed");
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let sandbox = Sandbox::new();
    for jobs in ["1", "3"] {
        succeed(&sandbox, &all_kinds(), &["--out", jobs, "--jobs", jobs]);
    }
    assert_same(&sandbox, "1", "3");
}

#[test]
fn windows_and_recoveries_are_those_of_the_stream() {
    let sandbox = Sandbox::new();
    let twice = [plugin("random"), named("again", plugin("random")), plugin("shortest-queue")];
    let scenario = scenario(&twice).set("live.ceiling", quoted("shortest-queue"));
    let ran = succeed(&sandbox, &scenario, &["--out", "run", "--format", "csv"]);
    let random = rows(&sandbox, "run", "random");
    let slots: Vec<(u32, u32)> = random.iter().map(|row| (row.first_slot, row.end_slot)).collect();
    let expected: Vec<(u32, u32)> = (0..12).map(|window| (50 * window, 50 * window + 50)).collect();
    assert_eq!(slots, expected);
    // Under one seed a policy does the same, wherever it is listed.
    let mut again = rows(&sandbox, "run", "again");
    again.iter_mut().for_each(|row| row.policy = "random".to_owned());
    assert_eq!(again, random);
    // The load is that of the phase: 4 devices, 50 slots, 0.3, 0.8 and 0.2.
    let tasks = |from: usize| random[from..from + 3].iter().map(|row| row.tasks).sum::<u64>();
    let (before, loaded, after) = (tasks(0), tasks(5), tasks(9));
    assert!((140..220).contains(&before) && (420..540).contains(&loaded), "{before} {loaded}");
    assert!((80..160).contains(&after), "{after}");
    assert!(random.iter().all(|row| row.updates == 0 && row.loss.is_none()));
    // The ceiling has recovered from each change at once, and regrets nothing.
    let ceiling = summary(&sandbox, "run", "shortest-queue");
    assert_eq!(ceiling["recovery_slots"], serde_json::json!([0, 0]));
    assert_eq!(ceiling["regret"], 0.0);
    assert!(summary(&sandbox, "run", "random")["regret"].as_f64().unwrap() > 0.0);
    assert_eq!(sandbox.read("run/recovery.csv").lines().count(), 1 + 3 * 2);
    assert_eq!(ran.out.lines().count(), 1 + 3);
    assert!(sandbox.read("run/live.svg").contains("</svg>"));
    // Another seed has other tasks.
    succeed(&sandbox, &scenario, &["--out", "other", "--seed", "2"]);
    assert_ne!(rows(&sandbox, "other", "random"), random);
}

#[test]
fn a_learner_learns_while_it_decides() {
    let sandbox = Sandbox::new();
    let frozen = named("frozen", plugin("linear")).set("untrained", true);
    succeed(&sandbox, &scenario(&[frozen, learner()]), &["--out", "run"]);
    let (frozen, learner) =
        (rows(&sandbox, "run", "frozen (untrained)"), rows(&sandbox, "run", "learner"));
    assert!(frozen.iter().all(|row| row.updates == 0));
    assert!(learner.windows(2).all(|both| both[0].updates < both[1].updates));
    // It counts the tasks that have ended.
    let ended: u64 = learner.iter().map(|row| row.tasks).sum();
    assert_eq!(learner.last().unwrap().updates, ended);
    assert!(learner.iter().all(|row| row.loss.is_some_and(f64::is_finite)));
    let differ = |(one, other): (&LiveRow, &LiveRow)| one.qoe_per_task != other.qoe_per_task;
    assert!(frozen.iter().zip(&learner).any(differ));
}

#[test]
fn a_policy_is_renewed_by_other_checkpoints() {
    let sandbox = Sandbox::new();
    // Mean rewards of the three actions, and a number of updates.
    for (file, means) in [("local", [900, 0, 0]), ("first", [0, 900, 0])] {
        let [local, first, second] = means;
        sandbox.write(file, format!("{local} 1\n{first} 1\n{second} 1\n3 0\n"));
    }
    let renewed = plugin("linear")
        .set("checkpoint", quoted("local"))
        .set("renewed", "{ 100: \"first\", 500: \"local\" }");
    succeed(&sandbox, &scenario(&[renewed]), &["--out", "run"]);
    let shares: Vec<f64> =
        rows(&sandbox, "run", "linear").iter().map(|row| row.local_share.unwrap()).collect();
    assert_eq!((shares[0], shares[1]), (1.0, 1.0));
    assert!(shares[3] == 0.0 && shares[9] == 0.0 && shares[11] > 0.9, "{shares:?}");
}

#[test]
fn what_can_not_learn_any_more_goes_on_with_what_it_has_learned() {
    let sandbox = Sandbox::new();
    let fails = ["FailIn(\"record\")", "FailIn(\"learn\")", "NotANumber", "PanicIn(\"learn\")"];
    let mut policies = vec![plugin("random")];
    let name = |number: usize| format!("fails-{number}");
    for (number, misdeed) in fails.iter().enumerate() {
        policies.push(hostile(&name(number), misdeed).set("learns", "Alone"));
    }
    policies.push(hostile("checkpoint", "FailIn(\"checkpoint\")").set("learns", "Alone"));
    let ran = succeed(&sandbox, &scenario(&policies), &["--out", "run"]);
    for number in 0..fails.len() {
        let summary = summary(&sandbox, "run", &name(number));
        assert_eq!(
            (&summary["stopped_learning"]["slot"], &summary["error"]),
            (&0.into(), &Value::Null)
        );
        let rows = rows(&sandbox, "run", &name(number));
        // It decides on, locally.
        assert_eq!(rows.len(), 12);
        assert!(rows.iter().all(|row| row.local_share == Some(1.0)));
        let note = format!("fails-{number} learns no more from slot 0 on: ");
        assert!(ran.err.contains(&note), "{}", ran.err);
    }
    assert!(ran.err.contains("loss"), "{}", ran.err);
    let checkpoint = summary(&sandbox, "run", "checkpoint");
    assert_eq!(checkpoint["stopped_learning"]["slot"], 49);
    assert_eq!(rows(&sandbox, "run", "random").len(), 12);
}

#[test]
fn what_can_not_decide_ends_its_own_stream_alone() {
    let sandbox = Sandbox::new();
    let policies = [
        plugin("random"),
        hostile("decides", "Decide(9)").set("untrained", true),
        hostile("learns", "Decide(9)").set("learns", "Alone"),
        hostile("crashes", "PanicIn(\"create\")").set("untrained", true),
    ];
    let ran = live(&sandbox, &scenario(&policies), &["--out", "run"]);
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    assert_eq!(rows(&sandbox, "run", "random").len(), 12);
    for name in ["decides (untrained)", "crashes (untrained)", "learns"] {
        assert_eq!(rows(&sandbox, "run", name), []);
        let error = summary(&sandbox, "run", name)["error"].clone();
        assert!(error["slot"].as_u64().unwrap() < 20, "{error}");
        assert!(ran.err.contains(&format!("failed: {name} ended in slot ")), "{}", ran.err);
    }
    assert!(ran.err.contains("action 9 is out of range 0 … 2"), "{}", ran.err);
    // That is how it is when it is resumed, too.
    let again = live(&sandbox, &scenario(&policies), &["--out", "run", "--resume"]);
    assert_eq!((again.code, again.out), (1, ran.out));
}

#[test]
fn a_run_resumes_as_what_it_began() {
    let sandbox = Sandbox::new();
    let begun = all_kinds();
    succeed(&sandbox, &begun, &["--out", "run"]);
    let resume = |scenario: &Fields| live(&sandbox, scenario, &["--out", "run", "--resume"]);
    let changed = begun.clone().set("live.window_slots", 60);
    let ran = resume(&changed);
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(
        ran.err.contains("`live.window_slots` was 50 when it began, and is 60 now"),
        "{}",
        ran.err
    );
    let parameters = begun.clone().set(
        "live.policies",
        "[(plugin: \"random\"), (plugin: \"shortest-queue\"),
          (plugin: \"linear\", name: \"learner\", untrained: true)]",
    );
    let ran = resume(&parameters);
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(ran.err.contains("`live.policies.2.learns` was Alone when it began"), "{}", ran.err);
    // Saves, the ceiling and more policies change no stream.
    let before = rows(&sandbox, "run", "learner");
    let more = all_kinds().set("live.save_every", 5).without("live.ceiling");
    succeed(&sandbox, &more, &["--out", "run", "--resume"]);
    assert_eq!(rows(&sandbox, "run", "learner"), before);
    assert_eq!(summary(&sandbox, "run", "random")["regret"], Value::Null);
    // It is not the folder of a training.
    let taken = live(&sandbox, &begun, &["--out", "run"]);
    assert_eq!(taken.code, 2, "{}", taken.err);
    let ran = sandbox.offramp(&["train", "stream.ron", "--out", "run", "--resume"]);
    assert_eq!(ran.code, 2, "{}", ran.err);
}

/// Names are no part of a stream.
#[test]
fn a_policy_may_be_renamed_between_two_runs() {
    let sandbox = Sandbox::new();
    let with = |name: &str, other: Option<&str>| {
        let mut policies = vec![named(name, plugin("shortest-queue"))];
        policies.extend(other.map(|other| named(other, plugin("random"))));
        scenario(&policies).set("live.ceiling", quoted(name))
    };
    succeed(&sandbox, &with("first", None), &["--out", "renamed"]);
    succeed(&sandbox, &with("second", Some("first")), &["--out", "renamed", "--resume"]);
    succeed(&sandbox, &with("second", Some("first")), &["--out", "whole"]);
    assert_same(&sandbox, "renamed", "whole");
}

#[test]
fn decisions_are_compared_with_those_that_were_saved() {
    let sandbox = Sandbox::new();
    let scenario = scenario(&[plugin("shortest-queue")]);
    succeed(&sandbox, &scenario, &["--out", "run"]);
    let whole = sandbox.read("run/live.csv");
    let saved = sandbox.bytes("run/policy-0.state");
    let place = saved.windows(11).position(|part| part == b"\"slots\":600").unwrap();
    let mut unfinished = saved.clone();
    unfinished[place + 8] = b'4';
    sandbox.write("run/policy-0.state", &unfinished);
    let damaged = live(&sandbox, &scenario, &["--out", "run", "--resume"]);
    assert_eq!(damaged.code, 2, "{}", damaged.err);
    assert!(damaged.err.contains("it was damaged or cut off"), "{}", damaged.err);
    sandbox.write("run/policy-0.state", rehashed(&unfinished));
    succeed(&sandbox, &scenario, &["--out", "run", "--resume"]);
    assert!(sandbox.read("run/live.csv") == whole);
    // The last decision was another one.
    *unfinished.last_mut().unwrap() ^= 1;
    sandbox.write("run/policy-0.state", rehashed(&unfinished));
    let ran = live(&sandbox, &scenario, &["--out", "run", "--resume"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(
        ran.err.contains("decides otherwise than before the run was interrupted"),
        "{}",
        ran.err
    );
}

#[test]
fn bad_input_is_explained_and_nothing_is_done() {
    let sandbox = Sandbox::new();
    let good = || scenario(&[plugin("random")]);
    let check = |scenario: &Fields, expected: &str| {
        let ran = live(&sandbox, scenario, &["--out", "run"]);
        assert_eq!(ran.code, 2, "{}", ran.err);
        assert!(ran.err.contains(expected), "{}", ran.err);
        assert!(!sandbox.has("run"));
    };
    check(&good().set("live.window_slots", 0), "0 is out of range 1 … 10⁹");
    check(&good().set("live.slots", 400), "slot 400 is not one of 1 … 399");
    check(
        &good().set("live.drift", "[(at: 9, set: {\"system.devices\": 5})]"),
        "`system.devices` stays the same in a live run: 4, not 5",
    );
    check(&good().set("live.drfit", "[]"), "did you mean `drift`?");
    check(&good().set("live.policies", "[]"), "a live run needs a policy");
    check(&scenario(&[learner().set("parameters.x", 1)]), "x");
    check(&scenario(&[plugin("random").set("learns", "Alone")]), "`random` can't learn");
    check(&scenario(&[plugin("linear")]), "has learned nothing without a checkpoint");
    check(&scenario(&[learner().set("checkpoint", quoted("none"))]), "checkpoint");
    check(
        &scenario(&[learner().set("renewed", "{5: \"a\"}")]),
        "a policy that learns is not renewed",
    );
    check(&Fields::scenario("stream"), "it describes no live run");
}
