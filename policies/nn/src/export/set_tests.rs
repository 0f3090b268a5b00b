//! Exported networks over servers: C and ONNX against the network they came from.

use rand::Rng;
use rten::{ModelOptions, ValueView};

use super::tests::{printed, request};
use super::*;
use crate::checkpoint_spec::Stage;
use crate::set::{Columns, SetBatch, SetDecider, SetNetworkSpec, SetWidths, TEMPERATURE};
use crate::{Initial, argmax, softmax, stream};

const HISTORY_SLOTS: usize = 4;
const WIDTHS: SetWidths = SetWidths { lstm: 3, embedding: 7, hidden: 6 };
const MEANINGS: Meanings<'_> = Meanings {
    terms: &["D: the deadline, slots."],
    features: &[("a", "slots of sending, over D"), ("f", "a share, 0 to 1")],
    load: "A load: devices over the share of their server.",
};

/// Reads a number of servers and their rows, and prints the values and the decision.
const MAIN: &str = r#"
    #include <stdio.h>
    #include "policy.h"
    static int read(float *numbers, int count) {
        for (int n = 0; n < count; n++)
            if (scanf("%f", &numbers[n]) != 1) return 0;
        return 1;
    }
    int main(void) {
        enum { M = POLICY_MAX_SERVERS };
        float device[POLICY_DEVICE_FEATURES], link[M * POLICY_LINK_FEATURES + 1];
        float server[M * POLICY_SERVER_FEATURES + 1], history[M * POLICY_HISTORY_SLOTS];
        float values[M + 1], servers;
        while (read(&servers, 1)) {
            int m = (int)servers;
            if (!read(device, POLICY_DEVICE_FEATURES) || !read(link, m * POLICY_LINK_FEATURES)
                || !read(server, m * POLICY_SERVER_FEATURES)
                || !read(history, m * POLICY_HISTORY_SLOTS)) return 1;
            if (policy_values(m, device, link, server, history, values) != 0) return 2;
            for (int n = 0; n <= m; n++) printf("%.9g ", values[n]);
            printf("%d\n", policy_decide(m, device, link, server, history));
        }
        if (policy_decide(0, device, link, server, history) != -1) return 3;
        return policy_decide(M + 1, device, link, server, history) != -1;
    }
"#;

/// A checkpoint of a network, with features of links and servers or without.
fn network(link: &[(&str, f64)], server: &[(&str, f64)]) -> (StoredSetNetwork, Vec<u8>) {
    let inputs = SetInputs {
        observation: "Set".to_owned(),
        device: Columns::new([("a", 0.5), ("b", 1.0), ("c", 4.0)]),
        link: Columns::new(link.iter().copied()),
        server: Columns::new(server.iter().copied()),
        history_scale: 3.0,
        history_slots: HISTORY_SLOTS,
    };
    let spec = SetNetworkSpec::new("x", inputs.clone(), WIDTHS, "");
    let mut rng = stream(1, 0);
    let initial = Initial::Normal { weights: 0.4, biases: 0.1 };
    let mut parameters: Vec<f32> = spec.shape.initial(initial, &mut rng);
    parameters.iter_mut().for_each(|parameter| *parameter += rng.random_range(-0.1..0.1));
    let mut checkpoint = spec.describe(Stage::Deployed);
    spec.put(&mut checkpoint, "", &parameters);
    let stored = StoredSetNetwork { shape: spec.shape, inputs, parameters };
    (stored, checkpoint.to_bytes().unwrap())
}

fn both() -> [(StoredSetNetwork, Vec<u8>); 2] {
    [network(&[("d", 2.0), ("e", 0.25)], &[("f", 8.0)]), network(&[], &[])]
}

/// A slot of some rows, unscaled.
struct Slot {
    servers: usize,
    rows: usize,
    device: Vec<f64>,
    link: Vec<f64>,
    server: Vec<f64>,
    history: Vec<f64>,
}

