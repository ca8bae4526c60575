//! Release: the old master lets go, at an offset (L2 from the other side; H3 to H5).

use std::time::Duration;

use super::Supervisor;
use super::action::{ChildOrder, Expecting, Level};
use super::course::{Course, Fenced, Told};
use super::id::{Address, AttemptId, Offset, ReplId, ReplyId, SentinelId};
use super::message::{PeerAnswer, PeerMessage};
use super::moment::Moment;
use super::notice::NoticeKind;
use super::outbox::Purpose;
use super::seen::{Failure, RoleSeen, ServerSeen};

/// A master that has led for less than this does not let go, its own stop excepted.
const YOUNG: Duration = Duration::from_secs(10);
/// We must see the candidate chosen on the Sentinel too within this time.
const LOOK_AT_S: Duration = Duration::from_millis(500);
/// H5: a majority of Sentinels must name the new master within this time; then we go on all the same.
const NAMED_WITHIN: Duration = Duration::from_secs(3);
/// How often "what became of the release?" is asked.
const ASK_AGAIN: Duration = Duration::from_millis(250);
/// After this long without a word the release counts as uncertain: fenced until it is known.
const UNCERTAIN_AFTER: Duration = Duration::from_millis(1500);

/// A candidate that is gone for this long after its release cannot have been named unseen: 1.5 s of validity and 1.1 s
/// until Sentinel reads INFO.
const GONE_FOR: Duration = Duration::from_millis(3000);

/// A release that is ordered, or out: writers are stopped on account of it.
#[derive(Clone, Debug)]
pub struct Release {
    /// The attempt it is for.
    pub attempt: AttemptId,
    /// Who asked.
    pub candidate: Address,
    /// The Sentinel that proposes it.
    pub sentinel: Address,
    /// How far it got.
    pub stage: Stage,
}

/// A release that is asked for: looking whether the Sentinel shows the candidate chosen. Several at once, so that one which
/// no Sentinel stands behind holds up no other (S4).
#[derive(Clone, Debug)]
pub(super) struct Looking {
    reply: ReplyId,
    attempt: AttemptId,
    candidate: Address,
    sentinel: Address,
    since: Moment,
}

/// So many at once; the oldest makes room.
const LOOKING_LIMIT: usize = 16;

/// How far a release got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Pause and fence are ordered.
    Ordered { reply: ReplyId },
    /// Granted: nothing is acknowledged beyond `offset` until we know what became of it.
    Out { at: Moment, history: ReplId, offset: Offset, asked: Moment },
    /// The candidate leads: we follow it, clients still paused until the Sentinels name it.
    Following { since: Moment },
}

/// A request for release.
pub struct Asked {
    /// The attempt.
    pub attempt: AttemptId,
    /// Who would lead.
    pub candidate: Address,
    /// Whose proposal it is.
    pub sentinel: SentinelId,
}

impl Supervisor {
    /// A candidate asks us to let go.
    pub(super) fn release_asked(&mut self, reply: ReplyId, asked: Asked) {
        if let Some(answer) = self.crash_answer() {
            if answer == PeerAnswer::ChildGone {
                self.gave_way_at = Some(self.now);
            }
            return self.out.reply(reply, answer);
        }
        if self.release.is_some() {
            return self.release_asked_again(reply, &asked.attempt);
        }
        if self.callers.looking.iter().any(|looking| looking.attempt == asked.attempt) {
            return self.out.refuse(reply, "being looked at");
        }
        let Some(leading) = self.course.leading() else {
            return if self.follows_by_now() {
                self.out.reply(reply, PeerAnswer::NothingToRelease)
            } else {
                self.out.refuse(reply, "role not decided")
            };
        };
        if self.maintenance == super::event::Maintenance::On && self.stop.is_none() {
            return self.out.refuse(reply, "in maintenance");
        }
        if self.now.since(leading.since) < YOUNG
            && self.stop.is_none()
            && !self.handover_asked()
            && !matches!(leading.fence, Some(Fenced::Born))
        {
            return self.out.refuse(reply, "has led for less than 10 s");
        }
        if self.child.failure() == Some(super::seen::ChildFailure::Silent) {
            return self.out.refuse(reply, "our child does not answer");
        }
        if self.candidate_lags(asked.candidate) {
            return self.out.refuse(reply, format!("{} lags", asked.candidate));
        }
        let Some(sentinel) = self.evidence.sentinel_by_id(&asked.sentinel, self.now) else {
            return self.out.refuse(reply, "the Sentinel that proposes it does not answer us");
        };
        if self.callers.looking.len() >= LOOKING_LIMIT {
            let oldest = self.callers.looking.remove(0);
            self.out.refuse(oldest.reply, "too many ask");
        }
        let (attempt, candidate) = (asked.attempt, asked.candidate);
        self.callers.looking.push(Looking { reply, attempt, candidate, sentinel, since: self.now });
        self.look_closely(sentinel);
    }

