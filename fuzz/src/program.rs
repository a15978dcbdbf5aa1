//! Decoders of `ps-server`: configuration files and lists of servers.

use std::path::Path;

use ps_server::{Config, Options, ServerEntry, Servers};

/// A configuration file is options or an error; what is effective says the same again.
pub fn server_config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(options) = Options::from_toml(text, Path::new("server.toml")) else { return };
    let Ok(config) = Config::new(options, false) else { return };
    let again = config.to_toml().expect("what is effective can be written");
    let options = Options::from_toml(&again, Path::new("server.toml")).expect("and read again");
    assert_eq!(Config::new(options, false).ok(), Some(config), "{again}");
}

/// A list of servers as options write it.
pub fn server_entry(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let entries: Result<Vec<ServerEntry>, _> = text.split(',').map(str::parse).collect();
    let Ok(entries) = entries else { return };
    for entry in &entries {
        assert_eq!(entry.to_string().parse::<ServerEntry>().ok().as_ref(), Some(entry));
    }
    if let Ok(servers) = Servers::new(&entries) {
        assert_eq!(servers.entries().len(), entries.len());
        assert_eq!(Servers::new(&servers.entries()).ok(), Some(servers));
    }
}
