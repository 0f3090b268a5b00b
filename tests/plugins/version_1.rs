//! A library with the manifest of interface version 1.

offramp_tests::bare_manifest!(1, 0);
