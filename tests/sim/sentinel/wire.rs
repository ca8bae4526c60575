//! Carries a Sentinel's commands to servers and other Sentinels, and the replies back.

use redinit::core::event::Event;
use redinit::core::id::Address;

use super::{Cmd, Hello, InfoReply, Key, Out, Reply, Sentinel};
use crate::net::{Sent, Way};
use crate::server::{LinkState, Role};
use crate::world::{Body, HostId, HostRole, Job, Which, World};

impl World {
    /// Starts a Sentinel process from its file.
    pub fn start_sentinel(&mut self, t: HostId) {
        let file = self.hosts[t].sentinel_disk.clone().unwrap_or_default();
        let random = self.rng.next();
        let id = self.sentinel_id(t);
        let mut s = Sentinel::new(id, self.address(t), &file, self.now, random);
        s.group = self.group_of(t);
        s.quorum = self.config.sentinels / 2 + 1;
        s.down_after = self.config.down_after_ms * 1000;
        s.failover_timeout = self.config.failover_timeout_ms * 1000;
        self.begin_process(t, Which::Child);
        self.hosts[t].child = Body::Sentinel(Box::new(s));
        crate::say!(self, "{} Sentinel starts", self.hosts[t].name);
        self.sentinel_timer(t);
    }

    fn sentinel_timer(&mut self, t: HostId) {
        let now = self.now;
        let Some(s) = self.sentinel_mut(t) else { return };
        s.timer(now);
        let next = now + s.tick;
        self.flush_sentinel(t);
        self.at_process(next, t, Which::Child, Box::new(move |w| w.sentinel_timer(t)));
    }

    /// Does what a Sentinel wants done.
    pub fn flush_sentinel(&mut self, t: HostId) {
        let Some(s) = self.sentinel_mut(t) else { return };
        let out = std::mem::take(&mut s.out);
        for o in out {
            match o {
                Out::Event(name) => self.sentinel_event(t, name),
                Out::Connect { key, to, conn } => self.sentinel_connect(t, key, to, conn),
                Out::Command { key, to, conn, cmd } => self.sentinel_command(t, key, to, conn, cmd),
            }
        }
    }

    fn sentinel_event(&mut self, t: HostId, name: &'static str) {
        if self.tracing {
            let m = self.sentinel(t).and_then(|s| s.m.as_ref());
            let about = m.map(|m| {
                let p = m.promoted.map_or(String::new(), |p| format!(" promoted {p}"));
                format!("{} epoch {} (failover {}){p}", m.named(), m.config_epoch, m.failover_epoch)
            });
            crate::say!(self, "{} {name} {}", self.hosts[t].name, about.unwrap_or_default());
        }
        self.watch.sentinel_event(name);
        let wakes = name.starts_with("+failover") || name.ends_with("master") || name.starts_with("-failover");
        if wakes || matches!(name, "+selected-slave" | "+promoted-slave" | "+config-update-from" | "+odown") {
            self.wake_watchers(t);
        }
    }

    /// Supervisors that are subscribed to this Sentinel look again.
    fn wake_watchers(&mut self, t: HostId) {
        let at = self.address(t);
        let recent = self.now.saturating_sub(5_000_000);
        for h in self.pods() {
            if self.hosts[h].sup.watched.get(&t).is_none_or(|&seen| seen < recent) {
                continue;
            }
            let generation = self.hosts[h].sup_proc.generation;
            let job: Job = Box::new(move |w| w.tell(h, Event::Wake { at }));
            let arrive = Box::new(move |w: &mut World| {
                w.post(h, Which::Sup, Some(generation), job);
            });
            self.send(t, h, Way::Link, arrive);
        }
    }

    fn sentinel_connect(&mut self, t: HostId, key: Key, to: Address, conn: u64) {
        let Some(h) = self.host_at(to) else { return self.reset_later(t, key, conn) };
        let arrive = Box::new(move |w: &mut World| {
            let open = match w.hosts[h].role {
                HostRole::Server => w.server(h).is_some_and(|s| s.door),
                _ => w.hosts[h].child_proc.alive,
            };
            if !open {
                w.send(h, t, Way::Link, Box::new(move |w| w.sentinel_reset(t, key, conn)));
            }
        });
        if self.send(t, h, Way::Link, arrive) == Sent::Rejected {
            self.reset_later(t, key, conn);
        }
    }

    fn reset_later(&mut self, t: HostId, key: Key, conn: u64) {
        let at = self.now + 300;
        self.at(at, Box::new(move |w| w.sentinel_reset(t, key, conn)));
    }

    fn sentinel_reset(&mut self, t: HostId, key: Key, conn: u64) {
        let job: Job = Box::new(move |w| {
            if let Some(s) = w.sentinel_mut(t) {
                s.hear_reset(key, conn);
            }
        });
        self.post(t, Which::Child, None, job);
    }

    /// A process somewhere has ended; its links are reset.
    pub fn sentinel_link_reset(&mut self, t: HostId, at: Address) {
        let job: Job = Box::new(move |w| {
            if let Some(s) = w.sentinel_mut(t) {
                s.hear_end(at);
            }
        });
        self.post(t, Which::Child, None, job);
    }

