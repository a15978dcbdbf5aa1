//! What the README tells to paste into a shell.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::Command;

/// The shell blocks of the README.
fn blocks() -> Vec<String> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md"));
    let text = text.unwrap();
    let parts = text.split("```sh\n").skip(1).map(|part| part.split("```").next().unwrap());
    parts.map(str::to_owned).collect()
}

/// Ports that are free at this moment, in place of those of an example with so many servers.
fn with_free_ports(script: &str, servers: u16) -> String {
    let ports = |first: u16| (first..first + servers).collect::<Vec<_>>();
    let socket = |port: &u16| (*port, UdpSocket::bind("127.0.0.1:0").unwrap());
    let listener = |port: &u16| (*port, TcpListener::bind("127.0.0.1:0").unwrap());
    let udp: Vec<_> = ports(7100).iter().map(socket).collect();
    let tcp: Vec<_> = ports(7180).iter().map(listener).collect();
    let udp = udp.iter().map(|(port, held)| (*port, held.local_addr().unwrap()));
    let tcp = tcp.iter().map(|(port, held)| (*port, held.local_addr().unwrap()));
    udp.chain(tcp).fold(script.to_owned(), |script, (port, free)| {
        let named = format!("127.0.0.1:{port}");
        assert!(script.contains(&named), "{named} in {script}");
        script.replace(&named, &free.to_string())
    })
}

/// What an example says, pasted into a shell; it has to succeed.
fn pasted(example: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_ps-server")).parent().unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    // Where a line fails, the servers must not stay.
    let guarded = format!("trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{example}");
    let output = Command::new("bash")
        .args(["-eu", "-c", &guarded])
        .current_dir(folder.path())
        .env("PATH", format!("{}:{path}", program.display()))
        .env("TMPDIR", folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}{complained}", output.status);
    said
}

/// The one example that has this in it.
fn example(part: &str) -> String {
    blocks().into_iter().find(|block| block.contains(part)).expect("the README has the example")
}

#[test]
fn the_example_of_two_servers_works_as_it_is_pasted() {
    let said = pasted(&with_free_ports(&example("serve --server 1"), 2));
    let digests =
        said.lines().filter_map(|line| line.strip_prefix("digest of the trained values: "));
    let digests: Vec<_> = digests.collect();
    assert_eq!(digests.len(), 3, "{said}");
    assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:?}");
    for table in ["mlp.hidden", "mlp.output"] {
        let parts = said.lines().filter(|line| line.trim_start().starts_with(table));
        assert_eq!(parts.count(), 2, "both servers have {table}: {said}");
    }
}

#[test]
fn the_example_of_two_data_centres_works_as_it_is_pasted() {
    let said = pasted(&with_free_ports(&example("data_centres = "), 3));
    assert_eq!(said.matches("digest of the trained values: ").count(), 2, "{said}");
    let equal = said.lines().filter(|line| line.contains("counts") && line.contains("yes"));
    assert_eq!(equal.count(), 6, "two tables at three servers: {said}");
}
