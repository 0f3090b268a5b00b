//! SUMO's floating car data: vehicles and persons by time step, as XML.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::TrackRow;
use crate::columns::Columns;
use crate::devices::Devices;
use crate::fault::{FileFault, shortened};
use crate::text::{self, Input, Since};

/// The names of attributes, and the factors of their values.
struct Attributes {
    time: (String, f64),
    id: String,
    x: (String, f64),
    y: (String, f64),
}

impl Attributes {
    fn new(path: &Path, columns: &Columns) -> Result<Self, FileFault> {
        if let Some((name, &value)) = columns.constants.first_key_value() {
            return Err(FileFault::UnusableValue {
                path: path.into(),
                what: "constant",
                name: name.clone(),
                value,
                expected: "none: floating car data has all its values in the file",
            });
        }
        let name = |ours: &str, theirs: &str| {
            columns.names.get(ours).map_or_else(|| theirs.to_owned(), String::clone)
        };
        let measured = |ours: &str, theirs: &str| {
            (name(ours, theirs), columns.factors.get(ours).copied().unwrap_or(1.0))
        };
        Ok(Self {
            time: measured("time_s", "time"),
            id: name("device", "id"),
            x: measured("x_m", "x"),
            y: measured("y_m", "y"),
        })
    }
}

/// A file that is being read.
struct Export<'p> {
    path: &'p Path,
    reader: Reader<Input>,
    since: Since,
    /// Where the element begins, bytes.
    at: u64,
}

/// Reads the tracks of a file, which is refused if it ends within an element.
pub(crate) fn read(
    path: &Path,
    columns: &Columns,
    devices: &mut Devices,
) -> Result<Vec<TrackRow>, FileFault> {
    let attributes = Attributes::new(path, columns)?;
    let (first, input, since) = text::open(path)?;
    let expected = "<fcd-export> with a <timestep> and a <vehicle> or <person> in it";
    let empty = || FileFault::Empty { path: path.into(), expected };
    if first.is_empty() {
        return Err(empty());
    }
    let mut export = Export { path, reader: Reader::from_reader(input), since, at: 0 };
    let (mut rows, mut buffer) = (Vec::new(), Vec::new());
    // Elements that are open, and the time of the step that is.
    let (mut depth, mut time) = (0_usize, None);
    loop {
        buffer.clear();
        export.at = export.reader.buffer_position();
        let event = match export.reader.read_event_into(&mut buffer) {
            Ok(event) => event,
            Err(error) => return Err(export.malformed(error)),
        };
        export.since.set(0);
        let (element, opens) = match &event {
            Event::Start(element) => (element, true),
            Event::Empty(element) => (element, false),
            Event::End(_) => {
                depth = depth.saturating_sub(1);
                if depth < 2 {
                    time = None;
                }
                continue;
            }
            Event::Eof if depth > 0 => {
                return Err(
                    export.row("the file ends within an element: it was cut off".to_owned())
                );
            }
            Event::Eof => break,
            _ => continue,
        };
        let name = element.name();
        match (depth, name.as_ref()) {
            (0, "fcd-export") => {}
            (0, other) => {
                let found = shortened(other);
                let cause = format!(
                    "found the root element {found}; expected `fcd-export`, which SUMO writes with `--fcd-output`"
                );
                return Err(export.row(cause));
            }
            (1, "timestep") => {
                let seconds = export.number(element, &attributes.time)?;
                if seconds < 0.0 {
                    let found = export.text(element, &attributes.time.0)?;
                    return Err(export.cell(&attributes.time.0, &found, "seconds, 0 or more"));
                }
                time = opens.then_some(seconds);
            }
            (_, kind @ ("vehicle" | "person")) => {
                let Some(time_s) = time.filter(|_| depth == 2) else {
                    let cause = format!(
                        "found a {kind} outside of a time step; expected <timestep time=\"…\"> around it"
                    );
                    return Err(export.row(cause));
                };
                let id = export.text(element, &attributes.id)?;
                if id.is_empty() {
                    return Err(export.cell(&attributes.id, &id, "the id of a device"));
                }
                if devices.are_numbers() {
                    let expected = "no id, since the file before has numbers; read this file first";
                    return Err(export.cell(&attributes.id, &id, expected));
                }
                let device = match kind {
                    "person" => devices.named(&format!("person/{id}")),
                    _ => devices.named(&id),
                };
                let x_m = export.number(element, &attributes.x)?;
                let y_m = export.number(element, &attributes.y)?;
                rows.push(TrackRow { time_s, device, x_m, y_m });
            }
            // Containers, and what later versions may add.
            _ => {}
        }
        depth += usize::from(opens);
    }
    if rows.is_empty() { Err(empty()) } else { Ok(rows) }
}

impl Export<'_> {
    /// The value of an attribute that must be there.
    fn text<'e>(&self, element: &'e BytesStart<'_>, name: &str) -> Result<Cow<'e, str>, FileFault> {
        let mut names = Vec::new();
        for attribute in element.attributes() {
            let attribute = attribute.map_err(|error| self.row(error.to_string()))?;
            let key = attribute.key;
            if AsRef::<str>::as_ref(&key) == name {
                let value = attribute.normalized_value(quick_xml::XmlVersion::default());
                return value.map_err(|error| self.row(error.to_string()));
            }
            names.push(AsRef::<str>::as_ref(&key).to_owned());
        }
        let (path, found) = (PathBuf::from(self.path), names);
        let element = element.name();
        let wanted = format!(
            "(attribute) `{name}` of `{}` ({})",
            AsRef::<str>::as_ref(&element),
            self.place()
        );
        Err(FileFault::MissingColumn { path, wanted, found })
    }

    fn number(
        &self,
        element: &BytesStart<'_>,
        (name, factor): &(String, f64),
    ) -> Result<f64, FileFault> {
        let text = self.text(element, name)?;
        let number = text.trim().parse::<f64>().ok().map(|number| number * factor);
        let expected = if text.contains(':') {
            "a finite number; run SUMO without `--human-readable-time`"
        } else {
            "a finite number"
        };
        number.filter(|number| number.is_finite()).ok_or_else(|| self.cell(name, &text, expected))
    }

    fn cell(&self, column: &str, found: &str, expected: &str) -> FileFault {
        FileFault::Cell {
            path: self.path.into(),
            place: self.place(),
            column: column.to_owned(),
            found: shortened(found),
            expected: expected.to_owned(),
        }
    }

    fn row(&self, cause: String) -> FileFault {
        FileFault::Row { path: self.path.into(), place: self.place(), cause }
    }

    fn malformed(&self, error: quick_xml::Error) -> FileFault {
        match error {
            // A record without end states its place; other reasons of the system are not the file's.
            quick_xml::Error::Io(cause) if cause.kind() != std::io::ErrorKind::Other => {
                let cause = std::io::Error::new(cause.kind(), cause.to_string());
                FileFault::Unreadable { path: self.path.into(), cause }
            }
            error => self.row(format!("not well-formed XML: {error}")),
        }
    }

    fn place(&self) -> crate::fault::Place {
        text::line_at(self.path, self.at)
    }
}
