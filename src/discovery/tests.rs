//! Looks at real servers and Sentinels, and at liars: what they have in common.
#![allow(clippy::disallowed_methods, reason = "the tests start engines of their own and wait for them")]
#![allow(clippy::panic, reason = "that is how a test fails")]

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::config::settings::Durability;
use crate::config::settings::{Elector, EngineChoice, LogFormat, Restart};
use crate::control::events::{EventReceiver, channel};
use crate::core::event::SentinelReply;
use crate::core::rules::Mode;
use crate::core::seen::Link;

mod liars;
mod sentinels;
mod servers;

pub(crate) fn settings() -> Settings {
    Settings {
        cluster_id: None,
        mode: Mode::Server,
        sentinels: vec![],
        servers: vec![],
        elector: Elector::None,
        election: "mymaster".into(),
        master_name: "mymaster".to_owned(),
        quorum: 2,
        down_after: Duration::from_secs(5),
        failover_timeout: Duration::from_secs(10),
        parallel_syncs: 1,
        expected_servers: None,
        announce_address: "127.0.0.1".to_owned(),
        announce_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        bind: vec![],
        port: 6379,
        data_dir: "/nonexistent".into(),
        grace_period: Duration::from_secs(60),
        socket: "/nonexistent".into(),
        http_listen: None,
        engine: EngineChoice::Auto,
        password: None,
        sentinel_password: None,
        replication_users: vec![],
        restart: Restart { max: 5, within: Duration::from_secs(300) },
        durability: Durability::Default,
        name: "test".to_owned(),
        include: None,
        engine_args: vec![],
        log: "info".to_owned(),
        log_format: LogFormat::Text,
        in_kubernetes: false,
        pod: None,
    }
}

/// A loopback address that no other test, in whatever process, uses at the moment.
pub(crate) fn own_ip() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 128 | high, low, NEXT.fetch_add(1, Ordering::Relaxed))
}

fn at(ip: Ipv4Addr, port: u16) -> Address {
    Address::new(ip.into(), port)
}

fn driver(settings: Settings) -> (Discovery, EventReceiver) {
    let (sender, receiver) = channel();
    (Discovery::new(Arc::new(settings), Clock::new(), sender), receiver)
}

/// The next event that is no wake, which must come within the limit of a look.
async fn answer(events: &mut EventReceiver) -> Event {
    let until = Instant::now() + LOOK_LIMIT + Duration::from_millis(200);
    loop {
        match timeout_at(until, events.recv()).await.expect("in time").expect("an event") {
            Event::Wake { .. } => {}
            event => return event,
        }
    }
}

async fn sentinel_seen(
    (discovery, events): &mut (Discovery, EventReceiver),
    at: Address,
    depth: Depth,
) -> Result<SentinelSeen, Failure> {
    discovery.look(Look::Sentinel { at, depth });
    match answer(events).await {
        Event::Sentinel { at: from, seen, .. } if from == at => seen,
        other => panic!("{other:?}"),
    }
}

async fn server_seen((discovery, events): &mut (Discovery, EventReceiver), at: Address) -> Result<ServerSeen, Failure> {
    discovery.look(Look::Server { at });
    match answer(events).await {
        Event::Server { at: from, seen, .. } if from == at => seen,
        other => panic!("{other:?}"),
    }
}

/// A real engine; killed when the test ends.
struct Engine {
    process: Child,
    at: Address,
    _dir: tempfile::TempDir,
}

impl Engine {
    async fn start(kind: &str, at: Address, config: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("engine.conf");
        let mut file = std::fs::File::create(&path).expect("a file");
        let (ip, port, dir_path) = (at.ip(), at.port(), dir.path().display());
        write!(file, "bind {ip}\nport {port}\ndir {dir_path}\nlogfile engine.log\n{config}\n").expect("written");
        let engine = std::env::var("REDINIT_TEST_ENGINE").unwrap_or_else(|_| "redis-server".to_owned());
        let mut command = Command::new(engine);
        command.arg(&path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if kind == "sentinel" {
            command.arg("--sentinel");
        }
        let process = command.spawn().expect("redis-server is installed");
        for _ in 0..200 {
            if TcpStream::connect(at.0).await.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Engine { process, at, _dir: dir }
    }

    async fn server(at: Address, config: &str) -> Self {
        Engine::start("server", at, &format!("save \"\"\nrepl-diskless-sync-delay 0\n{config}")).await
    }

    async fn say(&self, words: &[&str]) -> redis::Value {
        let mut link = link::Link::open(self.at, None).await.expect("open");
        let (first, rest) = words.split_first().expect("words");
        link.ask(vec![redis::cmd(first).arg(rest).take()]).await.expect("answered").remove(0)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _reaped = self.process.wait();
    }
}

fn monitor(master: Address, quorum: usize) -> String {
    let (ip, port) = (master.ip(), master.port());
    format!("sentinel monitor mymaster {ip} {port} {quorum}\nsentinel down-after-milliseconds mymaster 3000\n")
}

/// Asks again until it says what is waited for.
async fn eventually<T, F: AsyncFnMut() -> T>(mut look: F, wanted: impl Fn(&T) -> bool) -> T {
    let until = Instant::now() + Duration::from_secs(15);
    loop {
        let seen = look().await;
        if wanted(&seen) || Instant::now() > until {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Listens and does as told with each connection; counts them.
async fn liar<F, T>(at: Address, act: F) -> Arc<AtomicUsize>
where
    F: Fn(usize, TcpStream) -> T + Send + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind(at.0).await.expect("a listener");
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(act(counted.fetch_add(1, Ordering::SeqCst), stream));
        }
    });
    count
}

async fn lies(answer: Vec<u8>, stay: bool) -> Address {
    let place = at(own_ip(), 6379);
    liar(place, move |_, mut stream| {
        let answer = answer.clone();
        async move {
            let mut question = [0_u8; 1024];
            let _asked = stream.read(&mut question).await;
            let _gone = stream.write_all(&answer).await;
            if stay {
                tokio::time::sleep(Duration::from_secs(20)).await;
            }
        }
    })
    .await;
    place
}
