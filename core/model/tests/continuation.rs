//! Episodes that go on in another system: what differs takes effect, what does not is undisturbed,
//! and no task is lost.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::collections::BTreeSet;
use std::sync::Arc;

use offramp_model::world::mobility::{Placement, RandomWaypoint};
use offramp_model::world::{
    Area, Association, Band, Handover, Mobility, PathLoss, Position, Radio, RadioParameters, World,
};
use offramp_model::{
    Arrivals, Backhaul, Distribution, EndedTask, EnergyAccounting, Episode, Incompatible,
    ObservationSpec, Outages, Outcome, PreferenceRule, RecordedRates, System, SystemParameters,
    Uplink, UplinkRates, Ways, Workload,
};
use proptest::prelude::*;

const DEVICES: usize = 9;
const SERVERS: usize = 3;

fn parameters() -> SystemParameters {
    let mut parameters = SystemParameters::paper(DEVICES, SERVERS);
    parameters.arrival_slots = 60;
    parameters.energy = EnergyAccounting::Physical;
    parameters
}

fn built(parameters: SystemParameters) -> Arc<System> {
    Arc::new(System::new(parameters).unwrap())
}

fn world(speed_mps: Option<f64>, transmit_dbm: f64, serving: bool) -> World {
    let radio = RadioParameters { transmit_dbm, ..RadioParameters::new(PathLoss::Umi) };
    let station = |x_m| Position { x_m, y_m: 100.0 };
    World {
        area: Area { width_m: 600.0, height_m: 200.0 },
        stations: [100.0, 300.0, 500.0].map(station).to_vec(),
        mobility: match speed_mps {
            None => Mobility::Static(Placement::Uniform),
            Some(speed) => Mobility::RandomWaypoint(RandomWaypoint {
                speed_mps: (speed, 2.0 * speed),
                pause_slots: Distribution::Constant(2.0),
            }),
        },
        radio: Some(Arc::new(Radio::new(radio).unwrap())),
        band: if serving { Band::Shared } else { Band::PerDevice },
        association: match serving {
            true => Association::Serving(Handover {
                hysteresis_db: 1.0,
                time_to_trigger_slots: 1,
                interruption_slots: 1,
            }),
            false => Association::Direct,
        },
    }
}

const DRAWN: Outages = Outages::Drawn { mean_up_slots: 6.0, mean_down_slots: 3.0, capacity: 0.3 };

/// Changes the system that `parameters` describe in one of many ways.
fn change(parameters: &mut SystemParameters, number: u32) {
    match number {
        0 => parameters.devices.iter_mut().for_each(|device| device.arrival_probability = 0.8),
        1 => parameters.devices.iter_mut().for_each(|device| device.arrival_probability = 0.1),
        2 => parameters.devices.iter_mut().for_each(|device| device.cpu_ghz *= 0.6),
        3 => parameters.servers.iter_mut().for_each(|server| server.ghz *= 0.5),
        4 => parameters.uplink = UplinkRates::Same(6.0).into(),
        5 => parameters.uplink = UplinkRates::PerServer(vec![0.0, 20.0, 9.0]).into(),
        6 => parameters.outages = Some(DRAWN),
        7 => parameters.outages = Some(Outages::Servers { servers: vec![0, 2], capacity: 0.0 }),
        8 => parameters.outages = None,
        9 => parameters.world = Some(Arc::new(world(Some(3.0), 5.0, false))),
        10 => parameters.world = Some(Arc::new(world(Some(30.0), 5.0, true))),
        11 => parameters.world = Some(Arc::new(world(None, 0.0, true))),
        12 => {
            parameters.world = None;
            parameters.backhaul = Backhaul::NONE;
        }
        13 => {
            let delay_slots = Ways::PerServer(vec![0.0, 3.0, 12.0]);
            parameters.backhaul = Backhaul { delay_slots, mbps: Ways::Same(40.0) };
        }
        14 => {
            parameters.classes[0].deadline_slots = 14;
            let mut other = parameters.classes[0].clone();
            (other.name, other.deadline_slots) = ("other".into(), 4);
            parameters.classes.push(other);
        }
        15 => {
            parameters.classes.truncate(1);
            parameters.classes[0].deadline_slots = 5;
        }
        16 => {
            parameters.arrivals = Arrivals::Bursty {
                p_on: 0.1,
                p_off: 0.2,
                probability_on: 0.9,
                probability_off: 0.1,
            };
        }
        17 => parameters.arrivals = Arrivals::Daily { period_slots: 20.0, amplitude: 0.2 },
        18 => {
            parameters.power_preference.modes = vec![0.1, 0.9];
            parameters.power_preference.rule = PreferenceRule::Switching(0.2);
        }
        19 => {
            let rate = |device: usize, slot: usize| ((device * 7 + slot * 3) % 11) as f64;
            let traces = (0..DEVICES).map(|i| (0..90).map(|slot| rate(i, slot)).collect());
            let rates = RecordedRates::per_device(traces.collect()).unwrap();
            parameters.uplink = Uplink::Recorded(Arc::new(rates));
        }
        _ => parameters.energy = EnergyAccounting::Published,
    }
}

