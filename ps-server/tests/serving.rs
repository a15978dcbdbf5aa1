//! `serve`, `config`, `status`: servers as processes of their own, as an operator meets them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "process/mod.rs"]
mod process;

use std::path::Path;

use archipelago::error::{Error, TransportError};
use process::{Served, authority, complaint, issue, join, page, run, said, text, until};

const ANY: &str = "127.0.0.1:0";

/// A folder with an authority, and the options of a server that shows a certificate of it.
fn options(folder: &Path) -> (String, Vec<String>) {
    let ca = authority(folder);
    let [certificate, key] = issue(&ca, "server", "server", folder);
    let (root, list) = (format!("{ca}/ca.pem"), format!("{ca}/revoked.pem"));
    let options = ["--ca", &root, "--certificate", &certificate, "--key", &key, "--revoked", &list];
    (ca.clone(), options.map(str::to_owned).to_vec())
}

fn borrowed(options: &[String]) -> Vec<&str> {
    options.iter().map(String::as_str).collect()
}

fn refused(error: &Error) -> Option<&str> {
    match error {
        Error::Transport(TransportError::Refused { reason, .. }) => Some(reason),
        _ => None,
    }
}

#[test]
#[cfg(unix)]
fn a_server_stops_in_good_order_when_told_to() {
    for signal in ["-TERM", "-INT"] {
        let server = Served::start(&["--dev", "--bind", ANY]);
        server.signal(signal);
        let (status, logged) = server.ended();
        assert!(status.success(), "{signal}: {status}, {logged}");
        assert!(logged.contains("stopping"), "{logged}");
    }
}

#[test]
fn a_throw_away_authority_connects_with_what_it_prints() {
    let mut server = Served::start(&["--dev", "--bind", ANY]);
    assert!(server.line().starts_with("throw-away certificates in "));
    let line = server.line();
    let words: Vec<_> = line.split_whitespace().collect();
    let value = |option: &str| {
        let at = words.iter().position(|word| *word == option);
        words[at.unwrap_or_else(|| panic!("{option} in {line}")) + 1].to_owned()
    };
    let trains = cfg!(feature = "workloads");
    let begins = if trains { "ps-server train --servers " } else { "--servers " };
    assert!(line.trim().starts_with(begins), "{line}");
    assert_eq!(value("--servers"), server.address.to_string());
    let (ca, pair) = (value("--ca"), [value("--certificate"), value("--key")]);
    join(server.address, 0, &ca, &pair).unwrap().step().unwrap();
    if trains {
        // And literally, as a user pastes it.
        said(&[&words[1..], &["--epochs", "1"]].concat());
    }
    server.signal("-TERM");
    assert!(server.ended().0.success());
    assert!(!Path::new(&ca).exists(), "{ca} is left behind");
}

#[test]
fn metrics_health_and_status_follow_what_happens() {
    let folder = tempfile::tempdir().unwrap();
    let (ca, options) = options(folder.path());
    let worker = issue(&ca, "worker", "worker", folder.path());
    let places = ["--bind", ANY, "--metrics", ANY];
    let mut server = Served::start(&[&borrowed(&options)[..], &places].concat());
    let metrics = server.metrics();
    let status = || said(&["status", "--metrics", &metrics, "--json"]);
    let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let before = parsed(&status());
    assert_eq!((&before["healthy"], &before["links_to_workers"]), (&true.into(), &0.into()));
    assert_eq!(before["address"], server.address.to_string());
    let joined = join(server.address, 0, &format!("{ca}/ca.pem"), &worker).unwrap();
    joined.step().unwrap();
    let after = parsed(&status());
    assert_eq!(after["links_to_workers"], 1);
    assert_eq!(after["tables"][0]["table"], "w");
    assert!(after["tables"][0]["pushes"].as_u64() > Some(0), "{after}");
    // A push and a pull of 1024 values, and what QUIC adds.
    for direction in ["sent_bytes", "received_bytes"] {
        let bytes = after[direction].as_u64().unwrap();
        assert!((4096..1 << 20).contains(&bytes), "{direction}: {bytes}");
    }
    let page = page(&metrics, "/metrics");
    for sample in [
        "archipelago_links{kind=\"worker\"} 1",
        "# TYPE archipelago_udp_sent_bytes_total counter",
        "archipelago_table_memory_bytes{table=\"w\"} ",
        "archipelago_worker_links_queued_bytes 0\n",
    ] {
        assert!(page.contains(sample), "{sample:?} in {page}");
    }
    let table = said(&["status", "--metrics", &metrics]);
    assert!(
        table.contains("pushes") && table.contains("other servers") && table.contains("0 of 0"),
        "{table}"
    );
    server.signal("-TERM");
    assert!(server.ended().0.success());
    let gone = run(&["status", "--metrics", &metrics, "--json"]);
    assert!(!gone.status.success());
    assert_eq!(parsed(&String::from_utf8(gone.stdout).unwrap())["healthy"], false);
}

