//! Update rules and policies as the command line writes them.

use archipelago::error::SpecError;
use archipelago::node::Registry;
use archipelago::{Bsp, Extension, TablePolicy, TableSpec};

use crate::nearest::{nearest, suggestion};

/// What a name is the name of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Rule,
    Policy,
    Global,
    Significance,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Rule => "update rule",
            Self::Policy => "local policy",
            Self::Global => "global policy",
            Self::Significance => "significance function",
        }
    }

    const ALL: [Self; 4] = [Self::Rule, Self::Policy, Self::Global, Self::Significance];

    /// The option that names it.
    fn option(self) -> &'static str {
        match self {
            Self::Rule => "--rule",
            Self::Policy => "--local",
            Self::Global => "--global",
            Self::Significance => "--significance",
        }
    }

    /// The names of all code of the kind.
    fn known(self, registry: &Registry) -> Vec<&str> {
        match self {
            Self::Rule => registry.rules().collect(),
            Self::Policy => registry.policies().collect(),
            Self::Global => registry.globals().collect(),
            Self::Significance => registry.significances().collect(),
        }
    }

    /// Whether a table could have it, as far as it alone says.
    fn check(self, extension: &Extension, registry: &Registry) -> Result<(), SpecError> {
        let (mut spec, policy) = (TableSpec::dense("table", 1), TablePolicy::local(Bsp));
        let policy = match self {
            Self::Rule => {
                spec = spec.rule(extension.clone());
                policy
            },
            Self::Policy => TablePolicy::local(extension.clone()),
            Self::Global => policy.global(extension.clone()),
            Self::Significance => policy.significance(extension.clone()),
        };
        registry.resolve(&spec, &policy).map(drop)
    }
}

/// A word that names no code of this program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodeError {
    /// No code has the name.
    #[error(
        "unknown {kind} `{found}`{}; code of one's own needs a program of one's own \
         (ps_server::App)",
        suggestion(nearest.as_deref(), known)
    )]
    Unknown {
        /// Update rule, local or global policy, significance function.
        kind: &'static str,
        /// The name.
        found: String,
        /// The name that was probably meant.
        nearest: Option<String>,
        /// All names.
        known: Vec<String>,
    },
    /// Code has the name, and is of another kind.
    #[error("`{found}` is {article} {kind}: {option} {text}")]
    Elsewhere {
        /// The name.
        found: String,
        /// What stands before the kind.
        article: &'static str,
        /// What it is.
        kind: &'static str,
        /// The option that takes it.
        option: &'static str,
        /// What to give there.
        text: String,
    },
    /// The code does not take the parameters.
    #[error("{option} {text}: {problem}")]
    Parameters {
        /// The option.
        option: &'static str,
        /// What it was given.
        text: String,
        /// What the code expects, of which parameter.
        problem: String,
    },
    /// A parameter without a name where none has the first place.
    #[error("`{name}` has no parameter that goes without its name: write {name}:PARAMETER={found}")]
    Nameless {
        /// The code.
        name: String,
        /// The value.
        found: String,
    },
    /// A parameter that has no default.
    #[error("`{name}` needs its {parameter}: write {name}:NUMBER")]
    Needed {
        /// The code.
        name: &'static str,
        /// The parameter.
        parameter: &'static str,
    },
    /// A parameter that is given twice.
    #[error("`{name}` is given {parameter} twice, {first} and {second}: leave one out")]
    Twice {
        /// The code.
        name: String,
        /// The parameter.
        parameter: String,
        /// The first value.
        first: String,
        /// The second value.
        second: String,
    },
    /// A parameter that is no number.
    #[error("expected a number for `{parameter}` of `{name}`, found {found:?}")]
    Number {
        /// The code.
        name: String,
        /// The parameter.
        parameter: String,
        /// The value.
        found: String,
    },
}

/// The parameters that may go without their names.
const FIRST: [(&str, &str); 5] = [
    ("momentum", "beta"),
    ("adagrad", "epsilon"),
    ("adam", "beta1"),
    ("ssp", "staleness"),
    ("asp", "threshold"),
];

/// The parameters without which nothing is meant.
const NEEDED: [(&str, &str); 1] = [("ssp", "staleness")];

/// The policy that the options `--local`, `--global` and `--significance` name together.
pub(crate) fn named_policy(
    [local, global, significance]: [&str; 3],
    registry: &Registry,
) -> Result<TablePolicy, CodeError> {
    let local = named(Kind::Policy, local, registry)?;
    let global = named(Kind::Global, global, registry)?;
    let significance = named(Kind::Significance, significance, registry)?;
    Ok(TablePolicy::local(local).global(global).significance(significance))
}

