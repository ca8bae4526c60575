//! Puts worlds together, and runs seeds: a failing one is run again with its history and printed.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::config::Config;
use crate::invariants;
use crate::sentinel::{FileMonitor, SentFile};
use crate::world::{HostId, MS, SEC, START, Which, World};

impl World {
    /// Servers as other images run them (no supervisor): S0 is the master, Sentinels know it.
    pub fn bare(config: Config, gated: bool) -> World {
        let tracing = config.print;
        let mut w = World::empty(config, tracing);
        w.watch.off = true;
        let master = w.address(0);
        for h in w.servers() {
            w.start_server(h, true);
            if let Some(s) = w.server_mut(h) {
                s.gated = gated;
            }
            if h == 0 { w.lead(0) } else { w.follow(h, Some(master)) }
        }
        for t in w.sentinels() {
            w.hosts[t].sentinel_disk = Some(SentFile {
                cluster: 0,
                current_epoch: 0,
                monitor: Some(FileMonitor {
                    addr: master,
                    config_epoch: 0,
                    leader_epoch: 0,
                    replicas: vec![],
                    sentinels: vec![],
                }),
            });
            w.start_sentinel(t);
        }
        w.start_writers();
        w.start_referee();
        w
    }

    /// Everything under supervisors, started in any order within a second.
    pub fn cluster(config: Config, tracing: bool) -> World {
        let mut w = World::empty(config, tracing);
        for h in w.pods() {
            let at = w.now + w.rng.below(SEC);
            w.at(at, Box::new(move |w| w.start_supervisor(h)));
        }
        w.start_elector();
        w.start_writers();
        w.start_referee();
        w
    }

    fn start_referee(&mut self) {
        self.at(
            self.now + SEC,
            Box::new(|w| {
                invariants::check_second(w);
                w.start_referee();
            }),
        );
    }

    /// Runs until everything is as it should be, and stays so for `hold`; a violation where that takes too long.
    pub fn settle(&mut self, limit: u64, hold: u64) -> Option<HostId> {
        let start = self.now;
        let mut good_since = None;
        loop {
            match invariants::settled(self) {
                Ok(m) => {
                    let since = *good_since.get_or_insert(self.now);
                    if self.now - since >= hold {
                        return Some(m);
                    }
                }
                Err(why) => {
                    good_since = None;
                    if self.now - start > limit && self.said_conflict() {
                        self.conflict = true;
                        crate::say!(self, "a conflict that a person must decide");
                        return None;
                    }
                    if self.now - start > limit {
                        let t = (self.now - start) / MS;
                        self.say_what_everybody_says();
                        self.violate(format!("not settled after {t} ms: {why}"));
                    }
                }
            }
            if self.violation.is_some() {
                return None;
            }
            self.run_for(50 * MS);
        }
    }

    /// The reason that each supervisor shows, for the history.
    fn say_what_everybody_says(&mut self) {
        for h in self.pods() {
            if let Some(status) = self.status(h) {
                let ready = status.probes.ready.reason();
                crate::say!(self, "{} shows: {}; ready: {ready}", self.hosts[h].name, status.reason);
            }
        }
    }

    /// Nobody leads, and everybody who is asked says why: histories that nobody can rank (design section 3.4). Only faults
    /// lead there; planned events must not.
    fn said_conflict(&self) -> bool {
        let said = |h| self.status(h).is_some_and(|s| s.reason.contains("unrelated histories at one epoch"));
        let leads = |h| self.server(h).is_some_and(|s| s.is_master());
        let stuck = |cluster| !self.servers_of(cluster).any(leads) && self.servers_of(cluster).any(said);
        self.unplanned && (0..self.config.clusters).any(stuck)
    }

    /// Starts whatever has ended, and wakes whatever is frozen.
    pub fn repair(&mut self) {
        for h in self.pods() {
            self.hosts[h].silent = false;
        }
        self.heal();
        for h in self.pods() {
            self.thaw(h, Which::Sup);
            self.thaw(h, Which::Child);
            if !self.hosts[h].sup_proc.alive {
                self.start_supervisor(h);
            }
        }
        self.elector.dead = false;
    }
}

/// How a run without a violation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Whole,
    /// In a conflict that a person must decide.
    Conflict,
}

/// What a run came to.
pub struct Outcome {
    pub ended: Ended,
    pub violation: Option<String>,
    pub history: Vec<String>,
}

/// Runs one scenario of one seed; a panic in the core is a violation too.
pub fn run(config: &Config, tracing: bool, scenario: &dyn Fn(&mut World)) -> Outcome {
    let mut w = World::cluster(config.clone(), tracing);
    let result = catch_unwind(AssertUnwindSafe(|| scenario(&mut w)));
    if let Err(panic) = result {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()))
            .unwrap_or_else(|| "no text".into());
        let t = w.now - START;
        w.violation = Some(format!("panic at {} ms: {text}", t / MS));
    }
    if std::env::var("SIM_STATS").is_ok() {
        let conflict = if w.conflict { ", a conflict" } else { "" };
        let seed = config.seed;
        eprintln!("{seed}: {} s, {} steps, {:?}{conflict}", (w.now - START) / SEC, w.steps, w.watch.handled);
        let (acked, strayed) = (w.clients.ledger.len(), w.clients.strayed);
        eprintln!("{seed}: {acked} acknowledged, {strayed} of them by the other cluster's servers");
    }
    let ended = if w.conflict { Ended::Conflict } else { Ended::Whole };
    Outcome { ended, violation: w.violation.take(), history: w.history.into_iter().collect() }
}

/// Runs a scenario; where it fails, runs it again with its history: the report is the error.
pub fn attempt(config: &Config, rerun: &str, scenario: &dyn Fn(&mut World)) -> Result<Ended, String> {
    let first = run(config, config.print, scenario);
    let Some(what) = first.violation else { return Ok(first.ended) };
    if config.print {
        return Err(format!("seed {}: {what}\nrun it again: {rerun}\n", config.seed));
    }
    let again = run(config, true, scenario);
    let same = again.violation.as_ref() == Some(&what);
    let lines = again.history.len();
    let tail = again.history[lines.saturating_sub(200)..].join("\n");
    let note = if same { "" } else { "\n(the second run came out differently: not deterministic!)" };
    Err(format!("{tail}\n\nseed {}: {what}{note}\nrun it again: {rerun}\n", config.seed))
}
