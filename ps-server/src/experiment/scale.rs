//! From values to places on an axis, and where its marks stand.

/// An axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    /// The values at the ends, the least first; decimal logarithms of them on a logarithmic axis.
    values: (f64, f64),
    /// Where the ends are.
    places: (f64, f64),
    logarithmic: bool,
}

/// When the longest run takes so many times as long as the shortest, the axis is logarithmic.
const LOGARITHMIC_FROM: f64 = 4.0;
/// Decades left of the shortest run that a logarithmic axis shows at most.
const DECADES_MAX: f64 = 3.0;
/// About so many marks.
const MARKS: f64 = 5.0;

impl Scale {
    /// An axis of values from the least to the largest.
    pub(super) fn linear((least, most): (f64, f64), places: (f64, f64)) -> Self {
        // A single value stands in the middle.
        let room = if most > least { 0.0 } else { least.abs().max(1.0) * 0.5 };
        Self { values: (least - room, most + room), places, logarithmic: false }
    }

    /// An axis of times: `ends` are those of the shortest and the longest line, `all` those of all
    /// points above 0.
    pub(super) fn of_times(ends: (f64, f64), all: (f64, f64), places: (f64, f64)) -> Self {
        let (shortest, longest) = ends;
        if shortest <= 0.0 || longest / shortest < LOGARITHMIC_FROM {
            return Self::linear((0.0, longest.max(all.1)), places);
        }
        let left = all.0.log10().max(shortest.log10() - DECADES_MAX);
        Self { values: (left, longest.log10()), places, logarithmic: true }
    }

    /// Where a value is; values left of a logarithmic axis are at its end.
    pub(super) fn place(&self, value: f64) -> f64 {
        let ((least, most), (from, to)) = (self.values, self.places);
        let value = if self.logarithmic { value.log10().max(least) } else { value };
        from + (value - least) / (most - least) * (to - from)
    }

    /// Values to be marked, and where they are.
    pub(super) fn marks(&self) -> Vec<(f64, f64)> {
        let values = if self.logarithmic { self.decades() } else { self.steps() };
        values.into_iter().map(|value| (value, self.place(value))).collect()
    }

    /// Round numbers inside the axis.
    fn steps(&self) -> Vec<f64> {
        let (least, most) = self.values;
        let rough = (most - least) / MARKS;
        let size = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * size);
        let step = step.into_iter().find(|step| *step >= rough).unwrap_or(rough);
        let first = (least / step).ceil();
        let count = ((most / step).floor() - first).max(0.0) as usize;
        // Twice as many as asked for are the most that rounding can make.
        (0..=count.min(2 * MARKS as usize)).map(|mark| (first + mark as f64) * step).collect()
    }

    /// Powers of ten inside the axis; their halves and doubles where there are few.
    fn decades(&self) -> Vec<f64> {
        let (least, most) = self.values;
        let factors: &[f64] = if most - least > 3.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let powers = least.floor() as i32..=most.ceil() as i32;
        let marks = powers.flat_map(|power| factors.iter().map(move |f| f * 10_f64.powi(power)));
        let inside = |value: &f64| (least - 1e-9..=most + 1e-9).contains(&value.log10());
        marks.filter(inside).collect()
    }
}

/// A number in few characters.
pub(super) fn short(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 || size < 1e-12 {
        return "0".into();
    }
    if !(1e-3..1e5).contains(&size) {
        return format!("{value:.1e}").replace(".0e", "e");
    }
    // Four significant digits, without zeros at the end.
    let digits = (3 - size.log10().floor() as i32).max(0) as usize;
    let text = format!("{value:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').into(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(scale: &Scale) -> Vec<String> {
        scale.marks().into_iter().map(|(value, _)| short(value)).collect()
    }

    #[test]
    fn linear_axes_have_round_marks() {
        let scale = Scale::linear((0.0, 10.0), (0.0, 100.0));
        assert_eq!(marks(&scale), ["0", "2", "4", "6", "8", "10"]);
        assert_eq!(scale.place(5.0), 50.0);
        let upwards = Scale::linear((-1.02, -0.98), (200.0, 0.0));
        assert_eq!(marks(&upwards), ["-1.02", "-1.01", "-1", "-0.99", "-0.98"]);
        assert_eq!(Scale::linear((3.0, 3.0), (0.0, 10.0)).place(3.0), 5.0);
    }

    #[test]
    fn times_far_apart_are_on_a_logarithmic_axis() {
        let near = Scale::of_times((10.0, 30.0), (0.1, 30.0), (0.0, 300.0));
        assert_eq!(near.place(15.0), 150.0);
        let far = Scale::of_times((10.0, 1000.0), (1.0, 1000.0), (0.0, 300.0));
        assert_eq!((far.place(1.0), far.place(0.0), far.place(10.0)), (0.0, 0.0, 100.0));
        assert_eq!(marks(&far).first().map(String::as_str), Some("1"));
        assert_eq!(marks(&far).last().map(String::as_str), Some("1000"));
        let first = Scale::of_times((10.0, 1000.0), (1e-9, 1000.0), (0.0, 300.0));
        assert_eq!(first.place(1e-9), first.place(0.01), "three decades are enough");
    }

    #[test]
    fn numbers_are_short() {
        let values = [0.0, 1.0, 0.25, 1234.5, -0.001, 1.5e6, 2e-5, 99_999.0];
        assert_eq!(
            values.map(short),
            ["0", "1", "0.25", "1234", "-0.001", "1.5e6", "2e-5", "99999"]
        );
    }
}
