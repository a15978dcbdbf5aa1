//! `mirror_apply`: what other data centres send is added to a whole table, block by block;
//! `delta_gather`: what is sent to them is put together.

use std::cell::RefCell;
use std::hint::black_box;

use archipelago::filter;
use archipelago::vector::kernels;

use crate::race::{Outcome, Plan, race_here};
use crate::report::{Aim, Report, Row};
use crate::{BLOCK, scattered, table_bytes};

pub(crate) fn rows(report: &mut Report, smoke: bool) -> Outcome {
    let field = Field::new(table_bytes(smoke) / size_of::<f32>());
    if report.wants("mirror_apply/dense") {
        dense(report, &field, Plan::new(smoke))?;
    }
    if report.wants("mirror_apply/sparse") {
        sparse(report, &field, Plan::new(smoke))?;
    }
    if report.wants("delta_gather") {
        gather(report, &field, Plan::new(smoke))?;
    }
    Ok(())
}

/// A table, and a delta of it in both forms.
struct Field {
    values: RefCell<Vec<f32>>,
    delta: Vec<f32>,
    /// The delta's positions and values, block by block.
    blocks: Vec<(Vec<u32>, Vec<f32>)>,
}

impl Field {
    fn new(elements: usize) -> Self {
        let delta: Vec<f32> = scattered(0, elements, 1e-6, 0.0);
        let gathered = |block: &[f32]| {
            let (mut positions, mut values) = (Vec::new(), Vec::new());
            filter::gather_positions(block, &mut positions, &mut values);
            (positions, values)
        };
        let blocks = delta.chunks(BLOCK).map(gathered).collect();
        Self { values: RefCell::new(vec![1.0; elements]), delta, blocks }
    }

    fn bytes(&self) -> f64 {
        size_of_val(&self.delta[..]) as f64
    }

    fn add_dense(&self) -> Outcome {
        let mut values = self.values.borrow_mut();
        for (values, delta) in values.chunks_mut(BLOCK).zip(self.delta.chunks(BLOCK)) {
            kernels::add_assign(values, delta);
            black_box(values);
        }
        Ok(())
    }

    fn add_sparse(&self) -> Outcome {
        let mut values = self.values.borrow_mut();
        for (values, (positions, delta)) in values.chunks_mut(BLOCK).zip(&self.blocks) {
            filter::scatter_add(values, positions, delta)?;
            black_box(values);
        }
        Ok(())
    }
}

/// Against `y += x` over the whole table: the faster of the kernel and a plain loop.
fn dense(report: &mut Report, field: &Field, plan: Plan) -> Outcome {
    let seconds = race_here(
        plan,
        vec![
            Box::new(|| field.add_dense()),
            Box::new(|| {
                kernels::add_assign(&mut field.values.borrow_mut(), &field.delta);
                Ok(())
            }),
            Box::new(|| {
                plain_axpy(&mut field.values.borrow_mut(), &field.delta);
                Ok(())
            }),
        ],
    )?;
    let rate = |seconds: f64| field.bytes() / seconds / 1e9;
    report.row(&Row {
        name: "mirror_apply/dense".into(),
        value: rate(seconds[0]),
        limit: rate(seconds[1].min(seconds[2])),
        unit: "GB/s",
        aim: Aim::AtLeast(0.75),
        note: String::new(),
    });
    Ok(())
}

/// Against the same additions without the check that comes first.
fn sparse(report: &mut Report, field: &Field, plan: Plan) -> Outcome {
    let seconds = race_here(
        plan,
        vec![
            Box::new(|| field.add_sparse()),
            Box::new(|| {
                let mut values = field.values.borrow_mut();
                for (values, (positions, delta)) in values.chunks_mut(BLOCK).zip(&field.blocks) {
                    plain_scatter(values, positions, delta);
                }
                Ok(())
            }),
            Box::new(|| field.add_dense()),
        ],
    )?;
    let elements: usize = field.blocks.iter().map(|(positions, _)| positions.len()).sum();
    let rate = |seconds: f64| elements as f64 / seconds / 1e6;
    report.row(&Row {
        name: "mirror_apply/sparse".into(),
        value: rate(seconds[0]),
        limit: rate(seconds[1]),
        unit: "Melem/s",
        aim: Aim::None,
        note: format!("{:.2} of the time of the dense form", seconds[0] / seconds[2]),
    });
    Ok(())
}

/// Against reading the delta once.
fn gather(report: &mut Report, field: &Field, plan: Plan) -> Outcome {
    let (mut positions, mut values) = (Vec::new(), Vec::new());
    let seconds = race_here(
        plan,
        vec![
            Box::new(|| {
                for delta in field.delta.chunks(BLOCK) {
                    filter::gather_positions(delta, &mut positions, &mut values);
                    black_box((&positions, &values));
                }
                Ok(())
            }),
            Box::new(|| {
                black_box(kernels::all_finite(&field.delta));
                Ok(())
            }),
        ],
    )?;
    let rate = |seconds: f64| field.bytes() / seconds / 1e9;
    report.row(&Row {
        name: "delta_gather".into(),
        value: rate(seconds[0]),
        limit: rate(seconds[1]),
        unit: "GB/s",
        aim: Aim::None,
        note: String::new(),
    });
    Ok(())
}

/// `y += x`.
#[inline(never)]
fn plain_axpy(y: &mut [f32], x: &[f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += x;
    }
}

/// `y[p] += x` for each position p.
#[inline(never)]
pub(crate) fn plain_scatter(target: &mut [f32], positions: &[u32], values: &[f32]) {
    for (position, value) in positions.iter().zip(values) {
        target[*position as usize] += value;
    }
}
