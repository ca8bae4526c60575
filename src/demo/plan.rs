//! What a cluster should look like.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The shape and settings of a cluster, before it exists.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The `redinit` binary.
    pub program: PathBuf,
    /// Where the nodes' directories go; a new one under the temporary directory where this is `None`.
    pub dir: Option<PathBuf>,
    /// How many servers.
    pub servers: u8,
    /// How many Sentinels.
    pub sentinels: u8,
    /// Sentinels' quorum.
    pub quorum: u8,
    /// How many servers each is told to expect; `None`: the length of the list it is given.
    pub expected_servers: Option<u8>,
    /// Who breaks ties.
    pub elector: ElectorPlan,
    /// `down-after-milliseconds`.
    pub down_after: Duration,
    /// `failover-timeout`.
    pub failover_timeout: Duration,
    /// Each supervisor is PID 1 of its own namespace; `None`: where that works.
    pub namespaces: Option<bool>,
    /// More environment for every node.
    pub env: Vec<(String, String)>,
    /// More environment for one node, by its name (`server-1`, `sentinel-2`). Stronger than `env`.
    pub node_env: BTreeMap<String, Vec<(String, String)>>,
    /// Arguments for one node, by its name.
    pub node_args: BTreeMap<String, Vec<String>>,
    /// How long after the others a node is started, by its name.
    pub delays: BTreeMap<String, Duration>,
    /// Where nodes live that are not at a loopback address, by their name.
    pub places: BTreeMap<String, Place>,
}

/// A place that somebody else has made for a node, say a network namespace.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its address there.
    pub ip: IpAddr,
    /// What its command line begins with, to get there.
    pub enter: Vec<String>,
}

/// Who breaks ties in a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ElectorPlan {
    /// Nobody.
    None,
    /// A lock file that all servers share.
    File,
    /// Anything else that `REDINIT_ELECTOR` takes.
    Setting(String),
}

impl Plan {
    /// Three servers and three Sentinels, down-after 5 s, no elector.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Plan {
            program: program.into(),
            dir: None,
            servers: 3,
            sentinels: 3,
            quorum: 2,
            expected_servers: None,
            elector: ElectorPlan::None,
            down_after: Duration::from_secs(5),
            failover_timeout: Duration::from_secs(10),
            namespaces: None,
            env: Vec::new(),
            node_env: BTreeMap::new(),
            node_args: BTreeMap::new(),
            delays: BTreeMap::new(),
            places: BTreeMap::new(),
        }
    }

    /// Another number of servers and Sentinels.
    #[must_use]
    pub fn sized(mut self, servers: u8, sentinels: u8, quorum: u8) -> Self {
        (self.servers, self.sentinels, self.quorum) = (servers, sentinels, quorum);
        self
    }

    /// With this elector.
    #[must_use]
    pub fn elector(mut self, elector: ElectorPlan) -> Self {
        self.elector = elector;
        self
    }

    /// With one more setting for every node.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With one more setting for one node.
    #[must_use]
    pub fn set_for(mut self, node: &str, name: &str, value: &str) -> Self {
        self.node_env.entry(node.to_owned()).or_default().push((name.to_owned(), value.to_owned()));
        self
    }

    /// With this node started later than the others.
    #[must_use]
    pub fn delayed(mut self, node: &str, by: Duration) -> Self {
        self.delays.insert(node.to_owned(), by);
        self
    }
}
