//! A survey of a world that moves: mobility, coverage and rates, the same for every policy. `offramp inspect`
//! surveys a scenario; an evaluation has a `Surveyor` along in each episode.

use std::sync::Arc;

use offramp_model::world::{Association, Band};
use offramp_model::{Episode, ObservationSpec, System, Workload};
use offramp_results::EpisodeMobility;

/// Mobility, coverage and rates of a system, over some episodes.
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

/// Measures mobility, coverage and rates of episodes: call [`before_slot`](Self::before_slot) before each slot
/// and [`after_episode`](Self::after_episode) after the last.
#[derive(Debug, Default)]
pub(crate) struct Surveyor {
    /// Sums over device-slots.
    mbps: f64,
    covered: f64,
    speed_mps: f64,
    device_slots: f64,
    handovers: u64,
    ping_pongs: u64,
    /// Device-slots.
    interrupted: u64,
    with_station: u64,
    present: u64,
}

impl Surveyor {
    /// A surveyor for episodes of `system`; `None` if nothing there moves or changes its rate.
    pub(crate) fn new(system: &System) -> Option<Self> {
        let moves = system.parameters().world.is_some() || system.rates_change();
        moves.then(Self::default)
    }

    /// Adds the slot that is about to be carried out.
    pub(crate) fn before_slot(&mut self, episode: &Episode) {
        let (devices, servers) = (episode.system().device_count(), episode.system().server_count());
        for device in (0..devices).filter(|&device| episode.is_present(device)) {
            let rates = (0..servers).map(|server| episode.uplink_mbps(device, server));
            let (sum, most) =
                rates.fold((0.0, 0.0), |(sum, most), rate| (sum + rate, f64::max(most, rate)));
            self.mbps += sum / f64::from(servers);
            self.covered += f64::from(u8::from(most > 0.0));
            self.speed_mps += episode.speed_mps(device);
            self.device_slots += 1.0;
        }
    }

    /// Adds the handovers of an episode that is over.
    pub(crate) fn after_episode(&mut self, episode: &Episode) {
        if let Some(totals) = episode.handovers() {
            self.handovers += totals.handovers;
            self.ping_pongs += totals.ping_pongs;
            self.interrupted += totals.interrupted;
            self.with_station += totals.covered;
            self.present += totals.present;
        }
    }

    /// Handovers so far, if devices have a serving station.
    fn handover_rates(&self, system: &System) -> Option<HandoverRates> {
        let world = system.parameters().world.as_ref()?;
        let present_s = self.present as f64 * system.parameters().slot_seconds;
        (world.association != Association::Direct).then(|| HandoverRates {
            per_minute: 60.0 * share(self.handovers as f64, present_s),
            ping_pongs: share(self.ping_pongs as f64, self.handovers as f64),
            interrupted: share(self.interrupted as f64, self.with_station as f64),
        })
    }

    /// The row of the only episode that was measured, as results have it.
    pub(crate) fn mobility(&self, system: &System) -> EpisodeMobility {
        let minutes = |slots: f64| slots * system.parameters().slot_seconds / 60.0;
        let some = |value: f64, of: f64| (of > 0.0).then_some(value);
        let mean = |sum: f64| some(share(sum, self.device_slots), self.device_slots);
        let handovers = self.handover_rates(system);
        let world = system.parameters().world.as_ref();
        let is_shared =
            world.is_some_and(|world| world.radio.is_some() && world.band == Band::Shared);
        EpisodeMobility {
            device_minutes: minutes(self.device_slots),
            mean_speed_mps: mean(self.speed_mps),
            covered: mean(self.covered),
            mean_mbps: mean(self.mbps).filter(|_| !is_shared),
            station_minutes: handovers.map(|_| minutes(self.with_station as f64)),
            handovers: handovers.map(|_| self.handovers),
            handovers_per_minute: handovers.and_then(|of| some(of.per_minute, self.present as f64)),
            ping_pongs: handovers.and_then(|of| some(of.ping_pongs, self.handovers as f64)),
            interrupted: handovers.and_then(|of| some(of.interrupted, self.with_station as f64)),
        }
    }
}

/// Surveys the world of `system` in episodes of `seed`; `None` if nothing there moves or changes its
/// rate.
pub fn survey(system: &Arc<System>, seed: u64, episodes: u64) -> Option<Survey> {
    let mut surveyor = Surveyor::new(system)?;
    let mut ways = vec![Vec::new(); system.device_count().min(WAYS) as usize];
    for number in 0..episodes {
        let workload = Workload::Drawn { seed, episode: number };
        let mut episode = Episode::new(system, workload, ObservationSpec::PAPER);
        while !episode.is_over() {
            surveyor.before_slot(&episode);
            if number == 0 {
                for (device, way) in (0..).zip(&mut ways) {
                    let place = episode.position(device).filter(|_| episode.is_present(device));
                    way.extend(place.map(|place| (place.x_m, place.y_m)));
                }
            }
            // Everyone computes locally: bands are shared by nobody.
            let actions = vec![0; episode.arrivals().len()];
            // An action of 0 is legal.
            let _ = episode.advance(&actions);
        }
        surveyor.after_episode(&episode);
    }
    let mean = |sum: f64| share(sum, surveyor.device_slots);
    Some(Survey {
        episodes,
        mean_mbps: mean(surveyor.mbps),
        covered: mean(surveyor.covered),
        mean_speed_mps: mean(surveyor.speed_mps),
        handovers: surveyor.handover_rates(system),
        ways,
    })
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
