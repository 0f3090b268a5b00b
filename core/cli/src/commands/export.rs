//! `offramp export`: trained networks or trees for devices.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use offramp_explain::Problem;
use offramp_harness::bind::help_with;
use offramp_host::OfferKind;
use offramp_host::plugin::{ExportRequest, ExportedFile};
use offramp_report::records::{Field, Kind, Records};
use offramp_results::checkpoint;

use crate::Outcome;
use crate::arguments::ExportArguments;
use crate::progress::Notes;

pub(crate) fn run(arguments: &ExportArguments, notes: Notes) -> Result<Outcome, Problem> {
    let ExportArguments { checkpoint: path, form, out, network, .. } = arguments;
    let bytes = checkpoint::bytes(path).map_err(|error| problem(path, &error))?;
    let contents = checkpoint::read(path);
    // What is not a checkpoint of ours may be one of the policy that was named.
    let networks = contents.as_ref().ok().and_then(checkpoint::Contents::networks).unwrap_or(1);
    let policy = match &arguments.policy {
        Some(policy) => policy.clone(),
        None => named_in(path, contents.map_err(Problem::new)?)?,
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
    let wanted = network.map_or(0..networks, |network| network..network.saturating_add(1));
    let mut files = Vec::new();
    for network in wanted.clone() {
        let number = (networks > 1).then_some(network);
        let name = match (&arguments.name, number) {
            (Some(name), Some(number)) if wanted.len() > 1 => format!("{name}_{number}"),
            (Some(name), _) => name.clone(),
            (None, Some(number)) => format!("{}_{number}", identifier(&policy)),
            (None, None) => identifier(&policy),
        };
        let request =
            ExportRequest { format: format.as_str().into(), network, name: name.as_str().into() };
        files.extend(plugin.export(&bytes, &request).map_err(|error| problem(path, &error))?);
    }
    check(out, &files, arguments.force)?;
    write(out, &files)?;
    if wanted.len() > 1 {
        let count = wanted.len();
        notes.say(format!("{count} networks, one for each device; `--network N` exports one"));
    }
    let fields = [
        Field::new("file", Kind::Text),
        Field::new("bytes", Kind::Count),
        Field::new("note", Kind::Text),
    ];
    let mut written = Records::new(fields);
    for ExportedFile { name, bytes, note } in files {
        let note = Some(note).filter(|note| !note.is_empty());
        written.rows.push(vec![
            out.join(name).display().to_string().into(),
            (bytes.len() as u64).into(),
            note.into(),
        ]);
    }
    arguments.format.print_records("files", written)?;
    Ok(Outcome::Success)
}

/// The policy that a checkpoint says it is of.
fn named_in(path: &Path, contents: checkpoint::Contents) -> Result<String, Problem> {
    let policy = contents.policy().map(str::to_owned);
    policy.ok_or_else(|| {
        let message = format!("{}: it does not say which policy it is of", path.display());
        Problem::new(message).with_help("name the policy with --policy")
    })
}

/// A policy's name as the beginning of names in a program.
fn identifier(policy: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let name: String = policy.chars().map(plain).collect();
    match name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        true => name,
        false => format!("policy_{name}"),
    }
}

/// Checks that every file can be written into `out` without the loss of another.
fn check(out: &Path, files: &[ExportedFile], force: bool) -> Result<(), Problem> {
    let mut names = BTreeSet::new();
    for ExportedFile { name, .. } in files {
        if !names.insert(name) {
            let message = format!("each network would be exported as `{name}`");
            return Err(Problem::new(message).with_help("choose one with --network N"));
        }
        let file = out.join(name);
        // A link to nothing is there too.
        if !force && file.symlink_metadata().is_ok() {
            let help = "name another folder with --out, or overwrite it with --force";
            return Err(problem(&file, &"it already exists").with_help(help));
        }
    }
    Ok(())
}

/// Writes all files into `out`, or none: each under a name of its own first, so that a full disk
/// leaves nothing.
fn write(out: &Path, files: &[ExportedFile]) -> Result<(), Problem> {
    let created = !out.exists();
    std::fs::create_dir_all(out).map_err(|error| problem(out, &error))?;
    let mut partial: Vec<(PathBuf, PathBuf)> = Vec::new();
    let mut written = Vec::new();
    let done = files
        .iter()
        .try_for_each(|ExportedFile { name, bytes, .. }| {
            let file = out.join(name);
            let other = out.join(format!(".{name}.{}.partial", std::process::id()));
            partial.push((other.clone(), file.clone()));
            std::fs::write(other, bytes).map_err(|error| problem(&file, &error))
        })
        .and_then(|()| {
            partial.iter().try_for_each(|(other, file)| {
                let existed = file.exists();
                std::fs::rename(other, file).map_err(|error| problem(file, &error))?;
                written.extend((!existed).then_some(file));
                Ok(())
            })
        });
    if done.is_err() {
        // What can't be removed either is not worth another error.
        for file in partial.iter().map(|(other, _)| other).chain(written) {
            let _ = std::fs::remove_file(file);
        }
        if created {
            let _ = std::fs::remove_dir(out);
        }
    }
    done
}

fn problem(path: &Path, cause: &dyn std::fmt::Display) -> Problem {
    Problem::new(format!("{}: {cause}", path.display()))
}
