//! Tracks: where devices were, and when.

mod fcd;

use std::path::Path;

use crate::columns::Columns;
use crate::devices::{Devices, Last};
use crate::fault::FileFault;
use crate::table::{ANY, Kind, Table};
use crate::text;
use crate::time::Clock;

/// A device's position at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrackRow {
    /// The time, seconds, 0 or more.
    pub time_s: f64,
    /// The device, numbered as [`Devices`] states.
    pub device: u32,
    /// Metres to the east of the origin.
    pub x_m: f64,
    /// Metres to the north of the origin.
    pub y_m: f64,
}

const TRACKS: Kind = Kind {
    rows: "tracks",
    measured: &["time_s", "x_m", "y_m"],
    counted: &["device"],
    texts: &[],
    endings: "`.csv`, `.tsv`, `.txt` or `.xml`, each also with `.gz`, or `.parquet`",
    expected: "the columns time_s, device, x_m and y_m, and a row for each device and time",
};

/// Reads tracks: CSV, Parquet, or SUMO's floating car data, by the ending of the file's name (`.csv`,
/// `.tsv`, `.txt` or `.xml`, each also with `.gz`, or `.parquet`).
///
/// | column | unit | cells |
/// |---|---|---|
/// | `time_s` | s | a number, 0 or more, or timestamps, which count from the first row |
/// | `device` | | a whole number or a name: see [`Devices`] |
/// | `x_m`, `y_m` | m | numbers |
///
/// Rows are those of the file, in its order; neither their times nor their devices need be sorted.
///
/// The XML file is what SUMO writes with `--fcd-output`: `<fcd-export>`, in it `<timestep time="0.00">`, in
/// it `<vehicle id="…" x="…" y="…"/>` and `<person …/>`. Devices are numbered in the order in which they first
/// appear, even if all their ids are numbers, and persons are not vehicles of the same id: with
/// [`Devices`], their names are `person/ID`. Coordinates are metres; `--fcd-output.geo` writes degrees,
/// which this can't tell from metres. `columns` may name other attributes (by default `time`, `id`, `x`
/// and `y`), and have factors, but no constants. The CSV and Parquet files that SUMO writes instead are tables
/// with the columns `timestep_time`, `vehicle_id`, `vehicle_x` and `vehicle_y`, to be named in `columns`; a person
/// there is the vehicle of the same id.
///
/// # Errors
/// [`FileFault`].
pub fn tracks(path: &Path, columns: &Columns) -> Result<Vec<TrackRow>, FileFault> {
    tracks_of(path, columns, &mut Devices::default())
}

/// Reads [`tracks`] of devices that other files may name, too.
///
/// # Errors
/// [`FileFault`]; `devices` has not changed then.
pub fn tracks_of(
    path: &Path,
    columns: &Columns,
    devices: &mut Devices,
) -> Result<Vec<TrackRow>, FileFault> {
    let mut known = devices.clone();
    let rows = if text::name(path).ends_with(".xml") {
        TRACKS.check(path, columns)?;
        fcd::read(path, columns, &mut known)?
    } else {
        table(path, columns, &mut known)?
    };
    devices.keep(known);
    Ok(rows)
}

fn table(
    path: &Path,
    columns: &Columns,
    devices: &mut Devices,
) -> Result<Vec<TrackRow>, FileFault> {
    let mut table = Table::open(path, columns, TRACKS)?;
    let (time, device) = (table.need("time_s")?, table.need("device")?);
    let (x, y) = (table.need("x_m")?, table.need("y_m")?);
    let (mut clock, mut last, mut rows) = (Clock::default(), Last::default(), Vec::new());
    while table.advance()? {
        let earlier = rows.iter_mut().map(|row: &mut TrackRow| &mut row.device);
        let row = TrackRow {
            device: devices.number(&table, &device, earlier, &mut last)?,
            time_s: clock.seconds(&table, &time)?,
            x_m: table.number(&x, ANY)?,
            y_m: table.number(&y, ANY)?,
        };
        rows.push(row);
    }
    Ok(rows)
}
