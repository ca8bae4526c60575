//! Putting right what orders left behind: a lead that came too late or whose answer was lost (M29), a frozen child (D6).

use std::time::Duration;

use super::Supervisor;
use super::action::{ChildOrder, Expecting, Level};
use super::candidacy::Outcome;
use super::child::LockedOut;
use super::course::{Basis, Course, Fenced};
use super::event::{Maintenance, OrderFailure};
use super::id::{Address, AttemptId};
use super::moment::Moment;
use super::seen::{Link, RoleSeen};

/// A child that has not answered for this long is killed and counts as crashed.
const SILENCE_KILLS: Duration = Duration::from_secs(30);

/// A child whose ACL has not known our user for this long is told to end: more than one look.
const LOCKED_OUT_ENDS: Duration = Duration::from_secs(1);

/// An order to lead of which nobody knows what became of it.
#[derive(Clone, Debug)]
pub struct Unresolved {
    attempt: AttemptId,
    replaces: Address,
    since: Moment,
    told: Option<Moment>,
}

impl Supervisor {
    /// The child was made master: under whatever we had in hand.
    pub(super) fn led(&mut self) {
        if self.led_in_place() || self.led_by_vote() {
            return;
        }
        match self.candidacy.clone() {
            Some(candidacy) => {
                self.led_by_proposal();
                if self.course.leading().is_none() {
                    self.leave_unresolved(candidacy.attempt, candidacy.replaces);
                }
            }
            // Put right; the fence is up until everybody sees it.
            None if self.course.leading().is_some() => {}
            None => self.decide(Level::Warn, "lead", None, "the child leads and nobody asked for it".into()),
        }
    }

    /// The order to lead was refused, or its answer was lost.
    pub(super) fn lead_order_failed(&mut self, failure: &OrderFailure) {
        let why = format!("the order to lead failed: {failure:?}");
        self.vote.forget_lead();
        if let Some(crash) = &mut self.crash {
            crash.stage = super::crash::Stage::Replaced { comparing: None };
        }
        let candidacy = self.candidacy.clone();
        self.leading_failed(why);
        if let Some(candidacy) = candidacy
            && *failure == OrderFailure::Unknown
        {
            self.leave_unresolved(candidacy.attempt, candidacy.replaces);
        }
    }

    /// Whoever released for this attempt hears "open" until the child has been seen not to lead.
    fn leave_unresolved(&mut self, attempt: AttemptId, replaces: Address) {
        self.note_outcome(attempt.clone(), Outcome::Open);
        self.unresolved = Some(Unresolved { attempt, replaces, since: self.now, told: None });
    }

    /// The child is gone: it does not lead.
    pub(super) fn unresolved_child_gone(&mut self) {
        if let Some(unresolved) = self.unresolved.take() {
            self.note_outcome(unresolved.attempt, Outcome::Never);
        }
    }

    /// A child that says master although we do not mean it: demoted again, or, where the Sentinels name it, meant.
    pub(super) fn reconcile_turn(&mut self) {
        if self.child.role_in_motion() || !self.child.running() {
            return;
        }
        if self.course.leading().is_some() {
            return self.restore_stray_replica();
        }
        let Some(unresolved) = self.unresolved.clone() else { return self.disown_stray_master() };
        let Some(seen) = self.child.seen_since(unresolved.since) else { return };
        if !seen.role.is_master() {
            self.unresolved = None;
            return self.note_outcome(unresolved.attempt, Outcome::Never);
        }
        if self.evidence.majority_names(self.rules.me, self.rules.quorum, self.now) {
            self.unresolved = None;
            self.note_outcome(unresolved.attempt.clone(), Outcome::Led);
            return self.start_leading(
                Basis::InPlace,
                unresolved.attempt,
                "the order to lead came late, and the Sentinels name us".into(),
            );
        }
        if unresolved.told.is_none_or(|at| self.now.since(at) > Duration::from_secs(1)) {
            let master = self.course.master().unwrap_or(unresolved.replaces);
            self.child.order(&mut self.out, self.now, ChildOrder::Follow { master, expecting: Expecting::Master });
            if let Some(unresolved) = &mut self.unresolved {
                unresolved.told = Some(self.now);
            }
        }
        self.out.wake_at(self.now + Duration::from_millis(50));
    }

