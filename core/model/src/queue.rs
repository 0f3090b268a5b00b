//! Queues: the tasks under way, and the FIFOs of CPUs, uplinks and servers in which they wait.
//!
//! At the servers, each device has a FIFO of its own. A dense table of devices × servers would be
//! simple and would not fit: a million devices and a thousand servers have 10⁹ FIFOs, nearly all
//! empty. Only FIFOs that hold a task exist here (a [`Flow`]); each server lists its own, each
//! device chains its own, so that storage and time follow the tasks under way.

/// "No task" (or "no FIFO") in an index.
pub(crate) const NONE: u32 = u32::MAX;

/// A task under way: decided and not ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task {
    pub(crate) size_mbit: f64,
    pub(crate) density: f64,
    pub(crate) alpha: f64,
    /// Energy of sending it, in the published units; 0 until it has been sent.
    pub(crate) published_transmit: f64,
    /// Seconds for which it has been sent so far, where rates change.
    pub(crate) sent_seconds: f64,
    pub(crate) device: u32,
    pub(crate) arrival_slot: u32,
    pub(crate) deadline_slots: u32,
    pub(crate) class: u32,
    pub(crate) action: u32,
    /// The slot after that in which its upload ended; 0 before.
    pub(crate) sent_slot: u32,
    /// The slot in which it entered service where it is computed, or [`NONE`].
    pub(crate) service_slot: u32,
    /// The task behind it in its FIFO, or the next free place.
    pub(crate) next: u32,
}

/// The tasks under way: a slab with a free list, so that storage follows the largest number
/// under way at once and a slot allocates nothing once warm.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tasks {
    places: Vec<Task>,
    free: Option<u32>,
    under_way: usize,
}

impl Tasks {
    pub(crate) fn insert(&mut self, task: Task) -> u32 {
        self.under_way += 1;
        match self.free {
            Some(place) => {
                let next = self.places[place as usize].next;
                self.free = (next != NONE).then_some(next);
                self.places[place as usize] = task;
                place
            }
            None => {
                self.places.push(task);
                (self.places.len() - 1) as u32
            }
        }
    }

    pub(crate) fn remove(&mut self, place: u32) -> Task {
        let task = self.places[place as usize];
        self.places[place as usize].next = self.free.unwrap_or(NONE);
        self.free = Some(place);
        self.under_way -= 1;
        task
    }

    pub(crate) fn under_way(&self) -> usize {
        self.under_way
    }
}

impl std::ops::Index<u32> for Tasks {
    type Output = Task;
    #[inline]
    fn index(&self, place: u32) -> &Task {
        &self.places[place as usize]
    }
}

impl std::ops::IndexMut<u32> for Tasks {
    #[inline]
    fn index_mut(&mut self, place: u32) -> &mut Task {
        &mut self.places[place as usize]
    }
}

/// A first-in-first-out queue with at most one task in service: a device's CPU, its uplink, or
/// one device's tasks at one server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fifo {
    /// The task in service, or [`NONE`].
    pub(crate) in_service: u32,
    head: u32,
    tail: u32,
    /// The slot in which the deadline of the task in service passes.
    pub(crate) last_slot: u32,
    /// Mbit of the task in service still to do; below 0 once its last slot had room to spare.
    pub(crate) remaining_mbit: f64,
    /// Mbit of the task in service that one slot does: f·τ/ρ or R·τ.
    pub(crate) mbit_per_slot: f64,
    /// Energy of this service so far, in the published units.
    pub(crate) energy: f64,
}

impl Default for Fifo {
    fn default() -> Self {
        Self {
            in_service: NONE,
            head: NONE,
            tail: NONE,
            last_slot: 0,
            remaining_mbit: 0.0,
            mbit_per_slot: 0.0,
            energy: 0.0,
        }
    }
}

