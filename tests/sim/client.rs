//! Closed-loop writers with a ledger of every acknowledged write.

use redinit::core::id::Address;

use crate::clusters::mark_in;
use crate::server::{NoWrite, Write};
use crate::world::{HostId, MS, SEC, START, Which, World};

/// Where two clusters are, one that a Sentinel has led to the other one would stay there.
const ASKS_AGAIN: u64 = 5 * SEC;

/// An acknowledged write.
#[derive(Clone, Copy, Debug)]
pub struct Ack {
    pub id: Write,
    pub at: u64,
    pub server: HostId,
}

impl Ack {
    /// For a message.
    pub fn told(&self, w: &World) -> String {
        let t = (self.at - START) / MS;
        format!("number {} acknowledged by {} at {t} ms", self.id, w.hosts[self.server].name)
    }
}

/// How a writer finds its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finds {
    /// Asks a Sentinel after every error; without any it goes where `/master` says yes, as behind a load balancer.
    Sentinel,
    /// Never looks further.
    Sticky(HostId),
}

struct Writer {
    cluster: usize,
    finds: Finds,
    target: Option<Address>,
    asked_at: u64,
}

/// All writers and their ledger.
#[derive(Default)]
pub struct Clients {
    writers: Vec<Writer>,
    next: Write,
    pub ledger: Vec<Ack>,
    pub stopped: bool,
    /// Longest time between two acknowledged writes since it was last set to 0.
    pub longest_gap: u64,
    /// Of each cluster's servers.
    pub last_ack: [u64; 2],
    /// Writes of one cluster's clients that the other's servers acknowledged.
    pub strayed: u64,
    pub errors: u64,
}

impl World {
    /// Starts the configured writers.
    pub fn start_writers(&mut self) {
        for cluster in 0..self.config.clusters {
            for _ in 0..self.config.writers {
                self.add_writer(cluster, Finds::Sentinel);
            }
        }
        self.clients.last_ack = [self.now; 2];
        let client = self.client_host();
        self.begin_process(client, Which::Sup);
    }

    /// Adds one writer.
    pub fn add_writer(&mut self, cluster: usize, finds: Finds) {
        let n = self.clients.writers.len();
        let target = match finds {
            Finds::Sentinel => None,
            Finds::Sticky(h) => Some(self.address(h)),
        };
        self.clients.writers.push(Writer { cluster, finds, target, asked_at: self.now });
        let at = self.now + self.rng.below(20 * MS);
        self.at(at, Box::new(move |w| w.writer_turn(n)));
    }

    fn writer_after(&mut self, n: usize, us: u64) {
        let at = self.now + us;
        self.at(at, Box::new(move |w| w.writer_turn(n)));
    }

    fn writer_turn(&mut self, n: usize) {
        if self.clients.stopped {
            return self.writer_after(n, 100 * MS);
        }
        let (writer, now) = (&mut self.clients.writers[n], self.now);
        if self.config.clusters > 1 && writer.finds == Finds::Sentinel && now - writer.asked_at > ASKS_AGAIN {
            (writer.target, writer.asked_at) = (None, now);
        }
        match self.clients.writers[n].target.and_then(|t| self.host_at(t)) {
            Some(h) => self.writer_writes(n, h),
            None => self.writer_resolves(n),
        }
    }

    fn writer_resolves(&mut self, n: usize) {
        let cluster = self.clients.writers[n].cluster;
        let sentinels: Vec<HostId> = self.sentinels_of(cluster).collect();
        if sentinels.is_empty() {
            return self.writer_asks_a_server(n);
        }
        let t = self.rng.pick(&sentinels);
        let client = self.client_host();
        self.ask(
            (client, Which::Sup),
            (t, Which::Child),
            500 * MS,
            move |w, r| {
                let named = w.sentinel(t).and_then(|s| s.m.as_ref()).map(|m| m.named());
                r.answer(w, Ok(named));
            },
            move |w, named| {
                w.clients.writers[n].target = named.ok().flatten();
                let wait = if w.clients.writers[n].target.is_some() { 0 } else { 20 * MS };
                w.writer_after(n, wait);
            },
        );
    }

    fn writer_asks_a_server(&mut self, n: usize) {
        let h = self.rng.below(self.config.servers as u64) as usize;
        let client = self.client_host();
        self.ask(
            (client, Which::Sup),
            (h, Which::Sup),
            500 * MS,
            move |w, r| {
                let leads = w.status(h).is_some_and(|status| status.probes.master.is_yes());
                r.answer(w, Ok(leads));
            },
            move |w, leads| {
                w.clients.writers[n].target = leads.is_ok_and(|leads| leads).then(|| w.address(h));
                w.writer_after(n, if w.clients.writers[n].target.is_some() { 0 } else { 20 * MS });
            },
        );
    }

    fn writer_writes(&mut self, n: usize, h: HostId) {
        self.clients.next += 1;
        let id = self.clients.next | self.mark_of(h);
        let client = self.client_host();
        self.ask(
            (client, Which::Sup),
            (h, Which::Child),
            SEC,
            move |w, r| {
                if w.server(h).is_none_or(|s| !s.door) {
                    return r.answer(w, Err(redinit::core::seen::Failure::Refused));
                }
                w.serve_write(
                    h,
                    id,
                    Box::new(move |w, result| match result {
                        Some(result) => r.answer(w, Ok(result)),
                        None => r.answer(w, Err(redinit::core::seen::Failure::Refused)),
                    }),
                );
            },
            move |w, result: Result<Result<(), NoWrite>, _>| w.writer_done(n, h, id, result.is_ok_and(|r| r.is_ok())),
        );
    }

    fn writer_done(&mut self, n: usize, h: HostId, id: Write, ok: bool) {
        if ok {
            let cluster = self.cluster_of(h);
            let c = &mut self.clients;
            if cluster == 0 {
                c.longest_gap = c.longest_gap.max(self.now - c.last_ack[0]);
            }
            c.last_ack[cluster] = self.now;
            c.strayed += u64::from(c.writers[n].cluster != cluster);
            c.ledger.push(Ack { id, at: self.now, server: h });
            let think = self.config.think_ms * MS;
            let wait = think / 2 + self.rng.below(think);
            return self.writer_after(n, wait);
        }
        self.clients.errors += 1;
        if self.clients.writers[n].finds == Finds::Sentinel {
            self.clients.writers[n].target = None;
        }
        self.writer_after(n, 10 * MS);
    }

    /// The longest time without an acknowledged write, up to now.
    pub fn gap(&self) -> u64 {
        self.clients.longest_gap.max(self.now - self.clients.last_ack[0])
    }

    /// Starts measuring gaps anew.
    pub fn reset_gap(&mut self) {
        self.clients.longest_gap = 0;
        self.clients.last_ack[0] = self.now;
    }

    /// Acknowledged writes of its cluster that this server does not hold.
    pub fn lost_on(&self, h: HostId) -> Vec<Ack> {
        let mark = self.mark_of(h);
        let ours = self.clients.ledger.iter().filter(|ack| mark_in(ack.id) == mark).copied();
        let Some(s) = self.server(h) else { return ours.collect() };
        let held: std::collections::HashSet<Write> = s.data.iter().copied().collect();
        ours.filter(|a| !held.contains(&a.id)).collect()
    }
}
