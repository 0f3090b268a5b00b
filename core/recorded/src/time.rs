//! Times: seconds, or timestamps that count from the first row of a file.

use crate::fault::FileFault;
use crate::table::{Cell, Column, Expected, Table};

/// Reads the times of a file, which are all of the kind of the first.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    kind: Option<Kind>,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Seconds,
    /// Timestamps, and the first one: nanoseconds.
    Since(i128),
}

const SECONDS: Expected = Expected {
    description: "a time: seconds, 0 or more, as all times of the file are",
    accepts: |value| value >= 0.0,
};
const TIMESTAMP: &str = "a time such as `2023-11-16 18:17:03.98` or `2023-11-16T18:17:03Z`, as all times of the file are";
const EITHER: &str = "a time: seconds, 0 or more, or a timestamp such as `2023-11-16 18:17:03.98` or `2023-11-16T18:17:03Z`";

impl Clock {
    /// The time of the row, seconds.
    pub(crate) fn seconds(&mut self, table: &Table, column: &Column) -> Result<f64, FileFault> {
        let cell = table.cell(column)?;
        let instant = match (cell, self.kind) {
            (_, Some(Kind::Seconds)) => return table.number(column, SECONDS),
            (Cell::Instant(instant), _) => Some(instant),
            (Cell::Text(text), _) => timestamp(text),
            _ => None,
        };
        let fault = |expected: &str| table.fault(column, expected);
        let Some(instant) = instant else {
            return match self.kind {
                None => {
                    let seconds = table.number(column, SECONDS).map_err(|_| fault(EITHER))?;
                    self.kind = Some(Kind::Seconds);
                    Ok(seconds)
                }
                Some(_) => Err(fault(TIMESTAMP)),
            };
        };
        let first = match self.kind {
            Some(Kind::Since(first)) => first,
            _ if column.has_factor() => {
                return Err(fault("a number, since its column has a factor"));
            }
            _ => {
                self.kind = Some(Kind::Since(instant));
                instant
            }
        };
        if instant < first {
            return Err(fault("no time before that of the first row; sort the file by time"));
        }
        // Whole seconds and the rest: exact, and the nearest number is the same however far the first is.
        let (second, nanoseconds) =
            ((instant - first) / 1_000_000_000, (instant - first) % 1_000_000_000);
        Ok(second as f64 + nanoseconds as f64 / 1e9)
    }
}

/// True if the text is a number or a timestamp.
pub(crate) fn is_time(text: &str) -> bool {
    text.parse::<f64>().is_ok() || timestamp(text).is_some()
}

/// Nanoseconds since the beginning of 1970 of a date and time as in ISO 8601, with `T` or a blank between,
/// any number of decimals, and `Z`, an offset such as `+02:00`, or nothing behind it.
pub(crate) fn timestamp(text: &str) -> Option<i128> {
    let (date, rest) = text.trim().split_once(['T', 't', ' '])?;
    let mut date = date.splitn(3, '-');
    let (year, month, day) = (date.next()?, date.next()?, date.next()?);
    let (year, month, day) = (digits(year, 4)?, digits(month, 2)?, digits(day, 2)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        _ => return None,
    };
    if !(1..=longest).contains(&day) {
        return None;
    }
    let (time, offset) = match rest.find(['Z', 'z', '+', '-']) {
        None => (rest, 0),
        Some(at) => (&rest[..at], offset(&rest[at..])?),
    };
    let mut time = time.trim_end().splitn(3, ':');
    let (hour, minute) = (digits(time.next()?, 2)?, digits(time.next()?, 2)?);
    let second = time.next().unwrap_or("00");
    let (second, fraction) = second.split_once('.').unwrap_or((second, ""));
    let second = digits(second, 2)?;
    let is_fraction = fraction.bytes().all(|byte| byte.is_ascii_digit());
    // A leap second is the 60th.
    if hour > 23 || minute > 59 || second > 60 || !is_fraction {
        return None;
    }
    let nanoseconds = (0..9).fold(0, |value, at| {
        let digit = fraction.as_bytes().get(at).map_or(0, |digit| digit - b'0');
        value * 10 + i128::from(digit)
    });
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
    Some(i128::from(seconds) * 1_000_000_000 + nanoseconds)
}

/// A number of so many digits.
fn digits(text: &str, count: usize) -> Option<i64> {
    let is_number = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

/// Seconds by which a clock is ahead of UTC: `Z`, `+02:00`, `+0200` or `+02`.
fn offset(text: &str) -> Option<i64> {
    let (sign, rest) = (text.chars().next()?, text.get(1..)?);
    let sign = match sign {
        '+' => 1,
        '-' => -1,
        _ => return rest.is_empty().then_some(0),
    };
    let digits_alone: String = rest.chars().filter(|&sign| sign != ':').collect();
    let (hours, minutes) = digits_alone.split_at_checked(2)?;
    let minutes = if minutes.is_empty() { 0 } else { digits(minutes, 2)? };
    Some(sign * (digits(hours, 2)? * 3600 + minutes * 60))
}

/// Days from the beginning of 1970 to a date (Howard Hinnant, "chrono-compatible low-level date algorithms":
/// years begin in March, so that the leap day is the last).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_nanoseconds_since_1970() {
        for (text, seconds, nanoseconds) in [
            ("1970-01-01T00:00:00Z", 0, 0),
            ("2023-11-16 18:17:03.9799600", 1_700_158_623, 979_960_000),
            ("2023-11-16T18:17:03", 1_700_158_623, 0),
            ("2023-11-16 18:17", 1_700_158_620, 0),
            ("2023-11-16T20:17:03.5+02:00", 1_700_158_623, 500_000_000),
            ("2023-11-16T13:17:03 -0500", 1_700_158_623, 0),
            ("2023-11-16 19:17:03+01", 1_700_158_623, 0),
            ("2024-02-29t00:00:00z", 1_709_164_800, 0),
            ("2000-02-29 00:00:00.123456789123", 951_782_400, 123_456_789),
            ("1969-12-31 23:59:59", -1, 0),
        ] {
            assert_eq!(timestamp(text), Some(seconds * 1_000_000_000 + nanoseconds), "{text}");
        }
    }

    #[test]
    fn other_texts_are_not_timestamps() {
        for text in [
            "",
            "12.5",
            "2023-11-16",
            "2023-02-29 00:00:00",
            "1900-02-29 00:00:00",
            "2023-13-01 00:00:00",
            "2023-00-01 00:00:00",
            "2023-01-00 00:00:00",
            "2023-1-1 00:00:00",
            "16.11.2023 18:17:03",
            "2023-11-16 24:00:00",
            "2023-11-16 18:60:00",
            "2023-11-16 18:00:61",
            "2023-11-16 18:17:03.5x",
            "2023-11-16 18:17:03,5",
            "2023-11-16T18:17:03+2",
            "2023-11-16T18:17:03Zulu",
            "2023-11-16T18:17:03 UTC",
            "2023-11-16T18",
            "ä-ö-ü T",
        ] {
            assert_eq!(timestamp(text), None, "{text}");
        }
    }
}
