//! Queues: the tasks under way, and the FIFOs of CPUs, uplinks and servers in which they wait.
//!
//! At the servers, each device has a FIFO of its own. A dense table of devices × servers would be
//! simple and would not fit: a million devices and a thousand servers have 10⁹ FIFOs, nearly all
//! empty. Only FIFOs that hold a task exist here (a [`Flow`]), in one list that is rewritten in
//! every slot, so that storage and time follow the tasks under way.

/// "No task" (or "no FIFO") in an index.
pub(crate) const NONE: u32 = u32::MAX;

/// A task under way: decided and not ended. Its device is that of the FIFO that holds it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Task {
    pub(crate) size_mbit: f64,
    pub(crate) density: f64,
    pub(crate) alpha: f64,
    /// Energy of sending it, in the published units; 0 until it has been sent.
    pub(crate) published_transmit: f64,
    /// Seconds for which it has been sent so far, where rates change.
    pub(crate) sent_seconds: f64,
    pub(crate) arrival_slot: u32,
    pub(crate) deadline_slots: u32,
    pub(crate) class: u32,
    pub(crate) action: u32,
    /// The slot after that in which its upload ended; 0 before.
    pub(crate) sent_slot: u32,
    /// The slot in which it entered service where it is computed, or [`NONE`].
    pub(crate) service_slot: u32,
}

/// A task behind another one in a FIFO.
#[derive(Clone, Copy, Debug)]
struct Behind {
    task: Task,
    /// The task behind this one.
    next: u32,
}

/// The tasks that are behind others in FIFOs. Storage follows the largest number of them at once, and
/// a slot allocates nothing once warm.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tasks {
    places: Vec<Behind>,
    free: Vec<u32>,
}

impl Tasks {
    fn insert(&mut self, task: Task) -> u32 {
        let behind = Behind { task, next: NONE };
        match self.free.pop() {
            Some(place) => {
                self.places[place as usize] = behind;
                place
            }
            None => {
                self.places.push(behind);
                (self.places.len() - 1) as u32
            }
        }
    }

    /// Takes over the tasks of other devices. Returns the number of places by which theirs have moved.
    fn absorb(&mut self, other: Self) -> u32 {
        let by = self.places.len() as u32;
        let moved = |place: u32| if place == NONE { NONE } else { place + by };
        let places = other.places.into_iter();
        self.places.extend(places.map(|behind| Behind { next: moved(behind.next), ..behind }));
        self.free.extend(other.free.into_iter().map(moved));
        by
    }

    fn remove(&mut self, place: u32) -> Behind {
        self.free.push(place);
        self.places[place as usize]
    }
}

/// A first-in-first-out queue with at most one task in service: a device's CPU, its uplink, or
/// one device's tasks at one server.
///
/// The oldest task is stored in place, so that service reads and writes nothing else. Most FIFOs hold
/// no other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fifo {
    /// The oldest task, if there is one; in service once it has a `service_slot`.
    pub(crate) oldest: Task,
    /// Mbit of the task in service still to do; below 0 once its last slot had room to spare.
    pub(crate) remaining_mbit: f64,
    /// Mbit of the task in service that one slot does: f·τ/ρ or R·τ.
    pub(crate) mbit_per_slot: f64,
    /// Energy of this service so far, in the published units.
    pub(crate) energy: f64,
    /// How many tasks it holds.
    count: u32,
    /// The second task and the last one, if there are more than one.
    second: u32,
    last: u32,
}

impl Default for Fifo {
    fn default() -> Self {
        Self {
            oldest: Task::default(),
            remaining_mbit: 0.0,
            mbit_per_slot: 0.0,
            energy: 0.0,
            count: 0,
            second: NONE,
            last: NONE,
        }
    }
}

impl Fifo {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    #[inline]
    pub(crate) fn is_serving(&self) -> bool {
        self.count > 0 && self.oldest.service_slot != NONE
    }

    #[inline]
    pub(crate) fn push(&mut self, tasks: &mut Tasks, task: Task) {
        if self.count == 0 {
            self.oldest = task;
        } else {
            let place = tasks.insert(task);
            if self.count == 1 {
                self.second = place;
            } else {
                tasks.places[self.last as usize].next = place;
            }
            self.last = place;
        }
        self.count += 1;
    }

