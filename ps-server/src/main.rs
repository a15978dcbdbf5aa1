//! The `ps-server` command.

use std::process::ExitCode;

use clap::Parser;
use ps_server::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match ps_server::run(&arguments, &mut std::io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        },
    }
}

#[expect(clippy::print_stderr, reason = "the one place where the command reports its failure")]
fn complain(error: &anyhow::Error) {
    eprintln!("ps-server: {error:#}");
}
