//! Texts: CSV and lines of numbers, unpacked where they are packed, read piece by piece.

use std::cell::Cell;
use std::fs::File;
use std::io::{BufRead, BufReader, Chain, Cursor, Error, Read};
use std::path::Path;
use std::rc::Rc;

use csv::{ByteRecord, Reader, ReaderBuilder};
use flate2::read::MultiGzDecoder;

use crate::fault::{FileFault, Place};

/// Upper bound on a record or element, bytes: a quote that is never closed would take in the whole file.
const MAX_RECORD: u64 = 1 << 22;

/// Upper bound on what a packed file may unpack to, bytes: a few kilobytes can claim terabytes.
const MAX_UNPACKED: u64 = 1 << 32;

const BUFFER: usize = 1 << 16;

/// A text that is being read: its first line, and the rest.
pub(crate) type Input = Chain<Cursor<Vec<u8>>, BufReader<Guard>>;

/// Bytes read since the last record was complete.
pub(crate) type Since = Rc<Cell<u64>>;

/// A file that refuses to be read without end.
pub(crate) struct Guard {
    inner: Box<dyn Read>,
    since: Since,
    /// Bytes that may still be unpacked; none are counted if the file is not packed.
    left: Option<u64>,
}

impl Read for Guard {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.since.get() > MAX_RECORD {
            return Err(Error::other(
                "a record has more than 4 MiB: is there a quote or a tag that is never closed?",
            ));
        }
        let count = self.inner.read(buffer)?;
        self.since.set(self.since.get() + count as u64);
        if let Some(left) = &mut self.left {
            *left = left
                .checked_sub(count as u64)
                .ok_or_else(|| Error::other("it unpacks to more than 4 GiB; unpack it first"))?;
        }
        Ok(count)
    }
}

/// The name of a file in small letters, without `.gz`.
pub(crate) fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    name.strip_suffix(".gz").map(str::to_owned).unwrap_or(name)
}

fn is_packed(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"))
}

