//! The loop and the scoring of models whose tables are all pulled and pushed whole.

use archipelago::{Hyper, Result, Seen, Table, TableSpec, Worker};

use crate::course::{Course, Step};
use crate::data::{DenseData, Share};
use crate::math;
use crate::score::{Scores, Tally, area_under_curve, largest};
use crate::train::{OnProgress, Pace, TrainReport, check_tables, spans};

/// A model on dense rows: values in, scores and gradients out. `values` and `gradient` are the
/// rows of its tables, one table after the other.
pub(crate) trait DenseModel {
    /// Called with values before rows are met with them.
    fn prepare(&mut self, _values: &[f32]) {}

    /// The score of every class for one row.
    fn forward(&mut self, values: &[f32], row: &[f32]) -> &mut [f32];

    /// Adds the gradient of one row to `gradient`; follows on `forward` of that row, with the
    /// scores turned into derivatives of the loss by the scores.
    fn backward(&mut self, values: &[f32], row: &[f32], gradient: &mut [f32]);

    /// Adds what `rows` rows of any content add: the gradient of a penalty.
    fn penalty(&self, _values: &[f32], _rows: usize, _gradient: &mut [f32]) {}

    /// Floating-point operations of one row, forward and backward.
    fn row_flops(&self) -> u64;
}

/// Sets `gradient` to that of the loss summed over `rows`; returns the loss without penalty.
pub(crate) fn gradient(
    model: &mut impl DenseModel,
    values: &[f32],
    data: &DenseData,
    rows: &[usize],
    gradient: &mut [f32],
) -> f64 {
    gradient.fill(0.0);
    model.prepare(values);
    model.penalty(values, rows.len(), gradient);
    let mut total = 0.0;
    for &row in rows {
        let (label, row) = (data.labels()[row] as usize, data.row(row));
        let scores = model.forward(values, row);
        total += f64::from(math::softmax_loss(scores, label));
        scores[label] -= 1.0;
        model.backward(values, row, gradient);
    }
    total
}

/// Trains tables that have to be those `expected`, one tick per batch, and leaves the group.
pub(crate) async fn descend<W: Worker, M: DenseModel + Send>(
    me: &W,
    (tables, expected): (&[Table], &[(TableSpec, Hyper)]),
    share: &Share<'_, DenseData>,
    pace: &Pace,
    mut model: M,
    progress: OnProgress<'_>,
) -> Result<TrainReport> {
    check_tables(tables, expected)?;
    let (spans, elements) = spans(tables)?;
    let (mut values, mut slopes) = (vec![0.0; elements], vec![0.0; elements]);
    let mut course = Course::new(me, share, pace, progress);
    while let Some(batch) = course.next_batch() {
        let mut step = Step::default();
        if !batch.rows.is_empty() {
            for (table, span) in tables.iter().zip(&spans) {
                let seen = me.pull(table, .., &mut values[span.clone()]).await?;
                step.seen = Some(step.seen.map_or(seen, |earlier: Seen| earlier.merge(seen)));
            }
            step.loss = gradient(&mut model, &values, share.data(), batch.rows, &mut slopes);
            course.compute(model.row_flops() * batch.rows.len() as u64).await;
            for (table, span) in tables.iter().zip(&spans) {
                me.push_with(table, .., &slopes[span.clone()], batch.weight()).await?;
            }
            step.model = Some(&values);
        }
        course.end_iteration(step).await?;
    }
    course.finish(tables).await
}

/// Scores a model; with two classes, class 1 counts as positive.
pub(crate) fn score(model: &mut impl DenseModel, values: &[f32], data: &DenseData) -> Scores {
    let mut tally = Tally::default();
    let mut scored = Vec::new();
    model.prepare(values);
    for (row, &label) in data.labels().iter().enumerate() {
        let scores = model.forward(values, data.row(row));
        if let [negative, positive] = *scores {
            scored.push((positive - negative, label == 1));
        }
        let right = largest(scores) == label as usize;
        tally.add(right, math::softmax_loss(scores, label as usize));
    }
    tally.scores(area_under_curve(scored))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::softmax;
    use crate::testing::{scattered, trained};
    use archipelago::Extension;
    use archipelago::embed::EmbedWorker;

    /// Five rows over two workers make batches of 3 and 2: only right weights give the same mean.
    #[test]
    fn two_workers_step_like_one_with_the_batches_of_both() {
        let data = DenseData::new(4, 3, scattered(20, 1), vec![0, 2, 1, 2, 0]).unwrap();
        let mut config = softmax::Config { rule: Extension::new("sgd/1"), ..Default::default() };
        config.pace = Pace { iterations: Some(3), ..Pace::new(9, 0) };
        let trained = |workers| {
            let train = async |me: &EmbedWorker, tables: &[Table], share: &Share<'_, DenseData>| {
                softmax::train(me, tables, share, &config, &|_| {}).await
            };
            trained(&data, config.tables(4, 3, workers), workers, train).0
        };
        let (one, two) = (trained(1), trained(2));
        assert!(one.iter().zip(&two).all(|(a, b)| (a - b).abs() < 1e-6), "{one:?} {two:?}");
        assert!(one.iter().any(|value| value.abs() > 1e-3));
    }

    #[test]
    fn tables_of_another_shape_are_refused() {
        let data = DenseData::new(4, 3, scattered(20, 1), vec![0, 2, 1, 2, 0]).unwrap();
        let config = softmax::Config::default();
        let train = async |me: &EmbedWorker, tables: &[Table], share: &Share<'_, DenseData>| {
            softmax::train(me, tables, share, &config, &|_| {}).await
        };
        let (_, results) = trained(&data, config.tables(5, 3, 1), 1, train);
        let error = results[0].as_ref().unwrap_err().to_string();
        let expected = "table \"softmax\": shape is [keys 0..=5, width 3], \
            expected [keys 0..=4, width 3]";
        assert_eq!(error, expected);
    }
}
