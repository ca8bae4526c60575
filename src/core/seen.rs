//! What one look at somebody showed. Drivers fill these in; nothing here is a judgement.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::cluster::Identity;
use super::engines::EngineVersion;
use super::id::{Address, Epoch, Offset, ReplId, RunId, SentinelId};
use super::message::Rank;

/// Why a look or a message brought no answer. None of them is a "no".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The address answered with a reset: nobody listens there. Evidence.
    Refused,
    /// No answer in time, or no route: proves nothing.
    Silent,
    /// An answer that makes no sense, or more of it than is allowed.
    Nonsense,
    /// The engine wants a password that we do not have.
    Unauthorised,
}

/// One look at a Sentinel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentinelSeen {
    /// Its `myid`.
    pub id: SentinelId,
    /// Its row of our master; `None` where it monitors nothing under our name (no opinion).
    pub master: Option<MasterRow>,
    /// Everything else it lists; `None` for a glance, which asks for the master's row only.
    pub rows: Option<Rows>,
}

/// `SENTINEL MASTER <name>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterRow {
    /// Whom it names.
    pub address: Address,
    /// The run id it has seen there, where it has been connected.
    pub run_id: Option<RunId>,
    /// The epoch of that name.
    pub epoch: Epoch,
    /// It finds the master down.
    pub s_down: bool,
    /// Enough Sentinels find it down.
    pub o_down: bool,
    /// Its link to the master is broken (a reset has been seen).
    pub disconnected: bool,
    /// It leads a failover now.
    pub failover: bool,
    /// The instance reports itself a replica.
    pub says_replica: bool,
    /// How long ago the last good ping reply came.
    pub last_ok_ping: Duration,
    /// How long a ping of it stands unanswered; `None` while none does.
    pub ping_unanswered: Option<Duration>,
    /// After how long of that it finds it down.
    pub down_after: Duration,
    /// Its configured quorum.
    pub quorum: usize,
}

/// `SENTINEL REPLICAS`, `SENTINEL SENTINELS`, `SENTINEL CKQUORUM` and `INFO sentinel`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// The replicas it lists.
    pub replicas: Vec<ReplicaRow>,
    /// The other Sentinels it lists, down or not.
    pub sentinels: Vec<SentinelRow>,
    /// `CKQUORUM` said OK.
    pub quorum_ok: bool,
    /// It is in TILT: it watches and does nothing (M2).
    pub tilt: bool,
}

/// A row of `SENTINEL REPLICAS <name>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaRow {
    /// The replica.
    pub address: Address,
    /// This Sentinel's failover has chosen it.
    pub promoted: bool,
    /// It finds the replica down.
    pub s_down: bool,
    /// How long it has; zero while it answers.
    pub down_for: Duration,
    /// Its link to the replica is broken.
    pub disconnected: bool,
    /// Age of the last INFO it accepted.
    pub info_refresh: Duration,
    /// `replica-priority` in that INFO; 0 is never chosen.
    pub priority: u32,
    /// Offset in that INFO.
    pub offset: Offset,
    /// The replica's link to its master was up in that INFO.
    pub link_up: bool,
}

/// A row of `SENTINEL SENTINELS <name>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentinelRow {
    /// Where it listens.
    pub address: Address,
    /// Its `myid`, where known.
    pub id: Option<SentinelId>,
    /// How long it has been found down; `None` while it answers.
    pub down_for: Option<Duration>,
}

/// A link from a replica to its master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Streaming.
    Up,
    /// Receiving or loading a data set.
    Syncing,
    /// Neither.
    Down,
}

/// What a server says it is (`INFO replication`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleSeen {
    /// `role:master`.
    Master {
        /// The replicas it lists.
        replicas: Vec<AttachedReplica>,
    },
    /// `role:slave`.
    Replica {
        /// Whom it follows; `None` for a host that is no address (never followed by us).
        master: Option<Address>,
        /// The state of that link.
        link: Link,
    },
}

impl RoleSeen {
    /// Does it say master?
    pub fn is_master(&self) -> bool {
        matches!(self, RoleSeen::Master { .. })
    }

    /// A replica whose link is down: its offset moves no more.
    pub fn has_lost_its_link(&self) -> bool {
        matches!(self, RoleSeen::Replica { link: Link::Down, .. })
    }

    /// The replicas a master lists; none for a replica.
    pub fn attached(&self) -> Vec<Address> {
        match self {
            RoleSeen::Master { replicas } => replicas.iter().map(|replica| replica.address).collect(),
            RoleSeen::Replica { .. } => Vec::new(),
        }
    }

    /// The master it follows, where it is a replica of an address.
    pub fn master(&self) -> Option<Address> {
        match self {
            RoleSeen::Replica { master, .. } => *master,
            RoleSeen::Master { .. } => None,
        }
    }
}

/// A line `slaveN:` of a master's `INFO replication`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachedReplica {
    /// The announced address.
    pub address: Address,
    /// `state=online`.
    pub online: bool,
    /// What it acknowledged.
    pub offset: Offset,
    /// Seconds since its last acknowledgement.
    pub lag: Duration,
}

/// The history a data set belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// `master_replid`.
    pub id: ReplId,
    /// `master_replid2` and the offset up to which it is ours too.
    pub second: Option<(ReplId, Offset)>,
    /// `master_repl_offset`, or a replica's `slave_repl_offset`.
    pub offset: Offset,
}

