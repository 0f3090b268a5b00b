//! A decision tree as a device has it: a few bytes a node, and rules that a person can read.

use offramp_nn::checkpoint::{Checkpoint, CheckpointError};

/// A node; the child for which the comparison holds follows right behind it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Node {
    /// A decision.
    Leaf { action: u32 },
    /// If `columns[column] <= threshold`, continue with the next node, otherwise with the node
    /// `otherwise`.
    Split { column: u32, threshold: f32, otherwise: u32 },
}

/// Bytes of a node as checkpoints record it: threshold, column or action, the other child.
pub(crate) const NODE_BYTES: usize = 12;

/// A node of a grown tree, in any order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct GrownNode {
    /// Its decision, if it is a leaf.
    pub(crate) action: u32,
    /// Column, threshold, child if `<=`, child if not.
    pub(crate) split: Option<(usize, f64, usize, usize)>,
}

/// Decides from columns of numbers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
}

impl Tree {
    /// Decides always the same.
    pub(crate) fn leaf(action: u32) -> Self {
        Self { nodes: vec![Node::Leaf { action }] }
    }

    /// From grown nodes, of which the first is the root; splits that make no difference are
    /// left out. `None` if a child is not there, or a node is its own descendant.
    pub(crate) fn of(grown: &[GrownNode]) -> Option<Self> {
        let mut nodes = Vec::new();
        append(grown, 0, 0, &mut nodes)?;
        Some(Self { nodes })
    }

    /// Its nodes; the first is the root.
    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Number of nodes.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The decision on a row of columns.
    pub(crate) fn decide(&self, columns: &[f32]) -> u32 {
        let mut at = 0;
        loop {
            match self.nodes[at] {
                Node::Leaf { action } => return action,
                Node::Split { column, threshold, otherwise } => {
                    let holds = columns[column as usize] <= threshold;
                    at = if holds { at + 1 } else { otherwise as usize };
                }
            }
        }
    }

    /// Its rules, one per line, indented.
    pub(crate) fn rules(&self, columns: &[String]) -> String {
        let mut text = String::new();
        // Nodes still to be written, the next at the end; `true` if it is an other child.
        let mut waiting = vec![(0, 0, false)];
        while let Some((at, depth, is_other)) = waiting.pop() {
            if is_other {
                text += &format!("{}else\n", "  ".repeat(depth - 1));
            }
            let indent = "  ".repeat(depth);
            match self.nodes[at] {
                Node::Leaf { action: 0 } => text += &format!("{indent}compute locally\n"),
                Node::Leaf { action } => text += &format!("{indent}offload to server {action}\n"),
                Node::Split { column, threshold, otherwise } => {
                    let name = &columns[column as usize];
                    text += &format!("{indent}if {name} <= {threshold}\n");
                    waiting.push((otherwise as usize, depth + 1, true));
                    waiting.push((at + 1, depth + 1, false));
                }
            }
        }
        text
    }
}

/// Puts the node `at` and all below it at the end of `nodes`.
fn append(grown: &[GrownNode], at: usize, depth: usize, nodes: &mut Vec<Node>) -> Option<()> {
    let node = grown.get(at)?;
    let Some((column, threshold, yes, no)) = node.split else {
        nodes.push(Node::Leaf { action: node.action });
        return Some(());
    };
    if depth > grown.len() {
        return None;
    }
    // The largest f32 not above: for numbers that are f32 the comparison stays the same.
    let nearest = threshold as f32;
    let threshold = if f64::from(nearest) > threshold { nearest.next_down() } else { nearest };
    let this = nodes.len();
    nodes.push(Node::Leaf { action: node.action });
    append(grown, yes, depth + 1, nodes)?;
    let otherwise = nodes.len();
    append(grown, no, depth + 1, nodes)?;
    match nodes[this + 1..] {
        // Both ways the same: the split decides nothing.
        [Node::Leaf { action }, Node::Leaf { action: other }] if action == other => {
            nodes.truncate(this + 1);
            nodes[this] = Node::Leaf { action };
        }
        _ => {
            let (column, otherwise) = (column as u32, otherwise as u32);
            nodes[this] = Node::Split { column, threshold, otherwise };
        }
    }
    Some(())
}

/// A leaf's mark among the other children; no node is that far.
const LEAF: u64 = u32::MAX as u64;

/// Puts trees into a checkpoint.
pub(crate) fn put(trees: &[Tree], checkpoint: &mut Checkpoint) {
    let nodes = || trees.iter().flat_map(|tree| &tree.nodes);
    checkpoint.put_u64("tree_nodes", trees.iter().map(|tree| tree.nodes.len() as u64));
    checkpoint.put_u64(
        "column_or_action",
        nodes().map(|node| match node {
            Node::Leaf { action } => u64::from(*action),
            Node::Split { column, .. } => u64::from(*column),
        }),
    );
    checkpoint.put_u64(
        "otherwise",
        nodes().map(|node| match node {
            Node::Leaf { .. } => LEAF,
            Node::Split { otherwise, .. } => u64::from(*otherwise),
        }),
    );
    let thresholds = nodes().map(|node| match node {
        Node::Leaf { .. } => 0.0,
        Node::Split { threshold, .. } => *threshold,
    });
    let count = nodes().count();
    checkpoint.put_f32("threshold", &[count], thresholds);
}

