//! Where a lease is kept: one record that can be read, and replaced by whoever has read it last.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A lease. It holds no time: whether it is alive, everybody judges by seeing it change, on his own clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The election it decides.
    pub election: String,
    /// The holder's id; empty: released.
    pub holder: String,
    /// Which run of the holder: a restarted one does not hold what it held before.
    pub run: String,
    /// Counts renewals, so that each one is a change.
    pub renewal: u64,
}

/// What stood there at a reading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Changes with every change of the record, readable or not. Empty: there is no record.
    pub version: Vec<u8>,
    /// The record, where it is one.
    pub lease: Option<Lease>,
}

/// A place for one lease that several processes share. Its methods may block: they are called from a thread of their
/// own. The lock of Kubernetes (a `Lease` and its `resourceVersion`) fits here, and comes with a later version.
pub trait Lock {
    /// What stands there now.
    fn read(&mut self) -> Result<Stamp, LockError>;

    /// Puts `new` where `seen` still stands; `None` where something else does by now.
    fn swap(&mut self, seen: &Stamp, new: &Lease) -> Result<Option<Stamp>, LockError>;
}

/// Why a lock could not be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The file, or the directory it stands in.
    #[error("cannot {what} {}: {source}; the directory must exist and be writable for every elector", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What came of it.
        source: std::io::Error,
    },
    /// Somebody holds the guard of the file for too long: a stopped process.
    #[error("{} has been locked by another process for {millis} ms; is one of the electors stopped?", path.display())]
    Busy {
        /// The guard file.
        path: PathBuf,
        /// How long was waited.
        millis: u128,
    },
    /// One file, two elections.
    #[error("this lock belongs to the election `{theirs}`, not to `{ours}`; give each election a lock of its own")]
    OtherElection {
        /// What the record says.
        theirs: String,
        /// What was asked for.
        ours: String,
    },
}
