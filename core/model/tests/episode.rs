//! What an episode shows of itself, and which systems are refused.

use std::sync::Arc;

use offramp_model::{
    Arrival, Device, Distribution, EndedTask, Episode, ObservationKind, ObservationSpec, Outcome,
    PreferenceRule, Server, System, SystemParameters, UplinkRates, Workload,
};

/// Two devices and three servers at rates of their own, one without coverage.
fn uneven() -> SystemParameters {
    let mut parameters = SystemParameters::paper(2, 3);
    parameters.uplink =
        UplinkRates::PerPair(vec![vec![14.0, 7.0, 0.0], vec![20.0, 0.5, 3.0]]).into();
    parameters
}

fn begin(system: &Arc<System>, observation: ObservationSpec) -> Episode {
    Episode::new(system, Workload::Drawn { seed: 2, episode: 0 }, observation)
}

#[test]
fn rates_are_those_of_the_pair() {
    let episode = begin(&Arc::new(System::new(uneven()).unwrap()), ObservationSpec::PAPER);
    let rates = |device| [0, 1, 2].map(|server| episode.uplink_mbps(device, server));
    assert_eq!([rates(0), rates(1)], [[14.0, 7.0, 0.0], [20.0, 0.5, 3.0]]);
}

/// m(t − 1), of one number per server; the published observation shows m(t − 2).
#[test]
fn the_load_seen_is_the_newest_of_the_history() {
    let system = Arc::new(System::paper(20, 3));
    for (kind, lag) in [(ObservationKind::Paper, 1), (ObservationKind::Published, 2)] {
        for history_slots in [1, 4] {
            let observation = ObservationSpec { kind, history_slots, ..ObservationSpec::PAPER };
            let mut episode = begin(&system, observation);
            assert_eq!(episode.observation(), observation);
            let mut loads = vec![vec![0.0; 3]; 2];
            while !episode.is_over() {
                assert_eq!(episode.load_seen(), loads[loads.len() - lag]);
                assert_eq!(episode.history().len(), 3 * history_slots as usize);
                let server = 1 + episode.slot() % 3;
                episode.advance(&vec![server; episode.arrivals().len()]).unwrap();
                loads.push(episode.active_devices().iter().map(|&k| f64::from(k)).collect());
            }
            // Each server had something to show.
            assert!((0..3).all(|server| loads.iter().any(|load| load[server] > 0.0)));
        }
    }
}

#[test]
fn sizes_and_slots_are_those_of_the_parameters() {
    let system = Arc::new(System::new(uneven()).unwrap());
    assert_eq!((system.device_count(), system.server_count()), (2, 3));
    assert_eq!((system.deadline_slots(), system.slot_count()), (10, 110));
    let mut episode = begin(&system, ObservationSpec::PAPER);
    for slot in 0..110 {
        assert_eq!((episode.slot(), episode.is_over()), (slot, false));
        episode.advance(&vec![0; episode.arrivals().len()]).unwrap();
    }
    assert_eq!((episode.slot(), episode.is_over(), episode.under_way()), (110, true, 0));
    assert!(episode.arrivals().is_empty());
}

/// The reference energy of a system of one device after a change; `None` if it is refused.
fn reference(change: impl FnOnce(&mut SystemParameters)) -> Option<f64> {
    let mut parameters = SystemParameters::paper(1, 2);
    parameters.classes[0].size_mbit = Distribution::Uniform(1.0, 6.0);
    parameters.classes[0].density = Distribution::Choice(vec![0.26, 0.13]);
    change(&mut parameters);
    System::new(parameters).ok().map(|system| system.reference_energy())
}

