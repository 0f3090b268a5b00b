//! A library with a good manifest and nothing behind it.

offramp_tests::bare_manifest!(
    offramp_plugin::boundary::INTERFACE_VERSION,
    offramp_plugin::boundary::REVISION
);
