//! Stopping: how the grace period is spent, and the ladder down to SIGKILL (design section 4, Stopping; C10, P30, P35).

use std::time::Duration;

/// Shares of a 60 s grace period, scaled to the configured one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// For the handover.
    pub handover: Duration,
    /// For the child to drain its replicas (its `shutdown-timeout`).
    pub drain: Duration,
    /// For the final save.
    pub save: Duration,
    /// From the first forced step to SIGKILL.
    pub escalation: Duration,
    /// Left over when we exit.
    pub margin: Duration,
}

impl Budget {
    /// 20 + 10 + 15 + 5 + 10 of 60 seconds, in proportion.
    pub fn scaled(grace: Duration) -> Self {
        let share = |of_sixty: u32| grace * of_sixty / 60;
        Budget { handover: share(20), drain: share(10), save: share(15), escalation: share(5), margin: share(10) }
    }

    /// Time from the signal to the first forced step.
    pub fn until_force(&self) -> Duration {
        self.handover + self.drain + self.save
    }

    /// Time from the signal to SIGKILL of the group.
    pub fn until_kill(&self) -> Duration {
        self.until_force() + self.escalation
    }
}

use super::Supervisor;
use super::action::{Action, ChildOrder, Exit, Level};
use super::child::Process;
use super::course::Basis;
use super::event::ChildExit;
use super::handover::Why;
use super::moment::Moment;
use super::rules::Mode;
use super::seen::{ChildFailure, RoleSeen};

/// After SIGTERM a child that is not shutting down by then refuses to (failing save, BUSY script).
const REFUSES_AFTER: Duration = Duration::from_millis(1500);

/// An order to lead that was out when the signal came is answered within this time.
const LEAD_ANSWERS_WITHIN: Duration = Duration::from_millis(1500);

/// A stop under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// When the signal came; the budget counts from here.
    pub since: Moment,
    /// Where on the ladder.
    pub rung: Rung,
}

/// The ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rung {
    /// Handing over first.
    Handover,
    /// SIGTERM was sent.
    Terminated { at: Moment },
    /// `SHUTDOWN NOSAVE NOW FORCE` was sent.
    Forced,
    /// SIGKILL was sent.
    Killed,
}

impl Supervisor {
    /// TERM or INT. A second one changes nothing (P3).
    pub(super) fn stop_asked(&mut self) {
        if self.stop.is_some() {
            return;
        }
        self.decide(Level::Info, "stop", None, "told to stop".into());
        self.stop = Some(Stop { since: self.now, rung: Rung::Handover });
        if self.candidacy.as_ref().is_some_and(|c| !matches!(c.stage, super::candidacy::Stage::Leading { .. })) {
            self.end_attempt("we are told to stop".into());
        }
        let leads_for_others =
            self.course.leading().is_some_and(|leading| leading.basis != Basis::Alone) && self.knows_others();
        if leads_for_others && self.child.running() {
            let moving =
                self.release_stands() || self.handover.as_ref().is_some_and(|handover| handover.direct.is_some());
            let deadline = self.now + self.rules.budget().handover;
            match &mut self.handover {
                Some(handover) if moving => handover.deadline = deadline,
                Some(_) => {
                    self.handover_failed("we are told to stop");
                    self.begin_handover(Why::Stop, None);
                }
                None => self.begin_handover(Why::Stop, None),
            }
        }
    }

    /// QUIT: the bottom of the ladder, at once (P4).
    pub(super) fn quit_asked(&mut self) {
        self.decide(Level::Warn, "stop", None, "told to quit: the child is killed".into());
        self.stop = Some(Stop { since: self.stop.map_or(self.now, |stop| stop.since), rung: Rung::Killed });
        self.handover = None;
        match self.child.process {
            Process::None { .. } => self.exit_once(Exit::Asked),
            _ => {
                self.child.order(&mut self.out, self.now, ChildOrder::Kill);
            }
        }
    }

    /// One turn of the stop.
    pub(super) fn stop_turn(&mut self) {
        let Some(stop) = self.stop else { return };
        let budget = self.rules.budget();
        let waited = self.now.since(stop.since);
        if matches!(self.child.process, Process::None { .. }) {
            if self.waits_for_successor() && waited < budget.handover {
                return self.out.wake_at(stop.since + budget.handover);
            }
            return self.exit_once(Exit::Asked);
        }
        match stop.rung {
            Rung::Handover => {
                let busy = self.handover.is_some() || self.release_stands() && self.release_is_moving();
                if busy && waited < budget.handover {
                    return self.out.wake_at(stop.since + budget.handover);
                }
                if self.child.under_way(|order| matches!(order, ChildOrder::Lead)) && waited < LEAD_ANSWERS_WITHIN {
                    return self.out.wake_at(stop.since + LEAD_ANSWERS_WITHIN);
                }
                let leads = self
                    .course
                    .leading()
                    .is_some_and(|leading| leading.basis != Basis::Alone && leading.since > stop.since);
                if !busy && leads && self.knows_others() && waited < budget.handover / 2 {
                    // The order to lead was on its way when the signal came (M28).
                    return self.begin_handover(Why::Stop, None);
                }
                if busy {
                    self.handover_failed("its share of the grace period is used up");
                }
                self.terminate();
            }
            Rung::Terminated { at } => self.climb_down(stop, at, waited, &budget),
            Rung::Forced if waited >= budget.until_kill() => self.kill("it did not stop within the grace period"),
            Rung::Forced => self.out.wake_at(stop.since + budget.until_kill()),
            Rung::Killed => {}
        }
    }

