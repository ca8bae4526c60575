//! Asking for a failover: by one supervisor, at one Sentinel after the other (design section 4, "One asker").

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

use super::Supervisor;
use super::action::{Level, SentinelOrder};
use super::event::SentinelReply;
use super::evidence::{Evidence, ServerEntry};
use super::id::Address;
use super::moment::Moment;
use super::outbox::Purpose;
use super::seen::{Failure, Rows};

/// A Sentinel that has not proposed anybody within this time is given up for the next one.
const PROPOSES_WITHIN: Duration = Duration::from_secs(2);
/// The next one is asked this long after a refusal: it reads the same INFO.
const BETWEEN: Duration = Duration::from_millis(250);
/// No usable proposal for this long after s_down: ask.
pub(super) const STUCK_AFTER: Duration = Duration::from_millis(2500);

/// Who has the largest offset is known within this time of the master's end: one look at each.
const COMPARED_WITHIN: Duration = Duration::from_millis(300);

/// A proposal that nobody leads under for this long, the master surely gone: ask another Sentinel too.
const UNUSED_AFTER: Duration = Duration::from_millis(1200);

/// Whom we asked.
#[derive(Clone, Debug, Default)]
pub struct Asker {
    /// And until when it is waited for.
    pub(super) current: Option<(Address, Moment)>,
    /// When that one said that it begins.
    begun: Option<Moment>,
    /// Sentinels that were made to read INFO soon.
    pub(super) hastened: Vec<Address>,
    tried: BTreeSet<Address>,
    /// Those of whom the log has told already.
    said: BTreeSet<Address>,
    /// Since when the master has been found gone.
    gone_since: Option<Moment>,
    /// Which master has been found gone and has not lived since, and when: one answer that is missing does not end that.
    pub(super) dead: Option<(Address, Moment)>,
    /// Since when nobody usable has been proposed although it is.
    stuck_since: Option<Moment>,
}

impl Asker {
    /// A Sentinel was asked and its time is not up.
    pub fn waits(&self, now: Moment) -> bool {
        self.current.is_some_and(|(_, until)| now < until)
    }

    /// Give up the one asked now; the next one a little later.
    fn next(&mut self, now: Moment) {
        if let Some((_, until)) = &mut self.current {
            *until = now + BETWEEN;
        }
        self.begun = None;
    }

    /// Forget everything: the matter is settled.
    pub fn rest(&mut self) {
        *self = Asker { hastened: std::mem::take(&mut self.hastened), ..Asker::default() };
    }
}

/// What a Sentinel must be like to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskWhom {
    /// A healthy master hands over: quorum OK, no trouble; the one whose INFO of the replicas is the oldest first.
    Planned,
    /// The master is gone since then: any that names it and is not in TILT; one whose INFO of the replicas is over 1 s old
    /// first, one that has not answered since then last: the age of what it holds grows while it stands still.
    Unplanned { since: Moment },
}

/// An INFO so old is read anew at the next tick: 1 s, and what a look at its age may take.
const SURELY_READ_ANEW: Duration = Duration::from_millis(1100);

/// Which Sentinel sees a promotion soonest: it does not read INFO again before the last is 1 s old.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Ripe {
    /// At once: it is older by so much. The less, the less likely it is read just before the replicas refuse it (D1).
    Since(Duration),
    /// The older the sooner. In a planned handover the candidate waits for that while writes go on (H3).
    ByAge(Reverse<Duration>),
}

/// How ripe that Sentinel is, by the youngest INFO of those that it may choose.
fn ripeness(evidence: &Evidence, at: Address, rows: &Rows, whom: AskWhom, now: Moment) -> Ripe {
    let choosable = rows.replicas.iter().filter(|row| row.priority > 0).map(|row| row.address);
    let youngest = choosable.filter_map(|replica| evidence.info_age(at, replica, now)).min().unwrap_or_default();
    match (whom, youngest.checked_sub(SURELY_READ_ANEW)) {
        (AskWhom::Unplanned { .. }, Some(since)) => Ripe::Since(since),
        _ => Ripe::ByAge(Reverse(youngest)),
    }
}

