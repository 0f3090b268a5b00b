//! Ragged batches of networks over servers, drawn at random.

#![allow(dead_code, reason = "each test uses a part")]

use offramp_nn::set::{SetBatch, SetShape};
use offramp_nn::{Initial, Real, stream};
use rand::Rng;

/// A batch with numbers of its own.
#[derive(Clone, Debug)]
pub(crate) struct Slots<F> {
    pub(crate) servers: Vec<u32>,
    pub(crate) loads: Vec<F>,
    pub(crate) server_features: Vec<F>,
    pub(crate) slot_of: Vec<u32>,
    pub(crate) device_features: Vec<F>,
    pub(crate) link_features: Vec<F>,
}

impl<F: Real> Slots<F> {
    /// `rows` rows, each in any of the slots; all numbers within ±1.
    pub(crate) fn draw(shape: &SetShape, servers: &[u32], rows: usize, rng: &mut impl Rng) -> Self {
        let slot_of: Vec<u32> =
            (0..rows).map(|_| rng.random_range(0..servers.len() as u32)).collect();
        let all: usize = servers.iter().map(|&servers| servers as usize).sum();
        let pairs: usize = slot_of.iter().map(|&slot| servers[slot as usize] as usize).sum();
        let mut numbers = |count: usize| -> Vec<F> {
            (0..count).map(|_| F::of(rng.random_range(-1.0..1.0))).collect()
        };
        Self {
            servers: servers.to_vec(),
            loads: numbers(all * shape.history_slots),
            server_features: numbers(all * shape.server_features),
            slot_of,
            device_features: numbers(rows * shape.device_features),
            link_features: numbers(pairs * shape.link_features),
        }
    }

    pub(crate) fn batch(&self) -> SetBatch<'_, F> {
        SetBatch {
            servers: &self.servers,
            loads: &self.loads,
            server_features: &self.server_features,
            slot_of: &self.slot_of,
            device_features: &self.device_features,
            link_features: &self.link_features,
        }
    }

    /// The batch of one row and its slot alone.
    pub(crate) fn row(&self, shape: &SetShape, row: usize) -> Self {
        let count = |slots: &[u32]| slots.iter().map(|&slot| self.servers[slot as usize]).sum();
        let part = |numbers: &[F], first: u32, count: u32, each: usize| {
            numbers[first as usize * each..(first + count) as usize * each].to_vec()
        };
        let slot = self.slot_of[row];
        let servers = self.servers[slot as usize];
        let before: u32 = self.servers[..slot as usize].iter().sum();
        let pairs: u32 = count(&self.slot_of[..row]);
        Self {
            servers: vec![servers],
            loads: part(&self.loads, before, servers, shape.history_slots),
            server_features: part(&self.server_features, before, servers, shape.server_features),
            slot_of: vec![0],
            device_features: part(&self.device_features, row as u32, 1, shape.device_features),
            link_features: part(&self.link_features, pairs, servers, shape.link_features),
        }
    }

    /// The batch of one slot with server `order[j]` in place of server j.
    pub(crate) fn reordered(&self, shape: &SetShape, order: &[usize]) -> Self {
        let of_servers = |numbers: &[F], each: usize| -> Vec<F> {
            let rows = numbers.chunks_exact((order.len() * each).max(1));
            rows.flat_map(|row| {
                order.iter().flat_map(move |&server| row[server * each..][..each].iter().copied())
            })
            .collect()
        };
        Self {
            loads: of_servers(&self.loads, 1),
            server_features: of_servers(&self.server_features, shape.server_features),
            link_features: of_servers(&self.link_features, shape.link_features),
            ..self.clone()
        }
    }
}

/// Parameters with biases of their own, the LSTM's too.
pub(crate) fn draw_parameters<F: Real>(shape: &SetShape, seed: u64) -> Vec<F> {
    let mut rng = stream(seed, 1);
    let initial = Initial::Normal { weights: 0.4, biases: 0.1 };
    let mut parameters: Vec<F> = shape.initial(initial, &mut rng);
    parameters.iter_mut().for_each(|parameter| *parameter += F::of(rng.random_range(-0.2..0.2)));
    parameters
}
