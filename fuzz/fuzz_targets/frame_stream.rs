//! The fuzz target `frame_stream`: libFuzzer's bytes for the function of that name.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| archipelago_fuzz::frame_stream(data));
