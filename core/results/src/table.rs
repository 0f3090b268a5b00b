//! CSV tables whose columns are found by their names: an added or reordered column does not
//! break reading, and a missing one is named.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use csv::{Position, Reader, StringRecord};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;

/// The columns of a row, in order: the fields of the structure.
pub(crate) fn columns<R: Default + Serialize>() -> Vec<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Memory can always be written, and every structure here is flat.
    let header = writer.serialize(R::default()).ok().and_then(|()| writer.into_inner().ok());
    let mut reader = Reader::from_reader(header.as_deref().unwrap_or_default());
    reader.headers().map(|names| names.iter().map(str::to_owned).collect()).unwrap_or_default()
}

/// Reads a table whose rows have the columns of an `R`, in any order and with any others.
pub(crate) fn rows<R>(path: &Path) -> Result<Vec<R>, Error>
where
    R: Default + Serialize + DeserializeOwned,
{
    let mut table = Table::open(path, &columns::<R>())?;
    let mut rows = Vec::new();
    while let Some(row) = table.next()? {
        rows.push(row.read()?);
    }
    Ok(rows)
}

/// A table that is read row by row.
#[derive(Debug)]
pub(crate) struct Table {
    path: PathBuf,
    header: StringRecord,
    row: StringRecord,
    /// Where the next row begins.
    position: Position,
    /// `None` while paused.
    reader: Option<Reader<File>>,
}

/// A row of a [`Table`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'t> {
    table: &'t Table,
}

impl Table {
    /// Opens a table that has at least `columns`.
    pub(crate) fn open(path: &Path, columns: &[String]) -> Result<Self, Error> {
        let path = path.to_owned();
        let (header, row) = (StringRecord::new(), StringRecord::new());
        let mut table = Self { path, header, row, position: Position::new(), reader: None };
        if !ends_a_line(&table.path) {
            return Err(table.fault("it was cut off: its last line does not end".to_owned()));
        }
        let reader = table.resume()?;
        let header = reader.headers().cloned();
        table.header = header.map_err(|error| table.malformed(&error))?;
        let has = |column: &&String| table.header.iter().any(|name| name == *column);
        match columns.iter().find(|column| !has(column)) {
            Some(missing) => Err(table.fault(format!("it has no column `{missing}`"))),
            None => Ok(table),
        }
    }

    /// The place of a column; past the end if there is none.
    pub(crate) fn place(&self, column: &str) -> usize {
        self.header.iter().position(|name| name == column).unwrap_or(usize::MAX)
    }

    /// The next row, if there is one.
    pub(crate) fn next(&mut self) -> Result<Option<Row<'_>>, Error> {
        let mut row = std::mem::take(&mut self.row);
        let read = self.resume()?.read_record(&mut row);
        self.row = row;
        match read {
            Ok(true) => Ok(Some(Row { table: self })),
            Ok(false) => Ok(None),
            Err(error) => Err(self.malformed(&error)),
        }
    }

    /// Closes the file until the next row is asked for.
    pub(crate) fn pause(&mut self) {
        if let Some(reader) = self.reader.take() {
            self.position = reader.position().clone();
        }
    }

    fn resume(&mut self) -> Result<&mut Reader<File>, Error> {
        let reader = match self.reader.take() {
            Some(reader) => reader,
            None => {
                let opened = Reader::from_path(&self.path).and_then(|mut reader| {
                    if self.position.byte() > 0 {
                        reader.seek(self.position.clone())?;
                    }
                    Ok(reader)
                });
                opened.map_err(|error| self.malformed(&error))?
            }
        };
        Ok(self.reader.insert(reader))
    }

    fn malformed(&self, error: &csv::Error) -> Error {
        self.fault(error.to_string())
    }

    /// An error of this table.
    pub(crate) fn fault(&self, cause: String) -> Error {
        Error::Unreadable { path: self.path.clone(), cause }
    }
}

/// True if the last byte of a file is a line break; also if it can't be read, which has errors of
/// its own.
fn ends_a_line(path: &Path) -> bool {
    let last = || -> std::io::Result<u8> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::End(-1))?;
        let mut byte = [0];
        file.read_exact(&mut byte)?;
        Ok(byte[0])
    };
    last().map_or(true, |byte| byte == b'\n')
}

impl<'t> Row<'t> {
    /// The cell at a [`Table::place`].
    pub(crate) fn cell(self, place: usize) -> &'t str {
        self.table.row.get(place).unwrap_or_default()
    }

    /// The columns of an `R`.
    pub(crate) fn read<R: DeserializeOwned>(self) -> Result<R, Error> {
        let Table { row, header, .. } = self.table;
        row.deserialize(Some(header)).map_err(|error| self.table.malformed(&error))
    }
}
