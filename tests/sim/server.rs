//! A modelled server: role, data as a list of write numbers, history ids, offset, door, gate, fence, pause.

use std::collections::{BTreeMap, VecDeque};

use redinit::core::cluster::ClusterTag;
use redinit::core::id::{Address, Offset, ReplId, RunId};
use redinit::core::seen::{History, Link, Login};

use crate::world::{HostId, Job};

/// A write; 0 is a PING of the master in the stream.
pub type Write = u32;

/// What survives the end of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    None,
    /// Snapshots: replication id and offset survive with them, later writes do not.
    Rdb,
    /// Every write survives the process; the engine starts with a new id, and offset 0 or one of its own reckoning.
    Aof,
}

/// Replication id, offset, second id and how far it reaches.
pub type Position = (u64, u64, Option<(u64, u64)>);

/// What is on disk.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    pub data: Vec<Write>,
    /// Replication id, offset, second id: only with RDB.
    pub position: Option<Position>,
    /// What the engine takes for its offset after a load: Redis 8 reckons one from its append-only file.
    pub reckoned: u64,
    /// Data sets kept as rollback files.
    pub kept: Vec<Vec<Write>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Master,
    /// `None`: a replica of nobody (127.0.0.1 1).
    Replica(Option<Address>),
}

/// The state of a replica's link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    Down,
    Connecting,
    Syncing,
    Up,
}

/// A replica attached to this server.
#[derive(Clone, Debug)]
pub struct Attached {
    /// As it announced itself.
    pub at: Address,
    pub conn: u64,
    pub online: bool,
    pub acked: u64,
    pub ack_at: u64,
    pub sent: u64,
    pub pumping: bool,
}

/// A running server.
pub struct Server {
    pub run: u64,
    pub role: Role,
    pub link: LinkState,
    pub conn: u64,
    pub link_down_since: u64,
    pub connecting_since: u64,
    pub last_byte: u64,
    pub data: Vec<Write>,
    pub replid: u64,
    pub second: Option<(u64, u64)>,
    pub offset: u64,
    pub backlog: VecDeque<Write>,
    pub backlog_from: u64,
    /// None before its first sync, as master or as replica.
    pub has_backlog: bool,
    pub replicas: BTreeMap<HostId, Attached>,
    pub min_replicas: u32,
    pub paused_until: u64,
    pub waiting: Vec<Job>,
    pub blocked: BTreeMap<HostId, Vec<Job>>,
    pub door: bool,
    pub gated: bool,
    /// The cluster whose login for replication it knows.
    pub belongs: Option<ClusterTag>,
    /// As whom it logs in at its master.
    pub login: Login,
    /// By which login it lets replicas in, at the least.
    pub admits: Login,
    pub info_refused: bool,
    pub priority: u32,
    pub loading_until: u64,
    pub shutting: bool,
    /// `shutdown-timeout 0`: nobody is waited for.
    pub no_drain: bool,
    pub from_aof: bool,
    /// Its link to a master has been up since it was started, or since it was promoted.
    pub was_linked: bool,
    pub sync_bytes: u64,
    /// Writes that it has taken since it was started.
    pub taken: u64,
    pub last_save: u64,
    pub ever_written: bool,
}

/// Why a write was not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoWrite {
    Loading,
    ReadOnly,
    NoReplicas,
}

impl Server {
    /// A server as it is born from this disk: a replica of nobody with its door shut.
    pub fn born(disk: &Disk, persistence: Persistence, run: u64, fresh_id: u64) -> Self {
        let (replid, offset, second) = match (persistence, disk.position) {
            (Persistence::Rdb, Some(p)) => p,
            _ => (fresh_id, disk.reckoned, None),
        };
        Server {
            run,
            role: Role::Replica(None),
            link: LinkState::Down,
            conn: 0,
            link_down_since: 0,
            connecting_since: 0,
            last_byte: 0,
            data: disk.data.clone(),
            replid,
            second,
            offset,
            backlog: VecDeque::new(),
            backlog_from: offset,
            has_backlog: false,
            replicas: BTreeMap::new(),
            min_replicas: 100,
            paused_until: 0,
            waiting: Vec::new(),
            blocked: BTreeMap::new(),
            door: false,
            gated: true,
            belongs: None,
            login: Login::Own,
            admits: Login::Own,
            info_refused: false,
            priority: 100,
            loading_until: 0,
            shutting: false,
            no_drain: false,
            from_aof: persistence == Persistence::Aof,
            was_linked: false,
            sync_bytes: 0,
            taken: 0,
            last_save: 0,
            ever_written: !disk.data.is_empty(),
        }
    }