#[test]
fn a_revoked_worker_is_cut_and_refused_and_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let (ca, options) = options(folder.path());
    let root = format!("{ca}/ca.pem");
    let [bad, good] = ["bad", "good"].map(|name| issue(&ca, "worker", name, folder.path()));
    let places = ["--bind", ANY, "--metrics", ANY];
    let mut server = Served::start(&[&borrowed(&options)[..], &places].concat());
    let metrics = server.metrics();
    let (cut, stays) =
        (join(server.address, 1, &root, &bad), join(server.address, 0, &root, &good));
    let (cut, stays) = (cut.unwrap(), stays.unwrap());
    cut.step().unwrap();
    said(&["cert", "revoke", "--ca", &ca, &bad[0]]);
    until("the revoked worker is cut", || {
        stays.step().expect("the other goes on");
        page(&metrics, "/metrics").contains("archipelago_links{kind=\"worker\"} 1\n").then_some(())
    });
    cut.step().expect_err("it is cut");
    let error = join(server.address, 2, &root, &bad).err().expect("it is refused");
    assert!(refused(&error).is_some_and(|reason| reason.contains("Revoked")), "{error}");
    stays.step().unwrap();
    join(server.address, 3, &root, &good).unwrap().step().unwrap();
    server.signal("-TERM");
    let (status, logged) = server.ended();
    assert!(status.success() && logged.contains("a connection ends"), "{logged}");
}

#[test]
fn a_new_certificate_is_shown_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = ["one", "two"].map(|name| {
        let folder = folder.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        let ca = authority(&folder);
        let worker = issue(&ca, "worker", "worker", &folder);
        (folder, ca, worker)
    });
    // The server believes both authorities, each worker only its own.
    let roots = [&one.1, &two.1].map(|ca| format!("{ca}/ca.pem"));
    let both = text(folder.path().join("both.pem"));
    let believed = roots.clone().map(|root| std::fs::read_to_string(root).unwrap()).concat();
    std::fs::write(&both, believed).unwrap();
    let [certificate, key] = issue(&one.1, "server", "server", &one.0);
    let shown = ["--ca", &both, "--certificate", &certificate, "--key", &key, "--bind", ANY];
    let server = Served::start(&shown);
    let first = join(server.address, 0, &roots[0], &one.2).unwrap();
    let error = join(server.address, 1, &roots[1], &two.2).err().expect("not believed yet");
    assert!(refused(&error).is_some(), "{error}");
    // A key that fits no certificate leaves things as they are.
    std::fs::write(&key, "half").unwrap();
    let [next, next_key] = issue(&two.1, "server", "server", &two.0);
    std::fs::copy(next_key, &key).unwrap();
    std::fs::copy(next, &certificate).unwrap();
    let second =
        until("the new certificate is shown", || join(server.address, 1, &roots[1], &two.2).ok());
    first.step().expect("a connection from before goes on");
    second.step().unwrap();
    let error = join(server.address, 2, &roots[0], &one.2).err().expect("the old one is gone");
    assert!(refused(&error).is_some(), "{error}");
}

