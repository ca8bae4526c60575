//! One life of the child: from its start to the next one's.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};

use secrecy::SecretString;

use super::convert::Conversion;
use super::wire::{Door, Wire};
use crate::core::cluster::ClusterTag;
use crate::core::id::Address;
use crate::core::rules::Mode;
use crate::core::seen::ChildSeen;

/// What the drivers know of the running child.
#[derive(Debug)]
pub struct Life {
    /// Server or Sentinel.
    pub mode: Mode,
    /// The way to it.
    pub door: Door,
    /// The connection for orders, one after the other.
    pub orders: Wire,
    /// The connection for looks, which must not queue behind an order.
    pub looks: Wire,
    /// What the last full look showed.
    pub last: Mutex<Option<ChildSeen>>,
    /// The address that others reach it by.
    pub me: Address,
    /// The port behind its door.
    pub port: u16,
    /// Where its files are.
    pub data_dir: PathBuf,
    /// How it logs in at a master that knows no user for replication: name and password, either may be empty.
    pub shared_login: (String, SecretString),
    /// And at one that does.
    pub own_login: (String, SecretString),
    /// What the logins of a cluster are derived from; `None` where there is nothing, and the user's own rules lock the door.
    pub cluster_secret: Option<SecretString>,
    /// The cluster whose logins it knows.
    pub cluster: Mutex<Option<ClusterTag>>,
    /// `default` may be let in as a replica: the user's own rules do not speak against it.
    pub default_replicates: bool,
    /// The user's own `replica-priority`.
    pub priority: u32,
    /// The user's own `min-replicas-to-write`, as configured or as set while unfenced.
    pub min_replicas: AtomicU32,
    /// Writers are paused by a release; `Dismiss` or `TakeBack` lets them go.
    pub released: AtomicBool,
    /// Counts the quickenings, so that the timer of an earlier one does not end a later one.
    pub quickened: AtomicU64,
    /// It was started to load from one kind of file and to go on with the other.
    pub conversion: Conversion,
    /// Told to end: whatever takes long is given up.
    pub hurry: AtomicBool,
}
