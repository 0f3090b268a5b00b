//! Raw values: RON whose type is not known while the file is read.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

/// The RON text of a value, exactly as written, without surrounding white space.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Raw(pub String);

impl Raw {
    /// Reads it as a `T`.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, ron::error::SpannedError> {
        let extensions = ron::extensions::Extensions::IMPLICIT_SOME;
        ron::Options::default().with_default_extension(extensions).from_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<ron::value::RawValue>::deserialize(deserializer)?;
        Ok(Self(raw.get_ron().trim().to_owned()))
    }
}
