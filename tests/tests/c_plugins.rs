//! Policies in other languages: the header, and the examples in C and Python.

use std::collections::BTreeSet;
use std::mem::offset_of;
use std::path::{Path, PathBuf};
use std::process::Command;

use offramp_host::plugin::boundary::{INTERFACE_VERSION, Manifest, ManifestEntry, REVISION};
use offramp_host::plugin::testing::Bench;
use offramp_host::plugin::{
    Context, Counterfactuals, EndedTask, EpisodeStart, ExportRequest, Feature, Needs, Observation,
    ObservationSpec, Progress, RSlice, SystemSpec, TransitionBatch, UNDECIDED, c,
};
use offramp_host::{OfferKind, Registry};
use offramp_tests::{Sandbox, workspace};

/// Compiles a shared library, or a program.
fn compile(desk: &Sandbox, source: &Path, out: &str, shared: bool) -> PathBuf {
    compile_against(&workspace().join("plugins/api/include"), desk, source, out, shared)
}

/// Compiles with the header in a folder.
fn compile_against(
    header: &Path,
    desk: &Sandbox,
    source: &Path,
    out: &str,
    shared: bool,
) -> PathBuf {
    let out = desk.path().join(out);
    let mut cc = Command::new("cc");
    cc.args(["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-I"]).arg(header);
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

/// A fixture of this crate.
fn fixture(name: &str) -> PathBuf {
    workspace().join("tests/plugins").join(name)
}

/// A struct that crosses: its name, size, and fields with their offsets.
type Struct = (&'static str, usize, Vec<(&'static str, usize)>);

macro_rules! layout {
    ($name:literal, $rust:ty, [$($field:ident),* $(,)?]) => {
        ($name, size_of::<$rust>(), vec![$((stringify!($field), offset_of!($rust, $field))),*])
    };
}

/// A slice: a pointer and a length.
fn slice<T>(name: &'static str) -> Struct {
    (name, size_of::<RSlice<'_, T>>(), vec![("data", 0), ("length", size_of::<usize>())])
}

/// The structs of the header.
#[rustfmt::skip]
fn structs_of_the_header() -> Vec<Struct> {
    vec![
        slice::<f64>("OfframpDoubles"),
        slice::<u32>("OfframpIntegers"),
        slice::<u8>("OfframpBytes"),
        slice::<*const u8>("OfframpTexts"),
        slice::<EndedTask>("OfframpEndedTasks"),
        layout!("OfframpObservation", Observation<'_>, [
            slot, server_count, history_slots, devices, features, histories, history_of, tasks,
            links, servers,
        ]),
        layout!("OfframpObservationSpec", c::ObservationSpec<'_>, [
            feature_names, feature_scales, task_columns, link_columns, server_columns,
            history_slots, history_scale, kind,
        ]),
        layout!("OfframpSystem", SystemSpec<'_>, [
            slot_seconds, deadline_slots, arrival_slots, device_ghz, compute_w, transmit_w, idle_w,
            server_ghz, energy, reference_energy,
        ]),
        layout!("OfframpContext", c::Context<'_>, [
            parameters, checkpoint, checkpoint_length, scenario_sha256, seed, threads, observation,
            system, folder, checkpoint_file, learning_steps, hardware_sha256,
        ]),
        layout!("OfframpEpisodeStart", EpisodeStart<'_>, [episode, seed, training, system]),
        layout!("OfframpEndedTask", EndedTask, [
            device, arrival_slot, action, delay_slots, dropped, reward, energy,
        ]),
        layout!("OfframpTransitions", TransitionBatch<'_>, [observation, actions, ended]),
        layout!("OfframpCounterfactuals", Counterfactuals<'_>, [devices, arrival_slots, gains]),
        layout!("OfframpProgress", Progress, [updates, recent_updates, loss]),
        layout!("OfframpExportRequest", c::ExportRequest, [format, network, name]),
        layout!("OfframpMessage", c::Message, [text]),
        layout!("OfframpPolicy", c::PolicyEntry, [
            name, about, needs, flags, create, destroy, begin_episode, decide, end_episode,
            checkpoint, save, load, record, learn, values, fit, export_formats, export_checkpoint,
            networks, parameters, set_parameters, files, diagnostics, memory,
            judged_tasks, judge,
        ]),
        layout!("OfframpExplorer", c::ExplorerEntry, [
            name, about, needs, flags, create, destroy, begin_episode, propose, files,
        ]),
        layout!("OfframpPlugin", c::Plugin, [
            version, revision, size, name, plugin_version, policies, policy_count, policy_size,
            explorers, explorer_count, explorer_size,
        ]),
    ]
}

/// The structs that cross to plugins in Rust alone.
#[rustfmt::skip]
fn structs_of_rust() -> Vec<Struct> {
    vec![
        layout!("Context", Context<'_>, [
            parameters, checkpoint, scenario_sha256, seed, threads, observation, system, folder,
            checkpoint_file, learning_steps, hardware_sha256,
        ]),
        layout!("ObservationSpec", ObservationSpec<'_>, [
            features, task_columns, link_columns, server_columns, history_slots, history_scale,
            kind,
        ]),
        layout!("Feature", Feature, [name, scale]),
        layout!("ExportRequest", ExportRequest<'_>, [format, network, name]),
        layout!("Manifest", Manifest, [
            magic, interface_version, size, revision, entry_size, plugin, version, compiler,
            target, entries, entry_count, header,
        ]),
        layout!("ManifestEntry", ManifestEntry, [kind, capabilities, needs, name, about]),
    ]
}

