//! Names resolved to code: update rules, local policies and significance functions, given when a
//! store or server starts.

use std::collections::BTreeMap;

use crate::consistency::{
    Asp, Bsp, Eventual, Exchange, GlobalPolicy, LocalPolicy, Off, Ssp, silence_max,
};
use crate::error::SpecError;
use crate::extension::Extension;
use crate::limits;
use crate::spec::{FoldOrder, SILENCE, TablePolicy, TableSpec};
use crate::sync::Arc;
use crate::time::Duration;
use crate::vector::rules::{Adagrad, Adam, Add, Assign, Momentum, Sgd};
use crate::vector::{Absolute, DType, Mirrored, Relative, Significance, UpdateRule};

/// Makes an update rule from its parameters, or says which parameter is wrong.
pub type RuleFactory = fn(&Extension) -> Result<Arc<dyn UpdateRule>, String>;
/// Makes a local policy from its parameters, or says which parameter is wrong.
pub type PolicyFactory = fn(&Extension) -> Result<Arc<dyn LocalPolicy>, String>;
/// Makes a significance function from its parameters, or says which parameter is wrong.
pub type SignificanceFactory = fn(&Extension) -> Result<Arc<dyn Significance>, String>;
/// Makes a global policy from its parameters, or says which parameter is wrong.
pub type GlobalFactory = fn(&Extension) -> Result<Arc<dyn GlobalPolicy>, String>;

/// The code behind the names of extensions.
///
/// ```
/// use archipelago::node::Registry;
/// let registry = Registry::built_in();
/// assert!(registry.rules().any(|name| name == "adam/1"));
/// assert!(registry.significances().any(|name| name == "relative/1"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Registry {
    rules: BTreeMap<String, RuleFactory>,
    policies: BTreeMap<String, PolicyFactory>,
    significances: BTreeMap<String, SignificanceFactory>,
    globals: BTreeMap<String, GlobalFactory>,
}

impl Registry {
    /// The built-in rules, policies and significance functions.
    pub fn built_in() -> Self {
        Self::default()
            .rule("add/1", |_| Ok(Arc::new(Add)))
            .rule("assign/1", |_| Ok(Arc::new(Assign)))
            .rule("sgd/1", |_| Ok(Arc::new(Sgd)))
            .rule("momentum/1", |named| made(Momentum::from_extension(named)))
            .rule("adagrad/1", |named| made(Adagrad::from_extension(named)))
            .rule("adam/1", |named| made(Adam::from_extension(named)))
            .policy("bsp/1", |named| Ok(with(named, &[], Bsp)?))
            .policy("eventual/1", |named| Ok(with(named, &[], Eventual)?))
            .policy("ssp/1", |named| Ok(with(named, &[STALENESS], ssp(named)?)?))
            .significance("absolute/1", |named| significance(Absolute::from_extension(named)))
            .significance("relative/1", |named| significance(Relative::from_extension(named)))
            .global("off/1", |named| Ok(with(named, &[], Off)?))
            .global("bsp/1", |named| Ok(with(named, &[SILENCE], Bsp)?))
            .global("eventual/1", |named| Ok(with(named, &[SILENCE], Eventual)?))
            .global("ssp/1", |named| Ok(with(named, &[STALENESS, SILENCE], ssp(named)?)?))
            .global("asp/1", |named| Ok(Arc::new(Asp::from_extension(named)?)))
    }

    /// Adds an update rule under `name/version`; the last one under a name counts.
    #[must_use]
    pub fn rule(mut self, name: &str, factory: RuleFactory) -> Self {
        self.rules.insert(name.into(), factory);
        self
    }

    /// Adds a local policy under `name/version`; the last one under a name counts.
    #[must_use]
    pub fn policy(mut self, name: &str, factory: PolicyFactory) -> Self {
        self.policies.insert(name.into(), factory);
        self
    }

    /// Adds a significance function under `name/version`; the last one under a name counts.
    #[must_use]
    pub fn significance(mut self, name: &str, factory: SignificanceFactory) -> Self {
        self.significances.insert(name.into(), factory);
        self
    }

    /// Adds a global policy under `name/version`; the last one under a name counts.
    #[must_use]
    pub fn global(mut self, name: &str, factory: GlobalFactory) -> Self {
        self.globals.insert(name.into(), factory);
        self
    }

