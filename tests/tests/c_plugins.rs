//! Policies in other languages: the header, and the examples in C and Python.

use std::mem::offset_of;
use std::path::{Path, PathBuf};
use std::process::Command;

use offramp_host::plugin::{
    EndedTask, EpisodeStart, Observation, Progress, SystemSpec, TransitionBatch, c,
};
use offramp_tests::{Sandbox, workspace};

/// Compiles a shared library, or a program.
fn compile(desk: &Sandbox, source: &Path, out: &str, shared: bool) -> PathBuf {
    let out = desk.path().join(out);
    let mut cc = Command::new("cc");
    cc.args(["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-I"]);
    cc.arg(workspace().join("plugins/api/include"));
    if shared {
        cc.args(["-shared", "-fPIC"]);
    }
    let output = cc.arg(source).arg("-o").arg(&out).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    out
}

fn example(name: &str) -> PathBuf {
    workspace().join("plugins/api/examples").join(name)
}

/// Name in C, size, and fields in C with their offsets.
macro_rules! layout {
    ($c:literal, $rust:ty, [$($field:ident),* $(,)?]) => {
        ($c, size_of::<$rust>(), vec![$((stringify!($field), offset_of!($rust, $field))),*])
    };
}

#[test]
fn the_header_has_the_types_that_the_host_has() {
    let layouts = [
        layout!(
            "OfframpObservation",
            Observation<'_>,
            [slot, devices, features, histories, history_of, knowledge, load, uplink_mbps]
        ),
        layout!("OfframpEpisodeStart", EpisodeStart, [episode, seed, training]),
        layout!(
            "OfframpEndedTask",
            EndedTask,
            [device, born_slot, action, delay_slots, dropped, reward, energy]
        ),
        layout!("OfframpTransitions", TransitionBatch<'_>, [observation, actions, ended]),
        layout!("OfframpProgress", Progress, [updates, loss]),
        layout!(
            "OfframpSystem",
            SystemSpec<'_>,
            [
                slot_seconds,
                deadline_slots,
                arrival_slots,
                device_ghz,
                compute_w,
                transmit_w,
                idle_w,
                server_ghz,
                energy,
                reference_energy
            ]
        ),
        layout!(
            "OfframpContext",
            c::Context<'_>,
            [
                parameters,
                checkpoint,
                checkpoint_length,
                seed,
                threads,
                history_slots,
                history_scale,
                feature_names,
                feature_scales,
                system
            ]
        ),
        layout!("OfframpMessage", c::Message, [text]),
        layout!(
            "OfframpPolicy",
            c::Entry,
            [
                name,
                about,
                needs,
                create,
                destroy,
                begin_episode,
                decide,
                end_episode,
                checkpoint,
                save,
                load,
                record,
                learn
            ]
        ),
        layout!(
            "OfframpPlugin",
            c::Plugin,
            [version, policy_count, name, plugin_version, policies]
        ),
    ];
    let mut program =
        String::from("#include <stdio.h>\n#include \"offramp.h\"\nint main(void) {\n");
    let mut expected = String::new();
    for (name, size, fields) in layouts {
        program += &format!("printf(\"{name} %zu\\n\", sizeof({name}));\n");
        expected += &format!("{name} {size}\n");
        for (field, offset) in fields {
            program += &format!("printf(\"{name}.{field} %zu\\n\", offsetof({name}, {field}));\n");
            expected += &format!("{name}.{field} {offset}\n");
        }
    }
    let needs = [
        ("NOTHING", 0),
        ("FEATURES", 1),
        ("HISTORY", 2),
        ("KNOWLEDGE", 4),
        ("LOAD", 8),
        ("UPLINK", 16),
    ];
    for (name, bits) in needs {
        program += &format!("printf(\"{name} %u\\n\", OFFRAMP_NEEDS_{name});\n");
        let names = offramp_host::plugin::Needs::from_bits(bits).names();
        assert_eq!(names.join(""), if bits == 0 { String::new() } else { name.to_lowercase() });
        expected += &format!("{name} {bits}\n");
    }
    program += "printf(\"version %u %u\\n\", OFFRAMP_VERSION, OFFRAMP_UNDECIDED);\nreturn 0; }\n";
    expected += &format!("version {} {}\n", c::VERSION, offramp_host::plugin::UNDECIDED);
    let desk = Sandbox::new();
    let source = desk.write("layout.c", program);
    let output = Command::new(compile(&desk, &source, "layout", false)).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}

/// `printed` without the last column, which is time.
fn untimed(printed: &str) -> String {
    let row = |line: &str| match line.rsplit_once(" | ") {
        Some((row, _)) if line.starts_with('|') => row.to_owned(),
        _ => line.to_owned(),
    };
    printed.lines().map(|line| row(line) + "\n").collect()
}

#[test]
fn policies_in_c_decide_and_learn() {
    let desk = Sandbox::new();
    compile(&desk, &example("c/least_waiting.c"), "least_waiting.so", true);
    let library = "least_waiting.so".to_owned(); // in the folder it is called from
    desk.write(
        "c.ron",
        r#"(
            name: "c",
            policies: [
                (plugin: "random"),
                (plugin: "least-waiting"),
                (plugin: "mean-reward", checkpoint: "trained/best.safetensors"),
            ],
            evaluate: (episodes: 5),
            train: (
                learner: (plugin: "mean-reward"),
                explorer: (plugin: "uniform", parameters: (per_update: 0.00002)),
                episodes: 40, validate_every: 10, validate_episodes: 5, save_every: 10,
            ),
        )"#,
    );
    let with = |arguments: &[&str]| desk.offramp(&[arguments, &["--plugins", &library]].concat());
    let trained = with(&["train", "c.ron", "--out", "trained"]);
    assert_eq!(trained.code, 0, "{}", trained.err);
    // A learner in C goes on to the same bits, too.
    let kills = desk.killed_until_done(&[
        "train",
        "c.ron",
        "--out",
        "killed",
        "--resume",
        "--plugins",
        &library,
    ]);
    let read = |file: &str| std::fs::read(desk.path().join(file)).unwrap();
    assert_eq!(
        read("trained/final.safetensors"),
        read("killed/final.safetensors"),
        "{kills} kills"
    );
    let ran = with(&["run", "c.ron"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    insta::assert_snapshot!(untimed(&ran.out));
    let wrong = ran_with_parameters(&desk, &library, "least-waiting", "(patience: 3)");
    let short = desk.write("short.bin", [1, 2, 3]).display().to_string();
    desk.write(
        "short.ron",
        format!(
            "(name: \"short\", policies: [(plugin: \"mean-reward\", checkpoint: \"{short}\")])"
        ),
    );
    let short = with(&["run", "short.ron"]);
    assert_eq!(short.code, 1);
    insta::assert_snapshot!("failures_in_c", untimed(&(wrong + &short.out)));
}

fn ran_with_parameters(desk: &Sandbox, library: &str, plugin: &str, parameters: &str) -> String {
    let scenario = format!(
        "(name: \"one\", policies: [(plugin: \"{plugin}\", parameters: {parameters})], evaluate: (episodes: 2))"
    );
    desk.write("one.ron", scenario);
    desk.offramp(&["run", "one.ron", "--plugins", library]).out
}

#[test]
fn a_library_in_c_that_lacks_something_is_refused() {
    let desk = Sandbox::new();
    let source = std::fs::read_to_string(example("c/least_waiting.c")).unwrap();
    let mut refused = String::new();
    for (name, from, to) in [
        ("header.so", ".version = OFFRAMP_VERSION,", ".version = 7,"),
        ("decide.so", ".decide = mean_decide,", ".decide = 1 ? 0 : mean_decide,"),
        ("table.so", ".policies = POLICIES,", ".policies = sizeof POLICIES ? 0 : POLICIES,"),
    ] {
        assert!(source.contains(from));
        let changed = desk.write("changed.c", source.replace(from, to));
        let library = compile(&desk, &changed, name, true);
        let ran = desk.offramp(&["plugins", "inspect", &library.display().to_string()]);
        assert_ne!(ran.code, 0);
        refused += &(ran.out + &ran.err);
    }
    insta::assert_snapshot!(refused.replace(&desk.path().display().to_string(), "…"));
}

/// Passed over where there is no Python.
#[test]
fn a_script_in_python_decides() {
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("there is no python3 here");
        return;
    }
    let desk = Sandbox::new();
    let library = compile(&desk, &example("python/python.c"), "python.so", true);
    let library = library.display().to_string();
    let script = example("python/least_waiting.py").display().to_string();
    let in_c = compile(&desk, &example("c/least_waiting.c"), "least_waiting.so", true);
    let scenario = format!(
        "(name: \"python\", policies: [
            (plugin: \"python\", parameters: (script: \"{script}\")),
            (plugin: \"least-waiting\"),
        ], evaluate: (episodes: 3))"
    );
    desk.write("python.ron", scenario);
    let ran = desk.offramp(&[
        "run",
        "python.ron",
        "--plugins",
        &library,
        "--plugins",
        &in_c.display().to_string(),
    ]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    // The same rule: the same row.
    let rows: Vec<String> = ["python ", "least-waiting "]
        .map(|name| {
            untimed(&ran.out).lines().find(|line| line.contains(name)).unwrap().replace(name, "")
        })
        .map(|row| row.replace(' ', ""))
        .into();
    assert_eq!(rows[0], rows[1]);
    let copy = example("python/offramp_policy.py");
    std::fs::copy(copy, desk.path().join("offramp_policy.py")).unwrap();
    let failing = desk.write(
        "failing.py",
        "import offramp_policy\nclass Failing:\n    def __init__(self, context): pass\n    def decide(self, seen): return [seen.slot // 0]\nofframp_policy.run(Failing)\n",
    );
    let mut failures = String::new();
    for script in [failing.display().to_string(), "missing.py".to_owned()] {
        let parameters = format!("(script: \"{script}\")");
        failures += &untimed(&ran_with_parameters(&desk, &library, "python", &parameters));
    }
    failures += &untimed(&ran_with_parameters(&desk, &library, "python", "(nothing: 1)"));
    insta::assert_snapshot!(failures);
}