/// One line per struct and field: `NAME SIZE`, `NAME.FIELD OFFSET`.
fn lines(structs: &[Struct]) -> String {
    let mut text = String::new();
    for (name, size, fields) in structs {
        text += &format!("{name} {size}\n");
        for (field, offset) in fields {
            text += &format!("{name}.{field} {offset}\n");
        }
    }
    text
}

/// `NAME.FIELD` of every struct that a header declares, but for those of its own helpers.
fn declared(header: &str) -> BTreeSet<String> {
    let mut code = String::new();
    for (at, part) in header.split("/*").enumerate() {
        code += if at == 0 { part } else { part.split_once("*/").unwrap().1 };
    }
    let mut fields = BTreeSet::new();
    for part in code.split("typedef struct {").skip(1) {
        let (body, rest) = part.split_once('}').unwrap();
        let name = rest.split(';').next().unwrap().trim();
        if name == "OfframpColumn" {
            continue;
        }
        for field in body.split(';').map(str::trim).filter(|field| !field.is_empty()) {
            let field = match field.split_once("(*") {
                Some((_, function)) => function.split(')').next().unwrap(),
                None => field.split('[').next().unwrap().rsplit([' ', '*']).next().unwrap(),
            };
            fields.insert(format!("{name}.{field}"));
        }
    }
    fields
}

#[test]
fn the_header_has_the_types_that_the_host_has() {
    let structs = structs_of_the_header();
    let header = workspace().join("plugins/api/include/offramp.h");
    let compared: BTreeSet<String> = structs
        .iter()
        .flat_map(|(name, _, fields)| {
            fields.iter().map(move |(field, _)| format!("{name}.{field}"))
        })
        .collect();
    assert_eq!(declared(&std::fs::read_to_string(header).unwrap()), compared);
    let mut program =
        String::from("#include <stdio.h>\n#include \"offramp.h\"\nint main(void) {\n");
    for (name, _, fields) in &structs {
        program += &format!("printf(\"{name} %zu\\n\", sizeof({name}));\n");
        for (field, _) in fields {
            program += &format!("printf(\"{name}.{field} %zu\\n\", offsetof({name}, {field}));\n");
        }
    }
    let mut expected = lines(&structs);
    let needs = [
        ("NOTHING", 0),
        ("FEATURES", 1),
        ("HISTORY", 2),
        ("TASKS", 4),
        ("LINKS", 8),
        ("SERVERS", 16),
        ("LENGTH", 32),
    ];
    for (name, bits) in needs {
        program += &format!("printf(\"{name} %u\\n\", OFFRAMP_NEEDS_{name});\n");
        let names = Needs::from_bits(bits).names();
        assert_eq!(names.join(""), if bits == 0 { String::new() } else { name.to_lowercase() });
        expected += &format!("{name} {bits}\n");
    }
    program += "printf(\"%u %u %u %u\\n\", OFFRAMP_VERSION, OFFRAMP_REVISION, OFFRAMP_UNDECIDED, \
                OFFRAMP_ANY_SYSTEM);\nreturn 0; }\n";
    expected += &format!("{INTERFACE_VERSION} {REVISION} {UNDECIDED} {}\n", c::FLAG_ANY_SYSTEM);
    let desk = Sandbox::new();
    let source = desk.write("layout.c", program);
    let output = Command::new(compile(&desk, &source, "layout", false)).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}

