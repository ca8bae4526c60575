//! One shape in one namespace, with clients beside it: how it is brought up, waited for, and measured.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::bed::{ms, secs};
use super::clients::{Clients, Outcome};
use super::disks::Disks;
use super::kube::{Kube, Pod};
use super::roles::{Moves, Roles};
use super::shape::{Shape, image};

/// How long it may take to be whole again after anything with small data.
pub const WHOLE: Duration = secs(150);
/// Between two writes of one writer: about a thousand writes a second in all leave a tenth of a processor room.
const REST_MS: u64 = 2;

/// Declared in this order so that what is dropped first goes first.
pub struct Town {
    pub clients: Clients,
    pub kube: Kube,
    pub shape: &'static Shape,
    _disks: Option<Disks>,
    watched: BTreeSet<String>,
    ledgers: u32,
    /// Where the label went in the last event.
    moves: Moves,
}

impl Town {
    /// Nothing of the shape yet, but clients.
    #[track_caller]
    pub fn empty(shape: &'static Shape) -> Self {
        let kube = Kube::fresh(&format!("redinit-{}", shape.name));
        let disks = shape.keeps_data.then(|| Disks::where_needed(&kube)).flatten();
        let clients = Clients::start(&kube, &image());
        Town { clients, kube, shape, _disks: disks, watched: BTreeSet::new(), ledgers: 0, moves: Moves::default() }
    }

    /// Applies the manifest; how long until it could be written through a Sentinel, and what the writers saw until it
    /// was whole.
    #[track_caller]
    pub fn cold_start(&mut self) -> (Duration, Outcome) {
        let (hooks, objects): (Vec<_>, Vec<_>) = self
            .shape
            .objects(&self.kube)
            .into_iter()
            .partition(|object| !object["metadata"]["annotations"]["helm.sh/hook"].is_null());
        let began = Instant::now();
        self.kube.apply(&objects);
        let opened = self.open(began);
        self.whole(3);
        self.pass(&hooks);
        let written = self.written_after(0, secs(60));
        let outcome = self.clients.close(written);
        (opened + ms(written), outcome)
    }

    /// What `helm test` does: its pods must succeed.
    #[track_caller]
    fn pass(&self, hooks: &[Value]) {
        if !hooks.is_empty() {
            self.kube.apply(hooks);
        }
        for hook in hooks {
            let name = hook["metadata"]["name"].as_str().expect("it has a name");
            self.kube.wait("the success of a test's pod", secs(60), || {
                let phase = self.kube.run(&["get", "pod", name, "--output", "jsonpath={.status.phase}"]);
                let log = || self.kube.attempt(&["logs", name], None).unwrap_or_default();
                if phase == "Succeeded" { Ok(()) } else { Err(format!("{phase}: {}", log())) }
            });
        }
    }

    /// Opens a ledger; how long after `since` that was.
    #[track_caller]
    fn open(&mut self, since: Instant) -> Duration {
        self.clients
            .ask(&json!({ "do": "find", "sentinels": self.shape.sentinel_service, "name": self.shape.master_name }));
        self.ledgers += 1;
        let opened = since.elapsed();
        self.clients.ask(&json!({ "do": "open", "name": self.ledgers.to_string(), "rest_ms": REST_MS }));
        self.watched.clear();
        self.watch();
        opened
    }

    /// What an event does to writers that write all the time, until everything is whole again.
    #[track_caller]
    pub fn under_writers(&mut self, event: impl FnOnce(&mut Self)) -> Outcome {
        self.open(Instant::now());
        let roles = Roles::watch(&self.kube, self.shape.server_label);
        self.written_after(1000, secs(30));
        let from = self.now_ms();
        event(self);
        self.whole(3);
        let now = self.now_ms();
        self.written_after(now, secs(30));
        self.moves = roles.end();
        self.clients.close(from)
    }

    /// How long after its promotion in the last event the master was labelled.
    #[track_caller]
    pub fn labelled_after(&mut self) -> Duration {
        let master = self.master();
        self.moves.after_promotion(&self.kube, &master.name)
    }

    /// Milliseconds since the ledger was opened.
    #[track_caller]
    pub fn now_ms(&mut self) -> u64 {
        self.clients.ask(&json!({ "do": "progress" }))["now_ms"].as_u64().expect("a number")
    }

    /// When, in milliseconds of the ledger, every writer had written again after `after_ms`.
    #[track_caller]
    pub fn written_after(&mut self, after_ms: u64, limit: Duration) -> u64 {
        let began = Instant::now();
        loop {
            self.watch();
            let seen = self.clients.ask(&json!({ "do": "progress", "after_ms": after_ms }));
            if let Some(written) = seen["written_ms"].as_u64() {
                return written;
            }
            if began.elapsed() > limit {
                panic!("no write within {limit:?}: {seen}\n{}", self.kube.picture());
            }
            std::thread::sleep(ms(300));
        }
    }

