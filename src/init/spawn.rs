//! How a child is born: own group, clean signals, three descriptors, no secrets (P11, P29, P33, P34, P43).

#![expect(unsafe_code, reason = "system calls that no safe crate offers; only src/init may")]

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};

use super::environment;

/// Kernels without `close_range` (before 5.11) or a filter that refuses it: so many descriptors are looked at one by one.
const DESCRIPTORS_BY_HAND: libc::c_int = 65_536;

/// The kernel's count of signals, and the bytes of a set of them.
const LAST_SIGNAL: libc::c_int = 64;
const SIGNAL_SET_BYTES: usize = 8;

/// What to start.
#[derive(Clone, Debug, Default)]
pub struct SpawnSpec {
    /// The program, as a path; `PATH` is not searched for a path with a slash.
    pub program: PathBuf,
    /// Its arguments, without its name.
    pub args: Vec<OsString>,
    /// Its working directory: the data directory.
    pub cwd: PathBuf,
    /// What it sees of our environment.
    pub env: EnvRules,
    /// Where its output and its errors go; `None`: to ours, untouched, so that a slow reader of it is never our doing (P33).
    pub(super) stdout: Option<Arc<OwnedFd>>,
}

/// The child's environment: ours, less everything that looks like a secret, with these changes.
#[derive(Clone, Debug, Default)]
pub struct EnvRules {
    /// More names to remove.
    pub remove: Vec<OsString>,
    /// Names to set. Never a secret: every process of the same user can read it.
    pub set: Vec<(OsString, OsString)>,
}

/// Why a program could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// 127 in a shell.
    #[error("{} does not exist: install the engine, or set engine to the path of the server binary", .0.display())]
    Missing(PathBuf),
    /// 126 in a shell.
    #[error("{program} cannot be executed ({error}): make it executable, or check that it is built for this machine", program = .0.display(), error = .1)]
    NotExecutable(PathBuf, io::Error),
    /// The working directory.
    #[error("cannot work in {directory} ({error}): create it, and let this user enter it", directory = .0.display(), error = .1)]
    Directory(PathBuf, io::Error),
    /// No memory, no processes left, ..
    #[error("cannot start {program}: {error}", program = .0.display(), error = .1)]
    Failed(PathBuf, io::Error),
    /// The reaper has no thread: a child would become a zombie.
    #[error("cannot start the reaper: {0}")]
    Reaper(io::Error),
}

impl SpawnSpec {
    /// A program in a directory, with nothing else.
    pub fn new(program: impl Into<PathBuf>, cwd: impl Into<PathBuf>) -> Self {
        SpawnSpec { program: program.into(), cwd: cwd.into(), ..SpawnSpec::default() }
    }

    /// More arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }
}

/// Everything that can be prepared before the fork, outside the reaper's lock.
pub(super) fn command(spec: &SpawnSpec) -> Result<Command, SpawnError> {
    // Here, because std gives the same error for the directory as for the program.
    if let Err(error) = std::fs::read_dir(&spec.cwd).map(drop).or_else(enterable_unreadable) {
        return Err(SpawnError::Directory(spec.cwd.clone(), error));
    }
    let mut command = Command::new(&spec.program);
    command.args(&spec.args).current_dir(&spec.cwd).stdin(Stdio::null()).process_group(0);
    if let Some(stdout) = &spec.stdout {
        let copy = || stdout.try_clone().map_err(|error| SpawnError::Failed(spec.program.clone(), error));
        command.stdout(copy()?).stderr(copy()?);
    }
    for name in environment::removed(std::env::vars_os()).iter().chain(&spec.env.remove) {
        command.env_remove(name);
    }
    command.envs(spec.env.set.iter().map(|(name, value)| (name, value)));
    let birth = Birth { parent: std::process::id(), die_with_parent: on_main_thread() };
    // SAFETY: `Birth::prepare` only makes system calls that are allowed between fork and exec, on numbers copied before
    // the fork: it allocates nothing, takes no lock, and touches nothing of the other threads.
    unsafe { command.pre_exec(move || birth.prepare()) };
    Ok(command)
}

/// A directory may be enterable without being readable; that is for the child to find out.
fn enterable_unreadable(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::PermissionDenied { Ok(()) } else { Err(error) }
}