    /// Removes the oldest task, which must exist.
    #[inline]
    pub(crate) fn pop(&mut self, tasks: &mut Tasks) {
        self.count -= 1;
        if self.count > 0 {
            let Behind { task, next } = tasks.remove(self.second);
            self.oldest = task;
            self.second = next;
        }
    }

    /// Takes a task into service if none is: pops tasks until one can still meet its deadline
    /// in `slot`, and hands each that cannot to `expired`. Returns true if a task entered
    /// service; the caller then sets its `mbit_per_slot`.
    #[inline]
    pub(crate) fn take_head(
        &mut self,
        tasks: &mut Tasks,
        slot: u32,
        mut expired: impl FnMut(&Task),
    ) -> bool {
        while self.count > 0 && self.oldest.service_slot == NONE {
            let Task { arrival_slot, deadline_slots, size_mbit, .. } = self.oldest;
            if slot - arrival_slot < deadline_slots {
                self.oldest.service_slot = slot;
                self.remaining_mbit = size_mbit;
                self.energy = 0.0;
                return true;
            }
            expired(&self.oldest);
            self.pop(tasks);
        }
        false
    }

    /// All tasks, oldest first, to be changed; for each the Mbit of it that are done, if it is in
    /// service.
    pub(crate) fn change(&mut self, tasks: &mut Tasks, mut each: impl FnMut(&mut Task, f64)) {
        if self.count == 0 {
            return;
        }
        let done =
            if self.is_serving() { self.oldest.size_mbit - self.remaining_mbit } else { 0.0 };
        each(&mut self.oldest, done);
        let mut next = self.second;
        for _ in 1..self.count {
            let behind = &mut tasks.places[next as usize];
            each(&mut behind.task, 0.0);
            next = behind.next;
        }
    }

    /// Its tasks have moved by so many places.
    fn moved(mut self, by: u32) -> Self {
        if self.count > 1 {
            (self.second, self.last) = (self.second + by, self.last + by);
        }
        self
    }

    /// True in the slot in which the deadline of the task in service passes.
    #[inline]
    pub(crate) fn is_last_slot(&self, slot: u32) -> bool {
        slot - self.oldest.arrival_slot + 1 == self.oldest.deadline_slots
    }

    /// The task that is in service in `slot`, once [`Fifo::take_head`] has been called for it.
    pub(crate) fn next_to_serve<'t>(&'t self, tasks: &'t Tasks, slot: u32) -> Option<&'t Task> {
        let can_serve = |task: &Task| slot - task.arrival_slot < task.deadline_slots;
        self.all(tasks)
            .find(|(task, in_service)| *in_service || can_serve(task))
            .map(|(task, _)| task)
    }

