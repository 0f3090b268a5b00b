//! What a policy over servers observes: recorded in each of its checkpoints, for any number of
//! servers and devices.

use std::collections::BTreeMap;

use super::shape::SetShape;
use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::inputs::{
    TrainedInputs, expect_features, expect_history_slots, expect_observation, join, names,
    plain_name, scale_all, scale_of, scales_of,
};

/// Features of one kind, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Columns {
    /// Their names: letters, digits and underscores.
    pub names: Vec<String>,
    /// Their divisors, above 0, so that a network sees numbers of about one.
    pub scales: Vec<f32>,
}

impl Columns {
    /// Features with their divisors.
    pub fn new<'c>(columns: impl IntoIterator<Item = (&'c str, f64)>) -> Self {
        let of = |(name, scale): (&str, f64)| (name.to_owned(), scale as f32);
        let (names, scales) = columns.into_iter().map(of).unzip();
        Self { names, scales }
    }

    /// Number of features.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Appends the scaled features of any number of rows to `scaled`.
    pub fn scale(&self, features: &[f64], scaled: &mut Vec<f32>) {
        scale_all(&self.scales, features, scaled);
    }
}

/// The widths of a network over servers, see [`SetShape`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetWidths {
    /// L: width of the LSTM, at least 1.
    pub lstm: usize,
    /// E: width of the embedding of a server, at least 1.
    pub embedding: usize,
    /// H: width of the hidden layer, at least 1.
    pub hidden: usize,
}

/// Inputs of a policy over servers: kind and features of its observation, history, and their scales.
///
/// A checkpoint records it under `observation`, `device_features`, `device_scales`,
/// `link_features`, `link_scales`, `server_features`, `server_scales`, `history_scale` and
/// `history_slots`. Where one is used, all but the scales must be those of the scenario; its scales
/// replace the scenario's. Numbers of servers and devices are not part of it.
#[derive(Clone, Debug, PartialEq)]
pub struct SetInputs {
    /// The kind of the observation, as a scenario spells it.
    pub observation: String,
    /// D features of the task and the device, at least 1.
    pub device: Columns,
    /// T features of the device and each server.
    pub link: Columns,
    /// S features of each server.
    pub server: Columns,
    /// The divisor of all loads, above 0.
    pub history_scale: f32,
    /// K: slots of history, at least 1.
    pub history_slots: usize,
}

impl SetInputs {
    /// The shape of networks with these inputs.
    pub fn shape(&self, widths: SetWidths) -> SetShape {
        let SetWidths { lstm, embedding, hidden } = widths;
        SetShape {
            device_features: self.device.len(),
            link_features: self.link.len(),
            server_features: self.server.len(),
            history_slots: self.history_slots,
            lstm,
            embedding,
            hidden,
        }
    }

    /// The features by kind, as checkpoints and errors name them.
    pub(crate) fn columns(&self) -> [(&'static str, &Columns); 3] {
        [("device", &self.device), ("link", &self.link), ("server", &self.server)]
    }

    /// The inputs that a checkpoint records.
    ///
    /// # Errors
    /// [`CheckpointError::Unstated`] if it does not, [`CheckpointError::Mismatch`] for values out of
    /// their ranges.
    pub fn of(checkpoint: &Checkpoint) -> Result<Self, CheckpointError> {
        let columns = |kind: &str| -> Result<Columns, CheckpointError> {
            let names = names(checkpoint, &format!("{kind}_features"))?;
            let scales = scales_of(checkpoint, &format!("{kind}_scales"), names.len())?;
            Ok(Columns { names, scales })
        };
        let inputs = Self {
            observation: plain_name(checkpoint.fact("observation")?)?,
            device: columns("device")?,
            link: columns("link")?,
            server: columns("server")?,
            history_scale: scale_of(checkpoint.fact("history_scale")?)?,
            history_slots: checkpoint.size("history_slots")?,
        };
        if inputs.device.is_empty() {
            return Err(CheckpointError::Mismatch {
                found: "has no device features".to_owned(),
                wanted: "at least 1 is needed".to_owned(),
            });
        }
        Ok(inputs)
    }
}

impl TrainedInputs for SetInputs {
    fn record(&self, metadata: &mut BTreeMap<String, String>) {
        let facts = [
            ("observation".to_owned(), self.observation.clone()),
            ("history_scale".to_owned(), self.history_scale.to_string()),
            ("history_slots".to_owned(), self.history_slots.to_string()),
        ];
        metadata.extend(facts);
        for (kind, Columns { names, scales }) in self.columns() {
            metadata.insert(format!("{kind}_features"), names.join(","));
            metadata.insert(format!("{kind}_scales"), join(scales));
        }
    }

