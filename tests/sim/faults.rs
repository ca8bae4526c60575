//! Faults: what can be done to a cluster, and schedules of it from a seed.

use redinit::core::event::{ChildExit, Event, Wish};
use redinit::core::id::ReplyId;

use crate::clusters::Pass;
use crate::net::Cut;
use crate::server::{Disk, LinkState, Persistence};
use crate::supervisor::Waiting;
use crate::world::{HostId, MS, SEC, Which, World};

/// One thing done to the cluster.
#[derive(Clone, Debug)]
pub enum Fault {
    KillChild(HostId),
    /// Supervisor and child at once; `silent`: with its address (a lost node).
    KillPod {
        h: HostId,
        back_after: u64,
        silent: bool,
    },
    FreezeSup(HostId, u64),
    FreezeChild(HostId, u64),
    FreezePod(HostId, u64),
    Partition {
        side: Vec<HostId>,
        cut: Cut,
        lasting: u64,
    },
    OneWay {
        from: HostId,
        to: HostId,
        cut: Cut,
        lasting: u64,
    },
    Loss {
        h: HostId,
        permille: u64,
        lasting: u64,
    },
    Doubled(u64),
    Term {
        h: HostId,
        back_after: u64,
    },
    TypedFailover(HostId),
    Handover {
        h: HostId,
        to: Option<HostId>,
    },
    ElectorDead(u64),
    /// All servers at once; the wiped one comes back with an empty volume. With `sentinels`: those too, their files lost.
    Outage {
        back_after: Vec<u64>,
        wiped: Option<HostId>,
        sentinels: bool,
    },
    /// All Sentinels at once. (Without their files only in an outage: two masters and nobody who knows are a conflict.)
    SentinelsGone {
        back_after: u64,
    },
    /// The machine under everybody stands still: every clock jumps.
    FreezeAll(u64),
    /// The address of a pod of one cluster passes to one of the other.
    AddressPasses(Pass),
}

impl World {
    /// The server that says master now.
    pub fn master(&self) -> Option<HostId> {
        self.servers().find(|&h| self.server(h).is_some_and(|s| s.is_master()))
    }

    /// Does it.
    pub fn inflict(&mut self, fault: &Fault) {
        crate::say!(self, "FAULT {fault:?}");
        match *fault {
            Fault::KillChild(h) => self.end_child(h, ChildExit::Signal(9)),
            Fault::KillPod { h, back_after, silent } => {
                self.hosts[h].silent = silent;
                self.kill_pod(h);
                self.pod_returns(h, back_after);
            }
            Fault::FreezeSup(h, d) => self.freeze_for(h, &[Which::Sup], d),
            Fault::FreezeChild(h, d) => self.freeze_for(h, &[Which::Child], d),
            Fault::FreezePod(h, d) => self.freeze_for(h, &[Which::Sup, Which::Child], d),
            Fault::Partition { ref side, cut, lasting } => {
                let rest: Vec<HostId> = (0..self.hosts.len()).filter(|h| !side.contains(h)).collect();
                self.cut_between(side, &rest, cut);
                let side = side.clone();
                self.at(self.now + lasting, Box::new(move |w| w.cut_between(&side, &rest, Cut::Open)));
            }
            Fault::OneWay { from, to, cut, lasting } => {
                self.cut_way(from, to, cut);
                self.at(self.now + lasting, Box::new(move |w| w.cut_way(from, to, Cut::Open)));
            }
            Fault::Loss { h, permille, lasting } => {
                self.lose(h, permille);
                self.at(self.now + lasting, Box::new(move |w| w.lose(h, 0)));
            }
            Fault::Doubled(permille) => self.net.doubled = permille,
            Fault::Term { h, back_after } => {
                self.stop_pod(h);
                self.pod_returns(h, back_after);
            }
            Fault::TypedFailover(t) => {
                let job = Box::new(move |w: &mut World| {
                    let reply = w.sentinel_ordered(t, redinit::core::action::SentinelOrder::Failover);
                    crate::say!(w, "typed FAILOVER at {}: {reply:?}", w.hosts[t].name);
                });
                self.post(t, Which::Child, None, job);
            }
            Fault::Handover { h, to } => self.operator_handover(h, to),
            Fault::Outage { ref back_after, wiped, sentinels } => self.outage(back_after, wiped, sentinels),
            Fault::SentinelsGone { back_after } => self.sentinels_gone(back_after, false),
            Fault::FreezeAll(d) => {
                for h in self.pods() {
                    self.freeze_for(h, &[Which::Sup, Which::Child], d);
                }
            }
            Fault::AddressPasses(pass) => self.address_passes(pass),
            Fault::ElectorDead(d) => {
                self.elector.dead = true;
                self.at(self.now + d, Box::new(|w| w.elector.dead = false));
            }
        }
    }

