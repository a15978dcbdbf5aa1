//! Certificates, keys and revocation lists that change under a running server.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use archipelago::time::Duration;
use archipelago::transport::ServerHandle;

use time::OffsetDateTime;

use super::config::CredentialFiles;
use super::run;
use crate::{cert, files};

/// How often the files are looked at: a revocation takes effect within this time.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often a certificate that expires soon is spoken of, in looks.
const LOOKS_PER_DAY: u32 = 24 * 60 * 60;
/// How long before its end.
const SECONDS_OF_WEEK: i64 = 7 * 24 * 60 * 60;

/// When a file was written and how long it is; `None` when it is not there.
type Seen = (PathBuf, Option<(SystemTime, u64)>);

/// Works by what the files hold, as often as it changes. Files that are of no use, or half
/// written, leave the server with what it has, and are tried again when they change.
pub(super) async fn follow(files: &CredentialFiles, server: &ServerHandle) {
    // Nothing yet: the files may have changed between the start and now.
    let mut seen: Option<Vec<Seen>> = None;
    let mut looks = 0;
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
            (seen, looks) = (Some(now), 0);
        }
        if looks % LOOKS_PER_DAY == 0 {
            speak_of_expiry(&files.certificate);
            speak_of_expiry(&files.ca);
        }
        looks = looks.wrapping_add(1);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Warns of a certificate that expires within a week, or has.
fn speak_of_expiry(path: &Path) {
    let left = files::read(path).map_err(anyhow::Error::from);
    let left = left.and_then(|pem| cert::seconds_left(&pem, OffsetDateTime::now_utc()));
    // Whoever reads the files to use them says what is wrong with them.
    if let Some(left) = left.ok().filter(|left| *left < SECONDS_OF_WEEK) {
        let (file, hours) = (path.display(), left / 3600);
        tracing::warn!(%file, hours, "a certificate expires soon: replace the file in time");
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
