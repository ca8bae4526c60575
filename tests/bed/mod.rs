//! The shared bed of the scenario tests: real servers and Sentinels under real supervisors, a ledger, and a watch for a
//! second master. One cluster at a time: clusters that share two cores would only measure each other. Those that mostly
//! wait are the exception ([`Turn`]).
#![allow(dead_code, unused_imports, reason = "every test binary uses its own part")]
#![allow(clippy::disallowed_methods, reason = "tests have no reaper to race with")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

pub use net::{CLIENTS, Family, Fault, Net};
pub use nix::sys::signal::Signal;
pub use redinit::demo::cluster::{Cluster, ElectorPlan, Kind, Node, Plan};
pub use redinit::demo::launch::namespaces_work;
pub use redinit::demo::ledger::{Client, Gap, Ledger, Writing};
pub use redinit::demo::watch::{Sightings, Watch};
pub use redinit::demo::{http, wire};
pub use scarce::Scarce;
pub use skipped::say_skipped;
pub use turn::Turn;

pub mod disks;
#[macro_use]
pub mod engines;
pub mod floor;
pub mod liar;
pub mod names;
pub mod net;
pub mod scarce;
pub mod service;
pub mod skipped;
pub mod stopped;
pub mod turn;

/// How long a cluster may take to be whole again after anything. The promises of single scenarios are tighter and are
/// asserted where they are made.
pub const WHOLE: Duration = Duration::from_secs(60);

/// As long as a cluster is left alone before what is measured: longer than a leader refuses another handover.
pub const REST: Duration = Duration::from_secs(11);

/// Milliseconds.
pub const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Seconds.
pub const fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// How long a server that slept may say master before its supervisor has fenced it (D6, `docs/guarantees.md`).
const WAKING: Duration = ms(300);

/// Two masters seen at once while nobody woke. Who wakes says master until its supervisor has run, which fences first; what
/// it acknowledged then, the ledgers know.
pub fn doubles_but_of_waking(seen: &Sightings, watching: Instant, woken: Option<Instant>) -> usize {
    let woken = woken.map(|at| at.saturating_duration_since(watching));
    let waking = |at: Duration| woken.is_some_and(|woken| at + ms(50) >= woken && at <= woken + WAKING);
    seen.doubles.iter().filter(|(at, ..)| !waking(*at)).count()
}

/// The binary under test.
pub fn binary() -> PathBuf {
    std::env::var_os("REDINIT_BIN").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_redinit")), PathBuf::from)
}

/// Three servers, three Sentinels, on the engine that `TEST_ENGINE` names, else on the one in `PATH`.
pub fn plan() -> Plan {
    let plan = Plan::new(binary());
    match std::env::var("TEST_ENGINE") {
        Ok(engine) => plan.set("REDINIT_ENGINE", &engine),
        Err(_) => plan,
    }
}

/// How often something is repeated: once on an engine that `TEST_ENGINE` names, since the one in `PATH` has had its rounds.
pub fn rounds(count: usize) -> usize {
    if std::env::var_os("TEST_ENGINE").is_some() { 1 } else { count }
}

/// A cluster for one test.
pub struct Bed {
    pub cluster: Cluster,
    /// Where the nodes live apart: their network.
    net: Option<Net>,
    /// What its nodes live on; dropped after them.
    scarce: Vec<Scarce>,
    pub(super) ledgers: u32,
    turn: Turn,
}

/// What an event did to the writers.
#[derive(Debug)]
pub struct Outcome {
    /// Acknowledged writes that the last master does not have.
    pub lost: Vec<String>,
    /// The longest gap of any writer from the event on.
    pub gap: Duration,
    pub acknowledged: u64,
    /// The master's name before and after.
    pub before: String,
    pub after: String,
    pub errors: String,
    pub doubles: usize,
}

impl Outcome {
    /// Printed, in one line.
    pub fn told(self) -> Self {
        let Outcome { gap, acknowledged, before, after, errors, lost, .. } = &self;
        let lost = lost.len();
        println!("event: {before} to {after}, {acknowledged} acknowledged, {lost} lost, gap {gap:?}, errors {errors}");
        self
    }

