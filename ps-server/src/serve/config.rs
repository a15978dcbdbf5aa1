//! The configuration that a server works by: flags, file and defaults, checked as a whole.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use archipelago::id::ServerId;
use archipelago::node::Registry;
use archipelago::transport::{Credentials, System};
use archipelago_client::{ServerEntry, Servers, ServersError};
use serde::Serialize;
use toml::de::DeTable;

use super::data_centres::{DataCentreList, DataCentreListError};
use super::options::{Options, ServeArguments};
use crate::files::{self, FileError};
use crate::nearest::{nearest, suggestion};
use crate::table;

/// Where a server that is alone listens unless told otherwise.
const DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7100);

/// The configuration does not say what a server needs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file that cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is not TOML, or a value is not of its type.
    #[error("{}: {problem}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where, and what.
        problem: String,
    },
    /// A key that is no option.
    #[error(
        "{}:{line}: unknown key `{key}`{}", path.display(), suggestion(nearest.as_deref(), known)
    )]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The key.
        key: String,
        /// The option that was probably meant.
        nearest: Option<String>,
        /// All options.
        known: Vec<String>,
    },
    /// An option without a default is missing.
    #[error(
        "`{option}` is missing: name the file with --{option} or in the configuration; ps-server \
         cert makes them, and serve --dev needs none"
    )]
    Missing {
        /// The option.
        option: &'static str,
    },
    /// The list of servers is wrong.
    #[error(transparent)]
    Servers(#[from] ServersError),
    /// The list of data centres is wrong.
    #[error(transparent)]
    DataCentres(#[from] DataCentreListError),
    /// Groups of data centres that are not listed.
    #[error("`hubs` groups the data centres of `data_centres`, which is missing")]
    HubsOfNone,
    /// Two lists of the own data centre's servers.
    #[error(
        "`servers` and `data_centres` list different servers for the data centre of this one \
         ({servers}; {data_centres}): leave `servers` out"
    )]
    TwoLists {
        /// As the one has them.
        servers: String,
        /// As the other has them.
        data_centres: String,
    },
    /// With several servers, each has to know which one it is.
    #[error("`server` is missing: say which of {listed} this one is, with --server NUMBER")]
    WhichServer {
        /// The list.
        listed: String,
    },
    /// The own number is not in the list.
    #[error(
        "`server` is {server}, which `servers` does not list ({listed}): add it there as \
         {server}=HOST:PORT, or give the number that this server has in the list"
    )]
    NotListed {
        /// The own number.
        server: u32,
        /// The list.
        listed: String,
    },
    /// The others would call another address than the one advertised.
    #[error(
        "`advertise` is {advertise}, but `servers` lists this server as {listed}: the others use \
         the list, so make both the same or leave `advertise` out"
    )]
    Advertise {
        /// The option.
        advertise: String,
        /// The entry.
        listed: String,
    },
    /// Not a filter of log lines.
    #[error("`log` is {found:?}: {problem}")]
    Log {
        /// The option.
        found: String,
        /// What is wrong.
        problem: String,
    },
}

/// What is effective.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Config {
    /// Which server it is.
    #[serde(serialize_with = "number")]
    pub server: ServerId,
    /// Where it listens.
    pub bind: SocketAddr,
    /// Where the others reach it.
    pub advertise: String,
    /// All servers of its data centre.
    #[serde(serialize_with = "entries")]
    pub servers: Servers,
    /// All data centres; `None` where only this one is named.
    #[serde(serialize_with = "data_centres", skip_serializing_if = "Option::is_none")]
    pub data_centres: Option<DataCentreList>,
    /// Groups of them; none where everybody speaks to everybody.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hubs: Vec<String>,
    /// The file of the tables that exist from the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tables: Option<PathBuf>,
    /// Where its credentials are; `None` for a throw-away authority.
    #[serde(flatten)]
    pub files: Option<CredentialFiles>,
    /// Where metrics are served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<SocketAddr>,
    /// What is logged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
}

/// Where credentials are read from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CredentialFiles {
    /// The authority's certificate.
    pub ca: PathBuf,
    /// The own certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The revocation list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked: Option<PathBuf>,
}

