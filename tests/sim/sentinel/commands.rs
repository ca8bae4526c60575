//! Commands that a Sentinel answers, and replies that it gets.

use redinit::core::event::SentinelReply;
use redinit::core::id::Address;

use super::{Id, Key, Reply, Sentinel};

impl Sentinel {
    /// `SENTINEL FAILOVER`: also in TILT it says OK (M2).
    pub fn command_failover(&mut self, now: u64) -> SentinelReply {
        let Some(m) = &self.m else { return SentinelReply::Error("ERR No such master with that name".into()) };
        if m.in_failover() {
            return SentinelReply::InProgress;
        }
        if self.select(now).is_none() {
            return SentinelReply::NoGoodReplica;
        }
        self.start_failover(now);
        if let Some(m) = &mut self.m {
            m.forced = true;
        }
        SentinelReply::Ok
    }

    /// `SENTINEL CKQUORUM`.
    pub fn quorum_ok(&self) -> bool {
        self.m.as_ref().is_some_and(|m| {
            let voters = m.sentinels.len() + 1;
            let usable = 1 + m.sentinels.values().filter(|s| !s.s_down()).count();
            usable >= self.quorum && usable > voters / 2
        })
    }

    /// `SENTINEL IS-MASTER-DOWN-BY-ADDR`.
    pub fn is_down(&mut self, master: Address, epoch: u64, candidate: Option<Id>, now: u64) -> Reply {
        let tilt = self.tilt();
        let ours = self.m.as_ref().filter(|m| m.inst.addr == master);
        let down = !tilt && ours.is_some_and(|m| m.inst.s_down());
        let (leader, leader_epoch) = match candidate {
            Some(c) if ours.is_some() => self.vote(epoch, c, now),
            _ => (None, 0),
        };
        Reply::IsDown { down, leader, leader_epoch, asked_vote: candidate.is_some() }
    }

    /// A reply came on this connection.
    pub fn hear(&mut self, key: Key, conn: u64, reply: Reply, now: u64) {
        let Some(i) = self.inst(key) else { return };
        if i.conn != conn || !i.connected {
            return;
        }
        match reply {
            Reply::Pong => {
                i.last_avail = now;
                i.act_ping = 0;
                i.last_pong = now;
            }
            Reply::Info(info) => self.hear_info(key, &info, now),
            Reply::Nothing => {}
            Reply::IsDown { down, leader, leader_epoch, asked_vote } => {
                i.last_down_reply = now;
                i.says_down = down;
                if asked_vote {
                    i.leader = leader;
                    i.leader_epoch = leader_epoch;
                }
            }
        }
    }

    /// A connection was reset or refused.
    pub fn hear_reset(&mut self, key: Key, conn: u64) {
        if let Some(i) = self.inst(key).filter(|i| i.conn == conn) {
            i.connected = false;
        }
    }

    /// The process at this address has ended: every link to it is reset.
    pub fn hear_end(&mut self, at: Address) {
        for key in self.keys() {
            if let Some(i) = self.inst(key).filter(|i| i.addr == at) {
                i.connected = false;
            }
        }
    }
}
