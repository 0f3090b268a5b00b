//! What a policy observes: recorded in each of its checkpoints, compared where one is used, and
//! stated by every export.

use std::collections::BTreeMap;

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::shape::Shape;

/// The divisors of features and loads, so that a network sees numbers of about one.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaling {
    /// One per feature, above 0, in the feature's unit.
    pub features: Vec<f32>,
    /// That of all loads, above 0, in active devices.
    pub history: f32,
}

impl Scaling {
    /// Scales as an observation states them, in single precision.
    pub fn new(features: impl IntoIterator<Item = f64>, history: f64) -> Self {
        let features = features.into_iter().map(|scale| scale as f32).collect();
        Self { features, history: history as f32 }
    }

    /// Leaves `features` features and the loads as they are.
    pub fn identity(features: usize) -> Self {
        Self { features: vec![1.0; features], history: 1.0 }
    }

    /// Appends the scaled features of any number of rows to `scaled`.
    pub fn scale_features(&self, features: &[f64], scaled: &mut Vec<f32>) {
        scale_all(&self.features, features, scaled);
    }

    /// Appends the scaled loads to `scaled`.
    pub fn scale_loads(&self, loads: &[f64], scaled: &mut Vec<f32>) {
        scaled.extend(loads.iter().map(|&load| load as f32 / self.history));
    }
}

/// Inputs of a policy: kind and features of its observation, history, and their scales.
///
/// A checkpoint records it under `observation`, `features`, `feature_scales`, `history_scale`,
/// `history_slots`, `servers` and `devices`. Where one is used, kind and names of the observation,
/// slots of history and servers must be those of the scenario. Its scales replace the scenario's:
/// a network sees the numbers that it was trained on, in a system of other sizes too. Its devices
/// are recorded only: a network of its own for each device shows in the number of networks.
#[derive(Clone, Debug, PartialEq)]
pub struct Inputs {
    /// The kind of the observation, as a scenario spells it. Features of the same name may mean
    /// something else in another kind.
    pub observation: String,
    /// Names of the F features, in order.
    pub features: Vec<String>,
    /// Divisors of features and loads.
    pub scaling: Scaling,
    /// K: rows of history, at least 1.
    pub history_slots: usize,
    /// M: width of a row of history.
    pub servers: usize,
    /// N: devices of the system.
    pub devices: usize,
}

impl Inputs {
    /// The shape of networks with these inputs, of `hidden` neurons in a layer.
    pub fn shape(&self, hidden: usize) -> Shape {
        let Self { servers, history_slots, .. } = *self;
        Shape { features: self.features.len(), servers, history_slots, hidden }
    }

    /// The inputs that a checkpoint records.
    ///
    /// # Errors
    /// [`CheckpointError::Unstated`] for one written before offramp recorded the observation,
    /// [`CheckpointError::Mismatch`] for values out of their ranges.
    pub fn of(checkpoint: &Checkpoint) -> Result<Self, CheckpointError> {
        let features = names(checkpoint, "features")?;
        let scales = scales_of(checkpoint, "feature_scales", features.len())?;
        Ok(Self {
            observation: plain_name(checkpoint.fact("observation")?)?,
            features,
            scaling: Scaling {
                features: scales,
                history: scale_of(checkpoint.fact("history_scale")?)?,
            },
            history_slots: checkpoint.size("history_slots")?,
            servers: checkpoint.size("servers")?,
            devices: checkpoint.size("devices")?,
        })
    }
}

/// Inputs that checkpoints record and compare: of a fixed number of servers ([`Inputs`]) or of any
/// ([`SetInputs`](crate::set::SetInputs)).
pub trait TrainedInputs: Sized {
    /// Adds them to the metadata of a checkpoint.
    fn record(&self, metadata: &mut BTreeMap<String, String>);

    /// The inputs that a checkpoint records.
    ///
    /// # Errors
    /// [`CheckpointError::Unstated`] if it does not, [`CheckpointError::Mismatch`] for values out of
    /// their ranges.
    fn of(checkpoint: &Checkpoint) -> Result<Self, CheckpointError>;

