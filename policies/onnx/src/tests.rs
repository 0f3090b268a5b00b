//! Files that PyTorch wrote, files of our own, and files that are not what they should be.

use std::path::{Path, PathBuf};

use offramp_plugin::testing::Bench;
use offramp_plugin::{Context, Error, Observation, Policy, RSlice, ValueFunction, bytes_of};
use rten_onnx::onnx::{
    AttributeProto, DataType, Dimension, ModelProto, NodeProto, StringStringEntryProto,
};
use serde_json::Value;

use crate::policy::Onnx;

/// F, K and M of the files, and of a [`Bench`] with two servers.
const FEATURES: usize = 6;
const WINDOW: usize = 10 * 2;
const ACTIONS: usize = 3;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn create_from(bench: &Bench, bytes: &[u8], path: &Path) -> Result<Onnx, Error> {
    let path = bytes_of(path);
    bench.context(|context| {
        let checkpoint = Some(RSlice::from(bytes)).into();
        let checkpoint_file = path.as_slice().into();
        Onnx::create(&Context { checkpoint, checkpoint_file, ..*context })
    })
}

fn create(bytes: &[u8]) -> Result<Onnx, Error> {
    create_from(&Bench::new(1, 2), bytes, &fixtures().join("x.onnx"))
}

fn refusal(bytes: &[u8]) -> String {
    match create(bytes) {
        Ok(_) => "accepted".to_owned(),
        Err(error) => error.message().to_owned(),
    }
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(fixtures().join(name)).unwrap()
}

/// The fixture, with something about it changed.
fn changed(name: &str, change: impl FnOnce(&mut ModelProto)) -> Vec<u8> {
    let mut model = ModelProto::parse_buf(&fixture(name)).unwrap();
    change(&mut model);
    model.write_buf().unwrap()
}

fn values(policy: &mut Onnx, features: &[f64], history: &[f64]) -> Vec<f32> {
    let rows = features.len() / FEATURES;
    let numbers: Vec<u32> = (0..rows as u32).collect();
    let mut values = vec![f32::NAN; rows * ACTIONS];
    Bench::new(1, 2).observe(|seen| {
        let all = Observation {
            devices: numbers.as_slice().into(),
            features: features.into(),
            histories: history.into(),
            history_of: numbers.as_slice().into(),
            ..*seen
        };
        policy.values(&all, &mut values).unwrap();
    });
    values
}

/// Both exporters, with the batch open, 1 and 32.
#[test]
fn networks_of_pytorch_have_the_values_that_pytorch_computed() {
    let expected: Value = serde_json::from_slice(&fixture("values.json")).unwrap();
    let table = |name: &str| -> Vec<f64> {
        let rows = expected[name].as_array().unwrap().iter();
        rows.flat_map(|row| row.as_array().unwrap()).map(|x| x.as_f64().unwrap()).collect()
    };
    let (features, history) = (table("features"), table("history"));
    let mut files = 0;
    for network in ["dense", "lstm"] {
        let expected = table(network);
        for exporter in ["dynamo", "legacy"] {
            for batch in ["open", "1", "32"] {
                let name = format!("{network}-{exporter}-{batch}.onnx");
                let path = fixtures().join(&name);
                let mut policy = create_from(&Bench::new(1, 2), &fixture(&name), &path).unwrap();
                let data = path.with_extension("onnx.data");
                let beside = if exporter == "dynamo" { vec![data] } else { Vec::new() };
                assert_eq!(policy.files(), beside, "{name}");
                for rows in [33, 32, 5, 1] {
                    let features = &features[..rows * FEATURES];
                    let ours = values(&mut policy, features, &history[..rows * WINDOW]);
                    for (ours, theirs) in ours.iter().zip(&expected) {
                        let error = (f64::from(*ours) - theirs).abs();
                        assert!(error < 1e-5, "{name}, {rows} rows: {ours} {theirs}");
                    }
                }
                files += 1;
            }
        }
    }
    assert_eq!(files, 12);
}

#[test]
fn rows_decided_by_an_explorer_stay() {
    let bench = Bench::new(3, 2);
    let bytes = fixture("dense-legacy-open.onnx");
    let mut policy = create_from(&bench, &bytes, Path::new("")).unwrap();
    let own = bench.decide(&mut policy).unwrap();
    let other = (own[1] + 1) % 3;
    let mut actions = [u32::MAX, other, u32::MAX];
    bench.observe(|seen| policy.decide(seen, &mut actions)).unwrap();
    assert_eq!(actions, [own[0], other, own[2]]);
}

