//! A whole cluster on loopback addresses: what the demo, the tests and the benchmark run.

use std::fs::{self, DirBuilder};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::launch::namespaces_work;
pub use super::node::{Kind, Node};
pub use super::plan::{ElectorPlan, Place, Plan};
use super::sentinels::Sentinels;
use super::subnet::Subnet;

/// The group's name in every cluster here.
pub const MASTER_NAME: &str = "mymaster";

/// Servers and Sentinels, each under its own supervisor. Dropping it ends what it started and removes its directory.
#[derive(Debug)]
pub struct Cluster {
    /// All nodes: servers first, then Sentinels.
    pub nodes: Vec<Node>,
    /// How it was planned.
    pub plan: Plan,
    dir: PathBuf,
    /// Leave the directory behind (a failed test wants its logs).
    pub keep: bool,
    /// Held while the cluster lives.
    _net: Subnet,
}

impl Cluster {
    /// Everything but the processes.
    pub fn prepare(plan: Plan) -> io::Result<Self> {
        let net = Subnet::claim()?;
        let dir = match &plan.dir {
            Some(dir) => fresh(dir)?,
            None => temporary()?,
        };
        let mut cluster = Cluster { nodes: Vec::new(), plan, dir, keep: false, _net: net };
        for number in 1..=cluster.plan.servers {
            cluster.add(Kind::Server, number)?;
        }
        for number in 1..=cluster.plan.sentinels {
            cluster.add(Kind::Sentinel, number)?;
        }
        Ok(cluster)
    }

    /// Prepares it and starts every node, each after its delay.
    pub fn start(plan: Plan) -> io::Result<Self> {
        let mut cluster = Self::prepare(plan)?;
        cluster.start_all()?;
        Ok(cluster)
    }

    fn add(&mut self, kind: Kind, number: u8) -> io::Result<()> {
        let name = kind.name(number);
        let dir = self.dir.join(&name);
        fs::create_dir_all(dir.join("data"))?;
        let ip = self.ip(kind, number);
        let mut node = Node {
            kind,
            ip,
            dir,
            env: Vec::new(),
            args: self.plan.node_args.get(&name).cloned().unwrap_or_default(),
            program: self.plan.program.clone(),
            namespace: self.plan.namespaces.unwrap_or_else(namespaces_work),
            enter: self.plan.places.get(&name).map(|place| place.enter.clone()).unwrap_or_default(),
            name,
            process: None,
        };
        node.env = self.environment(&node);
        self.nodes.push(node);
        Ok(())
    }

    /// Where a node lives: at its place, otherwise at a loopback address.
    fn ip(&self, kind: Kind, number: u8) -> IpAddr {
        let host = match kind {
            Kind::Server => number,
            Kind::Sentinel => 10 + number,
        };
        self.plan.places.get(&kind.name(number)).map_or_else(|| self._net.host(host).into(), |place| place.ip)
    }

