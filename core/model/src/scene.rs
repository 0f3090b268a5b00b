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

/// The associations of devices none of which a station serves yet.
fn cells_in(system: &System, world: &World) -> Option<Cells> {
    let Association::Serving(handover) = world.association else { return None };
    Some(Cells::new(handover, system.device_count(), system.parameters().slot_seconds))
}

impl Scene {
    /// The scene at slot 0 of an episode; `None` where nothing changes and no task takes a wired way.
    pub(crate) fn new(system: &System, seed: u64, episode: u64) -> Option<Self> {
        system.changes().then(|| Self::at(system, seed, episode, 0))
    }

    /// The scene of an episode in which nothing had changed before `slot`.
    pub(crate) fn at(system: &System, seed: u64, episode: u64, slot: u32) -> Self {
        let mut scene = Self {
            slot,
            seed,
            episode,
            rates_from: 0,
            place: None,
            capacities: None,
            transit: Transit::default(),
            senders: Vec::new(),
            own: OnceLock::new(),
        };
        scene.begin_rates(system);
        scene.begin_outages(system);
        scene.share_bands(system);
        let world = system.parameters().world.as_deref();
        scene.place = world.map(|world| scene.place_in(system, world));
        scene.associate(system);
        scene
    }

    /// Goes on in another system, in the slot at which it stands. What is the same there continues
    /// undisturbed; what is not begins in this slot. Tasks on the backhaul stay on it.
    pub(crate) fn continue_in(&mut self, old: &System, system: &System) {
        let (before, after) = (old.parameters(), system.parameters());
        if before.outages != after.outages {
            self.begin_outages(system);
        }
        let same_recording = before.uplink == after.uplink && before.window == after.window;
        if same_recording && before.world == after.world {
            return;
        }
        // The rates of the last slots are those of the system that they were in. Of systems in which they
        // do not change, those of the last one: to keep them would cost as much as all else.
        if old.rates_change() || system.rates_change() {
            self.own(old);
        }
        if !same_recording {
            self.begin_rates(system);
        }
        if before.world != after.world {
            self.move_to(before.world.as_deref(), system);
        }
        if system.rates_change() {
            self.remember(system);
        } else {
            self.own = OnceLock::new();
        }
    }

    /// Positions, links and associations of another world.
    fn move_to(&mut self, before: Option<&World>, system: &System) {
        self.share_bands(system);
        let place = self.place.take();
        let Some(world) = system.parameters().world.as_deref() else { return };
        let Some((before, Place { motion, cells, links })) = before.zip(place) else {
            self.place = Some(self.place_in(system, world));
            self.associate(system);
            return;
        };
        let stays = before.mobility == world.mobility && before.area == world.area;
        let same_stations = stays && before.stations == world.stations;
        let motion = if stays { motion } else { self.motion_in(system, world) };
        let links = if same_stations && before.radio == world.radio {
            links
        } else {
            let mut new = self.links_in(system, world, &motion);
            if let (Some(new), Some(old)) = (&mut new, links)
                && stays
                && new.frequency_ghz == old.frequency_ghz
            {
                new.fades = old.fades;
            }
            new
        };
        let totals = cells.as_ref().map(Cells::totals);
        let (cells, anew) = match (cells, world.association) {
            (Some(cells), Association::Serving(handover)) if same_stations => {
                (Some(cells.with(handover)), false)
            }
            _ => (cells_in(system, world), true),
        };
        self.place = Some(Place { motion, cells, links });
        if anew {
            self.associate(system);
            // Totals are those of the whole episode, and this slot has been counted.
            if let (Some(Place { cells: Some(cells), .. }), Some(totals)) =
                (&mut self.place, totals)
            {
                cells.count_from(totals);
            }
        }
    }

    /// Where everything is in a world that begins in this slot.
    fn place_in(&self, system: &System, world: &World) -> Place {
        let motion = self.motion_in(system, world);
        let links = self.links_in(system, world, &motion);
        Place { motion, cells: cells_in(system, world), links }
    }

