//! The twin's world: where everything is and how fast each device could send, spelled out slot by slot
//! for every pair, with nothing kept but positions and serving stations.

use offramp_model::rng::{Purpose, StreamFamily};
use offramp_model::world::association::Handovers;
use offramp_model::world::fading::{FadeClocks, Fading, doppler_turns};
use offramp_model::world::mobility::{GaussMarkov, Manhattan, Placement, RandomWaypoint};
use offramp_model::world::radio::{Channel, LinkMemory, Whereabouts};
use offramp_model::world::{
    Area, Association, Band, Handover, Mobility, Motion, PathLoss, Position, Radio,
    RadioParameters, World,
};
use offramp_model::{
    Backhaul, Distribution, Episode, Outages, RecordedRates, System, SystemParameters, TaskClass,
    Uplink, Ways,
};
use proptest::prelude::*;

/// What a slot depends on besides the queues.
#[derive(Clone, Debug)]
pub(crate) struct Around {
    /// Mbit/s over the whole band, by device and server.
    pub(crate) rates: Vec<Vec<f64>>,
    /// The station over which a device sends to a server.
    pub(crate) stations: Vec<Vec<Option<usize>>>,
    /// The share of its speed that each server has.
    pub(crate) capacity: Vec<f64>,
    /// Speed, serving station and distances of each device.
    pub(crate) speeds: Vec<f64>,
    pub(crate) serving: Vec<Vec<f64>>,
    pub(crate) distances: Vec<Vec<f64>>,
    /// Mbit/s to the station that serves each device, or is nearest; empty without radio.
    own_rates: Vec<f64>,
}

#[derive(Clone, Debug)]
struct Served {
    serving: Option<usize>,
    before: Option<(usize, u32)>,
    better: Option<(usize, u32)>,
    silent_until: u32,
}

/// The slow scene of an episode.
pub(crate) struct Slow {
    system: SystemParameters,
    motion: Option<Motion>,
    fades: FadeClocks,
    channel: Option<Channel>,
    served: Vec<Served>,
    rates_from: u32,
    pub(crate) totals: Handovers,
}

impl Slow {
    pub(crate) fn new(whole: &System, seed: u64, episode: u64) -> Self {
        let system = whole.parameters().clone();
        let devices = system.devices.len() as u32;
        let motion = system.world.as_ref().map(|world| {
            let Area { width_m, height_m } = world.area;
            let area = Area { width_m, height_m };
            Motion::new(&world.mobility, area, devices, system.slot_seconds, seed, episode).unwrap()
        });
        let radio = system.world.as_ref().and_then(|world| world.radio.clone());
        let channel = radio.map(|radio| Channel::new(&radio, seed, episode));
        // A recording of 200 slots, of which the window is the second half.
        let share = StreamFamily::new(seed, episode, Purpose::WINDOW).of(0).uniform();
        let rates_from = match &system.uplink {
            Uplink::Recorded(_) => 100 + (share * f64::from(101 - whole.slot_count())) as u32,
            Uplink::Constant(_) => 0,
        };
        let nobody = Served { serving: None, before: None, better: None, silent_until: 0 };
        let mut slow = Self {
            fades: FadeClocks::new([]),
            motion,
            channel,
            served: vec![nobody; devices as usize],
            rates_from,
            totals: Handovers::default(),
            system,
        };
        slow.fades = FadeClocks::new((0..devices).map(|device| slow.turns(device)));
        slow
    }

    fn turns(&self, device: u32) -> f64 {
        match (&self.channel, &self.motion) {
            (Some(channel), Some(motion))
                if channel.radio().parameters().fading != Fading::None =>
            {
                let ghz = channel.radio().parameters().frequency_ghz;
                doppler_turns(motion.speed_mps(device), ghz, self.system.slot_seconds)
            }
            _ => 0.0,
        }
    }

    /// What surrounds slot `t`; slots must follow each other.
    pub(crate) fn at(&mut self, t: u32, episode: &Episode) -> Around {
        let (n, m) = (self.system.devices.len(), self.system.servers.len());
        if t > 0 {
            if let Some(motion) = &mut self.motion {
                motion.advance();
            }
            for device in 0..n as u32 {
                let turns = self.turns(device);
                self.fades.advance(device, turns);
            }
        }
        self.associate(t);
        let stations: Vec<Vec<_>> =
            (0..n).map(|i| (0..m).map(|j| self.station(i, j, t)).collect()).collect();
        let rates = (0..n)
            .map(|i| (0..m).map(|j| self.rate(i, j, stations[i][j], t, episode)).collect())
            .collect();
        let capacity = episode.capacities().map_or(vec![1.0; m], <[f64]>::to_vec);
        let distance = |i: usize, j: usize| match (&self.motion, &self.system.world) {
            (Some(motion), Some(world)) if j < world.stations.len() => {
                motion.position(i as u32).distance_m(world.stations[j])
            }
            _ => 0.0,
        };
        let serves = |i: usize, j: usize| match self.association() {
            Some(_) => f64::from(u8::from(self.served[i].serving == Some(j))),
            None => 1.0,
        };
        Around {
            rates,
            stations,
            capacity,
            speeds: (0..n as u32)
                .map(|i| self.motion.as_ref().map_or(0.0, |motion| motion.speed_mps(i)))
                .collect(),
            serving: (0..n).map(|i| (0..m).map(|j| serves(i, j)).collect()).collect(),
            distances: (0..n).map(|i| (0..m).map(|j| distance(i, j)).collect()).collect(),
            own_rates: if self.channel.is_some() {
                (0..n).map(|i| self.own(i, t, episode)).collect()
            } else {
                Vec::new()
            },
        }
    }

