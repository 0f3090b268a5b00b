//! Reading of Parquet files: our own, and those of Polars, pyarrow (which pandas uses) and DuckDB.
//!
//! Each of `files` has the same 12 rows, written with Polars 2.1, pyarrow 26.0 and DuckDB 2.0: in two row
//! groups with Snappy, in pages of version 2 of a few values with Snappy, and with GZIP.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::io::Cursor;

use offramp_columns::{
    Cell, Column, FieldKind, GROUP_ROWS, Kind, ReadError, Reader, Value, Writer,
};
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, Strategy, any, prop, prop_assert_eq, proptest};

const POLARS: &[u8] = include_bytes!("files/polars.parquet");
const PYARROW: &[u8] = include_bytes!("files/pyarrow.parquet");
const DUCKDB: &[u8] = include_bytes!("files/duckdb.parquet");
const ZSTANDARD: &[u8] = include_bytes!("files/polars-zstd.parquet");

fn or_empty(is_empty: bool, cell: Cell<'_>) -> Cell<'_> {
    if is_empty { Cell::Empty } else { cell }
}

/// All cells that can be read, row by row, as Rust writes them.
fn read(file: &[u8]) -> Result<Vec<Vec<String>>, ReadError> {
    let reader = Reader::new(Cursor::new(file))?;
    let is_readable = |&at: &usize| !matches!(reader.fields()[at].kind, FieldKind::Other(_));
    let places: Vec<usize> = (0..reader.fields().len()).filter(is_readable).collect();
    let count = reader.row_count();
    let mut rows = reader.rows(&places)?;
    let mut out = Vec::new();
    while rows.advance()? {
        let cells = (0..places.len()).map(|at| Ok(format!("{:?}", rows.cell(at)?)));
        out.push(cells.collect::<Result<_, ReadError>>()?);
    }
    assert_eq!(out.len() as u64, count);
    Ok(out)
}

#[track_caller]
fn check_fault(file: &[u8], expected: &str) {
    let fault = read(file).unwrap_err().to_string();
    assert!(fault.contains(expected), "{fault}");
}

#[test]
fn files_of_other_programs_are_read() {
    for file in [POLARS, DUCKDB, PYARROW] {
        let rows = read(file).unwrap();
        assert_eq!(rows.len(), 12);
        for (at, row) in rows.iter().enumerate() {
            let start = 1_700_158_623_000_000_000_i128;
            let device = (at % 3) as u64;
            let expected = [
                Cell::Whole((at / 2) as i64),
                // pyarrow's is unsigned.
                if file == PYARROW { Cell::Seed(device) } else { Cell::Whole(device as i64) },
                Cell::Number(1.5 + at as f64 / 4.0),
                Cell::Number([0.197, 0.297][at % 2]),
                or_empty(at % 5 == 0, Cell::Whole(10)),
                or_empty(at == 3, Cell::Number(at as f64 / 16.0)),
                or_empty(at % 4 == 3, Cell::Text(["ar", "health"][at % 2])),
                or_empty(at == 7, Cell::Bool(at % 3 == 0)),
                Cell::Instant(start + 250_000_000 * at as i128),
            ];
            assert_eq!(*row, expected.map(|cell| format!("{cell:?}")), "row {at}");
        }
    }
}

#[test]
fn columns_are_read_in_the_order_that_is_asked_for() {
    let reader = Reader::new(Cursor::new(POLARS)).unwrap();
    let names: Vec<_> = reader.fields().iter().map(|field| field.name.as_str()).collect();
    let expected = [
        "slot",
        "device",
        "size_mbit",
        "density",
        "deadline_slots",
        "alpha",
        "class",
        "urgent",
        "at",
    ];
    assert_eq!(names, expected);
    let mut rows = reader.rows(&[6, 0]).unwrap();
    for _ in 0..9 {
        assert!(rows.advance().unwrap());
    }
    assert_eq!((rows.cell(0).unwrap(), rows.cell(1).unwrap()), (Cell::Text("ar"), Cell::Whole(4)));
}

#[test]
fn what_is_not_supported_is_named_with_what_to_write_instead() {
    check_fault(
        ZSTANDARD,
        "column `slot` in row group 1 has Zstandard compression, which is not supported; \
         write it with `df.write_parquet(path, compression=\"uncompressed\")` (Polars)",
    );
    let reader = Reader::new(Cursor::new(PYARROW)).unwrap();
    let lists = reader.fields().iter().position(|field| field.name == "seen").unwrap();
    assert_eq!(reader.fields()[lists].kind, FieldKind::Other("nested values".to_owned()));
    let fault = reader.rows(&[lists]).unwrap_err().to_string();
    assert!(
        fault.starts_with("column `seen` has nested values, which is not supported"),
        "{fault}"
    );
}

#[test]
fn what_is_not_parquet_is_refused() {
    check_fault(b"", "it begins with `` instead of `PAR1`");
    check_fault(b"slot,device\n1,2\n", "it begins with `slot` instead of `PAR1`");
    check_fault(b"PAR1PAR1", "it has no footer");
    check_fault(b"PAR1\xff\xff\0\0PAR1", "its footer is damaged: it states a size larger");
    check_fault(b"PAR1\0\0\0\0PARE", "an encrypted footer");
    check_fault(&POLARS[..POLARS.len() - 1], "it was cut off");
}

/// A file that states more rows than its bytes can be worth.
#[test]
fn rows_are_bounded_by_the_file() {
    let mut table = Writer::new(Vec::new(), vec![Column::new("a", Kind::Count)]).unwrap();
    table.row([Value::Count(7)]).unwrap();
    let file = table.finish().unwrap();
    // The last field of a group: 3, 64 bits, the number 1 as 2; as a varint of four bytes it is longer.
    let at = file.windows(4).rposition(|bytes| bytes == [0x16, 2, 0, 0x28]).unwrap();
    let longer = [&file[..at + 1], &[0xfe, 0xff, 0xff, 0x7f], &file[at + 2..]].concat();
    let at = longer.len() - 8;
    let size = u32::from_le_bytes(longer[at..at + 4].try_into().unwrap()) + 3;
    let longer = [&longer[..at], &size.to_le_bytes(), b"PAR1"].concat();
    check_fault(&longer, "it states more rows than the file can have");
}

/// Whatever happens to a file, reading it ends in rows or an error.
#[test]
fn damaged_files_do_no_harm() {
    let own = {
        let columns = [Kind::Text, Kind::Count, Kind::Seed, Kind::Number, Kind::Counts];
        let columns = columns.map(|kind| Column::new(format!("{kind:?}"), kind));
        let mut table = Writer::new(Vec::new(), columns.into()).unwrap();
        for at in 0..40 {
            let text = ["ar", "health"][at as usize % 2];
            let number = if at % 7 == 0 { Value::Empty } else { Value::Number(0.5) };
            let row = [Value::Text(text), Value::Count(at), Value::Count(at), number];
            table.row(row.into_iter().chain([Value::Counts(&[1, 2])])).unwrap();
        }
        table.finish().unwrap()
    };
    for file in [&own, POLARS, PYARROW, DUCKDB] {
        for at in 0..file.len() {
            assert!(read(&file[..at]).is_err(), "cut off at {at}");
            let mut damaged = file.to_vec();
            for flipped in (0..8).map(|bit| 1 << bit).chain([0xff]) {
                damaged[at] = file[at] ^ flipped;
                let _ = read(&damaged);
            }
            // A missing and an added byte move all that follows.
            damaged[at] = file[at];
            damaged.remove(at);
            let _ = read(&damaged);
            damaged.splice(at..at, [file[at], 0xff]);
            let _ = read(&damaged);
        }
    }
}

#[derive(Clone, Debug)]
struct Row {
    text: Option<String>,
    count: Option<u64>,
    seed: Option<u64>,
    number: Option<f64>,
}

fn row() -> impl Strategy<Value = Row> {
    let text = prop::option::of("[a-c]{0,3}|.{0,20}");
    let (count, seed) = (prop::option::of(0..=i64::MAX as u64), prop::option::of(any::<u64>()));
    let cells = (text, count, seed, prop::option::of(any::<f64>()));
    cells.prop_map(|(text, count, seed, number)| Row { text, count, seed, number })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    #[test]
    fn what_is_written_is_read(rows in vec(row(), 0..200)) {
        let columns = [("t", Kind::Text), ("c", Kind::Count), ("s", Kind::Seed), ("n", Kind::Number)];
        let columns = columns.map(|(name, kind)| Column::new(name, kind));
        let mut table = Writer::new(Vec::new(), columns.into()).unwrap();
        for Row { text, count, seed, number } in &rows {
            table.row([
                text.as_deref().map_or(Value::Empty, Value::Text),
                count.map_or(Value::Empty, Value::Count),
                seed.map_or(Value::Empty, Value::Count),
                number.map_or(Value::Empty, Value::Number),
            ]).unwrap();
        }
        let expected: Vec<Vec<String>> = rows.iter().map(|row| [
            row.text.as_deref().map_or(Cell::Empty, Cell::Text),
            row.count.map_or(Cell::Empty, |count| Cell::Whole(count as i64)),
            row.seed.map_or(Cell::Empty, Cell::Seed),
            row.number.map_or(Cell::Empty, Cell::Number),
        ].map(|cell| format!("{cell:?}")).into()).collect();
        prop_assert_eq!(read(&table.finish().unwrap()).unwrap(), expected);
    }

    #[test]
    fn any_bytes_end_in_an_error(mut bytes in vec(any::<u8>(), 0..300), footer in 0..40_u32) {
        bytes.splice(0..0, *b"PAR1");
        bytes.extend(footer.to_le_bytes());
        bytes.extend(b"PAR1");
        let _ = read(&bytes);
    }
}

#[test]
fn several_row_groups_are_read() {
    let rows = GROUP_ROWS as u64 * 2 + 10;
    let mut table = Writer::new(Vec::new(), vec![Column::new("a", Kind::Count)]).unwrap();
    (0..rows).for_each(|row| table.row([Value::Count(row)]).unwrap());
    let file = table.finish().unwrap();
    let reader = Reader::new(Cursor::new(&file)).unwrap();
    assert_eq!(reader.row_count(), rows);
    let mut read = reader.rows(&[0]).unwrap();
    for row in 0..rows {
        assert!(read.advance().unwrap());
        assert_eq!(read.cell(0).unwrap(), Cell::Whole(row as i64));
    }
    assert!(!read.advance().unwrap());
}
