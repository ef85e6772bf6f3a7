//! libFuzzer drives `outdial_fuzz::SIP`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| outdial_fuzz::SIP.run(input));