    /// Checks that a policy trained on `trained` can decide on what these inputs are in a scenario.
    ///
    /// # Errors
    /// [`CheckpointError::Mismatch`] names what differs.
    fn expect(&self, trained: &Self) -> Result<(), CheckpointError>;

    /// Takes over the scales of a training.
    fn take_scales(&mut self, trained: Self);
}

impl TrainedInputs for Inputs {
    fn record(&self, metadata: &mut BTreeMap<String, String>) {
        let facts = [
            ("observation", self.observation.clone()),
            ("features", self.features.join(",")),
            ("feature_scales", join(&self.scaling.features)),
            ("history_scale", self.scaling.history.to_string()),
            ("history_slots", self.history_slots.to_string()),
            ("servers", self.servers.to_string()),
            ("devices", self.devices.to_string()),
        ];
        metadata.extend(facts.map(|(key, value)| (key.to_owned(), value)));
    }

    fn of(checkpoint: &Checkpoint) -> Result<Self, CheckpointError> {
        Self::of(checkpoint)
    }

    fn expect(&self, trained: &Self) -> Result<(), CheckpointError> {
        expect_observation(&trained.observation, &self.observation)?;
        expect_history_slots(trained.history_slots, self.history_slots)?;
        let servers = [trained.servers, self.servers];
        let [there, here] = servers.map(|servers| match servers {
            1 => "1 server".to_owned(),
            _ => format!("{servers} servers"),
        });
        expect_alike(servers[0] == servers[1], format!("for {there}"), here)?;
        expect_features("feature", &trained.features, &self.features)
    }

    fn take_scales(&mut self, trained: Self) {
        self.scaling = trained.scaling;
    }
}

/// Appends numbers over their scales, which repeat row by row.
pub(crate) fn scale_all(scales: &[f32], features: &[f64], scaled: &mut Vec<f32>) {
    let scales = scales.iter().cycle();
    scaled.extend(features.iter().zip(scales).map(|(&x, &scale)| x as f32 / scale));
}

/// Scales as a checkpoint records them.
pub(crate) fn join(scales: &[f32]) -> String {
    scales.iter().map(f32::to_string).collect::<Vec<_>>().join(",")
}

/// The parts of a list that a checkpoint records.
fn list<'c>(
    checkpoint: &'c Checkpoint,
    key: &str,
) -> Result<impl Iterator<Item = &'c str>, CheckpointError> {
    Ok(checkpoint.fact(key)?.split(',').filter(|part| !part.is_empty()))
}

/// The names that a checkpoint records.
pub(crate) fn names(checkpoint: &Checkpoint, key: &str) -> Result<Vec<String>, CheckpointError> {
    list(checkpoint, key)?.map(plain_name).collect()
}

/// A scale that a checkpoint records.
pub(crate) fn scale_of(text: &str) -> Result<f32, CheckpointError> {
    let scale = text.parse().ok().filter(|scale: &f32| *scale > 0.0 && scale.is_finite());
    scale.ok_or_else(|| CheckpointError::Mismatch {
        found: format!("has the scale {text}"),
        wanted: "a finite number above 0 is needed".to_owned(),
    })
}

/// The scales that a checkpoint records for so many features.
pub(crate) fn scales_of(
    checkpoint: &Checkpoint,
    key: &str,
    features: usize,
) -> Result<Vec<f32>, CheckpointError> {
    let scales = list(checkpoint, key)?.map(scale_of).collect::<Result<Vec<_>, _>>()?;
    if scales.len() == features {
        return Ok(scales);
    }
    Err(CheckpointError::Mismatch {
        found: format!("has {features} features"),
        wanted: format!("scales for {}", scales.len()),
    })
}

/// Checks a fact of a training against the scenario's.
fn expect_alike(holds: bool, found: String, here: String) -> Result<(), CheckpointError> {
    match holds {
        true => Ok(()),
        false => Err(CheckpointError::Mismatch {
            found: format!("was trained {found}"),
            wanted: format!("this scenario has {here}"),
        }),
    }
}

/// Checks the kind of an observation.
pub(crate) fn expect_observation(trained: &str, here: &str) -> Result<(), CheckpointError> {
    expect_alike(trained == here, format!("on observation `{trained}`"), format!("`{here}`"))
}

