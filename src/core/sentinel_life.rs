//! A Sentinel's supervisor (design section 5): starts bare, monitors when the master is known, keeps its file honest:
//! see `agree`, `repoint` and `prune`.

use std::time::Duration;

use super::Supervisor;
use super::action::{ChildOrder, Level, Monitor, SentinelFile, SentinelOrder};
use super::event::Maintenance;
use super::id::{Address, Epoch, SentinelId};
use super::moment::Moment;
use super::outbox::Purpose;
use super::seen::{MasterRow, SentinelSeen};
use super::verdict::Verdict;

/// A hint must have said master twice, a poll apart.
pub(super) const HINT_STEADY: Duration = Duration::from_millis(450);
/// Of several Sentinels that could put something right the next does it this much later: a hello takes 2 s.
pub(super) const NEXT_ONE: Duration = Duration::from_secs(5);

/// A Sentinel reads INFO at least this often: then a lost node is replaced soonest (facts section 12).
const INFO_PERIOD: Duration = Duration::from_millis(2500);
/// And each but the first by so much more often than the one before it. Those that switch together read everybody at one
/// moment; a failover waits until INFO is over 1 s old, and of one of them it must be (D1: with two that keep step it is not
/// at 14 % of all moments, with these at 5 %).
const APART: Duration = Duration::from_millis(200);
const STEPS: u32 = 5;
/// Where that order was lost it is given again this much later.
const PERIOD_AGAIN: Duration = Duration::from_secs(10);

/// In calm a Sentinel's supervisor asks other supervisors and the elector every 5 s only.
pub(super) const LATELY: Duration = Duration::from_secs(10);

/// It is set anew this often: a server's supervisor may have shortened it for a failover that then did not happen.
const PERIOD_LASTS: Duration = Duration::from_secs(60);

/// A period that was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PeriodSet {
    child: Moment,
    master: Option<Address>,
    period: Duration,
    at: Moment,
}

/// What the Sentinel's supervisor keeps in mind.
#[derive(Clone, Debug, Default)]
pub struct SentinelLife {
    /// A hint, and since when it stands.
    hint: Option<(Address, Moment)>,
    /// For which child (its start) and which master the INFO period has been set, to what, and when.
    period_set: Option<PeriodSet>,
    /// When that order was last lost.
    period_lost: Option<Moment>,
    /// When its file was last rewritten.
    rewritten: Option<Moment>,
    /// Since when it alone names somebody who is no master.
    pub(super) alone_since: Option<Moment>,
    /// Since when Sentinels name different masters at the highest epoch.
    pub(super) tied_since: Option<Moment>,
    /// Since when the monitored one is gone.
    pub(super) gone: Option<(Address, Moment)>,
    /// The leader that no Sentinel lists, and since when.
    pub(super) unlisted: Option<(Address, Moment)>,
    /// Another cluster's part in it.
    pub(super) taken_over: super::taken_over::TakenOver,
    /// A clean-up that may be done.
    pub(super) prune: Option<super::prune::Prune>,
}

impl Supervisor {
    /// One turn in Sentinel mode.
    pub(super) fn sentinel_turn(&mut self) {
        if !self.child.running() || self.maintenance == Maintenance::On || self.stop.is_some() {
            return;
        }
        let Some(own) = self.own_sentinel() else { return };
        if own.master.is_none() {
            return self.monitor_when_known();
        }
        if self.taken_over_turn() {
            return;
        }
        self.keep_info_period();
        self.agree_with_the_majority();
        self.break_tie();
        self.repoint_turn();
        self.prune_turn();
    }

    /// What our Sentinel shows now.
    pub(super) fn own_sentinel(&self) -> Option<&SentinelSeen> {
        self.evidence.sentinels.get(&self.rules.me).and_then(|entry| entry.seen.view(self.now))
    }

    /// Whom it monitors.
    pub(super) fn own_row(&self) -> Option<&MasterRow> {
        self.own_sentinel()?.master.as_ref()
    }

    /// Our place among the Sentinels that answer and are `such`, in the order of their ids.
    pub(super) fn place(&self, such: impl Fn(&SentinelSeen) -> bool) -> Option<u32> {
        Some(self.place_of(&self.own_sentinel()?.id, such))
    }

    /// That of another one.
    pub(super) fn place_of(&self, id: &SentinelId, such: impl Fn(&SentinelSeen) -> bool) -> u32 {
        let before = self.evidence.answering(self.now).filter(|(_, seen)| such(seen) && seen.id < *id);
        u32::try_from(before.count()).unwrap_or(u32::MAX)
    }

    /// A Sentinel that answers runs a failover (F4).
    pub(super) fn a_failover_runs(&self) -> bool {
        self.evidence.answering(self.now).any(|(_, seen)| seen.master.as_ref().is_some_and(|row| row.failover))
    }

    /// An epoch for our word alone: higher than any ever seen, and never another Sentinel's.
    pub(super) fn epoch_of_our_own(&self) -> Epoch {
        let place = self.place(|_| true).unwrap_or_default();
        Epoch(self.evidence.highest_epoch_ever().0.saturating_add(1 + u64::from(place)))
    }

