//! A survey of a world that moves: what devices find in it, whatever they decide.

use std::sync::Arc;

use offramp_model::world::Association;
use offramp_model::{Episode, ObservationSpec, System, Workload};

/// What devices find in the world of a system, over some episodes.
#[derive(Clone, Debug, PartialEq)]
pub struct Survey {
    /// Episodes that it is from.
    pub episodes: u64,
    /// Mean rate at which a device can send to a server, Mbit/s, over devices, servers and slots; 0
    /// without coverage.
    pub mean_mbps: f64,
    /// Share of device-slots in which a device can send to some server.
    pub covered: f64,
    /// Mean speed of a device, m/s.
    pub mean_speed_mps: f64,
    /// Handovers, if devices have a serving station.
    pub handovers: Option<HandoverRates>,
    /// The way of each of the first devices in the first episode: x and y slot by slot, metres.
    pub ways: Vec<Vec<(f64, f64)>>,
}

/// How devices change their stations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HandoverRates {
    /// Handovers of a device per minute.
    pub per_minute: f64,
    /// Share of them that go back to the station before within a second.
    pub ping_pongs: f64,
    /// Share of the time with a station in which a handover lets nothing be sent.
    pub interrupted: f64,
}

/// Ways that a survey keeps.
const WAYS: u32 = 100;

/// Surveys the world of `system` in episodes of `seed`; `None` if nothing there moves or changes its
/// rate.
pub fn survey(system: &Arc<System>, seed: u64, episodes: u64) -> Option<Survey> {
    if system.parameters().world.is_none() && !system.rates_change() {
        return None;
    }
    let (devices, servers) = (system.device_count(), system.server_count());
    let mut survey = Survey {
        episodes,
        mean_mbps: 0.0,
        covered: 0.0,
        mean_speed_mps: 0.0,
        handovers: None,
        ways: vec![Vec::new(); devices.min(WAYS) as usize],
    };
    let (mut device_slots, mut present_s, mut with_station) = (0.0, 0.0, 0.0);
    let (mut handovers, mut ping_pongs, mut interrupted) = (0.0, 0.0, 0.0);
    for number in 0..episodes {
        let workload = Workload::Drawn { seed, episode: number };
        let mut episode = Episode::new(system, workload, ObservationSpec::PAPER);
        while !episode.is_over() {
            for device in (0..devices).filter(|&device| episode.is_present(device)) {
                let rates = (0..servers).map(|server| episode.uplink_mbps(device, server));
                let (sum, most) =
                    rates.fold((0.0, 0.0), |(sum, most), rate| (sum + rate, f64::max(most, rate)));
                survey.mean_mbps += sum / f64::from(servers);
                survey.covered += f64::from(u8::from(most > 0.0));
                survey.mean_speed_mps += episode.speed_mps(device);
                device_slots += 1.0;
                if let (0, Some(way), Some(place)) =
                    (number, survey.ways.get_mut(device as usize), episode.position(device))
                {
                    way.push((place.x_m, place.y_m));
                }
            }
            // Everyone computes locally: bands are shared by nobody.
            let actions = vec![0; episode.arrivals().len()];
            // An action of 0 is legal.
            let _ = episode.advance(&actions);
        }
        if let Some(totals) = episode.handovers() {
            handovers += totals.handovers as f64;
            ping_pongs += totals.ping_pongs as f64;
            interrupted += totals.interrupted as f64;
            with_station += totals.covered as f64;
            present_s += totals.present as f64 * system.parameters().slot_seconds;
        }
    }
    for sum in [&mut survey.mean_mbps, &mut survey.covered, &mut survey.mean_speed_mps] {
        *sum = share(*sum, device_slots);
    }
    let world = system.parameters().world.as_ref();
    if world.is_some_and(|world| world.association != Association::Direct) {
        survey.handovers = Some(HandoverRates {
            per_minute: 60.0 * share(handovers, present_s),
            ping_pongs: share(ping_pongs, handovers),
            interrupted: share(interrupted, with_station),
        });
    }
    Some(survey)
}

/// 0 of nothing.
fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use offramp_scenario::Experiment;

    use super::*;

    fn of(world: &str) -> Option<Survey> {
        let text = format!("(name: \"x\", system: (devices: 5, servers: 2, slots: 40), {world})");
        let experiment = Experiment::parse("x", text, Path::new(""), &[]).unwrap();
        survey(&experiment.points[0].system, 1, 2)
    }

    #[test]
    fn a_system_in_which_nothing_changes_has_none() {
        assert_eq!(of(""), None);
        assert_eq!(of("tasks: (arrivals: Daily(period_slots: 10, amplitude: 0.5))"), None);
    }

    /// Two stations and clear sight: everyone is covered; far away nobody is.
    #[test]
    fn it_counts_what_devices_find() {
        let near = of("world: (width_m: 100, height_m: 100, stations: Grid(2, 1), \
                       mobility: RandomWaypoint(speed_mps: (1, 3)), radio: (), \
                       association: Serving(hysteresis_db: 0, time_to_trigger_slots: 1, \
                       interruption_slots: 0))");
        let near = near.unwrap();
        assert_eq!((near.episodes, near.ways.len(), near.ways[4].len()), (2, 5, 50));
        assert!(near.covered > 0.99 && near.mean_mbps > 20.0, "{near:?}");
        assert!((1.0..3.0).contains(&near.mean_speed_mps));
        let handovers = near.handovers.unwrap();
        assert!(handovers.per_minute > 0.0 && handovers.interrupted == 0.0);
        let far = of("world: (width_m: 100, height_m: 100, stations: [(900000, 0)], radio: ())");
        let far = far.unwrap();
        assert_eq!((far.covered, far.mean_mbps, far.mean_speed_mps), (0.0, 0.0, 0.0));
        assert_eq!(far.handovers, None);
    }
}
