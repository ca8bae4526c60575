//! By what others reach this node: found once, at start.

use std::net::IpAddr;

use super::env::Env;
use super::environment::Environment;
use super::reader::Reader;
use super::values;

/// What is announced, and the address it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// An address or a name.
    pub address: String,
    /// The address.
    pub ip: IpAddr,
}

const KEY: &str = "announce_address";

/// `announce_address`, else `POD_IP`, else the first address that is not a loopback. `alone`: nobody else is
/// configured, so a machine without a network may still run.
pub fn announced(
    reader: &mut Reader,
    variables: &Environment,
    env: &dyn Env,
    alone: bool,
    warnings: &mut Vec<String>,
) -> Option<Announced> {
    let before = reader.errors.len();
    let set = reader.parse_auto(KEY, values::host);
    if reader.errors.len() > before {
        return None;
    }
    let found = match (own(reader, variables, env), set) {
        (own, Some(host)) => return resolved(reader, env, host, own.map(|(ip, _)| ip), warnings),
        (Some(own), None) => Some(own),
        (None, None) if alone => {
            warnings.push("this machine has no address but the loopback: nobody else can reach this node".into());
            Some((IpAddr::from([127, 0, 0, 1]), "loopback"))
        }
        (None, None) => {
            reader.refuse(KEY, "this machine has no address but the loopback: set REDINIT_ANNOUNCE_ADDRESS".into());
            None
        }
    };
    let (ip, origin) = found?;
    reader.derive(KEY, ip, origin);
    Some(Announced { address: ip.to_string(), ip })
}

/// `POD_IP`, else the first address of the machine, IPv4 first; link-local ones only reach their own link.
fn own(reader: &mut Reader, variables: &Environment, env: &dyn Env) -> Option<(IpAddr, &'static str)> {
    if let Some(text) = variables.get("POD_IP") {
        if let Some(ip) = text.parse::<IpAddr>().ok().filter(|ip| !ip.is_unspecified()) {
            return Some((ip.to_canonical(), "POD_IP"));
        }
        reader.errors.push(super::ConfigError {
            key: KEY.into(),
            value: Some(text.into()),
            origin: "POD_IP".into(),
            problem: "allowed: an IP address".into(),
        });
    }
    let addresses = env.addresses();
    let v4 = addresses.iter().find(|ip| matches!(ip, IpAddr::V4(v4) if !v4.is_link_local()));
    let any = addresses.iter().find(|ip| match ip {
        IpAddr::V4(_) => true,
        IpAddr::V6(v6) => !v6.is_unicast_link_local(),
    });
    v4.or(any).map(|ip| (*ip, "the first address of this machine"))
}

/// The address that a configured host stands for: one of this machine's, where the name has several.
fn resolved(
    reader: &mut Reader,
    env: &dyn Env,
    host: String,
    own: Option<IpAddr>,
    warnings: &mut Vec<String>,
) -> Option<Announced> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Some(Announced { address: host, ip });
    }
    let answer = env.resolve(&host);
    let addresses: Vec<IpAddr> = answer.as_deref().unwrap_or_default().iter().map(IpAddr::to_canonical).collect();
    let ours = env.addresses();
    let ip = addresses.iter().find(|ip| ours.contains(ip) || own == Some(**ip)).or(addresses.first()).copied();
    if ip.is_some() {
        return ip.map(|ip| Announced { address: host, ip });
    }
    let why = answer.err().map_or_else(|| "it has no address".into(), |error| error.to_string());
    match own {
        // A headless Service names a pod only once it is ready, unless it sets publishNotReadyAddresses.
        Some(ip) => {
            warnings.push(format!("announce_address {host} does not resolve ({why}): {ip} stands for it"));
            Some(Announced { address: host, ip })
        }
        None => {
            reader.refuse(KEY, format!("does not resolve ({why}); allowed: an address, or a name that resolves"));
            None
        }
    }
}
