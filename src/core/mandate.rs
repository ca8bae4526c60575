//! Leading by the decision of a vote, and following by it.

use std::time::Duration;

use super::Supervisor;
use super::action::{ChildOrder, Level};
use super::course::{Basis, Course};
use super::id::{Address, AttemptId, ReplyId};
use super::message::{PeerAnswer, PeerMessage};
use super::outbox::Purpose;
use super::verdict::{Unknown, Verdict};
use super::vote::{LEAD_VOID, REPORT_COUNTS};

impl Supervisor {
    /// The only expected server, knowing no other, leads at once (A8).
    pub(super) fn lead_as_the_only_one(&mut self) {
        if self.child.role_in_motion() || !self.child.running() {
            return;
        }
        let attempt = self.new_attempt();
        self.decide(Level::Info, "vote", Some(self.rules.me), "the only expected server, and no other is known".into());
        self.lead_by_vote(attempt, Basis::Vote { without_sentinels: true });
    }

    /// The coordinator tells us to lead.
    pub(super) fn lead_asked(&mut self, reply: ReplyId, coordinator: Address, attempt: AttemptId) {
        let reported =
            self.vote.reported.is_some_and(|(at, to)| to == coordinator && self.now.since(at) < REPORT_COUNTS);
        let other = self
            .standing_consent()
            .map(|given| given.candidate)
            .filter(|at| *at != self.rules.me && *at != coordinator);
        let why = if !reported {
            Some("we have not reported to you lately".to_owned())
        } else if self.gave_way() {
            Some("we have told a candidate to lead".to_owned())
        } else if !self.nobody_leads() {
            Some("somebody leads, or is about to".to_owned())
        } else if let Some(other) = other {
            Some(format!("we have consented to {other}"))
        } else if self.rules.priority == 0
            || self.stop.is_some()
            || self.maintenance == super::event::Maintenance::On
            || !self.child.loaded
        {
            Some("we cannot lead".to_owned())
        } else {
            None
        };
        if let Some(why) = why {
            return self.out.refuse(reply, why);
        }
        let named = matches!(self.verdict, Verdict::Named { .. } | Verdict::Unknown(Unknown::Split));
        let basis = Basis::Vote { without_sentinels: !named };
        self.out.reply(reply, PeerAnswer::Ok);
        self.decide(
            Level::Info,
            "vote",
            Some(coordinator),
            format!("coordinator {coordinator}: we hold the newest data"),
        );
        self.lead_by_vote(attempt, basis);
    }

    pub(super) fn lead_by_vote(&mut self, attempt: AttemptId, basis: Basis) {
        let promised = self.standing_consent().is_some_and(|given| given.candidate != self.rules.me);
        let idle = self.child.running() && self.child.loaded && !self.child.role_in_motion();
        if !idle || self.gave_way() || promised {
            return;
        }
        self.consent_to(self.rules.me, attempt.clone());
        self.vote.leading = Some((attempt, basis, self.now));
        self.child.order(&mut self.out, self.now, ChildOrder::Lead);
    }

    /// Our child leads under the vote.
    pub(super) fn led_by_vote(&mut self) -> bool {
        let Some((attempt, basis, ordered)) = self.vote.leading.take() else { return false };
        if self.now.since(ordered) > LEAD_VOID {
            // The order lay in the child's socket (M29): the vote has moved on, or will.
            self.decide(Level::Warn, "vote", None, "the order to lead came too late: the decision is void".into());
            self.note_outcome(attempt, super::candidacy::Outcome::Open);
            self.shut_and_rediscover();
            return true;
        }
        let reason = "the vote of the supervisors: newest data".to_owned();
        let others: Vec<Address> =
            self.counting_reports().map(|(at, _)| at).filter(|at| *at != self.rules.me).collect();
        self.start_leading(basis, attempt.clone(), reason);
        for at in others {
            let message = PeerMessage::Follow { attempt: attempt.clone(), leader: self.rules.me };
            self.out.ask(at, message, Duration::from_secs(1), Purpose::Led(attempt.clone()));
        }
        true
    }

    /// A coordinator's decision about whom to follow.
    pub(super) fn follow_asked(&mut self, reply: ReplyId, attempt: AttemptId, leader: Address) {
        let named_gone = matches!(self.verdict, Verdict::Named { master, .. } if master == leader);
        // Who follows that one already, and has yet to catch up with it, is choosable from now on (7826).
        let waiting = match &self.course {
            Course::Undecided => true,
            Course::Following(following) => following.of_the_dead || following.master == leader,
            Course::Leading(_) => false,
        };
        if named_gone && waiting && leader != self.rules.me {
            let epoch = self.evidence.highest_epoch(self.now);
            self.open_as_replica_of_the_dead(leader, epoch);
            return self.out.reply(reply, PeerAnswer::Following);
        }
        let reported = self.vote.reported.filter(|(_, to)| *to != self.rules.me);
        if reported.is_some_and(|(at, _)| self.now.since(at) < REPORT_COUNTS) {
            self.took_part_in = Some(attempt.clone());
        }
        let epoch = self.evidence.highest_epoch(self.now);
        self.led_heard(reply, leader, attempt, epoch);
    }
}
