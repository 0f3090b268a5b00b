//! `offramp export`: a trained network or tree for a device.

use std::path::Path;

use offramp_harness::bind::help_with;
use offramp_host::OfferKind;
use offramp_host::plugin::{ExportRequest, ExportedFile};
use offramp_report::records::{Field, Records};
use offramp_results::checkpoint;

use crate::arguments::ExportArguments;
use crate::problem::Problem;
use crate::{Outcome, print};

pub(crate) fn run(arguments: &ExportArguments) -> Result<Outcome, Problem> {
    let ExportArguments { checkpoint: path, form, out, network, .. } = arguments;
    let bytes = checkpoint::bytes(path).map_err(|error| problem(path, &error))?;
    let policy = match &arguments.policy {
        Some(policy) => policy.clone(),
        None => named_in(path)?,
    };
    let registry = super::load_plugins(&arguments.search)?;
    let plugin = registry.find(OfferKind::Policy, &policy).map_err(|unknown| {
        Problem::new(format!("{}: {unknown}", path.display())).with_help(help_with(&unknown))
    })?;
    let formats = plugin.export_formats().map_err(Problem::new)?;
    let format = match form.as_ref().or(formats.first()) {
        Some(format) => format.clone(),
        None => return Err(Problem::new(format!("`{policy}` can't be exported"))),
    };
    if !formats.contains(&format) {
        let message = format!("`{policy}` can't be exported as `{format}`");
        return Err(Problem::new(message).with_help(format!("there are: {}", formats.join(", "))));
    }
    let request = ExportRequest { format: format.as_str().into(), network: *network };
    let files = plugin.export(&bytes, &request).map_err(|error| problem(path, &error))?;
    std::fs::create_dir_all(out).map_err(|error| problem(out, &error))?;
    let fields = [Field::new("file"), Field::new("bytes"), Field::new("note")];
    let mut written = Records::new(fields);
    for ExportedFile { name, bytes, note } in files {
        let file = out.join(name);
        std::fs::write(&file, &bytes).map_err(|error| problem(&file, &error))?;
        let note = Some(note).filter(|note| !note.is_empty());
        written.rows.push(vec![
            file.display().to_string().into(),
            (bytes.len() as u64).into(),
            note.into(),
        ]);
    }
    print(&written.print("files", arguments.format.format()));
    Ok(Outcome::Success)
}

/// The policy that a checkpoint says it is of.
fn named_in(path: &Path) -> Result<String, Problem> {
    let contents = checkpoint::read(path).map_err(Problem::new)?;
    let policy = contents.policy().map(str::to_owned);
    policy.ok_or_else(|| {
        let message = format!("{}: it does not say which policy it is of", path.display());
        Problem::new(message).with_help("name the policy with --policy")
    })
}

fn problem(path: &Path, cause: &dyn std::fmt::Display) -> Problem {
    Problem::new(format!("{}: {cause}", path.display()))
}
