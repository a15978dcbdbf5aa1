//! `cert show`: what certificates and revocation lists say.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use archipelago::transport::Identity;
use time::OffsetDateTime;
use x509_parser::extensions::{GeneralName, ParsedExtension, X509Extension};
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::revocation_list::CertificateRevocationList;

use super::serial::Serial;
use crate::files;

/// Prints every certificate and list of a PEM file.
pub(super) fn run(path: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
    let bytes = files::read(path)?;
    let name = path.display();
    let mut found = 0;
    for block in Pem::iter_from_buffer(&bytes) {
        let block = block.with_context(|| format!("{name} is not PEM"))?;
        match block.label.as_str() {
            "CERTIFICATE" => certificate(&block.contents, out).with_context(|| name.to_string())?,
            "X509 CRL" => list(&block.contents, out).with_context(|| name.to_string())?,
            label if label.contains("PRIVATE KEY") => {
                bail!("{name} holds a private key, which is not shown: name its certificate")
            },
            label => writeln!(out, "{label}: not shown")?,
        }
        found += 1;
    }
    ensure!(found > 0, "{name} holds no certificate and no revocation list (PEM)");
    Ok(())
}

/// Checks that a PEM file holds certificates or lists that can be read.
pub(crate) fn look(path: &Path) -> anyhow::Result<()> {
    run(path, &mut std::io::sink())
}

/// The serial of the first certificate of a PEM text.
pub(super) fn serial_of(pem: &str) -> anyhow::Result<Serial> {
    for block in Pem::iter_from_buffer(pem.as_bytes()) {
        let block = block.context("not PEM")?;
        if block.label == "CERTIFICATE" {
            let (_, parsed) = X509Certificate::from_der(&block.contents)?;
            return Ok(Serial::from_bytes(parsed.raw_serial()));
        }
    }
    bail!("no certificate (PEM)")
}

/// Seconds until the first certificate of a PEM text expires; below 0 when it has.
pub(crate) fn seconds_left(pem: &[u8], now: OffsetDateTime) -> anyhow::Result<i64> {
    for block in Pem::iter_from_buffer(pem) {
        let block = block.context("not PEM")?;
        if block.label == "CERTIFICATE" {
            let (_, parsed) = X509Certificate::from_der(&block.contents)?;
            return Ok(parsed.validity().not_after.timestamp() - now.unix_timestamp());
        }
    }
    bail!("no certificate (PEM)")
}

fn certificate(der: &[u8], out: &mut dyn Write) -> anyhow::Result<()> {
    let (_, parsed) = X509Certificate::from_der(der)?;
    let kind = if parsed.is_ca() { "authority" } else { "certificate" };
    writeln!(out, "{kind}: {}", parsed.subject())?;
    let identity = Identity::of_certificate(&der.into());
    if let Ok(identity) = &identity {
        writeln!(out, "  role: {}", identity.role())?;
        writeln!(out, "  dc: {}", identity.dc())?;
    } else if !parsed.is_ca() {
        writeln!(out, "  role: none, so that no process accepts it")?;
    }
    writeln!(out, "  names: {}", names(&parsed).join(", "))?;
    writeln!(out, "  serial: {}", Serial::from_bytes(parsed.raw_serial()))?;
    writeln!(out, "  issuer: {}", parsed.issuer())?;
    let validity = parsed.validity();
    let state = if validity.is_valid() { "" } else { " (NOT VALID NOW)" };
    writeln!(out, "  valid: {} to {}{state}", validity.not_before, validity.not_after)?;
    Ok(())
}

fn names(parsed: &X509Certificate<'_>) -> Vec<String> {
    let extensions = parsed.extensions().iter().map(X509Extension::parsed_extension);
    let names = extensions.filter_map(|extension| match extension {
        ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
        _ => None,
    });
    let text = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => (*name).to_owned(),
        other => other.to_string(),
    };
    names.flatten().map(text).collect()
}

fn list(der: &[u8], out: &mut dyn Write) -> anyhow::Result<()> {
    let (_, parsed) = CertificateRevocationList::from_der(der)?;
    writeln!(out, "revocation list: of {}", parsed.issuer())?;
    writeln!(out, "  made: {}", parsed.last_update())?;
    let mut revoked = 0;
    for entry in parsed.iter_revoked_certificates() {
        let serial = Serial::from_bytes(entry.raw_serial());
        writeln!(out, "  revoked: {serial} since {}", entry.revocation_date)?;
        revoked += 1;
    }
    writeln!(out, "  certificates revoked: {revoked}")?;
    Ok(())
}
