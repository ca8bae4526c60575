//! `sentinelFailoverStateMachine`: election, selection, the order that bounces, waiting, re-pointing, switching.

use redinit::core::id::Address;

use super::{Cmd, ELECTION_TIMEOUT, Id, Key, PING_PERIOD, RECONF_TIMEOUT, Reconf, Sentinel, Stage};
use crate::world::SEC;

impl Sentinel {
    /// `sentinelStartFailoverIfNeeded`.
    pub fn start_if_needed(&mut self, now: u64) -> bool {
        let timeout = self.failover_timeout;
        let Some(m) = &self.m else { return false };
        if !m.o_down || m.in_failover() || now - m.failover_start.min(now) < timeout * 2 {
            return false;
        }
        self.start_failover(now);
        true
    }

    /// `sentinelStartFailover`.
    pub fn start_failover(&mut self, now: u64) {
        let desync = self.rand(SEC);
        self.current_epoch += 1;
        let epoch = self.current_epoch;
        let Some(m) = &mut self.m else { return };
        m.stage = Stage::WaitStart;
        m.forced = false;
        m.failover_epoch = epoch;
        m.failover_start = now + desync;
        m.stage_at = now;
        self.event("+try-failover");
    }

    /// `sentinelAbortFailover`.
    pub fn abort_failover(&mut self, now: u64, why: &'static str) {
        let Some(m) = &mut self.m else { return };
        m.stage = Stage::None;
        m.forced = false;
        m.stage_at = now;
        m.promoted = None;
        self.event(why);
    }

    /// `sentinelVoteLeader`.
    pub fn vote(&mut self, epoch: u64, candidate: Id, now: u64) -> (Option<Id>, u64) {
        let desync = self.rand(SEC);
        let me = self.id;
        self.current_epoch = self.current_epoch.max(epoch);
        let current = self.current_epoch;
        let Some(m) = &mut self.m else { return (None, 0) };
        if m.leader_epoch < epoch && current <= epoch {
            m.leader = Some(candidate);
            m.leader_epoch = current;
            if candidate != me {
                m.failover_start = now + desync;
            }
        }
        (m.leader, m.leader_epoch)
    }

    /// `sentinelGetLeader`.
    fn winner(&mut self, epoch: u64, now: u64) -> Option<Id> {
        let (me, current, quorum) = (self.id, self.current_epoch, self.quorum);
        let m = self.m.as_ref()?;
        let voters = m.sentinels.len() + 1;
        let mut votes: std::collections::BTreeMap<Id, usize> = std::collections::BTreeMap::new();
        for s in m.sentinels.values() {
            if let Some(l) = s.leader.filter(|_| s.leader_epoch == current) {
                *votes.entry(l).or_default() += 1;
            }
        }
        let best = votes.iter().max_by_key(|(_, n)| **n).map(|(&l, _)| l);
        let (mine, mine_epoch) = self.vote(epoch, best.unwrap_or(me), now);
        if let Some(l) = mine.filter(|_| mine_epoch == epoch) {
            *votes.entry(l).or_default() += 1;
        }
        let (&l, &n) = votes.iter().max_by_key(|(_, n)| **n)?;
        (n > voters / 2 && n >= quorum).then_some(l)
    }

    /// One step of a failover under way.
    pub fn failover_step(&mut self, now: u64) {
        let Some(m) = &self.m else { return };
        match m.stage {
            Stage::None | Stage::UpdateConfig => {}
            Stage::WaitStart => self.wait_start(now),
            Stage::SelectSlave => match self.select(now) {
                None => self.abort_failover(now, "-failover-abort-no-good-slave"),
                Some(a) => {
                    let Some(m) = &mut self.m else { return };
                    m.promoted = Some(a);
                    m.stage = Stage::SendNoOne;
                    m.stage_at = now;
                    self.event("+selected-slave");
                }
            },
            Stage::SendNoOne => self.send_no_one(now),
            Stage::WaitPromotion => {
                if now - m.stage_at > self.failover_timeout {
                    self.abort_failover(now, "-failover-abort-slave-timeout");
                }
            }
            Stage::ReconfSlaves => self.reconf(now),
        }
    }

