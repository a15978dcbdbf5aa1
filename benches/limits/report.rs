//! Rows: what was measured, against which limit, with which aim.

use crate::options::Options;

/// What a row's ratio should be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Aim {
    AtLeast(f64),
    AtMost(f64),
    /// Reported only.
    None,
}

/// One result.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) limit: f64,
    pub(crate) unit: &'static str,
    pub(crate) aim: Aim,
    /// What a reader of the figure should know beside it.
    pub(crate) note: String,
}

/// Prints rows as they come.
#[derive(Debug)]
pub(crate) struct Report {
    json: bool,
    /// Figures of a tiny run mean nothing, so none is judged.
    smoke: bool,
    filter: Option<String>,
    rows: usize,
    missed: Vec<String>,
}

impl Report {
    pub(crate) fn new(options: &Options) -> Self {
        if !options.json {
            println!(
                "{:<28} {:>10} {:>10} {:<9} {:>6}  aim",
                "name", "value", "limit", "unit", "ratio"
            );
        }
        Self {
            json: options.json,
            smoke: options.smoke,
            filter: options.filter.clone(),
            rows: 0,
            missed: Vec::new(),
        }
    }

    /// Whether the row was asked for; says that it is being measured.
    pub(crate) fn wants(&self, name: &str) -> bool {
        let wanted = self.filter.as_ref().is_none_or(|part| name.contains(part));
        if wanted {
            eprintln!(".. {name}");
        }
        wanted
    }

    /// Prints a row.
    pub(crate) fn row(&mut self, row: &Row) {
        let ratio = row.value / row.limit;
        let (aim, met) = match row.aim {
            Aim::AtLeast(least) => (format!(">= {least:.2}"), ratio >= least),
            Aim::AtMost(most) => (format!("<= {most:.2}"), ratio <= most),
            Aim::None => (String::new(), true),
        };
        self.rows += 1;
        if !met && !self.smoke {
            self.missed.push(row.name.clone());
        }
        if self.json {
            println!("{}", json(row, ratio));
            return;
        }
        let verdict = match row.aim {
            Aim::None => "",
            _ if self.smoke => "smoke",
            _ if met => "met",
            _ => "missed",
        };
        let line = format!(
            "{:<28} {:>10} {:>10} {:<9} {:>6}  {aim:<8} {verdict:<7} {}",
            row.name,
            text(row.value, 3, "-"),
            text(row.limit, 3, "-"),
            row.unit,
            text(ratio, 3, "-"),
            row.note
        );
        println!("{}", line.trim_end());
    }

    /// Says how many aims were missed.
    pub(crate) fn finish(&self) {
        if self.smoke {
            eprintln!("{} rows of a smoke run: the figures mean nothing", self.rows);
            return;
        }
        eprintln!("{} rows, {} aims missed", self.rows, self.missed.len());
        for name in &self.missed {
            eprintln!("missed: {name}");
        }
    }
}

/// A number; `none` where nothing was measured.
fn text(number: f64, digits: usize, none: &str) -> String {
    if number.is_finite() { format!("{number:.digits$}") } else { none.into() }
}

/// One object on one line. Names and units hold nothing that JSON would escape; a ratio to a limit
/// that was not measured is null.
fn json(row: &Row, ratio: f64) -> String {
    let number = |number| text(number, 6, "null");
    format!(
        r#"{{"name":"{}","value":{},"limit":{},"ratio":{},"unit":"{}"}}"#,
        row.name,
        number(row.value),
        number(row.limit),
        number(ratio),
        row.unit
    )
}
