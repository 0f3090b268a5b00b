//! Plans against the engine.

use std::sync::Arc;

use offramp_model::rng::{Purpose, Stream, StreamFamily};
use offramp_model::world::mobility::RandomWaypoint;
use offramp_model::world::{
    Area, Association, Band, Handover, Mobility, PathLoss, Position, Radio, RadioParameters, World,
};
use offramp_model::{
    Backhaul, Distribution, EnergyAccounting, Episode, ObservationSpec, Outages, System,
    SystemParameters, TaskClass, UplinkRates, Ways, Workload, reward,
};

use crate::instance::{ABSENT, Instance};
use crate::schedule::{Change, Schedule};
use crate::{Known, TRIALS_PER_TASK};

const WORKLOAD: Workload = Workload::Drawn { seed: 3, episode: 1 };

fn stream() -> Stream {
    StreamFamily::new(3, 1, Purpose::new(15)).of(0)
}

/// The sum of rewards of an episode that the engine plays.
fn played(system: &Arc<System>, actions: &[u32]) -> f64 {
    let mut episode = Episode::new(system, WORKLOAD, ObservationSpec::PAPER);
    let (mut left, mut sum) = (actions, 0.0);
    while !episode.is_over() {
        let (now, later) = left.split_at(episode.arrivals().len());
        episode.advance(now).unwrap();
        left = later;
        sum += episode.ended().iter().map(|task| reward::reward(system, task)).sum::<f64>();
    }
    sum
}

#[track_caller]
fn assert_close(found: f64, expected: f64) {
    let error = (found - expected).abs();
    assert!(error <= 1e-9 * (1.0 + expected.abs()), "{found} instead of {expected}");
}

/// The paper's system, small.
fn small(change: impl FnOnce(&mut SystemParameters)) -> Arc<System> {
    let mut parameters = SystemParameters::paper(8, 3);
    parameters.arrival_slots = 30;
    parameters.devices.iter_mut().for_each(|device| device.arrival_probability = 0.5);
    parameters.servers.iter_mut().for_each(|server| server.ghz = 8.0);
    change(&mut parameters);
    Arc::new(System::new(parameters).unwrap())
}

fn world(band: Band, association: Association) -> World {
    let radio = RadioParameters { bandwidth_mhz: 3.0, ..RadioParameters::new(PathLoss::Umi) };
    World {
        area: Area { width_m: 600.0, height_m: 400.0 },
        stations: vec![Position { x_m: 150.0, y_m: 200.0 }, Position { x_m: 450.0, y_m: 200.0 }],
        mobility: Mobility::RandomWaypoint(RandomWaypoint {
            speed_mps: (20.0, 40.0),
            pause_slots: Distribution::Constant(2.0),
        }),
        radio: Some(Arc::new(Radio::new(radio).unwrap())),
        band,
        association,
    }
}

/// Systems of every kind.
fn systems() -> Vec<(&'static str, Arc<System>)> {
    let handover = Handover { hysteresis_db: 1.0, time_to_trigger_slots: 1, interruption_slots: 2 };
    let moving = |band, association| {
        small(|parameters| {
            parameters.world = Some(Arc::new(world(band, association)));
            parameters.backhaul = Backhaul {
                delay_slots: Ways::PerServer(vec![1.0, 0.0, 3.0]),
                mbps: Ways::Same(50.0),
            };
        })
    };
    vec![
        ("paper", small(|_| ())),
        ("physical", small(|parameters| parameters.energy = EnergyAccounting::Physical)),
        (
            "differing devices and servers, no coverage",
            small(|parameters| {
                parameters.energy = EnergyAccounting::Physical;
                parameters.servers[1].ghz = 20.0;
                parameters.devices[2].cpu_ghz = 5.0;
                let rate = |device: usize, server: usize| {
                    [0.0, 9.0, 14.0, 25.0][(device + 2 * server) % 4]
                };
                let row = |device| (0..3).map(|server| rate(device, server)).collect();
                parameters.uplink = UplinkRates::PerPair((0..8).map(row).collect()).into();
            }),
        ),
        (
            "classes",
            small(|parameters| {
                let class = parameters.classes[0].clone();
                let urgent = TaskClass {
                    name: "urgent".into(),
                    size_mbit: Distribution::Constant(1.5),
                    deadline_slots: 3,
                    ..class
                };
                parameters.classes.push(urgent);
            }),
        ),
        (
            "outages",
            small(|parameters| {
                parameters.outages = Some(Outages::Drawn {
                    mean_up_slots: 6.0,
                    mean_down_slots: 3.0,
                    capacity: 0.0,
                });
            }),
        ),
        ("links of their own", moving(Band::PerDevice, Association::Direct)),
        ("handover", moving(Band::PerDevice, Association::Serving(handover))),
        ("shared bands", moving(Band::Shared, Association::Direct)),
        ("shared bands and handover", moving(Band::Shared, Association::Serving(handover))),
    ]
}

