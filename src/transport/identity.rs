//! Who a process is: the role and data centre that its certificate names.
//!
//! Both are DNS names of the certificate's subject alternative name, which every tool can write
//! and show: `worker.role.archipelago` and `paris.dc.archipelago`. A certificate with neither or
//! several of one kind names nobody.

use std::fmt;

use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

use crate::error::TransportError;
use crate::limits;

/// What a process may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Joins groups, pulls and pushes.
    Worker,
    /// Holds shards.
    Server,
    /// Decides placement.
    Manager,
    /// Looks, and changes tables.
    Operator,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Worker, Self::Server, Self::Manager, Self::Operator];

    /// Its name in certificates, flags and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Server => "server",
            Self::Manager => "manager",
            Self::Operator => "operator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Role {
    type Err = TransportError;

    fn from_str(name: &str) -> Result<Self, TransportError> {
        let found = Self::ALL.into_iter().find(|role| role.name() == name);
        found.ok_or_else(|| TransportError::Identity {
            expected: "one of the roles worker, server, manager, operator",
            found: name.chars().take(limits::NAME_BYTES_MAX).collect(),
        })
    }
}

/// The role and data centre of a process.
///
/// ```
/// use archipelago::transport::{Identity, Role};
///
/// let identity = Identity::new(Role::Worker, "paris")?;
/// assert_eq!(identity.names(), ["worker.role.archipelago", "paris.dc.archipelago"]);
/// assert!(Identity::new(Role::Worker, "Paris, France").is_err());
/// # Ok::<(), archipelago::error::TransportError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    role: Role,
    dc: String,
}

impl Identity {
    /// A process of that role in the data centre `dc`.
    ///
    /// # Errors
    /// `Identity` unless `dc` is 1 to 63 lower-case letters, digits and inner hyphens.
    pub fn new(role: Role, dc: &str) -> Result<Self, TransportError> {
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let inner = !dc.starts_with('-') && !dc.ends_with('-');
        if (1..=DC_BYTES_MAX).contains(&dc.len()) && dc.chars().all(legal) && inner {
            return Ok(Self { role, dc: dc.into() });
        }
        Err(TransportError::Identity {
            expected: "a data centre of 1 to 63 lower-case letters, digits and inner hyphens",
            found: dc.chars().take(DC_BYTES_MAX).collect(),
        })
    }

    /// The role.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The data centre.
    pub fn dc(&self) -> &str {
        &self.dc
    }

    /// The DNS names that a certificate of this identity carries.
    pub fn names(&self) -> [String; 2] {
        [role_name(self.role), format!("{}{DC_SUFFIX}", self.dc)]
    }

    /// The identity that a certificate names. The chain was verified before.
    ///
    /// # Errors
    /// `Identity` when the certificate does not name exactly one role and one data centre.
    pub fn of_certificate(certificate: &CertificateDer<'_>) -> Result<Self, TransportError> {
        let parsed = EndEntityCert::try_from(certificate)
            .map_err(|error| unnamed(format!("a certificate that does not parse: {error}")))?;
        let (mut role, mut dc) = (None, None);
        for name in parsed.valid_dns_names() {
            let taken = if let Some(name) = name.strip_suffix(ROLE_SUFFIX) {
                role.replace(name.parse::<Role>()?).is_some()
            } else if let Some(name) = name.strip_suffix(DC_SUFFIX) {
                dc.replace(name).is_some()
            } else {
                false
            };
            if taken {
                return Err(unnamed("several roles or data centres".into()));
            }
        }
        match (role, dc) {
            (Some(role), Some(dc)) => Self::new(role, dc),
            _ => Err(unnamed("a certificate without them".into())),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.role, self.dc)
    }
}

/// The DNS name that certificates of a role carry.
pub(super) fn role_name(role: Role) -> String {
    format!("{}{ROLE_SUFFIX}", role.name())
}

fn unnamed(found: String) -> TransportError {
    let expected = "one name ROLE.role.archipelago and one DC.dc.archipelago in a certificate";
    TransportError::Identity { expected, found }
}

const ROLE_SUFFIX: &str = ".role.archipelago";
const DC_SUFFIX: &str = ".dc.archipelago";
/// One label of a DNS name.
const DC_BYTES_MAX: usize = 63;
