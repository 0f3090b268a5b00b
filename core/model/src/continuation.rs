//! Continuation: which systems an episode can go on in, in the middle of it.

use crate::system::System;

/// The reason why an episode can't go on in another system.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Incompatible {
    /// N differs.
    #[error("devices: {other} instead of {own}")]
    Devices {
        /// N of the episode's system.
        own: u32,
        /// N of the other one.
        other: u32,
    },
    /// M differs.
    #[error("servers: {other} instead of {own}")]
    Servers {
        /// M of the episode's system.
        own: u32,
        /// M of the other one.
        other: u32,
    },
    /// τ differs.
    #[error("duration of a slot: {other} s instead of {own} s")]
    SlotSeconds {
        /// τ of the episode's system, seconds.
        own: f64,
        /// τ of the other one, seconds.
        other: f64,
    },
    /// S differs.
    #[error("slots with arrivals: {other} instead of {own}")]
    ArrivalSlots {
        /// S of the episode's system.
        own: u32,
        /// S of the other one.
        other: u32,
    },
    /// No more tasks arrive.
    #[error("slot {slot}: tasks arrive in the first {arrival_slots} slots only")]
    Over {
        /// The slot at which the episode stands.
        slot: u32,
        /// S of both systems.
        arrival_slots: u32,
    },
}

impl Incompatible {
    /// Checks that an episode that stands at `slot` can go on in another system.
    ///
    /// # Errors
    /// The first difference.
    pub(crate) fn check(own: &System, other: &System, slot: u32) -> Result<(), Self> {
        let (devices, others) = (own.device_count(), other.device_count());
        if devices != others {
            return Err(Self::Devices { own: devices, other: others });
        }
        let (servers, others) = (own.server_count(), other.server_count());
        if servers != others {
            return Err(Self::Servers { own: servers, other: others });
        }
        let (own, other) = (own.parameters(), other.parameters());
        if own.slot_seconds != other.slot_seconds {
            return Err(Self::SlotSeconds { own: own.slot_seconds, other: other.slot_seconds });
        }
        let arrival_slots = own.arrival_slots;
        if arrival_slots != other.arrival_slots {
            return Err(Self::ArrivalSlots { own: arrival_slots, other: other.arrival_slots });
        }
        if slot >= arrival_slots {
            return Err(Self::Over { slot, arrival_slots });
        }
        Ok(())
    }
}