/// The crate's version is the interface's, or abi_stable would refuse what the revision allows.
#[test]
fn the_crate_has_the_version_of_the_interface() {
    let manifest = workspace().join("plugins/api/Cargo.toml");
    let manifest = std::fs::read_to_string(manifest).unwrap();
    let version = format!("version = \"{INTERFACE_VERSION}.{REVISION}.");
    assert!(manifest.contains(&version), "{manifest}");
    // Documents name it, too.
    let documents = [
        ("plugins/README.md", format!("at present {INTERFACE_VERSION}.{REVISION}.")),
        ("plugins/api/src/lib.rs", format!("a revision ({INTERFACE_VERSION}.{REVISION})")),
    ];
    for (file, named) in documents {
        let text = std::fs::read_to_string(workspace().join(file)).unwrap();
        assert!(text.contains(&named), "{file} does not name {named}");
    }
}

/// What revision 0 laid out stays where it was: fields may be appended to structs that are passed
/// by reference, and elements of slices keep their size.
#[test]
fn the_layout_of_revision_0_stays() {
    let fixed = |name: &str| {
        ["OfframpEndedTask", "OfframpMessage", "Feature"].contains(&name)
            || structs_of_the_header()[..5].iter().any(|(slice, ..)| *slice == name)
    };
    let now = lines(&structs_of_the_header()) + &lines(&structs_of_rust());
    let places: std::collections::BTreeMap<&str, usize> = now
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(name, number)| (name, number.parse().unwrap()))
        .collect();
    let frozen = fixture("version_2_0/layout.txt");
    for line in std::fs::read_to_string(frozen).unwrap().lines() {
        let (name, number) = line.split_once(' ').unwrap();
        let (then, now) = (number.parse().unwrap(), places[name]);
        let holds = if name.contains('.') || fixed(name) { now == then } else { now >= then };
        assert!(holds, "{name}: {then} in revision 0, {now} now");
    }
}

/// A plugin that was compiled with the header of revision 0 loads and decides as it did then.
#[test]
fn a_plugin_of_revision_0_runs() {
    let desk = Sandbox::new();
    let header = fixture("version_2_0");
    compile_against(&header, &desk, &fixture("version_2_0/plugin.c"), "old.so", true);
    desk.write(
        "old.ron",
        r#"(
            name: "old",
            policies: [
                (plugin: "old"),
                (plugin: "old-learner", checkpoint: "trained/final.safetensors"),
            ],
            evaluate: (episodes: 5),
            train: (
                learner: (plugin: "old-learner"), explorer: (plugin: "old"),
                episodes: 2, validate_every: 2, validate_episodes: 2,
            ),
        )"#,
    );
    let with = |arguments: &[&str]| desk.offramp(&[arguments, &["--plugins", "old.so"]].concat());
    let trained = with(&["train", "old.ron", "--out", "trained"]);
    assert_eq!(trained.code, 0, "{}", trained.err);
    let ran = with(&["run", "old.ron"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    insta::assert_snapshot!(untimed(&ran.out));
    // It does not know of counterfactuals: it asks for none, and would not mind any.
    let registry = Registry::discover(&[desk.path().join("old.so")], None).unwrap();
    let plugin = registry.find(OfferKind::Policy, "old-learner").unwrap();
    let mut policy = Bench::new(2, 1).context(|context| plugin.create_policy(context)).unwrap();
    let learner = policy.learner().unwrap();
    assert_eq!(learner.judged_tasks().unwrap(), 0);
    learner.judge(&of_two_tasks(&[0.0, -1.5, 0.25, 0.0])).unwrap();
}

/// Counterfactuals of the tasks of devices 1 and 0 in slots 2 and 7.
fn of_two_tasks(gains: &[f64]) -> Counterfactuals<'_> {
    const DEVICES: &[u32] = &[1, 0];
    const ARRIVAL_SLOTS: &[u32] = &[2, 7];
    Counterfactuals {
        devices: DEVICES.into(),
        arrival_slots: ARRIVAL_SLOTS.into(),
        gains: gains.into(),
    }
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
                explorer: (plugin: "uniform"),
                episodes: 40, validate_every: 10, validate_episodes: 5, save_every: 10,
            ),
        )"#,
    );
    let with = |arguments: &[&str]| desk.offramp(&[arguments, &["--plugins", &library]].concat());
    let trained = with(&["train", "c.ron", "--out", "trained"]);
    assert_eq!(trained.code, 0, "{}", trained.err);
    // A learner in C resumes with bit-identical results, too.
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
    desk.write("short.bin", [1, 2, 3]);
    desk.write(
        "short.ron",
        "(name: \"short\", policies: [(plugin: \"mean-reward\", checkpoint: \"short.bin\")])",
    );
    let short = with(&["run", "short.ron"]);
    assert_eq!(short.code, 2);
    insta::assert_snapshot!("failures_in_c", wrong + &short.err);
}

