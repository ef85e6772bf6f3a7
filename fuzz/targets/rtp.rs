//! libFuzzer drives `outdial_fuzz::RTP`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| outdial_fuzz::RTP.run(input));
