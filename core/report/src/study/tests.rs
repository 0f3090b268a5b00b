//! Training seeds in figures, tables and verdicts.

use std::collections::BTreeMap;

use offramp_results::claim::Claim;
use offramp_results::exhibit::{Lineage, Measured, MeasuredRun};
use offramp_results::run_folder::RunRecord;
use offramp_results::statistics::Basis;
use offramp_results::{EpisodeMetrics, EpisodeResult, metric};

use super::*;
use crate::axis;
use crate::plot::Figure;

fn run(lineage: Option<Lineage>, qoes: [f64; 2]) -> MeasuredRun {
    let episode = |qoe| EpisodeResult {
        overall: EpisodeMetrics { devices: 1.0, qoe: Some(qoe), ..EpisodeMetrics::default() },
        ..EpisodeResult::default()
    };
    MeasuredRun { lineage, record: RunRecord::default(), episodes: qoes.map(episode).into() }
}

/// A policy with a QoE of 1 and 3, 11 and 13, … under its training seeds.
fn cell(policy: &str, training_seeds: &[u64]) -> Cell {
    let of = |(&seed, at): (&u64, u8)| {
        let lineage = Lineage { seed, training: format!("{policy} {seed}") };
        let first = 1.0 + 10.0 * f64::from(at);
        run(Some(lineage), [first, first + 2.0])
    };
    let runs = training_seeds.iter().zip(0..).map(of).collect();
    let outcome = Ok(Measured { runs, ..Measured::default() });
    Cell { policy: policy.to_owned(), point: "0.3".to_owned(), outcome, paper: BTreeMap::new() }
}

fn exhibit(kind: ExhibitKind, cells: Vec<Cell>) -> Exhibit {
    Exhibit {
        id: "item".to_owned(),
        title: String::new(),
        kind,
        axis: String::new(),
        quantities: vec![Quantity::Metric(metric::by_id("qoe").unwrap())],
        reference: None,
        cells,
        streams: Vec::new(),
    }
}

/// The dots of the only figure, and whether it explains them.
fn dots(exhibit: &Exhibit) -> (Vec<Vec<f64>>, bool) {
    let figure = figures(exhibit, &palette(std::slice::from_ref(exhibit))).remove(0).1;
    let explained = figure.has_dots();
    let dots = match figure {
        Figure::Bars(bars) => bars.bars.into_iter().map(|bar| bar.dots).collect(),
        Figure::Strips(strips) => panic!("a study has no {strips:?}"),
        Figure::Lines(lines) => {
            let of = lines.series.into_iter().map(|series| series.dots);
            of.map(|dots| dots.into_iter().map(|(_, y)| y).collect()).collect()
        }
    };
    (dots, explained)
}

#[test]
fn each_training_seed_is_a_dot() {
    for kind in [ExhibitKind::Bars, ExhibitKind::Lines] {
        let cells = vec![cell("several", &[7, 8, 9]), cell("one", &[7])];
        assert_eq!(dots(&exhibit(kind, cells)), (vec![vec![2.0, 12.0, 22.0], vec![]], true));
        assert_eq!(dots(&exhibit(kind, vec![cell("one", &[7])])), (vec![vec![]], false));
    }
    let (dots, _) = dots(&exhibit(ExhibitKind::Profiles, vec![cell("two", &[7, 8])]));
    // From 1 to 13, every fourth of 41 thresholds; the first is reached by all, the last by half
    // of the episodes of one seed.
    assert_eq!(
        (dots[0].len(), &dots[0][..2], &dots[0][20..]),
        (22, &[1.0, 1.0][..], &[0.0, 0.5][..])
    );
}

