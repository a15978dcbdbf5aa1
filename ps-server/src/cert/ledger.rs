//! What an authority has issued and revoked: a file that only grows, one JSON object a line.
//!
//! Revocation lists are made from it, so a lost list can be made again. A line is written by one
//! call, so that two commands at once do not mix theirs.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::serial::Serial;
use crate::files::{self, FileError};

/// The name of the file in the authority's folder.
pub(crate) const LEDGER_FILE: &str = "issued.jsonl";

/// A line. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Entry {
    Issued { serial: Serial, name: String, role: String, dc: String, at: i64, expires: i64 },
    Revoked { serial: Serial, at: i64 },
}

/// The whole file.
#[derive(Debug)]
pub(crate) struct Ledger {
    path: PathBuf,
    entries: Vec<Entry>,
}

impl Ledger {
    /// A new one, in the place of any that was there.
    pub(crate) fn create(folder: &Path) -> Result<(), FileError> {
        files::write(&folder.join(LEDGER_FILE), "", files::Readers::All)
    }

    /// Reads it.
    pub(crate) fn load(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(LEDGER_FILE);
        let text = files::read_text(&path)?;
        let parsed = text.lines().enumerate().map(|(index, line)| {
            let entry = serde_json::from_str(line);
            entry.with_context(|| format!("{}:{}: not an entry", path.display(), index + 1))
        });
        let entries = parsed.collect::<anyhow::Result<_>>()?;
        Ok(Self { path, entries })
    }

    /// Adds a line.
    pub(crate) fn append(&mut self, entry: Entry) -> anyhow::Result<()> {
        let failed = |source| FileError::Write { path: self.path.clone(), source };
        let mut file = std::fs::OpenOptions::new().append(true).open(&self.path).map_err(failed)?;
        let line = format!("{}\n", serde_json::to_string(&entry)?);
        file.write_all(line.as_bytes()).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        self.entries.push(entry);
        Ok(())
    }

    /// Whether the authority has issued that certificate.
    pub(crate) fn has_issued(&self, wanted: &Serial) -> bool {
        let mut entries = self.entries.iter();
        entries.any(|entry| matches!(entry, Entry::Issued { serial, .. } if serial == wanted))
    }

    /// Whether it is revoked already.
    pub(crate) fn has_revoked(&self, wanted: &Serial) -> bool {
        let mut entries = self.entries.iter();
        entries.any(|entry| matches!(entry, Entry::Revoked { serial, .. } if serial == wanted))
    }

    /// What is revoked, and since when.
    pub(crate) fn revoked(&self) -> anyhow::Result<Vec<(Serial, OffsetDateTime)>> {
        let mut revoked = Vec::new();
        for entry in &self.entries {
            if let Entry::Revoked { serial, at } = entry {
                revoked.push((serial.clone(), OffsetDateTime::from_unix_timestamp(*at)?));
            }
        }
        Ok(revoked)
    }
}
