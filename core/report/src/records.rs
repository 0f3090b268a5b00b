//! Records: small tables with named and typed fields, printed as a table, as JSON, as CSV or as Parquet.
//!
//! JSON, CSV and Parquet use a field's id and full precision; tables use its title and round.

use std::borrow::Cow;

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Map, Value};

use offramp_columns::{Column, Value as ColumnValue, Writer};
use offramp_results::words::rounded;

use crate::Format;

pub use offramp_columns::{Error as ColumnError, Kind};

/// A column of [`Records`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The JSON key and the column of CSV and Parquet: `validation_qoe`.
    pub id: Cow<'static, str>,
    /// The heading of tables: `validation QoE`.
    pub title: Cow<'static, str>,
    /// The type of its values.
    pub kind: Kind,
}

/// A value of [`Records`].
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// No value: empty in tables and CSV, `null` in JSON and Parquet.
    Empty,
    /// A text.
    Text(String),
    /// A count.
    Count(u64),
    /// A number, with the number of digits after the point that tables show.
    Number(f64, usize),
}

/// Rows of named values, in any [`Format`].
#[derive(Clone, Debug, PartialEq)]
pub struct Records {
    /// The columns.
    pub fields: Vec<Field>,
    /// As many cells per row as there are fields.
    pub rows: Vec<Vec<Cell>>,
}

impl Field {
    /// A field whose heading is its id.
    pub const fn new(id: &'static str, kind: Kind) -> Self {
        Self::titled(id, id, kind)
    }

    /// A field with a heading of its own.
    pub const fn titled(id: &'static str, title: &'static str, kind: Kind) -> Self {
        Self { id: Cow::Borrowed(id), title: Cow::Borrowed(title), kind }
    }

