//! What a moody policy does, drawn from its number: the plugin acts by it, and the test expects it.

/// The end of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Mood {
    /// Computes locally.
    Fine,
    /// Computes locally, and leaks a little in every slot.
    Leaking,
    /// Leaks more than it may have.
    Hoarding,
    /// Writes where it must not.
    Segfaulting,
    /// Aborts.
    Aborting,
    /// Ends its process as if all were well.
    Leaving,
    /// Panics.
    Panicking,
    /// Computes for ever.
    Spinning,
    /// Waits for ever.
    Sleeping,
}

/// Digits that follow from a number, as if drawn (SplitMix64).
pub(crate) fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl Mood {
    /// The mood of the policy with this number.
    pub(crate) fn of(number: u64) -> Self {
        match mixed(number) % 100 {
            0..4 => Self::Segfaulting,
            4..7 => Self::Aborting,
            7..9 => Self::Leaving,
            9..11 => Self::Panicking,
            11 => Self::Spinning,
            12..15 => Self::Sleeping,
            15..18 => Self::Hoarding,
            18..28 => Self::Leaking,
            _ => Self::Fine,
        }
    }
}
