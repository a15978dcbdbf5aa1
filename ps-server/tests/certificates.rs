//! `cert`: what it makes, what it refuses, and that processes believe it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "process/mod.rs"]
mod process;

use archipelago::transport::{Credentials, Role};
use process::{authority, complaint, issue, said, text};

#[test]
fn certificates_are_issued_shown_and_believed() {
    let folder = tempfile::tempdir().unwrap();
    let ca = authority(folder.path());
    let [certificate, key] = issue(&ca, "worker", "w1", folder.path());
    let shown = said(&["cert", "show", &certificate]);
    for part in ["CN=w1", "role: worker", "dc: test", "serial: ", "CN=archipelago authority "] {
        assert!(shown.contains(part), "{part:?} in {shown}");
    }
    assert!(!shown.contains("NOT VALID"), "{shown}");
    let read = |path: &str| std::fs::read(path).unwrap();
    let believed = read(&text(folder.path().join("out/ca.pem")));
    let credentials = Credentials::from_pem(&believed, &read(&certificate), &read(&key)).unwrap();
    assert_eq!(
        (credentials.identity().role(), credentials.identity().dc()),
        (Role::Worker, "test")
    );
    credentials.revoke(&read(&format!("{ca}/revoked.pem"))).expect("the empty list is a list");
    assert!(said(&["cert", "show", &format!("{ca}/ca.pem")]).contains("authority: CN="));
}

#[test]
#[cfg(unix)]
fn private_keys_are_private_and_never_replaced_by_accident() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let ca = authority(folder.path());
    let [_, key] = issue(&ca, "server", "s", folder.path());
    for path in [&key, &format!("{ca}/ca.key")] {
        let mode = std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{path}");
    }
    let before = std::fs::read(&key).unwrap();
    let out = text(folder.path().join("out"));
    let again = ["cert", "issue", "--role", "server", "--dc", "test", "--name", "s"];
    let again = [&again[..], &["--ca", &ca, "--out", &out]].concat();
    assert!(complaint(&again).contains("s.pem exists already"));
    assert_eq!(std::fs::read(&key).unwrap(), before);
    assert!(complaint(&["cert", "ca", "--out", &ca]).contains("--force"));
    said(&[&again[..], &["--force"]].concat());
    assert_ne!(std::fs::read(&key).unwrap(), before);
}

#[test]
fn revoked_serials_are_listed_and_lists_can_be_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let ca = authority(folder.path());
    let list = format!("{ca}/revoked.pem");
    assert!(said(&["cert", "show", &list]).contains("certificates revoked: 0"));
    let serials = ["a", "b"].map(|name| {
        let [certificate, _] = issue(&ca, "worker", name, folder.path());
        said(&["cert", "revoke", "--ca", &ca, &certificate]);
        let shown = said(&["cert", "show", &certificate]);
        let serial = shown.lines().find_map(|line| line.trim().strip_prefix("serial: "));
        serial.unwrap().to_owned()
    });
    assert_ne!(serials[0], serials[1]);
    std::fs::remove_file(&list).unwrap();
    assert!(said(&["cert", "revoke", "--ca", &ca]).contains("lists 2"));
    let shown = said(&["cert", "show", &list]);
    assert!(serials.iter().all(|serial| shown.contains(&format!("revoked: {serial} "))), "{shown}");
}

#[test]
fn complaints_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = text(folder.path().join("nowhere"));
    let issue_in = |ca: &str, more: &[&str]| {
        let out = text(folder.path().join("out"));
        complaint(&[&["cert", "issue", "--ca", ca, "--out", &out][..], more].concat())
    };
    let error = issue_in(&nowhere, &["--role", "worker", "--dc", "test"]);
    assert!(error.contains(&format!("make one with ps-server cert ca --out {nowhere}")), "{error}");
    let error = issue_in(&nowhere, &["--role", "king", "--dc", "test"]);
    assert!(error.contains("worker, server, manager, operator"), "{error}");
    let error = issue_in(&nowhere, &["--role", "worker", "--dc", "Paris"]);
    assert!(error.contains("lower-case"), "{error}");
    let error = issue_in(&nowhere, &["--role", "worker", "--dc", "test", "--name", "../w"]);
    assert!(error.contains("letters, digits"), "{error}");
    let ca = authority(folder.path());
    let other = folder.path().join("other");
    std::fs::create_dir(&other).unwrap();
    let stranger = authority(&other);
    let [certificate, key] = issue(&stranger, "worker", "w", &other);
    let error = complaint(&["cert", "revoke", "--ca", &ca, &certificate]);
    assert!(error.contains("was not issued by the authority in"), "{error}");
    assert!(complaint(&["cert", "show", &key]).contains("holds a private key"));
}