    fn release_is_moving(&self) -> bool {
        self.release.is_some()
    }

    fn set_rung(&mut self, rung: Rung) {
        if let Some(stop) = &mut self.stop {
            stop.rung = rung;
        }
    }

    fn terminate(&mut self) {
        if self.child.process == Process::Starting {
            return self.out.wake_at(self.now + Duration::from_millis(20));
        }
        if self.rules.mode == Mode::Server && self.course.leading().is_none() && self.child.loaded {
            // Whoever handed over shuts the door before it goes (P8), and waits for no replica of its own.
            self.child.order(&mut self.out, self.now, ChildOrder::ShutDoor);
            self.child.order(&mut self.out, self.now, ChildOrder::DropDrain);
        }
        self.child.order(&mut self.out, self.now, ChildOrder::Terminate);
        self.set_rung(Rung::Terminated { at: self.now });
        self.save_soon();
    }

    fn climb_down(&mut self, stop: Stop, terminated: Moment, waited: Duration, budget: &Budget) {
        let since_term = self.now.since(terminated);
        if waited >= budget.until_kill() {
            return self.kill("it did not stop within the grace period");
        }
        if since_term >= REFUSES_AFTER {
            if self.child.failure() == Some(ChildFailure::Busy) {
                self.child.order_once(&mut self.out, self.now, ChildOrder::KillScript, |order| {
                    matches!(order, ChildOrder::KillScript)
                });
            }
            let refuses = self.child.seen_since(terminated).is_some_and(|seen| !seen.shutting_down)
                || self.child.failure() == Some(ChildFailure::Busy);
            if (refuses && self.nothing_to_save()) || waited >= budget.until_force() {
                self.decide(
                    Level::Warn,
                    "stop",
                    None,
                    "the child does not stop by SIGTERM: SHUTDOWN NOSAVE NOW FORCE".into(),
                );
                self.child.order(&mut self.out, self.now, ChildOrder::ShutdownNow);
                self.set_rung(Rung::Forced);
                return;
            }
        }
        let next = [terminated + REFUSES_AFTER, stop.since + budget.until_force(), stop.since + budget.until_kill()];
        let next = next.into_iter().filter(|at| *at > self.now).min();
        self.out
            .wake_at(next.unwrap_or(self.now + Duration::from_millis(200)).min(self.now + Duration::from_millis(500)));
    }

    /// A replica, or a master whose offset a replica holds: its own save is worth nothing more.
    fn nothing_to_save(&self) -> bool {
        match self.child.last_seen().map(|seen| (&seen.role, seen.history.offset)) {
            Some((RoleSeen::Replica { .. }, _)) => self.course.leading().is_none() && !self.evidence.servers.is_empty(),
            Some((RoleSeen::Master { replicas }, offset)) => {
                replicas.iter().any(|replica| replica.online && replica.offset >= offset)
            }
            None => false,
        }
    }

    fn kill(&mut self, why: &str) {
        self.decide(Level::Error, "stop", None, format!("SIGKILL to the child: {why}"));
        self.child.order(&mut self.out, self.now, ChildOrder::Kill);
        self.set_rung(Rung::Killed);
    }

    /// The child is gone in a stop that was asked for.
    pub(super) fn child_stopped(&mut self, exit: ChildExit) {
        let killed = self.stop.is_some_and(|stop| stop.rung == Rung::Killed);
        let status = match (killed, exit) {
            (true, ChildExit::Signal(9)) => Exit::Forced,
            // 15: the signal came before the engine had installed its handlers (P2).
            (_, ChildExit::Code(0) | ChildExit::Signal(15)) => Exit::Asked,
            _ => {
                self.decide(
                    Level::Warn,
                    "stop",
                    None,
                    format!("the child ended with {}", super::crash::describe(exit)),
                );
                Exit::Asked
            }
        };
        self.save_now(exit == ChildExit::Code(0));
        self.exit_once(status);
    }

    /// Another server's supervisor answers, and does not say that it never leads: who is told to stop together with us says so.
    pub(super) fn somebody_may_succeed(&self) -> bool {
        self.evidence.servers.values().any(|entry| entry.supervisor.view(self.now).is_some_and(|seen| !seen.never))
    }

    /// C2: the engine got the signal too and has drained: a crash with its data complete. Somebody else shall lead at once,
    /// where there is somebody.
    fn waits_for_successor(&self) -> bool {
        matches!(self.crash.as_ref().map(|crash| &crash.stage), Some(super::crash::Stage::Replaced { .. }))
            && self.somebody_may_succeed()
            && matches!(
                self.verdict,
                super::verdict::Verdict::Named { shows: super::verdict::NamedShows::Ourselves, .. }
            )
    }

    /// Ends the process, once.
    pub(super) fn exit_once(&mut self, exit: Exit) {
        if !self.exiting {
            self.exiting = true;
            self.out.push(Action::Exit(exit));
        }
    }
}