/// The Sentinels that may be asked to replace `master`, best first.
pub fn candidates(evidence: &Evidence, master: Address, whom: AskWhom, now: Moment) -> Vec<Address> {
    let silent = |at: Address| match whom {
        AskWhom::Planned => false,
        AskWhom::Unplanned { since } => !evidence.sentinels.get(&at).is_some_and(|entry| entry.rows_since(since)),
    };
    // One that is at it already would answer INPROG.
    let mut found: Vec<(bool, bool, Ripe, Address)> = evidence
        .answering(now)
        .filter_map(|(at, seen)| {
            let row = seen.master.as_ref().filter(|row| row.address == master)?;
            let rows = seen.rows.as_ref().filter(|rows| !rows.tilt)?;
            let fit = match whom {
                AskWhom::Planned => rows.quorum_ok && !row.troubled(),
                AskWhom::Unplanned { .. } => true,
            };
            fit.then(|| (row.failover, silent(at), ripeness(evidence, at, rows, whom, now), at))
        })
        .collect();
    found.sort();
    found.into_iter().map(|(_, _, _, at)| at).collect()
}

impl Supervisor {
    /// Asks the next Sentinel to replace `master`, unless one is at it. Says whom it asked.
    pub(super) fn ask_failover(&mut self, master: Address, whom: AskWhom, reason: &str) -> Option<Address> {
        let list = candidates(&self.evidence, master, whom, self.now);
        self.ask_failover_of(master, list, reason)
    }

    /// The same, of these Sentinels.
    pub(super) fn ask_failover_of(&mut self, master: Address, mut list: Vec<Address>, reason: &str) -> Option<Address> {
        self.note_abort(master);
        if self.asker.waits(self.now) {
            if let Some((_, until)) = self.asker.current {
                self.out.wake_at(until);
            }
            return None;
        }
        if list.iter().all(|at| self.asker.tried.contains(at)) {
            self.asker.tried.clear();
        }
        list.retain(|at| !self.asker.tried.contains(at));
        let at = *list.first()?;
        self.asker.current = Some((at, self.now + PROPOSES_WITHIN));
        self.asker.begun = None;
        self.asker.tried.insert(at);
        if self.asker.said.insert(at) {
            self.decide(
                Level::Info,
                "ask-failover",
                Some(at),
                format!("ask Sentinel {at} to replace {master}: {reason}"),
            );
        }
        self.out.sentinel(at, SentinelOrder::Failover, Purpose::Failover);
        self.look_closely(at);
        Some(at)
    }

    /// The one asked began and is at it no more, as a look since then shows: it found nobody good when it came to choosing,
    /// a tick or two later, for what it had read meanwhile (M11 with `--to`: 2.3 s of waiting for its proposal).
    fn note_abort(&mut self, master: Address) {
        let (Some((at, _)), Some(begun)) = (self.asker.current, self.asker.begun) else { return };
        let seen = self.evidence.sentinels.get(&at).and_then(|entry| entry.seen.view_since(begun));
        let row = seen.and_then(|seen| seen.master.as_ref()).filter(|row| row.address == master);
        // Behind a Service another one may have answered the look.
        let mut rows = self.evidence.answering(self.now).filter_map(|(_, seen)| seen.rows.as_ref());
        let itself = rows.any(|rows| rows.sentinels.iter().any(|row| row.address == at));
        if row.is_some_and(|row| !row.failover) && (itself || !self.a_failover_runs()) {
            self.asker.next(self.now);
        }
    }

    /// A Sentinel answered to FAILOVER.
    pub(super) fn failover_answered(&mut self, at: Address, done: Result<SentinelReply, Failure>) {
        self.look_closely(at);
        if matches!(done, Ok(SentinelReply::NoGoodReplica)) && self.direct_refused(at) {
            return;
        }
        if self.asker.current.is_none_or(|(current, _)| current != at) {
            return;
        }
        match done {
            Ok(SentinelReply::Ok) => self.asker.begun = Some(self.now),
            // Planned: join it. Else it may be at it for somebody who cannot lead (M22): the next one.
            Ok(SentinelReply::InProgress) if self.course.leading().is_some() => {}
            Ok(SentinelReply::InProgress) => self.asker.next(self.now),
            Ok(SentinelReply::NoGoodReplica) => {
                self.no_good_replica_since = self.no_good_replica_since.or(Some(self.now));
                self.asker.next(self.now);
            }
            Ok(SentinelReply::Error(_)) | Err(_) => self.asker.next(self.now),
        }
    }

    /// A proposal that may still come to something stands at some Sentinel.
    pub(super) fn usable_proposal(&self) -> Option<Address> {
        self.evidence.answering(self.now).filter_map(|(_, seen)| seen.chosen()).map(|row| row.address).find(|chosen| {
            if *chosen == self.rules.me {
                return !self.never_leads() && self.proposals_of_us().next().is_some();
            }
            self.evidence.servers.get(chosen).is_some_and(|entry| {
                let never = entry.supervisor.view(self.now).is_some_and(|seen| seen.never);
                !never && !self.evidence.refuses_everywhere(*chosen, self.now)
            })
        })
    }

