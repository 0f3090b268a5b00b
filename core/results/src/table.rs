//! CSV tables whose columns are found by their names: an added or reordered column does not
//! break reading, and a missing one is named.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;

/// The columns of a row, in order: the fields of the structure.
pub(crate) fn columns<R: Default + Serialize>() -> Vec<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Memory can always be written, and every structure here is flat.
    let header = writer.serialize(R::default()).ok().and_then(|()| writer.into_inner().ok());
    let mut reader = csv::Reader::from_reader(header.as_deref().unwrap_or_default());
    reader.headers().map(|names| names.iter().map(str::to_owned).collect()).unwrap_or_default()
}

/// Reads a table whose rows have the columns of a `K` and of an `R`, in any order and with any
/// others.
pub(crate) fn pairs<K, R>(path: &Path) -> Result<Vec<(K, R)>, Error>
where
    K: Default + Serialize + DeserializeOwned,
    R: Default + Serialize + DeserializeOwned,
{
    read(path, &[columns::<K>(), columns::<R>()].concat(), |record, header| {
        Ok((record.deserialize(Some(header))?, record.deserialize(Some(header))?))
    })
}

/// Reads a table whose rows have the columns of an `R`, in any order and with any others.
pub(crate) fn rows<R>(path: &Path) -> Result<Vec<R>, Error>
where
    R: Default + Serialize + DeserializeOwned,
{
    read(path, &columns::<R>(), |record, header| record.deserialize(Some(header)))
}

fn read<R>(
    path: &Path,
    columns: &[String],
    row: impl Fn(&csv::StringRecord, &csv::StringRecord) -> Result<R, csv::Error>,
) -> Result<Vec<R>, Error> {
    let unreadable = |cause: String| Error::Unreadable { path: path.to_owned(), cause };
    let malformed = |error: csv::Error| unreadable(error.to_string());
    let mut reader = csv::Reader::from_path(path).map_err(malformed)?;
    let header = reader.headers().map_err(malformed)?.clone();
    if let Some(missing) = columns.iter().find(|column| !header.iter().any(|name| name == *column))
    {
        return Err(unreadable(format!("it has no column `{missing}`")));
    }
    let rows = reader.records().map(|record| row(&record?, &header));
    rows.collect::<Result<_, _>>().map_err(malformed)
}
