//! The digits classifier on servers behind real sockets: connections, certificates, threads.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;

use archipelago::embed::ThreadPark;
use archipelago::id::{GroupId, ServerId};
use archipelago::node::server::{ServerNode, ServerOptions};
use archipelago::node::shard::digest_of;
use archipelago::node::worker::{Park, WorkerOptions};
use archipelago::node::{Plan, Registry};
use archipelago::time::Duration;
use archipelago::transport::{
    self, Credentials, Identity, Role, Server, ServerConfig, WorkerConfig,
};
use archipelago::{Bsp, TablePolicy, Worker};
use archipelago_workloads::data::{DenseData, Share, digits_split};
use archipelago_workloads::mlp;

use super::authority::Authority;
use super::digits::{ITERATIONS, WORKERS, classifier, embedded, tables};

/// Starts the servers one after the other, so that each knows where those before it listen.
fn start(plan: &Plan, authority: &Authority) -> Vec<Server> {
    let mut servers: Vec<Server> = Vec::new();
    for server in plan.servers() {
        let known = servers.iter().enumerate();
        let peers = known.map(|(number, other)| (ServerId(number as u32), other.address()));
        let config = ServerConfig {
            server: *server,
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            peers: peers.collect(),
            plan: plan.clone(),
            credentials: authority.credentials(Role::Server),
            options: ServerOptions::default(),
        };
        servers.push(Server::start(config).unwrap());
    }
    servers
}

/// The digests of both layers, trained over sockets.
fn served(data: &DenseData, count: u32) -> Vec<u128> {
    let ids: Vec<_> = (0..count).map(ServerId).collect();
    let described = tables(data).into_iter();
    let described = described.map(|(spec, hyper)| (spec, TablePolicy::local(Bsp), hyper));
    let plan = Plan::new(&ids, described.collect(), &[WORKERS], &Registry::built_in()).unwrap();
    let authority = Authority::new();
    let servers = start(&plan, &authority);
    let addresses: Vec<_> = ids.iter().copied().zip(servers.iter().map(Server::address)).collect();
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            let config = WorkerConfig {
                servers: addresses.clone(),
                plan: plan.clone(),
                group: GroupId(0),
                credentials: authority.credentials(Role::Worker),
                options: WorkerOptions { wait_max: Duration::from_secs(20), ..Default::default() },
                connect_max: Duration::from_secs(10),
            };
            let handles: Vec<_> =
                plan.tables().iter().map(|planned| planned.table.clone()).collect();
            scope.spawn(move || {
                ThreadPark.block_on(async {
                    let me = transport::join(config).await.unwrap();
                    let share = Share::strided(data, me.origin().rank.0, WORKERS).unwrap();
                    mlp::train(&me, &handles, &share, &classifier(), &|_| ()).await.unwrap();
                });
            });
        }
    });
    let mut nodes: Vec<ServerNode> =
        servers.into_iter().map(|server| server.stop().unwrap()).collect();
    let ids = plan.tables().iter().map(|planned| planned.table.id());
    ids.map(|table| {
        let mut slots: Vec<_> = nodes.iter_mut().flat_map(|node| node.digests(table)).collect();
        slots.sort_unstable();
        digest_of(slots)
    })
    .collect()
}

#[test]
fn servers_behind_sockets_change_no_bit() {
    let data = digits_split().unwrap().0;
    let one = embedded(&data, 1);
    for count in [1, 2, 3, 5] {
        assert_eq!(served(&data, count), one, "{count} servers, {ITERATIONS} rounds");
    }
}
