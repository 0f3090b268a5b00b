//! A library that is not a plugin.

/// Something else.
#[expect(unsafe_code, reason = "an exported symbol")]
#[unsafe(no_mangle)]
pub extern "C" fn something_else() -> u32 {
    42
}
