//! What looks show: names, servers, supervisors, the own child.

use std::time::Duration;

use redinit::core::action::Depth;
use redinit::core::event::{Event, LOOK_LIMIT, Names};
use redinit::core::id::{Address, Epoch, Offset};
use redinit::core::moment::Moment;
use redinit::core::seen::{
    AttachedReplica, ChildFailure, ChildSeen, Failure, History, RoleSeen, ServerSeen, SupervisorSeen,
};
use redinit::core::status::{Phase, RoleShown, Status};

use crate::server::{Persistence, Role, Server};
use crate::world::{Body, HostId, Job, Which, World};

impl World {
    /// What the configured names resolve to: every pod's address, ready or not.
    pub fn names(&self) -> Names {
        Names {
            sentinels: Some(self.sentinels().map(|t| self.address(t)).collect()),
            servers: Some(self.servers().map(|s| self.address(s)).collect()),
        }
    }

    fn role_seen(&self, s: &Server) -> RoleSeen {
        match s.role {
            Role::Master => RoleSeen::Master {
                replicas: s
                    .replicas
                    .iter()
                    .map(|(&r, a)| AttachedReplica {
                        address: self.address(r),
                        online: a.online,
                        offset: Offset(a.acked),
                        lag: Duration::from_secs((self.now - a.ack_at) / 1_000_000),
                    })
                    .collect(),
            },
            Role::Replica(m) => {
                let nobody = Address::parse("127.0.0.1", 1);
                RoleSeen::Replica { master: m.or(nobody), link: s.link_seen() }
            }
        }
    }

    /// A look at a server from outside: its door must be open.
    pub fn server_seen(&self, h: HostId) -> Result<ServerSeen, Failure> {
        let s = self.server(h).filter(|s| s.door).ok_or(Failure::Refused)?;
        Ok(ServerSeen {
            run_id: s.run_id(),
            role: self.role_seen(s),
            history: s.history(),
            loading: s.loading_until > self.now,
            supervised: Some(s.gated),
            has_data: Some(!s.data.is_empty()),
        })
    }

    /// `GET /status` of another supervisor.
    pub fn supervisor_seen(&self, h: HostId) -> Result<SupervisorSeen, Failure> {
        self.status(h).map(|s| seen_of(&s)).ok_or(Failure::Nonsense)
    }

    /// The supervisor looks at its own child.
    pub fn look_at_child(&mut self, h: HostId, _depth: Depth, asked: Moment) {
        let done = std::rc::Rc::new(std::cell::Cell::new(false));
        let flag = done.clone();
        let serve: Job = Box::new(move |w| {
            let seen = w.child_seen(h);
            let at = w.now + 100;
            w.at_process(
                at,
                h,
                Which::Sup,
                Box::new(move |w| {
                    if !flag.replace(true) {
                        w.tell(h, Event::Child { asked, seen });
                    }
                }),
            );
        });
        let flag = done.clone();
        let at = self.now + self.rng.range(60, 200);
        self.at(
            at,
            Box::new(move |w| {
                if w.hand(h, Which::Child, None, serve).is_err() {
                    let seen = Err(ChildFailure::NotListening);
                    let tell: Job = Box::new(move |w| {
                        if !flag.replace(true) {
                            w.tell(h, Event::Child { asked, seen });
                        }
                    });
                    w.at_process(w.now + 50, h, Which::Sup, tell);
                }
            }),
        );
        let limit = self.now + LOOK_LIMIT.as_micros() as u64;
        self.at_process(
            limit,
            h,
            Which::Sup,
            Box::new(move |w| {
                if !done.replace(true) {
                    w.tell(h, Event::Child { asked, seen: Err(ChildFailure::Silent) });
                }
            }),
        );
    }

    fn child_seen(&self, h: HostId) -> Result<ChildSeen, ChildFailure> {
        match &self.hosts[h].child {
            Body::None => Err(ChildFailure::NotListening),
            Body::Sentinel(_) => Ok(ChildSeen {
                run_id: "sentinel".into(),
                role: RoleSeen::Replica { master: None, link: redinit::core::seen::Link::Down },
                history: History::default(),
                loading: None,
                link_idle: None,
                has_data: false,
                aof: false,
                appended: None,
                cannot_save: false,
                shutting_down: false,
                sync_bytes: 0,
                last_save: 0,
            }),
            Body::Server(s) => {
                let loading = (s.loading_until > self.now).then(|| Duration::from_micros(s.loading_until - self.now));
                let linked = matches!(s.role, Role::Replica(Some(_)));
                Ok(ChildSeen {
                    run_id: s.run_id(),
                    role: self.role_seen(s),
                    history: s.history(),
                    loading,
                    link_idle: linked.then(|| Duration::from_secs((self.now - s.last_byte.min(self.now)) / 1_000_000)),
                    has_data: !s.data.is_empty(),
                    aof: self.config.persistence == Persistence::Aof,
                    appended: None,
                    cannot_save: false,
                    shutting_down: s.shutting,
                    sync_bytes: s.sync_bytes,
                    last_save: s.last_save,
                })
            }
        }
    }
}

/// What a supervisor's status tells another one, as the API's picture does.
pub fn seen_of(s: &Status) -> SupervisorSeen {
    let replica = s.role == RoleShown::Replica;
    let master = s.master.as_ref().map(|m| m.address);
    SupervisorSeen {
        epoch: s.master.as_ref().map_or(Epoch(0), |m| m.epoch),
        leads: s.role == RoleShown::Master,
        follows: master.filter(|&a| replica && s.link.is_some() && a != s.node),
        never: s.phase == Phase::Stopping || (replica && s.link == Some(redinit::core::seen::Link::Syncing)),
    }
}
