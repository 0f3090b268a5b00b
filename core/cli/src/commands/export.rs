//! `offramp export`: a trained network for a device.

use offramp_harness::export::{Weights, to_c};

use crate::arguments::ExportArguments;
use crate::problem::Problem;
use crate::{Done, print};

pub(crate) fn export(arguments: &ExportArguments) -> Result<Done, Problem> {
    let problem = |path: &std::path::Path, cause: &dyn std::fmt::Display| {
        Problem::new(format!("{}: {cause}", path.display()))
    };
    let bytes = std::fs::read(&arguments.checkpoint)
        .map_err(|error| problem(&arguments.checkpoint, &error))?;
    let stored = if arguments.int8 { Weights::Int8 } else { Weights::F32 };
    let exported = to_c(&bytes, arguments.network, stored)
        .map_err(|error| problem(&arguments.checkpoint, &error))?;
    let folder = &arguments.c;
    std::fs::create_dir_all(folder).map_err(|error| problem(folder, &error))?;
    for (name, text) in [("policy.h", &exported.header), ("policy.c", &exported.source)] {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|error| problem(&path, &error))?;
    }
    print(&format!(
        "{}: policy.h, policy.c; {} bytes of constants (flash), {} bytes of stack\n",
        folder.display(),
        exported.flash_bytes,
        exported.stack_bytes
    ));
    Ok(Done::Well)
}
