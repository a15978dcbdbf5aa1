//! The fuzz target `pem`: libFuzzer's bytes for the function of that name.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| archipelago_fuzz::pem(data));
