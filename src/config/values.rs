//! Values as people write them. Every function is total: `None` for what is not allowed.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::settings::HostPort;

/// Longer durations are a slip of the finger, and would overflow clocks.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// `500ms`, `5s`, `1m30s`, `2h`.
pub fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut sum = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (number, after) = rest.split_at_checked(rest.find(|c: char| !c.is_ascii_digit())?)?;
        let (unit, after) = after.split_at_checked(after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len()))?;
        let milliseconds = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return None,
        };
        let part = number.parse::<u64>().ok()?.checked_mul(milliseconds)?;
        sum = sum.checked_add(Duration::from_millis(part)).filter(|sum| *sum <= LONGEST)?;
        rest = after;
    }
    Some(sum)
}

/// A duration as it would be written.
pub fn show_duration(duration: Duration) -> String {
    match duration.as_millis() {
        ms if ms % 1_000 != 0 || ms == 0 => format!("{ms}ms"),
        ms if ms % 3_600_000 == 0 => format!("{}h", ms / 3_600_000),
        ms if ms % 60_000 == 0 && ms > 60_000 => format!("{}m", ms / 60_000),
        ms => format!("{}s", ms / 1_000),
    }
}

/// `true`, `yes`, `on`, `1` and their opposites.
pub fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// A port that can be connected to.
pub fn port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0)
}

/// An address or a host name.
pub fn host(text: &str) -> Option<String> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return (!ip.is_unspecified()).then(|| ip.to_canonical().to_string());
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        let inside = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        (1..=63).contains(&label.len()) && label.bytes().all(inside) && !label.starts_with('-')
    };
    // Digits and dots alone are an address with a slip in it, which a resolver may even take (`10.1` is 10.0.0.1).
    let last_is_number = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    (name.len() <= 253 && name.split('.').all(label) && !last_is_number).then(|| text.to_owned())
}

/// `host`, `host:port`, `[v6]:port`, or a bare IPv6 address.
pub fn host_port(text: &str, default_port: u16) -> Option<HostPort> {
    let (name, written) = match text.strip_prefix('[') {
        Some(rest) => {
            let (inside, after) = rest.split_once(']')?;
            let port = if after.is_empty() { None } else { Some(after.strip_prefix(':')?) };
            (inside.parse::<std::net::Ipv6Addr>().ok().map(|_| inside)?, port)
        }
        None if text.bytes().filter(|b| *b == b':').count() == 1 => {
            let (name, port) = text.split_once(':')?;
            (name, Some(port))
        }
        None => (text, None),
    };
    let port = match written {
        Some(written) => port(written)?,
        None => default_port,
    };
    Some(HostPort { host: host(name)?, port })
}

/// A host and a port as they would be written.
pub fn show_host_port(at: &HostPort) -> String {
    if at.host.contains(':') { format!("[{}]:{}", at.host, at.port) } else { format!("{}:{}", at.host, at.port) }
}

/// The items of a list in an environment variable: commas or blanks between them.
pub fn items(text: &str) -> Vec<String> {
    text.split(|c: char| c == ',' || c.is_whitespace()).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

/// What the child may listen on: an address, a name, or everything; `-` before it: where it exists.
pub fn bind(text: &str) -> Option<String> {
    let address = text.strip_prefix('-').unwrap_or(text);
    let every = matches!(address, "*" | "::*" | "0.0.0.0" | "::");
    (every || host(address).is_some()).then(|| text.to_owned())
}

/// Where HTTP listens; `off` is `Some(None)`.
pub fn listen(text: &str) -> Option<Option<SocketAddr>> {
    if text.eq_ignore_ascii_case("off") {
        return Some(None);
    }
    text.parse::<SocketAddr>().ok().filter(|at| at.port() != 0).map(Some)
}

/// A log filter: levels, alone or for a module.
pub fn log_filter(text: &str) -> Option<String> {
    let level = |level: &str| {
        ["off", "error", "warn", "info", "debug", "trace"].contains(&level.trim().to_ascii_lowercase().as_str())
    };
    let directive = |directive: &str| match directive.split_once('=') {
        Some((module, of)) => !module.trim().is_empty() && level(of),
        None => level(directive),
    };
    (text.len() <= 1024 && text.split(',').all(directive)).then(|| text.to_owned())
}

/// A group's name, as Sentinel allows it.
pub fn master_name(text: &str) -> Option<String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    ((1..=128).contains(&text.len()) && text.bytes().all(allowed)).then(|| text.to_owned())
}

/// The name of an ACL user, as it is rendered into the engine's configuration.
pub fn acl_user(text: &str) -> Option<String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    ((1..=64).contains(&text.len()) && text.bytes().all(allowed)).then(|| text.to_owned())
}

/// A password: one line, since it is rendered into the engine's configuration.
pub fn password(text: &str) -> Option<String> {
    (text.len() <= 512 && !text.chars().any(char::is_control)).then(|| text.to_owned())
}

/// A node's stable name.
pub fn name(text: &str) -> Option<String> {
    let printable = |c: char| !c.is_control() && !c.is_whitespace();
    ((1..=253).contains(&text.len()) && text.chars().all(printable)).then(|| text.to_owned())
}