/// A learner trains with the explorer, and the student learns from it.
#[test]
fn an_explorer_and_a_student_in_c() {
    let desk = Sandbox::new();
    let library = compile(&desk, &example("c/linear_student.c"), "linear_student.so", true);
    let system = "system: (devices: 4, servers: 2, slots: 60, server_ghz: [6.0, 12.0]),
        tasks: (arrival_probability: 0.4)";
    desk.write(
        "teacher.ron",
        format!(
            "(name: \"teacher\", {system}, train: (
                learner: (plugin: \"d3qn\", parameters: (hidden: 6, every_slots: 2, sharing: Shared)),
                explorer: (plugin: \"coin\", parameters: (rate: 0.25)),
                episodes: 12, validate_every: 12, validate_episodes: 2,
            ))"
        ),
    );
    desk.write(
        "student.ron",
        format!(
            "(name: \"student\", {system}, distill: (
                teacher: (plugin: \"d3qn\", checkpoint: \"teacher/final.safetensors\",
                    parameters: (hidden: 6, sharing: Shared)),
                student: (plugin: \"linear-student\"),
                states: 2000, steps: 600, validate_every: 300, validate_episodes: 3,
            ))"
        ),
    );
    let with = |arguments: &[&str]| {
        desk.offramp(&[arguments, &["--plugins", "linear_student.so"]].concat())
    };
    let trained = with(&["train", "teacher.ron", "--out", "teacher"]);
    assert_eq!(trained.code, 0, "{}", trained.err);
    let read = |file: &str| std::fs::read_to_string(desk.path().join(file)).unwrap();
    // The explorer's share is what it states.
    let table = read("teacher/training.csv");
    let cells = |line: &str| line.split(',').map(str::to_owned).collect::<Vec<_>>();
    let column = cells(table.lines().next().unwrap()).iter().position(|name| name == "exploration");
    let row = cells(table.lines().last().unwrap());
    assert_eq!(row[column.unwrap()], "0.25");
    let distilled = with(&["distill", "student.ron", "--out", "student"]);
    assert_eq!(distilled.code, 0, "{}", distilled.err);
    let table = read("student/distillation.csv");
    let agreement: f64 = table.lines().last().unwrap().split(',').nth(4).unwrap().parse().unwrap();
    let dataset = std::fs::read(desk.path().join("student/dataset.safetensors")).unwrap();
    let majority = offramp_tests::majority_share(&dataset);
    assert!(agreement > majority + 0.05, "a constant agrees in {majority}: {table}");
    // What it offers besides: merging and exporting.
    let registry = Registry::discover(&[library], None).unwrap();
    let plugin = registry.find(OfferKind::Policy, "linear-student").unwrap();
    let mut bench = Bench::new(4, 2);
    let checkpoint = std::fs::read(desk.path().join("student/final.safetensors")).unwrap();
    bench.checkpoint = Some(checkpoint.clone());
    let mut policy = bench.context(|context| plugin.create_policy(context)).unwrap();
    let networks = policy.mergeable().unwrap();
    assert_eq!(networks.networks().unwrap(), 1);
    let weights = networks.parameters(0).unwrap();
    assert_eq!(weights.len(), 3 * (6 + 2 + 1));
    networks.set_parameters(0, &vec![0.0; weights.len()]).unwrap();
    let mut values = vec![1.0_f32; 4 * 3];
    bench.observe(|seen| policy.value_function().unwrap().values(seen, &mut values)).unwrap();
    assert_eq!(values, [0.0; 4 * 3]);
    let request = ExportRequest { format: "c".into(), network: 0, name: "x".into() };
    let files = plugin.export(&checkpoint, &request).unwrap();
    let text = String::from_utf8(files[0].bytes.clone()).unwrap();
    assert!(text.contains(&format!("WEIGHTS[{}]", weights.len())), "{text}");
    assert_eq!(files[0].note, "108 bytes of constants");
    let beyond = ExportRequest { format: "c".into(), network: 1, name: "x".into() };
    let other = ExportRequest { format: "onnx".into(), network: 0, name: "x".into() };
    let wrong = [
        plugin.export(&checkpoint, &beyond),
        plugin.export(&checkpoint[..9], &request),
        plugin.export(&checkpoint, &other),
    ]
    .map(|result| result.unwrap_err().to_string());
    insta::assert_snapshot!("failures_of_an_export_in_c", wrong.join("\n"));
}