impl CredentialFiles {
    /// Reads all of them.
    ///
    /// # Errors
    /// A file that cannot be read, or holds something else.
    pub fn load(&self) -> anyhow::Result<Credentials> {
        let [ca, certificate, key] =
            [&self.ca, &self.certificate, &self.key].map(|path| files::read(path));
        let credentials = Credentials::from_pem(&ca?, &certificate?, &key?)?;
        match &self.revoked {
            Some(path) => Ok(credentials.revoke(&files::read(path)?)?),
            None => Ok(credentials),
        }
    }

    /// All paths.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        let always = [&self.ca, &self.certificate, &self.key].into_iter();
        always.chain(&self.revoked).map(PathBuf::as_path)
    }
}

impl Config {
    /// The configuration of a command: flags, then its file, then defaults.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn of(arguments: &ServeArguments) -> Result<Self, ConfigError> {
        Self::new(Self::options(arguments)?, arguments.dev)
    }

    /// Flags, and where they are silent the file.
    pub(super) fn options(arguments: &ServeArguments) -> Result<Options, ConfigError> {
        let from_file = arguments.config.as_deref().map(read).transpose()?.unwrap_or_default();
        Ok(arguments.options.clone().or(from_file))
    }

    /// All servers that options list.
    pub(super) fn listed(options: &Options) -> Result<Servers, ConfigError> {
        Ok(match &options.data_centres {
            Some(entries) => DataCentreList::new(entries)?.all().clone(),
            None => Servers::new(options.servers.as_deref().unwrap_or_default())?,
        })
    }

    /// What options make effective, with a throw-away authority (`dev`) or with their files.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn new(options: Options, dev: bool) -> Result<Self, ConfigError> {
        let advertise = options.advertise.as_ref().map(|entry| entry.address.clone());
        let entries = options.servers.as_deref().unwrap_or_default();
        let mut listed = options.data_centres.as_deref().map(DataCentreList::new).transpose()?;
        if let Some(hubs) = &options.hubs {
            let grouped = listed.ok_or(ConfigError::HubsOfNone)?.with_hubs(hubs);
            listed = Some(grouped?);
        }
        let (server, servers) = if let Some(listed) = &listed {
            let server = which(listed.all(), options.server)?;
            (server, same_list(entries, listed.around(server)?)?)
        } else if entries.is_empty() {
            let alone = || options.bind.unwrap_or(DEFAULT).to_string();
            let address = advertise.clone().unwrap_or_else(alone);
            let number = options.server.unwrap_or_default();
            let entry = ServerEntry { number: Some(number), address };
            (ServerId(number), Servers::new(&[entry])?)
        } else {
            let servers = Servers::new(entries)?;
            (which(&servers, options.server)?, servers)
        };
        let data_centres = listed;
        let hubs = options.hubs.clone().unwrap_or_default();
        let listed = servers.address(server).unwrap_or_default().to_owned();
        let bind = options.bind.unwrap_or_else(|| default_bind(&listed));
        if let Some(advertise) = advertise.filter(|advertise| *advertise != listed) {
            return Err(ConfigError::Advertise { advertise, listed });
        }
        if let Some(found) = &options.log {
            crate::logs::filter(found)
                .map_err(|problem| ConfigError::Log { found: found.clone(), problem })?;
        }
        let (metrics, log) = (options.metrics, options.log.clone());
        let tables = options.tables.clone();
        let files = if dev { None } else { Some(credential_files(options)?) };
        let advertise = listed;
        Ok(Self {
            server,
            bind,
            advertise,
            servers,
            data_centres,
            hubs,
            tables,
            files,
            metrics,
            log,
        })
    }

    /// That it listens on another port than the one it is listed with, if it does.
    pub(super) fn other_port(&self) -> Option<String> {
        let (bind, listed) = (self.bind, &self.advertise);
        let differs = port(listed).is_some_and(|port| port != bind.port());
        differs.then(|| {
            format!(
                "this server listens on {bind} and is listed as {listed}: the others reach it \
                 only where that port is forwarded to the one it listens on; without `bind` it is \
                 that port"
            )
        })
    }

    /// What all servers of all data centres are given; reads the file of tables.
    ///
    /// # Errors
    /// A file that cannot be read, or describes no tables.
    pub fn system(&self, registry: &Registry) -> anyhow::Result<System> {
        let data_centres = self.data_centres.as_ref().map(|listed| listed.data_centres().clone());
        let tables = self.tables.as_deref().map(|path| table::read(path, registry));
        Ok(System { data_centres, tables: tables.transpose()?.unwrap_or_default() })
    }

    /// Where all servers are reached, those of other data centres too.
    ///
    /// # Errors
    /// `Unresolved`.
    pub fn peers(&self) -> Result<Vec<(ServerId, SocketAddr)>, ServersError> {
        self.data_centres.as_ref().map_or(&self.servers, DataCentreList::all).resolve()
    }

    /// As TOML that says the same again.
    ///
    /// # Errors
    /// A path that is not UTF-8.
    pub fn to_toml(&self) -> anyhow::Result<String> {
        Ok(toml::to_string(self)?)
    }
}

