//! The rules of the heuristic against the engine: what they predict is what happens. A plugin file
//! shows decisions alone, so this reads the source of the rules themselves.

use std::sync::Arc;

use offramp_model::{
    Arrival, Distribution, EndedTask, Episode, ObservationSpec, Outcome, RecordedArrival,
    Recording, Server, System, SystemParameters, UplinkRates, Workload, reward,
};
use offramp_plugin::testing::Bench;
use offramp_plugin::{Context, EnergyAccounting, Observation, RSlice, SystemSpec};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use rules::{Prediction, RuleParameters, Rules};

#[path = "../../policies/heuristic/src/rules.rs"]
mod rules;

/// Of one device, whose CPU, uplinks and servers all differ.
fn system(energy: offramp_model::EnergyAccounting) -> Arc<System> {
    let mut parameters = SystemParameters::paper(1, 3);
    parameters.classes[0].deadline_slots = 14;
    parameters.servers = [42.0, 4.5, 3.5].map(|ghz| Server { ghz, power_w: ghz / 10.0 }).to_vec();
    parameters.uplink = UplinkRates::PerServer(vec![14.0, 25.0, 0.0]).into();
    parameters.devices[0].cpu_ghz = 3.1;
    parameters.devices[0].idle_w = 0.4;
    parameters.classes[0].size_mbit = Distribution::Uniform(0.5, 9.0);
    parameters.classes[0].density = Distribution::Uniform(0.1, 0.6);
    parameters.energy = energy;
    Arc::new(System::new(parameters).unwrap())
}

