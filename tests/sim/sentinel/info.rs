//! `sentinelRefreshInstanceInfo`: what INFO changes, and the corrections that bounce off the gate.

use redinit::core::id::Address;

use super::{Cmd, Inst, Key, PUBLISH_PERIOD, Reconf, Sentinel, Stage};

/// What Sentinel reads from INFO.
#[derive(Clone, Debug)]
pub struct InfoReply {
    pub run: u64,
    pub master: bool,
    pub follows: Option<Address>,
    pub link_up: bool,
    /// How long the link has been down, in us; 0 where it is up.
    pub link_down: u64,
    pub priority: u32,
    pub offset: u64,
    pub replicas: Vec<Address>,
}

impl Sentinel {
    /// INFO was answered.
    pub fn hear_info(&mut self, key: Key, info: &InfoReply, now: u64) {
        let Some(i) = self.inst(key) else { return };
        i.info_at = now;
        i.run = Some(info.run);
        i.link_down = if info.master { 0 } else { info.link_down };
        if i.role_master != info.master {
            i.role_master = info.master;
            i.role_at = now;
            i.follows_at = now;
        }
        if !info.master {
            if i.follows != info.follows {
                i.follows = info.follows;
                i.follows_at = now;
            }
            i.link_up = info.link_up;
            i.priority = info.priority;
            i.offset = info.offset;
        }
        if key == Key::Master && info.master {
            self.learn_replicas(&info.replicas, now);
        }
        if self.tilt() {
            return;
        }
        if let Key::Replica(a) = key {
            if info.master {
                self.replica_says_master(a, now);
            } else {
                self.replica_says_slave(a, now);
            }
        }
    }

    fn learn_replicas(&mut self, listed: &[Address], now: u64) {
        let Some(m) = &mut self.m else { return };
        for &r in listed {
            if r != m.inst.addr && !m.replicas.contains_key(&r) {
                m.replicas.insert(r, Inst::new(r, now, false));
                self.out.push(super::Out::Event("+slave"));
            }
        }
    }

    fn replica_says_master(&mut self, a: Address, now: u64) {
        let sane = self.master_looks_sane(now);
        let Some(m) = &mut self.m else { return };
        let Some(i) = m.replicas.get(&a) else { return };
        if m.promoted == Some(a) && m.stage == Stage::WaitPromotion {
            m.config_epoch = m.failover_epoch;
            m.stage = Stage::ReconfSlaves;
            m.stage_at = now;
            self.event("+promoted-slave");
            self.hurry_hello();
            return;
        }
        let wait = PUBLISH_PERIOD * 4;
        if m.promoted != Some(a) && sane && long_up(i, wait, now) && now - i.role_at > wait {
            let to = m.inst.addr;
            self.command(Key::Replica(a), Cmd::SlaveOf(Some(to)));
            self.event("+convert-to-slave");
        }
    }

    fn replica_says_slave(&mut self, a: Address, now: u64) {
        let sane = self.master_looks_sane(now);
        let wait = self.failover_timeout;
        let Some(m) = &mut self.m else { return };
        let (master, promoted) = (m.inst.addr, m.promoted);
        let Some(i) = m.replicas.get_mut(&a) else { return };
        if i.reconf == Reconf::Sent && i.follows == promoted {
            i.reconf = Reconf::InProgress;
        }
        if i.reconf == Reconf::InProgress && i.link_up {
            i.reconf = Reconf::Done;
        }
        if i.follows != Some(master) && sane && long_up(i, wait, now) && now - i.follows_at > wait {
            self.command(Key::Replica(a), Cmd::SlaveOf(Some(master)));
            self.event("+fix-slave-config");
        }
    }

    fn master_looks_sane(&self, now: u64) -> bool {
        self.m.as_ref().is_some_and(|m| {
            let i = &m.inst;
            i.role_master && !i.s_down() && !m.o_down && now - i.info_at < self.info_period * 2
        })
    }
}

/// `sentinelRedisInstanceNoDownFor`.
fn long_up(i: &Inst, wait: u64, now: u64) -> bool {
    !i.s_down() && now - i.s_down_since > wait
}
