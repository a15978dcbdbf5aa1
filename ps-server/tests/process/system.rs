//! Systems of several data centres in real processes, and workers of each of them.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use archipelago_client::{Blocking, Client, ClientConfig, Pem, RemoteWorker, Table, ThreadPark};
use serde_json::Value;

use super::cluster::ANY;
use super::{Served, authority, run, said, text, until};

/// A data centre: its name, and its servers' numbers.
pub(crate) type Layout<'a> = [(&'a str, &'a [u32])];

/// Running servers of several data centres.
pub(crate) struct System {
    pub(crate) folder: tempfile::TempDir,
    layout: Vec<(String, Vec<u32>)>,
    /// By number, with the addresses of their metrics; `None` once they were stopped.
    pub(crate) servers: Vec<Option<(Served, String)>>,
    addresses: Vec<SocketAddr>,
    /// Where other servers find them.
    found_at: Vec<SocketAddr>,
    /// What all configurations have besides.
    more: String,
}

/// A worker of one data centre, and the tables that its servers have been given.
pub(crate) struct Member {
    pub(crate) me: Blocking<RemoteWorker, ThreadPark>,
    pub(crate) tables: Vec<Table>,
}

impl System {
    /// Starts all servers one after the other on free ports, with these tables. A server calls
    /// those before it alone, so that it need not know where the later ones are.
    pub(crate) fn start(layout: &Layout<'_>, tables: &str) -> Self {
        Self::start_with(layout, tables, "", |address| address)
    }

    /// As [`System::start`], with these lines in all configurations. `found_at` may put something
    /// in front of a server, for other servers.
    pub(crate) fn start_with(
        layout: &Layout<'_>,
        tables: &str,
        more: &str,
        mut found_at: impl FnMut(SocketAddr) -> SocketAddr,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca = authority(folder.path());
        std::fs::write(folder.path().join("tables.toml"), tables).unwrap();
        for (name, _) in layout {
            for role in ["server", "worker"] {
                let name = ["--dc", name, "--name", &format!("{role}-{name}")];
                let out = text(folder.path().join("certs"));
                let words = ["cert", "issue", "--ca", &ca, "--role", role, "--out", &out];
                said(&[&words[..], &name].concat());
            }
        }
        let layout = layout.iter().map(|(name, servers)| ((*name).to_owned(), servers.to_vec()));
        let layout: Vec<_> = layout.collect();
        let more = more.to_owned();
        let (servers, addresses) = (Vec::new(), Vec::new());
        let mut this = Self { folder, layout, servers, addresses, found_at: Vec::new(), more };
        let count = this.layout.iter().map(|(_, servers)| servers.len() as u32).sum();
        for number in 0..count {
            let (server, metrics) = this.serve(number, ANY);
            this.found_at.push(found_at(server.address));
            this.addresses.push(server.address);
            this.servers.push(Some((server, metrics)));
        }
        this
    }

    /// Starts one server, on an address that the others need not know.
    fn serve(&self, number: u32, bind: &str) -> (Served, String) {
        let config = self.configured(number, bind);
        let mut server = Served::start(&["--config", &config]);
        let metrics = server.metrics();
        (server, metrics)
    }

    /// The path of a server's configuration.
    pub(crate) fn configured(&self, number: u32, bind: &str) -> String {
        let mut lines = format!("server = {number}\nbind = \"{bind}\"\nmetrics = \"{ANY}\"\n");
        let listed = self.layout.iter().map(|(name, servers)| {
            let servers = servers.iter().map(|server| self.entry(*server, number, bind));
            format!("\"{name}:{}\"", servers.collect::<Vec<_>>().join(","))
        });
        let listed = listed.collect::<Vec<_>>().join(", ");
        let name = self.name_of(number);
        writeln!(lines, "data_centres = [{listed}]\ntables = \"tables.toml\"").unwrap();
        writeln!(lines, "ca = \"ca/ca.pem\"\ncertificate = \"certs/server-{name}.pem\"").unwrap();
        writeln!(lines, "key = \"certs/server-{name}.key\"\n{}", self.more).unwrap();
        let path = self.folder.path().join(format!("server{number}.toml"));
        std::fs::write(&path, lines).unwrap();
        text(path)
    }

    fn entry(&self, server: u32, own: u32, bind: &str) -> String {
        match self.found_at.get(server as usize) {
            _ if server == own => format!("{server}={bind}"),
            Some(address) => format!("{server}={address}"),
            // Never called.
            None => format!("{server}=127.0.0.1:{}", 1 + server),
        }
    }

    fn name_of(&self, server: u32) -> &str {
        &self.layout.iter().find(|(_, servers)| servers.contains(&server)).unwrap().0
    }

