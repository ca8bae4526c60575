#![allow(clippy::panic, reason = "that is how a test fails")]

use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::control::events::{EventReceiver, channel};
use crate::discovery::tests::{own_ip, settings};

fn client(settings: Settings) -> (Client, EventReceiver) {
    let (sender, receiver) = channel();
    (Client::new(Arc::new(settings), Clock::new(), sender), receiver)
}

async fn seen((client, events): &mut (Client, EventReceiver)) -> Result<ElectorSeen, Failure> {
    client.look();
    let until = Instant::now() + LOOK_LIMIT + Duration::from_millis(200);
    match timeout_at(until, events.recv()).await.expect("in time") {
        Some(Event::Elector { seen, .. }) => seen,
        other => panic!("{other:?}"),
    }
}

/// Answers every connection with these bytes, and stays or closes.
async fn elector(answer: Vec<u8>, stay: bool) -> Ipv4Addr {
    let ip = own_ip();
    let listener = TcpListener::bind((ip, 4040)).await.expect("a listener");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut question = [0_u8; 4096];
                let _asked = stream.read(&mut question).await;
                let _gone = stream.write_all(&answer).await;
                if stay {
                    tokio::time::sleep(Duration::from_secs(20)).await;
                }
            });
        }
    });
    ip
}

fn with_body(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

async fn asked(answer: Vec<u8>, stay: bool) -> Result<ElectorSeen, Failure> {
    let ip = elector(answer, stay).await;
    seen(&mut client(Settings { elector: Elector::Http(format!("http://{ip}:4040")), ..settings() })).await
}

#[tokio::test]
async fn an_id_is_an_address_a_name_or_ourselves() {
    for (body, ips, lease) in [
        (r#"{"name":"10.1.2.3"}"#, vec!["10.1.2.3"], false),
        (r#"{"name":"10.1.2.3:6379","redinit":{"lease_ms":15000}}"#, vec!["10.1.2.3"], true),
        (r#"{"name":"fd00::1"}"#, vec!["fd00::1"], false),
        (r#"{"name":"test"}"#, vec!["127.0.0.1"], false),
        (r#"{"name":""}"#, vec![], false),
        (r#"{"name":"no such host"}"#, vec![], false),
    ] {
        let seen = asked(with_body(body), true).await.expect("an answer");
        let wanted: Vec<IpAddr> = ips.iter().map(|ip| ip.parse().expect("an address")).collect();
        assert_eq!((seen.leader, seen.lease), (wanted, lease), "{body}");
    }
}

#[tokio::test]
async fn a6_nonsense_silence_and_giants_are_failures_in_time() {
    let giant = [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'x'; 10 << 20]].concat();
    let endless_head = [b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'x'; 10 << 20]].concat();
    let redirect = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n".to_vec();
    for (what, answer, stay, wanted) in [
        ("nothing", vec![], true, vec![Failure::Silent]),
        ("a close", vec![], false, vec![Failure::Silent, Failure::Nonsense, Failure::Refused]),
        ("garbage", b"-ERR unknown command\r\n".to_vec(), true, vec![Failure::Nonsense]),
        ("no JSON", with_body("hello"), true, vec![Failure::Nonsense]),
        ("other JSON", with_body("[1]"), true, vec![Failure::Nonsense]),
        ("a control character", with_body(r#"{"name":"a\u001b[2J"}"#), true, vec![Failure::Nonsense]),
        ("half", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"na".to_vec(), true, vec![Failure::Silent]),
        ("10 MB", giant, true, vec![Failure::Nonsense]),
        ("a head of 10 MB", endless_head, true, vec![Failure::Nonsense, Failure::Silent]),
        ("a redirect", redirect, true, vec![Failure::Nonsense]),
        ("an error", b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".to_vec(), true, vec![Failure::Nonsense]),
    ] {
        let failure = asked(answer, stay).await.expect_err(what);
        assert!(wanted.contains(&failure), "{what}: {failure:?}");
    }
    let nobody = Elector::Http(format!("http://{}:4040", own_ip()));
    assert_eq!(seen(&mut client(Settings { elector: nobody, ..settings() })).await, Err(Failure::Refused));
    assert_eq!(seen(&mut client(settings())).await, Err(Failure::Silent));
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_a_refused_opinion_not_a_hang() {
    let url = Elector::DefaultHttp("http://no-such-host.invalid:4040".to_owned());
    assert_eq!(seen(&mut client(Settings { elector: url, ..settings() })).await, Err(Failure::Silent));
}

#[tokio::test]
async fn with_a_file_the_supervisors_elect_among_themselves() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("lock");
    let node = |mode| {
        let ip = own_ip();
        let elector = Elector::File(path.clone());
        (ip, Settings { mode, elector, announce_address: ip.to_string(), announce_ip: ip.into(), ..settings() })
    };
    let ((a_ip, a), (b_ip, b), (_, watcher)) = (node(Mode::Server), node(Mode::Server), node(Mode::Sentinel));
    let (mut a, mut b, mut watcher) = (client(a), client(b), client(watcher));
    let mut leader = None;
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let all = [seen(&mut a).await, seen(&mut b).await, seen(&mut watcher).await].map(|seen| seen.expect("read"));
        assert!(all.iter().all(|seen| seen.lease));
        leader = all[0].leader.first().copied().filter(|_| all.iter().all(|seen| seen.leader == all[0].leader));
        if leader.is_some() {
            break;
        }
    }
    let leader = leader.expect("all three name one");
    let (first, mut second, heir) = if leader == IpAddr::from(a_ip) { (a, b, b_ip) } else { (b, a, a_ip) };
    first.0.release(Duration::from_secs(1));
    for _ in 0..40 {
        if seen(&mut second).await.expect("read").leader == [IpAddr::from(heir)] {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the other one did not take over");
}
