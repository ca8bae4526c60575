//! The life of a server process: birth, end, clients' writes, pauses, what is on disk afterwards.

use redinit::core::event::{ChildExit, Event};
use redinit::core::id::Address;

use crate::net::Way;
use crate::server::{LinkState, NoWrite, Persistence, Role, Server, Write};
use crate::world::{Body, HostId, Job, MS, SEC, Which, World};

/// Takes the answer to a write back; `None`: the server is gone.
pub type WriteAnswer = Box<dyn FnOnce(&mut World, Option<Result<(), NoWrite>>)>;

impl World {
    /// Starts a server process: from a supervisor, behind gate and shut door; `bare`: as any other image does.
    pub fn start_server(&mut self, h: HostId, bare: bool) {
        let run = self.rng.next();
        let fresh = self.rng.next();
        let loads = !self.hosts[h].disk.data.is_empty();
        let mut s = Server::born(&self.hosts[h].disk, self.config.persistence, run, fresh);
        s.loading_until = self.now + if loads { self.config.load_ms * MS } else { MS };
        s.link_down_since = self.now;
        if bare {
            s.door = true;
            s.gated = false;
            s.min_replicas = 0;
        }
        self.begin_process(h, Which::Child);
        self.hosts[h].child = Body::Server(Box::new(s));
        crate::say!(self, "{} server starts", self.hosts[h].name);
        let first = self.now + self.rng.range(10 * MS, SEC);
        self.at_process(first, h, Which::Child, Box::new(move |w| w.server_cron(h)));
    }

    /// Once a second: PING into the stream, acknowledgement, reconnection, time-outs, snapshots.
    fn server_cron(&mut self, h: HostId) {
        let now = self.now;
        let snapshot = self.config.persistence == Persistence::Rdb && self.rng.chance(60);
        let Some(s) = self.server_mut(h) else { return };
        let mut cut = false;
        match s.role {
            Role::Master => {
                if !s.replicas.is_empty() {
                    s.append(0);
                }
                s.replicas.retain(|_, r| now - r.ack_at < 60 * SEC);
            }
            Role::Replica(_) => cut = s.link == LinkState::Up && now - s.last_byte > 60 * SEC,
        }
        // A connection that got stuck on the way (its other end died before it was read) is tried again.
        let stuck = s.link == LinkState::Connecting && now - s.connecting_since > 3 * SEC
            || s.link == LinkState::Syncing && now - s.connecting_since > 20 * SEC;
        let down = matches!(s.role, Role::Replica(Some(_))) && (s.link == LinkState::Down || stuck);
        if snapshot {
            self.save_disk(h);
        }
        if cut {
            self.break_link(h);
        } else if down {
            self.connect_master(h);
        }
        self.pump_all(h);
        self.acknowledge(h);
        self.at_process(now + SEC, h, Which::Child, Box::new(move |w| w.server_cron(h)));
    }

    /// Writes the data set to disk (RDB).
    pub fn save_disk(&mut self, h: HostId) {
        let seconds = self.now / SEC;
        let host = &mut self.hosts[h];
        let Body::Server(s) = &mut host.child else { return };
        s.last_save = seconds;
        host.disk.data.clone_from(&s.data);
        host.disk.position = Some((s.replid, s.offset, s.second));
    }

    /// The server process ends. `clean`: it saved first.
    pub fn end_server(&mut self, h: HostId, clean: bool, exit: ChildExit) {
        if !self.hosts[h].child_proc.alive {
            return;
        }
        crate::say!(self, "{} child ends: {exit:?}", self.hosts[h].name);
        match self.config.persistence {
            Persistence::None => self.hosts[h].disk.data.clear(),
            Persistence::Rdb if clean => self.save_disk(h),
            Persistence::Rdb => {}
            Persistence::Aof => {
                self.save_disk(h);
                let reached = self.hosts[h].disk.position.take().map_or(0, |(_, offset, _)| offset);
                // Pings are not in the file; without a backlog the engine counts nothing, and the file grows.
                self.hosts[h].disk.reckoned = match self.config.reckons_offset {
                    true => (reached + self.rng.below(20)).saturating_sub(8),
                    false => 0,
                };
            }
        }
        if let Body::Sentinel(s) = &self.hosts[h].child {
            let file = s.file();
            self.hosts[h].sentinel_disk = Some(file);
        }
        self.end_process(h, Which::Child);
        let was = std::mem::replace(&mut self.hosts[h].child, Body::None);
        self.connections_break(h, was);
        let at = self.now + MS;
        self.at_process(at, h, Which::Sup, Box::new(move |w| w.tell(h, Event::ChildExited(exit))));
    }

    /// Everybody connected to a process that has ended is told by a reset, where a packet comes through.
    fn connections_break(&mut self, h: HostId, was: Body) {
        if let Body::Server(s) = was {
            self.wake_those_connected(h);
            for &r in s.replicas.keys() {
                let conn = s.replicas[&r].conn;
                self.send(h, r, Way::Stream, Box::new(move |w| w.link_reset(r, h, conn)));
            }
            for job in s.waiting {
                // Clients of a dead process see the connection end; the job itself looks and finds nobody.
                self.at(self.now + MS, job);
            }
            if let Role::Replica(Some(m)) = s.role
                && let Some(m) = self.host_at(m)
            {
                let conn = s.conn;
                self.send(h, m, Way::Stream, Box::new(move |w| w.replica_gone(m, h, conn)));
            }
        }
        for t in self.all_sentinels() {
            let at = self.address(h);
            self.send(h, t, Way::Stream, Box::new(move |w| w.sentinel_link_reset(t, at)));
        }
    }