impl Slot {
    fn draw(shape: &SetShape, servers: usize, rows: usize) -> Self {
        let mut rng = stream(2, servers as u64);
        let mut numbers =
            |count: usize| -> Vec<f64> { (0..count).map(|_| rng.random_range(0.0..4.0)).collect() };
        Self {
            servers,
            rows,
            device: numbers(rows * shape.device_features),
            link: numbers(rows * servers * shape.link_features),
            server: numbers(servers * shape.server_features),
            history: numbers(servers * HISTORY_SLOTS),
        }
    }

    /// Q of all rows, as the network computes it.
    fn values(&self, network: &StoredSetNetwork) -> Vec<f32> {
        let StoredSetNetwork { shape, inputs, parameters } = network;
        let scaled = |columns: &Columns, numbers| {
            let mut scaled = Vec::new();
            columns.scale(numbers, &mut scaled);
            scaled
        };
        let history = Columns::new([("history", f64::from(inputs.history_scale))]);
        let batch = SetBatch {
            servers: &[self.servers as u32],
            loads: &scaled(&history, &self.history),
            server_features: &scaled(&inputs.server, &self.server),
            slot_of: &vec![0; self.rows],
            device_features: &scaled(&inputs.device, &self.device),
            link_features: &scaled(&inputs.link, &self.link),
        };
        let mut values = vec![0.0; self.rows * (1 + self.servers)];
        SetDecider::new(*shape).decide(parameters, &batch, &mut values);
        values
    }
}

fn assert_close(ours: &[f32], theirs: &[f32], tolerance: f32) {
    assert_eq!(ours.len(), theirs.len());
    let close = ours.iter().zip(theirs).all(|(a, b)| (a - b).abs() < tolerance);
    assert!(close, "{ours:?} {theirs:?}");
}

#[test]
fn exported_c_has_the_values_of_the_network_for_any_number_of_servers() {
    for (format, tolerance) in [("c", 1e-5), ("c-int8", 0.2)] {
        for (number, (network, checkpoint)) in both().into_iter().enumerate() {
            let files = export_set("x", &checkpoint, &request(format, 0), &MEANINGS).unwrap();
            let slots = [1, 2, 5, 20].map(|servers| Slot::draw(&network.shape, servers, 10));
            let (mut rows, mut expected) = (Vec::new(), Vec::new());
            for slot in &slots {
                let own = slot.values(&network);
                for (row, values) in own.chunks_exact(1 + slot.servers).enumerate() {
                    let part = |numbers: &[f64]| {
                        let each = numbers.len() / slot.rows;
                        numbers[row * each..(row + 1) * each].to_vec()
                    };
                    let (device, link) = (part(&slot.device), part(&slot.link));
                    let parts = [device, link, slot.server.clone(), slot.history.clone()].concat();
                    let servers = std::iter::once(slot.servers as f32);
                    rows.push(servers.chain(parts.iter().map(|&x| x as f32)).collect());
                    expected.push(values.to_vec());
                }
            }
            let name = format!("offramp-exported-set-{format}-{number}");
            let theirs = printed(&name, MAIN, &files, &rows);
            assert_eq!(theirs.len(), expected.len());
            for (ours, theirs) in expected.iter().zip(theirs) {
                let (values, decision) = theirs.split_at(ours.len());
                assert_close(ours, values, tolerance);
                assert_eq!(decision, [argmax(values) as f32]);
            }
        }
    }
}

