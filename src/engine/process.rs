//! How the engine's drivers start and end processes: through the one reaper, or what a test puts in its place.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::control::events::EventSender;
use crate::core::event::{ChildExit, Event};
use crate::init::{ChildHandle, Reaper, SpawnSpec};

/// A program to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// The binary, by path.
    pub program: PathBuf,
    /// Its arguments, without the program itself. Never a secret.
    pub args: Vec<OsString>,
    /// Where it runs.
    pub cwd: PathBuf,
}

/// Processes. None of these waits for more than the limit it is given.
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

/// The one child, started through the reaper.
#[derive(Debug)]
pub struct Reaped {
    reaper: Reaper,
    events: EventSender,
    child: Mutex<Option<ChildHandle>>,
}

impl Reaped {
    /// No child yet. Its end will be told to `events`.
    pub fn new(reaper: Reaper, events: EventSender) -> Self {
        Reaped { reaper, events, child: Mutex::new(None) }
    }

    fn with_child<E: std::fmt::Display>(&self, act: impl FnOnce(&ChildHandle) -> Result<(), E>) -> Result<(), String> {
        match self.child.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            Some(child) => act(child).map_err(|error| error.to_string()),
            None => Err("none was started".into()),
        }
    }
}

fn spec(what: &Launch) -> SpawnSpec {
    SpawnSpec::new(&what.program, &what.cwd).args(what.args.iter().cloned())
}

impl Processes for Reaped {
    fn run_briefly(&self, what: &Launch, limit: Duration, max_bytes: usize) -> Result<(ChildExit, Vec<u8>), String> {
        self.reaper.run_briefly(spec(what), limit, max_bytes).map_err(|error| error.to_string())
    }

    fn spawn(&self, what: &Launch) -> Result<i32, String> {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        if child.as_ref().is_some_and(|child| !child.has_ended()) {
            return Err("the child before it has not ended".into());
        }
        let events = self.events.clone();
        let born = self
            .reaper
            .spawn(spec(what), move |exit| events.send_blocking(Event::ChildExited(exit)))
            .map_err(|error| error.to_string())?;
        Ok(child.insert(born).pid())
    }

    fn terminate(&self) -> Result<(), String> {
        self.with_child(|child| child.signal(Signal::SIGTERM))
    }

    fn kill_group(&self) -> Result<(), String> {
        self.with_child(ChildHandle::kill_group)
    }

    fn kill_rest(&self) -> Result<(), String> {
        self.with_child(ChildHandle::kill_rest_of_group)
    }
}
