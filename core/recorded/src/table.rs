//! Tables: the cells of a file that are read, row by row, whatever its format.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use offramp_columns::{ReadError, Reader, Rows};

use crate::columns::Columns;
use crate::fault::{FileFault, Place, shortened};
use crate::text::{self, Csv, Lines};

/// A kind of rows: their name, and the columns that they may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) rows: &'static str,
    /// Numbers that have a unit.
    pub(crate) measured: &'static [&'static str],
    /// Whole numbers, and devices.
    pub(crate) counted: &'static [&'static str],
    pub(crate) texts: &'static [&'static str],
    /// Endings of names, for a file that has none of them.
    pub(crate) endings: &'static str,
    /// What to expect of an empty file.
    pub(crate) expected: &'static str,
}

impl Kind {
    fn names(self) -> impl Iterator<Item = &'static str> {
        [self.counted, self.measured, self.texts].into_iter().flatten().copied()
    }

    /// Refuses what `columns` can't mean.
    pub(crate) fn check(self, path: &Path, columns: &Columns) -> Result<(), FileFault> {
        let Columns { names, factors, constants } = columns;
        let named = names.keys().chain(factors.keys()).chain(constants.keys());
        for name in named {
            if !self.names().any(|known| known == name) {
                let known = self.names().map(str::to_owned).collect();
                let (path, name) = (path.into(), name.clone());
                return Err(FileFault::UnknownName { path, name, rows: self.rows, known });
            }
        }
        let unusable = |what, name: &str, value, expected| FileFault::UnusableValue {
            path: path.into(),
            what,
            name: name.to_owned(),
            value,
            expected,
        };
        for (name, &factor) in factors {
            if !self.measured.contains(&name.as_str()) {
                let expected = "none: it has no unit";
                return Err(unusable("factor", name, factor, expected));
            }
            if !(factor > 0.0 && factor.is_finite()) {
                return Err(unusable("factor", name, factor, "a finite number above 0"));
            }
        }
        for (name, &value) in constants {
            let expected = if self.texts.contains(&name.as_str()) {
                "none: it is a text"
            } else if names.contains_key(name) || factors.contains_key(name) {
                "none: the file's column has a name or a factor too"
            } else if !value.is_finite() {
                "a finite number"
            } else {
                continue;
            };
            return Err(unusable("constant", name, value, expected));
        }
        Ok(())
    }
}

/// A table that is being read.
pub(crate) struct Table {
    path: PathBuf,
    source: Source,
    kind: Kind,
    columns: Columns,
    /// The columns of the file.
    header: Vec<String>,
    /// Rows that were read.
    rows: u64,
}

enum Source {
    Csv(Csv),
    Lines(Lines),
    /// Before and after its first row: the columns are asked for in between.
    Unread(Option<Reader<BufReader<File>>>, Vec<usize>),
    Parquet(Rows<BufReader<File>>, Vec<usize>),
}

/// A column that is read.
#[derive(Debug)]
pub(crate) struct Column {
    /// Its name in the file.
    name: String,
    place: Where,
    factor: Option<f64>,
}

#[derive(Clone, Copy, Debug)]
enum Where {
    /// A place in the header of the file.
    At(usize),
    Everywhere(f64),
}

impl Column {
    pub(crate) fn has_factor(&self) -> bool {
        self.factor.is_some()
    }
}

/// A cell.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cell<'r> {
    Empty,
    /// A text, which may be that of a number.
    Text(&'r str),
    Whole(i128),
    Number(f64),
    /// Nanoseconds since the beginning of 1970.
    Instant(i128),
    Bool(bool),
}

/// What a number is expected to be.
#[derive(Clone, Copy)]
pub(crate) struct Expected {
    pub(crate) description: &'static str,
    pub(crate) accepts: fn(f64) -> bool,
}

