//! What our server is meant to be, and why.

use std::collections::BTreeMap;

use super::id::{Address, AttemptId, Epoch, SentinelId};
use super::moment::Moment;
use super::right::Right;
use super::settle::Settle;

/// The intent; the child is brought to it.
#[derive(Clone, Debug)]
pub enum Course {
    /// Role not decided: the door is shut.
    Undecided,
    /// Follow this one.
    Following(Following),
    /// Lead.
    Leading(Leading),
}

/// Following.
#[derive(Clone, Debug)]
pub struct Following {
    /// Whom.
    pub master: Address,
    /// Since when.
    pub since: Moment,
    /// What became of the order to the child.
    pub told: Told,
    /// At which epoch we decided so.
    pub epoch: Epoch,
    /// The master's address is known dead: we are open so that Sentinel can choose (3.4).
    pub of_the_dead: bool,
}

/// The order to follow, and what the child has made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Not given, or not carried out.
    No,
    /// Given.
    Yes,
    /// The child was seen to follow. One that does not any more was turned by somebody else.
    Obeyed,
}

/// Leading, at first fenced.
#[derive(Clone, Debug)]
pub struct Leading {
    /// Since when.
    pub since: Moment,
    /// Under what.
    pub basis: Basis,
    /// The attempt or vote.
    pub attempt: AttemptId,
    /// The highest epoch known when we began: at that one the Sentinels name our predecessor for a moment longer.
    pub epoch: Epoch,
    /// Why writers are refused; `None`: they are not.
    pub fence: Option<Fenced>,
    /// The proof of our right.
    pub right: Right,
    /// Supervisors that said they follow us, and when.
    pub followers: BTreeMap<Address, Moment>,
    /// When a majority of Sentinels named us first under this lead.
    pub named_at: Option<Moment>,
    /// Making the Sentinels name us.
    pub settle: Settle,
    /// Supervisors already told `led`, and when.
    pub told: BTreeMap<Address, Moment>,
}

impl Leading {
    /// It may have acknowledged writes: its first fence has been down, or it was named and that fence is about to go.
    pub fn may_have_acknowledged(&self) -> bool {
        !matches!(self.fence, Some(Fenced::Born)) || self.named_at.is_some()
    }
}

/// The two ways to become master, and the standalone one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Basis {
    /// A Sentinel proposed us.
    Proposal {
        /// Which one.
        sentinel: SentinelId,
        /// Whom it replaces.
        replaces: Address,
        /// How we know that nobody else acknowledges writes.
        ground: Ground,
    },
    /// A vote after a total outage; Sentinels may have no say in it.
    Vote {
        /// Nobody could name us: a majority of servers suffices to unfence (invariant 4).
        without_sentinels: bool,
    },
    /// Restarted in place, or started as the named one.
    InPlace,
    /// Nothing is configured: a standalone server.
    Alone,
}

/// On what a leader by proposal relies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// Everybody who might acknowledge writes has let go by its own word.
    Word,
    /// Somebody was taken for gone: by resets, or by silence. A partition that rejects looks the same.
    Absence,
}

/// Why a leader's writers are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fenced {
    /// Every leader is born so (M9).
    Born,
    /// Our right could not be proved in time (F1).
    Isolated { since: Moment },
    /// A release is out and nobody tells what became of it (M10).
    Uncertain { since: Moment },
}

impl Course {
    /// Whom we follow.
    pub fn master(&self) -> Option<Address> {
        match self {
            Course::Following(following) => Some(following.master),
            _ => None,
        }
    }

    /// Since when we follow whom we follow.
    pub fn following_since(&self) -> Option<Moment> {
        match self {
            Course::Following(following) => Some(following.since),
            _ => None,
        }
    }

    /// The lead, where we lead.
    pub fn leading(&self) -> Option<&Leading> {
        match self {
            Course::Leading(leading) => Some(leading),
            _ => None,
        }
    }

    /// The lead, to change it.
    pub fn leading_mut(&mut self) -> Option<&mut Leading> {
        match self {
            Course::Leading(leading) => Some(leading),
            _ => None,
        }
    }
}
