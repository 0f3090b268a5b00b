//! Names and units of a file's columns.

use std::collections::BTreeMap;

/// How a file names and measures what is read from it. By default, its columns have our names and units.
///
/// Keys are always our names, those of each reader's table; names of the file are matched without
/// regard to case, unless two differ in nothing else.
///
/// ```
/// use offramp_recorded::Columns;
///
/// let columns = Columns::default()
///     .named("time_s", "timestamp_ms")
///     .scaled("time_s", 0.001)
///     .fixed("device", 0.0);
/// assert_eq!(columns.names["time_s"], "timestamp_ms");
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Columns {
    /// By our name, the file's.
    pub names: BTreeMap<String, String>,
    /// By our name, the factor from the file's unit to ours: 0.001 where it has milliseconds and we seconds.
    /// Above 0.
    pub factors: BTreeMap<String, f64>,
    /// By our name, the value of every row, in our unit, instead of a column of the file. Not for texts.
    pub constants: BTreeMap<String, f64>,
}

impl Columns {
    /// With the file's name of a column.
    #[must_use]
    pub fn named(mut self, ours: impl Into<String>, theirs: impl Into<String>) -> Self {
        self.names.insert(ours.into(), theirs.into());
        self
    }

    /// With the factor from the file's unit of a column to ours.
    #[must_use]
    pub fn scaled(mut self, ours: impl Into<String>, factor: f64) -> Self {
        self.factors.insert(ours.into(), factor);
        self
    }

    /// With a value instead of a column.
    #[must_use]
    pub fn fixed(mut self, ours: impl Into<String>, value: f64) -> Self {
        self.constants.insert(ours.into(), value);
        self
    }
}
