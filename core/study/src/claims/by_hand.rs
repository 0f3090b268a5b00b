//! Verdicts by hand.

use std::collections::BTreeMap;

use offramp_results::exhibit::{Cell, ExhibitKind, Lineage, Measured, MeasuredRun};
use offramp_results::run_folder::RunRecord;
use offramp_results::{EpisodeMetrics, EpisodeResult, metric};

use super::*;

const QOE: &str = "Qoe";

/// A policy that does not learn, at a point, with the QoE of each episode.
fn fixed(policy: &str, point: &str, qoe: &[f64]) -> Cell {
    let run = MeasuredRun {
        lineage: None,
        record: RunRecord::default(),
        episodes: qoe.iter().map(|&qoe| episode(qoe)).collect(),
    };
    cell(policy, point, vec![run])
}

fn episode(qoe: f64) -> EpisodeResult {
    let overall = EpisodeMetrics { devices: 1.0, qoe: Some(qoe), ..EpisodeMetrics::default() };
    EpisodeResult { overall, ..EpisodeResult::default() }
}

fn cell(policy: &str, point: &str, runs: Vec<MeasuredRun>) -> Cell {
    let outcome = Ok(Measured { runs, ..Measured::default() });
    Cell { policy: policy.into(), point: point.into(), outcome, paper: BTreeMap::new() }
}

fn exhibit(id: &str, cells: Vec<Cell>) -> Exhibit {
    Exhibit {
        id: id.into(),
        title: String::new(),
        kind: ExhibitKind::Table,
        axis: String::new(),
        quantities: vec![qoe()],
        reference: None,
        cells,
        streams: Vec::new(),
    }
}

fn qoe() -> Quantity {
    Quantity::Metric(metric::by_name(QOE).unwrap())
}

/// The claim that "ours" is ahead of the rivals in the exhibit "item".
fn best(order: Order, rivals: &[&str]) -> ClaimSection {
    let (item, policy) = ("item".into(), "ours".into());
    let rivals = rivals.iter().map(|&rival| rival.into()).collect();
    claim(Condition::Best { item, metric: qoe(), order, policy, rivals })
}

/// The claim that `left` is above or below a multiple of `right`, each a policy at a point.
fn compare(left: (&str, &str), order: Order, factor: f64, right: (&str, &str)) -> ClaimSection {
    let place =
        |(policy, point): (&str, &str)| Place { policy: policy.into(), point: point.into() };
    claim(Condition::Compare {
        item: "item".into(),
        metric: qoe(),
        order,
        left: place(left),
        factor: Factor(factor),
        right: place(right),
    })
}

fn claim(holds_if: Condition) -> ClaimSection {
    ClaimSection { text: "It is so.".into(), source: "a test".into(), holds_if }
}

/// Of two differences d ± h, the interval is d ± t(1)·h, and t(1) = 12.706.
#[test]
fn a_policy_that_is_best_at_every_point_is_judged_by_hand() {
    let cells = || {
        vec![
            fixed("ours", "x", &[10.1, 9.9]),
            fixed("near", "x", &[5.0, 5.0]),
            fixed("far", "x", &[2.0, 2.0]),
            fixed("ours", "y", &[10.2, 9.8]),
            fixed("near", "y", &[4.0, 4.0]),
            fixed("far", "y", &[1.0, 1.0]),
        ]
    };
    // Where it is behind does not count in another exhibit.
    let other = exhibit("other", vec![fixed("ours", "x", &[0.0, 0.0])]);
    let made = [other, exhibit("item", cells())];
    let judged = judge(&best(Order::Above, &["far", "near"]), &made).unwrap();
    // 5 ± 1.27 at x and 6 ± 2.54 at y.
    let expected = Claim {
        text: "It is so.".into(),
        source: "a test".into(),
        verdict: Verdict::Holds,
        comparisons: 4,
        basis: Basis::Episodes,
        because: "AvgQoE: ours minus near at y +6.0 [+3.5, +8.5]".into(),
    };
    assert_eq!(judged, Claim { because: judged.because.clone(), ..expected.clone() });
    assert_eq!(judged.because, expected.because);
    // The other way round it is false, at x most surely, by the same difference.
    let judged = judge(&best(Order::Below, &["near"]), &made).unwrap();
    assert_eq!((judged.verdict, judged.comparisons), (Verdict::Fails, 2));
    assert_eq!(judged.because, "AvgQoE: ours minus near at x +5.0 [+3.7, +6.3]");
}

