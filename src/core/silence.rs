//! Silence (M30): the master's node is lost, and nothing answers, not even with a reset. Its fence is surely up by then;
//! what remains is that a majority of Sentinels finds it down, and that this costs nothing beyond.

use std::time::Duration;

use super::Supervisor;
use super::action::{ChildOrder, Level};
use super::id::Address;
use super::moment::Moment;
use super::seen::{Link, RoleSeen, SentinelSeen};

/// What was done in a silence, named by the last byte of our link before it: once each.
#[derive(Debug, Default)]
pub(super) struct Silence {
    /// INFO was refused.
    pub(super) quickened_for: Option<Moment>,
    /// A failover was asked for.
    asked_in: Option<Moment>,
}

impl Supervisor {
    /// When a majority of Sentinels has waited down-after for an answer of `master`, and the Sentinel that completes it.
    /// Each shows it down at its next tick only, and starts a failover by itself three ticks later still.
    fn majority_misses(&self, master: Address) -> Option<(Moment, Address)> {
        let waits_until = |(at, seen): (Address, &SentinelSeen)| {
            seen.rows.as_ref().filter(|rows| !rows.tilt)?;
            let row = seen.master.as_ref().filter(|row| row.address == master)?;
            let (_, asked) = self.evidence.sentinels.get(&at)?.seen.remembered()?;
            Some(((asked + row.down_after).before(row.ping_unanswered?), at))
        };
        let mut missed: Vec<(Moment, Address)> = self.evidence.answering(self.now).filter_map(waits_until).collect();
        missed.sort();
        missed.get(self.evidence.sentinel_majority(self.rules.quorum, self.now) - 1).copied()
    }

    /// The Sentinel that completes the majority is asked as soon as it does: its own failover would begin one or two ticks
    /// later (0.15 s in the mean). Asked by force it has the others' votes before one of them begins another.
    pub(super) fn ask_in_silence(&mut self, master: Address) {
        let Some(last) = self.child.last_byte.filter(|last| self.silence.asked_in != Some(*last)) else { return };
        if self.child.link_down_since.is_none() || self.master_lives(master) || self.usable_proposal().is_some() {
            return;
        }
        let Some((due, sentinel)) = self.majority_misses(master) else { return };
        if self.now < due {
            return self.out.wake_at(due);
        }
        if !self.we_ask() {
            return;
        }
        self.silence.asked_in = Some(last);
        let reason = "a majority of Sentinels has waited down-after for it";
        self.ask_failover_of(master, vec![sentinel], reason);
    }

    /// For how long a replication link that says "up" has carried nothing, in whole seconds.
    fn link_idle(&self) -> Option<Duration> {
        let seen = self.child.seen()?;
        seen.link_idle.filter(|_| matches!(seen.role, RoleSeen::Replica { link: Link::Up, .. }))
    }

    /// It carries a ping each second in health. Looked at as in calm it would be cut up to a second late, and all that
    /// counts from there come late with it: the master taken for fenced, Sentinels' look at us, the refusal of INFO.
    pub(super) fn link_falls_silent(&self) -> bool {
        let nearly = self.rules.cut_after().saturating_sub(Duration::from_secs(1)).max(Duration::from_secs(2));
        self.link_idle().is_some_and(|idle| idle >= nearly)
    }

    /// A link that carries nothing says "up" for 60 s: cut it, so that silence can be told from life.
    pub(super) fn cut_silent_link(&mut self) {
        let cut_after = self.rules.cut_after();
        let silent = self.link_idle().is_some_and(|idle| idle >= cut_after);
        if silent && self.child.cut_at.is_none_or(|at| self.now.since(at) > cut_after) {
            self.child.cut_at = Some(self.now);
            self.decide(Level::Warn, "cut-link", self.course.master(), "nothing came over the replication link".into());
            self.child.order(&mut self.out, self.now, ChildOrder::CutLink);
        }
    }

    /// Silence: who could be chosen refuses INFO from down-after - 1.5 s after the link's last byte on, once a majority of
    /// Sentinels has read it since the link broke. The one that will promote then asks at every tick (saves 0.8 s).
    pub(super) fn quicken_in_silence(&mut self) {
        const BEFORE: Duration = Duration::from_millis(1500);
        let (Some(last), Some(since)) = (self.child.last_byte, self.child.link_down_since) else { return };
        let due = last + self.rules.down_after.saturating_sub(BEFORE);
        if self.silence.quickened_for == Some(last) || self.now > due + BEFORE * 2 || self.never_leads() {
            return;
        }
        if self.now < due {
            return self.out.wake_at(due);
        }
        let me = self.rules.me;
        let read = self.evidence.answering(self.now).filter(|(at, _)| {
            self.evidence.info_age(*at, me, self.now).is_some_and(|age| self.now.before(age) > since)
        });
        if read.count() >= self.evidence.sentinel_majority(self.rules.quorum, self.now) {
            self.silence.quickened_for = Some(last);
            self.quicken(super::candidacy::QUICKEN);
        }
    }
}
