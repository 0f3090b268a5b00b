use offramp_results::reference::{CHANCE, HINDSIGHT, PROVIDER};
use offramp_results::run_folder::{NewRunFolder, PluginRecord, RowFile, RunRecord};
use offramp_results::{EpisodeMetrics, EpisodeResult};

use super::*;

fn record(policy: &str, load: Option<u64>, episodes: u64) -> RunRecord {
    let sweep = load.map(|load| ("load".to_owned(), load.to_string()));
    RunRecord {
        scenario: "x".to_owned(),
        policy: policy.to_owned(),
        sweep: sweep.into_iter().collect(),
        episodes,
        ..RunRecord::default()
    }
}

/// An episode in which `qoe` differs from policy to policy, and so does the time of its tasks.
fn episode(number: u64, qoe: f64) -> EpisodeResult {
    let overall = EpisodeMetrics {
        tasks: 4,
        devices: 2.0,
        qoe: Some(qoe + (number % 2) as f64),
        delay_slots: Some(2.5),
        energy: Some(1.0),
        dropped: 1,
        completion_ratio: Some(0.75),
        ..EpisodeMetrics::default()
    };
    EpisodeResult {
        overall,
        done_by_delay: vec![1, 2],
        decisions: 4,
        decide_ns: 1_000,
        ..EpisodeResult::default()
    }
}

/// A run folder with these runs and their QoE.
fn folder(parent: &Path, runs: &[(RunRecord, f64)]) -> PathBuf {
    let path = parent.join("run");
    let mut folder = NewRunFolder::begin(&path, parent).unwrap();
    for (record, qoe) in runs {
        let rows = parent.join("rows");
        let mut file = RowFile::create(&rows, record).unwrap();
        (0..record.episodes).for_each(|number| file.add(episode(number, *qoe)).unwrap());
        file.finish().unwrap();
        folder.add(record.clone(), Some(&rows)).unwrap();
    }
    folder.finish(&vec![("x".to_owned(), "()".to_owned())], None).unwrap();
    path
}

fn page(runs: &[(RunRecord, f64)]) -> String {
    let home = tempfile::tempdir().unwrap();
    let path = folder(home.path(), runs);
    write(&path).unwrap();
    std::fs::read_to_string(path.join(FILE)).unwrap()
}

#[test]
fn means_have_intervals_and_differences_are_from_the_best() {
    let html = page(&[(record("a", None, 4), 7.0), (record("b", None, 4), 9.0)]);
    // 9, 10, 9, 10: a deviation of 1/√3, t = 3.182 of 3 degrees of freedom, 4 episodes.
    assert!(html.contains("<strong>9.5</strong> <small>[8.6, 10.4]</small>"), "{html}");
    assert!(html.contains("7.5 <small>[6.6, 8.4]</small>"), "{html}");
    // On the same episodes the difference is always 2.
    assert!(html.contains("<strong>-2.0</strong> <small>[-2.0, -2.0]</small>"), "{html}");
    // Of 4 tasks 1 was completed within a slot and 3 within two.
    assert!(html.contains("25.0\u{a0}%</td><td class=\"number\">75.0\u{a0}%"), "{html}");
}

/// Run and sweep alike: 0.5 of hindsight and 0.25 µs per decision, each below its own title.
#[test]
fn each_column_has_the_title_of_its_cells_with_hindsight_too() {
    for load in [None, Some(1)] {
        let reference = |name: &str| {
            let plugin = PluginRecord {
                name: PROVIDER.to_owned(),
                policy: name.to_owned(),
                ..PluginRecord::default()
            };
            RunRecord { plugin, ..record(name, load, 4) }
        };
        let html = page(&[
            (record("a", load, 4), 7.0),
            (reference(CHANCE), 5.0),
            (reference(HINDSIGHT), 9.0),
        ]);
        let rows = html.split("<tr>").map(|row| row.split("</tr>").next().unwrap_or_default());
        let texts = |row: &str| -> Vec<String> {
            let cells = row.split("</th>").flat_map(|cells| cells.split("</td>"));
            let text = |cell: &str| cell.split_once('>').map(|(_, text)| text.to_owned());
            cells.filter_map(text).collect()
        };
        let of_hindsight = |row: &&str| row.contains("of hindsight");
        let titles = texts(rows.clone().find(of_hindsight).unwrap());
        let place = |title: &str| titles.iter().position(|found| found.contains(title)).unwrap();
        let (share, time) = (place("of hindsight"), place("decision"));
        assert_eq!(share + 1, time, "{titles:?}");
        let row = texts(rows.clone().filter(of_hindsight).nth(1).unwrap());
        assert_eq!(row[share], "0.500", "{row:?}");
        assert_eq!(row[time], "0.250", "{row:?}");
    }
}

#[test]
fn a_thousand_policies_make_a_page_that_states_what_it_leaves_out() {
    let runs: Vec<_> =
        (0..1_000).map(|number| (record(&format!("p{number}"), None, 2), number as f64)).collect();
    let html = page(&runs);
    assert!(html.contains("First 500 of 1000 runs; episodes.csv has all."));
    assert!(html.contains("Figures show the 12 policies with the highest QoE, of 1000."));
    assert!(html.contains("p988</text>") || html.contains("</svg>p988</li>"));
    assert!(!html.contains("</svg>p987</li>"));
    assert!(html.len() < 2_000_000, "{}", html.len());
}

#[test]
fn of_too_many_episodes_the_deviation_remains() {
    let html = page(&[(record("a", Some(1), 30_000), 7.0), (record("a", Some(2), 2), 9.0)]);
    assert!(html.contains("7.5 <small>± 0.5</small>"), "{html}");
    assert!(
        html.contains("Runs with too many episodes for intervals show the standard deviation"),
        "{html}"
    );
    assert!(html.contains("<h3>QoE per device</h3>"));
}

#[test]
fn texts_of_a_record_are_only_texts() {
    let failed = RunRecord { error: Some("<script>".to_owned()), ..record("<b>", None, 0) };
    let html = page(&[(failed, 0.0), (record("a&b", None, 2), 1.0)]);
    assert!(html.contains("&lt;b&gt; in x: &lt;script&gt;</pre>"), "{html}");
    assert!(html.contains("a&amp;b") && !html.contains("<b>"));
}

#[test]
fn a_link_leads_to_its_file_whatever_its_name() {
    let home = tempfile::tempdir().unwrap();
    let parent = home.path().join("50% of #1?");
    std::fs::create_dir(&parent).unwrap();
    let path = folder(&parent, &[(record("a", None, 2), 1.0)]);
    let file = home.path().join("together.html");
    write_together(&[&path], &file).unwrap();
    let html = std::fs::read_to_string(&file).unwrap();
    let address = "50%25%20of%20%231%3F/run/scenarios/x.ron";
    assert!(html.contains(&format!("<a href=\"{address}\">x.ron</a>")), "{html}");
}

/// The numbers of points of all lines of a page.
fn line_lengths(html: &str) -> Vec<usize> {
    let lines = html.split("<polyline").skip(1);
    let points =
        lines.map(|rest| rest.split_once("points=\"").unwrap().1.split_once('"').unwrap().0);
    points.map(|points| points.split_whitespace().count()).collect()
}

#[test]
fn a_sweep_of_many_points_makes_lines_of_a_few() {
    let runs: Vec<_> = (0..700).map(|load| (record("a", Some(load), 2), load as f64)).collect();
    let html = page(&runs);
    assert!(html.contains("Lines have 500 of 700 points, evenly chosen."));
    assert!(line_lengths(&html).contains(&500) && line_lengths(&html).iter().all(|&of| of <= 500));
}
