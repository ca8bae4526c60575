//! One child under its driver.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redinit::config::settings::Durability;
use redinit::config::settings::{Elector, EngineChoice, LogFormat, Restart, Settings};
use redinit::control::clock::Clock;
use redinit::control::events::{self, EventReceiver};
use redinit::core::action::{Birth, ChildOrder, Depth, SentinelFile};
use redinit::core::event::{ChildExit, Done, Event, OrderFailure};
use redinit::core::id::{Address, OrderId};
use redinit::core::rules::Mode;
use redinit::core::seen::{ChildFailure, ChildSeen};
use redinit::engine::{ChildDriver, Engine, Processes, Reaped, detect};
use redinit::init::Reaper;
use tempfile::TempDir;

/// Longer than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn settings(mode: Mode, ip: &str, data_dir: &Path) -> Settings {
    Settings {
        cluster_id: None,
        mode,
        sentinels: Vec::new(),
        servers: Vec::new(),
        elector: Elector::None,
        election: "mymaster".into(),
        master_name: "mymaster".into(),
        quorum: 2,
        down_after: Duration::from_secs(3),
        failover_timeout: Duration::from_secs(10),
        parallel_syncs: 1,
        expected_servers: None,
        announce_address: ip.into(),
        announce_ip: ip.parse().unwrap(),
        bind: vec![ip.into()],
        port: if mode == Mode::Server { 6379 } else { 26379 },
        data_dir: data_dir.to_owned(),
        grace_period: Duration::from_secs(60),
        socket: data_dir.join("redinit.sock"),
        http_listen: None,
        // For other engines than the installed one.
        engine: std::env::var_os("REDINIT_TEST_ENGINE")
            .map_or(EngineChoice::Auto, |path| EngineChoice::Path(path.into())),
        password: None,
        sentinel_password: None,
        replication_users: vec![],
        restart: Restart { max: 5, within: Duration::from_secs(300) },
        durability: Durability::Default,
        name: ip.into(),
        include: None,
        engine_args: vec!["--save".into(), String::new()],
        log: "info".into(),
        log_format: LogFormat::Text,
        in_kubernetes: false,
        pod: None,
    }
}

/// One reaper for all tests of this process: it reaps everybody's children.
pub fn reaper() -> Reaper {
    static REAPER: std::sync::OnceLock<Reaper> = std::sync::OnceLock::new();
    REAPER.get_or_init(Reaper::new).clone()
}

pub struct Node {
    pub driver: ChildDriver,
    pub settings: Arc<Settings>,
    pub events: EventReceiver,
    pub pid: i32,
    engine: Engine,
    processes: Arc<dyn Processes>,
    orders: AtomicU64,
    pub exits: Vec<ChildExit>,
    pub dir: TempDir,
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.processes.kill_group());
    }
}

impl Node {
    /// `None`, with the reason on stderr, where no engine is installed.
    pub fn new(mode: Mode, ip: &str, change: impl FnOnce(&mut Settings)) -> Option<Node> {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = settings(mode, ip, dir.path());
        change(&mut settings);
        let (sender, events) = events::channel();
        let processes: Arc<dyn Processes> = Arc::new(Reaped::new(reaper(), sender.clone()));
        let engine = match detect(&settings, processes.as_ref()) {
            Ok(engine) => engine,
            Err(error) => {
                eprintln!("skipped: {error}");
                return None;
            }
        };
        let settings = Arc::new(settings);
        let driver = ChildDriver::new(engine.clone(), settings.clone(), processes.clone(), Clock::new(), sender);
        Some(Node {
            driver,
            settings,
            events,
            pid: 0,
            engine,
            processes,
            orders: AtomicU64::new(0),
            exits: Vec::new(),
            dir,
        })
    }

    /// A server, started and loaded.
    pub async fn server(ip: &str, change: impl FnOnce(&mut Settings)) -> Option<Node> {
        let mut node = Node::new(Mode::Server, ip, change)?;
        node.spawn(Birth::Server).await;
        Some(node)
    }

    /// A Sentinel with this file.
    pub async fn sentinel(ip: &str, file: SentinelFile, change: impl FnOnce(&mut Settings)) -> Option<Node> {
        let mut node = Node::new(Mode::Sentinel, ip, |settings| {
            settings.engine_args.clear();
            change(settings);
        })?;
        node.spawn(Birth::Sentinel(file)).await;
        Some(node)
    }

    /// Another engine argument, from the next start on.
    pub fn add_argument(&mut self, argument: &str) {
        self.change(|settings| settings.engine_args.insert(0, argument.into()));
    }

