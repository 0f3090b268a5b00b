//! Times of rows that are slots in some files and seconds in others.

use crate::fault::FileFault;
use crate::table::{Column, Table, WHOLE};
use crate::time::Clock;

/// The time of a row: as the file has it, since only the simulation knows how long a slot is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum When {
    /// A slot, counted from 0.
    Slot(u32),
    /// Seconds, 0 or more.
    Seconds(f64),
}

/// The column that has the times of a file.
pub(crate) enum Timing {
    Slots(Column),
    Seconds(Column, Clock),
}

impl Timing {
    /// `slot`, or `time_s` if there is none.
    pub(crate) fn new(table: &mut Table) -> Result<Self, FileFault> {
        let (name, column) = table.one_of(["slot", "time_s"])?;
        Ok(match name {
            "slot" => Self::Slots(column),
            _ => Self::Seconds(column, Clock::default()),
        })
    }

    /// The time of the row.
    pub(crate) fn when(&mut self, table: &Table) -> Result<When, FileFault> {
        match self {
            Self::Slots(column) => table.whole(column, WHOLE).map(When::Slot),
            Self::Seconds(column, clock) => clock.seconds(table, column).map(When::Seconds),
        }
    }
}
