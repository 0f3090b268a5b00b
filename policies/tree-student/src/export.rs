//! Trees as C: the interface of exported networks (`NAME_decide`), so that a device can
//! exchange one for the other. A decision follows each tree in a loop, without recursion, and
//! needs a few bytes per column and action on the stack.

use std::fmt::Write;

use offramp_nn::checkpoint::{Checkpoint, CheckpointError};
use offramp_nn::checkpoint_spec::expect_kind;
use offramp_nn::export::{ExportError, ExportedFile, Origin, Request, c};
use offramp_nn::inputs::Inputs;

use crate::columns::Columns;
use crate::policy::KIND;
use crate::tree::{self, Node, Tree};

/// The formats in which trees can be exported.
pub(crate) const FORMATS: [&str; 1] = ["c"];

/// Writes the tree or forest of a device, or of all, of a deployed checkpoint.
///
/// # Errors
/// [`ExportError`] if there is no such format or network, or the checkpoint is not of trees.
pub(crate) fn export(
    checkpoint: &[u8],
    request: &Request<'_>,
) -> Result<Vec<ExportedFile>, ExportError> {
    if !FORMATS.contains(&request.format) {
        let (asked, known) = (request.format.to_owned(), FORMATS.to_vec());
        return Err(ExportError::NoSuchFormat { asked, known });
    }
    let checkpoint = Checkpoint::from_bytes(checkpoint).map_err(ExportError::Unreadable)?;
    let (columns, trees, networks) = read(&checkpoint).map_err(ExportError::OtherArchitecture)?;
    let origin = Origin::new(&checkpoint, request, networks)?;
    let of_one = trees.len() / networks;
    Ok(files(&origin, &columns, &trees[request.network * of_one..][..of_one]))
}

/// The columns, all trees, and the number of networks of a deployed checkpoint.
fn read(checkpoint: &Checkpoint) -> Result<(Columns, Vec<Tree>, usize), CheckpointError> {
    expect_kind(checkpoint, KIND)?;
    checkpoint.expect_finite()?;
    let columns = Columns::new(&Inputs::of(checkpoint)?);
    let trees = tree::take(checkpoint, columns.len(), columns.servers() + 1)?;
    let networks = checkpoint.size("networks")?;
    if trees.is_empty() || trees.len() % networks != 0 {
        return Err(CheckpointError::Mismatch {
            found: format!("has {networks} networks"),
            wanted: format!("a divisor of its {} trees is needed", trees.len()),
        });
    }
    Ok((columns, trees, networks))
}

/// The header and source of a tree, or of a forest that votes.
fn files(origin: &Origin, columns: &Columns, trees: &[Tree]) -> Vec<ExportedFile> {
    let nodes: usize = trees.iter().map(Tree::len).sum();
    let actions = columns.servers() + 1;
    // Columns, actions and nodes of a tree fit into 16 bits unless a tree is very large.
    let largest = trees.iter().map(Tree::len).max().unwrap_or(0).max(columns.len()).max(actions);
    let (index, index_bytes) = if largest < 1 << 16 { ("uint16_t", 2) } else { ("uint32_t", 4) };
    let mut source = format!(
        "{SOURCE_HEAD}\ntypedef {index} tree_index;\n\n\
         enum {{ F = {{NAME}}_FEATURES, K = {{NAME}}_HISTORY_SLOTS, M = {{NAME}}_SERVERS, \
         TREES = {}, NODES = {nodes} }};\n\n",
        trees.len()
    );
    let thresholds = each(trees, |node| match *node {
        Node::Leaf { .. } => 0.0,
        Node::Split { threshold, .. } => threshold,
    });
    let meanings = each(trees, |node| match *node {
        Node::Leaf { action } => action,
        Node::Split { column, .. } => column,
    });
    let others = each(trees, |node| match *node {
        Node::Leaf { .. } => 0,
        Node::Split { otherwise, .. } => otherwise,
    });
    let mut root = 0;
    let roots: Vec<u32> = trees
        .iter()
        .map(|tree| {
            let own = root;
            root += tree.len() as u32;
            own
        })
        .collect();
    c::array(&mut source, "static const float threshold[NODES]", &thresholds);
    indices(&mut source, "static const tree_index column_or_action[NODES]", &meanings);
    indices(&mut source, "static const tree_index otherwise[NODES]", &others);
    indices(&mut source, "static const uint32_t root[TREES]", &roots);
    source += SOURCE_TAIL;
    let header = c::header(origin, "", "", DECISION);
    let flash_bytes = nodes * (4 + 2 * index_bytes) + 4 * trees.len();
    // The local arrays of policy_decide: columns and votes.
    let stack_bytes = 4 * columns.len() + 2 * actions;
    c::pair(origin, &header, &source, flash_bytes, stack_bytes)
}