#[test]
fn servers_find_each_other_again_with_new_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let (ca, options) = options(folder.path());
    let root = format!("{ca}/ca.pem");
    let places = ["--bind", ANY, "--metrics", ANY];
    let listed = ["--server", "0", "--servers", "127.0.0.1:1,127.0.0.1:2"];
    let mut first = Served::start(&[&borrowed(&options)[..], &places, &listed].concat());
    let metrics = first.metrics();
    // The later server calls.
    let servers = format!("0={},1=127.0.0.1:2", first.address);
    let [certificate, key] = issue(&ca, "server", "second", folder.path());
    let shown = ["--ca", &root, "--certificate", &certificate, "--key", &key];
    let listed = ["--server", "1", "--servers", &servers, "--bind", ANY];
    let _second = Served::start(&[&shown[..], &listed].concat());
    let linked = |count: usize| {
        until(&format!("{count} servers are linked"), || {
            let sample = format!("archipelago_links{{kind=\"server\"}} {count}\n");
            page(&metrics, "/metrics").contains(&sample).then_some(())
        });
    };
    linked(1);
    said(&["cert", "revoke", "--ca", &ca, &certificate]);
    linked(0);
    issue(&ca, "server", "second", folder.path());
    linked(1);
    assert!(said(&["status", "--metrics", &metrics]).contains("1 of 1"));
}

#[test]
fn a_configuration_is_checked_and_what_is_effective_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    authority(folder.path());
    issue(&text(folder.path().join("ca")), "server", "server", folder.path());
    let file = text(folder.path().join("server.toml"));
    let good = "server = 1\nbind = \"127.0.0.1:7201\"\nca = \"ca/ca.pem\"\n\
        certificate = \"out/server.pem\"\nkey = \"out/server.key\"\n\
        servers = [\"127.0.0.1:7200\", \"127.0.0.1:7201\"]\n";
    std::fs::write(&file, good).unwrap();
    let effective = said(&["config", "check", &file]);
    for line in [
        "server = 1",
        "advertise = \"127.0.0.1:7201\"",
        "servers = [\"0=127.0.0.1:7200\", \"1=127.0.0.1:7201\"]",
        "# the certificate is for server of test",
    ] {
        assert!(effective.contains(line), "{line:?} in {effective}");
    }
    assert!(effective.contains(&format!("ca = \"{}", text(folder.path()))), "{effective}");
    // What is printed is a configuration again.
    let again = text(folder.path().join("again.toml"));
    std::fs::write(&again, &effective).unwrap();
    assert_eq!(said(&["config", "check", &again]), effective);
    for (from, to, words) in [
        ("bind", "binde", "server.toml:2: unknown key `binde`: did you mean `bind`?"),
        ("certificate", "certifcate", "did you mean `certificate`?"),
        ("server = 1", "xyzzy = 1", "known are server, bind, advertise"),
        ("server = 1", "server = 2", "`server` is 2, which `servers` does not list"),
        ("server = 1", "server = \"one\"", "expected u32"),
        ("\"127.0.0.1:7200\"", "\"127.0.0.1\"", "expected HOST:PORT"),
        ("[\"127", "[\"1=127", "has a number, 127.0.0.1:7201 has none"),
        (":7200\"", ":7201\"", "both have the address 127.0.0.1:7201"),
        ("key = \"out/server.key\"\n", "", "`key` is missing"),
        ("out/server.key", "out/absent.key", "absent.key"),
        ("server = 1", "server = 1\nadvertise = \"a:1\"", "but `servers` lists this server as"),
    ] {
        assert!(good.contains(from), "{from:?}");
        std::fs::write(&file, good.replacen(from, to, 1)).unwrap();
        let error = complaint(&["config", "check", &file]);
        assert!(error.contains(words), "{words:?} in {error}");
    }
}

#[test]
fn a_server_listens_on_the_port_that_it_is_listed_with() {
    let folder = tempfile::tempdir().unwrap();
    let (_, options) = options(folder.path());
    let file = text(folder.path().join("shared.toml"));
    let bind = |list: &str, more: &[&str]| {
        std::fs::write(&file, format!("servers = [{list}]\n")).unwrap();
        let words = ["config", "check", &file, "--server", "1"];
        said(&[&words[..], &borrowed(&options), more].concat())
    };
    for (list, expected) in [
        ("\"127.0.0.1:7200\", \"127.0.0.1:7201\"", "127.0.0.1:7201"),
        ("\"127.0.0.1:7200\", \"127.0.0.2:7202\"", "127.0.0.2:7202"),
        ("\"127.0.0.1:7200\", \"[::1]:7202\"", "[::1]:7202"),
        ("\"192.0.2.1:7200\", \"192.0.2.2:7203\"", "127.0.0.1:7203"),
    ] {
        let effective = bind(list, &[]);
        assert!(effective.contains(&format!("bind = \"{expected}\"")), "{effective}");
        assert!(!effective.contains("warning"), "{effective}");
    }
    let list = "\"127.0.0.1:7200\", \"127.0.0.1:7201\"";
    let other = bind(list, &["--bind", ANY]);
    let warning = "# warning: this server listens on 127.0.0.1:0 and is listed as 127.0.0.1:7201";
    assert!(other.contains(warning), "{other}");
    let listed = ["--server", "1", "--servers", "127.0.0.1:7200,127.0.0.1:7201", "--bind", ANY];
    let server = Served::start(&[&borrowed(&options)[..], &listed].concat());
    until("it is warned", || server.logged().contains("is listed as").then_some(()));
}

