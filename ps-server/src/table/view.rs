//! A table as the command shows it.

use archipelago::id::ServerId;
use archipelago::placement::{Assignment, Ring, RingError, SlotGrid};
use archipelago::spec::TensorSpec;
use archipelago::{Extension, Layout, Off, Table, Tick};
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, Table as Grid};
use serde::Serialize;

use super::numbers::{combine_shown, init_shown, schedule_shown};

/// What a table is, how it behaves and who holds it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct TableView {
    pub(super) table: String,
    id: u32,
    layout: &'static str,
    /// `None` for all 64-bit keys.
    rows: Option<u64>,
    width: u32,
    dtype: &'static str,
    rule: String,
    combine: String,
    init: String,
    block_elements: u32,
    slots: u32,
    hash: String,
    /// How it behaves from this tick on; what follows are the last terms that it was given.
    from_tick: u64,
    local: String,
    global: String,
    significance: String,
    rate: String,
    allow_non_finite: bool,
    stash_bytes_max: usize,
    /// Names for parts of the rows.
    tensors: Vec<Tensor>,
    owners: Vec<Owner>,
}

/// One named tensor.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Tensor {
    name: String,
    shape: String,
    init: String,
}

/// One server's part.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Owner {
    server: u32,
    address: String,
    slots: usize,
    /// Of all slots, 0 to 1.
    share: f64,
}

impl TableView {
    /// A table on these servers, which all have the same weight.
    pub(super) fn new(table: &Table, servers: &[(ServerId, String)]) -> Result<Self, RingError> {
        let (spec, terms) = (table.spec(), table.last_terms());
        let policy = &terms.policy;
        let weighted: Vec<_> = servers.iter().map(|(server, _)| (*server, 1)).collect();
        let grid = SlotGrid::new(spec);
        let assignment = Assignment::compute(&Ring::new(&weighted)?, table.id(), &grid);
        let owner = |(server, address): &(ServerId, String)| {
            let slots = assignment.slots_of(*server).count();
            let share = slots as f64 / f64::from(grid.count());
            Owner { server: server.0, address: address.clone(), slots, share }
        };
        Ok(Self {
            table: spec.name.clone(),
            id: table.id().0,
            layout: spec.layout.name(),
            rows: u64::try_from(spec.domain.count()).ok(),
            width: spec.width,
            dtype: spec.dtype.name(),
            rule: spec.rule.to_string(),
            combine: combine_shown(spec.combine),
            init: init_shown(spec.init),
            block_elements: spec.block_elements,
            slots: grid.count(),
            hash: format!("{:032x}", spec.hash()),
            from_tick: terms.from.0,
            local: policy.local.to_string(),
            global: policy.global.to_string(),
            significance: policy.significance.to_string(),
            rate: schedule_shown(&terms.hyper.rate),
            allow_non_finite: policy.non_finite,
            stash_bytes_max: policy.bsp_stash_bytes_max,
            tensors: spec.tensors.iter().map(tensor).collect(),
            owners: servers.iter().map(owner).collect(),
        })
    }

    fn rows(&self) -> String {
        self.rows.map_or("all keys".into(), |rows| rows.to_string())
    }
}

fn tensor(spec: &TensorSpec) -> Tensor {
    let (name, shape) = (spec.name.clone(), spec.shape.to_string());
    Tensor { name, shape, init: init_shown(spec.init) }
}

/// One table in full.
pub(super) fn shown(view: &TableView) -> String {
    let mut lines = vec![
        ("name", view.table.clone()),
        ("id", view.id.to_string()),
        (
            "layout",
            format!("{}, {} rows of {} {}", view.layout, view.rows(), view.width, view.dtype),
        ),
        ("rule", view.rule.clone()),
        ("combine", view.combine.clone()),
        ("init", view.init.clone()),
    ];
    if view.layout == Layout::Dense.name() {
        lines.push(("block", format!("{} elements", view.block_elements)));
    }
    lines.extend([("slots", view.slots.to_string()), ("hash", view.hash.clone())]);
    if view.from_tick > Tick::FIRST.0 {
        lines.push(("changed", format!("from tick {} on to", view.from_tick)));
    }
    lines.extend([("local", view.local.clone()), ("global", view.global.clone())]);
    if view.global != Extension::from(Off).to_string() {
        lines.push(("significance", view.significance.clone()));
    }
    lines.extend([
        ("rate", view.rate.clone()),
        ("NaN, infinity", if view.allow_non_finite { "accepted" } else { "refused" }.into()),
        ("stash", format!("at most {} bytes per server", view.stash_bytes_max)),
    ]);
    for Tensor { name, shape, init } in &view.tensors {
        lines.push(("tensor", format!("{name:?} {shape}, {init}")));
    }
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let lines = lines.iter().map(|(name, value)| format!("{name:width$}  {value}\n"));
    let mut owners = grid(["server", "address", "slots", "share"]);
    for owner in &view.owners {
        owners.add_row([
            owner.server.to_string(),
            owner.address.clone(),
            owner.slots.to_string(),
            format!("{:.1} %", owner.share * 100.0),
        ]);
    }
    format!("{}{owners}\n", lines.collect::<String>())
}

/// All tables, a line each.
pub(super) fn listed(views: &[TableView]) -> Grid {
    let header = ["table", "layout", "rows", "width", "type", "rule", "local", "global", "slots"];
    let mut grid = grid(header);
    for view in views {
        grid.add_row([
            view.table.clone(),
            view.layout.into(),
            view.rows(),
            view.width.to_string(),
            view.dtype.into(),
            view.rule.clone(),
            view.local.clone(),
            view.global.clone(),
            view.slots.to_string(),
        ]);
    }
    grid
}

fn grid<const N: usize>(header: [&str; N]) -> Grid {
    let mut grid = Grid::new();
    grid.load_style(UTF8_HORIZONTAL_ONLY);
    grid.set_header(header);
    for column in grid.column_iter_mut().skip(2).take(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    grid
}
