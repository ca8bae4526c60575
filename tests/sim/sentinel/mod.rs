//! A modelled Sentinel, after `sentinel.c` of Redis 7.0: its timers, states and rules, pure; the world carries its commands.

mod commands;
mod failover;
mod hello;
mod info;
pub mod look;
mod timer;
mod wire;

use std::collections::BTreeMap;

use redinit::core::id::Address;

pub use hello::Hello;
pub use info::InfoReply;

use crate::world::{MS, SEC};

/// `sentinel_ping_period`.
pub const PING_PERIOD: u64 = SEC;
/// `sentinel_publish_period`.
pub const PUBLISH_PERIOD: u64 = 2 * SEC;
/// `sentinel_ask_period`.
pub const ASK_PERIOD: u64 = SEC;
/// `sentinel_tilt_trigger`.
pub const TILT_TRIGGER: u64 = 2 * SEC;
/// `sentinel_tilt_period`.
pub const TILT_PERIOD: u64 = 30 * SEC;
/// `sentinel_slave_reconf_timeout`.
pub const RECONF_TIMEOUT: u64 = 10 * SEC;
/// `sentinel_min_link_reconnect_period`.
pub const MIN_RECONNECT: u64 = 15 * SEC;
/// `sentinel_election_timeout`.
pub const ELECTION_TIMEOUT: u64 = 10 * SEC;
/// `sentinel_info_period` as it comes.
pub const INFO_PERIOD: u64 = 10 * SEC;

/// A Sentinel's id.
pub type Id = u128;

/// Which of its instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    Master,
    Replica(Address),
    Sentinel(Id),
}

/// A command on the wire.
#[derive(Clone, Debug)]
pub enum Cmd {
    Ping,
    Info,
    Hello(Hello),
    SlaveOf(Option<Address>),
    IsDown { master: Address, epoch: u64, candidate: Option<Id> },
}

/// What it wants the world to do.
#[derive(Debug)]
pub enum Out {
    Connect { key: Key, to: Address, conn: u64 },
    Command { key: Key, to: Address, conn: u64, cmd: Cmd },
    Event(&'static str),
}

/// A reply.
#[derive(Clone, Debug)]
pub enum Reply {
    Pong,
    Info(Box<InfoReply>),
    /// Refused, or nothing to learn from.
    Nothing,
    IsDown {
        down: bool,
        leader: Option<Id>,
        leader_epoch: u64,
        asked_vote: bool,
    },
}

/// Progress of re-pointing a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reconf {
    No,
    Sent,
    InProgress,
    Done,
}

/// One master, replica or Sentinel that it knows. Times are 0 where "never".
#[derive(Clone, Debug)]
pub struct Inst {
    pub addr: Address,
    pub conn: u64,
    pub connected: bool,
    pub act_ping: u64,
    pub last_ping: u64,
    pub last_pong: u64,
    pub last_avail: u64,
    pub conn_since: u64,
    pub last_reconnect: u64,
    pub last_pub: u64,
    pub s_down_since: u64,
    pub run: Option<u64>,
    pub info_at: u64,
    pub role_master: bool,
    pub role_at: u64,
    pub link_down: u64,
    pub priority: u32,
    pub follows: Option<Address>,
    pub follows_at: u64,
    pub link_up: bool,
    pub offset: u64,
    pub reconf: Reconf,
    pub reconf_at: u64,
    pub last_hello: u64,
    pub says_down: bool,
    pub leader: Option<Id>,
    pub leader_epoch: u64,
    pub last_down_reply: u64,
}

impl Inst {
    pub fn new(addr: Address, now: u64, says_master: bool) -> Self {
        Inst {
            addr,
            conn: 0,
            connected: false,
            act_ping: now,
            last_ping: 0,
            last_pong: now,
            last_avail: now,
            conn_since: 0,
            last_reconnect: 0,
            last_pub: now,
            s_down_since: 0,
            run: None,
            info_at: 0,
            role_master: says_master,
            role_at: now,
            link_down: 0,
            priority: 100,
            follows: None,
            follows_at: now,
            link_up: false,
            offset: 0,
            reconf: Reconf::No,
            reconf_at: 0,
            last_hello: now,
            says_down: false,
            leader: None,
            leader_epoch: 0,
            last_down_reply: 0,
        }
    }

    pub fn s_down(&self) -> bool {
        self.s_down_since != 0
    }
}

/// States of a failover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    None,
    WaitStart,
    SelectSlave,
    SendNoOne,
    WaitPromotion,
    ReconfSlaves,
    UpdateConfig,
}

/// The monitored master.
#[derive(Clone, Debug)]
pub struct Monitored {
    pub inst: Inst,
    pub config_epoch: u64,
    pub o_down: bool,
    pub replicas: BTreeMap<Address, Inst>,
    pub sentinels: BTreeMap<Id, Inst>,
    pub leader: Option<Id>,
    pub leader_epoch: u64,
    pub stage: Stage,
    pub stage_at: u64,
    pub failover_start: u64,
    pub failover_epoch: u64,
    pub forced: bool,
    pub promoted: Option<Address>,
}

