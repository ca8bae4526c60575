//! Who breaks ties: the setting `elector`.

use std::path::{Path, PathBuf};

use super::env::Env;
use super::reader::Reader;
use super::settings::{Elector, HostPort};
use super::values;
use crate::core::rules::Mode;

const KEY: &str = "elector";
/// What a pod has where it may talk to the API server.
pub const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// As set, or the default of the mode.
pub fn read(reader: &mut Reader, env: &dyn Env, mode: Mode, servers: &[HostPort]) -> Elector {
    match reader.parse_auto(KEY, written) {
        Some(Elector::Kubernetes) => {
            if !cfg!(feature = "kubernetes") {
                reader.refuse(KEY, "not in this build of redinit (its feature `kubernetes` is off)".into());
            } else if !env.exists(Path::new(TOKEN)) {
                let problem = format!("there is no {TOKEN}: it needs a pod with a service account and its token");
                reader.refuse(KEY, problem);
            }
            Elector::Kubernetes
        }
        Some(elector) => elector,
        None if reader.is_set(KEY) => Elector::None,
        None => usual(reader, mode, servers),
    }
}

/// The election's name: as set, or the group's.
pub fn election(reader: &mut Reader, elector: &Elector, master_name: &str) -> String {
    const KEY: &str = "election";
    let set = reader.parse_auto(KEY, values::master_name);
    let name = set.unwrap_or_else(|| master_name.to_owned());
    reader.show(KEY, &name);
    if *elector == Elector::Kubernetes && !name.is_empty() && !crate::elector::is_name(&name) {
        let problem = format!("`{name}` cannot be the name of a Lease: `a-z 0-9 - .`, a letter or digit at both ends");
        reader.refuse(KEY, problem);
    }
    name
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
