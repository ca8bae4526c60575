//! Runs a test of this binary anew as PID 1 of its own PID namespace.

use std::process::Command;

pub use skipped::say_skipped;

#[path = "../bed/skipped.rs"]
mod skipped;

const INSIDE: &str = "REDINIT_TEST_INSIDE";

/// `unshare` with what this user may have; `None` with the reason where there are no namespaces to be had.
pub fn unshare() -> Result<Vec<&'static str>, String> {
    let own_pids = ["--pid", "--fork", "--mount-proc", "--kill-child"];
    let as_root = own_pids.to_vec();
    let with_users = [&["--user", "--map-root-user"][..], &own_pids].concat();
    for arguments in [as_root, with_users] {
        let tried = Command::new("unshare").args(&arguments).arg("true").output();
        if tried.is_ok_and(|output| output.status.success()) {
            return Ok(arguments);
        }
    }
    Err("unshare --pid is not allowed here".into())
}

/// In the namespace: runs `body`. Outside: runs the test of this name inside, and fails as it does.
#[allow(dead_code, reason = "not every test binary re-executes itself")]
pub fn as_pid1(name: &str, body: fn()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let arguments = match unshare() {
        Ok(arguments) => arguments,
        Err(reason) => return say_skipped(name, &reason),
    };
    let output = Command::new("unshare")
        .args(arguments)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{name} as PID 1: {}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
