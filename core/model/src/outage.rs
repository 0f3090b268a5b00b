//! Outages: servers that are down, or slower, for a while.

use crate::arrivals::Switches;
use crate::rng::{Purpose, StreamFamily};

/// The outages of all servers, the same for each and independent between them: a two-state Markov
/// chain per server, in its stationary regime from slot 0 on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outages {
    /// Mean slots between two outages, at least 1.
    pub mean_up_slots: f64,
    /// Mean slots of an outage, at least 1.
    pub mean_down_slots: f64,
    /// Share of its speed that a server has in an outage, 0 … 1; at 0 it serves nothing, and its
    /// tasks wait.
    pub capacity: f64,
}

/// The share of its speed that each server has in a slot.
#[derive(Clone, Debug)]
pub(crate) struct Capacities {
    switches: Switches,
    during: f64,
    shares: Vec<f64>,
}

impl Capacities {
    /// Those of slot 0.
    pub(crate) fn new(outages: &Outages, servers: usize, seed: u64, episode: u64) -> Self {
        let streams = StreamFamily::new(seed, episode, Purpose::OUTAGES);
        // The chain is on while its server is up.
        let (p_on, p_off) = (1.0 / outages.mean_down_slots, 1.0 / outages.mean_up_slots);
        let mut all = Self {
            switches: Switches::new(streams, servers, p_on, p_off),
            during: outages.capacity,
            shares: vec![1.0; servers],
        };
        all.fill();
        all
    }

    pub(crate) fn advance(&mut self, slot: u32) {
        self.switches.advance(slot);
        self.fill();
    }

    fn fill(&mut self) {
        for (share, &up) in self.shares.iter_mut().zip(self.switches.on()) {
            *share = if up { 1.0 } else { self.during };
        }
    }

    /// For each server, 0 … 1.
    pub(crate) fn shares(&self) -> &[f64] {
        &self.shares
    }
}
