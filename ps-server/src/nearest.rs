//! Words that were probably meant.

/// A word this close to a known one was probably meant to be it.
const DISTANCE_MAX: usize = 3;

/// The known word that was probably meant.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distances = known.into_iter().map(|held| (strsim::damerau_levenshtein(word, held), held));
    let near = distances.filter(|(distance, held)| {
        *distance <= DISTANCE_MAX && *distance < held.len() || held.starts_with(word)
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