/// Many changes of one to three tasks, each either carried out or only tried; the plan must remain what
/// the engine plays.
#[test]
fn plans_are_worth_what_the_engine_pays() {
    for (name, system) in systems() {
        let instance = Instance::new(&system, WORKLOAD);
        let mut schedule = Schedule::new(&instance);
        let mut stream = stream();
        let actions = system.server_count() as usize + 1;
        let tasks = instance.tasks.len();
        for task in 0..tasks as u32 {
            let gain = schedule.try_out(&[Change { task, action: 0 }]);
            schedule.accept(gain);
        }
        for round in 0..400 {
            let first = stream.below(tasks);
            let count = 1 + stream.below(3);
            let changes: Vec<Change> = (0..count)
                .map(|number| Change {
                    task: ((first + number * (1 + round % 7)) % tasks) as u32,
                    action: stream.below(actions) as u32,
                })
                .collect();
            let differ = |at: usize| changes[..at].iter().all(|one| one.task != changes[at].task);
            if !(1..count).all(differ) {
                continue;
            }
            let gain = schedule.try_out(&changes);
            if round % 3 == 0 || gain > 0.0 {
                schedule.accept(gain);
            }
            if round % 20 == 19 {
                let actions: Vec<u32> =
                    (0..tasks as u32).map(|task| schedule.action(task)).collect();
                let (found, expected) = (schedule.total(), played(&system, &actions));
                assert!(
                    (found - expected).abs() < 1e-6,
                    "{name}, {round}: {found}, not {expected}"
                );
            }
        }
        assert!((0..tasks as u32).all(|task| schedule.action(task) != ABSENT));
    }
}

#[test]
fn plans_of_all_kinds_are_worth_what_the_engine_pays() {
    for (name, system) in systems() {
        let known = Known::new(&system, WORKLOAD);
        let plans =
            [known.chance(&mut stream()), known.central(), known.hindsight(20, &mut stream())];
        for plan in &plans {
            let expected = played(&system, &plan.actions);
            let error = (plan.reward - expected).abs();
            assert!(error < 1e-6, "{name}: {}, not {expected}", plan.reward);
        }
        let [chance, central, hindsight] = plans.map(|plan| plan.reward);
        assert!(chance < central && central <= hindsight, "{name}: {chance} {central} {hindsight}");
        let again = known.hindsight(20, &mut stream());
        assert_eq!(again, known.hindsight(20, &mut stream()), "{name}");
    }
}

#[test]
fn no_plan_exceeds_the_bound() {
    for (name, system) in systems() {
        let known = Known::new(&system, WORKLOAD);
        let bound = known.bound().unwrap();
        let found = known.hindsight(50, &mut stream()).reward;
        assert!(found <= bound, "{name}: {found} > {bound}");
    }
}

/// Two devices, one server, and all 3,000 or so plans of their tasks.
#[test]
fn of_few_tasks_the_best_plan_is_found() {
    let mut parameters = SystemParameters::paper(2, 1);
    parameters.arrival_slots = 8;
    parameters.servers[0].ghz = 3.0;
    parameters.devices.iter_mut().for_each(|device| device.arrival_probability = 0.7);
    let system = Arc::new(System::new(parameters).unwrap());
    let known = Known::new(&system, WORKLOAD);
    assert!((8..=14).contains(&known.tasks()), "{} tasks", known.tasks());
    let plan = |bits: u32| (0..known.tasks()).map(|task| bits >> task & 1).collect::<Vec<_>>();
    let best = (0..1 << known.tasks()).map(|bits| played(&system, &plan(bits)));
    let best = best.fold(f64::NEG_INFINITY, f64::max);
    let found = known.hindsight(TRIALS_PER_TASK, &mut stream()).reward;
    assert_close(found, best);
    assert!(known.central().reward < best, "it knows nothing of the future");
}

/// A slot with one device: the best action, if nothing more arrives, is found by playing each.
#[test]
fn the_central_plan_is_the_best_response_as_if_nothing_more_arrived() {
    let mut parameters = SystemParameters::paper(1, 3);
    parameters.arrival_slots = 1;
    parameters.devices[0].arrival_probability = 1.0;
    parameters.servers[1].ghz = 60.0;
    let system = Arc::new(System::new(parameters).unwrap());
    let known = Known::new(&system, WORKLOAD);
    let each: Vec<f64> = (0..4).map(|action| played(&system, &[action])).collect();
    let best = each.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    assert_close(known.central().reward, best);
}

#[test]
fn an_episode_without_tasks_has_a_plan_of_none() {
    let system = small(|parameters| {
        parameters.devices.iter_mut().for_each(|device| device.arrival_probability = 0.0);
    });
    let plan = Known::new(&system, WORKLOAD).hindsight(TRIALS_PER_TASK, &mut stream());
    assert_eq!((plan.actions.len(), plan.reward), (0, 0.0));
    assert_eq!((plan.of_slot(0), plan.of_slot(1000)), (&[][..], &[][..]));
}

/// A gain is what the engine pays more if a task alone is decided otherwise.
#[test]
fn counterfactuals_are_what_the_engine_pays_more() {
    for (name, system) in systems() {
        let known = Known::new(&system, WORKLOAD);
        let actions = known.chance(&mut stream()).actions;
        let sum = played(&system, &actions);
        let tasks: Vec<u32> = (0..known.tasks() as u32).step_by(7).collect();
        let gains = known.counterfactuals(&actions, &tasks).unwrap();
        assert_eq!(gains.len(), tasks.len() * 4, "{name}");
        for (&task, gains) in tasks.iter().zip(gains.chunks_exact(4)) {
            for (action, &gain) in (0..).zip(gains) {
                let mut changed = actions.clone();
                changed[task as usize] = action;
                assert_close(sum + gain, played(&system, &changed));
            }
            assert_eq!(gains[actions[task as usize] as usize], 0.0);
        }
        assert!(known.counterfactuals(&actions[1..], &tasks).is_none());
    }
}
