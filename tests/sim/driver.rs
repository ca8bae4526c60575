//! Carries out the core's actions and answers each once, as the drivers do.

use std::time::Duration;

use redinit::core::action::{Action, Exit, Look, SentinelOrder};
use redinit::core::cluster::Identity;
use redinit::core::event::{Event, LOOK_LIMIT};
use redinit::core::id::{Address, RequestId};
use redinit::core::message::{PeerAnswer, PeerMessage};
use redinit::core::seen::Failure;

use crate::looks::service;
use crate::rpc::Responder;
use crate::supervisor::Waiting;
use crate::world::{HostId, HostRole, MS, SEC, Which, World};

fn us(d: Duration) -> u64 {
    d.as_micros() as u64
}

impl World {
    /// Carries out one action of the core on this host.
    pub fn carry_out(&mut self, h: HostId, action: Action) {
        match action {
            Action::Look(look) if self.look_at_foreigner(h, look) => {}
            Action::Look(look) => self.look(h, look),
            Action::Child { id, order } => self.child_order(h, id, order),
            Action::Sentinel { id, at, order } => self.order_sentinel(h, id, at, order),
            Action::Ask { id, to, cluster, message, limit } => self.ask_peer(h, id, to, (cluster, message), limit),
            Action::Reply { to, answer } => self.reply(h, to.0, answer),
            Action::Inform { to, line } => {
                let known = self.hosts[h].sup.replies.contains_key(&to.0);
                if !known {
                    self.violate(format!("{}: tells nobody: {line:?}", self.hosts[h].name));
                }
                crate::say!(self, "{} tells: {line:?}", self.hosts[h].name);
                self.hosts[h].sup.told.push(line);
            }
            Action::Save(record) => self.save_soon(h, *record),
            Action::Promise(record) => self.save_now(h, *record),
            Action::Log(d) => {
                crate::say!(self, "{} {}: {} {:?}", self.hosts[h].name, d.event, d.reason, d.address);
            }
            Action::Label { id, role } => self.label(h, id, role),
            Action::Cluster(tag) => self.hosts[h].sup.cluster = Some(tag),
            Action::LogStatus | Action::Notice(_) => {}
            Action::Exit(exit) => self.exit(h, exit),
        }
    }

    fn exit(&mut self, h: HostId, exit: Exit) {
        crate::say!(self, "{} exits: {exit:?}", self.hosts[h].name);
        if self.hosts[h].child_proc.alive {
            self.violate(format!("{}: exits before its child is gone", self.hosts[h].name));
        }
        self.hosts[h].sup.exit = Some(exit);
        self.flush_saved(h);
        self.end_process(h, Which::Sup);
        let asked = self.hosts[h].sup.stop_asked.is_some();
        if !asked {
            // The orchestrator starts the container again.
            self.at(
                self.now + SEC,
                Box::new(move |w| {
                    if !w.hosts[h].sup_proc.alive {
                        w.start_supervisor(h);
                    }
                }),
            );
        }
    }

    fn look(&mut self, h: HostId, look: Look) {
        let asked = self.moment(h);
        let limit = us(LOOK_LIMIT);
        let me = (h, Which::Sup);
        match look {
            Look::Names => {
                let names = self.names(h);
                let at = self.now + self.rng.range(200, 3 * MS);
                self.at_process(at, h, Which::Sup, Box::new(move |w| w.tell(h, Event::Names(names))));
            }
            Look::Elector => {
                let seen = self.elector_says(h);
                let wait = if seen == Err(Failure::Silent) { limit } else { self.rng.range(200, 3 * MS) };
                let at = self.now + wait;
                self.at_process(at, h, Which::Sup, Box::new(move |w| w.tell(h, Event::Elector { asked, seen })));
            }
            Look::Child { depth } => self.look_at_child(h, depth, asked),
            Look::Sentinel { at, depth } => {
                let Some(t) = self.reach(at) else { return self.no_host(h, look, asked) };
                self.hosts[h].sup.watched.insert(t, self.now);
                self.ask(
                    me,
                    (t, Which::Child),
                    limit,
                    move |w, r| {
                        let now = w.now;
                        let seen = w.sentinel(t).map(|s| s.seen(depth, now)).ok_or(Failure::Nonsense);
                        r.answer(w, seen);
                    },
                    move |w, seen| w.tell(h, Event::Sentinel { at, asked, seen }),
                );
            }
            Look::Server { at } => {
                let Some(s) = self.reach(at) else { return self.no_host(h, look, asked) };
                let by = self.hosts[h].sup.cluster.clone();
                self.ask(
                    me,
                    (s, Which::Child),
                    limit,
                    move |w, r| {
                        let seen = w.server_seen(s, by.as_ref());
                        r.answer(w, seen);
                    },
                    move |w, seen| w.tell(h, Event::Server { at, asked, seen }),
                );
            }
            Look::Supervisor { at } => {
                let Some(s) = self.host_at(at) else { return self.no_host(h, look, asked) };
                self.ask(
                    me,
                    (s, Which::Sup),
                    limit,
                    move |w, r| {
                        let seen = w.supervisor_seen(s);
                        r.answer(w, seen);
                    },
                    move |w, seen| w.tell(h, Event::Supervisor { at, asked, seen }),
                );
            }
        }
    }

