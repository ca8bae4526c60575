//! What the tests of this directory share: a picture, a running server, a control task that answers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use secrecy::SecretString;
use tempfile::TempDir;

use super::desk::Desk;
use super::key::PeerKey;
use super::listen::Listen;
use super::server::{self, ServerHandle};
use super::shared::{EngineShown, Published, Shared};
use crate::control::clock::Clock;
use crate::control::events::{EventReceiver, channel};
use crate::core::action::Progress;
use crate::core::event::{Event, Maintenance};
use crate::core::id::{Address, Epoch, Offset};
use crate::core::message::{PeerAnswer, PeerMessage};
use crate::core::moment::Moment;
use crate::core::rules::Mode;
use crate::core::seen::Link;
use crate::core::status::{
    Answer, HistoryLine, MasterShown, Phase, Probes, RoleShown, SentinelShown, ServerShown, Status,
};

pub fn address(text: &str) -> Address {
    let address: SocketAddr = text.parse().unwrap();
    Address::new(address.ip(), address.port())
}

/// A healthy replica of 10.0.0.1 at 10.0.0.2.
pub fn replica() -> Status {
    let (one, two) = (address("10.0.0.1:6379"), address("10.0.0.2:6379"));
    let yes = |reason: &str| Answer::Yes(reason.to_owned());
    let row = |address, role, link| ServerShown {
        address,
        role,
        link,
        offset: Some(Offset(1000)),
        lag: Some(0),
        supervised: Some(true),
        engine: None,
    };
    Status {
        cluster: None,
        strangers: Vec::new(),
        mode: Mode::Server,
        phase: Phase::Replica,
        reason: "3 of 3 Sentinels name 10.0.0.1:6379 at epoch 7".to_owned(),
        since: Moment::millis(1500),
        node: two,
        pid: Some(12),
        restarts: 1,
        role: RoleShown::Replica,
        fenced: false,
        maintenance: Maintenance::Off,
        master: Some(MasterShown { address: one, source: "sentinels", verdict: "confirmed", epoch: Epoch(7) }),
        link: Some(Link::Up),
        offset: Offset(1000),
        epoch: Epoch(7),
        follows: Some(one),
        never: false,
        began: None,
        servers: vec![row(one, RoleShown::Master, None), row(two, RoleShown::Replica, Some(Link::Up))],
        sentinels: vec![SentinelShown {
            address: address("10.0.0.1:26379"),
            master: Some(one),
            epoch: Some(Epoch(7)),
            state: "ok",
        }],
        handover: None,
        probes: Probes {
            live: yes("alive"),
            heartbeat: Duration::from_secs(10),
            ready: yes("follows 10.0.0.1:6379"),
            startup: yes("started"),
            master: Answer::No("replica of 10.0.0.1:6379".to_owned()),
            replica: yes("follows 10.0.0.1:6379"),
        },
    }
}

pub fn published(status: Status) -> Published {
    let engine = EngineShown { name: "redis".to_owned(), version: "7.0.15".to_owned() };
    let history = Arc::from([HistoryLine { at: Moment::millis(1500), event: "follow", reason: "named".to_owned() }]);
    Published { status, history, engine, wall_base: SystemTime::UNIX_EPOCH + Duration::from_secs(1_763_800_000) }
}

pub fn key(password: &str) -> PeerKey {
    PeerKey::derive(&SecretString::from(password.to_owned()))
}

/// A server on a socket in a directory of its own and on `http`, with nobody at the desk yet.
pub struct Running {
    pub shared: Arc<Shared>,
    pub socket: PathBuf,
    pub http: SocketAddr,
    pub desk: Option<Desk>,
    pub events: Option<EventReceiver>,
    pub handle: ServerHandle,
    _dir: TempDir,
}

pub fn start_at(http: &str, key: Option<PeerKey>) -> Running {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("redinit.sock");
    let shared = Arc::new(Shared::new(Clock::new(), published(replica())));
    let (sender, events) = channel();
    let (desk, inbox) = Desk::new(sender);
    let listen = Listen { socket: socket.clone(), http: Some(http.parse().unwrap()) };
    let handle = server::start(listen, Arc::clone(&shared), inbox, key).unwrap();
    let http = handle.http_address().unwrap();
    Running { shared, socket, http, desk: Some(desk), events: Some(events), handle, _dir: dir }
}

pub fn start(key: Option<PeerKey>) -> Running {
    start_at("127.0.0.1:0", key)
}

impl Running {
    /// A control task on a thread of its own: yes to everything, handovers in two steps.
    pub fn with_control(mut self) -> Self {
        let (desk, mut events) = (self.desk.take().unwrap(), self.events.take().unwrap());
        let shared = Arc::clone(&self.shared);
        std::thread::spawn(move || {
            while let Some(event) = events.blocking_recv() {
                shared.beat();
                answer(&desk, event);
            }
        });
        self
    }
}

fn answer(desk: &Desk, event: Event) {
    match event {
        Event::Request { reply, message, .. } => desk.reply(
            reply,
            match message {
                PeerMessage::Release { .. } => PeerAnswer::ChildGone,
                PeerMessage::AskLed { attempt } => PeerAnswer::No { reason: format!("asked for {attempt}") },
                PeerMessage::Consent { .. } => PeerAnswer::Consented,
                _ => PeerAnswer::Ok,
            },
        ),
        Event::Operator { reply, .. } => {
            desk.inform(reply, Progress::Step("first".to_owned()));
            desk.inform(reply, Progress::Step("second".to_owned()));
            desk.inform(reply, Progress::Done("all is done".to_owned()));
        }
        _ => {}
    }
}

/// One raw exchange over TCP: everything that comes back until the other side closes, 5 s at most.
pub fn raw(at: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let _broken = stream.write_all(request);
    let mut answer = Vec::new();
    let _broken = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// `GET` or another bare method over TCP.
pub fn bare(at: SocketAddr, method: &str, target: &str) -> String {
    raw(at, format!("{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes())
}
