//! Figures with units, as people read them.

/// Bytes with a unit of 1000.
pub(crate) fn bytes(count: u64) -> String {
    let (mut value, mut unit) = (count as f64, "B");
    for larger in ["kB", "MB", "GB", "TB"] {
        if value < 1000.0 {
            break;
        }
        (value, unit) = (value / 1000.0, larger);
    }
    if unit == "B" { format!("{count} B") } else { format!("{value:.1} {unit}") }
}

/// A time with a unit.
pub(crate) fn seconds(time: f64) -> String {
    match time {
        0.0 => "0 s".into(),
        short if short < 1.0 => format!("{:.1} ms", short * 1e3),
        long => format!("{long:.1} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        assert_eq!([seconds(0.0), seconds(0.0123), seconds(90.0)], ["0 s", "12.3 ms", "90.0 s"]);
        assert_eq!([bytes(999), bytes(1000), bytes(12_345_678)], ["999 B", "1.0 kB", "12.3 MB"]);
    }
}
