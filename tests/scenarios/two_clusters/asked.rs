//! What is asked of a cluster of which some nodes are not there.

use std::time::{Duration, Instant};

use redinit::demo::cluster::{Cluster, MASTER_NAME};
use redinit::demo::sentinels::Sentinels;

use super::bed::wire::{Connection, Reply};
use super::bed::{ms, secs};

/// Its Sentinels but these.
pub fn sentinels(cluster: &Cluster, but: &[&str]) -> Sentinels {
    let there = cluster.sentinel_nodes().filter(|node| !but.contains(&node.name.as_str()));
    Sentinels::new(there.map(|node| node.address()).collect(), MASTER_NAME)
}

/// Whom all Sentinels of a cluster name, but these, where that one takes writes.
pub fn led(cluster: &Cluster, but: &[&str]) -> Option<String> {
    let named = sentinels(cluster, but).unanimous().ok()?;
    let leads = cluster.nodes.iter().find(|node| node.address() == named)?;
    let seen = leads.status()?;
    (seen["role"] == "master" && seen["fenced"] == false).then(|| leads.name.clone())
}

pub fn bare_led(cluster: &Cluster, but: &[&str]) -> Option<String> {
    let named = sentinels(cluster, but).unanimous().ok()?;
    let leads = cluster.nodes.iter().find(|node| node.address() == named)?;
    (leads.role()? == "master" && leads.info("replication", "connected_slaves")? != "0").then(|| leads.name.clone())
}

#[track_caller]
pub fn wait_led(cluster: &Cluster, but: &[&str], limit: Duration) -> String {
    let began = Instant::now();
    loop {
        if let Some(name) = led(cluster, but) {
            return name;
        }
        assert!(began.elapsed() < limit, "nobody leads after {limit:?}");
        std::thread::sleep(ms(50));
    }
}

pub fn write(cluster: &Cluster, leader: &str, prefix: &str, keys: usize, password: Option<&str>) {
    let mut link = Connection::open(cluster.node(leader).unwrap().address(), secs(5)).unwrap();
    if let Some(password) = password {
        assert_eq!(link.call(&["AUTH", password]).unwrap(), ok());
    }
    for key in 0..keys {
        assert_eq!(link.call(&["SET", &format!("{prefix}:{key}"), "x"]).unwrap(), ok());
    }
}

/// A supervisor says this of a server of another cluster.
pub const FOREIGN_SERVER: &str = "is a server of cluster";

/// Somebody of it says that another cluster is there: a Sentinel's supervisor looks more often than a replica's in calm.
pub fn says_foreign(cluster: &Cluster) -> bool {
    let says = |line: &str| line.contains(FOREIGN_SERVER) || line.contains("knows this address");
    cluster.nodes.iter().any(|node| {
        let text = std::fs::read(node.log()).unwrap_or_default();
        String::from_utf8_lossy(&text).lines().any(says)
    })
}

pub fn ok() -> Reply {
    Reply::Status("OK".into())
}
