//! Restarting the child: back-off, and giving up so that the orchestrator sees it (K1).

use std::time::Duration;

use super::Supervisor;
use super::action::{Action, Birth, ChildOrder, Exit, Level};
use super::child::Process;
use super::crash::describe;
use super::event::{ChildExit, Maintenance};
use super::moment::Moment;
use super::rules::Mode;

/// A child that ran this long starts afresh with the back-off.
const HEALTHY: Duration = Duration::from_secs(30);
/// A master that ran this long had served.
const SERVED: Duration = Duration::from_secs(5);
/// First back-off, doubling up to the longest.
const FIRST_BACK_OFF: Duration = Duration::from_millis(500);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(30);
/// Restarts of the child.
#[derive(Clone, Debug, Default)]
pub struct Restarts {
    /// When, within the window.
    pub(super) at: Vec<Moment>,
    /// How many there were in all.
    pub count: u32,
    /// Failed starts in a row, for the back-off.
    pub(super) in_row: u32,
    /// When the next one is due.
    pub due: Option<Moment>,
}

impl Supervisor {
    /// Restarts with back-off, or gives up so that the orchestrator sees it.
    pub(super) fn schedule_restart(&mut self, exit: ChildExit, ran: Duration) {
        let within = self.rules.restart_within;
        self.restarts.at.retain(|at| self.now.since(*at) < within);
        if self.restarts.at.len() >= self.rules.restart_max as usize {
            let reason = format!("giving up after {} restarts: {}", self.restarts.at.len(), describe(exit));
            self.decide(Level::Error, "give-up", None, reason);
            return self.out.push(Action::Exit(Exit::GivingUp(exit)));
        }
        if ran >= HEALTHY {
            self.restarts.in_row = 0;
        }
        // A master that has served is restarted at once: in place it must be back within down-after - 2 s (D3).
        let served = self.crash.is_some() && (self.restarts.in_row == 0 || ran >= SERVED);
        let at_once = served || self.restarts.in_row == 0 && ran >= HEALTHY;
        let wait = match at_once {
            true => Duration::ZERO,
            false => (FIRST_BACK_OFF * 2u32.saturating_pow(self.restarts.in_row)).min(LONGEST_BACK_OFF) + self.jitter(),
        };
        self.restarts.in_row = (self.restarts.in_row + 1).min(16);
        self.restarts.at.push(self.now);
        self.restarts.count += 1;
        self.restarts.due = Some(self.now + wait);
    }

    /// Up to 10 % of the first back-off, from our nonce: supervisors do not march in step.
    pub(super) fn jitter(&self) -> Duration {
        Duration::from_millis((self.rules.nonce ^ u64::from(self.restarts.count)) % 50)
    }

    /// Starts the child when its time has come.
    pub(super) fn restart_turn(&mut self) {
        if self.stop.is_some()
            || !matches!(self.child.process, Process::None { .. })
            || self.maintenance == Maintenance::On
        {
            return;
        }
        match self.restarts.due {
            Some(due) if self.now < due => self.out.wake_at(due),
            Some(_) => self.spawn_now(),
            None => {}
        }
    }

    /// Starts the child now.
    pub(super) fn spawn_now(&mut self) {
        self.restarts.due = None;
        self.child.reset(Process::Starting);
        let birth = match self.rules.mode {
            Mode::Server => Birth::Server,
            // Under the id that is known by now: another cluster counts a Sentinel without one at an address that was its own (N16).
            Mode::Sentinel => {
                let file = std::mem::take(&mut self.sentinel_file);
                Birth::Sentinel(super::action::SentinelFile { cluster: self.cluster_tag(), ..file })
            }
        };
        self.child.order(&mut self.out, self.now, ChildOrder::Spawn(birth));
    }
}
