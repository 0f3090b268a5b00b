//! A library with a good manifest and nothing behind it.

use std::ptr::null;

use offramp_plugin::boundary::{INTERFACE_VERSION, MAGIC, Manifest};

static MANIFEST: Manifest = Manifest {
    magic: MAGIC,
    interface_version: INTERFACE_VERSION,
    size: 0,
    plugin: null(),
    version: null(),
    compiler: null(),
    target: null(),
    entries: null(),
    entry_count: 0,
    header: null(),
};

/// The manifest.
#[expect(unsafe_code, reason = "an exported symbol")]
#[unsafe(no_mangle)]
pub extern "C" fn offramp_plugin_manifest() -> *const Manifest {
    &raw const MANIFEST
}
