//! A convolution, the maximum of every 2 x 2 of its outputs, and max(0, x).
//!
//! Images are stored row by row, pixel by pixel, channel by channel, so that what lies under a
//! window is one run of consecutive elements for each of its rows, and needs no copy.

use crate::math::add_scaled;

/// The side of a window.
const WINDOW: usize = 5;

/// One layer with `C` output channels.
pub(super) struct Layer<const C: usize> {
    /// The side of its input.
    input: usize,
    /// Channels of its input.
    depth: usize,
    /// The weights turned around: for every place under the window, those of all channels.
    taps: Vec<[f32; C]>,
    biases: [f32; C],
    /// What the windows give, before the maxima.
    windows: Vec<[f32; C]>,
    /// The outputs, and which window gave each.
    outputs: Vec<f32>,
    sources: Vec<u32>,
    /// Derivatives of the loss by the outputs; 0 where an output is.
    slopes: Vec<f32>,
}

impl<const C: usize> Layer<C> {
    /// For inputs of `input` x `input` pixels and `depth` channels; an odd number of windows leaves
    /// the last one out.
    pub(super) fn new(input: usize, depth: usize) -> Self {
        let windows = input + 1 - WINDOW;
        let outputs = (windows / 2) * (windows / 2) * C;
        Self {
            input,
            depth,
            taps: vec![[0.0; C]; WINDOW * WINDOW * depth],
            biases: [0.0; C],
            windows: vec![[0.0; C]; windows * windows],
            outputs: vec![0.0; outputs],
            sources: vec![0; outputs],
            slopes: vec![0.0; outputs],
        }
    }

    /// The side of its outputs.
    pub(super) fn side(&self) -> usize {
        self.windows_side() / 2
    }

    fn windows_side(&self) -> usize {
        self.input + 1 - WINDOW
    }

    /// Elements of a channel's row: its weights and its bias.
    pub(super) fn width(&self) -> usize {
        self.taps.len() + 1
    }

    pub(super) fn elements(&self) -> usize {
        C * self.width()
    }

    /// Products of a weight and an input, forward.
    pub(super) fn products(&self) -> u64 {
        (self.windows.len() * self.taps.len() * C) as u64
    }

    pub(super) fn outputs(&self) -> &[f32] {
        &self.outputs
    }

    /// The outputs, and the slopes that `add_gradient` and `pass_down` start from.
    pub(super) fn outputs_and_slopes(&mut self) -> (&[f32], &mut [f32]) {
        (&self.outputs, &mut self.slopes)
    }

    /// Takes the rows of its table.
    pub(super) fn prepare(&mut self, values: &[f32]) {
        for (channel, row) in values.chunks_exact(self.width()).enumerate() {
            for (tap, &weight) in self.taps.iter_mut().zip(row) {
                tap[channel] = weight;
            }
            self.biases[channel] = row[self.taps.len()];
        }
    }

    pub(super) fn forward(&mut self, input: &[f32]) {
        let side = self.windows_side();
        for y in 0..side {
            let mut x = 0;
            while x < side {
                // As many as have room for their sums in the registers of any x86-64.
                x += match side - x {
                    4.. if C <= 8 => self.row::<4>(input, x, y),
                    2.. => self.row::<2>(input, x, y),
                    _ => self.row::<1>(input, x, y),
                };
            }
        }
        self.maxima();
    }

    /// Computes `N` windows side by side.
    fn row<const N: usize>(&mut self, input: &[f32], x: usize, y: usize) -> usize {
        let sums = self.sums::<N>(input, x, y);
        let begin = y * self.windows_side() + x;
        self.windows[begin..begin + N].copy_from_slice(&sums);
        N
    }

    fn sums<const N: usize>(&self, input: &[f32], x: usize, y: usize) -> [[f32; C]; N] {
        let run = WINDOW * self.depth;
        let mut sums = [self.biases; N];
        for (row, taps) in self.taps.chunks_exact(run).enumerate() {
            let begin = ((y + row) * self.input + x) * self.depth;
            let runs: [&[f32]; N] =
                std::array::from_fn(|window| &input[begin + window * self.depth..][..run]);
            for (place, tap) in taps.iter().enumerate() {
                for (sums, run) in sums.iter_mut().zip(&runs) {
                    let input = run[place];
                    for (sum, weight) in sums.iter_mut().zip(tap) {
                        *sum += input * weight;
                    }
                }
            }
        }
        sums
    }