    /// Nothing known yet.
    pub(crate) fn nothing(&self) -> Around {
        Around {
            rates: Vec::new(),
            stations: Vec::new(),
            capacity: Vec::new(),
            speeds: Vec::new(),
            serving: Vec::new(),
            distances: Vec::new(),
            own_rates: Vec::new(),
        }
    }

    fn own(&self, device: usize, t: u32, episode: &Episode) -> f64 {
        let world = self.system.world.as_ref().unwrap();
        let station = match self.association() {
            Some(_) => self.station(device, 0, t),
            None => {
                let place = self.motion.as_ref().unwrap().position(device as u32);
                Some(nearest(&world.stations, place))
            }
        };
        self.rate(device, 0, station, t, episode)
    }

    fn is_present(&self, device: u32) -> bool {
        self.motion.as_ref().is_none_or(|motion| motion.is_present(device))
    }

    fn association(&self) -> Option<Handover> {
        match self.system.world.as_ref()?.association {
            Association::Serving(handover) => Some(handover),
            Association::Direct => None,
        }
    }

    fn whereabouts(&self, device: usize, station: usize) -> Whereabouts {
        let (motion, world) = (self.motion.as_ref().unwrap(), self.system.world.as_ref().unwrap());
        let device = device as u32;
        Whereabouts {
            distance_m: motion.position(device).distance_m(world.stations[station]),
            travelled_m: motion.travelled_m(device),
            fade: self.fades.fade(device),
        }
    }

    fn associate(&mut self, t: u32) {
        let Some(handover) = self.association() else { return };
        let channel = self.channel.clone().unwrap();
        let count = self.system.world.as_ref().unwrap().stations.len();
        for device in 0..self.served.len() {
            if !self.is_present(device as u32) {
                self.served[device].serving = None;
                self.served[device].better = None;
                continue;
            }
            self.totals.present += 1;
            let heard: Vec<Option<f64>> = (0..count)
                .map(|station| {
                    let at = self.whereabouts(device, station);
                    let memory = &mut LinkMemory::default();
                    let signal = channel.signal(memory, device as u32, station as u32, at);
                    signal.covered.then_some(signal.sinr_db)
                })
                .collect();
            let served = &mut self.served[device];
            let own = served.serving.and_then(|station| heard[station]);
            let others = (0..count).filter(|&station| Some(station) != served.serving);
            let mut best: Option<usize> = None;
            for station in others {
                if heard[station].is_some()
                    && best.is_none_or(|best| heard[station].unwrap() > heard[best].unwrap())
                {
                    best = Some(station);
                }
            }
            let mut next = served.serving;
            match (own, best) {
                (None, best) => next = best,
                (Some(own), Some(best)) if heard[best].unwrap() > own + handover.hysteresis_db => {
                    let slots = match served.better {
                        Some((station, slots)) if station == best => slots + 1,
                        _ => 1,
                    };
                    served.better = Some((best, slots));
                    if slots >= handover.time_to_trigger_slots.max(1) {
                        next = Some(best);
                    }
                }
                _ => served.better = None,
            }
            if next != served.serving {
                if let (Some(from), Some(to)) = (served.serving, next) {
                    self.totals.handovers += 1;
                    let second = (1.0 / self.system.slot_seconds).round() as u32;
                    if let Some((before, left)) = served.before {
                        self.totals.ping_pongs += u64::from(before == to && t - left <= second);
                    }
                    let _ = from;
                    served.silent_until = t + handover.interruption_slots;
                }
                if let Some(from) = served.serving {
                    served.before = Some((from, t));
                }
                served.serving = next;
                served.better = None;
            }
            if served.serving.is_some() {
                self.totals.covered += 1;
                self.totals.interrupted += u64::from(t < served.silent_until);
            }
        }
    }

    fn station(&self, device: usize, server: usize, t: u32) -> Option<usize> {
        let world = self.system.world.as_ref()?;
        if self.association().is_some() {
            let served = &self.served[device];
            return served.serving.filter(|_| t >= served.silent_until);
        }
        if server < world.stations.len() {
            return Some(server);
        }
        let place = self.motion.as_ref().unwrap().position(device as u32);
        Some(nearest(&world.stations, place))
    }

