//! The sizes of a network over servers, and where each of its parameters is.

use std::ops::Range;

#[cfg(doc)]
use crate::gate::Gate;
use crate::initial::{Initial, draw};
use crate::layer::{Layer, Layout, Tensor};
use crate::real::Real;

/// The sizes of a network over servers. None of them is a number of servers or devices.
///
/// 12 device, 7 link and 3 server features, 10 slots of history, L = 8, E = 24 and H = 16 make
/// 2,475 parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetShape {
    /// D: features of a row's task and device, at least 1.
    pub device_features: usize,
    /// Features of a row's device and each server: its rate, its backlog there.
    pub link_features: usize,
    /// Features of each server.
    pub server_features: usize,
    /// K: slots of history, at least 1.
    pub history_slots: usize,
    /// L: width of the LSTM, at least 1.
    pub lstm: usize,
    /// E: width of the embedding of a server, at least 1.
    pub embedding: usize,
    /// H: width of the hidden layer, at least 1.
    pub hidden: usize,
}

/// The layers of a network over servers, in the order of its parameters.
#[derive(Clone, Debug)]
pub(crate) struct SetLayers {
    /// 1 + L inputs: the load, then the last output; 4L outputs, see [`Gate`].
    pub(crate) lstm: Layer,
    /// To E. Its inputs are those of [`EmbedRows`].
    pub(crate) embed: Layer,
    /// To H. Its inputs are those of [`HiddenRows`].
    pub(crate) hidden: Layer,
    /// From the hidden layer of computing locally: V, then its advantage.
    pub(crate) head: Layer,
    /// From the hidden layer of a server: its advantage.
    pub(crate) server_head: Layer,
}

/// The parts of the first weights of a server's embedding, as ranges of their rows.
pub(crate) struct EmbedRows {
    /// The LSTM's last output, then the server's features.
    pub(crate) server: Range<usize>,
    pub(crate) link: Range<usize>,
    pub(crate) device: Range<usize>,
}

/// The parts of the weights of the hidden layer, as ranges of their rows.
pub(crate) struct HiddenRows {
    /// The embedding of the action's server; that of computing locally is zero.
    pub(crate) embedding: Range<usize>,
    /// The device's features, then mean and maximum of all embeddings.
    pub(crate) context: Range<usize>,
}

impl SetShape {
    pub(crate) fn layers(&self) -> SetLayers {
        let Self { lstm, embedding, hidden, .. } = *self;
        let mut layout = Layout::default();
        let (embed_inputs, hidden_inputs) =
            (self.embed_rows().device.end, self.hidden_rows().context.end);
        SetLayers {
            lstm: layout.layer(["lstm.weight", "lstm.bias"], 1 + lstm, 4 * lstm),
            embed: layout.layer(["embed.weight", "embed.bias"], embed_inputs, embedding),
            hidden: layout.layer(["hidden.weight", "hidden.bias"], hidden_inputs, hidden),
            head: layout.layer(["head.weight", "head.bias"], hidden, 2),
            server_head: layout.layer(["server_head.weight", "server_head.bias"], hidden, 1),
        }
    }

    /// L and the server's features: numbers that an embedding takes of the server alone.
    pub(crate) fn server_inputs(&self) -> usize {
        self.lstm + self.server_features
    }

    /// D and two embeddings: numbers that the hidden layer of a row takes, whatever the action.
    pub(crate) fn context(&self) -> usize {
        self.device_features + 2 * self.embedding
    }

    pub(crate) fn embed_rows(&self) -> EmbedRows {
        let server = 0..self.server_inputs();
        let link = server.end..server.end + self.link_features;
        let device = link.end..link.end + self.device_features;
        EmbedRows { server, link, device }
    }

    pub(crate) fn hidden_rows(&self) -> HiddenRows {
        let embedding = 0..self.embedding;
        HiddenRows { context: embedding.end..embedding.end + self.context(), embedding }
    }

    /// The parts of the parameters, in order: weight and bias of the LSTM, of the embedding, of
    /// the hidden layer, of the head of a row and of that of a server.
    ///
    /// Columns of the LSTM: the gates i, j (candidate), f (to which 1 is added), o, L each; its
    /// rows: the load, then the last output. Rows of the embedding: the LSTM's output, the features
    /// of server, link and device. Rows of the hidden layer: the action's embedding, the features
    /// of the device, mean and maximum of all embeddings. Columns of the head: V, then the
    /// advantage of computing locally.
    pub fn tensors(&self) -> [Tensor; 10] {
        let SetLayers { lstm, embed, hidden, head, server_head } = self.layers();
        [
            lstm.weight,
            lstm.bias,
            embed.weight,
            embed.bias,
            hidden.weight,
            hidden.bias,
            head.weight,
            head.bias,
            server_head.weight,
            server_head.bias,
        ]
    }

    /// Number of parameters, with D, S and T features of device, server and link:
    /// 4L(L+2) + E(L+S+T+D+1) + H(3E+D+1) + 2(H+1) + (H+1).
    pub fn parameters(&self) -> usize {
        self.layers().server_head.bias.range.end
    }

    /// Floating-point operations of one forward pass for one row in a slot of `servers` servers; a
    /// multiply-add counts two.
    pub fn forward_operations(&self, servers: usize) -> usize {
        let Self { device_features, link_features, history_slots, lstm, embedding, hidden, .. } =
            *self;
        let of_server = history_slots * 4 * lstm * (1 + lstm)
            + embedding * (self.server_inputs() + link_features)
            + hidden * (embedding + 1);
        let of_row = embedding * device_features + hidden * (self.context() + 2);
        2 * (servers * of_server + of_row)
    }

    /// Draws its parameters, as [`initial_parameters`](crate::initial_parameters) does.
    pub fn initial<F: Real>(&self, initial: Initial, rng: &mut impl rand::Rng) -> Vec<F> {
        draw(&self.tensors(), initial, rng)
    }
}