    /// A shorter INFO period serves crash and silence alike (facts 1c); it is not persisted by the engine.
    fn keep_info_period(&mut self) {
        let super::child::Process::Running { since, .. } = self.child.process else { return };
        let Some(place) = self.place(|_| true) else { return };
        let period = info_period(place);
        let rests = self.sentinel.period_lost.is_some_and(|lost| self.now.since(lost) < PERIOD_AGAIN);
        let set = PeriodSet { child: since, master: self.own_row().map(|row| row.address), period, at: self.now };
        let stands =
            |last: PeriodSet| last == PeriodSet { at: last.at, ..set } && self.now.since(last.at) < PERIOD_LASTS;
        if rests || self.sentinel.period_set.is_some_and(stands) {
            return;
        }
        self.sentinel.period_set = Some(set);
        let me = self.rules.me;
        self.out.sentinel(me, SentinelOrder::InfoPeriod(period), Purpose::InfoPeriod);
    }

    /// Nobody knows whether that was heard.
    pub(super) fn info_period_lost(&mut self) {
        self.sentinel.period_set = None;
        self.sentinel.period_lost = Some(self.now);
    }

    fn monitor_when_known(&mut self) {
        let Some((master, epoch, reason)) = self.whom_to_monitor() else { return };
        self.monitor(master, epoch, reason);
    }

    /// Has its Sentinel monitor this master.
    pub(super) fn monitor(&mut self, master: Address, epoch: Epoch, reason: &str) {
        let file = SentinelFile { monitor: Some(Monitor { master, epoch }), ..SentinelFile::default() };
        let reason = format!("monitor {master} at epoch {epoch}: {reason}");
        self.rewrite(file, Level::Info, "monitor", Some(master), reason);
    }

    /// Rewrites its file and restarts it: 20 ms, and it keeps replicas, quorum and votes. RESET and MONITOR at run time
    /// are windows in which the loss of the master is permanent (facts section 4).
    pub(super) fn rewrite(
        &mut self,
        file: SentinelFile,
        level: Level,
        event: &'static str,
        about: Option<Address>,
        reason: String,
    ) {
        let lately = self.sentinel.rewritten.is_some_and(|at| self.now.since(at) < Duration::from_secs(1));
        if lately || self.expected_exit.is_some() {
            return;
        }
        self.sentinel.rewritten = Some(self.now);
        self.decide(level, event, about, reason);
        self.sentinel_file = SentinelFile { cluster: self.cluster_tag(), ..file };
        self.expected_exit = Some(self.now);
        self.child.order(&mut self.out, self.now, ChildOrder::Terminate);
    }

    fn whom_to_monitor(&mut self) -> Option<(Address, Epoch, &'static str)> {
        // Contradicted by none: everybody known has been asked once, or could not be.
        if !self.looked_everywhere_since(self.started) {
            return None;
        }
        let epoch = self.evidence.highest_epoch(self.now);
        match self.verdict.clone() {
            Verdict::Confirmed { master, epoch } => Some((master, epoch, "a majority of Sentinels names it")),
            // Another Sentinel names it, although it is down: one more that can see it down.
            Verdict::Named { master, epoch, .. } => Some((master, epoch, "the other Sentinels name it")),
            Verdict::Hint { master } => {
                let since = match self.sentinel.hint {
                    Some((at, since)) if at == master => since,
                    _ => {
                        self.sentinel.hint = Some((master, self.now));
                        self.now
                    }
                };
                let named = self.highest_named();
                if named.is_some_and(|(at, _)| at != master)
                    || self.evidence.may_be_a_service(master, self.now)
                    || !self.may_follow_at(master)
                {
                    return None;
                }
                if self.now.since(since) < HINT_STEADY {
                    self.out.wake_at(since + HINT_STEADY);
                    return None;
                }
                Some((master, epoch, "it has said master twice and nobody contradicts"))
            }
            Verdict::Unknown(_) => {
                self.sentinel.hint = None;
                let (master, epoch) = self.highest_named()?;
                let contradicted = self.evidence.servers.get(&master).is_some_and(|entry| entry.says_replica(self.now));
                (!contradicted).then_some((master, epoch, "a Sentinel names it at the highest epoch"))
            }
            Verdict::Conflict { .. } => {
                self.sentinel.hint = None;
                None
            }
        }
    }

    /// Whom the answering Sentinels name at the highest epoch, where that is one.
    fn highest_named(&self) -> Option<(Address, Epoch)> {
        let rows = || self.evidence.answering(self.now).filter_map(|(_, seen)| seen.master.as_ref());
        let epoch = rows().map(|row| row.epoch).max()?;
        let mut named = rows().filter(|row| row.epoch == epoch).map(|row| row.address);
        let first = named.next()?;
        named.all(|at| at == first).then_some((first, epoch))
    }
}

/// How often the Sentinel at this place reads INFO.
pub(super) fn info_period(place: u32) -> Duration {
    INFO_PERIOD - APART * (place % STEPS)
}