/// What is probably meant otherwise: a threshold of percents where one is a share.
pub(crate) fn doubt(policy: &TablePolicy) -> Option<String> {
    let relative = stem(policy.significance.name()) == "relative";
    let asp = Some(&policy.global).filter(|global| relative && stem(global.name()) == "asp");
    let threshold = asp.and_then(|asp| asp.parameter("threshold"));
    threshold.filter(|threshold| *threshold > 1.0).map(|threshold| {
        let [percent, given, share] = [threshold * 100.0, threshold, threshold / 100.0].map(number);
        format!("threshold {given} is {percent} % of a value: {given} % is asp:{share}")
    })
}

/// The extension that a text names: NAME, NAME/VERSION, with :VALUE or :PARAMETER=VALUE,.. behind.
/// Its code takes the parameters.
pub(crate) fn named(kind: Kind, text: &str, registry: &Registry) -> Result<Extension, CodeError> {
    let found = of_known(kind, text, kind.known(registry).into_iter());
    let extension = found.map_err(|error| match error {
        CodeError::Unknown { .. } => elsewhere(kind, text, registry).unwrap_or(error),
        other => other,
    })?;
    match kind.check(&extension, registry) {
        Err(SpecError::Field { field, expected, .. }) if field == "extension" => {
            let (option, text) = (kind.option(), text.to_owned());
            let problem = match expected.split_once(": ") {
                Some((parameter, expected)) => format!("{parameter}: expected {expected}"),
                None => format!("expected {expected}"),
            };
            Err(CodeError::Parameters { option, text, problem })
        },
        // What else there is to say depends on the table.
        _ => Ok(extension),
    }
}

/// That the name is one of another kind, if it is.
fn elsewhere(kind: Kind, text: &str, registry: &Registry) -> Option<CodeError> {
    let name = text.split_once(':').map_or(text, |(name, _)| name).to_ascii_lowercase();
    let has = |other: &Kind| other.known(registry).iter().any(|held| stem(held) == stem(&name));
    let other = Kind::ALL.into_iter().filter(|other| *other != kind).find(has)?;
    let article = if other == Kind::Rule { "an" } else { "a" };
    let (kind, option, text) = (other.name(), other.option(), text.to_ascii_lowercase());
    Some(CodeError::Elsewhere { found: name, article, kind, option, text })
}

fn of_known<'a>(
    kind: Kind,
    text: &str,
    known: impl Iterator<Item = &'a str>,
) -> Result<Extension, CodeError> {
    let known: Vec<_> = known.collect();
    let (name, parameters) = text.split_once(':').unwrap_or((text, ""));
    let full = full_name(kind, name, &known)?;
    let stem = stem(&full);
    let mut extension = Extension::new(full.clone());
    let mut given: Vec<(&str, &str)> = Vec::new();
    for word in parameters.split(',').filter(|word| !word.is_empty()) {
        let first = || FIRST.iter().find(|(held, _)| *held == stem).map(|(_, first)| *first);
        let (parameter, value) = match (word.split_once('='), first()) {
            (Some(pair), _) => pair,
            (None, Some(first)) => (first, word),
            (None, None) => {
                return Err(CodeError::Nameless { name: stem.into(), found: word.into() });
            },
        };
        let number = value.parse::<f64>().map_err(|_error| CodeError::Number {
            name: stem.into(),
            parameter: parameter.into(),
            found: value.into(),
        })?;
        if let Some((_, first)) = given.iter().find(|(held, _)| *held == parameter) {
            let (name, parameter) = (stem.into(), parameter.into());
            let (first, second) = ((*first).into(), value.into());
            return Err(CodeError::Twice { name, parameter, first, second });
        }
        given.push((parameter, value));
        extension = extension.with(parameter, number);
    }
    let missing = |(name, parameter): &&(&str, &str)| {
        *name == stem && extension.parameter(parameter).is_none()
    };
    match NEEDED.iter().find(missing) {
        Some(&(name, parameter)) => Err(CodeError::Needed { name, parameter }),
        None => Ok(extension),
    }
}

/// The shortest text that names an extension: without version 1, and the parameter that may go
/// without its name does.
#[cfg(any(test, feature = "workloads"))]
pub(crate) fn written(extension: &Extension) -> String {
    let name = extension.name().strip_suffix("/1").unwrap_or(extension.name());
    let nameless = |parameter: &str| FIRST.contains(&(stem(name), parameter));
    let parameters = extension.parameters().iter().map(|(parameter, value)| {
        let value = number(*value);
        if nameless(parameter) { value } else { format!("{parameter}={value}") }
    });
    let parameters = parameters.collect::<Vec<_>>().join(",");
    if parameters.is_empty() { name.into() } else { format!("{name}:{parameters}") }
}

/// A number in as few characters as say the same: 1e-8 and 2, not 0.00000001 and 2.0.
pub(crate) fn number(value: f64) -> String {
    let (plain, scientific) = (value.to_string(), format!("{value:e}"));
    if plain.len() <= scientific.len() { plain } else { scientific }
}