    fn rate(
        &self,
        device: usize,
        server: usize,
        station: Option<usize>,
        t: u32,
        episode: &Episode,
    ) -> f64 {
        if !self.is_present(device as u32) {
            return 0.0;
        }
        match (&self.channel, &self.system.uplink) {
            (Some(channel), _) => station.map_or(0.0, |station| {
                let at = self.whereabouts(device, station);
                let memory = &mut LinkMemory::default();
                channel.link(memory, device as u32, station as u32, at).rate_mbps
            }),
            (None, Uplink::Recorded(rates)) => {
                rates.mbps(device as u32, server as u32, self.rates_from + t)
            }
            (None, Uplink::Constant(_)) => episode.uplink_mbps(device as u32, server as u32),
        }
    }
}

fn nearest(stations: &[Position], place: Position) -> usize {
    let distance = |at: &usize| stations[*at].distance_m(place);
    (0..stations.len()).min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap()
}

impl Around {
    /// The own rate of a device.
    pub(crate) fn own(&self, device: usize) -> f64 {
        match self.own_rates.get(device) {
            Some(rate) => *rate,
            None => self.rates[device].iter().copied().fold(0.0, f64::max),
        }
    }
}

/// Systems in which everything moves, with every feature now and then.
pub(crate) fn moving(
    systems: impl Strategy<Value = SystemParameters>,
) -> impl Strategy<Value = SystemParameters> {
    let switches = (0..4_u32, 0..6_u32, 0..3_u32, any::<bool>(), any::<bool>(), any::<bool>());
    let numbers = (40.0..300.0_f64, 0.0..6.0_f64, 0..4_u32, 0..4_u32, 1.0..20.0_f64);
    (systems, switches, numbers).prop_map(|(mut system, switches, numbers)| {
        let (movement, channel, wires, shared, outages, classes) = switches;
        let (metres, hysteresis_db, trigger, interruption, speed) = numbers;
        let (n, m) = (system.devices.len(), system.servers.len());
        let area = Area { width_m: 4.0 * metres, height_m: 2.0 * metres };
        let clouds = usize::from(wires == 2 && m > 1);
        let association = if channel < 3 {
            Association::Serving(Handover {
                hysteresis_db,
                time_to_trigger_slots: trigger,
                interruption_slots: interruption,
            })
        } else {
            Association::Direct
        };
        let count = m - clouds;
        let station = |at: usize| Position {
            x_m: area.width_m * (at as f64 + 0.5) / count as f64,
            y_m: metres,
        };
        let mobility = match movement {
            0 => Mobility::Static(Placement::Uniform),
            1 => Mobility::RandomWaypoint(RandomWaypoint {
                speed_mps: (speed, 2.0 * speed),
                pause_slots: Distribution::Constant(3.0),
            }),
            2 => Mobility::GaussMarkov(GaussMarkov {
                mean_speed_mps: speed,
                memory: 0.8,
                sigma_mps: 1.0,
            }),
            _ => Mobility::Manhattan(Manhattan {
                block_m: (2.0 * metres, metres),
                speed_mps: (speed, 2.0 * speed),
                ..Manhattan::default()
            }),
        };
        let path_loss = match channel {
            0 | 3 => PathLoss::Umi,
            1 => PathLoss::Uma,
            _ => PathLoss::LogDistance { exponent: 3.5, reference_db: 40.0 },
        };
        let fading = match movement {
            0 => Fading::None,
            1 => Fading::Rician { k_db: 6.0 },
            _ => Fading::Rayleigh,
        };
        // Weak enough that coverage ends within the area.
        let transmit_dbm = if shared { 10.0 } else { -5.0 };
        let radio = RadioParameters { fading, transmit_dbm, ..RadioParameters::new(path_loss) };
        if channel < 5 {
            system.world = Some(std::sync::Arc::new(World {
                area,
                stations: (0..count).map(station).collect(),
                mobility,
                radio: (channel < 4).then(|| std::sync::Arc::new(Radio::new(radio).unwrap())),
                band: if shared { Band::Shared } else { Band::PerDevice },
                association,
            }));
        } else {
            let rate = |device: usize, slot: usize| ((device * 7 + slot * 3) % 11) as f64;
            let traces = (0..n).map(|i| (0..200).map(|slot| rate(i, slot)).collect()).collect();
            system.uplink =
                Uplink::Recorded(std::sync::Arc::new(RecordedRates::per_device(traces).unwrap()));
            system.window = offramp_model::Window { from: 0.5, to: 1.0 };
        }
        system.backhaul = match wires {
            0 => Backhaul::NONE,
            // One value for all ways needs stations.
            1 if system.world.is_none() => Backhaul::NONE,
            1 => Backhaul { delay_slots: Ways::Same(f64::from(trigger)), mbps: Ways::Same(50.0) },
            _ => Backhaul {
                delay_slots: Ways::PerServer((0..m).map(|j| (j % 3) as f64).collect()),
                mbps: Ways::Same(f64::INFINITY),
            },
        };
        system.outages = outages.then_some(Outages::Drawn {
            mean_up_slots: 4.0,
            mean_down_slots: 2.0,
            capacity: if shared { 0.0 } else { 0.4 },
        });
        if classes {
            let first = system.classes[0].clone();
            let deadline_slots = first.deadline_slots + 3;
            let second = TaskClass { name: "other".into(), share: 2.0, deadline_slots, ..first };
            system.classes.push(second);
        }
        system
    })
}
