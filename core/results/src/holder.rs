//! The holder of a lock, as the locked file and messages state it.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// The process that has locked a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// The name of its machine; empty if that is not known.
    pub host: String,
    /// The time at which it locked the folder: `2026-01-31 23:59:59`, UTC.
    pub since: String,
}

impl Holder {
    /// This process, now.
    pub(crate) fn this() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { pid: std::process::id(), host: host(), since: utc(now.as_secs()) }
    }

    /// The text of the file that is locked.
    pub(crate) fn text(&self) -> String {
        let Self { pid, host, since } = self;
        format!("process: {pid}\nhost: {host}\nsince: {since} UTC\n")
    }

    /// Reads what [`Holder::text`] returns; `None` if it is not all there.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut lines = text.split_inclusive('\n');
        let mut value = |key| lines.next()?.strip_prefix(key)?.strip_suffix('\n');
        let pid = value("process: ")?.parse().ok()?;
        let host = value("host: ")?.to_owned();
        let since = value("since: ")?.strip_suffix(" UTC")?.to_owned();
        Some(Self { pid, host, since })
    }
}

/// `process 12 since 2026-01-31 23:59:59 (UTC)`, with its machine if that is another one.
impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, host: its_host, since } = self;
        if its_host.is_empty() || *its_host == host() {
            write!(f, "process {pid} since {since} (UTC)")
        } else {
            write!(f, "process {pid} on {its_host} since {since} (UTC)")
        }
    }
}

/// The name of this machine, where Linux shows it; else empty.
fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

/// `2026-01-31 23:59:59` of a number of seconds since 1970.
fn utc(seconds: u64) -> String {
    let (mut day, of_day) = (seconds / 86_400, seconds % 86_400);
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    while day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let mut month = 1;
    for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < days {
            break;
        }
        day -= days;
        month += 1;
    }
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year}-{month:02}-{:02} {hour:02}:{minute:02}:{second:02}", day + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(utc(0), "1970-01-01 00:00:00");
        assert_eq!(utc(951_827_696), "2000-02-29 12:34:56");
        assert_eq!(utc(1_798_761_599), "2026-12-31 23:59:59");
        assert_eq!(utc(4_107_542_400), "2100-03-01 00:00:00");
    }

    #[test]
    fn a_holder_on_another_machine_is_named_with_it() {
        let text = "process: 12\nhost: elsewhere\nsince: 2026-01-31 23:59:59 UTC\n";
        let holder = Holder::parse(text).unwrap();
        let shown = "process 12 on elsewhere since 2026-01-31 23:59:59 (UTC)";
        assert_eq!(holder.to_string(), shown);
        for half in 0..text.len() {
            assert_eq!(Holder::parse(&text[..half]), None);
        }
    }
}
