//! `significance_pass`: one pass of a whole table, block by block, as after a local tick.

use std::hint::black_box;
use std::time::Instant;

use archipelago::filter;
use archipelago::vector::{Bitmap, Element, Relative, kernels};

use crate::race::{Outcome, Plan, median};
use crate::report::{Aim, Report, Row};
use crate::{BLOCK, scattered, table_bytes};

const THRESHOLD: f64 = 0.01;
/// Of every element. A significant residual is a fiftieth of it, any other a thousandth.
pub(crate) const VALUE: f64 = 100_000.0;

pub(crate) fn rows(report: &mut Report, smoke: bool) -> Outcome {
    row::<f32>(report, smoke, Aim::AtLeast(0.70))?;
    row::<f64>(report, smoke, Aim::None)?;
    row::<i64>(report, smoke, Aim::None)
}

fn row<T: Element>(report: &mut Report, smoke: bool, aim: Aim) -> Outcome {
    let name = format!("significance_pass/{}", T::DTYPE.name());
    if !report.wants(&name) {
        return Ok(());
    }
    let bytes = table_bytes(smoke);
    let mut field = Field::<T>::new(bytes / size_of::<T>());
    let [pass, plain, axpy] = field.measure(Plan::new(smoke))?;
    // Values and residuals are read, residuals written, and a bit for each element.
    let traffic = 3 * bytes + size_of_val(&field.words[..]);
    let rate = |seconds: f64| traffic as f64 / seconds / 1e9;
    report.row(&Row {
        name,
        value: rate(pass),
        limit: rate(plain.min(axpy)),
        unit: "GB/s",
        aim,
        note: String::new(),
    });
    Ok(())
}

/// A table and what a pass over it needs.
struct Field<T> {
    values: Vec<T>,
    /// The residuals before a pass.
    fresh: Vec<T>,
    residuals: Vec<T>,
    /// What leaves a block.
    taken: Vec<T>,
    bitmap: Bitmap,
    /// A bit for each element, written by the limits.
    words: Vec<u64>,
}

impl<T: Element> Field<T> {
    fn new(elements: usize) -> Self {
        let fresh = scattered(0, elements, VALUE / 50.0, VALUE / 1000.0);
        Self {
            values: vec![T::from_f64(VALUE); elements],
            residuals: fresh.clone(),
            fresh,
            taken: vec![T::default(); BLOCK],
            bitmap: Bitmap::default(),
            words: vec![0; elements.div_ceil(64)],
        }
    }

    /// Seconds of a pass, and of the same traffic through the memory by a plain loop and by the
    /// library's axpy.
    fn measure(&mut self, plan: Plan) -> Outcome<[f64; 3]> {
        let is_significant = |residual: &&T| residual.to_f64() > THRESHOLD * VALUE;
        let significant = self.fresh.iter().filter(is_significant).count() as u64;
        let mut seconds: [Vec<f64>; 3] = Default::default();
        // The first round only touches everything.
        for round in 0..=plan.rounds {
            for (contestant, kept) in seconds.iter_mut().enumerate() {
                // What a pass takes is gone: the residuals are made anew outside of its time.
                self.residuals.copy_from_slice(&self.fresh);
                let start = Instant::now();
                let taken = match contestant {
                    0 => self.pass(),
                    1 => self.plain(),
                    _ => self.axpy(),
                };
                let lasted = start.elapsed().as_secs_f64();
                if taken.is_some_and(|taken| taken != significant) {
                    return Err(format!("took {taken:?}, expected {significant}").into());
                }
                kept.extend((round > 0).then_some(lasted));
            }
        }
        Ok(seconds.map(median))
    }

    /// Elements taken.
    fn pass(&mut self) -> Option<u64> {
        let mut total = 0;
        let blocks = self.values.chunks(BLOCK).zip(self.residuals.chunks_mut(BLOCK));
        for (values, residuals) in blocks {
            let taken = &mut self.taken[..values.len()];
            let bitmap = &mut self.bitmap;
            total +=
                filter::take_significant(&Relative, THRESHOLD, 1, values, residuals, taken, bitmap)
                    .taken;
            black_box(&self.taken);
        }
        Some(total)
    }

    fn plain(&mut self) -> Option<u64> {
        stream(&self.values, &mut self.residuals, &mut self.words);
        black_box(&self.words);
        None
    }

    fn axpy(&mut self) -> Option<u64> {
        kernels::add_assign(&mut self.residuals, &self.values);
        self.words.fill(1);
        black_box(&self.words);
        None
    }
}

/// Reads both, writes residuals and a word for 64 of them.
#[inline(never)]
pub(crate) fn stream<T: Element>(values: &[T], residuals: &mut [T], words: &mut [u64]) {
    let chunks = values.chunks(64).zip(residuals.chunks_mut(64));
    for (word, (values, residuals)) in words.iter_mut().zip(chunks) {
        for (residual, value) in residuals.iter_mut().zip(values) {
            *residual = residual.plus(*value);
        }
        *word = u64::from(residuals[0] == values[0]);
    }
}