    /// The names of the global policies, in order.
    pub fn globals(&self) -> impl Iterator<Item = &str> {
        self.globals.keys().map(String::as_str)
    }

    /// The names of the update rules, in order.
    pub fn rules(&self) -> impl Iterator<Item = &str> {
        self.rules.keys().map(String::as_str)
    }

    /// The names of the local policies, in order.
    pub fn policies(&self) -> impl Iterator<Item = &str> {
        self.policies.keys().map(String::as_str)
    }

    /// The names of the significance functions, in order.
    pub fn significances(&self) -> impl Iterator<Item = &str> {
        self.significances.keys().map(String::as_str)
    }

    /// Finds the significance function that a table of this type names.
    ///
    /// # Errors
    /// An extension that is unknown or too long, a parameter out of bounds, or a function that does
    /// not support the type.
    pub fn resolve_significance(
        &self,
        table: &str,
        named: &Extension,
        dtype: DType,
    ) -> Result<Arc<dyn Significance>, SpecError> {
        check_names(table, named)?;
        let Some(factory) = self.significances.get(named.name()) else {
            return Err(unknown("significance function", table, named, self.significances()));
        };
        let found = factory(named).map_err(|expected| parameter(table, named, expected))?;
        if found.supports(dtype) {
            return Ok(found);
        }
        Err(SpecError::Field {
            table: table.into(),
            field: "significance".into(),
            expected: format!("one that supports {}", dtype.name()),
            found: named.to_string(),
        })
    }

    /// Checks a table's description and finds its code.
    ///
    /// # Errors
    /// A field out of bounds, an unknown extension, a rule that does not support the type, or
    /// something planned.
    pub fn resolve(&self, spec: &TableSpec, policy: &TablePolicy) -> Result<Code, SpecError> {
        spec.check()?;
        check_names(&spec.name, &spec.rule)?;
        check_names(&spec.name, &policy.local)?;
        for named in [&policy.global, &policy.significance] {
            check_names(&spec.name, named)?;
            check_few(&spec.name, named)?;
        }
        let rule = self.find_rule(spec)?;
        if !rule.supports(spec.dtype) {
            return Err(SpecError::Field {
                table: spec.name.clone(),
                field: "rule".into(),
                expected: format!("one that supports {}", spec.dtype.name()),
                found: spec.rule.to_string(),
            });
        }
        if policy.fold == FoldOrder::Arrival {
            return Err(planned(&spec.name, "fold order Arrival"));
        }
        let least = limits::BLOCK_ELEMENTS_MAX as usize * 8;
        if policy.bsp_stash_bytes_max < least {
            return Err(SpecError::Field {
                table: spec.name.clone(),
                field: "bsp_stash_bytes_max".into(),
                expected: format!("at least {least}, one block"),
                found: policy.bsp_stash_bytes_max.to_string(),
            });
        }
        let global = self.find_global(&spec.name, &policy.global)?;
        let silence_max = silence_max(&policy.global, global.silence_max())
            .map_err(|expected| parameter(&spec.name, &policy.global, expected))?;
        let code = Code {
            rule,
            policy: self.find_policy(&spec.name, &policy.local)?,
            global,
            silence_max,
            significance: self.resolve_significance(
                &spec.name,
                &policy.significance,
                spec.dtype,
            )?,
        };
        check_together(spec, policy, &code)?;
        Ok(code)
    }

    fn find_rule(&self, spec: &TableSpec) -> Result<Arc<dyn UpdateRule>, SpecError> {
        let Some(factory) = self.rules.get(spec.rule.name()) else {
            if PLANNED_RULES.contains(&spec.rule.name()) {
                return Err(planned(&spec.name, spec.rule.name()));
            }
            return Err(unknown("update rule", &spec.name, &spec.rule, self.rules()));
        };
        factory(&spec.rule).map_err(|expected| parameter(&spec.name, &spec.rule, expected))
    }

    fn find_policy(
        &self,
        table: &str,
        named: &Extension,
    ) -> Result<Arc<dyn LocalPolicy>, SpecError> {
        let Some(factory) = self.policies.get(named.name()) else {
            return Err(unknown("local policy", table, named, self.policies()));
        };
        factory(named).map_err(|expected| parameter(table, named, expected))
    }

