//! The fuzz target `server_entry`: libFuzzer's bytes for the function of that name.

#![no_main]

#[expect(unreachable_pub, dead_code, reason = "public for a test of ps-server; one target each")]
#[path = "../src/program.rs"]
mod program;

libfuzzer_sys::fuzz_target!(|data: &[u8]| program::server_entry(data));