/// Takes trees out of a checkpoint; `columns` and `actions` are how many there may be.
pub(crate) fn take(
    checkpoint: &Checkpoint,
    columns: usize,
    actions: usize,
) -> Result<Vec<Tree>, CheckpointError> {
    let wrong = |found: String| CheckpointError::Mismatch {
        found: format!("has a tree {found}"),
        wanted: "one that can be followed to a decision is needed".to_owned(),
    };
    let sizes = checkpoint.u64("tree_nodes")?;
    let meaning = checkpoint.u64("column_or_action")?;
    let otherwise = checkpoint.u64("otherwise")?;
    let thresholds = checkpoint.f32("threshold")?;
    let total = sizes.iter().try_fold(0_u64, |sum, &size| sum.checked_add(size));
    let lengths = [meaning.len(), otherwise.len(), thresholds.len()];
    if lengths.iter().any(|&length| Some(length as u64) != total) {
        return Err(wrong(format!("in {lengths:?} parts")));
    }
    let mut parts = meaning.iter().zip(&otherwise).zip(&thresholds);
    let mut trees = Vec::with_capacity(sizes.len());
    for size in sizes {
        let mut nodes = Vec::with_capacity(size as usize);
        for (at, ((&meaning, &other), &threshold)) in parts.by_ref().take(size as usize).enumerate()
        {
            nodes.push(if other == LEAF && meaning < actions as u64 {
                Node::Leaf { action: meaning as u32 }
            } else if at as u64 + 1 < other && other < size && meaning < columns as u64 {
                // Both children stand behind: following the tree comes to an end.
                let (column, otherwise) = (meaning as u32, other as u32);
                Node::Split { column, threshold, otherwise }
            } else {
                return Err(wrong(format!("whose node {at} has {meaning} and {other}")));
            });
        }
        if !matches!(nodes.last(), Some(Node::Leaf { .. })) {
            return Err(wrong("without an end".to_owned()));
        }
        trees.push(Tree { nodes });
    }
    Ok(trees)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn leaf(action: u32) -> GrownNode {
        GrownNode { action, split: None }
    }

    fn split(column: usize, threshold: f64, yes: usize, no: usize) -> GrownNode {
        GrownNode { action: 0, split: Some((column, threshold, yes, no)) }
    }

    fn names() -> Vec<String> {
        vec!["size".to_owned(), "queue".to_owned()]
    }

    #[test]
    fn rules_are_what_it_decides() {
        let grown =
            [split(0, 2.5, 2, 1), split(1, 1.0, 3, 4), leaf(0), leaf(1), split(0, 9.0, 5, 6)];
        let tree = Tree::of(&[&grown[..], &[leaf(2), leaf(2)]].concat()).unwrap();
        let rules = "if size <= 2.5\n  compute locally\nelse\n  if queue <= 1\n    \
                     offload to server 1\n  else\n    offload to server 2\n";
        assert_eq!(tree.rules(&names()), rules);
        assert_eq!(tree.len(), 5); // the last split decided nothing
        assert_eq!(tree.decide(&[2.5, 0.0]), 0);
        assert_eq!(tree.decide(&[3.0, 1.0]), 1);
        assert_eq!(tree.decide(&[3.0, 1.1]), 2);
    }

    #[test]
    fn what_can_not_be_followed_is_refused() {
        assert_eq!(Tree::of(&[split(0, 1.0, 1, 2), leaf(0)]), None);
        assert_eq!(Tree::of(&[split(0, 1.0, 0, 0)]), None);
        let tree = Tree::of(&[split(1, 1.0, 1, 2), leaf(0), leaf(1)]).unwrap();
        let mut checkpoint = Checkpoint::default();
        put(&[tree.clone(), Tree::leaf(1)], &mut checkpoint);
        assert_eq!(take(&checkpoint, 2, 2).unwrap(), [tree, Tree::leaf(1)]);
        assert!(take(&checkpoint, 1, 2).is_err());
        assert!(take(&checkpoint, 2, 1).is_err());
        checkpoint.put_u64("otherwise", [0, LEAF, LEAF, LEAF]);
        assert!(take(&checkpoint, 2, 2).is_err());
        checkpoint.put_u64("tree_nodes", [u64::MAX, 2]);
        assert!(take(&checkpoint, 2, 2).is_err());
    }

    proptest! {
        #[test]
        fn a_threshold_as_f32_decides_as_before(threshold in -10.0..10.0_f64, x in -10.0..10.0_f32) {
            let tree = Tree::of(&[split(0, threshold, 1, 2), leaf(0), leaf(1)]).unwrap();
            for x in [x, threshold as f32, (threshold as f32).next_up()] {
                prop_assert_eq!(tree.decide(&[x]) == 0, f64::from(x) <= threshold);
            }
        }
    }
}
