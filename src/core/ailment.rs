//! What ails a child that does not start or cannot save: told apart, and said in one line with what to do (D4).

use std::time::Duration;

use super::Supervisor;
use super::action::{ChildOrder, Exit, Level};
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
    /// The engine does not take its configuration.
    Refused {
        /// Its own words: which directive, and why.
        said: String,
    },
    /// What lies there cannot be loaded as things are, and is whole: of a newer engine, somebody else's, under another name.
    NotLoadable {
        /// Which file, and what to do.
        said: String,
    },
    /// An append-only file that the engine's own check has read and refuses.
    DamagedAof {
        /// Which.
        file: String,
        /// By whose word.
        tool: String,
    },
    /// A snapshot that the engine's own check has read and refuses.
    DamagedSnapshot {
        /// Which.
        file: String,
        /// By whose word.
        tool: String,
    },
    /// There is room, and the check of what it loads passes.
    Passed,
    /// There is room, and it has no data file to load.
    NothingToLoad,
    /// There is room, and the check could not be made.
    Unchecked {
        /// Which.
        tool: String,
    },
    /// There is room; nothing else was looked at.
    Unclear,
}

/// How the child does.
#[derive(Debug, Default)]
pub struct Health {
    /// What was found last, and has not gone.
    pub(super) ailment: Option<Ailment>,
    examined_at: Option<Moment>,
    /// It will not start, however often that is tried.
    hopeless: bool,
    /// Its engine cannot load what our master sends.
    pub(super) parked: Option<super::mixed::Parked>,
}

impl Ailment {
    /// The same start would end the same way for ever.
    fn is_hopeless(&self) -> bool {
        matches!(self, Ailment::Refused { .. } | Ailment::NotLoadable { .. })
    }

    /// What it is, and what to do.
    pub fn advice(&self, complaint: Complaint) -> String {
        match (self, complaint) {
            (Ailment::DiskFull { free }, _) => {
                format!("the disk of the data directory is full ({free} bytes free): make room or enlarge the volume")
            }
            (Ailment::Refused { said }, _) => {
                format!("the engine does not take its configuration, {said}: put that right; trying again would not help")
            }
            (Ailment::NotLoadable { said }, _) => said.clone(),
            (Ailment::DamagedAof { file, tool }, _) => format!(
                "the append-only file {file} is damaged, says {tool}: copy the data directory first; then, where another server is seen to hold the data, empty this volume, else repair the copy with {tool} --fix and put it back"
            ),
            (Ailment::DamagedSnapshot { file, tool }, _) => format!(
                "the snapshot {file} is damaged, says {tool}: copy the data directory first; then, where another server is seen to hold the data, empty this volume, else put a backup in its place"
            ),
            (Ailment::Passed, _) => {
                "it ends before it has loaded, its disk has room and what it loads passes the engine's check: its last lines above say why".to_owned()
            }
            (Ailment::NothingToLoad | Ailment::Unclear, Complaint::Start) => {
                "it ends before it has loaded, its disk has room and its data are not the reason: its last lines above say why".to_owned()
            }
            (Ailment::Unchecked { tool }, _) => format!(
                "it ends before it has loaded, its disk has room, and its files could not be checked ({tool} is not there, or did not end by itself): its last lines above say why"
            ),
            (Ailment::NothingToLoad | Ailment::Unclear, Complaint::Saving) => {
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
        self.health.hopeless |= found.is_hopeless();
        if self.health.ailment.as_ref() != Some(&found) {
            let reason = found.advice(complaint);
            self.decide(Level::Error, "ailment", None, reason);
            self.health.ailment = Some(found);
        }
        if !self.child.running() {
            self.hopeless_ends();
        }
    }

    /// What no restart puts right ends us, so that whoever deploys sees it at once: with the child gone.
    pub(super) fn hopeless_ends(&mut self) -> bool {
        let ends = self.health.hopeless && self.stop.is_none();
        if ends {
            self.exit_once(Exit::CannotStart);
        }
        ends
    }

    /// Why the child is down, for whoever asks.
    pub(super) fn why_down(&self) -> Option<String> {
        if self.child.running() && self.child.loaded || self.stop.is_some() {
            return None;
        }
        let ails = self.health.ailment.as_ref().map(|found| found.advice(Complaint::Start));
        Some(format!("the child does not start: {}", ails?))
    }
}
