//! Growing: smartcore's trees and forests, on states drawn by the cost of a wrong decision.

use rand::Rng;
use rand_xoshiro::Xoshiro256PlusPlus;
use serde_json::Value;
use smartcore::ensemble::random_forest_classifier::{
    RandomForestClassifier, RandomForestClassifierParameters,
};
use smartcore::linalg::basic::matrix::DenseMatrix;
use smartcore::tree::decision_tree_classifier::{
    DecisionTreeClassifier, DecisionTreeClassifierParameters,
};

use offramp_plugin::Error;

use crate::parameters::Parameters;
use crate::tree::{GrownNode, Tree};

/// States with the teacher's decisions.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct States {
    /// States × columns.
    pub(crate) columns: Vec<f32>,
    /// The teacher's decisions.
    pub(crate) actions: Vec<u32>,
    /// Cost of the worst decision: max Q − min Q.
    pub(crate) costs: Vec<f32>,
}

impl States {
    /// As many states again, each drawn with a probability in proportion to its cost: smartcore
    /// knows no weights.
    fn drawn(&self, width: usize, rng: &mut Xoshiro256PlusPlus) -> Self {
        let mut sum = 0.0;
        let sums: Vec<f64> = self
            .costs
            .iter()
            .map(|&cost| {
                sum += f64::from(cost);
                sum
            })
            .collect();
        let mut drawn = Self::default();
        for _ in 0..self.actions.len() {
            let at = rng.random::<f64>() * sum;
            let state = sums.partition_point(|&sum| sum <= at).min(self.actions.len() - 1);
            drawn.columns.extend_from_slice(&self.columns[state * width..(state + 1) * width]);
            drawn.actions.push(self.actions[state]);
            drawn.costs.push(self.costs[state]);
        }
        drawn
    }
}

/// Grows the trees of `states`, each of `width` columns, with random numbers from `rng`.
///
/// # Errors
/// If smartcore fails, or writes trees in a way that is not known here.
pub(crate) fn grow(
    states: &States,
    width: usize,
    parameters: &Parameters,
    rng: &mut Xoshiro256PlusPlus,
) -> Result<Vec<Tree>, Error> {
    let costly = states.costs.iter().any(|&cost| cost > 0.0);
    let states = &match parameters.weighted && costly {
        true => states.drawn(width, rng),
        false => states.clone(),
    };
    // A tree of one class, or of none, smartcore refuses.
    let first = states.actions.first().copied().unwrap_or(0);
    if states.actions.iter().all(|&action| action == first) {
        return Ok(vec![Tree::leaf(first); parameters.trees as usize]);
    }
    let rows = states.columns.chunks_exact(width).map(<[f32]>::to_vec).collect();
    let rows = DenseMatrix::from_2d_vec(&rows)?;
    // smartcore counts a tree's seed up from this, and must not reach the end.
    let seed = rng.random::<u32>().into();
    let grown = if parameters.trees == 1 {
        let parameters = DecisionTreeClassifierParameters {
            max_depth: Some(parameters.max_depth),
            min_samples_leaf: parameters.min_leaf,
            seed: Some(seed),
            ..DecisionTreeClassifierParameters::default()
        };
        let tree = DecisionTreeClassifier::fit(&rows, &states.actions, parameters)?;
        vec![serde_json::to_value(tree)?]
    } else {
        let parameters = RandomForestClassifierParameters {
            max_depth: Some(parameters.max_depth),
            min_samples_leaf: parameters.min_leaf,
            n_trees: parameters.trees,
            m: Some((width / 2).max(1)),
            seed,
            ..RandomForestClassifierParameters::default()
        };
        let forest = RandomForestClassifier::fit(&rows, &states.actions, parameters)?;
        match serde_json::to_value(forest)?.get_mut("trees").map(Value::take) {
            Some(Value::Array(trees)) => trees,
            _ => Vec::new(),
        }
    };
    let unlike = || Error::new("smartcore's tree is not written as it was when this was built");
    let trees = grown.iter().map(|tree| read(tree).ok_or_else(unlike)).collect::<Result<_, _>>()?;
    Ok(trees)
}

/// A tree out of smartcore's serialised form, the only way to its nodes.
fn read(tree: &Value) -> Option<Tree> {
    let classes = tree.get("classes")?.as_array()?;
    let index = |value: &Value| value.as_u64().map(|index| index as usize);
    let nodes = tree.get("nodes")?.as_array()?.iter().map(|node| {
        let action = classes.get(index(node.get("output")?)?)?.as_u64()? as u32;
        let child = |name: &str| node.get(name).and_then(index);
        let split = match (child("true_child"), child("false_child")) {
            (Some(yes), Some(no)) => {
                let threshold = node.get("split_value")?.as_f64()?;
                Some((index(node.get("split_feature")?)?, threshold, yes, no))
            }
            _ => None,
        };
        Some(GrownNode { action, split })
    });
    Tree::of(&nodes.collect::<Option<Vec<_>>>()?)
}

#[cfg(test)]
mod tests {
    use offramp_nn::stream;

    use super::*;

    /// The decision is 2 where the first column is above 0.5, else 1; the second says nothing.
    fn states() -> States {
        let mut states = States::default();
        for n in 0..200_u32 {
            let x = (n as f32 * 0.37).fract();
            states.columns.extend([x, (n as f32 * 0.73).fract()]);
            states.actions.push(if x > 0.5 { 2 } else { 1 });
            states.costs.push(1.0);
        }
        states
    }

    #[test]
    fn trees_and_forests_decide_as_the_states_say() {
        for trees in [1, 5] {
            let parameters = Parameters { trees, ..Parameters::default() };
            let grown = grow(&states(), 2, &parameters, &mut stream(1, 0)).unwrap();
            assert_eq!(grown.len(), trees as usize);
            for tree in &grown {
                assert_eq!(tree.decide(&[0.4, 0.9]), 1);
                assert_eq!(tree.decide(&[0.6, 0.1]), 2);
            }
            let again = grow(&states(), 2, &parameters, &mut stream(1, 0)).unwrap();
            assert_eq!(grown, again);
        }
    }

    #[test]
    fn what_costs_nothing_is_not_learned() {
        let mut states = states();
        // The states above 0.5 could be decided either way.
        for (cost, &action) in states.costs.iter_mut().zip(&states.actions) {
            *cost = if action == 2 { 0.0 } else { 1.0 };
        }
        let of = |weighted| {
            let parameters = Parameters { weighted, ..Parameters::default() };
            grow(&states, 2, &parameters, &mut stream(1, 0)).unwrap().remove(0)
        };
        assert_eq!(of(true), Tree::leaf(1));
        assert_eq!(of(false).decide(&[0.9, 0.0]), 2);
    }
}
