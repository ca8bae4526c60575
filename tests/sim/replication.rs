//! Links between servers: connection, partial or full resync, the stream, acknowledgements, broken links.

use crate::net::{Sent, Way};
use crate::server::{Attached, LinkState, Role, Write};
use crate::world::{HostId, MS, Which, World};

enum Answer {
    No,
    Continue { replid: u64 },
    Full,
}

impl World {
    /// A replica tries to connect to its master.
    pub fn connect_master(&mut self, h: HostId) {
        let now = self.now;
        let Some(s) = self.server_mut(h) else { return };
        let Role::Replica(Some(at)) = s.role else { return };
        s.conn += 1;
        s.link = LinkState::Connecting;
        s.connecting_since = now;
        let (conn, replid, offset) = (s.conn, s.replid, s.offset);
        let (me, master) = (self.address(h), self.host_at(at));
        let Some(m) = master.filter(|_| at != me) else { return self.link_failed(h, conn) };
        let arrive = Box::new(move |w: &mut World| {
            let serve = Box::new(move |w: &mut World| w.serve_sync(m, h, conn, replid, offset));
            let open = w.server(m).is_some_and(|s| s.door);
            if !open || w.hand(m, Which::Child, None, serve).is_err() {
                w.send(m, h, Way::Stream, Box::new(move |w| w.link_failed(h, conn)));
            }
        });
        if self.send(h, m, Way::Stream, arrive) != Sent::Going {
            // Silence: TCP tries again; here the next cron does.
            self.link_failed(h, conn);
        }
    }

    fn link_failed(&mut self, h: HostId, conn: u64) {
        if let Some(s) = self.server_mut(h)
            && s.conn == conn
        {
            s.link = LinkState::Down;
        }
    }

    /// The master's side of PSYNC.
    fn serve_sync(&mut self, m: HostId, r: HostId, conn: u64, replid: u64, offset: u64) {
        let now = self.now;
        let sync = self.config.sync_ms * MS;
        let fresh = self.rng.next();
        let at = self.address(r);
        let Some((login, belongs)) = self.server(r).map(|s| (s.login, s.belongs.clone())) else { return };
        let Some(s) = self.server_mut(m) else { return };
        let ready = s.loading_until <= now && !s.shutting && s.lets_in(login, belongs.as_ref());
        let fed = matches!(s.role, Role::Master) || s.link == LinkState::Up;
        let answer = if !ready || !fed {
            Answer::No
        } else if s.partial(replid, offset) {
            s.replicas.insert(
                r,
                Attached { at, conn, online: true, acked: offset, ack_at: now, sent: offset, pumping: false },
            );
            Answer::Continue { replid: s.replid }
        } else {
            s.create_backlog(fresh);
            s.replicas.insert(r, Attached { at, conn, online: false, acked: 0, ack_at: now, sent: 0, pumping: false });
            Answer::Full
        };
        match answer {
            Answer::No => {
                self.send(m, r, Way::Stream, Box::new(move |w| w.link_failed(r, conn)));
            }
            Answer::Continue { replid } => {
                self.send(m, r, Way::Stream, Box::new(move |w| w.link_up(r, conn, replid)));
                self.pump(m, r);
            }
            Answer::Full => {
                self.send(m, r, Way::Stream, Box::new(move |w| w.link_syncing(r, conn)));
                self.at_process(now + sync, m, Which::Child, Box::new(move |w| w.send_snapshot(m, r, conn)));
            }
        }
    }

    fn link_syncing(&mut self, r: HostId, conn: u64) {
        if let Some(s) = self.server_mut(r)
            && s.conn == conn
        {
            s.link = LinkState::Syncing;
            s.sync_bytes += 1;
        }
    }

    fn link_up(&mut self, r: HostId, conn: u64, replid: u64) {
        let now = self.now;
        let Some(s) = self.server_mut(r) else { return };
        if s.conn != conn || s.is_master() {
            return;
        }
        s.link = LinkState::Up;
        s.was_linked = true;
        s.last_byte = now;
        let changed = s.replid != replid;
        if changed {
            s.second = Some((s.replid, s.offset));
            s.replid = replid;
        }
        s.create_backlog(replid);
        crate::say!(self, "{} link up (partial)", self.hosts[r].name);
        if changed {
            self.drop_replicas(r);
        }
    }

