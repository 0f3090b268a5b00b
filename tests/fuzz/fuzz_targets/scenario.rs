#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| offramp_fuzz::readers::scenario(
    data,
    &offramp_fuzz::desk()
));
