//! Programs of one's own with the commands of `ps-server`.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use archipelago::node::Registry;
use archipelago::node::registry::{GlobalFactory, PolicyFactory, RuleFactory, SignificanceFactory};
use clap::Parser;

use crate::arguments::{Arguments, Command};
use crate::{cert, logs, serve, status, table};
#[cfg(feature = "workloads")]
use crate::{experiment, workload};

/// The commands of `ps-server`, run with a user's own update rules, policies and significance
/// functions beside the built-in ones. The stock program is `App::new().run()`.
///
/// `train --rule NAME --local NAME --global NAME --significance NAME` and `table create` name it
/// like what is built in. A table names its code, so that every server and every worker of a
/// cluster needs it: a server that lacks it refuses the table and says which name it lacks and
/// which names it has.
///
/// ```no_run
/// use std::process::ExitCode;
///
/// use archipelago::Extension;
/// use archipelago::sync::Arc;
/// use archipelago::vector::{ApplyContext, DType, RowsMut, UpdateRule};
/// use ps_server::App;
///
/// /// Steps of one size, whatever the gradient's: only its sign counts.
/// #[derive(Debug)]
/// struct SignSgd;
///
/// impl UpdateRule for SignSgd {
///     fn extension(&self) -> Extension {
///         Extension::new("sign-sgd/1")
///     }
///     fn supports(&self, dtype: DType) -> bool {
///         dtype == DType::F32
///     }
///     fn apply_f32(&self, context: &ApplyContext, rows: &mut RowsMut<'_, f32>) {
///         let rate = context.rate as f32;
///         for (value, gradient) in rows.values.iter_mut().zip(rows.aggregate) {
///             if *gradient != 0.0 {
///                 *value -= rate.copysign(*gradient);
///             }
///         }
///     }
/// }
///
/// fn main() -> ExitCode {
///     App::new().update("sign-sgd/1", |_| Ok(Arc::new(SignSgd))).run()
/// }
/// ```
///
/// `workloads/examples/own_code` is a whole program, with a policy and a command of its own.
#[derive(Clone, Debug)]
pub struct App {
    registry: Registry,
}

impl Default for App {
    fn default() -> Self {
        Self::new()
    }
}

impl App {
    /// The stock program.
    pub fn new() -> Self {
        Self { registry: Registry::built_in() }
    }

    /// Adds an update rule under `name/version`. A name that is built in is replaced: then the
    /// name means another thing elsewhere, so give your own code names of its own.
    #[must_use]
    pub fn update(mut self, name: &str, factory: RuleFactory) -> Self {
        self.registry = self.registry.rule(name, factory);
        self
    }

    /// Adds a local policy under `name/version`; names as for [`update`](Self::update).
    #[must_use]
    pub fn policy(mut self, name: &str, factory: PolicyFactory) -> Self {
        self.registry = self.registry.policy(name, factory);
        self
    }

    /// Adds a global policy, between data centres, under `name/version`; names as for
    /// [`update`](Self::update).
    #[must_use]
    pub fn global(mut self, name: &str, factory: GlobalFactory) -> Self {
        self.registry = self.registry.global(name, factory);
        self
    }

    /// Adds a significance function under `name/version`; names as for [`update`](Self::update).
    #[must_use]
    pub fn significance(mut self, name: &str, factory: SignificanceFactory) -> Self {
        self.registry = self.registry.significance(name, factory);
        self
    }

    /// All code that the program has: for workers that connect by themselves.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Does what the process's command line says; what `main` returns.
    pub fn run(&self) -> ExitCode {
        let arguments = Arguments::parse();
        ended(self.execute(&arguments.command, &mut std::io::stdout().lock()))
    }

    /// Does what these words say, the program's name first. Its report goes to `out`.
    ///
    /// # Errors
    /// Words that are no command, and as [`execute`](Self::execute).
    pub fn run_with<W>(
        &self,
        words: impl IntoIterator<Item = W>,
        out: &mut dyn Write,
    ) -> anyhow::Result<()>
    where
        W: Into<OsString> + Clone,
    {
        self.execute(&Arguments::try_parse_from(words)?.command, out)
    }