/// Locally 2 W · 6 · 0.26 / 2.6 s = 1.2 J; sent at 14 Mbit/s and awaited, 2.3 W · 6/14 s and
/// 0.1 W · 10 · 0.1 s.
#[test]
fn the_reference_energy_is_that_of_the_costliest_way() {
    let close = |found: Option<f64>, wanted: f64| {
        let found = found.unwrap();
        assert!((found - wanted).abs() < 1e-12, "{found} instead of {wanted}");
    };
    close(reference(|_| ()), 1.2);
    close(reference(|system| system.devices[0].compute_w = 1.0), 2.3 * 6.0 / 14.0 + 0.1);
    // The slowest with coverage: 3 Mbit/s.
    let uplink = UplinkRates::PerServer(vec![3.0, 0.0]);
    close(reference(|system| system.uplink = uplink.into()), 2.3 * 2.0 + 0.1);
    // The device that uses most.
    let device = |compute_w| Device { compute_w, ..SystemParameters::paper(1, 1).devices[0] };
    close(reference(|system| system.devices = [2.0, 4.0, 1.0].map(device).to_vec()), 2.4);
    // No coverage at all.
    close(reference(|system| system.uplink = UplinkRates::Same(0.0).into()), 1.2);
    // Rates from 0 up: sending ends with the deadline, after a second.
    let streams = offramp_model::rng::StreamFamily::new(1, 0, offramp_model::rng::Purpose::UPLINK);
    let drawn = UplinkRates::Drawn(Distribution::Uniform(0.0, 14.0), streams);
    close(
        reference(|system| {
            system.uplink = drawn.into();
            (system.devices[0].compute_w, system.classes[0].deadline_slots) = (0.5, 20);
        }),
        2.3 * 2.0 + 0.1 * 2.0,
    );
}

/// Checks that the paper's system is refused after a change, for this parameter.
#[track_caller]
fn assert_refused(parameter: &str, change: impl FnOnce(&mut SystemParameters)) {
    let mut parameters = SystemParameters::paper(2, 3);
    change(&mut parameters);
    let fault = System::new(parameters).err();
    assert_eq!(fault.map(|fault| fault.parameter), Some(parameter));
}

#[test]
fn what_is_out_of_range_is_refused_by_name() {
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    assert_refused("devices", |system| system.devices.clear());
    assert_refused("servers", |system| system.servers.clear());
    assert_refused("arrival_slots", |system| system.arrival_slots = 0);
    assert_refused("deadline_slots", |system| system.classes[0].deadline_slots = 0);
    assert_refused("arrival_slots", |system| system.arrival_slots = u32::MAX - 9);
    for value in [0.0, -0.1, nan, inf] {
        assert_refused("slot_seconds", |system| system.slot_seconds = value);
        assert_refused("cpu_ghz", |system| system.devices[1].cpu_ghz = value);
        assert_refused("ghz", |system| system.servers[2].ghz = value);
        assert_refused("size_mbit", |system| {
            system.classes[0].size_mbit = Distribution::Constant(value)
        });
        assert_refused("density", |system| {
            system.classes[0].density = Distribution::Choice(vec![0.2, value]);
        });
    }
    for value in [-0.1, nan, inf] {
        assert_refused("compute_w", |system| system.devices[0].compute_w = value);
        assert_refused("transmit_w", |system| system.devices[1].transmit_w = value);
        assert_refused("idle_w", |system| system.devices[1].idle_w = value);
        assert_refused("power_w", |system| system.servers[0].power_w = value);
        assert_refused("uplink", |system| system.uplink = UplinkRates::Same(value).into());
        assert_refused("uplink", |system| {
            system.uplink = UplinkRates::PerDevice(vec![1.0, value]).into();
        });
    }
    for value in [-0.1, 1.1, nan] {
        assert_refused("arrival_probability", |system| {
            system.devices[1].arrival_probability = value;
        });
        assert_refused("power_preference", |system| {
            system.power_preference.modes = vec![0.5, value];
        });
        assert_refused("power_preference", |system| {
            system.power_preference.rule = PreferenceRule::Switching(value);
        });
    }
    assert_refused("power_preference", |system| system.power_preference.modes.clear());
}

