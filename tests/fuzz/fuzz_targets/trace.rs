#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| offramp_fuzz::readers::trace(
    data,
    &offramp_fuzz::desk()
));
