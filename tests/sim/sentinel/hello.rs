//! Hello messages: how Sentinels find each other and agree, and what a change of master resets.

use redinit::core::id::Address;

use super::{Cmd, Id, Inst, Key, Monitored, PUBLISH_PERIOD, Sentinel};

/// What a hello says.
#[derive(Clone, Debug)]
pub struct Hello {
    pub from: Id,
    /// The name of the master that it is about.
    pub group: usize,
    pub at: Address,
    pub current_epoch: u64,
    pub master: Address,
    pub config_epoch: u64,
}

impl Sentinel {
    /// Publishes on one link.
    pub fn say_hello(&mut self, key: Key, now: u64) {
        let Some(m) = &self.m else { return };
        let hello = Hello {
            from: self.id,
            group: self.group,
            at: self.me,
            current_epoch: self.current_epoch,
            master: m.named(),
            config_epoch: m.config_epoch,
        };
        if let Some(i) = self.inst(key) {
            i.last_pub = now;
        }
        self.command(key, Cmd::Hello(hello));
    }

    /// `sentinelForceHelloUpdateForMaster`: the next turn of the timer publishes everywhere.
    pub fn hurry_hello(&mut self) {
        for key in self.keys() {
            if let Some(i) = self.inst(key) {
                i.last_pub = i.last_pub.saturating_sub(PUBLISH_PERIOD + 1);
            }
        }
    }

    /// `sentinelProcessHelloMessage`.
    pub fn hear_hello(&mut self, h: &Hello, now: u64) {
        if h.from == self.id || h.group != self.group {
            return;
        }
        let Some(m) = &mut self.m else { return };
        let known = m.sentinels.get(&h.from).is_some_and(|s| s.addr == h.at);
        if !known {
            let same_place: Vec<Id> = m.sentinels.iter().filter(|(_, s)| s.addr == h.at).map(|(&i, _)| i).collect();
            for id in same_place {
                m.sentinels.remove(&id);
            }
            m.sentinels.insert(h.from, Inst::new(h.at, now, false));
        }
        if let Some(s) = m.sentinels.get_mut(&h.from) {
            s.last_hello = now;
        }
        let newer = m.config_epoch < h.config_epoch;
        let other = m.named() != h.master;
        if newer {
            m.config_epoch = h.config_epoch;
        }
        self.current_epoch = self.current_epoch.max(h.current_epoch);
        if newer && other {
            self.event("+config-update-from");
            self.change_master(h.master, now);
        }
    }

    /// `sentinelResetMasterAndChangeAddress`: a failover under way is forgotten with everything else.
    pub fn change_master(&mut self, to: Address, now: u64) {
        let Some(old) = self.m.take() else { return };
        let mut m = Monitored::new(to, now);
        m.config_epoch = old.config_epoch;
        m.leader_epoch = old.leader_epoch;
        m.sentinels = old.sentinels;
        for a in old.replicas.keys().copied().chain([old.inst.addr]).filter(|&a| a != to) {
            m.replicas.insert(a, Inst::new(a, now, false));
        }
        self.m = Some(m);
        self.event("+switch-master");
    }

    /// `SENTINEL RESET`.
    pub fn reset(&mut self, now: u64) {
        let Some(old) = self.m.take() else { return };
        let mut m = Monitored::new(old.inst.addr, now);
        m.config_epoch = old.config_epoch;
        m.leader_epoch = old.leader_epoch;
        self.m = Some(m);
        self.event("+reset-master");
    }
}
