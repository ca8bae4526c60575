//! Leading by the decision of a vote, and following by it.

use std::time::Duration;

use super::Supervisor;
use super::action::{ChildOrder, Level};
use super::course::{Basis, Course};
use super::evidence::Word;
use super::id::{Address, AttemptId, ReplyId};
use super::message::{PeerAnswer, PeerMessage};
use super::moment::Moment;
use super::outbox::Purpose;
use super::seen::Failure;
use super::verdict::{Unknown, Verdict};
use super::vote::{LEAD_VOID, REPORT_COUNTS};

/// The coordinator that is asked back answers within this time.
const ASKED_BACK_WITHIN: Duration = Duration::from_millis(500);
/// So many decisions are asked about at once.
const TOLD_LIMIT: usize = 4;

/// Somebody told us to lead, in this coordinator's name.
#[derive(Clone, Debug)]
pub(super) struct Told {
    reply: ReplyId,
    coordinator: Address,
    attempt: AttemptId,
    at: Moment,
}

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

    /// The coordinator tells us to lead. Anybody can say so in its name: it is asked back first (S1).
    pub(super) fn lead_asked(&mut self, reply: ReplyId, coordinator: Address, attempt: AttemptId) {
        let known = self.vote.told.iter().any(|told| told.attempt == attempt);
        let why = if known || self.vote.told.len() >= TOLD_LIMIT {
            Some("the coordinator is being asked".to_owned())
        } else {
            self.must_not_lead_for(coordinator)
        };
        if let Some(why) = why {
            return self.out.refuse(reply, why);
        }
        self.vote.told.push(Told { reply, coordinator, attempt: attempt.clone(), at: self.now });
        let message = PeerMessage::Decided { attempt: attempt.clone() };
        self.out.ask(coordinator, message, ASKED_BACK_WITHIN, Purpose::Decided(attempt));
    }

    /// Why this coordinator's decision does not make us lead.
    fn must_not_lead_for(&self, coordinator: Address) -> Option<String> {
        let reported =
            self.vote.reported.is_some_and(|(at, to)| to == coordinator && self.now.since(at) < REPORT_COUNTS);
        let other = self
            .standing_consent()
            .map(|given| given.candidate)
            .filter(|at| *at != self.rules.me && *at != coordinator);
        if coordinator == self.rules.me || !reported {
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
        }
    }

    /// We are asked whether we decided that.
    pub(super) fn decided_asked(&mut self, reply: ReplyId, attempt: &AttemptId) {
        let out = self.vote.out.as_ref().filter(|out| out.attempt == *attempt && self.candidacy.is_none());
        let Some(out) = out else {
            return self.out.refuse(reply, "not decided here");
        };
        let leader = out.best;
        let reported = self.counting_reports().map(|(at, _)| at).collect();
        let holding = self.counting_reports().filter(|(_, report)| report.rank.has_data).map(|(at, _)| at).collect();
        self.out.reply(reply, PeerAnswer::Decided { leader, reported, holding });
    }

    /// The coordinator says what it decided. Who holds nothing leads only where nobody else holds anything.
    pub(super) fn decided_answered(&mut self, attempt: &AttemptId, answer: Result<PeerAnswer, Failure>) {
        let Some(at) = self.vote.told.iter().position(|told| told.attempt == *attempt) else { return };
        let Told { reply, coordinator, attempt, at: asked } = self.vote.told.remove(at);
        let why = match answer {
            Ok(PeerAnswer::Decided { leader, reported, holding }) if leader == self.rules.me => {
                let others = !holding.is_empty() || self.shows_data_unreported(|at| reported.contains(&at));
                let empty = others && !self.own_rank().has_data;
                empty.then(|| "we hold nothing, and somebody else does".to_owned())
            }
            _ => Some(format!("{coordinator} does not say that it decided so")),
        };
        if let Some(why) = why.or_else(|| self.must_not_lead_for(coordinator)) {
            let reason = format!("told to lead in the name of {coordinator}, and not obeyed: {why}");
            self.decide(Level::Warn, "vote", Some(coordinator), reason);
            return self.out.refuse(reply, why);
        }
        if !self.is_free_to_lead(coordinator, asked) {
            return self.out.refuse(reply, "something else is under way");
        }
        let named = matches!(self.verdict, Verdict::Named { .. } | Verdict::Unknown(Unknown::Split));
        let basis = Basis::Vote { without_sentinels: !named };
        self.out.reply(reply, PeerAnswer::Ok);
        let reason = format!("coordinator {coordinator}: we hold the newest data");
        self.decide(Level::Info, "vote", Some(coordinator), reason);
        self.order_to_lead(attempt, basis);
    }

    /// A promise to the coordinator from before it was asked back binds no more: it says itself that we shall lead (lies 4389).
    fn is_free_to_lead(&self, coordinator: Address, asked: Moment) -> bool {
        let promised = self.standing_consent().is_some_and(|given| {
            given.candidate != self.rules.me && (given.candidate != coordinator || given.at > asked)
        });
        let idle = self.child.running() && self.child.loaded && !self.child.role_in_motion();
        idle && !self.gave_way() && !promised
    }

    /// Whoever told us has its answer by now.
    pub(super) fn forget_told(&mut self) {
        let now = self.now;
        self.vote.told.retain(|told| now.since(told.at) < ASKED_BACK_WITHIN * 2);
    }

    /// By a decision of our own.
    pub(super) fn lead_by_vote(&mut self, attempt: AttemptId, basis: Basis) {
        if self.is_free_to_lead(self.rules.me, self.now) {
            self.order_to_lead(attempt, basis);
        }
    }

    fn order_to_lead(&mut self, attempt: AttemptId, basis: Basis) {
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
        // Anybody can say whom it was for: that is one of ours, or the coordinator itself, whom we found by ourselves.
        let ours = self.evidence.of_word(Word::Ours).any(|at| at == leader);
        if reported.is_some_and(|(at, to)| self.now.since(at) < REPORT_COUNTS && (ours || to == leader)) {
            self.took_part_in = Some((attempt.clone(), leader));
        }
        let epoch = self.evidence.highest_epoch(self.now);
        self.led_heard(reply, leader, attempt, epoch);
    }
}