#[test]
fn values_that_are_not_finite_decide_nothing() {
    let mut bench = Bench::new(2, 2);
    bench.slot = 17;
    let mut policy = create_from(&bench, &fixture("nan.onnx"), Path::new("")).unwrap();
    assert_eq!(
        bench.decide(&mut policy).unwrap_err().message(),
        "device 0 in slot 17 (row 0): the value of action 1 is NaN"
    );
}

/// A folder with `network.onnx`, whose weights are where `location` says, and that file.
fn beside(location: &str, offset: &str) -> (tempfile::TempDir, Result<Onnx, Error>) {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("networks");
    std::fs::create_dir_all(folder.join("inner")).unwrap();
    let data = fixture("dense-dynamo-open.onnx.data");
    for file in ["weights", "inner/weights.bin", "../secret"] {
        std::fs::write(folder.join(file), &data).unwrap();
    }
    std::fs::write(folder.join("short"), &data[1..]).unwrap();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 384\n";
    std::fs::write(folder.join("pointer"), pointer).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("../secret", folder.join("link")).unwrap();
    let location = location.replace("FOLDER", &folder.display().to_string());
    let bytes = changed("dense-dynamo-open.onnx", |model| {
        let weights = &mut model.graph.as_mut().unwrap().initializer;
        let entries = weights.iter_mut().flat_map(|weights| &mut weights.external_data);
        for entry in entries {
            match entry.key.as_deref() {
                Some("location") => entry.value = Some(location.clone()),
                Some("offset") => entry.value = Some(offset.to_owned()),
                _ => {}
            }
        }
    });
    let policy = create_from(&Bench::new(1, 2), &bytes, &folder.join("network.onnx"));
    (parent, policy)
}

#[test]
fn weights_beside_a_network_are_read_whatever_their_name() {
    for location in ["weights", "inner/weights.bin", "./inner/../weights"] {
        let (folder, policy) = beside(location, "0");
        let files = policy.unwrap().files();
        let path = folder.path().join("networks").join(location).canonicalize().unwrap();
        assert_eq!(files, [path]);
    }
}

#[test]
fn weights_elsewhere_or_cut_off_are_refused() {
    let refused = |location: &str, offset: &str| {
        let (folder, policy) = beside(location, offset);
        let error = policy.err().unwrap_or_else(|| panic!("{location} was read"));
        let start = "the ONNX file: weights `layers.0.weight";
        assert!(error.message().starts_with(start), "{}", error.message());
        let rest = error.message().split_once("`").unwrap().1.split_once("`").unwrap().1;
        rest.replace(&folder.path().display().to_string(), "…")
    };
    let outside = |location: &str| {
        format!(" are in `{location}`: that is outside of the network's folder, and is not read")
    };
    assert_eq!(refused("../secret", "0"), outside("../secret"));
    assert_eq!(refused("FOLDER/weights", "0"), outside("…/networks/weights"));
    #[cfg(unix)]
    assert_eq!(refused("link", "0"), outside("link"));
    assert_eq!(refused("inner", "0"), " are in `inner`: that is not a file");
    assert!(refused("none", "0").contains("; keep it beside the network, under the name it had"));
    assert_eq!(
        refused("pointer", "0"),
        " are in `pointer`: that is the pointer that git-lfs left, not the file: run `git lfs \
         pull`"
    );
    let needed = |location: &str, has: u32, needed: &str| {
        format!(
            ": `{location}` has {has} bytes, and {needed} are needed: it was cut off, or belongs \
             to another network"
        )
    };
    assert_eq!(refused("short", "0"), needed("short", 383, "384"));
    assert_eq!(refused("weights", "1"), needed("weights", 384, "385"));
    let last = usize::MAX.to_string();
    assert_eq!(refused("weights", &last), needed("weights", 384, "more than can be"));
    assert_eq!(refused("weights", "-1"), ": their offset is `-1`");
}

