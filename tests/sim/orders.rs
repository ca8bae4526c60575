//! Orders to the own child: in order, over its socket; a frozen child carries them out when it wakes.

use std::cell::Cell;
use std::rc::Rc;

use redinit::core::action::{Birth, ChildOrder, Expecting, SentinelFile};
use redinit::core::ailment::Ailment;
use redinit::core::event::{ChildExit, Done, Event, OrderFailure};
use redinit::core::id::{Address, Offset, OrderId};

use crate::sentinel::FileMonitor;
use crate::server::{Role, repl_id};
use crate::world::{Body, HostId, HostRole, Job, MS, SEC, Which, World};

type Answer = Result<Done, OrderFailure>;

impl World {
    /// Carries out one order to the child.
    pub fn child_order(&mut self, h: HostId, id: OrderId, order: ChildOrder) {
        crate::say!(self, "{} child: {order:?}", self.hosts[h].name);
        let alive = self.hosts[h].child_proc.alive;
        match order {
            ChildOrder::Spawn(_) if alive => {
                self.order_done(h, id, Err(OrderFailure::Refused("it runs already".into())), MS);
            }
            ChildOrder::Spawn(birth) => {
                let at = self.now + self.rng.range(3 * MS, 20 * MS);
                self.at_process(at, h, Which::Sup, Box::new(move |w| w.spawn(h, id, birth)));
            }
            ChildOrder::Kill => {
                let answer = if alive { Ok(Done::Ok) } else { Err(OrderFailure::NoChild("none".into())) };
                self.order_done(h, id, answer, 200);
                if alive {
                    self.end_child(h, ChildExit::Signal(9));
                }
            }
            ChildOrder::KillRest => self.order_done(h, id, Ok(Done::Ok), 200),
            ChildOrder::Examine(_) => self.order_done(h, id, Ok(Done::Found(Ailment::Unclear)), 50 * MS),
            ChildOrder::Terminate => {
                let job: Job = Box::new(move |w| match w.hosts[h].role {
                    HostRole::Server => w.terminate_server(h),
                    _ => w.end_child(h, ChildExit::Code(0)),
                });
                let done = self.hand(h, Which::Child, None, job).map(|()| Done::Ok);
                self.order_done(h, id, done.map_err(|_| OrderFailure::NoChild("none".into())), 200);
            }
            _ => self.over_the_socket(h, id, order),
        }
    }

    fn order_done(&mut self, h: HostId, id: OrderId, done: Answer, after: u64) {
        let at = self.now + after;
        self.at_process(at, h, Which::Sup, Box::new(move |w| w.tell(h, Event::ChildDone { id, done })));
    }

    fn spawn(&mut self, h: HostId, id: OrderId, birth: Birth) {
        match birth {
            Birth::Server => self.start_server(h, false),
            Birth::Sentinel(file) => {
                self.render_sentinel(h, &file);
                self.start_sentinel(h);
            }
        }
        let pid = self.hosts[h].child_proc.generation as i32 + 100;
        self.order_done(h, id, Ok(Done::Spawned { pid }), 300);
    }

    fn render_sentinel(&mut self, t: HostId, file: &SentinelFile) {
        let mut disk = self.hosts[t].sentinel_disk.take().unwrap_or_default();
        if let Some(tag) = &file.cluster {
            disk.cluster = u64::from_str_radix(&tag.to_string(), 16).unwrap_or_default();
        }
        if let Some(m) = file.monitor {
            let old = disk.monitor.take();
            let (replicas, sentinels, leader_epoch) = match old {
                Some(o) => {
                    let mut replicas = o.replicas;
                    replicas.push(o.addr);
                    (replicas, o.sentinels, o.leader_epoch)
                }
                None => (Vec::new(), Vec::new(), 0),
            };
            let replicas = replicas.into_iter().filter(|&r| r != m.master).collect();
            disk.current_epoch = disk.current_epoch.max(m.epoch.0);
            disk.monitor =
                Some(FileMonitor { addr: m.master, config_epoch: m.epoch.0, leader_epoch, replicas, sentinels });
        }
        if let Some(m) = &mut disk.monitor {
            m.sentinels.retain(|&(id, _)| !file.forget.contains(&crate::sentinel::look::text(id)));
            m.replicas.retain(|r| !file.forget_replicas.contains(r));
        }
        self.hosts[t].sentinel_disk = Some(disk);
    }

    /// The child ends without a chance to say anything.
    pub fn end_child(&mut self, h: HostId, exit: ChildExit) {
        self.end_server(h, false, exit);
    }