impl Table {
    /// Opens a file of the format that its name states.
    pub(crate) fn open(path: &Path, columns: &Columns, kind: Kind) -> Result<Self, FileFault> {
        kind.check(path, columns)?;
        let name = text::name(path);
        if [".csv", ".tsv", ".txt"].iter().any(|ending| name.ends_with(ending)) {
            return Self::csv(path, columns, kind);
        }
        if is_parquet(path) {
            return Self::parquet(path, columns, kind);
        }
        Err(FileFault::UnknownFormat { path: path.into(), expected: kind.endings })
    }

    /// Opens a text with a header.
    pub(crate) fn csv(path: &Path, columns: &Columns, kind: Kind) -> Result<Self, FileFault> {
        kind.check(path, columns)?;
        let csv = Csv::open(path)?;
        let header = csv.header.clone();
        Self::new(path, Source::Csv(csv), columns, kind, header)
    }

    /// A text without a header, whose two columns are named.
    pub(crate) fn bare(
        path: &Path,
        lines: Lines,
        columns: &Columns,
        kind: Kind,
        header: [&str; 2],
    ) -> Result<Self, FileFault> {
        kind.check(path, columns)?;
        Self::new(path, Source::Lines(lines), columns, kind, header.map(str::to_owned).into())
    }

    fn parquet(path: &Path, columns: &Columns, kind: Kind) -> Result<Self, FileFault> {
        let file = File::open(path).map_err(FileFault::unreadable(path))?;
        let reader = Reader::new(BufReader::new(file));
        let reader = reader.map_err(|cause| parquet_fault(path, cause))?;
        let header = reader.fields().iter().map(|field| field.name.clone()).collect();
        Self::new(path, Source::Unread(Some(reader), Vec::new()), columns, kind, header)
    }

    fn new(
        path: &Path,
        source: Source,
        columns: &Columns,
        kind: Kind,
        header: Vec<String>,
    ) -> Result<Self, FileFault> {
        let table =
            Self { path: path.into(), source, kind, columns: columns.clone(), header, rows: 0 };
        if table.header.is_empty() {
            return Err(table.empty());
        }
        // What is named must be there, whether it is read or not.
        for name in table.columns.names.keys() {
            table.find(name)?;
        }
        Ok(table)
    }

    fn empty(&self) -> FileFault {
        FileFault::Empty { path: self.path.clone(), expected: self.kind.expected }
    }

    /// A column, if the file has it or every row has the same value.
    pub(crate) fn column(&mut self, ours: &str) -> Result<Option<Column>, FileFault> {
        let place = match self.columns.constants.get(ours) {
            Some(&value) => Some((ours.to_owned(), Where::Everywhere(value))),
            None => {
                let at = self.find(ours)?;
                at.map(|at| (self.header[at].clone(), Where::At(self.asked(at))))
            }
        };
        let factor = self.columns.factors.get(ours).copied();
        Ok(place.map(|(name, place)| Column { name, place, factor }))
    }

