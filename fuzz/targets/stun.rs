//! libFuzzer drives `outdial_fuzz::STUN`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| outdial_fuzz::STUN.run(input));
