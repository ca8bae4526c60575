//! One supervisor with the fake engine, as PID 1 of its own namespace or as an ordinary process.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::namespace::{say_skipped, unshare};

/// The shortest grace period that is allowed, so that the ladder's bottom is near.
pub const GRACE: Duration = Duration::from_secs(20);
/// When the child is killed at the latest: the whole budget less the margin (design section 4, Stopping).
pub const UNTIL_KILL: Duration = Duration::from_millis(16_700);
/// For what should be there at once, on a busy machine.
pub const SOON: Duration = Duration::from_secs(10);

/// What to start.
pub struct Setup {
    script: Value,
    settings: Vec<(String, String)>,
    pid1: bool,
    engine: PathBuf,
}

/// A supervisor that runs. Ended with everything under it when dropped.
pub struct Container {
    process: Child,
    /// Its number out here; 1 inside.
    pub init: i32,
    pub dir: tempfile::TempDir,
    pub started: Instant,
}

impl Setup {
    /// As PID 1; `None` where this machine has no namespaces for us, with the reason on stderr.
    pub fn pid1(test: &str, script: Value) -> Option<Setup> {
        if let Err(reason) = unshare() {
            say_skipped(test, &reason);
            return None;
        }
        Some(Setup { pid1: true, ..Setup::ordinary(script) })
    }

    /// As an ordinary process.
    pub fn ordinary(script: Value) -> Setup {
        Setup { script, settings: Vec::new(), pid1: false, engine: fake_engine() }
    }

    pub fn with(mut self, name: &str, value: &str) -> Setup {
        self.settings.push((name.into(), value.into()));
        self
    }

    pub fn engine(mut self, engine: &str) -> Setup {
        self.engine = engine.into();
        self
    }

    pub fn start(self) -> Container {
        self.start_in(tempfile::tempdir().unwrap())
    }

    pub fn start_in(self, dir: tempfile::TempDir) -> Container {
        let redinit = env!("CARGO_BIN_EXE_redinit");
        let mut command = if self.pid1 {
            let mut command = Command::new("unshare");
            command.args(unshare().unwrap()).arg(redinit);
            command
        } else {
            Command::new(redinit)
        };
        let data = dir.path().join("data");
        if !data.exists() {
            fs::create_dir(&data).unwrap();
        }
        let address = address();
        let fixed = [
            ("PATH", std::env::var("PATH").unwrap()),
            ("FAKE_ENGINE", self.script.to_string()),
            ("REDINIT_ENGINE", self.engine.display().to_string()),
            ("REDINIT_SOCKET", dir.path().join("redinit.sock").display().to_string()),
            ("REDINIT_DATA_DIR", data.display().to_string()),
            ("REDINIT_HTTP_LISTEN", "off".into()),
            ("REDINIT_ANNOUNCE_ADDRESS", address.clone()),
            ("REDINIT_BIND", address),
            ("REDINIT_ELECTOR", "none".into()),
            ("REDINIT_GRACE_PERIOD", format!("{}s", GRACE.as_secs())),
            ("REDINIT_LOG_FORMAT", "json".into()),
        ];
        let log = File::options().create(true).append(true).open(dir.path().join("log")).unwrap();
        command.env_clear().envs(fixed).envs(self.settings).stdin(Stdio::null());
        let process = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let started = Instant::now();
        let init = if self.pid1 { inside(&process) } else { i32::try_from(process.id()).unwrap() };
        Container { process, init, dir, started }
    }
}

impl Container {
    pub fn signal(&self, signal: Signal) {
        // Of a process that has just ended, the test learns by its status.
        let _ended = kill(Pid::from_raw(self.init), signal);
    }

    /// Its exit status; fails the test after `limit`.
    pub fn exit(&mut self, limit: Duration) -> i32 {
        let status = self.ended_within(limit).unwrap_or_else(|| panic!("still there after {limit:?}"));
        status.code().unwrap_or_else(|| panic!("ended by {status}"))
    }