#[test]
fn each_training_seed_is_a_row() {
    let fixed = Measured { runs: vec![run(None, [4.0, 6.0])], ..Measured::default() };
    let fixed = Cell { outcome: Ok(fixed), ..cell("fixed", &[]) };
    let csv =
        csv(&exhibit(ExhibitKind::Table, vec![cell("two", &[7, 9]), fixed, cell("one", &[7])]));
    let rows: Vec<String> = csv
        .lines()
        .map(|row| {
            let row: Vec<&str> = row.split(',').collect();
            [&row[2..3], &row[4..7], &row[9..10]].concat().join(" ")
        })
        .collect();
    assert_eq!(
        rows,
        [
            "policy training_seed seeds estimate over",
            "two  2 7 trainings and episodes",
            "two 7 1 2 ",
            "two 9 1 12 ",
            "fixed  1 5 episodes",
            "one  1 2 episodes of one training",
            "one 7 1 2 ",
        ]
    );
}

#[test]
fn a_table_says_what_one_training_leaves_out() {
    let caption =
        |cells| tables(&exhibit(ExhibitKind::Table, cells), axis::label).remove(0).caption;
    assert!(caption(vec![cell("one", &[7])]).contains("one training seed"));
    assert_eq!(caption(vec![cell("two", &[7, 8])]), "");
}

#[test]
fn a_search_is_listed_with_what_the_study_sets_instead() {
    let budget = |overridden: &[&str]| Budget {
        policy: "p".to_owned(),
        scenario: "tune-p".to_owned(),
        configurations: 2,
        slots: Some(1),
        steps: None,
        validation_qoe: -0.04,
        overridden: overridden.iter().map(|field| (*field).to_owned()).collect(),
    };
    let table = budgets_table(&[budget(&[])]);
    assert_eq!(table.header, ["policy", "search", "configurations", "used", "selection score"]);
    assert_eq!(table.rows, [["p", "tune-p", "2", "1 slot", "0.0"]]);
    let table = budgets_table(&[budget(&[]), budget(&["train.a", "train.b"])]);
    assert_eq!((table.header[2].as_str(), table.texts), ("set by the study instead", 3));
    assert_eq!((table.rows[0][2].as_str(), table.rows[1][2].as_str()), (NONE, "train.a, train.b"));
}

#[test]
fn a_size_is_in_the_singular_where_it_is_one() {
    let results = StudyResults {
        name: "toy",
        about: "",
        version: None,
        episodes: 1,
        training_seeds: &[7],
        exhibits: &[],
        claims: &[],
        budgets: &[],
    };
    assert_eq!(results.size(), "toy: 1 episode, 1 training seed");
    let more = StudyResults { episodes: 2, training_seeds: &[7, 8], ..results };
    assert_eq!(more.size(), "toy: 2 episodes, 2 training seeds");
}

#[test]
fn a_claim_that_was_not_judged_is_shown_with_the_reason() {
    let claim = Claim {
        text: "It is better.".to_owned(),
        source: "a test".to_owned(),
        verdict: Verdict::NotJudged,
        comparisons: 0,
        basis: Basis::Episodes,
        because: "a at 0.2 was left out of this version".to_owned(),
    };
    let claims = [claim];
    let row = &claims_table(&claims).rows[0];
    assert_eq!((row[2].as_str(), row[5].as_str()), ("not judged", claims[0].because.as_str()));
    let results = StudyResults {
        name: "toy",
        about: "",
        version: None,
        episodes: 1,
        training_seeds: &[7],
        exhibits: &[],
        claims: &claims,
        budgets: &[],
    };
    assert_eq!(results.json()["claims"][0]["verdict"], "not judged");
}

#[test]
fn a_verdict_on_few_seeds_says_so() {
    let judged = |verdict, basis| {
        let (text, source, because) = Default::default();
        judged(&Claim { text, source, verdict, comparisons: 30, basis, because })
    };
    assert_eq!(judged(Verdict::Holds, Basis::Trainings(5)), "holds, on 5 training seeds");
    assert_eq!(judged(Verdict::Fails, Basis::Trainings(10)), "fails");
    assert_eq!(judged(Verdict::Holds, Basis::Episodes), "holds");
    let once = judged(Verdict::TooFewSeeds, Basis::OneTraining);
    assert_eq!(once, "too few seeds, on 1 training seed");
}
