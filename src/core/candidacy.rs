//! Becoming master by a Sentinel's proposal: L1 to L4 (design section 4).
//!
//! The proposal is the Sentinel's; that nothing can be lost is ours to see to: consent of the others, release of the
//! old master (or proof that it is gone), its offset reached, and only then the role.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Supervisor;
use super::action::{ChildOrder, Level};
use super::course::{Basis, Course, Ground};
use super::id::{Address, AttemptId, Offset, ReplId, SentinelId};
use super::message::{PeerAnswer, PeerMessage};
use super::moment::Moment;
use super::outbox::Purpose;
use super::seen::Failure;

/// Every answer to a release is void this long after it was asked for (L2).
pub const VOID_AFTER: Duration = Duration::from_millis(1500);
/// Kept free of that for the order to lead itself (L4).
const FOR_LEADING: Duration = Duration::from_millis(300);
/// Sentinel must have at least this much of failover-timeout left (L1).
const L1_LEFT: Duration = Duration::from_millis(1500);
/// Sentinel asks for INFO again only 1000 ms after the last one (facts 1c).
const INFO_AGE: Duration = Duration::from_millis(1000);
/// H3 promises 1.1 s; quickening itself ends after 3.
const RIPENS_WITHIN: Duration = Duration::from_millis(1800);
/// Between two attempts under one proposal.
const AGAIN_AFTER: Duration = Duration::from_millis(250);
/// Quickening ends by itself after this long.
pub const QUICKEN: Duration = Duration::from_secs(3);

/// Our attempt to lead under a proposal.
#[derive(Clone, Debug)]
pub struct Candidacy {
    /// The attempt's name.
    pub attempt: AttemptId,
    /// The Sentinel that proposes us.
    pub sentinel: Address,
    /// Its id.
    pub sentinel_id: SentinelId,
    /// The master it replaces.
    pub replaces: Address,
    /// Since when.
    pub since: Moment,
    /// The master served when the others were asked.
    lived: bool,
    /// Where we are.
    pub stage: Stage,
    pub(super) consents: BTreeMap<Address, Option<PeerAnswer>>,
    grants: BTreeMap<Address, Grant>,
    asked: BTreeMap<Address, Moment>,
}

impl Candidacy {
    /// Somebody who had to has let go.
    pub(super) fn has_a_release(&self) -> bool {
        !self.grants.is_empty()
    }
}

/// How far an attempt got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// L3: asking the others.
    Consents,
    /// The master lives: waiting until Sentinel will ask for INFO at every tick (H3).
    Ripening,
    /// L2: asking for the release, or watching the evidence.
    Releases,
    /// L4: the order is out; the release is void from then on.
    Leading { void_at: Moment },
}

/// What one of those who must let go has said.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Grant {
    asked: Moment,
    upto: Option<(ReplId, Offset)>,
}

/// What became of an attempt; told to the one who released for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Not decided.
    Open,
    /// We lead under it.
    Led,
    /// We never will.
    Never,
}

impl Supervisor {
    /// One turn of the candidate.
    pub(super) fn candidacy_turn(&mut self) {
        if self.candidacy.is_none() {
            self.consider_proposals();
        }
        let Some(candidacy) = &self.candidacy else { return };
        if let Stage::Leading { void_at } = candidacy.stage {
            self.out.wake_at(void_at);
            return;
        }
        if let Some(why) = self.attempt_over() {
            self.end_attempt(why);
            return;
        }
        match self.candidacy.as_ref().map(|candidacy| candidacy.stage) {
            Some(Stage::Consents) => self.gather_consents(),
            Some(Stage::Ripening) => self.await_ripeness(),
            Some(Stage::Releases) => self.gather_releases(),
            _ => {}
        }
    }

