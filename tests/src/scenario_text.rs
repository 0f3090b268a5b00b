//! Scenarios for tests, put together field by field.

use std::fmt::{self, Display, Formatter};

/// The fields of a RON structure, in the order in which they were set. Displayed, it is a
/// scenario's text:
///
/// ```
/// use offramp_tests::{Fields, plugin};
///
/// let scenario = Fields::scenario("toy")
///     .set("system.devices", 3)
///     .set("policies", format!("[{}]", plugin("random")));
/// assert_eq!(
///     scenario.to_string(),
///     "(name: \"toy\", system: (devices: 3), policies: [(plugin: \"random\")])"
/// );
/// // One field of it can be changed, and no other.
/// assert!(scenario.set("system.devices", 4).to_string().contains("devices: 4"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Fields {
    fields: Vec<(String, Value)>,
}

/// The value of a field: a structure, or any other RON text.
#[derive(Clone, Debug)]
pub enum Value {
    /// A structure whose fields can still be set.
    Fields(Fields),
    /// RON text.
    Text(String),
}

impl Fields {
    /// No fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// A scenario of this name.
    pub fn scenario(name: &str) -> Self {
        Self::new().set("name", quoted(name))
    }

    /// Sets or replaces the field at a path (`train.learner.parameters`); structures on the way
    /// are made where they are missing.
    ///
    /// # Panics
    /// If a part of the path is a text, not a structure.
    #[must_use]
    pub fn set(mut self, path: &str, value: impl Into<Value>) -> Self {
        self.put(path, value.into());
        self
    }

    /// Without the field at a path.
    ///
    /// # Panics
    /// If there is no such field.
    #[must_use]
    pub fn without(mut self, path: &str) -> Self {
        let (inner, name) = match path.rsplit_once('.') {
            Some((outer, name)) => (self.inner(outer), name),
            None => (&mut self, path),
        };
        let before = inner.fields.len();
        inner.fields.retain(|(own, _)| own != name);
        assert!(inner.fields.len() < before, "there is no field `{path}`");
        self
    }

    fn put(&mut self, path: &str, value: Value) {
        let (inner, name) = match path.rsplit_once('.') {
            Some((outer, name)) => (self.inner(outer), name),
            None => (self, path),
        };
        match inner.fields.iter_mut().find(|(own, _)| own == name) {
            Some((_, old)) => *old = value,
            None => inner.fields.push((name.to_owned(), value)),
        }
    }

    /// The structure at a path.
    fn inner(&mut self, path: &str) -> &mut Self {
        let mut inner = self;
        for name in path.split('.') {
            let at = inner.fields.iter().position(|(own, _)| own == name);
            let at = at.unwrap_or_else(|| {
                inner.fields.push((name.to_owned(), Value::Fields(Self::new())));
                inner.fields.len() - 1
            });
            inner = match &mut inner.fields[at].1 {
                Value::Fields(fields) => fields,
                Value::Text(text) => panic!("`{name}` of `{path}` is `{text}`, not a structure"),
            };
        }
        inner
    }
}

/// A policy, learner, student or explorer by its name: `(plugin: "random")`.
pub fn plugin(name: &str) -> Fields {
    Fields::new().set("plugin", quoted(name))
}

/// A text as a RON value.
pub fn quoted(text: &str) -> String {
    format!("{text:?}")
}

impl Display for Fields {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("(")?;
        for (index, (name, value)) in self.fields.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            match value {
                Value::Fields(fields) => write!(f, "{separator}{name}: {fields}")?,
                Value::Text(text) => write!(f, "{separator}{name}: {text}")?,
            }
        }
        f.write_str(")")
    }
}

impl From<Fields> for Value {
    fn from(fields: Fields) -> Self {
        Self::Fields(fields)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

macro_rules! from_displayed {
    ($($kind:ty),*) => {$(
        impl From<$kind> for Value {
            fn from(value: $kind) -> Self {
                Self::Text(value.to_string())
            }
        }
    )*};
}

from_displayed!(&str, bool, u32, i32);

impl From<f64> for Value {
    /// With a decimal point, as RON wants its floats.
    fn from(value: f64) -> Self {
        Self::Text(format!("{value:?}"))
    }
}