    /// All tasks, oldest first. True for the one in service.
    pub(crate) fn all<'t>(&'t self, tasks: &'t Tasks) -> impl Iterator<Item = (&'t Task, bool)> {
        let mut next = self.second;
        (0..self.count).map(move |number| {
            if number == 0 {
                return (&self.oldest, self.oldest.service_slot != NONE);
            }
            let behind = &tasks.places[next as usize];
            next = behind.next;
            (&behind.task, false)
        })
    }

    /// Removes all tasks, oldest first. Calls `each` with the task, its remaining Mbit, the published
    /// energy of its service, and whether it was in service.
    pub(crate) fn drain(&mut self, tasks: &mut Tasks, mut each: impl FnMut(&Task, f64, f64, bool)) {
        while self.count > 0 {
            let in_service = self.is_serving();
            let (remaining_mbit, energy) = if in_service {
                (self.remaining_mbit, self.energy)
            } else {
                (self.oldest.size_mbit, 0.0)
            };
            each(&self.oldest, remaining_mbit, energy, in_service);
            self.pop(tasks);
        }
    }

    /// Mbit in service and waiting.
    pub(crate) fn backlog_mbit(&self, tasks: &Tasks) -> f64 {
        self.all(tasks).fold(0.0, |sum, (task, in_service)| sum + self.left(task, in_service))
    }

    /// Gcycles in service and waiting.
    pub(crate) fn gcycles(&self, tasks: &Tasks) -> f64 {
        let gcycles =
            |(task, in_service): (&Task, bool)| self.left(task, in_service) * task.density;
        self.all(tasks).fold(0.0, |sum, task| sum + gcycles(task))
    }

    /// Mbit of one of its tasks that are still to do.
    #[inline]
    fn left(&self, task: &Task, in_service: bool) -> f64 {
        if in_service { self.remaining_mbit } else { task.size_mbit }
    }

    /// Slots, from slot `now` on, for which the FIFO stays busy with the tasks it holds, if
    /// `mbit_per_slot` is what one slot does of each.
    ///
    /// A FIFO serves one task per slot, passes nothing left over to the next, and drops a task
    /// at its deadline. So this is a whole number and exact: each task takes the slots that its
    /// work needs, or those up to its deadline if they are fewer.
    pub(crate) fn busy_slots(
        &self,
        tasks: &Tasks,
        now: u32,
        mbit_per_slot: impl Fn(&Task) -> f64,
    ) -> u32 {
        let mut free = now;
        for (task, in_service) in self.all(tasks) {
            let mbit = if in_service { self.remaining_mbit } else { task.size_mbit };
            // The slots before its deadline, were it to enter service when the FIFO is free.
            let until_deadline = (task.arrival_slot + task.deadline_slots).saturating_sub(free);
            // At a rate of 0 the quotient is infinite, and the deadline counts.
            free += ((mbit / mbit_per_slot(task)).ceil() as u32).min(until_deadline);
        }
        free - now
    }
}

/// Joins what belongs to neighbouring devices: `tasks`, CPUs, uplinks and flows of `first` devices, of
/// which there is a multiple of 64, and those of the devices behind them.
pub(crate) fn join(
    (tasks, cpus, uplinks, flows): (&mut Tasks, &mut Fifos, &mut Fifos, &mut Flows),
    other: (Tasks, Fifos, Fifos, Flows),
) {
    let first = cpus.fifos.len() as u32;
    let by = tasks.absorb(other.0);
    cpus.absorb(other.1, by);
    uplinks.absorb(other.2, by);
    flows.absorb(other.3, first, by);
}

/// A FIFO for each device: their CPUs, or their uplinks.
#[derive(Clone, Debug)]
pub(crate) struct Fifos {
    fifos: Vec<Fifo>,
    /// One bit per FIFO, 64 to a word: set if it holds a task. A branch per FIFO would be mispredicted
    /// too often.
    busy: Vec<u64>,
}

impl Fifos {
    pub(crate) fn new(devices: usize) -> Self {
        Self { fifos: vec![Fifo::default(); devices], busy: vec![0; devices.div_ceil(64)] }
    }

    pub(crate) fn of(&self, device: usize) -> &Fifo {
        &self.fifos[device]
    }

    /// All FIFOs, in the order of devices.
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Fifo> {
        self.fifos.iter()
    }

    /// Takes over the FIFOs of the devices behind its own, of which there is a multiple of 64.
    fn absorb(&mut self, other: Self, by: u32) {
        self.fifos.extend(other.fifos.into_iter().map(|fifo| fifo.moved(by)));
        self.busy.extend(other.busy);
    }

    #[inline]
    pub(crate) fn push(&mut self, tasks: &mut Tasks, device: usize, task: Task) {
        self.fifos[device].push(tasks, task);
        self.busy[device / 64] |= 1 << (device % 64);
    }

    /// Visits those that hold a task, in the order of devices.
    #[inline]
    pub(crate) fn visit(&mut self, mut each: impl FnMut(usize, &mut Fifo)) {
        for (word, busy) in self.busy.iter_mut().enumerate() {
            let mut left = *busy;
            while left != 0 {
                let bit = left.trailing_zeros();
                left &= left - 1;
                let device = 64 * word + bit as usize;
                let fifo = &mut self.fifos[device];
                each(device, fifo);
                *busy &= !(u64::from(fifo.is_empty()) << bit);
            }
        }
    }
}

