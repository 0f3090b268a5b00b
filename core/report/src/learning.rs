//! Trainings and distillations: their outcomes, one row per point of the sweep, and training
//! curves, one line per training.

use std::path::Path;

use offramp_results::files::write_atomically;
use offramp_results::learning::{DistillationRow, Learned, Lesson, TrainingRow};

use crate::axis;
use crate::palette::Look;
use crate::plot::{Figure, Lines, PlotError, Series};
use crate::records::{Cell, Field, Kind, Records};

/// Training episodes whose mean is one point of a curve: single episodes scatter too much for a
/// readable line.
pub const SMOOTHED: usize = 10;

/// Digits after the point of AvgQoE and drops in tables.
const DIGITS: usize = 1;

const POINT: Field = Field::new("point", Kind::Text);
const FOLDER: Field = Field::new("folder", Kind::Text);
const VALIDATION_QOE: Field = Field::titled("validation_qoe", "best validation QoE", Kind::Number);
const VALIDATION_DROPPED: Field = Field::titled("validation_dropped", "drops then", Kind::Number);
const ERROR: Field = Field::new("error", Kind::Text);

/// The outcome of each training: episodes and updates, and the validation with the highest QoE,
/// whose checkpoint is `best.safetensors`.
pub fn trainings(trainings: &[Learned<TrainingRow>]) -> Records {
    let mut records = Records::new([
        POINT,
        FOLDER,
        Field::new("episodes", Kind::Count),
        Field::new("updates", Kind::Count),
        Field::titled("best_episode", "best after", Kind::Count),
        VALIDATION_QOE,
        VALIDATION_DROPPED,
        ERROR,
    ]);
    for training in trainings {
        let best = training.best(|row| row.validation_qoe);
        let [point, folder, error] = about(training);
        records.rows.push(vec![
            point,
            folder,
            Cell::Count(training.rows.len() as u64),
            training.rows.last().map(|row| row.updates).into(),
            best.map(|row| row.episode + 1).into(),
            number(best.and_then(|row| row.validation_qoe)),
            number(best.and_then(|row| row.validation_dropped)),
            error,
        ]);
    }
    records
}

/// The outcome of each distillation: steps and states, and the validation with the highest QoE,
/// whose checkpoint is `best.safetensors`.
pub fn distillations(distillations: &[Learned<DistillationRow>]) -> Records {
    let mut records = Records::new([
        POINT,
        FOLDER,
        Field::new("steps", Kind::Count),
        Field::new("states", Kind::Count),
        Field::titled("best_step", "best after", Kind::Count),
        VALIDATION_QOE,
        VALIDATION_DROPPED,
        Field::titled("agreement", "agreement then", Kind::Number),
        ERROR,
    ]);
    for distillation in distillations {
        let best = distillation.best(|row| Some(row.validation_qoe));
        let last = distillation.rows.last();
        let [point, folder, error] = about(distillation);
        records.rows.push(vec![
            point,
            folder,
            Cell::Count(last.map_or(0, |row| row.step)),
            last.map(|row| row.states).into(),
            best.map(|row| row.step).into(),
            number(best.map(|row| row.validation_qoe)),
            number(best.map(|row| row.validation_dropped)),
            best.map_or(Cell::Empty, |row| Cell::Number(row.agreement, 3)),
            error,
        ]);
    }
    records
}

/// The cost of each training and distillation of a study, in seconds.
pub fn lessons(lessons: &[Lesson]) -> Records {
    let mut records = Records::new([
        Field::new("policy", Kind::Text),
        Field::new("seconds", Kind::Number),
        FOLDER,
    ]);
    for Lesson { policy, folder, seconds } in lessons {
        let seconds = seconds.map_or(Cell::Empty, |seconds| Cell::Number(seconds, 1));
        let folder = folder.display().to_string();
        records.rows.push(vec![policy.clone().into(), seconds, folder.into()]);
    }
    records
}

/// Point, folder and error.
fn about<R>(learned: &Learned<R>) -> [Cell; 3] {
    let point = Some(learned.point.clone()).filter(|point| !point.is_empty());
    [point.into(), learned.folder.display().to_string().into(), learned.error.clone().into()]
}

fn number(value: Option<f64>) -> Cell {
    value.map_or(Cell::Empty, |value| Cell::Number(value, DIGITS))
}

/// Means of `metric` over every [`SMOOTHED`] training episodes: the number of episodes so far and
/// the mean.
pub fn smoothed(rows: &[TrainingRow], metric: impl Fn(&TrainingRow) -> f64) -> Vec<(f64, f64)> {
    averaged(rows, SMOOTHED, |row| Some(metric(row)))
}

