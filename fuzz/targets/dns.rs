//! libFuzzer drives `outdial_fuzz::DNS`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| outdial_fuzz::DNS.run(input));
