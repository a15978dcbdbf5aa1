//! A certificate authority: makes certificates and revocation lists. Knows no files.

use archipelago::transport::{Identity, Role};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer,
    DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, RevokedCertParams, SerialNumber,
};
use time::{Duration, OffsetDateTime};

use super::serial::Serial;
use super::show;

/// How long an authority and its revocation lists are valid: longer than any cluster.
const AUTHORITY_DAYS: i64 = 20 * 365;
/// Clocks of two machines may differ: a new certificate is valid at once on both.
const CLOCKS_DIFFER_MAX: Duration = Duration::minutes(10);

/// Who signs.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

/// A certificate to be made.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) identity: Identity,
    /// What people call it; programs read the identity.
    pub(crate) name: String,
    pub(crate) days: u32,
}

/// A certificate with its private key, both PEM.
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) serial: Serial,
    pub(crate) expires: OffsetDateTime,
}

impl Authority {
    /// A new authority, and its private key.
    pub(crate) fn create(now: OffsetDateTime) -> anyhow::Result<(Self, String)> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        // Lists are matched to authorities by name: two authorities must not share one.
        let id = Serial::from_bytes(&params.key_identifier(&key));
        params.distinguished_name = named(&format!("archipelago authority {:.8}", id.as_str()));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = now - CLOCKS_DIFFER_MAX;
        params.not_after = now + Duration::days(AUTHORITY_DAYS);
        let private = key.serialize_pem();
        let certificate = CertifiedIssuer::self_signed(params, key)?.pem();
        Ok((Self::load(certificate, &private)?, private))
    }

    /// The authority of a certificate and its private key, both PEM.
    pub(crate) fn load(certificate: String, key: &str) -> anyhow::Result<Self> {
        let issuer = Issuer::from_ca_cert_pem(&certificate, KeyPair::from_pem(key)?)?;
        Ok(Self { issuer, certificate })
    }

    /// Its certificate, PEM.
    pub(crate) fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A certificate and its key.
    pub(crate) fn issue(&self, request: &Request, now: OffsetDateTime) -> anyhow::Result<Issued> {
        let key = KeyPair::generate()?;
        let expires = now + Duration::days(i64::from(request.days));
        let mut params = CertificateParams::new(request.identity.names())?;
        params.distinguished_name = named(&request.name);
        params.not_before = now - CLOCKS_DIFFER_MAX;
        params.not_after = expires;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        // Servers call each other too.
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if request.identity.role() == Role::Server {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        // Without one given, the serial is cut from a hash of the key, which is random.
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        let serial = show::serial_of(&certificate)?;
        Ok(Issued { certificate, key: key.serialize_pem(), serial, expires })
    }

    /// The list of these revoked certificates, PEM.
    pub(crate) fn list(
        &self,
        revoked: &[(Serial, OffsetDateTime)],
        now: OffsetDateTime,
    ) -> anyhow::Result<String> {
        let entry = |(serial, at): &(Serial, OffsetDateTime)| RevokedCertParams {
            serial_number: SerialNumber::from(serial.to_bytes()),
            revocation_time: *at,
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: now,
            next_update: now + Duration::days(AUTHORITY_DAYS),
            // Nothing is ever taken off a list, so that its length numbers it.
            crl_number: SerialNumber::from(revoked.len() as u64 + 1),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(params.signed_by(&self.issuer)?.pem()?)
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}
