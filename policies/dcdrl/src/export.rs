//! The deployed actor as C, with the interface of exported networks.

use offramp_nn::PerceptronShape;
use offramp_nn::checkpoint::{Checkpoint, CheckpointError};
use offramp_nn::checkpoint_spec::expect_kind;
use offramp_nn::export::c::perceptron;
use offramp_nn::export::{ExportError, ExportedFile, Origin, Request};
use offramp_nn::inputs::Inputs;

use crate::policy::KIND;

/// The formats in which the actor can be exported.
pub(crate) const FORMATS: [&str; 2] = ["c", "c-int8"];

/// Writes the actor of a deployed checkpoint; all devices share it, so the network is 0.
///
/// # Errors
/// [`ExportError`] if there is no such format or network, or the checkpoint is not of DC-DRL.
pub(crate) fn export(
    checkpoint: &[u8],
    request: &Request<'_>,
) -> Result<Vec<ExportedFile>, ExportError> {
    let checkpoint = Checkpoint::from_bytes(checkpoint).map_err(ExportError::Unreadable)?;
    let (shape, actor) = read(&checkpoint).map_err(ExportError::OtherArchitecture)?;
    perceptron(&Origin::new(&checkpoint, request, 1)?, &shape, &actor, request)
}

fn read(checkpoint: &Checkpoint) -> Result<(PerceptronShape, Vec<f32>), CheckpointError> {
    expect_kind(checkpoint, KIND)?;
    checkpoint.expect_finite()?;
    let Inputs { features, servers, .. } = Inputs::of(checkpoint)?;
    let shape = PerceptronShape {
        inputs: features.len() + servers,
        hidden: checkpoint.size("hidden")?,
        outputs: servers + 1,
    };
    let mut actor = checkpoint.take_vectors("actor", 1, shape.parameters())?;
    Ok((shape, actor.pop().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;
    use std::process::Command;

    use offramp_nn::{Perceptron, argmax, stream};
    use offramp_plugin::Saved;
    use offramp_plugin::testing::Bench;
    use rand::Rng;

    use super::*;
    use crate::policy::DcDrl;

    const ROWS: usize = 200;

    /// Prints the decision of each row.
    const MAIN: &str = r#"
        #include <stdio.h>
        #include "policy.h"
        #include "rows.h"
        int main(void) {
            for (int n = 0; n < ROWS; n++)
                printf("%d\n", policy_decide(rows[n], rows[n] + POLICY_FEATURES));
        }
    "#;

    fn request(format: &str, network: usize) -> Request<'_> {
        Request { format, network, name: "policy" }
    }

    #[test]
    fn the_exported_actor_decides_as_before() {
        let policy: DcDrl = Bench::new(3, 2).create().unwrap();
        let checkpoint = policy.checkpoint().unwrap();
        let (features, servers, slots) = (6, 2, 10);
        let mut rng = stream(4, 0);
        let rows: Vec<Vec<f32>> = (0..ROWS)
            .map(|_| (0..features + servers * slots).map(|_| rng.random_range(-3.0..3.0)).collect())
            .collect();
        let mut network = Perceptron::new(policy.shape);
        let scaling = &policy.checkpoint.inputs().scaling;
        let expected: Vec<usize> = rows
            .iter()
            .map(|row| {
                let newest = &row[row.len() - servers..];
                let features = row[..features].iter().zip(&scaling.features);
                let mut inputs: Vec<f32> = features.map(|(x, scale)| x / scale).collect();
                inputs.extend(newest.iter().map(|load| load / scaling.history));
                argmax(network.forward(&policy.deployed, &inputs))
            })
            .collect();
        let mut text =
            format!("enum {{ ROWS = {ROWS} }};\nstatic const float rows[ROWS][26] = {{\n");
        for row in &rows {
            let numbers: Vec<String> = row.iter().map(|number| format!("{number:e}f")).collect();
            writeln!(text, "{{{}}},", numbers.join(", ")).unwrap();
        }
        text += "};\n";
        for (format, alike) in [("c", ROWS), ("c-int8", ROWS * 9 / 10)] {
            let folder = format!("offramp-exported-actor-{format}-{}", std::process::id());
            let folder = std::env::temp_dir().join(folder);
            std::fs::create_dir_all(&folder).unwrap();
            for ExportedFile { name, bytes, .. } in
                export(&checkpoint, &request(format, 0)).unwrap()
            {
                std::fs::write(folder.join(name), bytes).unwrap();
            }
            std::fs::write(folder.join("main.c"), MAIN).unwrap();
            std::fs::write(folder.join("rows.h"), &text).unwrap();
            let built = Command::new("cc")
                .current_dir(&folder)
                .args(["-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-o", "main"])
                .args(["main.c", "policy.c"])
                .output()
                .unwrap();
            assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
            let output = Command::new(folder.join("main")).output().unwrap();
            std::fs::remove_dir_all(&folder).unwrap();
            let printed = String::from_utf8(output.stdout).unwrap();
            let ours: Vec<usize> = printed.lines().map(|line| line.parse().unwrap()).collect();
            assert_eq!(ours.len(), ROWS);
            let agreed = ours.iter().zip(&expected).filter(|(a, b)| a == b).count();
            assert!(agreed >= alike, "{format}: {agreed}");
        }
        assert!(expected.iter().any(|&action| action != expected[0]));
    }

    #[test]
    fn what_cannot_be_exported_says_why() {
        let policy: DcDrl = Bench::new(3, 2).create().unwrap();
        let checkpoint = policy.checkpoint().unwrap();
        for format in FORMATS {
            assert!(export(&checkpoint, &request(format, 0)).is_ok());
        }
        assert_eq!(
            export(&checkpoint, &request("onnx", 0)).unwrap_err().to_string(),
            "cannot be exported as `onnx`; the formats are c, c-int8"
        );
        assert_eq!(
            export(&checkpoint, &request("c", 1)).unwrap_err().to_string(),
            "has 1 network, network 0; network 1 does not exist"
        );
        assert!(export(b"text", &request("c", 0)).is_err());
    }
}