    /// No write lost, and never two masters that take writes.
    #[track_caller]
    pub fn lossless(&self) -> &Self {
        assert!(self.lost.is_empty(), "{} acknowledged writes lost: {self:?}", self.lost.len());
        self.single()
    }

    /// Never two masters that take writes.
    #[track_caller]
    pub fn single(&self) -> &Self {
        assert_eq!(self.doubles, 0, "two masters took writes at once: {self:?}");
        self
    }

    /// A crash may take the writes whose acknowledgement it overtook: one for each writer.
    #[track_caller]
    pub fn lost_in_flight_at_most(&self) -> &Self {
        assert!(self.lost.len() <= 2, "{} acknowledged writes lost: {self:?}", self.lost.len());
        self.single()
    }

    #[track_caller]
    pub fn gap_within(&self, limit: Duration) -> &Self {
        assert!(self.gap <= limit, "{:?} without a write, promised are {limit:?}: {self:?}", self.gap);
        self
    }

    #[track_caller]
    pub fn moved(&self) -> &Self {
        assert_ne!(self.before, self.after, "the master did not change: {self:?}");
        self
    }
}

impl Bed {
    /// A cluster that was started and is whole; from then on it has the machine to itself.
    #[track_caller]
    pub fn up(plan: Plan) -> Self {
        Self::up_in(Turn::standing(), plan).begin()
    }

    /// The same, once it has been left alone for 11 s: Sentinels know each other then, and no handover is too soon.
    #[track_caller]
    pub fn rested(plan: Plan) -> Self {
        let bed = Self::up_in(Turn::standing(), plan);
        sleep(REST);
        bed.begin()
    }

    /// A cluster that was started and is whole, for a test that mostly waits.
    #[track_caller]
    pub fn up_beside(plan: Plan) -> Self {
        Self::up_in(Turn::beside(), plan)
    }

    #[track_caller]
    fn up_in(turn: Turn, plan: Plan) -> Self {
        let mut bed = Self::prepare_in(turn, plan);
        bed.cluster.start_all().unwrap();
        bed.settle("at the start");
        bed
    }

    fn begin(mut self) -> Self {
        self.turn.begin();
        self
    }

    /// Leaves the cluster alone for so long, between two rounds; other tests may run meanwhile. No writer of its own does.
    pub fn rest(&mut self, time: Duration) {
        self.turn.interrupt();
        sleep(time);
        self.turn.begin();
    }

    /// A cluster of which nothing runs yet.
    pub fn prepare(plan: Plan) -> Self {
        Self::prepare_in(Turn::alone(), plan)
    }

    /// The same, in this turn.
    pub fn prepare_in(turn: Turn, plan: Plan) -> Self {
        Bed { cluster: Cluster::prepare(plan).unwrap(), net: None, scarce: Vec::new(), ledgers: 0, turn }
    }

    /// The same, with each node in a network namespace of its own; see [`needs_net`](crate::needs_net).
    pub fn prepare_apart(plan: Plan, family: Family) -> Self {
        Self::prepare_apart_in(Turn::alone(), plan, family)
    }

    /// The same, in this turn: networks do not see each other.
    pub fn prepare_apart_in(turn: Turn, mut plan: Plan, family: Family) -> Self {
        let net = Net::make(&mut plan, family).unwrap();
        Bed { cluster: Cluster::prepare(plan).unwrap(), net: Some(net), scarce: Vec::new(), ledgers: 0, turn }
    }

    /// A cluster on a network of its own that was started and is whole; from then on it has the machine to itself.
    #[track_caller]
    pub fn apart(plan: Plan) -> Self {
        Self::apart_in(Turn::standing(), plan).begin()
    }

    /// The same, once it has been left alone for 11 s.
    #[track_caller]
    pub fn apart_rested(plan: Plan) -> Self {
        let bed = Self::apart_in(Turn::standing(), plan);
        sleep(REST);
        bed.begin()
    }

