//! Outages: servers that are down, or slower.

use crate::arrivals::Switches;
use crate::rng::{Purpose, StreamFamily};

/// The outages of servers.
#[derive(Clone, Debug, PartialEq)]
pub enum Outages {
    /// Each server is up and down by turns, independently of the others: a two-state Markov chain per
    /// server, in its stationary regime from the first slot on.
    Drawn {
        /// Mean slots between two outages, at least 1.
        mean_up_slots: f64,
        /// Mean slots of an outage, at least 1.
        mean_down_slots: f64,
        /// Share of its speed that a server has in an outage, 0 … 1; at 0 it serves nothing, and its
        /// tasks wait.
        capacity: f64,
    },
    /// These servers are down all the time, the others never.
    Servers {
        /// The servers, 0 … M − 1.
        servers: Vec<u32>,
        /// The share of their speed that they have, 0 … 1.
        capacity: f64,
    },
}

/// The share of its speed that each server has in a slot.
#[derive(Clone, Debug)]
pub(crate) struct Capacities {
    /// On while a server is up; `None` if the same servers are down all the time.
    switches: Option<Switches>,
    during: f64,
    shares: Vec<f64>,
}

impl Capacities {
    /// Those of `slot`, in which they begin.
    pub(crate) fn new(
        outages: &Outages,
        servers: usize,
        (seed, episode): (u64, u64),
        slot: u32,
    ) -> Self {
        let mut shares = vec![1.0; servers];
        match outages {
            Outages::Drawn { mean_up_slots, mean_down_slots, capacity } => {
                let streams = StreamFamily::new(seed, episode, Purpose::OUTAGES);
                // The chain is on while its server is up.
                let (p_on, p_off) = (1.0 / mean_down_slots, 1.0 / mean_up_slots);
                let switches = Switches::new(streams, servers, p_on, p_off, slot);
                let mut all = Self { switches: Some(switches), during: *capacity, shares };
                all.fill();
                all
            }
            Outages::Servers { servers: down, capacity } => {
                down.iter().for_each(|&server| shares[server as usize] = *capacity);
                Self { switches: None, during: *capacity, shares }
            }
        }
    }

    pub(crate) fn advance(&mut self, slot: u32) {
        if let Some(switches) = &mut self.switches {
            switches.advance(slot);
            self.fill();
        }
    }

    fn fill(&mut self) {
        let up = self.switches.iter().flat_map(|switches| switches.on());
        for (share, &up) in self.shares.iter_mut().zip(up) {
            *share = if up { 1.0 } else { self.during };
        }
    }

    /// For each server, 0 … 1.
    pub(crate) fn shares(&self) -> &[f64] {
        &self.shares
    }
}