/// Of two numbers m ± h, the interval of their mean is m ± t(1)·h, and t(1) = 12.706.
#[test]
fn a_policy_on_one_side_of_a_number_is_judged_by_hand() {
    let cells = vec![fixed("ours", "x", &[10.1, 9.9]), fixed("ours", "y", &[8.1, 7.9])];
    let made = [exhibit("item", cells)];
    let judged = |order, bound| {
        let policy = "ours".into();
        let bounded =
            Condition::Bounded { item: "item".into(), metric: qoe(), order, policy, bound };
        let Claim { verdict, comparisons, because, .. } = judge(&claim(bounded), &made).unwrap();
        assert_eq!(comparisons, 2);
        (verdict, because)
    };
    let by = |because: &str| format!("AvgQoE: ours {because}");
    assert_eq!(judged(Order::Above, 6.5), (Verdict::Holds, by("at y minus 6.5 +1.5 [+0.2, +2.8]")));
    assert_eq!(
        judged(Order::Below, 11.0),
        (Verdict::Undecided, by("at x minus 11 -1.0 [-2.3, +0.3]"))
    );
    assert_eq!(judged(Order::Below, 6.0).0, Verdict::Fails);
}

#[test]
fn a_number_below_a_multiple_of_another_is_judged_by_hand() {
    let cells = vec![
        fixed("ours", "", &[1.0, 1.0]),
        fixed("rival", "", &[12.0, 12.4]),
        fixed("rival", "9", &[4.0, 4.0]),
    ];
    let made = [exhibit("item", cells)];
    let of = |claim: &ClaimSection| {
        let Claim { verdict, comparisons, because, .. } = judge(claim, &made).unwrap();
        assert_eq!(comparisons, 1);
        (verdict, because)
    };
    // Half of the rival is 6.1 ± 0.1: 5.1 ± 1.27 above.
    let (verdict, because) = of(&compare(("ours", ""), Order::Below, 0.5, ("rival", "")));
    assert_eq!(verdict, Verdict::Holds);
    assert_eq!(because, "AvgQoE: ours minus 0.5 × rival -5.1 [-6.4, -3.8]");
    let (verdict, because) = of(&compare(("rival", "9"), Order::Above, 1.0, ("ours", "")));
    assert_eq!(verdict, Verdict::Holds);
    assert_eq!(because, "AvgQoE: rival at 9 minus ours +3.0 [+3.0, +3.0]");
    let (verdict, because) = of(&compare(("rival", "9"), Order::Below, 3.0, ("ours", "")));
    assert_eq!(verdict, Verdict::Fails);
    assert_eq!(because, "AvgQoE: rival at 9 minus 3 × ours +1.0 [+1.0, +1.0]");
}

/// Each lost something from x to y, episode by episode: ours 1.1 and 0.9, the rivals 3 and 0.5.
#[test]
fn a_policy_that_loses_less_is_judged_by_hand() {
    let made = [exhibit(
        "item",
        vec![
            fixed("ours", "x", &[5.0, 7.0]),
            fixed("ours", "y", &[3.9, 6.1]),
            fixed("less", "x", &[9.0, 1.0]),
            fixed("less", "y", &[8.5, 0.5]),
            fixed("more", "x", &[2.0, 2.0]),
            fixed("more", "y", &[-1.0, -1.0]),
        ],
    )];
    let of = |order: Order, rivals: &[&str], (from, to): (&str, &str)| {
        let judged = judge(
            &claim(Condition::Steadier {
                item: "item".into(),
                metric: qoe(),
                order,
                policy: "ours".into(),
                rivals: rivals.iter().map(|&rival| rival.into()).collect(),
                from: from.into(),
                to: to.into(),
            }),
            &made,
        );
        let Claim { verdict, comparisons, because, .. } = judged.unwrap();
        assert_eq!(comparisons, rivals.len());
        (verdict, because)
    };
    // The half width of two differences that are 0.1 from their mean is 1.27.
    let (verdict, because) = of(Order::Above, &["more"], ("x", "y"));
    assert_eq!(verdict, Verdict::Holds);
    assert_eq!(
        because,
        "AvgQoE: change of ours minus that of more, from x to y, +2.0 [+0.7, +3.3]"
    );
    let (verdict, because) = of(Order::Above, &["more", "less"], ("x", "y"));
    assert_eq!(verdict, Verdict::Undecided);
    assert_eq!(
        because,
        "AvgQoE: change of ours minus that of less, from x to y, -0.5 [-1.8, +0.8]"
    );
    assert_eq!(of(Order::Below, &["more"], ("x", "y")).0, Verdict::Fails);
    assert_eq!(of(Order::Below, &["more"], ("y", "x")).0, Verdict::Holds);
}

