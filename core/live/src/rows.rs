//! Some rows of a slot's observation, as they arrive elsewhere.

use offramp_host::plugin::{Needs, Observation};
use offramp_scenario::Encoding;

use crate::wire;

/// Some rows of a slot's observation, as someone else sees them: what a device sends of each, beside what is
/// known of the servers.
pub(crate) struct Selected {
    devices: Vec<u32>,
    history_of: Vec<u32>,
    /// The numbers of each row: features, task table, link table.
    rows: Vec<Vec<f32>>,
    /// How many of each kind a row has.
    widths: [usize; 3],
    parts: [Vec<f64>; 3],
}

/// The numbers of a row, by kind, as far as someone reads them.
fn widths(seen: &Observation<'_>, needs: Needs) -> [usize; 3] {
    let of = |numbers: usize, need: Needs| match needs.includes(need) {
        true => numbers / seen.rows().max(1),
        false => 0,
    };
    [
        of(seen.features.len(), Needs::FEATURES),
        of(seen.tasks.len(), Needs::TASKS),
        of(seen.links.len(), Needs::LINKS),
    ]
}

impl Selected {
    /// How many numbers a device sends of a state to someone with these needs.
    pub(crate) fn numbers(seen: &Observation<'_>, needs: Needs) -> usize {
        widths(seen, needs).iter().sum()
    }

    /// These rows, of which someone with these needs is told.
    pub(crate) fn of(seen: &Observation<'_>, rows: &[usize], needs: Needs) -> Self {
        let widths = widths(seen, needs);
        let kinds = [&seen.features, &seen.tasks, &seen.links];
        let row = |&row: &usize| {
            let each = kinds.iter().zip(widths);
            let of_row = each.flat_map(|(all, width)| &all.as_slice()[row * width..][..width]);
            of_row.map(|&number| number as f32).collect()
        };
        let history_of = match &*seen.history_of {
            [] => Vec::new(),
            of => rows.iter().map(|&row| of[row]).collect(),
        };
        Self {
            devices: rows.iter().map(|&row| seen.devices[row]).collect(),
            history_of,
            rows: rows.iter().map(row).collect(),
            widths,
            parts: Default::default(),
        }
    }

    /// Makes a row one that is not finite.
    pub(crate) fn break_row(&mut self, place: usize) {
        self.rows[place].fill(f32::NAN);
    }

    /// Replaces what is sent by what arrives; `scales` are those of a row's numbers.
    pub(crate) fn send(&mut self, encoding: Encoding, scales: &[f32]) {
        self.rows.iter_mut().for_each(|row| wire::send_scaled(encoding, row, scales));
        self.divide();
    }

    pub(crate) fn is_finite(&self, place: usize) -> bool {
        self.rows[place].iter().all(|number| number.is_finite())
    }

    /// Keeps the rows at these places, in order.
    pub(crate) fn keep(&mut self, places: &[usize]) {
        self.devices = places.iter().map(|&place| self.devices[place]).collect();
        if !self.history_of.is_empty() {
            self.history_of = places.iter().map(|&place| self.history_of[place]).collect();
        }
        self.rows = places.iter().map(|&place| std::mem::take(&mut self.rows[place])).collect();
        self.divide();
    }

    /// Divides the rows into their kinds.
    fn divide(&mut self) {
        let mut from = 0;
        for (part, width) in self.parts.iter_mut().zip(self.widths) {
            let each = self.rows.iter().flat_map(|row| &row[from..from + width]);
            *part = each.map(|&number| f64::from(number)).collect();
            from += width;
        }
    }

    /// As a plugin is shown them; `seen` is the observation that they are of.
    pub(crate) fn observation<'s>(&'s self, seen: &'s Observation<'_>) -> Observation<'s> {
        let [features, tasks, links] = &self.parts;
        Observation {
            slot: seen.slot,
            server_count: seen.server_count,
            history_slots: seen.history_slots,
            devices: self.devices.as_slice().into(),
            features: features.as_slice().into(),
            histories: seen.histories.as_slice().into(),
            history_of: self.history_of.as_slice().into(),
            tasks: tasks.as_slice().into(),
            links: links.as_slice().into(),
            servers: seen.servers.as_slice().into(),
        }
    }
}