/// The system as plugins are lent it.
fn spec<T>(system: &System, call: impl FnOnce(&SystemSpec<'_>) -> T) -> T {
    let parameters = system.parameters();
    let of_devices = |quantity: fn(&offramp_model::Device) -> f64| {
        parameters.devices.iter().map(quantity).collect::<Vec<_>>()
    };
    let [device_ghz, compute_w, transmit_w, idle_w] = [
        of_devices(|device| device.cpu_ghz),
        of_devices(|device| device.compute_w),
        of_devices(|device| device.transmit_w),
        of_devices(|device| device.idle_w),
    ];
    let server_ghz: Vec<f64> = parameters.servers.iter().map(|server| server.ghz).collect();
    call(&SystemSpec {
        slot_seconds: parameters.slot_seconds,
        deadline_slots: system.deadline_slots(),
        arrival_slots: parameters.arrival_slots,
        device_ghz: device_ghz.as_slice().into(),
        compute_w: compute_w.as_slice().into(),
        transmit_w: transmit_w.as_slice().into(),
        idle_w: idle_w.as_slice().into(),
        server_ghz: server_ghz.as_slice().into(),
        energy: match system.energy() {
            offramp_model::EnergyAccounting::Physical => EnergyAccounting::PHYSICAL,
            offramp_model::EnergyAccounting::Published => EnergyAccounting::PUBLISHED,
        },
        reference_energy: system.reference_energy(),
    })
}

/// Lends what the device sees in the slot at which the episode stands.
fn seen<T>(episode: &Episode, call: impl FnOnce(&Observation<'_>) -> T) -> T {
    let (mut tasks, mut links, mut servers) = (Vec::new(), Vec::new(), Vec::new());
    episode.task_table(&mut tasks);
    episode.link_table(&mut links);
    episode.server_table(&mut servers);
    let devices: Vec<u32> = episode.arrivals().iter().map(|arrival| arrival.device).collect();
    call(&Observation {
        slot: episode.slot(),
        server_count: episode.system().server_count(),
        history_slots: 1,
        devices: devices.as_slice().into(),
        features: RSlice::EMPTY,
        histories: RSlice::EMPTY,
        history_of: RSlice::EMPTY,
        tasks: tasks.as_slice().into(),
        links: links.as_slice().into(),
        servers: servers.as_slice().into(),
    })
}

fn rules(system: &System, parameters: RuleParameters) -> Rules {
    let bench = Bench::new(1, 3);
    spec(system, |system| {
        bench.context(|context| Rules::new(&Context { system, ..*context }, parameters).unwrap())
    })
}

/// What is before the task that is predicted: a slot, a size, and an action for each.
type Before<'b> = &'b [(u32, f64, u32)];

const SLOT: u32 = 4;

/// The end of a task that arrives in [`SLOT`], for an action, with what the rules predicted then, the
/// shortest delay they saw, and the action that they would have chosen.
fn played(
    system: &Arc<System>,
    before: Before<'_>,
    [size_mbit, density, alpha]: [f64; 3],
    action: u32,
) -> (Prediction, f64, u32, EndedTask) {
    let arrival = |slot, size_mbit| RecordedArrival {
        slot,
        arrival: Arrival {
            device: 0,
            size_mbit,
            density,
            alpha,
            deadline_slots: system.deadline_slots(),
            class: 0,
        },
    };
    let mut arrivals: Vec<_> = before.iter().map(|&(slot, size, _)| arrival(slot, size)).collect();
    arrivals.push(arrival(SLOT, size_mbit));
    let recording = Recording::new(system, arrivals).unwrap();
    let workload = Workload::Recorded(recording);
    let mut episode = Episode::new(system, workload, ObservationSpec::PAPER);
    // Alone, the last load lasts.
    let mut rules = rules(system, RuleParameters { temperature: 0.0, load_trust: 1.0 });
    let mut actions = before.iter().map(|&(.., action)| action).chain([action]);
    let mut predicted = None;
    while !episode.is_over() {
        if episode.slot() == SLOT {
            seen(&episode, |seen| rules.predict(seen, 0)).unwrap();
            let chosen = rules.choose(&mut Xoshiro256PlusPlus::seed_from_u64(1));
            predicted = Some((rules.predictions[action as usize], rules.shortest_delay(), chosen));
        }
        let of_slot: Vec<u32> = episode.arrivals().iter().flat_map(|_| actions.next()).collect();
        episode.advance(&of_slot).unwrap();
        if let Some(task) = episode.ended().iter().find(|task| task.arrival_slot == SLOT) {
            let (prediction, shortest, chosen) = predicted.unwrap();
            return (prediction, shortest, chosen, *task);
        }
    }
    unreachable!("every task ends");
}

/// What is predicted is what happens to a device that is alone, whatever it has under way itself:
/// nothing; tasks at its CPU; one in its uplink; one at a server.
#[test]
fn predictions_come_true_for_a_device_alone() {
    let nothing: Before<'_> = &[];
    let cases = [
        (nothing, [true; 4]),
        (&[(1, 2.0, 0), (3, 1.5, 0)], [true; 4]),
        // What is still in the uplink is not part of a server's backlog.
        (&[(3, 6.0, 2)], [true, true, false, true]),
        (&[(0, 3.0, 1), (3, 6.0, 1)], [true, false, true, true]),
        (&[(0, 6.0, 2)], [true; 4]),
        (&[(0, 6.0, 2), (1, 2.0, 0)], [true; 4]),
    ];
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(9);
    let mut outcomes = [[0; 2]; 4];
    for energy in
        [offramp_model::EnergyAccounting::Published, offramp_model::EnergyAccounting::Physical]
    {
        let system = system(energy);
        for (before, predictable) in cases {
            for _ in 0..150 {
                let task =
                    [rng.random_range(0.5..9.0), rng.random_range(0.1..0.6), rng.random::<f64>()];
                let mut shortest_done = f64::INFINITY;
                let mut shortest = 0.0;
                // The cost of what was chosen, and the least of all that ended in time.
                let (mut of_choice, mut least) = (f64::INFINITY, f64::INFINITY);
                for action in 0..4 {
                    let (prediction, delay, chosen, ended) = played(&system, before, task, action);
                    shortest = delay;
                    let done = ended.outcome == Outcome::Done;
                    outcomes[action as usize][usize::from(done)] += 1;
                    if !predictable[action as usize] {
                        shortest_done = f64::NEG_INFINITY;
                        continue;
                    }
                    let what = || format!("{before:?} {task:?} {action} {prediction:?} {ended:?}");
                    assert_eq!(prediction.late, !done, "{}", what());
                    if done {
                        assert_eq!(
                            prediction.delay_slots,
                            f64::from(ended.delay_slots),
                            "{}",
                            what()
                        );
                        let cost = reward::cost(&system, &ended);
                        assert!((prediction.cost - cost).abs() < 1e-9, "{cost} {}", what());
                        shortest_done = shortest_done.min(prediction.delay_slots);
                        least = least.min(cost);
                        if chosen == action {
                            of_choice = cost;
                        }
                    }
                }
                if predictable == [true; 4] && least.is_finite() {
                    // Actions are compared by whole slots of waiting.
                    let slot_energy = match energy {
                        offramp_model::EnergyAccounting::Published => 0.0,
                        offramp_model::EnergyAccounting::Physical => {
                            0.4 * system.parameters().slot_seconds
                        }
                    };
                    let slot = 20.0 * (1.0 - task[2]) * slot_energy / system.reference_energy();
                    assert!(of_choice <= least + slot + 1e-9, "{before:?} {task:?}");
                }
                if shortest_done.is_finite() {
                    assert_eq!(shortest, shortest_done);
                }
            }
        }
    }
    // Both ends occur where they can: server 1 is fast, and server 3 out of coverage.
    assert!([0, 2].iter().all(|&action| outcomes[action].iter().all(|&count| count > 20)));
    assert!(outcomes[1][0] == 0 && outcomes[3][1] == 0, "{outcomes:?}");
}

#[test]
fn a_device_of_another_system_is_predicted_there() {
    let one = system(offramp_model::EnergyAccounting::Physical);
    let mut parameters = one.parameters().clone();
    parameters.devices[0].cpu_ghz /= 2.0;
    let other = System::new(parameters).unwrap();
    let mut rules = rules(&one, RuleParameters { temperature: 0.0, load_trust: 1.0 });
    let bench = Bench::new(1, 3);
    let delay = |rules: &mut Rules| {
        bench.observe(|seen| rules.predict(seen, 0)).unwrap();
        rules.predictions[0].delay_slots
    };
    // 4 Mbit of ρ = 0.297 at 3.1 GHz, then at half of it.
    assert_eq!(delay(&mut rules), 4.0);
    spec(&other, |system| rules.enter(system)).unwrap();
    assert_eq!(delay(&mut rules), 8.0);
}