    /// The first of several columns that the file has, of which one is needed. One that has a name, a
    /// factor or a value comes before others.
    pub(crate) fn one_of<const N: usize>(
        &mut self,
        ours: [&'static str; N],
    ) -> Result<(&'static str, Column), FileFault> {
        let Columns { names, factors, constants } = &self.columns;
        let is_meant = |name: &&str| {
            names.contains_key(*name)
                || factors.contains_key(*name)
                || constants.contains_key(*name)
        };
        let (meant, others): (Vec<_>, Vec<_>) = ours.into_iter().partition(is_meant);
        for name in meant.into_iter().chain(others) {
            if let Some(column) = self.column(name)? {
                return Ok((name, column));
            }
        }
        Err(self.missing(&ours.map(|name| format!("`{name}`")).join(" or ")))
    }

    /// A column that is needed.
    pub(crate) fn need(&mut self, ours: &'static str) -> Result<Column, FileFault> {
        self.one_of([ours]).map(|(_, column)| column)
    }

    fn missing(&self, wanted: &str) -> FileFault {
        let (path, found) = (self.path.clone(), self.header.clone());
        FileFault::MissingColumn { path, wanted: wanted.to_owned(), found }
    }

    /// The place of a column in the file.
    fn find(&self, ours: &str) -> Result<Option<usize>, FileFault> {
        let named = self.columns.names.get(ours);
        let name = named.map_or(ours, String::as_str);
        let places = |is_it: &dyn Fn(&str) -> bool| -> Vec<usize> {
            let columns = self.header.iter().enumerate();
            columns.filter(|(_, column)| is_it(column)).map(|(at, _)| at).collect()
        };
        let mut found = places(&|column| column == name);
        if found.is_empty() {
            found = places(&|column| column.to_lowercase() == name.to_lowercase());
        }
        match (&found[..], named) {
            ([], Some(_)) => Err(self.missing(&format!("{}, named for `{ours}`", shortened(name)))),
            ([], None) => Ok(None),
            ([at], _) => Ok(Some(*at)),
            ([at, ..], _) => {
                let (path, column) = (self.path.clone(), self.header[*at].clone());
                Err(FileFault::RepeatedColumn { path, column })
            }
        }
    }

    /// The place among the cells of a row, for a column of the file.
    fn asked(&mut self, at: usize) -> usize {
        match &mut self.source {
            Source::Csv(_) | Source::Lines(_) => at,
            Source::Unread(_, asked) | Source::Parquet(_, asked) => {
                asked.iter().position(|&other| other == at).unwrap_or_else(|| {
                    asked.push(at);
                    asked.len() - 1
                })
            }
        }
    }

    /// Reads the next row; false if there is none.
    ///
    /// # Errors
    /// Also if there is no row at all.
    pub(crate) fn advance(&mut self) -> Result<bool, FileFault> {
        if let Source::Unread(reader, asked) = &mut self.source
            && let Some(reader) = reader.take()
        {
            let rows = reader.rows(asked).map_err(|cause| parquet_fault(&self.path, cause))?;
            self.source = Source::Parquet(rows, std::mem::take(asked));
        }
        let has_row = match &mut self.source {
            Source::Csv(csv) => csv.advance(&self.path)?,
            Source::Lines(lines) => lines.advance(&self.path)?,
            Source::Unread(..) => false,
            Source::Parquet(rows, _) => {
                rows.advance().map_err(|cause| parquet_fault(&self.path, cause))?
            }
        };
        self.rows += u64::from(has_row);
        if self.rows == 0 { Err(self.empty()) } else { Ok(has_row) }
    }

    /// The cell of the row.
    pub(crate) fn cell(&self, column: &Column) -> Result<Cell<'_>, FileFault> {
        let at = match column.place {
            Where::At(at) => at,
            Where::Everywhere(value) => return Ok(Cell::Number(value)),
        };
        Ok(match &self.source {
            Source::Csv(csv) => {
                let bytes = csv.record.get(at).unwrap_or_default().trim_ascii();
                let text = std::str::from_utf8(bytes).map_err(|_| {
                    let found = shortened(&String::from_utf8_lossy(bytes));
                    self.fault_of(column, found, "UTF-8; save the file in this encoding")
                })?;
                if text.is_empty() { Cell::Empty } else { Cell::Text(text) }
            }
            Source::Lines(lines) => {
                let text = lines.cells().nth(at).unwrap_or_default();
                if text.is_empty() { Cell::Empty } else { Cell::Text(text) }
            }
            Source::Unread(..) => Cell::Empty,
            Source::Parquet(rows, _) => {
                use offramp_columns::Cell as Stored;
                match rows.cell(at).map_err(|cause| parquet_fault(&self.path, cause))? {
                    Stored::Text(text) => match text.trim() {
                        "" => Cell::Empty,
                        text => Cell::Text(text),
                    },
                    Stored::Whole(whole) => Cell::Whole(whole.into()),
                    Stored::Seed(whole) => Cell::Whole(whole.into()),
                    Stored::Number(number) => Cell::Number(number),
                    Stored::Instant(instant) => Cell::Instant(instant),
                    Stored::Bool(value) => Cell::Bool(value),
                    _ => Cell::Empty,
                }
            }
        })
    }

