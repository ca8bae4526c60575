//! The engine's view of processes, as the one reaper gives them.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::control::events::EventSender;
use crate::core::event::{ChildExit, Event};
use crate::engine::process::{Launch, Processes};
use crate::init::child::ChildHandle;
use crate::init::reaper::Reaper;
use crate::init::spawn::SpawnSpec;

/// The one child and the programs that end by themselves.
pub struct Reaped {
    reaper: Reaper,
    events: EventSender,
    child: Mutex<Option<ChildHandle>>,
}

impl Reaped {
    /// No child yet; its end will be told to `events`.
    pub fn new(reaper: Reaper, events: EventSender) -> Self {
        Reaped { reaper, events, child: Mutex::new(None) }
    }

    fn with_child<T>(&self, act: impl FnOnce(&ChildHandle) -> Result<T, String>) -> Result<T, String> {
        let child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        child.as_ref().map_or_else(|| Err("there is no child".to_owned()), act)
    }
}

fn spec(what: &Launch) -> SpawnSpec {
    SpawnSpec::new(&what.program, &what.cwd).args(&what.args)
}

impl Processes for Reaped {
    fn run_briefly(&self, what: &Launch, limit: Duration, max_bytes: usize) -> Result<(ChildExit, Vec<u8>), String> {
        self.reaper.run_briefly(spec(what), limit, max_bytes).map_err(|error| error.to_string())
    }

    fn spawn(&self, what: &Launch) -> Result<i32, String> {
        let events = self.events.clone();
        let on_exit = move |exit| events.send_blocking(Event::ChildExited(exit));
        let child = self.reaper.spawn(spec(what), on_exit).map_err(|error| error.to_string())?;
        let pid = child.pid();
        *self.child.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
        Ok(pid)
    }

    fn terminate(&self) -> Result<(), String> {
        self.with_child(|child| child.signal(nix::sys::signal::Signal::SIGTERM).map_err(|error| error.to_string()))
    }

    fn kill_group(&self) -> Result<(), String> {
        self.with_child(|child| child.kill_group().map_err(|error| error.to_string()))
    }

    fn kill_rest(&self) -> Result<(), String> {
        self.with_child(|child| child.kill_rest_of_group().map_err(|error| error.to_string()))
    }
}
