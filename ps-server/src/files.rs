//! Files that are written whole or not at all, so that who reads at the same time never sees half.

use std::io::Write;
use std::path::{Path, PathBuf};

/// Symbolic links that are followed from one to the next.
const LINKS_MAX: u32 = 40;

/// Open files of a process, which are written into, whatever they are.
const STREAMS: [&str; 4] = ["/dev/stdout", "/dev/stderr", "/dev/fd", "/proc"];

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
    // A link that leads nowhere is one, too.
    match paths.iter().find(|path| path.symlink_metadata().is_ok()) {
        Some(path) => Err(FileError::Exists { path: path.to_path_buf() }),
        None => Ok(()),
    }
}

/// Writes a file beside its place, then moves it there. What is for everybody goes where a symbolic
/// link leads, and into a device or a pipe; a private key follows no link, but takes its place.
pub(crate) fn write(path: &Path, text: &str, readers: Readers) -> Result<(), FileError> {
    let failed = |source| FileError::Write { path: path.into(), source };
    if readers == Readers::Owner {
        return replace(path, text, readers).map_err(failed);
    }
    let is_file = path.metadata().is_ok_and(|found| found.is_file());
    let is_stream = STREAMS.iter().any(|stream| path.starts_with(stream));
    let written = match path.exists() && (is_stream || !is_file) {
        true => append(path, text),
        false => replace(&followed(path)?, text, readers),
    };
    written.map_err(failed)
}

/// Where the symbolic links at a path lead; the file there need not exist.
fn followed(path: &Path) -> Result<PathBuf, FileError> {
    let mut place = path.to_owned();
    for _ in 0..LINKS_MAX {
        let Ok(to) = place.read_link() else { return Ok(place) };
        place = place.parent().unwrap_or(Path::new("")).join(to);
    }
    let source = std::io::Error::other("too many symbolic links");
    Err(FileError::Write { path: path.into(), source })
}

fn append(path: &Path, text: &str) -> std::io::Result<()> {
    std::fs::OpenOptions::new().append(true).open(path)?.write_all(text.as_bytes())
}

fn replace(path: &Path, text: &str, readers: Readers) -> std::io::Result<()> {
    let beside = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut builder = tempfile::Builder::new();
    let permissions = permissions(readers);
    if let Some(permissions) = &permissions {
        builder.permissions(permissions.clone());
    }
    let mut file = builder.tempfile_in(beside.unwrap_or(Path::new(".")))?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
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

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{FileTypeExt, symlink};

    use super::*;

    #[test]
    fn links_are_followed_and_stay_unless_it_is_a_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = |name: &str| folder.path().join(name);
        std::fs::create_dir(place("else")).expect("made");
        symlink("else/file", place("link")).expect("made");
        symlink(place("link"), place("link of a link")).expect("made");
        for text in ["made", "made again"] {
            write(&place("link of a link"), text, Readers::All).expect("written");
            assert_eq!(read_text(&place("else/file")).expect("there"), text);
            assert!(place("link").is_symlink() && place("link of a link").is_symlink());
        }
        write(&place("link"), "key", Readers::Owner).expect("written");
        assert!(!place("link").is_symlink(), "nobody else says where keys go");
        assert_eq!(read_text(&place("else/file")).expect("there"), "made again");
        symlink("round", place("round")).expect("made");
        let error = write(&place("round"), "x", Readers::All).expect_err("round and round");
        assert!(matches!(error, FileError::Write { .. }), "{error}");
        symlink("nowhere", place("dangling")).expect("made");
        refuse_existing(&[&place("dangling")]).expect_err("somebody has put it there");
    }

    #[test]
    fn what_is_no_file_is_written_into_and_stays_what_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.expect("a command").success());
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || std::fs::read_to_string(pipe)
        });
        write(&pipe, "text", Readers::All).expect("written");
        assert_eq!(reader.join().expect("no panic").expect("read"), "text");
        assert!(pipe.metadata().expect("there").file_type().is_fifo());
    }
}