/// Drawn with the same uniform numbers, decisions are those of the softmax of the values.
#[test]
fn exported_c_draws_where_decisions_are_drawn() {
    let (network, checkpoint) = network(&[("d", 2.0)], &[]);
    let mut checkpoint = Checkpoint::from_bytes(&checkpoint).unwrap();
    checkpoint.metadata.insert(TEMPERATURE.to_owned(), "0.5".to_owned());
    let files =
        export_set("x", &checkpoint.to_bytes().unwrap(), &request("c", 0), &MEANINGS).unwrap();
    let header = String::from_utf8(files[0].bytes.clone()).unwrap();
    assert!(header.contains("e^(value / 0.5)") && !header.contains("policy_decide"), "{header}");
    let slot = Slot::draw(&network.shape, 3, 1);
    let parts = [&slot.device, &slot.link, &slot.server, &slot.history].map(Vec::as_slice);
    let row: Vec<f32> =
        std::iter::once(3.0).chain(parts.concat().iter().map(|&x| x as f32)).collect();
    let mut policy = Vec::new();
    softmax(slot.values(&network).iter().map(|value| value / 0.5), &mut policy);
    let mut drawn = Vec::new();
    for uniform in [0.0_f32, 0.2, 0.4, 0.6, 0.8, 0.99] {
        let call = format!("history, {uniform:.3}f)");
        let main = MAIN.replace("policy_decide", "policy_draw");
        let main = main.replace("link, server, history)", &format!("link, server, {call}"));
        let name = format!("offramp-exported-set-drawn-{uniform}");
        let theirs = printed(&name, &main, &files, std::slice::from_ref(&row));
        let mut left = uniform;
        let expected = policy.iter().position(|p| {
            left -= p;
            left < 0.0
        });
        assert_eq!(theirs[0].last(), Some(&(expected.unwrap() as f32)), "{policy:?}");
        drawn.push(expected.unwrap());
    }
    assert!(drawn.iter().any(|action| *action != drawn[0]), "{policy:?}");
}

#[test]
fn exported_onnx_has_the_values_of_the_network_for_any_number_of_servers() {
    for (network, checkpoint) in both() {
        let files = export_set("x", &checkpoint, &request("onnx", 0), &MEANINGS).unwrap();
        let model = ModelOptions::with_all_ops().load(files[0].bytes.clone()).unwrap();
        let StoredSetNetwork { shape, .. } = &network;
        for (servers, rows) in [(1, 1), (2, 3), (5, 1), (20, 7)] {
            let slot = Slot::draw(shape, servers, rows);
            let inputs = [
                ("device", &slot.device, vec![rows, shape.device_features]),
                ("link", &slot.link, vec![rows, servers, shape.link_features]),
                ("server", &slot.server, vec![servers, shape.server_features]),
                ("history", &slot.history, vec![HISTORY_SLOTS, servers]),
            ];
            let numbers = inputs.each_ref().map(|(_, numbers, _)| {
                numbers.iter().map(|&number| number as f32).collect::<Vec<_>>()
            });
            let given = inputs.iter().zip(&numbers).filter(|(_, numbers)| !numbers.is_empty());
            let given = given.map(|((name, _, shape), numbers)| {
                let view = ValueView::from_shape(shape.as_slice(), numbers.as_slice()).unwrap();
                (model.node_id(name).unwrap(), view.into())
            });
            let output = model.node_id("values").unwrap();
            let [values] = model.run_n(given.collect(), [output], None).unwrap();
            let (found, values) = values.into_shape_vec::<f32, 2>().unwrap();
            assert_eq!(found, [rows, 1 + servers]);
            assert_close(&slot.values(&network), &values, 1e-5);
        }
    }
}

#[test]
fn every_format_writes_files_with_a_note() {
    let (_, checkpoint) = network(&[("d", 2.0), ("e", 0.25)], &[("f", 8.0)]);
    for (format, expected) in FORMATS.iter().zip([
        ("c", 2, "1232 bytes of constants (flash), 856 bytes of stack"),
        ("c-int8", 2, "525 bytes of constants (flash), 856 bytes of stack"),
        (
            "onnx",
            1,
            "inputs device (N x D), link (N x M x T), server (M x S) and history (K x M), \
             unscaled, those of no features left out; output values (N x (1 + M))",
        ),
    ]) {
        let files = export_set("x", &checkpoint, &request(format.name, 0), &MEANINGS).unwrap();
        let note = files.last().unwrap().note.as_str();
        assert_eq!((format.name, files.len(), note), expected);
    }
    let refused =
        export_set("x", &checkpoint, &request("c", 1), &MEANINGS).unwrap_err().to_string();
    assert_eq!(refused, "has 1 network, network 0; network 1 does not exist");
    assert!(export_set("y", &checkpoint, &request("c", 0), &MEANINGS).is_err());
    assert!(export_set("x", &checkpoint, &request("elf", 0), &MEANINGS).is_err());
    assert!(export("x", &checkpoint, &request("c", 0)).is_err());
}

