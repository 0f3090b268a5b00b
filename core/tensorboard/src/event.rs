//! The messages of an event file: the few parts of event.proto and summary.proto that scalars need.

use prost::Message;

/// A point in time at which something was logged.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    pub(crate) wall_time: f64,
    /// The step whose scalars these are.
    #[prost(int64, tag = "2")]
    pub(crate) step: i64,
    /// The format of the file, in its first event.
    #[prost(string, optional, tag = "3")]
    pub(crate) file_version: Option<String>,
    /// The scalars, in all others.
    #[prost(message, optional, tag = "5")]
    pub(crate) summary: Option<Summary>,
}

/// Scalars of one step.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Summary {
    #[prost(message, repeated, tag = "1")]
    pub(crate) values: Vec<Value>,
}

/// A scalar.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Value {
    /// The name of the curve that it belongs to.
    #[prost(string, tag = "1")]
    pub(crate) tag: String,
    /// One of several forms of a value, which is written even if it is 0.
    #[prost(float, optional, tag = "2")]
    pub(crate) simple_value: Option<f32>,
}
