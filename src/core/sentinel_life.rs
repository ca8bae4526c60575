//! A Sentinel's supervisor (design section 5): starts bare, monitors when the master is known, keeps its file honest.

use std::time::Duration;

use super::Supervisor;
use super::action::{ChildOrder, Level, Monitor, SentinelFile, SentinelOrder};
use super::event::Maintenance;
use super::id::{Address, Epoch};
use super::moment::Moment;
use super::outbox::Purpose;
use super::verdict::Verdict;

/// A hint must have said master twice, a poll apart.
const HINT_STEADY: Duration = Duration::from_millis(450);

/// A Sentinel that alone names another one is put right after this long: longer than any hello takes (2 s).
const STRAY_FOR: Duration = Duration::from_secs(4);

/// What the Sentinel's supervisor keeps in mind.
#[derive(Clone, Debug, Default)]
pub struct SentinelLife {
    /// A hint, and since when it stands.
    hint: Option<(Address, Moment)>,
    /// For which child (its start) the INFO period has been set.
    period_set: Option<Moment>,
    /// When its file was last rewritten.
    rewritten: Option<Moment>,
    /// Since when it alone names somebody who is no master.
    alone_since: Option<Moment>,
}

impl Supervisor {
    /// One turn in Sentinel mode.
    pub(super) fn sentinel_turn(&mut self) {
        if !self.child.running() || self.maintenance == Maintenance::On || self.stop.is_some() {
            return;
        }
        let me = self.rules.me;
        let own = self.evidence.sentinels.get(&me).and_then(|entry| entry.seen.view(self.now));
        let Some(own) = own else { return };
        match &own.master {
            Some(_) => {
                self.keep_info_period();
                self.agree_with_the_majority();
            }
            None => self.monitor_when_known(),
        }
    }

    /// A shorter INFO period serves crash and silence alike (facts 1c); it is not persisted by the engine.
    fn keep_info_period(&mut self) {
        let super::child::Process::Running { since, .. } = self.child.process else { return };
        if !self.rules.sentinel_debug || self.sentinel.period_set == Some(since) {
            return;
        }
        self.sentinel.period_set = Some(since);
        let me = self.rules.me;
        self.out.sentinel(me, SentinelOrder::InfoPeriod, Purpose::Favour);
    }

    /// Hello never heals equal epochs (F5): where ours names one who is no master, and a majority of the others names
    /// one who is, at our epoch or a higher one, its file is rewritten to theirs.
    fn agree_with_the_majority(&mut self) {
        let me = self.rules.me;
        let own = self
            .evidence
            .sentinels
            .get(&me)
            .and_then(|entry| entry.seen.view(self.now))
            .and_then(|seen| seen.master.clone());
        let Some(own) = own.filter(|row| !row.failover) else { return self.sentinel.alone_since = None };
        let theirs = match self.verdict {
            Verdict::Confirmed { master, epoch } if master != own.address && epoch >= own.epoch => {
                Some((master, epoch))
            }
            _ => None,
        };
        let stray =
            theirs.filter(|_| self.evidence.servers.get(&own.address).is_none_or(|entry| !entry.says_master(self.now)));
        let Some((master, epoch)) = stray else { return self.sentinel.alone_since = None };
        let since = *self.sentinel.alone_since.get_or_insert(self.now);
        if self.now.since(since) < STRAY_FOR {
            return self.out.wake_at(since + STRAY_FOR);
        }
        self.sentinel.alone_since = None;
        self.rewrite(master, epoch, "a majority of Sentinels names it, and ours one who is no master");
    }

    fn monitor_when_known(&mut self) {
        let Some((master, epoch, reason)) = self.whom_to_monitor() else { return };
        self.rewrite(master, epoch, reason);
    }

    /// Rewrites its file and restarts it: 20 ms, and it keeps replicas, quorum and votes.
    fn rewrite(&mut self, master: Address, epoch: Epoch, reason: &str) {
        let lately = self.sentinel.rewritten.is_some_and(|at| self.now.since(at) < Duration::from_secs(1));
        if lately || self.expected_exit.is_some() {
            return;
        }
        self.sentinel.rewritten = Some(self.now);
        self.decide(Level::Info, "monitor", Some(master), format!("monitor {master} at epoch {epoch}: {reason}"));
        self.sentinel_file = SentinelFile { monitor: Some(Monitor { master, epoch }), ..SentinelFile::default() };
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
                if named.is_some_and(|(at, _)| at != master) {
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
