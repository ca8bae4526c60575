//! A hold on one child: signals reach it and its group, and never whoever gets its number later (P19, P29).

#![expect(unsafe_code, reason = "system calls that no safe crate offers; only src/init may")]

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::reaper::Shared;

/// `pidfd_send_signal`: to the process group of the pidfd (Linux 6.9). Also after its leader was reaped.
const PIDFD_SIGNAL_PROCESS_GROUP: libc::c_uint = 4;

/// A child that was started. Cheap to clone; dropping it does nothing to the child.
#[derive(Clone, Debug)]
pub struct ChildHandle {
    pid: i32,
    birth: u64,
    pidfd: Option<Arc<OwnedFd>>,
    reaper: Arc<Shared>,
}

/// Why a signal was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignalError {
    /// The child was reaped: its number may be somebody else's by now.
    #[error("the child has ended")]
    Gone,
    /// A process group that would have been ours, or everybody.
    #[error("refused: process group {0} is not a child's")]
    NotAGroup(i32),
    /// The kernel said no.
    #[error("the kernel refused the signal: {0}")]
    Refused(Errno),
}

impl ChildHandle {
    /// Called with the reaper's lock held, so the number is still the child's.
    pub(super) fn new(pid: i32, birth: u64, reaper: Arc<Shared>) -> Self {
        ChildHandle { pid, birth, pidfd: open_pidfd(pid).map(Arc::new), reaper }
    }

    /// The same on kernels before 6.9, for tests on newer ones.
    #[doc(hidden)]
    #[must_use]
    pub fn as_on_an_older_kernel(mut self) -> Self {
        self.pidfd = None;
        self
    }

    /// Its number, for people.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Whether it was reaped. Asked of the reaper: `kill(pid, 0)` says yes to a zombie (P18, measured).
    pub fn has_ended(&self) -> bool {
        !self.reaper.lock().holds(self.pid, self.birth)
    }

    /// Sends a signal to the child alone.
    ///
    /// # Errors
    /// It has ended, or the kernel refused.
    pub fn signal(&self, signal: Signal) -> Result<(), SignalError> {
        let mut children = self.reaper.lock();
        if !children.holds(self.pid, self.birth) {
            return Err(SignalError::Gone);
        }
        if signal == Signal::SIGKILL {
            children.mark_killed(self.pid);
        }
        kill(Pid::from_raw(self.pid), signal).map_err(SignalError::Refused)
    }

    /// SIGKILL to the child and everything in its group.
    ///
    /// # Errors
    /// It has ended (see [`ChildHandle::kill_rest_of_group`]), or the kernel refused.
    pub fn kill_group(&self) -> Result<(), SignalError> {
        let mut children = self.reaper.lock();
        if !children.holds(self.pid, self.birth) {
            return Err(SignalError::Gone);
        }
        children.mark_killed(self.pid);
        kill_group_of(self.pid)
    }

    /// SIGKILL to what is left of the group of a child that has ended: a BGSAVE lived on for 8.3 s (P31, measured).
    /// Nobody left is a success.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn kill_rest_of_group(&self) -> Result<(), SignalError> {
        let children = self.reaper.lock();
        if children.holds(self.pid, self.birth) {
            drop(children);
            return self.kill_group();
        }
        // Other errors: an older kernel, or one that filters the call.
        if let Some(Ok(()) | Err(Errno::ESRCH)) = self.pidfd.as_deref().map(kill_group_by_pidfd) {
            return Ok(());
        }
        // A group keeps its number from being given away while it has members. So if a process with that number
        // exists, our group died out and this is a stranger's. Under the lock no child of ours can be that stranger.
        if children.by_number(self.pid) || std::path::Path::new(&format!("/proc/{}", self.pid)).exists() {
            return Ok(());
        }
        match kill_group_of(self.pid) {
            Err(SignalError::Refused(Errno::ESRCH)) => Ok(()),
            other => other,
        }
    }
}

/// `kill(-1)` is everybody and `kill(0)` is ourselves: neither is ever meant (P29).
fn kill_group_of(group: i32) -> Result<(), SignalError> {
    if group <= 1 {
        return Err(SignalError::NotAGroup(group));
    }
    killpg(Pid::from_raw(group), Signal::SIGKILL).map_err(SignalError::Refused)
}

fn open_pidfd(pid: i32) -> Option<OwnedFd> {
    // SAFETY: takes two numbers, touches no memory of ours. pidfds are always close-on-exec.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0)?;
    // SAFETY: the kernel has just given us this descriptor, and nobody else knows it.
    Some(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn kill_group_by_pidfd(pidfd: &OwnedFd) -> Result<(), Errno> {
    let no_info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: the descriptor is open while we borrow it; a null siginfo is what kill(2) would send.
    let done = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            libc::SIGKILL,
            no_info,
            PIDFD_SIGNAL_PROCESS_GROUP,
        )
    };
    Errno::result(done).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p29_neither_everybody_nor_ourselves_is_a_group_to_kill() {
        for group in [-1, 0, 1] {
            assert_eq!(kill_group_of(group), Err(SignalError::NotAGroup(group)));
        }
    }
}