    /// Supervisors keep a connection to a master that they have seen: its end wakes them.
    fn wake_those_connected(&mut self, h: HostId) {
        let at = self.address(h);
        for x in self.servers_of(self.cluster_of(h)).filter(|&x| x != h) {
            let job: Job = Box::new(move |w| w.tell(x, Event::Wake { at }));
            self.send(h, x, Way::Stream, Box::new(move |w| w.post(x, Which::Sup, None, job)));
        }
    }

    /// A client's write reaches the server. The answer may come only when a pause ends.
    pub fn serve_write(&mut self, h: HostId, id: Write, answer: WriteAnswer) {
        let now = self.now;
        let Some(s) = self.server_mut(h) else { return answer(self, None) };
        if s.loading_until > now {
            return answer(self, Some(Err(NoWrite::Loading)));
        }
        if s.role == Role::Master && s.paused_until > now {
            let job: Job = Box::new(move |w| w.serve_write(h, id, answer));
            s.waiting.push(job);
            return;
        }
        let result = s.write(id);
        if result.is_ok() {
            self.pump_all(h);
        }
        answer(self, Some(result));
    }

    /// Pauses writers; a second pause can only lengthen.
    pub fn pause(&mut self, h: HostId, us: u64) {
        let now = self.now;
        let Some(s) = self.server_mut(h) else { return };
        s.paused_until = s.paused_until.max(now + us);
        let until = s.paused_until;
        self.at_process(
            until,
            h,
            Which::Child,
            Box::new(move |w| {
                let ended = w.server(h).is_some_and(|s| s.paused_until != 0 && s.paused_until <= w.now);
                if ended {
                    w.unpause(h);
                }
            }),
        );
    }

    /// Ends a pause: what waited is done now, in order.
    pub fn unpause(&mut self, h: HostId) {
        let Some(s) = self.server_mut(h) else { return };
        s.paused_until = 0;
        let waiting = std::mem::take(&mut s.waiting);
        let blocked = std::mem::take(&mut s.blocked);
        for job in waiting {
            job(self);
        }
        for job in blocked.into_values().flatten() {
            job(self);
        }
    }

    /// SIGTERM to a server of Redis 7: writes stop, replicas drain, it saves and ends.
    pub fn terminate_server(&mut self, h: HostId) {
        let now = self.now;
        let Some(s) = self.server_mut(h) else { return };
        if s.shutting {
            return;
        }
        s.shutting = true;
        s.paused_until = u64::MAX;
        let deadline = now + 10 * SEC;
        self.at_process(now + 60 * MS, h, Which::Child, Box::new(move |w| w.drain(h, deadline)));
    }

    fn drain(&mut self, h: HostId, deadline: u64) {
        let Some(s) = self.server(h) else { return };
        let o = s.offset;
        let late = s.replicas.iter().filter(|(_, a)| a.online).any(|(&r, _)| {
            self.server(r).is_some_and(|x| x.offset < o && x.link == LinkState::Up) && !self.hosts[r].silent
        });
        if late && !s.no_drain && self.now < deadline {
            let at = self.now + 20 * MS;
            self.at_process(at, h, Which::Child, Box::new(move |w| w.drain(h, deadline)));
        } else {
            self.end_server(h, true, ChildExit::Code(0));
        }
    }

    /// `REPLICAOF host port` as the server carries it out.
    pub fn follow(&mut self, h: HostId, master: Option<Address>) {
        let now = self.now;
        let Some(s) = self.server_mut(h) else { return };
        if s.role == Role::Replica(master) {
            return;
        }
        let old = match s.role {
            Role::Replica(Some(m)) => Some((m, s.conn)),
            _ => None,
        };
        s.role = Role::Replica(master);
        s.conn += 1;
        s.link = LinkState::Down;
        s.link_down_since = now;
        crate::say!(self, "{} is now a replica of {master:?}", self.hosts[h].name);
        if let Some((m, conn)) = old
            && let Some(m) = self.host_at(m)
        {
            self.send(h, m, Way::Stream, Box::new(move |w| w.replica_gone(m, h, conn)));
        }
        self.connect_master(h);
    }

    /// `REPLICAOF NO ONE`.
    pub fn lead(&mut self, h: HostId) {
        let fresh = self.rng.next();
        let Some(s) = self.server_mut(h) else { return };
        let old = match s.role {
            Role::Replica(Some(m)) => Some((m, s.conn)),
            _ => None,
        };
        s.promote(fresh);
        let fenced = s.fenced();
        crate::say!(self, "{} is now a master{}", self.hosts[h].name, if fenced { ", fenced" } else { "" });
        if let Some((m, conn)) = old
            && let Some(m) = self.host_at(m)
        {
            self.send(h, m, Way::Stream, Box::new(move |w| w.replica_gone(m, h, conn)));
        }
        // They must learn of the new history (`replicationUnsetMaster`; measured: linked again within 1.5 s).
        self.drop_replicas(h);
    }
}
