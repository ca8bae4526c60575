//! The lock `file:PATH`: for several processes on one machine.
//!
//! The record is replaced by an atomic rename, so a reader never sees half of one. Read, compare and rename happen
//! under `flock` on `PATH.lock`, a file that stays: the kernel lets go of it when its holder dies.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::lock::{Lease, Lock, LockError, Stamp};

/// A record is some 200 bytes. More than this is not ours, and not read.
const RECORD_LIMIT: u64 = 4096;
/// The guard is held for some ten microseconds at a time.
const GUARD_LIMIT: Duration = Duration::from_secs(1);
const GUARD_RETRY: Duration = Duration::from_millis(10);

/// A lease kept in a file.
#[derive(Debug)]
pub struct FileLock {
    record: PathBuf,
    guard: PathBuf,
    fresh: PathBuf,
}

impl FileLock {
    /// The lock at `path`. `run` makes the name of the temporary file our own.
    pub fn new(path: &Path, run: &str) -> Self {
        let beside = |suffix: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        FileLock { record: path.to_owned(), guard: beside(".lock"), fresh: beside(&format!(".{run}.tmp")) }
    }

    /// Can this lock work at all? Opens the guard, which shows a missing directory or a missing right at once.
    pub fn probe(&mut self) -> Result<(), LockError> {
        self.guarded().map(drop)
    }

    fn guarded(&self) -> Result<Flock<File>, LockError> {
        let open = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&self.guard);
        let mut file = open.map_err(failed("open", &self.guard))?;
        let started = Instant::now();
        loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(guard) => return Ok(guard),
                Err((back, Errno::EWOULDBLOCK | Errno::EINTR)) if started.elapsed() < GUARD_LIMIT => file = back,
                Err((_, Errno::EWOULDBLOCK)) => {
                    let millis = started.elapsed().as_millis();
                    return Err(LockError::Busy { path: self.guard.clone(), millis });
                }
                Err((_, error)) => return Err(failed("lock", &self.guard)(error.into())),
            }
            sleep(GUARD_RETRY);
        }
    }

    fn replace(&self, new: &Lease) -> Result<Stamp, LockError> {
        let bytes = serde_json::to_vec(new).map_err(|error| failed("write", &self.fresh)(error.into()))?;
        let open = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&self.fresh);
        // No fsync: after a crash of the machine every holder is gone, and half a record only delays by one lease.
        open.and_then(|mut file| file.write_all(&bytes)).map_err(failed("write", &self.fresh))?;
        std::fs::rename(&self.fresh, &self.record).map_err(failed("replace", &self.record))?;
        Ok(Stamp { version: bytes, lease: Some(new.clone()) })
    }
}

impl Lock for FileLock {
    fn read(&mut self) -> Result<Stamp, LockError> {
        let mut version = Vec::new();
        match File::open(&self.record) {
            Ok(file) => file.take(RECORD_LIMIT).read_to_end(&mut version).map_err(failed("read", &self.record))?,
            Err(error) if error.kind() == ErrorKind::NotFound => 0,
            Err(error) => return Err(failed("read", &self.record)(error)),
        };
        let lease = serde_json::from_slice(&version).ok();
        Ok(Stamp { version, lease })
    }

    fn swap(&mut self, seen: &Stamp, new: &Lease) -> Result<Option<Stamp>, LockError> {
        let _guard = self.guarded()?;
        if self.read()?.version != seen.version {
            return Ok(None);
        }
        self.replace(new).map(Some)
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // Left behind only where a rename failed.
        let _not_there = std::fs::remove_file(&self.fresh);
    }
}

fn failed<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(std::io::Error) -> LockError + 'a {
    move |source| LockError::File { what, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(holder: &str, renewal: u64) -> Lease {
        Lease { election: "e".to_owned(), holder: holder.to_owned(), run: "r".to_owned(), renewal }
    }

    #[test]
    fn a_swap_needs_what_was_read() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("lock");
        let (mut a, mut b) = (FileLock::new(&path, "a"), FileLock::new(&path, "b"));
        let nothing = a.read().expect("read");
        assert_eq!(nothing, Stamp::default());
        let first = a.swap(&nothing, &lease("a", 0)).expect("written").expect("swapped");
        assert_eq!(b.read().expect("read"), first);
        assert_eq!(b.swap(&nothing, &lease("b", 0)).expect("asked"), None);
        let second = b.swap(&first, &lease("b", 0)).expect("written").expect("swapped");
        assert_eq!(second.lease, Some(lease("b", 0)));
        assert_eq!(a.swap(&first, &lease("a", 1)).expect("asked"), None);
    }

    #[test]
    fn of_many_at_once_one_wins_each_time() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("lock");
        for round in 0..20 {
            let seen = FileLock::new(&path, "x").read().expect("read");
            let winners: usize = std::thread::scope(|scope| {
                let tasks: Vec<_> = (0..8)
                    .map(|id| {
                        let (path, seen) = (&path, &seen);
                        scope.spawn(move || {
                            let mut lock = FileLock::new(path, &id.to_string());
                            let swapped = lock.swap(seen, &lease(&id.to_string(), round));
                            usize::from(swapped.expect("asked").is_some())
                        })
                    })
                    .collect();
                tasks.into_iter().map(|task| task.join().expect("no panic")).sum()
            });
            assert_eq!(winners, 1);
        }
        let left: Vec<_> =
            std::fs::read_dir(dir.path()).expect("a list").flatten().map(|one| one.file_name()).collect();
        assert_eq!(left.len(), 2, "the record and its guard: {left:?}");
    }

    #[test]
    fn garbage_a_giant_and_a_directory_are_survived() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("lock");
        let mut lock = FileLock::new(&path, "a");
        std::fs::write(&path, "{\"election\":").expect("written");
        let half = lock.read().expect("read");
        assert_eq!(half.lease, None);
        assert!(lock.swap(&half, &lease("a", 0)).expect("written").is_some());
        std::fs::write(&path, vec![b'x'; 10 << 20]).expect("written");
        assert_eq!(lock.read().expect("read").version.len() as u64, RECORD_LIMIT);
        assert!(FileLock::new(dir.path(), "a").read().is_err());
        let missing = dir.path().join("no/such/lock");
        assert!(FileLock::new(&missing, "a").probe().expect_err("no directory").to_string().contains("no/such"));
    }

    #[test]
    fn a_guard_that_is_held_for_ever_is_an_error_in_time() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("lock");
        let (holder, mut other) = (FileLock::new(&path, "a"), FileLock::new(&path, "b"));
        let _guard = holder.guarded().expect("held");
        let started = Instant::now();
        assert!(matches!(other.swap(&Stamp::default(), &lease("b", 0)), Err(LockError::Busy { .. })));
        assert!(started.elapsed() < 2 * GUARD_LIMIT);
    }
}
