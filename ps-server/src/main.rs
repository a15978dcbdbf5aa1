//! The `ps-server` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    ps_server::App::new().run()
}