    fn over_the_socket(&mut self, h: HostId, id: OrderId, order: ChildOrder) {
        let at = self.hosts[h].sup.order_free.max(self.now) + self.rng.range(60, 250);
        self.hosts[h].sup.order_free = at;
        let done = Rc::new(Cell::new(false));
        let (flag, missing) = (done.clone(), done.clone());
        let limit = match order {
            ChildOrder::Keep => 60 * SEC,
            ChildOrder::Lead | ChildOrder::Release { .. } => 500 * MS,
            _ => SEC,
        };
        let serve: Job = Box::new(move |w| {
            let (answer, after) = w.obey(h, order);
            let at = w.now + after;
            w.at_process(at, h, Which::Sup, Box::new(move |w| answer_once(w, h, id, &flag, answer)));
        });
        // The supervisor's process has written it to the socket: from here on the child's kernel has it.
        self.at_process(
            at,
            h,
            Which::Sup,
            Box::new(move |w| {
                if w.hand(h, Which::Child, None, serve).is_err() {
                    answer_once(w, h, id, &missing, Err(OrderFailure::NoChild("no child".into())));
                }
            }),
        );
        let late = self.now + limit;
        self.at_process(
            late,
            h,
            Which::Sup,
            Box::new(move |w| answer_once(w, h, id, &done, Err(OrderFailure::Unknown))),
        );
    }

    fn position(&self, h: HostId) -> Done {
        self.server(h).map_or(Done::Ok, |s| Done::At { history: repl_id(s.replid), offset: Offset(s.offset) })
    }

    /// The child carries out an order; the answer, and how long it takes to come back.
    fn obey(&mut self, h: HostId, order: ChildOrder) -> (Answer, u64) {
        let now = self.now;
        if !matches!(self.hosts[h].child, Body::Server(_)) {
            return (Err(OrderFailure::Refused("ERR unknown command".into())), 50);
        }
        let Some(s) = self.server_mut(h) else { return (Err(OrderFailure::NoChild("none".into())), 50) };
        let role_order = matches!(order, ChildOrder::Follow { .. } | ChildOrder::Lead | ChildOrder::LeadAlone);
        if s.loading_until > now && role_order {
            return (Err(OrderFailure::Refused("LOADING".into())), 50);
        }
        if order == ChildOrder::Keep {
            let kept = s.data.clone();
            let bytes = kept.len() as u64 * 40;
            self.hosts[h].disk.kept.push(kept);
            return (Ok(Done::Kept { file: format!("rollback-{now}.rdb"), bytes }), 60 * MS);
        }
        let answer = match order {
            ChildOrder::Follow { master, expecting } => self.obey_follow(h, master, expecting),
            ChildOrder::Release { .. } if s.role != Role::Master => Err(OrderFailure::OtherRole),
            ChildOrder::Release { pause } => {
                s.min_replicas = 100;
                let position = self.position(h);
                self.pause(h, pause.as_micros() as u64);
                Ok(position)
            }
            ChildOrder::Lead => {
                s.min_replicas = 100;
                self.lead(h);
                Ok(self.position(h))
            }
            ChildOrder::KillScript => Err(OrderFailure::Refused("NOTBUSY".into())),
            other => {
                self.obey_simply(h, &other);
                Ok(Done::Ok)
            }
        };
        (answer, 50)
    }

    /// A compare-and-set on the role, as the driver does it.
    fn obey_follow(&mut self, h: HostId, to: Address, expecting: Expecting) -> Answer {
        let role = self.server(h).map(|s| s.role);
        let fits = match expecting {
            Expecting::Replica => role != Some(Role::Master),
            Expecting::Master => role == Some(Role::Master),
            Expecting::Anything => true,
        };
        if !fits && role != Some(Role::Replica(Some(to))) {
            return Err(OrderFailure::OtherRole);
        }
        crate::invariants::check_follow(self, h, to);
        let nobody = self.host_at(to).is_none() && to.ip().is_loopback();
        self.follow(h, (!nobody).then_some(to));
        Ok(Done::Ok)
    }

    /// Orders that have nothing to tell.
    fn obey_simply(&mut self, h: HostId, order: &ChildOrder) {
        let Some(s) = self.server_mut(h) else { return };
        match order {
            ChildOrder::LeadAlone => {
                s.min_replicas = 0;
                self.lead(h);
            }
            ChildOrder::Fence => s.min_replicas = 100,
            ChildOrder::Unfence => s.min_replicas = 0,
            ChildOrder::TakeBack => {
                s.min_replicas = 0;
                self.unpause(h);
            }
            ChildOrder::Dismiss => self.unpause(h),
            ChildOrder::OpenDoor => s.door = true,
            ChildOrder::ShutDoor => s.door = false,
            ChildOrder::DropDrain => s.no_drain = true,
            ChildOrder::Quicken => s.info_refused = true,
            ChildOrder::Unquicken => s.info_refused = false,
            ChildOrder::Priority(p) => s.priority = p.unwrap_or(100),
            ChildOrder::Belong(tag) => s.belongs = Some(tag.clone()),
            ChildOrder::LogIn(login) => s.login = *login,
            ChildOrder::Admit(login) => s.admits = *login,
            ChildOrder::CutLink | ChildOrder::Reconnect { .. } => self.break_link(h),
            ChildOrder::ShutdownNow => self.end_server(h, false, ChildExit::Code(0)),
            _ => {}
        }
    }
}

fn answer_once(w: &mut World, h: HostId, id: OrderId, flag: &Cell<bool>, done: Answer) {
    if !flag.replace(true) {
        if done.as_ref().is_err() {
            crate::say!(w, "{} child order {}: {done:?}", w.hosts[h].name, id.0);
        }
        w.tell(h, Event::ChildDone { id, done });
    }
}
