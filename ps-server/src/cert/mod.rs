//! `cert`: an authority of one's own in a folder, and the certificates it issues and revokes.
//!
//! | file of the authority's folder | holds |
//! |---|---|
//! | `ca.pem` | its certificate: what every process believes |
//! | `ca.key` | its private key: keep it off the servers |
//! | `revoked.pem` | the revocation list, made anew by every `cert revoke` |
//! | `issued.jsonl` | what was issued and revoked, so that a list can be made again |

mod authority;
mod ledger;
mod serial;
mod show;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use archipelago::transport::{Identity, Role};
use clap::{Args, Subcommand};
use time::OffsetDateTime;

pub(crate) use self::authority::{Authority, Request};
use self::ledger::{Entry, Ledger};
pub(crate) use self::show::{look, seconds_left};
use crate::files::{self, Readers};

/// Certificate of an authority, in its folder and beside what it issues.
pub(crate) const AUTHORITY_FILE: &str = "ca.pem";
const AUTHORITY_KEY_FILE: &str = "ca.key";
/// The revocation list, in the same places.
pub(crate) const LIST_FILE: &str = "revoked.pem";

/// Options of `cert`.
#[derive(Clone, Debug, Args)]
pub struct CertArguments {
    /// What to do.
    #[command(subcommand)]
    pub command: CertCommand,
}

/// What `cert` can do.
#[derive(Clone, Debug, Subcommand)]
pub enum CertCommand {
    /// Make an authority: certificate, private key and an empty revocation list.
    Ca(CaArguments),
    /// Make a certificate with its private key, signed by an authority.
    Issue(IssueArguments),
    /// Revoke certificates: makes the authority's revocation list anew.
    Revoke(RevokeArguments),
    /// Say what a certificate or revocation list holds.
    Show(ShowArguments),
}

/// Options of `cert ca`.
#[derive(Clone, Debug, Args)]
pub struct CaArguments {
    /// The authority's folder, made when missing.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Replace an authority that is there already: what it has issued is worthless then.
    #[arg(long)]
    pub force: bool,
}

/// Options of `cert issue`.
#[derive(Clone, Debug, Args)]
pub struct IssueArguments {
    /// What its owner may do: worker, server, manager or operator.
    #[arg(long)]
    pub role: Role,
    /// The data centre of its owner: lower-case letters, digits and inner hyphens.
    #[arg(long, value_name = "NAME", value_parser = dc)]
    pub dc: String,
    /// Days until it expires.
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=7_300))]
    pub days: u32,
    /// What the files and the certificate are called. Default: the role.
    #[arg(long, value_name = "NAME", value_parser = file_name)]
    pub name: Option<String>,
    /// The authority's folder.
    #[arg(long, value_name = "DIR")]
    pub ca: PathBuf,
    /// Where NAME.pem and NAME.key go, and ca.pem when it is not there; made when missing.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Replace files that are there already, as for a rotation.
    #[arg(long)]
    pub force: bool,
}

/// Options of `cert revoke`.
#[derive(Clone, Debug, Args)]
pub struct RevokeArguments {
    /// The authority's folder; its revoked.pem is made anew.
    #[arg(long, value_name = "DIR")]
    pub ca: PathBuf,
    /// The certificates. None: only make the list again.
    #[arg(value_name = "CERT")]
    pub certificates: Vec<PathBuf>,
}

/// Options of `cert show`.
#[derive(Clone, Debug, Args)]
pub struct ShowArguments {
    /// A certificate or a revocation list, PEM.
    pub file: PathBuf,
}

/// Carries out the command.
pub(crate) fn run(arguments: &CertArguments, out: &mut dyn Write) -> anyhow::Result<()> {
    match &arguments.command {
        CertCommand::Ca(ca) => create(ca, out),
        CertCommand::Issue(request) => issue(request, out),
        CertCommand::Revoke(request) => revoke(request, out),
        CertCommand::Show(request) => show::run(&request.file, out),
    }
}

fn create(arguments: &CaArguments, out: &mut dyn Write) -> anyhow::Result<()> {
    let [certificate, key, list, ledger] =
        [AUTHORITY_FILE, AUTHORITY_KEY_FILE, LIST_FILE, ledger::LEDGER_FILE]
            .map(|name| arguments.out.join(name));
    if !arguments.force {
        files::refuse_existing(&[&certificate, &key, &list, &ledger])?;
    }
    files::folder(&arguments.out)?;
    let now = OffsetDateTime::now_utc();
    let (authority, private) = Authority::create(now)?;
    files::write(&key, &private, Readers::Owner)?;
    files::write(&certificate, authority.certificate(), Readers::All)?;
    Ledger::create(&arguments.out)?;
    files::write(&list, &authority.list(&[], now)?, Readers::All)?;
    writeln!(out, "{}", certificate.display())?;
    writeln!(out, "{}  (private: whoever has it can join the cluster)", key.display())?;
    writeln!(out, "{}  (empty)", list.display())?;
    Ok(())
}

