//! `/status` as JSON: the names that users and other supervisors rely on. Additions are fine, renames are not.

use serde::{Deserialize, Serialize};

use super::shared::{Probe, Published, Shared};
use crate::core::cluster::Identity;
use crate::core::engines::EngineVersion;
use crate::core::event::Maintenance;
use crate::core::id::Address;
use crate::core::message::Rank;
use crate::core::rules::Mode;
use crate::core::seen::Link;
use crate::core::status::{ServerShown, Status};

/// The whole answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// `server` or `sentinel`.
    pub mode: String,
    /// Where in its life it is.
    pub phase: String,
    /// The one reason.
    pub reason: String,
    /// Since when.
    pub since: String,
    /// Its address.
    pub node: Address,
    /// The cluster that it belongs to; null where it knows none yet.
    #[serde(default)]
    pub cluster: Option<Identity>,
    /// Addresses where a server of another cluster answers.
    #[serde(default)]
    pub strangers: Vec<StrangerPicture>,
    /// The engine and its process.
    pub engine: EnginePicture,
    /// `master`, `replica`, `sentinel` or `unknown`.
    pub role: String,
    /// Our fence refuses writers.
    pub fenced: bool,
    /// Observe only.
    pub maintenance: bool,
    /// Who is master, as this node sees it.
    pub master: Option<MasterPicture>,
    /// Our own link and offset.
    pub replication: ReplicationPicture,
    /// Every server known.
    pub servers: Vec<ServerPicture>,
    /// Every Sentinel known.
    pub sentinels: Vec<SentinelPicture>,
    /// A handover under way, or the last one's step.
    pub handover: Option<HandoverPicture>,
    /// The last decisions, oldest first.
    pub history: Vec<HistoryPicture>,
    /// The highest config epoch known here. For other supervisors.
    #[serde(default)]
    pub epoch: u64,
    /// The master that our child replicates from. For other supervisors.
    #[serde(default)]
    pub follows: Option<Address>,
    /// Will not lead now: not synced, or told to stop. For other supervisors.
    #[serde(default)]
    pub never: bool,
    /// The probes' answers.
    #[serde(default)]
    pub probes: ProbesPicture,
}

/// A row of `"strangers"`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrangerPicture {
    /// Where.
    pub address: Address,
    /// The other cluster's id; null where no supervisor tells one.
    pub cluster: Option<String>,
}

/// `"engine"`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnginePicture {
    /// `redis` or `valkey`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The child's pid, while it runs.
    pub pid: Option<i32>,
    /// How often we restarted it.
    pub restarts: u32,
}

/// `"master"`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MasterPicture {
    /// Where.
    pub address: Address,
    /// Who says so.
    pub source: String,
    /// How sure.
    pub verdict: String,
    /// At which config epoch.
    pub epoch: u64,
}

/// `"replication"`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicationPicture {
    /// `up`, `syncing`, `down`; null for a master.
    pub link: Option<String>,
    /// Our own offset.
    pub offset: u64,
    /// Bytes behind the master, where known.
    pub lag: Option<u64>,
}

/// A row of `"servers"`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerPicture {
    /// Where.
    pub address: Address,
    /// Its role.
    pub role: String,
    /// Its link.
    pub link: Option<String>,
    /// Its offset.
    pub offset: Option<u64>,
    /// Bytes behind the master.
    pub lag: Option<u64>,
    /// A supervisor stands behind it; null where unknown.
    pub supervised: Option<bool>,
    /// Its engine, `redis 7.0.15`; null where unknown.
    #[serde(default)]
    pub engine: Option<EngineVersion>,
}

/// A row of `"sentinels"`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentinelPicture {
    /// Where.
    pub address: Address,
    /// Whom it names.
    pub master: Option<Address>,
    /// At which config epoch.
    pub epoch: Option<u64>,
    /// `ok`, `bare`, `s_down`, `o_down`, `failover`, `tilt`, `silent`, `refused`.
    pub state: String,
}

/// `"handover"`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandoverPicture {
    /// The step.
    pub step: String,
    /// To whom.
    pub to: Option<Address>,
    /// Since when.
    pub since: String,
}

/// A row of `"history"`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryPicture {
    /// When.
    pub at: String,
    /// Its short word.
    pub event: String,
    /// Its reason.
    pub reason: String,
}

/// `"probes"`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbesPicture {
    /// `/livez`
    pub live: ProbePicture,
    /// `/readyz`
    pub ready: ProbePicture,
    /// `/startupz`
    pub startup: ProbePicture,
    /// `/master`
    pub master: ProbePicture,
    /// `/replica`
    pub replica: ProbePicture,
}

/// One probe's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbePicture {
    /// 200 or 503.
    pub ok: bool,
    /// Why.
    pub reason: String,
}