/// Opens a text: its first line that is not blank, what was before it included, and all of it, without a
/// byte order mark.
pub(crate) fn open(path: &Path) -> Result<(Vec<u8>, Input, Since), FileFault> {
    let unreadable = FileFault::unreadable(path);
    let file = File::open(path).map_err(&unreadable)?;
    let since = Since::default();
    let inner: Box<dyn Read> =
        if is_packed(path) { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    let left = is_packed(path).then_some(MAX_UNPACKED);
    let mut rest = BufReader::with_capacity(BUFFER, Guard { inner, since: since.clone(), left });
    let mut first = Vec::new();
    while rest.read_until(b'\n', &mut first).map_err(&unreadable)? > 0
        && first.trim_ascii().is_empty()
    {}
    if first.starts_with(&[0xff, 0xfe]) || first.starts_with(&[0xfe, 0xff]) {
        let cause = "the text is UTF-16; save it as UTF-8".to_owned();
        return Err(FileFault::Row { path: path.into(), place: Place::Line(1), cause });
    }
    if first.starts_with(b"\xef\xbb\xbf") {
        first.drain(..3);
    }
    let input = Cursor::new(first.clone()).chain(rest);
    Ok((first, input, since))
}

/// The line on which something stands, counted from 1: the first after that many bytes that is not empty.
///
/// The file is read again, since no reader counts lines as editors do; this happens once, for an error.
pub(crate) fn line_at(path: &Path, byte: u64) -> Place {
    let Ok((_, input, since)) = open(path) else { return Place::Line(1) };
    let (mut line, mut before) = (1, byte);
    for byte in input.bytes() {
        since.set(0);
        match byte {
            Ok(b'\n') => line += 1,
            Ok(byte) if before > 0 || byte == b'\r' => {}
            _ => break,
        }
        before = before.saturating_sub(1);
    }
    Place::Line(line)
}

/// A CSV file with a header.
pub(crate) struct Csv {
    reader: Reader<Input>,
    since: Since,
    /// Where the record begins, bytes.
    at: u64,
    pub(crate) header: Vec<String>,
    pub(crate) record: ByteRecord,
}

impl Csv {
    pub(crate) fn open(path: &Path) -> Result<Self, FileFault> {
        let (first, input, since) = open(path)?;
        let mut reader = ReaderBuilder::new();
        reader.has_headers(false).flexible(true).delimiter(delimiter(&first));
        let reader = reader.buffer_capacity(BUFFER).from_reader(input);
        let mut csv = Self { reader, since, at: 0, header: Vec::new(), record: ByteRecord::new() };
        csv.advance(path)?;
        let names = csv.record.iter();
        csv.header =
            names.map(|name| String::from_utf8_lossy(name.trim_ascii()).into_owned()).collect();
        Ok(csv)
    }

    /// Reads the next record; false if there is none.
    pub(crate) fn advance(&mut self, path: &Path) -> Result<bool, FileFault> {
        let read = loop {
            self.at = self.reader.position().byte();
            let read = self.reader.read_byte_record(&mut self.record);
            let read = read.map_err(|error| match error.into_kind() {
                csv::ErrorKind::Io(cause) => self.broken(path, cause),
                other => self.broken(path, Error::other(format!("{other:?}"))),
            })?;
            self.since.set(0);
            // Empty lines are skipped already, blank ones are not.
            let is_blank = self.record.len() == 1 && self.record[0].trim_ascii().is_empty();
            if !(read && is_blank) {
                break read;
            }
        };
        let (cells, columns) = (self.record.len(), self.header.len());
        // The header itself is read before it is known.
        if read && cells != columns && columns > 0 {
            let cause = format!("found {cells} cells; expected {columns}, as in the header");
            return Err(FileFault::Row { path: path.into(), place: self.place(path), cause });
        }
        Ok(read)
    }

    /// The place of the record.
    pub(crate) fn place(&self, path: &Path) -> Place {
        line_at(path, self.at)
    }

    fn broken(&self, path: &Path, cause: Error) -> FileFault {
        if self.since.get() > MAX_RECORD {
            let (place, cause) = (self.place(path), cause.to_string());
            return FileFault::Row { path: path.into(), place, cause };
        }
        FileFault::Unreadable { path: path.into(), cause }
    }
}

/// What separates the cells of a header: a comma, unless semicolons or tabs are more.
fn delimiter(header: &[u8]) -> u8 {
    let count = |sign: u8| header.iter().filter(|&&byte| byte == sign).count();
    // On ties, the last: the comma.
    [b'\t', b';', b','].into_iter().max_by_key(|&sign| count(sign)).unwrap_or(b',')
}

/// Lines of cells without a header or quotes.
pub(crate) struct Lines {
    input: Input,
    since: Since,
    separator: Option<char>,
    /// The line, and its number.
    text: String,
    line: u64,
}

impl Lines {
    /// Opens a file whose first line has only cells that `is_value`; `None` if that is a header.
    pub(crate) fn open(
        path: &Path,
        is_value: impl Fn(&str) -> bool,
    ) -> Result<Option<Self>, FileFault> {
        let (first, input, since) = open(path)?;
        let first = String::from_utf8_lossy(&first);
        let separator = [',', '\t', ';'].into_iter().find(|&sign| first.contains(sign));
        let lines = Self { input, since, separator, text: first.into_owned(), line: 0 };
        let mut cells = lines.cells();
        let is_bare = cells.next().is_some_and(&is_value) && cells.all(is_value);
        drop(cells);
        Ok(is_bare.then_some(lines))
    }

    /// Reads the next line that is not blank; false if there is none.
    pub(crate) fn advance(&mut self, path: &Path) -> Result<bool, FileFault> {
        let mut bytes = std::mem::take(&mut self.text).into_bytes();
        loop {
            bytes.clear();
            let read = self.input.read_until(b'\n', &mut bytes);
            self.line += 1;
            let row = |cause: String| FileFault::Row {
                path: path.into(),
                place: Place::Line(self.line),
                cause,
            };
            let count = read.map_err(|cause| match self.since.get() {
                0..=MAX_RECORD => FileFault::Unreadable { path: path.into(), cause },
                _ => row(cause.to_string()),
            })?;
            self.since.set(0);
            if count > 0 && bytes.trim_ascii().is_empty() {
                continue;
            }
            self.text =
                String::from_utf8(bytes).map_err(|_| row("the text is not UTF-8".to_owned()))?;
            let cells = self.cells().count();
            if count > 0 && cells != 2 {
                return Err(FileFault::Row {
                    path: path.into(),
                    place: self.place(),
                    cause: format!("found {cells} cells; expected 2 in a file without a header"),
                });
            }
            return Ok(count > 0);
        }
    }

    /// The cells of the line. Blanks and tabs may be several.
    pub(crate) fn cells(&self) -> impl Iterator<Item = &str> {
        let separator = self.separator.filter(|&sign| sign != '\t');
        let (by_sign, by_blank) = match separator {
            Some(sign) => (Some(self.text.split(sign)), None),
            None => (None, Some(self.text.split_ascii_whitespace())),
        };
        by_sign.into_iter().flatten().chain(by_blank.into_iter().flatten()).map(str::trim)
    }

    pub(crate) fn place(&self) -> Place {
        Place::Line(self.line)
    }
}
