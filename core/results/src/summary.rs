//! Stand-in until the summary of the metrics branch is here.
use crate::metric::{EpisodeResult, Metric};
use crate::statistics::MeanSd;
use serde::{Deserialize, Serialize};

/// Running statistics of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    episodes: u64,
    all: Vec<(u64, f64, f64)>,
    modes: Vec<Vec<(u64, f64, f64)>>,
}

fn push(slot: &mut (u64, f64, f64), value: Option<f64>) {
    let Some(value) = value else { return };
    slot.0 += 1;
    let delta = value - slot.1;
    slot.1 += delta / slot.0 as f64;
    slot.2 += delta * (value - slot.1);
}

fn mean_sd(slot: &(u64, f64, f64)) -> MeanSd {
    let sd = if slot.0 > 1 { (slot.2 / (slot.0 - 1) as f64).sqrt() } else { 0.0 };
    MeanSd { mean: slot.1, sd }
}

impl Summary {
    /// No episodes yet.
    pub fn new(power_modes: usize) -> Self {
        let row = vec![(0, 0.0, 0.0); crate::metric::all().len()];
        Self { episodes: 0, modes: vec![row.clone(); power_modes], all: row }
    }
    /// Adds an episode.
    pub fn add(&mut self, episode: &EpisodeResult) {
        self.episodes += 1;
        for (slot, metric) in self.all.iter_mut().zip(crate::metric::all()) {
            push(slot, metric.of(episode));
        }
        for (row, mode) in self.modes.iter_mut().zip(&episode.by_mode) {
            for (slot, metric) in row.iter_mut().zip(crate::metric::all()) {
                push(slot, metric.of_mode(mode));
            }
        }
    }
    /// Number of episodes.
    pub fn episodes(&self) -> u64 {
        self.episodes
    }
    /// Of a metric.
    pub fn mean_sd(&self, metric: &Metric) -> Option<MeanSd> {
        let at = crate::metric::all().iter().position(|own| own == metric)?;
        self.all.get(at).map(mean_sd)
    }
    /// Of a metric in a mode.
    pub fn mean_sd_of_mode(&self, mode: usize, metric: &Metric) -> Option<MeanSd> {
        let at = crate::metric::all().iter().position(|own| own == metric)?;
        self.modes.get(mode)?.get(at).filter(|slot| slot.0 > 0).map(mean_sd)
    }
}
