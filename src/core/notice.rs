//! What people read in the cluster's own history (Kubernetes' Events): the few decisions that change who takes writes.

use std::time::Duration;

use super::Supervisor;
use super::action::{Action, Level};
use super::course::{Basis, Ground};
use super::moment::Moment;
use super::rules::Mode;

/// A conflict that is over by then is the moment in which one leader takes the place of another.
const CONFLICT_IS_MEANT: Duration = Duration::from_secs(3);
/// A conflict that comes and goes is not said again within this time.
const CONFLICT_AGAIN: Duration = Duration::from_secs(60);

/// Several say master: since when, and when it was said last.
#[derive(Debug, Default)]
pub struct Conflict {
    since: Option<Moment>,
    told: Option<Moment>,
}

/// Does anybody take notices?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notices {
    /// Not in a pod, not allowed to, or not wanted.
    Off,
    /// Yes.
    On,
}

/// One notice. Nothing hangs on it: it is sent once, and may be lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What happened.
    pub kind: NoticeKind,
    /// The decision's reason.
    pub reason: String,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeKind {
    /// We lead: whoever led before let go, or a vote decided.
    Promotion,
    /// We lead in the place of somebody who is gone; or our own child is gone while it led.
    Failover,
    /// We led, and have let another one lead.
    Handover,
    /// Our writers are stopped: our right cannot be proved.
    Fence,
    /// Several say master, and nobody may choose.
    Conflict,
}

impl Supervisor {
    /// Says so to whoever reads the cluster's history.
    pub(super) fn notice(&mut self, kind: NoticeKind, reason: &str) {
        if self.rules.notices == Notices::On {
            self.out.push(Action::Notice(Notice { kind, reason: reason.to_owned() }));
        }
    }

    /// Several say master, and it lasts: said once.
    pub(super) fn tell_conflict(&mut self) {
        let answer = self.in_conflict().filter(|_| self.rules.mode == Mode::Server);
        let Some(answer) = answer else { return self.conflict.since = None };
        let since = *self.conflict.since.get_or_insert(self.now);
        if self.now.since(since) < CONFLICT_IS_MEANT {
            return self.out.wake_at(since + CONFLICT_IS_MEANT);
        }
        if self.conflict.told.is_some_and(|told| told >= since || self.now.since(told) < CONFLICT_AGAIN) {
            return;
        }
        self.conflict.told = Some(self.now);
        let reason = answer.reason().to_owned();
        self.notice(NoticeKind::Conflict, &reason);
        self.decide(Level::Error, "conflict", None, reason);
    }
}

/// What it is called when somebody begins to lead; a standalone server's start is nothing to tell, and a crash was told.
pub(super) fn of_a_lead(basis: &Basis) -> Option<NoticeKind> {
    match basis {
        Basis::Proposal { ground: Ground::Absence, .. } => Some(NoticeKind::Failover),
        Basis::Proposal { ground: Ground::Word, .. } | Basis::Vote { .. } | Basis::InPlace => {
            Some(NoticeKind::Promotion)
        }
        Basis::Alone => None,
    }
}
