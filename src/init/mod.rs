//! PID 1: signals, the one reaper, and how a child is born and ended (design section 6).
//!
//! The only place with `unsafe`. Order in `main`: [`signals::install`] before anything that can fail or take time,
//! then [`become_subreaper`] where we are not PID 1, then [`reaper::Reaper`] and [`signals::Signals::run`].

mod brief;
pub mod child;
mod environment;
mod oom;
pub mod reaper;
pub mod signals;
pub mod spawn;

pub use brief::BriefError;
pub use child::{ChildHandle, SignalError};
pub use nix::sys::signal::Signal;
pub use reaper::Reaper;
pub use signals::Signals;
pub use spawn::{EnvRules, SpawnError, SpawnSpec};

/// Whether orphans come to us by nature and the kernel drops signals that nobody handles.
pub fn alive_as_pid1() -> bool {
    nix::unistd::getpid().as_raw() == 1
}

/// Adopts orphans although we are not PID 1 (behind `--init`, `shareProcessNamespace`, on a developer's machine; P23).
///
/// # Errors
/// The kernel refused; zombies then belong to somebody else, and we go on with a warning.
pub fn become_subreaper() -> std::io::Result<()> {
    nix::sys::prctl::set_child_subreaper(true).map_err(std::io::Error::from)
}
