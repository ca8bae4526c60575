//! What was done to us, in files beside the data: `fake-starts`, `fake-signals`, `fake-commands`, `fake-birth-*`.
//! A directory that cannot be written is no reason to fail: that, too, is tested.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::stat::{Mode, umask};

/// Records how we were born; which start this is, from 0.
pub fn start() -> usize {
    let mut descriptors: Vec<String> = Vec::new();
    for entry in fs::read_dir("/proc/self/fd").unwrap().flatten() {
        let target = fs::read_link(entry.path()).unwrap_or_default();
        // Not the one that we are reading with.
        if !target.ends_with("fd") {
            descriptors.push(format!("{} {}", entry.file_name().display(), target.display()));
        }
    }
    descriptors.sort();
    let mask = umask(Mode::from_bits_truncate(0o077));
    umask(mask);
    let before = fs::read_to_string("fake-starts").unwrap_or_default().lines().count();
    write("fake-birth-fds", &descriptors.join("\n"));
    write("fake-birth-status", &fs::read_to_string("/proc/self/status").unwrap_or_default());
    write("fake-birth-stat", &fs::read_to_string("/proc/self/stat").unwrap_or_default());
    write("fake-birth-environ", &fs::read_to_string("/proc/self/environ").unwrap_or_default().replace('\0', "\n"));
    write("fake-birth-argv", &std::env::args().collect::<Vec<_>>().join("\n"));
    write("fake-birth-cwd", &std::env::current_dir().unwrap().display().to_string());
    write("fake-birth-umask", &format!("{:04o}", mask.bits()));
    if grandchild_lives() {
        append("fake-grandchild-outlived", &format!("start {before}"));
    }
    append("fake-starts", &format!("{} {}", now(), std::process::id()));
    before
}

/// Whether the grandchild of an earlier start lives on (P31).
fn grandchild_lives() -> bool {
    let pid = fs::read_to_string("fake-grandchild").unwrap_or_default();
    let status = fs::read_to_string(format!("/proc/{}/status", pid.trim()));
    !pid.is_empty() && status.is_ok_and(|status| !status.contains("State:\tZ"))
}

/// Wall-clock milliseconds: several processes write these files.
pub fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()
}

/// For `INFO`: 40 hex digits that stay the same for this process.
pub fn run_id() -> &'static str {
    static RUN_ID: OnceLock<String> = OnceLock::new();
    RUN_ID.get_or_init(|| format!("{:020x}{:020x}", now(), std::process::id()))
}

pub fn write(name: &str, text: &str) {
    let _read_only = fs::write(name, text);
}

pub fn append(name: &str, line: &str) {
    if let Ok(mut file) = OpenOptions::new().create(true).append(true).open(name) {
        let _full = file.write_all(format!("{line}\n").as_bytes());
    }
}
