//! Supervisor to supervisor over real sockets.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::key::PeerKey;
use super::peers::Peers;
use super::testing::{Running, address, key, raw, start, start_at};
use crate::control::clock::Clock;
use crate::control::events::{EventReceiver, channel};
use crate::core::engines::EngineVersion;
use crate::core::event::Event;
use crate::core::id::{Address, AttemptId, Epoch, Offset, RequestId, SentinelId};
use crate::core::message::{PeerAnswer, PeerMessage};
use crate::core::seen::{Failure, SupervisorSeen};

const LIMIT: Duration = Duration::from_millis(1500);

fn peers(port: u16, key: Option<PeerKey>) -> (Peers, EventReceiver) {
    let (events, received) = channel();
    let peers = Peers::at_port(port, address("127.0.0.9:6379"), Clock::new(), events, key).unwrap();
    (peers, received)
}

fn server_at(http: SocketAddr) -> Address {
    Address::new(http.ip(), 6379)
}

fn release() -> PeerMessage {
    PeerMessage::Release {
        attempt: AttemptId::from("a-1"),
        candidate: address("127.0.0.9:6379"),
        sentinel: SentinelId::from("s"),
        replaces: address("127.0.0.1:6379"),
        offset: Offset(u64::MAX),
    }
}

async fn asked(
    peers: &Peers,
    events: &mut EventReceiver,
    to: Address,
    message: PeerMessage,
) -> Result<PeerAnswer, Failure> {
    peers.ask(RequestId(7), to, None, message, LIMIT);
    match events.recv().await {
        Some(Event::Answer { id: RequestId(7), from, answer }) if from == to => answer,
        other => unreachable!("{other:?}"),
    }
}

async fn looked(peers: &Peers, events: &mut EventReceiver, at: Address) -> Result<SupervisorSeen, Failure> {
    peers.look_supervisor(at);
    match events.recv().await {
        Some(Event::Supervisor { at: from, seen, .. }) if from == at => seen,
        other => unreachable!("{other:?}"),
    }
}

#[tokio::test]
async fn a_message_is_answered_with_and_without_a_password() {
    for password in [None, Some("secret")] {
        let running = start(password.map(key)).with_control();
        let (peers, mut events) = peers(running.http.port(), password.map(key));
        let to = server_at(running.http);
        for _ in 0..3 {
            assert_eq!(asked(&peers, &mut events, to, release()).await, Ok(PeerAnswer::ChildGone));
        }
        let message = PeerMessage::AskLed { attempt: AttemptId::from("a 1&b=ü") };
        let answer = asked(&peers, &mut events, to, message).await;
        assert_eq!(answer, Ok(PeerAnswer::No { reason: "asked for a 1&b=ü".to_owned() }));
        let seen = looked(&peers, &mut events, to).await.unwrap();
        let (follows, node) = (Some(address("10.0.0.1:6379")), Some(address("10.0.0.2:6379")));
        let expected = SupervisorSeen {
            cluster: None,
            epoch: Epoch(7),
            leads: false,
            fenced: false,
            follows,
            never: false,
            node,
            engine: EngineVersion::parse("redis 7.0.15"),
            began: None,
        };
        assert_eq!(seen, expected);
    }
}

#[tokio::test]
async fn a_wrong_or_missing_password_is_not_an_answer() {
    let running = start(Some(key("secret"))).with_control();
    let to = server_at(running.http);
    for wrong in [None, Some(key("other"))] {
        let (peers, mut events) = peers(running.http.port(), wrong);
        assert_eq!(asked(&peers, &mut events, to, release()).await, Err(Failure::Unauthorised));
    }
    // The asked one has no password: its answers are not believed.
    let open = start(None).with_control();
    let (peers, mut events) = peers(open.http.port(), Some(key("secret")));
    assert_eq!(asked(&peers, &mut events, server_at(open.http), release()).await, Err(Failure::Unauthorised));
}

/// The nonce in an answer's head.
fn nonce_of(answer: &str) -> String {
    let line = answer.lines().find_map(|line| line.strip_prefix("x-redinit-nonce: ")).unwrap();
    line.trim().to_owned()
}

fn quicken(running: &Running, nonce: &str, mark: &str) -> String {
    let body = r#"{"v":1,"lasting":100}"#;
    let request = format!(
        "POST /peer/quicken HTTP/1.1\r\nHost: x\r\nConnection: close\r\nx-redinit-nonce: {nonce}\r\n\
         x-redinit-mac: {mark}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    raw(running.http, request.as_bytes())
}

#[test]
fn m29_a_message_counts_once_and_for_two_seconds() {
    let running = start(Some(key("secret"))).with_control();
    let fresh = || nonce_of(&super::testing::bare(running.http, "GET", "/peer/nonce"));
    let mark =
        |nonce: &str| key("secret").mark_request("POST", "/peer/quicken", nonce, br#"{"v":1,"lasting":100}"#).to_hex();
    let nonce = fresh();
    assert!(quicken(&running, &nonce, &mark(&fresh())).starts_with("HTTP/1.1 401"), "another nonce's mark");
    let answer = quicken(&running, &nonce, &mark(&nonce));
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("x-redinit-mac: "), "{answer}");
    assert!(quicken(&running, &nonce, &mark(&nonce)).starts_with("HTTP/1.1 401"), "a replay");
    let old = fresh();
    thread::sleep(Duration::from_millis(2050));
    assert!(quicken(&running, &old, &mark(&old)).starts_with("HTTP/1.1 401"), "it lay around");
}

/// Passes bytes on to `http` and counts what is asked.
fn counting(http: SocketAddr) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, count) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&count);
    thread::spawn(move || {
        while let Ok((mut from, _)) = listener.accept() {
            let mut to = TcpStream::connect(http).unwrap();
            let (mut back_from, mut back_to) = (to.try_clone().unwrap(), from.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut back_from, &mut back_to));
            let counted = Arc::clone(&counted);
            thread::spawn(move || {
                let mut bytes = [0; 65536];
                while let Ok(length @ 1..) = from.read(&mut bytes) {
                    let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
                    counted.fetch_add(text.matches("HTTP/1.1").count(), Ordering::SeqCst);
                    to.write_all(&bytes[..length]).unwrap();
                }
            });
        }
    });
    (port, count)
}

