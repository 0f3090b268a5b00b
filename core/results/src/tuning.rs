//! Searches for hyper-parameters: what each configuration reached, and what that took.
//!
//! A search consists of rungs. Each rung trains or distils configurations anew, longer than the one
//! before it, and the best of them reach the next. The last rung has the finalists, under several
//! seeds each; the best of them is what the search chooses.

use std::path::Path;

use crate::Error;
use crate::files::write_atomically;
use crate::statistics::MeanSd;

/// A search, complete or up to some rung.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    /// The unit of lengths, and of the budget.
    pub unit: Unit,
    /// The fields that are chosen.
    pub fields: Vec<String>,
    /// The value of each field in each configuration that was tried, as RON.
    pub configurations: Vec<Vec<String>>,
    /// What learned: by rung, configuration and seed.
    pub rows: Vec<SearchRow>,
    /// The number of the configuration that was chosen; `None` as long as none is, or if none
    /// learned under all seeds.
    pub chosen: Option<usize>,
}

/// The search that the settings of a policy of a study come from, and what it took.
#[derive(Clone, Debug, PartialEq)]
pub struct Budget {
    /// The policy.
    pub policy: String,
    /// The name of the scenario that describes the search.
    pub scenario: String,
    /// Configurations that were tried.
    pub configurations: u64,
    /// Slots that all its trainings played; `None` of distillations.
    pub slots: Option<u64>,
    /// Steps that all its distillations took; `None` of trainings.
    pub steps: Option<u64>,
    /// Mean AvgQoE of the chosen configuration, on the episodes that judged.
    pub validation_qoe: f64,
    /// Fields that it chose and the study sets otherwise, by path.
    pub overridden: Vec<String>,
}

/// The unit of lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Training episodes.
    Episodes {
        /// Slots of an episode; the budget counts them.
        slots: u64,
    },
    /// Mini-batch steps of a distillation, which the budget counts too.
    Steps,
}

/// A training or a distillation of a search.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SearchRow {
    /// Its rung, counted from 0.
    pub rung: u64,
    /// The number of its configuration, counted from 0.
    pub configuration: usize,
    /// Its seed.
    pub seed: u64,
    /// Episodes or steps that it took.
    pub length: u64,
    /// Mean AvgQoE of the checkpoint with the best validation, on the episodes that judge; `None` if
    /// it failed.
    pub validation_qoe: Option<f64>,
    /// Mean drops of these episodes.
    pub validation_dropped: Option<f64>,
    /// The reason, if it failed.
    pub error: Option<String>,
    /// Seconds that it took; they are in `timing.csv` alone.
    pub seconds: f64,
}

/// What a configuration reached on a rung.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// Its number.
    pub configuration: usize,
    /// Mean AvgQoE over the seeds of the rung, and their deviation.
    pub qoe: MeanSd,
}

impl Unit {
    /// What `length` counts for a budget: slots or steps.
    pub fn cost(self, length: u64) -> u64 {
        match self {
            Self::Episodes { slots } => length.saturating_mul(slots),
            Self::Steps => length,
        }
    }

    /// The name of the unit of lengths.
    pub fn of_length(self) -> &'static str {
        match self {
            Self::Episodes { .. } => "episodes",
            Self::Steps => "steps",
        }
    }

    /// The name of the unit of budgets.
    pub fn of_cost(self) -> &'static str {
        match self {
            Self::Episodes { .. } => "slots",
            Self::Steps => "steps",
        }
    }
}

impl Search {
    /// The configurations of a rung that learned under all of its seeds, best first; on ties that
    /// with the smaller number.
    pub fn standings(&self, rung: u64) -> Vec<Standing> {
        let of_rung = || self.rows.iter().filter(move |row| row.rung == rung);
        let mut standings = Vec::new();
        for configuration in 0..self.configurations.len() {
            let scores = || of_rung().filter(move |row| row.configuration == configuration);
            let scores: Option<Vec<f64>> = scores().map(|row| row.validation_qoe).collect();
            let qoe = scores.and_then(|scores| MeanSd::of(scores.into_iter()));
            standings.extend(qoe.map(|qoe| Standing { configuration, qoe }));
        }
        // It is stable, so ties stay in order.
        standings.sort_by(|one, other| other.qoe.mean.total_cmp(&one.qoe.mean));
        standings
    }

    /// What all of it took, or a rung: slots or steps.
    pub fn cost(&self, rung: Option<u64>) -> u64 {
        let rows = self.rows.iter().filter(|row| rung.is_none_or(|rung| row.rung == rung));
        rows.map(|row| self.unit.cost(row.length)).sum()
    }

