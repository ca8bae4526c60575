//! What a world is made of.

use std::time::Duration;

use redinit::core::cluster::ClusterId;
use redinit::core::engines::{EngineName, EngineVersion, Version};
use redinit::core::label::Labels;
use redinit::core::notice::Notices;
use redinit::core::rules::{ElectorRule, Mode, Rules};

use crate::elector::ElectorKind;
use crate::server::Persistence;
use crate::world::{HostId, HostRole, World};

/// Whence clusters have their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ids {
    /// Each one's first leader makes it.
    Made,
    /// The settings give it.
    Given,
    /// The settings of the second one give it, the first one's leader makes it.
    Mixed,
}

/// The make of a world. Everything that a seed varies is in here.
#[derive(Clone, Debug)]
pub struct Config {
    pub seed: u64,
    /// One, or two in one network: each of this many servers and Sentinels.
    pub clusters: usize,
    pub ids: Ids,
    /// The pods of both have the same names, and so have their Sentinels' ids.
    pub same_names: bool,
    /// The second one's master has another name.
    pub other_name: bool,
    pub servers: usize,
    pub sentinels: usize,
    pub elector: ElectorKind,
    pub expected_servers: bool,
    pub persistence: Persistence,
    /// After a load of its append-only file the engine has an offset of its own reckoning, as Redis 8 has.
    pub reckons_offset: bool,
    pub down_after_ms: u64,
    pub failover_timeout_ms: u64,
    pub grace_s: u64,
    /// How long a full sync takes, in ms.
    pub sync_ms: u64,
    /// How long a restarted server loads, in ms.
    pub load_ms: u64,
    /// Faults of the harsher kinds are drawn too.
    pub harsh: bool,
    pub writers: usize,
    /// A writer's pause between two writes, in ms.
    pub think_ms: u64,
    /// Members are configured by address; else by names that resolve to where they are now.
    pub by_address: bool,
    /// The names are Services of Kubernetes' kind: one address each, behind which only those that are ready stand.
    pub behind_services: bool,
    /// Messages are forged, and an engine of nobody's cluster stands at an address that some of them speak of.
    pub lies: bool,
    /// The settings also have an address that balances over all servers whose door is open, as a Service's does.
    pub virtual_server: bool,
    /// Pods are labelled.
    pub labels: Labels,
    pub history_limit: usize,
    pub print: bool,
}

impl Config {
    /// Three servers, three Sentinels, as the figures in the facts were measured.
    pub fn new(seed: u64) -> Self {
        Config {
            seed,
            clusters: 1,
            ids: Ids::Made,
            same_names: false,
            other_name: false,
            servers: 3,
            sentinels: 3,
            elector: ElectorKind::None,
            expected_servers: true,
            persistence: Persistence::Aof,
            reckons_offset: false,
            down_after_ms: 5_000,
            failover_timeout_ms: 10_000,
            grace_s: 60,
            sync_ms: 70,
            load_ms: 20,
            harsh: false,
            writers: 2,
            think_ms: 15,
            by_address: true,
            behind_services: false,
            lies: false,
            virtual_server: false,
            labels: Labels::Off,
            history_limit: 4_000,
            print: false,
        }
    }
}

impl World {
    /// The settings of the supervisor on this host.
    pub fn rules(&mut self, h: HostId) -> Rules {
        let c = &self.config;
        let cluster = self.cluster_of(h);
        let given = matches!((c.ids, cluster), (Ids::Given, _) | (Ids::Mixed, 1));
        let elector = match c.elector {
            ElectorKind::None => ElectorRule::None,
            ElectorKind::Lease { explicit: true } => ElectorRule::Explicit,
            ElectorKind::Lease { explicit: false } | ElectorKind::Foreign => ElectorRule::Default,
        };
        Rules {
            mode: if self.hosts[h].role == HostRole::Sentinel { Mode::Sentinel } else { Mode::Server },
            master_name: if self.group_of(h) == 0 { "mymaster" } else { "another" }.into(),
            cluster_id: given.then(|| ClusterId::parse(["a/redis", "b/redis"][cluster])).flatten(),
            me: self.address(h),
            quorum: c.sentinels / 2 + 1,
            down_after: Duration::from_millis(c.down_after_ms),
            failover_timeout: Duration::from_millis(c.failover_timeout_ms),
            expected_servers: c.expected_servers.then_some(c.servers),
            sentinels_configured: c.sentinels > 0,
            sentinels_listed: self.listed(self.sentinels_of(cluster)),
            servers_listed: self.servers_listed(cluster),
            servers_configured: true,
            elector,
            in_kubernetes: false,
            priority: 100,
            grace: Duration::from_secs(c.grace_s),
            restart_max: 5,
            restart_within: Duration::from_secs(300),
            engine: EngineVersion { name: EngineName::Redis, version: Version::new(7, 0, 15) },
            labels: c.labels,
            notices: Notices::Off,
            nonce: self.rng.next(),
        }
    }

    fn servers_listed(&self, cluster: usize) -> Vec<redinit::core::id::Address> {
        let mut listed = self.listed(self.servers_of(cluster));
        listed.extend(self.config.virtual_server.then(|| crate::looks::service(HostRole::Server)));
        listed
    }

    fn listed(&self, hosts: std::ops::Range<HostId>) -> Vec<redinit::core::id::Address> {
        hosts.filter(|_| self.config.by_address).map(|h| self.address(h)).collect()
    }
}
