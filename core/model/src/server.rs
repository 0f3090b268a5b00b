//! An edge server: what it is, and the tasks it holds, one FIFO per device that has any there.
//!
//! A dense table of devices × servers would be simple and would not fit: a million devices and
//! a thousand servers have 10⁹ FIFOs, nearly all empty. Only FIFOs that hold a task exist here
//! (a flow); each server lists its own, each device chains its own, so that storage and time
//! follow the tasks under way.

use crate::task::{Fifo, NONE, Tasks};

/// One edge server (EN, j).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Server {
    /// f^E: CPU, GHz, shared by the devices active at it (eq. 5).
    pub ghz: f64,
    /// p^E: power while computing, W.
    pub power_w: f64,
}

/// One device's tasks at one server; exists while it holds at least one.
///
/// At scale each visit to a flow is a cache miss, so a flow is one cache line and holds all that
/// a slot of service reads and writes.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(crate) struct Flow {
    /// `per_slot` of its task in service is what the *whole* server can do in a slot.
    pub(crate) fifo: Fifo,
    /// Idle energy of the task in service so far, in the published units; the energy in `fifo`
    /// is the server's.
    pub(crate) idle_energy: f64,
    pub(crate) device: u32,
    pub(crate) server: u32,
    /// The next flow of the same device, or the next free place.
    next: u32,
}

/// All flows, by server and by device.
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
