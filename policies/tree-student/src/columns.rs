//! The columns that a tree sees: the features, the newest load of every server, and each server's
//! mean load over the window.

use offramp_nn::checkpoint::{Checkpoint, CheckpointError};
use offramp_nn::checkpoint_spec::CheckpointSpec;

/// The columns of a row: F features, M newest loads, M mean loads.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Columns {
    names: Vec<String>,
    servers: usize,
    history_slots: usize,
}

impl Columns {
    /// Columns for features of these names, `servers` servers and windows of `history_slots`
    /// slots.
    pub(crate) fn new(
        features: impl IntoIterator<Item = String>,
        servers: usize,
        history_slots: usize,
    ) -> Self {
        let mut names: Vec<String> = features.into_iter().collect();
        names.extend((1..=servers).map(|server| format!("server_{server}_load")));
        names.extend((1..=servers).map(mean_load));
        Self { names, servers, history_slots }
    }

    /// Adds them to the facts that must agree when a checkpoint is read.
    pub(crate) fn describe(&self, spec: CheckpointSpec) -> CheckpointSpec {
        spec.require("columns", self.names.join(",")).require("history_slots", self.history_slots)
    }

    /// The columns that a checkpoint was described with.
    ///
    /// # Errors
    /// If it has no such description.
    pub(crate) fn of(checkpoint: &Checkpoint) -> Result<Self, CheckpointError> {
        let text = |key: &str| checkpoint.metadata.get(key).map_or("missing", String::as_str);
        let mismatch = |what: &str, wanted: &str| CheckpointError::Mismatch {
            what: what.to_owned(),
            found: text(what).to_owned(),
            wanted: wanted.to_owned(),
        };
        let history_slots = checkpoint.size("history_slots")?;
        let names: Vec<String> = text("columns").split(',').map(str::to_owned).collect();
        // The last column is the mean load of server M.
        let servers = (1..=names.len() / 2).rev();
        let servers =
            servers.into_iter().find(|&servers| names.last() == Some(&mean_load(servers)));
        let servers = servers.ok_or_else(|| mismatch("columns", "the columns of a tree"))?;
        let features = names[..names.len() - 2 * servers].to_vec();
        let columns = Self::new(features, servers, history_slots);
        let complete = columns.names == names;
        complete.then_some(columns).ok_or_else(|| mismatch("columns", "the columns of a tree"))
    }

    /// Number of columns, F + 2M.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// Names, in order.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// F.
    pub(crate) fn features(&self) -> usize {
        self.names.len() - 2 * self.servers
    }

    /// M.
    pub(crate) fn servers(&self) -> usize {
        self.servers
    }

    /// K.
    pub(crate) fn history_slots(&self) -> usize {
        self.history_slots
    }

    /// Fills `row`, F + 2M, from features and a window, K × M, the oldest slot first.
    pub(crate) fn fill(&self, features: &[f64], window: &[f64], row: &mut [f32]) {
        let (servers, count) = (self.servers, self.features());
        for (column, &feature) in row.iter_mut().zip(features) {
            *column = feature as f32;
        }
        let newest = &window[window.len() - servers..];
        for (server, &load) in newest.iter().enumerate() {
            let sum: f64 = window.iter().skip(server).step_by(servers).sum();
            row[count + server] = load as f32;
            row[count + servers + server] = (sum / self.history_slots as f64) as f32;
        }
    }
}

fn mean_load(server: usize) -> String {
    format!("server_{server}_mean_load")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_read_as_they_were_described() {
        let columns = Columns::new(["size".to_owned()], 12, 3);
        let spec = columns.describe(CheckpointSpec::new("x"));
        let mut checkpoint = spec.describe(offramp_nn::checkpoint_spec::Stage::Deployed);
        assert_eq!(Columns::of(&checkpoint).unwrap(), columns);
        checkpoint.metadata.insert("columns".into(), "size,server_1_mean_load".into());
        assert!(Columns::of(&checkpoint).is_err());
    }

    #[test]
    fn a_row_has_features_newest_and_mean_loads() {
        let columns = Columns::new(["size".to_owned()], 2, 2);
        let mut row = [0.0; 5];
        columns.fill(&[3.0], &[1.0, 2.0, 4.0, 6.0], &mut row);
        assert_eq!(row, [3.0, 4.0, 6.0, 2.5, 4.0]);
    }
}