    /// One is asked for or out already, for this attempt or for another.
    fn release_asked_again(&mut self, reply: ReplyId, attempt: &AttemptId) {
        let (now, follows) = (self.now, self.follows_by_now());
        let Some(release) = &mut self.release else { return };
        let same = release.attempt == *attempt;
        match &mut release.stage {
            // Its clock begins anew with every answer, and so must ours: it counts from when it asked again.
            Stage::Out { at, history, offset, .. } if same && now.since(*at) <= UNCERTAIN_AFTER => {
                *at = now;
                let answer = PeerAnswer::Released { offset: *offset, history: history.clone() };
                self.out.reply(reply, answer);
            }
            Stage::Out { .. } if same => self.out.refuse(reply, "the release is void"),
            // What it acknowledged, the one it follows has.
            Stage::Following { .. } if follows => self.out.reply(reply, PeerAnswer::NothingToRelease),
            Stage::Following { .. } => self.out.refuse(reply, "handing over"),
            _ => self.out.refuse(reply, format!("released to {} already", release.candidate)),
        }
    }

    /// Our child says replica and is not about to lead.
    fn follows_by_now(&self) -> bool {
        self.child.seen().is_some_and(|seen| !seen.role.is_master())
            && !self.leads_now()
            && !self.child.role_in_motion()
    }

    /// Not attached, not online, or more than a second behind.
    fn candidate_lags(&self, candidate: Address) -> bool {
        let Some(seen) = self.child.last_seen() else { return true };
        match &seen.role {
            RoleSeen::Master { replicas } => !replicas
                .iter()
                .any(|replica| replica.address == candidate && replica.online && replica.lag <= Duration::from_secs(1)),
            RoleSeen::Replica { .. } => true,
        }
    }

    /// One turn of a release.
    pub(super) fn release_turn(&mut self) {
        self.release_looking();
        let Some(release) = self.release.clone() else { return };
        match release.stage {
            Stage::Ordered { .. } => {}
            Stage::Out { at, asked, .. } => self.release_out(&release, at, asked),
            Stage::Following { since } => self.release_following(&release, since),
        }
    }

    fn release_looking(&mut self) {
        let direct = self.handover.as_ref().is_some_and(|handover| handover.direct.is_some());
        let leads = self.course.leading().is_some() && !direct;
        for looking in std::mem::take(&mut self.callers.looking) {
            let Looking { reply, candidate, sentinel, since, .. } = looking;
            if leads && self.release.is_none() && self.evidence.shows_chosen_since(sentinel, candidate, since) {
                let stage = Stage::Ordered { reply };
                self.release = Some(Release { attempt: looking.attempt, candidate, sentinel, stage });
                let pause = self.rules.pause();
                self.child.order(&mut self.out, self.now, ChildOrder::Release { pause });
                self.handover_step("H3", Some(candidate));
            } else if self.now.since(since) > LOOK_AT_S || !leads || self.release.is_some() {
                self.out.refuse(reply, format!("Sentinel {sentinel} does not show {candidate} chosen"));
            } else {
                self.out.wake_at(since + LOOK_AT_S);
                self.callers.looking.push(looking);
            }
        }
    }

    fn set_release(&mut self, stage: Stage) {
        if let Some(release) = &mut self.release {
            release.stage = stage;
        }
    }

