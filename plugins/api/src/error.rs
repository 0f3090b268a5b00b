//! The error of a plugin.

/// Why a plugin could not do what it was asked; it ends the run, and the instance is not called
/// again.
///
/// `?` turns any error or text into one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    message: String,
}

impl Error {
    /// An error with this message: cause and place, in the user's words.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl<E: std::fmt::Display> From<E> for Error {
    fn from(cause: E) -> Self {
        Self::new(cause.to_string())
    }
}
