//! The HTTP thread over real sockets.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::picture::Picture;
use super::probe::{self, Probe};
use super::testing::{bare, published, raw, replica, start};
use crate::core::status::Answer;

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

#[test]
fn probes_answer_in_every_method() {
    let running = start(None);
    for (target, status) in [("/livez", 200), ("/readyz", 200), ("/startupz", 200), ("/master", 503), ("/replica", 200)]
    {
        let answer = bare(running.http, "GET", target);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(!body(&answer).trim().is_empty());
        for method in ["HEAD", "OPTIONS"] {
            let answer = bare(running.http, method, target);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
            assert_eq!(body(&answer), "", "{method}");
        }
        assert!(bare(running.http, "DELETE", target).starts_with("HTTP/1.1 405 "));
    }
    assert!(bare(running.http, "GET", "/").starts_with("HTTP/1.1 404 "));
}

#[test]
fn the_status_has_the_names_of_the_contract() {
    let running = start(None);
    let status: Value = serde_json::from_str(body(&bare(running.http, "GET", "/status"))).unwrap();
    let brief: Value = serde_json::from_str(body(&bare(running.http, "GET", "/status?for=peers"))).unwrap();
    let brief = brief.as_object().unwrap();
    assert_eq!(
        brief.keys().collect::<Vec<_>>(),
        ["cluster", "engine", "epoch", "fenced", "follows", "never", "node", "role"]
    );
    let same = |name: &str, value: &Value| match value.as_object() {
        Some(parts) => parts.iter().all(|(part, value)| status[name][part] == *value),
        None => status[name] == *value,
    };
    assert!(brief.iter().all(|(name, value)| same(name, value)), "the same as in the whole");
    for name in [
        "mode",
        "phase",
        "reason",
        "since",
        "node",
        "engine",
        "role",
        "fenced",
        "maintenance",
        "master",
        "replication",
        "servers",
        "sentinels",
        "handover",
        "history",
    ] {
        assert!(status.get(name).is_some(), "{name}");
    }
    assert_eq!(status["since"], "2025-11-22T08:26:41.500Z");
    assert_eq!(status["engine"]["pid"], 12);
    assert_eq!(status["master"]["address"], "10.0.0.1:6379");
    assert_eq!(status["replication"]["link"], "up");
    assert_eq!(status["history"][0]["event"], "follow");
    assert_eq!(status["handover"], Value::Null);
    assert_eq!(status["follows"], "10.0.0.1:6379");
    serde_json::from_value::<Picture>(status).unwrap();
}

#[test]
fn metrics_are_open_metrics() {
    let running = start(None);
    let answer = bare(running.http, "GET", "/metrics");
    for line in [
        "redinit_role{role=\"replica\"} 1",
        "redinit_role{role=\"master\"} 0",
        "redinit_up 1",
        "redinit_fenced 0",
        "redinit_handover 0",
        "redinit_restarts_total 1",
        "redinit_build_info{",
        "# EOF",
    ] {
        assert!(answer.contains(line), "{line} in {answer}");
    }
}

#[test]
fn p39_a_stuck_control_loop_fails_live_and_ready_but_the_socket_answers() {
    let running = start(None);
    let mut status = replica();
    status.probes.heartbeat = Duration::from_millis(300);
    status.probes.master = Answer::Yes("leads".to_owned());
    running.shared.publish(published(status));
    running.shared.beat();
    for which in [Probe::Live, Probe::Ready, Probe::Master, Probe::Replica, Probe::Startup] {
        assert_eq!(probe::run(&running.socket, which, false), 0, "{which:?}");
    }
    thread::sleep(Duration::from_millis(400));
    for which in [Probe::Live, Probe::Ready, Probe::Master, Probe::Replica] {
        assert_eq!(probe::run(&running.socket, which, false), 1, "{which:?}");
    }
    assert_eq!(probe::run(&running.socket, Probe::Startup, false), 0);
    assert!(bare(running.http, "GET", "/readyz").contains("the control loop has not run for"));
    running.shared.beat();
    assert_eq!(probe::run(&running.socket, Probe::Live, false), 0);
}

