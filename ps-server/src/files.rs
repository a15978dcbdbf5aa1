//! Files that are written whole or not at all, so that who reads at the same time never sees half.

use std::io::Write;
use std::path::{Path, PathBuf};

/// A file cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// It exists already.
    #[error(
        "{} exists already: choose another folder or name, or replace it with --force",
        path.display()
    )]
    Exists {
        /// Which.
        path: PathBuf,
    },
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Everybody.
    All,
    /// The owner alone: private keys.
    Owner,
}

/// The bytes of a file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    std::fs::read(path).map_err(|source| FileError::Read { path: path.into(), source })
}

/// The text of a file.
pub(crate) fn read_text(path: &Path) -> Result<String, FileError> {
    let text = std::fs::read_to_string(path);
    text.map_err(|source| FileError::Read { path: path.into(), source })
}

/// Makes a folder and those above it.
pub(crate) fn folder(path: &Path) -> Result<(), FileError> {
    let made = std::fs::create_dir_all(path);
    made.map_err(|source| FileError::Write { path: path.into(), source })
}

/// Refuses files that exist already, before the first of them is written.
pub(crate) fn refuse_existing(paths: &[&Path]) -> Result<(), FileError> {
    match paths.iter().find(|path| path.exists()) {
        Some(path) => Err(FileError::Exists { path: path.to_path_buf() }),
        None => Ok(()),
    }
}

/// Writes a file beside its place, then moves it there.
pub(crate) fn write(path: &Path, text: &str, readers: Readers) -> Result<(), FileError> {
    let failed = |source| FileError::Write { path: path.into(), source };
    let beside = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut builder = tempfile::Builder::new();
    let permissions = permissions(readers);
    if let Some(permissions) = &permissions {
        builder.permissions(permissions.clone());
    }
    let mut file = builder.tempfile_in(beside.unwrap_or(Path::new("."))).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

#[cfg(unix)]
fn permissions(readers: Readers) -> Option<std::fs::Permissions> {
    use std::os::unix::fs::PermissionsExt;
    Some(std::fs::Permissions::from_mode(match readers {
        Readers::All => 0o644,
        Readers::Owner => 0o600,
    }))
}

#[cfg(not(unix))]
fn permissions(_readers: Readers) -> Option<std::fs::Permissions> {
    None
}
