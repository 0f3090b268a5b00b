//! CSV in memory.

/// Rows as CSV, cells quoted where they must be.
pub(crate) fn csv_text<R>(rows: impl Iterator<Item = R>) -> String
where
    R: IntoIterator,
    R::Item: AsRef<[u8]>,
{
    let mut table = csv::Writer::from_writer(Vec::new());
    for row in rows {
        // Memory can always be written.
        let _ = table.write_record(row);
    }
    String::from_utf8(table.into_inner().unwrap_or_default()).unwrap_or_default()
}