const CHANGES: u32 = 21;

fn begin(system: &Arc<System>) -> Episode {
    let workload = Workload::Drawn { seed: 3, episode: 1 };
    Episode::new(system, workload, ObservationSpec { history_slots: 4, ..ObservationSpec::PAPER })
}

/// Some decision of each task, whatever the system.
fn actions(episode: &Episode) -> Vec<u32> {
    let action = |device: u32| (device * 5 + episode.slot() * 3) % (SERVERS as u32 + 1);
    episode.arrivals().iter().map(|arrival| action(arrival.device)).collect()
}

/// All that an episode shows at the start of a slot.
fn shown(episode: &Episode) -> String {
    let mut tables = [Vec::new(), Vec::new(), Vec::new()];
    episode.task_table(&mut tables[0]);
    episode.link_table(&mut tables[1]);
    episode.server_table(&mut tables[2]);
    let under_way: Vec<_> = episode.tasks_under_way().collect();
    format!(
        "{:?} {:?} {tables:?} {:?} {under_way:?}",
        episode.arrivals(),
        episode.ended(),
        episode.history()
    )
}

#[test]
fn in_an_equal_system_nothing_changes() {
    for number in 0..CHANGES {
        let mut own = parameters();
        change(&mut own, number);
        let system = built(own.clone());
        let (mut plain, mut continued) = (begin(&system), begin(&system));
        while !plain.is_over() {
            if plain.slot() < 60 {
                continued.continue_in(&built(own.clone())).unwrap();
            }
            assert_eq!(shown(&continued), shown(&plain), "change {number}, slot {}", plain.slot());
            let actions = actions(&plain);
            plain.advance(&actions).unwrap();
            continued.advance(&actions).unwrap();
        }
    }
}

/// A load that is back before its slot has ended was never another, whatever else there is.
#[test]
fn what_is_undone_at_once_leaves_no_trace() {
    for number in 0..CHANGES {
        let mut own = parameters();
        change(&mut own, number);
        let mut other = own.clone();
        change(&mut other, 1);
        other.classes[0].size_mbit = Distribution::Constant(0.5);
        let (system, other) = (built(own), built(other));
        let (mut plain, mut continued) = (begin(&system), begin(&system));
        while !plain.is_over() {
            if plain.slot() < 60 {
                continued.continue_in(&other).unwrap();
                continued.continue_in(&system).unwrap();
            }
            assert_eq!(shown(&continued), shown(&plain), "change {number}, slot {}", plain.slot());
            let actions = actions(&plain);
            plain.advance(&actions).unwrap();
            continued.advance(&actions).unwrap();
        }
    }
}