    fn maxima(&mut self) {
        let (side, windows) = (self.side(), self.windows_side());
        let outputs = self.outputs.as_chunks_mut::<C>().0;
        let sources = self.sources.as_chunks_mut::<C>().0;
        for (place, (best, source)) in outputs.iter_mut().zip(sources).enumerate() {
            let first = place / side * 2 * windows + place % side * 2;
            *best = self.windows[first];
            *source = [first as u32; C];
            for other in [first + 1, first + windows, first + windows + 1] {
                for channel in 0..C {
                    let found = self.windows[other][channel];
                    let better = found > best[channel];
                    best[channel] = if better { found } else { best[channel] };
                    source[channel] = if better { other as u32 } else { source[channel] };
                }
            }
            best.iter_mut().for_each(|best| *best = best.max(0.0));
        }
    }

    /// The slopes that are not 0: channel, first element of the input under the window, slope.
    fn active(&self) -> impl Iterator<Item = (usize, usize, f32)> {
        let windows = self.windows_side();
        let all = self.slopes.iter().zip(&self.sources).enumerate();
        all.filter(|(_, (slope, _))| **slope != 0.0).map(move |(at, (&slope, &source))| {
            let (y, x) = (source as usize / windows, source as usize % windows);
            (at % C, (y * self.input + x) * self.depth, slope)
        })
    }

    /// Adds the gradient by the rows of its table, given the input that they were met by.
    pub(super) fn add_gradient(&self, input: &[f32], gradient: &mut [f32]) {
        let (width, run) = (self.width(), WINDOW * self.depth);
        for (channel, begin, slope) in self.active() {
            let own = &mut gradient[channel * width..][..width];
            own[width - 1] += slope;
            for (row, own) in own.chunks_exact_mut(run).take(WINDOW).enumerate() {
                add_scaled(own, slope, &input[begin + row * self.input * self.depth..][..run]);
            }
        }
    }

    /// Sets `slopes` to the derivatives of the loss by the input. `values` are its table's rows.
    pub(super) fn pass_down(&self, values: &[f32], slopes: &mut [f32]) {
        let (width, run) = (self.width(), WINDOW * self.depth);
        slopes.fill(0.0);
        for (channel, begin, slope) in self.active() {
            let own = &values[channel * width..][..width];
            for (row, own) in own.chunks_exact(run).take(WINDOW).enumerate() {
                add_scaled(&mut slopes[begin + row * self.input * self.depth..][..run], slope, own);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::scattered;

    /// Every output as its definition says.
    #[test]
    fn outputs_are_those_of_the_definition() {
        for (side, depth) in [(6, 1), (9, 3), (12, 1)] {
            let mut layer = Layer::<8>::new(side, depth);
            let (input, values) =
                (scattered(side * side * depth, 1), scattered(layer.elements(), 2));
            layer.prepare(&values);
            layer.forward(&input);
            let window = |y: usize, x: usize, channel: usize| {
                let row = &values[channel * layer.width()..];
                let mut sum = row[layer.width() - 1];
                for (place, weight) in row[..layer.width() - 1].iter().enumerate() {
                    let (dy, rest) = (place / (WINDOW * depth), place % (WINDOW * depth));
                    sum += input[((y + dy) * side + x) * depth + rest] * weight;
                }
                sum
            };
            for (at, output) in layer.outputs().iter().enumerate() {
                let (place, channel) = (at / 8, at % 8);
                let (y, x) = (place / layer.side() * 2, place % layer.side() * 2);
                let four = [(y, x), (y, x + 1), (y + 1, x), (y + 1, x + 1)];
                let best = four.map(|(y, x)| window(y, x, channel)).into_iter();
                assert_eq!(*output, best.fold(0.0, f32::max));
            }
        }
    }
}
