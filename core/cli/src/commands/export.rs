//! `offramp export`: a trained network for a device.

use std::path::Path;

use offramp_harness::export::{Exported, Network, Weights};

use crate::arguments::ExportArguments;
use crate::problem::Problem;
use crate::{Outcome, print};

pub(crate) fn export(arguments: &ExportArguments) -> Result<Outcome, Problem> {
    let checkpoint = &arguments.checkpoint;
    let bytes = offramp_results::checkpoint::bytes(checkpoint)
        .map_err(|error| problem(checkpoint, &error))?;
    let network =
        Network::read(&bytes, arguments.network).map_err(|error| problem(checkpoint, &error))?;
    if let Some(folder) = &arguments.c {
        let stored = if arguments.int8 { Weights::Int8 } else { Weights::F32 };
        let Exported { header, source, flash_bytes, stack_bytes } = network.to_c(stored);
        std::fs::create_dir_all(folder).map_err(|error| problem(folder, &error))?;
        write(&folder.join("policy.h"), header.as_bytes())?;
        write(&folder.join("policy.c"), source.as_bytes())?;
        print(&format!(
            "{}: policy.h, policy.c; {flash_bytes} bytes of constants (flash), {stack_bytes} \
             bytes of stack\n",
            folder.display(),
        ));
    }
    if let Some(file) = &arguments.onnx {
        let model = network.to_onnx();
        write(file, &model)?;
        print(&format!("{}: {} bytes\n", file.display(), model.len()));
    }
    Ok(Outcome::Success)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Problem> {
    std::fs::write(path, bytes).map_err(|error| problem(path, &error))
}

fn problem(path: &Path, cause: &dyn std::fmt::Display) -> Problem {
    Problem::new(format!("{}: {cause}", path.display()))
}
