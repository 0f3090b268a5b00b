//! A library that ends the process as soon as it is loaded, before anything of it is called.
//! Whoever outlives it has not loaded it.

offramp_tests::bare_manifest!(99, 0);

extern "C" fn abort() {
    std::process::abort();
}

#[expect(unsafe_code, reason = "the place where a loader finds what to run first")]
#[used]
#[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array"))]
#[cfg_attr(target_os = "macos", unsafe(link_section = "__DATA,__mod_init_func"))]
#[cfg_attr(windows, unsafe(link_section = ".CRT$XCU"))]
static CONSTRUCTOR: extern "C" fn() = abort;
