//! Servers in this process, with certificates that nobody keeps.

use std::net::{Ipv4Addr, SocketAddr};

use archipelago::id::ServerId;
use archipelago::node::server::ServerOptions;
use archipelago::transport::{Credentials, Identity, Role, Server, ServerConfig};
use archipelago_client::{ClientConfig, Pem, Registry};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};

/// The data centre that all certificates name.
const DC: &str = "example";

type Issuer = CertifiedIssuer<'static, KeyPair>;

/// Starts servers on free ports of this machine; they stop with their handles. Also how a worker
/// connects to them.
pub(crate) fn start(count: u32) -> anyhow::Result<(Vec<Server>, ClientConfig)> {
    let authority = authority()?;
    let mut servers: Vec<Server> = Vec::new();
    for number in 0..count {
        // Each knows where those before it listen, and calls them.
        let known = (0..).map(ServerId).zip(servers.iter().map(Server::address));
        let (certificate, key) = issue(&authority, Role::Server)?;
        let credentials = Credentials::from_pem(
            authority.pem().as_bytes(),
            certificate.as_bytes(),
            key.as_bytes(),
        )?;
        servers.push(Server::start(ServerConfig {
            server: ServerId(number),
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            peers: known.collect(),
            servers: (0..count).map(ServerId).collect(),
            registry: Registry::built_in(),
            credentials,
            options: ServerOptions::default(),
        })?);
    }
    let addresses: Vec<_> = servers.iter().map(|server| server.address().to_string()).collect();
    let (certificate, key) = issue(&authority, Role::Worker)?;
    let credentials = Pem::texts(authority.pem(), certificate, key);
    Ok((servers, ClientConfig::new(addresses.join(",").parse()?, credentials)))
}

fn authority() -> Result<Issuer, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

/// A certificate and its key.
fn issue(authority: &Issuer, role: Role) -> anyhow::Result<(String, String)> {
    let key = KeyPair::generate()?;
    let params = CertificateParams::new(Identity::new(role, DC)?.names())?;
    Ok((params.signed_by(&key, authority)?.pem(), key.serialize_pem()))
}
