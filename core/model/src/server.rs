//! An edge server: its CPU and its power.

/// One edge server (EN, index j of the paper).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Server {
    /// f^E: speed of its CPU, GHz, above 0; shared equally by the devices active at it (eq. 5).
    pub ghz: f64,
    /// p^E: power while it computes, W, 0 or above.
    pub power_w: f64,
}
