//! Who breaks ties: the setting `elector`.

use std::path::PathBuf;

use super::reader::Reader;
use super::settings::{Elector, HostPort};
use crate::core::rules::Mode;

const KEY: &str = "elector";

/// As set, or the default of the mode.
pub fn read(reader: &mut Reader, mode: Mode, servers: &[HostPort]) -> Elector {
    match reader.parse_auto(KEY, written) {
        Some(Elector::Kubernetes) => {
            reader.refuse(KEY, "not in this version; allowed: `http://host:port`, `file:` and a path, `none`".into());
            Elector::None
        }
        Some(elector) => elector,
        None if reader.is_set(KEY) => Elector::None,
        None => usual(reader, mode, servers),
    }
}

/// Beside a server there may be a side-car; a Sentinel asks the one beside the servers.
fn usual(reader: &mut Reader, mode: Mode, servers: &[HostPort]) -> Elector {
    let host = match mode {
        Mode::Server => Some("localhost".to_owned()),
        Mode::Sentinel => servers.first().map(|server| match server.host.contains(':') {
            true => format!("[{}]", server.host),
            false => server.host.clone(),
        }),
    };
    let Some(url) = host.map(|host| format!("http://{host}:4040")) else {
        reader.show(KEY, "none");
        return Elector::None;
    };
    match mode {
        Mode::Server => reader.show(KEY, &url),
        Mode::Sentinel => reader.derive(KEY, &url, "servers"),
    }
    Elector::DefaultHttp(url)
}

fn written(text: &str) -> Option<Elector> {
    match text {
        "none" => return Some(Elector::None),
        "kubernetes" => return Some(Elector::Kubernetes),
        _ => {}
    }
    if let Some(path) = text.strip_prefix("file:") {
        let usable = path.starts_with('/') && !path.ends_with('/') && !path.chars().any(char::is_control);
        return usable.then(|| Elector::File(PathBuf::from(path)));
    }
    let url = reqwest::Url::parse(text).ok()?;
    let plain = url.scheme() == "http" && url.username().is_empty() && url.password().is_none();
    (plain && url.has_host() && url.port() != Some(0)).then(|| Elector::Http(text.to_owned()))
}