/// The `name/version` that a word means: the newest version when it names none. What is planned
/// goes on to the registry, which says so.
fn full_name(kind: Kind, word: &str, known: &[&str]) -> Result<String, CodeError> {
    let word = word.to_ascii_lowercase();
    if known.contains(&word.as_str()) || PLANNED.contains(&word.as_str()) {
        return Ok(format!("{word}{}", if word.contains('/') { "" } else { "/1" }));
    }
    let versions = known.iter().filter(|held| stem(held) == stem(&word));
    let newest = versions.clone().max_by_key(|held| version(held));
    match newest {
        Some(newest) if !word.contains('/') => Ok((*newest).to_owned()),
        Some(_) => {
            let known = versions.map(|held| (*held).to_owned()).collect();
            Err(CodeError::Unknown { kind: kind.name(), found: word, nearest: None, known })
        },
        None => {
            let mut known: Vec<_> = known.iter().map(|held| stem(held).to_owned()).collect();
            known.dedup();
            let near = nearest(stem(&word), known.iter().map(String::as_str)).map(str::to_owned);
            Err(CodeError::Unknown { kind: kind.name(), found: word, nearest: near, known })
        },
    }
}

fn stem(name: &str) -> &str {
    name.split_once('/').map_or(name, |(stem, _)| stem)
}

fn version(name: &str) -> u64 {
    name.split_once('/').and_then(|(_, version)| version.parse().ok()).unwrap_or(0)
}

/// Rules that the registry refuses as planned.
const PLANNED: [&str; 2] = ["ftrl", "proximal"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_versions_and_parameters() {
        let known = ["adam/1", "adam/2", "adam/10", "momentum/1"];
        let named = |text: &str| of_known(Kind::Rule, text, known.into_iter());
        let shown = |text: &str| named(text).map(|extension| extension.to_string());
        assert_eq!(shown("adam"), Ok("adam/10".into()));
        assert_eq!(shown("Adam/2"), Ok("adam/2".into()));
        assert_eq!(shown("momentum:0.9"), Ok("momentum/1(beta=0.9)".into()));
        assert_eq!(shown("adam:beta2=0.5,0.1"), Ok("adam/10(beta1=0.1, beta2=0.5)".into()));
        for twice in ["momentum:0.5,0.9", "momentum:0.5,beta=0.9", "momentum:beta=0.5,beta=0.9"] {
            let error = shown(twice).unwrap_err().to_string();
            assert_eq!(error, "`momentum` is given beta twice, 0.5 and 0.9: leave one out");
        }
        assert!(shown("adam/3").unwrap_err().to_string().contains("adam/1, adam/2, adam/10"));
        assert!(shown("momentun").unwrap_err().to_string().contains("did you mean `momentum`?"));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let known = ["adam/1", "bsp/1", "mine/3", "ssp/1"];
        let named = |text: &str| of_known(Kind::Policy, text, known.into_iter());
        for text in ["bsp", "ssp:2", "adam:0.5,epsilon=1e-8", "mine/3:a=-1,b=1.5"] {
            assert_eq!(named(text).map(|extension| written(&extension)), Ok(text.into()));
        }
        let needed = named("SSP").unwrap_err().to_string();
        assert_eq!(needed, "`ssp` needs its staleness: write ssp:NUMBER");
    }

    #[test]
    fn what_code_does_not_take_is_told_of_the_option() {
        let registry = Registry::built_in();
        let told = |kind, text| named(kind, text, &registry).unwrap_err().to_string();
        for (kind, text, expected) in [
            (
                Kind::Global,
                "asp:-0.1",
                "--global asp:-0.1: threshold: expected a finite number, at least 0",
            ),
            (Kind::Policy, "asp:0.02", "`asp` is a global policy: --global asp:0.02"),
            (Kind::Policy, "Adam", "`adam` is an update rule: --rule adam"),
            (
                Kind::Rule,
                "relative",
                "`relative` is a significance function: --significance relative",
            ),
        ] {
            assert_eq!(told(kind, text), expected);
        }
        assert!(told(Kind::Policy, "ssp:0.5").starts_with("--local ssp:0.5: staleness: expected"));
        assert!(told(Kind::Policy, "bps").contains("did you mean `bsp`?"));
        assert!(
            named(Kind::Rule, "ftrl", &registry).is_ok(),
            "the table is told that it is planned"
        );
    }

    #[test]
    fn a_share_above_one_was_probably_meant_in_percent() {
        let registry = Registry::built_in();
        let doubted = |global, significance| {
            doubt(&named_policy(["bsp", global, significance], &registry).unwrap())
        };
        let two = "threshold 2 is 200 % of a value: 2 % is asp:0.02";
        assert_eq!(doubted("asp:2", "relative").as_deref(), Some(two));
        assert_eq!(doubted("asp:2", "absolute"), None);
        assert_eq!(doubted("asp:1", "relative"), None);
        assert_eq!(doubted("ssp:2", "relative"), None);
    }
}
