//! P13, P14, P23, P24, P31 to P33, K2, K3: what a child leaves behind, and what we leave behind.

use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use super::rig::{SOON, Setup, all_processes, runs_from};

#[test]
fn p13_k2_a_thousand_orphans_leave_no_zombie() {
    let script = json!({ "orphans": 1000, "exit": { "code": 7, "after_ms": 3000 } });
    let Some(setup) = Setup::pid1("p13", script) else { return };
    let mut container = setup.with("REDINIT_RESTART_MAX", "0").start();
    container.until(Duration::from_secs(60), "the storm is over", |c| !c.file("fake-orphans").is_empty());
    container.until(Duration::from_secs(1), "no zombie", |c| c.zombies() == 0);
    assert_eq!(container.exit(SOON), 7, "and its status was not stolen");
}

#[test]
fn p23_orphans_are_ours_where_we_are_not_pid_1() {
    let mut container = Setup::ordinary(json!({ "orphans": 100 })).start();
    container.until(SOON, "the storm is over", |c| !c.file("fake-orphans").is_empty());
    container.until(Duration::from_secs(1), "no zombie", |c| c.zombies() == 0);
    let orphans = all_processes().into_iter().filter(|(pid, _, parent)| *parent == 1 && runs_from(*pid, "fake_engine"));
    assert_eq!(orphans.count(), 0, "none went to another init");
    container.signal(Signal::SIGTERM);
    assert_eq!(container.exit(SOON), 0);
}

#[test]
fn p24_p38_probes_leave_nothing_behind() {
    let Some(setup) = Setup::pid1("p24", json!({})) else { return };
    let mut container = setup.start();
    container.until_ready();
    let mut slowest = Duration::ZERO;
    for _ in 0..200 {
        let (code, took) = container.probe(&["live"]);
        assert_eq!(code, Some(0));
        slowest = slowest.max(took);
    }
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    assert_eq!(container.others().len(), 1, "the engine alone: {:?}", container.others());
    container.signal(Signal::SIGTERM);
    assert_eq!(container.exit(SOON), 0);
    assert_eq!(container.probe(&["live"]).0, Some(2), "nobody answers");
    assert_eq!(container.probe(&["live", "--docker"]).0, Some(1));
}

#[test]
fn p31_a_grandchild_is_killed_before_the_restart() {
    let script = json!([
        { "grandchild": { "ms": 60_000 }, "exit": { "code": 1, "after_ms": 300 } },
        {}
    ]);
    let Some(setup) = Setup::pid1("p31", script) else { return };
    let mut container = setup.start();
    container.until_started(2);
    assert_eq!(container.file("fake-grandchild-outlived"), "");
    container.until(SOON, "the engine alone", |c| c.others().len() == 1);
    container.signal(Signal::SIGTERM);
    assert_eq!(container.exit(SOON), 0);
}

#[test]
fn p31_a_grandchild_is_killed_before_the_exit() {
    let script = json!({ "grandchild": { "ms": 60_000 } });
    let mut container = Setup::ordinary(script).start();
    container.until(SOON, "a grandchild", |c| !c.file("fake-grandchild").is_empty());
    let grandchild: i32 = container.file("fake-grandchild").parse().unwrap();
    container.signal(Signal::SIGTERM);
    assert_eq!(container.exit(SOON), 0);
    thread::sleep(Duration::from_millis(300));
    let lives = all_processes().into_iter().any(|(pid, state, _)| pid == grandchild && state != 'Z');
    assert!(!lives, "it outlived us");
}

#[test]
fn p32_p33_a_grandchild_in_its_own_session_with_our_stdout_delays_nothing() {
    let script = json!({ "grandchild": { "ms": 60_000, "setsid": true, "hold_stdout": true } });
    let Some(setup) = Setup::pid1("p32", script) else { return };
    let mut container = setup.start();
    container.until(SOON, "a grandchild", |c| !c.file("fake-grandchild").is_empty());
    container.until_ready();
    let everybody = container.others();
    assert_eq!(everybody.len(), 2, "{everybody:?}");
    let start = Instant::now();
    container.signal(Signal::SIGTERM);
    assert_eq!(container.exit(SOON), 0);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    thread::sleep(Duration::from_millis(300));
    let left = all_processes().into_iter().filter(|(pid, state, _)| {
        *state != 'Z' && everybody.iter().any(|(other, _)| other == pid) && runs_from(*pid, "fake_engine")
    });
    assert_eq!(left.count(), 0, "the kernel ends a namespace with its PID 1");
}

#[test]
fn k3_a_killed_supervisor_takes_its_child_along() {
    let mut container = Setup::ordinary(json!({ "ignore_term": true })).start();
    container.until_ready();
    let engine = container.others();
    assert_eq!(engine.len(), 1, "{engine:?}");
    kill(Pid::from_raw(container.init), Signal::SIGKILL).unwrap();
    assert!(container.ended_within(SOON).is_some());
    thread::sleep(Duration::from_millis(500));
    let lives = engine.iter().any(|(pid, _)| runs_from(*pid, "fake_engine"));
    assert!(!lives, "PDEATHSIG");
}
