//! The scene of an episode: everything besides the tasks that changes from slot to slot. Positions,
//! rates, serving stations, the capacity of servers, and the tasks on the backhaul.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::backhaul::Transit;
use crate::channel::Uplink;
use crate::outage::Capacities;
use crate::rng::{Purpose, StreamFamily};
use crate::system::System;
use crate::world::association::{Cells, Handovers};
use crate::world::fading::{FadeClocks, Fading, doppler_turns};
use crate::world::radio::{Channel, Link, LinkMemory, Signal, Whereabouts};
use crate::world::{Association, Motion, Position, World};

/// Up to so many pairs of device and station have their links cached from slot to slot; beyond, each
/// is computed from nothing, to the same bits.
const CACHED_PAIRS: usize = 1 << 16;
/// How many slots back the history of a device's own rate reaches.
pub(crate) const OWN_SLOTS: usize = 8;

/// The scene in one slot.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    slot: u32,
    seed: u64,
    episode: u64,
    /// The slot of a recording of rates that slot 0 plays.
    rates_from: u32,
    place: Option<Place>,
    capacities: Option<Capacities>,
    pub(crate) transit: Transit,
    /// Devices that sent to each station in the last slot, where they share its band.
    senders: Vec<u32>,
    /// The own rate of each device in this slot and the last [`OWN_SLOTS`], a ring; kept from when
    /// someone first asks for it, since few policies do and it costs as much as all else.
    own: OnceLock<Vec<f64>>,
}

/// Where everything is.
#[derive(Clone, Debug)]
struct Place {
    motion: Motion,
    cells: Option<Cells>,
    links: Option<Links>,
}

/// The radio links.
#[derive(Debug)]
struct Links {
    channel: Channel,
    /// The f_c by which fading turns, GHz; `None` without fading.
    frequency_ghz: Option<f64>,
    fades: FadeClocks,
    stations: usize,
    /// A cache that readers of an observation fill, too.
    cache: Mutex<Vec<Cached>>,
}

#[derive(Clone, Debug)]
struct Cached {
    memory: LinkMemory,
    /// The slot that `link` is of.
    slot: u32,
    link: Option<Link>,
}

impl Clone for Links {
    fn clone(&self) -> Self {
        Self {
            channel: self.channel.clone(),
            frequency_ghz: self.frequency_ghz,
            fades: self.fades.clone(),
            stations: self.stations,
            cache: Mutex::new(self.cached().clone()),
        }
    }
}

impl Links {
    fn cached(&self) -> MutexGuard<'_, Vec<Cached>> {
        // What a panic left there is valid: an entry is written as a whole.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn whereabouts(&self, motion: &Motion, device: u32, station: Position) -> Whereabouts {
        Whereabouts {
            distance_m: motion.position(device).distance_m(station),
            travelled_m: motion.travelled_m(device),
            fade: self.fades.fade(device),
        }
    }

    fn link(&self, world: &World, motion: &Motion, device: u32, station: u32, slot: u32) -> Link {
        let at = self.whereabouts(motion, device, world.stations[station as usize]);
        let mut cache = self.cached();
        let Some(cached) = cache.get_mut(device as usize * self.stations + station as usize) else {
            drop(cache);
            return self.channel.link(&mut LinkMemory::default(), device, station, at);
        };
        if let Some(link) = cached.link.filter(|_| cached.slot == slot) {
            return link;
        }
        let link = self.channel.link(&mut cached.memory, device, station, at);
        (cached.slot, cached.link) = (slot, Some(link));
        link
    }

    fn signal(&mut self, world: &World, motion: &Motion, device: u32, station: u32) -> Signal {
        let at = self.whereabouts(motion, device, world.stations[station as usize]);
        let cache = self.cache.get_mut().unwrap_or_else(PoisonError::into_inner);
        match cache.get_mut(device as usize * self.stations + station as usize) {
            Some(cached) => self.channel.signal(&mut cached.memory, device, station, at),
            None => self.channel.signal(&mut LinkMemory::default(), device, station, at),
        }
    }
}

