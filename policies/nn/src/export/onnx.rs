//! ONNX: one file for any runtime that reads the format.
//!
//! ```text
//! features  N × F      o, unscaled
//! history   N × K × M  the loads of the last K slots, the oldest first, unscaled
//! values    N × (1+M)  Q of every action
//! ```
//!
//! The file's metadata has all facts of the [`Origin`](super::Origin), under the same keys: what
//! runs the network can hold its inputs to them.
//!
//! The messages are the few parts of onnx.proto that a network needs.

use std::collections::BTreeMap;

use prost::Message;

use super::{ExportedFile, Format, Network, set_onnx};
use crate::gate::{FORGET_BIAS, Gate};
use crate::head::{FIRST_ADVANTAGE_COLUMN, VALUE_COLUMN};
use crate::layer::Layer;
use crate::shape::Layers;

pub(super) const FORMAT: Format = Format {
    name: "onnx",
    about: "NAME.onnx, operator set 13",
    write: |network| {
        let note =
            "inputs features (N x F) and history (N x K x M), unscaled; output values".to_owned();
        let name = format!("{}.onnx", network.origin.name);
        vec![ExportedFile { name, bytes: model(network), note }]
    },
    write_set: set_onnx::files,
};

#[derive(Clone, PartialEq, Message)]
struct Model {
    #[prost(int64, tag = "1")]
    ir_version: i64,
    #[prost(string, tag = "2")]
    producer_name: String,
    #[prost(message, optional, tag = "7")]
    graph: Option<Graph>,
    #[prost(message, repeated, tag = "8")]
    operator_sets: Vec<OperatorSet>,
    #[prost(message, repeated, tag = "14")]
    metadata: Vec<Fact>,
}

#[derive(Clone, PartialEq, Message)]
struct Fact {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct OperatorSet {
    #[prost(string, tag = "1")]
    domain: String,
    #[prost(int64, tag = "2")]
    version: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Graph {
    #[prost(message, repeated, tag = "1")]
    nodes: Vec<Node>,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(message, repeated, tag = "5")]
    constants: Vec<Tensor>,
    #[prost(message, repeated, tag = "11")]
    pub(super) inputs: Vec<Value>,
    #[prost(message, repeated, tag = "12")]
    outputs: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Node {
    #[prost(string, repeated, tag = "1")]
    inputs: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    outputs: Vec<String>,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(string, tag = "4")]
    operator: String,
    #[prost(message, repeated, tag = "5")]
    attributes: Vec<Attribute>,
}

#[derive(Clone, PartialEq, Message)]
struct Attribute {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(int64, optional, tag = "3")]
    number: Option<i64>,
    #[prost(int64, repeated, packed = "false", tag = "8")]
    numbers: Vec<i64>,
    #[prost(int32, tag = "20")]
    kind: i32,
}

/// Kind of an attribute that is one integer.
const NUMBER: i32 = 2;
/// Kind of an attribute that is a list of integers.
const NUMBERS: i32 = 7;

#[derive(Clone, PartialEq, Message)]
struct Tensor {
    #[prost(int64, repeated, packed = "false", tag = "1")]
    shape: Vec<i64>,
    #[prost(int32, tag = "2")]
    kind: i32,
    #[prost(string, tag = "8")]
    name: String,
    #[prost(bytes = "vec", tag = "9")]
    bytes: Vec<u8>,
}

/// A tensor of f32.
const FLOAT: i32 = 1;
/// A tensor of i64.
const INT64: i32 = 7;

#[derive(Clone, PartialEq, Message)]
pub(super) struct Value {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    kind: Option<Type>,
}