/// Means of `metric` over so many training episodes each, where it has values: the number of episodes
/// so far and the mean.
pub(crate) fn averaged(
    rows: &[TrainingRow],
    episodes: usize,
    metric: impl Fn(&TrainingRow) -> Option<f64>,
) -> Vec<(f64, f64)> {
    let mean = |rows: &[TrainingRow]| {
        let values: Vec<f64> = rows.iter().filter_map(&metric).collect();
        let sum: f64 = values.iter().sum();
        let mean = (!values.is_empty()).then(|| sum / values.len() as f64)?;
        Some((rows.last()?.episode as f64 + 1.0, mean))
    };
    rows.chunks(episodes).filter_map(mean).collect()
}

/// The label of a training's curve: its point, or `name`, the scenario's, outside a sweep.
fn label(name: &str, training: &Learned<TrainingRow>) -> String {
    if training.point.is_empty() { name.to_owned() } else { training.point.clone() }
}

/// The curves as CSV, one row per training and episode, not smoothed.
pub fn curves_csv(name: &str, trainings: &[Learned<TrainingRow>]) -> String {
    let mut records = Records::new([
        POINT,
        Field::new("episode", Kind::Count),
        Field::new("qoe", Kind::Number),
        Field::new("dropped", Kind::Count),
        VALIDATION_QOE,
    ]);
    for training in trainings {
        records.rows.extend(training.rows.iter().map(|row| {
            vec![
                label(name, training).into(),
                row.episode.into(),
                number(Some(row.qoe)),
                row.dropped.into(),
                number(row.validation_qoe),
            ]
        }));
    }
    records.csv()
}

/// The figures, each with the name of its file: `curves` with the QoE, `drops` with the dropped
/// tasks, both smoothed. `name` is the scenario's.
pub fn figures(name: &str, trainings: &[Learned<TrainingRow>]) -> [(&'static str, Figure); 2] {
    let figure = |what: &str, y: &str, metric: fn(&TrainingRow) -> f64| {
        let series = |(number, training): (usize, &Learned<TrainingRow>)| Series {
            name: label(name, training),
            look: Look::numbered(number),
            points: smoothed(&training.rows, metric),
            ..Series::default()
        };
        Figure::Lines(Lines {
            title: format!("{name}: {what} while training (mean of {SMOOTHED} episodes)"),
            x: "episode".to_owned(),
            y: y.to_owned(),
            series: trainings.iter().enumerate().map(series).collect(),
        })
    };
    [
        ("curves", figure("QoE", axis::QOE, |row| row.qoe)),
        ("drops", figure("drops", axis::DROPPED, |row| row.dropped as f64)),
    ]
}

/// Writes `curves.csv`, and `curves` and `drops` as SVG and PNG, to `folder`.
///
/// # Errors
/// [`PlotError`] names the file that can't be written.
pub fn write_curves(
    name: &str,
    trainings: &[Learned<TrainingRow>],
    folder: &Path,
) -> Result<(), PlotError> {
    let path = folder.join("curves.csv");
    write_atomically(&path, curves_csv(name, trainings).as_bytes())
        .map_err(|error| PlotError { path: path.clone(), cause: error.to_string() })?;
    for (file, figure) in figures(name, trainings) {
        figure.write(&folder.join(file))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Format;

    fn training() -> Learned<TrainingRow> {
        let row = |episode| TrainingRow {
            episode,
            qoe: episode as f64,
            updates: 7 * episode,
            validation_qoe: (episode % 4 == 1).then_some(2.5),
            validation_dropped: (episode % 4 == 1).then_some(episode as f64),
            ..TrainingRow::default()
        };
        Learned {
            point: "rate = \"Adam(0.1)\"".to_owned(),
            folder: "run/point-000".into(),
            rows: (0..12).map(row).collect(),
            error: None,
        }
    }

    #[test]
    fn an_outcome_has_the_first_best_validation() {
        let failed = Learned {
            point: "rate = \"Adam(9.0)\"".to_owned(),
            folder: "run/point-001".into(),
            rows: Vec::new(),
            error: Some("episode 0: no, \"never\"".to_owned()),
        };
        let expected = "\
point,folder,episodes,updates,best_episode,validation_qoe,validation_dropped,error
\"rate = \"\"Adam(0.1)\"\"\",run/point-000,12,77,2,2.5,1,
\"rate = \"\"Adam(9.0)\"\"\",run/point-001,0,,,,,\"episode 0: no, \"\"never\"\"\"
";
        assert_eq!(trainings(&[training(), failed]).print("", Format::Csv), expected);
        // In a table, columns without a value are left out.
        let table = trainings(&[training()]).table();
        assert!(table.starts_with("| point ") && !table.contains("error"), "{table}");
    }

    #[test]
    fn labels_are_escaped_and_rows_are_exact() {
        let text = curves_csv("x", &[training()]);
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
        assert_eq!(smoothed(&training().rows, |row| row.qoe), [(10.0, 4.5), (12.0, 10.5)]);
    }
}
