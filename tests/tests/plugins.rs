//! Plugins: listed, inspected, refused, misbehaving, and one made by a stranger.

use std::process::Command;

use offramp_harness::bind::{Evaluation, bind_evaluation};
use offramp_harness::context::PolicyContext;
use offramp_harness::environment::Environment;
use offramp_host::plugin::testing::Bench;
use offramp_host::plugin::{Counterfactuals, ExportRequest, Needs, Progress, UNDECIDED};
use offramp_host::{CallFailure, OfferKind, PluginRef, Policy, Registry};
use offramp_scenario::Experiment;
use offramp_tests::{Sandbox, built, example, workspace};

/// Hides what differs from machine to machine.
fn portable(text: &str, desk: &Sandbox) -> String {
    text.replace(&desk.path().display().to_string(), "DESK")
        .replace(&built().display().to_string(), "BUILT")
}

#[test]
fn plugins_are_listed() {
    let desk = Sandbox::new();
    let ran = desk.offramp(&["plugins"]);
    assert_eq!(ran.code, 0);
    insta::assert_snapshot!(portable(&ran.out, &desk));
    let ran = desk.offramp(&["plugins", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert!(json["plugins"].as_array().unwrap().iter().any(|plugin| plugin["name"] == "random"));
}

#[test]
fn what_is_refused_is_listed_with_the_reason() {
    let desk = Sandbox::new();
    let library = |name: &str| format!("{name}{}", std::env::consts::DLL_SUFFIX);
    let file = |name: &str, content: &[u8]| desk.write(&library(name), content);
    let random = std::fs::read(built().join(library("libofframp_random"))).unwrap();
    file("a_empty", b"");
    file("b_text", b"I am no library at all, just a text that is long enough.");
    file("c_cut", &random[..random.len() / 3]);
    let mut other_machine = random.clone();
    other_machine[18] = 183; // e_machine: AArch64
    other_machine[19] = 0;
    file("d_other_machine", &other_machine);
    file("e_archive", b"!<arch>\n");
    for (name, plugin) in [
        ("f_version", "other_interface"),
        ("g_header", "no_header"),
        ("h_none", "no_plugin"),
        ("j_version_1", "version_1"),
        ("k_later_revision", "later_revision"),
    ] {
        file(name, &std::fs::read(example(plugin)).unwrap());
    }
    file("i_again", &random);
    std::fs::create_dir(desk.path().join(library("l_folder"))).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("nowhere", desk.path().join(library("m_link"))).unwrap();
    // That it goes on shows that `no_plugin`, which aborts when it is loaded, was not.
    let ran = desk.offramp(&["plugins", "--plugins", &desk.path().display().to_string()]);
    assert_eq!(ran.code, 0);
    let refused: Vec<_> = ran
        .out
        .lines()
        .filter(|line| line.starts_with("refused") || line.starts_with("shadowed"))
        .collect();
    insta::assert_snapshot!(portable(&refused.join("\n"), &desk));
}

#[test]
fn a_file_is_explained() {
    let desk = Sandbox::new();
    let hostile = example("hostile");
    let ran = desk.offramp(&["plugins", "inspect", &hostile.display().to_string()]);
    assert_eq!(ran.code, 0);
    insta::with_settings!({filters => vec![
        (r"rustc [^\n]*", "rustc VERSION"),
        (r"target   \S+", "target   TARGET"),
        (r"[0-9a-f]{64}", "SHA256"),
    ]}, {
        insta::assert_snapshot!("inspect", portable(&ran.out, &desk));
    });
    let ran = desk.offramp(&["plugins", "inspect", "nowhere.so"]);
    assert_eq!(ran.code, 2);
    insta::assert_snapshot!("inspect_missing", ran.err);
}

#[test]
fn a_plugin_folder_that_is_not_there() {
    let desk = Sandbox::new();
    let ran = desk.offramp(&["plugins", "--plugins", "nowhere"]);
    assert_eq!(ran.code, 2);
    insta::assert_snapshot!(ran.err);
}

/// Every way to misbehave in a run is a failed row; the policy beside it finishes.
#[test]
fn a_policy_that_misbehaves_is_a_failed_row() {
    let desk = Sandbox::new();
    let misdeeds = [
        "PanicIn(\"create\")",
        "PanicIn(\"begin_episode\")",
        "PanicIn(\"decide\")",
        "PanicIn(\"end_episode\")",
        "FailIn(\"decide\")",
        "Decide(6)",
        "TooShort",
    ];
    let mut policies = String::new();
    for misdeed in misdeeds {
        let name = misdeed.replace('"', "'");
        policies += &format!(
            "(plugin: \"hostile\", name: \"{name}\", parameters: (misdeed: {misdeed})),\n"
        );
    }
    // A panic in a drop is swallowed: the work was done.
    policies +=
        "(plugin: \"hostile\", name: \"drop\", parameters: (misdeed: PanicIn(\"drop\"))),\n";
    policies += "(plugin: \"random\"),\n";
    let text = format!("(name: \"x\", policies: [{policies}], evaluate: (episodes: 3))");
    desk.write("scenario.ron", text);
    let plugin = example("hostile").display().to_string();
    let ran = desk.offramp(&["run", "scenario.ron", "--plugins", &plugin, "--out", "run"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert_eq!(ran.err, "results: run\n");
    let failures: Vec<_> = ran.out.lines().filter(|line| line.starts_with("failed")).collect();
    insta::assert_snapshot!("failures", portable(&failures.join("\n"), &desk));
    let succeeded = |name: &str| {
        let row = ran.out.lines().find(|line| line.starts_with(&format!("| {name} "))).unwrap();
        !row.contains("failed")
    };
    assert!(succeeded("random") && succeeded("drop"));
    // What failed is in the run folder too, and printed again.
    assert_eq!(desk.offramp(&["report", "run"]).out, ran.out);
}

/// A scenario with one policy that misbehaves.
fn with_hostile(misdeed: &str) -> String {
    format!(
        "(name: \"x\", policies: [(plugin: \"hostile\", parameters: (misdeed: {misdeed}))],
        evaluate: (episodes: 200))"
    )
}

/// In the process it takes all with it, and is named; in a process of its own it is a failed row.
#[test]
#[cfg(unix)]
fn a_policy_that_ends_the_process_is_named() {
    let desk = Sandbox::new();
    let plugin = example("hostile").display().to_string();
    let run = |misdeed: &str, more: &[&str]| {
        desk.write("x.ron", with_hostile(misdeed));
        desk.offramp(&[&["run", "x.ron", "--jobs", "1", "--plugins", &plugin], more].concat())
    };
    let exit =
        "ended the process in `CALL` by calling `exit`; with --isolate only its own run fails";
    let crash = "crashed in `CALL`: signal NUMBER; with --isolate only its own run fails";
    for (call, ruin, code, line, apart) in [
        ("create", "ExitZero", 1, exit, "exit code 0"),
        ("decide", "ExitZero", 1, exit, "exit code 0"),
        ("end_episode", "ExitZero", 1, exit, "exit code 0"),
        ("drop", "ExitZero", 1, exit, "exit code 0"),
        ("decide", "ExitOnThread", 1, exit, "exit code 0"),
        ("decide", "Exit", 1, exit, "exit code 3"),
        ("create", "Segfault", -1, crash, "signal 11 (segmentation fault)"),
        ("decide", "Segfault", -1, crash, "signal 11 (segmentation fault)"),
        ("decide", "Overflow", -1, crash, "signal 6 (abort)"),
        ("decide", "Abort", -1, crash, "signal 6 (abort)"),
    ] {
        let misdeed = format!("RuinIn(\"{call}\", {ruin})");
        let ran = run(&misdeed, &[]);
        assert_eq!((ran.code, ran.out.as_str()), (code, ""), "{misdeed}: {}", ran.err);
        let signal = if ruin == "Overflow" { "11 (segmentation fault)" } else { &apart[7..] };
        let line = line.replace("CALL", call).replace("NUMBER", signal);
        assert!(ran.err.contains(&format!("policy `hostile` {line}\n")), "{misdeed}: {}", ran.err);
        // What Rust knows of it is stated too.
        assert_eq!(ran.err.contains("has overflowed its stack"), ruin == "Overflow", "{}", ran.err);
        let ran = run(&misdeed, &["--isolate"]);
        let failed = format!("failed: hostile: its process ended by {apart}");
        assert_eq!(ran.code, 1, "{misdeed}: {}", ran.err);
        assert!(ran.out.contains(&failed), "{misdeed}: {}", ran.out);
    }
    // Whenever it comes, it is not success.
    let later = run("RuinIn(\"decide\", ExitLater)", &[]);
    assert_eq!((later.code, later.out.as_str()), (1, ""), "{}", later.err);
    assert!(later.err.contains("ended the process"), "{}", later.err);
}

/// Not in training either.
#[test]
#[cfg(unix)]
fn a_learner_or_explorer_that_ends_the_process_is_named() {
    let desk = Sandbox::new();
    let plugin = example("hostile").display().to_string();
    let learner = |misdeed: &str| {
        format!("learner: (plugin: \"hostile-learner\", parameters: (misdeed: {misdeed})), ")
    };
    let calm = learner("PanicIn(\"none\")");
    let with = |ruin: &str| {
        calm.clone() + &format!("explorer: (plugin: \"hostile\", parameters: (ruin: {ruin}))")
    };
    let uniform = "explorer: (plugin: \"uniform\", parameters: (over: 0.1))";
    for (train, code, line) in [
        (with("ExitZero"), 1, "explorer `hostile` ended the process in `propose`"),
        (with("Abort"), -1, "explorer `hostile` crashed in `propose`: signal 6 (abort)"),
        (
            learner("RuinIn(\"learn\", ExitZero)") + uniform,
            1,
            "policy `hostile-learner` ended the process in `learn`",
        ),
        (
            learner("RuinIn(\"judge\", ExitZero)") + uniform,
            1,
            "policy `hostile-learner` ended the process in `judge`",
        ),
        (
            learner("RuinIn(\"checkpoint\", ExitZero)") + uniform,
            1,
            "policy `hostile-learner` ended the process in `checkpoint`",
        ),
    ] {
        desk.write(
            "x.ron",
            format!(
                "(name: \"x\", train: ({train}, episodes: 2, validate_every: 2, \
                 validate_episodes: 1))"
            ),
        );
        let ran = desk.offramp(&["train", "x.ron", "--out", "trained", "--plugins", &plugin]);
        assert_eq!((ran.code, ran.out.as_str()), (code, ""), "{train}: {}", ran.err);
        assert!(ran.err.contains(line), "{train}: {}", ran.err);
        std::fs::remove_dir_all(desk.path().join("trained")).unwrap();
    }
}

#[test]
#[cfg(unix)]
fn a_library_that_crashes_when_it_is_loaded_is_named() {
    let desk = Sandbox::new();
    let library = example("aborts_when_loaded").display().to_string();
    let ran = desk.offramp(&["plugins", "--plugins", &library]);
    assert_eq!(ran.code, -1);
    let line = format!("plugin {library} crashed while it was being loaded: signal 6 (abort)");
    assert!(ran.err.contains(&line), "{}", ran.err);
}

/// Wherever offramp is called from, and whatever lies there.
#[test]
fn paths_in_parameters_are_relative_to_the_scenario() {
    let desk = Sandbox::new();
    std::fs::create_dir(desk.path().join("study")).unwrap();
    desk.write("study/rule.txt", "0");
    desk.write("rule.txt", "1");
    let plugin = example("reads_a_file");
    let run = |rule: &str, more: &[&str]| {
        let text = format!(
            "(name: \"x\", policies: [
                (plugin: \"reads-a-file\", parameters: (rule: \"{rule}\")),
                (plugin: \"all-local\"),
            ], evaluate: (episodes: 2))"
        );
        desk.write("study/x.ron", text);
        let plugin = plugin.display().to_string();
        let arguments = ["run", "study/x.ron", "--plugins", &plugin, "--format", "json"];
        desk.offramp(&[&arguments[..], more].concat())
    };
    for more in [&[][..], &["--isolate"]] {
        let ran = run("rule.txt", more);
        assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
        let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        let qoe = |run: usize| json["runs"][run]["metrics"]["qoe"]["mean"].as_f64().unwrap();
        assert_eq!(qoe(0), qoe(1));
    }
    for (rule, reason) in
        [("../rule.txt", "leaves the scenario's folder"), ("none.txt", "study/none.txt: No such")]
    {
        let ran = run(rule, &[]);
        assert_ne!(ran.code, 0);
        let words = ran.err.replace('│', "");
        let words: Vec<_> = words.split_whitespace().collect();
        assert!(words.join(" ").contains(reason), "{rule}: {}", ran.err);
    }
}

#[test]
fn plugins_state_the_files_they_read() {
    let desk = Sandbox::new();
    let rule = desk.write("rule.txt", "0");
    let registry = Registry::discover(&[example("reads_a_file")], Some(built())).unwrap();
    let mut bench = Bench::new(2, 1);
    bench.parameters = "(rule: \"rule.txt\")".to_owned();
    bench.folder = desk.path().to_owned();
    let policy = shipped(&registry, OfferKind::Policy, "reads-a-file");
    let policy = bench.context(|context| policy.create_policy(context)).unwrap();
    let explorer = shipped(&registry, OfferKind::Explorer, "reads-a-file");
    let explorer = bench.context(|context| explorer.create_explorer(context)).unwrap();
    assert_eq!([policy.files().unwrap(), explorer.files().unwrap()], [[rule.clone()], [rule]]);
    bench.parameters.clear();
    let other = shipped(&registry, OfferKind::Policy, "random");
    let other = bench.context(|context| other.create_policy(context)).unwrap();
    assert!(other.files().unwrap().is_empty());
}

/// Whichever episode fails first, each run ends, with the first failure in the order of episodes.
#[test]
fn every_failing_run_ends_at_any_number_of_threads() {
    let desk = Sandbox::new();
    let misdeed = "(plugin: \"hostile\", parameters: (misdeed: FailIn(\"decide\")))";
    let points: Vec<String> = (1..=400).map(|at| format!("{}", f64::from(at) / 1_000.0)).collect();
    let text = format!(
        "(name: \"x\", system: (devices: 20, servers: 2, slots: 20), policies: [{misdeed}],
            evaluate: (episodes: 9), sweep: {{\"tasks.size_mbit\": [{}]}})",
        points.join(", ")
    );
    desk.write("scenario.ron", text);
    let plugin = example("hostile").display().to_string();
    let arguments = ["run", "scenario.ron", "--plugins", &plugin, "--jobs", "7"];
    let ran = desk.offramp(&arguments);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert_eq!(ran.out.lines().filter(|line| line.starts_with("failed")).count(), 400);
}

/// What a policy refuses when it is created is bad input: everything is checked, nothing is done.
#[test]
fn a_policy_that_can_not_be_created_is_bad_input() {
    let desk = Sandbox::new();
    let hostile = "(plugin: \"hostile\", name: \"a\", parameters: (misdeed: FailIn(\"create\")))";
    let policies = [
        "(plugin: \"hostile\", name: \"unknown parameter\", parameters: (misdead: 1))",
        "(plugin: \"hostile\", name: \"no parameters\")",
        "(plugin: \"random\", name: \"takes none\", parameters: (seed: 1))",
        "(plugin: \"random\")",
        "(plugin: \"hostile\", name: \"panics\", parameters: (misdeed: PanicIn(\"create\")))",
        hostile,
    ];
    let plugin = example("hostile").display().to_string();
    let mut errors = String::new();
    for (policies, more) in
        [(policies.join(", "), &[][..]), (hostile.into(), &[]), (hostile.into(), &["--isolate"])]
    {
        let text = format!(
            "(name: \"x\", policies: [{policies}], evaluate: (episodes: 3),
                sweep: {{\"system.servers\": [2, 3]}})"
        );
        desk.write("scenario.ron", text);
        let arguments = ["run", "scenario.ron", "--plugins", &plugin, "--out", "deep/run"];
        let ran = desk.offramp(&[&arguments[..], more].concat());
        assert_eq!(ran.code, 2, "{}{}", ran.out, ran.err);
        assert!(!desk.has("deep"), "{policies}");
        errors += &ran.err;
    }
    insta::assert_snapshot!("refusals", errors);
}

/// A scenario with one policy.
fn one_policy(registry: &Registry, policy: &str) -> Evaluation {
    let text = format!("(name: \"x\", policies: [{policy}])");
    let mut experiment = Experiment::parse("x", text, "".as_ref(), &[]).unwrap();
    bind_evaluation(experiment.points.remove(0), registry).unwrap()
}

/// Calls a capability of `hostile` with a misdeed.
fn call(
    misdeed: &str,
    call: impl FnOnce(&mut dyn Policy, &mut Environment) -> Result<(), CallFailure>,
) -> String {
    let registry = Registry::discover(&[example("hostile")], None).unwrap();
    let policy =
        format!("(plugin: \"hostile-learner\", untrained: true, parameters: (misdeed: {misdeed}))");
    let evaluation = one_policy(&registry, &policy);
    let Evaluation { scenario, sha256, policies, .. } = &evaluation;
    let context = PolicyContext::new(scenario, sha256);
    let lent = context.lend();
    let context = lent.context(&policies[0].parameters, None, 1, 1);
    let mut policy = policies[0].plugin().unwrap().create_policy(&context).unwrap();
    let mut environment = Environment::new(&scenario.system, scenario.observation, 1, 0);
    call(policy.as_mut(), &mut environment).unwrap_err().to_string()
}

#[test]
fn capabilities_that_misbehave() {
    let values = |policy: &mut dyn Policy, environment: &mut Environment| {
        let mut values = vec![0.0; environment.rows() * 6];
        let observation = environment.observe(Needs::NOTHING);
        policy.value_function().unwrap().values(&observation, &mut values)
    };
    let fit = |policy: &mut dyn Policy, environment: &mut Environment| {
        let targets = vec![0.0; environment.rows() * 6];
        let observation = environment.observe(Needs::NOTHING);
        policy.student().unwrap().fit(&observation, &targets).map(drop)
    };
    let record = |policy: &mut dyn Policy, environment: &mut Environment| {
        let actions = vec![0; environment.rows()];
        environment.observe(Needs::NOTHING);
        policy.learner().unwrap().record(&environment.transitions(&actions).batch())
    };
    let learn = |policy: &mut dyn Policy, _: &mut Environment| {
        policy.learner().unwrap().learn().map(|_: Progress| ())
    };
    let judge = |policy: &mut dyn Policy, _: &mut Environment| {
        let none = || [].as_slice().into();
        let judged =
            Counterfactuals { devices: none(), arrival_slots: none(), gains: [].as_slice().into() };
        policy.learner().unwrap().judge(&judged)
    };
    let save =
        |policy: &mut dyn Policy, _: &mut Environment| policy.saved().unwrap().save().map(drop);
    let checkpoint = |policy: &mut dyn Policy, _: &mut Environment| {
        policy.saved().unwrap().checkpoint().map(drop)
    };
    let load = |policy: &mut dyn Policy, _: &mut Environment| policy.saved().unwrap().load(b"x");
    let messages = [
        call("PanicIn(\"values\")", values),
        call("NotANumber", values),
        call("PanicIn(\"fit\")", fit),
        call("NotANumber", fit),
        call("PanicIn(\"record\")", record),
        call("PanicIn(\"learn\")", learn),
        call("NotANumber", learn),
        call("FailIn(\"judge\")", judge),
        call("PanicIn(\"judge\")", judge),
        call("PanicIn(\"save\")", save),
        call("PanicIn(\"checkpoint\")", checkpoint),
        call("FailIn(\"load\")", load),
        call("PanicIn(\"load\")", load),
    ];
    insta::assert_snapshot!(messages.join("\n"));
}

/// A policy without a capability does not offer it.
#[test]
fn capabilities_are_discovered() {
    let registry = Registry::discover(&[], Some(built())).unwrap();
    let Evaluation { scenario, sha256, policies, .. } =
        one_policy(&registry, "(plugin: \"all-local\")");
    let context = PolicyContext::new(&scenario, &sha256);
    let found = policies[0].plugin().unwrap();
    let mut policy = found.create_policy(&context.lend().context("", None, 1, 1)).unwrap();
    assert!(policy.learner().is_none() && policy.saved().is_none());
    assert!(policy.value_function().is_none() && policy.student().is_none());
    assert!(policy.mergeable().is_none() && found.export_formats().unwrap().is_empty());
}

/// A policy or explorer of one kind, from the shipped plugins.
fn shipped(registry: &Registry, kind: OfferKind, name: &str) -> PluginRef {
    registry.find(kind, name).unwrap()
}

/// Systems that an instance meets one after the other, with something different to see in each.
fn systems() -> Vec<Bench> {
    [(4, 2), (7, 3), (1, 1), (9, 5), (4, 2)]
        .into_iter()
        .map(|(devices, servers)| {
            let mut bench = Bench::new(devices, servers);
            bench.seed = (devices * servers) as u64;
            for device in 0..devices {
                bench.set_task(device, "compute_queue_slots", (device % 3) as f64);
                let backlog: Vec<f64> =
                    (0..servers).map(|server| ((device + 2 * server) % 4) as f64).collect();
                bench.set_link(device, "backlog_mbit", &backlog);
            }
            let load: Vec<f64> = (0..servers).map(|server| ((7 * server + 3) % 5) as f64).collect();
            bench.set_server("load", &load);
            bench
        })
        .collect()
}

/// The decisions of `decide` in several slots of an episode of `bench`.
fn episode(bench: &Bench, mut decide: impl FnMut(&Bench, &mut [u32])) -> Vec<u32> {
    let rows = bench.observe(|seen| seen.rows());
    (0..5)
        .flat_map(|_| {
            let mut actions = vec![UNDECIDED; rows];
            decide(bench, &mut actions);
            actions
        })
        .collect()
}

/// A policy or explorer that declares `any_system` decides in each system as if made for it.
#[test]
fn simple_policies_cope_with_any_system() {
    let registry = Registry::discover(&[], Some(built())).unwrap();
    let systems = systems();
    for name in ["random", "all-local", "all-offload", "round-robin", "shortest-queue", "heuristic"]
    {
        let plugin = shipped(&registry, OfferKind::Policy, name);
        let play = |policy: &mut dyn Policy, bench: &Bench| {
            bench.episode(0, |start| policy.begin_episode(start)).unwrap();
            episode(bench, |bench, actions| {
                bench.observe(|seen| policy.decide(seen, actions)).unwrap();
            })
        };
        let mut traveller = systems[0].context(|context| plugin.create_policy(context)).unwrap();
        for bench in &systems {
            let mut native = bench.context(|context| plugin.create_policy(context)).unwrap();
            assert_eq!(play(traveller.as_mut(), bench), play(native.as_mut(), bench), "{name}");
        }
    }
    for name in ["uniform", "heuristic"] {
        let plugin = shipped(&registry, OfferKind::Explorer, name);
        let mut traveller = systems[0].context(|context| plugin.create_explorer(context)).unwrap();
        for bench in &systems {
            let native = bench.context(|context| plugin.create_explorer(context)).unwrap();
            let [ours, theirs] = [&mut traveller, &mut { native }].map(|explorer| {
                bench.episode(0, |start| explorer.begin_episode(start)).unwrap();
                episode(bench, |bench, actions| {
                    let progress = Progress { updates: 2000, ..Progress::default() };
                    bench.observe(|seen| explorer.propose(seen, &progress, actions)).unwrap();
                })
            });
            assert_eq!(ours, theirs, "{name}");
        }
    }
}

/// One that does not declare it is never asked.
#[test]
fn another_system_is_refused_to_whom_it_was_not_made_for() {
    let registry = Registry::discover(&[], Some(built())).unwrap();
    let plugin = shipped(&registry, OfferKind::Policy, "d3qn");
    let (bench, other) = (Bench::new(4, 2), Bench::new(5, 2));
    let mut policy = bench.context(|context| plugin.create_policy(context)).unwrap();
    bench.episode(0, |start| policy.begin_episode(start)).unwrap();
    let refused = other.episode(1, |start| policy.begin_episode(start)).unwrap_err().to_string();
    insta::assert_snapshot!(refused, @"policy `d3qn`, begin_episode: created for 4 devices and 2 servers, and lacks the capability `any_system`: an episode with 5 devices and 2 servers is not for it");
    // Nothing was called: it plays on where it was made for.
    bench.episode(1, |start| policy.begin_episode(start)).unwrap();
}

#[test]
fn parameters_are_merged() {
    let registry = Registry::discover(&[example("capable")], None).unwrap();
    let plugin = shipped(&registry, OfferKind::Policy, "capable");
    let bench = Bench::new(2, 1);
    let mut policy = bench.context(|context| plugin.create_policy(context)).unwrap();
    let networks = policy.mergeable().unwrap();
    assert_eq!(networks.networks().unwrap(), 2);
    networks.set_parameters(1, &[1.0, 2.0, 3.0]).unwrap();
    assert_eq!(networks.parameters(0).unwrap(), [0.0; 3]);
    assert_eq!(networks.parameters(1).unwrap(), [1.0, 2.0, 3.0]);
    let mut faults = Vec::new();
    faults.push(networks.parameters(2).unwrap_err());
    faults.push(networks.set_parameters(0, &[1.0]).unwrap_err());
    faults.push(networks.set_parameters(0, &[1.0, f32::INFINITY, 1.0]).unwrap_err());
    networks.set_parameters(0, &[1.0, 13.0, 1.0]).unwrap();
    faults.push(networks.parameters(0).unwrap_err());
    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(faults.join("\n"), @r"
    policy `capable`, parameters: it has 2 networks; network 2 does not exist
    policy `capable`, set_parameters: network 0 has 3 parameters, not 1
    policy `capable`, set_parameters: parameter 1 of network 0 is inf
    policy `capable`, parameters: parameter 1 of network 0 is NaN
    ");
    // What is not finite can be replaced, and what was refused changed nothing.
    networks.set_parameters(0, &[1.0; 3]).unwrap();
    assert_eq!(networks.parameters(1).unwrap(), [1.0, 2.0, 3.0]);
}

#[test]
fn checkpoints_are_exported() {
    let registry = Registry::discover(&[example("capable")], None).unwrap();
    let plugin = shipped(&registry, OfferKind::Policy, "capable");
    let formats = plugin.export_formats().unwrap();
    assert_eq!(formats[..2], ["text", "two"]);
    let checkpoint: Vec<u8> = [1.5_f32, 2.5].iter().flat_map(|n| n.to_le_bytes()).collect();
    let export = |format: &str, network| {
        plugin.export(
            &checkpoint,
            &ExportRequest { format: format.into(), network, name: "x".into() },
        )
    };
    let files = export("text", 1).unwrap();
    assert_eq!((files[0].name.as_str(), files[0].note.as_str()), ("network.txt", "2 numbers"));
    assert_eq!(files[0].bytes, b"2.5");
    assert_eq!(export("two", 0).unwrap().len(), 2);
    let mut faults = Vec::new();
    for (format, network) in
        [("text", 2), ("onnx", 0), ("panic", 0), ("folder", 0), ("twice", 0), ("nothing", 0)]
    {
        faults.push(export(format, network).unwrap_err().to_string());
    }
    let cut = ExportRequest { format: "text".into(), network: 0, name: "x".into() };
    faults.push(plugin.export(&checkpoint[..3], &cut).unwrap_err().to_string());
    let registry = Registry::discover(&[], Some(built())).unwrap();
    let random = shipped(&registry, OfferKind::Policy, "random");
    faults.push(random.export(&checkpoint, &cut).unwrap_err().to_string());
    insta::assert_snapshot!("failures_of_an_export", faults.join("\n"));
}

const STRANGERS_MANIFEST: &str = r#"
[package]
name = "threshold"
version = "3.2.1"
edition = "2024"

[lib]
crate-type = ["cdylib"]

[dependencies]
offramp-plugin = { path = "API" }

[workspace]
"#;

const STRANGERS_POLICY: &str = r#"
use offramp_plugin::serde::Deserialize;
use offramp_plugin::{Context, Error, Needs, Observation, Policy};

#[derive(Deserialize)]
#[serde(crate = "offramp_plugin::serde", deny_unknown_fields)]
struct Parameters {
    local_below_mbit: f64,
}

struct Threshold {
    parameters: Parameters,
    servers: u32,
}

impl Policy for Threshold {
    const NEEDS: Needs = Needs::FEATURES;

    fn create(context: &Context<'_>) -> Result<Self, Error> {
        Ok(Self { parameters: context.parameters()?, servers: context.system.servers() as u32 })
    }

    fn decide(&mut self, observation: &Observation<'_>, actions: &mut [u32]) -> Result<(), Error> {
        for (row, action) in actions.iter_mut().enumerate() {
            let size_mbit = observation.features_of(row)[0];
            let server = 1 + observation.devices[row] % self.servers;
            *action = if size_mbit < self.parameters.local_below_mbit { 0 } else { server };
        }
        Ok(())
    }
}

offramp_plugin::register_policy!(Threshold, "threshold", "Small tasks here, large ones there.");
offramp_plugin::export_plugin!();
"#;

/// A crate outside the workspace that depends on `offramp-plugin` alone is built, loaded, run.
#[test]
fn a_strangers_plugin_is_loaded_and_run() {
    let desk = Sandbox::new();
    std::fs::create_dir(desk.path().join("src")).unwrap();
    let api = workspace().join("plugins/api").display().to_string();
    desk.write("Cargo.toml", STRANGERS_MANIFEST.replace("API", &api));
    desk.write("src/lib.rs", STRANGERS_POLICY);
    // The same versions as the workspace, so that nothing need be fetched.
    desk.write("Cargo.lock", std::fs::read(workspace().join("Cargo.lock")).unwrap());
    let target = built().join("strangers");
    let output = Command::new(env!("CARGO"))
        .args(["build", "--target-dir"])
        .arg(&target)
        .current_dir(desk.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    desk.write(
        "scenario.ron",
        "(name: \"x\", policies: [
            (plugin: \"random\"),
            (plugin: \"threshold\", parameters: (local_below_mbit: 3.0)),
        ], evaluate: (episodes: 5))",
    );
    let plugins = target.join("debug").display().to_string();
    let ran = desk.offramp(&["run", "scenario.ron", "--plugins", &plugins, "--format", "json"]);
    assert_eq!(ran.code, 0, "{}{}", ran.err, ran.out);
    let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let qoe = |run: usize| json["runs"][run]["metrics"]["qoe"]["mean"].as_f64().unwrap();
    assert_eq!(json["runs"][1]["policy"], "threshold");
    assert!(qoe(1) > qoe(0), "{} {}", qoe(1), qoe(0));
    // By the environment variable too.
    let mut command = Command::new(built().join("offramp"));
    let listed = command.arg("plugins").env("OFFRAMP_PLUGINS", &plugins).output().unwrap();
    assert!(String::from_utf8_lossy(&listed.stdout).contains("threshold 3.2.1"));
}
