//! What is left of a run: results, who still waits, the tables.

use super::outcome::{End, Outcome, TableAtServer, TableOutcome};
use super::process::Ended;
use super::run::Run;
use crate::node::shard::digest_of;

impl<'a, R: 'a> Run<'a, R> {
    pub(super) fn outcome(mut self, end: End) -> Outcome<R> {
        let waiting = self.waiting();
        let tables = self.tables();
        let results = self.workers.into_iter().map(|worker| match worker.ended {
            Ended::Returned(result) => Some(result),
            Ended::No | Ended::Crashed => None,
        });
        Outcome {
            end,
            results: results.collect(),
            waiting,
            history: self.history,
            time: self.now,
            events: self.events,
            site_traffic: self.net.pipes.map(|pipes| pipes.site_traffic()).unwrap_or_default(),
            traffic: self.net.traffic,
            cells: self.net.cells,
            tables,
            defects: self.defects,
        }
    }

    fn waiting(&self) -> Vec<String> {
        let mut waiting = Vec::new();
        for (token, worker) in self.workers.iter().enumerate().filter(|(_, w)| w.is_open()) {
            let Some(life) = &worker.life else {
                waiting.push(format!("worker {token} has not started"));
                continue;
            };
            let node = life.node.lock();
            let (reason, unanswered) = (node.reason(self.now), node.unanswered());
            waiting.push(format!("worker {token} {reason}; {unanswered} requests unanswered"));
        }
        let down = self.net.down().map(|(a, b)| format!("{a} and {b} are not connected"));
        if !waiting.is_empty() {
            waiting.extend(down);
        }
        waiting
    }

    fn tables(&mut self) -> Vec<TableOutcome> {
        let mut tables = Vec::new();
        // The keeper knows of all that was created.
        let keeper = self.servers.iter().find(|process| process.node.keeps());
        let plan = keeper.map_or_else(|| self.plan.clone(), |process| process.node.plan().clone());
        for planned in plan.tables() {
            let id = planned.table.id();
            let (mut slots, mut servers) = (Vec::new(), Vec::new());
            for (server, process) in self.plan.servers().iter().zip(&mut self.servers) {
                let own = process.node.digests(id);
                let stats = process.node.stats(id).unwrap_or_default();
                servers.push(TableAtServer { server: *server, slots: own.len(), stats });
                slots.extend(own);
            }
            let name = planned.table.name().into();
            tables.push(TableOutcome { name, digest: digest_of(slots), servers });
        }
        tables
    }
}