    /// We are a replica, the named master is gone: is it on us to ask? (The largest offset asks; lowest address on a tie.)
    pub(super) fn asker_turn(&mut self) {
        let Some((master, _)) = self.named() else { return self.asker.stuck_since = None };
        if master == self.rules.me || self.course.leading().is_some() || self.never_leads() || !self.child.synced {
            return;
        }
        if self.course.master().is_some_and(|at| at != master && self.master_lives(at)) {
            // Our leader lives and will be named: a failover from its predecessor is not ours to ask for.
            return self.asker.stuck_since = None;
        }
        if self.favoured() && !self.master_lives(master) && self.ask_favoured(master) {
            return;
        }
        let reset = self.evidence.refuses_everywhere(master, self.now) && self.majority_shows_lost(master);
        let down = self.evidence.majority_shows_down(master, self.rules.quorum, self.now);
        if !reset && self.candidacy.is_none() {
            self.ask_in_silence(master);
        }
        if reset || down {
            self.asker.dead = self.asker.dead.filter(|(at, _)| *at == master).or(Some((master, self.now)));
        } else if self.master_lives(master) {
            self.asker.dead = None;
        }
        if !reset && !down {
            self.asker.stuck_since = None;
            self.asker.gone_since = None;
            return;
        }
        let gone_since = *self.asker.gone_since.get_or_insert(self.now);
        if self.candidacy.is_some() {
            self.asker.stuck_since = None;
            return;
        }
        if self.passes_over_the_silent() {
            return;
        }
        let due = if self.usable_proposal().is_some() {
            self.asker.stuck_since = None;
            // It stands, and nobody leads under it: its candidate may have too little left of it (L1, M4).
            gone_since + if reset { UNUSED_AFTER } else { STUCK_AFTER }
        } else {
            let since = *self.asker.stuck_since.get_or_insert(self.now);
            if reset { since } else { since + STUCK_AFTER }
        };
        if self.now < due {
            return self.out.wake_at(due);
        }
        if reset && !self.compared_since(master, gone_since) && self.now.since(gone_since) < COMPARED_WITHIN {
            if gone_since == self.now {
                self.look_everywhere();
            }
            return self.out.wake_at(gone_since + COMPARED_WITHIN);
        }
        if self.we_ask() {
            let reason =
                if reset { "its address refuses on both ports" } else { "it is down and nobody usable is proposed" };
            self.ask_failover(master, AskWhom::Unplanned { since: gone_since }, reason);
        }
    }

    pub(super) fn majority_shows_lost(&self, master: Address) -> bool {
        let lost = self
            .evidence
            .answering(self.now)
            .filter(|(_, seen)| {
                seen.master.as_ref().is_some_and(|row| row.address == master && (row.disconnected || row.s_down))
            })
            .count();
        lost >= self.evidence.sentinel_majority(self.rules.quorum, self.now)
    }

    /// We and every replica that answers, with its supervisor, were looked at since the master is gone: all hear of it at one
    /// moment, and each would take itself for the one with the largest offset (M11: two Sentinels at it, and both then
    /// stuck, M22). One that restarted a second ago may not have been heard of as a supervisor yet.
    fn compared_since(&self, master: Address, since: Moment) -> bool {
        let asked = |entry: &ServerEntry| {
            let silent = entry.server.view_since(since).is_none();
            entry.server.asked_since(since) && (silent || entry.supervisor.asked_since(since))
        };
        let known = |entry: &ServerEntry| match entry.supervisor.view(self.now) {
            Some(seen) => !seen.never,
            None => entry.server.view(self.now).is_some(),
        };
        let mut others = self.evidence.servers.iter().filter(|(at, entry)| **at != master && known(entry));
        others.all(|(_, entry)| asked(entry)) && self.child.seen_since(since).is_some()
    }

    /// Of the replicas whose supervisors answer, ours has the largest offset.
    pub(super) fn we_ask(&self) -> bool {
        let own = self.child.last_seen().map(|seen| seen.history.offset).unwrap_or_default();
        !self.evidence.servers.iter().any(|(at, entry)| {
            entry.supervisor.view(self.now).is_some_and(|seen| !seen.never)
                && entry.server.view(self.now).is_some_and(|seen| {
                    !seen.role.is_master()
                        && (seen.history.offset > own || (seen.history.offset == own && *at < self.rules.me))
                })
        })
    }
}
