//! What outlives the process: the state file's content (design 3.5).

use serde::{Deserialize, Serialize};

use super::cluster::Identity;
use super::id::{Address, AttemptId, Epoch, Offset, ReplId};
use super::seen::Appended;

/// The state file. The driver adds wall-clock time and boot id when it writes, and checks them when it reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The group this belongs to.
    pub master_name: String,
    /// The cluster this belongs to; `None` where an earlier version wrote it, or nobody has led yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Identity>,
    /// The role when it was written.
    pub role: RecordedRole,
    /// The master that was followed, or ourselves.
    pub master: Option<Address>,
    /// The highest config epoch known.
    pub epoch: Epoch,
    /// Replication id.
    pub history: ReplId,
    /// Second replication id and its offset.
    pub second: Option<(ReplId, Offset)>,
    /// The histories before that one, newest first, each with the offset at which it became the next (B1).
    #[serde(default)]
    pub earlier: Vec<(ReplId, Offset)>,
    /// Replication offset.
    pub offset: Offset,
    /// How far the append-only file went.
    #[serde(default)]
    pub appended: Option<Appended>,
    /// Where no data have come lately.
    #[serde(default)]
    pub calm: Option<Calm>,
    /// The stop was clean.
    pub clean: bool,
    /// Our promise, if one stands.
    pub consent: Option<RecordedConsent>,
    /// Servers known, ourselves excluded.
    pub servers: Vec<Address>,
    /// Of these, the ones that no supervisor stands behind (seen while they lived).
    #[serde(default)]
    pub unsupervised: Vec<Address>,
    /// Sentinels known.
    pub sentinels: Vec<Address>,
}

impl Record {
    /// It says the same as `other`, but for the offset, and what goes by it.
    pub fn moved_from(&self, other: &Record) -> bool {
        *self == Record { offset: self.offset, appended: self.appended, calm: self.calm, ..other.clone() }
    }
}

/// Between these offsets of the stream there were pings and hellos, and no data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calm {
    /// All data end before this one.
    pub from: Offset,
    /// Looked at last at this one.
    pub upto: Offset,
}

/// Role as recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordedRole {
    /// Undecided when it was written.
    None,
    /// A replica that was synced.
    Replica,
    /// The master.
    Master,
}

/// A consent as recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedConsent {
    /// To whom.
    pub candidate: Address,
    /// For which attempt.
    pub attempt: AttemptId,
    /// The epoch it was given at; it ends when somebody else is named at a higher one.
    pub epoch: Epoch,
}

/// What the driver found on disk at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The record.
    pub record: Record,
    /// Unix seconds when it was written.
    pub written: u64,
    /// The machine has been rebooted since: an AOF offset may be ahead of the disk.
    pub rebooted: bool,
}