    /// Pause and fence are in place: the offset is final.
    pub(super) fn released(&mut self, history: ReplId, offset: Offset) {
        let Some(Release { stage: Stage::Ordered { reply }, candidate, .. }) = &self.release else { return };
        let (reply, candidate) = (*reply, *candidate);
        self.out.reply(reply, PeerAnswer::Released { offset, history: history.clone() });
        self.set_release(Stage::Out { at: self.now, history, offset, asked: self.now });
        self.decide(Level::Info, "release", Some(candidate), format!("let go at offset {offset} for {candidate}"));
        self.look_at_server(candidate);
    }

    /// Pause and fence could not be ordered, or nobody knows: take back whatever happened.
    pub(super) fn release_failed(&mut self, why: &str) {
        if let Some(Release { stage: Stage::Ordered { reply }, .. }) = &self.release {
            self.out.refuse(*reply, why);
            self.take_back(why);
        }
    }

    fn take_back(&mut self, why: &str) {
        let candidate = self.release.take().map(|release| release.candidate);
        self.decide(Level::Warn, "release", candidate, format!("taken back: {why}"));
        self.let_writers_go();
    }

    /// Restores the user's setting and lets clients go on; where a fence stood before, our right has grown old meanwhile, or
    /// the child does not answer, the fence stays, and the pause ends by itself.
    pub(super) fn let_writers_go(&mut self) {
        let (now, fence_after, frozen) = (self.now, self.rules.fence_after(), self.may_be_frozen());
        let Some(leading) = self.course.leading_mut() else { return };
        let proved =
            super::right::proved_at(&self.evidence, &self.rules, now).unwrap_or_default().max(leading.right.proved);
        leading.right.proved = proved;
        match leading.fence {
            Some(Fenced::Born | Fenced::Isolated { .. }) => {}
            _ if now >= proved + fence_after || frozen => leading.fence = Some(Fenced::Isolated { since: now }),
            _ => {
                leading.fence = None;
                self.child.order(&mut self.out, self.now, ChildOrder::TakeBack);
            }
        }
    }

    /// The candidate is gone, by resets at both of its ports, and a majority still names us although the release has
    /// long been void: it did not lead, and what is born there again has its door shut. A partition that rejects looks
    /// the same from here: every Sentinel that lists it must have lost it too, and nobody may stream from it.
    fn candidate_is_gone(&self, candidate: Address, at: Moment) -> bool {
        let streams = |seen: &ServerSeen| seen.role.master() == Some(candidate) && !seen.role.has_lost_its_link();
        let mut servers = self.evidence.servers.values();
        let mut sentinels = self.evidence.answering(self.now);
        self.now.since(at) > GONE_FOR
            && self.evidence.refuses_everywhere(candidate, self.now)
            && self.evidence.majority_names_since(self.rules.me, at + UNCERTAIN_AFTER, self.rules.quorum, self.now)
            && sentinels.all(|(_, seen)| seen.replica(candidate).is_none() || seen.has_lost(candidate))
            && !servers.any(|entry| entry.server.view_since(at).is_some_and(streams))
            && !self.another_says_master()
    }

    /// Since when the release has been void without a word of what became of it.
    pub(super) fn release_void_since(&self) -> Option<Moment> {
        let Some(Release { stage: Stage::Out { at, .. }, .. }) = self.release else { return None };
        Some(at + UNCERTAIN_AFTER).filter(|void| self.now > *void)
    }

