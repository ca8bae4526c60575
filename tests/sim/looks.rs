//! What looks show: names, servers, supervisors, the own child.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use redinit::core::action::Depth;
use redinit::core::cluster::ClusterTag;
use redinit::core::event::{Event, LOOK_LIMIT, Names};
use redinit::core::id::{Address, Offset};
use redinit::core::moment::Moment;
use redinit::core::seen::{
    Appended, AttachedReplica, ChildFailure, ChildSeen, Failure, History, RoleSeen, ServerSeen, SupervisorSeen, Written,
};
use redinit::core::status::{RoleShown, Status};

use crate::server::{LinkState, Persistence, Role, Server};
use crate::world::{Body, HostId, HostRole, Job, SENTINEL_PORT, SERVER_PORT, Which, World};

impl World {
    /// What the configured names resolve to: every pod's address, ready or not; or a Service's.
    pub fn names(&self, h: HostId) -> Names {
        if self.config.behind_services {
            return Names {
                sentinels: Some(vec![service(HostRole::Sentinel)]),
                servers: Some(vec![service(HostRole::Server)]),
            };
        }
        let cluster = self.cluster_of(h);
        let stale = |role| self.stale_names(cluster, role);
        Names {
            sentinels: Some(
                self.sentinels_of(cluster).map(|t| self.address(t)).chain(stale(HostRole::Sentinel)).collect(),
            ),
            servers: Some(
                self.servers_of(cluster)
                    .map(|s| self.address(s))
                    .chain(stale(HostRole::Server))
                    .chain(self.virtual_server())
                    .collect(),
            ),
        }
    }

    fn virtual_server(&self) -> Option<Address> {
        self.config.virtual_server.then(|| service(HostRole::Server))
    }

    /// Who answers at this address now: behind a Service one of those that are ready.
    pub fn reach(&mut self, at: Address) -> Option<HostId> {
        let behind = match at {
            _ if at == service(HostRole::Sentinel) => self.sentinels(),
            _ if at == service(HostRole::Server) => self.servers(),
            _ => return self.host_at(at),
        };
        if self.config.virtual_server && at == service(HostRole::Server) {
            let open: Vec<HostId> = behind.filter(|&h| self.server(h).is_some_and(|s| s.door)).collect();
            return (!open.is_empty()).then(|| self.rng.pick(&open));
        }
        let ready: Vec<HostId> =
            behind.filter(|&h| self.status(h).is_some_and(|status| status.probes.ready.is_yes())).collect();
        (!ready.is_empty()).then(|| self.rng.pick(&ready))
    }

    fn role_seen(&self, s: &Server) -> RoleSeen {
        match s.role {
            Role::Master => RoleSeen::Master {
                replicas: s
                    .replicas
                    .values()
                    .map(|a| AttachedReplica {
                        address: a.at,
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

    /// A look at a server from outside, by a supervisor of this cluster: its door must be open.
    pub fn server_seen(&self, h: HostId, by: Option<&ClusterTag>) -> Result<ServerSeen, Failure> {
        let s = self.server(h).filter(|s| s.door).ok_or(Failure::Refused)?;
        Ok(ServerSeen {
            run_id: s.run_id(),
            role: self.role_seen(s),
            history: s.history(),
            loading: s.loading_until > self.now,
            supervised: Some(s.gated),
            login: Some(s.login_shown(by)),
            engine: None,
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
                has_lost_a_link: false,
                has_data: false,
                aof: false,
                appended: None,
                written: None,
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
                    has_lost_a_link: linked && s.link != LinkState::Up && s.was_linked,
                    has_data: !s.data.is_empty(),
                    aof: self.config.persistence == Persistence::Aof,
                    appended: (self.config.persistence == Persistence::Aof)
                        .then_some(Appended { offset: Offset(s.offset), bytes: s.data.len() as u64 }),
                    written: Some(Written { offset: Offset(s.offset), changes: s.taken, saves: 0 }),
                    cannot_save: false,
                    shutting_down: s.shutting,
                    sync_bytes: s.sync_bytes,
                    last_save: s.last_save,
                })
            }
        }
    }
}

/// The address of the Service of these.
pub fn service(of: HostRole) -> Address {
    let (last, port) = if of == HostRole::Sentinel { (1, SENTINEL_PORT) } else { (2, SERVER_PORT) };
    Address::new(IpAddr::V4(Ipv4Addr::new(10, 96, 0, last)), port)
}

/// What a supervisor's status tells another one, as the API's picture does.
pub fn seen_of(s: &Status) -> SupervisorSeen {
    SupervisorSeen {
        cluster: s.cluster.clone(),
        epoch: s.epoch,
        leads: s.role == RoleShown::Master,
        fenced: s.fenced,
        follows: s.follows,
        never: s.never,
        node: Some(s.node),
        engine: None,
        began: s.began.clone(),
    }
}