    fn outage(&mut self, back_after: &[u64], wiped: Option<HostId>, sentinels: bool) {
        for (h, &after) in self.servers().zip(back_after) {
            self.kill_pod(h);
            self.pod_returns(h, after);
        }
        if let Some(h) = wiped {
            self.hosts[h].disk = Disk::default();
            self.hosts[h].sup.saved = None;
        }
        if sentinels {
            self.sentinels_gone(back_after[0], true);
        }
    }

    fn sentinels_gone(&mut self, back_after: u64, bare: bool) {
        for t in self.sentinels() {
            self.kill_pod(t);
            if bare {
                self.hosts[t].sentinel_disk = None;
                self.hosts[t].sup.saved = None;
            }
            self.pod_returns(t, back_after);
        }
    }

    /// `redinit handover [--to]` on this host.
    pub fn operator_handover(&mut self, h: HostId, to: Option<HostId>) {
        let to = to.map(|t| self.address(t));
        let job = Box::new(move |w: &mut World| {
            let reply = ReplyId(w.new_reply(h, Waiting::Person));
            w.tell(h, Event::Operator { reply, wish: Wish::Handover { to } });
        });
        self.post(h, Which::Sup, None, job);
    }

    fn lose(&mut self, h: HostId, permille: u64) {
        for x in 0..self.hosts.len() {
            self.net.loss[h][x] = permille;
            self.net.loss[x][h] = permille;
        }
    }

    fn freeze_for(&mut self, h: HostId, which: &[Which], lasting: u64) {
        for &p in which {
            if !self.process(h, p).alive {
                continue;
            }
            // Of two freezes that overlap the longer one counts: a signal wakes nobody whose machine stands still.
            let until = self.now + lasting;
            if self.process(h, p).frozen && self.process(h, p).frozen_until >= until {
                continue;
            }
            self.freeze(h, p);
            self.process(h, p).frozen_until = until;
            let generation = self.process(h, p).generation;
            self.at(
                until,
                Box::new(move |w| {
                    if w.process(h, p).generation == generation && w.process(h, p).frozen_until <= w.now {
                        w.thaw(h, p);
                    }
                }),
            );
        }
    }

    /// The pod is started again `after` it was, once it has ended.
    pub fn pod_returns(&mut self, h: HostId, after: u64) {
        self.at(
            self.now + after,
            Box::new(move |w| {
                if w.hosts[h].sup_proc.alive {
                    // Still stopping: the kubelet waits for it.
                    return w.pod_returns(h, SEC);
                }
                w.hosts[h].silent = false;
                w.start_supervisor(h);
            }),
        );
    }

    /// A planned event: nothing that it does may lose an acknowledged write.
    pub fn planned_fault(&mut self) -> Option<Fault> {
        let m = self.master()?;
        let servers = self.config.servers as u64;
        let t = self.sentinels().start + self.rng.below(self.config.sentinels as u64) as usize;
        let further = 1 + self.rng.below(servers - 1) as usize;
        let other = self.server_after(m, further);
        let back_after = self.rng.range(SEC, 5 * SEC);
        let drawn = self.rng.below(10);
        let stops = if drawn < 4 { Some(m) } else { (drawn > 8).then_some(other) };
        if stops.is_some_and(|h| self.config.persistence == Persistence::None && !self.held_beside(h)) {
            return None;
        }
        Some(match drawn {
            0..=3 => Fault::Term { h: m, back_after },
            4..=6 => Fault::TypedFailover(t),
            7 => Fault::Handover { h: m, to: None },
            8 => Fault::Handover { h: m, to: Some(other) },
            _ => Fault::Term { h: other, back_after },
        })
    }

    /// Without persistence, whoever stops the last server that holds the data has not planned well (M28).
    pub fn held_beside(&self, h: HostId) -> bool {
        self.servers_of(self.cluster_of(h)).filter(|&x| x != h && self.hosts[x].sup.stop_asked.is_none()).any(|x| {
            self.hosts[x].sup_proc.alive && self.server(x).is_some_and(|s| s.is_master() || s.link == LinkState::Up)
        })
    }

