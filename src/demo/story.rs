//! The demo's acts: the cluster forms, writers write, the master is told to stop, the count.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::cluster::{Cluster, Plan};
use super::launch::namespaces_work;
use super::ledger::{Ledger, Writing};
use super::node::Node;
use super::screen::{Screen, grouped, say, short, state, table};
use super::{DemoError, Options, Stop};

/// A cold start takes about 2 s; on a busy machine more.
const FORMING: Duration = Duration::from_secs(60);
/// The writers run so long before and after.
const BEFORE: Duration = Duration::from_secs(2);
const AFTER: Duration = Duration::from_secs(2);
/// A handover takes well under a second, a process's stop a few; the grace period is 60 s.
const TAKE_OVER: Duration = Duration::from_secs(60);

/// Tells the whole story.
pub(super) fn tell(options: &Options) -> Result<(), DemoError> {
    let stop = Stop::on_signals().map_err(DemoError::SetUp)?;
    if !["redis-server", "valkey-server"].iter().any(|engine| super::launch::on_path(engine)) {
        return Err(DemoError::NoEngine);
    }
    let mut cluster = prepare(options)?;
    let told = acts(&mut cluster, &stop, options.once);
    match &told {
        Err(DemoError::Stopped) | Ok(()) => say!(""),
        Err(_) => {
            cluster.keep = true;
            say!("Its logs stay in {}", cluster.dir().display());
        }
    }
    say!("Stopping all nodes and cleaning up.");
    told
}

fn prepare(options: &Options) -> Result<Cluster, DemoError> {
    let program = std::env::current_exe().map_err(DemoError::SetUp)?;
    // A binary that was replaced while it runs is "/path (deleted)" here: this one is always the right one.
    let program = if program.exists() { program } else { PathBuf::from("/proc/self/exe") };
    let plan = Plan { dir: options.dir.clone(), ..Plan::new(program) };
    Cluster::prepare(plan).map_err(DemoError::SetUp)
}

fn acts(cluster: &mut Cluster, stop: &Stop, once: bool) -> Result<(), DemoError> {
    introduce(cluster);
    form(cluster, stop)?;
    hand_over(cluster, stop)?;
    if once {
        return Ok(());
    }
    live(cluster, stop)
}

fn introduce(cluster: &Cluster) {
    let hosts = |nodes: Vec<&Node>| nodes.iter().map(|node| node.ip.to_string()).collect::<Vec<_>>().join("  ");
    say!("redinit demo: a Redis cluster that looks after itself, on this machine only");
    say!("");
    say!("  3 servers    {}  port 6379", hosts(cluster.servers().collect()));
    say!("  3 Sentinels  {}  port 26379", hosts(cluster.sentinel_nodes().collect()));
    let how =
        if namespaces_work() { "PID 1 of a namespace of its own, as in a container" } else { "its parent process" };
    say!("  Each has its own redinit: {how}.");
    say!("  Data, logs:  {} (removed at the end)", cluster.dir().display());
}

/// Act 1.
fn form(cluster: &mut Cluster, stop: &Stop) -> Result<(), DemoError> {
    say!("");
    say!("1. All six start at the same moment, empty. Nobody is told who the master is.");
    let began = Instant::now();
    cluster.start_all().map_err(DemoError::SetUp)?;
    let mut news = News::new(began);
    loop {
        news.look(cluster);
        match cluster.settled() {
            Ok(master) => {
                news.look(cluster);
                say!(
                    "   {:>7}  agreed: all three Sentinels name {master}, both replicas are in sync",
                    short(began.elapsed())
                );
                return Ok(());
            }
            Err(reason) if began.elapsed() > FORMING => {
                return Err(DemoError::Late { what: "a master", seconds: FORMING.as_secs(), reason });
            }
            Err(_) => pause(Duration::from_millis(50), stop)?,
        }
    }
}

/// Acts 2 and 3.
fn hand_over(cluster: &mut Cluster, stop: &Stop) -> Result<(), DemoError> {
    say!("");
    say!("2. Two clients write as fast as they can and keep a ledger of every acknowledged write.");
    let mut ledger = Ledger::open(&cluster.sentinels(), "demo", &Writing::default());
    pause(BEFORE, stop)?;
    if ledger.acknowledged() == 0 {
        let reason = format!("{:?}", ledger.errors());
        return Err(DemoError::Late { what: "a first write", seconds: BEFORE.as_secs(), reason });
    }
    say!("   {} writes acknowledged in {}", grouped(ledger.acknowledged()), short(BEFORE));
    let old = cluster.sentinels().majority().ok_or_else(|| no_master(BEFORE))?;
    let name = cluster.name_of(old);
    say!("");
    say!("3. The master, {name}, gets SIGTERM, as in every rolling update. The clients go on writing.");
    let told = Instant::now();
    cluster.node_mut(&name).map(|node| node.signal(Signal::SIGTERM));
    let (new, status) = watch_handover(cluster, &name, old, told, stop)?;
    pause(AFTER, stop)?;
    let end = Instant::now();
    ledger.close();
    let gap = ledger.longest_gap(told, end);
    let lost = ledger.lost(new).map_err(DemoError::ReadBack)?;
    say!("");
    say!("   Took over             {} ({new}); {name} ended with {}", cluster.name_of(new), exit(status));
    say!("   Acknowledged writes   {}", grouped(ledger.acknowledged()));
    say!("   Lost                  {}", lost.len());
    say!("   Longest gap           {} without a write", short(gap.length));
    if lost.is_empty() { Ok(()) } else { Err(DemoError::Lost(lost.len())) }
}

