//! The digits classifier on servers behind real sockets: connections, certificates, threads.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;

use archipelago::embed::ThreadPark;
use archipelago::id::{ServerId, TableId};
use archipelago::node::Registry;
use archipelago::node::server::{ServerNode, ServerOptions};
use archipelago::node::shard::digest_of;
use archipelago::node::worker::{Park, WorkerOptions};
use archipelago::time::Duration;
use archipelago::transport::{self, Role, Server, ServerConfig, WorkerConfig};
use archipelago::{Bsp, Result, Table, TablePolicy, Worker};
use archipelago_workloads::data::{DenseData, Share, digits_split};
use archipelago_workloads::mlp;

use super::authority::Authority;
use super::digits::{ITERATIONS, WORKERS, classifier, embedded, tables};

/// Starts the servers one after the other, so that each knows where those before it listen.
fn start(ids: &[ServerId], authority: &Authority) -> Vec<Server> {
    let mut servers: Vec<Server> = Vec::new();
    for server in ids {
        let known = servers.iter().enumerate();
        let peers = known.map(|(number, other)| (ServerId(number as u32), other.address()));
        let config = ServerConfig {
            server: *server,
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            peers: peers.collect(),
            servers: ids.to_vec(),
            registry: Registry::built_in(),
            credentials: authority.credentials(Role::Server),
            options: ServerOptions::default(),
        };
        servers.push(Server::start(config).unwrap());
    }
    servers
}

/// The digests of both layers, created and trained over sockets by all workers.
fn served(data: &DenseData, count: u32) -> Vec<u128> {
    let ids: Vec<_> = (0..count).map(ServerId).collect();
    let authority = Authority::new();
    let servers = start(&ids, &authority);
    let addresses: Vec<_> = ids.iter().copied().zip(servers.iter().map(Server::address)).collect();
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            let config = WorkerConfig {
                servers: addresses.clone(),
                registry: Registry::built_in(),
                credentials: authority.credentials(Role::Worker),
                options: WorkerOptions { wait_max: Duration::from_secs(120), ..Default::default() },
                connect_max: Duration::from_secs(60),
            };
            scope.spawn(move || ThreadPark.block_on(work(data, config)).unwrap());
        }
    });
    let mut nodes: Vec<ServerNode> =
        servers.into_iter().map(|server| server.stop().unwrap()).collect();
    let ids: Vec<_> = nodes[0].plan().tables().map(|planned| planned.table.id()).collect();
    let digest = |table: TableId| {
        let mut slots: Vec<_> = nodes.iter_mut().flat_map(|node| node.digests(table)).collect();
        slots.sort_unstable();
        digest_of(slots)
    };
    ids.into_iter().map(digest).collect()
}

/// One worker's process: whoever comes first creates, the others find.
async fn work(data: &DenseData, config: WorkerConfig) -> Result<()> {
    let session = transport::connect(config).await?;
    let mut handles = Vec::new();
    for (spec, hyper) in tables(data) {
        handles.push(session.ensure_table(spec, TablePolicy::local(Bsp), hyper).await?);
    }
    let listed = session.tables().await?;
    assert!(listed.iter().map(Table::spec).eq(handles.iter().map(Table::spec)));
    let group = session.ensure_group("train", WORKERS).await?;
    let me = session.join(group).await?;
    let share = Share::strided(data, me.origin().rank.0, WORKERS).unwrap();
    mlp::train(&me, &handles, &share, &classifier(), &|_| ()).await.map(drop)
}

#[test]
fn servers_behind_sockets_change_no_bit() {
    let data = digits_split().unwrap().0;
    let one = embedded(&data, 1);
    for count in [1, 2, 3, 5] {
        assert_eq!(served(&data, count), one, "{count} servers, {ITERATIONS} rounds");
    }
}
