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

/// A number in few characters, as it was written.
#[cfg(feature = "workloads")]
pub(crate) fn short(number: impl std::fmt::Display + std::fmt::LowerExp) -> String {
    let (plain, scientific) = (number.to_string(), format!("{number:e}"));
    if plain.len() <= DIGITS_MAX { plain } else { scientific }
}

/// Longer numbers are written in powers of ten.
#[cfg(feature = "workloads")]
const DIGITS_MAX: usize = 12;

/// A number of things, of which one and several have these names.
#[cfg(feature = "workloads")]
pub(crate) fn counted(number: impl TryInto<u64>, [one, several]: [&str; 2]) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    format!("{number} {}", if number == 1 { one } else { several })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        assert_eq!([seconds(0.0), seconds(0.0123), seconds(90.0)], ["0 s", "12.3 ms", "90.0 s"]);
        assert_eq!([bytes(999), bytes(1000), bytes(12_345_678)], ["999 B", "1.0 kB", "12.3 MB"]);
    }

    #[cfg(feature = "workloads")]
    #[test]
    fn numbers_are_short_and_things_are_counted() {
        let numbers = [1e38_f32, -1e-30, 0.5, 100_000.0].map(short);
        assert_eq!(numbers, ["1e38", "-1e-30", "0.5", "100000"]);
        assert_eq!(short(1e300), "1e300");
        assert_eq!(counted(1_usize, ["row", "rows"]), "1 row");
        assert_eq!(counted(0_u64, ["class", "classes"]), "0 classes");
    }
}
