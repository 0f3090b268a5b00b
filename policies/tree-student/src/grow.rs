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
use crate::states::States;
use crate::tree::{GrownNode, Tree};

/// As many states as there are, each as often as its share of all weights asks for, rounded down or
/// up (systematic resampling): smartcore knows no weights. The weights are costs if `weighted` and
/// any state costs something; else all are 1, and each state is there once.
///
/// Independent draws would lose a third of the states, costly ones too.
fn draw(states: &States, weighted: bool, rng: &mut Xoshiro256PlusPlus) -> Vec<usize> {
    let count = states.len();
    let sum: f64 = states.costs.iter().map(|&cost| f64::from(cost)).sum();
    if !weighted || sum <= 0.0 {
        return (0..count).collect();
    }
    let start = rng.random::<f64>();
    let mut drawn = Vec::with_capacity(count);
    let mut before = 0.0;
    for (state, &cost) in states.costs.iter().enumerate() {
        before += f64::from(cost);
        // A tooth of the comb after every whole number, `start` behind it.
        while drawn.len() < count && drawn.len() as f64 + start < before / sum * count as f64 {
            drawn.push(state);
        }
    }
    drawn
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
    let drawn = draw(states, parameters.weighted, rng);
    let actions: Vec<u32> = drawn.iter().map(|&state| states.actions[state]).collect();
    // A tree of one class, or of none, smartcore refuses.
    let first = actions.first().copied().unwrap_or(0);
    if actions.iter().all(|&action| action == first) {
        return Ok(vec![Tree::leaf(first); parameters.trees as usize]);
    }
    // Column by column, as smartcore reads them.
    let values =
        |column: usize| drawn.iter().map(move |state| states.columns[state * width + column]);
    let values = (0..width).flat_map(values).collect();
    let rows = DenseMatrix::new(drawn.len(), width, values, true)?;
    // smartcore counts a tree's seed up from this, and must not reach the end.
    let seed = rng.random::<u32>().into();
    let grown = if parameters.trees == 1 {
        let parameters = DecisionTreeClassifierParameters {
            max_depth: Some(parameters.max_depth),
            min_samples_leaf: parameters.min_leaf,
            seed: Some(seed),
            ..DecisionTreeClassifierParameters::default()
        };
        let tree = DecisionTreeClassifier::fit(&rows, &actions, parameters)?;
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
        let forest = RandomForestClassifier::fit(&rows, &actions, parameters)?;
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
    /// Each costs what `cost` says.
    fn states(cost: impl Fn(u32) -> f32) -> States {
        let mut states = States::default();
        for n in 0..200_u32 {
            let x = (n as f32 * 0.37).fract();
            let action = if x > 0.5 { 2 } else { 1 };
            states.add(&[x, (n as f32 * 0.73).fract()], action, cost(action));
        }
        states
    }

    #[test]
    fn each_state_is_drawn_as_often_as_its_share_rounded_down_or_up() {
        let mut states = States::default();
        let costs = [0.0, 0.3, 1.0, 2.0, 0.4, 2.3, 0.0];
        for (n, &cost) in costs.iter().enumerate() {
            states.add(&[n as f32], 0, cost);
        }
        for seed in 0..50 {
            let drawn = draw(&states, true, &mut stream(seed, 0));
            assert_eq!(drawn.len(), costs.len());
            for (state, cost) in costs.iter().enumerate() {
                let times = drawn.iter().filter(|&&drawn| drawn == state).count() as f32;
                let share = cost / costs.iter().sum::<f32>() * costs.len() as f32;
                assert!((share.floor()..=share.ceil()).contains(&times), "{state}: {times}");
            }
        }
        assert!(draw(&states, false, &mut stream(1, 0)).into_iter().eq(0..costs.len()));
    }

    #[test]
    fn trees_and_forests_decide_as_the_states_say() {
        for trees in [1, 5] {
            let parameters = Parameters { trees, ..Parameters::default() };
            let grown = grow(&states(|_| 1.0), 2, &parameters, &mut stream(1, 0)).unwrap();
            assert_eq!(grown.len(), trees as usize);
            for tree in &grown {
                assert_eq!(tree.decide(&[0.4, 0.9]), 1);
                assert_eq!(tree.decide(&[0.6, 0.1]), 2);
            }
            let again = grow(&states(|_| 1.0), 2, &parameters, &mut stream(1, 0)).unwrap();
            assert_eq!(grown, again);
        }
    }

    /// Where states that look the same were decided differently, cost decides instead of number.
    #[test]
    fn states_weigh_as_much_as_a_wrong_decision_costs() {
        let mut states = States::default();
        // On either side of 0.5 three cheap decisions against one that costs as much as nine.
        for n in 0..160_u32 {
            let x = if n % 2 == 0 { 0.25 } else { 0.75 };
            let (rare, often) = if n % 2 == 0 { (1, 2) } else { (2, 1) };
            let number = n as f32 / 160.0;
            let (action, cost) =
                if n % 8 < 2 { (rare, 9.0 + number) } else { (often, 1.0 + number) };
            states.add(&[x, 0.0], action, cost);
        }
        assert_eq!(states.len(), 160);
        for (weighted, expected) in [(true, [1, 2]), (false, [2, 1])] {
            let parameters = Parameters { weighted, ..Parameters::default() };
            let tree = grow(&states, 2, &parameters, &mut stream(1, 0)).unwrap().remove(0);
            assert_eq!([0.2, 0.8].map(|x| tree.decide(&[x, 0.0])), expected);
        }
    }

    #[test]
    fn what_costs_nothing_is_not_learned() {
        // The states above 0.5 could be decided either way.
        let states = states(|action| if action == 2 { 0.0 } else { 1.0 });
        let of = |weighted| {
            let parameters = Parameters { weighted, ..Parameters::default() };
            grow(&states, 2, &parameters, &mut stream(1, 0)).unwrap().remove(0)
        };
        assert_eq!(of(true), Tree::leaf(1));
        assert_eq!(of(false).decide(&[0.9, 0.0]), 2);
    }
}
