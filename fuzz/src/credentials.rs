//! Certificates, keys and revocation lists: from a peer in its handshake, or from a file.

use archipelago::transport::{Credentials, Identity};
use rustls::pki_types::CertificateDer;

/// A throw-away authority's certificate, and one of a server with its key.
const FIXTURES: [&[u8]; 3] = [
    include_bytes!("../fixtures/ca.pem"),
    include_bytes!("../fixtures/server.pem"),
    include_bytes!("../fixtures/server.key"),
];

/// A peer's certificate names one role and one data centre, or nobody.
pub fn certificate(data: &[u8]) {
    let certificate = CertificateDer::from(data);
    if let Ok(identity) = Identity::of_certificate(&certificate) {
        assert_eq!(Identity::new(identity.role(), identity.dc()), Ok(identity));
    }
}

/// Authority, certificate and key from files: each of them may be anything.
pub fn pem(data: &[u8]) {
    let [authority, certificate, key] = FIXTURES;
    for [authority, certificate, key] in
        [[data, certificate, key], [authority, data, key], [authority, certificate, data]]
    {
        if let Ok(credentials) = Credentials::from_pem(authority, certificate, key) {
            // An error or not: it has to come back.
            drop(credentials.check());
        }
    }
}

/// A revocation list from a file.
pub fn revocation_list(data: &[u8]) {
    let [authority, certificate, key] = FIXTURES;
    let whole = Credentials::from_pem(authority, certificate, key);
    let whole = whole.expect("the fixtures are credentials");
    if let Ok(credentials) = whole.revoke(data) {
        drop(credentials.check());
    }
}
