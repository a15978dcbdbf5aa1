//! Certificates for tests: an authority that issues, revokes and lets expire.

// Each test file uses a part.
#![allow(dead_code, reason = "shared by several test files, each of which uses a part")]

use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime};

use archipelago::id::ServerId;
use archipelago::node::Registry;
use archipelago::node::server::ServerOptions;
use archipelago::transport::{Credentials, Identity, Role, Server, ServerConfig};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, IsCa,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};

/// An authority for one test.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate to be issued.
pub(crate) struct Request {
    pub(crate) names: Vec<String>,
    pub(crate) serial: u64,
    pub(crate) expired: bool,
    /// From now on; for long unless said.
    pub(crate) lasts: Option<Duration>,
}

impl Request {
    pub(crate) fn new(role: Role, dc: &str) -> Self {
        let names = Identity::new(role, dc).unwrap().names().to_vec();
        Self { names, serial: 1, expired: false, lasts: None }
    }
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// The authority's own certificate.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate and its key.
    #[expect(clippy::disallowed_methods, reason = "certificates end in real time")]
    pub(crate) fn issue(&self, request: &Request) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(request.names.clone()).unwrap();
        params.serial_number = Some(SerialNumber::from(request.serial));
        if let Some(lasts) = request.lasts {
            params.not_after = (SystemTime::now() + lasts).into();
        }
        if request.expired {
            params.not_before = date_time_ymd(2001, 1, 1);
            params.not_after = date_time_ymd(2002, 1, 1);
        }
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// What a process of that role in the data centre `test` shows and believes.
    pub(crate) fn credentials(&self, role: Role) -> Credentials {
        self.credentials_for(&Request::new(role, "test"), &self.pem())
    }

    /// A cluster of one server, on a port of loopback; 0 takes any that is free.
    pub(crate) fn serve(&self, port: u16) -> Server {
        let server = Server::start(ServerConfig {
            server: ServerId(0),
            bind: (Ipv4Addr::LOCALHOST, port).into(),
            peers: Vec::new(),
            servers: vec![ServerId(0)],
            registry: Registry::built_in(),
            credentials: self.credentials(Role::Server),
            options: ServerOptions::default(),
        });
        server.unwrap()
    }

    /// As asked for, believing the authority whose certificate is given.
    pub(crate) fn credentials_for(&self, request: &Request, believes: &str) -> Credentials {
        let (certificate, key) = self.issue(request);
        Credentials::from_pem(believes.as_bytes(), certificate.as_bytes(), key.as_bytes()).unwrap()
    }

    /// A list that revokes the certificate of that number.
    pub(crate) fn revoke(&self, serial: u64) -> String {
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2100, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.0).unwrap().pem().unwrap()
    }
}
