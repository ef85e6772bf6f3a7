//! libFuzzer drives `outdial_fuzz::CONFIG`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| outdial_fuzz::CONFIG.run(input));