    /// Runs a command: for programs that have others beside. Its report goes to `out`; progress,
    /// log lines and what `train` finds in its files to the error stream.
    ///
    /// # Errors
    /// Files that cannot be read, options that do not fit together, errors of the store and of the
    /// network.
    pub fn execute(&self, command: &Command, out: &mut dyn Write) -> anyhow::Result<()> {
        if !matches!(command, Command::Serve(_)) {
            logs::start(None, "error");
        }
        match command {
            Command::Serve(serve) => serve::run(serve, &self.registry, out),
            Command::Config(config) => serve::check(config, &self.registry, out),
            Command::Status(status) => status::run(status, out),
            Command::Table(table) => table::run(table, &self.registry, out),
            Command::Cert(cert) => cert::run(cert, out),
            #[cfg(feature = "workloads")]
            Command::Demo(demo) => workload::demo(demo, &self.registry, out),
            #[cfg(feature = "workloads")]
            Command::Experiment(experiment) => {
                let data = experiment.data_folder();
                experiment::run(experiment, &experiment::Simulated::new(data), out)
            },
            #[cfg(feature = "workloads")]
            Command::Train(train) => workload::train(train, &self.registry, out),
        }
    }
}

/// The exit code of a program, after its complaint on the error stream: what a shell expects of
/// one that was stopped, else 1. A reader that has seen enough of a report is no failure.
pub fn ended(outcome: anyhow::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            exit_code(&error)
        },
    }
}

fn exit_code(error: &anyhow::Error) -> ExitCode {
    #[cfg(feature = "workloads")]
    if let Some(stopped) = error.downcast_ref::<workload::Stopped>() {
        return ExitCode::from(stopped.exit_code);
    }
    #[cfg(feature = "workloads")]
    if let Some(interrupted) = error.downcast_ref::<experiment::Interrupted>() {
        return ExitCode::from(interrupted.exit_code);
    }
    tracing::debug!(%error, "the command has failed");
    ExitCode::FAILURE
}

#[expect(clippy::print_stderr, reason = "the one place where a command reports its failure")]
fn complain(error: &anyhow::Error) {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        // Some errors name their cause themselves.
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    eprintln!("{}: {text}", program());
}

/// What the process was started as.
pub(crate) fn program() -> String {
    let path = std::env::args_os().next().map(std::path::PathBuf::from);
    let name = path.as_deref().and_then(|path| path.file_stem());
    name.map_or("ps-server".into(), |name| name.to_string_lossy().into_owned())
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>());
    causes.any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "workloads")]
    #[test]
    fn tables_name_code_of_ones_own() {
        let app = App::new()
            .significance("mine/1", |_| {
                Ok(archipelago::sync::Arc::new(archipelago::vector::Absolute))
            })
            .global("ours/1", |_| Ok(archipelago::sync::Arc::new(archipelago::Asp::default())));
        let described = |app: &App, significance: &str| {
            let words = "mine train --model mlp --train digits --describe-tables --global ours";
            let words = words.split(' ').chain(["--significance", significance]);
            let mut out = Vec::new();
            app.run_with(words, &mut out).map(|()| String::from_utf8_lossy(&out).into_owned())
        };
        let text = described(&app, "mine").expect("both are known");
        assert!(text.contains("global = \"ours\"\nsignificance = \"mine\""), "{text}");
        let error = described(&app, "minde").expect_err("no such function").to_string();
        assert!(error.contains("did you mean `mine`?"), "{error}");
        assert!(described(&App::new(), "absolute").is_err(), "no such global policy");
    }

    #[test]
    fn words_that_are_no_command_are_an_error() {
        let app = App::new();
        let run = |words: &[&str]| app.run_with(words, &mut Vec::new());
        assert!(run(&["mine", "config", "check", "/absent/file"]).is_err());
        let error = run(&["mine", "sreve"]).expect_err("no such command").to_string();
        assert!(error.contains("serve"), "{error}");
    }
}
