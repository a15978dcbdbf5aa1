//! `serve --dev` and `demo`: an authority that lives as long as the process.

use std::io::Write;
use std::net::SocketAddr;

use archipelago::transport::{Credentials, Identity, Role};
use tempfile::TempDir;
use time::OffsetDateTime;

use super::config::CredentialFiles;
use crate::app::program;
use crate::cert::{AUTHORITY_FILE, Authority, Request};
use crate::files::{self, Readers};

/// The data centre of a throw-away cluster.
const DC: &str = "dev";
/// Longer than anybody leaves such a server running.
const DAYS: u32 = 30;

/// The authority, and the folder with a worker's certificate; both end with the process.
pub(crate) struct Throwaway {
    authority: Authority,
    folder: TempDir,
}

impl Throwaway {
    /// Makes the authority and writes what a worker needs.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let (authority, _forgotten) = Authority::create(OffsetDateTime::now_utc())?;
        let folder = tempfile::Builder::new().prefix("archipelago-dev-").tempdir()?;
        let this = Self { authority, folder };
        let place = this.folder.path().join(AUTHORITY_FILE);
        files::write(&place, this.authority.certificate(), Readers::All)?;
        this.issue(Role::Worker)?;
        Ok(this)
    }

    /// Writes a certificate and its key; the files that a process of the role needs.
    pub(crate) fn issue(&self, role: Role) -> anyhow::Result<CredentialFiles> {
        let issued = self.authority.issue(&request(role)?, OffsetDateTime::now_utc())?;
        let files = self.files(role);
        files::write(&files.certificate, &issued.certificate, Readers::All)?;
        files::write(&files.key, &issued.key, Readers::Owner)?;
        Ok(files)
    }

    /// Where the files of a role are.
    pub(crate) fn files(&self, role: Role) -> CredentialFiles {
        let place = |name: String| self.folder.path().join(name);
        let [certificate, key] = ["pem", "key"].map(|kind| place(format!("{role}.{kind}")));
        CredentialFiles { ca: place(AUTHORITY_FILE.into()), certificate, key, revoked: None }
    }

    /// What the one server of `serve --dev` shows; never written anywhere.
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
            "throw-away certificates in {folder}, gone when this server stops. To train there (a \
             program of your own gives the same to archipelago_client::Client):"
        )?;
        let CredentialFiles { ca, certificate, key, .. } = self.files(Role::Worker);
        // What has no workloads cannot train, but tells programs where to connect.
        let (train, what) = match cfg!(feature = "workloads") {
            true => (format!("{} train ", program()), " --model softmax --train digits"),
            false => (String::new(), ""),
        };
        writeln!(
            out,
            "  {train}--servers {server} --ca {} --certificate {} --key {}{what}",
            ca.display(),
            certificate.display(),
            key.display()
        )?;
        Ok(())
    }
}

fn request(role: Role) -> anyhow::Result<Request> {
    Ok(Request { identity: Identity::new(role, DC)?, name: format!("dev {role}"), days: DAYS })
}
