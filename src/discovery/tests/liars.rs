//! Looks at whoever answers nonsense, or nothing.

use super::*;

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
