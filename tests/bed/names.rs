//! Members that are configured by name, and move: every node has a hosts file of the bed's in place of its own.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use super::{Bed, Kind, Plan, Turn, binary, script, wire};

/// Where a node's own address stands in its environment.
const OWN_ADDRESS: [&str; 3] = ["REDINIT_ANNOUNCE_ADDRESS", "REDINIT_BIND", "REDINIT_HTTP_LISTEN"];

/// A cluster whose members find each other by name.
pub struct NamedBed {
    pub bed: Bed,
    hosts: PathBuf,
    _dir: tempfile::TempDir,
}

impl NamedBed {
    /// Nothing runs yet.
    pub fn prepare(plan: Plan) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let hosts = dir.path().join("hosts");
        let (from, program) = (hosts.display(), binary());
        let text = format!("#!/bin/sh\nmount --bind {from} /etc/hosts || exit 99\nexec {} \"$@\"\n", program.display());
        let program = script(dir.path(), "in-pod", &text);
        let plan = plan
            .set("REDINIT_SERVERS", "servers.redinit.test:6379")
            .set("REDINIT_SENTINELS", "sentinels.redinit.test:26379")
            .set("REDINIT_EXPECTED_SERVERS", "3");
        let named = NamedBed { bed: Bed::prepare_in(Turn::beside(), Plan { program, ..plan }), hosts, _dir: dir };
        named.write_hosts();
        named
    }

    /// Started, and whole.
    #[track_caller]
    pub fn up(plan: Plan) -> Self {
        let mut named = Self::prepare(plan);
        named.bed.cluster.start_all().unwrap();
        named.bed.settle("at the start");
        named
    }

    /// In place: it is mounted.
    fn write_hosts(&self) {
        let mut lines = String::from("127.0.0.1 localhost\n");
        for node in &self.bed.cluster.nodes {
            let name = if node.kind == Kind::Server { "servers" } else { "sentinels" };
            lines += &format!("{} {name}.redinit.test\n", node.ip);
        }
        std::fs::write(&self.hosts, lines).unwrap();
    }

    /// The node ends at once and will start at another address, with what is on its volume.
    pub fn readdress(&mut self, name: &str) {
        let node = self.bed.node_mut(name);
        node.kill();
        let std::net::IpAddr::V4(ip) = node.ip else { panic!("IPv4 only") };
        let [a, b, c, host] = ip.octets();
        let (old, new) = (ip.to_string(), Ipv4Addr::new(a, b, c, host + 30));
        node.ip = new.into();
        for (_, value) in node.env.iter_mut().filter(|(key, _)| OWN_ADDRESS.contains(&key.as_str())) {
            *value = value.replace(&old, &new.to_string());
        }
        self.write_hosts();
    }

    /// A Sentinel is replaced by one that knows nothing, at another address; under this name, or its own.
    pub fn replace_sentinel(&mut self, name: &str, pod: Option<&str>) {
        self.readdress(name);
        let node = self.bed.node_mut(name);
        node.wipe().unwrap();
        for (key, value) in &mut node.env {
            if let Some(pod) = pod
                && (key == "POD_NAME" || key == "HOSTNAME")
            {
                pod.clone_into(value);
            }
        }
        node.start().unwrap();
    }
}

impl Bed {
    /// What this Sentinel lists under its group: other Sentinels, replicas.
    pub fn listed(&self, sentinel: &str) -> (Vec<String>, Vec<String>) {
        let rows = |what: &str| {
            let reply = self.cluster.sentinels().order(self.node(sentinel).address(), &[what]);
            let reply = reply.unwrap_or(wire::Reply::Array(Vec::new()));
            reply.items().iter().filter_map(|row| row.field("ip")).collect::<Vec<_>>()
        };
        (rows("SENTINELS"), rows("REPLICAS"))
    }

    /// Does every Sentinel list exactly those that are there? What is wrong otherwise.
    pub fn lists_are_clean(&self) -> Result<(), String> {
        let ips = |kind: Kind, but: &[std::net::IpAddr]| {
            let nodes = self.cluster.nodes.iter().filter(|node| node.kind == kind && !but.contains(&node.ip));
            let mut ips: Vec<String> = nodes.map(|node| node.ip.to_string()).collect();
            ips.sort();
            ips
        };
        let master = self.cluster.sentinels().unanimous()?;
        for node in self.cluster.sentinel_nodes() {
            let (mut sentinels, mut replicas) = self.listed(&node.name);
            sentinels.sort();
            replicas.sort();
            let there = (ips(Kind::Sentinel, &[node.ip]), ips(Kind::Server, &[master.ip()]));
            if there != (sentinels.clone(), replicas.clone()) {
                return Err(format!("{} lists {sentinels:?} and {replicas:?}, there are {there:?}", node.name));
            }
        }
        Ok(())
    }

    /// `SENTINEL CKQUORUM` at this one.
    pub fn quorum_ok(&self, sentinel: &str) -> bool {
        let reply = self.cluster.sentinels().order(self.node(sentinel).address(), &["CKQUORUM"]);
        reply.ok().and_then(|reply| reply.text()).is_some_and(|text| text.starts_with("OK"))
    }
}