    /// The clients' pod watches every server that there is for a second master.
    fn watch(&mut self) -> Vec<Pod> {
        let pods = self.kube.pods(self.shape.server_label);
        let servers: BTreeSet<String> = pods
            .iter()
            .filter_map(|pod| pod.address)
            .map(|ip| std::net::SocketAddr::new(ip, 6379).to_string())
            .collect();
        if servers != self.watched {
            self.clients.ask(&json!({ "do": "watch", "servers": servers }));
            self.watched = servers;
        }
        pods
    }

    /// Waits until so many servers and three Sentinels are there and ready, nobody else is, and a Sentinel names one of
    /// them.
    #[track_caller]
    pub fn whole(&mut self, servers: usize) -> Duration {
        self.whole_within(servers, WHOLE)
    }

    /// The same, with a limit of its own.
    #[track_caller]
    pub fn whole_within(&mut self, servers: usize, limit: Duration) -> Duration {
        let began = Instant::now();
        loop {
            let Err(reason) = self.is_whole(servers) else { return began.elapsed() };
            if began.elapsed() > limit {
                panic!("{} is not whole within {limit:?}: {reason}\n{}", self.shape.name, self.kube.picture());
            }
            std::thread::sleep(ms(700));
        }
    }

    fn is_whole(&mut self, servers: usize) -> Result<(), String> {
        let pods = self.watch();
        let sentinels = self.kube.pods(self.shape.sentinel_label);
        for (what, pods, wanted) in [("servers", &pods, servers), ("Sentinels", &sentinels, 3)] {
            if pods.len() != wanted || pods.iter().any(|pod| pod.ending || !pod.ready) {
                return Err(format!("{what}: {pods:?}"));
            }
        }
        let master = self.master_address();
        let named = pods.iter().any(|pod| pod.address.map(|ip| ip.to_string()) == master);
        if named { Ok(()) } else { Err(format!("a Sentinel names {master:?}")) }
    }

    fn master_address(&mut self) -> Option<String> {
        let named = self.clients.ask(&json!({ "do": "master" }));
        let named: std::net::SocketAddr = named["master"].as_str()?.parse().ok()?;
        Some(named.ip().to_string())
    }

    /// The master's pod.
    #[track_caller]
    pub fn master(&mut self) -> Pod {
        let address = self.master_address();
        let pods = self.kube.pods(self.shape.server_label);
        let found = pods.into_iter().find(|pod| pod.address.map(|ip| ip.to_string()) == address);
        found.unwrap_or_else(|| panic!("no pod has the master's address {address:?}\n{}", self.kube.picture()))
    }

    /// A replica's pod.
    #[track_caller]
    pub fn replica(&mut self) -> Pod {
        let master = self.master();
        let pods = self.kube.pods(self.shape.server_label);
        pods.into_iter().find(|pod| pod.name != master.name).expect("there are three")
    }

    /// There is an Event that says that the master was promoted.
    #[track_caller]
    pub fn promotion_is_reported(&mut self) {
        let object = format!("involvedObject.name={}", self.master().name);
        self.kube.wait("an Event of the promotion", secs(10), || {
            let words = ["get", "events", "--field-selector", &object, "--output", "jsonpath={.items[*].reason}"];
            let reasons = self.kube.attempt(&words, None)?;
            let told = reasons.split(' ').any(|reason| ["Promotion", "Failover"].contains(&reason));
            if told { Ok(()) } else { Err(format!("there are {reasons:?}")) }
        });
    }

    /// Whom the elector's lease names.
    pub fn lease_holder_id(&self) -> String {
        self.kube.run(&["get", "lease", self.shape.lease, "--output", "jsonpath={.spec.holderIdentity}"])
    }

    /// Its pod.
    #[track_caller]
    pub fn lease_holder(&self) -> Pod {
        let id = self.lease_holder_id();
        let pods = self.kube.pods(self.shape.server_label);
        let found = pods.into_iter().find(|pod| pod.name == id || pod.address.is_some_and(|ip| ip.to_string() == id));
        found.unwrap_or_else(|| panic!("no pod is {id:?}, who holds the lease"))
    }

    /// Restarts one workload pod by pod.
    #[track_caller]
    pub fn roll(&mut self, workload: &str) {
        self.kube.run(&["rollout", "restart", workload]);
        let end = Instant::now() + secs(400);
        while let Err(reason) = self.kube.attempt(&["rollout", "status", workload, "--timeout=3s"], None) {
            assert!(Instant::now() < end, "{reason}\n{}", self.kube.picture());
            self.watch();
        }
    }
}