    /// A field whose id is not known before there are results.
    pub fn named(id: String, kind: Kind) -> Self {
        Self { title: id.clone().into(), id: id.into(), kind }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Cell {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl<C: Into<Self>> From<Option<C>> for Cell {
    fn from(value: Option<C>) -> Self {
        value.map_or(Self::Empty, Into::into)
    }
}

impl Cell {
    fn json(&self) -> Value {
        match self {
            Self::Empty => Value::Null,
            Self::Text(text) => text.clone().into(),
            Self::Count(count) => (*count).into(),
            Self::Number(number, _) => (*number).into(),
        }
    }

    fn csv(&self) -> String {
        match self {
            Self::Empty => String::new(),
            Self::Text(text) => text.clone(),
            Self::Count(count) => count.to_string(),
            Self::Number(number, _) => number.to_string(),
        }
    }

    pub(crate) fn column_value(&self) -> ColumnValue<'_> {
        match self {
            Self::Empty => ColumnValue::Empty,
            Self::Text(text) => ColumnValue::Text(text),
            Self::Count(count) => ColumnValue::Count(*count),
            Self::Number(number, _) => ColumnValue::Number(*number),
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Number(number, digits) => rounded(*number, *digits),
            other => other.csv(),
        }
    }
}

impl Records {
    /// No rows yet.
    pub fn new(fields: impl Into<Vec<Field>>) -> Self {
        Self { fields: fields.into(), rows: Vec::new() }
    }

    /// The records in `format`; as JSON, an array of objects under `key`.
    pub fn print(&self, key: &str, format: Format) -> String {
        match format {
            Format::Table => self.table(),
            Format::Json => json_text(&serde_json::json!({ key: self.json() })),
            Format::Csv => self.csv(),
        }
    }

    /// A Markdown table, without the columns that have no value. Columns without texts are aligned
    /// to the right.
    pub fn table(&self) -> String {
        let (header, rows, texts) = self.shown();
        markdown(header, rows.into_iter(), |column| !texts[column])
    }

    /// The header and the rows of a table, without the columns that have no value; and which columns
    /// have texts.
    pub(crate) fn shown(&self) -> (Vec<String>, Vec<Vec<String>>, Vec<bool>) {
        let any = |at: usize, is: fn(&Cell) -> bool| {
            self.rows.iter().filter_map(|row| row.get(at)).any(is)
        };
        let used = |at: &usize| any(*at, |cell| *cell != Cell::Empty);
        let used: Vec<usize> = (0..self.fields.len()).filter(used).collect();
        let header = used.iter().map(|&at| self.fields[at].title.clone().into_owned()).collect();
        let shown = |row: &Vec<Cell>| {
            let cells = used.iter().map(|&at| row.get(at).map_or_else(String::new, Cell::shown));
            cells.collect()
        };
        let texts = used.iter().map(|&at| any(at, |cell| matches!(cell, Cell::Text(_)))).collect();
        (header, self.rows.iter().map(shown).collect(), texts)
    }

    /// An array with one object per row.
    pub fn json(&self) -> Value {
        let object = |row: &Vec<Cell>| {
            let ids = self.fields.iter().map(|field| field.id.clone().into_owned());
            Value::Object(ids.zip(row.iter().map(Cell::json)).collect::<Map<_, _>>())
        };
        self.rows.iter().map(object).collect()
    }

    /// CSV with a header.
    pub fn csv(&self) -> String {
        let header = self.fields.iter().map(|field| field.id.clone().into_owned()).collect();
        let rows = self.rows.iter().map(|row| row.iter().map(Cell::csv).collect::<Vec<_>>());
        csv_text(std::iter::once(header).chain(rows))
    }

    /// A Parquet file with the rows of [`Records::csv`].
    ///
    /// # Errors
    /// [`ColumnError`] if a cell is not of its field's kind.
    pub fn parquet(&self) -> Result<Vec<u8>, ColumnError> {
        let mut table = Writer::new(Vec::new(), self.fields.iter().map(Column::from).collect())?;
        for row in &self.rows {
            table.row(row.iter().map(Cell::column_value))?;
        }
        table.finish()
    }
}

/// A column of a Parquet file with that field.
impl From<&Field> for Column {
    fn from(field: &Field) -> Self {
        Self { name: field.id.clone(), kind: field.kind }
    }
}

/// A JSON value as `offramp` prints it: indented, with a line break at the end.
pub fn json_text(value: &Value) -> String {
    format!("{value:#}\n")
}

/// Rows as CSV, cells quoted where they must be.
fn csv_text<R>(rows: impl Iterator<Item = R>) -> String
where
    R: IntoIterator,
    R::Item: AsRef<[u8]>,
{
    let mut table = csv::Writer::from_writer(Vec::new());
    for row in rows {
        // Writing to memory can't fail.
        let _ = table.write_record(row);
    }
    String::from_utf8(table.into_inner().unwrap_or_default()).unwrap_or_default()
}

/// A Markdown table: it reads well on a terminal and can be pasted into a report. Columns that
/// are `number`s are aligned to the right.
pub(crate) fn markdown(
    header: Vec<String>,
    rows: impl Iterator<Item = Vec<String>>,
    number: impl Fn(usize) -> bool,
) -> String {
    let escaped = |row: Vec<String>| row.iter().map(|cell| escaped(cell)).collect::<Vec<_>>();
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(escaped(header));
    table.add_rows(rows.map(escaped));
    for (at, column) in table.column_iter_mut().enumerate() {
        if number(at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!("{table}\n")
}

/// A text as a cell of a Markdown table: `|` would end the cell, and a line break the row.
fn escaped(text: &str) -> String {
    let mut cell = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '|' => cell += "\\|",
            control if control.is_control() => cell.extend(control.escape_default()),
            other => cell.push(other),
        }
    }
    cell
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records() -> Records {
        let fields = [
            Field::new("name", Kind::Text),
            Field::titled("qoe", "AvgQoE", Kind::Number),
            Field::new("steps", Kind::Count),
        ];
        let mut records = Records::new(fields);
        records.rows.push(vec!["a \"b\", c".into(), Cell::Number(1.0 / 3.0, 2), 12.into()]);
        records.rows.push(vec!["d".into(), Cell::Empty, 1234.into()]);
        records
    }

    #[test]
    fn tables_round_and_align_numbers() {
        let expected = "\
| name     | AvgQoE | steps |
|----------|--------|-------|
| a \"b\", c |   0.33 |    12 |
| d        |        |  1234 |
";
        assert_eq!(records().print("runs", Format::Table), expected);
    }

    #[test]
    fn texts_do_not_end_cells_or_rows() {
        let mut records =
            Records::new([Field::new("name", Kind::Text), Field::new("steps", Kind::Count)]);
        records.rows.push(vec!["a|b\nc\r\td".into(), 12.into()]);
        let expected = "\
| name         | steps |
|--------------|-------|
| a\\|b\\nc\\r\\td |    12 |
";
        assert_eq!(records.print("runs", Format::Table), expected);
    }

    #[test]
    fn csv_is_quoted_and_exact() {
        let expected = "name,qoe,steps\n\"a \"\"b\"\", c\",0.3333333333333333,12\nd,,1234\n";
        assert_eq!(records().print("runs", Format::Csv), expected);
    }

    #[test]
    fn parquet_holds_cells_to_the_kinds_of_fields() {
        let mut records = records();
        assert!(records.parquet().unwrap().ends_with(b"PAR1"));
        records.rows[1][2] = "many".into();
        let error = records.parquet().unwrap_err().to_string();
        assert_eq!(error, "column `steps` of Count has the cell Text(\"many\")");
    }

    #[test]
    fn json_has_null_for_what_is_missing() {
        let text = records().print("runs", Format::Json);
        let json: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["runs"][0]["qoe"], 1.0 / 3.0);
        assert_eq!(json["runs"][1]["qoe"], Value::Null);
        assert_eq!(json["runs"][1]["steps"], 1234);
    }
}
