//! Names, which results and folders are called by.

/// Checks the name of a scenario or study, which folders are called by.
///
/// # Errors
/// The rule that it breaks, as a message.
pub fn check_name(name: &str) -> Result<(), String> {
    let forbidden = |char: char| ['/', '\\'].contains(&char) || char.is_control();
    if name.is_empty() || name.contains(forbidden) || name.starts_with('.') {
        let message = "a name must not be empty, begin with a dot, or have slashes or line breaks or \
                       other control characters";
        return Err(message.to_owned());
    }
    Ok(())
}