impl Scene {
    /// The scene at slot 0 of an episode; `None` where nothing changes and no task takes a wired way.
    pub(crate) fn new(system: &System, seed: u64, episode: u64) -> Option<Self> {
        let parameters = system.parameters();
        if !system.changes() {
            return None;
        }
        let (devices, servers) = (system.device_count(), system.server_count());
        let share = StreamFamily::new(seed, episode, Purpose::WINDOW).of(0).uniform();
        let start = |slots| parameters.window.first_slot(slots, system.slot_count(), share);
        let place = parameters.world.as_deref().map(|world| {
            let slot_seconds = parameters.slot_seconds;
            let tracks_from = world.mobility.recorded_slots(slot_seconds).map_or(0, start);
            let motion =
                Motion::new(&world.mobility, world.area, devices, slot_seconds, seed, episode)
                    .map(|motion| motion.from_slot(tracks_from));
            // The system has checked the world.
            let Ok(motion) = motion else { unreachable!("a checked world") };
            let links = world.radio.as_ref().map(|radio| {
                let stations = world.stations.len();
                let pairs = devices as usize * stations;
                let cached = Cached { memory: LinkMemory::default(), slot: 0, link: None };
                let faded = radio.parameters().fading != Fading::None;
                let frequency_ghz = faded.then_some(radio.parameters().frequency_ghz);
                let turns = |device| match frequency_ghz {
                    Some(ghz) => doppler_turns(motion.speed_mps(device), ghz, slot_seconds),
                    None => 0.0,
                };
                Links {
                    channel: Channel::new(radio, seed, episode),
                    frequency_ghz,
                    fades: FadeClocks::new((0..devices).map(turns)),
                    stations,
                    cache: Mutex::new(vec![cached; if pairs <= CACHED_PAIRS { pairs } else { 0 }]),
                }
            });
            let cells = match world.association {
                Association::Serving(handover) => Some(Cells::new(handover, devices, slot_seconds)),
                Association::Direct => None,
            };
            Place { motion, cells, links }
        });
        let senders = parameters.world.as_deref().filter(|_| system.shares_bands());
        let rates_from = match &parameters.uplink {
            Uplink::Recorded(rates) => start(rates.slot_count()),
            Uplink::Constant(_) => 0,
        };
        let mut scene = Self {
            slot: 0,
            seed,
            episode,
            rates_from,
            place,
            capacities: parameters
                .outages
                .as_ref()
                .map(|outages| Capacities::new(outages, servers as usize, seed, episode)),
            transit: Transit::default(),
            senders: vec![0; senders.map_or(0, |world| world.stations.len())],
            own: OnceLock::new(),
        };
        scene.associate(system);
        Some(scene)
    }

    /// Moves to the next slot.
    pub(crate) fn advance(&mut self, system: &System) {
        self.slot += 1;
        if let Some(place) = &mut self.place {
            place.motion.advance();
            if let Some(Links { fades, frequency_ghz: Some(ghz), .. }) = &mut place.links {
                let slot_seconds = system.parameters().slot_seconds;
                for device in 0..system.device_count() {
                    let speed = place.motion.speed_mps(device);
                    fades.advance(device, doppler_turns(speed, *ghz, slot_seconds));
                }
            }
        }
        if let Some(capacities) = &mut self.capacities {
            capacities.advance(self.slot);
        }
        self.associate(system);
        self.remember(system);
    }

    fn associate(&mut self, system: &System) {
        let Some(world) = system.parameters().world.as_deref() else { return };
        let Some(Place { motion, cells: Some(cells), links: Some(links) }) = &mut self.place else {
            return;
        };
        for device in 0..system.device_count() {
            let measured = system.stations_near(motion.position(device));
            let signal = |station| links.signal(world, motion, device, station);
            cells.advance(device, self.slot, motion.is_present(device), signal, measured);
        }
    }

    /// Keeps the own rate of every device, once someone has asked for one.
    fn remember(&mut self, system: &System) {
        let Some(mut own) = self.own.take() else { return };
        let ring = OWN_SLOTS + 1;
        for device in 0..system.device_count() {
            let rate = self.own_mbps(system, device);
            own[device as usize * ring + self.slot as usize % ring] = rate;
        }
        self.own = OnceLock::from(own);
    }

    /// The own rates of all devices. Whoever is first to ask finds those of earlier slots, too: what
    /// they depend on does not depend on tasks, and is gone through again.
    fn own(&self, system: &System) -> &[f64] {
        self.own.get_or_init(|| {
            let Some(mut again) = Self::new(system, self.seed, self.episode) else {
                return Vec::new();
            };
            again.own = OnceLock::from(vec![0.0; system.device_count() as usize * (OWN_SLOTS + 1)]);
            again.remember(system);
            (0..self.slot).for_each(|_| again.advance(system));
            again.own.take().unwrap_or_default()
        })
    }

    /// The rate to the station that serves a device or, with links of its own to all, to the nearest
    /// one; without positions the fastest rate to a server.
    fn own_mbps(&self, system: &System, device: u32) -> f64 {
        match (&self.place, system.parameters().world.as_deref()) {
            (Some(place), Some(world)) if place.links.is_some() => {
                let station = match &place.cells {
                    Some(cells) => cells.sends_to(device, self.slot),
                    None => Some(Self::nearest(system, world, place, device)),
                };
                station.map_or(0.0, |station| self.station_mbps(system, device, station))
            }
            _ => (0..system.server_count())
                .map(|server| self.mbps(system, device, server))
                .fold(0.0, f64::max),
        }
    }

