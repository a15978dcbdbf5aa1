//! The `ps-server` command.

fn main() {}