impl Fifo {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.in_service == NONE && self.head == NONE
    }

    #[inline]
    pub(crate) fn push(&mut self, tasks: &mut Tasks, task: u32) {
        tasks[task].next = NONE;
        if self.head == NONE {
            self.head = task;
        } else {
            tasks[self.tail].next = task;
        }
        self.tail = task;
    }

    #[inline]
    pub(crate) fn pop(&mut self, tasks: &Tasks) -> Option<u32> {
        let task = self.head;
        (task != NONE).then(|| {
            self.head = tasks[task].next;
            task
        })
    }

    /// Takes a task into service if none is: pops tasks until one can still meet its deadline
    /// in `slot`, and hands each that cannot to `expired`. Returns true if a task entered
    /// service; the caller then sets its `mbit_per_slot`.
    #[inline]
    pub(crate) fn take_head(
        &mut self,
        tasks: &mut Tasks,
        slot: u32,
        mut expired: impl FnMut(Task),
    ) -> bool {
        if self.in_service != NONE {
            return false;
        }
        while let Some(task) = self.pop(tasks) {
            let Task { arrival_slot, deadline_slots, size_mbit, .. } = tasks[task];
            if slot - arrival_slot < deadline_slots {
                tasks[task].service_slot = slot;
                self.in_service = task;
                self.last_slot = arrival_slot + deadline_slots - 1;
                self.remaining_mbit = size_mbit;
                self.energy = 0.0;
                return true;
            }
            expired(tasks.remove(task));
        }
        false
    }

    /// The task that is in service in `slot`, once [`Fifo::take_head`] has been called for it.
    pub(crate) fn next_to_serve<'t>(&self, tasks: &'t Tasks, slot: u32) -> Option<&'t Task> {
        if self.in_service != NONE {
            return Some(&tasks[self.in_service]);
        }
        self.waiting(tasks).find(|task| slot - task.arrival_slot < task.deadline_slots)
    }

    /// The waiting tasks, oldest first, without the one in service.
    pub(crate) fn waiting<'t>(&self, tasks: &'t Tasks) -> impl Iterator<Item = &'t Task> + use<'t> {
        let mut next = self.head;
        std::iter::from_fn(move || {
            (next != NONE).then(|| {
                let task = &tasks[next];
                next = task.next;
                task
            })
        })
    }

    /// All tasks, oldest first: that in service, if there is one, then the waiting ones. True for the
    /// one in service.
    pub(crate) fn all<'t>(
        &self,
        tasks: &'t Tasks,
    ) -> impl Iterator<Item = (&'t Task, bool)> + use<'t> {
        let in_service = (self.in_service != NONE).then(|| (&tasks[self.in_service], true));
        in_service.into_iter().chain(self.waiting(tasks).map(|task| (task, false)))
    }

    /// Removes all tasks: first the one in service, then the waiting ones, oldest first. Calls
    /// `each` with the task, its remaining Mbit and the published energy of its service.
    pub(crate) fn drain(&mut self, tasks: &mut Tasks, mut each: impl FnMut(Task, f64, f64)) {
        if self.in_service != NONE {
            each(tasks.remove(self.in_service), self.remaining_mbit, self.energy);
            self.in_service = NONE;
        }
        while let Some(task) = self.pop(tasks) {
            let task = tasks.remove(task);
            each(task, task.size_mbit, 0.0);
        }
    }

    /// Takes the task in service out of the FIFO and of `tasks`.
    pub(crate) fn release(&mut self, tasks: &mut Tasks) -> Task {
        let place = std::mem::replace(&mut self.in_service, NONE);
        tasks.remove(place)
    }

    /// Mbit in service and waiting.
    pub(crate) fn backlog_mbit(&self, tasks: &Tasks) -> f64 {
        let in_service = if self.in_service == NONE { 0.0 } else { self.remaining_mbit };
        self.waiting(tasks).fold(in_service, |sum, task| sum + task.size_mbit)
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
        let mut serve = |task: &Task, mbit: f64, mbit_per_slot: f64| {
            // The slots before its deadline, were it to enter service when the FIFO is free.
            let until_deadline = (task.arrival_slot + task.deadline_slots).saturating_sub(free);
            // At a rate of 0 the quotient is infinite, and the deadline counts.
            free += ((mbit / mbit_per_slot).ceil() as u32).min(until_deadline);
        };
        if self.in_service != NONE {
            let task = &tasks[self.in_service];
            serve(task, self.remaining_mbit, mbit_per_slot(task));
        }
        for task in self.waiting(tasks) {
            serve(task, task.size_mbit, mbit_per_slot(task));
        }
        free - now
    }
}

