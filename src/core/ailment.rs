//! What ails a child that does not start or cannot save: told apart, and said in one line with what to do (D4).

use std::time::Duration;

use super::Supervisor;
use super::action::{ChildOrder, Level};
use super::event::ChildExit;
use super::moment::Moment;

/// A child that goes on failing is examined no more often than this.
const EXAMINE_EVERY: Duration = Duration::from_secs(60);

/// What it complains of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Complaint {
    /// It ended before it had loaded.
    Start,
    /// It runs and refuses writes, since it cannot save them (MISCONF).
    Saving,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ailment {
    /// The file system of the data directory has no room.
    DiskFull {
        /// Bytes left.
        free: u64,
    },
    /// An append-only file that the engine's own check refuses.
    DamagedAof {
        /// Which.
        file: String,
    },
    /// A snapshot that the engine's own check refuses.
    DamagedSnapshot {
        /// Which.
        file: String,
    },
    /// There is room, the files are whole as far as could be checked.
    Unclear,
}

/// How the child does.
#[derive(Debug, Default)]
pub struct Health {
    /// What was found last, and has not gone.
    pub(super) ailment: Option<Ailment>,
    examined_at: Option<Moment>,
}

impl Ailment {
    /// What it is, and what to do.
    pub fn advice(&self, complaint: Complaint) -> String {
        match (self, complaint) {
            (Ailment::DiskFull { free }, _) => {
                format!("the disk of the data directory is full ({free} bytes free): make room or enlarge the volume")
            }
            (Ailment::DamagedAof { file }, _) => format!(
                "the append-only file {file} is damaged: where another server holds the data, empty this volume; else repair a copy with redis-check-aof --fix"
            ),
            (Ailment::DamagedSnapshot { file }, _) => format!(
                "the snapshot {file} is damaged: where another server holds the data, empty this volume; else put a backup in its place"
            ),
            (Ailment::Unclear, Complaint::Start) => {
                "it ends before it has loaded, its disk has room and its files pass their check: its last lines above say why".to_owned()
            }
            (Ailment::Unclear, Complaint::Saving) => {
                "it cannot save although its disk has room (MISCONF): look at memory for the fork (vm.overcommit_memory), permissions and disk errors in its log".to_owned()
            }
        }
    }
}

impl Supervisor {
    /// The child ended: where it had not even loaded, find out why. Killed by SIGKILL says enough.
    pub(super) fn examine_failed_start(&mut self, exit: ChildExit, loaded: bool) {
        if !loaded && self.stop.is_none() && !matches!(exit, ChildExit::Signal(9 | 15)) {
            self.examine(Complaint::Start);
        }
    }

    /// A child that cannot save is examined once, and it is said when it can again.
    pub(super) fn ailment_turn(&mut self) {
        let Some(cannot_save) = self.child.seen().map(|seen| seen.cannot_save) else { return };
        if cannot_save {
            return self.examine(Complaint::Saving);
        }
        if self.child.loaded && self.health.ailment.take().is_some() {
            self.health.examined_at = None;
            self.decide(Level::Info, "ailment", None, "the child loads and saves again".into());
        }
    }

    fn examine(&mut self, complaint: Complaint) {
        if self.health.examined_at.is_some_and(|at| self.now.since(at) < EXAMINE_EVERY) {
            return;
        }
        self.health.examined_at = Some(self.now);
        self.child.order(&mut self.out, self.now, ChildOrder::Examine(complaint));
    }

    /// What was found is said, unless it has been.
    pub(super) fn ails(&mut self, complaint: Complaint, found: Ailment) {
        if self.health.ailment.as_ref() != Some(&found) {
            let reason = found.advice(complaint);
            self.decide(Level::Error, "ailment", None, reason);
            self.health.ailment = Some(found);
        }
    }
}