    /// The certificate and key of a role in a data centre, and the authority.
    pub(crate) fn papers(&self, role: &str, name: &str) -> [String; 3] {
        let place = |path: String| text(self.folder.path().join(path));
        let own = |kind: &str| place(format!("certs/{role}-{name}.{kind}"));
        [place("ca/ca.pem".into()), own("pem"), own("key")]
    }

    /// The list of a data centre's servers, as workers are told it.
    pub(crate) fn list(&self, name: &str) -> String {
        let (_, servers) = self.layout.iter().find(|(held, _)| held == name).unwrap();
        let entry = |server: &u32| format!("{server}={}", self.addresses[*server as usize]);
        servers.iter().map(entry).collect::<Vec<_>>().join(",")
    }

    /// A process of workers in a data centre.
    pub(crate) fn client(&self, name: &str) -> Client {
        let [ca, certificate, key] = self.papers("worker", name);
        let config = ClientConfig::new(
            self.list(name).parse().unwrap(),
            Pem::files(Path::new(&ca), Path::new(&certificate), Path::new(&key)),
        );
        let config = config.wait_deadline(Duration::from_secs(20));
        Client::connect_blocking(config).unwrap()
    }

    /// Joins a group of one worker.
    pub(crate) fn join(&self, name: &str, group: &str) -> Member {
        let client = self.client(name);
        let tables = client.tables_blocking().unwrap();
        let group = client.ensure_group_blocking(group, 1).unwrap();
        Member { me: client.join_blocking(group).unwrap(), tables }
    }

    /// What a server says of itself.
    pub(crate) fn status(&self, server: u32) -> Value {
        let (_, metrics) = self.servers[server as usize].as_ref().unwrap();
        serde_json::from_str(&said(&["status", "--json", "--metrics", metrics])).unwrap()
    }

    /// What `status` shows of all servers that run.
    pub(crate) fn shown(&self) -> String {
        let metrics = self.servers.iter().flatten().map(|(_, metrics)| metrics.as_str());
        said(&["status", "--metrics", &metrics.collect::<Vec<_>>().join(",")])
    }

    /// Waits until a server says so of itself.
    pub(crate) fn until(&self, server: u32, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        until(what, || Some(self.status(server)).filter(&holds))
    }

    /// Waits until all copies of all tables count and are the same, as every server says.
    pub(crate) fn equal(&self) {
        for number in (0..).zip(&self.servers).filter_map(|(at, it)| it.as_ref().map(|_| at)) {
            self.until(number, "equal copies", |status| {
                let others = status["data_centres"].as_array().unwrap().iter();
                let mut copies = others.flat_map(|other| other["copies"].as_array().unwrap());
                let tables = status["tables"].as_array().unwrap();
                copies.all(|copy| copy["standing"] == "counts")
                    && tables.iter().all(|table| table["mirror"]["equal"] == true)
            });
        }
    }

    /// Ends a server at once.
    pub(crate) fn kill(&mut self, number: u32) {
        let (server, _) = self.servers[number as usize].take().unwrap();
        server.signal("-KILL");
        server.ended();
    }

    /// Ends a server as Ctrl-C does.
    pub(crate) fn stop(&mut self, number: u32) {
        let (server, _) = self.servers[number as usize].take().unwrap();
        server.signal("-INT");
        let (status, log) = server.ended();
        assert!(status.success(), "{status}: {log}");
    }

    /// Starts one again, with nothing of what it held, where it was.
    pub(crate) fn start_again(&mut self, number: u32) {
        let address = self.addresses[number as usize].to_string();
        self.servers[number as usize] = Some(self.serve(number, &address));
    }

    /// What `config check` says of a configuration, whether it succeeds or not.
    pub(crate) fn check(&self, config: &str) -> String {
        let path = text(self.folder.path().join("check.toml"));
        std::fs::write(&path, config).unwrap();
        let output = run(&["config", "check", &path]);
        let said = [output.stdout, output.stderr].concat();
        String::from_utf8(said).unwrap()
    }
}

/// The bits of a table's values, read by a group of its own.
pub(crate) fn read(system: &System, name: &str, group: &str) -> Vec<Vec<u32>> {
    use archipelago_client::Worker;
    let Member { me, tables } = system.join(name, group);
    let read = async |me: &RemoteWorker| {
        let mut all = Vec::new();
        for table in &tables {
            let mut values = vec![0.0_f32; table.spec().domain.count() as usize];
            me.pull(table, .., &mut values).await?;
            all.push(values.into_iter().map(f32::to_bits).collect());
        }
        me.finish().await?;
        Ok::<_, archipelago::Error>(all)
    };
    me.run(async |me| read(me).await).unwrap()
}