    fn find_global(
        &self,
        table: &str,
        named: &Extension,
    ) -> Result<Arc<dyn GlobalPolicy>, SpecError> {
        let Some(factory) = self.globals.get(named.name()) else {
            return Err(unknown("global policy", table, named, self.globals()));
        };
        factory(named).map_err(|expected| parameter(table, named, expected))
    }
}

/// Whether rule, local and global policy go together (the table of SPEC section 8).
fn check_together(spec: &TableSpec, policy: &TablePolicy, code: &Code) -> Result<(), SpecError> {
    let field = |expected: &str, found: String| {
        let (table, field) = (spec.name.clone(), "global policy".into());
        Err(SpecError::Field { table, field, expected: expected.into(), found })
    };
    let global = &policy.global;
    match code.global.exchange() {
        Exchange::Aggregates if !code.policy.gathers() => field(
            "a local policy that gathers rounds, as bsp/1, where aggregates are exchanged",
            format!("{global} with local {}", policy.local),
        ),
        Exchange::Deltas if code.rule.mirrored() == Mirrored::Refused => field(
            "off/1 or bsp/1: what this rule makes of a value is no sum of what it has gained",
            format!("{global} with rule {}", spec.rule),
        ),
        Exchange::Nothing | Exchange::Aggregates | Exchange::Deltas => Ok(()),
    }
}

/// The code that a table runs.
#[derive(Clone, Debug)]
pub struct Code {
    /// Its update rule.
    pub rule: Arc<dyn UpdateRule>,
    /// Its local policy.
    pub policy: Arc<dyn LocalPolicy>,
    /// Its global policy.
    pub global: Arc<dyn GlobalPolicy>,
    /// How long a data centre may be silent before nobody waits for it any more.
    pub silence_max: Duration,
    /// What its global policy's threshold is compared with.
    pub significance: Arc<dyn Significance>,
}

impl Code {
    /// Whether copies in several data centres exchange anything about a table of it.
    pub fn is_mirrored(&self) -> bool {
        self.global.exchange() != Exchange::Nothing
    }
}

/// A policy whose description has no parameters but those known.
fn with<P>(named: &Extension, known: &[&str], policy: P) -> Result<Arc<P>, String> {
    named.only(known)?;
    Ok(Arc::new(policy))
}

fn ssp(named: &Extension) -> Result<Ssp, String> {
    Ok(Ssp { staleness: named.whole(STALENESS, 0)? })
}

const STALENESS: &str = "staleness";

fn made<R: UpdateRule + 'static, E: ToString>(
    rule: Result<R, E>,
) -> Result<Arc<dyn UpdateRule>, String> {
    rule.map(|rule| Arc::new(rule) as Arc<dyn UpdateRule>).map_err(|error| error.to_string())
}

fn significance<S: Significance + 'static, E: ToString>(
    function: Result<S, E>,
) -> Result<Arc<dyn Significance>, String> {
    let function = function.map_err(|error| error.to_string())?;
    Ok(Arc::new(function))
}

/// A peer's descriptions are no larger than a user's may be (SPEC law 14).
fn check_names(table: &str, named: &Extension) -> Result<(), SpecError> {
    if named.is_bounded() {
        return Ok(());
    }
    let expected = "names of 1 to 255 bytes, and at most 64 parameters".into();
    let found = format!("{} parameters, {} bytes", named.parameters().len(), named.name().len());
    Err(SpecError::Field { table: table.into(), field: "extension".into(), expected, found })
}

/// A description with all its policies has to fit a frame many times.
fn check_few(table: &str, named: &Extension) -> Result<(), SpecError> {
    let (most, found) = (limits::GLOBAL_PARAMETERS_MAX, named.parameters().len());
    if found <= most {
        return Ok(());
    }
    let expected = format!("at most {most} parameters");
    let field = "extension".into();
    Err(SpecError::Field { table: table.into(), field, expected, found: found.to_string() })
}

fn planned(table: &str, what: &str) -> SpecError {
    SpecError::Planned { name: table.into(), what: what.into() }
}

fn parameter(table: &str, named: &Extension, expected: String) -> SpecError {
    let (field, found) = ("extension".into(), named.to_string());
    SpecError::Field { table: table.into(), field, expected, found }
}

