//! Uplinks that share bands: whoever sends slows down the others at the station, so all uplinks are
//! served together.

use crate::instance::{ABSENT, Instance, NONE, Upload, spread};

/// The tasks that wait for a device's uplink or are sent over it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Sender {
    device: u32,
    /// The oldest task, and the newest.
    head: u32,
    tail: u32,
    /// True if the head has begun to be sent.
    has_begun: bool,
    /// Mbit of it still to send, its energy so far in published units, and its seconds so far.
    remaining_mbit: f64,
    published: f64,
    seconds: f64,
    /// The sum of [`spread`] over its tasks and where they are sent.
    members: u64,
}

/// The senders at the start of each slot, by device, before its tasks arrive; one more at the end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Uplinks {
    senders: Vec<Vec<Sender>>,
    /// Those of a trial, from `first` on.
    again: Vec<Vec<Sender>>,
    first: u32,
    /// How many slots of `again` are of the last trial.
    served: usize,
    /// For each station the devices that send to it in a slot.
    stations: Vec<u32>,
}

impl Uplinks {
    pub(crate) fn new(instance: &Instance) -> Self {
        let slots = instance.slots() as usize + 1;
        Self { senders: vec![Vec::new(); slots], again: vec![Vec::new(); slots], ..Self::default() }
    }

    /// Serves all uplinks again from slot `first` on, until they are as planned; other tasks than
    /// planned arrive in slots up to `last`. `action` returns the action of a task in the trial. Each
    /// upload that ends is handed to `ended`; without one a task is late.
    pub(crate) fn serve_again(
        &mut self,
        instance: &Instance,
        (first, last): (u32, u32),
        action: impl Fn(u32) -> u32,
        mut ended: impl FnMut(u32, Option<Upload>),
    ) {
        let Self { senders, again, served, stations, .. } = self;
        self.first = first;
        *served = 1;
        again[0].clone_from(&senders[first as usize]);
        let mut slot = first;
        loop {
            let (before, after) = again.split_at_mut(*served);
            let (start, next) = (&mut before[*served - 1], &mut after[0]);
            next.clear();
            next.extend_from_slice(start);
            for task in instance.of_slot(slot).filter(|&task| is_sent(action(task))) {
                arrive(next, instance, task, action(task));
            }
            let mut place = 0;
            while place < next.len() {
                match begin(next[place], instance, slot, &action, &mut ended) {
                    Some(sender) => {
                        next[place] = sender;
                        place += 1;
                    }
                    None => drop(next.remove(place)),
                }
            }
            count(stations, instance, slot, next, &action);
            next.retain_mut(|sender| {
                let server = action(sender.head) - 1;
                let station = instance.station(slot, sender.device, server);
                let sharing = if station == NONE { 1 } else { stations[station as usize].max(1) };
                send(sender, instance, (slot, server, sharing), &action, &mut ended)
            });
            slot += 1;
            *served += 1;
            if slot == instance.slots() || slot > last && *next == senders[slot as usize] {
                break;
            }
        }
        if slot == instance.slots() {
            for sender in &again[*served - 1] {
                let mut left = Some(*sender);
                while let Some(sender) = left {
                    ended(sender.head, None);
                    left = sender.pop(instance, &action);
                }
            }
        }
    }

    /// Makes the last trial the plan.
    pub(crate) fn accept(&mut self) {
        let slots = self.first as usize..self.first as usize + self.served;
        for (planned, again) in self.senders[slots].iter_mut().zip(&mut self.again) {
            std::mem::swap(planned, again);
        }
    }
}

/// True if a task with this action is sent.
fn is_sent(action: u32) -> bool {
    action != 0 && action != ABSENT
}

/// What a task adds to `members` of its sender.
fn member(task: u32, action: u32) -> u64 {
    spread(task).rotate_left(action % 64).wrapping_add(u64::from(action))
}

fn arrive(senders: &mut Vec<Sender>, instance: &Instance, task: u32, action: u32) {
    let device = instance.tasks[task as usize].device;
    let place = senders.partition_point(|sender| sender.device < device);
    match senders.get_mut(place) {
        Some(sender) if sender.device == device => {
            sender.tail = task;
            sender.members = sender.members.wrapping_add(member(task, action));
        }
        _ => senders.insert(place, Sender::waiting(device, task, task, member(task, action))),
    }
}

/// Begins with the oldest task that is not late, unless one has begun; `None` if all are late.
fn begin(
    mut sender: Sender,
    instance: &Instance,
    slot: u32,
    action: &impl Fn(u32) -> u32,
    ended: &mut impl FnMut(u32, Option<Upload>),
) -> Option<Sender> {
    while !sender.has_begun {
        let task = &instance.tasks[sender.head as usize];
        if slot <= task.last_slot() {
            return Some(Sender { has_begun: true, remaining_mbit: task.size_mbit, ..sender });
        }
        ended(sender.head, None);
        sender = sender.pop(instance, action)?;
    }
    Some(sender)
}

/// Counts the devices that send to each station.
fn count(
    stations: &mut Vec<u32>,
    instance: &Instance,
    slot: u32,
    senders: &[Sender],
    action: &impl Fn(u32) -> u32,
) {
    stations.clear();
    stations.resize(instance.servers() as usize, 0);
    for sender in senders {
        let station = instance.station(slot, sender.device, action(sender.head) - 1);
        if station != NONE {
            stations[station as usize] += 1;
        }
    }
}

/// Sends for a slot to a server whose station so many send to; false if no task is left.
fn send(
    sender: &mut Sender,
    instance: &Instance,
    (slot, server, sharing): (u32, u32, u32),
    action: &impl Fn(u32) -> u32,
    ended: &mut impl FnMut(u32, Option<Upload>),
) -> bool {
    let parameters = instance.system.parameters();
    let rate = instance.mbps(slot, sender.device, server) / f64::from(sharing);
    let mbit_per_slot = rate * parameters.slot_seconds;
    if mbit_per_slot > 0.0 {
        let share = (sender.remaining_mbit / mbit_per_slot).min(1.0);
        sender.seconds += share * parameters.slot_seconds;
    }
    sender.published += mbit_per_slot * parameters.devices[sender.device as usize].transmit_w;
    sender.remaining_mbit -= mbit_per_slot;
    let task = &instance.tasks[sender.head as usize];
    if sender.remaining_mbit > 0.0 && slot < task.last_slot() {
        return true;
    }
    let Sender { remaining_mbit, published, seconds, .. } = *sender;
    ended(sender.head, Some(Upload { remaining_mbit, published, seconds, end: slot + 1 }));
    match sender.pop(instance, action) {
        Some(rest) => {
            *sender = rest;
            true
        }
        None => false,
    }
}

impl Sender {
    fn waiting(device: u32, head: u32, tail: u32, members: u64) -> Self {
        Self {
            device,
            head,
            tail,
            has_begun: false,
            remaining_mbit: 0.0,
            published: 0.0,
            seconds: 0.0,
            members,
        }
    }

    /// Removes the head; `None` if it was the last.
    fn pop(self, instance: &Instance, action: &impl Fn(u32) -> u32) -> Option<Self> {
        if self.head == self.tail {
            return None;
        }
        let mut head = instance.tasks[self.head as usize].next;
        while !is_sent(action(head)) {
            head = instance.tasks[head as usize].next;
        }
        let members = self.members.wrapping_sub(member(self.head, action(self.head)));
        Some(Self::waiting(self.device, head, self.tail, members))
    }
}
