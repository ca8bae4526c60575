//! The world: virtual time in microseconds, one queue ordered by (time, number), hosts with their processes.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};

use redinit::core::id::Address;

use crate::client::Clients;
use crate::config::Config;
use crate::elector::Elector;
use crate::net::Net;
use crate::pods::Pods;
pub use crate::process::{Proc, Which};
use crate::rng::Rng;
use crate::sentinel::{SentFile, Sentinel};
use crate::server::{Disk, Server};
use crate::supervisor::Sup;

pub const MS: u64 = 1_000;
pub const SEC: u64 = 1_000_000;
pub const START: u64 = 1_000 * SEC;
pub const SERVER_PORT: u16 = 6379;
pub const SENTINEL_PORT: u16 = 26379;

/// Index of a host (a pod: one address, one supervisor, one child).
pub type HostId = usize;
/// Something that happens at a time.
pub type Job = Box<dyn FnOnce(&mut World)>;

/// Adds a line to the history; formatted only where somebody will read it.
#[macro_export]
macro_rules! say {
    ($w:expr, $($arg:tt)*) => {
        if $w.tracing { let line = format!($($arg)*); $w.note(line); }
    };
}

struct Due {
    at: u64,
    seq: u64,
    job: Job,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.seq == other.seq
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.seq).cmp(&(self.at, self.seq))
    }
}

/// What stands on a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostRole {
    Server,
    Sentinel,
    Client,
    Lock,
}

/// What the child is.
pub enum Body {
    None,
    Server(Box<Server>),
    Sentinel(Box<Sentinel>),
}

/// A pod.
pub struct Host {
    pub name: String,
    pub ip: IpAddr,
    /// How often it was replaced under another address; with a new name each time, or the same one.
    pub moved: u8,
    pub renamed: u8,
    /// On its way to another address: nobody starts it meanwhile.
    pub moving: bool,
    pub role: HostRole,
    /// Nothing comes or goes, as from a lost node.
    pub silent: bool,
    pub sup_proc: Proc,
    pub sup: Sup,
    pub child_proc: Proc,
    pub child: Body,
    pub disk: Disk,
    pub sentinel_disk: Option<SentFile>,
}

/// Everything.
pub struct World {
    pub now: u64,
    seq: u64,
    queue: BinaryHeap<Due>,
    pub rng: Rng,
    pub config: Config,
    pub net: Net,
    pub hosts: Vec<Host>,
    pub elector: Elector,
    pub clients: Clients,
    pub pods: Pods,
    pub tracing: bool,
    pub history: VecDeque<String>,
    pub violation: Option<String>,
    /// Faults beyond planned events are drawn.
    pub unplanned: bool,
    pub unchecked: bool,
    /// It ended in a conflict that a person must decide.
    pub conflict: bool,
    pub watch: crate::invariants::Watch,
    pub steps: u64,
    /// The cluster whose members faults are drawn from.
    pub focus: usize,
    /// Names that still resolve to where a pod was.
    pub stale: Vec<crate::clusters::Stale>,
    /// The last messages between supervisors, where somebody lies by them.
    pub overheard: VecDeque<(Address, redinit::core::message::PeerMessage)>,
    same_instant: (u64, u64),
}

impl World {
    /// Hosts without any process on them.
    pub fn empty(config: Config, tracing: bool) -> Self {
        let mut rng = Rng::new(config.seed);
        let mut hosts = Vec::new();
        let mut add = |name: String, role: HostRole| {
            let n = hosts.len();
            hosts.push(Host {
                name,
                ip: IpAddr::V4(Ipv4Addr::new(10, 0, 0, n as u8 + 1)),
                moved: 0,
                renamed: 0,
                moving: false,
                role,
                silent: false,
                sup_proc: Proc::default(),
                sup: Sup::default(),
                child_proc: Proc::default(),
                child: Body::None,
                disk: Disk::default(),
                sentinel_disk: None,
            });
        };
        for i in 0..config.servers {
            add(format!("S{i}"), HostRole::Server);
        }
        for i in 0..config.sentinels {
            add(format!("T{i}"), HostRole::Sentinel);
        }
        add("lock".into(), HostRole::Lock);
        add("client".into(), HostRole::Client);
        for i in 0..(config.clusters - 1) * config.servers {
            add(format!("BS{i}"), HostRole::Server);
        }
        for i in 0..(config.clusters - 1) * config.sentinels {
            add(format!("BT{i}"), HostRole::Sentinel);
        }
        let net = Net::new(hosts.len(), &mut rng);
        World {
            now: START,
            seq: 0,
            queue: BinaryHeap::new(),
            rng,
            elector: Elector::new(config.elector, config.servers),
            config,
            net,
            hosts,
            clients: Clients::default(),
            pods: Pods::default(),
            tracing,
            history: VecDeque::new(),
            violation: None,
            unplanned: false,
            unchecked: false,
            conflict: false,
            watch: crate::invariants::Watch::default(),
            steps: 0,
            focus: 0,
            stale: Vec::new(),
            overheard: VecDeque::new(),
            same_instant: (0, 0),
        }
    }

    /// Hosts with servers, of the cluster that is looked at.
    pub fn servers(&self) -> std::ops::Range<HostId> {
        self.servers_of(self.focus)
    }

    /// Hosts with Sentinels, of the same.
    pub fn sentinels(&self) -> std::ops::Range<HostId> {
        self.sentinels_of(self.focus)
    }

    /// The host that grants leases.
    pub fn lock_host(&self) -> HostId {
        self.config.servers + self.config.sentinels
    }

    /// The host on which clients run.
    pub fn client_host(&self) -> HostId {
        self.lock_host() + 1
    }

