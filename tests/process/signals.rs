//! P1 to P12, K4: signals to the supervisor.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;

use super::rig::{SOON, Setup, fake_engine};

const AT_ONCE: Duration = Duration::from_secs(2);

#[test]
fn p1_term_before_the_child_is_spawned() {
    let Some(setup) = Setup::pid1("p1", json!({})) else { return };
    // An engine that takes its time to tell its version leaves time before the spawn.
    let dir = tempfile::tempdir().unwrap();
    let slow = dir.path().join("slow-engine");
    let script = format!("#!/bin/sh\nsleep 0.4\nexec {} \"$@\"\n", fake_engine().display());
    fs::write(&slow, script).unwrap();
    fs::set_permissions(&slow, fs::Permissions::from_mode(0o755)).unwrap();
    let mut container = setup.engine(&slow.display().to_string()).start_in(dir);
    // From before the handlers are there (PID 1 loses those) until one is caught.
    let start = Instant::now();
    while start.elapsed() < SOON && container.ended_within(Duration::ZERO).is_none() {
        container.signal(Signal::SIGTERM);
        thread::sleep(Duration::from_micros(200));
    }
    assert_eq!(container.exit(AT_ONCE), 0);
    assert_eq!(container.lines("fake-starts"), Vec::<String>::new(), "nothing to spawn for a stop");
}

#[test]
fn p2_term_before_the_child_has_handlers() {
    let Some(setup) = Setup::pid1("p2", json!({ "no_handlers_ms": 60_000 })) else { return };
    let mut container = setup.start();
    container.until_started(1);
    container.signal(Signal::SIGTERM);
    assert_eq!(container.exit(SOON), 0);
}

#[test]
fn p3_term_every_second_is_one_shutdown() {
    let Some(setup) = Setup::pid1("p3", json!({ "term_ms": 4500 })) else { return };
    let mut container = setup.with("REDINIT_GRACE_PERIOD", "60s").start();
    container.until_ready();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) && container.ended_within(Duration::ZERO).is_none() {
        container.signal(Signal::SIGTERM);
        container.signal(Signal::SIGTERM);
        thread::sleep(Duration::from_secs(1));
    }
    assert_eq!(container.exit(SOON), 0);
    assert_eq!(container.engine_signals(), ["SIGTERM"]);
    assert!(start.elapsed() > Duration::from_secs(4), "the child had its time");
}

#[test]
fn p4_quit_during_a_stop_goes_to_the_bottom_of_the_ladder() {
    let Some(setup) = Setup::pid1("p4", json!({ "ignore_term": true, "refuse_shutdown": true })) else { return };
    let mut container = setup.start();
    container.until_ready();
    container.signal(Signal::SIGTERM);
    thread::sleep(Duration::from_millis(500));
    container.signal(Signal::SIGQUIT);
    let status = container.exit(AT_ONCE);
    assert!([0, 137].contains(&status), "{status}");
    assert!(!container.engine_signals().contains(&"SIGQUIT".to_owned()), "nothing is forwarded");
}

#[test]
fn p5_int_is_a_stop_and_the_child_never_gets_it() {
    let Some(setup) = Setup::pid1("p5", json!({ "term_ms": 300 })) else { return };
    let mut container = setup.start();
    container.until_ready();
    container.signal(Signal::SIGINT);
    container.signal(Signal::SIGINT);
    assert_eq!(container.exit(SOON), 0);
    assert_eq!(container.engine_signals(), ["SIGTERM"]);
}

#[test]
fn p6_p7_term_while_waiting_to_restart_ends_at_once() {
    let Some(setup) = Setup::pid1("p6", json!({ "exit": { "code": 1, "after_ms": 50 } })) else { return };
    let mut container = setup.with("REDINIT_RESTART_MAX", "100").start();
    // After the third end it waits for two seconds, without a child.
    container.until_started(3);
    container.until(SOON, "no child", |container| container.others().is_empty());
    container.signal(Signal::SIGTERM);
    assert_eq!(container.exit(AT_ONCE), 0);
}

#[test]
fn p6_k4_term_while_starting_ends_fast() {
    for (name, script) in [
        ("a child that does not listen yet", json!({ "listen_after_ms": 60_000 })),
        ("a child that loads", json!({ "loading_ms": 60_000 })),
    ] {
        let Some(setup) = Setup::pid1("k4", script) else { return };
        let mut container = setup.start();
        container.until_started(1);
        thread::sleep(Duration::from_millis(500));
        container.signal(Signal::SIGTERM);
        assert_eq!(container.exit(Duration::from_secs(3)), 0, "{name}");
        assert_eq!(container.engine_signals(), ["SIGTERM"], "{name}");
    }
}