fn watch_handover(
    cluster: &mut Cluster,
    name: &str,
    old: SocketAddr,
    told: Instant,
    stop: &Stop,
) -> Result<(SocketAddr, ExitStatus), DemoError> {
    let (mut new, mut status) = (None, None);
    loop {
        if new.is_none() {
            new = cluster.sentinels().majority().filter(|address| *address != old);
            if let Some(new) = new {
                say!(
                    "   {:>7}  {} is the new master, a majority of the Sentinels says so",
                    short(told.elapsed()),
                    cluster.name_of(new)
                );
            }
        }
        if status.is_none() {
            status = cluster.node_mut(name).and_then(|node| node.wait(Duration::ZERO));
            if status.is_some() {
                say!("   {:>7}  {name} has ended", short(told.elapsed()));
            }
        }
        if let (Some(new), Some(status)) = (new, status) {
            return Ok((new, status));
        }
        if told.elapsed() > TAKE_OVER {
            return Err(match status {
                None => DemoError::Late {
                    what: "the old master's end",
                    seconds: TAKE_OVER.as_secs(),
                    reason: String::new(),
                },
                Some(_) => no_master(TAKE_OVER),
            });
        }
        pause(Duration::from_millis(5), stop)?;
    }
}

/// The last act: it goes on until Ctrl-C.
fn live(cluster: &mut Cluster, stop: &Stop) -> Result<(), DemoError> {
    say!("");
    say!("4. The cluster stays up until Ctrl-C; a node that ends is started again, as an orchestrator would do.");
    if let (Some(sentinel), Some(server)) = (cluster.sentinel_nodes().next(), cluster.servers().next()) {
        say!("   Try, in another terminal:");
        say!("     kill -TERM PID      stop a node (its pid is below); kill -KILL PID: crash it");
        say!("     redis-cli -h {} -p 26379 SENTINEL FAILOVER mymaster", sentinel.ip);
        say!("     REDINIT_SOCKET={} {} status", server.socket().display(), cluster.plan.program.display());
    }
    say!("");
    // Slow, and with as many keys as records, so that it can run for days.
    let writing = Writing { rest: Duration::from_millis(10), only_last: Some(10_000), ..Writing::default() };
    let ledger = Ledger::open(&cluster.sentinels(), "live", &writing);
    let mut screen = Screen::default();
    loop {
        for node in &mut cluster.nodes {
            if !node.is_running() {
                node.start().map_err(DemoError::SetUp)?;
            }
        }
        let now = Instant::now();
        let from = ledger.began().max(now.checked_sub(Duration::from_secs(60)).unwrap_or(now));
        let gap = short(ledger.longest_gap(from, now).length);
        let counters = format!("  {} writes, longest gap in the last minute {gap}", grouped(ledger.acknowledged()));
        screen.show(table(cluster), &counters);
        pause(Duration::from_secs(1), stop)?;
    }
}

/// Prints what nodes say of themselves, whenever that changes.
struct News {
    began: Instant,
    last: BTreeMap<String, String>,
}

impl News {
    fn new(began: Instant) -> Self {
        News { began, last: BTreeMap::new() }
    }

    fn look(&mut self, cluster: &Cluster) {
        for node in cluster.servers() {
            let (phase, reason) = state(node);
            let becomes = match phase.as_str() {
                "undecided" => "keeps its door shut",
                "master" => "becomes master",
                "replica" => "becomes a replica",
                _ => continue,
            };
            if self.last.get(&node.name) != Some(&phase) {
                say!("   {:>7}  {} {becomes}: {reason}", short(self.began.elapsed()), node.name);
                self.last.insert(node.name.clone(), phase);
            }
        }
    }
}

fn pause(time: Duration, stop: &Stop) -> Result<(), DemoError> {
    let end = Instant::now() + time;
    while !stop.asked() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(Duration::from_millis(100)));
    }
    Err(DemoError::Stopped)
}

fn no_master(within: Duration) -> DemoError {
    let reason = "no majority of the Sentinels names one".to_owned();
    DemoError::Late { what: "a new master", seconds: within.as_secs(), reason }
}

fn exit(status: ExitStatus) -> String {
    status.code().map_or_else(|| status.to_string(), |code| format!("exit status {code}"))
}