#[test]
fn a_file_that_servers_share_is_checked_without_their_own_options_and_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let (ca, options) = options(folder.path());
    let file = text(folder.path().join("system.toml"));
    let list = "data_centres = [\"test:0=127.0.0.1:7100\", \"tokyo:1=127.0.0.1:7101\"]";
    let write = |list: &str, ca: &str| {
        std::fs::write(&file, format!("{list}\nca = \"{ca}\"\n")).unwrap();
    };
    write(list, &format!("{ca}/ca.pem"));
    let shared = said(&["config", "check", &file]);
    for words in ["tokyo:1=127.0.0.1:7101", "Not checked", "certificate, key", "ca.pem"] {
        assert!(shared.contains(words), "{words:?} in {shared}");
    }
    assert!(!shared.contains("server = ") && !shared.contains("bind = "), "{shared}");
    let own = |number: &'static str| {
        let words = ["config", "check", &file, "--server", number];
        [words.map(str::to_owned).to_vec(), options.clone()].concat()
    };
    let one = said(&borrowed(&own("0")));
    assert!(one.contains("server = 0") && one.contains("# the certificate is for"), "{one}");
    let other = complaint(&borrowed(&own("1")));
    assert!(other.contains("listed for the data centre tokyo"), "{other}");
    let none = complaint(&["config", "check", &file, "--server", "0"]);
    assert!(none.contains("`certificate` is missing"), "{none}");
    write(&list.replace("1=", "0="), &format!("{ca}/ca.pem"));
    assert!(complaint(&["config", "check", &file]).contains("both have the number 0"));
    write(list, &format!("{ca}/absent.pem"));
    assert!(complaint(&["config", "check", &file]).contains("absent.pem"));
}

#[test]
fn what_cannot_be_served_is_told_at_start() {
    let server = Served::start(&["--dev", "--bind", ANY]);
    let address = server.address.to_string();
    let error = complaint(&["serve", "--dev", "--bind", &address]);
    assert!(error.contains(&format!("cannot bind {address}: another process")), "{error}");
    let taken = std::net::TcpListener::bind(ANY).unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let error = complaint(&["serve", "--dev", "--bind", ANY, "--metrics", &taken]);
    assert!(error.contains(&format!("cannot serve metrics on {taken}")), "{error}");
    let error = complaint(&["serve", "--bind", ANY]);
    assert!(error.contains("serve --dev needs none"), "{error}");
    let error = complaint(&["serve", "--dev", "--servers", "a:1", "--ca", "x"]);
    assert!(error.contains("cannot be used with"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let ca = authority(folder.path());
    let [certificate, key] = issue(&ca, "worker", "worker", folder.path());
    let root = format!("{ca}/ca.pem");
    let shown = ["--ca", &root, "--certificate", &certificate, "--key", &key, "--bind", ANY];
    let error = complaint(&[&["serve"][..], &shown].concat());
    assert!(error.contains("is for a worker of test: serve needs one that"), "{error}");
    let [certificate, key] = issue(&ca, "operator", "operator", folder.path());
    let shown = ["--ca", &root, "--certificate", &certificate, "--key", &key, "--bind", ANY];
    let error = complaint(&[&["serve"][..], &shown].concat());
    assert!(error.contains("is for an operator of test: serve needs one that"), "{error}");
    for option in ["--bind", "--metrics"] {
        let error = complaint(&["serve", "--dev", option, "7120"]);
        assert!(error.contains("expected IP:PORT, as 127.0.0.1:7120"), "{error}");
    }
}

#[test]
fn the_options_of_serve_are_explained() {
    let help = said(&["serve", "--help"]);
    for option in ["--config", "--dev", "--bind", "--servers", "--revoked", "--metrics", "--log"] {
        assert!(help.contains(option), "{option} in {help}");
    }
}