    /// An address that nobody has: a reset, as from 127.0.0.1 1 or a Service without endpoints, or silence where
    /// somebody has left it.
    fn no_host(&mut self, h: HostId, look: Look, asked: redinit::core::moment::Moment) {
        let is_service = |at| [HostRole::Sentinel, HostRole::Server].map(service).contains(&at);
        let (seen, after) = match look {
            Look::Sentinel { at, .. } | Look::Server { at } if is_service(at) => (Failure::Refused, 200),
            Look::Sentinel { at, .. } | Look::Server { at } | Look::Supervisor { at } if !at.ip().is_loopback() => {
                (Failure::Silent, us(LOOK_LIMIT))
            }
            _ => (Failure::Refused, 200),
        };
        let event = match look {
            Look::Sentinel { at, .. } => Event::Sentinel { at, asked, seen: Err(seen) },
            Look::Server { at } => Event::Server { at, asked, seen: Err(seen) },
            Look::Supervisor { at } => Event::Supervisor { at, asked, seen: Err(seen) },
            _ => return,
        };
        let at = self.now + after;
        self.at_process(at, h, Which::Sup, Box::new(move |w| w.tell(h, event)));
    }

    fn order_sentinel(&mut self, h: HostId, id: RequestId, at: Address, order: SentinelOrder) {
        crate::say!(self, "{} -> {at}: {order:?}", self.hosts[h].name);
        let Some(t) = self.reach(at) else {
            let job = Box::new(move |w: &mut World| {
                w.tell(h, Event::SentinelDone { id, at, done: Err(Failure::Refused) });
            });
            return self.at_process(self.now + 200, h, Which::Sup, job);
        };
        self.ask(
            (h, Which::Sup),
            (t, Which::Child),
            us(LOOK_LIMIT),
            move |w, r| {
                let reply = w.sentinel_ordered(t, order);
                r.answer(w, reply.ok_or(Failure::Nonsense));
            },
            move |w, done| {
                crate::say!(w, "{} <- {at}: {order:?} {done:?}", w.hosts[h].name);
                w.tell(h, Event::SentinelDone { id, at, done });
            },
        );
    }

    /// An order reaches a Sentinel, from a supervisor or from a person.
    pub fn sentinel_ordered(&mut self, t: HostId, order: SentinelOrder) -> Option<redinit::core::event::SentinelReply> {
        use redinit::core::event::SentinelReply;
        let now = self.now;
        let s = self.sentinel_mut(t)?;
        let reply = match order {
            SentinelOrder::Failover => s.command_failover(now),
            SentinelOrder::Reset => {
                s.reset(now);
                SentinelReply::Ok
            }
            SentinelOrder::InfoPeriod(period) => {
                s.info_period = u64::try_from(period.as_micros()).unwrap_or(u64::MAX);
                SentinelReply::Ok
            }
        };
        self.flush_sentinel(t);
        Some(reply)
    }

    fn ask_peer(
        &mut self,
        h: HostId,
        id: RequestId,
        to: Address,
        said: (Option<Identity>, PeerMessage),
        limit: Duration,
    ) {
        let (cluster, message) = said;
        crate::say!(self, "{} asks {to}: {message:?}", self.hosts[h].name);
        self.overhear(self.address(h), &message);
        let Some(s) = self.host_at(to) else {
            let job = Box::new(move |w: &mut World| {
                w.tell(h, Event::Answer { id, from: to, answer: Err(Failure::Refused) });
            });
            return self.at_process(self.now + 200, h, Which::Sup, job);
        };
        if self.net.doubled > 0 && self.rng.chance(self.net.doubled) {
            // A copy that comes later; nobody waits for its answer.
            let (message, cluster, wait) = (message.clone(), cluster.clone(), self.rng.range(MS, 3 * SEC));
            let from = self.address(h);
            self.at(
                self.now + wait,
                Box::new(move |w| {
                    let job = Box::new(move |w: &mut World| {
                        let reply = w.new_reply(s, Waiting::Person);
                        w.hosts[s].sup.replies.remove(&reply);
                        w.hosts[s].sup.replies.insert(reply, Waiting::Person);
                        w.request(s, reply, Some(from), (cluster, message));
                    });
                    w.post(s, Which::Sup, None, job);
                }),
            );
        }
        let from = self.address(h);
        self.ask(
            (h, Which::Sup),
            (s, Which::Sup),
            us(limit),
            move |w, r: Responder<PeerAnswer>| {
                let reply = w.new_reply(s, Waiting::Peer(r));
                w.request(s, reply, Some(from), (cluster, message));
            },
            move |w, answer| {
                crate::say!(w, "{} hears {to}: {answer:?}", w.hosts[h].name);
                w.tell(h, Event::Answer { id, from: to, answer });
            },
        );
    }

    /// A message reaches a supervisor.
    pub fn request(&mut self, s: HostId, reply: u64, from: Option<Address>, said: (Option<Identity>, PeerMessage)) {
        let (cluster, message) = said;
        let generation = self.hosts[s].sup_proc.generation;
        let at = self.now + 2 * SEC;
        self.at(
            at,
            Box::new(move |w| {
                if w.hosts[s].sup_proc.generation == generation {
                    w.hosts[s].sup.replies.remove(&reply);
                }
            }),
        );
        let reply = redinit::core::id::ReplyId(reply);
        self.tell(s, Event::Request { reply, from, cluster, message });
    }

    fn reply(&mut self, h: HostId, to: u64, answer: PeerAnswer) {
        match self.hosts[h].sup.replies.remove(&to) {
            Some(Waiting::Peer(r)) => r.answer(self, Ok(answer)),
            Some(Waiting::Person) => {}
            None => crate::say!(self, "{} replies too late, or twice: {answer:?}", self.hosts[h].name),
        }
    }
}
