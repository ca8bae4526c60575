//! P25 to P28, K1: how the process ends, and why.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;

use super::rig::{GRACE, SOON, Setup, UNTIL_KILL};

#[test]
fn p25_p28_k1_the_childs_exit_status_is_ours_and_never_0_unasked() {
    for (code, expected) in
        [(1, 1), (2, 2), (32, 32), (64, 64), (126, 126), (127, 127), (128, 128), (254, 254), (255, 255), (0, 70)]
    {
        let script = json!({ "exit": { "code": code, "after_ms": 100 } });
        let Some(setup) = Setup::pid1("p25", script) else { return };
        let mut container = setup.with("REDINIT_RESTART_MAX", "0").start();
        assert_eq!(container.exit(SOON), expected, "exit {code}");
        assert_eq!(container.lines("fake-starts").len(), 1, "exit {code}");
    }
}

#[test]
fn p26_k1_the_signal_that_killed_the_child_is_told_as_a_shell_does() {
    for signal in [15, 1, 3, 9, 11, 6] {
        let script = json!({ "die": { "signal": signal, "after_ms": 100 } });
        let Some(setup) = Setup::pid1("p26", script) else { return };
        let mut container = setup.with("REDINIT_RESTART_MAX", "0").start();
        assert_eq!(container.exit(SOON), 128 + signal, "signal {signal}");
    }
}

#[test]
fn p27_a_stop_that_was_asked_for_is_0() {
    for (name, script) in [
        ("ends 0", json!({})),
        ("killed by TERM", json!({ "no_handlers_ms": 60_000 })),
        ("takes its time", json!({ "term_ms": 1500 })),
    ] {
        let Some(setup) = Setup::pid1("p27", script) else { return };
        let mut container = setup.start();
        container.until_started(1);
        thread::sleep(Duration::from_millis(300));
        container.signal(Signal::SIGTERM);
        assert_eq!(container.exit(SOON), 0, "{name}");
    }
}

#[test]
fn p27_p30_a_child_that_will_not_go_is_killed_in_the_budget() {
    let script = json!({ "ignore_term": true, "refuse_shutdown": true, "grandchild": { "ms": 60_000 } });
    let Some(setup) = Setup::pid1("p30", script) else { return };
    let mut container = setup.start();
    container.until_ready();
    let start = Instant::now();
    container.signal(Signal::SIGTERM);
    assert_eq!(container.exit(GRACE), 137);
    assert!(start.elapsed() <= UNTIL_KILL + Duration::from_secs(1), "{:?}", start.elapsed());
    assert_eq!(container.engine_signals(), ["SIGTERM"]);
    let log = container.log();
    let errors: Vec<_> = log.lines().filter(|line| line.contains("\"level\":\"error\"")).collect();
    assert_eq!(errors.len(), 1, "one error line that says which stage ran out: {errors:#?}");
}

#[test]
fn k1_a_child_that_keeps_ending_is_given_up() {
    let Some(setup) = Setup::pid1("k1", json!({ "exit": { "code": 3, "after_ms": 20 } })) else { return };
    let mut container = setup.with("REDINIT_RESTART_MAX", "2").with("REDINIT_RESTART_WITHIN", "60s").start();
    let start = Instant::now();
    assert_eq!(container.exit(SOON), 3);
    assert_eq!(container.lines("fake-starts").len(), 3, "started, and restarted twice");
    assert!(start.elapsed() >= Duration::from_millis(1400), "0.5 s, then 1 s: {:?}", start.elapsed());
}

#[test]
fn p16_an_engine_that_cannot_be_started_is_78_and_one_line() {
    for engine in ["/no/such/engine", "/etc/passwd", "/bin/false"] {
        let Some(setup) = Setup::pid1("p16", json!({})) else { return };
        let mut container = setup.engine(engine).start();
        assert_eq!(container.exit(SOON), 78, "{engine}");
        let log = container.log();
        assert!(log.contains(engine) && !log.contains("panicked"), "{engine}: {log}");
    }
}

#[test]
fn p42_a_data_directory_that_cannot_be_used_is_78_and_nothing_is_touched() {
    for directory in ["/proc/1", "/etc/passwd/data"] {
        let Some(setup) = Setup::pid1("p42", json!({})) else { return };
        let mut container = setup.with("REDINIT_DATA_DIR", directory).start();
        assert_eq!(container.exit(SOON), 78, "{directory}");
        let log = container.log();
        assert!(log.contains(directory) && !log.contains("panicked"), "{directory}: {log}");
        assert_eq!(log.lines().count(), 1, "more than one line: {log}");
    }
}

#[test]
fn an_output_that_takes_nothing_changes_no_exit_status() {
    for (call, expected) in [
        ("config show >/dev/full", 0),
        ("--help >/dev/full", 0),
        ("no-such-call 2>/dev/full", 64),
        ("handover --to no/such/name 2>/dev/full", 64),
        ("config check 2>/dev/full", 78),
        ("run 2>/dev/full", 78),
        ("elector --election x --id x --lock kubernetes 2>/dev/full", 78),
    ] {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &format!("exec \"$0\" {call}"), env!("CARGO_BIN_EXE_redinit")]).env_clear();
        if expected == 78 {
            shell.env("REDINIT_DOWN_AFTER", "1s");
        }
        assert_eq!(shell.status().unwrap().code(), Some(expected), "{call}");
    }
}

#[test]
fn what_a_start_would_refuse_in_the_engines_lines_is_found_by_config_check() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("own.conf");
    for (text, expected) in [("maxmemory 1gb\n", Some(0)), ("maxmemory 1gb\ndaemonize yes\n", Some(78))] {
        std::fs::write(&file, text).unwrap();
        let mut call = Command::new(env!("CARGO_BIN_EXE_redinit"));
        let output = call.args(["config", "check"]).env_clear().env("REDINIT_INCLUDE", &file).output().unwrap();
        assert_eq!(output.status.code(), expected, "{text}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(said.contains(&format!("{}:2: `daemonize`", file.display())), expected == Some(78), "{said}");
    }
}
