//! What other supervisors ask and answer: to whom each message goes inside.

use super::Supervisor;
use super::action::ChildOrder;
use super::consent::Situation;
use super::course::Course;
use super::id::{Address, AttemptId, ReplyId};
use super::message::{PeerAnswer, PeerMessage, Rank};
use super::outbox::Purpose;
use super::rules::Mode;
use super::verdict::Verdict;

impl Supervisor {
    pub(super) fn answered(
        &mut self,
        id: super::id::RequestId,
        from: Address,
        answer: Result<PeerAnswer, super::seen::Failure>,
    ) {
        // A pod's address comes round again: whoever was asked is not there, and said nothing (E2).
        let answer = match answer {
            Ok(PeerAnswer::NoServer | PeerAnswer::OtherCluster { .. }) => Err(super::seen::Failure::Nonsense),
            answer => answer,
        };
        if answer.is_ok() {
            self.evidence.note_answer(from, self.now);
        }
        match self.out.purpose(id) {
            Some(Purpose::Release(attempt, asked)) => self.release_answered(&attempt, asked, from, answer),
            Some(Purpose::Consent(attempt)) => {
                self.consent_answered(&attempt, from, answer.clone());
                self.in_place_consent_answered(&attempt, from, answer);
            }
            Some(Purpose::AskLed(attempt)) => self.fate_answered(&attempt, answer),
            Some(Purpose::Led(attempt)) => self.led_answered(&attempt, from, answer),
            Some(Purpose::Lead(attempt)) => self.lead_answered(&attempt, answer),
            Some(Purpose::Vouch(asked)) => self.report_vouched(from, asked, answer),
            Some(Purpose::Decided(attempt)) => self.decided_answered(&attempt, answer),
            Some(Purpose::Promise(attempt)) => self.promise_answered(&attempt, answer),
            Some(Purpose::Failover | Purpose::InfoPeriod | Purpose::Favour) | None => {}
        }
    }

    /// Another supervisor asks.
    pub(super) fn asked(&mut self, reply: ReplyId, from: Option<Address>, message: PeerMessage) {
        if self.rules.mode == Mode::Sentinel {
            return self.out.reply(reply, PeerAnswer::NoServer);
        }
        if let Some(message) = self.admit(reply, from, message) {
            self.obey(reply, from, message);
        }
    }

    /// A message of somebody whom we know, or one that nothing hangs on.
    pub(super) fn obey(&mut self, reply: ReplyId, from: Option<Address>, message: PeerMessage) {
        match message {
            PeerMessage::Release { attempt, candidate, sentinel, .. } => match self.direct_release_answer() {
                Some(answer) => self.out.reply(reply, answer),
                None => self.release_asked(reply, super::release::Asked { attempt, candidate, sentinel }),
            },
            PeerMessage::Consent { attempt, candidate, replaces, rank } => {
                self.consent_asked(reply, attempt, candidate, replaces, &rank)
            }
            PeerMessage::Led { attempt, leader, epoch } => self.led_heard(reply, leader, attempt, epoch),
            PeerMessage::AskLed { attempt } => {
                let led = self.course.leading().is_some_and(|leading| leading.attempt == attempt);
                let answer = match self.outcome_of(&attempt) {
                    super::candidacy::Outcome::Led => PeerAnswer::Led,
                    _ if led => PeerAnswer::Led,
                    super::candidacy::Outcome::Open => PeerAnswer::Open,
                    super::candidacy::Outcome::Never => PeerAnswer::Never,
                };
                self.out.reply(reply, answer);
            }
            // Whoever leads wants Sentinel to read of it: a late favour would hide that for 3 s (M4).
            PeerMessage::Quicken { .. } if self.leads_now() => self.out.refuse(reply, "this server leads"),
            PeerMessage::Quicken { .. } if !self.was_read_lately() => {
                self.out.refuse(reply, "a Sentinel has not read this server's INFO lately");
            }
            PeerMessage::Quicken { lasting } => {
                self.quicken(lasting);
                self.out.reply(reply, PeerAnswer::Ok);
            }
            PeerMessage::Priority { priority, leader, lasting } => {
                let until = self.now + lasting.min(super::favour::LONGEST_PRIORITY);
                self.priority_favour = Some(super::favour::PriorityFavour { priority, leader, until });
                self.out.reply(reply, PeerAnswer::Ok);
            }
            PeerMessage::Report(report) => self.report_heard(reply, from, *report),
            PeerMessage::Lead { coordinator, attempt } => self.lead_asked(reply, coordinator, attempt),
            PeerMessage::Vouch { coordinator } => self.vouch_asked(reply, coordinator),
            PeerMessage::Decided { attempt } => self.decided_asked(reply, &attempt),
            PeerMessage::Follow { attempt, leader } => self.follow_asked(reply, attempt, leader),
            // Not of another cluster, as far as we know.
            PeerMessage::Met { .. } => self.out.reply(reply, PeerAnswer::Ok),
        }
    }

