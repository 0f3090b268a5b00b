//! State files: what a training or a stream resumes from, taken apart and put together again.

use offramp_results::files::sha256;

/// Bytes of the two hashes behind the length of the header.
const HASHES: usize = 2 * 64;

/// The header of a state file and the bytes of the plugin in it.
///
/// # Panics
/// If it was cut off.
pub fn parts(state: &[u8]) -> (&[u8], &[u8]) {
    let (length, rest) = state.split_at(8);
    let mut number = [0; 8];
    number.copy_from_slice(length);
    rest[HASHES..].split_at(u64::from_le_bytes(number) as usize)
}

/// The state file with the hashes of what is in it now.
///
/// # Panics
/// If it was cut off.
pub fn rehashed(state: &[u8]) -> Vec<u8> {
    let (header, plugin) = parts(state);
    let hashes = [header, plugin].map(sha256).concat();
    [&state[..8], hashes.as_bytes(), header, plugin].concat()
}
