//! The elector: a lease granted by one host, one side-car a server; or a foreign one that names a pod for ever.

use std::collections::BTreeMap;

use redinit::core::seen::{ElectorSeen, Failure};

use crate::net::{Cut, Way};
use crate::world::{HostId, SEC, World};

/// Which elector there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElectorKind {
    None,
    /// redinit's own: the answer is backed by a lease of 15 s.
    Lease {
        explicit: bool,
    },
    /// Names whom it named first, whatever becomes of it.
    Foreign,
}

/// What one side-car knows.
#[derive(Clone, Copy, Debug, Default)]
struct View {
    leader: Option<HostId>,
    at: u64,
}

/// State of the lock and of every side-car.
pub struct Elector {
    kind: ElectorKind,
    holder: Option<HostId>,
    until: u64,
    views: BTreeMap<HostId, View>,
    /// Nobody serves it at all.
    pub dead: bool,
}

impl Elector {
    pub fn new(kind: ElectorKind, servers: usize) -> Self {
        Elector {
            kind,
            holder: None,
            until: 0,
            views: (0..servers).map(|h| (h, View::default())).collect(),
            dead: false,
        }
    }
}

impl World {
    /// Starts the side-cars.
    pub fn start_elector(&mut self) {
        if self.config.elector == ElectorKind::None {
            return;
        }
        for h in self.servers() {
            let at = self.now + self.rng.below(SEC);
            self.at(at, Box::new(move |w| w.elector_turn(h)));
        }
    }

    fn elector_turn(&mut self, h: HostId) {
        self.at(self.now + 2 * SEC, Box::new(move |w| w.elector_turn(h)));
        let gone = !self.hosts[h].sup_proc.alive;
        if gone || self.elector.dead || self.hosts[h].silent {
            return;
        }
        let lock = self.lock_host();
        let arrive = Box::new(move |w: &mut World| {
            let e = &mut w.elector;
            if e.holder.is_none_or(|x| x == h) || e.until < w.now {
                let frozen = e.kind == ElectorKind::Foreign && e.holder.is_some();
                if !frozen {
                    e.holder = Some(h);
                }
                e.until = w.now + 15 * SEC;
            }
            let leader = e.holder;
            let back = Box::new(move |w: &mut World| {
                let at = w.now;
                w.elector.views.insert(h, View { leader, at });
            });
            w.send(lock, h, Way::Stream, back);
        });
        self.send(h, lock, Way::Stream, arrive);
    }

    /// What the elector says to a supervisor: its own side-car's, or any server's for a Sentinel's.
    pub fn elector_says(&mut self, asker: HostId) -> Result<ElectorSeen, Failure> {
        if self.config.elector == ElectorKind::None {
            return Err(Failure::Refused);
        }
        let h = if self.servers().contains(&asker) {
            asker
        } else {
            let up: Vec<HostId> = self.servers().filter(|&h| self.hosts[h].sup_proc.alive).collect();
            if up.is_empty() {
                return Err(Failure::Refused);
            }
            self.rng.pick(&up)
        };
        if self.hosts[h].silent || self.net.cut(asker, h) == Cut::Drop {
            return Err(Failure::Silent);
        }
        if self.elector.dead || self.net.cut(asker, h) == Cut::Reject {
            return Err(Failure::Refused);
        }
        let view = self.elector.views.get(&h).copied().unwrap_or_default();
        let lease = matches!(self.elector.kind, ElectorKind::Lease { .. });
        let fresh = !lease || self.now - view.at < 10 * SEC;
        let leader = view.leader.filter(|_| fresh);
        Ok(ElectorSeen {
            leader: leader.map(|l| self.hosts[l].ip).into_iter().collect(),
            name: leader.map_or(String::new(), |l| self.hosts[l].ip.to_string()),
            lease,
        })
    }
}