    pub fn ended_within(&mut self, limit: Duration) -> Option<ExitStatus> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return Some(status);
            }
            if start.elapsed() > limit {
                return None;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn until(&self, limit: Duration, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let start = Instant::now();
        while !done(self) {
            assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn until_ready(&self) {
        self.until(SOON, "ready", |container| container.get("/readyz") == Some(200));
    }

    /// Until the fake engine has started so often.
    pub fn until_started(&self, count: usize) {
        self.until(SOON, "the engine's start", |container| container.lines("fake-starts").len() >= count);
    }

    /// The status of an HTTP answer on the Unix socket.
    pub fn get(&self, path: &str) -> Option<u16> {
        let mut socket = UnixStream::connect(self.dir.path().join("redinit.sock")).ok()?;
        socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        socket.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).ok()?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).ok()?;
        answer.split(' ').nth(1)?.parse().ok()
    }

    /// `redinit probe ..` against this supervisor: its status and how long it took.
    pub fn probe(&self, arguments: &[&str]) -> (Option<i32>, Duration) {
        let start = Instant::now();
        let output = Command::new(env!("CARGO_BIN_EXE_redinit"))
            .arg("probe")
            .args(arguments)
            .env_clear()
            .env("REDINIT_SOCKET", self.dir.path().join("redinit.sock"))
            .output()
            .unwrap();
        (output.status.code(), start.elapsed())
    }

    /// A file that the fake engine wrote.
    pub fn file(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join("data").join(name)).unwrap_or_default()
    }

    pub fn lines(&self, name: &str) -> Vec<String> {
        self.file(name).lines().map(String::from).collect()
    }

    /// Names of the signals that the engine got, in order.
    pub fn engine_signals(&self) -> Vec<String> {
        self.lines("fake-signals").iter().filter_map(|line| Some(line.split(' ').nth(2)?.to_owned())).collect()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Everybody that the supervisor is an ancestor of, or that shares its namespace where it has its own; and their
    /// states. Without itself.
    pub fn others(&self) -> Vec<(i32, char)> {
        let own = fs::read_link("/proc/self/ns/pid").unwrap();
        let theirs = fs::read_link(format!("/proc/{}/ns/pid", self.init)).ok();
        let all = all_processes();
        let inside = |pid: i32| match &theirs {
            Some(namespace) if *namespace != own => {
                fs::read_link(format!("/proc/{pid}/ns/pid")).is_ok_and(|other| other == *namespace)
            }
            // A zombie has no namespace link any more: by its parent.
            _ => false,
        };
        let below = |pid: i32| {
            let mut at = pid;
            for _ in 0..64 {
                match all.iter().find(|(other, ..)| *other == at) {
                    Some((_, _, parent)) if *parent == self.init => return true,
                    Some((_, _, parent)) => at = *parent,
                    None => return false,
                }
            }
            false
        };
        let others = all.iter().filter(|(pid, ..)| *pid != self.init && (inside(*pid) || below(*pid)));
        others.map(|(pid, state, _)| (*pid, *state)).collect()
    }

    pub fn zombies(&self) -> usize {
        self.others().iter().filter(|(_, state)| *state == 'Z').count()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- log of the supervisor\n{}---\n{:?}", self.log(), self.others());
        }
        let others = self.others();
        // unshare takes its PID 1 along (--kill-child), and that everybody inside.
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
        for (pid, _) in others.into_iter().filter(|(pid, _)| runs_from(*pid, "fake_engine")) {
            let _ended = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// (pid, state, parent)
pub fn all_processes() -> Vec<(i32, char, i32)> {
    let numbers = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers
        .filter_map(|pid: i32| {
            let line = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let mut fields = line.rsplit_once(") ")?.1.split(' ');
            Some((pid, fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
        })
        .collect()
}

/// Whether the process runs this program.
pub fn runs_from(pid: i32, name: &str) -> bool {
    fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|program| program.ends_with(name))
}

/// The child of `unshare`, once it is redinit.
fn inside(unshare: &Child) -> i32 {
    let outer = i32::try_from(unshare.id()).unwrap();
    let start = Instant::now();
    loop {
        let found = all_processes().into_iter().find(|(pid, _, parent)| *parent == outer && runs_from(*pid, "redinit"));
        match found {
            Some((pid, ..)) => return pid,
            // A very short life is over before we saw it; the test then finds out by its status.
            None if start.elapsed() > Duration::from_secs(3) => return i32::MAX,
            None => thread::sleep(Duration::from_micros(300)),
        }
    }
}

/// A loopback address that nobody else uses, also in test runs beside ours.
fn address() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let pid = std::process::id();
    format!("127.{}.{}.{}", 64 + (pid >> 8) % 128, pid % 256, NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Built with the tests by `cargo test`; a single `--test` does not build examples, so it is made up for here.
pub fn fake_engine() -> PathBuf {
    static BUILT: Once = Once::new();
    let path = PathBuf::from(env!("CARGO_BIN_EXE_redinit")).with_file_name("examples").join("fake_engine");
    BUILT.call_once(|| {
        if !path.exists() {
            let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
            let built = Command::new(cargo).args(["build", "--example", "fake_engine"]).status().unwrap();
            assert!(built.success(), "cargo build --example fake_engine");
        }
    });
    path
}
