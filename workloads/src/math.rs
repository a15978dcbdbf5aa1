//! f32 kernels in a fixed order of operations.
//!
//! Exponentials and logarithms come from `libm`, not from the platform, and nothing here is
//! reassociated or fused, so that a gradient has the same bits on every machine (law 4).

/// `out += scale * row`, element by element.
pub(crate) fn add_scaled(out: &mut [f32], scale: f32, row: &[f32]) {
    debug_assert_eq!(out.len(), row.len());
    for (sum, &value) in out.iter_mut().zip(row) {
        *sum += scale * value;
    }
}

/// The inner product, summed from the first element to the last.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    debug_assert_eq!(a.len(), b.len());
    let mut sum = 0.0;
    for (&a, &b) in a.iter().zip(b) {
        sum += a * b;
    }
    sum
}

/// `out = biases + inputs x weights`: a row of weights per input. Inputs of 0 are skipped.
pub(crate) fn affine(out: &mut [f32], inputs: &[f32], weights: &[f32], biases: &[f32]) {
    out.copy_from_slice(biases);
    for (&input, weights) in inputs.iter().zip(weights.chunks_exact(biases.len())) {
        if input != 0.0 {
            add_scaled(out, input, weights);
        }
    }
}

/// Adds the gradient of [`affine`]: input i times all slopes to row i, the slopes to the last row.
pub(crate) fn add_outer(gradient: &mut [f32], inputs: &[f32], slopes: &[f32]) {
    let inputs = inputs.iter().chain(&[1.0]);
    for (&input, row) in inputs.zip(gradient.chunks_exact_mut(slopes.len())) {
        if input != 0.0 {
            add_scaled(row, input, slopes);
        }
    }
}

/// Log-loss of a margin (label times score) and its derivative by the margin, without overflow.
///
/// loss = ln(1 + e^-m), derivative = -1 / (1 + e^m).
pub(crate) fn log_loss(margin: f32) -> (f32, f32) {
    if margin >= 0.0 {
        let small = libm::expf(-margin);
        (libm::log1pf(small), -small / (1.0 + small))
    } else {
        let small = libm::expf(margin);
        (libm::log1pf(small) - margin, -1.0 / (1.0 + small))
    }
}

/// Turns scores into probabilities and returns the log-loss of class `label`.
pub(crate) fn softmax_loss(scores: &mut [f32], label: usize) -> f32 {
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let own = scores[label] - largest;
    let mut sum = 0.0;
    for score in &mut *scores {
        *score = libm::expf(*score - largest);
        sum += *score;
    }
    for score in &mut *scores {
        *score /= sum;
    }
    libm::logf(sum) - own
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f32::consts::LN_2;

    #[test]
    fn extreme_margins_stay_finite() {
        assert_eq!(log_loss(200.0), (0.0, 0.0));
        assert_eq!(log_loss(-200.0), (200.0, -1.0));
        let (loss, slope) = log_loss(0.0);
        assert!((loss - LN_2).abs() < 1e-6 && slope == -0.5);
    }

    #[test]
    fn softmax_of_large_scores() {
        let mut scores = [1000.0, 1000.0, -1000.0];
        let loss = softmax_loss(&mut scores, 0);
        assert!((loss - LN_2).abs() < 1e-6);
        assert_eq!(scores, [0.5, 0.5, 0.0]);
        assert_eq!(softmax_loss(&mut [1000.0, -1000.0], 1), 2000.0);
    }
}