    /// Our child says master, and neither we nor an order under way made it so: somebody went round the gate.
    fn disown_stray_master(&mut self) {
        if !matches!(self.course, Course::Undecided) || !self.child.loaded || !self.child.says_master() {
            return;
        }
        if self.evidence.majority_names(self.rules.me, self.rules.quorum, self.now)
            && self.crash.is_none()
            && !self.another_says_master()
        {
            let attempt = self.new_attempt();
            self.child.order(&mut self.out, self.now, ChildOrder::Fence);
            self.start_leading(Basis::InPlace, attempt, "the child says master and the Sentinels name it".into());
        }
    }

    /// We lead, and our child follows somebody: a hand that went round the gate (F6). While it has got nothing from there
    /// it holds what it held, and leads again, fenced until everybody has seen that. Otherwise what it holds is not what
    /// we led with: it counts as crashed.
    fn restore_stray_replica(&mut self) {
        let Some(RoleSeen::Replica { master, link }) = self.child.seen().map(|seen| seen.role.clone()) else { return };
        if !self.may_rewrite_again()
            || self.release.is_some()
            || self.stop.is_some()
            || self.maintenance == Maintenance::On
        {
            return;
        }
        self.rewritten_at = Some(self.now);
        if link == Link::Down {
            self.decide(Level::Warn, "lead", master, "the child was made a replica by hand: it leads again".into());
            let since = self.now;
            if let Some(leading) = self.course.leading_mut() {
                leading.fence.get_or_insert(Fenced::Isolated { since });
            }
            self.child.order(&mut self.out, self.now, ChildOrder::Lead);
        } else {
            let reason = "the child was made a replica by hand and has the other's data: killed".into();
            self.decide(Level::Error, "child-strayed", master, reason);
            self.child.order(&mut self.out, self.now, ChildOrder::Kill);
        }
    }

    /// Shuts the door and starts over: a leader nobody accepted.
    pub(super) fn shut_and_rediscover(&mut self) {
        self.course = Course::Undecided;
        if self.candidacy.is_some() {
            self.end_attempt("our child is gone".into());
        }
        self.drop_release();
        self.expected_exit = Some(self.now);
        self.child.order(&mut self.out, self.now, ChildOrder::Terminate);
    }

    /// Silence for over 30 s: we restart the child ourselves (D6, G6), but never in maintenance: nobody would start it.
    pub(super) fn child_frozen_turn(&mut self) {
        if !self.child.running() || self.stop.is_some() || self.maintenance == Maintenance::On {
            return;
        }
        self.locked_out_turn();
        let Some(since) = self.child.silent_since else { return };
        if self.now.since(since) >= SILENCE_KILLS {
            self.decide(Level::Error, "child-silent", None, "the child has not answered for 30 s: killed".into());
            self.child.silent_since = None;
            self.child.order(&mut self.out, self.now, ChildOrder::Kill);
        } else {
            self.out.wake_at(since + SILENCE_KILLS);
        }
    }

    /// Its ACL knows our user no more (`ACL DELUSER`, `ACL LOAD` of an edited file): it can be neither fenced nor handed
    /// over. SIGTERM makes it drain and save, so it ends as a crash with its data complete.
    fn locked_out_turn(&mut self) {
        let Some(LockedOut { since, told }) = self.child.locked_out else { return };
        let due = told.map_or(since + LOCKED_OUT_ENDS, |at| at + SILENCE_KILLS);
        if self.now < due {
            return self.out.wake_at(due);
        }
        if told.is_some() {
            self.child.locked_out = None;
            self.decide(Level::Error, "locked-out", None, "the child has not ended within 30 s: killed".into());
            self.child.order(&mut self.out, self.now, ChildOrder::Kill);
            return;
        }
        self.child.locked_out = Some(LockedOut { since, told: Some(self.now) });
        let reason = "the child's ACL does not know the user `redinit` any more: it is restarted";
        self.decide(Level::Error, "locked-out", None, reason.into());
        self.child.order(&mut self.out, self.now, ChildOrder::Terminate);
    }
}
