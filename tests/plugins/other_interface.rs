//! A library with the manifest of an interface that does not exist yet.

use std::ptr::null;

use offramp_plugin::boundary::{MAGIC, Manifest};

static MANIFEST: Manifest = Manifest {
    magic: MAGIC,
    interface_version: 99,
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