    fn release_out(&mut self, release: &Release, at: Moment, asked: Moment) {
        // By its own word only while the release is good: later that may be a lead that came too late (M29).
        let good = self.now.since(at) < UNCERTAIN_AFTER;
        let entry = self.evidence.servers.get(&release.candidate);
        let says_master = entry.is_some_and(|entry| entry.says_master_since(at));
        let named = self.evidence.majority_names_since(release.candidate, at, self.rules.quorum, self.now);
        if says_master && (good || named) {
            return self.follow_candidate(release.candidate);
        }
        if self.candidate_is_gone(release.candidate, at) {
            return self.take_back(&format!("{} is gone", release.candidate));
        }
        if self.now.since(at) > UNCERTAIN_AFTER
            && let Some(leading) = self.course.leading_mut()
            && leading.fence.is_none()
        {
            leading.fence = Some(Fenced::Uncertain { since: self.now });
            let reason = format!("{} does not say what became of the release", release.candidate);
            self.notice(NoticeKind::Fence, &reason);
            self.decide(Level::Warn, "fence", Some(release.candidate), reason);
        }
        if self.now.since(asked) >= ASK_AGAIN {
            if let Some(Release { stage: Stage::Out { asked, .. }, .. }) = &mut self.release {
                *asked = self.now;
            }
            let message = PeerMessage::AskLed { attempt: release.attempt.clone() };
            self.out.ask(
                release.candidate,
                message,
                Duration::from_millis(300),
                Purpose::AskLed(release.attempt.clone()),
            );
        }
        self.out.wake_at(self.now + Duration::from_millis(50));
    }

    /// The candidate says what became of it.
    pub(super) fn fate_answered(&mut self, attempt: &AttemptId, answer: Result<PeerAnswer, Failure>) {
        let Some(release) = self.release.as_ref().filter(|release| release.attempt == *attempt) else { return };
        if !matches!(release.stage, Stage::Out { .. }) {
            return;
        }
        let candidate = release.candidate;
        match answer {
            Ok(PeerAnswer::Led) => self.follow_candidate(candidate),
            // Who was restarted since knows of nothing: it may have led and been named before that.
            Ok(PeerAnswer::Never) if self.named_after_us() => {}
            Ok(PeerAnswer::Never) => self.take_back(&format!("{candidate} will not lead under it")),
            _ => {}
        }
    }

    /// H5: at once, since from here on it is harmless that the pause runs out.
    pub(super) fn follow_candidate(&mut self, candidate: Address) {
        self.set_release(Stage::Following { since: self.now });
        self.handover_step("H5", Some(candidate));
        self.set_following(candidate, "handed over to it");
        // We stood still and have just gone on: it may have led before we let go, having taken us for gone (10586). Not for a
        // moment without a processor: a snapshot holds REPLICAOF up.
        if self.now.since(self.woke_at) < UNCERTAIN_AFTER && self.stood_still >= self.rules.fence_after() {
            self.keep_before_a_sync(candidate);
        }
        self.log_in_at(candidate);
        self.child.order(
            &mut self.out,
            self.now,
            ChildOrder::Follow { master: candidate, expecting: Expecting::Master },
        );
        if let Course::Following(following) = &mut self.course {
            following.told = Told::Yes;
        }
    }

    fn release_following(&mut self, release: &Release, since: Moment) {
        let named = self.evidence.majority_names(release.candidate, self.rules.quorum, self.now);
        if !named && self.now.since(since) < NAMED_WITHIN {
            self.out.wake_at(since + NAMED_WITHIN);
            return;
        }
        if !self.child.running() || self.child.under_way(|order| matches!(order, ChildOrder::Follow { .. })) {
            return;
        }
        if !self.follows_by_now() {
            // P8 comes after H5: clients are not sent away to come back to a fenced master.
            return self.out.wake_at(self.now + Duration::from_millis(20));
        }
        self.release = None;
        // P8; the user's own setting comes back with the fence.
        self.child.order(&mut self.out, self.now, ChildOrder::Dismiss);
        let how = if named { "a majority of Sentinels names it" } else { "the Sentinels do not name it yet" };
        let reason = format!("{} leads; {how}", release.candidate);
        self.notice(NoticeKind::Handover, &reason);
        self.decide(Level::Info, "handed-over", Some(release.candidate), reason);
        self.handover_done(release.candidate);
    }

    /// The child is gone in the middle of a release: what it acknowledged is on the candidate by the offset it got.
    pub(super) fn drop_release(&mut self) {
        let ordered = match &self.release {
            Some(Release { stage: Stage::Ordered { reply }, .. }) => Some(*reply),
            _ => None,
        };
        let asked = std::mem::take(&mut self.callers.looking).into_iter().map(|looking| looking.reply);
        for reply in ordered.into_iter().chain(asked) {
            self.out.refuse(reply, "the child is gone");
        }
        self.release = None;
    }
}
