//! The table of metrics: values, weights and texts by hand.

use offramp_results::EpisodeMetrics;
use offramp_results::metric::{
    Better, Column, EpisodeResult, Form, Metric, Pooling, Source, all, by_id, by_name, summarised,
};
use offramp_results::statistics::{MeanSd, Weighted};

/// No two numbers are the same.
fn episode() -> EpisodeResult {
    let overall = EpisodeMetrics {
        tasks: 40,
        devices: 5.0,
        qoe: Some(321.5),
        delay_slots: Some(4.25),
        energy: Some(17.5),
        dropped: 10,
        completion_ratio: Some(0.75),
        local_share: Some(0.625),
        energy_per_task: Some(2.1875),
        delay_p50: Some(3),
        delay_p95: Some(9),
        delay_p99: Some(11),
    };
    EpisodeResult { overall, decisions: 8, decide_ns: 20_000, ..EpisodeResult::default() }
}

fn ids(metrics: impl Iterator<Item = &'static Metric>) -> Vec<&'static str> {
    metrics.map(|metric| metric.id).collect()
}

/// An episode counts in a mean as often as it has tasks, devices or decisions, or once.
#[test]
fn each_metric_is_taken_from_an_episode_with_its_weight() {
    let expected = [
        ("tasks", 40.0, 1.0),
        ("devices", 5.0, 1.0),
        ("qoe", 321.5, 5.0),
        ("delay_slots", 4.25, 40.0),
        ("energy", 17.5, 5.0),
        ("dropped", 10.0, 1.0),
        ("completion_ratio", 0.75, 40.0),
        ("local_share", 0.625, 40.0),
        ("energy_per_task", 2.1875, 40.0),
        ("delay_p50", 3.0, 1.0),
        ("delay_p95", 9.0, 1.0),
        ("delay_p99", 11.0, 1.0),
        ("decision_us", 2.5, 8.0),
    ];
    assert_eq!(ids(all().iter()), expected.map(|(id, ..)| id));
    // All of them are among those that `offramp run` prints.
    assert_eq!(ids(summarised()), expected.map(|(id, ..)| id));
    for (id, value, weight) in expected {
        let (metric, episode) = (by_id(id).unwrap(), episode());
        let taken = Some(Weighted { value, weight });
        assert_eq!(metric.of(&episode), taken, "{id}");
        let of_whole = matches!(metric.source, Source::Episode(_));
        assert_eq!(of_whole, id == "decision_us");
        assert_eq!(metric.has_groups(), !of_whole, "{id}");
        assert_eq!(metric.of_group(&episode.overall), taken.filter(|_| !of_whole), "{id}");
    }
}

#[test]
fn an_episode_without_a_value_or_a_weight_is_left_out() {
    // Nobody was in this power mode.
    let empty = EpisodeMetrics::default();
    for metric in all() {
        let counts = ["tasks", "devices", "dropped"].contains(&metric.id);
        let zero = Weighted { value: 0.0, weight: 1.0 };
        assert_eq!(metric.of_group(&empty), counts.then_some(zero), "{}", metric.id);
    }
    // A value, but no devices to share it.
    let qoe = EpisodeMetrics { qoe: Some(7.0), ..empty };
    assert_eq!(by_name("Qoe").unwrap().of_group(&qoe), None);
}

#[test]
fn the_first_metric_that_is_not_finite_is_found_with_its_value() {
    let found = |metrics: EpisodeMetrics| {
        metrics.not_finite().map(|(metric, value)| (metric.id, value.to_bits()))
    };
    let whole = episode().overall;
    assert_eq!(found(whole), None);
    assert_eq!(found(EpisodeMetrics::default()), None);
    let energy = EpisodeMetrics { energy: Some(f64::NEG_INFINITY), ..whole };
    assert_eq!(found(energy), Some(("energy", f64::NEG_INFINITY.to_bits())));
    let both = EpisodeMetrics { delay_slots: Some(f64::NAN), ..energy };
    assert_eq!(found(both), Some(("delay_slots", f64::NAN.to_bits())));
}

#[test]
fn metrics_are_equal_and_ordered_by_their_ids() {
    let all = all();
    for (at, metric) in all.iter().enumerate() {
        for (other_at, other) in all.iter().enumerate() {
            assert_eq!(metric == other, at == other_at);
            assert_eq!(metric.cmp(other), metric.id.cmp(other.id));
            assert_eq!(metric.partial_cmp(other), Some(metric.id.cmp(other.id)));
        }
    }
    let sorted: std::collections::BTreeSet<_> = all.iter().collect();
    let sorted = ids(sorted.into_iter());
    assert_eq!(sorted[..4], ["completion_ratio", "decision_us", "delay_p50", "delay_p95"]);
    assert_eq!(sorted.len(), all.len());
}

#[test]
fn a_name_that_no_metric_has_finds_none() {
    assert_eq!(by_id("Qoe"), None);
    assert_eq!(by_name("qoe"), None);
    let qoe = by_name("Qoe").unwrap();
    assert_eq!((qoe.id, qoe.title, qoe.pooling), ("qoe", "AvgQoE", Pooling::Devices));
    assert_eq!(qoe.better, Better::Higher);
    assert_eq!(qoe.column, Some(Column { form: Form::MeanSd(1), by_group: true }));
    assert_eq!(by_id("dropped").unwrap().better, Better::Lower);
}

#[test]
fn cells_by_hand() {
    let of = |sd| Some(MeanSd { mean: 0.98765, sd });
    let (two, one) = (of(Some(0.0544)), of(None));
    for (form, of_two, of_one) in [
        (Form::MeanSd(3), "0.988 ± 0.054", "0.988"),
        (Form::MeanSd(1), "1.0 ± 0.1", "1.0"),
        (Form::Mean(2), "0.99", "0.99"),
        (Form::Percent(1), "98.8 %", "98.8 %"),
    ] {
        assert_eq!(form.text(two), of_two);
        assert_eq!(form.text(one), of_one);
        assert_eq!(form.text(None), "–");
    }
}
