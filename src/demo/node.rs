//! One node of a cluster: a supervisor and what it runs.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::http;
use super::launch::{Process, children_of, name_of};
use super::wire::{self, Reply};

/// The supervisors' HTTP port, the same on every node.
pub const HTTP_PORT: u16 = 8379;
/// The servers' port.
const SERVER_PORT: u16 = 6379;
/// The Sentinels' port.
const SENTINEL_PORT: u16 = 26379;

/// How long a question to a node may take here.
const QUESTION: Duration = Duration::from_millis(500);

/// What a node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A data server.
    Server,
    /// A Sentinel.
    Sentinel,
}

impl Kind {
    /// The name of such a node.
    pub fn name(self, number: u8) -> String {
        match self {
            Kind::Server => format!("server-{number}"),
            Kind::Sentinel => format!("sentinel-{number}"),
        }
    }

    /// Where such a node is reached.
    pub(super) fn at(self, ip: IpAddr) -> SocketAddr {
        let port = match self {
            Kind::Server => SERVER_PORT,
            Kind::Sentinel => SENTINEL_PORT,
        };
        SocketAddr::new(ip, port)
    }
}

/// A supervisor with its own address, directory, socket and log. It may be running or not.
#[derive(Debug)]
pub struct Node {
    /// `server-1`, `sentinel-2`.
    pub name: String,
    /// What it runs.
    pub kind: Kind,
    /// Its own address.
    pub ip: IpAddr,
    /// Its directory: `data`, `redinit.sock` and `log` are in it.
    pub dir: PathBuf,
    /// Its environment, in full; a change counts from the next start on.
    pub env: Vec<(String, String)>,
    /// Its arguments.
    pub args: Vec<String>,
    /// The binary.
    pub program: PathBuf,
    /// PID 1 of its own namespace.
    pub namespace: bool,
    /// What its command line begins with, to enter a place of its own; see [`super::plan::Place`].
    pub enter: Vec<String>,
    pub(super) process: Option<Process>,
}

impl Node {
    /// Where clients reach its server or Sentinel.
    pub fn address(&self) -> SocketAddr {
        self.kind.at(self.ip)
    }

    /// Where its supervisor answers.
    pub fn http(&self) -> SocketAddr {
        SocketAddr::from((self.ip, HTTP_PORT))
    }

    /// Its supervisor's Unix socket.
    pub fn socket(&self) -> PathBuf {
        self.dir.join("redinit.sock")
    }

    /// Its engine's data.
    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// What supervisor and engine wrote.
    pub fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// Starts it, unless it runs.
    pub fn start(&mut self) -> io::Result<()> {
        if self.is_running() {
            return Ok(());
        }
        fs::create_dir_all(self.data())?;
        let process = Process::start(&self.enter, &self.program, &self.args, &self.env, &self.log(), self.namespace)?;
        self.process = Some(process);
        Ok(())
    }

    /// Is its supervisor there?
    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| process.poll().is_none())
    }

    /// The supervisor's pid, as seen from here.
    pub fn pid(&self) -> Option<Pid> {
        self.process.as_ref().map(Process::pid)
    }

    /// The engine's pid, as seen from here (in a namespace `/status` shows another number).
    pub fn engine_pid(&self) -> Option<Pid> {
        children_of(self.pid()?).into_iter().find(|pid| {
            name_of(*pid).is_some_and(|name| ["redis", "valkey"].iter().any(|engine| name.starts_with(engine)))
        })
    }

    /// Sends a signal to the supervisor.
    pub fn signal(&mut self, signal: Signal) -> bool {
        self.process.as_mut().is_some_and(|process| process.signal(signal))
    }

    /// Sends a signal to the engine.
    pub fn signal_engine(&self, signal: Signal) -> bool {
        self.engine_pid().is_some_and(|pid| kill(pid, signal).is_ok())
    }

    /// Waits until the supervisor has ended.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        self.process.as_mut()?.wait(limit)
    }

    /// Ends supervisor and engine at once, as a lost machine does.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Ends it and empties its volume.
    pub fn wipe(&mut self) -> io::Result<()> {
        self.kill();
        fs::remove_dir_all(self.data())?;
        fs::create_dir_all(self.data())
    }

    /// Its supervisor's picture of the cluster, over the Unix socket.
    pub fn status(&self) -> Option<serde_json::Value> {
        let (code, body) = http::over_socket(&self.socket(), "GET", "/status", QUESTION).ok()?;
        (code == 200).then(|| serde_json::from_str(&body).ok()).flatten()
    }

    /// A probe's answer and its one-line reason, over HTTP; `None` where nobody answers.
    pub fn probe(&self, probe: &str) -> Option<(bool, String)> {
        let (code, body) = http::get(self.http(), &format!("/{probe}"), QUESTION).ok()?;
        Some((code == 200, body.trim().to_owned()))
    }

    /// One command to its server or Sentinel.
    pub fn ask(&self, command: &[&str]) -> io::Result<Reply> {
        wire::ask(self.address(), QUESTION, command)
    }

    /// `ROLE`'s first word, if its door is open.
    pub fn role(&self) -> Option<String> {
        self.ask(&["ROLE"]).ok()?.items().first()?.text()
    }

    /// A field of `INFO section`.
    pub fn info(&self, section: &str, field: &str) -> Option<String> {
        let text = self.ask(&["INFO", section]).ok()?.text()?;
        text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':').map(|value| value.trim().to_owned()))
    }

    /// The last lines of its log.
    pub fn log_tail(&self, lines: usize) -> String {
        tail(&self.log(), lines)
    }
}

fn tail(path: &Path, lines: usize) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    all.iter().skip(all.len().saturating_sub(lines)).copied().collect::<Vec<_>>().join("\n")
}
