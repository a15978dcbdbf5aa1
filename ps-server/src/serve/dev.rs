//! `serve --dev`: an authority that lives as long as the process.

use std::io::Write;
use std::net::SocketAddr;

use archipelago::transport::{Credentials, Identity, Role};
use tempfile::TempDir;
use time::OffsetDateTime;

use crate::cert::{AUTHORITY_FILE, Authority, Request};
use crate::files::{self, Readers};

/// The data centre of a throw-away cluster.
const DC: &str = "dev";
/// Longer than anybody leaves such a server running.
const DAYS: u32 = 30;

/// The authority, and the folder with a worker's certificate; both end with the process.
pub(super) struct Throwaway {
    authority: Authority,
    folder: TempDir,
}

impl Throwaway {
    /// Makes the authority and writes what a worker needs.
    pub(super) fn new() -> anyhow::Result<Self> {
        let (authority, _forgotten) = Authority::create(OffsetDateTime::now_utc())?;
        let folder = tempfile::Builder::new().prefix("archipelago-dev-").tempdir()?;
        let this = Self { authority, folder };
        let worker = this.authority.issue(&request(Role::Worker)?, OffsetDateTime::now_utc())?;
        let place = |name: &str| this.folder.path().join(name);
        files::write(&place(AUTHORITY_FILE), this.authority.certificate(), Readers::All)?;
        files::write(&place("worker.pem"), &worker.certificate, Readers::All)?;
        files::write(&place("worker.key"), &worker.key, Readers::Owner)?;
        Ok(this)
    }

    /// What the server shows; never written anywhere.
    pub(super) fn server(&self) -> anyhow::Result<Credentials> {
        let own = self.authority.issue(&request(Role::Server)?, OffsetDateTime::now_utc())?;
        let [authority, certificate, key] =
            [self.authority.certificate(), &own.certificate, &own.key].map(str::as_bytes);
        Ok(Credentials::from_pem(authority, certificate, key)?)
    }

    /// Prints how to connect.
    pub(super) fn explain(&self, server: SocketAddr, out: &mut dyn Write) -> anyhow::Result<()> {
        let folder = self.folder.path().display();
        writeln!(
            out,
            "throw-away certificates in {folder}, gone when this server stops; a worker (library: \
             transport::connect) shows and believes:"
        )?;
        writeln!(
            out,
            "  --servers {server} --ca {folder}/{AUTHORITY_FILE} --certificate \
             {folder}/worker.pem --key {folder}/worker.key"
        )?;
        Ok(())
    }
}

fn request(role: Role) -> anyhow::Result<Request> {
    Ok(Request { identity: Identity::new(role, DC)?, name: format!("dev {role}"), days: DAYS })
}
