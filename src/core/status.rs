//! What the supervisor shows of itself: the one picture behind probes, `/status` and metrics.

use std::time::Duration;

use super::cluster::Identity;
use super::engines::EngineVersion;
use super::event::Maintenance;
use super::id::{Address, Epoch, Offset};
use super::message::Rank;
use super::moment::Moment;
use super::rules::Mode;
use super::seen::Link;

/// A picture of the core, made anew after every change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Server or Sentinel.
    pub mode: Mode,
    /// Where in its life it is.
    pub phase: Phase,
    /// The one reason, one line.
    pub reason: String,
    /// Since when phase and reason hold.
    pub since: Moment,
    /// Our address.
    pub node: Address,
    /// The cluster that we belong to, where we know one.
    pub cluster: Option<Identity>,
    /// Addresses where another cluster's server answers, each with that cluster's id where it tells one.
    pub strangers: Vec<(Address, Option<String>)>,
    /// The child's pid while it runs.
    pub pid: Option<i32>,
    /// Restarts of the child by us.
    pub restarts: u32,
    /// The child's role as last seen.
    pub role: RoleShown,
    /// Writers are refused by our fence.
    pub fenced: bool,
    /// Observe only.
    pub maintenance: Maintenance,
    /// Who is master, as we see it.
    pub master: Option<MasterShown>,
    /// Our own replication link, for a replica.
    pub link: Option<Link>,
    /// Our own offset.
    pub offset: Offset,
    /// The highest config epoch known here, whoever is master. For other supervisors.
    pub epoch: Epoch,
    /// The master that our child says it replicates from. For other supervisors (invariant 4).
    pub follows: Option<Address>,
    /// It will not lead now: not synced, or told to stop. For other supervisors (H0).
    pub never: bool,
    /// What it held when it began to lead. For other supervisors (invariant 8).
    pub began: Option<Rank>,
    /// Every server known, ourselves included.
    pub servers: Vec<ServerShown>,
    /// Every Sentinel known.
    pub sentinels: Vec<SentinelShown>,
    /// A handover under way, or the last one's step.
    pub handover: Option<HandoverShown>,
    /// Probe answers.
    pub probes: Probes,
}

/// The life of a supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// No child yet.
    Starting,
    /// The child loads its data.
    Loading,
    /// Loaded, door shut, role not decided.
    Undecided,
    /// Follows a master.
    Replica,
    /// Leads.
    Master,
    /// A candidate: promotion under way.
    Candidate,
    /// Handing over.
    HandingOver,
    /// The child is down and a restart waits for its back-off or for a decision.
    Down,
    /// Stopping.
    Stopping,
    /// Sentinel mode: monitors nothing yet.
    Bare,
    /// Sentinel mode: monitors the master.
    Monitoring,
}

impl Phase {
    /// The word used in `/status`.
    pub fn word(self) -> &'static str {
        match self {
            Phase::Starting => "starting",
            Phase::Loading => "loading",
            Phase::Undecided => "undecided",
            Phase::Replica => "replica",
            Phase::Master => "master",
            Phase::Candidate => "candidate",
            Phase::HandingOver => "handing-over",
            Phase::Down => "down",
            Phase::Stopping => "stopping",
            Phase::Bare => "bare",
            Phase::Monitoring => "monitoring",
        }
    }
}

/// A role as shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleShown {
    /// Not seen.
    Unknown,
    /// `master`.
    Master,
    /// `replica`.
    Replica,
    /// `sentinel`.
    Sentinel,
}

impl RoleShown {
    /// The word used in `/status`.
    pub fn word(self) -> &'static str {
        match self {
            RoleShown::Unknown => "unknown",
            RoleShown::Master => "master",
            RoleShown::Replica => "replica",
            RoleShown::Sentinel => "sentinel",
        }
    }
}

/// `"master"` in `/status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterShown {
    /// Where.
    pub address: Address,
    /// Who says so: `sentinels`, `servers`, `elector`, `vote`, `self`.
    pub source: &'static str,
    /// `confirmed`, `hint`, `conflict`, `unknown`.
    pub verdict: &'static str,
    /// At which epoch.
    pub epoch: Epoch,
}

/// A row of `"servers"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerShown {
    /// Where.
    pub address: Address,
    /// Its role.
    pub role: RoleShown,
    /// Its link, for a replica.
    pub link: Option<Link>,
    /// Its offset.
    pub offset: Option<Offset>,
    /// How far behind the master, in bytes, where both are known.
    pub lag: Option<u64>,
    /// A supervisor stands behind it; `None` where unknown.
    pub supervised: Option<bool>,
    /// Its engine, where known.
    pub engine: Option<EngineVersion>,
}

/// A row of `"sentinels"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentinelShown {
    /// Where.
    pub address: Address,
    /// Whom it names.
    pub master: Option<Address>,
    /// At which epoch.
    pub epoch: Option<Epoch>,
    /// `ok`, `bare`, `s_down`, `o_down`, `failover`, `tilt`, `silent`, `refused`.
    pub state: &'static str,
}

/// `"handover"` in `/status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandoverShown {
    /// The step (`H0` to `H5`, `P0` to `P9`).
    pub step: &'static str,
    /// To whom, once known.
    pub to: Option<Address>,
    /// Since when.
    pub since: Moment,
}

/// A line of `"history"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryLine {
    /// When.
    pub at: Moment,
    /// Its short word.
    pub event: &'static str,
    /// Its reason.
    pub reason: String,
}

/// The answers to all probes, as far as the core can give them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probes {
    /// Liveness but for the heartbeat.
    pub live: Answer,
    /// The control loop must have run within this time (down-after, twice that for a replica; P39).
    pub heartbeat: Duration,
    /// Readiness.
    pub ready: Answer,
    /// Startup: loading or first sync counts as started.
    pub startup: Answer,
    /// A master that leads by right and is not fenced.
    pub master: Answer,
    /// A replica linked to the agreed master.
    pub replica: Answer,
}

/// A probe's answer and its one-line reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 200.
    Yes(String),
    /// 503.
    No(String),
}

impl Answer {
    /// The reason.
    pub fn reason(&self) -> &str {
        match self {
            Answer::Yes(reason) | Answer::No(reason) => reason,
        }
    }

    /// Is it a yes?
    pub fn is_yes(&self) -> bool {
        matches!(self, Answer::Yes(_))
    }
}

impl Probes {
    /// Every answer without its reason: live, ready, startup, master, replica.
    pub fn verdicts(&self) -> [bool; 5] {
        [&self.live, &self.ready, &self.startup, &self.master, &self.replica].map(Answer::is_yes)
    }

    /// Liveness with the age of the control loop's last turn: the one judgement the probe thread asks for itself,
    /// since it must answer while the loop is stuck (P39).
    pub fn live_at(&self, heartbeat_age: Duration) -> Answer {
        if heartbeat_age > self.heartbeat {
            Answer::No(format!("the control loop has not run for {} ms", heartbeat_age.as_millis()))
        } else {
            self.live.clone()
        }
    }
}
