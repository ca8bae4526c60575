//! Small favours for a moment: quicken (refuse INFO to Sentinel) and replica-priority. Each ends by itself.

use std::time::Duration;

use super::Supervisor;
use super::action::ChildOrder;
use super::candidacy::QUICKEN;
use super::id::Address;
use super::moment::Moment;

/// A priority set in somebody's favour ends after this long at the latest.
pub const LONGEST_PRIORITY: Duration = Duration::from_secs(10);

/// A replica-priority set in somebody's favour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriorityFavour {
    /// The priority.
    pub priority: Option<u32>,
    /// In whose favour; it ends when a majority names that one.
    pub leader: Address,
    /// When it ends.
    pub until: Moment,
}

impl Supervisor {
    /// Refuses INFO to Sentinel's user for `lasting`, 3 s at most.
    pub(super) fn quicken(&mut self, lasting: Duration) {
        if self.child.quick_until.is_none() && self.child.running() {
            self.child.order(&mut self.out, self.now, ChildOrder::Quicken);
            self.child.quick_until = Some(self.now + lasting.min(QUICKEN));
        }
    }

    /// Each Sentinel that names somebody has read our INFO lately, as that of one whom it may choose: refusing it now does not
    /// make us unfit. One that has just named the master that is gone has not (D1: NOGOODSLAVE for 2.6 s); nor has one that
    /// read us while we had yet to catch up (M11: 4.4 s).
    pub(super) fn was_read_lately(&self) -> bool {
        const CHOOSABLE_FOR: Duration = Duration::from_secs(5);
        let mut naming = self.evidence.answering(self.now).filter(|(_, seen)| seen.master.is_some());
        naming.all(|(at, seen)| {
            let age = self.evidence.info_age(at, self.rules.me, self.now);
            let choosable = seen.replica(self.rules.me).is_some_and(|row| row.priority > 0);
            choosable && age.is_some_and(|age| age < CHOOSABLE_FOR)
        })
    }

    /// Allows it again, where it was refused.
    pub(super) fn unquicken(&mut self) {
        if self.child.quick_until.is_some() {
            self.unquicken_now();
        }
    }

    /// Allows it again.
    pub(super) fn unquicken_now(&mut self) {
        self.child.quick_until = None;
        self.child.quick_since = None;
        self.child.order(&mut self.out, self.now, ChildOrder::Unquicken);
    }

    /// Sets the own priority in somebody's favour for a moment.
    pub(super) fn favour_priority(&mut self, priority: Option<u32>, leader: Address) {
        self.priority_favour = Some(PriorityFavour { priority, leader, until: self.now + LONGEST_PRIORITY });
    }

    /// Somebody who was proposed has stepped back for us (M8).
    pub(super) fn favoured(&self) -> bool {
        self.priority_favour.is_some_and(|favour| favour.leader == self.rules.me && favour.priority == Some(1))
    }

    /// Ends favours that are due, and brings the child's priority to what it should be.
    pub(super) fn favours_turn(&mut self) {
        if let Some(until) = self.child.quick_until {
            if self.now >= until {
                if self.child.seen().is_some() || !self.child.running() {
                    self.unquicken_now();
                }
            } else {
                self.out.wake_at(until);
            }
        }
        if let Some(favour) = self.priority_favour {
            let named = favour.leader != self.rules.me
                && self.evidence.majority_names(favour.leader, self.rules.quorum, self.now)
                && self.says_master(favour.leader);
            if favour.priority.is_none() || self.now >= favour.until || named {
                self.priority_favour = None;
            } else {
                self.out.wake_at(favour.until);
            }
        }
        if !self.favoured() {
            self.read_as_before();
        }
        let wanted = self.wanted_priority();
        if self.child.loaded && self.child.priority != Some(wanted) && self.child.seen().is_some() {
            self.child.order_once(&mut self.out, self.now, ChildOrder::Priority(wanted), |order| {
                matches!(order, ChildOrder::Priority(_))
            });
        }
    }

    /// 0 for a server that must not be chosen (H0; in maintenance too: whoever is chosen and never leads is chosen again by
    /// the next Sentinel); else the favour; else after all others, where one of these could not load from us; else the
    /// user's own.
    fn wanted_priority(&self) -> Option<u32> {
        if self.rules.priority == 0 {
            return None;
        }
        if self.never_leads() {
            return Some(0);
        }
        let favour = self.priority_favour.and_then(|favour| favour.priority);
        favour.or_else(|| self.priority_of_a_newer_engine())
    }
}
