//! An episode as one HTML page that plays it: every task of one or two policies side by side, on
//! the same tasks. The page is self-contained and needs no network access.
//!
//! The page's parts are in `episode/`: `data.js` (the columns, and where a task is in a slot),
//! `layout.js`, `draw.js` (one side), `story.js` (one task) and `page.js` (controls and table). They
//! read the data as columns of JSON, one entry per task; `Episode` defines them.
//!
//! The page of a [`World`] has maps as well: `map.js` draws them, `map.html` explains them.

mod world;

use std::path::Path;

pub use world::{Whereabouts, World};

use offramp_results::timeline::{TaskStory, Timeline};
use serde::{Serialize, Serializer};

use crate::page::{PageError, PageKind, escaped};

/// Maximum size of a page, bytes (exceeded only if one device does not fit).
pub const MAX_BYTES: usize = 10_000_000;

const PAGE: &str = include_str!("episode/page.html");
const STYLE: &str = concat!(include_str!("episode/page.css"), include_str!("episode/map.css"));
const SCRIPT: &str = concat!(
    include_str!("episode/data.js"),
    include_str!("episode/layout.js"),
    include_str!("episode/draw.js"),
    include_str!("episode/story.js"),
    include_str!("episode/map.js"),
    include_str!("episode/page.js"),
);

const MAP: &str = include_str!("episode/map.html");
const MAP_NOTE: &str = "
  <p>On the map, devices are where they are as the slot begins, and between two slots on the straight line. A task
  is sent to the station that serves the device or, without serving stations, to that of the server; of the device
  that is followed, a dotted line shows the wire on to the server’s own station. A device that cannot send is
  outside coverage, or its handover interrupts the link.</p>";

/// The page of an episode. `runs` are the policies' names and what happened under each, at least
/// one and all on the same tasks; the two with the highest QoE are shown at first. If the page would exceed
/// [`MAX_BYTES`], it has the tasks of the first devices that fit, at least one, and states so. With a
/// `world`, each side has a map.
pub fn page(
    title: &str,
    about: &str,
    runs: &[(String, Timeline)],
    world: Option<&World>,
) -> String {
    page_within(MAX_BYTES, title, about, runs, world)
}

/// The name of the page of a scenario in a run folder; of the only one, if `scenario` is `None`.
pub fn file_name(scenario: Option<&str>) -> String {
    match scenario {
        None => "episode.html".to_owned(),
        Some(name) => format!("episode-{name}.html"),
    }
}

/// Writes the [`page`] to `path`, over an earlier page of offramp.
///
/// # Errors
/// [`PageError`]; the file is as it was before.
pub fn write(
    path: &Path,
    title: &str,
    about: &str,
    runs: &[(String, Timeline)],
    world: Option<&World>,
) -> Result<(), PageError> {
    crate::page::write(path, PageKind::Episode, &page(title, about, runs, world))
}

/// Devices from which the size of a page is estimated: it is all but linear in them.
const SAMPLE_DEVICES: u32 = 64;

fn page_within(
    max_bytes: usize,
    title: &str,
    about: &str,
    runs: &[(String, Timeline)],
    world: Option<&World>,
) -> String {
    let with_map = |part: &str| if world.is_some() { part.to_owned() } else { String::new() };
    let filled = |shown_devices| {
        let data = Episode::new(title, about, runs, world, shown_devices).json();
        fill(PAGE, |name| match name {
            "title" => escaped(title),
            "about" => escaped(about),
            "style" => STYLE.to_owned(),
            "map" => with_map(MAP),
            "map-note" => with_map(MAP_NOTE),
            "data" => data.clone(),
            _ => SCRIPT.to_owned(),
        })
    };
    let devices = runs.first().map_or(0, |(_, timeline)| timeline.shown_devices);
    let sampled = devices.min(SAMPLE_DEVICES);
    let sample = filled(sampled);
    if sampled == devices && sample.len() <= max_bytes {
        return sample;
    }
    let rest = filled(0).len();
    let per_device = (sample.len() - rest) / sampled as usize + 1;
    let fitting = max_bytes.saturating_sub(rest) / per_device;
    let mut shown = u32::try_from(fitting).unwrap_or(u32::MAX).clamp(1, devices);
    loop {
        let page = filled(shown);
        if page.len() <= max_bytes || shown == 1 {
            return page;
        }
        shown -= (shown / 32).max(1);
    }
}

/// `template` with each `{{name}}` replaced. What is filled in is not searched again.
fn fill(template: &str, value: impl Fn(&str) -> String) -> String {
    let mut parts = template.split("{{");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        if let Some((name, after)) = part.split_once("}}") {
            text += &value(name);
            text += after;
        }
    }
    text
}