/// One rate each, of two devices and three servers.
#[test]
fn rates_that_are_too_few_or_too_many_are_refused() {
    for count in [1, 3] {
        let rates = vec![1.0; count];
        assert_refused("uplink", |system| system.uplink = UplinkRates::PerDevice(rates).into());
    }
    for count in [2, 4] {
        let rates = vec![1.0; count];
        let rows = vec![vec![1.0; 3], rates.clone()];
        assert_refused("uplink", |system| system.uplink = UplinkRates::PerServer(rates).into());
        assert_refused("uplink", |system| system.uplink = UplinkRates::PerPair(rows).into());
    }
    for rows in [1, 3] {
        let rows = vec![vec![1.0; 3]; rows];
        assert_refused("uplink", |system| system.uplink = UplinkRates::PerPair(rows).into());
    }
}

#[test]
fn the_ends_of_each_range_are_valid() {
    let mut parameters = SystemParameters::paper(2, 3);
    (parameters.arrival_slots, parameters.classes[0].deadline_slots) = (u32::MAX - 10, 10);
    parameters.devices[0].arrival_probability = 0.0;
    parameters.devices[1].arrival_probability = 1.0;
    for device in &mut parameters.devices {
        (device.compute_w, device.transmit_w, device.idle_w) = (0.0, 0.0, 0.0);
    }
    parameters.servers[0] = Server { power_w: 0.0, ..parameters.servers[0] };
    parameters.uplink = UplinkRates::PerDevice(vec![0.0, 1.0]).into();
    parameters.power_preference.modes = vec![0.0, 1.0];
    for probability in [0.0, 1.0] {
        parameters.power_preference.rule = PreferenceRule::Switching(probability);
        assert_eq!(System::new(parameters.clone()).unwrap().slot_count(), u32::MAX);
    }
}

#[test]
fn what_happens_is_the_same_on_any_number_of_threads() {
    let mut parameters = SystemParameters::paper(3000, 7);
    parameters.arrival_slots = 12;
    parameters.servers.iter_mut().for_each(|server| server.ghz *= 40.0);
    let system = Arc::new(System::new(parameters).unwrap());
    let shown = |kind, threads| {
        let mut episode =
            begin(&system, ObservationSpec { kind, history_slots: 3, ..ObservationSpec::PAPER });
        episode.set_threads(threads);
        let mut shown = Vec::new();
        while !episode.is_over() {
            let decide = |task: &Arrival| (task.device * 7 + episode.slot() * 3) % 8;
            let actions: Vec<_> = episode.arrivals().iter().map(decide).collect();
            episode.advance(&actions).unwrap();
            assert_eq!(episode.under_way(), episode.tasks_under_way().count());
            let under_way: Vec<_> = episode.tasks_under_way().collect();
            shown.push((episode.ended().to_vec(), episode.active_devices().to_vec(), under_way));
        }
        shown
    };
    // Where the observation is the published one, all devices are carried out together.
    let one = shown(ObservationKind::Published, 1);
    let done = |task: &&EndedTask| task.outcome == Outcome::Done && task.action > 0;
    assert!(one.iter().flat_map(|slot| &slot.0).filter(done).count() > 3000);
    for threads in [1, 2, 3, 8] {
        assert!(shown(ObservationKind::Paper, threads) == one, "{threads} threads");
    }
}

#[test]
fn what_arrives_is_the_same_on_any_number_of_threads() {
    let mut parameters = SystemParameters::paper(30_000, 1);
    (parameters.arrival_slots, parameters.classes[0].deadline_slots) = (3, 1);
    let system = Arc::new(System::new(parameters).unwrap());
    let arrivals = |threads| {
        let mut episode = begin(&system, ObservationSpec::PAPER);
        episode.set_threads(threads);
        let mut all = Vec::new();
        while !episode.is_over() {
            all.extend_from_slice(episode.arrivals());
            episode.advance(&vec![0; episode.arrivals().len()]).unwrap();
        }
        all
    };
    let one = arrivals(1);
    assert!(one.len() > 20_000);
    assert!(arrivals(3) == one && arrivals(100) == one);
}