    /// A Sentinel shows us chosen: begin an attempt, where one can succeed.
    fn consider_proposals(&mut self) {
        let me = self.rules.me;
        let Some((sentinel, sentinel_id, replaces)) = self.proposals_of_us().next() else { return };
        if self.never_leads() || self.course.leading().is_some() || !self.child.running() || self.child.role_in_motion()
        {
            return;
        }
        if let Some(at) = self.attempt_ended_at.filter(|at| self.now.since(*at) < AGAIN_AFTER) {
            self.out.wake_at(at + AGAIN_AFTER);
            return;
        }
        let promised =
            self.standing_consent().is_some_and(|given| given.candidate != me && given.candidate != replaces);
        if promised {
            self.doubt_promise();
        }
        if promised || self.owed_to_coordinator(me).is_some() {
            self.out.wake_at(self.now + AGAIN_AFTER);
            return;
        }
        let attempt = self.new_attempt();
        if self.attempt_said.as_ref().is_none_or(|(at, whom, _)| (*at, *whom) != (sentinel, replaces)) {
            let reason = format!("Sentinel {sentinel} proposes us to replace {replaces}");
            self.decide(Level::Info, "candidate", Some(sentinel), reason);
        }
        self.consent_to(me, attempt.clone());
        self.candidacy = Some(Candidacy {
            attempt,
            sentinel,
            sentinel_id,
            replaces,
            since: self.now,
            lived: self.master_lives(replaces),
            stage: Stage::Consents,
            consents: BTreeMap::new(),
            grants: BTreeMap::new(),
            asked: BTreeMap::new(),
        });
        self.quicken(QUICKEN);
        self.look_at_those_beside(replaces);
        self.ask_consents();
    }

    /// Proposals of us that leave time enough (L1): the Sentinel, its id, and whom it replaces.
    pub(super) fn proposals_of_us(&self) -> impl Iterator<Item = (Address, SentinelId, Address)> {
        let me = self.rules.me;
        self.evidence.answering(self.now).filter_map(move |(at, seen)| {
            let row = seen.master.as_ref()?;
            let choice = self.evidence.sentinels.get(&at)?.choice;
            let shown = choice.chosen.is_some_and(|(chosen, _)| chosen == me);
            let left =
                choice.last_without.is_some_and(|without| self.now + L1_LEFT <= without + self.rules.failover_timeout);
            (shown && left && row.failover && row.address != me).then(|| (at, seen.id.clone(), row.address))
        })
    }

    /// Why the attempt cannot go on, if so.
    fn attempt_over(&self) -> Option<String> {
        let candidacy = self.candidacy.as_ref()?;
        if self.never_leads() {
            return Some("we must not lead".into());
        }
        if !self.child.running() {
            return Some("our child is gone".into());
        }
        let entry = self.evidence.sentinels.get(&candidacy.sentinel)?;
        let shown = entry.choice.chosen.is_some_and(|(chosen, _)| chosen == self.rules.me);
        if !shown {
            return Some(format!("Sentinel {} proposes us no more", candidacy.sentinel));
        }
        let without = entry.choice.last_without.unwrap_or_default();
        if self.now + L1_LEFT > without + self.rules.failover_timeout {
            return Some(format!("Sentinel {} is about to give up", candidacy.sentinel));
        }
        None
    }

    /// Gives up the attempt; another may follow while the proposal stands.
    pub(super) fn end_attempt(&mut self, why: String) {
        let Some(candidacy) = self.candidacy.take() else { return };
        self.note_outcome(candidacy.attempt, Outcome::Never);
        self.consent.withdraw_own(self.rules.me);
        self.attempt_ended_at = Some(self.now);
        // The same proposal is tried again while it stands; what has been said once is not said each second.
        let said = (candidacy.sentinel, candidacy.replaces, why);
        if self.attempt_said.as_ref() != Some(&said) {
            let reason = format!("not leading: {}", said.2);
            self.decide(Level::Info, "candidate", Some(candidacy.replaces), reason);
            self.attempt_said = Some(said);
        }
        self.unquicken();
        self.out.wake_at(self.now + AGAIN_AFTER);
    }

    pub(super) fn set_stage(&mut self, stage: Stage) {
        if let Some(candidacy) = &mut self.candidacy {
            candidacy.stage = stage;
        }
    }

    /// H3: writes go on until Sentinel's INFO of us is old enough to be asked for at every tick.
    fn await_ripeness(&mut self) {
        let Some(candidacy) = &self.candidacy else { return };
        let (sentinel, replaces) = (candidacy.sentinel, candidacy.replaces);
        if !self.master_lives(replaces) {
            self.set_stage(Stage::Releases);
            return self.candidacy_turn();
        }
        let aged = self.evidence.info_age(sentinel, self.rules.me, self.now);
        // By a look that left after the child confirmed: an INFO accepted in between would cost a second (facts 1c).
        let entry = self.evidence.sentinels.get(&sentinel);
        let after = entry.zip(self.child.quick_since).is_some_and(|(entry, since)| entry.rows_since(since));
        let ripe = after && aged.is_some_and(|age| age > INFO_AGE);
        let since = self.candidacy.as_ref().map_or(self.now, |candidacy| candidacy.since);
        if ripe || self.now.since(since) > RIPENS_WITHIN {
            self.set_stage(Stage::Releases);
            return self.candidacy_turn();
        }
        self.out.wake_at(self.now + Duration::from_millis(20));
    }