/// Where a server that is listed so listens unless told otherwise.
fn default_bind(listed: &str) -> SocketAddr {
    match listed.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => address,
        _ => SocketAddr::new(DEFAULT.ip(), port(listed).unwrap_or(DEFAULT.port())),
    }
}

fn port(address: &str) -> Option<u16> {
    address.rsplit_once(':').and_then(|(_, port)| port.parse().ok())
}

fn credential_files(options: Options) -> Result<CredentialFiles, ConfigError> {
    let missing = |option| ConfigError::Missing { option };
    Ok(CredentialFiles {
        ca: options.ca.ok_or_else(|| missing("ca"))?,
        certificate: options.certificate.ok_or_else(|| missing("certificate"))?,
        key: options.key.ok_or_else(|| missing("key"))?,
        revoked: options.revoked,
    })
}

fn which(servers: &Servers, own: Option<u32>) -> Result<ServerId, ConfigError> {
    let numbers = servers.numbers();
    let listed = || shown(servers);
    match (own, numbers.as_slice()) {
        (None, [only]) => Ok(*only),
        (None, _) => Err(ConfigError::WhichServer { listed: listed() }),
        (Some(own), numbers) if numbers.contains(&ServerId(own)) => Ok(ServerId(own)),
        (Some(server), _) => Err(ConfigError::NotListed { server, listed: listed() }),
    }
}

/// The servers of the own data centre, which `servers` may list a second time.
fn same_list(entries: &[ServerEntry], own: Servers) -> Result<Servers, ConfigError> {
    let again = Servers::new(entries)?;
    if entries.is_empty() || again == own {
        return Ok(own);
    }
    let (servers, data_centres) = (shown(&again), shown(&own));
    Err(ConfigError::TwoLists { servers, data_centres })
}

fn shown(servers: &Servers) -> String {
    servers.entries().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The options of a configuration file. Paths in it are relative to it.
fn read(path: &Path) -> Result<Options, ConfigError> {
    let options = Options::from_toml(&files::read_text(path)?, path)?;
    Ok(options.seen_from(path.parent().unwrap_or(Path::new(""))))
}

impl Options {
    /// The options that a text says; `path` stands in errors.
    ///
    /// # Errors
    /// `Syntax`, `UnknownKey`.
    pub fn from_toml(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let syntax = |error: toml::de::Error| ConfigError::Syntax {
            path: path.into(),
            problem: error.to_string(),
        };
        let table = DeTable::parse(text).map_err(syntax)?;
        let known = Self::names();
        for key in table.get_ref().keys() {
            let (name, place) = (key.get_ref().to_string(), key.span().start);
            if !known.contains(&name) {
                let nearest = nearest(&name, known.iter().map(String::as_str));
                return Err(ConfigError::UnknownKey {
                    path: path.into(),
                    line: 1 + text[..place].matches('\n').count(),
                    nearest: nearest.map(str::to_owned),
                    key: name,
                    known,
                });
            }
        }
        toml::from_str(text).map_err(syntax)
    }
}

fn number<S: serde::Serializer>(server: &ServerId, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u32(server.0)
}

fn data_centres<S: serde::Serializer>(
    listed: &Option<DataCentreList>,
    to: S,
) -> Result<S::Ok, S::Error> {
    listed.as_ref().map(DataCentreList::entries).serialize(to)
}

fn entries<S: serde::Serializer>(servers: &Servers, to: S) -> Result<S::Ok, S::Error> {
    servers.entries().serialize(to)
}
