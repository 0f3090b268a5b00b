//! A library with the manifest of an interface that does not exist yet.

offramp_tests::bare_manifest!(99);