    fn of(checkpoint: &Checkpoint) -> Result<Self, CheckpointError> {
        Self::of(checkpoint)
    }

    fn expect(&self, trained: &Self) -> Result<(), CheckpointError> {
        expect_observation(&trained.observation, &self.observation)?;
        expect_history_slots(trained.history_slots, self.history_slots)?;
        for ((kind, there), (_, here)) in trained.columns().into_iter().zip(self.columns()) {
            expect_features(&format!("{kind} feature"), &there.names, &here.names)?;
        }
        Ok(())
    }

    fn take_scales(&mut self, trained: Self) {
        self.device.scales = trained.device.scales;
        self.link.scales = trained.link.scales;
        self.server.scales = trained.server.scales;
        self.history_scale = trained.history_scale;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs() -> SetInputs {
        SetInputs {
            observation: "Set".to_owned(),
            device: Columns::new([("size_slots", 2.0), ("alpha", 0.5)]),
            link: Columns::new([("predicted_delay_slots", 10.0)]),
            server: Columns::default(),
            history_scale: 1.5,
            history_slots: 4,
        }
    }

    fn checkpoint() -> Checkpoint {
        let mut checkpoint = Checkpoint::default();
        inputs().record(&mut checkpoint.metadata);
        checkpoint
    }

    #[test]
    fn they_are_read_as_they_were_recorded() {
        assert_eq!(SetInputs::of(&checkpoint()).unwrap(), inputs());
        let error = |key: &str, value: &str| {
            let mut checkpoint = checkpoint();
            checkpoint.metadata.insert(key.to_owned(), value.to_owned());
            SetInputs::of(&checkpoint).unwrap_err().to_string()
        };
        assert_eq!(
            error("link_scales", "0"),
            "the checkpoint has the scale 0, and a finite number above 0 is needed"
        );
        assert_eq!(error("server_scales", "2"), "the checkpoint has 0 features, and scales for 1");
        assert!(error("link_features", "a b").contains("letters, digits and underscores"));
        let mut without = checkpoint();
        without.metadata.insert("device_features".to_owned(), String::new());
        without.metadata.insert("device_scales".to_owned(), String::new());
        assert_eq!(
            SetInputs::of(&without).unwrap_err().to_string(),
            "the checkpoint has no device features, and at least 1 is needed"
        );
        without.metadata.remove("link_features");
        assert!(SetInputs::of(&without).is_err());
    }

    #[test]
    fn what_differs_from_the_scenario_is_named() {
        let error = |change: fn(&mut SetInputs)| {
            let mut here = inputs();
            change(&mut here);
            here.expect(&inputs()).unwrap_err().to_string()
        };
        assert_eq!(
            error(|here| here.observation = "Paper".to_owned()),
            "the checkpoint was trained on observation `Set`, and this scenario has `Paper`"
        );
        assert_eq!(
            error(|here| here.link = Columns::new([("rate", 1.0)])),
            "the checkpoint was trained with `predicted_delay_slots` as link feature 1 of 1, and \
             this scenario has `rate` as link feature 1 of 1"
        );
        assert_eq!(
            error(|here| here.server = Columns::new([("up", 1.0)])),
            "the checkpoint was trained with 0 server features, and this scenario has `up` as \
             server feature 1 of 1"
        );
        assert!(error(|here| here.history_slots = 5).contains("4 slots of history"));
        let mut scaled = inputs();
        scaled.link.scales[0] = 3.0;
        assert_eq!(scaled.expect(&inputs()), Ok(()));
        scaled.take_scales(inputs());
        assert_eq!(scaled, inputs());
    }
}