    /// Anything.
    pub fn any_fault(&mut self) -> Fault {
        let n = self.config.servers as u64;
        let all = n + self.config.sentinels as u64;
        let m = self.master();
        // Mostly the master: that is where it hurts.
        let h = match m {
            Some(m) if self.rng.chance(600) => m,
            _ => self.servers().start + self.rng.below(n) as usize,
        };
        let any = self.servers().start + self.rng.below(all) as usize;
        let t = self.sentinels().start + self.rng.below(self.config.sentinels.max(1) as u64) as usize;
        let short = self.rng.range(100 * MS, 4 * SEC);
        let long = self.rng.range(2 * SEC, 25 * SEC);
        let back_after = if self.rng.chance(400) { self.rng.range(50 * MS, 500 * MS) } else { long };
        let cut = if self.rng.chance(700) { Cut::Drop } else { Cut::Reject };
        let silent = self.rng.chance(300);
        match self.rng.below(if self.config.harsh { 22 } else { 18 }) {
            0 | 1 => Fault::KillChild(h),
            2 | 3 => Fault::KillPod { h, back_after, silent },
            4 => Fault::KillPod { h: any, back_after, silent },
            5 => Fault::FreezeSup(h, if self.rng.chance(500) { short } else { long }),
            6 => Fault::FreezeChild(h, if self.rng.chance(500) { short } else { long }),
            7 => Fault::FreezePod(h, long),
            8 => Fault::FreezeChild(t, long),
            9 => Fault::Partition { side: self.a_side(h), cut, lasting: long },
            10 => Fault::Partition { side: vec![h], cut, lasting: long },
            11 => Fault::OneWay { from: any, to: h, cut, lasting: long },
            12 => Fault::Loss { h, permille: self.rng.range(20, 300), lasting: long },
            13 => Fault::Term { h, back_after },
            14 => Fault::TypedFailover(t),
            15 => Fault::Handover { h, to: None },
            16 => Fault::ElectorDead(long),
            17 => Fault::Doubled(self.rng.range(50, 500)),
            18 => self.an_outage(),
            19 => Fault::SentinelsGone { back_after },
            20 => Fault::FreezeAll(if self.rng.chance(500) { short } else { long }),
            _ => Fault::OneWay { from: h, to: any, cut, lasting: long },
        }
    }

    /// A total outage. A volume is lost only where the others have theirs.
    fn an_outage(&mut self) -> Fault {
        let n = self.config.servers;
        let back_after = (0..n).map(|_| self.rng.range(100 * MS, 10 * SEC)).collect();
        let wiped = self.rng.chance(300).then(|| self.servers().start + self.rng.below(n as u64) as usize);
        Fault::Outage { back_after, wiped, sentinels: self.rng.chance(300) }
    }

    /// A handover, and at one of its steps something happens to one of its parties.
    pub fn handover_hit(&mut self) {
        let Some(m) = self.master() else { return };
        let t = self.sentinels().start + self.rng.below(self.config.sentinels as u64) as usize;
        let began = match self.rng.below(3) {
            0 => Fault::Term { h: m, back_after: 4 * SEC },
            1 => Fault::Handover { h: m, to: None },
            _ => Fault::TypedFailover(t),
        };
        self.inflict(&began);
        let step = self.rng.below(4);
        let reached = self.step_until(4 * SEC, |w| match step {
            0 => w.proposal().is_some(),
            1 => w.released(m),
            2 => w.other_master(m).is_some(),
            _ => w.other_master(m).is_some_and(|c| w.server(c).is_some_and(|s| !s.fenced())),
        });
        if reached.is_none() {
            return;
        }
        let soon = if self.rng.chance(500) { 5 * MS } else { 300 * MS };
        let wait = self.rng.below(soon);
        self.run_for(wait);
        let (by, chosen) = self.proposal().unwrap_or((t, self.server_after(m, 1)));
        let candidate = self.other_master(m).unwrap_or(chosen);
        let third = self.servers().find(|&h| h != m && h != candidate).unwrap_or(m);
        let party = self.rng.pick(&[m, m, candidate, candidate, by, third]);
        let hit = self.a_hit(party);
        self.inflict(&hit);
    }

    /// What can happen to one party.
    fn a_hit(&mut self, h: HostId) -> Fault {
        let long = self.rng.range(500 * MS, 20 * SEC);
        let back_after = self.rng.range(50 * MS, 15 * SEC);
        match self.rng.below(7) {
            0 => Fault::KillPod { h, back_after, silent: false },
            1 => Fault::KillPod { h, back_after, silent: true },
            2 => Fault::KillChild(h),
            3 => Fault::FreezePod(h, long),
            4 => Fault::FreezeChild(h, long),
            5 => Fault::FreezeSup(h, long),
            _ => Fault::Partition {
                side: vec![h],
                cut: if self.rng.chance(500) { Cut::Drop } else { Cut::Reject },
                lasting: long,
            },
        }
    }

    /// One side of a partition, with this host on it and some others.
    fn a_side(&mut self, h: HostId) -> Vec<HostId> {
        (0..self.hosts.len()).filter(|&x| x == h || self.rng.chance(350)).collect()
    }
}