    /// Those who must let go: the one replaced, and the one we follow where that is another.
    fn holders(&self) -> BTreeSet<Address> {
        let replaces = self.candidacy.as_ref().map(|candidacy| candidacy.replaces);
        let followed = self.course.master().or(self.followed_last);
        replaces.into_iter().chain(followed).filter(|at| *at != self.rules.me).collect()
    }

    fn gather_releases(&mut self) {
        let since = self.candidacy.as_ref().map_or(self.now, |candidacy| candidacy.since);
        if self.now + FOR_LEADING > since + super::consent::BINDS {
            return self.end_attempt("the consents are about to expire".into());
        }
        let holders = self.holders();
        let mut missing = Vec::new();
        for at in holders {
            if self.surely_gone(at) || self.unsupervised(at) {
                continue;
            }
            let Some(candidacy) = &self.candidacy else { return };
            match candidacy.grants.get(&at) {
                Some(grant) if self.now + FOR_LEADING < grant.asked + VOID_AFTER => {}
                Some(_) => return self.end_attempt(format!("the release of {at} is void")),
                None => missing.push(at),
            }
        }
        for at in &missing {
            self.ask_release(*at);
        }
        if missing.is_empty() {
            self.lead_when_reached();
        }
    }

    fn ask_release(&mut self, from: Address) {
        let offset = self.child.last_seen().map(|seen| seen.history.offset).unwrap_or_default();
        let Some(candidacy) = &mut self.candidacy else { return };
        let again = candidacy.asked.get(&from).is_none_or(|at| self.now.since(*at) >= VOID_AFTER);
        if !again {
            return;
        }
        candidacy.asked.insert(from, self.now);
        let message = PeerMessage::Release {
            attempt: candidacy.attempt.clone(),
            candidate: self.rules.me,
            sentinel: candidacy.sentinel_id.clone(),
            replaces: candidacy.replaces,
            offset,
        };
        self.out.ask(from, message, VOID_AFTER - FOR_LEADING, Purpose::Release(candidacy.attempt.clone(), self.now));
    }

    /// An answer to L2 came.
    pub(super) fn release_answered(
        &mut self,
        attempt: &AttemptId,
        asked: Moment,
        from: Address,
        answer: Result<PeerAnswer, Failure>,
    ) {
        let Some(candidacy) = self.candidacy.as_mut().filter(|candidacy| candidacy.attempt == *attempt) else { return };
        let sentinel = candidacy.sentinel;
        match answer {
            Ok(PeerAnswer::Released { offset, history }) => {
                candidacy.grants.insert(from, Grant { asked, upto: Some((history, offset)) });
                // S must still show us chosen after the release (L4).
                self.look_closely(sentinel);
            }
            Ok(PeerAnswer::ChildGone | PeerAnswer::NothingToRelease) => {
                candidacy.grants.insert(from, Grant { asked, upto: None });
                self.look_closely(sentinel);
            }
            Ok(PeerAnswer::No { reason }) => self.end_attempt(format!("{from} does not let go: {reason}")),
            Ok(_) => self.end_attempt(format!("{from} answers a release with nonsense")),
            // Refused or silent: the evidence decides (surely_gone), or a later answer.
            Err(_) => {}
        }
    }