/// What other supervisors look at each second: `GET /status?for=peers`. The whole picture is ten times the work, at
/// both ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PeersPicture {
    /// `master`, `replica`, `sentinel` or `unknown`.
    pub role: &'static str,
    /// The cluster that it belongs to.
    pub cluster: Option<Identity>,
    /// The highest config epoch known here.
    pub epoch: u64,
    /// The master that our child replicates from.
    pub follows: Option<Address>,
    /// Will not lead now.
    pub never: bool,
    /// Its writers are refused.
    pub fenced: bool,
    /// The address that our server announces.
    pub node: Address,
    /// What it held when it began to lead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub began: Option<Rank>,
    /// The engine that it runs.
    pub engine: PeersEngine,
}

/// As in the whole picture, without what changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PeersEngine {
    /// `redis` or `valkey`.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl PeersPicture {
    /// The picture now.
    pub fn take(shared: &Shared) -> Self {
        let published = shared.published();
        let status = &published.status;
        PeersPicture {
            role: status.role.word(),
            cluster: status.cluster.clone(),
            epoch: status.epoch.0,
            follows: status.follows,
            never: status.never,
            fenced: status.fenced,
            node: status.node,
            engine: PeersEngine { name: published.engine.name.clone(), version: published.engine.version.clone() },
            began: status.began.clone(),
        }
    }
}

impl Picture {
    /// The picture now.
    pub fn take(shared: &Shared) -> Self {
        let published = shared.published();
        let status = &published.status;
        let probe = |probe| {
            let answer = shared.answer(probe);
            ProbePicture { ok: answer.is_yes(), reason: answer.reason().to_owned() }
        };
        Picture {
            probes: ProbesPicture {
                live: probe(Probe::Live),
                ready: probe(Probe::Ready),
                startup: probe(Probe::Startup),
                master: probe(Probe::Master),
                replica: probe(Probe::Replica),
            },
            ..Picture::of(&published, status)
        }
    }

    fn of(published: &Published, status: &Status) -> Self {
        Picture {
            mode: match status.mode {
                Mode::Server => "server".to_owned(),
                Mode::Sentinel => "sentinel".to_owned(),
            },
            phase: status.phase.word().to_owned(),
            reason: status.reason.clone(),
            since: published.wall(status.since),
            node: status.node,
            cluster: status.cluster.clone(),
            strangers: status.strangers.iter().map(stranger).collect(),
            engine: EnginePicture {
                name: published.engine.name.clone(),
                version: published.engine.version.clone(),
                pid: status.pid,
                restarts: status.restarts,
            },
            role: status.role.word().to_owned(),
            fenced: status.fenced,
            maintenance: status.maintenance == Maintenance::On,
            master: master(status),
            replication: ReplicationPicture {
                link: status.link.map(word),
                offset: status.offset.0,
                lag: status.servers.iter().find(|row| row.address == status.node).and_then(|row| row.lag),
            },
            servers: status.servers.iter().map(server).collect(),
            sentinels: sentinels(status),
            handover: status.handover.as_ref().map(|handover| HandoverPicture {
                step: handover.step.to_owned(),
                to: handover.to,
                since: published.wall(handover.since),
            }),
            history: history(published),
            epoch: status.epoch.0,
            follows: status.follows,
            never: status.never,
            probes: ProbesPicture::default(),
        }
    }
}

fn master(status: &Status) -> Option<MasterPicture> {
    status.master.as_ref().map(|master| MasterPicture {
        address: master.address,
        source: master.source.to_owned(),
        verdict: master.verdict.to_owned(),
        epoch: master.epoch.0,
    })
}

fn stranger((address, cluster): &(Address, Option<String>)) -> StrangerPicture {
    StrangerPicture { address: *address, cluster: cluster.clone() }
}

fn server(row: &ServerShown) -> ServerPicture {
    ServerPicture {
        address: row.address,
        role: row.role.word().to_owned(),
        link: row.link.map(word),
        offset: row.offset.map(|offset| offset.0),
        lag: row.lag,
        supervised: row.supervised,
        engine: row.engine,
    }
}

fn sentinels(status: &Status) -> Vec<SentinelPicture> {
    let row = |row: &crate::core::status::SentinelShown| SentinelPicture {
        address: row.address,
        master: row.master,
        epoch: row.epoch.map(|epoch| epoch.0),
        state: row.state.to_owned(),
    };
    status.sentinels.iter().map(row).collect()
}

fn history(published: &Published) -> Vec<HistoryPicture> {
    let line = |line: &crate::core::status::HistoryLine| HistoryPicture {
        at: published.wall(line.at),
        event: line.event.to_owned(),
        reason: line.reason.clone(),
    };
    published.history.iter().map(line).collect()
}

fn word(link: Link) -> String {
    match link {
        Link::Up => "up",
        Link::Syncing => "syncing",
        Link::Down => "down",
    }
    .to_owned()
}
