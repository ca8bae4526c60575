//! A short program whose answer we want (`redis-server --version`), through the same reaper and with limits.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::child::ChildHandle;
use super::reaper::Reaper;
use super::spawn::{SpawnError, SpawnSpec};
use crate::core::event::ChildExit;

/// After SIGKILL the end is a matter of milliseconds; a process that the kernel cannot kill is not waited for.
const AFTER_KILL: Duration = Duration::from_secs(1);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum BriefError {
    /// It could not be started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// It was killed.
    #[error("{program} did not end within {limit:?} and was killed")]
    TooSlow {
        /// What was run.
        program: String,
        /// The time it had.
        limit: Duration,
    },
    /// It was killed.
    #[error("{program} wrote more than {max_bytes} bytes and was killed")]
    TooMuch {
        /// What was run.
        program: String,
        /// What it was allowed.
        max_bytes: usize,
    },
    /// Its output could not be read.
    #[error("cannot read what {program} writes: {error}")]
    Output {
        /// What was run.
        program: String,
        /// What went wrong.
        error: io::Error,
    },
}

impl Reaper {
    /// Runs a program to its end and returns how it ended and what it wrote to stdout. Blocks: only for start-up, where
    /// nothing else runs yet, or a thread of its own.
    ///
    /// # Errors
    /// It could not be started, or was killed at a limit.
    pub fn run_briefly(
        &self,
        spec: SpawnSpec,
        limit: Duration,
        max_bytes: usize,
    ) -> Result<(ChildExit, Vec<u8>), BriefError> {
        let deadline = Instant::now() + limit;
        let program = spec.program.display().to_string();
        let unreadable = |error| BriefError::Output { program: program.clone(), error };
        // A socket pair and not a pipe: reads of it can have a time limit.
        let (output, theirs) = UnixStream::pair().map_err(unreadable)?;
        let (on_exit, exited) = mpsc::sync_channel(1);
        let spec = SpawnSpec { stdout: Some(Arc::new(OwnedFd::from(theirs))), ..spec };
        let child = self.spawn(spec, move |exit| {
            let _gave_up = on_exit.send(exit);
        })?;
        let mut run = Run { child, output, exited, exit: None, written: Vec::new() };
        let outcome = run.collect(deadline, max_bytes);
        if let Ok(exit) = outcome {
            return Ok((exit, run.written));
        }
        run.end();
        Err(match outcome {
            Err(Cut::Time) => BriefError::TooSlow { program, limit },
            Err(Cut::Bytes) => BriefError::TooMuch { program, max_bytes },
            Err(Cut::Read(error)) => BriefError::Output { program, error },
            Ok(_) => BriefError::Output { program, error: io::ErrorKind::Other.into() },
        })
    }
}

enum Cut {
    Time,
    Bytes,
    Read(io::Error),
}

struct Run {
    child: ChildHandle,
    output: UnixStream,
    exited: mpsc::Receiver<ChildExit>,
    exit: Option<ChildExit>,
    written: Vec<u8>,
}

impl Run {
    /// Reads until the child has ended and what it wrote is here. Not until end of file: a grandchild may keep the
    /// other end open (P33).
    fn collect(&mut self, deadline: Instant, max_bytes: usize) -> Result<ChildExit, Cut> {
        let mut piece = [0_u8; 4096];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Cut::Time);
            }
            self.exit = self.exit.or_else(|| self.exited.try_recv().ok());
            let wait = if self.exit.is_some() { Duration::from_millis(1) } else { left.min(Duration::from_millis(10)) };
            self.output.set_read_timeout(Some(wait)).map_err(Cut::Read)?;
            match self.output.read(&mut piece) {
                Ok(0) => return self.exit.or_else(|| self.exited.recv_timeout(left).ok()).ok_or(Cut::Time),
                Ok(count) => self.written.extend_from_slice(piece.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if let Some(exit) = self.exit {
                        return Ok(exit);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Cut::Read(error)),
            }
            if self.written.len() > max_bytes {
                return Err(Cut::Bytes);
            }
        }
    }

    fn end(&self) {
        // "It has ended" is what we want here, and a refusal changes nothing about the limit.
        if self.child.kill_rest_of_group().is_ok() && self.exit.is_none() {
            let _ended = self.exited.recv_timeout(AFTER_KILL);
        }
    }
}