#[derive(Clone, PartialEq, Message)]
struct Type {
    #[prost(message, optional, tag = "1")]
    tensor: Option<TensorType>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorType {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<TensorShape>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorShape {
    #[prost(message, repeated, tag = "1")]
    dimensions: Vec<Dimension>,
}

#[derive(Clone, PartialEq, Message)]
struct Dimension {
    #[prost(int64, optional, tag = "1")]
    size: Option<i64>,
    #[prost(string, optional, tag = "2")]
    name: Option<String>,
}

/// The newest operator set that every runtime of the last years has.
const OPERATOR_SET: i64 = 13;
/// The version of the file format that came with it.
const FILE_FORMAT: i64 = 7;

/// The value of an attribute.
pub(super) enum Setting<'a> {
    One(i64),
    Several(&'a [i64]),
}

use Setting::{One, Several};

/// The bytes of the file.
fn model(network: &Network<'_>) -> Vec<u8> {
    let Network { shape, scaling, parameters, origin } = network;
    let Layers { lstm, dense_1, dense_2, head } = shape.layers();
    let (slots, servers) = (shape.history_slots as i64, shape.servers as i64);
    let features = shape.features as i64;
    let inputs = vec![rows("features", &[features]), rows("history", &[slots, servers])];
    let mut graph = Graph::policy(inputs, rows("values", &[servers + 1]));
    graph.floats("feature_scale", &[features], scaling.features.iter().copied());
    graph.floats("history_scale", &[1], [scaling.history]);
    graph.apply("Div", &["features", "feature_scale"], &["scaled_features"], &[]);
    graph.apply("Div", &["history", "history_scale"], &["scaled_history"], &[]);
    let slots_first = [("perm", Several(&[1, 0, 2]))];
    graph.apply("Transpose", &["scaled_history"], &["loads"], &slots_first);
    graph.lstm([shape.servers, shape.hidden], lstm.weights(parameters), lstm.biases(parameters));
    graph.apply("Concat", &["scaled_features", "lstm_output"], &["joined"], &[("axis", One(1))]);
    graph.dense(&dense_1, parameters, "joined", "dense_1_sums");
    graph.apply("Relu", &["dense_1_sums"], &["dense_1"], &[]);
    graph.dense(&dense_2, parameters, "dense_1", "dense_2_sums");
    graph.apply("Relu", &["dense_2_sums"], &["dense_2"], &[]);
    graph.dense(&head, parameters, "dense_2", "head");
    graph.duel(servers + 1);
    bytes(graph, &origin.facts)
}

/// The bytes of a file with these facts of its origin.
pub(super) fn bytes(graph: Graph, facts: &BTreeMap<String, String>) -> Vec<u8> {
    let facts = facts.clone().into_iter();
    let model = Model {
        ir_version: FILE_FORMAT,
        producer_name: "offramp".to_owned(),
        graph: Some(graph),
        operator_sets: vec![OperatorSet { domain: String::new(), version: OPERATOR_SET }],
        metadata: facts.map(|(key, value)| Fact { key, value }).collect(),
    };
    model.encode_to_vec()
}

impl Graph {
    /// A graph of these inputs and this output, without nodes.
    pub(super) fn policy(inputs: Vec<Value>, output: Value) -> Self {
        let name = "policy".to_owned();
        Self { name, inputs, outputs: vec![output], ..Self::default() }
    }

    /// The LSTM, of so many inputs and neurons, from `loads` (K × N × M) to `lstm_output` (N × H). ONNX has one row of a weight
    /// matrix per output, the gates in the order i, o, f, candidate, and two biases.
    pub(super) fn lstm(&mut self, [inputs, hidden]: [usize; 2], weights: &[f32], bias: &[f32]) {
        let order = [Gate::Input, Gate::Output, Gate::Forget, Gate::Candidate];
        let columns = || order.into_iter().flat_map(|gate| gate.columns(hidden));
        let transposed = |rows: std::ops::Range<usize>| {
            columns().flat_map(move |column| {
                rows.clone().map(move |row| weights[row * 4 * hidden + column])
            })
        };
        let gates = 4 * hidden as i64;
        let (width, size) = (inputs as i64, hidden as i64);
        self.floats("lstm_weight", &[1, gates, width], transposed(0..inputs));
        self.floats("lstm_recurrent", &[1, gates, size], transposed(inputs..inputs + hidden));
        let forget = Gate::Forget.columns(hidden);
        let biases = columns().map(|column| {
            bias[column] + if forget.contains(&column) { FORGET_BIAS as f32 } else { 0.0 }
        });
        let biases = biases.chain(std::iter::repeat_n(0.0, 4 * hidden));
        self.floats("lstm_bias", &[1, 2 * gates], biases);
        let inputs = ["loads", "lstm_weight", "lstm_recurrent", "lstm_bias"];
        self.apply("LSTM", &inputs, &["", "lstm_last"], &[("hidden_size", One(size))]);
        self.integers("directions", &[0]);
        self.apply("Squeeze", &["lstm_last", "directions"], &["lstm_output"], &[]);
    }

    /// The dueling head, eq. (15), from `head` to `values`.
    fn duel(&mut self, actions: i64) {
        const { assert!(VALUE_COLUMN == 0 && FIRST_ADVANTAGE_COLUMN == 1) }
        self.integers("one_and_actions", &[1, actions]);
        let (split, parts) = (["head", "one_and_actions"], ["value", "advantages"]);
        self.apply("Split", &split, &parts, &[("axis", One(1))]);
        self.relative_to_mean();
    }

    /// From `value` and `advantages` to `values`.
    pub(super) fn relative_to_mean(&mut self) {
        let over_actions = [("axes", Several(&[1])), ("keepdims", One(1))];
        self.apply("ReduceMean", &["advantages"], &["mean_advantage"], &over_actions);
        self.apply("Sub", &["advantages", "mean_advantage"], &["relative"], &[]);
        self.apply("Add", &["value", "relative"], &["values"], &[]);
    }

    pub(super) fn apply(
        &mut self,
        operator: &str,
        inputs: &[&str],
        outputs: &[&str],
        settings: &[(&str, Setting<'_>)],
    ) {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let attribute = |(name, setting): &(&str, Setting<'_>)| {
            let name = (*name).to_owned();
            match setting {
                One(number) => {
                    Attribute { name, number: Some(*number), numbers: Vec::new(), kind: NUMBER }
                }
                Several(numbers) => {
                    Attribute { name, number: None, numbers: numbers.to_vec(), kind: NUMBERS }
                }
            }
        };
        self.nodes.push(Node {
            inputs: owned(inputs),
            outputs: owned(outputs),
            name: outputs.last().map_or_else(String::new, |&name| name.to_owned()),
            operator: operator.to_owned(),
            attributes: settings.iter().map(attribute).collect(),
        });
    }

    /// `output = input · weights + bias`.
    pub(super) fn dense(&mut self, layer: &Layer, parameters: &[f32], input: &str, output: &str) {
        let [weight, bias] = ["weight", "bias"].map(|part| format!("{}_{part}", layer.name()));
        let (inputs, outputs) = (layer.inputs() as i64, layer.outputs() as i64);
        self.floats(&weight, &[inputs, outputs], layer.weights(parameters).iter().copied());
        self.floats(&bias, &[outputs], layer.biases(parameters).iter().copied());
        self.apply("Gemm", &[input, &weight, &bias], &[output], &[]);
    }

    pub(super) fn floats(
        &mut self,
        name: &str,
        shape: &[i64],
        values: impl IntoIterator<Item = f32>,
    ) {
        let bytes = values.into_iter().flat_map(f32::to_le_bytes).collect();
        let (name, shape) = (name.to_owned(), shape.to_vec());
        self.constants.push(Tensor { name, shape, kind: FLOAT, bytes });
    }

    pub(super) fn integers(&mut self, name: &str, values: &[i64]) {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let (name, shape) = (name.to_owned(), vec![values.len() as i64]);
        self.constants.push(Tensor { name, shape, kind: INT64, bytes });
    }
}

/// An input or output with one row per decision, N of them.
fn rows(name: &str, shape: &[i64]) -> Value {
    let sizes = shape.iter().map(|&size| Size::Fixed(size));
    value(name, &std::iter::once(Size::Open("N")).chain(sizes).collect::<Vec<_>>())
}

/// A dimension of an input or output.
#[derive(Clone, Copy, Debug)]
pub(super) enum Size {
    Fixed(i64),
    /// Any size, the same one under the same name.
    Open(&'static str),
}

/// An input or output.
pub(super) fn value(name: &str, shape: &[Size]) -> Value {
    let sizes = shape.iter().map(|&size| match size {
        Size::Fixed(size) => Dimension { size: Some(size), name: None },
        Size::Open(name) => Dimension { size: None, name: Some(name.to_owned()) },
    });
    let shape = TensorShape { dimensions: sizes.collect() };
    let tensor = TensorType { kind: FLOAT, shape: Some(shape) };
    Value { name: name.to_owned(), kind: Some(Type { tensor: Some(tensor) }) }
}