    fn wait_start(&mut self, now: u64) {
        let Some(m) = &self.m else { return };
        let (epoch, forced, start) = (m.failover_epoch, m.forced, m.failover_start);
        let leads = self.winner(epoch, now) == Some(self.id);
        if !leads && !forced {
            let limit = ELECTION_TIMEOUT.min(self.failover_timeout);
            if now.saturating_sub(start) > limit {
                self.abort_failover(now, "-failover-abort-not-elected");
            }
            return;
        }
        let Some(m) = &mut self.m else { return };
        m.stage = Stage::SelectSlave;
        m.stage_at = now;
        self.event("+elected-leader");
    }

    fn send_no_one(&mut self, now: u64) {
        let timeout = self.failover_timeout;
        let Some(m) = &self.m else { return };
        let (Some(p), at) = (m.promoted, m.stage_at) else { return };
        if !m.replicas.get(&p).is_some_and(|i| i.connected) {
            if now - at > timeout {
                self.abort_failover(now, "-failover-abort-slave-timeout");
            }
            return;
        }
        self.command(Key::Replica(p), Cmd::SlaveOf(None));
        let Some(m) = &mut self.m else { return };
        m.stage = Stage::WaitPromotion;
        m.stage_at = now;
        self.event("+failover-state-wait-promotion");
    }

    /// `sentinelSelectSlave`.
    pub fn select(&self, now: u64) -> Option<Address> {
        let m = self.m.as_ref()?;
        let down = if m.inst.s_down() { now - m.inst.s_down_since } else { 0 };
        let max_link_down = down + self.down_after * 10;
        let valid = if m.inst.s_down() { PING_PERIOD * 5 } else { self.info_period * 3 };
        m.replicas
            .values()
            .filter(|i| {
                !i.s_down()
                    && i.connected
                    && now - i.last_avail <= PING_PERIOD * 5
                    && i.priority != 0
                    && i.info_at != 0
                    && now - i.info_at <= valid
                    && i.link_down <= max_link_down
            })
            .min_by_key(|i| (i.priority, std::cmp::Reverse(i.offset), i.run))
            .map(|i| i.addr)
    }

    fn reconf(&mut self, now: u64) {
        let timeout = self.failover_timeout;
        let Some(m) = &mut self.m else { return };
        let Some(p) = m.promoted else { return };
        let mut busy = m.replicas.values().filter(|i| matches!(i.reconf, Reconf::Sent | Reconf::InProgress)).count();
        let mut orders = Vec::new();
        for (&a, i) in &mut m.replicas {
            if i.reconf == Reconf::Sent && now - i.reconf_at > RECONF_TIMEOUT {
                i.reconf = Reconf::Done;
            }
            if a == p || i.reconf != Reconf::No || !i.connected || busy >= 1 {
                continue;
            }
            i.reconf = Reconf::Sent;
            i.reconf_at = now;
            busy += 1;
            orders.push(a);
        }
        // sentinelFailoverDetectEnd
        let promoted_down = m.replicas.get(&p).is_none_or(super::Inst::s_down);
        let left = m.replicas.iter().filter(|&(&a, i)| a != p && i.reconf != Reconf::Done && !i.s_down()).count();
        let late = now - m.stage_at > timeout;
        let ends = !promoted_down && (left == 0 || late);
        if ends {
            m.stage = Stage::UpdateConfig;
            m.stage_at = now;
            if late {
                let rest = m.replicas.iter().filter(|&(&a, i)| a != p && i.reconf == Reconf::No && i.connected);
                orders.extend(rest.map(|(&a, _)| a));
            }
        }
        for a in orders {
            self.command(Key::Replica(a), Cmd::SlaveOf(Some(p)));
        }
        if ends {
            self.event("+failover-end");
        }
    }

    /// `sentinelFailoverSwitchToPromotedSlave`.
    pub fn switch_if_done(&mut self, now: u64) {
        let Some(m) = &self.m else { return };
        if m.stage == Stage::UpdateConfig
            && let Some(p) = m.promoted
        {
            self.change_master(p, now);
        }
    }
}