fn unknown<'a>(
    kind: &'static str,
    table: &str,
    named: &Extension,
    known: impl Iterator<Item = &'a str>,
) -> SpecError {
    SpecError::UnknownExtension {
        name: table.into(),
        kind: kind.into(),
        extension: named.name().into(),
        known: known.collect::<Vec<_>>().join(", "),
    }
}

const PLANNED_RULES: [&str; 2] = ["ftrl/1", "proximal/1"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consistency::{Decay, Threshold};
    use crate::schedule::Schedule;
    use crate::spec::Hyper;
    use crate::vector::Element;

    /// Whether a table of this type may have this rule and rate.
    fn allowed<T: Element>(rule: impl Into<Extension>, rate: Schedule) -> bool {
        let spec = TableSpec::dense("w", 9).dtype::<T>().rule(rule);
        let resolved = Registry::built_in().resolve(&spec, &TablePolicy::local(Bsp));
        resolved.is_ok() && Hyper::rate(rate).check(&spec).is_ok()
    }

    #[test]
    fn numbers_that_the_type_does_not_hold_are_refused() {
        let rate = Schedule::Constant(0.1);
        let adam = |beta1, epsilon| Adam { beta1, epsilon, ..Adam::default() };
        assert!(allowed::<f32>(adam(0.9, 1e-8), rate) && allowed::<f32>(adam(0.0, 1e-40), rate));
        for rule in [adam(0.9, 1e-50), adam(1.0 - 1e-12, 1e-8), adam(1e-60, 1e-8)] {
            assert!(allowed::<f64>(rule, rate) && !allowed::<f32>(rule, rate), "{rule:?}");
        }
        let line = |from, to| Schedule::Linear { from, to, ticks: 9 };
        assert!(allowed::<f32>(Sgd, line(1e30, 0.0)));
        for rate in [
            Schedule::Constant(1e39),
            Schedule::Constant(1e-50),
            Schedule::inverse_sqrt(1e300),
            line(0.0, -1e40),
        ] {
            assert!(allowed::<f64>(Sgd, rate) && !allowed::<f32>(Sgd, rate), "{rate:?}");
        }
        assert!(!allowed::<f64>(Sgd, Schedule::Constant(f64::INFINITY)));
    }

    #[test]
    fn all_parameters_of_a_policy_may_be_given() {
        let steps = [(1, 0.4), (2, 0.3), (3, 0.2), (4, 0.1)];
        let hard = Threshold::new(0.5).decay(Decay::Steps(steps)).flush_every(100);
        let longest = Extension::from(Asp { hard, ..Asp::default() });
        for global in [longest, Ssp { staleness: u64::MAX }.into()] {
            let policy = TablePolicy::local(Bsp).global(global.clone());
            let resolved = Registry::built_in().resolve(&TableSpec::dense("w", 9), &policy);
            assert_eq!(resolved.map(drop), Ok(()), "{global}");
        }
    }

    /// A function for floats alone.
    #[derive(Debug)]
    struct Floats;

    impl Significance for Floats {
        fn extension(&self) -> Extension {
            Extension::new("floats/1")
        }

        fn supports(&self, dtype: DType) -> bool {
            dtype != DType::I64
        }
    }

    #[test]
    fn significance_functions_are_found_by_name_or_refused_with_a_reason() {
        let registry = Registry::built_in().significance("floats/1", |_| Ok(Arc::new(Floats)));
        let names: Vec<_> = registry.significances().collect();
        assert_eq!(names, ["absolute/1", "floats/1", "relative/1"]);
        let resolve = |named: &Extension, dtype| registry.resolve_significance("w", named, dtype);
        for name in names {
            let named = Extension::new(name);
            let found = resolve(&named, DType::F32).map(|found| found.extension());
            assert_eq!(found, Ok(named));
        }
        let refused = |named: &Extension| {
            resolve(named, DType::I64).map(drop).map_err(|error| error.to_string()).unwrap_err()
        };
        assert!(refused(&Extension::new("floats/1")).contains("one that supports i64"));
        assert!(
            refused(&Extension::new("relative/2")).contains("absolute/1, floats/1, relative/1")
        );
        let surplus = Extension::new("relative/1").with("share", 0.5);
        assert!(refused(&surplus).contains("no parameter \"share\""));
        assert!(refused(&Extension::new("a".repeat(300))).contains("1 to 255 bytes"));
    }
}
