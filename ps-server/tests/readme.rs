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

/// Ports that are free at this moment, in place of the example's.
fn with_free_ports(script: &str) -> String {
    let udp = [7100, 7101].map(|port| (port, UdpSocket::bind("127.0.0.1:0").unwrap()));
    let tcp = [7180, 7181].map(|port| (port, TcpListener::bind("127.0.0.1:0").unwrap()));
    let udp = udp.iter().map(|(port, held)| (*port, held.local_addr().unwrap()));
    let tcp = tcp.iter().map(|(port, held)| (*port, held.local_addr().unwrap()));
    udp.chain(tcp).fold(script.to_owned(), |script, (port, free)| {
        let named = format!("127.0.0.1:{port}");
        assert!(script.contains(&named), "{named} in {script}");
        script.replace(&named, &free.to_string())
    })
}

#[test]
fn the_example_of_two_servers_works_as_it_is_pasted() {
    let example = blocks().into_iter().find(|block| block.contains("serve --server 1"));
    let example = with_free_ports(&example.expect("the README has the example"));
    let folder = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_ps-server")).parent().unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    // Where a line fails, the servers must not stay.
    let guarded = format!("trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{example}");
    let output = Command::new("bash")
        .args(["-eu", "-c", &guarded])
        .current_dir(folder.path())
        .env("PATH", format!("{}:{path}", program.display()))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}{complained}", output.status);
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
