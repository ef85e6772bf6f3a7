//! libFuzzer drives `outdial_fuzz::SRTP`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| outdial_fuzz::SRTP.run(input));