    /// The same, in this turn.
    #[track_caller]
    pub fn apart_in(turn: Turn, plan: Plan) -> Self {
        let mut bed = Self::prepare_apart_in(turn, plan, Family::V4);
        bed.cluster.start_all().unwrap();
        bed.settle("at the start");
        bed
    }

    /// A small data directory for a node that does not run yet; needs root.
    #[track_caller]
    pub fn small_disk(&mut self, name: &str, megabytes: u32) {
        let scarce = scarce::small_disk(self.node_mut(name), megabytes).unwrap();
        self.scarce.push(scarce);
    }

    /// Little memory for a node that does not run yet, or the reason why not.
    pub fn little_memory(&mut self, name: &str, megabytes: u64) -> Result<(), String> {
        let scarce = scarce::little_memory(self.node_mut(name), megabytes)?;
        self.scarce.push(scarce);
        Ok(())
    }

    /// Starts these as masters that nobody supervises: `bare` in their supervisors' place, following nobody.
    pub fn start_bare_masters(&mut self, bare: &std::path::Path, names: &[&str]) {
        for name in names {
            let node = self.node_mut(name);
            bare.clone_into(&mut node.program);
            node.env.push(("ALONE".into(), "1".into()));
            node.start().unwrap();
        }
    }

    /// The network of a bed that lives apart.
    #[track_caller]
    pub fn net(&mut self) -> &mut Net {
        self.net.as_mut().expect("this bed is on the loopback")
    }

    /// Opens a ledger whose clients live in this room; without a network of our own, here.
    pub fn ledger(&mut self, room: &str, writing: &Writing) -> Ledger {
        self.ledgers += 1;
        let (sentinels, name) = (self.cluster.sentinels(), self.ledgers.to_string());
        let open = || Ledger::open(&sentinels, &name, writing);
        self.net.as_ref().map_or_else(open, |net| net.inside(room, open))
    }

    /// Waits until the cluster is whole; the master's name.
    #[track_caller]
    pub fn settle(&self, when: &str) -> String {
        let master = match self.cluster.wait_settled(WHOLE) {
            Ok(master) => master,
            Err(reason) => panic!("not whole within {WHOLE:?} {when}: {reason}"),
        };
        // Sentinels that have just started know no quorum yet: a promise is made by a cluster that has one.
        self.wait("every node is ready", WHOLE, |cluster| {
            cluster.nodes.iter().all(|node| node.probe("readyz").is_none_or(|(ready, _)| ready))
        });
        master
    }

    #[track_caller]
    pub fn node(&self, name: &str) -> &Node {
        self.cluster.node(name).unwrap()
    }

    #[track_caller]
    pub fn node_mut(&mut self, name: &str) -> &mut Node {
        self.cluster.node_mut(name).unwrap()
    }

    /// The master's name, by a majority of the Sentinels.
    #[track_caller]
    pub fn master(&self) -> String {
        self.cluster.name_of(self.cluster.sentinels().majority().expect("no majority of the Sentinels names a master"))
    }

    /// The names of the servers that are not the master.
    pub fn replicas(&self) -> Vec<String> {
        let master = self.master();
        self.cluster.servers().map(|node| node.name.clone()).filter(|name| *name != master).collect()
    }

    /// `SENTINEL FAILOVER` as somebody would type it.
    #[track_caller]
    pub fn type_failover(&self, sentinel: &str) -> wire::Reply {
        self.cluster.sentinels().order(self.node(sentinel).address(), &["FAILOVER"]).unwrap()
    }

    /// Whom a Sentinel has chosen in a failover that it runs.
    pub fn proposed(&self) -> Option<String> {
        let sentinels = self.cluster.sentinels();
        sentinels.addresses().iter().find_map(|sentinel| {
            let rows = sentinels.order(*sentinel, &["REPLICAS"]).ok()?;
            let row =
                rows.items().iter().find(|row| row.field("flags").is_some_and(|flags| flags.contains("promoted")))?;
            let ip = row.field("ip")?;
            self.cluster.servers().find(|node| node.ip.to_string() == ip).map(|node| node.name.clone())
        })
    }

