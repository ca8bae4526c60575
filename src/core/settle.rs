//! Settle: make the Sentinels name the leader (design section 4).

use std::time::Duration;

use super::Supervisor;
use super::action::{Level, SentinelOrder};
use super::course::{Basis, Course, Fenced, Leading};
use super::evidence::FRESH;
use super::favour::LONGEST_PRIORITY;
use super::id::Address;
use super::lead::PREDECESSOR_LASTS;
use super::message::PeerMessage;
use super::moment::Moment;
use super::outbox::Purpose;
use super::right::by_replicas;

/// Not named after this long: settle.
const AFTER: Duration = Duration::from_secs(1);
/// The Sentinel that proposed us does not answer any more: nobody else can tell of it (M9).
const AFTER_ITS_DEATH: Duration = Duration::from_millis(300);
/// An INFO older than this is read anew before a forced failover selects (measured: 6 of 6 over 1.5 s, ignored under 0.6 s).
const READ_ANEW: Duration = Duration::from_millis(1200);
/// The others answer to a priority within this time.
const OTHERS_SET: Duration = Duration::from_millis(150);
/// The others are asked anew for priority 0 this often.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// One Sentinel has this long.
const ONE_SENTINEL: Duration = Duration::from_millis(2500);
/// Not named this long after a majority answers: be choosable again.
const GIVE_UP: Duration = Duration::from_secs(10);

/// How far settling got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settle {
    /// Since when a majority of Sentinels answers and does not name us.
    since: Option<Moment>,
    /// When the others were asked for priority 0.
    asked_priority: Option<Moment>,
    /// When a Sentinel was asked.
    asked_sentinel: Option<Moment>,
}

impl Supervisor {
    /// One turn of a leader that is not named yet.
    pub(super) fn settle_turn(&mut self) {
        let me = self.rules.me;
        let majority = self.evidence.sentinel_majority(self.rules.quorum, self.now);
        let opinions = self.evidence.answering(self.now).filter(|(_, seen)| seen.master.is_some()).count();
        let now = self.now;
        if self.course.leading().is_none() || self.is_settled() {
            return;
        }
        if self.deposed() && self.named_gone_since.is_some_and(|at| now.since(at) >= PREDECESSOR_LASTS) {
            return self.step_back_deposed();
        }
        let Course::Leading(leading) = &mut self.course else { return };
        // Cut off or uncertain: the others may have decided without us. Nothing is settled from there.
        // But where every replica streams from us again nobody has, and nobody will (C13: the proposer froze, then we were
        // cut off before anybody named us).
        let decided_without_us = match leading.fence {
            Some(Fenced::Isolated { since }) => by_replicas(&self.evidence, me).is_none_or(|at| at < since),
            Some(Fenced::Uncertain { .. }) => true,
            _ => false,
        };
        if decided_without_us {
            leading.settle = Settle::default();
            return;
        }
        let all_stream = by_replicas(&self.evidence, me).is_some_and(|at| now.since(at) < FRESH);
        if self.decided_anew() && !all_stream {
            // The Sentinels decided anew since we led: what they chose may have acknowledged writes. Not where every
            // server streams from us: their word is an old one that came late (B1: a hello from before an outage).
            if self.deposed() && !self.another_says_master() {
                self.be_choosable_again();
            }
            return;
        }
        // Bare Sentinels will monitor us by themselves; without a majority that says otherwise there is nothing to settle.
        if opinions < majority || self.release.is_some() {
            if let Course::Leading(leading) = &mut self.course {
                leading.settle = Settle::default();
            }
            return;
        }
        let Course::Leading(leading) = &mut self.course else { return };
        let since = *leading.settle.since.get_or_insert(now);
        let after = if self.proposer_is_gone() { AFTER_ITS_DEATH } else { AFTER };
        let Some(leading) = self.course.leading() else { return };
        let from = leading.since.max(since);
        if now.since(from) < after {
            return self.out.wake_at(from + after);
        }
        // Who took writes by the servers' word must be named as well, but never steps down for it.
        let fenced = matches!(leading.fence, Some(Fenced::Born));
        if self.another_says_master() {
            return;
        }
        // Where none lists us none could choose us: their own supervisors will point them to us (section 5, B4).
        if fenced && now.since(since) > GIVE_UP && self.a_sentinel_lists_us() {
            return self.be_choosable_again();
        }
        self.settle_priorities();
        self.settle_ask();
        self.out.wake_at(now + Duration::from_millis(100));
    }

