//! Kubernetes' service links: variables that a pod gets for every Service of its namespace, whether it wants them or not.
//!
//! A release called `redinit` makes 20 that begin with `REDINIT_` (measured), one called `redis` sets `REDIS_PORT` to
//! a URL. They are nobody's settings.

/// This variable was made by Kubernetes for a Service.
pub fn is_link(name: &str, value: &str) -> bool {
    if name.ends_with("_SERVICE_HOST") || name.ends_with("_SERVICE_PORT") {
        return true;
    }
    if name.split_once("_SERVICE_PORT_").is_some_and(|(service, port)| !service.is_empty() && !port.is_empty()) {
        return true;
    }
    if name.ends_with("_PORT") && is_url(value) {
        return true;
    }
    of_one_port(name)
}

/// `*_PORT_<n>_(TCP|UDP|SCTP)`, alone or with `_ADDR`, `_PORT`, `_PROTO`.
fn of_one_port(name: &str) -> bool {
    let stem = ["_ADDR", "_PORT", "_PROTO"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
    let Some(stem) = ["_TCP", "_UDP", "_SCTP"].iter().find_map(|protocol| stem.strip_suffix(protocol)) else {
        return false;
    };
    stem.rsplit_once("_PORT_").is_some_and(|(service, number)| {
        !service.is_empty() && !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
    })
}

fn is_url(value: &str) -> bool {
    value.split_once("://").is_some_and(|(scheme, _)| {
        !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    })
}

/// Every pod has these, and they say nothing about a Service that somebody named like a setting.
pub fn is_kubernetes_own(name: &str) -> bool {
    name.starts_with("KUBERNETES_")
}