#[test]
fn another_load_leaves_positions_rates_and_outages_as_they_were() {
    let mut own = parameters();
    change(&mut own, 10);
    change(&mut own, 6);
    let mut loaded = own.clone();
    change(&mut loaded, 0);
    let (system, loaded) = (built(own), built(loaded));
    let (mut plain, mut continued) = (begin(&system), begin(&system));
    let mut arrived = [0, 0];
    while !plain.is_over() {
        if plain.slot() == 20 {
            continued.continue_in(&loaded).unwrap();
        }
        if plain.slot() >= 20 {
            arrived[0] += plain.arrivals().len();
            arrived[1] += continued.arrivals().len();
        }
        for device in 0..DEVICES as u32 {
            assert_eq!(continued.position(device), plain.position(device));
            assert_eq!(continued.serving(device), plain.serving(device));
        }
        assert_eq!(continued.capacities(), plain.capacities());
        let all_local = |episode: &Episode| vec![0; episode.arrivals().len()];
        let rate = |episode: &Episode| -> Vec<f64> {
            (0..DEVICES as u32).map(|device| episode.uplink_mbps(device, 1)).collect()
        };
        assert_eq!(rate(&continued), rate(&plain));
        plain.advance(&all_local(&plain)).unwrap();
        continued.advance(&all_local(&continued)).unwrap();
    }
    // 0.8 against 0.3 of 9 devices in 40 slots.
    assert!((80..140).contains(&arrived[0]) && (260..320).contains(&arrived[1]), "{arrived:?}");
}

/// One device, one server, by hand: a task of 4 Mbit at 10 Mbit/s takes 4 slots of sending; at
/// 20 Mbit/s, from the third on, one less.
#[test]
fn what_is_being_sent_goes_on_at_the_new_rate() {
    let mut own = SystemParameters::paper(1, 1);
    own.arrival_slots = 60;
    own.energy = EnergyAccounting::Physical;
    own.classes[0].size_mbit = Distribution::Constant(4.0);
    own.devices[0].arrival_probability = 1.0;
    own.uplink = UplinkRates::Same(10.0).into();
    let mut faster = own.clone();
    faster.uplink = UplinkRates::Same(20.0).into();
    let mut episode = begin(&built(own));
    // One task alone is sent.
    let mut ended: Option<EndedTask> = None;
    while ended.is_none() {
        if episode.slot() == 2 {
            episode.continue_in(&built(faster.clone())).unwrap();
        }
        episode.advance(&[u32::from(episode.slot() == 0)]).unwrap();
        ended = episode.ended().iter().find(|task| task.action == 1).copied();
    }
    let ended = ended.unwrap();
    assert_eq!((ended.sent_slot, ended.outcome), (Some(2), Outcome::Done));
    // 0.2 s at the old rate, 2 Mbit at the new one.
    let expected = 2.3 * (0.2 + 2.0 / 20.0);
    assert!((ended.energy.physical.transmit - expected).abs() < 1e-12, "{ended:?}");
}

#[test]
fn servers_that_are_down_serve_nothing_until_they_are_up_again() {
    let own = parameters();
    let mut down = own.clone();
    change(&mut down, 7);
    let (system, down) = (built(own), built(down));
    let mut episode = begin(&system);
    let mut done = [0; 3];
    while !episode.is_over() {
        match episode.slot() {
            20 => episode.continue_in(&down).unwrap(),
            40 => episode.continue_in(&system).unwrap(),
            _ => {}
        }
        let shares = episode.capacities().map(<[f64]>::to_vec);
        let expected = match episode.slot() {
            0..20 => None,
            20..40 => Some(vec![0.0, 1.0, 0.0]),
            _ => shares.clone().map(|_| vec![1.0; 3]),
        };
        assert_eq!(shares, expected);
        let to_first = vec![1; episode.arrivals().len()];
        let phase = (episode.slot() / 20).min(2) as usize;
        episode.advance(&to_first).unwrap();
        let tasks = episode.ended().iter();
        done[phase] += tasks.filter(|task| task.outcome == Outcome::Done).count();
    }
    assert!(done[0] > 0 && done[1] == 0 && done[2] > 0, "{done:?}");
}