fn issue(arguments: &IssueArguments, out: &mut dyn Write) -> anyhow::Result<()> {
    let role = arguments.role;
    let name = arguments.name.clone().unwrap_or_else(|| role.to_string());
    let identity = Identity::new(role, &arguments.dc)?;
    let authority = load(&arguments.ca)?;
    let mut ledger = Ledger::load(&arguments.ca)?;
    let [certificate, key] =
        ["pem", "key"].map(|kind| arguments.out.join(format!("{name}.{kind}")));
    if !arguments.force {
        files::refuse_existing(&[&certificate, &key])?;
    }
    files::folder(&arguments.out)?;
    let now = OffsetDateTime::now_utc();
    let request = Request { identity, name: name.clone(), days: arguments.days };
    let issued = authority.issue(&request, now)?;
    // First the ledger: what is not in it could not be revoked.
    ledger.append(Entry::Issued {
        serial: issued.serial.clone(),
        name,
        role: role.to_string(),
        dc: arguments.dc.clone(),
        at: now.unix_timestamp(),
        expires: issued.expires.unix_timestamp(),
    })?;
    files::write(&key, &issued.key, Readers::Owner)?;
    files::write(&certificate, &issued.certificate, Readers::All)?;
    let believed = arguments.out.join(AUTHORITY_FILE);
    if !believed.exists() {
        files::write(&believed, authority.certificate(), Readers::All)?;
    }
    writeln!(out, "{}", certificate.display())?;
    writeln!(out, "{}", key.display())?;
    writeln!(out, "{}  (the authority)", believed.display())?;
    Ok(())
}

fn revoke(arguments: &RevokeArguments, out: &mut dyn Write) -> anyhow::Result<()> {
    let authority = load(&arguments.ca)?;
    let mut ledger = Ledger::load(&arguments.ca)?;
    let mut serials = Vec::new();
    for path in &arguments.certificates {
        let serial = show::serial_of(&files::read_text(path)?);
        let serial = serial.with_context(|| path.display().to_string())?;
        ensure!(
            ledger.has_issued(&serial),
            "{} (serial {serial}) was not issued by the authority in {}: give --ca the folder of \
             the one that has issued it",
            path.display(),
            arguments.ca.display()
        );
        serials.push(serial);
    }
    let now = OffsetDateTime::now_utc();
    for serial in serials {
        if ledger.has_revoked(&serial) {
            writeln!(out, "{serial} was revoked before")?;
            continue;
        }
        ledger.append(Entry::Revoked { serial: serial.clone(), at: now.unix_timestamp() })?;
        writeln!(out, "{serial} is revoked")?;
    }
    let list = arguments.ca.join(LIST_FILE);
    let revoked = ledger.revoked()?;
    files::write(&list, &authority.list(&revoked, now)?, Readers::All)?;
    writeln!(
        out,
        "{} lists {}: servers whose option `revoked` names this file read it within seconds; copy \
         it to the others",
        list.display(),
        revoked.len()
    )?;
    Ok(())
}

/// The authority in a folder.
fn load(folder: &Path) -> anyhow::Result<Authority> {
    let hint = || {
        let folder = folder.display();
        format!("no authority in {folder}: make one with ps-server cert ca --out {folder}")
    };
    let certificate = files::read_text(&folder.join(AUTHORITY_FILE)).with_context(hint)?;
    let key = files::read_text(&folder.join(AUTHORITY_KEY_FILE)).with_context(hint)?;
    let authority = Authority::load(certificate, &key);
    authority.with_context(|| format!("the authority in {}", folder.display()))
}

fn dc(text: &str) -> Result<String, String> {
    let identity = Identity::new(Role::Worker, text).map_err(|error| error.to_string())?;
    Ok(identity.dc().to_owned())
}

/// A name that stays in its folder.
fn file_name(text: &str) -> Result<String, String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let taken = matches!(text, "ca" | "revoked");
    let named = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    if named && text.len() <= 64 && text.chars().all(legal) && !taken {
        return Ok(text.to_owned());
    }
    Err("expected up to 64 letters, digits, '-', '_' and '.', starting with a letter or digit, \
         and not \"ca\" or \"revoked\""
        .into())
}