#[test]
fn shapes_are_held_to_the_scenario() {
    let refused = |servers: usize, name: &str| {
        let bench = Bench::new(1, servers);
        let path = fixtures().join(name);
        create_from(&bench, &fixture(name), &path).err().unwrap().message().to_owned()
    };
    assert_eq!(
        refused(3, "lstm-legacy-open.onnx"),
        "the ONNX file: input `features` is N × 6 of FLOAT; N × 7 of FLOAT is needed (the \
         scenario has 7 features)"
    );
    assert_eq!(
        refused(3, "dense-dynamo-32.onnx"),
        "the ONNX file: input `features` is 32 × 6 of FLOAT; N × 7 of FLOAT is needed (the \
         scenario has 7 features)"
    );
    let history = changed("lstm-legacy-open.onnx", |model| {
        let inputs = &mut model.graph.as_mut().unwrap().input;
        let kind = inputs[1].r#type.as_mut().unwrap().tensor_type.as_mut().unwrap();
        kind.shape.as_mut().unwrap().dim.pop();
    });
    assert_eq!(
        refusal(&history),
        "the ONNX file: input `history` is N × 10 of FLOAT; N × 10 × 2 of FLOAT is needed (the \
         scenario has 10 slots of history of 2 servers)"
    );
    let double = changed("dense-legacy-open.onnx", |model| {
        let outputs = &mut model.graph.as_mut().unwrap().output;
        let kind = outputs[0].r#type.as_mut().unwrap().tensor_type.as_mut().unwrap();
        kind.elem_type = Some(DataType::DOUBLE);
    });
    assert_eq!(
        refusal(&double),
        "the ONNX file: output `values` is N × 3 of DOUBLE; N × 3 of FLOAT is needed (a value \
         for each action of the scenario, 3)"
    );
    // What the file does not declare shows when the network is tried out.
    let undeclared = changed("dense-legacy-open.onnx", |model| {
        let graph = model.graph.as_mut().unwrap();
        graph.output[0].r#type = None;
        graph.node.last_mut().unwrap().output[0] = "six".to_owned();
        let inputs = vec!["six".to_owned(), "six".to_owned()];
        let axis = AttributeProto {
            name: Some("axis".to_owned()),
            i: Some(1),
            r#type: Some(rten_onnx::onnx::AttributeType::INT),
            ..AttributeProto::default()
        };
        graph.node.push(NodeProto {
            input: inputs,
            output: vec!["values".to_owned()],
            op_type: Some("Concat".to_owned()),
            attribute: vec![axis],
            ..NodeProto::default()
        });
    });
    assert_eq!(
        refusal(&undeclared),
        "the ONNX file: the network returns 2 × 6 values for 2 rows; 2 × 3 are needed: one for \
         each action"
    );
    let huge = changed("dense-legacy-open.onnx", |model| {
        let kind = model.graph.as_mut().unwrap().input[0].r#type.as_mut().unwrap();
        let shape = kind.tensor_type.as_mut().unwrap().shape.as_mut().unwrap();
        shape.dim[0].dim_value = Some(1 << 40);
    });
    assert!(refusal(&huge).contains("is 1099511627776 × 6 of FLOAT; N × 6 of FLOAT is needed"));
    let inputs = changed("dense-legacy-open.onnx", |model| {
        let graph = model.graph.as_mut().unwrap();
        graph.input.extend(["h0", "c0"].map(|name| {
            let mut value = graph.input[0].clone();
            value.name = Some(name.to_owned());
            value
        }));
    });
    assert_eq!(
        refusal(&inputs),
        "the ONNX file: it has 3 inputs (features, h0, c0); `features`, or `features` and `history` \
         are needed"
    );
}

/// PyTorch's older exporter wrote LSTMs whose batch is open by name and fixed inside.
#[test]
fn a_batch_that_is_open_in_name_only_is_evaluated_row_by_row() {
    let bytes = changed("lstm-legacy-1.onnx", |model| {
        let graph = model.graph.as_mut().unwrap();
        for value in graph.input.iter_mut().chain(&mut graph.output) {
            let kind = value.r#type.as_mut().unwrap().tensor_type.as_mut().unwrap();
            let batch = Dimension { dim_value: None, dim_param: Some("batch".to_owned()) };
            kind.shape.as_mut().unwrap().dim[0] = batch;
        }
        graph.value_info.clear();
    });
    let mut open = create(&bytes).unwrap();
    let mut fixed = create(&fixture("lstm-legacy-1.onnx")).unwrap();
    let features: Vec<f64> = (0..3 * FEATURES).map(|x| x as f64).collect();
    let history: Vec<f64> = (0..3 * WINDOW).map(|x| (x % 5) as f64).collect();
    let both = [&mut open, &mut fixed].map(|policy| values(policy, &features, &history));
    // The two graphs may add up in another order, by processor.
    let close = both[0].iter().zip(&both[1]).all(|(a, b)| (a - b).abs() < 1e-5);
    assert!(both[0].len() == 3 * ACTIONS && close, "{both:?}");
}