/// A scene that changes nothing puts all devices into one shard, and times what is sent.
#[test]
fn many_devices_go_on_where_something_changes() {
    let mut own = SystemParameters::paper(2_500, SERVERS);
    own.arrival_slots = 40;
    own.servers.iter_mut().for_each(|server| server.ghz = 2_000.0);
    let mut changing = own.clone();
    changing.outages = Some(Outages::Servers { servers: vec![1], capacity: 1.0 });
    let (system, changing) = (built(own), built(changing));
    let (mut plain, mut continued) = (begin(&system), begin(&system));
    plain.set_threads(2);
    let mut tasks = 0;
    while !plain.is_over() {
        if plain.slot() == 20 {
            continued.continue_in(&changing).unwrap();
        }
        assert_eq!(continued.active_devices(), plain.active_devices());
        assert!(continued.tasks_under_way().eq(plain.tasks_under_way()));
        let actions = actions(&plain);
        plain.advance(&actions).unwrap();
        continued.advance(&actions).unwrap();
        let same = |a: &EndedTask, b: &EndedTask| {
            let energies = [a, b].map(|task| task.energy.physical.transmit);
            let close = (energies[0] - energies[1]).abs() < 1e-12;
            let mut a = *a;
            a.energy.physical.transmit = energies[1];
            close && a == *b
        };
        assert_eq!(continued.ended().len(), plain.ended().len());
        let pairs = continued.ended().iter().zip(plain.ended());
        tasks += pairs.inspect(|(a, b)| assert!(same(a, b), "{a:?} {b:?}")).count();
    }
    assert!(tasks > 20_000, "{tasks}");
}

#[test]
fn devices_servers_slots_and_time_must_be_the_same() {
    let mut episode = begin(&built(parameters()));
    let mut refused = |change: fn(&mut SystemParameters)| {
        let mut other = parameters();
        change(&mut other);
        episode.continue_in(&built(other)).unwrap_err().to_string()
    };
    assert_eq!(
        refused(|other| other.devices.truncate(4)),
        format!("devices: 4 instead of {DEVICES}")
    );
    assert_eq!(refused(|other| other.servers.truncate(1)), "servers: 1 instead of 3");
    assert_eq!(
        refused(|other| other.slot_seconds = 0.2),
        "duration of a slot: 0.2 s instead of 0.1 s"
    );
    assert_eq!(refused(|other| other.arrival_slots = 61), "slots with arrivals: 61 instead of 60");
    while episode.slot() < 60 {
        episode.advance(&actions(&episode)).unwrap();
    }
    let over = episode.continue_in(&built(parameters())).unwrap_err();
    assert_eq!(over, Incompatible::Over { slot: 60, arrival_slots: 60 });
    assert_eq!(over.to_string(), "slot 60: tasks arrive in the first 60 slots only");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Whatever changes, and however often: each task that was decided ends once, with finite
    /// energies, and what an episode shows does not depend on who looked at it before.
    #[test]
    fn no_task_is_lost_or_counted_twice(
        changes in prop::collection::vec((0..60_u32, 0..CHANGES), 0..8),
    ) {
        let mut own = parameters();
        let mut systems = vec![(0, built(own.clone()))];
        let mut changes = changes;
        changes.sort_by_key(|(slot, _)| *slot);
        for (slot, number) in changes {
            change(&mut own, number);
            systems.push((slot, built(own.clone())));
        }
        let mut episode = begin(&systems[0].1);
        let mut unseen = begin(&systems[0].1);
        let (mut decided, mut ended) = (BTreeSet::new(), BTreeSet::new());
        while !episode.is_over() {
            let slot = episode.slot();
            for (_, system) in systems[1..].iter().filter(|(at, _)| *at == slot) {
                episode.continue_in(system).unwrap();
                unseen.continue_in(system).unwrap();
            }
            let _ = shown(&episode);
            let arrivals = episode.arrivals().iter();
            decided.extend(arrivals.map(|arrival| (arrival.device, slot)));
            let actions = actions(&episode);
            episode.advance(&actions).unwrap();
            unseen.advance(&actions).unwrap();
            for task in episode.ended() {
                prop_assert!(ended.insert((task.device, task.arrival_slot)), "{task:?}");
                let energies = [task.energy.physical.total(), task.energy.published.total()];
                prop_assert!(energies.iter().all(|energy| energy.is_finite()), "{task:?}");
                prop_assert!((1..=task.deadline_slots).contains(&task.delay_slots), "{task:?}");
            }
            prop_assert_eq!(episode.under_way(), decided.len() - ended.len());
            prop_assert_eq!(episode.tasks_under_way().count(), episode.under_way());
            if slot % 13 == 12 {
                prop_assert_eq!(shown(&episode), shown(&unseen));
            }
        }
        prop_assert_eq!(decided, ended);
    }
}
