//! What the page of a study promises.

use std::collections::{BTreeMap, BTreeSet};

use offramp_results::exhibit::{Cell, ExhibitKind, Lineage, Measured, MeasuredRun, Quantity};
use offramp_results::learning::TrainingRow;
use offramp_results::run_folder::RunRecord;
use offramp_results::statistics::Basis;
use offramp_results::{EpisodeMetrics, EpisodeResult, metric};

use super::*;
use crate::palette::Look;

/// The first four learn; the last has a long name.
const POLICIES: [&str; 11] = [
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "the eleventh, which has a long name",
];
const LOADS: [f64; 6] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6];

/// A number that scatters around 0, the same for the same `of`.
fn noise(of: [usize; 4]) -> f64 {
    let mixed = of.into_iter().fold(7_u64, |sum, part| {
        (sum ^ part as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29)
    });
    (mixed >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
}

/// A policy at a load: the later it stands in [`POLICIES`], the worse it is.
fn cell(number: usize, load: f64, seeds: usize) -> Cell {
    let learns = number < 4;
    let rank = number as f64;
    let run = |seed: usize| {
        let episode = |at: usize| {
            let at_seed = if learns { 25.0 * noise([number, seed, 0, 1]) } else { 0.0 };
            let noise = at_seed + 20.0 * noise([number, seed, at, (100.0 * load) as usize]);
            let dropped = (700.0 * load * load + 25.0 * rank * load + noise).max(0.0);
            EpisodeResult {
                overall: EpisodeMetrics {
                    devices: 50.0,
                    tasks: (5000.0 * load) as u64,
                    qoe: Some(2600.0 * load - 2000.0 * load * load - 60.0 * rank * load + noise),
                    delay_slots: Some(3.0 + 5.0 * load + 0.3 * rank * load + noise / 200.0),
                    completion_ratio: Some(1.0 - dropped / 8000.0),
                    energy_per_task: Some(10.0 + rank / 5.0 - load + noise / 100.0),
                    dropped: dropped as u64,
                    ..EpisodeMetrics::default()
                },
                decisions: 1,
                ..EpisodeResult::default()
            }
        };
        let training = format!("{number} {seed}");
        let lineage = learns.then_some(Lineage { seed: seed as u64, training });
        let episodes = (0..20).map(episode).collect();
        MeasuredRun { lineage, record: RunRecord::default(), episodes }
    };
    let rows = |seed: usize| {
        let row = |episode: usize| TrainingRow {
            episode: episode as u64,
            qoe: 800.0 - 700.0 / (1.0 + episode as f64 / 60.0)
                + 80.0 * noise([number, seed, episode, 2]),
            ..TrainingRow::default()
        };
        (0..400).map(row).collect()
    };
    let seeds = if learns { seeds } else { 1 };
    let measured = Measured {
        runs: (0..seeds).map(run).collect(),
        trainings: (0..seeds).map(rows).collect(),
        ..Measured::default()
    };
    let quoted = metric::by_id("delay_slots").filter(|_| number < 2).map(Quantity::Metric);
    Cell {
        policy: POLICIES[number].to_owned(),
        point: load.to_string(),
        outcome: Ok(measured),
        paper: quoted.into_iter().map(|quantity| (quantity, 3.3 + 6.0 * load)).collect(),
    }
}

fn exhibit(
    id: &str,
    kind: ExhibitKind,
    policies: &[usize],
    loads: &[f64],
    ids: &[&str],
) -> Exhibit {
    let cells = loads.iter().flat_map(|&load| policies.iter().map(move |&at| cell(at, load, 5)));
    Exhibit {
        id: id.to_owned(),
        title: format!("{id}: <b>a & b</b>"),
        kind,
        axis: "arrival probability".to_owned(),
        quantities: ids.iter().map(|id| Quantity::Metric(metric::by_id(id).unwrap())).collect(),
        reference: Some("second".to_owned()),
        cells: cells.collect(),
        streams: Vec::new(),
    }
}

fn exhibits() -> Vec<Exhibit> {
    let all: Vec<usize> = (0..POLICIES.len()).collect();
    let mut profiles = exhibit("profiles", ExhibitKind::Profiles, &[1, 4, 0, 7], &[0.3], &["qoe"]);
    let mut learned = exhibit("curves", ExhibitKind::Curves, &[3, 2, 1], &[0.3], &[]);
    for cell in learned.cells.iter_mut().chain(&mut profiles.cells) {
        cell.point = String::new();
    }
    vec![
        exhibit("bars", ExhibitKind::Bars, &[1, 0, 4], &[0.3], &["delay_slots", "dropped"]),
        exhibit(
            "load",
            ExhibitKind::Lines,
            &all,
            &LOADS,
            &["qoe", "delay_slots", "completion_ratio", "energy_per_task", "dropped"],
        ),
        exhibit("few", ExhibitKind::Lines, &[2, 1, 0], &LOADS, &["delay_slots"]),
        profiles,
        learned,
        exhibit("points", ExhibitKind::Curves, &[1], &[0.1, 0.2, 0.3], &[]),
    ]
}

fn claim(verdict: Verdict, basis: Basis) -> Claim {
    Claim {
        text: "The first drops <fewer> tasks.".to_owned(),
        source: "section 6 & 7".to_owned(),
        verdict,
        comparisons: 6,
        basis,
        because: "Drop: first minus second at 0.6 -3.2 [-5.0, -1.4]".to_owned(),
    }
}

fn study<'s>(exhibits: &'s [Exhibit], claims: &'s [Claim]) -> StudyResults<'s> {
    StudyResults {
        name: "toy",
        about: "A study.",
        version: None,
        episodes: 20,
        training_seeds: &[0, 1, 2, 3, 4],
        exhibits,
        claims,
        budgets: &[],
    }
}

fn page(exhibits: &[Exhibit], claims: &[Claim]) -> String {
    study_page(&study(exhibits, claims), &[], Path::new("")).unwrap()
}

#[test]
fn a_policy_has_the_same_colour_in_every_figure() {
    let exhibits = exhibits();
    let palette = palette(&exhibits);
    let mut colours: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    // Those of the last exhibit are points, not policies.
    for (_, figure) in exhibits[..5].iter().flat_map(|exhibit| figures(exhibit, &palette)) {
        let looks: Vec<(String, Look)> = match figure {
            Figure::Lines(lines) => {
                lines.series.into_iter().map(|series| (series.name, series.look)).collect()
            }
            Figure::Bars(bars) => bars.bars.into_iter().map(|bar| (bar.name, bar.look)).collect(),
            Figure::Strips(strips) => panic!("a study has no {strips:?}"),
        };
        for (name, look) in looks {
            // The paper's numbers for a policy have its colour.
            let policy = name.trim_end_matches(" (paper)");
            colours.entry(policy.to_owned()).or_default().insert(look.colour);
        }
    }
    assert_eq!(colours.len(), POLICIES.len(), "{colours:?}");
    let distinct: BTreeSet<&BTreeSet<usize>> = colours.values().collect();
    assert_eq!(distinct.len(), POLICIES.len(), "{colours:?}");
    assert!(colours.values().all(|of_policy| of_policy.len() == 1), "{colours:?}");
}

#[test]
fn every_colour_of_a_figure_follows_the_looks_of_the_page() {
    let page = page(&exhibits(), &[]);
    let (_, body) = page.split_once("<main ").unwrap();
    assert!(body.contains("stroke=\"var(--c0)\"") && body.contains("fill=\"var(--ink)\""));
    assert!(
        !body.contains("=\"#") || !body.replace("href=\"#", "").contains("=\"#"),
        "a fixed colour"
    );
}

#[test]
fn axes_have_words_and_units_and_numbers_are_a_click_away() {
    let page = page(&exhibits(), &[]);
    for text in [
        "<h3>mean delay (slots)<",
        "<h3>dropped tasks per episode, arrival probability 0.3<",
        "<th scope=\"col\" class=\"number\">mean delay (slots)</th>",
        "<caption>QoE per device while training (mean of 10 episodes):</caption>",
        "<h3>QoE per device<",
        "<details>\n<summary>Numbers</summary>",
        "href=\"load.csv\"",
        "href=\"load-delay.svg\"",
        "href=\"load-delay.png\"",
        "href=\"few.svg\"",
    ] {
        assert!(page.contains(text), "{text}");
    }
}

#[test]
fn texts_are_escaped() {
    let page = page(&exhibits(), &[claim(Verdict::Holds, Basis::Trainings(10))]);
    assert!(page.contains("load: &lt;b&gt;a &amp; b&lt;/b&gt;") && !page.contains("<b>"));
    assert!(page.contains("drops &lt;fewer&gt; tasks") && page.contains("6 &amp; 7"));
}

#[test]
fn verdicts_are_counted_and_state_what_they_rest_on() {
    let claims = [
        claim(Verdict::Holds, Basis::Trainings(10)),
        claim(Verdict::Holds, Basis::Trainings(5)),
        claim(Verdict::Fails, Basis::Episodes),
        claim(Verdict::Undecided, Basis::Trainings(5)),
    ];
    let page = page(&[], &claims);
    assert!(page.contains(">2 hold, 1 fails, 1 undecided<"), "{page}");
    let margin =
        "deciding margin: dropped tasks per episode, first minus second at 0.6 -3.2 [-5.0, -1.4]";
    assert!(page.contains(&format!("6 comparisons, 10 training seeds; {margin}<")), "{page}");
    assert!(page.contains("6 comparisons, nothing trained; "), "{page}");
    assert!(page.contains("holds <small>on 5 training seeds</small>"), "{page}");
}

/// Whatever was stored.
#[test]
fn one_training_seed_decides_nothing() {
    let claims = [Verdict::Holds, Verdict::Fails].map(|of| claim(of, Basis::OneTraining));
    let page = page(&[], &claims);
    let (_, body) = page.split_once("<main ").unwrap();
    assert!(body.contains(">2 on too few seeds<"), "{body}");
    assert!(!body.contains("verdict holds") && !body.contains("verdict fails"), "{body}");
    assert_eq!(body.matches("class=\"verdict too-few-seeds\">too few seeds").count(), 2);
    let text = study(&[], &claims).print(crate::Format::Table);
    assert!(!text.contains("| holds") && text.contains("too few seeds"), "{text}");
}

#[test]
fn a_claim_that_was_not_judged_is_shown_with_the_reason() {
    let because = "a at 0.2 was left out of this version".to_owned();
    let claims = [Claim { because, ..claim(Verdict::NotJudged, Basis::Episodes) }];
    let page = page(&[], &claims);
    assert!(page.contains("class=\"verdict not-judged\">not judged<"), "{page}");
    assert!(page.contains("class=\"basis\">a at 0.2 was left out of this version<"), "{page}");
}

#[test]
fn lessons_with_a_page_are_linked() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path();
    let lesson = |name: &str| Lesson {
        policy: name.to_owned(),
        folder: Path::new("learned").join(name),
        seconds: Some(61.25),
    };
    std::fs::create_dir_all(folder.join("learned/a")).unwrap();
    std::fs::write(folder.join("learned/a/report.html"), "").unwrap();
    let page = study_page(&study(&[], &[]), &[lesson("a"), lesson("b")], folder).unwrap();
    assert!(page.contains("<a href=\"learned/a/report.html\">learned/a</a>"), "{page}");
    assert!(page.contains(">learned/b</th>"), "{page}");
    assert!(page.contains("2 trainings and distillations, 122 s in all"), "{page}");
}
