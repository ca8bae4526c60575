//! The settings, checked: what every driver may rely on.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use crate::core::cluster::ClusterId;
use crate::core::notice::Notices;
use crate::core::rules::Mode;

/// `durability`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The engine's own.
    Default,
    /// `min-replicas-to-write 1` while at least two replicas are expected.
    Strict,
}

/// Every setting of `conf/redinit.toml`, after defaults, files, environment and validation.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Server or Sentinel.
    pub mode: Mode,
    /// Where Sentinels are: hosts or addresses, as configured.
    pub sentinels: Vec<HostPort>,
    /// Where servers are.
    pub servers: Vec<HostPort>,
    /// Who breaks ties.
    pub elector: Elector,
    /// The name of the election, where we stand for one ourselves.
    pub election: String,
    /// The group's name.
    pub master_name: String,
    /// The cluster's id, where it is given.
    pub cluster_id: Option<ClusterId>,
    /// Sentinels' quorum.
    pub quorum: usize,
    /// `down-after-milliseconds`.
    pub down_after: Duration,
    /// `failover-timeout`.
    pub failover_timeout: Duration,
    /// `parallel-syncs`.
    pub parallel_syncs: u32,
    /// How many servers there should be.
    pub expected_servers: Option<usize>,
    /// What others reach us by: an address, or a host name.
    pub announce_address: String,
    /// `announce_address`, resolved at start.
    pub announce_ip: IpAddr,
    /// What the child binds; empty: all.
    pub bind: Vec<String>,
    /// The child's port.
    pub port: u16,
    /// The child's directory.
    pub data_dir: PathBuf,
    /// The orchestrator's grace period.
    pub grace_period: Duration,
    /// Our Unix socket.
    pub socket: PathBuf,
    /// Our HTTP port, `None` for `off`.
    pub http_listen: Option<SocketAddr>,
    /// Which engine.
    pub engine: EngineChoice,
    /// Password of the data (`requirepass` and `masterauth`).
    pub password: Option<SecretString>,
    /// Password of the Sentinels.
    pub sentinel_password: Option<SecretString>,
    /// ACL users beside replication's own that may open a replication stream.
    pub replication_users: Vec<String>,
    /// Restart policy of the child.
    pub restart: Restart,
    /// Durability.
    pub durability: Durability,
    /// Stable name that a Sentinel's `myid` is derived from (pod or host name).
    pub name: String,
    /// The user's own engine configuration, included: `/etc/redinit/redis.conf` or `sentinel.conf` where present,
    /// or a `*.conf` given as an argument.
    pub include: Option<PathBuf>,
    /// Engine arguments from behind `--` or from the official image's calling forms.
    pub engine_args: Vec<String>,
    /// Log filter.
    pub log: String,
    /// Log format.
    pub log_format: LogFormat,
    /// `KUBERNETES_SERVICE_HOST` is set.
    pub in_kubernetes: bool,
    /// What is done for our own pod; `None`: nothing.
    pub pod: Option<Pod>,
}

/// A pod that we may label and report on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// The role label's name; `None`: no label.
    pub role_label: Option<String>,
    /// The group's name, as set.
    pub group: Option<String>,
    /// Events, or none.
    pub events: Notices,
}

/// A host, by name or address, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// Who breaks ties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Elector {
    /// `none`.
    None,
    /// An HTTP elector that nobody set: the default address.
    DefaultHttp(String),
    /// An HTTP elector that was set.
    Http(String),
    /// A lock file, without a side-car.
    File(PathBuf),
    /// A Lease of Kubernetes, without a side-car.
    Kubernetes,
}

/// Which engine to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineChoice {
    /// Whichever is in `PATH`, Valkey first.
    Auto,
    /// Whichever is in `PATH`, Redis first: what a call as `redis-server` means, which manifests say whatever the
    /// image holds.
    RedisFirst,
    /// `redis-server`.
    Redis,
    /// `valkey-server`.
    Valkey,
    /// A server binary.
    Path(PathBuf),
}

/// How often a child may be restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restart {
    /// Restarts within the window; 0 = never.
    pub max: u32,
    /// The window.
    pub within: Duration,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}
