//! Who may ask us for a favour: members that we know, for members that we know, each of which answers at the address that we
//! know (S4). Who has answered within the last seconds is obeyed at once; another one is looked at first.

use std::time::Duration;

use super::Supervisor;
use super::action::Look;
use super::evidence::{Evidence, Word};
use super::id::{Address, AttemptId, ReplyId};
use super::message::{PeerAnswer, PeerMessage, Rank};
use super::moment::Moment;
use super::outbox::Purpose;
use super::seen::Failure;

/// An answer of within this time is one of now.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// A look that was not answered by then will not be.
const LOOKED_WITHIN: Duration = Duration::from_millis(250);
/// So many messages wait for a look at their sender.
const WAITING_LIMIT: usize = 16;
/// Whom we promised something is asked again this often.
const PROMISE_AGAIN: Duration = Duration::from_millis(250);

/// A message that waits until its sender has answered a look.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    reply: ReplyId,
    from: Option<Address>,
    message: PeerMessage,
    whom: Address,
    since: Moment,
}

/// Who asks us for something, while we make sure of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Callers {
    /// Releases asked for, while we look whether a Sentinel shows the candidate chosen.
    pub(super) looking: Vec<super::release::Looking>,
    /// Messages of members that have not answered lately.
    waiting: Vec<Waiting>,
    /// When we last asked whether there is anything to a promise of ours.
    promise_doubted: Option<Moment>,
}

/// For whom something is asked, where that needs a member.
fn beneficiary(message: &PeerMessage, from: Option<Address>) -> Option<Option<Address>> {
    match message {
        PeerMessage::Release { candidate, .. } | PeerMessage::Consent { candidate, .. } => Some(Some(*candidate)),
        PeerMessage::Priority { leader, .. } => Some(Some(*leader)),
        PeerMessage::Quicken { .. } => Some(from),
        _ => None,
    }
}

impl Evidence {
    /// One of ours: not by messages alone.
    fn is_member(&self, at: Address) -> bool {
        self.servers.get(&at).is_some_and(|entry| entry.word == Word::Ours)
    }

    /// One of its ports answered what was asked at `since` or later.
    fn answered_since(&self, at: Address, since: Moment) -> bool {
        self.servers.get(&at).is_some_and(|entry| {
            let server = entry.server.remembered().map(|(_, asked)| asked);
            let supervisor = entry.supervisor.remembered().map(|(_, asked)| asked);
            server.max(supervisor).max(entry.heard).is_some_and(|last| last >= since)
        })
    }
}

impl Supervisor {
    /// The message, where it may be obeyed now. A stranger's is refused, that of a member that has been silent waits.
    pub(super) fn admit(&mut self, reply: ReplyId, from: Option<Address>, message: PeerMessage) -> Option<PeerMessage> {
        let Some(about) = beneficiary(&message, from) else { return Some(message) };
        let me = self.rules.me;
        let parties = [from, about.filter(|at| *at != me).or(from)];
        if parties.iter().any(|at| at.is_none_or(|at| !self.evidence.is_member(at))) {
            self.out.refuse(reply, "not of a server that is known here, or not for one");
            return None;
        }
        let since = self.now.before(ANSWERED_WITHIN);
        let silent = parties.into_iter().flatten().find(|at| !self.evidence.answered_since(*at, since));
        let Some(whom) = silent else { return Some(message) };
        if self.callers.waiting.len() >= WAITING_LIMIT {
            self.out.refuse(reply, "too many messages wait for a look at their sender");
            return None;
        }
        self.lookout.want(Look::Supervisor { at: whom });
        self.look_at_server(whom);
        self.callers.waiting.push(Waiting { reply, from, message, whom, since: self.now });
        self.out.wake_at(self.now + LOOKED_WITHIN);
        None
    }

    /// Those that wait: their sender has answered, or has not in time.
    pub(super) fn waiting_turn(&mut self) {
        for wait in std::mem::take(&mut self.callers.waiting) {
            if self.evidence.answered_since(wait.whom, wait.since) {
                if let Some(message) = self.admit(wait.reply, wait.from, wait.message) {
                    self.obey(wait.reply, wait.from, message);
                }
            } else if self.now.since(wait.since) >= LOOKED_WITHIN {
                self.out.refuse(wait.reply, format!("{} does not answer us", wait.whom));
            } else {
                self.out.wake_at(wait.since + LOOKED_WITHIN);
                self.callers.waiting.push(wait);
            }
        }
    }

    /// What a candidate says that it holds is not what its server shows. Only where that moves no more: a stream goes on.
    pub(super) fn contradicted(&self, candidate: Address, rank: &Rank) -> Option<String> {
        if rank.address != candidate {
            return Some(format!("this is not what {candidate} holds"));
        }
        let seen = self.evidence.servers.get(&candidate)?.server.view(self.now)?;
        let less =
            seen.role.has_lost_its_link() && seen.history.id == rank.history && seen.history.offset < rank.offset;
        let nothing = seen.has_data == Some(false) && rank.has_data && seen.role.has_lost_its_link();
        (less || nothing).then(|| format!("the server {candidate} shows less than that"))
    }

    /// A Sentinel proposes us, and a promise to another stands: is there anything to it? Whoever makes a promise void by its
    /// own word, at its own address, frees us.
    pub(super) fn doubt_promise(&mut self) {
        let Some(given) = self.standing_consent().filter(|given| given.candidate != self.rules.me) else { return };
        let (candidate, attempt) = (given.candidate, given.attempt.clone());
        if self.callers.promise_doubted.is_some_and(|at| self.now.since(at) < PROMISE_AGAIN) {
            return;
        }
        self.callers.promise_doubted = Some(self.now);
        let message = PeerMessage::AskLed { attempt: attempt.clone() };
        self.out.ask(candidate, message, PROMISE_AGAIN, Purpose::Promise(attempt));
    }

    /// Whom we promised something says what became of it.
    pub(super) fn promise_answered(&mut self, attempt: &AttemptId, answer: Result<PeerAnswer, Failure>) {
        if answer == Ok(PeerAnswer::Never) {
            self.consent.withdraw(attempt);
        }
    }
}