impl Monitored {
    pub fn new(addr: Address, now: u64) -> Self {
        Monitored {
            inst: Inst::new(addr, now, true),
            config_epoch: 0,
            o_down: false,
            replicas: BTreeMap::new(),
            sentinels: BTreeMap::new(),
            leader: None,
            leader_epoch: 0,
            stage: Stage::None,
            stage_at: 0,
            failover_start: 0,
            failover_epoch: 0,
            forced: false,
            promoted: None,
        }
    }

    pub fn in_failover(&self) -> bool {
        self.stage != Stage::None
    }

    /// `sentinelGetCurrentMasterAddress`: the promoted one as soon as it was seen promoted.
    pub fn named(&self) -> Address {
        match self.promoted {
            Some(p) if self.stage >= Stage::ReconfSlaves => p,
            _ => self.inst.addr,
        }
    }
}

/// What survives in its file.
#[derive(Clone, Debug, Default)]
pub struct SentFile {
    /// The cluster that its id tells; 0: none.
    pub cluster: u64,
    pub current_epoch: u64,
    pub monitor: Option<FileMonitor>,
}

/// `sentinel monitor` and the lines that belong to it.
#[derive(Clone, Debug)]
pub struct FileMonitor {
    pub addr: Address,
    pub config_epoch: u64,
    pub leader_epoch: u64,
    pub replicas: Vec<Address>,
    pub sentinels: Vec<(Id, Address)>,
}

/// The process.
pub struct Sentinel {
    pub id: Id,
    /// The name of its master.
    pub group: usize,
    pub me: Address,
    pub current_epoch: u64,
    pub tilt_since: u64,
    pub previous: u64,
    pub info_period: u64,
    pub tick: u64,
    pub quorum: usize,
    pub down_after: u64,
    pub failover_timeout: u64,
    pub m: Option<Monitored>,
    pub out: Vec<Out>,
    pub random: u64,
    next_conn: u64,
}

impl Sentinel {
    /// A Sentinel that starts with this file.
    pub fn new(id: Id, me: Address, file: &SentFile, now: u64, random: u64) -> Self {
        let mut s = Sentinel {
            id,
            group: 0,
            me,
            current_epoch: file.current_epoch,
            tilt_since: 0,
            previous: now,
            info_period: INFO_PERIOD,
            tick: 50 * MS + random % (50 * MS),
            quorum: 2,
            down_after: 5 * SEC,
            failover_timeout: 10 * SEC,
            m: None,
            out: Vec::new(),
            random,
            next_conn: 1,
        };
        if let Some(f) = &file.monitor {
            let mut m = Monitored::new(f.addr, now);
            m.config_epoch = f.config_epoch;
            m.leader_epoch = f.leader_epoch;
            for &r in f.replicas.iter().filter(|&&r| r != f.addr) {
                m.replicas.insert(r, Inst::new(r, now, false));
            }
            for &(id, at) in f.sentinels.iter().filter(|&&(i, _)| i != s.id) {
                m.sentinels.insert(id, Inst::new(at, now, false));
            }
            s.m = Some(m);
        }
        s
    }

    /// What its file holds at this moment (it is rewritten at every change).
    pub fn file(&self) -> SentFile {
        SentFile {
            cluster: (self.id >> 64) as u64,
            current_epoch: self.current_epoch,
            monitor: self.m.as_ref().map(|m| FileMonitor {
                addr: m.named(),
                config_epoch: m.config_epoch,
                leader_epoch: m.leader_epoch,
                replicas: m.replicas.keys().copied().chain([m.inst.addr]).filter(|&a| a != m.named()).collect(),
                sentinels: m.sentinels.iter().map(|(&id, i)| (id, i.addr)).collect(),
            }),
        }
    }

    pub fn tilt(&self) -> bool {
        self.tilt_since != 0
    }

    pub fn inst(&mut self, key: Key) -> Option<&mut Inst> {
        let m = self.m.as_mut()?;
        match key {
            Key::Master => Some(&mut m.inst),
            Key::Replica(a) => m.replicas.get_mut(&a),
            Key::Sentinel(id) => m.sentinels.get_mut(&id),
        }
    }

    pub fn keys(&self) -> Vec<Key> {
        let Some(m) = &self.m else { return Vec::new() };
        let mut keys = vec![Key::Master];
        keys.extend(m.replicas.keys().map(|&a| Key::Replica(a)));
        keys.extend(m.sentinels.keys().map(|&i| Key::Sentinel(i)));
        keys
    }

    pub fn event(&mut self, name: &'static str) {
        self.out.push(Out::Event(name));
    }

    /// A small random number (`rand()`).
    pub fn rand(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % below.max(1)
    }

    pub fn new_conn(&mut self) -> u64 {
        self.next_conn += 1;
        self.next_conn
    }
}
