//! Devices of a file: their numbers, by what it calls them.

use std::collections::HashMap;

use crate::fault::FileFault;
use crate::table::{Cell, Column, Table, WHOLE};

/// The numbers of devices, which several files may share.
///
/// A file may call its devices by numbers or by names:
///
/// - If all are whole numbers, 0 to 4294967295, they are taken as they are. So files that belong together
///   agree, and device 7 of a file is device 7 of the simulation.
/// - If any is another text, devices are numbered 0, 1, … in the order in which they first appear. Numbers
///   are names then, too.
///
/// Numbers that are negative or not whole, and empty cells, are faults.
///
/// Two files with names need not list them in the same order: read them with the same `Devices`, as
/// [`tracks_of`](crate::tracks_of) does, and a name is the same device in both. A file with names comes before
/// those with numbers, which are names then.
#[derive(Clone, Debug, Default)]
pub struct Devices {
    /// The number of each name; `None` while there are only numbers.
    names: Option<HashMap<String, u32>>,
    /// A file has been read, so that its numbers can't become names.
    is_fixed: bool,
}

/// The name of the device before, which often is the next one's too.
#[derive(Debug, Default)]
pub(crate) struct Last {
    name: String,
    device: u32,
}

const EXPECTED: &str = "a device: a whole number, 0 to 4294967295, or a name";

impl Devices {
    /// The names by number; `None` if the files had only numbers.
    pub fn names(&self) -> Option<Vec<&str>> {
        let mut names: Vec<_> = self.names.as_ref()?.iter().collect();
        names.sort_unstable_by_key(|(_, device)| **device);
        Some(names.into_iter().map(|(name, _)| name.as_str()).collect())
    }

    /// The number of a device in a row; `earlier` are those of the rows before it in the same file.
    pub(crate) fn number<'d>(
        &mut self,
        table: &Table,
        column: &Column,
        earlier: impl Iterator<Item = &'d mut u32>,
        last: &mut Last,
    ) -> Result<u32, FileFault> {
        let fault = |expected| table.fault(column, expected);
        let as_whole = || table.whole(column, WHOLE).map_err(|_| fault(EXPECTED)).map(Some);
        let (text, whole) = match table.cell(column)? {
            Cell::Text(text) => match text.parse() {
                Ok(device) => (text, Some(device)),
                Err(_) if is_name(text) => (text, None),
                Err(_) => (text, as_whole()?),
            },
            Cell::Whole(_) | Cell::Number(_) => ("", as_whole()?),
            _ => return Err(fault(EXPECTED)),
        };
        if let (Some(device), None) = (whole, &self.names) {
            return Ok(device);
        }
        if self.names.is_none() {
            if self.are_numbers() {
                return Err(fault(
                    "a whole number, 0 to 4294967295, as in the file that was read before",
                ));
            }
            let mut names = HashMap::new();
            for device in earlier {
                let next = names.len() as u32;
                *device = *names.entry(device.to_string()).or_insert(next);
            }
            self.names = Some(names);
        }
        // `07` is 7, as it was before there was a name.
        let name = whole.map(|device: u32| device.to_string());
        let name = name.as_deref().unwrap_or(text);
        if last.name != name {
            (last.name, last.device) = (name.to_owned(), self.named(name));
        }
        Ok(last.device)
    }

    /// True if a file before had only numbers, so that this one can't have names.
    pub(crate) fn are_numbers(&self) -> bool {
        self.is_fixed && self.names.is_none()
    }

    /// The number of a name, where devices are not [numbers](Self::are_numbers).
    pub(crate) fn named(&mut self, name: &str) -> u32 {
        let names = self.names.get_or_insert_default();
        match names.get(name) {
            Some(&device) => device,
            None => {
                let device = names.len() as u32;
                names.insert(name.to_owned(), device);
                device
            }
        }
    }

    /// Keeps what a file has added, once all of it is read.
    pub(crate) fn keep(&mut self, read: Self) {
        *self = Self { is_fixed: true, ..read };
    }
}

/// True if a text that is not a whole number of 32 bits is a name: not `-1`, `7.0` or `NaN`, but an
/// identifier of many digits.
fn is_name(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) || text.parse::<f64>().is_err()
}