    /// The values of a configuration: `field = value, …`.
    pub fn values(&self, configuration: usize) -> String {
        let values = self.fields.iter().zip(&self.configurations[configuration]);
        let values: Vec<_> = values.map(|(field, value)| format!("{field} = {value}")).collect();
        values.join(", ")
    }

    /// Reads the `tune.csv` and `timing.csv` of a search's folder.
    ///
    /// # Errors
    /// [`Error::Unreadable`] names the file and what is wrong in it.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("tune.csv");
        let unreadable = |cause: String| Error::Unreadable { path: path.clone(), cause };
        let table = read_table(&path)?;
        let times = read_table(&folder.join("timing.csv"))?;
        let [header, rows @ ..] = table.as_slice() else {
            return Err(unreadable("it is empty".to_owned()));
        };
        let place = |name: &str| header.iter().position(|column| column == name);
        let needed = |name: &str| {
            place(name).ok_or_else(|| unreadable(format!("it has no column `{name}`")))
        };
        let (slots, length) = (place("slots"), place("episodes").or(place("steps")));
        let length = length.ok_or_else(|| unreadable("it has no column `episodes`".to_owned()))?;
        let key = [needed("rung")?, needed("configuration")?, needed("seed")?];
        let [qoe, dropped, error] =
            [needed("validation_qoe")?, needed("validation_dropped")?, needed("error")?];
        let mut search = Self {
            unit: Unit::Steps,
            fields: header[error + 1..].to_vec(),
            configurations: Vec::new(),
            rows: Vec::new(),
            chosen: None,
        };
        for (number, row) in rows.iter().enumerate() {
            let malformed = || unreadable(format!("row {}: a number is needed", number + 1));
            let count = |at: usize| row[at].parse::<u64>().map_err(|_| malformed());
            let real = |at: usize| match row[at].as_str() {
                "" => Ok(None),
                text => text.parse::<f64>().map(Some).map_err(|_| malformed()),
            };
            let configuration = count(key[1])? as usize;
            // Rungs begin with all configurations, in order.
            if configuration == search.configurations.len() {
                search.configurations.push(row[error + 1..].to_vec());
            } else if configuration > search.configurations.len() {
                return Err(unreadable(format!("row {}: an unknown configuration", number + 1)));
            }
            let length = count(length)?;
            if let Some(slots) = slots {
                search.unit = Unit::Episodes { slots: count(slots)? / length.max(1) };
            }
            let seconds = times.get(number + 1).and_then(|row| row.last()?.parse().ok());
            search.rows.push(SearchRow {
                rung: count(key[0])?,
                configuration,
                seed: count(key[2])?,
                length,
                validation_qoe: real(qoe)?,
                validation_dropped: real(dropped)?,
                error: Some(row[error].clone()).filter(|error| !error.is_empty()),
                seconds: seconds.unwrap_or(0.0),
            });
        }
        if folder.join("chosen.ron").exists() {
            let last = search.rows.iter().map(|row| row.rung).max().unwrap_or(0);
            search.chosen = search.standings(last).first().map(|best| best.configuration);
        }
        Ok(search)
    }

    /// Writes `tune.csv` and `timing.csv` to `folder`.
    ///
    /// # Errors
    /// [`Error::Unwritable`].
    pub fn write(&self, folder: &Path) -> Result<(), Error> {
        let text = |number: Option<f64>| number.map_or_else(String::new, |n| n.to_string());
        let mut header = vec!["rung", "configuration", "seed", self.unit.of_length()];
        let has_slots = self.unit.of_cost() != self.unit.of_length();
        header.extend(has_slots.then_some(self.unit.of_cost()));
        header.extend(["validation_qoe", "validation_dropped", "error"]);
        header.extend(self.fields.iter().map(String::as_str));
        let header = header.into_iter().map(str::to_owned).collect();
        let (mut rows, mut times) = (
            vec![header],
            vec![["rung", "configuration", "seed", "seconds"].map(str::to_owned).to_vec()],
        );
        for row in &self.rows {
            let key =
                [row.rung, row.configuration as u64, row.seed].map(|number| number.to_string());
            let mut cells = key.to_vec();
            cells.push(row.length.to_string());
            cells.extend(has_slots.then(|| self.unit.cost(row.length).to_string()));
            cells.extend([text(row.validation_qoe), text(row.validation_dropped)]);
            cells.push(row.error.clone().unwrap_or_default());
            cells.extend(self.configurations[row.configuration].iter().cloned());
            rows.push(cells);
            times.push([&key[..], &[row.seconds.to_string()]].concat());
        }
        write_table(&folder.join("tune.csv"), &rows)?;
        write_table(&folder.join("timing.csv"), &times)
    }
}

