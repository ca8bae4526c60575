//! `redinit probe`: ask the socket, print the one-line reason, exit 0, 1, or 2 where nobody answers (P38, G5).

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use super::dial::{self, DialError};
pub use super::shared::Probe;

/// Everything together: the container runtime's own limit is often 1 s.
const LIMIT: Duration = Duration::from_millis(900);

/// Longest reason that is printed.
const LONGEST: usize = 16 * 1024;

impl Probe {
    /// By the word of the command line.
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "live" => Probe::Live,
            "ready" => Probe::Ready,
            "startup" => Probe::Startup,
            "master" | "primary" => Probe::Master,
            "replica" => Probe::Replica,
            _ => return None,
        })
    }

    fn target(self) -> &'static str {
        match self {
            Probe::Live => "/livez",
            Probe::Ready => "/readyz",
            Probe::Startup => "/startupz",
            Probe::Master => "/master",
            Probe::Replica => "/replica",
        }
    }
}

/// Runs one probe; the process's exit status. `docker` maps 2 to 1, which `HEALTHCHECK` reserves.
pub fn run(socket: &Path, which: Probe, docker: bool) -> i32 {
    let (status, reason) = match ask(socket, which) {
        Ok((200, reason)) => (0, reason),
        Ok((503, reason)) => (1, reason),
        Ok((status, _)) => (2, format!("no answer from {}: HTTP status {status}", socket.display())),
        Err(error) => (2, format!("no answer from {}: {error}", socket.display())),
    };
    // A reader that has gone away changes nothing.
    let _nobody_reads = writeln!(std::io::stdout(), "{reason}");
    if docker && status == 2 { 1 } else { status }
}

fn ask(socket: &Path, which: Probe) -> Result<(u16, String), DialError> {
    let reply = dial::ask(socket, "GET", which.target(), "", LIMIT)?;
    let status = reply.status;
    let body = reply.body(LONGEST)?;
    Ok((status, String::from_utf8_lossy(&body).trim_end().to_owned()))
}