    /// The own rate of a device so many slots ago, at most [`OWN_SLOTS`]; 0 before the episode.
    pub(crate) fn own_mbps_ago(&self, system: &System, device: u32, slots: usize) -> f64 {
        let then = (self.slot as usize).checked_sub(slots).filter(|_| system.rates_change());
        let ring = OWN_SLOTS + 1;
        then.map_or(0.0, |then| self.own(system)[device as usize * ring + then % ring])
    }

    /// The nearest of the stations that a device measures.
    fn nearest(system: &System, world: &World, place: &Place, device: u32) -> u32 {
        let here = place.motion.position(device);
        let distance = |station: &u32| world.stations[*station as usize].distance_m(here);
        let measured = system.stations_near(here).iter().copied();
        measured.min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or(0)
    }

    /// The station over which a device sends to a server in this slot.
    pub(crate) fn station(&self, system: &System, device: u32, server: u32) -> Option<u32> {
        let world = system.parameters().world.as_deref()?;
        let place = self.place.as_ref()?;
        match &place.cells {
            Some(cells) => cells.sends_to(device, self.slot),
            None if (server as usize) < world.stations.len() => Some(server),
            None => Some(Self::nearest(system, world, place, device)),
        }
    }

    /// Slots on the backhaul to a server, for what a device sends in this slot.
    pub(crate) fn wired_slots(
        &self,
        system: &System,
        device: u32,
        server: u32,
        size_mbit: f64,
    ) -> u32 {
        let parameters = system.parameters();
        let station = self.station(system, device, server);
        parameters.backhaul.slots(station, server, size_mbit, parameters.slot_seconds)
    }

    /// The rate of a whole band from a device to a station in this slot.
    fn station_mbps(&self, system: &System, device: u32, station: u32) -> f64 {
        match (&self.place, system.parameters().world.as_deref()) {
            (Some(Place { motion, links: Some(links), .. }), Some(world))
                if motion.is_present(device) =>
            {
                links.link(world, motion, device, station, self.slot).rate_mbps
            }
            _ => 0.0,
        }
    }

    /// R of a device to a server in this slot, with the whole band of a station, Mbit/s.
    pub(crate) fn mbps(&self, system: &System, device: u32, server: u32) -> f64 {
        let has_radio = self.place.as_ref().is_some_and(|place| place.links.is_some());
        if has_radio {
            let station = self.station(system, device, server);
            return station.map_or(0.0, |station| self.station_mbps(system, device, station));
        }
        if !self.is_present(device) {
            return 0.0;
        }
        match &system.parameters().uplink {
            Uplink::Constant(rates) => rates.mbps(device, server),
            Uplink::Recorded(rates) => rates.mbps(device, server, self.rates_from + self.slot),
        }
    }

    /// R as a device expects it: [`Scene::mbps`], divided between the devices that sent to the station
    /// in the last slot where they share its band. Once [`Scene::count_senders`] has counted those of
    /// this slot, it is the rate at which they send.
    pub(crate) fn expected_mbps(&self, system: &System, device: u32, server: u32) -> f64 {
        let rate = self.mbps(system, device, server);
        if self.senders.is_empty() || rate == 0.0 {
            return rate;
        }
        let station = self.station(system, device, server);
        let senders = station.map_or(1, |station| self.senders[station as usize].max(1));
        rate / f64::from(senders)
    }

    /// For each station the devices that send to it in this slot; empty where bands are not shared.
    pub(crate) fn count_senders(
        &mut self,
        system: &System,
        senders: impl Iterator<Item = (u32, u32)>,
    ) {
        if self.senders.is_empty() {
            return;
        }
        let mut counts = std::mem::take(&mut self.senders);
        counts.fill(0);
        for (device, server) in senders {
            if let Some(station) = self.station(system, device, server) {
                counts[station as usize] += 1;
            }
        }
        self.senders = counts;
    }

    /// True if devices share the bands of stations.
    pub(crate) fn shares_bands(&self) -> bool {
        !self.senders.is_empty()
    }

    /// For each server the share of its speed that it has; `None` if all have all of it.
    pub(crate) fn capacities(&self) -> Option<&[f64]> {
        self.capacities.as_ref().map(Capacities::shares)
    }

    /// False for a recorded device before and after its track.
    pub(crate) fn is_present(&self, device: u32) -> bool {
        self.place.as_ref().is_none_or(|place| place.motion.is_present(device))
    }

    pub(crate) fn motion(&self) -> Option<&Motion> {
        self.place.as_ref().map(|place| &place.motion)
    }

    /// The station that serves a device; `None` outside all coverage, or if there are none.
    pub(crate) fn serving(&self, device: u32) -> Option<u32> {
        self.place.as_ref()?.cells.as_ref()?.serving(device)
    }

    /// Totals of handovers, if there are serving stations.
    pub(crate) fn handovers(&self) -> Option<Handovers> {
        Some(self.place.as_ref()?.cells.as_ref()?.totals())
    }
}