impl History {
    /// Have the two a past in common, however far each went on from there?
    pub fn shares_a_past(&self, other: &History) -> bool {
        let ids = |history: &History| {
            let second = history.second.as_ref().map(|(id, _)| id.clone());
            [Some(history.id.clone()), second].into_iter().flatten().filter(|id| !id.0.is_empty()).collect::<Vec<_>>()
        };
        let theirs = ids(other);
        ids(self).iter().any(|id| theirs.contains(id))
    }

    /// Is every byte of `other` up to its offset part of this history's line (or the reverse)?
    pub fn related(&self, other: &History) -> bool {
        let reaches = |a: &History, b: &History| {
            a.id == b.id || a.second.as_ref().is_some_and(|(id, upto)| *id == b.id && b.offset <= *upto)
        };
        reaches(self, other) || reaches(other, self)
    }
}

/// As whom a replica comes to its master; the strictest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Login {
    /// As everybody came before there was any other, and comes to servers without a supervisor: with the shared password.
    Shared,
    /// As replication's own user: with one password for two clusters, to servers of the other one too.
    Own,
    /// As replication's user of our cluster.
    Cluster,
}

/// One look at a server that is not our child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSeen {
    /// Which process this is.
    pub run_id: RunId,
    /// What it says it is.
    pub role: RoleSeen,
    /// Its history and offset.
    pub history: History,
    /// `loading:1`.
    pub loading: bool,
    /// Whether its ACL knows our user (`ACL GETUSER redinit`): does a supervisor stand there? `None`: could not ask.
    pub supervised: Option<bool>,
    /// As whom it takes replicas, and comes itself: which users for replication has its ACL? `None`: could not ask.
    pub login: Option<Login>,
    /// Which engine it says it is.
    pub engine: Option<EngineVersion>,
    /// `connected_slaves` aside, does it hold any key? `None` where it was not asked.
    pub has_data: Option<bool>,
}

/// So many bytes of append-only file, those that wait in memory included, stood for the stream up to this offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Appended {
    /// Where the stream stood.
    pub offset: Offset,
    /// The file's size.
    pub bytes: u64,
}

/// What every write of data moves, and no ping or hello, as it was at this offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Where the stream stood.
    pub offset: Offset,
    /// Changes since the last save.
    pub changes: u64,
    /// Saves since the process started.
    pub saves: u64,
}

/// One look at our own child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildSeen {
    /// Which process this is.
    pub run_id: RunId,
    /// What it says it is.
    pub role: RoleSeen,
    /// Its history and offset.
    pub history: History,
    /// Loading from disk: `loading_eta_seconds`.
    pub loading: Option<Duration>,
    /// Seconds since anything came over the link to its master.
    pub link_idle: Option<Duration>,
    /// Its link to a master was up, and is not now: the engine keeps since when it has been down.
    pub has_lost_a_link: bool,
    /// It holds at least one key.
    pub has_data: bool,
    /// AOF on, and the last load and write were fine.
    pub aof: bool,
    /// How far its append-only file went; `None` where that is not known.
    pub appended: Option<Appended>,
    /// How many writes it has taken; `None` where that is not known (6.2).
    pub written: Option<Written>,
    /// Saving or appending fails (MISCONF): writes are refused.
    pub cannot_save: bool,
    /// It is shutting down (`shutdown_in_milliseconds`).
    pub shutting_down: bool,
    /// `master_sync_read_bytes` or another count that moves while a sync moves.
    pub sync_bytes: u64,
    /// Unix time of the last save, in seconds, 0 where never.
    pub last_save: u64,
}

/// How the child failed to show itself. Any reply at all is life (G7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildFailure {
    /// No reply in time, on the kept connection or on a fresh one.
    Silent,
    /// The socket is not there yet, or refuses.
    NotListening,
    /// `-BUSY`: a script runs; nothing else works.
    Busy,
    /// `-LOADING` where even INFO is refused.
    Loading,
    /// Another error reply: alive, but cannot be asked (NOAUTH, NOPERM, max clients).
    Refuses,
    /// Its ACL does not know our user any more.
    LockedOut,
}

/// One look at another supervisor (`GET /status`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SupervisorSeen {
    /// The cluster that it belongs to, where it knows one.
    pub cluster: Option<Identity>,
    /// The highest config epoch it knows.
    pub epoch: Epoch,
    /// It leads or leads fenced.
    pub leads: bool,
    /// Its writers are refused; also where it does not say.
    pub fenced: bool,
    /// The master it follows.
    pub follows: Option<Address>,
    /// It will never lead now: not synced, or told to stop.
    pub never: bool,
    /// The address that its server announces; one of an earlier version does not say.
    pub node: Option<Address>,
    /// The engine that it runs; one of an earlier version does not say.
    pub engine: Option<EngineVersion>,
    /// What it held when it began to lead.
    pub began: Option<Rank>,
}

/// One answer of the elector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElectorSeen {
    /// The named leader, resolved to addresses; empty where the name resolves to nothing or is empty (A6).
    pub leader: Vec<std::net::IpAddr>,
    /// The name as it was given.
    pub name: String,
    /// It is redinit's own elector: the answer is backed by a lease.
    pub lease: bool,
}
