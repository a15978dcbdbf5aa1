//! Replays the fuzz corpora of what `ps-server` decodes, as the library's test of that name does.

#[path = "../../tests/fuzz_smoke/harness.rs"]
mod harness;
#[expect(unreachable_pub, reason = "public where it is a fuzz target")]
#[path = "../../fuzz/src/program.rs"]
mod program;

use std::io;

use harness::smoke;

#[test]
fn server_config() -> io::Result<()> {
    smoke("server_config", program::server_config)
}

#[test]
fn server_entry() -> io::Result<()> {
    smoke("server_entry", program::server_entry)
}