/// The data of the page.
#[derive(Serialize)]
struct Episode<'a> {
    title: &'a str,
    about: &'a str,
    system: System<'a>,
    tasks: Tasks,
    runs: Vec<Run<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    world: Option<world::Columns>,
}

#[derive(Default, Serialize)]
struct System<'a> {
    devices: u32,
    servers: u32,
    slots: u32,
    arrival_slots: u32,
    deadline_slots: u32,
    slot_seconds: f64,
    /// Of the shown devices.
    device_ghz: &'a [f64],
    server_ghz: &'a [f64],
    /// The tasks of this many devices are in the columns.
    shown_devices: u32,
}

/// The tasks, the same under every policy: one entry each, by slot and then device.
#[derive(Default, Serialize)]
struct Tasks {
    slot: Vec<u32>,
    device: Vec<u32>,
    size_mbit: Vec<Rounded>,
    density: Vec<Rounded>,
    alpha: Vec<Rounded>,
}

/// The episode under one policy: its totals, and one entry per task.
#[derive(Serialize)]
struct Run<'a> {
    policy: &'a str,
    qoe: Rounded,
    delay_slots: Option<Rounded>,
    energy: Rounded,
    dropped_tasks: u64,
    action: Vec<u32>,
    /// 1 if it was dropped.
    dropped: Vec<u8>,
    delay: Vec<u32>,
    reward: Vec<Rounded>,
    /// Local, transmit, server, idle.
    energies: [Vec<Rounded>; 4],
    started: Vec<Option<u32>>,
    sent: Vec<Option<u32>>,
    served: Vec<Option<u32>>,
    /// A column for each action.
    predicted: Vec<Vec<Option<u32>>>,
    /// A column for each action, if the policy has a value function.
    q: Option<Vec<Vec<Rounded>>>,
    /// Active devices at the end of each slot, per server; of all devices.
    active: &'a [Vec<u32>],
}

impl<'a> Episode<'a> {
    fn new(
        title: &'a str,
        about: &'a str,
        runs: &'a [(String, Timeline)],
        world: Option<&World>,
        shown_devices: u32,
    ) -> Self {
        let first = runs.first().map(|(_, timeline)| timeline);
        Self {
            title,
            about,
            system: first.map(|first| System::new(first, shown_devices)).unwrap_or_default(),
            tasks: first.map(|first| Tasks::new(first, shown_devices)).unwrap_or_default(),
            runs: runs
                .iter()
                .map(|(policy, timeline)| Run::new(policy, timeline, shown_devices))
                .collect(),
            world: world.map(|world| world::Columns::new(world, shown_devices)),
        }
    }

    /// The data as JSON that is safe inside a `<script>`: no tag or comment begins in it.
    fn json(&self) -> String {
        // Numbers and strings always serialize.
        serde_json::to_string(self).unwrap_or_default().replace('<', "\\u003c")
    }
}

impl<'a> System<'a> {
    fn new(timeline: &'a Timeline, shown_devices: u32) -> Self {
        let device_ghz = &timeline.device_ghz;
        Self {
            devices: timeline.devices,
            servers: timeline.servers,
            slots: timeline.slots,
            arrival_slots: timeline.arrival_slots,
            deadline_slots: timeline.deadline_slots,
            slot_seconds: timeline.slot_seconds,
            device_ghz: &device_ghz[..device_ghz.len().min(shown_devices as usize)],
            server_ghz: &timeline.server_ghz,
            shown_devices,
        }
    }
}

impl Tasks {
    fn new(timeline: &Timeline, shown_devices: u32) -> Self {
        let shown = shown_tasks(timeline, shown_devices);
        Self {
            slot: column(&shown, |task| task.arrival_slot),
            device: column(&shown, |task| task.device),
            size_mbit: column(&shown, |task| Rounded(task.size_mbit)),
            density: column(&shown, |task| Rounded(task.density)),
            alpha: column(&shown, |task| Rounded(task.alpha)),
        }
    }
}

