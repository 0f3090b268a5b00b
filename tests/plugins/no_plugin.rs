//! A library that is not a plugin, and ends the process as soon as it is loaded: what goes on after
//! it was found has not loaded it.

/// Something else.
#[expect(unsafe_code, reason = "an exported symbol")]
#[unsafe(no_mangle)]
pub extern "C" fn something_else() -> u32 {
    42
}

extern "C" fn abort() {
    std::process::abort();
}

#[expect(unsafe_code, reason = "the place where a loader finds what to run first")]
#[used]
#[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array"))]
#[cfg_attr(target_os = "macos", unsafe(link_section = "__DATA,__mod_init_func"))]
#[cfg_attr(windows, unsafe(link_section = ".CRT$XCU"))]
static CONSTRUCTOR: extern "C" fn() = abort;