/// Sizes that the project aims at fit into 12 kB of constants.
#[test]
fn a_network_of_the_size_that_is_trained_is_small() {
    let numbered = |kind: &str, count: usize| -> Columns {
        let names: Vec<String> = (0..count).map(|number| format!("{kind}{number}")).collect();
        Columns::new(names.iter().map(|name| (name.as_str(), 1.0)))
    };
    let inputs = SetInputs {
        observation: "Set".to_owned(),
        device: numbered("d", 12),
        link: numbered("l", 7),
        server: numbered("s", 3),
        history_scale: 1.0,
        history_slots: 10,
    };
    let widths = SetWidths { lstm: 8, embedding: 24, hidden: 16 };
    let spec = SetNetworkSpec::new("x", inputs, widths, "");
    let mut checkpoint = spec.describe(Stage::Deployed);
    spec.put(&mut checkpoint, "", &vec![0.5; spec.shape.parameters()]);
    let checkpoint = checkpoint.to_bytes().unwrap();
    let note =
        export_set("x", &checkpoint, &request("c", 0), &MEANINGS).unwrap().pop().unwrap().note;
    assert_eq!(note, "9992 bytes of constants (flash), 2620 bytes of stack");
}

/// Whoever reads an exported network learns what it was trained on.
#[test]
fn every_export_states_its_origin() {
    let (_, checkpoint) = network(&[("d", 2.0), ("e", 0.25)], &[]);
    let files = export_set("x", &checkpoint, &request("c", 0), &MEANINGS).unwrap();
    let header = String::from_utf8(files[0].bytes.clone()).unwrap();
    for line in [
        "   1 to POLICY_MAX_SERVERS. No allocation, no state. For every device; of a checkpoint of `x`.",
        "   D: the deadline, slots.",
        "     1  a, 0.5",
        "          slots of sending, over D",
        "     2  e, 0.25",
        "   A load: devices over the share of their server.",
        "          none; the pointer is not read",
        "#define POLICY_OBSERVATION \"Set\"",
        "#define POLICY_DEVICE_FEATURE_NAMES \"a\", \"b\", \"c\"",
        "#define POLICY_LINK_FEATURE_SCALES 2e0f, 2.5e-1f",
        "#define POLICY_SERVER_FEATURES 0",
        "#define POLICY_HISTORY_SCALE 3e0f",
    ] {
        assert!(header.lines().any(|found| found == line), "{line} in {header}");
    }
    assert_eq!(header.matches('{').count(), 1, "{header}");
}

/// What ONNX can't carry out, its metadata state.
#[test]
fn exported_onnx_states_meanings_and_how_to_decide() {
    let (_, checkpoint) = network(&[("d", 2.0)], &[("f", 8.0)]);
    let text = |checkpoint: &Checkpoint| {
        let bytes = checkpoint.to_bytes().unwrap();
        let files = export_set("x", &bytes, &request("onnx", 0), &MEANINGS).unwrap();
        String::from_utf8_lossy(&files[0].bytes).into_owned()
    };
    let mut checkpoint = Checkpoint::from_bytes(&checkpoint).unwrap();
    let found = text(&checkpoint);
    for stated in [
        "a: slots of sending, over D",
        "f: a share, 0 to 1",
        MEANINGS.load,
        MEANINGS.terms[0],
        "take the action of the largest value",
    ] {
        assert!(found.contains(stated), "{stated}");
    }
    checkpoint.metadata.insert(TEMPERATURE.to_owned(), "0.5".to_owned());
    assert!(text(&checkpoint).contains("draw an action, each in proportion to e^(value / 0.5)"));
}
