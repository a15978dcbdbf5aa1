//! Words that were probably meant.

/// A word this close to a known one was probably meant to be it.
const DISTANCE_MAX: usize = 3;

/// The known word that was probably meant.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // In capitals it is the same word.
    let word = word.to_lowercase();
    let lower = known.into_iter().map(|held| (held.to_lowercase(), held));
    let near = lower.filter_map(|(lower, held)| {
        let distance = strsim::damerau_levenshtein(&word, &lower);
        let close = distance <= DISTANCE_MAX && distance < lower.len();
        (close || lower.starts_with(&word)).then_some((distance, held))
    });
    near.min().map(|(_, held)| held)
}

/// The end of a complaint about an unknown word.
pub(crate) fn suggestion(nearest: Option<&str>, known: &[String]) -> String {
    match nearest {
        Some(nearest) => format!(": did you mean `{nearest}`?"),
        None => format!(": known are {}", known.join(", ")),
    }
}
