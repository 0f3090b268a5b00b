//! Learning in deployment, end to end: from a teacher at an edge server, and from each other.

use offramp_live::privacy::epsilon;
use offramp_tests::{Fields, Sandbox, plugin, quoted};

/// Two windows of a thousand slots, of ten devices and three servers.
fn live(policies: &[Fields]) -> Fields {
    let policies: Vec<String> = policies.iter().map(ToString::to_string).collect();
    Fields::scenario("live")
        .set("system", Fields::new())
        .set("system.devices", 10)
        .set("system.servers", 3)
        .set("tasks", Fields::new())
        .set("tasks.arrival_probability", 0.4)
        .set("live.slots", 2000)
        .set("live.window_slots", 1000)
        .set("live.save_every", 300)
        .set("live.policies", format!("[{}]", policies.join(", ")))
}

fn network(name: &str) -> Fields {
    plugin("d3qn")
        .set("name", quoted(name))
        .set("parameters.hidden", 8)
        .set("parameters.sharing", "PerDevice")
        .set("parameters.optimiser", "Adam(0.003)")
        .set("parameters.batch", 16)
        .set("parameters.warm_up_slots", 100)
        .set("parameters.deploy", "Evaluation")
}

fn online() -> Fields {
    let teacher = plugin("generalist").set("checkpoint", quoted("teacher.safetensors"));
    network("online").set("online.teacher", teacher)
}

fn alone(name: &str) -> Fields {
    network(name).set("learns", "Alone").set("explorer", plugin("uniform"))
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let shipped = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../scenarios/generalist.safetensors");
    sandbox.write("teacher.safetensors", std::fs::read(shipped).unwrap());
    sandbox
}

/// The rows of `live.csv` of a policy.
fn rows(sandbox: &Sandbox, out: &str, policy: &str) -> Vec<offramp_results::live::LiveRow> {
    let text = sandbox.bytes(&format!("{out}/live.csv"));
    let mut reader = csv::Reader::from_reader(text.as_slice());
    let all =
        reader.deserialize().collect::<Result<Vec<offramp_results::live::LiveRow>, _>>().unwrap();
    all.into_iter().filter(|row| row.policy == policy).collect()
}

#[test]
fn devices_learn_from_a_teacher_within_their_budgets() {
    let sandbox = sandbox();
    let frugal = online()
        .set("name", quoted("frugal"))
        .set("online.budget_kb", 1)
        .set("online.encoding", "Int8")
        .set("online.multiply_adds", 1000);
    let untrained = network("frozen").set("untrained", true);
    sandbox.write("live.ron", live(&[untrained, online(), frugal]).to_string());
    sandbox.succeed(&["live", "live.ron", "--out", "live"]);
    let [frozen, online, frugal] =
        ["frozen (untrained)", "online", "frugal"].map(|name| rows(&sandbox, "live", name));
    // It learns, by what the teacher says alone.
    let gained =
        |window: usize| online[window].qoe_per_task.unwrap() - frozen[window].qoe_per_task.unwrap();
    assert!(gained(1) > 5.0 && gained(1) > gained(0), "{} {}", gained(0), gained(1));
    for (rows, budget) in [(&online, 10_000), (&frugal, 1_000)] {
        for row in rows {
            // A message of the generalist's columns, and three to four values back.
            let bytes = row.bytes_sent + row.bytes_received;
            assert!(bytes <= 10 * budget && bytes > 9 * budget, "{bytes} of {budget}");
            assert!(row.queries > 0 && row.refused == 0 && row.missing == 0);
        }
    }
    // Each of ten devices, 1,000 a slot.
    let spent: u64 = frugal.iter().filter_map(|row| row.multiply_adds).sum();
    assert!(spent <= 10 * 1_000 * 2_000 && spent > 0, "{spent}");
    assert!(online[1].multiply_adds.unwrap() > frugal[1].multiply_adds.unwrap());
    assert_eq!(frozen[0].multiply_adds, None);
}