    /// Other settings, from the next start on.
    pub fn change(&mut self, change: impl FnOnce(&mut Settings)) {
        let mut settings = Settings::clone(&self.settings);
        change(&mut settings);
        self.settings = Arc::new(settings);
        let (sender, events) = events::channel();
        self.processes = Arc::new(Reaped::new(reaper(), sender.clone()));
        self.events = events;
        if let Ok(engine) = detect(&self.settings, self.processes.as_ref()) {
            self.engine = engine;
        }
        let (settings, processes) = (self.settings.clone(), self.processes.clone());
        self.driver = ChildDriver::new(self.engine.clone(), settings, processes, Clock::new(), sender);
    }

    /// Kills the child and waits until it is gone.
    pub async fn crash(&mut self) {
        self.ok(ChildOrder::Kill).await;
        self.exit().await;
    }

    /// Starts a child and does not wait until it has loaded.
    pub async fn start(&mut self, birth: Birth) {
        match self.order(ChildOrder::Spawn(birth)).await {
            Ok(Done::Spawned { pid }) => self.pid = pid,
            other => panic!("not started: {other:?}"),
        }
    }

    pub async fn spawn(&mut self, birth: Birth) {
        self.start(birth).await;
        self.until(|seen| seen.loading.is_none()).await;
    }

    pub fn me(&self) -> Address {
        Address::new(self.settings.announce_ip, self.settings.port)
    }

    pub async fn order(&mut self, order: ChildOrder) -> Result<Done, OrderFailure> {
        let mine = OrderId(self.orders.fetch_add(1, Ordering::Relaxed));
        self.driver.order(mine, order);
        loop {
            match self.next().await {
                Event::ChildDone { id, done } if id == mine => return done,
                _ => {}
            }
        }
    }

    pub async fn ok(&mut self, order: ChildOrder) -> Done {
        let name = format!("{order:?}");
        self.order(order).await.unwrap_or_else(|failure| panic!("{name}: {failure:?}"))
    }

    pub async fn look(&mut self, depth: Depth) -> Result<ChildSeen, ChildFailure> {
        self.driver.look(depth);
        loop {
            if let Event::Child { seen, .. } = self.next().await {
                return seen;
            }
        }
    }

    pub async fn until(&mut self, found: impl Fn(&ChildSeen) -> bool) -> ChildSeen {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let seen = self.look(Depth::Full).await;
            match seen {
                Ok(seen) if found(&seen) => return seen,
                other => assert!(tokio::time::Instant::now() < end, "waited in vain: {other:?}"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn exit(&mut self) -> ChildExit {
        while self.exits.is_empty() {
            self.next().await;
        }
        self.exits.remove(0)
    }

    async fn next(&mut self) -> Event {
        let event = tokio::time::timeout(PATIENCE, self.events.recv()).await.expect("an event").expect("a driver");
        if let Event::ChildExited(exit) = event {
            self.exits.push(exit);
        }
        event
    }

    /// A client over the network, as the user and with the password given.
    pub async fn client(&self, login: Option<(&str, &str)>) -> redis::RedisResult<redis::aio::MultiplexedConnection> {
        connect(self.me(), login).await
    }

    /// As Sentinel would come.
    pub async fn as_sentinel(&self) -> redis::aio::MultiplexedConnection {
        self.client(Some(("sentinel", "nopass"))).await.expect("Sentinel's login")
    }
}

pub async fn connect(
    to: Address,
    login: Option<(&str, &str)>,
) -> redis::RedisResult<redis::aio::MultiplexedConnection> {
    use redis::IntoConnectionInfo;
    let mut user = redis::RedisConnectionInfo::default().set_skip_set_lib_name();
    if let Some((name, password)) = login {
        user = user.set_username(name).set_password(password);
    }
    let info = redis::ConnectionAddr::Tcp(to.ip().to_string(), to.port()).into_connection_info()?;
    redis::Client::open(info.set_redis_settings(user))?.get_multiplexed_async_connection().await
}

pub async fn say(to: &redis::aio::MultiplexedConnection, words: &str) -> redis::RedisResult<redis::Value> {
    let mut command = redis::Cmd::new();
    for word in words.split(' ') {
        command.arg(word);
    }
    command.query_async(&mut to.clone()).await
}

pub fn refusal(answer: redis::RedisResult<redis::Value>) -> String {
    answer.expect_err("a refusal").to_string()
}

/// Each test has its own runtime on its own thread, as the supervisor has.
pub fn run(test: impl Future<Output = Option<()>>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(test);
    runtime.shutdown_background();
}

/// The engine in `PATH`, and those of `REDINIT_TEST_ENGINES`.
pub fn engines(test: &str) -> Vec<EngineChoice> {
    let mut all = vec![EngineChoice::Auto];
    for name in ["redis-7.0", "redis-8.6", "valkey-9.1"] {
        match super::engines::engine(name) {
            Some(server) => all.push(EngineChoice::Path(server)),
            None => eprintln!("SKIPPED: {test} on {name}: it is not in REDINIT_TEST_ENGINES"),
        }
    }
    all
}