#[test]
fn p8_p9_other_signals_neither_end_nor_stop_pid_1_and_are_not_forwarded() {
    let Some(setup) = Setup::pid1("p8", json!({})) else { return };
    let mut container = setup.start();
    container.until_ready();
    for signal in [
        Signal::SIGHUP,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGWINCH,
        Signal::SIGPIPE,
        Signal::SIGALRM,
        Signal::SIGTSTP,
        Signal::SIGTTIN,
        Signal::SIGTTOU,
        Signal::SIGCONT,
        Signal::SIGCHLD,
    ] {
        container.signal(signal);
        thread::sleep(Duration::from_millis(50));
        let status = fs::read_to_string(format!("/proc/{}/status", container.init)).unwrap();
        assert!(!status.contains("State:\tT"), "{signal} stopped it");
    }
    thread::sleep(Duration::from_millis(1500));
    assert_eq!(container.get("/livez"), Some(200));
    assert_eq!(container.lines("fake-starts").len(), 1, "no restart");
    assert_eq!(container.engine_signals(), Vec::<String>::new());
    container.signal(Signal::SIGTERM);
    assert_eq!(container.exit(SOON), 0);
}

#[test]
fn p8_the_same_where_we_are_not_pid_1() {
    let mut container = Setup::ordinary(json!({})).start();
    container.until_ready();
    for number in ["HUP", "USR1", "USR2", "WINCH", "PIPE", "ALRM", "TSTP", "TTIN", "TTOU", "34", "64"] {
        let kill = format!("kill -{number} {}", container.init);
        assert!(std::process::Command::new("/bin/sh").args(["-c", &kill]).status().unwrap().success());
    }
    thread::sleep(Duration::from_millis(500));
    assert_eq!(container.get("/livez"), Some(200));
    container.signal(Signal::SIGTERM);
    assert_eq!(container.exit(SOON), 0);
}

#[test]
fn p10_hup_and_cont_right_at_the_start_are_harmless() {
    let Some(setup) = Setup::pid1("p10", json!({})) else { return };
    let mut container = setup.start();
    for _ in 0..200 {
        container.signal(Signal::SIGHUP);
        container.signal(Signal::SIGCONT);
        thread::sleep(Duration::from_micros(500));
    }
    container.until_ready();
    container.signal(Signal::SIGTERM);
    assert_eq!(container.exit(SOON), 0);
}

#[test]
fn p11_p29_p43_how_the_child_is_born() {
    let Some(setup) = Setup::pid1("p11", json!({})) else { return };
    let setup = setup.with("REDIS_PASSWORD", "pw-in-the-environment").with("REDISCLI_AUTH", "pw-too");
    let container = setup.start();
    container.until_started(1);
    let status = container.file("fake-birth-status");
    // The fake's own Rust runtime ignores PIPE before its main; with `cat` the set is empty (process_reaper).
    for (set, expected) in [("SigBlk:", 0), ("SigIgn:", 1 << 12)] {
        let line = status.lines().find(|line| line.starts_with(set)).unwrap();
        assert_eq!(u64::from_str_radix(line.rsplit('\t').next().unwrap(), 16), Ok(expected), "{line}");
    }
    let descriptors = container.lines("fake-birth-fds");
    assert_eq!(descriptors.len(), 3, "{descriptors:?}");
    assert_eq!(descriptors.first().map(String::as_str), Some("0 /dev/null"));
    assert_eq!(container.file("fake-birth-cwd"), container.dir.path().join("data").display().to_string());
    assert_eq!(container.file("fake-birth-umask"), "0077");
    let stat = container.file("fake-birth-stat");
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    assert_eq!(stat.split(' ').next(), fields.get(2).copied(), "a group of its own");
    for file in ["fake-birth-environ", "fake-birth-argv"] {
        assert!(!container.file(file).contains("pw-"), "a secret in {file}");
    }
    assert!(!container.log().contains("pw-"), "a secret in the log");
}

#[test]
fn p12_signals_sent_by_the_child_do_no_harm() {
    let Some(setup) =
        Setup::pid1("p12", json!({ "signal_parent": [34, 35, 50, 64, 17, 17, 12, 13, 14, 20, 21, 22, 28, 29] }))
    else {
        return;
    };
    let mut container = setup.start();
    container.until(SOON, "all were sent", |container| container.lines("fake-sent").len() == 14);
    container.until_ready();
    container.signal(Signal::SIGTERM);
    assert_eq!(container.exit(SOON), 0);
}