/// The rows of a table, the header first; all have as many cells.
fn read_table(path: &Path) -> Result<Vec<Vec<String>>, Error> {
    let unreadable =
        |error: csv::Error| Error::Unreadable { path: path.to_owned(), cause: error.to_string() };
    let mut options = csv::ReaderBuilder::new();
    let mut reader = options.has_headers(false).from_path(path).map_err(unreadable)?;
    let rows = reader.records().map(|row| Ok(row?.iter().map(str::to_owned).collect()));
    rows.collect::<Result<_, csv::Error>>().map_err(unreadable)
}

fn write_table(path: &Path, rows: &[Vec<String>]) -> Result<(), Error> {
    let unwritable = |cause| Error::Unwritable { path: path.to_owned(), cause };
    let mut writer = csv::Writer::from_writer(Vec::new());
    rows.iter().try_for_each(|row| writer.write_record(row)).map_err(|e| unwritable(e.into()))?;
    let bytes = writer.into_inner().map_err(|error| unwritable(error.into_error()))?;
    write_atomically(path, &bytes).map_err(unwritable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(configuration: usize, seed: u64, qoe: Option<f64>) -> SearchRow {
        let error = qoe.is_none().then(|| "it, failed".to_owned());
        SearchRow {
            configuration,
            seed,
            length: 5,
            validation_qoe: qoe,
            error,
            ..SearchRow::default()
        }
    }

    fn search(rows: Vec<SearchRow>) -> Search {
        Search {
            unit: Unit::Episodes { slots: 110 },
            fields: vec!["train.a".to_owned(), "train.b".to_owned()],
            configurations: ["1", "2", "3"]
                .map(|a| vec![a.to_owned(), "Soft(0.1)".to_owned()])
                .to_vec(),
            rows,
            chosen: None,
        }
    }

    #[test]
    fn the_best_mean_is_first_and_what_failed_once_is_out() {
        let search = search(vec![
            row(0, 1, Some(10.0)),
            row(0, 2, Some(14.0)),
            row(1, 1, Some(99.0)),
            row(1, 2, None),
            row(2, 1, Some(12.0)),
            row(2, 2, Some(12.0)),
        ]);
        let standings = search.standings(0);
        let order: Vec<usize> = standings.iter().map(|standing| standing.configuration).collect();
        assert_eq!(order, [0, 2]); // 12 each: the smaller number
        assert_eq!(standings[1].qoe, MeanSd { mean: 12.0, sd: Some(0.0) });
        assert!(search.standings(1).is_empty());
        assert_eq!(search.cost(None), 6 * 5 * 110);
    }

    #[test]
    fn tables_state_values_and_costs() {
        let folder = tempfile::tempdir().unwrap();
        let mut search = search(vec![row(0, 7, Some(1.5)), row(1, 7, None)]);
        search.write(folder.path()).unwrap();
        let text = std::fs::read_to_string(folder.path().join("tune.csv")).unwrap();
        let expected = "\
            rung,configuration,seed,episodes,slots,validation_qoe,validation_dropped,error,train.a,train.b\n\
            0,0,7,5,550,1.5,,,1,Soft(0.1)\n\
            0,1,7,5,550,,,\"it, failed\",2,Soft(0.1)\n";
        assert_eq!(text, expected);
        let text = std::fs::read_to_string(folder.path().join("timing.csv")).unwrap();
        assert_eq!(text, "rung,configuration,seed,seconds\n0,0,7,0\n0,1,7,0\n");
        // What was written is read, and without a file of what was chosen nothing was.
        search.rows[1].seconds = 2.5;
        search.write(folder.path()).unwrap();
        search.configurations.truncate(2);
        assert_eq!(Search::read(folder.path()).unwrap(), search);
        std::fs::write(folder.path().join("chosen.ron"), "()").unwrap();
        assert_eq!(Search::read(folder.path()).unwrap().chosen, Some(0));
        search.unit = Unit::Steps;
        search.write(folder.path()).unwrap();
        assert_eq!(Search::read(folder.path()).unwrap().unit, Unit::Steps);
        let text = std::fs::read_to_string(folder.path().join("tune.csv")).unwrap();
        assert!(text.starts_with("rung,configuration,seed,steps,validation_qoe,"), "{text}");
    }
}
