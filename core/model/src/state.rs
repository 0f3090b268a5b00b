//! The state of an episode between two slots, divided into shards of neighbouring devices.
//!
//! Within a slot a device affects another through m(t−1) alone, which no longer changes. So where
//! nothing else is shared, a shard is advanced by the whole slot at once, while its state is in the
//! processor's cache, and shards are advanced on as many threads as there are. What ended is then
//! put in one order that depends on neither.

use crate::published::Published;
use crate::scene::Scene;
use crate::slot::{Shard, Surroundings, Timed, dropped_on_backhaul};
use crate::system::System;
use crate::task::{Arrival, EndedTask};

/// Devices of a shard: their state, about 300 bytes each, fits the second-level cache.
const SHARD_DEVICES: usize = 1024;

/// Shards of an episode at most: each has a number per server.
const MOST_SHARDS: usize = 1024;

/// The state of an episode between two slots.
#[derive(Clone, Debug)]
pub(crate) struct State {
    shards: Vec<Shard>,
    /// Each shard but the last has 2^`shard_bits` devices.
    shard_bits: u32,
    /// m(t): for each server the devices active at it at the end of the last slot.
    pub(crate) active: Vec<u32>,
    /// The first `ended_count` are the tasks that ended in the last slot. The others are storage that
    /// need not be initialised again.
    ended: Vec<EndedTask>,
    ended_count: usize,
    /// The public code's own bookkeeping, if the observation is the published one.
    pub(crate) published: Option<Published>,
    at_servers: AtServers,
}

impl State {
    pub(crate) fn new(system: &System, published: Option<Published>) -> Self {
        let (devices, servers) = (system.device_count() as usize, system.server_count() as usize);
        let share_more = system.changes() || published.is_some();
        let shard_devices =
            if share_more { devices } else { devices.div_ceil(MOST_SHARDS).max(SHARD_DEVICES) };
        let shard_devices = shard_devices.next_power_of_two();
        let shard = |first| Shard::new(first, shard_devices.min(devices - first), servers);
        Self {
            shards: (0..devices).step_by(shard_devices).map(shard).collect(),
            shard_bits: shard_devices.trailing_zeros(),
            active: vec![0; servers],
            ended: Vec::new(),
            ended_count: 0,
            published,
            at_servers: AtServers::default(),
        }
    }

    /// Goes on in another system; see [`Shard::continue_in`].
    pub(crate) fn continue_in(&mut self, old: &System, system: &System, timed: Option<Timed>) {
        if timed.is_some() {
            self.gather();
        }
        self.shards.iter_mut().for_each(|shard| shard.continue_in(old, system, timed));
    }

    /// Puts all devices into one shard: with a scene they share more than m(t−1).
    fn gather(&mut self) {
        let mut shards = std::mem::take(&mut self.shards).into_iter();
        let Some(mut all) = shards.next() else { return };
        shards.for_each(|shard| all.absorb(shard));
        self.shard_bits = all.cpus.iter().len().next_power_of_two().trailing_zeros();
        self.shards.push(all);
    }

    /// The shard of a device, and the device's number there.
    #[inline]
    pub(crate) fn of_device(&self, device: u32) -> (&Shard, usize) {
        let shard = &self.shards[device as usize >> self.shard_bits];
        (shard, (device - shard.first) as usize)
    }

    /// All shards, in the order of devices.
    pub(crate) fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// How many tasks are under way.
    pub(crate) fn under_way(&self) -> usize {
        self.shards.iter().map(|shard| shard.under_way).sum()
    }

    /// The tasks that ended in the last slot. Their order is a promise of `Episode::ended`.
    pub(crate) fn ended(&self) -> &[EndedTask] {
        &self.ended[..self.ended_count]
    }

    /// Advances by slot `slot` on at most `threads` threads; the result is the same for any number.
    /// See [`Shard::advance`].
    pub(crate) fn advance(
        &mut self,
        system: &System,
        scene: Option<&mut Scene>,
        slot: u32,
        arrivals: &[Arrival],
        actions: &[u32],
        threads: usize,
    ) {
        let around = Surroundings { system, slot, active: &self.active };
        let published = self.published.as_mut();
        if let [shard] = &mut self.shards[..] {
            shard.advance(&around, scene, published, arrivals, actions);
        } else {
            let advance = |shards: &mut [Shard]| {
                for shard in shards {
                    let rows = shard.rows(arrivals);
                    shard.advance(&around, None, None, &arrivals[rows.clone()], &actions[rows]);
                }
            };
            let part = self.shards.len().div_ceil(threads);
            on_threads(self.shards.chunks_mut(part), advance);
        }
        self.ended_count = 0;
        self.collect(threads);
        self.active.fill(0);
        for shard in &self.shards {
            for (sum, active) in self.active.iter_mut().zip(shard.flows.active()) {
                *sum += active;
            }
        }
    }