impl<'a> Run<'a> {
    fn new(policy: &'a str, timeline: &'a Timeline, shown_devices: u32) -> Self {
        let tasks = shown_tasks(timeline, shown_devices);
        let actions = 0..=timeline.servers as usize;
        let valued = tasks.iter().any(|task| !task.values.is_empty());
        let value = |task: &TaskStory, action| {
            Rounded(task.values.get(action).map_or(f64::NAN, |&value| f64::from(value)))
        };
        let predicted =
            |task: &TaskStory, action| task.predicted_slots.get(action).copied().flatten();
        Self {
            policy,
            qoe: Rounded(timeline.qoe()),
            delay_slots: timeline.mean_delay_slots().map(Rounded),
            energy: Rounded(timeline.energy_per_device()),
            dropped_tasks: timeline.totals.dropped,
            action: column(&tasks, |task| task.action),
            dropped: column(&tasks, |task| u8::from(task.dropped)),
            delay: column(&tasks, |task| task.delay_slots),
            reward: column(&tasks, |task| Rounded(task.reward)),
            energies: [0, 1, 2, 3].map(|part| column(&tasks, |task| Rounded(task.energy[part]))),
            started: column(&tasks, |task| task.started),
            sent: column(&tasks, |task| task.sent),
            served: column(&tasks, |task| task.served),
            predicted: actions
                .clone()
                .map(|action| column(&tasks, |task| predicted(task, action)))
                .collect(),
            q: valued.then(|| {
                actions.map(|action| column(&tasks, |task| value(task, action))).collect()
            }),
            active: &timeline.active_devices,
        }
    }
}

fn shown_tasks(timeline: &Timeline, devices: u32) -> Vec<&TaskStory> {
    timeline.tasks.iter().filter(|task| task.device < devices).collect()
}

fn column<T>(tasks: &[&TaskStory], value: impl Fn(&TaskStory) -> T) -> Vec<T> {
    tasks.iter().map(|task| value(task)).collect()
}

/// A number with five significant digits: half the bytes, and more than the page shows. What is
/// not finite is `null`.
struct Rounded(f64);

impl Serialize for Rounded {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let rounded = format!("{:.4e}", self.0).parse().unwrap_or(f64::NAN);
        // Without ".0", which most numbers of an episode would have.
        if rounded.fract() == 0.0 && rounded.abs() < 1e15 {
            serializer.serialize_i64(rounded as i64)
        } else {
            serializer.serialize_f64(rounded)
        }
    }
}

#[cfg(test)]
mod tests {
    use offramp_results::timeline::Totals;
    use serde_json::{Value, json};

    use super::*;

    /// Two devices, one server, two tasks: one computed locally, one offloaded and dropped.
    fn timeline() -> Timeline {
        let local = TaskStory {
            arrival_slot: 0,
            device: 0,
            size_mbit: 2.0,
            density: 0.297,
            alpha: 0.5,
            action: 0,
            values: vec![1.5, f32::NAN],
            predicted_slots: vec![Some(3), None],
            started: Some(0),
            dropped: false,
            delay_slots: 3,
            energy: [0.123_456_7, 0.0, 0.0, 0.0],
            reward: 37.0,
            ..TaskStory::default()
        };
        let offloaded = TaskStory {
            arrival_slot: 1,
            device: 1,
            action: 1,
            values: vec![-1.0, 2.0],
            predicted_slots: vec![Some(9), Some(2)],
            started: Some(1),
            sent: Some(3),
            dropped: true,
            delay_slots: 4,
            energy: [0.0, 1.0, 0.0, 0.25],
            reward: -3.0,
            ..local.clone()
        };
        Timeline {
            devices: 2,
            servers: 1,
            slots: 6,
            arrival_slots: 2,
            deadline_slots: 4,
            slot_seconds: 0.1,
            device_ghz: vec![2.6, 2.6],
            server_ghz: vec![42.0],
            shown_devices: 2,
            tasks: vec![local, offloaded],
            totals: Totals {
                tasks: 2,
                dropped: 1,
                delay_slots: 7,
                energy: 1.373_456_7,
                reward: 34.0,
            },
            active_devices: vec![vec![0], vec![0], vec![1], vec![1], vec![1], vec![0]],
        }
    }

    fn data(page: &str) -> Value {
        let (_, rest) = page.split_once("id=\"data\">").unwrap();
        let (data, _) = rest.split_once("</script>").unwrap();
        serde_json::from_str(data).unwrap()
    }

    #[test]
    fn columns_have_an_entry_per_task() {
        let data = data(&page("toy", "by hand", &[("a".to_owned(), timeline())], None));
        assert_eq!(
            data["tasks"],
            json!({"slot": [0, 1], "device": [0, 1], "size_mbit": [2, 2],
                   "density": [0.297, 0.297], "alpha": [0.5, 0.5]})
        );
        assert_eq!(
            data["runs"][0],
            json!({"policy": "a", "qoe": 17, "delay_slots": 3.5, "energy": 0.68673, "dropped_tasks": 1,
                   "action": [0, 1], "dropped": [0, 1], "delay": [3, 4], "reward": [37, -3],
                   "energies": [[0.12346, 0], [0, 1], [0, 0], [0, 0.25]],
                   "started": [0, 1], "sent": [null, 3], "served": [null, null],
                   "predicted": [[3, 9], [null, 2]], "q": [[1.5, -1], [null, 2]],
                   "active": [[0], [0], [1], [1], [1], [0]]})
        );
        assert_eq!(data["system"]["shown_devices"], 2);
    }