    /// A replica whose history changed lets its own replicas connect anew.
    pub fn drop_replicas(&mut self, h: HostId) {
        let Some(s) = self.server_mut(h) else { return };
        let gone = std::mem::take(&mut s.replicas);
        for (r, a) in gone {
            self.send(h, r, Way::Stream, Box::new(move |w| w.link_reset(r, h, a.conn)));
        }
    }

    fn send_snapshot(&mut self, m: HostId, r: HostId, conn: u64) {
        let Some(s) = self.server_mut(m) else { return };
        let (data, replid, offset) = (s.data.clone(), s.replid, s.offset);
        let Some(a) = s.replicas.get_mut(&r).filter(|a| a.conn == conn) else { return };
        a.sent = offset;
        let sent = self.send(
            m,
            r,
            Way::Stream,
            Box::new(move |w| {
                let job = Box::new(move |w: &mut World| w.load_snapshot(r, m, conn, data, replid, offset));
                w.post(r, Which::Child, None, job);
            }),
        );
        match sent {
            Sent::Going => {}
            Sent::Dropped => {
                let at = self.now + 200 * MS;
                self.at_process(at, m, Which::Child, Box::new(move |w| w.send_snapshot(m, r, conn)));
            }
            Sent::Rejected => self.replica_gone(m, r, conn),
        }
    }

    fn load_snapshot(&mut self, r: HostId, m: HostId, conn: u64, data: Vec<Write>, replid: u64, offset: u64) {
        let now = self.now;
        if self.server(r).is_none_or(|s| s.conn != conn || s.is_master()) {
            return;
        }
        crate::clusters::check_data(self, r, &data, m);
        crate::invariants::check_discard(self, r, m, &data);
        let Some(s) = self.server_mut(r) else { return };
        s.data = data;
        s.ever_written |= !s.data.is_empty();
        s.replid = replid;
        s.second = None;
        s.offset = offset;
        s.has_backlog = false;
        s.create_backlog(replid);
        s.link = LinkState::Up;
        s.was_linked = true;
        s.last_byte = now;
        s.from_aof = false;
        s.sync_bytes += 1;
        crate::say!(self, "{} link up (full)", self.hosts[r].name);
        self.drop_replicas(r);
        if self.config.persistence != crate::server::Persistence::None {
            self.save_disk(r);
        }
        self.send(
            r,
            m,
            Way::Stream,
            Box::new(move |w| {
                let job = Box::new(move |w: &mut World| w.replica_online(m, r, conn, offset));
                w.post(m, Which::Child, None, job);
            }),
        );
    }

    fn replica_online(&mut self, m: HostId, r: HostId, conn: u64, offset: u64) {
        let now = self.now;
        let Some(s) = self.server_mut(m) else { return };
        if let Some(a) = s.replicas.get_mut(&r).filter(|a| a.conn == conn) {
            a.online = true;
            a.acked = offset;
            a.ack_at = now;
        }
        self.pump(m, r);
    }

    /// Sends what is new to every replica.
    pub fn pump_all(&mut self, h: HostId) {
        let Some(s) = self.server(h) else { return };
        let behind: Vec<HostId> =
            s.replicas.iter().filter(|(_, a)| a.online && !a.pumping && a.sent < s.offset).map(|(&r, _)| r).collect();
        for r in behind {
            self.pump(h, r);
        }
    }

    fn pump(&mut self, m: HostId, r: HostId) {
        let Some(s) = self.server_mut(m) else { return };
        let offset = s.offset;
        let Some(a) = s.replicas.get_mut(&r).filter(|a| a.online && !a.pumping && a.sent < offset) else { return };
        a.pumping = true;
        let conn = a.conn;
        let at = self.now + 30;
        self.at_process(at, m, Which::Child, Box::new(move |w| w.pump_now(m, r, conn)));
    }