    /// Step 5: after the last slot, what is still open is dropped.
    pub(crate) fn drop_open(&mut self, system: &System, scene: Option<&mut Scene>, threads: usize) {
        let part = self.shards.len().div_ceil(threads);
        on_threads(self.shards.chunks_mut(part), |shards| {
            shards.iter_mut().for_each(|shard| shard.drop_open(system));
        });
        self.collect(threads);
        self.ended.truncate(self.ended_count);
        for (device, task) in scene.into_iter().flat_map(|scene| scene.transit.drain()) {
            self.ended.push(dropped_on_backhaul(system, device, &task));
            self.shards[0].under_way -= 1;
        }
        self.ended_count = self.ended.len();
    }

    /// Appends what ended in each shard to `ended`, in order.
    fn collect(&mut self, threads: usize) {
        let Self { shards, ended, ended_count, at_servers, active, .. } = self;
        for (number, shard) in (0..).zip(shards.iter()) {
            at_servers.add(number, shard);
        }
        at_servers.sort(shards.len() > 1, active.len());
        let at_cpus = shards.iter().map(|shard| shard.ended_at_cpus().len()).sum();
        let at_uplinks: usize = shards.iter().map(|shard| shard.ended_at_uplinks().len()).sum();
        let begin = *ended_count;
        *ended_count += at_cpus + at_servers.all.len() + at_uplinks;
        if ended.len() < *ended_count {
            ended.resize(*ended_count, EndedTask::NONE);
        }
        let (cpus, rest) = ended[begin..*ended_count].split_at_mut(at_cpus);
        let (servers, uplinks) = rest.split_at_mut(at_servers.all.len());
        concatenate(shards.iter().map(Shard::ended_at_cpus), cpus);
        let gather = |(servers, order): (&mut [EndedTask], &[AtServer])| {
            for (task, at) in servers.iter_mut().zip(order) {
                *task = shards[at.shard as usize].ended_at_servers().0[at.index as usize];
            }
        };
        let part = at_servers.all.len().div_ceil(threads).max(1);
        on_threads(servers.chunks_mut(part).zip(at_servers.all.chunks(part)), gather);
        concatenate(shards.iter().map(Shard::ended_at_uplinks), uplinks);
        at_servers.all.clear();
    }
}

/// Copies each of `parts` behind the one before.
fn concatenate<'p>(parts: impl Iterator<Item = &'p [EndedTask]>, mut into: &mut [EndedTask]) {
    for part in parts {
        let (here, rest) = into.split_at_mut(part.len());
        here.copy_from_slice(part);
        into = rest;
    }
}

/// Calls `each` with every part, each on a thread of its own, the first on this one.
pub(crate) fn on_threads<T: Send>(mut parts: impl Iterator<Item = T>, each: impl Fn(T) + Sync) {
    let Some(first) = parts.next() else { return };
    let Some(second) = parts.next() else { return each(first) };
    std::thread::scope(|scope| {
        let each = &each;
        for part in std::iter::once(second).chain(parts) {
            scope.spawn(move || each(part));
        }
        each(first);
    });
}

/// Where a task that ended at a server is to be found.
#[derive(Clone, Copy, Debug, Default)]
struct AtServer {
    server: u32,
    /// The slot since which its device had been active there.
    since: u32,
    shard: u32,
    index: u32,
}

/// Puts the tasks that ended at servers in order: by server, and there the device that has been
/// active longest first, of those the first device.
#[derive(Clone, Debug, Default)]
struct AtServers {
    all: Vec<AtServer>,
    sorted: Vec<AtServer>,
    /// For each key, the place of the next one with it.
    places: Vec<u32>,
}

impl AtServers {
    fn add(&mut self, number: u32, shard: &Shard) {
        let (ended, since) = shard.ended_at_servers();
        let tasks = (0..).zip(ended).zip(since);
        self.all.extend(tasks.map(|((index, task), &since)| AtServer {
            server: task.action - 1,
            since,
            shard: number,
            index,
        }));
    }

    /// In one shard they already are by time.
    fn sort(&mut self, by_time: bool, servers: usize) {
        if by_time {
            let since = self.all.iter().map(|at| at.since);
            let first = since.clone().min().unwrap_or(0);
            let slots = since.max().map_or(0, |last| (last - first) as usize + 1);
            self.sort_by(slots, |at| at.since - first);
        }
        self.sort_by(servers, |at| at.server);
    }

    /// Sorts by a key below `keys`; equal ones keep their order. Linear, and without a branch that
    /// depends on the keys.
    fn sort_by(&mut self, keys: usize, key: impl Fn(&AtServer) -> u32) {
        let Self { all, sorted, places } = self;
        places.clear();
        places.resize(keys, 0);
        for at in all.iter() {
            places[key(at) as usize] += 1;
        }
        let mut next = 0;
        for place in places.iter_mut() {
            next += std::mem::replace(place, next);
        }
        sorted.clear();
        sorted.resize(all.len(), AtServer::default());
        for at in all.iter() {
            let place = &mut places[key(at) as usize];
            sorted[*place as usize] = *at;
            *place += 1;
        }
        std::mem::swap(all, sorted);
    }
}