    #[test]
    fn a_policy_without_values_has_none() {
        let mut timeline = timeline();
        timeline.tasks.iter_mut().for_each(|task| task.values.clear());
        let data = data(&page("toy", "", &[("a".to_owned(), timeline)], None));
        assert_eq!(data["runs"][0]["q"], Value::Null);
    }

    #[test]
    fn no_name_can_leave_its_place_in_the_page() {
        let hostile = "</script><!-- \"'{{script}}\u{2028}é & <script>";
        let page = page(hostile, hostile, &[(hostile.to_owned(), timeline())], None);
        assert_eq!(data(&page)["runs"][0]["policy"], hostile);
        assert_eq!(data(&page)["title"], hostile);
        let plain = super::page("toy", "", &[("a".to_owned(), timeline())], None);
        for tag in ["<script", "</script", "<!--", "<h1>"] {
            assert_eq!(page.matches(tag).count(), plain.matches(tag).count(), "{tag}");
        }
        assert!(page.contains("<h1>&lt;/script&gt;&lt;!-- &quot;'{{script}}\u{2028}é &amp;"));
        assert!(!plain.contains("{{"), "a placeholder was not filled");
    }

    #[test]
    fn the_page_needs_nothing_from_elsewhere() {
        let page = page("toy", "", &[("a".to_owned(), timeline())], None);
        for from_elsewhere in ["http:", "https:", " src=", "@import", "url("] {
            assert!(!page.contains(from_elsewhere), "{from_elsewhere}");
        }
    }

    #[test]
    fn only_the_page_of_a_world_has_a_map() {
        let runs = [("a".to_owned(), timeline()), ("b".to_owned(), timeline())];
        let plain = page("toy", "", &runs, None);
        assert_eq!(data(&plain).get("world"), None);
        assert!(!plain.contains(MAP_NOTE));
        let page = page("toy", "", &runs, Some(&world::tests::world()));
        assert_eq!(data(&page)["world"]["x_dm"][1], json!([30]));
        assert_eq!(page.matches("\"x_dm\"").count(), 1, "once, whatever the number of policies");
        assert!(page.contains(MAP_NOTE));
        assert!(!page.contains("{{"), "a placeholder was not filled");
        for from_elsewhere in ["http:", "https:", " src=", "@import", "url("] {
            assert!(!page.contains(from_elsewhere), "{from_elsewhere}");
        }
    }

    #[test]
    fn a_large_page_has_the_tasks_of_the_first_devices_that_fit() {
        let mut timeline = timeline();
        (timeline.devices, timeline.shown_devices) = (1000, 1000);
        timeline.totals.reward = 148_000.0;
        timeline.device_ghz = vec![2.6; 1000];
        let task = timeline.tasks[0].clone();
        timeline.tasks = (0..4)
            .flat_map(|arrival_slot| (0..1000).map(move |device| (arrival_slot, device)))
            .map(|(arrival_slot, device)| TaskStory { arrival_slot, device, ..task.clone() })
            .collect();
        let runs = [("a".to_owned(), timeline)];
        let whole = page("toy", "", &runs, None);
        assert_eq!(data(&whole)["system"]["shown_devices"], 1000);
        let max_bytes = whole.len() - 100_000;
        let cut = page_within(max_bytes, "toy", "", &runs, None);
        assert!(cut.len() <= max_bytes && cut.len() > max_bytes - 20_000, "{}", cut.len());
        let cut = data(&cut);
        let shown = cut["system"]["shown_devices"].as_u64().unwrap() as usize;
        assert!((300..900).contains(&shown), "{shown}");
        assert_eq!(cut["tasks"]["slot"].as_array().unwrap().len(), 4 * shown);
        assert_eq!(cut["runs"][0]["action"].as_array().unwrap().len(), 4 * shown);
        // What belongs to the whole episode is of all devices.
        assert_eq!(cut["runs"][0]["qoe"], 148);
        // At least one device, however small the limit.
        let least = page_within(10, "toy", "", &runs, None);
        assert_eq!(data(&least)["system"]["shown_devices"], 1);
    }
}
