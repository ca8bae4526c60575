//! `redinit demo`: a complete local cluster that shows what the product does. Its parts are what the tests and the
//! benchmark run as well.

pub mod cluster;
pub mod http;
pub mod launch;
pub mod ledger;
pub mod node;
pub mod plan;
mod screen;
pub mod sentinels;
mod story;
pub mod subnet;
pub mod watch;
pub mod wire;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use screen::say;

/// `redinit demo`'s flags.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// End by itself after the handover.
    pub once: bool,
    /// Where data, logs and sockets go; it must be new or empty. Otherwise a new one under the temporary directory.
    pub dir: Option<PathBuf>,
}

/// Why the demo ended early.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// Before anything was started.
    #[error("cannot set up the cluster: {0}")]
    SetUp(std::io::Error),
    /// No engine to run.
    #[error("no redis-server or valkey-server in PATH: install one (Debian, Ubuntu: apt-get install redis-server)")]
    NoEngine,
    /// A step that did not happen in time.
    #[error("{what} did not happen within {seconds} s: {reason}")]
    Late {
        /// What was waited for.
        what: &'static str,
        /// For how long.
        seconds: u64,
        /// What was there instead.
        reason: String,
    },
    /// The proof failed.
    #[error("{0} acknowledged writes were lost")]
    Lost(usize),
    /// The ledger could not be read back.
    #[error("cannot read the written keys back: {0}")]
    ReadBack(std::io::Error),
    /// Ctrl-C.
    #[error("stopped")]
    Stopped,
}

/// Ctrl-C, or its end was asked for in another way.
#[derive(Clone, Debug)]
struct Stop(Arc<AtomicBool>);

impl Stop {
    fn on_signals() -> std::io::Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&flag))?;
        }
        Ok(Stop(flag))
    }

    fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Runs the demo; the process's exit status. 0: a master took over and nothing was lost.
pub fn run(options: &Options) -> i32 {
    match story::tell(options) {
        Ok(()) | Err(DemoError::Stopped) => 0,
        Err(error) => {
            say!("");
            say!("The demo failed: {error}");
            1
        }
    }
}
