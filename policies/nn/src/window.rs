//! The window of load history that a row of a scaled batch sees. (Of an unscaled observation
//! the plugin interface has the same by `Observation::window_of`.)

/// The window of `row`: `length` (K × M) numbers of `histories`, which holds one or more windows
/// one after the other. `history_of` has the window of each row; where it is empty all rows see
/// the first.
///
/// # Panics
/// If there is no such window.
#[inline]
pub fn window_of<'h, T>(
    histories: &'h [T],
    history_of: &[u32],
    length: usize,
    row: usize,
) -> &'h [T] {
    let window = history_of.get(row).map_or(0, |&window| window as usize);
    &histories[window * length..(window + 1) * length]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_numbers_all_rows_see_the_first_window() {
        let histories = [1, 2, 3, 4, 5, 6];
        assert_eq!(window_of(&histories, &[], 2, 9), [1, 2]);
        assert_eq!(window_of(&histories, &[2, 0], 2, 0), [5, 6]);
    }
}
