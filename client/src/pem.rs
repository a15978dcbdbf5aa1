//! Where a process has its certificate, its key and the authority that it believes from.

use std::fmt;
use std::path::PathBuf;

use archipelago::error::TransportError;
use archipelago::transport::Credentials;

/// PEM texts: the authority's certificates, this process's chain (its own certificate first) and
/// its private key.
#[derive(Clone)]
pub struct Pem {
    authority: Text,
    certificate: Text,
    key: Text,
}

#[derive(Clone)]
enum Text {
    File(PathBuf),
    Bytes(Vec<u8>),
}

impl Pem {
    /// From files. They are read at every connection, so that renewed ones count from then on.
    pub fn files(
        authority: impl Into<PathBuf>,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        let [authority, certificate, key] =
            [authority.into(), certificate.into(), key.into()].map(Text::File);
        Self { authority, certificate, key }
    }

    /// From texts that the program has already.
    pub fn texts(
        authority: impl Into<Vec<u8>>,
        certificate: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        let [authority, certificate, key] =
            [authority.into(), certificate.into(), key.into()].map(Text::Bytes);
        Self { authority, certificate, key }
    }

    /// The credentials that they make.
    ///
    /// # Errors
    /// `Credentials` names the text, its file and what is wrong with it; `Identity` when the
    /// certificate names no role or data centre.
    pub(crate) fn load(&self) -> Result<Credentials, TransportError> {
        let authority = self.authority.read("authority")?;
        let certificate = self.certificate.read("certificate")?;
        Credentials::from_pem(&authority, &certificate, &self.key.read("key")?)
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { authority, certificate, key } = self;
        f.debug_list().entries([authority, certificate, key]).finish()
    }
}

impl Text {
    fn read(&self, what: &'static str) -> Result<Vec<u8>, TransportError> {
        match self {
            Self::File(path) => std::fs::read(path).map_err(|error| {
                let problem = format!("cannot read {}: {error}", path.display());
                TransportError::Credentials { what, problem }
            }),
            Self::Bytes(bytes) => Ok(bytes.clone()),
        }
    }
}

impl fmt::Debug for Text {
    /// A key does not belong into a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.fmt(f),
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
        }
    }
}