/// A number of each node, tree by tree.
fn each<T>(trees: &[Tree], number: impl Fn(&Node) -> T) -> Vec<T> {
    trees.iter().flat_map(Tree::nodes).map(number).collect()
}

/// Appends an array of whole numbers.
fn indices(source: &mut String, declared: &str, values: &[u32]) {
    let _ = writeln!(source, "{declared} = {{");
    for row in values.chunks(16) {
        let numbers: Vec<String> = row.iter().map(ToString::to_string).collect();
        let _ = writeln!(source, "    {},", numbers.join(", "));
    }
    let _ = writeln!(source, "}};\n");
}

const DECISION: &str = "\
/* The action that most trees choose (on ties, the first): 0 computes locally, j offloads to
   server j. */
";

const SOURCE_HEAD: &str = "\
/* Exported by offramp; see {name}.h. Compile as C99 or C++11. */
#include \"{name}.h\"

#include <stdint.h>
";

const SOURCE_TAIL: &str = "\
/* Node n of a tree with root r: if otherwise[n] is 0, a decision for action column_or_action[n];
   else, if column column_or_action[n] is at most threshold[n], node n + 1 is next, and if not,
   node r + otherwise[n]. */
static int decide(uint32_t r, const float column[F + 2 * M]) {
    uint32_t n = r;
    while (otherwise[n] != 0)
        n = column[column_or_action[n]] <= threshold[n] ? n + 1 : r + otherwise[n];
    return (int)column_or_action[n];
}

