//! From an observation to Q of every row.

use crate::decider::{Decider, Row};
use crate::inputs::Scaling;
use crate::shape::Shape;
use crate::window::window_of;

/// Scales what is observed and evaluates Q, with the buffers for both.
#[derive(Clone, Debug)]
pub struct QEvaluator {
    shape: Shape,
    decider: Decider,
    /// Scaled features of the last observation, rows × F.
    pub features: Vec<f32>,
    /// Scaled windows of the last observation, K × M each.
    pub histories: Vec<f32>,
}

impl QEvaluator {
    /// Buffers for networks of `shape`.
    pub fn new(shape: Shape) -> Self {
        let decider = Decider::new(shape);
        Self { shape, decider, features: Vec::new(), histories: Vec::new() }
    }

    /// Takes in unscaled features (rows × F) and histories (windows of K × M).
    pub fn observe(&mut self, scaling: &Scaling, features: &[f64], histories: &[f64]) {
        self.features.clear();
        scaling.scale_features(features, &mut self.features);
        self.histories.clear();
        scaling.scale_loads(histories, &mut self.histories);
    }

    /// Q of the last observation into `values`, rows × (1 + M), in the networks' scale.
    ///
    /// `devices` and `history_of` have the device and the window of each row (see
    /// [`window_of`]). `parameters` returns a network's by its number: with one network it
    /// decides for all rows, otherwise each device's for its own.
    ///
    /// # Panics
    /// If a slice does not have the length that the shape requires.
    pub fn evaluate<'w>(
        &mut self,
        networks: usize,
        parameters: impl Fn(usize) -> &'w [f32],
        devices: &[u32],
        history_of: &[u32],
        values: &mut [f32],
    ) {
        let Self { shape, decider, features, histories } = self;
        if networks == 1 && history_of.is_empty() {
            decider.decide_shared(parameters(0), features, &histories[..shape.window()], values);
            return;
        }
        let row = |row: usize| Row {
            parameters: parameters(devices[row] as usize % networks),
            features: &features[row * shape.features..(row + 1) * shape.features],
            history: window_of(histories, history_of, shape.window(), row),
        };
        decider.decide(devices.len(), row, values);
    }
}
