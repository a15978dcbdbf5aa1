//! Mutual TLS 1.3: who may talk to whom, before a byte of ours is read.
//!
//! Invariants: I1 both sides show a certificate of the one authority; I2 nothing is sent early
//! (no 0-RTT) and no session is resumed, so that every connection is verified anew, revocations
//! included; I3 the protocol's version is negotiated (ALPN), never guessed.

use rustls::client::Resumption;
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::version::TLS13;
use rustls::{CertificateError, ClientConfig, RootCertStore, ServerConfig};

use super::identity::Identity;
use super::link::Link;
use crate::error::TransportError;
use crate::sync::Arc;
use crate::time::Duration;

/// How long before its end a certificate is spoken of.
const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// The version of the protocol. A peer of another version is refused in the handshake.
const PROTOCOL: &[u8] = b"archipelago/1";

/// What a process shows to its peers, and what it believes of them.
#[derive(Debug)]
pub struct Credentials {
    identity: Identity,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    authority: Arc<RootCertStore>,
    revoked: Vec<CertificateRevocationListDer<'static>>,
}

impl Credentials {
    /// From PEM texts: the authority's certificates, this process's chain (its own certificate
    /// first) and its private key.
    ///
    /// # Errors
    /// `Credentials` names the text and what is wrong with it; `Identity` when the certificate
    /// names no role or data centre.
    pub fn from_pem(
        authority: &[u8],
        certificate: &[u8],
        key: &[u8],
    ) -> Result<Self, TransportError> {
        let mut roots = RootCertStore::empty();
        for root in certificates(authority, "authority")? {
            roots.add(root).map_err(|error| credentials("authority", &error))?;
        }
        let chain = certificates(certificate, "certificate")?;
        let first = chain.first().ok_or_else(|| credentials("certificate", &"no certificate"))?;
        let identity = Identity::of_certificate(first)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| credentials("key", &error))?;
        Ok(Self { identity, chain, key, authority: Arc::new(roots), revoked: Vec::new() })
    }

    /// Refuses the certificates that these revocation lists (PEM) of the authority name.
    ///
    /// # Errors
    /// `Credentials` when the text holds no list or a broken one.
    pub fn revoke(mut self, lists: &[u8]) -> Result<Self, TransportError> {
        let lists = CertificateRevocationListDer::pem_slice_iter(lists).collect::<Result<_, _>>();
        self.revoked = lists.map_err(|error| credentials("revocation list", &error))?;
        if self.revoked.is_empty() {
            return Err(credentials("revocation list", &"no list in the text"));
        }
        Ok(self)
    }

    /// Checks that they are of use together: the key is the certificate's, lists are whole.
    ///
    /// # Errors
    /// `Credentials` names the text and what is wrong with it.
    pub fn check(&self) -> Result<(), TransportError> {
        self.server()?;
        self.client().map(drop)
    }

    /// Checks that a process of this identity may go on with them.
    pub(super) fn check_renews(&self, identity: &Identity) -> Result<(), TransportError> {
        if self.identity == *identity {
            return Ok(());
        }
        let expected = "a certificate of the role and data centre that the process started with";
        Err(TransportError::Identity { expected, found: self.identity.to_string() })
    }

    /// This process's own certificate.
    pub(super) fn certificate(&self) -> CertificateDer<'static> {
        // A chain without a first one names nobody, and is refused before.
        self.chain.first().cloned().unwrap_or_else(|| CertificateDer::from(Vec::new()))
    }

    /// The role and data centre of this process.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What this process does when it is called.
    pub(super) fn server(&self) -> Result<ServerConfig, TransportError> {
        let config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| credentials("TLS version", &error))?
            .with_client_cert_verifier(self.verifier()?)
            .with_single_cert(self.chain.clone(), self.key.clone_key());
        let mut config = config.map_err(|error| credentials("certificate", &error))?;
        config.alpn_protocols = vec![PROTOCOL.into()];
        // A resumed session is not verified again: a revoked peer could come back.
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    /// What decides on connections that were made before these credentials.
    pub(super) fn judge(&self) -> Result<Judge, TransportError> {
        Ok(Judge(self.verifier()?))
    }

    fn verifier(&self) -> Result<Arc<dyn ClientCertVerifier>, TransportError> {
        let authority = Arc::clone(&self.authority);
        let verifier = WebPkiClientVerifier::builder_with_provider(authority, provider());
        let verifier = verifier.with_crls(self.revoked.clone());
        let verifier = verifier.only_check_end_entity_revocation();
        verifier.build().map_err(|error| credentials("authority", &error))
    }

    /// What this process does when it calls.
    pub(super) fn client(&self) -> Result<ClientConfig, TransportError> {
        let provider = provider();
        let verifier = WebPkiServerVerifier::builder_with_provider(
            Arc::clone(&self.authority),
            Arc::clone(&provider),
        );
        let verifier = verifier.with_crls(self.revoked.clone());
        let verifier = verifier.only_check_end_entity_revocation();
        let verifier = verifier.build().map_err(|error| credentials("authority", &error))?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| credentials("TLS version", &error))?
            .with_webpki_verifier(verifier)
            .with_client_auth_cert(self.chain.clone(), self.key.clone_key());
        let mut config = config.map_err(|error| credentials("certificate", &error))?;
        config.alpn_protocols = vec![PROTOCOL.into()];
        config.resumption = Resumption::disabled();
        Ok(config)
    }
}

/// Says whether a peer that is connected would still be let in.
#[derive(Debug)]
pub(super) struct Judge(Arc<dyn ClientCertVerifier>);

impl Judge {
    /// Verifies the peer as if it came now: authority, time and revocations.
    pub(super) fn hear(&self, link: &Link) -> Result<(), String> {
        let shown = link.certificates();
        let (own, between) = shown.split_first().ok_or("no certificate was shown")?;
        let verified = self.0.verify_client_cert(own, between, UnixTime::now());
        verified.map(drop).map_err(|error| error.to_string())
    }
}

impl Judge {
    /// Whether a peer would not be let in any more in a week, because its certificate has expired
    /// by then.
    pub(super) fn sees_expiry(&self, link: &Link) -> bool {
        let then = Duration::from_secs(UnixTime::now().as_secs()) + WEEK;
        let then = UnixTime::since_unix_epoch(then);
        let shown = link.certificates();
        let Some((own, between)) = shown.split_first() else { return false };
        matches!(
            self.0.verify_client_cert(own, between, then),
            Err(rustls::Error::InvalidCertificate(
                CertificateError::Expired | CertificateError::ExpiredContext { .. }
            ))
        )
    }
}

/// A number that nobody can guess.
pub(super) fn random() -> Result<u64, TransportError> {
    let mut bytes = [0; 8];
    let filled = aws_lc_rs::default_provider().secure_random.fill(&mut bytes);
    filled.map_err(|_failed| credentials("random numbers", &"the system has none"))?;
    Ok(u64::from_le_bytes(bytes))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn certificates(
    pem: &[u8],
    what: &'static str,
) -> Result<Vec<CertificateDer<'static>>, TransportError> {
    let found = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|error| credentials(what, &error))?;
    if found.is_empty() {
        return Err(credentials(what, &"no certificate in the text"));
    }
    Ok(found)
}

fn credentials(what: &'static str, problem: &impl ToString) -> TransportError {
    TransportError::Credentials { what, problem: problem.to_string() }
}
