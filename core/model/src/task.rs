//! A task: what arrives at a device, what becomes of it, and where it is kept meanwhile.

use crate::energy::Energies;

/// A task that has just arrived and waits for its decision (λ, ρ of section 3 of the paper).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arrival {
    /// The device it arrived at, 0 … N − 1.
    pub device: u32,
    /// λ: size in Mbit, above 0.
    pub size_mbit: f64,
    /// ρ: Gcycles per Mbit, above 0.
    pub density: f64,
    /// α of its device at this moment: weight of delay against energy, 0 … 1.
    pub alpha: f64,
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Computed within its deadline.
    Done,
    /// Its deadline passed, or the episode ended first.
    Dropped,
}

/// A task that has ended, with all that is known of it. Device and slot of birth identify it:
/// at most one task arrives per device and slot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EndedTask {
    /// The device it arrived at, 0 … N − 1.
    pub device: u32,
    /// The slot it arrived in.
    pub born_slot: u32,
    /// The decision: 0 local, j = 1 … M server j.
    pub action: u32,
    /// Done or dropped.
    pub outcome: Outcome,
    /// D: slots from arrival to end, the slot of arrival counted; D_max if it was dropped at
    /// its deadline, `T − born` if the episode ended first.
    pub delay_slots: u32,
    /// λ, Mbit.
    pub size_mbit: f64,
    /// ρ, Gcycles per Mbit.
    pub density: f64,
    /// α of its device when it arrived.
    pub alpha: f64,
    /// What it cost, in both accountings.
    pub energy: Energies,
}

/// "No task" (or "no FIFO") in an index.
pub(crate) const NONE: u32 = u32::MAX;

/// A task under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task {
    pub(crate) size_mbit: f64,
    pub(crate) density: f64,
    pub(crate) alpha: f64,
    /// Energy of sending it, in the published units; 0 until it has been sent.
    pub(crate) published_transmit: f64,
    pub(crate) device: u32,
    pub(crate) born_slot: u32,
    pub(crate) action: u32,
    /// The first slot in which its server could serve it.
    pub(crate) at_server_slot: u32,
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
    /// Mbit of the task in service still to do.
    pub(crate) left: f64,
    /// Mbit one slot does of the task in service: f·τ/ρ or R·τ.
    pub(crate) per_slot: f64,
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
            left: 0.0,
            per_slot: 0.0,
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

    /// Take a head if none is in service (section 2 of the model): pop tasks until one can
    /// still meet its deadline in `slot`; each that cannot is handed to `drop`. True if a task
    /// entered service; its `per_slot` is then the caller's to set.
    #[inline]
    pub(crate) fn take_head(
        &mut self,
        tasks: &mut Tasks,
        slot: u32,
        deadline_slots: u32,
        mut expired: impl FnMut(Task),
    ) -> bool {
        if self.in_service != NONE {
            return false;
        }
        while let Some(task) = self.pop(tasks) {
            let Task { born_slot, size_mbit, .. } = tasks[task];
            if slot - born_slot < deadline_slots {
                self.in_service = task;
                self.last_slot = born_slot + deadline_slots - 1;
                self.left = size_mbit;
                self.energy = 0.0;
                return true;
            }
            expired(tasks.remove(task));
        }
        false
    }

    /// The tasks that wait, oldest first (the one in service not among them).
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

    /// The task in service, then those that wait, each with the Mbit left of it and the
    /// published energy of this service; takes them all out.
    pub(crate) fn drain(&mut self, tasks: &mut Tasks, mut each: impl FnMut(Task, f64, f64)) {
        if self.in_service != NONE {
            each(tasks.remove(self.in_service), self.left, self.energy);
            self.in_service = NONE;
        }
        while let Some(task) = self.pop(tasks) {
            let task = tasks.remove(task);
            each(task, task.size_mbit, 0.0);
        }
    }
}
