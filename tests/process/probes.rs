//! P36, P37, P40, P41: probes and the socket, at the start and to the very end.

use std::io::Write;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;

use super::rig::{SOON, Setup};

#[test]
fn p36_open_connections_never_delay_the_exit() {
    let Some(setup) = Setup::pid1("p36", json!({})) else { return };
    let mut container = setup.start();
    container.until_ready();
    let path = container.dir.path().join("redinit.sock");
    let mut open: Vec<UnixStream> = (0..20).map(|_| UnixStream::connect(&path).unwrap()).collect();
    for (index, socket) in open.iter_mut().enumerate() {
        let half = if index % 2 == 0 { "GET /livez HT" } else { "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" };
        socket.write_all(half.as_bytes()).unwrap();
    }
    let start = Instant::now();
    container.signal(Signal::SIGTERM);
    assert_eq!(container.exit(SOON), 0);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[test]
fn p37_a_socket_that_an_earlier_run_left_is_replaced() {
    let Some(setup) = Setup::pid1("p37", json!({})) else { return };
    let dir = tempfile::tempdir().unwrap();
    // Bound and dropped: the file stays, and nobody listens.
    drop(UnixListener::bind(dir.path().join("redinit.sock")).unwrap());
    let mut container = setup.start_in(dir);
    container.until_ready();
    container.signal(Signal::SIGTERM);
    assert_eq!(container.exit(SOON), 0);
}

#[test]
fn p37_a_second_supervisor_on_the_same_directory_refuses() {
    let Some(setup) = Setup::pid1("p37", json!({})) else { return };
    let first = setup.start();
    first.until_ready();
    let data = first.dir.path().join("data").display().to_string();
    let socket = first.dir.path().join("redinit.sock").display().to_string();
    for (what, name, value) in [("directory", "REDINIT_DATA_DIR", data), ("socket", "REDINIT_SOCKET", socket)] {
        let mut second = Setup::pid1("p37", json!({})).unwrap().with(name, &value).start();
        assert_eq!(second.exit(SOON), 78, "same {what}: {}", second.log());
    }
    assert_eq!(first.get("/readyz"), Some(200), "and the first one does not care");
    assert_eq!(first.lines("fake-starts").len(), 1);
}

#[test]
fn p40_loading_is_started_and_alive_but_not_ready() {
    let Some(setup) = Setup::pid1("p40", json!({ "loading_ms": 4000 })) else { return };
    let mut container = setup.start();
    container.until_started(1);
    container.until(Duration::from_secs(2), "started", |c| c.get("/startupz") == Some(200));
    while container.started.elapsed() < Duration::from_millis(3500) {
        assert_eq!(container.get("/livez"), Some(200));
        assert_eq!(container.get("/readyz"), Some(503));
        std::thread::sleep(Duration::from_millis(100));
    }
    container.until_ready();
    assert_eq!(container.lines("fake-starts").len(), 1);
    container.signal(Signal::SIGTERM);
    assert_eq!(container.exit(SOON), 0);
}

#[test]
fn p41_a_stop_is_not_ready_at_once_and_alive_to_the_end() {
    let Some(setup) = Setup::pid1("p41", json!({ "term_ms": 2500 })) else { return };
    let mut container = setup.start();
    container.until_ready();
    container.signal(Signal::SIGTERM);
    container.until(Duration::from_secs(1), "not ready", |c| c.get("/readyz") == Some(503));
    let mut answers = 0;
    while container.ended_within(Duration::ZERO).is_none() {
        match container.get("/livez") {
            Some(status) => assert_eq!(status, 200),
            // The very end: between two looks.
            None => break,
        }
        answers += 1;
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(answers > 20, "{answers}");
    assert_eq!(container.exit(Duration::from_secs(2)), 0);
}
