//! Host names in a server's `INFO replication`, turned into addresses before it is parsed (C6).

use std::fmt::Write as _;

use tokio::time::Instant;

use super::Shared;
use super::names::literal;

/// The host that a line of `INFO replication` names, with what stands before and after it.
fn host(line: &str) -> Option<(&str, &str, &str)> {
    if let Some(host) = line.strip_prefix("master_host:") {
        return Some(("master_host:", host, ""));
    }
    let (key, rest) = line.split_once(":ip=")?;
    key.strip_prefix("slave")?.parse::<u32>().ok()?;
    let (before, _) = line.split_at_checked(line.len() - rest.len())?;
    let (host, after) = rest.split_at_checked(rest.find(',')?)?;
    Some((before, host, after))
}

/// `text` with every host name in it replaced by its address; names that do not resolve stay and parse as nobody.
pub async fn in_addresses(shared: &Shared, text: &str, until: Instant) -> String {
    let named = |line: &str| host(line).map(|(_, host, _)| host.to_owned());
    let hosts: Vec<String> =
        text.lines().filter_map(named).filter(|host| !host.is_empty() && literal(host).is_none()).take(16).collect();
    if hosts.is_empty() {
        return text.to_owned();
    }
    let places = shared.places(hosts, until).await;
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let _to_a_string = match host(line).and_then(|(before, host, after)| Some((before, places.get(host)?, after))) {
            Some((before, ip, after)) => writeln!(out, "{before}{ip}{after}"),
            None => writeln!(out, "{line}"),
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c6_hosts_are_found_where_they_stand() {
        assert_eq!(host("master_host:redis-0.redis"), Some(("master_host:", "redis-0.redis", "")));
        assert_eq!(
            host("slave12:ip=redis-1,port=6379,state=online"),
            Some(("slave12:ip=", "redis-1", ",port=6379,state=online"))
        );
        for line in ["role:master", "slavex:ip=a,b", "slave0:ip=a", "", ":ip=,", "slave0:port=1"] {
            assert_eq!(host(line), None, "{line}");
        }
    }

    #[test]
    fn c6_a_host_that_looks_like_its_line_is_no_trap() {
        assert_eq!(host("slave0:ip=,port=1"), Some(("slave0:ip=", "", ",port=1")));
        assert_eq!(host("slave0:ip=ip,port=1"), Some(("slave0:ip=", "ip", ",port=1")));
        assert_eq!(host("slave0:ip=s,port=1"), Some(("slave0:ip=", "s", ",port=1")));
    }
}