    pub(super) fn consent_asked(
        &mut self,
        reply: ReplyId,
        attempt: AttemptId,
        candidate: Address,
        replaces: Option<Address>,
        rank: &Rank,
    ) {
        let me = self.rules.me;
        if let Some(why) = self.contradicted(candidate, rank) {
            self.look_at_server(candidate);
            return self.out.refuse(reply, why);
        }
        // Who would lead again in place may hold less than we have yet to load (V2).
        if replaces == Some(candidate) && !self.child.loaded && self.has_state() {
            return self.out.refuse(reply, format!("{me} has yet to load its data"));
        }
        let follows_another =
            self.course.master().filter(|at| Some(*at) != replaces && *at != candidate && self.master_lives(*at));
        let situation = Situation {
            leads: self.leads_now() && replaces != Some(me) && !self.deposed()
                || self.child.under_way(|order| matches!(order, ChildOrder::Lead)),
            follows_another,
            reported_to: self.owed_to_coordinator(candidate),
            replaces: replaces.filter(|at| *at != me),
            master_gone: replaces.is_none_or(|at| !self.master_lives(at)),
            candidate: self.candidacy.is_some(),
            able: !self.must_not_lead() && !self.left_behind_by_another_line(),
            fits_better: self.fits_better_than(candidate),
            rank: self.own_rank(),
            named: self.named(),
        };
        let answer = self.consent.answer(me, candidate, &attempt, rank, &situation, self.now);
        if matches!(answer, PeerAnswer::HoldMore { .. }) {
            self.consent.withdraw_earlier(candidate, &attempt);
            self.be_choosable_instead(replaces);
        }
        if answer == PeerAnswer::Consented {
            if self.candidacy.is_some() {
                self.end_attempt(format!("{candidate} has the better rank"));
            }
            self.consent_to(candidate, attempt);
        }
        self.out.reply(reply, answer);
    }

    /// A Sentinel chooses among the replicas of the dead one, and we hold more: nobody chooses who waits behind a shut door, while
    /// no vote comes about without whom it proposes (sim, lies 830).
    fn be_choosable_instead(&mut self, replaces: Option<Address>) {
        let Verdict::Named { master, .. } = self.verdict else { return };
        if replaces == Some(master) && matches!(self.course, Course::Undecided) {
            let epoch = self.evidence.highest_epoch(self.now);
            self.open_as_replica_of_the_dead(master, epoch);
        }
    }

    pub(super) fn standing_consent(&self) -> Option<&super::consent::Given> {
        self.consent.standing(self.named(), self.now)
    }

    /// Promises, and keeps the promise on disk before anybody hears of it.
    pub(super) fn consent_to(&mut self, candidate: Address, attempt: AttemptId) {
        let epoch = self.evidence.highest_epoch(self.now);
        let already = self.consent.last().is_some_and(|given| given.attempt == attempt);
        self.consent.give(super::consent::Given { candidate, attempt, at: self.now, epoch });
        if !already && candidate != self.rules.me {
            self.promise();
        }
    }
}
