//! The load history: the load vectors m of the last slots (h of eq. 9).

/// The last load vectors, oldest first, zeros before the episode began: a window that slides
/// over a buffer of twice its length, so that it is always one contiguous slice.
#[derive(Clone, Debug)]
pub(crate) struct LoadHistory {
    rows: Vec<f64>,
    servers: usize,
    window: usize,
    /// The first row of the window.
    start: usize,
}

impl LoadHistory {
    /// Keeps `history_slots` + 1 vectors: the published observation lags one slot behind.
    pub(crate) fn new(servers: usize, history_slots: u32) -> Self {
        let window = history_slots as usize + 1;
        Self { rows: vec![0.0; 2 * window * servers], servers, window, start: 0 }
    }

    /// Appends the load vector of one slot: devices active at each of the M servers.
    pub(crate) fn push(&mut self, load: &[u32]) {
        let Self { servers, window, .. } = *self;
        self.start += 1;
        if self.start + window > 2 * window {
            self.rows.copy_within(self.start * servers.., 0);
            self.start = 0;
        }
        let newest = (self.start + window - 1) * servers;
        for (slot, &active) in self.rows[newest..newest + servers].iter_mut().zip(load) {
            *slot = f64::from(active);
        }
    }

    /// K × M numbers, oldest slot first; the newest vector is m(t−1), or m(t−2) with `lag` 1.
    pub(crate) fn window(&self, lag: usize) -> &[f64] {
        let first = self.start + 1 - lag;
        &self.rows[first * self.servers..(first + self.window - 1) * self.servers]
    }
}
