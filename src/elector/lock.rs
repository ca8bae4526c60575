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
/// own.
pub trait Lock {
    /// What stands there now.
    fn read(&mut self) -> Result<Stamp, LockError>;

    /// Puts `new` where `seen` still stands; `None` where something else does by now.
    fn swap(&mut self, seen: &Stamp, new: &Lease) -> Result<Option<Stamp>, LockError>;
}

/// May an object of Kubernetes have this name?
pub fn is_name(text: &str) -> bool {
    let part = |part: &str| {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        !part.is_empty() && part.bytes().all(allowed) && !part.starts_with('-') && !part.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(part)
}

/// The lock of Kubernetes, for the pod that we run in.
#[cfg(feature = "kubernetes")]
pub fn kubernetes(election: &str) -> Result<Box<dyn Lock + Send>, LockError> {
    Ok(Box::new(super::lease::LeaseLock::of_the_pod(election)?))
}

/// The lock of Kubernetes, which is not in this build.
#[cfg(not(feature = "kubernetes"))]
pub fn kubernetes(_election: &str) -> Result<Box<dyn Lock + Send>, LockError> {
    Err(LockError::NotBuilt)
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
    /// A call to the API server, on its Lease.
    #[cfg(feature = "kubernetes")]
    #[error("cannot {what} the Lease {lease}: {words}")]
    Kubernetes {
        /// What was tried.
        what: &'static str,
        /// Namespace and name.
        lease: String,
        /// What came of it.
        words: String,
    },
    /// The same, for want of a right.
    #[cfg(feature = "kubernetes")]
    #[error("must not {what} the Lease {lease}: {words}; the Role that is needed is in docs/elector.md")]
    Forbidden {
        /// What was tried.
        what: &'static str,
        /// Namespace and name.
        lease: String,
        /// The server's words.
        words: String,
    },
    /// Not in a pod, or its token is not mounted.
    #[cfg(feature = "kubernetes")]
    #[error("the lock `kubernetes` needs a pod with a service account and its token: {0}")]
    NoServiceAccount(String),
    /// Kubernetes would refuse it.
    #[cfg(feature = "kubernetes")]
    #[error("the election `{0}` cannot be the name of a Lease; allowed: `a-z 0-9 - .`, a letter or digit at both ends")]
    Name(String),
    /// Built without the feature `kubernetes`.
    #[cfg(not(feature = "kubernetes"))]
    #[error("the lock `kubernetes` is not in this build of redinit (its feature `kubernetes` is off)")]
    NotBuilt,
    /// One file, two elections.
    #[error("this lock belongs to the election `{theirs}`, not to `{ours}`; give each election a lock of its own")]
    OtherElection {
        /// What the record says.
        theirs: String,
        /// What was asked for.
        ours: String,
    },
}