int {name}_decide(const float features[F], const float history[K * M]) {
    /* The features, the newest load of every server, and its mean load. */
    float column[F + 2 * M];
    uint16_t votes[M + 1] = {0};
    int best = 0;
    for (int n = 0; n < F; n++) column[n] = features[n];
    for (int server = 0; server < M; server++) {
        float sum = 0.0f;
        for (int slot = 0; slot < K; slot++) sum += history[slot * M + server];
        column[F + server] = history[(K - 1) * M + server];
        column[F + M + server] = sum / (float)K;
    }
    for (int tree = 0; tree < TREES; tree++) votes[decide(root[tree], column)]++;
    for (int action = 1; action <= M; action++)
        if (votes[action] > votes[best]) best = action;
    return best;
}
";

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use offramp_nn::checkpoint_spec::{CheckpointSpec, Stage};
    use offramp_nn::inputs::Scaling;
    use offramp_nn::{argmax, stream};
    use rand::Rng;
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;
    use crate::tree::GrownNode;

    /// Reads features and histories, and prints the decisions.
    const MAIN: &str = r#"
        #include <stdio.h>
        #include "policy.h"
        int main(void) {
            float features[POLICY_FEATURES], history[POLICY_HISTORY_SLOTS * POLICY_SERVERS];
            for (;;) {
                for (int n = 0; n < POLICY_FEATURES; n++)
                    if (scanf("%f", &features[n]) != 1) return 0;
                for (int n = 0; n < POLICY_HISTORY_SLOTS * POLICY_SERVERS; n++)
                    if (scanf("%f", &history[n]) != 1) return 1;
                printf("%d\n", policy_decide(features, history));
            }
        }
    "#;

    fn inputs() -> Inputs {
        Inputs {
            observation: "Paper".to_owned(),
            features: ["size", "queue", "alpha"].map(str::to_owned).to_vec(),
            scaling: Scaling::identity(3),
            history_slots: 5,
            servers: 4,
            devices: 2,
        }
    }

    fn request(format: &str, network: usize) -> Request<'_> {
        Request { format, network, name: "policy" }
    }

    fn columns() -> Columns {
        Columns::new(&inputs())
    }

    /// A full tree with random splits and decisions.
    fn random_tree(depth: u32, rng: &mut Xoshiro256PlusPlus) -> Tree {
        let splits = (1 << depth) - 1;
        let grown: Vec<GrownNode> = (0..2 * splits + 1)
            .map(|node| {
                let column = rng.random_range(0..columns().len());
                // Loads and their means often meet such a threshold exactly.
                let threshold = f64::from(rng.random_range(0..40_u8)) / 5.0;
                let split = (column, threshold, 2 * node + 1, 2 * node + 2);
                let action = rng.random_range(0..5);
                GrownNode { action, split: (node < splits).then_some(split) }
            })
            .collect();
        Tree::of(&grown).unwrap()
    }

    fn checkpoint(trees: &[Tree], networks: usize) -> Vec<u8> {
        let spec = CheckpointSpec::new(KIND, inputs()).require("networks", networks, "");
        let mut checkpoint = spec.describe(Stage::Deployed);
        tree::put(trees, &mut checkpoint);
        checkpoint.to_bytes().unwrap()
    }

    /// The decisions of exported C on rows of features and windows.
    fn decisions(name: &str, files: &[ExportedFile], rows: &[(Vec<f64>, Vec<f64>)]) -> Vec<usize> {
        let folder = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for ExportedFile { name, bytes, .. } in files {
            std::fs::write(folder.join(name), bytes).unwrap();
        }
        std::fs::write(folder.join("main.c"), MAIN).unwrap();
        let built = Command::new("cc")
            .current_dir(&folder)
            .args(["-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-pedantic", "-o", "main"])
            .args(["main.c", "policy.c"])
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let mut child = Command::new(folder.join("main"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let line = |(features, window): &(Vec<f64>, Vec<f64>)| {
            let numbers = features.iter().chain(window).map(|&x| (x as f32).to_string());
            numbers.collect::<Vec<_>>().join(" ") + "\n"
        };
        let input: String = rows.iter().map(line).collect();
        let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()).unwrap());
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        printed.lines().map(|line| line.parse().unwrap()).collect()
    }

    #[test]
    fn exported_trees_and_forests_decide_as_before() {
        let mut rng = stream(3, 0);
        for (name, per_group) in [("tree", 1), ("forest", 7)] {
            let trees: Vec<Tree> = (0..2 * per_group).map(|_| random_tree(6, &mut rng)).collect();
            let files = export(&checkpoint(&trees, 2), &request("c", 1)).unwrap();
            let rows: Vec<(Vec<f64>, Vec<f64>)> = (0..2000)
                .map(|_| {
                    let features = (0..3).map(|_| rng.random_range(0.0..8.0)).collect();
                    let window = (0..20).map(|_| f64::from(rng.random_range(0..9_u8))).collect();
                    (features, window)
                })
                .collect();
            let ours = decisions(&format!("offramp-exported-{name}"), &files, &rows);
            assert_eq!(ours.len(), rows.len());
            let mut row = vec![0.0; columns().len()];
            for ((features, window), ours) in rows.iter().zip(ours) {
                columns().fill(features, window, &mut row);
                let mut votes = [0; 5];
                for tree in &trees[per_group..] {
                    votes[tree.decide(&row) as usize] += 1;
                }
                assert_eq!(ours, argmax(&votes), "{features:?} {window:?}");
            }
        }
    }

    #[test]
    fn the_note_has_the_memory() {
        let tree = Tree::of(&[
            GrownNode { action: 0, split: Some((0, 1.0, 1, 2)) },
            GrownNode { action: 0, split: None },
            GrownNode { action: 1, split: None },
        ]);
        let files = export(&checkpoint(&[tree.unwrap()], 1), &request("c", 0)).unwrap();
        let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["policy.h", "policy.c"]);
        assert_eq!(files[1].note, "28 bytes of constants (flash), 54 bytes of stack");
    }

    #[test]
    fn what_cannot_be_exported_says_why() {
        let one = checkpoint(&[Tree::leaf(1)], 1);
        let error =
            |bytes: &[u8], format, group| export(bytes, &request(format, group)).unwrap_err();
        assert_eq!(
            error(&one, "onnx", 0).to_string(),
            "cannot be exported as `onnx`; the formats are c"
        );
        assert_eq!(
            error(&one, "c", 1).to_string(),
            "has 1 network, network 0; network 1 does not exist"
        );
        assert!(matches!(error(&one[..40], "c", 0), ExportError::Unreadable(_)));
        let other = CheckpointSpec::new("student", inputs()).describe(Stage::Deployed);
        let other = other.to_bytes().unwrap();
        assert_eq!(
            error(&other, "c", 0).to_string(),
            "cannot be exported: the file is a checkpoint of `student`, not of `tree-student`"
        );
    }
}
