//! Text in Prometheus' exposition format, version 0.0.4.

use std::fmt::Write;

use archipelago::node::shard::RoundTimes;

/// A page, family by family.
#[derive(Debug, Default)]
pub(super) struct Page(String);

/// The labels of one sample.
pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

impl Page {
    /// Begins a family: all of its samples follow.
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP archipelago_{name} {help}"));
        self.line(format_args!("# TYPE archipelago_{name} {kind}"));
    }

    pub(super) fn sample(&mut self, name: &str, labels: Labels<'_>, value: f64) {
        let pair = |(label, value): &(&str, &str)| format!("{label}=\"{}\"", escaped(value));
        let labels: Vec<_> = labels.iter().map(pair).collect();
        let labels =
            if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        self.line(format_args!("archipelago_{name}{labels} {value}"));
    }

    /// A family with one sample and no labels.
    pub(super) fn one(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    /// The samples of one histogram of its family.
    pub(super) fn histogram(&mut self, name: &str, labels: Labels<'_>, times: &RoundTimes) {
        let count = times.count() as f64;
        let bounds = times.buckets().map(|(bound, count)| (bound.as_secs_f64(), count as f64));
        for (bound, count) in bounds.chain([(f64::INFINITY, count)]) {
            let bound = if bound.is_finite() { bound.to_string() } else { "+Inf".into() };
            let labels = [labels, &[("le", &*bound)]].concat();
            self.sample(&format!("{name}_bucket"), &labels, count);
        }
        self.sample(&format!("{name}_sum"), labels, times.total().as_secs_f64());
        self.sample(&format!("{name}_count"), labels, count);
    }

    pub(super) fn finish(self) -> String {
        self.0
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // A string takes everything.
        let _ = writeln!(self.0, "{line}");
    }
}

/// A label's value: names of tables and groups are the user's.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_in_the_format_whatever_the_names() {
        let mut page = Page::default();
        page.one("a_bytes", "gauge", "Help.", 16777217.0);
        page.sample("b_seconds", &[("table", "a \"b\"\\\n")], 0.25);
        let expected = "# HELP archipelago_a_bytes Help.\n# TYPE archipelago_a_bytes gauge\n\
            archipelago_a_bytes 16777217\n\
            archipelago_b_seconds{table=\"a \\\"b\\\"\\\\\\n\"} 0.25\n";
        assert_eq!(page.finish(), expected);
    }
}
