//! Looks at real servers and Sentinels, and at liars.
#![allow(clippy::disallowed_methods, reason = "the tests start engines of their own and wait for them")]
#![allow(clippy::panic, reason = "that is how a test fails")]

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::config::settings::{Elector, EngineChoice, LogFormat, Restart};
use crate::control::events::{EventReceiver, channel};
use crate::core::event::SentinelReply;
use crate::core::rules::{Durability, Mode};
use crate::core::seen::Link;

pub(crate) fn settings() -> Settings {
    Settings {
        mode: Mode::Server,
        sentinels: vec![],
        servers: vec![],
        elector: Elector::None,
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
        restart: Restart { max: 5, within: Duration::from_secs(300) },
        durability: Durability::Default,
        name: "test".to_owned(),
        include: None,
        engine_args: vec![],
        log: "info".to_owned(),
        log_format: LogFormat::Text,
        in_kubernetes: false,
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

#[tokio::test]
async fn a_bare_sentinel_has_no_opinion() {
    let sentinel = Engine::start("sentinel", at(own_ip(), 26379), "").await;
    let mut driver = driver(settings());
    let seen = sentinel_seen(&mut driver, sentinel.at, Depth::Glance).await.expect("seen");
    assert_eq!((seen.master, seen.rows), (None, None));
    assert_eq!(seen.id.0.len(), 40);
    let full = sentinel_seen(&mut driver, sentinel.at, Depth::Full).await.expect("seen");
    assert_eq!((full.id, full.master), (seen.id, None));
    assert_eq!(full.rows.map(|rows| rows.quorum_ok), Some(false));
}

#[tokio::test]
async fn two_sentinels_show_everything_they_list() {
    let (master, replica) = (at(own_ip(), 6379), at(own_ip(), 6379));
    let announce = |at: Address| format!("replica-announce-ip {}\nreplica-announce-port {}\n", at.ip(), at.port());
    let _master = Engine::server(master, "").await;
    let follow = format!("replicaof {} {}\n{}", master.ip(), master.port(), announce(replica));
    let _replica = Engine::server(replica, &follow).await;
    let (first, second) = (at(own_ip(), 26379), at(own_ip(), 26379));
    let own = |at: Address| format!("{}sentinel announce-ip {}\n", monitor(master, 2), at.ip());
    let asked = Engine::start("sentinel", first, &own(first)).await;
    asked.say(&["SENTINEL", "DEBUG", "INFO-PERIOD", "500"]).await;
    let _second = Engine::start("sentinel", second, &own(second)).await;
    let mut driver = driver(settings());
    let seen = eventually(
        async || sentinel_seen(&mut driver, first, Depth::Full).await.expect("seen"),
        |seen| {
            let rows = seen.rows.as_ref().expect("rows");
            rows.replicas.len() == 1 && rows.sentinels.len() == 1 && rows.quorum_ok && rows.replicas[0].offset.0 > 0
        },
    )
    .await;
    let (row, rows) = (seen.master.expect("a master"), seen.rows.expect("rows"));
    assert_eq!((row.address, row.quorum, row.epoch.0), (master, 2, 0));
    assert!(row.run_id.is_some() && !row.s_down && !row.failover && row.last_ok_ping < Duration::from_secs(3));
    let listed = &rows.replicas[0];
    assert_eq!((listed.address, listed.priority, listed.promoted, listed.link_up), (replica, 100, false, true));
    assert!(listed.info_refresh < Duration::from_secs(11));
    assert_eq!((rows.sentinels[0].address, rows.sentinels[0].down_for), (second, None));
    assert!(rows.quorum_ok && !rows.tilt);
}

#[tokio::test]
async fn a_sentinels_events_wake_and_its_silence_does_not() {
    let master = at(own_ip(), 6379);
    let sentinel = Engine::start("sentinel", at(own_ip(), 26379), &monitor(master, 1)).await;
    let mut driver = driver(settings());
    sentinel_seen(&mut driver, sentinel.at, Depth::Glance).await.expect("seen");
    // The master is not there: +sdown and +odown follow after 3 s.
    let wake = timeout_at(Instant::now() + Duration::from_secs(6), driver.1.recv()).await.expect("a wake");
    assert_eq!(wake, Some(Event::Wake { at: sentinel.at }));
    sentinel.say(&["SENTINEL", "REMOVE", "mymaster"]).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    while driver.1.try_recv().is_ok() {}
    let quiet = timeout_at(Instant::now() + Duration::from_secs(3), driver.1.recv()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    sentinel.say(&["SENTINEL", "MONITOR", "mymaster", &master.ip().to_string(), "6379", "1"]).await;
    let wake = timeout_at(Instant::now() + Duration::from_secs(1), driver.1.recv()).await.expect("a wake");
    assert_eq!(wake, Some(Event::Wake { at: sentinel.at }));
}

#[tokio::test]
async fn orders_bring_the_sentinels_own_words() {
    let master = Engine::server(at(own_ip(), 6379), "").await;
    let sentinel = Engine::start("sentinel", at(own_ip(), 26379), &monitor(master.at, 1)).await;
    let (discovery, mut events) = driver(settings());
    for (number, order, wanted) in [
        (1, SentinelOrder::Failover, Ok(SentinelReply::NoGoodReplica)),
        (2, SentinelOrder::InfoPeriod, Ok(SentinelReply::Ok)),
        (3, SentinelOrder::Reset, Ok(SentinelReply::Ok)),
    ] {
        discovery.order(RequestId(number), sentinel.at, order);
        let Event::SentinelDone { id, done, .. } = answer(&mut events).await else { panic!("an answer") };
        // Redis 6.2 has no SENTINEL DEBUG, and says so.
        let unknown = matches!(&done, Ok(SentinelReply::Error(text)) if text.contains("Unknown subcommand"));
        assert_eq!(id, RequestId(number));
        assert!(done == wanted || (unknown && order == SentinelOrder::InfoPeriod), "{done:?}");
    }
    let nobody = at(own_ip(), 26379);
    discovery.order(RequestId(4), nobody, SentinelOrder::Failover);
    assert!(matches!(answer(&mut events).await, Event::SentinelDone { done: Err(Failure::Refused), .. }));
    sentinel.say(&["SENTINEL", "REMOVE", "mymaster"]).await;
    discovery.order(RequestId(5), sentinel.at, SentinelOrder::Failover);
    let Event::SentinelDone { done: Ok(SentinelReply::Error(text)), .. } = answer(&mut events).await else { panic!() };
    assert!(text.contains("No such master"), "{text}");
}

/// A gated replica refuses Sentinel's order, so the proposal stands and can be looked at (design section 4).
#[tokio::test]
async fn m2_a_proposal_wakes_and_shows_on_its_sentinel() {
    let master = Engine::server(at(own_ip(), 6379), "").await;
    let place = at(own_ip(), 6379);
    let (ip, port) = (master.at.ip(), master.at.port());
    let gated = format!(
        "replicaof {ip} {port}\nreplica-announce-ip {}\nuser default on nopass ~* &* +@all -slaveof -replicaof",
        place.ip()
    );
    let _replica = Engine::server(place, &gated).await;
    let sentinel = Engine::start("sentinel", at(own_ip(), 26379), &monitor(master.at, 1)).await;
    sentinel.say(&["SENTINEL", "DEBUG", "INFO-PERIOD", "500"]).await;
    let mut driver = driver(settings());
    let ready = |seen: &SentinelSeen| {
        let replicas = seen.rows.as_ref().map(|rows| rows.replicas.as_slice()).unwrap_or_default();
        matches!(replicas, [row] if row.link_up && row.offset.0 > 0)
    };
    eventually(async || sentinel_seen(&mut driver, sentinel.at, Depth::Full).await.expect("seen"), ready).await;
    while driver.1.try_recv().is_ok() {}
    let idle = timeout_at(Instant::now() + Duration::from_secs(3), driver.1.recv()).await;
    assert!(idle.is_err(), "nothing happens, nobody wakes: {idle:?}");

    driver.0.order(RequestId(1), sentinel.at, SentinelOrder::Failover);
    assert!(matches!(answer(&mut driver.1).await, Event::SentinelDone { done: Ok(SentinelReply::Ok), .. }));
    let asked = Instant::now();
    let wake = timeout_at(asked + Duration::from_secs(1), driver.1.recv()).await.expect("a wake");
    assert_eq!(wake, Some(Event::Wake { at: sentinel.at }));
    let proposed =
        |seen: &SentinelSeen| seen.rows.as_ref().is_some_and(|rows| rows.replicas.iter().any(|row| row.promoted));
    let seen =
        eventually(async || sentinel_seen(&mut driver, sentinel.at, Depth::Full).await.expect("seen"), proposed).await;
    let row = seen.master.expect("a master");
    assert!(row.failover && row.address == master.at);
    assert_eq!(seen.rows.map(|rows| rows.replicas[0].address), Some(place));
    driver.0.order(RequestId(2), sentinel.at, SentinelOrder::Failover);
    assert!(matches!(answer(&mut driver.1).await, Event::SentinelDone { done: Ok(SentinelReply::InProgress), .. }));
}

#[tokio::test]
async fn a_liar_gets_one_line_a_minute() {
    let (discovery, _events) = driver(settings());
    let place = at(own_ip(), 1);
    let nonsense = Err::<(), _>(Failure::Nonsense);
    assert!(discovery.0.complain(place, "server", &nonsense));
    assert!(!discovery.0.complain(place, "server", &nonsense));
    assert!(!discovery.0.complain(at(own_ip(), 1), "server", &Err::<(), _>(Failure::Silent)));
    for port in 2..2000 {
        discovery.0.complain(at(Ipv4Addr::LOCALHOST, port), "server", &nonsense);
    }
    assert_eq!(discovery.0.complaints.lock().expect("a table").len(), REMEMBERED_LIMIT);
}

#[tokio::test]
async fn a_server_shows_role_data_and_supervisor() {
    let master = Engine::server(at(own_ip(), 6379), "").await;
    let mut driver = driver(settings());
    let seen = server_seen(&mut driver, master.at).await.expect("seen");
    assert!(seen.role.is_master() && !seen.loading);
    assert_eq!((seen.has_data, seen.supervised), (Some(false), Some(false)));
    assert_eq!((seen.run_id.0.len(), seen.history.id.0.len()), (40, 40));
    master.say(&["SET", "a", "1"]).await;
    master.say(&["ACL", "SETUSER", "redinit", "on", "nopass", "+@all"]).await;
    let later = server_seen(&mut driver, master.at).await.expect("seen");
    assert_eq!((later.has_data, later.supervised), (Some(true), Some(true)));
    assert_eq!(later.run_id, seen.run_id);

    let replica_at = at(own_ip(), 6379);
    let follow = format!("replicaof {} {}", master.at.ip(), master.at.port());
    let _replica = Engine::server(replica_at, &follow).await;
    let up = eventually(
        async || server_seen(&mut driver, replica_at).await.expect("seen"),
        |seen| matches!(seen.role, RoleSeen::Replica { link: Link::Up, .. }),
    )
    .await;
    assert_eq!(up.role, RoleSeen::Replica { master: Some(master.at), link: Link::Up });
    assert_eq!(up.has_data, Some(true));
}

#[tokio::test]
async fn a_restarted_server_is_another_one_at_the_first_look() {
    let place = at(own_ip(), 6379);
    let first = Engine::server(place, "").await;
    let mut driver = driver(settings());
    let before = server_seen(&mut driver, place).await.expect("seen");
    drop(first);
    assert_eq!(server_seen(&mut driver, place).await, Err(Failure::Refused));
    let _second = Engine::server(place, "").await;
    let after = server_seen(&mut driver, place).await.expect("seen");
    assert_ne!(before.run_id, after.run_id);
}

#[tokio::test]
async fn g7_passwords_are_taken_missed_refused_and_not_needed() {
    let with = |password: Option<&str>| Settings { password: password.map(Into::into), ..settings() };
    let locked = Engine::server(at(own_ip(), 6379), "requirepass \"p %&\\\\/\\\"# x\"").await;
    let open = Engine::server(at(own_ip(), 6379), "").await;
    assert!(server_seen(&mut driver(with(Some("p %&\\/\"# x"))), locked.at).await.is_ok());
    assert_eq!(server_seen(&mut driver(with(Some("other"))), locked.at).await, Err(Failure::Unauthorised));
    assert_eq!(server_seen(&mut driver(with(None)), locked.at).await, Err(Failure::Unauthorised));
    assert!(server_seen(&mut driver(with(Some("x"))), open.at).await.is_ok());
}

#[tokio::test]
async fn a_sentinel_with_a_password_is_asked_and_heard() {
    let master = at(own_ip(), 6379);
    let config = format!("requirepass secret\n{}", monitor(master, 1));
    let sentinel = Engine::start("sentinel", at(own_ip(), 26379), &config).await;
    let mut driver = driver(Settings { sentinel_password: Some("secret".into()), ..settings() });
    let seen = sentinel_seen(&mut driver, sentinel.at, Depth::Full).await.expect("seen");
    assert_eq!(seen.master.map(|row| row.address), Some(master));
    let wake = timeout_at(Instant::now() + Duration::from_secs(6), driver.1.recv()).await.expect("a wake");
    assert_eq!(wake, Some(Event::Wake { at: sentinel.at }));
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

#[tokio::test]
async fn bad_input_of_every_kind_is_an_event_in_time() {
    let nested = b"*4096\r\n".repeat(99);
    let cases: Vec<(&str, Vec<u8>, bool, &[Failure])> = vec![
        ("nothing", vec![], true, &[Failure::Silent]),
        ("a close", vec![], false, &[Failure::Silent, Failure::Refused]),
        ("half an answer", b"*2\r\n$4\r\nna".to_vec(), true, &[Failure::Silent]),
        ("half an answer and a close", b"$40\r\nabc".to_vec(), false, &[Failure::Silent, Failure::Nonsense]),
        ("garbage", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), true, &[Failure::Nonsense]),
        ("binary", (0..=255).collect(), true, &[Failure::Nonsense]),
        ("10 MB of text", vec![b'x'; 10 << 20], true, &[Failure::Nonsense]),
        (
            "a bulk string of 10 MB",
            [b"$10485760\r\n".to_vec(), vec![b'x'; 10 << 20]].concat(),
            true,
            &[Failure::Nonsense],
        ),
        ("10 MB of small answers", b"_\r\n".repeat(3 << 20), true, &[Failure::Nonsense]),
        ("numbers", b":1\r\n".repeat(20), true, &[Failure::Nonsense]),
        ("a huge length", b"*9223372036854775807\r\n".to_vec(), true, &[Failure::Silent, Failure::Nonsense]),
        ("a huge map", b"|9223372036854775807\r\n".to_vec(), true, &[Failure::Silent, Failure::Nonsense]),
        ("a huge string", b"$9223372036854775807\r\nx".to_vec(), true, &[Failure::Silent, Failure::Nonsense]),
        ("a negative blob", b"=-5\r\nx".to_vec(), true, &[Failure::Silent, Failure::Nonsense]),
        ("depth", nested, true, &[Failure::Silent, Failure::Nonsense]),
        ("deeper", b"*1\r\n".repeat(60_000), true, &[Failure::Nonsense]),
        ("protected mode", b"-DENIED Redis is running in protected mode\r\n".to_vec(), false, &[Failure::Unauthorised]),
        (
            "too many clients",
            b"-ERR max number of clients reached\r\n".to_vec(),
            false,
            &[Failure::Silent, Failure::Refused],
        ),
        ("no password", b"-NOAUTH Authentication required.\r\n".repeat(9), true, &[Failure::Unauthorised]),
        ("a busy script", b"-BUSY Redis is busy\r\n".repeat(9), true, &[Failure::Silent, Failure::Nonsense]),
    ];
    let mut running = tokio::task::JoinSet::new();
    for (what, bytes, stay, wanted) in cases {
        let wanted = wanted.to_vec();
        running.spawn(async move {
            let place = lies(bytes, stay).await;
            let mut driver = driver(settings());
            for _ in 0..2 {
                let server = server_seen(&mut driver, place).await.expect_err(what);
                assert!(wanted.contains(&server), "{what}: server {server:?}");
                let sentinel = sentinel_seen(&mut driver, place, Depth::Full).await.expect_err(what);
                assert!(wanted.contains(&sentinel), "{what}: Sentinel {sentinel:?}");
            }
        });
        // A few at a time: the limits are of wall-clock time.
        if running.len() >= 4 {
            running.join_next().await.expect("a case").expect("passed");
        }
    }
    while let Some(case) = running.join_next().await {
        case.expect("passed");
    }
}

#[tokio::test]
async fn a_refused_connection_is_evidence() {
    let mut driver = driver(settings());
    let nobody = at(own_ip(), 6379);
    assert_eq!(server_seen(&mut driver, nobody).await, Err(Failure::Refused));
    assert_eq!(sentinel_seen(&mut driver, nobody, Depth::Glance).await, Err(Failure::Refused));
}

#[tokio::test]
async fn a_server_is_no_sentinel_and_a_sentinel_no_server() {
    let server = Engine::server(at(own_ip(), 6379), "").await;
    let sentinel = Engine::start("sentinel", at(own_ip(), 26379), "").await;
    let mut driver = driver(settings());
    assert_eq!(sentinel_seen(&mut driver, server.at, Depth::Full).await, Err(Failure::Nonsense));
    assert_eq!(server_seen(&mut driver, sentinel.at).await, Err(Failure::Nonsense));
}

#[tokio::test]
async fn looks_share_one_connection_until_it_breaks() {
    let server = Engine::server(at(own_ip(), 6379), "").await;
    let front = at(own_ip(), 6379);
    let behind = server.at;
    let count = liar(front, move |number, mut stream| async move {
        let mut onward = TcpStream::connect(behind.0).await.expect("connected");
        let bridge = tokio::io::copy_bidirectional(&mut stream, &mut onward);
        if number == 0 {
            let _cut = tokio::time::timeout(Duration::from_millis(500), bridge).await;
        } else {
            let _ended = bridge.await;
        }
    })
    .await;
    let mut driver = driver(settings());
    for _ in 0..5 {
        server_seen(&mut driver, front).await.expect("seen");
    }
    assert_eq!(count.load(Ordering::SeqCst), 1);
    tokio::time::sleep(Duration::from_millis(700)).await;
    // Broken in between: noticed and replaced within one look.
    server_seen(&mut driver, front).await.expect("seen");
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a3_behind_a_service_each_look_may_meet_another_sentinel() {
    let master = at(own_ip(), 6379);
    let one = Engine::start("sentinel", at(own_ip(), 26379), &monitor(master, 1)).await;
    let two = Engine::start("sentinel", at(own_ip(), 26379), &monitor(master, 1)).await;
    let service = at(own_ip(), 26379);
    let behind = [one.at, two.at];
    liar(service, move |number, mut stream| async move {
        let mut onward = TcpStream::connect(behind[number % 2].0).await.expect("connected");
        let _ended = tokio::io::copy_bidirectional(&mut stream, &mut onward).await;
    })
    .await;
    let host = HostPort { host: service.ip().to_string(), port: 26379 };
    let mut driver = driver(Settings { sentinels: vec![host], ..settings() });
    driver.0.look(Look::Names);
    let names = Event::Names(Resolved { sentinels: Some(vec![service]), servers: Some(vec![]) });
    assert_eq!(answer(&mut driver.1).await, names);
    let mut ids = HashSet::new();
    for _ in 0..6 {
        ids.insert(sentinel_seen(&mut driver, service, Depth::Glance).await.expect("seen").id.0);
    }
    assert_eq!(ids.len(), 2, "both were met");
}

#[tokio::test]
async fn e4_names_that_resolve_are_given_and_the_others_left_out() {
    let names = Names::with(Arc::new(|host| {
        Box::pin(async move {
            match host.as_str() {
                "two" => Ok(vec!["10.0.0.2".parse().expect("ip"), "10.0.0.1".parse().expect("ip")]),
                "slow" => std::future::pending().await,
                _ => Err(std::io::Error::other("no such name")),
            }
        })
    }));
    let host = |host: &str| HostPort { host: host.to_owned(), port: 26379 };
    for (sentinels, wanted) in [
        (vec![host("two"), host("gone"), host("10.0.0.9")], Some(vec!["10.0.0.1", "10.0.0.2", "10.0.0.9"])),
        (vec![host("two"), host("slow")], Some(vec!["10.0.0.1", "10.0.0.2"])),
        (vec![host("gone")], None),
        (vec![host("slow")], None),
        (vec![], Some(vec![])),
    ] {
        let (sender, mut events) = channel();
        let settings = Settings { sentinels, ..settings() };
        let discovery = Discovery::with_names(Arc::new(settings), Clock::new(), sender, names.clone());
        discovery.look(Look::Names);
        let Event::Names(found) = answer(&mut events).await else { panic!("names") };
        let wanted = wanted.map(|ips| ips.iter().filter_map(|ip| Address::parse(ip, 26379)).collect::<Vec<_>>());
        assert_eq!((found.sentinels, found.servers), (wanted, Some(vec![])));
    }
}

#[tokio::test]
async fn c6_a_replica_that_follows_a_name_follows_an_address() {
    let master = Engine::server(at(own_ip(), 6379), "").await;
    let replica = Engine::server(at(own_ip(), 6379), "replicaof localhost 6379").await;
    let (sender, events) = channel();
    let ip = master.at.ip();
    let names = Names::with(Arc::new(move |_| Box::pin(async move { Ok(vec![ip]) })));
    let mut driver = (Discovery::with_names(Arc::new(settings()), Clock::new(), sender, names), events);
    let seen = server_seen(&mut driver, replica.at).await.expect("seen");
    assert_eq!(seen.role.master(), Some(master.at));
}

#[tokio::test]
async fn d6_a_frozen_server_is_silent_in_time_and_seen_again_when_it_wakes() {
    let server = Engine::server(at(own_ip(), 6379), "").await;
    let mut driver = driver(settings());
    server_seen(&mut driver, server.at).await.expect("seen");
    let pid = nix::unistd::Pid::from_raw(i32::try_from(server.process.id()).expect("a pid"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).expect("stopped");
    for _ in 0..3 {
        assert_eq!(server_seen(&mut driver, server.at).await, Err(Failure::Silent));
    }
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGCONT).expect("continued");
    tokio::time::sleep(Duration::from_millis(100)).await;
    server_seen(&mut driver, server.at).await.expect("seen");
}
