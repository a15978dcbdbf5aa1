//! Certificates, keys and revocation lists that change under a running server.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use archipelago::time::Duration;
use archipelago::transport::ServerHandle;

use super::config::CredentialFiles;
use super::run;

/// How often the files are looked at: a revocation takes effect within this time.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// When a file was written and how long it is; `None` when it is not there.
type Seen = (PathBuf, Option<(SystemTime, u64)>);

/// Works by what the files hold, as often as it changes. Files that are of no use, or half
/// written, leave the server with what it has, and are tried again when they change.
pub(super) async fn follow(files: &CredentialFiles, server: &ServerHandle) {
    // Nothing yet: the files may have changed between the start and now.
    let mut seen: Option<Vec<Seen>> = None;
    loop {
        // Looked at before they are read: what changes in between is seen the next time.
        let now: Vec<_> = files.paths().map(look).collect();
        if seen.as_ref() != Some(&now) {
            match renew(files, server).await {
                Ok(()) => tracing::info!("the certificate, key and revocation list are in effect"),
                Err(error) => tracing::error!(
                    problem = format!("{error:#}"),
                    "changed credentials are not used, the server goes on with what it has"
                ),
            }
            seen = Some(now);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn renew(files: &CredentialFiles, server: &ServerHandle) -> anyhow::Result<()> {
    Ok(server.renew(&run::load(files)?).await?)
}

fn look(path: &Path) -> Seen {
    let metadata = std::fs::metadata(path).ok();
    let facts = metadata.and_then(|metadata| Some((metadata.modified().ok()?, metadata.len())));
    (path.into(), facts)
}
