//! Rates: the throughput of devices' links over time.

use std::path::Path;

use crate::columns::Columns;
use crate::devices::{Devices, Last};
use crate::fault::FileFault;
use crate::table::{self, ENDINGS, Expected, Kind, Table, WHOLE};
use crate::text::Lines;
use crate::time;
use crate::when::{Timing, When};

/// The rate of a link from a time on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateRow {
    /// The slot or time.
    pub when: When,
    /// The device, numbered as [`Devices`] states; `None` if the file is of one device.
    pub device: Option<u32>,
    /// The server, as the file numbers it; `None` if the rate is one to all servers.
    pub server: Option<u32>,
    /// Mbit/s, 0 or more.
    pub mbps: f64,
}

const RATES: Kind = Kind {
    rows: "rates",
    measured: &["time_s", "mbps", "kbps", "bps"],
    counted: &["slot", "device", "server"],
    texts: &[],
    endings: ENDINGS,
    expected: "times and rates: two columns, or a header with time_s or slot and mbps, and rows",
};

const RATE: Expected = Expected { description: "a rate, 0 or more", accepts: |rate| rate >= 0.0 };

/// Reads rates: Parquet if the file's name ends in `.parquet`, else a text, unpacked if it ends in `.gz`.
///
/// | column | unit | cells |
/// |---|---|---|
/// | `slot`, or `time_s` | slot, s | a whole number; a number, 0 or more, or timestamps, which count from the first row |
/// | `mbps`, or `kbps`, or `bps` | Mbit/s, kbit/s, bit/s | a number, 0 or more |
/// | `device`, if there is one | | a whole number or a name: see [`Devices`] |
/// | `server`, if there is one | | a whole number |
///
/// The unit of a rate is its name: where a file has bits per second under another name, name it as `bps`. A
/// text whose first line has only numbers or timestamps has no header but two columns, times (seconds) and
/// rates (Mbit/s, unless `columns` has a factor), separated by a comma, a tab, a semicolon or blanks.
///
/// # Errors
/// [`FileFault`].
pub fn rates(path: &Path, columns: &Columns) -> Result<Vec<RateRow>, FileFault> {
    rates_of(path, columns, &mut Devices::default())
}

/// Reads [`rates`] of devices that other files may name, too.
///
/// # Errors
/// [`FileFault`]; `devices` has not changed then.
pub fn rates_of(
    path: &Path,
    columns: &Columns,
    devices: &mut Devices,
) -> Result<Vec<RateRow>, FileFault> {
    let mut table = open(path, columns)?;
    let (unit, rate) = table.one_of(["mbps", "kbps", "bps"])?;
    let in_mbps = match unit {
        "mbps" => 1.0,
        "kbps" => 1e-3,
        _ => 1e-6,
    };
    let mut timing = Timing::new(&mut table)?;
    let (device, server) = (table.column("device")?, table.column("server")?);
    let (mut known, mut last, mut rows) = (devices.clone(), Last::default(), Vec::new());
    while table.advance()? {
        let device = match &device {
            None => None,
            Some(column) => {
                let earlier = rows.iter_mut().filter_map(|row: &mut RateRow| row.device.as_mut());
                Some(known.number(&table, column, earlier, &mut last)?)
            }
        };
        let server = server.as_ref().map(|column| table.whole(column, WHOLE)).transpose()?;
        let mbps = table.number(&rate, RATE)? * in_mbps;
        rows.push(RateRow { when: timing.when(&table)?, device, server, mbps });
    }
    devices.keep(known);
    Ok(rows)
}

fn open(path: &Path, columns: &Columns) -> Result<Table, FileFault> {
    if table::is_parquet(path) {
        return Table::open(path, columns, RATES);
    }
    match Lines::open(path, time::is_time)? {
        Some(lines) => Table::bare(path, lines, columns, RATES, ["time_s", "mbps"]),
        None => Table::csv(path, columns, RATES),
    }
}
