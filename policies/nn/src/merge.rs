//! A policy's networks as plain vectors, for federated learning: whoever averages the vectors of
//! several policies need not know what is in them.
//!
//! A vector has the parameters of one network and its companions (a target network, a critic),
//! each in the order of its shape's tensors, one after the other.

/// A vector that does not have the length that its network needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a vector has {found} numbers, and its network has {expected} parameters")]
pub struct LengthMismatch {
    /// Length of the vector.
    pub found: usize,
    /// Length that is needed.
    pub expected: usize,
}

/// The parts of a network, one after the other.
pub fn join(parts: &[&[f32]]) -> Vec<f32> {
    parts.concat()
}

/// Writes a vector that [`join`] made back into the parts of a network.
///
/// # Errors
/// [`LengthMismatch`] if the parts together are not as long as the vector; they are unchanged
/// then.
pub fn split(vector: &[f32], parts: &mut [&mut [f32]]) -> Result<(), LengthMismatch> {
    let expected = parts.iter().map(|part| part.len()).sum();
    if vector.len() != expected {
        return Err(LengthMismatch { found: vector.len(), expected });
    }
    let mut rest = vector;
    for part in parts {
        let (own, others) = rest.split_at(part.len());
        part.copy_from_slice(own);
        rest = others;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_joined_is_split() {
        let joined = join(&[&[1.0, 2.0], &[], &[3.0]]);
        let (mut first, mut second, mut third) = ([0.0; 2], [0.0; 0], [0.0; 1]);
        assert_eq!(split(&joined, &mut [&mut first, &mut second, &mut third]), Ok(()));
        assert_eq!((first, third), ([1.0, 2.0], [3.0]));
        let wrong = split(&joined, &mut [&mut first]);
        assert_eq!(wrong, Err(LengthMismatch { found: 3, expected: 2 }));
        assert_eq!(first, [1.0, 2.0]);
    }
}
