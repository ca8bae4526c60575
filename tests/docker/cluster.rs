//! Three servers and three Sentinels, each in a container as the manifests restrict it, on a network of their own.

use std::time::{Duration, Instant};

use super::bed::{Ledger, Outcome, Turn, Watch, Writing, ms, secs};
use super::cli::{LABEL, attempt, docker};
use super::container::Container;
use redinit::demo::sentinels::Sentinels;

/// How long the cluster may take to be whole, with a tenth of a processor for each.
const WHOLE: Duration = secs(60);
/// What `docker stop` gives.
pub const GRACE: Duration = secs(60);
/// How long a client waits at an address that is silent: it is the client's own, and comes on top of the cluster's gap.
pub const PATIENCE: Duration = ms(400);

/// A running cluster.
pub struct Cluster {
    pub servers: Vec<Container>,
    pub sentinels: Vec<Container>,
    pub network: Network,
    ledgers: u32,
    _turn: super::bed::Turn,
}

/// A private network, removed when dropped.
pub struct Network(pub String);

impl Network {
    /// With a subnet that nothing else has, since only then nodes may choose their addresses.
    #[track_caller]
    pub fn make() -> (Self, String) {
        let name = format!("redinit-test-{}", std::process::id());
        let label = format!("{LABEL}={}", std::process::id());
        let mut refused = String::new();
        for number in 0..64 {
            let net = format!("10.{}.{}", 200 + number / 8, 8 * (number % 8) + std::process::id() % 8);
            let subnet = format!("{net}.0/24");
            match attempt(&["network", "create", "--label", &label, "--subnet", &subnet, &name]) {
                Ok(_) => return (Network(name), net),
                Err(error) => refused = error,
            }
        }
        panic!("no subnet is free: {refused}");
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if let Err(error) = attempt(&["network", "rm", &self.0]) {
            eprintln!("the network {} is still there: {error}", self.0);
        }
    }
}

