//! ONNX for networks over servers: all rows of one slot, of any number of rows N and servers M.
//!
//! ```text
//! device   N × D      features of the task and the device, unscaled
//! link     N × M × T  features of the device and each server, unscaled; left out where T is 0
//! server   M × S      features of each server, unscaled; left out where S is 0
//! history  K × M      the loads of the last K slots, the oldest first, unscaled
//! values   N × (1+M)  Q of every action
//! ```
//!
//! The metadata state the meaning of each feature and how values become an action, as header files do.
//! N, M and 1 + M are symbolic dimensions, `N`, `M` and `actions`.

use super::onnx::Setting::{One, Several};
use super::onnx::{Graph, Size, bytes, value};
use super::{ExportedFile, SetNetwork};
use crate::head::{FIRST_ADVANTAGE_COLUMN, VALUE_COLUMN};
use crate::set::{Columns, EmbedRows, HiddenRows, SetLayers, SetShape};

/// The file.
pub(super) fn files(network: &SetNetwork<'_>) -> Vec<ExportedFile> {
    let note = "inputs device (N x D), link (N x M x T), server (M x S) and history (K x M), \
                unscaled, those of no features left out; output values (N x (1 + M))";
    let name = format!("{}.onnx", network.origin.name);
    vec![ExportedFile { name, bytes: model(network), note: note.to_owned() }]
}

/// The bytes of the file.
fn model(network: &SetNetwork<'_>) -> Vec<u8> {
    let SetNetwork { shape, inputs, parameters, origin, .. } = network;
    let SetLayers { lstm, embed, hidden, head, server_head } = shape.layers();
    let SetShape { lstm: outputs, embedding, hidden: width, .. } = **shape;
    let sizes = |columns: &Columns| Size::Fixed(columns.len() as i64);
    let (rows, servers) = (Size::Open("N"), Size::Open("M"));
    let slots = Size::Fixed(shape.history_slots as i64);
    let mut graph = Graph::policy(Vec::new(), value("values", &[rows, Size::Open("actions")]));
    let all: [&[Size]; 3] = [
        &[rows, sizes(&inputs.device)],
        &[rows, servers, sizes(&inputs.link)],
        &[servers, sizes(&inputs.server)],
    ];
    for ((kind, columns), shape) in inputs.columns().into_iter().zip(all) {
        if !columns.is_empty() {
            graph.inputs.push(value(kind, shape));
            let scale = format!("{kind}_scale");
            graph.floats(&scale, &[columns.len() as i64], columns.scales.iter().copied());
            graph.apply("Div", &[kind, &scale], &[&format!("scaled_{kind}")], &[]);
        }
    }
    graph.inputs.push(value("history", &[slots, servers]));
    graph.floats("history_scale", &[1], [inputs.history_scale]);
    graph.apply("Div", &["history", "history_scale"], &["scaled_history"], &[]);

    // M sequences of one number.
    graph.integers("middle_axis", &[1]);
    graph.integers("last_axis", &[2]);
    graph.apply("Unsqueeze", &["scaled_history", "last_axis"], &["loads"], &[]);
    graph.lstm([1, outputs], lstm.weights(parameters), lstm.biases(parameters));

    // e, N × M × E: what it takes of servers (M × E), of devices (N × 1 × E), of both.
    let EmbedRows { server, link, device } = shape.embed_rows();
    let part = |rows| parameters[embed.rows(&rows)].iter().copied();
    let size = embedding as i64;
    graph.floats("embed_server", &[shape.server_inputs() as i64, size], part(server));
    let server_inputs = if inputs.server.is_empty() {
        "lstm_output"
    } else {
        let parts = ["lstm_output", "scaled_server"];
        graph.apply("Concat", &parts, &["server_inputs"], &[("axis", One(1))]);
        "server_inputs"
    };
    graph.apply("MatMul", &[server_inputs, "embed_server"], &["of_servers"], &[]);
    graph.floats("embed_device", &[inputs.device.len() as i64, size], part(device));
    graph.floats("embed_bias", &[size], embed.biases(parameters).iter().copied());
    let of_device = ["scaled_device", "embed_device", "embed_bias"];
    graph.apply("Gemm", &of_device, &["of_device"], &[]);
    graph.apply("Unsqueeze", &["of_device", "middle_axis"], &["of_devices"], &[]);
    graph.apply("Add", &["of_servers", "of_devices"], &["of_both"], &[]);
    let sums = if inputs.link.is_empty() {
        "of_both"
    } else {
        graph.floats("embed_link", &[inputs.link.len() as i64, size], part(link));
        graph.apply("MatMul", &["scaled_link", "embed_link"], &["of_links"], &[]);
        graph.apply("Add", &["of_links", "of_both"], &["embedding_sums"], &[]);
        "embedding_sums"
    };
    graph.apply("Relu", &[sums], &["embedded"], &[]);
    let over_servers = [("axes", Several(&[1])), ("keepdims", One(0))];
    graph.apply("ReduceMean", &["embedded"], &["mean"], &over_servers);
    graph.apply("ReduceMax", &["embedded"], &["most"], &over_servers);

    // The hidden layer of computing locally, N × H, and of servers, N × M × H.
    let HiddenRows { embedding: of_embedding, context: of_context } = shape.hidden_rows();
    let part = |rows| parameters[hidden.rows(&rows)].iter().copied();
    let context = ["scaled_device", "mean", "most"];
    graph.apply("Concat", &context, &["context"], &[("axis", One(1))]);
    let size = width as i64;
    graph.floats("hidden_context", &[shape.context() as i64, size], part(of_context));
    graph.floats("hidden_bias", &[size], hidden.biases(parameters).iter().copied());
    let of_context = ["context", "hidden_context", "hidden_bias"];
    graph.apply("Gemm", &of_context, &["of_context"], &[]);
    graph.apply("Relu", &["of_context"], &["local"], &[]);
    graph.floats("hidden_embedding", &[embedding as i64, size], part(of_embedding));
    graph.apply("MatMul", &["embedded", "hidden_embedding"], &["of_embeddings"], &[]);
    graph.apply("Unsqueeze", &["of_context", "middle_axis"], &["of_contexts"], &[]);
    graph.apply("Add", &["of_embeddings", "of_contexts"], &["hidden_sums"], &[]);
    graph.apply("Relu", &["hidden_sums"], &["hidden"], &[]);

    // V, A and Q, eq. (15).
    const { assert!(VALUE_COLUMN == 0 && FIRST_ADVANTAGE_COLUMN == 1) }
    graph.dense(&head, parameters, "local", "head");
    graph.integers("one_each", &[1, 1]);
    let parts = ["value", "local_advantage"];
    graph.apply("Split", &["head", "one_each"], &parts, &[("axis", One(1))]);
    let weights = server_head.weights(parameters).iter().copied();
    graph.floats("server_head_weight", &[size, 1], weights);
    graph.floats("server_head_bias", &[1], server_head.biases(parameters).iter().copied());
    graph.apply("MatMul", &["hidden", "server_head_weight"], &["server_sums"], &[]);
    graph.apply("Add", &["server_sums", "server_head_bias"], &["server_column"], &[]);
    graph.apply("Squeeze", &["server_column", "last_axis"], &["server_advantages"], &[]);
    let all = ["local_advantage", "server_advantages"];
    graph.apply("Concat", &all, &["advantages"], &[("axis", One(1))]);
    graph.relative_to_mean();
    bytes(graph, &origin.facts)
}