/// One device's tasks at one server; exists while it holds at least one.
///
/// At scale each visit to a flow is a cache miss, so a flow is one cache line and holds all that
/// one slot of service reads and writes.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(crate) struct Flow {
    /// `mbit_per_slot` of its task in service is what the *whole* server can do in a slot.
    pub(crate) fifo: Fifo,
    /// Idle energy of the task in service so far, in the published units; `fifo.energy` is the
    /// server's.
    pub(crate) idle_energy: f64,
    pub(crate) device: u32,
    pub(crate) server: u32,
    /// The next flow of the same device, or the next free place.
    next: u32,
}

/// All flows, listed by server and chained by device.
#[derive(Clone, Debug)]
pub(crate) struct Flows {
    places: Vec<Flow>,
    free: u32,
    /// For each server its flows, the one that became active first in front.
    of_server: Vec<Vec<u32>>,
    /// For each device the first of its chain.
    of_device: Vec<u32>,
}

impl Flows {
    pub(crate) fn new(devices: usize, servers: usize) -> Self {
        Self {
            places: Vec::new(),
            free: NONE,
            of_server: vec![Vec::new(); servers],
            of_device: vec![NONE; devices],
        }
    }

    /// K_j: devices active at a server.
    pub(crate) fn active(&self, server: u32) -> u32 {
        self.of_server[server as usize].len() as u32
    }

    /// The flows of a device, the newest first.
    pub(crate) fn of_device(&self, device: u32) -> impl Iterator<Item = &Flow> {
        let mut next = self.of_device[device as usize];
        std::iter::from_fn(move || {
            (next != NONE).then(|| {
                let flow = &self.places[next as usize];
                next = flow.next;
                flow
            })
        })
    }

    /// A task reaches a server: joins its device's FIFO there.
    pub(crate) fn join(&mut self, tasks: &mut Tasks, task: u32, server: u32) {
        let device = tasks[task].device;
        let mut place = self.of_device[device as usize];
        while place != NONE && self.places[place as usize].server != server {
            place = self.places[place as usize].next;
        }
        if place == NONE {
            place = self.open(device, server);
        }
        self.places[place as usize].fifo.push(tasks, task);
    }

    fn open(&mut self, device: u32, server: u32) -> u32 {
        let next = self.of_device[device as usize];
        let flow = Flow { fifo: Fifo::default(), idle_energy: 0.0, device, server, next };
        let place = self.free;
        let place = if place == NONE {
            self.places.push(flow);
            (self.places.len() - 1) as u32
        } else {
            self.free = self.places[place as usize].next;
            self.places[place as usize] = flow;
            place
        };
        self.of_device[device as usize] = place;
        self.of_server[server as usize].push(place);
        place
    }

    /// Visits the flows of a server, oldest first; those that are empty afterwards are closed.
    pub(crate) fn visit(&mut self, server: u32, mut each: impl FnMut(&mut Flow)) {
        let mut list = std::mem::take(&mut self.of_server[server as usize]);
        list.retain(|&place| {
            let flow = &mut self.places[place as usize];
            each(flow);
            let stays = !flow.fifo.is_empty();
            if !stays {
                self.close(place);
            }
            stays
        });
        self.of_server[server as usize] = list;
    }

    fn close(&mut self, closed: u32) {
        let Flow { device, next, .. } = self.places[closed as usize];
        let mut link = self.of_device[device as usize];
        if link == closed {
            self.of_device[device as usize] = next;
        } else {
            while self.places[link as usize].next != closed {
                link = self.places[link as usize].next;
            }
            self.places[link as usize].next = next;
        }
        self.places[closed as usize].next = self.free;
        self.free = closed;
    }
}
