//! Groups: parts of an episode's tasks that have metrics and a table of their own. Tasks are divided
//! by the power mode of their devices, and by their class if a scenario has classes.

use std::ops::{Index, IndexMut};

use serde::{Deserialize, Serialize, Serializer};

/// A way to divide the tasks of an episode into groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// By α of the device's power mode.
    PowerMode,
    /// By class.
    Class,
}

/// The label of a group: α of a power mode, or the name of a class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Label<'r> {
    /// α of a power mode.
    Alpha(f64),
    /// The name of a class.
    Class(&'r str),
}

impl Grouping {
    /// All of them, in the order of output.
    pub const ALL: [Self; 2] = [Self::PowerMode, Self::Class];

    /// Its table in a run folder.
    pub const fn file(self) -> &'static str {
        match self {
            Self::PowerMode => "power-modes.csv",
            Self::Class => "classes.csv",
        }
    }

    /// The column of that table, and the JSON key, that states the group of a row.
    pub const fn column(self) -> &'static str {
        match self {
            Self::PowerMode => "alpha",
            Self::Class => "class",
        }
    }

    /// The key of its list in JSON.
    pub const fn key(self) -> &'static str {
        match self {
            Self::PowerMode => "power_modes",
            Self::Class => "classes",
        }
    }

    /// The heading of its column in tables.
    pub const fn title(self) -> &'static str {
        match self {
            Self::PowerMode => "α",
            Self::Class => "class",
        }
    }

    /// A group as captions name it: `power mode`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PowerMode => "power mode",
            Self::Class => "class",
        }
    }
}

impl Label<'_> {
    /// True if a cell of a table states this group.
    pub(crate) fn is(self, cell: &str) -> bool {
        match self {
            Self::Alpha(alpha) => cell.parse() == Ok(alpha),
            Self::Class(name) => cell == name,
        }
    }
}

/// `0.25`, `health`.
impl std::fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Alpha(alpha) => alpha.fmt(f),
            Self::Class(name) => f.write_str(name),
        }
    }
}

/// A number or a text.
impl Serialize for Label<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Alpha(alpha) => serializer.serialize_f64(*alpha),
            Self::Class(name) => serializer.serialize_str(name),
        }
    }
}

/// A value for each group of each [`Grouping`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Grouped<T> {
    #[serde(rename = "by_mode")]
    power_modes: Vec<T>,
    #[serde(rename = "by_class", default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    classes: Vec<T>,
}

impl<T> Grouped<T> {
    /// The values that `of` returns for each grouping.
    pub fn new(mut of: impl FnMut(Grouping) -> Vec<T>) -> Self {
        Self { power_modes: of(Grouping::PowerMode), classes: of(Grouping::Class) }
    }

    /// Number of groups of all groupings.
    pub fn count(&self) -> usize {
        self.power_modes.len() + self.classes.len()
    }
}

impl<T> Default for Grouped<T> {
    fn default() -> Self {
        Self::new(|_| Vec::new())
    }
}

impl<T> Index<Grouping> for Grouped<T> {
    type Output = Vec<T>;

    fn index(&self, grouping: Grouping) -> &Vec<T> {
        match grouping {
            Grouping::PowerMode => &self.power_modes,
            Grouping::Class => &self.classes,
        }
    }
}

impl<T> IndexMut<Grouping> for Grouped<T> {
    fn index_mut(&mut self, grouping: Grouping) -> &mut Vec<T> {
        match grouping {
            Grouping::PowerMode => &mut self.power_modes,
            Grouping::Class => &mut self.classes,
        }
    }
}