    /// No Sentinel runs a failover; one ends up to some seconds after the new master is named.
    pub fn sentinels_rest(&self) -> bool {
        let sentinels = self.cluster.sentinels();
        let runs = |row: wire::Reply| row.field("flags").is_some_and(|flags| flags.contains("failover_in_progress"));
        sentinels.addresses().iter().all(|at| !sentinels.order(*at, &["MASTER"]).is_ok_and(runs))
    }

    /// Signals the supervisor.
    #[track_caller]
    pub fn signal(&mut self, name: &str, signal: Signal) {
        assert!(self.node_mut(name).signal(signal), "{name} is gone");
    }

    /// Freezes or wakes supervisor and engine: what a stalled machine does.
    pub fn signal_machine(&mut self, name: &str, signal: Signal) {
        self.node(name).signal_engine(signal);
        self.node_mut(name).signal(signal);
    }

    /// Waits until something is so, looking every 2 ms.
    #[track_caller]
    pub fn wait(&self, what: &str, limit: Duration, mut is_so: impl FnMut(&Cluster) -> bool) {
        let end = Instant::now() + limit;
        while !is_so(&self.cluster) {
            assert!(Instant::now() < end, "{what}: not within {limit:?}");
            sleep(ms(2));
        }
    }

    /// Waits until a server other than `old` says master.
    #[track_caller]
    pub fn wait_leader_other_than(&self, old: &str, limit: Duration) -> String {
        let mut leader = None;
        self.wait("another leader", limit, |cluster| {
            let node = cluster.servers().find(|node| node.name != old && node.role().as_deref() == Some("master"));
            leader = node.map(|node| node.name.clone());
            leader.is_some()
        });
        leader.unwrap()
    }

    /// Waits until the supervisor of `name` has fenced its server.
    #[track_caller]
    pub fn wait_fenced(&self, name: &str, limit: Duration) {
        let server = self.node(name).address();
        let mut link = wire::Connection::open(server, secs(2)).unwrap();
        self.wait("the fence", limit, |_| {
            let reply = link.call(&["CONFIG", "GET", "min-replicas-to-write"]);
            reply.is_ok_and(|reply| reply.field("min-replicas-to-write").as_deref() == Some("100"))
        });
    }

    /// Runs `what` while two clients write, waits until the cluster is whole and writes flow again, and counts. Nodes
    /// that have ended meanwhile are started again first.
    #[track_caller]
    pub fn event(&mut self, what: impl FnOnce(&mut Bed)) -> Outcome {
        // About 2,000 writes a second: more than C1 asks for, and small data even after minutes.
        self.event_with(&Writing { rest: Duration::from_micros(800), ..Writing::default() }, what)
    }

    #[track_caller]
    pub fn event_with(&mut self, writing: &Writing, what: impl FnOnce(&mut Bed)) -> Outcome {
        let before = self.settle("before the event");
        let mut ledger = self.ledger(CLIENTS, writing);
        assert!(ledger.wait_for(500, secs(10)), "no writes before the event: {:?}", ledger.errors());
        let watch = Watch::start(self.cluster.server_addresses(), ms(10));
        let began = Instant::now();
        what(self);
        self.restart_ended();
        let after = self.settle("after the event");
        assert!(ledger.wait_for(500, secs(20)), "no writes after the event: {:?}", ledger.errors());
        let gap = ledger.longest_gap(began, Instant::now());
        ledger.close();
        let seen = watch.end();
        let master = self.node(&after).address();
        let lost = ledger.lost(master).unwrap();
        ledger.erase(master).unwrap();
        let outcome = Outcome {
            gap: gap.length,
            acknowledged: ledger.acknowledged(),
            before,
            after,
            errors: format!("{:?}", ledger.errors()),
            doubles: seen.doubles.len(),
            lost: lost.into_iter().take(1000).collect(),
        };
        outcome.told()
    }

    /// Starts what has ended, as an orchestrator does.
    pub fn restart_ended(&mut self) {
        for node in &mut self.cluster.nodes {
            if !node.is_running() {
                node.start().unwrap();
            }
        }
    }

