//! Words: numbers and counts as texts show them.

/// A number with so many digits after the point; never a zero below zero.
pub fn rounded(number: f64, digits: usize) -> String {
    let text = format!("{number:.digits$}");
    let zero = text.bytes().all(|byte| matches!(byte, b'-' | b'0' | b'.'));
    text.strip_prefix('-').filter(|_| zero).map_or(text.clone(), str::to_owned)
}

/// A difference with its sign and so many digits after the point; a zero is above zero.
pub fn signed(number: f64, digits: usize) -> String {
    let text = rounded(number, digits);
    if text.starts_with('-') || number.is_nan() { text } else { format!("+{text}") }
}

/// A count with its noun, in the plural unless it is one: `1 episode`, `2 episodes`.
pub fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_zero_is_below_zero() {
        for (number, plain, sign) in [
            (-0.0004, "0.000", "+0.000"),
            (-0.0, "0.000", "+0.000"),
            (-0.0006, "-0.001", "-0.001"),
            (1.5, "1.500", "+1.500"),
        ] {
            assert_eq!(
                (rounded(number, 3), signed(number, 3)),
                (plain.to_owned(), sign.to_owned())
            );
        }
        assert_eq!((rounded(-0.2, 0), signed(-0.2, 0)), ("0".to_owned(), "+0".to_owned()));
    }

    #[test]
    fn one_is_in_the_singular() {
        let episodes = [0, 1, 2].map(|count| counted(count, "episode"));
        assert_eq!(episodes, ["0 episodes", "1 episode", "2 episodes"]);
    }
}