    fn pump_now(&mut self, m: HostId, r: HostId, conn: u64) {
        let Some(s) = self.server_mut(m) else { return };
        let Some(a) = s.replicas.get(&r).filter(|a| a.conn == conn) else { return };
        let from = a.sent;
        let entries = s.after(from);
        let to = s.offset;
        if let Some(a) = s.replicas.get_mut(&r) {
            a.pumping = false;
        }
        let sent = self.send(
            m,
            r,
            Way::Stream,
            Box::new(move |w| {
                let job = Box::new(move |w: &mut World| w.receive(r, conn, from, entries));
                w.post(r, Which::Child, None, job);
            }),
        );
        match sent {
            Sent::Going => {
                if let Some(a) = self.server_mut(m).and_then(|s| s.replicas.get_mut(&r)) {
                    a.sent = to;
                }
            }
            Sent::Dropped => {
                if let Some(a) = self.server_mut(m).and_then(|s| s.replicas.get_mut(&r)) {
                    a.pumping = true;
                }
                let at = self.now + 200 * MS;
                self.at_process(at, m, Which::Child, Box::new(move |w| w.pump_now(m, r, conn)));
            }
            Sent::Rejected => self.replica_gone(m, r, conn),
        }
    }

    fn receive(&mut self, r: HostId, conn: u64, from: u64, entries: Vec<Write>) {
        let now = self.now;
        let Some(s) = self.server_mut(r) else { return };
        if s.conn != conn || s.link != LinkState::Up || s.is_master() || s.offset != from {
            return;
        }
        crate::clusters::check_data(self, r, &entries, r);
        let Some(s) = self.server_mut(r) else { return };
        for e in entries {
            s.append(e);
        }
        s.last_byte = now;
        self.pump_all(r);
    }

    /// `REPLCONF ACK`, once a second.
    pub fn acknowledge(&mut self, r: HostId) {
        let Some(s) = self.server(r) else { return };
        let (Role::Replica(Some(at)), LinkState::Up) = (s.role, s.link) else { return };
        let (conn, offset) = (s.conn, s.offset);
        let Some(m) = self.host_at(at) else { return };
        let arrive = Box::new(move |w: &mut World| {
            let job = Box::new(move |w: &mut World| {
                let now = w.now;
                let attached = w.server_mut(m).and_then(|s| s.replicas.get_mut(&r)).filter(|a| a.conn == conn);
                match attached {
                    Some(a) => {
                        a.acked = a.acked.max(offset);
                        a.ack_at = now;
                    }
                    None => {
                        w.send(m, r, Way::Stream, Box::new(move |w| w.link_reset(r, m, conn)));
                    }
                }
            });
            if w.hand(m, Which::Child, None, job).is_err() {
                w.send(m, r, Way::Stream, Box::new(move |w| w.link_reset(r, m, conn)));
            }
        });
        if self.send(r, m, Way::Stream, arrive) == Sent::Rejected {
            self.link_reset(r, m, conn);
        }
    }

    /// The replica's link was reset from the other side.
    pub fn link_reset(&mut self, r: HostId, _m: HostId, conn: u64) {
        self.post(
            r,
            Which::Child,
            None,
            Box::new(move |w| {
                let current = w.server(r).is_some_and(|s| s.conn == conn && s.link != LinkState::Down);
                if current {
                    w.break_link(r);
                }
            }),
        );
    }

    /// The replica drops its link (`CLIENT KILL TYPE master`, reset, time-out) and tries again at once.
    pub fn break_link(&mut self, r: HostId) {
        let now = self.now;
        let Some(s) = self.server_mut(r) else { return };
        let Role::Replica(Some(at)) = s.role else { return };
        let conn = s.conn;
        if s.link == LinkState::Up {
            s.link_down_since = now;
        }
        s.link = LinkState::Down;
        s.conn += 1;
        crate::say!(self, "{} link to {at} down", self.hosts[r].name);
        if let Some(m) = self.host_at(at) {
            self.send(r, m, Way::Stream, Box::new(move |w| w.replica_gone(m, r, conn)));
        }
        let again = now + 50 * MS;
        self.at_process(
            again,
            r,
            Which::Child,
            Box::new(move |w| {
                if w.server(r).is_some_and(|s| s.link == LinkState::Down) {
                    w.connect_master(r);
                }
            }),
        );
    }

    /// The master loses a replica.
    pub fn replica_gone(&mut self, m: HostId, r: HostId, conn: u64) {
        self.post(
            m,
            Which::Child,
            None,
            Box::new(move |w| {
                if let Some(s) = w.server_mut(m)
                    && s.replicas.get(&r).is_some_and(|a| a.conn == conn)
                {
                    s.replicas.remove(&r);
                }
            }),
        );
    }
}