    /// L4: lead once the offset is reached and the Sentinel still shows us chosen.
    fn lead_when_reached(&mut self) {
        let Some(candidacy) = &self.candidacy else { return };
        if candidacy.grants.get(&candidacy.replaces).is_none_or(|grant| grant.upto.is_none()) {
            // Nobody who serves let go: who holds more must lead (M8), and consents of when the master lived say nothing of that.
            if let Some((holder, offset)) = self.replica_that_holds_more() {
                return self.yield_to(holder, offset);
            }
            if candidacy.lived
                && !candidacy.grants.contains_key(&candidacy.replaces)
                && !self.unsupervised(candidacy.replaces)
            {
                return self.end_attempt("the master died meanwhile: consents anew".into());
            }
        }
        let Some(candidacy) = &self.candidacy else { return };
        let newest = candidacy.grants.values().map(|grant| grant.asked).max();
        let still_chosen = match newest {
            Some(asked) => self.evidence.shows_chosen_since(candidacy.sentinel, self.rules.me, asked),
            None => self.evidence.sentinels.get(&candidacy.sentinel).is_some_and(|entry| {
                entry
                    .seen
                    .view(self.now)
                    .is_some_and(|seen| seen.chosen().is_some_and(|row| row.address == self.rules.me))
            }),
        };
        let Some(seen) = self.child.seen() else { return };
        let reached = candidacy.grants.values().filter_map(|grant| grant.upto.as_ref()).all(|(history, offset)| {
            let second = seen.history.second.as_ref().is_some_and(|(id, _)| id == history);
            (seen.history.id == *history || second) && seen.history.offset >= *offset
        });
        if !still_chosen || !reached {
            self.out.wake_at(self.now + Duration::from_millis(2));
            return;
        }
        let oldest = candidacy.grants.values().map(|grant| grant.asked).min();
        let void_at = oldest.map_or(self.now + VOID_AFTER, |asked| asked + VOID_AFTER);
        self.set_stage(Stage::Leading { void_at });
        self.child.order(&mut self.out, self.now, ChildOrder::Lead);
        self.unquicken_now();
    }

    /// The order to lead under a proposal was carried out.
    pub(super) fn led_by_proposal(&mut self) {
        let ground = self.ground();
        let Some(candidacy) = self.candidacy.take() else { return };
        let Stage::Leading { void_at } = candidacy.stage else { return };
        if self.now > void_at {
            // M29: the order lay in the socket; who released has gone on, or stands fenced until it knows more.
            self.note_outcome(candidacy.attempt, Outcome::Never);
            self.consent.withdraw_own(self.rules.me);
            self.attempt_ended_at = Some(self.now);
            self.decide(
                Level::Warn,
                "candidate",
                Some(candidacy.replaces),
                "the order to lead came too late: the release is void".into(),
            );
            return;
        }
        self.note_outcome(candidacy.attempt.clone(), Outcome::Led);
        let basis = Basis::Proposal { sentinel: candidacy.sentinel_id, replaces: candidacy.replaces, ground };
        let reason = format!("Sentinel {} proposed us and {} let go", candidacy.sentinel, candidacy.replaces);
        self.start_leading(basis, candidacy.attempt, reason);
    }

    /// Whether everybody who had to let go has said so. What an unsupervised one does is Sentinel's word.
    fn ground(&self) -> Ground {
        let said = |at: &Address| {
            self.candidacy.as_ref().is_some_and(|candidacy| candidacy.grants.contains_key(at)) || self.unsupervised(*at)
        };
        if self.holders().iter().all(said) { Ground::Word } else { Ground::Absence }
    }

    /// The order to lead failed, or nobody knows.
    pub(super) fn leading_failed(&mut self, why: String) {
        if self.candidacy.is_some() {
            self.end_attempt(why);
        }
    }

    /// Remembers what became of an attempt, for whoever released for it.
    pub(super) fn note_outcome(&mut self, attempt: AttemptId, outcome: Outcome) {
        const MOST: usize = 64;
        while self.outcomes.len() >= MOST {
            self.outcomes.pop_front();
        }
        self.outcomes.push_back((attempt, outcome));
    }

    /// The answer to "what became of the release?".
    pub(super) fn outcome_of(&self, attempt: &AttemptId) -> Outcome {
        if self.candidacy.as_ref().is_some_and(|candidacy| candidacy.attempt == *attempt) {
            return Outcome::Open;
        }
        // In place too: it may lead under that any moment.
        if self.crash.as_ref().is_some_and(|crash| crash.attempt() == Some(attempt)) {
            return Outcome::Open;
        }
        let known = self.outcomes.iter().rev().find(|(id, _)| id == attempt).map(|(_, outcome)| *outcome);
        match known {
            // Led, and has stepped down since: nothing that the other one could follow. The Sentinels must speak.
            Some(Outcome::Led) if self.course.leading().is_none_or(|leading| leading.attempt != *attempt) => {
                Outcome::Open
            }
            Some(outcome) => outcome,
            // Made before we were restarted: the child was born behind a shut door.
            None => Outcome::Never,
        }
    }

    /// We lead (or led) under this attempt.
    pub(super) fn leads_now(&self) -> bool {
        matches!(self.course, Course::Leading(_))
            || self.candidacy.as_ref().is_some_and(|c| matches!(c.stage, Stage::Leading { .. }))
    }
}
