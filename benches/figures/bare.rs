//! Where crashes, lost nodes, cuts and outages are measured: the tests' own bed, and beside it the same servers and
//! Sentinels started directly, without redinit.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::bed::{Bed, CLIENTS, Cluster, Family, Ledger, Plan, Signal, Writing, disks, plan, script};
use crate::{ms, secs};

/// Who looks after servers and Sentinels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Redinit,
    Nobody,
}

/// Both, to be compared in the same run.
pub const BOTH: [By; 2] = [By::Redinit, By::Nobody];

/// What a container runs that starts the engine and nothing else: with the demo's settings, and a file that Sentinel
/// rewrites and the next start finds.
const BARE: &str = r#"#!/bin/sh
cd "$REDINIT_DATA_DIR" || exit 1
me=$REDINIT_ANNOUNCE_ADDRESS first=${REDINIT_SERVERS%%:*}
if [ "$REDINIT_MODE" = sentinel ]; then
    [ -f sentinel.conf ] || cat > sentinel.conf <<END
port 26379
bind $me
protected-mode no
sentinel announce-ip $me
sentinel monitor mymaster $first 6379 2
sentinel down-after-milliseconds mymaster 5000
sentinel failover-timeout mymaster 10000
END
    exec redis-server sentinel.conf --sentinel
fi
if [ ! -f redis.conf ]; then
    printf '%s\n' "port 6379" "bind $me" "protected-mode no" "replica-announce-ip $me" "repl-diskless-sync-delay 0" > redis.conf
    [ "$me" = "$first" ] || echo "replicaof $first 6379" >> redis.conf
fi
exec redis-server redis.conf "$@"
"#;

/// How long a container runtime takes to start a container again.
const RESTART: Duration = secs(1);

/// How long anything may take to be whole again; without redinit some of it takes minutes.
const WHOLE: Duration = secs(240);

/// Three servers and three Sentinels.
pub struct Stand {
    pub bed: Bed,
    pub by: By,
    _dir: tempfile::TempDir,
}

impl Stand {
    /// On loopback addresses; the engines get these arguments.
    pub fn up(by: By, engine: &[&str]) -> Self {
        Self::start(by, engine, Bed::prepare)
    }

    /// Each node in a network of its own.
    pub fn apart(by: By, engine: &[&str]) -> Self {
        Self::start(by, engine, |plan| Bed::prepare_apart(plan, Family::V4))
    }

    fn start(by: By, engine: &[&str], prepare: impl FnOnce(Plan) -> Bed) -> Self {
        let dir = tempfile::tempdir().expect("no temporary directory");
        let plan = match by {
            By::Redinit => disks::plan_with(engine),
            By::Nobody => {
                let mut plan = Plan { program: script(dir.path(), "bare", BARE), ..plan() };
                let arguments: Vec<String> = engine.iter().map(|word| (*word).to_owned()).collect();
                plan.node_args = (1..=plan.servers).map(|n| (format!("server-{n}"), arguments.clone())).collect();
                plan
            }
        };
        let mut stand = Stand { bed: prepare(plan), by, _dir: dir };
        stand.bed.cluster.start_all().expect("cannot start");
        stand.whole();
        stand
    }

    /// Waits until everybody agrees; the master's name.
    pub fn whole(&self) -> String {
        let end = Instant::now() + WHOLE;
        loop {
            let found = match self.by {
                By::Redinit => self.bed.cluster.settled(),
                By::Nobody => linked(&self.bed.cluster),
            };
            match found {
                Ok(master) => return master,
                Err(reason) => assert!(Instant::now() < end, "{:?}: not whole: {reason}", self.by),
            }
            sleep(ms(50));
        }
    }

    /// Waits until a run may begin: all is whole, and every Sentinel lists everybody. The master's name.
    pub fn rest(&self) -> String {
        self.whole();
        self.bed.wait("every Sentinel lists everybody", secs(60), |_| {
            sleep(ms(50));
            self.bed.lists_are_clean().is_ok()
        });
        self.whole()
    }

    /// Two writers, in a room of their own, with the usual patience.
    pub fn writers(&mut self) -> Ledger {
        self.writers_that_wait(ms(300))
    }

    /// The same, with this patience: it comes on top of the cluster's own silence.
    pub fn writers_that_wait(&mut self, patience: Duration) -> Ledger {
        let writing = Writing { rest: Duration::from_micros(800), patience, ..Writing::default() };
        let ledger = self.bed.ledger(CLIENTS, &writing);
        assert!(ledger.wait_for(500, secs(10)), "no writes: {:?}", ledger.errors());
        ledger
    }

    /// The server's process crashes. Without a supervisor the container ends with it, and is started again.
    pub fn crash(&mut self, name: &str) {
        match self.by {
            By::Redinit => assert!(self.bed.node(name).signal_engine(Signal::SIGKILL), "{name} has no engine"),
            By::Nobody => {
                self.bed.node_mut(name).kill();
                sleep(RESTART);
                self.bed.node_mut(name).start().expect("cannot start again");
            }
        }
    }

    /// How many acknowledged writes the master does not have; then they are erased.
    pub fn lost(&self, mut ledger: Ledger, master: &str) -> usize {
        ledger.close();
        let at = self.bed.node(master).address();
        let lost = ledger.lost(at).expect("cannot read back").len();
        ledger.erase(at).expect("cannot erase");
        lost
    }
}

/// All Sentinels name one master, and everybody else follows it and is linked; asked of nobody but themselves.
fn linked(cluster: &Cluster) -> Result<String, String> {
    let master = cluster.sentinels().unanimous()?;
    for node in cluster.servers() {
        let role = node.role().ok_or_else(|| format!("{} does not answer", node.name))?;
        let of = node.info("replication", "master_host").filter(|_| role == "slave");
        let link = node.info("replication", "master_link_status").filter(|_| role == "slave");
        let right = match node.address() == master {
            true => role == "master",
            false => of == Some(master.ip().to_string()) && link.as_deref() == Some("up"),
        };
        if !right {
            return Err(format!("{} says {role}, of {of:?}, link {link:?}", node.name));
        }
    }
    Ok(cluster.name_of(master))
}

/// Waits until every writer writes again; since when.
pub fn writing_again(ledger: &Ledger, after: Instant) -> Instant {
    let end = Instant::now() + WHOLE;
    loop {
        if let Some(at) = ledger.all_after(after) {
            return at;
        }
        assert!(Instant::now() < end, "nobody writes again: {:?}", ledger.errors());
        sleep(ms(5));
    }
}

impl By {
    /// A figure's name, in which those without redinit are told apart.
    pub fn name(self, what: &str) -> String {
        match self {
            By::Redinit => what.to_owned(),
            By::Nobody => format!("{what}, without redinit"),
        }
    }

    /// A promise, where there is one.
    pub fn promised<T>(self, limit: T) -> Option<T> {
        (self == By::Redinit).then_some(limit)
    }
}