/// Forks and executes. The caller holds the reaper's lock: if this fails, std reaps its own child, and a thief would
/// make it panic (P16, measured).
pub(super) fn start(spec: &SpawnSpec, command: &mut Command) -> Result<i32, SpawnError> {
    // Signals that reach the newborn before it has forgotten our handlers would be swallowed by them (P2). Blocked
    // across the fork they wait until `prepare` unblocks them, with their default meaning.
    let mut before = SigSet::empty();
    let failed = |error: nix::Error| SpawnError::Failed(spec.program.clone(), error.into());
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before)).map_err(failed)?;
    let started = command.spawn();
    let restored = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&before), None);
    let child = started.map_err(|error| explain(spec, error))?;
    if let Err(error) = restored {
        tracing::warn!(%error, "the signal mask could not be restored after a spawn");
    }
    i32::try_from(child.id()).map_err(|_| failed(nix::Error::ERANGE))
}

fn explain(spec: &SpawnSpec, error: io::Error) -> SpawnError {
    let program = spec.program.clone();
    match error.kind() {
        io::ErrorKind::NotFound if !program.exists() => SpawnError::Missing(program),
        // NotFound for a file that is there: its loader is missing.
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => SpawnError::NotExecutable(program, error),
        _ if error.raw_os_error() == Some(libc::ENOEXEC) => SpawnError::NotExecutable(program, error),
        _ => SpawnError::Failed(program, error),
    }
}

/// The parent-death signal fires when the spawning *thread* ends (P34, measured): only the main thread may ask for it.
fn on_main_thread() -> bool {
    nix::unistd::gettid() == nix::unistd::getpid()
}

/// What the child does to itself between fork and exec.
#[derive(Clone, Copy)]
struct Birth {
    parent: u32,
    die_with_parent: bool,
}

impl Birth {
    fn prepare(self) -> io::Result<()> {
        if self.die_with_parent {
            // SAFETY: prctl with numbers only.
            check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) })?;
            // SAFETY: no arguments.
            let parent = unsafe { libc::getppid() };
            // The parent died before the line above (K3). 0: it is in another PID namespace and lives as far as we see.
            if parent != 0 && u32::try_from(parent) != Ok(self.parent) {
                return Err(io::Error::from_raw_os_error(libc::ESRCH));
            }
        }
        // SAFETY: a number only; cannot fail.
        unsafe { libc::umask(0o077) };
        close_on_exec_from_3()?;
        default_signals()
    }
}

/// Not closed but marked: std still needs its own pipe to report a failing exec.
fn close_on_exec_from_3() -> io::Result<()> {
    // SAFETY: numbers only.
    if unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) } == 0 {
        return Ok(());
    }
    mark_one_by_one()
}

fn mark_one_by_one() -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is ours and of the type that the call fills.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) })?;
    let end = libc::c_int::try_from(limit.rlim_cur).unwrap_or(DESCRIPTORS_BY_HAND).min(DESCRIPTORS_BY_HAND);
    for fd in 3..end {
        // SAFETY: numbers only; a descriptor that is not open is refused with EBADF, which is fine.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    Ok(())
}

/// Ignored and blocked sets survive exec (P11, measured); std resets only SIGPIPE. The mask comes last.
fn default_signals() -> io::Result<()> {
    // The bare call: the C library refuses its own signals 32 and 33, which may well be inherited as ignored (measured).
    let default = [0_u64; 8];
    for number in 1..=LAST_SIGNAL {
        // SAFETY: all zero is the kernel's struct for SIG_DFL without flags or mask, and no larger than this on any
        // architecture; the old action is not asked for. KILL and STOP are refused, which is fine.
        unsafe {
            libc::syscall(libc::SYS_rt_sigaction, number, default.as_ptr(), std::ptr::null::<u8>(), SIGNAL_SET_BYTES)
        };
    }
    let mut none = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset fills the whole set before anybody reads it.
    check(unsafe { libc::sigemptyset(none.as_mut_ptr()) })?;
    // SAFETY: the set was filled above; the old mask is not asked for.
    match unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut()) } {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p43_descriptors_are_marked_without_close_range_too() {
        use std::os::fd::AsRawFd;
        let (leak, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        // SAFETY: numbers only, on a descriptor that is ours.
        unsafe { libc::fcntl(leak.as_raw_fd(), libc::F_SETFD, 0) };
        mark_one_by_one().unwrap();
        // SAFETY: as above.
        assert_eq!(unsafe { libc::fcntl(leak.as_raw_fd(), libc::F_GETFD) }, libc::FD_CLOEXEC);
    }
}
