//! Replays the fuzz corpora and mutates them for a few seconds (SPEC law 14); `cargo fuzz run`
//! goes on from there. A failing input is printed, to be added to the corpus.

#[expect(unreachable_pub, reason = "public where it is a library")]
#[path = "../fuzz/src/lib.rs"]
mod fuzz_targets;
#[path = "fuzz_smoke/harness.rs"]
mod harness;

use std::io;

use harness::smoke;

#[test]
fn wire_decode() -> io::Result<()> {
    smoke("wire_decode", fuzz_targets::wire_decode)
}

#[test]
fn key_list() -> io::Result<()> {
    smoke("key_list", fuzz_targets::key_list)
}

#[test]
fn hello() -> io::Result<()> {
    smoke("hello", fuzz_targets::hello)
}

#[test]
fn frame_stream() -> io::Result<()> {
    smoke("frame_stream", fuzz_targets::frame_stream)
}

#[test]
fn certificate() -> io::Result<()> {
    smoke("certificate", fuzz_targets::certificate)
}

#[test]
fn pem() -> io::Result<()> {
    smoke("pem", fuzz_targets::pem)
}

#[test]
fn revocation_list() -> io::Result<()> {
    smoke("revocation_list", fuzz_targets::revocation_list)
}

#[test]
fn data_file() -> io::Result<()> {
    smoke("data_file", fuzz_targets::data_file)
}
