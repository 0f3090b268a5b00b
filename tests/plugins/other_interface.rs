//! A library with the manifest of an interface version that does not exist yet.

offramp_tests::bare_manifest!(99, 0);
