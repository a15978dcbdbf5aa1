//! Who may import whom, and which names a room may not know. The drawing is in ARCHITECTURE.md;
//! a test in `tidy.rs` holds the two together.

use crate::bans::banned;
use crate::scan::{Path, Source, paths};
use crate::{Violation, violation};

/// The rooms, row by row from the ground up. A room imports only from rows below its own.
pub(crate) const HOUSE: [&[&str]; 10] = [
    &["error", "id", "limits", "time", "rng", "codec", "sync", "extension", "schedule"],
    &["key"],
    &["vector", "clock"],
    &["spec"],
    &["store", "filter", "consistency", "placement"],
    &["wire", "history"],
    &["node"],
    &["os", "check"],
    &["embed", "transport", "sim"],
    &["conformance"],
];

/// What all of row 0 may use; each may use those before it, so that there is no cycle.
const GROUND_SHARED: [&str; 3] = ["limits", "id", "error"];

/// Imports inside one row, beside the shared ground: from, to.
const GROUND_EXTRA: [(&str, &str); 1] = [
    // A wait's reason says since when it lasts.
    ("error", "time"),
];

/// What a room must not know although it lies below: room, rooms, why.
const MUST_NOT_KNOW: [(&str, &[&str], &str); 6] = [
    ("clock", &["time"], "clocks count ticks, not wall time"),
    ("filter", &["clock"], "a filter sees borrowed lanes only"),
    (
        "consistency",
        &["vector", "codec"],
        "a policy sees keys, ticks, sizes and named scalars, never a value or bytes",
    ),
    ("placement", &["vector", "time"], "placement is a function of keys, servers and epoch"),
    ("os", &["node", "consistency"], "files and clocks know no protocol"),
    ("transport", &["consistency", "filter"], "bytes move whatever the policy is"),
];

/// Crates of the top row and the crates of that row that they must not name.
const TOP_ROW: [(&str, &[&str]); 4] = [
    // Programs in workloads/examples stand on all of them.
    ("workloads/src/", &["archipelago_client", "client", "ps_server"]),
    // A program of its own that stands on both.
    ("client/candle-example/", &["ps_server"]),
    ("client/", &["archipelago_workloads", "workloads", "ps_server"]),
    ("src/", &["archipelago_client", "archipelago_workloads", "ps_server"]),
];

/// Everything this file knows against one source.
pub(crate) fn check(source: &Source) -> Vec<Violation> {
    let paths = paths(&source.tokens);
    let mut found = top_row(source, &paths);
    let Some(modules) = modules(&source.path) else {
        return found;
    };
    let room = modules[0].as_str();
    let Some(row) = row(room) else {
        let what = format!("room `{room}` is not in the house, add it to ARCHITECTURE.md and here");
        found.push(violation(&source.path, 1, "house", what));
        return found;
    };
    for path in &paths {
        found.extend(import(source, &modules, path));
        found.extend(banned(source, room, row, path));
    }
    found
}

/// The modules that a file of the library is; `None` elsewhere and for `lib.rs`, which joins all.
fn modules(path: &str) -> Option<Vec<String>> {
    let inner = path.strip_prefix("src/")?.strip_suffix(".rs")?;
    let inner = inner.strip_suffix("/mod").unwrap_or(inner);
    (inner != "lib").then(|| inner.split('/').map(str::to_owned).collect())
}

pub(crate) fn row(room: &str) -> Option<usize> {
    HOUSE.iter().position(|rooms| rooms.contains(&room))
}

/// The room of this crate that a path leads to, when it leaves `modules`.
fn target<'a>(modules: &[String], path: &'a Path) -> Option<&'a str> {
    let mut segments = path.segments.iter().map(String::as_str);
    let at = modules.len() + path.inside.len();
    let levels = match segments.next()? {
        "crate" => at,
        "super" => 1,
        _ => return None,
    };
    let rest: Vec<&str> = segments.collect();
    let supers = rest.iter().take_while(|word| **word == "super").count();
    let first = rest.get(supers).copied();
    // Nothing follows in `pub(crate)` and `pub(super)`.
    first.filter(|_| levels + supers >= at)
}

fn import(source: &Source, modules: &[String], path: &Path) -> Option<Violation> {
    let target = target(modules, path)?;
    let room = modules[0].as_str();
    let Some(to) = row(target) else {
        let what = format!("`crate::{target}` is no room, name the room where the item lives");
        return Some(violation(&source.path, path.line, "import", what));
    };
    let from = row(room)?;
    let what = if target == room {
        return None;
    } else if to > from {
        format!("`{room}` (row {from}) names `{target}` (row {to}), imports only go down the house")
    } else if to == from && !inside_ground(room, target) {
        format!("`{room}` names `{target}` of its own row {from}, move what both need further down")
    } else if let Some(why) = must_not_know(room, target) {
        format!("`{room}` names `{target}`, but {why}")
    } else {
        return None;
    };
    Some(violation(&source.path, path.line, "import", what))
}

fn inside_ground(room: &str, target: &str) -> bool {
    let place = |name: &str| GROUND_SHARED.iter().position(|shared| *shared == name);
    let shared = match (place(room), place(target)) {
        (_, None) => false,
        (None, Some(_)) => row(room) == Some(0),
        (Some(from), Some(to)) => to < from,
    };
    // What the extra pair leads to may not lead back.
    let back = GROUND_EXTRA.contains(&(target, room));
    (shared && !back) || GROUND_EXTRA.contains(&(room, target))
}