/// What is printed of a run, without the times of its table and without line breaks in errors.
fn ran_with_parameters(desk: &Sandbox, library: &str, plugin: &str, parameters: &str) -> String {
    let scenario = format!(
        "(name: \"one\", policies: [(plugin: \"{plugin}\", parameters: {parameters})], evaluate: (episodes: 2))"
    );
    desk.write("one.ron", scenario);
    let ran = desk.offramp(&["run", "one.ron", "--plugins", library]);
    let words = ran.err.replace('│', "");
    let words = words.split_whitespace().filter(|word| !word.contains("runs/"));
    untimed(&ran.out) + &words.collect::<Vec<_>>().join(" ") + "\n"
}

/// How long it learns and where, what it reports, and what it is told of others.
#[test]
fn a_policy_in_c_has_what_came_with_revisions_2_to_4() {
    let desk = Sandbox::new();
    let library = compile(&desk, &fixture("reports.c"), "reports.so", true);
    let registry = Registry::discover(&[library], None).unwrap();
    let plugin = registry.find(OfferKind::Policy, "reports").unwrap();
    assert_eq!(plugin.offer.needs, Needs::LENGTH);
    let mut bench = Bench::new(2, 1);
    bench.learning_steps = 12;
    bench.hardware_sha256 = "5af3".to_owned();
    let mut policy = bench.context(|context| plugin.create_policy(context)).unwrap();
    assert!(policy.fresh().unwrap().is_none());
    bench.observe(|seen| policy.student().unwrap().fit(seen, &[0.0; 4])).unwrap();
    let learner = policy.learner().unwrap();
    assert_eq!(learner.judged_tasks().unwrap(), 3);
    learner.judge(&of_two_tasks(&[0.0, -1.5, 0.25, 0.0])).unwrap();
    let saved = policy.saved().unwrap();
    let expected = [
        ("steps", 12.0),
        ("fitted", 1.0),
        ("hardware", 4.0),
        ("judged", 21.0 + 70.0),
        ("gained", -1.25),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value));
    assert_eq!(saved.diagnostics().unwrap(), expected);
    assert_eq!(saved.memory().unwrap(), 12_000);
    let failure = policy.learner().unwrap().judge(&of_two_tasks(&[0.0])).unwrap_err();
    assert_eq!(failure.to_string(), "policy `reports`, judge: 1 gains of 2 tasks");
    // What nobody would receive is not asked for.
    let source = std::fs::read_to_string(fixture("reports.c")).unwrap();
    let deaf = source.replace(".judge = judge", ".judge = 1 ? 0 : judge");
    let library = compile(&desk, &desk.write("deaf.c", deaf), "deaf.so", true);
    let registry = Registry::discover(&[library], None).unwrap();
    let plugin = registry.find(OfferKind::Policy, "reports").unwrap();
    let mut policy = bench.context(|context| plugin.create_policy(context)).unwrap();
    assert_eq!(policy.learner().unwrap().judged_tasks().unwrap(), 0);
}

