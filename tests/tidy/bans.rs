//! Names that a room may not use because they bring in the outside: the machine's clock, files,
//! sockets, threads, ambient randomness, and maps whose order differs between runs.

use crate::scan::{Path, Source};
use crate::{Violation, violation};

/// The last row whose rooms hold no clocks, sockets, threads or ambient randomness.
const PURE_ROW_MAX: usize = 6;

/// A banned name: its segments, where in a path it may start, and what to do instead.
struct Ban {
    segments: &'static [&'static str],
    anchored: bool,
    instead: &'static str,
}

const fn ban(segments: &'static [&'static str], anchored: bool, instead: &'static str) -> Ban {
    Ban { segments, anchored, instead }
}

const TIME: &str = "time is an argument: take crate::time::Instant";
const FILES: &str = "only os, transport and binaries name the operating system";
const ORDER: &str = "its iteration order breaks replay: use BTreeMap or a sorted Vec";

/// Names of the operating system, banned in every room but `os` and `transport`.
const SYSTEM: [Ban; 6] = [
    ban(&["Instant", "now"], false, TIME),
    ban(&["SystemTime"], false, TIME),
    ban(&["std", "env"], true, "configuration is an argument, built by binaries"),
    ban(&["std", "fs"], true, FILES),
    ban(&["std", "net"], true, FILES),
    ban(&["std", "process"], true, FILES),
];

/// Banned beside these in rows 0 to 6 and in `sim`.
const PURE: [Ban; 9] = [
    ban(&["std", "thread"], true, "the drivers own the threads"),
    ban(&["rand"], true, "randomness is an argument: take crate::rng::Rng"),
    ban(&["tokio"], true, "no executor is assumed"),
    ban(&["quinn"], true, "sockets belong to transport"),
    ban(&["dashmap"], true, "registries belong to embed, transport and ps-server"),
    ban(&["HashMap"], false, ORDER),
    ban(&["HashSet"], false, ORDER),
    ban(&["RandomState"], false, ORDER),
    ban(&["DefaultHasher"], false, "its bits may change: use siphasher"),
];

/// Banned in all of src outside the one file.
const SYNC_FILE: &str = "src/sync.rs";
const SYNC: [Ban; 2] = [
    ban(&["std", "sync"], true, "use crate::sync, the only door to locks and atomics"),
    ban(&["parking_lot"], true, "use crate::sync, the only door to locks and atomics"),
];

const SIM_ONLY: [Ban; 1] = [ban(&["std", "time"], true, "use crate::time")];
const EMBED_ONLY: [Ban; 2] = [
    ban(&["tokio"], true, "embed parks threads, it runs no executor"),
    ban(&["quinn"], true, "sockets belong to transport"),
];

/// The first banned name in a path of a library file.
pub(crate) fn banned(source: &Source, room: &str, row: usize, path: &Path) -> Option<Violation> {
    let pure = row <= PURE_ROW_MAX || room == "sim";
    let system = !matches!(room, "os" | "transport");
    let lists: [(bool, &[Ban]); 5] = [
        (system, &SYSTEM),
        (pure, &PURE),
        (source.path != SYNC_FILE, &SYNC),
        (room == "sim", &SIM_ONLY),
        (room == "embed", &EMBED_ONLY),
    ];
    let mut bans = lists.iter().filter(|(on, _)| *on).flat_map(|(_, list)| *list);
    let ban = bans.find(|ban| ban.matches(&path.segments))?;
    let name = ban.segments.join("::");
    let what = format!("`{name}` in `{room}`, {}", ban.instead);
    Some(violation(&source.path, path.line, "banned name", what))
}

impl Ban {
    fn matches(&self, path: &[String]) -> bool {
        let equal = |window: &[String]| {
            let mut pairs = window.iter().zip(self.segments);
            pairs.all(|(held, banned)| same_name(held, banned))
        };
        let mut windows = path.windows(self.segments.len());
        if self.anchored {
            // A glob of the crate brings every banned module with it.
            let glob = path.len() == 2 && path[1] == "*" && same_name(&path[0], self.segments[0]);
            return glob || windows.next().is_some_and(equal);
        }
        windows.any(equal)
    }
}

/// `core` and `alloc` are other doors to `std`.
fn same_name(held: &str, banned: &str) -> bool {
    held == banned || (banned == "std" && matches!(held, "core" | "alloc"))
}

#[cfg(test)]
mod tests {
    use crate::house::tests::{caught, clean};

    #[test]
    fn the_operating_system_stays_out() {
        for name in
            ["std::env::var()", "std::fs::read()", "alloc::sync::Arc", "std::thread::spawn()"]
        {
            caught("src/node/shard.rs", &format!("fn f() {{ {name} }}"), "banned name");
            caught(
                "src/sim/net.rs",
                &format!("use {};", name.trim_end_matches("()")),
                "banned name",
            );
        }
        caught("src/check/mod.rs", "use std::{fmt, time::SystemTime};", "`SystemTime`");
        caught("src/embed/mod.rs", "use std::net::TcpStream;", "`std::net`");
        caught("src/embed/mod.rs", "use std::sync::Condvar;", "use crate::sync");
        caught("src/node/mod.rs", "use std::*;", "banned name");
        caught("src/sim/mod.rs", "use std::time::Duration;", "use crate::time");
        clean("src/embed/mod.rs", "use std::thread; use dashmap::DashMap;");
        clean("src/os/clock.rs", "fn f() { std::time::Instant::now() }");
        clean("src/sync.rs", "pub use std::sync::Arc;");
    }

    #[test]
    fn nothing_ambient_in_the_pure_rows() {
        caught(
            "src/wire/frame.rs",
            "use std::time::Instant; fn f() { Instant::now() }",
            "`Instant::now`",
        );
        caught(
            "src/store/index.rs",
            "use std::collections::{BTreeMap, HashMap as Map};",
            "breaks replay",
        );
        caught("src/sim/net.rs", "fn f(s: &std::collections::HashSet<u8>) {}", "`HashSet`");
        caught("src/node/keeper.rs", "fn f() { rand::random() }", "take crate::rng::Rng");
        caught("src/store/index.rs", "use dashmap::DashMap;", "`dashmap`");
        clean("src/store/index.rs", "fn f(operand: u8) { g::rand(operand) }");
    }
}