/// Checks the slots of history.
pub(crate) fn expect_history_slots(trained: usize, here: usize) -> Result<(), CheckpointError> {
    let there = format!("with {trained} slots of history");
    expect_alike(trained == here, there, format!("{here} slots of history"))
}

/// Checks the names of features, of which one is a `what`.
pub(crate) fn expect_features(
    what: &str,
    trained: &[String],
    here: &[String],
) -> Result<(), CheckpointError> {
    let alike = trained.iter().zip(here).take_while(|(a, b)| a == b).count();
    let [there, found] = [trained, here].map(|names| match names.get(alike) {
        Some(name) => format!("`{name}` as {what} {} of {}", alike + 1, names.len()),
        None => format!("{} {what}s", names.len()),
    });
    expect_alike(trained == here, format!("with {there}"), found)
}

/// A name that can stand in a text of any format: letters, digits and underscores.
pub(crate) fn plain_name(text: &str) -> Result<String, CheckpointError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !text.is_empty() && text.chars().all(plain) {
        return Ok(text.to_owned());
    }
    Err(CheckpointError::Mismatch {
        found: format!("has the name {text:?}"),
        wanted: "letters, digits and underscores are needed".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs() -> Inputs {
        Inputs {
            observation: "Paper".to_owned(),
            features: ["size_mbit", "alpha"].map(str::to_owned).to_vec(),
            scaling: Scaling::new([5.0, 0.1], 10.0),
            history_slots: 3,
            servers: 2,
            devices: 50,
        }
    }

    fn checkpoint() -> Checkpoint {
        let mut checkpoint = Checkpoint::default();
        inputs().record(&mut checkpoint.metadata);
        checkpoint
    }

    #[test]
    fn they_are_read_as_they_were_recorded() {
        assert_eq!(Inputs::of(&checkpoint()).unwrap(), inputs());
        let error = |key: &str, value: &str| {
            let mut checkpoint = checkpoint();
            checkpoint.metadata.insert(key.to_owned(), value.to_owned());
            Inputs::of(&checkpoint).unwrap_err().to_string()
        };
        assert_eq!(
            error("feature_scales", "5,NaN"),
            "the checkpoint has the scale NaN, and a finite number above 0 is needed"
        );
        assert_eq!(error("feature_scales", "5"), "the checkpoint has 2 features, and scales for 1");
        assert_eq!(
            error("features", "a,b*/"),
            "the checkpoint has the name \"b*/\", and letters, digits and underscores are needed"
        );
        let mut old = checkpoint();
        old.metadata.remove("observation");
        assert_eq!(
            Inputs::of(&old).unwrap_err().to_string(),
            "the checkpoint does not state its `observation`: an earlier offramp has written it; \
             train or distil again"
        );
    }

    #[test]
    fn what_differs_from_the_scenario_is_named() {
        let error = |change: fn(&mut Inputs)| {
            let mut here = inputs();
            change(&mut here);
            here.expect(&inputs()).unwrap_err().to_string()
        };
        assert_eq!(
            error(|here| here.observation = "Published".to_owned()),
            "the checkpoint was trained on observation `Paper`, and this scenario has `Published`"
        );
        assert_eq!(
            error(|here| here.features.reverse()),
            "the checkpoint was trained with `size_mbit` as feature 1 of 2, and this scenario has \
             `alpha` as feature 1 of 2"
        );
        assert_eq!(
            error(|here| here.features.push("ghz".to_owned())),
            "the checkpoint was trained with 2 features, and this scenario has `ghz` as feature 3 \
             of 3"
        );
        assert_eq!(
            error(|here| here.history_slots = 4),
            "the checkpoint was trained with 3 slots of history, and this scenario has 4 slots of \
             history"
        );
        assert_eq!(
            error(|here| here.servers = 1),
            "the checkpoint was trained for 2 servers, and this scenario has 1 server"
        );
        let mut of_other_size = inputs();
        (of_other_size.devices, of_other_size.scaling.history) = (9, 4.5);
        assert_eq!(of_other_size.expect(&inputs()), Ok(()));
    }
}