    /// Writes that stay, so that there is something to load and to sync.
    #[track_caller]
    pub fn fill(&self, master: &str, keys: usize) {
        let mut link = wire::Connection::open(self.node(master).address(), secs(5)).unwrap();
        for key in 0..keys {
            link.push(&["SET", &format!("stays:{key}"), "x"]);
            if key % 500 == 499 {
                link.flush().unwrap();
                for _ in 0..500 {
                    assert!(matches!(link.read().unwrap(), wire::Reply::Status(_)));
                }
            }
        }
    }

    /// How often a word stands in a node's log.
    pub fn logged(&self, name: &str, word: &str) -> usize {
        let text = std::fs::read(self.node(name).log()).unwrap_or_default();
        String::from_utf8_lossy(&text).lines().filter(|line| line.contains(word)).count()
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        // For looking into a test that passed.
        self.cluster.keep |= std::env::var_os("BED_KEEP").is_some();
        if std::thread::panicking() {
            self.cluster.keep = true;
            eprintln!("logs and data are kept in {}", self.cluster.dir().display());
            for node in &self.cluster.nodes {
                eprintln!("---- {} ({})\n{}", node.name, node.address(), node.log_tail(25));
            }
        } else {
            for node in &self.cluster.nodes {
                let text = std::fs::read(node.log()).unwrap_or_default();
                assert!(!String::from_utf8_lossy(&text).contains("panicked at"), "{} panicked", node.name);
            }
        }
    }
}

/// One answer of `redinit` run as a command against a node's socket.
pub fn command(node: &Node, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = std::process::Command::new(&node.program);
    command.args(arguments).env_clear().envs(node.env.iter().map(|(name, value)| (name, value)));
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

/// Skips a test that needs PID namespaces, and says so.
#[macro_export]
macro_rules! needs_namespaces {
    () => {
        if !bed::namespaces_work() {
            fn here() {}
            let name = std::any::type_name_of_val(&here).trim_end_matches("::here");
            return bed::say_skipped(name, "needs root and PID namespaces");
        }
    };
}

/// Skips a test that needs a network of its own, by name and with the reason.
#[macro_export]
macro_rules! needs_net {
    () => {
        fn here() {}
        if let Some(reason) = bed::net::missing() {
            let name = std::any::type_name_of_val(&here).trim_end_matches("::here");
            return bed::say_skipped(name, &reason);
        }
    };
}

/// A place where nobody listens.
pub fn nowhere(bed: &Bed) -> SocketAddr {
    let std::net::IpAddr::V4(ip) = bed.cluster.nodes[0].address().ip() else { panic!("IPv4 only") };
    let [net, a, b, _] = ip.octets();
    SocketAddr::from(([net, a, b, 99], 6379))
}

/// Stands in for the supervisor: an engine with the same environment, and nobody that looks after it.
pub const BARE: &str = r#"#!/bin/sh
cd "$REDINIT_DATA_DIR" || exit 1
first=${REDINIT_SERVERS%%:*}
if [ "$REDINIT_MODE" = sentinel ]; then
    cat > sentinel.conf <<END
port 26379
bind $REDINIT_BIND
sentinel announce-ip $REDINIT_BIND
sentinel monitor mymaster $first 6379 2
sentinel down-after-milliseconds mymaster 5000
END
    exec redis-server sentinel.conf --sentinel
fi
set -- --replica-announce-ip "$REDINIT_BIND" --bind "$REDINIT_BIND" --port 6379 --save "" --repl-diskless-sync-delay 0 --protected-mode no
[ "$REDINIT_BIND" = "$first" ] || [ -n "$ALONE" ] || set -- "$@" --replicaof "$first" 6379
exec redis-server "$@"
"#;

/// The script [`BARE`], in a directory.
pub fn bare(dir: &std::path::Path) -> PathBuf {
    script(dir, "bare", BARE)
}

/// A script that can be run in a supervisor's place.
pub fn script(dir: &std::path::Path, name: &str, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let script = dir.join(name);
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    script
}
