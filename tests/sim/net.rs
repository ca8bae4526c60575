//! The network between hosts: latency, loss (a late packet, since all is TCP), partitions by silence and by reset.

use std::collections::HashMap;

use crate::world::{HostId, Job, MS, World};

/// What happens to packets of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    Open,
    /// Silence: the sender hears nothing; what it sent may arrive when the cut is healed.
    Drop,
    /// A reset comes back at once.
    Reject,
}

/// What became of something sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    Going,
    Dropped,
    Rejected,
}

/// How something travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A connection of its own: may overtake, may arrive long after a silent cut.
    Alone,
    /// A kept connection: in order, and what met a silent cut may still arrive afterwards (M3).
    Link,
    /// In order; the sender itself sends again what met a silent cut.
    Stream,
}

struct Held {
    from: HostId,
    to: HostId,
    at: u64,
    job: Job,
}

/// State of every direction.
pub struct Net {
    cuts: Vec<Vec<Cut>>,
    base: Vec<Vec<u64>>,
    /// Permille of packets that come a retransmission late.
    pub loss: Vec<Vec<u64>>,
    held: Vec<Held>,
    last: HashMap<(HostId, HostId), u64>,
    /// Permille of messages between supervisors that are delivered twice.
    pub doubled: u64,
}

impl Net {
    /// An open network between `n` hosts.
    pub fn new(n: usize, rng: &mut crate::rng::Rng) -> Self {
        let mut base = vec![vec![0; n]; n];
        for (a, b) in (0..n).flat_map(|a| (0..a).map(move |b| (a, b))) {
            let us = if rng.chance(700) { rng.range(50, 300) } else { rng.range(300, 1500) };
            base[a][b] = us;
            base[b][a] = us;
        }
        Net {
            cuts: vec![vec![Cut::Open; n]; n],
            base,
            loss: vec![vec![0; n]; n],
            held: Vec::new(),
            last: HashMap::new(),
            doubled: 0,
        }
    }

    /// The state of this direction.
    pub fn cut(&self, from: HostId, to: HostId) -> Cut {
        if from == to { Cut::Open } else { self.cuts[from][to] }
    }
}

impl World {
    /// Sends something: `job` runs when it arrives at the host. `way` says in which order.
    /// What meets a silent cut is held, and with luck arrives after healing (late commands).
    pub fn send(&mut self, from: HostId, to: HostId, way: Way, job: Job) -> Sent {
        let cut = if self.hosts[from].silent || self.hosts[to].silent { Cut::Drop } else { self.net.cut(from, to) };
        match cut {
            Cut::Open => {}
            Cut::Reject => return Sent::Rejected,
            Cut::Drop => {
                let at = self.now;
                if way != Way::Stream {
                    self.net.held.push(Held { from, to, at, job });
                }
                return Sent::Dropped;
            }
        }
        let mut at = self.now + self.latency(from, to);
        if way != Way::Alone {
            let last = self.net.last.entry((from, to)).or_insert(0);
            at = at.max(*last + 1);
            *last = at;
        }
        self.at(at, job);
        Sent::Going
    }

    /// How long one packet takes now.
    pub fn latency(&mut self, from: HostId, to: HostId) -> u64 {
        if from == to {
            return self.rng.range(30, 80);
        }
        let base = self.net.base[from][to];
        let mut us = base + self.rng.below(base / 2 + 20);
        let loss = self.net.loss[from][to];
        if loss > 0 {
            let mut rto = 200 * MS;
            while self.rng.chance(loss) && rto < 4000 * MS {
                us += rto;
                rto *= 2;
            }
        }
        us
    }

    /// Sets one direction.
    pub fn cut_way(&mut self, from: HostId, to: HostId, cut: Cut) {
        if from != to {
            self.net.cuts[from][to] = cut;
            let now = self.now;
            self.watch.cut_at.extend([(from, now), (to, now)]);
            if cut == Cut::Open {
                self.release_held();
            }
        }
    }

    /// Cuts (or heals) everything between two groups of hosts.
    pub fn cut_between(&mut self, a: &[HostId], b: &[HostId], cut: Cut) {
        crate::say!(self, "NET {a:?} | {b:?}: {cut:?}");
        for &x in a {
            for &y in b {
                self.cut_way(x, y, cut);
                self.cut_way(y, x, cut);
            }
        }
    }

    /// Heals every cut and loss.
    pub fn heal(&mut self) {
        crate::say!(self, "NET healed");
        for row in &mut self.net.cuts {
            row.fill(Cut::Open);
        }
        for row in &mut self.net.loss {
            row.fill(0);
        }
        self.net.doubled = 0;
        self.release_held();
    }

    /// What was held may come through now: a retransmission later, or never.
    pub fn release_held(&mut self) {
        let held = std::mem::take(&mut self.net.held);
        for h in held {
            let open =
                self.net.cut(h.from, h.to) == Cut::Open && !self.hosts[h.from].silent && !self.hosts[h.to].silent;
            if self.now - h.at > 60_000 * MS {
                continue;
            }
            if !open {
                self.net.held.push(h);
            } else if self.rng.chance(500) {
                let wait = self.rng.range(MS, 2000 * MS);
                self.at(self.now + wait, h.job);
            }
        }
    }
}
