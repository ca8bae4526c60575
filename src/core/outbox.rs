//! What goes out: actions in order, numbered, and what each number was for.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::action::{Action, Look, SentinelOrder};
use super::cluster::Identity;
use super::id::{Address, AttemptId, ReplyId, RequestId};
use super::message::{PeerAnswer, PeerMessage};
use super::moment::Moment;

/// Why a message was sent; found again when its answer comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// L2; when it was asked: its answer is void 1.5 s after that.
    Release(AttemptId, Moment),
    /// L3.
    Consent(AttemptId),
    /// What became of a release.
    AskLed(AttemptId),
    /// A leader tells; the answer says who follows.
    Led(AttemptId),
    /// A coordinator's decision was sent.
    Lead(AttemptId),
    /// Who reported was asked whether it stands by that, then (S5).
    Vouch(Moment),
    /// A coordinator was asked whether it decided that (S1).
    Decided(AttemptId),
    /// Whom we promised something was asked what became of it (S4).
    Promise(AttemptId),
    /// A failover was asked for.
    Failover,
    /// Our Sentinel was told how often to read INFO.
    InfoPeriod,
    /// Nothing hangs on the answer.
    Favour,
}

/// Actions waiting to be polled.
#[derive(Debug, Default)]
pub struct Outbox {
    actions: VecDeque<Action>,
    purposes: BTreeMap<RequestId, Purpose>,
    last_number: u64,
    wake: Option<Moment>,
    /// What every message carries.
    pub(super) cluster: Option<Identity>,
}

/// Answers that never came are forgotten beyond this many.
const MOST_PURPOSES: usize = 256;

impl Outbox {
    /// A new number, for an order or a request.
    pub fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// Queues an action.
    pub fn push(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    /// The next action.
    pub fn pop(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Looks at somebody.
    pub fn look(&mut self, look: Look) {
        self.push(Action::Look(look));
    }

    /// Asks another supervisor.
    pub fn ask(&mut self, to: Address, message: PeerMessage, limit: Duration, purpose: Purpose) {
        let id = RequestId(self.number());
        self.remember(id, purpose);
        let cluster = self.cluster.clone();
        self.push(Action::Ask { id, to, cluster, message, limit });
    }

    /// Orders a Sentinel.
    pub fn sentinel(&mut self, at: Address, order: SentinelOrder, purpose: Purpose) {
        let id = RequestId(self.number());
        self.remember(id, purpose);
        self.push(Action::Sentinel { id, at, order });
    }

    /// Answers another supervisor.
    pub fn reply(&mut self, to: ReplyId, answer: PeerAnswer) {
        self.push(Action::Reply { to, answer });
    }

    /// Says no.
    pub fn refuse(&mut self, to: ReplyId, reason: impl Into<String>) {
        self.reply(to, PeerAnswer::No { reason: reason.into() });
    }

    /// What an answer is the answer to; each number is answered once (M12: doubled answers mean nothing).
    pub fn purpose(&mut self, id: RequestId) -> Option<Purpose> {
        self.purposes.remove(&id)
    }

    fn remember(&mut self, id: RequestId, purpose: Purpose) {
        while self.purposes.len() >= MOST_PURPOSES {
            self.purposes.pop_first();
        }
        self.purposes.insert(id, purpose);
    }

    /// Asks to be woken at `moment` at the latest; valid for this turn.
    pub fn wake_at(&mut self, moment: Moment) {
        self.wake = Some(self.wake.map_or(moment, |wake| wake.min(moment)));
    }

    /// When to wake, at the latest.
    pub fn wake(&self) -> Option<Moment> {
        self.wake
    }

    /// A new turn begins: its waits are named anew.
    pub fn clear_wake(&mut self) {
        self.wake = None;
    }
}
