//! The one owner of `waitpid(-1)`.
//!
//! Anything else that waits loses statuses beside it: `tokio::process` got ECHILD in 54 of 200 runs, a failing
//! `Command::spawn` panicked in 92 of 300 (measured). So spawning happens under the reaper's lock (P15, P16), and so
//! does every signal to a child (P19). Callbacks run on the reaper's thread, without the lock.

use std::collections::HashMap;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use signal_hook::consts::SIGCHLD;

use super::child::ChildHandle;
use super::oom::OomCount;
use super::spawn::{self, SpawnError, SpawnSpec};
use crate::core::event::ChildExit;

/// We look again this often even if no SIGCHLD came, as tini does.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
const STACK: usize = 256 * 1024;

type OnExit = Box<dyn FnOnce(ChildExit) + Send>;

/// Spawns children, reaps everything that is ours, and tells each child's end to who asked for it. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Reaper {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
pub(super) struct Shared {
    children: Mutex<Children>,
    started: OnceLock<()>,
    starting: Mutex<()>,
}

/// Children that were not reaped yet. Whoever holds the lock on it knows that these numbers are theirs.
#[derive(Debug, Default)]
pub(super) struct Children {
    by_pid: HashMap<i32, Waiting>,
    born: u64,
}

struct Waiting {
    /// Tells apart two children that got the same number, one after the other.
    birth: u64,
    killed_by_us: bool,
    oom: OomCount,
    on_exit: OnExit,
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiting").field("birth", &self.birth).finish_non_exhaustive()
    }
}

impl Reaper {
    /// A reaper; its thread starts with [`Reaper::start`] or the first child.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts the thread, once. As PID 1, orphans come before the first child of our own does.
    ///
    /// # Errors
    /// No pipe, handler or thread to be had.
    pub fn start(&self) -> io::Result<()> {
        let _one_at_a_time = self.shared.starting.lock().unwrap_or_else(PoisonError::into_inner);
        if self.shared.started.get().is_some() {
            return Ok(());
        }
        let (woken, waker) = UnixStream::pair()?;
        woken.set_read_timeout(Some(LOOK_AGAIN))?;
        // Replaces an inherited SIG_IGN too, under which the kernel would throw all statuses away.
        signal_hook::low_level::pipe::register(SIGCHLD, waker)?;
        let shared = Arc::clone(&self.shared);
        thread::Builder::new().name("reaper".into()).stack_size(STACK).spawn(move || watch(&shared, woken))?;
        self.shared.started.get_or_init(|| ());
        Ok(())
    }

    /// Starts a program. `on_exit` is called once, on the reaper's thread, after the child was reaped; also for a child
    /// that ends before this returns (P15).
    ///
    /// # Errors
    /// It could not be started; there is no child then, and `on_exit` is never called (P16).
    pub fn spawn(
        &self,
        spec: SpawnSpec,
        on_exit: impl FnOnce(ChildExit) + Send + 'static,
    ) -> Result<ChildHandle, SpawnError> {
        self.start().map_err(SpawnError::Reaper)?;
        let mut command = spawn::command(&spec)?;
        let mut children = self.shared.lock();
        let oom = OomCount::read();
        let pid = spawn::start(&spec, &mut command)?;
        children.born += 1;
        let birth = children.born;
        let waiting = Waiting { birth, killed_by_us: false, oom, on_exit: Box::new(on_exit) };
        children.by_pid.insert(pid, waiting);
        Ok(ChildHandle::new(pid, birth, Arc::clone(&self.shared)))
    }
}

impl Shared {
    /// Nothing is left half done when a holder panics, so a poisoned lock is as good as a sound one.
    pub(super) fn lock(&self) -> MutexGuard<'_, Children> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Children {
    /// Whether this child was not reaped yet, so that its number cannot be anybody else's (P19). A zombie counts.
    pub(super) fn holds(&self, pid: i32, birth: u64) -> bool {
        self.by_pid.get(&pid).is_some_and(|waiting| waiting.birth == birth)
    }

    /// Whether any living child of ours has this number.
    pub(super) fn by_number(&self, pid: i32) -> bool {
        self.by_pid.contains_key(&pid)
    }

    /// Remembers that a coming death by SIGKILL is our own doing.
    pub(super) fn mark_killed(&mut self, pid: i32) {
        if let Some(waiting) = self.by_pid.get_mut(&pid) {
            waiting.killed_by_us = true;
        }
    }
}

fn watch(shared: &Shared, mut woken: UnixStream) {
    let mut swallow = [0_u8; 64];
    loop {
        // SIGCHLDs coalesce and this may time out: either way everything that is there is reaped (P13).
        if let Ok(0) = woken.read(&mut swallow) {
            thread::sleep(LOOK_AGAIN);
        }
        while reap_one(shared) {}
    }
}

/// Reaps one process, if one has ended. The lock is taken anew for each, so that a storm of orphans does not keep a
/// spawn or a signal waiting.
fn reap_one(shared: &Shared) -> bool {
    let (pid, exit, waiting) = {
        let mut children = shared.lock();
        match waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) => (pid, ChildExit::Code(code), children.by_pid.remove(&pid.as_raw())),
            Ok(WaitStatus::Signaled(pid, signal, _core)) => {
                (pid, ChildExit::Signal(signal as i32), children.by_pid.remove(&pid.as_raw()))
            }
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return false,
            // Stopped, continued, traced: not an end (P21).
            Ok(_) | Err(Errno::EINTR) => return true,
            Err(error) => {
                tracing::warn!(%error, "waitpid failed; it is tried again in a second");
                return false;
            }
        }
    };
    match waiting {
        Some(waiting) => {
            if exit == ChildExit::Signal(9) && !waiting.killed_by_us && waiting.oom.has_risen() {
                tracing::error!(pid = pid.as_raw(), "the kernel killed the child: out of memory (its memory limit)");
            }
            (waiting.on_exit)(exit);
        }
        None => tracing::debug!(pid = pid.as_raw(), ?exit, "reaped an orphan"),
    }
    true
}
