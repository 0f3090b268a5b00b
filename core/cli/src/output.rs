//! The two streams of the command: results on standard output, everything else on standard error.
//!
//! Results go to a descriptor of their own. Descriptor 1 itself then leads to standard error, so
//! that what a plugin prints, or a library or process that it uses, never lands in a table or in
//! JSON. A reader that has gone away (`| head`) is not an error; any other failure is.

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::OnceLock;

use offramp_explain::Problem;

/// Where results go, once [`claim`] has been called.
static RESULTS: OnceLock<File> = OnceLock::new();

/// Keeps standard output for results: from here on, whatever else is printed to descriptor 1 goes
/// to standard error. Called once, before any plugin is loaded.
pub(crate) fn claim() {
    #[cfg(unix)]
    if let Ok(results) = claimed() {
        let _ = RESULTS.set(results);
    }
}

#[cfg(unix)]
fn claimed() -> io::Result<File> {
    use std::os::fd::AsFd;

    let results = io::stdout().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdout(io::stderr())?;
    Ok(File::from(results))
}

/// Prints a result.
///
/// # Errors
/// If it can't be written, to a full disk for example.
pub(crate) fn print(text: &str) -> Result<(), Problem> {
    print_bytes(text.as_bytes())
}

/// Prints a result that is not a text.
///
/// # Errors
/// As [`print()`].
pub(crate) fn print_bytes(bytes: &[u8]) -> Result<(), Problem> {
    let written = match RESULTS.get() {
        Some(mut results) => results.write_all(bytes),
        None => {
            let mut out = io::stdout().lock();
            out.write_all(bytes).and_then(|()| out.flush())
        }
    };
    check(written)
}

/// True if results are shown on a terminal; asked before [`claim`].
pub(crate) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// The outcome of writing to standard output.
pub(crate) fn check(written: io::Result<()>) -> Result<(), Problem> {
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            let message = format!("can't write the result to standard output: {error}");
            let help =
                "make room or send the result elsewhere; files that the command wrote are kept";
            Err(Problem::new(message).with_help(help))
        }
        _ => Ok(()),
    }
}

/// Prints a line on standard error, which may be full or closed: there is nowhere left to say so.
pub(crate) fn note(line: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Explains an error on standard error, in colours if that is a terminal.
pub(crate) fn show(problem: &Problem) {
    let text = match io::stderr().is_terminal() {
        true => problem.terminal_text(),
        false => problem.text(),
    };
    let _ = io::stderr().write_all(text.as_bytes());
}