#[test]
fn a_library_in_c_that_lacks_something_is_refused() {
    let desk = Sandbox::new();
    let source = std::fs::read_to_string(example("c/least_waiting.c")).unwrap();
    let mut refused = String::new();
    let header = "OFFRAMP_PLUGIN_HEADER,";
    let with = |fields: &str| {
        let kept = ".size = sizeof(OfframpPlugin), .policy_size = sizeof(OfframpPolicy)";
        format!("{fields}, {kept},")
    };
    let (version, revision) = (
        with(".version = 7, .revision = 1"),
        with(&format!(".version = OFFRAMP_VERSION, .revision = {}", REVISION + 1)),
    );
    let small = ".version = OFFRAMP_VERSION, .size = 40,";
    let entries = ".version = OFFRAMP_VERSION, .size = sizeof(OfframpPlugin), .policy_size = 64,";
    for (name, from, to) in [
        ("version.so", header, version.as_str()),
        ("revision.so", header, revision.as_str()),
        ("small.so", header, small),
        ("entries.so", header, entries),
        ("decide.so", ".decide = mean_decide,", ".decide = 1 ? 0 : mean_decide,"),
        ("table.so", ".policies = POLICIES,", ".policies = sizeof POLICIES ? 0 : POLICIES,"),
        ("version_1.so", "", ""),
    ] {
        assert!(source.contains(from));
        let first = std::fs::read_to_string(fixture("version_1.c")).unwrap();
        let source = if from.is_empty() { first } else { source.clone() };
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
        failures += &ran_with_parameters(&desk, &library, "python", &parameters);
    }
    failures += &ran_with_parameters(&desk, &library, "python", "(nothing: 1)");
    insta::assert_snapshot!(failures.replace(&desk.path().display().to_string(), "DESK"));
}

/// A folder `study` with a script that reads files and prints, and the shim; none without Python.
fn python_study() -> Option<(Sandbox, PathBuf)> {
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("there is no python3 here");
        return None;
    }
    let desk = Sandbox::new();
    let library = compile(&desk, &example("python/python.c"), "python.so", true);
    std::fs::create_dir(desk.path().join("study")).unwrap();
    let copy = example("python/offramp_policy.py");
    std::fs::copy(copy, desk.path().join("study/offramp_policy.py")).unwrap();
    desk.write("study/helper.py", "VALUES = [3.0, 1.0, 1.0, 1.0, 1.0, 1.0]\n");
    desk.write("study/table.txt", "a table");
    desk.write(
        "study/policy.py",
        r#"
import os, subprocess
import helper, offramp_policy

print("noise")
os.system("echo noise")


class Policy:
    def __init__(self, context):
        assert open("table.txt").read() == "a table"
        assert context.kind == "Paper" and os.path.isabs(context.folder)
        assert subprocess.run(["cat"], stdout=subprocess.PIPE).stdout == b""

    def decide(self, seen):
        os.write(1, b"noise\n")
        return [offramp_policy.best_action(helper.VALUES)] * len(seen.devices)

    def files(self):
        return ["table.txt"]


offramp_policy.run(Policy)
"#,
    );
    Some((desk, library))
}

/// Found from any folder; what it and its commands print is neither an answer nor a result.
#[test]
fn a_script_belongs_to_its_scenario() {
    let Some((desk, library)) = python_study() else { return };
    // Whatever lies where offramp is called.
    desk.write("policy.py", "raise SystemExit(1)");
    let run = |script: &str| {
        let text = format!(
            "(name: \"x\", policies: [
                (plugin: \"python\", parameters: (script: \"{script}\")),
                (plugin: \"all-local\"),
            ], evaluate: (episodes: 2))"
        );
        desk.write("study/x.ron", text);
        desk.offramp(&["run", "study/x.ron", "--plugins", "python.so", "--format", "json"])
    };
    let ran = run("policy.py");
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let qoe = |run: usize| json["runs"][run]["metrics"]["qoe"]["mean"].as_f64().unwrap();
    assert_eq!(qoe(0), qoe(1));
    assert!(ran.err.contains("noise"), "{}", ran.err);
    let ran = run("../policy.py");
    assert_ne!(ran.code, 0);
    let reason = "`../policy.py` leaves the scenario's folder";
    assert!((ran.out + &ran.err).contains(reason));
    // Its files, for the run's identity.
    let registry = Registry::discover(&[library], None).unwrap();
    let plugin = registry.find(OfferKind::Policy, "python").unwrap();
    let mut bench = Bench::new(2, 5);
    bench.parameters = "(script: \"policy.py\")".to_owned();
    bench.folder = desk.path().join("study");
    let policy = bench.context(|context| plugin.create_policy(context)).unwrap();
    let files: BTreeSet<PathBuf> = policy.files().unwrap().into_iter().collect();
    let names = ["helper.py", "offramp_policy.py", "policy.py", "table.txt"];
    let study = desk.path().canonicalize().unwrap().join("study");
    let own: BTreeSet<PathBuf> = files.iter().map(|file| file.canonicalize().unwrap()).collect();
    assert_eq!(own, names.iter().map(|name| study.join(name)).collect());
}