/// One device's tasks at one server; exists while it holds at least one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flow {
    /// `mbit_per_slot` of its task in service is what the *whole* server can do in a slot.
    pub(crate) fifo: Fifo,
    /// Idle energy of the task in service so far, in the published units; `fifo.energy` is the
    /// server's.
    pub(crate) idle_energy: f64,
    /// Its device, counted from the first one of the shard.
    pub(crate) device: u32,
    pub(crate) server: u32,
    /// The slot at whose end it became active.
    pub(crate) since: u32,
    /// The flow of the same device that became active before it.
    next: u32,
}

/// The flows of some devices, the one that became active first in front, and chained by device.
#[derive(Clone, Debug)]
pub(crate) struct Flows {
    flows: Vec<Flow>,
    /// For each device the first of its chain.
    of_device: Vec<u32>,
    /// For each server how many there are.
    active: Vec<u32>,
    /// For each server how many tasks have reached it.
    reached: Vec<u64>,
}

impl Flows {
    pub(crate) fn new(devices: usize, servers: usize) -> Self {
        Self {
            flows: Vec::new(),
            of_device: vec![NONE; devices],
            active: vec![0; servers],
            reached: vec![0; servers],
        }
    }

    /// Takes over the flows of the devices behind its own, `first` of which its own are before.
    fn absorb(&mut self, other: Self, first: u32, by: u32) {
        let flows = other.flows.into_iter();
        self.flows.extend(flows.map(|flow| Flow {
            fifo: flow.fifo.moved(by),
            device: flow.device + first,
            ..flow
        }));
        self.of_device.resize(self.of_device.len() + other.of_device.len(), NONE);
        for (sum, active) in self.active.iter_mut().zip(&other.active) {
            *sum += active;
        }
        for (sum, reached) in self.reached.iter_mut().zip(&other.reached) {
            *sum += reached;
        }
        // At most one flow of a device begins in a slot.
        self.flows.sort_by_key(|flow| (flow.since, flow.device));
        self.of_device.fill(NONE);
        for (place, flow) in (0..).zip(&mut self.flows) {
            flow.next = std::mem::replace(&mut self.of_device[flow.device as usize], place);
        }
    }

    /// For each server the devices active at it.
    pub(crate) fn active(&self) -> &[u32] {
        &self.active
    }

    /// For each server how many tasks have reached it so far.
    pub(crate) fn reached(&self) -> &[u64] {
        &self.reached
    }

    /// All flows, the one that became active first in front.
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Flow> {
        self.flows.iter()
    }

    /// The flows of a device, the newest first.
    pub(crate) fn of_device(&self, device: usize) -> impl Iterator<Item = &Flow> {
        let mut next = self.of_device[device];
        std::iter::from_fn(move || {
            (next != NONE).then(|| {
                let flow = &self.flows[next as usize];
                next = flow.next;
                flow
            })
        })
    }

    /// A task of a device reaches its server in `slot`: joins the FIFO there.
    #[inline]
    pub(crate) fn join(&mut self, tasks: &mut Tasks, device: usize, task: Task, slot: u32) {
        let (newest, server) = (self.of_device[device], task.action - 1);
        let mut place = newest;
        while place != NONE && self.flows[place as usize].server != server {
            place = self.flows[place as usize].next;
        }
        if place == NONE {
            place = self.flows.len() as u32;
            self.flows.push(Flow {
                fifo: Fifo::default(),
                idle_energy: 0.0,
                device: device as u32,
                server,
                since: slot,
                next: newest,
            });
            self.of_device[device] = place;
            self.active[server as usize] += 1;
        }
        self.reached[server as usize] += 1;
        self.flows[place as usize].fifo.push(tasks, task);
    }

    /// Visits all flows in the order in which they became active; those that are empty afterwards
    /// are gone.
    #[inline]
    pub(crate) fn visit(&mut self, mut each: impl FnMut(&mut Flow)) {
        self.of_device.fill(NONE);
        let mut kept = 0;
        for place in 0..self.flows.len() {
            let flow = &mut self.flows[place];
            each(flow);
            if flow.fifo.is_empty() {
                self.active[flow.server as usize] -= 1;
            } else {
                let newest = &mut self.of_device[flow.device as usize];
                flow.next = std::mem::replace(newest, kept as u32);
                self.flows.copy_within(place..=place, kept);
                kept += 1;
            }
        }
        self.flows.truncate(kept);
    }
}