    /// The devices of a world as it places them in this slot.
    fn motion_in(&self, system: &System, world: &World) -> Motion {
        let (devices, slot_seconds) = (system.device_count(), system.parameters().slot_seconds);
        let recorded = world.mobility.recorded_slots(slot_seconds);
        let from = recorded.map_or(0, |slots| self.start(system, slots) + self.slot);
        let Self { seed, episode, .. } = *self;
        let motion = Motion::new(&world.mobility, world.area, devices, slot_seconds, seed, episode);
        // The system has checked the world.
        let Ok(motion) = motion else { unreachable!("a checked world") };
        motion.from_slot(from)
    }

    /// The links of a world whose devices are where `motion` has them; `None` without a radio channel.
    fn links_in(&self, system: &System, world: &World, motion: &Motion) -> Option<Links> {
        let radio = world.radio.as_ref()?;
        let (devices, slot_seconds) = (system.device_count(), system.parameters().slot_seconds);
        let stations = world.stations.len();
        let pairs = devices as usize * stations;
        let cached = Cached { memory: LinkMemory::default(), slot: 0, link: None };
        let faded = radio.parameters().fading != Fading::None;
        let frequency_ghz = faded.then_some(radio.parameters().frequency_ghz);
        let turns = |device| match frequency_ghz {
            Some(ghz) => doppler_turns(motion.speed_mps(device), ghz, slot_seconds),
            None => 0.0,
        };
        Some(Links {
            channel: Channel::new(radio, self.seed, self.episode),
            frequency_ghz,
            fades: FadeClocks::new((0..devices).map(turns)),
            stations,
            cache: Mutex::new(vec![cached; if pairs <= CACHED_PAIRS { pairs } else { 0 }]),
        })
    }

    /// The slot of a recording of `slots` that slot 0 plays.
    fn start(&self, system: &System, slots: u32) -> u32 {
        let streams = StreamFamily::new(self.seed, self.episode, Purpose::WINDOW);
        let share = streams.of(0).uniform();
        system.parameters().window.first_slot(slots, system.slot_count(), share)
    }

    fn begin_rates(&mut self, system: &System) {
        self.rates_from = match &system.parameters().uplink {
            Uplink::Recorded(rates) => self.start(system, rates.slot_count()),
            Uplink::Constant(_) => 0,
        };
    }

    fn share_bands(&mut self, system: &System) {
        let world = system.parameters().world.as_deref().filter(|_| system.shares_bands());
        let stations = world.map_or(0, |world| world.stations.len());
        if self.senders.len() != stations {
            self.senders = vec![0; stations];
        }
    }

    fn begin_outages(&mut self, system: &System) {
        let outages = system.parameters().outages.as_ref();
        let (servers, streams) = (system.server_count() as usize, (self.seed, self.episode));
        self.capacities = outages.map(|of| Capacities::new(of, servers, streams, self.slot));
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
    /// they depend on does not depend on tasks, and is gone through again. Until someone asks, they
    /// depend on nothing that has changed with the system.
    fn own(&self, system: &System) -> &[f64] {
        self.own.get_or_init(|| {
            let ring = OWN_SLOTS + 1;
            if !system.rates_change() {
                let rates = (0..system.device_count()).map(|device| self.own_mbps(system, device));
                return rates.flat_map(|rate| std::iter::repeat_n(rate, ring)).collect();
            }
            let mut again = Self::at(system, self.seed, self.episode, 0);
            again.own = OnceLock::from(vec![0.0; system.device_count() as usize * ring]);
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
            Uplink::Recorded(rates) => {
                // A deadline that has become longer may go beyond the end.
                let slot = (self.rates_from + self.slot).min(rates.slot_count() - 1);
                rates.mbps(device, server, slot)
            }
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
