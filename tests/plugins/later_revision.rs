//! A library that was built for a later revision of the interface than there is.

offramp_tests::bare_manifest!(
    offramp_plugin::boundary::INTERFACE_VERSION,
    offramp_plugin::boundary::REVISION + 1
);