#[tokio::test]
async fn a_release_costs_one_round_trip_when_warm_and_two_when_cold() {
    let running = start(Some(key("secret"))).with_control();
    let (port, count) = counting(running.http);
    let (peers, mut events) = peers(port, Some(key("secret")));
    let to = server_at(running.http);
    assert_eq!(asked(&peers, &mut events, to, release()).await, Ok(PeerAnswer::ChildGone));
    assert_eq!(count.load(Ordering::SeqCst), 2);
    looked(&peers, &mut events, to).await.unwrap();
    assert_eq!(asked(&peers, &mut events, to, release()).await, Ok(PeerAnswer::ChildGone));
    assert_eq!(count.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn refused_is_evidence_and_silence_is_not() {
    let (peers, mut events) = peers(1, None);
    let nobody = address("127.0.0.1:6379");
    assert_eq!(looked(&peers, &mut events, nobody).await, Err(Failure::Refused));
    assert_eq!(asked(&peers, &mut events, nobody, release()).await, Err(Failure::Refused));
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let (peers, mut events) = self::peers(silent.local_addr().unwrap().port(), None);
    let begun = Instant::now();
    assert_eq!(looked(&peers, &mut events, nobody).await, Err(Failure::Silent));
    assert!(begun.elapsed() < Duration::from_millis(400), "{:?}", begun.elapsed());
    assert_eq!(asked(&peers, &mut events, nobody, release()).await, Err(Failure::Silent));
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_stuck_control_loop_is_silence() {
    let running = start(None);
    let (peers, mut events) = peers(running.http.port(), None);
    assert_eq!(asked(&peers, &mut events, server_at(running.http), release()).await, Err(Failure::Silent));
    assert!(looked(&peers, &mut events, server_at(running.http)).await.is_ok(), "its status goes on");
}

#[tokio::test]
async fn a_restarted_supervisor_is_not_taken_for_a_refusal() {
    let running = start(Some(key("secret"))).with_control();
    let http = running.http;
    let (peers, mut events) = peers(http.port(), Some(key("secret")));
    let to = server_at(http);
    assert!(asked(&peers, &mut events, to, release()).await.is_ok());
    running.handle.stop();
    assert_eq!(asked(&peers, &mut events, to, release()).await, Err(Failure::Refused));
    let _again = start_at(&http.to_string(), Some(key("secret"))).with_control();
    assert!(asked(&peers, &mut events, to, release()).await.is_ok(), "with nonces of the new process");
}

/// Takes connections and gives each the same bytes, then closes; how long it then waits is up to the reader.
fn answers_with(bytes: Vec<u8>) -> u16 {
    let listener = TcpListener::bind((IpAddr::from([127, 0, 0, 1]), 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let bytes = bytes.clone();
            thread::spawn(move || converse(&mut stream, &bytes));
        }
    });
    port
}

fn converse(stream: &mut TcpStream, bytes: &[u8]) {
    let _head = stream.read(&mut [0; 4096]);
    let _broken = stream.write_all(bytes);
}

#[tokio::test]
async fn nonsense_half_answers_and_floods_end_in_an_event() {
    let flood = |head: &str| {
        let mut bytes = head.as_bytes().to_vec();
        bytes.resize(10 * 1024 * 1024, b' ');
        bytes
    };
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: ";
    for bytes in [
        b"\x00\xff\x00garbage\r\n\r\n".to_vec(),
        format!("{ok}3\r\n\r\n{{}}x").into_bytes(),
        format!("{ok}2\r\n\r\n{{}}").into_bytes(),
        format!("{ok}50\r\n\r\n{{\"v\":1").into_bytes(),
        format!("{ok}23\r\n\r\n{{\"v\":2,\"answer\":\"open\"}}").into_bytes(),
        b"HTTP/1.1 301 x\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n".to_vec(),
        b"HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n".to_vec(),
        flood(&format!("{ok}10000000\r\n\r\n{{")),
        flood("HTTP/1.1 200 OK\r\n\r\n{"),
    ] {
        let shown = String::from_utf8_lossy(&bytes).chars().take(60).collect::<String>();
        let (peers, mut events) = peers(answers_with(bytes), None);
        let to = address("127.0.0.1:6379");
        assert_eq!(asked(&peers, &mut events, to, release()).await, Err(Failure::Nonsense), "{shown}");
        if !shown.contains("\"v\":2") {
            assert_eq!(looked(&peers, &mut events, to).await, Err(Failure::Nonsense), "{shown}");
        }
    }
    // Closed before any answer: no evidence.
    let (peers, mut events) = peers(answers_with(Vec::new()), None);
    assert_eq!(asked(&peers, &mut events, address("127.0.0.1:6379"), release()).await, Err(Failure::Silent));
}
