//! libFuzzer drives `outdial_fuzz::SDP`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| outdial_fuzz::SDP.run(input));
