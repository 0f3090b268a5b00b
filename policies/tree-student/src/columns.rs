//! The columns that a tree sees: the features, the newest load of every server, and each server's
//! mean load over the window.

use offramp_nn::inputs::Inputs;

/// The columns of a row: F features, M newest loads, M mean loads.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Columns {
    names: Vec<String>,
    servers: usize,
    history_slots: usize,
}

impl Columns {
    /// The columns of what a tree observes.
    pub(crate) fn new(inputs: &Inputs) -> Self {
        let Inputs { ref features, servers, history_slots, .. } = *inputs;
        let mut names = features.clone();
        names.extend((1..=servers).map(|server| format!("server_{server}_load")));
        names.extend((1..=servers).map(|server| format!("server_{server}_mean_load")));
        Self { names, servers, history_slots }
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

#[cfg(test)]
mod tests {
    use offramp_nn::inputs::Scaling;

    use super::*;

    #[test]
    fn a_row_has_features_newest_and_mean_loads() {
        let columns = Columns::new(&Inputs {
            observation: "Columns".to_owned(),
            features: vec!["size".to_owned()],
            scaling: Scaling::identity(1),
            history_slots: 2,
            servers: 2,
            devices: 1,
        });
        let mut row = [0.0; 5];
        columns.fill(&[3.0], &[1.0, 2.0, 4.0, 6.0], &mut row);
        assert_eq!(row, [3.0, 4.0, 6.0, 2.5, 4.0]);
    }
}