/// How every container is confined: a tenth of a processor, no capability, nothing writable but two places, and a user
/// that the image has never heard of, in group 0.
pub const CONFINED: &[&str] =
    &["--cpus", "0.1", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--read-only", "--user", "54321:0"];

impl Cluster {
    /// Starts it, and waits until it is whole.
    #[track_caller]
    pub fn up(image: &str) -> Self {
        let turn = Turn::alone();
        let began = Instant::now();
        let (network, net) = Network::make();
        let node = |name: String, host: u8, more: &[&str], words: &[&str]| {
            let ip = format!("{net}.{host}");
            let place = ["--network", &network.0, "--network-alias", &name, "--hostname", &name, "--ip", &ip];
            let settings = [
                "--env",
                "REDINIT_SERVERS=server-1,server-2,server-3",
                "--env",
                "REDINIT_SENTINELS=sentinel-1,sentinel-2,sentinel-3",
                "--env",
                "REDINIT_ELECTOR=none",
            ];
            Container::run(&name, &[&place, CONFINED, &settings, more].concat(), image, words)
        };
        let server = |n: u8| node(format!("server-{n}"), 10 + n, &[], &["--appendonly", "yes"]);
        let sentinel = |n: u8| node(format!("sentinel-{n}"), 20 + n, &["--env", "SENTINEL=true"], &[]);
        let servers = (1..=3).map(server).collect();
        let sentinels = (1..=3).map(sentinel).collect();
        let cluster = Cluster { servers, sentinels, network, ledgers: 0, _turn: turn };
        cluster.settle();
        println!("a cluster is up after {:?}", began.elapsed());
        cluster
    }

    /// A server by its name.
    #[track_caller]
    pub fn server(&self, name: &str) -> &Container {
        self.servers.iter().find(|server| server.name == name).expect("a server of that name")
    }

    #[track_caller]
    pub fn server_mut(&mut self, name: &str) -> &mut Container {
        self.servers.iter_mut().find(|server| server.name == name).expect("a server of that name")
    }

    /// What the Sentinels say.
    pub fn sentinels(&self) -> Sentinels {
        Sentinels::new(self.sentinels.iter().map(|node| node.at(26379)).collect(), "mymaster")
    }

    /// The master's name, if everything is as it should be: everybody ready, all Sentinels naming one that takes writes.
    fn whole(&self) -> Result<String, String> {
        let named = self.sentinels().unanimous()?;
        for node in self.servers.iter().chain(&self.sentinels) {
            node.probe("readyz").map_err(|reason| format!("{}: {reason}", node.name))?;
        }
        let master = self.servers.iter().find(|server| server.at(6379) == named).ok_or(format!("who is {named}?"))?;
        master.probe("master").map_err(|reason| format!("{}: {reason}", master.name))?;
        Ok(master.name.clone())
    }

    /// Waits until it is whole; the master's name.
    #[track_caller]
    pub fn settle(&self) -> String {
        let end = Instant::now() + WHOLE;
        loop {
            match self.whole() {
                Ok(master) => return master,
                Err(reason) => assert!(Instant::now() < end, "not whole within {WHOLE:?}: {reason}"),
            }
            std::thread::sleep(ms(100));
        }
    }

    /// Waits until the Sentinels have looked at everybody several times, as they have in a cluster that is in use.
    pub fn ripen(&self) {
        std::thread::sleep(secs(10));
    }

    /// Waits until a majority of the Sentinels names a server other than `old`, and that takes writes; its name.
    #[track_caller]
    pub fn wait_other_master(&self, old: &str, limit: Duration) -> String {
        let end = Instant::now() + limit;
        loop {
            let named = self.sentinels().majority();
            let other = self.servers.iter().find(|one| one.name != old && named.is_some_and(|at| at.ip() == one.ip()));
            if let Some(other) = other.filter(|one| one.probe("master").is_ok()) {
                return other.name.clone();
            }
            assert!(Instant::now() < end, "nobody but {old} is master within {limit:?}");
            std::thread::sleep(ms(20));
        }
    }

    /// Opens a ledger, whose clients live on this machine.
    pub fn ledger(&mut self, writing: &Writing) -> Ledger {
        self.ledgers += 1;
        Ledger::open(&self.sentinels(), &self.ledgers.to_string(), writing)
    }

    /// Runs `what` while two clients write, and counts when the cluster is whole again.
    #[track_caller]
    pub fn event(&mut self, what: impl FnOnce(&mut Cluster, &str)) -> Outcome {
        let before = self.settle();
        // About 500 writes a second: a tenth of a processor is for the server, its supervisor and the replication.
        let mut ledger = self.ledger(&Writing { rest: ms(3), patience: PATIENCE, ..Writing::default() });
        assert!(ledger.wait_for(200, secs(20)), "no writes before the event: {:?}", ledger.errors());
        let watch = Watch::start(self.servers.iter().map(|server| server.at(6379)).collect(), ms(50));
        let began = Instant::now();
        what(self, &before);
        let after = self.settle();
        assert!(ledger.wait_for(200, secs(20)), "no writes after the event: {:?}", ledger.errors());
        let gap = ledger.longest_gap(began, Instant::now());
        ledger.close();
        let seen = watch.end();
        let outcome = Outcome {
            lost: ledger.lost(self.server(&after).at(6379)).unwrap(),
            gap: gap.length,
            acknowledged: ledger.acknowledged(),
            before,
            after,
            errors: format!("{:?}", ledger.errors()),
            doubles: seen.doubles.len(),
        };
        outcome.told()
    }

    /// Takes a container off the network, or brings it back under its address.
    #[track_caller]
    pub fn disconnect(&self, name: &str) {
        docker(&["network", "disconnect", &self.network.0, &self.server(name).id]);
    }

    #[track_caller]
    pub fn connect(&self, name: &str) {
        let (server, network) = (self.server(name), &self.network.0);
        docker(&["network", "connect", "--ip", &server.ip().to_string(), "--alias", name, network, &server.id]);
    }
}
