#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| offramp_fuzz::readers::manifest(
    data,
    &offramp_fuzz::desk()
));