    /// A number, in our unit.
    pub(crate) fn number(&self, column: &Column, expected: Expected) -> Result<f64, FileFault> {
        let number = match self.cell(column)? {
            Cell::Text(text) => text.parse::<f64>().ok(),
            Cell::Whole(whole) => Some(whole as f64),
            Cell::Number(number) => Some(number),
            Cell::Empty | Cell::Instant(_) | Cell::Bool(_) => None,
        };
        let number = number.map(|number| column.factor.map_or(number, |factor| number * factor));
        let number = number.filter(|&number| number.is_finite() && (expected.accepts)(number));
        number.ok_or_else(|| self.fault(column, expected.description))
    }

    /// A whole number.
    pub(crate) fn whole(&self, column: &Column, expected: Expected) -> Result<u32, FileFault> {
        let whole = match self.cell(column)? {
            Cell::Text(text) => text.parse().ok().or_else(|| whole(text.parse().ok()?)),
            Cell::Whole(value) => u32::try_from(value).ok(),
            Cell::Number(number) => whole(number),
            Cell::Empty | Cell::Instant(_) | Cell::Bool(_) => None,
        };
        let whole = whole.filter(|&value| (expected.accepts)(value.into()));
        whole.ok_or_else(|| self.fault(column, expected.description))
    }

    /// True if the cell is empty.
    pub(crate) fn is_empty(&self, column: &Column) -> Result<bool, FileFault> {
        Ok(matches!(self.cell(column)?, Cell::Empty))
    }

    /// A fault of a cell of the row.
    pub(crate) fn fault(&self, column: &Column, expected: &str) -> FileFault {
        let mut hint = "";
        let found = match self.cell(column) {
            Ok(Cell::Text(text)) => {
                if text.replace(',', ".").parse::<f64>().is_ok() && text.contains(',') {
                    hint = ", with a decimal point";
                }
                shortened(text)
            }
            Ok(Cell::Empty) => "an empty cell".to_owned(),
            Ok(Cell::Whole(whole)) => format!("`{whole}`"),
            Ok(Cell::Number(number)) => format!("`{number}`"),
            Ok(Cell::Bool(value)) => format!("`{value}`"),
            Ok(Cell::Instant(_)) => "a timestamp".to_owned(),
            Err(fault) => return fault,
        };
        let scaled = column.factor.map_or(String::new(), |factor| format!(" · {factor}"));
        self.fault_of(column, found + &scaled, &format!("{expected}{hint}"))
    }

    fn fault_of(&self, column: &Column, found: String, expected: &str) -> FileFault {
        let (path, column) = (self.path.clone(), column.name.clone());
        FileFault::Cell { path, place: self.place(), column, found, expected: expected.to_owned() }
    }

    fn place(&self) -> Place {
        match &self.source {
            Source::Csv(csv) => csv.place(&self.path),
            Source::Lines(lines) => lines.place(),
            Source::Unread(..) | Source::Parquet(..) => Place::Row(self.rows),
        }
    }
}

/// Endings of names of tables.
pub(crate) const ENDINGS: &str = "`.csv`, `.tsv` or `.txt`, each also with `.gz`, or `.parquet`";

pub(crate) const ANY: Expected = Expected { description: "a finite number", accepts: |_| true };
pub(crate) const WHOLE: Expected =
    Expected { description: "a whole number, 0 to 4294967295", accepts: |_| true };

/// True if the file's name is that of a Parquet file.
pub(crate) fn is_parquet(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    ["parquet", "pq"].iter().any(|parquet| extension.eq_ignore_ascii_case(parquet))
}

/// A number that is whole, such as one that pandas wrote as `7.0`.
fn whole(number: f64) -> Option<u32> {
    let is_whole = number.fract() == 0.0 && (0.0..=u32::MAX.into()).contains(&number);
    is_whole.then_some(number as u32)
}

fn parquet_fault(path: &Path, cause: ReadError) -> FileFault {
    match cause {
        ReadError::Unreadable(cause) => FileFault::Unreadable { path: path.into(), cause },
        cause => FileFault::Parquet { path: path.into(), cause },
    }
}