fn must_not_know(room: &str, target: &str) -> Option<&'static str> {
    let mut rules = MUST_NOT_KNOW.iter();
    rules
        .find(|(name, unknown, _)| *name == room && unknown.contains(&target))
        .map(|(_, _, why)| *why)
}

fn top_row(source: &Source, paths: &[Path]) -> Vec<Violation> {
    let rule = |path: &Path| {
        let first = path.segments.first()?.as_str();
        let (_, unknown) = TOP_ROW.iter().find(|(at, _)| source.path.starts_with(at))?;
        let named = path.segments.len() > 1 && unknown.contains(&first);
        let what = format!("names `{first}`, which lies above or beside this crate");
        named.then(|| violation(&source.path, path.line, "import", what))
    };
    let mut found: Vec<_> = paths.iter().filter_map(rule).collect();
    found.extend(paths.iter().filter_map(|path| outside(source, path)));
    found
}

/// Crates beside the library name its rooms, or what its front page re-exports.
fn outside(source: &Source, path: &Path) -> Option<Violation> {
    let [krate, room, ..] = path.segments.as_slice() else {
        return None;
    };
    let module = room.starts_with(|c: char| c.is_lowercase()) && path.segments.len() > 2;
    let unknown = krate == "archipelago" && module && row(room).is_none() && room != "rules";
    let what = format!("`archipelago::{room}` is no room of the house");
    unknown.then(|| violation(&source.path, path.line, "import", what))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The first thing found in a file, as `line: rule: what`, or nothing.
    fn found(path: &str, raw: &str) -> String {
        let found = check(&Source::new(path, raw));
        let first = found.first().map(|v| format!("{}: {}: {}", v.line, v.rule, v.what));
        first.unwrap_or_default()
    }

    pub(crate) fn caught(path: &str, raw: &str, words: &str) {
        let found = found(path, raw);
        assert!(found.contains(words), "{path} {raw}: found {found:?}");
    }

    pub(crate) fn clean(path: &str, raw: &str) {
        assert_eq!(found(path, raw), "", "{path} {raw}");
    }

    #[test]
    fn imports_go_down() {
        caught(
            "src/key/range.rs",
            "\nuse crate::{error::A, store::B};",
            "2: import: `key` (row 1)",
        );
        caught("src/store/block.rs", "fn f() { crate::node::g() }", "names `node` (row 6)");
        clean("src/store/block.rs", "use crate::{key::Key, vector::{DType, Element}};");
        clean("src/store/block.rs", "// crate::node\nconst A: &str = \"crate::node::x\";");
        clean("src/key/range.rs", "pub(crate) fn f() {} pub(super) mod tests {}");
        caught("src/key/range.rs", "use crate::*;", "is no room");
        clean("src/lib.rs", "pub use crate::node::Node;");
    }

    #[test]
    fn rooms_of_one_row_are_strangers() {
        caught("src/store/block.rs", "use crate::placement::Ring;", "of its own row 4");
        caught("src/sim/mod.rs", "use crate::embed::Store;", "of its own row 8");
        caught("src/rng.rs", "use crate::codec::Writer;", "of its own row 0");
        clean("src/codec.rs", "use crate::error::FrameError; use crate::limits;");
        clean("src/error.rs", "use crate::{id::Tick, time::Instant};");
        caught("src/id.rs", "use crate::error::Error;", "of its own row 0");
        caught("src/time.rs", "use crate::error::Error;", "of its own row 0");
    }

    #[test]
    fn super_cannot_leave_a_room_unseen() {
        caught("src/codec.rs", "use super::store::Block;", "names `store`");
        caught("src/key/range.rs", "use super::super::store::Block;", "names `store`");
        caught("src/codec.rs", "mod tests { use super::super::node::X; }", "names `node`");
        clean("src/key/range.rs", "use super::KeyList; mod tests { use super::super::list::A; }");
        clean("src/codec.rs", "mod tests { use super::*; }");
    }

    #[test]
    fn some_rooms_must_not_know_some_below() {
        caught("src/consistency/ssp.rs", "use crate::vector::Element;", "never a value");
        caught("src/clock/window.rs", "use crate::time::Instant;", "not wall time");
        caught("src/os/files.rs", "use crate::node::Node;", "know no protocol");
        caught("src/placement/ring.rs", "use crate::vector::Element;", "placement is a function");
    }

    #[test]
    fn every_room_and_every_path_is_known() {
        caught("src/cellar/mod.rs", "", "`cellar` is not in the house");
        caught("src/node/mod.rs", "use crate::Tick;", "is no room");
        caught("tests/a.rs", "use archipelago::cellar::X;", "no room of the house");
        clean("tests/a.rs", "use archipelago::{Tick, sim::{World}, rules};");
    }

    #[test]
    fn the_top_row_is_ordered() {
        caught("workloads/src/lib.rs", "use archipelago_client::X;", "above or beside");
        caught("workloads/src/lib.rs", "use ps_server::App;", "above or beside");
        clean("workloads/examples/a/src/main.rs", "use ps_server::App;");
        caught("client/src/lib.rs", "use archipelago_workloads::X;", "above or beside");
        caught("client/tests/a.rs", "use archipelago_workloads::X;", "above or beside");
        clean("client/candle-example/src/main.rs", "use archipelago_workloads::X;");
        caught("client/candle-example/src/main.rs", "use ps_server::X;", "above or beside");
        clean("ps-server/src/lib.rs", "use archipelago_workloads::X;");
    }
}