    /// Where the host's child listens.
    pub fn address(&self, h: HostId) -> Address {
        let port = if self.hosts[h].role == HostRole::Sentinel { SENTINEL_PORT } else { SERVER_PORT };
        Address::new(self.hosts[h].ip, port)
    }

    /// Who has this address; nobody for 127.0.0.1 and other inventions, and for one that its host has left.
    pub fn host_at(&self, at: Address) -> Option<HostId> {
        if self.config.clusters > 1 {
            return self.hosts.iter().position(|host| host.ip == at.ip());
        }
        let IpAddr::V4(ip) = at.ip() else { return None };
        let o = ip.octets();
        let h = usize::from(o[3]).checked_sub(1)?;
        self.hosts.get(h).is_some_and(|host| host.ip == at.ip()).then_some(h)
    }

    /// The host has ended and comes back at another address.
    pub fn readdress(&mut self, h: HostId) {
        let host = &mut self.hosts[h];
        host.moved += 1;
        host.ip = IpAddr::V4(Ipv4Addr::new(10, 0, host.moved, h as u8 + 1));
        crate::say!(self, "{} is at {} now", self.hosts[h].name, self.hosts[h].ip);
    }

    /// A Sentinel is replaced by one that knows nothing, at another address, under a new name or its own.
    pub fn replace_sentinel(&mut self, t: HostId, renamed: bool, after: u64) {
        self.kill_pod(t);
        self.readdress(t);
        self.hosts[t].renamed += u8::from(renamed);
        self.hosts[t].sentinel_disk = None;
        self.pod_returns(t, after);
    }

    /// A Sentinel's `myid`: of its name, which a replaced one may have kept.
    pub fn sentinel_id(&self, t: HostId) -> u128 {
        let cluster = self.hosts[t].sentinel_disk.as_ref().map_or(0, |disk| disk.cluster);
        u128::from(cluster) << 64 | u128::from(0xA000 + self.name_of(t) + 0x100 * u64::from(self.hosts[t].renamed))
    }

    pub fn server(&self, h: HostId) -> Option<&Server> {
        match &self.hosts[h].child {
            Body::Server(s) if self.hosts[h].child_proc.alive => Some(s),
            _ => None,
        }
    }

    pub fn server_mut(&mut self, h: HostId) -> Option<&mut Server> {
        self.unchecked = true;
        let host = &mut self.hosts[h];
        match &mut host.child {
            Body::Server(s) if host.child_proc.alive => Some(s),
            _ => None,
        }
    }

    pub fn sentinel(&self, h: HostId) -> Option<&Sentinel> {
        match &self.hosts[h].child {
            Body::Sentinel(s) if self.hosts[h].child_proc.alive => Some(s),
            _ => None,
        }
    }

    pub fn sentinel_mut(&mut self, h: HostId) -> Option<&mut Sentinel> {
        let host = &mut self.hosts[h];
        match &mut host.child {
            Body::Sentinel(s) if host.child_proc.alive => Some(s),
            _ => None,
        }
    }

    /// Schedules a job.
    pub fn at(&mut self, at: u64, job: Job) {
        self.seq += 1;
        let at = at.max(self.now);
        self.queue.push(Due { at, seq: self.seq, job });
    }

    /// A line of history.
    pub fn note(&mut self, line: String) {
        if self.history.len() >= self.config.history_limit {
            self.history.pop_front();
        }
        let t = self.now - START;
        let line = format!("{:>4}.{:06} {line}", t / SEC, t % SEC);
        if self.config.print {
            eprintln!("{line}");
        }
        self.history.push_back(line);
    }

    /// Something must never happen, and has.
    pub fn violate(&mut self, what: String) {
        if self.violation.is_none() {
            crate::say!(self, "VIOLATION {what}");
            self.violation = Some(what);
        }
    }

    /// Runs one job; false when there is none, or something was violated.
    pub fn step(&mut self) -> bool {
        if self.violation.is_some() {
            return false;
        }
        let Some(due) = self.queue.pop() else { return false };
        if due.at == self.same_instant.0 {
            self.same_instant.1 += 1;
            if self.same_instant.1 > 20_000 {
                self.violate("20,000 events at one instant: a hot loop".into());
                return false;
            }
        } else {
            self.same_instant = (due.at, 0);
        }
        self.now = due.at;
        self.steps += 1;
        (due.job)(self);
        if self.unchecked {
            self.unchecked = false;
            crate::invariants::check_step(self);
        }
        self.violation.is_none()
    }

    /// Runs until this time (from the start), or a violation.
    pub fn run_to(&mut self, at: u64) {
        while self.violation.is_none() && self.queue.peek().is_some_and(|d| d.at <= at) {
            self.step();
        }
        if self.violation.is_none() {
            self.now = self.now.max(at);
        }
    }

    /// Runs for this long.
    pub fn run_for(&mut self, us: u64) {
        self.run_to(self.now + us);
    }

    /// As [`World::run_until`], looking after every single event.
    pub fn step_until(&mut self, limit: u64, mut holds: impl FnMut(&World) -> bool) -> Option<u64> {
        let start = self.now;
        while self.violation.is_none() && !holds(self) {
            if self.queue.peek().is_none_or(|d| d.at > start + limit) {
                return None;
            }
            self.step();
        }
        self.violation.is_none().then_some(self.now - start)
    }

    /// Runs until something holds, at most this long; how long it took.
    pub fn run_until(&mut self, limit: u64, mut holds: impl FnMut(&World) -> bool) -> Option<u64> {
        let start = self.now;
        loop {
            if self.violation.is_some() {
                return None;
            }
            if holds(self) {
                return Some(self.now - start);
            }
            if self.now - start >= limit {
                return None;
            }
            self.run_for(10 * MS);
        }
    }
}
