//! Named scenarios in virtual time, each over several seeds (latencies, phases of the Sentinels' timers).

mod cold;
mod crash;
mod ghosts;
mod handover;
mod late;
mod liars;
mod no_sentinels;
mod sentinels;
mod two_clusters;

use crate::config::Config;
use crate::faults::Fault;
use crate::setup::attempt;
use crate::world::{HostId, MS, SEC, World};

/// Seeds a scenario is tried with; `SIM_TRIES` says how many instead.
const SEEDS: u64 = 12;

/// Runs a scenario on a settled cluster; every violation of every seed is told, the first with its history.
pub fn named(id: &str, change: impl Fn(&mut Config), scenario: impl Fn(&mut World)) {
    from_start(id, change, |w| {
        if w.settle(40 * SEC, SEC).is_some() {
            // Sentinels have heard of each other, and nobody has led for less than 10 s.
            w.run_for(12 * SEC);
            w.reset_gap();
            scenario(w);
        }
    });
}

/// As [`named`], from the very start.
pub fn from_start(id: &str, change: impl Fn(&mut Config), scenario: impl Fn(&mut World)) {
    let only: Option<u64> = std::env::var("SIM_SEED").ok().and_then(|s| s.parse().ok());
    let mut failures = Vec::new();
    let tries = std::env::var("SIM_TRIES").ok().and_then(|s| s.parse().ok()).unwrap_or(SEEDS);
    for seed in 0..tries {
        if only.is_some_and(|o| o != seed) {
            continue;
        }
        let mut c = Config::new(seed);
        change(&mut c);
        c.print = only.is_some();
        let rerun = format!("SIM_SEED={seed} cargo test --test sim {id} -- --nocapture");
        if let Err(text) = attempt(&c, &rerun, &scenario) {
            failures.push(text);
        }
    }
    if let Some(first) = failures.first() {
        let all: Vec<&str> = failures.iter().filter_map(|t| t.lines().find(|l| l.starts_with("seed "))).collect();
        panic!("{first}\n{id}: {} of {tries} seeds fail\n{}", failures.len(), all.join("\n"));
    }
}

/// A figure, where `SIM_STATS` asks for it.
pub fn figure(text: &str) {
    if std::env::var_os("SIM_STATS").is_some() {
        eprintln!("{text}");
    }
}

impl World {
    /// The master's container is killed and stays away, its address refuses: somebody else takes writes, after a gap of this
    /// at most.
    pub fn killed_with_a_reset(&mut self, m: HostId, limit: u64) {
        self.reset_gap();
        self.inflict(&Fault::KillPod { h: m, back_after: 25 * SEC, silent: false });
        self.within(10 * SEC, "somebody else takes writes", |w| w.writable() && w.other_master(m).is_some());
        self.run_for(5 * SEC);
        let gap = self.gap() / MS;
        figure(&format!("gap {gap} ms"));
        self.must(gap <= limit / MS, &format!("a gap of {gap} ms"));
        self.repair();
        self.settle(60 * SEC, 2 * SEC);
    }

    /// Something must hold now.
    pub fn must(&mut self, holds: bool, what: &str) {
        if !holds {
            self.violate(what.to_owned());
        }
    }

    /// Something must come to hold within `limit`; how long it took.
    pub fn within(&mut self, limit: u64, what: &str, holds: impl FnMut(&World) -> bool) -> Option<u64> {
        let took = self.step_until(limit, holds);
        if took.is_none() && self.violation.is_none() {
            self.violate(format!("not within {} ms: {what}", limit / MS));
        }
        took
    }

    /// The Sentinel whose failover has chosen somebody, and whom.
    pub fn proposal(&self) -> Option<(HostId, HostId)> {
        self.sentinels().find_map(|t| {
            let chosen = self.sentinel(t)?.m.as_ref()?.promoted?;
            Some((t, self.host_at(chosen)?))
        })
    }

    /// The old master has let go: paused and fenced.
    pub fn released(&self, h: HostId) -> bool {
        self.server(h).is_some_and(|s| s.is_master() && s.paused_until > self.now && s.min_replicas >= 100)
    }

    /// Another server than this one says master.
    pub fn other_master(&self, than: HostId) -> Option<HostId> {
        self.servers().find(|&h| h != than && self.server(h).is_some_and(|s| s.is_master()))
    }

    /// A server acknowledges writes now.
    pub fn writable(&self) -> bool {
        self.servers().any(|h| {
            self.server(h).is_some_and(|s| s.may_acknowledge() && s.paused_until <= self.now)
                && !self.hosts[h].child_proc.frozen
                && !self.hosts[h].silent
        })
    }

    /// Healed and settled, and no acknowledged write is missing.
    pub fn nothing_lost(&mut self) {
        self.repair();
        let Some(m) = self.settle(120 * SEC, 2 * SEC) else { return };
        let lost = self.lost_on(m);
        if let Some(first) = lost.first().copied() {
            let text = format!("{} acknowledged writes lost, the first {}", lost.len(), first.told(self));
            self.violate(text);
        }
    }

    /// The master of a settled cluster.
    pub fn the_master(&mut self) -> HostId {
        self.master().unwrap_or_else(|| {
            self.violate("no master".into());
            0
        })
    }
}
