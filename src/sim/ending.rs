//! What is left of a run: results, who still waits, the tables.

use super::outcome::{End, Outcome, TableAtServer, TableOutcome};
use super::process::Ended;
use super::process::ServerProcess;
use super::run::Run;
use crate::id::{DataCentre, ServerId};
use crate::node::plan::Planned;
use crate::node::shard::digest_of;

impl<'a, R: 'a> Run<'a, R> {
    pub(super) fn outcome(mut self, end: End) -> Outcome<R> {
        let waiting = self.waiting();
        let tables = self.tables();
        let plans = self.plans.iter();
        let servers = plans.flat_map(|(here, plan)| plan.servers().iter().map(move |_| here));
        let workers = self.workers.iter().map(|worker| worker.data_centre);
        let data_centres = servers.chain(workers).collect();
        let results = self.workers.into_iter().map(|worker| match worker.ended {
            Ended::Returned(result) => Some(result),
            Ended::No | Ended::Crashed => None,
        });
        Outcome {
            end,
            results: results.collect(),
            waiting,
            history: self.history,
            ended: self.ended,
            data_centres,
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
        let mut processes = self.servers.iter_mut();
        for (data_centre, plan) in self.plans.iter() {
            let mut here: Vec<_> = plan.servers().iter().copied().zip(&mut processes).collect();
            // The keeper knows of all that was created.
            let keeper = here.iter().find(|(_, process)| process.node.keeps());
            let plan = keeper.map_or_else(|| plan.clone(), |(_, it)| it.node.plan().clone());
            let of_table = |planned| table_outcome(data_centre, planned, &mut here);
            tables.extend(plan.tables().map(of_table));
        }
        tables
    }
}

fn table_outcome(
    data_centre: DataCentre,
    planned: &Planned,
    processes: &mut [(ServerId, &mut ServerProcess)],
) -> TableOutcome {
    let id = planned.table.id();
    let (mut slots, mut values, mut servers) = (Vec::new(), Vec::new(), Vec::new());
    for (server, process) in processes {
        let own = process.node.digests(id);
        let stats = process.node.stats(id).unwrap_or_default();
        let mirror = process.node.mirror_stats(id);
        servers.push(TableAtServer { server: *server, slots: own.len(), stats, mirror });
        values.extend(process.node.value_digests(id));
        slots.extend(own);
    }
    let name = planned.table.name().into();
    let (digest, values) = (digest_of(slots), digest_of(values));
    TableOutcome { data_centre, name, digest, values, servers }
}