    /// The environment that a node's container would have.
    fn environment(&self, node: &Node) -> Vec<(String, String)> {
        let plan = &self.plan;
        let list = |count: u8, kind: Kind| {
            let hosts: Vec<_> = (1..=count).map(|n| kind.at(self.ip(kind, n)).to_string()).collect();
            hosts.join(",")
        };
        let mode = match node.kind {
            Kind::Server => "server",
            Kind::Sentinel => "sentinel",
        };
        let elector = match &plan.elector {
            ElectorPlan::None => "none".to_owned(),
            ElectorPlan::File => format!("file:{}", self.dir.join("elector.lock").display()),
            ElectorPlan::Setting(setting) => setting.clone(),
        };
        let mut env: Vec<(String, String)> = [
            ("PATH", std::env::var("PATH").unwrap_or_default()),
            ("HOSTNAME", node.name.clone()),
            ("POD_NAME", node.name.clone()),
            ("REDINIT_MODE", mode.to_owned()),
            ("REDINIT_SERVERS", list(plan.servers, Kind::Server)),
            ("REDINIT_ELECTOR", elector),
            ("REDINIT_MASTER_NAME", MASTER_NAME.to_owned()),
            ("REDINIT_DOWN_AFTER", format!("{}ms", plan.down_after.as_millis())),
            ("REDINIT_FAILOVER_TIMEOUT", format!("{}ms", plan.failover_timeout.as_millis())),
            ("REDINIT_ANNOUNCE_ADDRESS", node.ip.to_string()),
            ("REDINIT_BIND", node.ip.to_string()),
            ("REDINIT_DATA_DIR", node.data().display().to_string()),
            ("REDINIT_SOCKET", node.socket().display().to_string()),
            ("REDINIT_HTTP_LISTEN", node.http().to_string()),
            ("REDINIT_LOG_FORMAT", "text".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        if plan.sentinels > 0 {
            env.push(("REDINIT_SENTINELS".into(), list(plan.sentinels, Kind::Sentinel)));
            env.push(("REDINIT_QUORUM".into(), plan.quorum.to_string()));
        }
        if let Some(expected) = plan.expected_servers {
            env.push(("REDINIT_EXPECTED_SERVERS".into(), expected.to_string()));
        }
        if plan.places.contains_key(&node.name) {
            // Alone with its ports: as in a container, by the defaults.
            env.retain(|(name, _)| !["REDINIT_BIND", "REDINIT_HTTP_LISTEN"].contains(&name.as_str()));
        }
        for (name, value) in plan.env.iter().chain(plan.node_env.get(&node.name).into_iter().flatten()) {
            env.retain(|(known, _)| known != name);
            env.push((name.clone(), value.clone()));
        }
        env
    }

    /// Starts every node that does not run, each after its delay.
    pub fn start_all(&mut self) -> io::Result<()> {
        let began = Instant::now();
        let delay = |node: &Node| self.plan.delays.get(&node.name).copied().unwrap_or_default();
        let mut order: Vec<(Duration, usize)> = self.nodes.iter().map(delay).zip(0..).collect();
        order.sort();
        for (delay, index) in order {
            std::thread::sleep(delay.saturating_sub(began.elapsed()));
            if let Some(node) = self.nodes.get_mut(index) {
                node.start()?;
            }
        }
        Ok(())
    }

    /// The cluster's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The servers.
    pub fn servers(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.kind == Kind::Server)
    }

    /// The Sentinels' nodes.
    pub fn sentinel_nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.kind == Kind::Sentinel)
    }

    /// A node by its name.
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// A node by its name, to start and stop it.
    pub fn node_mut(&mut self, name: &str) -> Option<&mut Node> {
        self.nodes.iter_mut().find(|node| node.name == name)
    }

    /// The name of the node at an address.
    pub fn name_of(&self, address: SocketAddr) -> String {
        let node = self.nodes.iter().find(|node| node.ip == address.ip());
        node.map_or_else(|| address.to_string(), |node| node.name.clone())
    }

    /// What the Sentinels say.
    pub fn sentinels(&self) -> Sentinels {
        Sentinels::new(self.sentinel_nodes().map(Node::address).collect(), MASTER_NAME)
    }

    /// The servers' addresses.
    pub fn server_addresses(&self) -> Vec<SocketAddr> {
        self.servers().map(Node::address).collect()
    }

    /// Is everything as it should be: all Sentinels name one master, it takes writes, everybody else follows it and is
    /// linked? The reason why not otherwise.
    pub fn settled(&self) -> Result<String, String> {
        let master = match self.plan.sentinels {
            0 => {
                let masters: Vec<_> =
                    self.servers().filter(|node| node.role().as_deref() == Some("master")).map(Node::address).collect();
                match masters.as_slice() {
                    [one] => *one,
                    _ => return Err(format!("masters: {masters:?}")),
                }
            }
            _ => self.sentinels().unanimous()?,
        };
        for node in self.servers() {
            let role = node.role().ok_or_else(|| format!("{} does not answer", node.name))?;
            if node.address() == master {
                if role != "master" {
                    return Err(format!("{} is named but says {role}", node.name));
                }
                let probe = node.probe("master").ok_or_else(|| format!("{}: no supervisor answers", node.name))?;
                if !probe.0 {
                    return Err(format!("{}: {}", node.name, probe.1));
                }
                continue;
            }
            let (host, link) =
                (node.info("replication", "master_host"), node.info("replication", "master_link_status"));
            if role != "slave" || host != Some(master.ip().to_string()) || link.as_deref() != Some("up") {
                return Err(format!("{} says {role}, of {host:?}, link {link:?}", node.name));
            }
        }
        Ok(self.name_of(master))
    }

    /// Waits until [`Cluster::settled`]; the master's name, or why not.
    pub fn wait_settled(&self, limit: Duration) -> Result<String, String> {
        let end = Instant::now() + limit;
        loop {
            match self.settled() {
                Ok(master) => return Ok(master),
                Err(reason) if Instant::now() > end => return Err(reason),
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            node.kill();
        }
        if !self.keep {
            fs::remove_dir_all(&self.dir).ok();
        }
    }
}

/// A new directory: what stands there is not ours to fill or to remove.
fn fresh(dir: &Path) -> io::Result<PathBuf> {
    if fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{} is not empty", dir.display())));
    }
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    std::path::absolute(dir)
}

fn temporary() -> io::Result<PathBuf> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("redinit-{}-{number}", std::process::id()));
        match DirBuilder::new().mode(0o700).create(&dir) {
            Ok(()) => return Ok(dir),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < 10_000 => {}
            Err(error) => return Err(error),
        }
    }
}