    fn sentinel_command(&mut self, t: HostId, key: Key, to: Address, conn: u64, cmd: Cmd) {
        let Some(h) = self.host_at(to) else { return };
        let arrive = Box::new(move |w: &mut World| {
            let serve: Job = match w.hosts[h].role {
                HostRole::Server => Box::new(move |w| w.server_command(t, key, h, conn, cmd)),
                _ => Box::new(move |w| w.sentinel_serves(t, key, h, conn, cmd)),
            };
            if w.hand(h, Which::Child, None, serve).is_err() {
                w.send(h, t, Way::Link, Box::new(move |w| w.sentinel_reset(t, key, conn)));
            }
        });
        if self.send(t, h, Way::Link, arrive) == Sent::Rejected {
            self.reset_later(t, key, conn);
        }
    }

    fn sentinel_reply(&mut self, h: HostId, t: HostId, key: Key, conn: u64, reply: Reply) {
        let back = Box::new(move |w: &mut World| {
            let job: Job = Box::new(move |w| {
                let now = w.now;
                if let Some(s) = w.sentinel_mut(t) {
                    s.hear(key, conn, reply, now);
                }
                w.flush_sentinel(t);
            });
            w.post(t, Which::Child, None, job);
        });
        self.send(h, t, Way::Link, back);
    }

    /// A Sentinel's command at a server. Behind a paused PUBLISH everything of that link waits.
    fn server_command(&mut self, t: HostId, key: Key, h: HostId, conn: u64, cmd: Cmd) {
        let now = self.now;
        let Some(s) = self.server_mut(h) else { return };
        let starts_block = matches!(cmd, Cmd::Hello(_)) && s.is_master() && s.paused_until > now;
        if starts_block || s.blocked.contains_key(&t) {
            let job: Job = Box::new(move |w| w.server_command(t, key, h, conn, cmd));
            s.blocked.entry(t).or_default().push(job);
            return;
        }
        let reply = match cmd {
            Cmd::Ping => Reply::Pong,
            Cmd::Info if s.info_refused => Reply::Nothing,
            Cmd::Info => Reply::Info(Box::new(self.info_of(h))),
            Cmd::Hello(hello) => {
                self.hello_through(h, &hello);
                Reply::Nothing
            }
            Cmd::SlaveOf(_) if s.gated => Reply::Nothing,
            Cmd::SlaveOf(None) => {
                self.lead(h);
                Reply::Nothing
            }
            Cmd::SlaveOf(master) => {
                self.follow(h, master);
                Reply::Nothing
            }
            Cmd::IsDown { .. } => Reply::Nothing,
        };
        self.sentinel_reply(h, t, key, conn, reply);
    }

    fn info_of(&self, h: HostId) -> InfoReply {
        let Body::Server(s) = &self.hosts[h].child else { unreachable!("asked of a server") };
        let (follows, master) = match s.role {
            Role::Master => (None, true),
            Role::Replica(m) => (m, false),
        };
        let up = s.link == LinkState::Up;
        InfoReply {
            run: s.run,
            master,
            follows,
            link_up: up,
            link_down: if up || master { 0 } else { (self.now - s.link_down_since).max(1) },
            priority: s.priority,
            offset: s.offset,
            replicas: s.replicas.values().map(|a| a.at).collect(),
        }
    }

    /// A server passes a hello on to every Sentinel that listens there.
    fn hello_through(&mut self, h: HostId, hello: &Hello) {
        let at = self.address(h);
        for t in self.all_sentinels() {
            let listens = self.sentinel(t).is_some_and(|s| {
                s.id != hello.from
                    && s.m.as_ref().is_some_and(|m| {
                        (m.inst.addr == at && m.inst.connected) || m.replicas.get(&at).is_some_and(|i| i.connected)
                    })
            });
            if listens {
                let hello = hello.clone();
                self.send(h, t, Way::Link, Box::new(move |w| w.deliver_hello(t, hello)));
            }
        }
    }

    fn deliver_hello(&mut self, t: HostId, hello: Hello) {
        let job: Job = Box::new(move |w| {
            let now = w.now;
            if let Some(s) = w.sentinel_mut(t) {
                s.hear_hello(&hello, now);
            }
            w.flush_sentinel(t);
        });
        self.post(t, Which::Child, None, job);
    }

    /// A Sentinel's command at another Sentinel.
    fn sentinel_serves(&mut self, t: HostId, key: Key, other: HostId, conn: u64, cmd: Cmd) {
        let now = self.now;
        let Some(s) = self.sentinel_mut(other) else { return };
        let reply = match cmd {
            Cmd::Ping => Reply::Pong,
            Cmd::Hello(hello) => {
                s.hear_hello(&hello, now);
                Reply::Nothing
            }
            Cmd::IsDown { master, epoch, candidate } => s.is_down(master, epoch, candidate, now),
            Cmd::Info | Cmd::SlaveOf(_) => Reply::Nothing,
        };
        self.flush_sentinel(other);
        self.sentinel_reply(other, t, key, conn, reply);
    }
}