/// A name is what the scenario says, also of what is untrained at first.
#[test]
fn what_learns_is_not_called_untrained() {
    let sandbox = sandbox();
    let begun = online().set("untrained", true);
    sandbox.write("live.ron", live(&[begun]).set("live.slots", 20).to_string());
    sandbox.succeed(&["live", "live.ron", "--out", "live"]);
    assert_eq!(rows(&sandbox, "live", "online").len(), 1);
}

/// Who has exchanged nothing is told of, since nothing else is wrong.
#[test]
fn a_policy_that_never_sends_is_reported() {
    let sandbox = sandbox();
    let never = online().set("online.asking", 0.0);
    sandbox.write("live.ron", live(&[never, online().set("name", quoted("asks"))]).to_string());
    let ran = sandbox.offramp(&["live", "live.ron", "--out", "live"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("warning: online has sent nothing: "), "{}", ran.err);
    assert!(!ran.err.contains("asks has sent"), "{}", ran.err);
}

/// What cannot decide before it has learned needs a checkpoint.
#[test]
fn a_student_that_cannot_begin_with_nothing_is_refused() {
    let sandbox = sandbox();
    let teacher = plugin("generalist").set("checkpoint", quoted("teacher.safetensors"));
    let tree = plugin("tree-student").set("online.teacher", teacher);
    sandbox.write("live.ron", live(&[tree]).to_string());
    let ran = sandbox.offramp(&["live", "live.ron", "--out", "live"]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{}", ran.err);
    let text: String = ran.err.split_whitespace().collect::<Vec<_>>().join(" ");
    let message =
        "it cannot decide before it has learned: it has learned nothing: it needs a checkpoint";
    assert!(text.contains(message), "{}", ran.err);
    assert!(!sandbox.path().join("live").exists());
}

#[test]
fn neither_threads_nor_interruptions_change_a_live_run_that_learns() {
    let sandbox = sandbox();
    let own = alone("values").set("federated.round_slots", 250).set("federated.states", 20);
    let fedavg = alone("fedavg")
        .set("federated.exchange", "Parameters")
        .set("federated.round_slots", 250)
        .set("federated.share", 0.7)
        .set("federated.dropouts", 0.2)
        .set("federated.stragglers", 0.2);
    let learning = plugin("d3qn")
        .set("untrained", true)
        .set("parameters.hidden", 8)
        .set("parameters.sharing", "Shared")
        .set("parameters.warm_up_slots", 100);
    let taught = network("taught").set("online.teacher", learning).set("online.reporting", 0.5);
    sandbox.write("live.ron", live(&[online(), taught, own, fedavg]).to_string());
    for (out, jobs) in [("one", "1"), ("three", "3")] {
        sandbox.succeed(&["live", "live.ron", "--out", out, "--jobs", jobs]);
    }
    sandbox.killed_until_done(&["live", "live.ron", "--out", "killed", "--resume"]);
    for file in ["live.csv", "recovery.csv", "live.json"] {
        let one = sandbox.bytes(&format!("one/{file}"));
        assert_eq!(one, sandbox.bytes(&format!("three/{file}")), "{file}");
        assert_eq!(one, sandbox.bytes(&format!("killed/{file}")), "{file}");
    }
}

#[test]
fn what_is_exchanged_is_counted_and_protected() {
    let sandbox = sandbox();
    let values = alone("values")
        .set("federated.round_slots", 500)
        .set("federated.states", 20)
        .set("federated.privacy", "(clip: 50.0, noise: 2.0)");
    let fedavg = alone("fedavg")
        .set("federated.exchange", "Parameters")
        .set("federated.round_slots", 500)
        .set("federated.encoding", "F32");
    sandbox.write("live.ron", live(&[values, fedavg]).to_string());
    sandbox.succeed(&["live", "live.ron", "--out", "live"]);
    // Two rounds in each window, ten devices: 20 states of 4 actions, two bytes each.
    let values = rows(&sandbox, "live", "values");
    for (window, row) in values.iter().enumerate() {
        assert_eq!(row.bytes_sent, 2 * 10 * 20 * 4 * 2);
        assert_eq!(row.bytes_received, row.bytes_sent);
        let rounds = 2 * (window as u64 + 1);
        assert_eq!(row.epsilon, Some(epsilon(1.0, 2.0, rounds, 1e-5)));
    }
    let fedavg = rows(&sandbox, "live", "fedavg");
    assert!(fedavg.iter().all(|row| row.epsilon.is_none() && row.bytes_sent == row.bytes_received));
    // Both networks of an agent, four bytes a parameter.
    assert_eq!(fedavg[0].bytes_sent % (2 * 10 * 2 * 4), 0);
    assert!(fedavg[0].bytes_sent > 10 * values[0].bytes_sent);
}

/// Whatever is spent before a slot, a fit of it must be within the bound too.
#[test]
fn a_bound_on_multiply_adds_holds_from_the_first_fit_on() {
    let sandbox = sandbox();
    let bounded = online().set("online.asking", 1).set("online.multiply_adds", 20);
    let scenario = live(&[bounded]).set("live.window_slots", 20).set("live.slots", 1000);
    sandbox.write("live.ron", scenario.to_string());
    sandbox.succeed(&["live", "live.ron", "--out", "live"]);
    let mut spent = 0;
    for row in rows(&sandbox, "live", "online") {
        spent += row.multiply_adds.unwrap_or(0);
        assert!(spent <= 10 * 20 * u64::from(row.end_slot), "{spent} until {}", row.end_slot);
    }
}

/// Nobody takes part, so nothing that was learned before may change.
#[test]
fn devices_that_exchange_parameters_begin_with_their_checkpoint() {
    let sandbox = sandbox();
    let never = |name: &str, exchange: &str| {
        alone(name)
            .set("federated.exchange", exchange)
            .set("federated.share", 0)
            .set("federated.states", 20)
    };
    let mut first = live(&[]).set("train.learner", network("x").without("name"));
    first = first.without("live").set("train.episodes", 4).set("train.validate_episodes", 2);
    sandbox.write("first.ron", first.to_string());
    sandbox.succeed(&["train", "first.ron", "--out", "first"]);
    let begins = |policy: Fields| policy.set("checkpoint", quoted("first/final.safetensors"));
    let policies = [alone("alone"), never("parameters", "Parameters"), never("values", "Values")];
    sandbox.write("live.ron", live(&policies.map(begins)).to_string());
    sandbox.succeed(&["live", "live.ron", "--out", "live"]);
    let qoe = |name: &str| {
        let rows = rows(&sandbox, "live", name);
        rows.iter().map(|row| row.qoe_per_task).collect::<Vec<_>>()
    };
    assert_eq!(qoe("parameters"), qoe("alone"));
    assert_eq!(qoe("values"), qoe("alone"));
}

/// Few tasks, or none in the slots of the stream: simulations go on until there are as many states as asked for.
#[test]
fn as_many_states_are_known_to_all_as_asked_for() {
    let sandbox = sandbox();
    let values = alone("values").set("federated.round_slots", 500).set("federated.states", 300);
    let rare = live(&[values]).set("tasks.arrival_probability", 0.02).set("live.slots", 500);
    sandbox.write("live.ron", rare.clone().to_string());
    sandbox.succeed(&["live", "live.ron", "--out", "live"]);
    // Ten devices, 300 states of 4 actions, two bytes each.
    assert_eq!(rows(&sandbox, "live", "values")[0].bytes_sent, 10 * 300 * 4 * 2);
    sandbox.write("live.ron", rare.set("tasks.arrival_probability", 0).to_string());
    let ran = sandbox.offramp(&["live", "live.ron", "--out", "idle"]);
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(ran.err.contains("hardly a device has a task") && !sandbox.has("idle"), "{}", ran.err);
}

/// A teacher that is away, devices that send nothing, or nothing that is finite: the run goes on, and tells.
#[test]
fn faults_on_the_wire_are_survived_and_reported() {
    let sandbox = sandbox();
    let away = online().set("name", quoted("away")).set("online.away", "[(0, 1000)]");
    let broken = online()
        .set("name", quoted("broken"))
        .set("silent", "{ 1: (0, 2000) }")
        .set("broken", "{ 2: (0, 1000), 10: (0, 2000) }");
    let federated = alone("federated")
        .set("federated.round_slots", 500)
        .set("federated.dropouts", 0.3)
        .set("silent", "{ 1: (0, 2000) }")
        .set("broken", "{ 2: (0, 1000) }");
    sandbox.write("live.ron", live(&[away, broken, federated]).to_string());
    sandbox.succeed(&["live", "live.ron", "--out", "live"]);
    let [away, broken, federated] =
        ["away", "broken", "federated"].map(|name| rows(&sandbox, "live", name));
    assert_eq!((away[0].queries, away[0].bytes_sent, away[0].updates), (0, 0, 0));
    assert!(away[1].queries > 0 && away[1].updates > 0);
    assert!(broken[0].refused > broken[1].refused && broken[1].refused > 0);
    assert!(broken[1].queries > broken[0].queries);
    assert_eq!((federated[0].refused, federated[1].refused), (2, 0));
    assert!(federated.iter().map(|row| row.missing).sum::<u64>() > 0);
    assert!(broken.iter().chain(&federated).all(|row| row.qoe_per_task.unwrap().is_finite()));
}

#[test]
fn what_can_not_be_learned_is_refused_with_its_place() {
    let sandbox = sandbox();
    let shared = alone("x").set("parameters.sharing", "Shared").set("federated", "()");
    let cases = [
        (online().set("plugin", quoted("dcdrl")), "can't be fitted to a teacher"),
        (online().set("online.teacher", plugin("heuristic")), "no value function"),
        (
            online().set("online.reporting", 0.5).set(
                "online.teacher",
                plugin("student").set("untrained", true).set("parameters.teacher_hidden", 8),
            ),
            "`student` can't learn",
        ),
        (online().set("online.away", "[(9, 9)]"), "there is no slot from 9"),
        (online().set("online.asking", 1.5), "out of range"),
        (online().set("silent", "{ 11: (0, 9) }"), "device 11 is not one of 1 … 10"),
        (alone("x").set("broken", "{ 1: (0, 9) }"), "nothing is sent"),
        (network("x").set("untrained", true).set("federated", "()"), "nothing to exchange"),
        (online().set("learns", "Alone").set("federated", "()"), "from each other"),
        (shared, "each needs one of its own"),
        (online().set("online.memory_kb", 0.05), "a state with its values takes"),
        (online().set("online.batch", 1_000_000), "out of range"),
        (alone("x").set("federated.states", 1_000_000_000), "out of range"),
        (alone("x").set("plugin", quoted("generalist")).set("parameters", "()"), "counterfactuals"),
        (
            online()
                .set("online.reporting", 0.5)
                .set("online.teacher.checkpoint", quoted("teacher.safetensors")),
            "counterfactuals",
        ),
        (
            alone("x")
                .set("plugin", quoted("generalist"))
                .set("parameters", "()")
                .set("federated", "()"),
            "each needs one of its own",
        ),
        (
            alone("x").set("federated.privacy", "(clip: 1.0, noise: 1.0, delta: 1.0)"),
            "between 0 and 1",
        ),
    ];
    for (policy, expected) in cases {
        sandbox.write("live.ron", live(&[policy]).to_string());
        let refused = sandbox.offramp(&["live", "live.ron", "--out", "live"]);
        assert_eq!(refused.code, 2, "{expected}: {}", refused.err);
        assert!(
            refused.err.replace("\n  │ ", "").contains(expected),
            "{expected}: {}",
            refused.err
        );
        assert!(!sandbox.has("live"), "{expected}");
    }
}
