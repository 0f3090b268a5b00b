//! Priorities of experiences: proportional prioritised replay (Schaul and others 2016).

use rand::Rng;

/// Weights of places, and sums over them in a tree: a draw in proportion to the weights, and a change
/// of one, take the logarithm of their number.
///
/// Each sum is that of its two halves, whatever was set before: a tree of the same weights is the
/// same tree, so that the weights alone are to be saved.
#[derive(Clone, Debug, PartialEq)]
pub struct SumTree {
    /// The number of leaves, a power of two.
    leaves: usize,
    /// Node 1 is the root, and node n has the children 2n and 2n + 1.
    sums: Vec<f64>,
}

impl SumTree {
    /// Room for `places` weights, all 0.
    pub fn new(places: usize) -> Self {
        let leaves = places.next_power_of_two();
        Self { leaves, sums: vec![0.0; 2 * leaves] }
    }

    /// Sets the weight of a place, finite and 0 or above.
    ///
    /// # Panics
    /// If there is no such place.
    pub fn set(&mut self, place: usize, weight: f64) {
        let mut node = self.leaves + place;
        self.sums[node] = weight;
        while node > 1 {
            node /= 2;
            self.sums[node] = self.sums[2 * node] + self.sums[2 * node + 1];
        }
    }

    /// The weight of a place.
    ///
    /// # Panics
    /// If there is no such place.
    pub fn weight(&self, place: usize) -> f64 {
        self.sums[self.leaves + place]
    }

    /// The sum of all weights.
    pub fn total(&self) -> f64 {
        self.sums[1]
    }

    /// Draws a place with a probability in proportion to its weight; some weight is above 0.
    pub fn draw(&self, rng: &mut impl Rng) -> usize {
        self.find(rng.random::<f64>() * self.total())
    }

    /// The place at which the running sum of the weights exceeds `sum`, 0 or above; the last of a
    /// weight above 0 if none does.
    fn find(&self, mut sum: f64) -> usize {
        let mut node = 1;
        while node < self.leaves {
            let [left, right] = [2 * node, 2 * node + 1];
            // Rounding may leave a rest where there is nothing.
            node = if sum < self.sums[left] || self.sums[right] == 0.0 {
                left
            } else {
                sum -= self.sums[left];
                right
            };
        }
        node - self.leaves
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream;

    #[test]
    fn places_are_found_by_running_sums() {
        let mut tree = SumTree::new(5);
        for (place, weight) in [(0, 1.0), (1, 0.0), (2, 2.0), (4, 4.0)] {
            tree.set(place, weight);
        }
        assert_eq!((tree.total(), tree.weight(2)), (7.0, 2.0));
        let found = [0.0, 0.9, 1.0, 2.9, 3.0, 6.9, 7.0, 9.0].map(|sum| tree.find(sum));
        assert_eq!(found, [0, 0, 2, 2, 4, 4, 4, 4]);
        tree.set(4, 0.0);
        assert_eq!(tree.find(9.0), 2);
    }

    #[test]
    fn draws_follow_the_weights_and_the_weights_make_the_tree() {
        let (mut tree, mut rng) = (SumTree::new(300), stream(3, 0));
        for _ in 0..2000 {
            tree.set(rng.random_range(0..300), rng.random::<f64>());
        }
        let mut again = SumTree::new(300);
        (0..300).for_each(|place| again.set(place, tree.weight(place)));
        assert_eq!(again, tree);
        let mut counts = vec![0_u32; 300];
        (0..200_000).for_each(|_| counts[tree.draw(&mut rng)] += 1);
        for (place, &count) in counts.iter().enumerate() {
            let expected = 200_000.0 * tree.weight(place) / tree.total();
            let error = (f64::from(count) - expected).abs();
            assert!(error <= 5.0 * expected.sqrt() + 1.0, "{place}: {count}, not {expected}");
        }
    }
}
