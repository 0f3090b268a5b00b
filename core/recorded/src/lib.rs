//! Recorded data as plain rows: tracks, positions, throughput and tasks.
//!
//! Each reader is a function from a file to rows:
//!
//! | rows | reader | formats |
//! |---|---|---|
//! | [`TrackRow`]: a device's position at a time | [`tracks`] | CSV, Parquet, SUMO's floating car data (XML) |
//! | [`PositionRow`]: where a device or station stands | [`positions`] | CSV, Parquet |
//! | [`RateRow`]: the throughput of a link from a time on | [`rates`] | CSV, Parquet, two columns without a header |
//! | [`TaskRow`]: a task that arrived at a device | [`tasks`] | CSV, Parquet |
//!
//! Texts are UTF-8, with or without a byte order mark, with any line ends; CSV has a header, in any order
//! and with any other columns, and commas, semicolons or tabs between cells, which may be quoted. Texts are
//! unpacked if the name ends in `.gz`. Numbers have a decimal point, and are finite.
//!
//! [`Columns`] names the columns of a file that has other names or units. A file is read whole or not at
//! all: a [`FileFault`] states the file, the line or row, the column, what was found and what was expected.
//! Besides the rows, memory is bounded, whatever the size of the file.
//!
//! Whether slots, devices and servers exist in a simulation is for those to check who know it.
//!
//! ```
//! use offramp_recorded::{Columns, TrackRow, tracks};
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("walk.csv");
//! std::fs::write(&path, "timestamp,id,x_m,y_m\n2026-05-04 12:00:00,anna,0,5\n2026-05-04 12:00:02,anna,2.5,5\n")?;
//!
//! let columns = Columns::default().named("time_s", "timestamp").named("device", "id");
//! let rows = tracks(&path, &columns)?;
//! assert_eq!(rows[1], TrackRow { time_s: 2.0, device: 0, x_m: 2.5, y_m: 5.0 });
//!
//! std::fs::write(&path, "time_s,device,x_m,y_m\n0,0,1,2\n1,0,far,2\n")?;
//! let fault = tracks(&path, &Columns::default()).unwrap_err().to_string();
//! assert!(fault.ends_with("walk.csv, line 3, column `x_m`: found `far`; expected a finite number"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod columns;
mod devices;
mod fault;
mod positions;
mod rates;
mod table;
mod tasks;
mod text;
mod time;
mod tracks;
mod when;

pub use columns::Columns;
pub use devices::Devices;
pub use fault::{FileFault, Place};
pub use positions::{PositionRow, Positions, Projection, positions};
pub use rates::{RateRow, rates, rates_of};
pub use tasks::{TaskRow, tasks, tasks_of};
pub use tracks::{TrackRow, tracks, tracks_of};
pub use when::When;
