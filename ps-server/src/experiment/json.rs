//! Results as JSON: one object on a line, the same bytes for the same run.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

use super::result::RunResult;

/// Writes one result on a line of its own.
pub(super) fn write(out: &mut dyn Write, result: &RunResult) -> anyhow::Result<()> {
    result.serialize(&mut Serializer::with_formatter(&mut *out, FixedDigits))?;
    writeln!(out)?;
    Ok(())
}

/// Floats with six digits behind the point; small ones with six behind the first.
struct FixedDigits;

/// Below this, six digits behind the point say too little.
const SMALL: f64 = 1e-3;
/// From here on digits behind the point say nothing.
const LARGE: f64 = 1e15;

impl Formatter for FixedDigits {
    fn write_f64<W: ?Sized + Write>(&mut self, out: &mut W, value: f64) -> io::Result<()> {
        let size = value.abs();
        if size == 0.0 || (SMALL..LARGE).contains(&size) {
            write!(out, "{:.6}", if size == 0.0 { 0.0 } else { value })
        } else {
            write!(out, "{value:.6e}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: f64) -> String {
        let mut out = Vec::new();
        let mut to = Serializer::with_formatter(&mut out, FixedDigits);
        value.serialize(&mut to).expect("written");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn floats_have_a_fixed_number_of_digits() {
        let values = [0.0, -0.0, 1.5, 1.0 / 3.0, -7e-9, 1e-3, 123_456.75, 2e15];
        assert_eq!(
            values.map(written),
            [
                "0.000000",
                "0.000000",
                "1.500000",
                "0.333333",
                "-7.000000e-9",
                "0.001000",
                "123456.750000",
                "2.000000e15"
            ]
        );
        assert_eq!([f64::NAN, f64::INFINITY].map(written), ["null", "null"]);
        for value in [1.5, -7e-9, 2e15] {
            assert_eq!(serde_json::from_str::<f64>(&written(value)).expect("JSON"), value);
        }
    }
}
