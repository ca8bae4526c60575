//! The settings that the core decides by, and every limit derived from them.

use std::time::Duration;

use super::cluster::ClusterId;
use super::engines::EngineVersion;
use super::id::Address;
use super::label::Labels;
use super::notice::Notices;

/// What the supervisor runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `redis-server` or `valkey-server`.
    Server,
    /// A Sentinel.
    Sentinel,
}

/// Who breaks ties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElectorRule {
    /// None configured.
    None,
    /// The default address: not waited for.
    Default,
    /// Set explicitly: waited for until all expected servers have reported.
    Explicit,
}

/// What was configured, checked by the config driver (ranges: design section 7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Server or Sentinel.
    pub mode: Mode,
    /// The group's name.
    pub master_name: String,
    /// The cluster's id, where the settings give it.
    pub cluster_id: Option<ClusterId>,
    /// Our own announced address.
    pub me: Address,
    /// Sentinels' quorum.
    pub quorum: usize,
    /// `down-after-milliseconds`, 3 s to 60 s.
    pub down_after: Duration,
    /// `failover-timeout`.
    pub failover_timeout: Duration,
    /// How many servers there should be, where known.
    pub expected_servers: Option<usize>,
    /// Sentinels are configured at all.
    pub sentinels_configured: bool,
    /// Sentinels listed by address in the settings: known whatever anybody answers.
    pub sentinels_listed: Vec<Address>,
    /// Servers listed by address in the settings: never ghosts.
    pub servers_listed: Vec<Address>,
    /// Servers are configured at all.
    pub servers_configured: bool,
    /// The elector.
    pub elector: ElectorRule,
    /// Running in a cluster that injects `KUBERNETES_SERVICE_HOST`: a default elector is waited for 5 s.
    pub in_kubernetes: bool,
    /// The user's own `replica-priority`.
    pub priority: u32,
    /// The grace period.
    pub grace: Duration,
    /// Restarts allowed within the window; 0 = never restart.
    pub restart_max: u32,
    /// The window for `restart_max`.
    pub restart_within: Duration,
    /// The engine that runs here.
    pub engine: EngineVersion,
    /// Is our pod labelled?
    pub labels: Labels,
    /// Does anybody take notices?
    pub notices: Notices,
    /// Random, new at every start: makes our attempt ids unique.
    pub nonce: u64,
}

impl Rules {
    /// W: how long to wait for a failover before going on (design section 1).
    pub fn w(&self) -> Duration {
        (self.down_after + Duration::from_secs(2)) * 2
    }

    /// T: the fence fires this long after the start of the last round that proved our right.
    pub fn fence_after(&self) -> Duration {
        (self.down_after / 3).clamp(Duration::from_secs(1), Duration::from_millis(1500))
    }

    /// How long a release pauses writers: it must end before down-after (facts section 1).
    pub fn pause(&self) -> Duration {
        (self.down_after - Duration::from_millis(500)).min(Duration::from_millis(4500))
    }

    /// A replication link that carried nothing for this long is cut.
    pub fn cut_after(&self) -> Duration {
        self.down_after.saturating_sub(Duration::from_secs(2)).max(Duration::from_secs(2))
    }

    /// After a cut, a silent master is surely fenced once the link has stayed down this long.
    pub fn surely_fenced_after(&self) -> Duration {
        self.fence_after() + Duration::from_millis(500)
    }

    /// The stop budget for this grace period (design section 4, Stopping).
    pub fn budget(&self) -> super::stop::Budget {
        super::stop::Budget::scaled(self.grace)
    }
}