/// A claim that fails names the comparison that shows it best, not the widest interval.
#[test]
fn the_surest_failure_is_named() {
    let cells = vec![
        fixed("ours", "", &[1.0, 1.0]),
        fixed("sure", "", &[2.0, 2.0]),
        fixed("vague", "", &[1.0, 5.0]),
    ];
    let judged = judge(&best(Order::Above, &["vague", "sure"]), &[exhibit("item", cells)]).unwrap();
    assert_eq!(judged.verdict, Verdict::Fails);
    assert_eq!(judged.because, "AvgQoE: ours minus sure -1.0 [-1.0, -1.0]");
}

#[test]
fn level_policies_decide_nothing() {
    let cells = vec![fixed("ours", "", &[3.0, 4.0]), fixed("rival", "", &[3.0, 4.0])];
    let made = [exhibit("item", cells)];
    for order in [Order::Above, Order::Below] {
        let judged = judge(&best(order, &["rival"]), &made).unwrap();
        assert_eq!(judged.verdict, Verdict::Undecided);
    }
}

#[test]
fn one_episode_decides_nothing_and_has_no_interval() {
    let cells = vec![fixed("ours", "", &[9.0]), fixed("rival", "", &[3.5])];
    let judged = judge(&best(Order::Above, &["rival"]), &[exhibit("item", cells)]).unwrap();
    assert_eq!(judged.verdict, Verdict::Undecided);
    assert_eq!(judged.because, "AvgQoE: ours minus rival +5.5");
}

#[test]
fn a_claim_about_one_training_has_too_few_seeds() {
    let trained = |seeds: u64| {
        let run = |seed: u64| MeasuredRun {
            lineage: Some(Lineage { seed, training: format!("training {seed}") }),
            record: RunRecord::default(),
            episodes: vec![episode(9.0), episode(9.2)],
        };
        let rival = fixed("rival", "", &[3.0, 3.0]);
        [exhibit("item", vec![cell("ours", "", (0..seeds).map(run).collect()), rival])]
    };
    let of = |seeds: u64, order: Order| {
        let judged = judge(&best(order, &["rival"]), &trained(seeds)).unwrap();
        (judged.verdict, judged.basis)
    };
    assert_eq!(of(1, Order::Above), (Verdict::TooFewSeeds, Basis::OneTraining));
    assert_eq!(of(1, Order::Below), (Verdict::TooFewSeeds, Basis::OneTraining));
    assert_eq!(of(2, Order::Above), (Verdict::Holds, Basis::Trainings(2)));
    assert_eq!(of(2, Order::Below), (Verdict::Fails, Basis::Trainings(2)));
}

#[test]
fn what_was_not_made_or_failed_is_not_judged() {
    let ours = || fixed("ours", "", &[1.0, 2.0]);
    let failed = Cell { outcome: Err("no".into()), ..fixed("rival", "", &[]) };
    let claim = best(Order::Above, &["rival"]);
    assert_eq!(judge(&claim, &[]), None);
    let rival = fixed("rival", "", &[0.0, 0.0]);
    assert_eq!(judge(&claim, &[exhibit("other", vec![ours(), rival])]), None);
    let because = |cells: Vec<Cell>| {
        let judged = judge(&claim, &[exhibit("item", cells)]).unwrap();
        assert_eq!((judged.verdict, judged.comparisons), (Verdict::NotJudged, 0));
        judged.because
    };
    assert_eq!(because(vec![ours()]), "rival was left out of this version");
    assert_eq!(because(vec![ours(), failed]), "rival failed: no");
}
