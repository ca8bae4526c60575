//! What the control task shows and the HTTP thread reads: one picture, and when the control loop last ran.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::control::clock::Clock;
use crate::core::moment::Moment;
use crate::core::status::{Answer, HistoryLine, Status};

/// Which engine runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineShown {
    /// `redis` or `valkey`; empty where not known yet.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// One picture of the supervisor.
#[derive(Clone, Debug)]
pub struct Published {
    /// What the core shows.
    pub status: Status,
    /// The last decisions, oldest first, at most 64: the same list until there is another one.
    pub history: Arc<[HistoryLine]>,
    /// The engine.
    pub engine: EngineShown,
    /// The wall-clock time of `Moment::ZERO`, for people only.
    pub wall_base: SystemTime,
}

impl Published {
    /// The wall-clock time of a moment.
    pub fn wall(&self, moment: Moment) -> String {
        let time = self.wall_base.checked_add(moment.since_start()).unwrap_or(self.wall_base);
        super::wall::rfc3339(time)
    }
}

/// Which probe is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// `/livez`
    Live,
    /// `/readyz`
    Ready,
    /// `/startupz`
    Startup,
    /// `/master`
    Master,
    /// `/replica`
    Replica,
}

/// Shared between the control task and the HTTP thread.
#[derive(Debug)]
pub struct Shared {
    clock: Clock,
    published: Mutex<Arc<Published>>,
    heartbeat: AtomicU64,
}

impl Shared {
    /// Starts with this picture; the control loop counts as having run now.
    pub fn new(clock: Clock, first: Published) -> Self {
        let shared = Shared { clock, published: Mutex::new(Arc::new(first)), heartbeat: AtomicU64::new(0) };
        shared.beat();
        shared
    }

    /// Shows a new picture.
    pub fn publish(&self, published: Published) {
        let mut place = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        *place = Arc::new(published);
    }

    /// The control loop runs now. Called every turn.
    pub fn beat(&self) {
        self.heartbeat.store(millis(self.clock.now().since_start()), Ordering::Release);
    }

    /// The newest picture.
    pub fn published(&self) -> Arc<Published> {
        Arc::clone(&self.published.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How long ago the control loop ran.
    pub fn heartbeat_age(&self) -> Duration {
        let last = Moment::millis(self.heartbeat.load(Ordering::Acquire));
        self.clock.now().since(last)
    }

    /// A probe's answer. While the loop is stuck nothing that it said last may be trusted: ready, master and replica
    /// fail with live (P39). Startup does not: it has no way back, and live follows it.
    pub fn answer(&self, probe: Probe) -> Answer {
        let published = self.published();
        let probes = &published.status.probes;
        let said = match probe {
            Probe::Startup => return probes.startup.clone(),
            Probe::Live => return probes.live_at(self.heartbeat_age()),
            Probe::Ready => &probes.ready,
            Probe::Master => &probes.master,
            Probe::Replica => &probes.replica,
        };
        let age = self.heartbeat_age();
        if said.is_yes() && age > probes.heartbeat { probes.live_at(age) } else { said.clone() }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