#[test]
fn p38_a_probe_without_an_answer_exits_2_within_a_second() {
    let dir = tempfile::tempdir().unwrap();
    let nobody = dir.path().join("nobody.sock");
    assert_eq!(probe::run(&nobody, Probe::Live, false), 2);
    assert_eq!(probe::run(&nobody, Probe::Live, true), 1, "--docker");
    // Frozen: the kernel takes the first connection and nobody answers; then the backlog is full, too.
    let frozen = dir.path().join("frozen.sock");
    let listener = std::os::unix::net::UnixListener::bind(&frozen).unwrap();
    let begun = Instant::now();
    assert_eq!(probe::run(&frozen, Probe::Live, false), 2);
    assert!(begun.elapsed() < Duration::from_secs(1));
    nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(0).unwrap()).unwrap();
    let begun = Instant::now();
    assert_eq!(probe::run(&frozen, Probe::Live, false), 2);
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[test]
fn p36_open_connections_do_not_delay_the_end() {
    let running = start(None);
    let _open: Vec<_> = (0..50).map(|_| TcpStream::connect(running.http).unwrap()).collect();
    let mut half = UnixStream::connect(&running.socket).unwrap();
    half.write_all(b"POST /handover HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").unwrap();
    thread::sleep(Duration::from_millis(50));
    let begun = Instant::now();
    let socket = running.socket.clone();
    running.handle.stop();
    assert!(begun.elapsed() < Duration::from_millis(150), "{:?}", begun.elapsed());
    assert!(!socket.exists());
    half.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let _head_at_most = half.read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn garbage_is_an_answer_or_a_closed_connection() {
    let running = start(None);
    let deep = format!(
        "POST /peer/quicken HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 60000\r\n\r\n{}",
        "[".repeat(60_000)
    );
    let headers = format!("GET /livez HTTP/1.1\r\n{}\r\n", "X-A: b\r\n".repeat(500));
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100_000));
    let binary: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let requests: [&[u8]; 9] = [
        b"\r\n\r\n\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b"GET",
        b"GET /livez HTTP/9.9\r\n\r\n",
        b"POST /peer/release HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        &binary,
        deep.as_bytes(),
        headers.as_bytes(),
        long.as_bytes(),
    ];
    thread::scope(|scope| {
        for request in requests {
            let at = running.http;
            scope.spawn(move || {
                let answer = raw(at, request);
                assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
            });
        }
    });
    assert_eq!(probe::run(&running.socket, Probe::Live, false), 0);
}

#[test]
fn ten_megabytes_are_refused_and_not_kept() {
    let running = start(None);
    let mut request =
        b"POST /peer/report HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 10485760\r\n\r\n".to_vec();
    request.resize(request.len() + 10 * 1024 * 1024, b'x');
    let answer = raw(running.http, &request);
    // The other side may see a reset before it sees the refusal.
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413"), "{answer}");
    let chunked = b"POST /peer/report HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n";
    let mut request = chunked.to_vec();
    request.resize(request.len() + 10 * 1024 * 1024, b'x');
    let answer = raw(running.http, &request);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(bare(running.http, "GET", "/livez").starts_with("HTTP/1.1 200"));
}

#[test]
fn g5_slow_and_idle_connections_keep_nobody_out() {
    let running = start(None);
    let mut held = Vec::new();
    for number in 0..300 {
        let mut stream = TcpStream::connect(running.http).unwrap();
        let _broken = stream.write_all(if number % 2 == 0 { b"GET /li" } else { b"" });
        held.push(stream);
    }
    let begun = Instant::now();
    assert!(bare(running.http, "GET", "/livez").starts_with("HTTP/1.1 200"));
    assert!(begun.elapsed() < Duration::from_millis(100), "{:?}", begun.elapsed());
    assert_eq!(probe::run(&running.socket, Probe::Live, false), 0);
    // Half a request is not waited for: 3 s.
    let last = held.last_mut().unwrap();
    last.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let begun = Instant::now();
    let _closed = last.read_to_end(&mut Vec::new());
    assert!(begun.elapsed() < Duration::from_secs(4));
}

#[test]
fn a_slow_body_is_not_waited_for() {
    let running = start(None);
    let begun = Instant::now();
    let answer = raw(
        running.http,
        b"POST /peer/quicken HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 100\r\n\r\n{",
    );
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(begun.elapsed() < Duration::from_secs(4));
}

#[test]
fn orders_are_taken_over_the_socket_only() {
    let running = start(None).with_control();
    for (method, target) in [("POST", "/handover"), ("PUT", "/maintenance"), ("DELETE", "/maintenance")] {
        assert!(bare(running.http, method, target).starts_with("HTTP/1.1 403 "));
    }
}