#[test]
fn what_is_not_a_network_says_why() {
    let broken = "the ONNX file: not a network, or cut off: ";
    for text in ["not a network", "", "\n"] {
        assert!(refusal(text.as_bytes()).starts_with(broken), "{}", refusal(text.as_bytes()));
    }
    assert_eq!(
        refusal(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4487\n"),
        "the ONNX file: it is the pointer that git-lfs left, not the file: run `git lfs pull`"
    );
    let newer = changed("lstm-legacy-1.onnx", |model| model.opset_import[0].version = Some(99));
    assert_eq!(
        refusal(&newer),
        "the ONNX file: it uses operator set 99; 25 is the newest that is known here: export it \
         with `opset_version=25` or less"
    );
    let unknown = changed("dense-legacy-open.onnx", |model| {
        model.graph.as_mut().unwrap().node[1].op_type = Some("Attention9".to_owned());
    });
    assert!(refusal(&unknown).contains("Attention9"), "{}", refusal(&unknown));
}

/// (A file may well describe tensors that no memory holds; `--isolate` is for those.)
#[test]
fn damaged_files_are_refused_without_a_panic() {
    for name in ["lstm-legacy-1.onnx", "dense-dynamo-open.onnx"] {
        let whole = fixture(name);
        for length in 0..whole.len() {
            assert!(create(&whole[..length]).is_err(), "{name} cut to {length} bytes");
        }
    }
    let whole = fixture("dense-dynamo-open.onnx");
    for (at, bit) in (0..whole.len()).flat_map(|at| [(at, 1), (at, 0x80)]) {
        let mut bytes = whole.clone();
        bytes[at] ^= bit;
        if let Ok(mut policy) = create(&bytes) {
            values(&mut policy, &[0.0; FEATURES], &[0.0; WINDOW]);
        }
    }
}

fn with_facts(name: &str, facts: &[(&str, &str)]) -> Vec<u8> {
    changed(name, |model| {
        model.metadata_props.extend(facts.iter().map(|(key, value)| StringStringEntryProto {
            key: Some((*key).to_owned()),
            value: Some((*value).to_owned()),
        }));
    })
}

#[test]
fn what_a_network_was_trained_on_is_held_to_the_scenario() {
    let features = "size_mbit,compute_queue_slots,uplink_queue_slots,server_1_backlog_mbit,\
                    server_2_backlog_mbit,alpha";
    let agrees = [
        ("observation", "Paper"),
        ("features", features),
        ("servers", "2"),
        ("history_slots", "10"),
        ("networks", "1"),
        ("network", "0"),
    ];
    let refused = |key: &str, value: &str| {
        let facts = agrees.map(|fact| if fact.0 == key { (key, value) } else { fact });
        let bytes = with_facts("dense-legacy-open.onnx", &facts);
        match create_from(&Bench::new(20, 2), &bytes, Path::new("")) {
            Ok(_) => "accepted".to_owned(),
            Err(error) => error.message().to_owned(),
        }
    };
    assert_eq!(refused("", ""), "accepted");
    assert_eq!(
        refused("observation", "Published"),
        "the ONNX file: it was trained on observation `Published`, and this scenario has `Paper`"
    );
    assert_eq!(
        refused("features", &features.replace("alpha", "deadline_slots")),
        "the ONNX file: it was trained with `deadline_slots` as feature 6 of 6, and this scenario \
         has `alpha` as feature 6 of 6"
    );
    assert_eq!(
        refused("features", &features.replace(",alpha", "")),
        "the ONNX file: it was trained with 5 features, and this scenario has `alpha` as feature 6 \
         of 6"
    );
    assert_eq!(
        refused("servers", "5"),
        "the ONNX file: it was trained for 5 servers, and this scenario has 2 servers"
    );
    assert_eq!(
        refused("history_slots", "4"),
        "the ONNX file: it was trained with 4 slots of history, and this scenario has 10 slots of \
         history"
    );
}

#[test]
fn the_network_of_one_device_decides_for_others_only_if_told_to() {
    let facts = [("network", "3"), ("networks", "50")];
    let bytes = with_facts("dense-legacy-open.onnx", &facts);
    let create = |devices: usize, parameters: &str| {
        let mut bench = Bench::new(devices, 2);
        bench.parameters = parameters.to_owned();
        create_from(&bench, &bytes, Path::new(""))
    };
    assert_eq!(
        create(20, "").err().unwrap().message(),
        "the ONNX file: it is the network of device 3 of 50; to let it decide for all 20 devices of \
         the scenario, state `parameters: (for_all_devices: true)`"
    );
    create(20, "(for_all_devices: true)").unwrap();
    create(1, "").unwrap();
    let error = create(1, "(for_all: true)").err().unwrap();
    assert!(error.message().contains("for_all"), "{}", error.message());
}
