//! Training curves: QoE and drops per training episode, one line per training.

use std::path::Path;

use offramp_results::learning::TrainingRow;

use crate::csv_text::csv_text;
use crate::plot::{Figure, Lines, PlotError, Series};

/// Training episodes whose mean is one point of a curve: single episodes scatter too much to be
/// seen.
pub const SMOOTHED: usize = 10;

/// A training with its rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Its label: the point of the sweep, or the scenario's name.
    pub label: String,
    /// Its rows, one per episode.
    pub rows: Vec<TrainingRow>,
}

/// Means of `metric` over every [`SMOOTHED`] training episodes: the number of episodes so far and
/// the mean.
pub fn smoothed(rows: &[TrainingRow], metric: impl Fn(&TrainingRow) -> f64) -> Vec<(f64, f64)> {
    let mean = |rows: &[TrainingRow]| {
        let sum: f64 = rows.iter().map(&metric).sum();
        (rows[rows.len() - 1].episode as f64 + 1.0, sum / rows.len() as f64)
    };
    rows.chunks(SMOOTHED).map(mean).collect()
}

/// The curves as CSV, one row per training and episode, not smoothed.
pub fn csv(curves: &[Curve]) -> String {
    let header = ["point", "episode", "qoe", "dropped", "validation_qoe"].map(str::to_owned);
    let rows = curves.iter().flat_map(|Curve { label, rows }| {
        rows.iter().map(move |row| {
            let validation_qoe = row.validation_qoe.map_or_else(String::new, |qoe| qoe.to_string());
            let (episode, dropped) = (row.episode.to_string(), row.dropped.to_string());
            [label.clone(), episode, row.qoe.to_string(), dropped, validation_qoe]
        })
    });
    csv_text(std::iter::once(header).chain(rows))
}

/// The figures, each with the name of its file: `curves` with the QoE, `drops` with the dropped
/// tasks, both smoothed. `name` is the scenario's.
pub fn figures(name: &str, curves: &[Curve]) -> [(&'static str, Figure); 2] {
    let figure = |what: &str, y: &str, metric: fn(&TrainingRow) -> f64| {
        let series = |Curve { label, rows }: &Curve| Series {
            name: label.clone(),
            points: smoothed(rows, metric),
            intervals: Vec::new(),
        };
        Figure::Lines(Lines {
            title: format!("{name}: {what} while training (mean of {SMOOTHED} episodes)"),
            x: "episode".to_owned(),
            y: y.to_owned(),
            series: curves.iter().map(series).collect(),
        })
    };
    [
        ("curves", figure("QoE", "AvgQoE", |row| row.qoe)),
        ("drops", figure("drops", "tasks dropped", |row| row.dropped as f64)),
    ]
}

/// Writes `curves.csv`, and `curves` and `drops` as SVG and PNG, to `folder`.
///
/// # Errors
/// [`PlotError`] names the file that can't be written.
pub fn write(name: &str, curves: &[Curve], folder: &Path) -> Result<(), PlotError> {
    let path = folder.join("curves.csv");
    std::fs::write(&path, csv(curves))
        .map_err(|error| PlotError { path: path.clone(), cause: error.to_string() })?;
    for (file, figure) in figures(name, curves) {
        figure.write(&folder.join(file))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve() -> Curve {
        let row = |episode| TrainingRow {
            episode,
            qoe: episode as f64,
            validation_qoe: (episode == 1).then_some(2.5),
            ..TrainingRow::default()
        };
        Curve { label: "rate = \"Adam(0.1)\"".to_owned(), rows: (0..12).map(row).collect() }
    }

    #[test]
    fn labels_are_escaped_and_rows_are_as_they_are() {
        let text = csv(&[curve()]);
        let lines: Vec<&str> = text.lines().take(3).collect();
        assert_eq!(
            lines,
            [
                "point,episode,qoe,dropped,validation_qoe",
                "\"rate = \"\"Adam(0.1)\"\"\",0,0,0,",
                "\"rate = \"\"Adam(0.1)\"\"\",1,1,0,2.5",
            ]
        );
    }

    #[test]
    fn ten_episodes_are_one_point() {
        assert_eq!(smoothed(&curve().rows, |row| row.qoe), [(10.0, 4.5), (12.0, 10.5)]);
    }
}
