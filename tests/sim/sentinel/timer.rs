//! `sentinelTimer`: TILT, links, periodic commands, who is down.

use super::{
    ASK_PERIOD, Cmd, Key, MIN_RECONNECT, Out, PING_PERIOD, PUBLISH_PERIOD, Sentinel, TILT_PERIOD, TILT_TRIGGER,
};
use crate::world::SEC;

impl Sentinel {
    /// One turn of the timer (every 50 to 100 ms).
    pub fn timer(&mut self, now: u64) {
        if now.saturating_sub(self.previous) > TILT_TRIGGER {
            self.tilt_since = now;
            self.event("+tilt");
        }
        self.previous = now;
        if self.m.is_none() {
            return;
        }
        for key in self.keys() {
            self.reconnect(key, now);
            self.periodic(key, now);
        }
        if self.tilt() {
            if now - self.tilt_since < TILT_PERIOD {
                return;
            }
            self.tilt_since = 0;
            self.event("-tilt");
        }
        for key in self.keys() {
            self.check_s_down(key, now);
            if key == Key::Master {
                self.check_o_down(now);
                if self.start_if_needed(now) {
                    self.ask_others(now, true);
                }
                self.failover_step(now);
                self.ask_others(now, false);
            }
        }
        self.switch_if_done(now);
    }

    fn reconnect(&mut self, key: Key, now: u64) {
        let conn = self.new_conn();
        let Some(i) = self.inst(key) else { return };
        if i.connected || now - i.last_reconnect < PING_PERIOD {
            return;
        }
        i.last_reconnect = now;
        i.connected = true;
        i.conn = conn;
        i.conn_since = now;
        let to = i.addr;
        self.out.push(Out::Connect { key, to, conn });
        self.ping(key, now);
    }

    fn ping(&mut self, key: Key, now: u64) {
        let Some(i) = self.inst(key) else { return };
        i.last_ping = now;
        if i.act_ping == 0 {
            i.act_ping = now;
        }
        self.command(key, Cmd::Ping);
    }

    /// Sends a command on the link of this instance, where there is one.
    pub fn command(&mut self, key: Key, cmd: Cmd) -> bool {
        let Some(i) = self.inst(key) else { return false };
        if !i.connected {
            return false;
        }
        let (to, conn) = (i.addr, i.conn);
        self.out.push(Out::Command { key, to, conn, cmd });
        true
    }

    fn periodic(&mut self, key: Key, now: u64) {
        let normal = self.info_period;
        let ping_period = self.down_after.min(PING_PERIOD);
        let Some(m) = &self.m else { return };
        let hurry = m.o_down || m.in_failover();
        let Some(i) = self.inst(key) else { return };
        if !i.connected {
            return;
        }
        let info_period = match key {
            Key::Replica(_) if hurry || i.link_down != 0 => SEC,
            _ => normal,
        };
        let info = !matches!(key, Key::Sentinel(_)) && (i.info_at == 0 || now - i.info_at > info_period);
        let ping = now - i.last_pong > ping_period && now - i.last_ping > ping_period / 2;
        let hello = now - i.last_pub > PUBLISH_PERIOD;
        if info {
            self.command(key, Cmd::Info);
        }
        if ping {
            self.ping(key, now);
        }
        if hello {
            self.say_hello(key, now);
        }
    }

    fn check_s_down(&mut self, key: Key, now: u64) {
        let (down_after, info) = (self.down_after, self.info_period);
        let Some(i) = self.inst(key) else { return };
        let elapsed = if i.act_ping != 0 {
            now - i.act_ping
        } else if !i.connected {
            now - i.last_avail
        } else {
            0
        };
        if i.connected
            && now - i.conn_since > MIN_RECONNECT
            && i.act_ping != 0
            && now - i.act_ping > down_after / 2
            && now - i.last_pong > down_after / 2
        {
            i.connected = false;
        }
        let claims_slave = key == Key::Master && !i.role_master && now - i.role_at > down_after + info * 2;
        let down = elapsed > down_after || claims_slave;
        if down && i.s_down_since == 0 {
            i.s_down_since = now;
            self.event(if key == Key::Master { "+sdown master" } else { "+sdown" });
        } else if !down && i.s_down_since != 0 {
            i.s_down_since = 0;
            self.event("-sdown");
        }
    }

    fn check_o_down(&mut self, now: u64) {
        let quorum = self.quorum;
        let Some(m) = &mut self.m else { return };
        let was = m.o_down;
        m.o_down = m.inst.s_down() && 1 + m.sentinels.values().filter(|s| s.says_down).count() >= quorum;
        let is = m.o_down;
        for s in m.sentinels.values_mut() {
            if now - s.last_down_reply > ASK_PERIOD * 5 {
                s.says_down = false;
                s.leader = None;
            }
        }
        if is && !was {
            self.event("+odown");
        }
    }

    fn ask_others(&mut self, now: u64, forced: bool) {
        let epoch = self.current_epoch;
        let me = self.id;
        let Some(m) = &self.m else { return };
        if !m.inst.s_down() {
            return;
        }
        let candidate = m.in_failover().then_some(me);
        let master = m.inst.addr;
        let due: Vec<Key> = m
            .sentinels
            .iter()
            .filter(|(_, s)| s.connected && (forced || now - s.last_down_reply >= ASK_PERIOD))
            .map(|(&id, _)| Key::Sentinel(id))
            .collect();
        for key in due {
            self.command(key, Cmd::IsDown { master, epoch, candidate });
        }
    }
}
