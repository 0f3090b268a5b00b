//! The sizes of a network, and where each of its parameters is.

#[cfg(doc)]
use crate::gate::Gate;
#[cfg(doc)]
use crate::head::{FIRST_ADVANTAGE_COLUMN, VALUE_COLUMN};
use crate::layer::{Layer, Layout, Tensor};

/// The sizes of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// F: features of o.
    pub features: usize,
    /// M: width of a row of history.
    pub servers: usize,
    /// K: rows of history, at least 1.
    pub history_slots: usize,
    /// H: width of the LSTM and of both dense layers, at least 1.
    pub hidden: usize,
}

/// The layers of a network, in the order of its parameters.
#[derive(Clone, Debug)]
pub(crate) struct Layers {
    /// M + H inputs: the load of each server, then the last output; 4H outputs, see [`Gate`].
    pub(crate) lstm: Layer,
    /// F + H inputs: the features, then the LSTM's output.
    pub(crate) dense_1: Layer,
    pub(crate) dense_2: Layer,
    /// 2 + M outputs: [`VALUE_COLUMN`], then an advantage per action from
    /// [`FIRST_ADVANTAGE_COLUMN`] on.
    pub(crate) head: Layer,
}

impl Shape {
    /// 1 + M: Q has a column for each action.
    pub fn actions(&self) -> usize {
        self.servers + 1
    }

    /// K · M: numbers of a window of history.
    pub fn window(&self) -> usize {
        self.history_slots * self.servers
    }

    pub(crate) fn layers(&self) -> Layers {
        let Self { features, servers, hidden, .. } = *self;
        let mut layout = Layout::default();
        Layers {
            lstm: layout.layer(["lstm.weight", "lstm.bias"], servers + hidden, 4 * hidden),
            dense_1: layout.layer(["dense_1.weight", "dense_1.bias"], features + hidden, hidden),
            dense_2: layout.layer(["dense_2.weight", "dense_2.bias"], hidden, hidden),
            head: layout.layer(["head.weight", "head.bias"], hidden, 2 + servers),
        }
    }

    /// The parts of the parameters, in order: weight and bias of the LSTM, of both dense layers
    /// and of the head.
    ///
    /// Columns of the LSTM: the gates i, j (candidate), f (to which 1 is added), o, H each; its
    /// rows: the load of each server, then the last output. Rows of the first dense layer: the
    /// features, then the LSTM's output. Columns of the head: the value, then an advantage for
    /// each action.
    pub fn tensors(&self) -> [Tensor; 8] {
        let Layers { lstm, dense_1, dense_2, head } = self.layers();
        [
            lstm.weight,
            lstm.bias,
            dense_1.weight,
            dense_1.bias,
            dense_2.weight,
            dense_2.bias,
            head.weight,
            head.bias,
        ]
    }

    /// Number of parameters of one network:
    /// 4H(M+H+1) + H(H+F+1) + H(H+1) + (H+1) + (1+M)(H+1).
    pub fn parameters(&self) -> usize {
        self.layers().head.bias.range.end
    }

    /// Floating-point operations of one forward pass for one row; a multiply-add counts two.
    pub fn forward_operations(&self) -> usize {
        let Self { features, servers, history_slots, hidden } = *self;
        let lstm = history_slots * 4 * hidden * (servers + hidden);
        2 * (lstm + hidden * (features + hidden) + hidden * hidden + hidden * (2 + servers))
    }
}