    /// A majority names us: noted, with the epoch.
    fn is_settled(&mut self) -> bool {
        let (me, now) = (self.rules.me, self.now);
        let named = self.evidence.majority_names(me, self.rules.quorum, now);
        // Not the highest that anybody knows: one Sentinel may have heard of our successor already (D6).
        let epoch = self.named().filter(|(at, _)| *at == me).map(|(_, epoch)| epoch).unwrap_or_default();
        if let Course::Leading(leading) = &mut self.course
            && named
        {
            leading.named_at = leading.named_at.or(Some(now));
            leading.epoch = leading.epoch.max(epoch);
            leading.settle = Settle::default();
        }
        named
    }

    fn a_sentinel_lists_us(&self) -> bool {
        self.evidence.answering(self.now).any(|(_, seen)| seen.replica(self.rules.me).is_some())
    }

    /// The Sentinel that proposed us has not answered since we lead.
    fn proposer_is_gone(&self) -> bool {
        let Some(Basis::Proposal { sentinel, .. }) = self.course.leading().map(|leading| &leading.basis) else {
            return false;
        };
        self.evidence
            .sentinel_by_id(sentinel, self.now)
            .is_none_or(|at| self.evidence.sentinels.get(&at).is_some_and(|entry| entry.seen.failing().is_some()))
    }

    fn settle_priorities(&mut self) {
        let now = self.now;
        if self.maintenance == super::event::Maintenance::On {
            return;
        }
        let Course::Leading(leading) = &mut self.course else { return };
        if leading.settle.asked_priority.is_some_and(|at| now.since(at) < ASK_AGAIN) {
            return;
        }
        leading.settle.asked_priority = Some(now);
        let message = PeerMessage::Priority { priority: Some(0), leader: self.rules.me, lasting: LONGEST_PRIORITY };
        let others: Vec<_> = self.evidence.servers.keys().copied().collect();
        for at in others {
            self.out.ask(at, message.clone(), Duration::from_millis(500), Purpose::Favour);
        }
    }

    /// The first Sentinel that lists us as its only choice is asked; it takes us although we already say master.
    fn settle_ask(&mut self) {
        let me = self.rules.me;
        let Some(leading) = self.course.leading().filter(|_| self.maintenance == super::event::Maintenance::Off) else {
            return;
        };
        if leading.settle.asked_sentinel.is_some_and(|at| self.now.since(at) < ONE_SENTINEL) {
            return;
        }
        let set = leading.settle.asked_priority.map(|at| at + OTHERS_SET).filter(|set| *set <= self.now);
        let rows_since_set =
            |at: &Address| self.evidence.sentinels.get(at).zip(set).is_some_and(|(entry, set)| entry.rows_since(set));
        let ready = self.evidence.answering(self.now).find_map(|(at, seen)| {
            let rows = seen.rows.as_ref()?;
            let row = seen.master.as_ref()?;
            let ours = rows.replicas.iter().any(|row| row.address == me && row.priority > 0);
            // A look from before would not tell what was read just before the others stepped back (M9).
            let told = rows_since_set(&at);
            let others = rows.replicas.iter().any(|row| {
                let steps_back = row.priority == 0 || (told && row.info_refresh > READ_ANEW);
                row.address != me && !steps_back && !row.s_down && !row.disconnected
            });
            (ours && !others && !row.failover && row.address != me).then_some(at)
        });
        let Some(at) = ready else {
            let answering = self.evidence.answering(self.now).map(|(at, _)| at);
            let stale: Vec<Address> = answering.filter(|at| set.is_some() && !rows_since_set(at)).collect();
            return stale.into_iter().for_each(|at| self.look_closely(at));
        };
        if let Some(leading) = self.course.leading_mut() {
            leading.settle.asked_sentinel = Some(self.now);
        }
        self.decide(Level::Info, "settle", Some(at), format!("ask Sentinel {at} to name us"));
        self.out.sentinel(at, SentinelOrder::Failover, Purpose::Failover);
    }

    /// Deposed, and the one named instead is not there to be followed: it may never come back, so that we must be
    /// choosable too, after 30 s: before, somebody who followed it may be. What we acknowledged beyond the others' is kept first.
    fn step_back_deposed(&mut self) {
        if self.maintenance == super::event::Maintenance::On {
            return;
        }
        if self.course.leading().is_some_and(Leading::may_have_acknowledged) {
            self.keep_once();
        }
        self.release = None;
        self.clients_to_dismiss = true;
        self.be_choosable_again();
        self.left_behind = true;
    }

    /// A Sentinel chooses only what says replica: open as one of the address it names (3.4). Nothing was
    /// acknowledged, or it has been kept.
    fn be_choosable_again(&mut self) {
        let Some((named, epoch)) = self.named() else { return };
        if named == self.rules.me {
            return;
        }
        self.decide(Level::Warn, "step-down", Some(named), "the Sentinels do not name us: choosable again".into());
        self.open_as_replica_of_the_dead(named, epoch);
    }
}
