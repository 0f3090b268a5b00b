//! The system of a scenario alone: as a text, and read from one.
//!
//! Values of the system are replaced for each episode of a training, or in the middle of a live run.
//! What a text of that kind leaves out (policies, trainings) is not read again each time.

use crate::fault::nearest;
use crate::field::Section;
use crate::file::fields;
use crate::outline::{Outline, fields_of, value_of};
use crate::source::Source;
use crate::system::{self, Systems};
use crate::{Fault, observation};

/// The sections and fields that describe a system.
const OF_SYSTEM: [&str; 5] = ["system", "world", "tasks", "alpha", "energy"];

/// What else a text needs of which a system is read.
const BESIDES: [&str; 4] = ["name", "observation", "history_slots", "broadcast"];

/// The text of the system alone, with the other fields that are `kept`.
pub(crate) fn text_of(source: Source<'_>, kept: &[&str]) -> String {
    let kept = |name: &str| OF_SYSTEM.iter().chain(&BESIDES).chain(kept).any(|kept| *kept == name);
    let own = fields_of(source.text).into_iter().filter(|(name, _)| kept(name));
    let own: Vec<_> = own.map(|(name, value)| format!("{name}: {value}")).collect();
    // With what stands before the struct, such as extensions of RON.
    let before = &source.text[..Outline::of(source.text).span.start];
    format!("{before}({})", own.join(",\n"))
}

/// The system that a text describes, in which its observation exists.
///
/// # Errors
/// The first fault.
pub(crate) fn read(source: Source<'_>) -> Result<Systems, Fault> {
    let file = source.read_file()?;
    file.check("").map_err(|out| source.fault(&out.path, out.fault, None))?;
    let systems = system::system(source, &file)?;
    let seen = observation::observation(source, &file)?;
    observation::check(source, &seen, &systems.evaluation)?;
    Ok(systems)
}

/// Checks that a path, at `at` in the file, names a field of the system that `text` describes;
/// `verb` is what is done to it.
pub(crate) fn check_field(
    source: Source<'_>,
    (at, text): (&str, &str),
    field: &str,
    verb: &str,
) -> Result<(), Fault> {
    let is_in = |path: &str, outer: &str| {
        path.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let fields = fields();
    let known = || fields.iter().map(|field| field.path.as_str());
    let of_system = known().filter(|path| OF_SYSTEM.iter().any(|section| is_in(path, section)));
    // Entries of lists have numbers.
    let number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let parts = field.split('.').map(|part| if number(part) { "N" } else { part });
    let general = parts.collect::<Vec<_>>().join(".");
    let is_section = |path: &str| known().any(|other| other != path && is_in(other, path));
    // A part of a value, such as a bound of a distribution.
    let is_part =
        |path: &str| !is_section(path) && is_in(&general, path) && value_of(text, field).is_some();
    if field == "system" {
        let message = format!("`system` is {verb} by its fields, each on its own");
        return Err(source.fault(at, message, None));
    }
    if of_system.clone().any(|path| path == general || is_part(path)) {
        return Ok(());
    }
    let message = match known().any(|path| path == general) {
        true => format!("`{field}` does not describe a system"),
        false => format!("there is no field `{field}`"),
    };
    let help = nearest(field, of_system).map_or_else(
        || format!("fields of {} can be {verb}", OF_SYSTEM.join(", ")),
        |near| format!("did you mean `{near}`?"),
    );
    Err(source.fault(at, message, Some(help)))
}
