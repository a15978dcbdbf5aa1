//! Servers and workers with code of one's own, in one program: all commands of `ps-server`, which
//! take the update rule and the policy from here by name, and `fit`, which trains with both.
//!
//! ```sh
//! own-code train --embedded --model softmax --train digits --rule nesterov:beta=0.5
//! own-code serve --dev              # prints --servers .. --ca .. --certificate .. --key ..
//! own-code fit --workers 2 --servers .. --ca .. --certificate .. --key ..
//! ```

mod fit;
mod nesterov;
mod warm_up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use ps_server::App;

use crate::fit::FitArguments;
use crate::nesterov::Nesterov;
use crate::warm_up::WarmUp;

/// A parameter store with Nesterov's momentum and a warm-up in step.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Fit a line to noisy points, on servers of this program.
    Fit(FitArguments),
    #[command(flatten)]
    Stock(Box<ps_server::Command>),
}

fn main() -> ExitCode {
    let app = App::new().update(Nesterov::NAME, Nesterov::make).policy(WarmUp::NAME, WarmUp::make);
    let out = &mut std::io::stdout().lock();
    ps_server::ended(match Arguments::parse().command {
        Command::Fit(fit) => fit::run(&fit, &app, out),
        Command::Stock(command) => app.execute(&command, out),
    })
}
