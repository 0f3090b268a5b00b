//! Tasks: what arrived at which device, and when.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use crate::columns::Columns;
use crate::devices::{Devices, Last};
use crate::fault::FileFault;
use crate::table::{Cell, Column, ENDINGS, Expected, Kind, Table};
use crate::when::{Timing, When};

/// A task.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskRow {
    /// The slot or time of its arrival.
    pub when: When,
    /// The device, numbered as [`Devices`] states.
    pub device: u32,
    /// λ: size, Mbit, above 0.
    pub size_mbit: f64,
    /// ρ: density, Gcycles/Mbit, above 0.
    pub density: f64,
    /// Deadline, slots, 1 or more; `None` if the file states none.
    pub deadline_slots: Option<u32>,
    /// α: weight of delay against energy, 0 to 1; `None` if the file states none.
    pub alpha: Option<f64>,
    /// The name of its class, which all tasks of the class share; `None` if the file states none.
    pub class: Option<Arc<str>>,
}

const TASKS: Kind = Kind {
    rows: "tasks",
    measured: &["time_s", "size_mbit", "density", "alpha"],
    counted: &["slot", "device", "deadline_slots"],
    texts: &["class"],
    endings: ENDINGS,
    expected: "the columns slot or time_s, device, size_mbit and density, and a row for each task",
};

const SIZE: Expected =
    Expected { description: "a size above 0 (Mbit)", accepts: |size| size > 0.0 };
const DENSITY: Expected =
    Expected { description: "a density above 0 (Gcycles/Mbit)", accepts: |density| density > 0.0 };
const DEADLINE: Expected = Expected {
    description: "a whole number, 1 to 4294967295 (slots), or an empty cell",
    accepts: |deadline| deadline >= 1.0,
};
const ALPHA: Expected = Expected {
    description: "a number, 0 to 1, or an empty cell",
    accepts: |alpha| (0.0..=1.0).contains(&alpha),
};

/// Reads tasks: CSV or Parquet, by the ending of the file's name (`.csv`, `.tsv` or `.txt`, each also
/// with `.gz`, or `.parquet`).
///
/// | column | unit | cells |
/// |---|---|---|
/// | `slot`, or `time_s` | slot, s | a whole number; a number, 0 or more, or timestamps, which count from the first row |
/// | `device` | | a whole number or a name: see [`Devices`] |
/// | `size_mbit` | Mbit | a number above 0 |
/// | `density` | Gcycles/Mbit | a number above 0 |
/// | `deadline_slots`, if there is one | slots | a whole number, 1 or more, or empty |
/// | `alpha`, if there is one | | a number, 0 to 1, or empty |
/// | `class`, if there is one | | a text, or empty |
///
/// Rows are those of the file, in its order. If it has both `slot` and `time_s`, the slot counts, unless
/// `columns` mentions `time_s` alone.
///
/// # Errors
/// [`FileFault`].
pub fn tasks(path: &Path, columns: &Columns) -> Result<Vec<TaskRow>, FileFault> {
    tasks_of(path, columns, &mut Devices::default())
}

/// Reads [`tasks`] of devices that other files may name, too.
///
/// # Errors
/// [`FileFault`]; `devices` has not changed then.
pub fn tasks_of(
    path: &Path,
    columns: &Columns,
    devices: &mut Devices,
) -> Result<Vec<TaskRow>, FileFault> {
    let mut table = Table::open(path, columns, TASKS)?;
    let mut timing = Timing::new(&mut table)?;
    let device = table.need("device")?;
    let (size, density) = (table.need("size_mbit")?, table.need("density")?);
    let (deadline, alpha) = (table.column("deadline_slots")?, table.column("alpha")?);
    let class = table.column("class")?;
    let (mut known, mut last, mut rows) = (devices.clone(), Last::default(), Vec::new());
    let mut classes = BTreeSet::new();
    while table.advance()? {
        let earlier = rows.iter_mut().map(|row: &mut TaskRow| &mut row.device);
        let row = TaskRow {
            when: timing.when(&table)?,
            device: known.number(&table, &device, earlier, &mut last)?,
            size_mbit: table.number(&size, SIZE)?,
            density: table.number(&density, DENSITY)?,
            deadline_slots: stated(&table, &deadline)?
                .map(|column| table.whole(column, DEADLINE))
                .transpose()?,
            alpha: stated(&table, &alpha)?.map(|column| table.number(column, ALPHA)).transpose()?,
            class: stated(&table, &class)?
                .map(|column| shared(&table, column, &mut classes))
                .transpose()?,
        };
        rows.push(row);
    }
    devices.keep(known);
    Ok(rows)
}

/// A column in which the row has a cell.
fn stated<'c>(table: &Table, column: &'c Option<Column>) -> Result<Option<&'c Column>, FileFault> {
    match column {
        Some(column) if !table.is_empty(column)? => Ok(Some(column)),
        _ => Ok(None),
    }
}

/// The class of the row, one text for all its rows.
fn shared(
    table: &Table,
    column: &Column,
    classes: &mut BTreeSet<Arc<str>>,
) -> Result<Arc<str>, FileFault> {
    let number;
    let name = match table.cell(column)? {
        Cell::Text(text) => text,
        Cell::Whole(whole) => {
            number = whole.to_string();
            &number
        }
        _ => return Err(table.fault(column, "the name of a class, or an empty cell")),
    };
    if let Some(class) = classes.get(name) {
        return Ok(class.clone());
    }
    let class: Arc<str> = name.into();
    classes.insert(class.clone());
    Ok(class)
}
