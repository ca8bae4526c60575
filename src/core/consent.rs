//! Consent: a promise to one candidate at a time not to lead oneself (L3).

use std::time::Duration;

use super::id::{Address, AttemptId, Epoch};
use super::message::{PeerAnswer, Rank};
use super::moment::Moment;
use super::rank::{Standing, compare, history, holds_more};

/// How long a consent binds.
pub const BINDS: Duration = Duration::from_secs(5);

/// The consent that stands, if one does.
#[derive(Clone, Debug, Default)]
pub struct Consent {
    given: Option<Given>,
}

/// A consent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// To whom; ourselves when we are a candidate.
    pub candidate: Address,
    /// For which attempt.
    pub attempt: AttemptId,
    /// When.
    pub at: Moment,
    /// The highest epoch known then: it ends when somebody else is named at a higher one.
    pub epoch: Epoch,
}

/// What decides about a request for consent.
#[derive(Clone, Debug)]
pub struct Situation {
    /// We lead, or are being made to.
    pub leads: bool,
    /// We follow a living master other than the one to be replaced.
    pub follows_another: Option<Address>,
    /// We have reported to this coordinator of a vote, which may make another than the candidate lead.
    pub reported_to: Option<Address>,
    /// The master to be replaced.
    pub replaces: Option<Address>,
    /// It is gone.
    pub master_gone: bool,
    /// We are a candidate and have not been promoted yet; our own rank.
    pub candidate: bool,
    /// We could lead: synced, not stopping, priority not 0 by the user's word.
    pub able: bool,
    /// Every engine can load from us, not every one from the candidate.
    pub fits_better: bool,
    /// What we hold.
    pub rank: Rank,
    /// The highest epoch at which somebody is named, and whom.
    pub named: Option<(Address, Epoch)>,
}

impl Consent {
    /// The consent that stands at `now`.
    pub fn standing(&self, named: Option<(Address, Epoch)>, now: Moment) -> Option<&Given> {
        self.given.as_ref().filter(|given| {
            let superseded = named.is_some_and(|(at, epoch)| at != given.candidate && epoch > given.epoch);
            now.since(given.at) < BINDS && !superseded
        })
    }

    /// Gives it.
    pub fn give(&mut self, given: Given) {
        self.given = Some(given);
    }

    /// The promise to ourselves ends with our attempt.
    pub fn withdraw_own(&mut self, me: Address) {
        if self.given.as_ref().is_some_and(|given| given.candidate == me) {
            self.given = None;
        }
    }

    /// This one has come to nothing, by the word of whom it was given to.
    pub fn withdraw(&mut self, attempt: &AttemptId) {
        if self.given.as_ref().is_some_and(|given| given.attempt == *attempt) {
            self.given = None;
        }
    }

    /// We hold more than this candidate, which asks under a new attempt: the one that we consented to has ended, and this one
    /// ends by our answer. Else the promise would keep us from leading in its place for 5 s (M11).
    pub fn withdraw_earlier(&mut self, candidate: Address, attempt: &AttemptId) {
        if self.given.as_ref().is_some_and(|given| given.candidate == candidate && given.attempt != *attempt) {
            self.given = None;
        }
    }

    /// Restores what the state file holds; it binds anew, since nobody knows for how long we were away.
    pub fn restore(&mut self, candidate: Address, attempt: AttemptId, epoch: Epoch, now: Moment) {
        self.given = Some(Given { candidate, attempt, at: now, epoch });
    }

    /// The last one given.
    pub fn last(&self) -> Option<&Given> {
        self.given.as_ref()
    }

    /// The answer to a request. The caller gives the consent where this says so.
    pub fn answer(
        &self,
        me: Address,
        candidate: Address,
        attempt: &AttemptId,
        rank: &Rank,
        on: &Situation,
        now: Moment,
    ) -> PeerAnswer {
        let no = |reason: String| PeerAnswer::No { reason };
        if on.leads {
            return no(format!("{me} leads"));
        }
        if let Some(master) = on.follows_another {
            return no(format!("{me} follows {master}, which lives"));
        }
        // M16, D3: it was master of the very history that we hold, with every write appended before anybody got it; the
        // offset in its state file may be a second old. Another id of ours: somebody was promoted since.
        let was_its_master = rank.was_master_with_aof && rank.history == on.rank.history;
        let has_it_all = was_its_master && compare(rank, &on.rank) == Standing::Better;
        let more = holds_more(&history(&on.rank), &history(rank));
        // With the same data it is the engine that decides.
        let (own, theirs) = (history(&on.rank), history(rank));
        let as_much = on.fits_better && own.related(&theirs) && own.offset >= theirs.offset;
        if on.master_gone && on.able && !has_it_all && (more || as_much) {
            return PeerAnswer::HoldMore { offset: on.rank.offset };
        }
        if let Some(coordinator) = on.reported_to {
            return no(format!("{me} has reported to coordinator {coordinator}"));
        }
        // Whom we consented to leads, and lets go itself: the promise is fulfilled.
        let standing = self.standing(on.named, now).filter(|given| Some(given.candidate) != on.replaces);
        match standing {
            Some(given) if given.attempt == *attempt || given.candidate == candidate => PeerAnswer::Consented,
            Some(given) if given.candidate == me && on.candidate && compare(rank, &on.rank) == Standing::Better => {
                PeerAnswer::Consented
            }
            Some(given) => no(format!("{me} has consented to {}", given.candidate)),
            None => PeerAnswer::Consented,
        }
    }
}