    pub fn is_master(&self) -> bool {
        self.role == Role::Master
    }

    /// Refuses every write.
    pub fn fenced(&self) -> bool {
        self.min_replicas as usize > self.replicas.values().filter(|r| r.online).count()
    }

    /// Could acknowledge a write now, or when a pause ends.
    pub fn may_acknowledge(&self) -> bool {
        self.is_master() && !self.fenced() && !self.shutting && self.door
    }

    /// A write that is not paused.
    pub fn write(&mut self, id: Write) -> Result<(), NoWrite> {
        if self.role != Role::Master {
            return Err(NoWrite::ReadOnly);
        }
        if self.fenced() {
            return Err(NoWrite::NoReplicas);
        }
        self.append(id);
        Ok(())
    }

    /// Applies one entry of the stream.
    pub fn append(&mut self, entry: Write) {
        if entry != 0 {
            self.data.push(entry);
            self.taken += 1;
            self.ever_written = true;
        }
        self.backlog.push_back(entry);
        self.offset += 1;
        if self.backlog.len() > 200_000 {
            self.backlog.pop_front();
            self.backlog_from += 1;
        }
    }

    /// `REPLICAOF NO ONE`: a new id, the old one stays good up to here.
    pub fn promote(&mut self, fresh_id: u64) {
        if self.role == Role::Master {
            return;
        }
        self.role = Role::Master;
        self.link = LinkState::Down;
        self.was_linked = false;
        self.conn += 1;
        self.second = Some((self.replid, self.offset));
        self.replid = fresh_id;
    }

    /// Its first replica, or its first sync as one. A master's backlog begins with a new id, and nothing is known of what was
    /// before (`syncCommand`): neither a partial resync nor its own snapshot leads back there.
    pub fn create_backlog(&mut self, fresh_id: u64) {
        if std::mem::replace(&mut self.has_backlog, true) {
            return;
        }
        self.backlog.clear();
        self.backlog_from = self.offset;
        if self.role == Role::Master {
            (self.replid, self.second) = (fresh_id, None);
        }
    }

    /// Can a replica with this id and offset go on without a full sync?
    pub fn partial(&self, replid: u64, offset: u64) -> bool {
        let known = replid == self.replid || self.second.is_some_and(|(id, upto)| id == replid && offset <= upto);
        known && self.has_backlog && offset >= self.backlog_from && offset <= self.offset
    }

    /// Entries after `from`.
    pub fn after(&self, from: u64) -> Vec<Write> {
        let skip = from.saturating_sub(self.backlog_from) as usize;
        self.backlog.iter().skip(skip).copied().collect()
    }

    pub fn history(&self) -> History {
        History {
            id: repl_id(self.replid),
            second: self.second.map(|(id, upto)| (repl_id(id), Offset(upto))),
            offset: Offset(self.offset),
        }
    }

    /// A replica that comes so is let in. Both clusters have one password, or none; a server without a supervisor lets everybody in.
    pub fn lets_in(&self, login: Login, belongs: Option<&ClusterTag>) -> bool {
        match login {
            _ if !self.gated => true,
            Login::Cluster => self.belongs.is_some() && self.belongs.as_ref() == belongs,
            Login::Own => self.admits != Login::Cluster,
            Login::Shared => self.admits == Login::Shared,
        }
    }

    /// The login that it shows to who is of this cluster.
    pub fn login_shown(&self, to: Option<&ClusterTag>) -> Login {
        match () {
            () if !self.gated => Login::Shared,
            () if to.is_some() && self.belongs.as_ref() == to => Login::Cluster,
            () => Login::Own,
        }
    }

    pub fn run_id(&self) -> RunId {
        RunId(format!("run{:016x}", self.run))
    }

    pub fn link_seen(&self) -> Link {
        match self.link {
            LinkState::Up => Link::Up,
            LinkState::Syncing => Link::Syncing,
            LinkState::Down | LinkState::Connecting => Link::Down,
        }
    }
}

/// A replication id as text.
pub fn repl_id(id: u64) -> ReplId {
    ReplId(format!("{id:016x}"))
}
