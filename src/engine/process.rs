//! How the engine's drivers start and end processes. Implemented by the reaper of `init`, and by tests.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::core::event::ChildExit;

/// A program to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// The binary, by path.
    pub program: PathBuf,
    /// Its arguments, without the program itself. Never a secret.
    pub args: Vec<OsString>,
    /// Its whole environment: nothing else is passed on (invariant 10).
    pub env: Vec<(OsString, OsString)>,
    /// Where it runs.
    pub cwd: PathBuf,
}

/// What an engine may see of our environment. Everything else could be a secret or a service link.
const PASSED_ON: [&str; 12] = [
    "PATH",
    "HOME",
    "USER",
    "TZ",
    "LANG",
    "LC_ALL",
    "LC_COLLATE",
    "LC_CTYPE",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "MALLOC_CONF",
];

/// The environment of an engine.
pub fn engine_environment() -> Vec<(OsString, OsString)> {
    PASSED_ON.iter().filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?))).collect()
}

/// Processes, as the one reaper gives them. None of these waits for more than the limit it is given.
pub trait Processes: Send + Sync + 'static {
    /// Runs something that ends by itself, and gives its status and at most `max_bytes` of its output.
    fn run_briefly(&self, what: &Launch, limit: Duration, max_bytes: usize) -> Result<(ChildExit, Vec<u8>), String>;

    /// Starts the one child, in a process group of its own; its end is told by `Event::ChildExited`.
    fn spawn(&self, what: &Launch) -> Result<i32, String>;

    /// SIGTERM to the child. An error where there is none.
    fn terminate(&self) -> Result<(), String>;

    /// SIGKILL to the child's group.
    fn kill_group(&self) -> Result<(), String>;

    /// SIGKILL to what is left of the group of a child that has ended (P31).
    fn kill_rest(&self) -> Result<(), String>;
}