/// Nothing that is not an action passes for one.
#[test]
fn what_a_script_returns_is_checked() {
    let Some((desk, library)) = python_study() else { return };
    let registry = Registry::discover(&[library], None).unwrap();
    let plugin = registry.find(OfferKind::Policy, "python").unwrap();
    let mut bench = Bench::new(2, 1);
    bench.folder = desk.path().join("study");
    bench.parameters = "(script: \"bad.py\")".to_owned();
    let mut failures = String::new();
    for returned in [
        "[0, float('nan')]",
        "[None, 0]",
        "[0, 1.0]",
        "[0, 2]",
        "[-1, 0]",
        "[0]",
        "None",
        "[offramp_policy.best_action([0.0, float('nan')])] * 2",
    ] {
        let script = format!(
            "import offramp_policy\nclass Bad:\n    def __init__(self, context): pass\n    \
             def decide(self, seen): return {returned}\nofframp_policy.run(Bad)\n"
        );
        desk.write("study/bad.py", script);
        let mut policy = bench.context(|context| plugin.create_policy(context)).unwrap();
        let mut actions = [UNDECIDED; 2];
        let failure = bench.observe(|seen| policy.decide(seen, &mut actions)).unwrap_err();
        failures += &format!("{failure}\n");
    }
    insta::assert_snapshot!(failures, @r"
    policy `python`, decide: ValueError: row 1: nan is not an action, an integer 0 ... 1
    policy `python`, decide: ValueError: row 0: None is not an action, an integer 0 ... 1
    policy `python`, decide: ValueError: row 1: 1.0 is not an action, an integer 0 ... 1
    policy `python`, decide: ValueError: row 1: 2 is not an action, an integer 0 ... 1
    policy `python`, decide: ValueError: row 0: -1 is not an action, an integer 0 ... 1
    policy `python`, decide: ValueError: decide returned 1 actions for 2 rows
    policy `python`, decide: ValueError: decide returned nothing for 2 rows
    policy `python`, decide: ValueError: the value of action 1 is nan
    ");
}

/// As for a policy in Rust.
#[test]
fn a_policy_in_c_that_ends_the_process_is_named() {
    let desk = Sandbox::new();
    compile(&desk, &fixture("hostile.c"), "hostile.so", true);
    let run = |ruin: &str, more: &[&str]| {
        let text = format!(
            "(name: \"x\", policies: [(plugin: \"hostile-c\", parameters: (ruin: \"{ruin}\"))],
            evaluate: (episodes: 2))"
        );
        desk.write("x.ron", text);
        desk.offramp(&[&["run", "x.ron", "--plugins", "hostile.so"], more].concat())
    };
    for (ruin, code, line, apart) in [
        ("exit_0 in_create", 1, "ended the process in `create`", "exit code 0"),
        ("exit_3 in_decide", 1, "ended the process in `decide`", "exit code 3"),
        ("exit_0 in_drop", 1, "ended the process in `drop`", "exit code 0"),
        ("abort in_decide", -1, "crashed in `decide`: signal 6 (abort)", "signal 6"),
        ("segfault in_create", -1, "crashed in `create`: signal 11", "signal 11"),
        ("arithmetic in_decide", -1, "crashed in `decide`: signal 8", "signal 8"),
    ] {
        let ran = run(ruin, &[]);
        assert_eq!((ran.code, ran.out.as_str()), (code, ""), "{ruin}: {}", ran.err);
        assert!(ran.err.contains(&format!("policy `hostile-c` {line}")), "{ruin}: {}", ran.err);
        let ran = run(ruin, &["--isolate"]);
        assert_eq!(ran.code, 1, "{ruin}: {}", ran.err);
        assert!(ran.out.contains(&format!("its process ended by {apart}")), "{ruin}: {}", ran.out);
    }
    let ran = run("not_a_number", &[]);
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("decide: the value of action 1 is "), "{}", ran.out);
}
