//! What came of the orders to the child.

use std::time::Duration;

use super::Supervisor;
use super::action::{ChildOrder, Level, Look};
use super::child::{Door, Fence, Process};
use super::course::{Basis, Course, Told};
use super::event::{Done, OrderFailure};
use super::id::OrderId;

/// What is repeated until it works is not repeated faster than this (an occupied port, a BUSY script, LOADING).
const AFTER_REFUSAL: Duration = Duration::from_millis(250);

impl Supervisor {
    /// An order to the child was carried out, or was not.
    pub(super) fn child_done(&mut self, id: OrderId, done: Result<Done, OrderFailure>) {
        let Some((order, _)) = self.child.done(id) else { return };
        if matches!(order, ChildOrder::Follow { .. } | ChildOrder::Lead | ChildOrder::LeadAlone) {
            self.child.role_since = self.now;
        }
        match (order, done) {
            (ChildOrder::Spawn(_), Ok(Done::Spawned { pid })) => {
                self.child.process = Process::Running { pid, since: self.now };
                self.decide(Level::Info, "child-start", None, format!("child started, pid {pid}"));
            }
            (ChildOrder::Spawn(_), done) => {
                let why = match done {
                    Err(OrderFailure::NoChild(why) | OrderFailure::Refused(why)) => why,
                    other => format!("{other:?}"),
                };
                self.child.process = Process::None { since: self.now };
                self.decide(Level::Error, "child-start", None, format!("the child cannot be started: {why}"));
                self.exit_once(super::action::Exit::CannotStart);
            }
            (ChildOrder::Examine(complaint), Ok(Done::Found(found))) => self.ails(complaint, found),
            (ChildOrder::Lead, _) if !self.child.running() => self.nobody_to_lead(),
            _ if !self.child.running() => {}
            (ChildOrder::Lead, Ok(_)) => {
                self.child.fence = Some(Fence::Up);
                self.led();
            }
            (ChildOrder::LeadAlone, Ok(_)) => {
                self.child.fence = Some(Fence::Down);
                let attempt = self.new_attempt();
                self.start_leading(Basis::Alone, attempt, "nothing else is configured: a standalone server".into());
            }
            (ChildOrder::Lead, Err(failure)) => self.lead_order_failed(&failure),
            (ChildOrder::Release { .. }, Ok(Done::At { history, offset })) => {
                self.child.fence = Some(Fence::Up);
                if !self.direct_released(history.clone(), offset) {
                    self.released(history, offset);
                }
            }
            (ChildOrder::Release { .. }, failed) => {
                let why = format!("writers could not be paused: {failed:?}");
                if !self.direct_failed(&why) {
                    self.release_failed(&why);
                }
            }
            (order, Ok(_)) => self.child_obeyed(&order),
            (order, Err(failure)) => self.child_disobeyed(&order, &failure),
        }
        self.lookout.want(Look::Child { depth: super::action::Depth::Glance });
    }

    pub(super) fn child_obeyed(&mut self, order: &ChildOrder) {
        match order {
            ChildOrder::OpenDoor => {
                self.child.door = Door::Open;
                self.decide(Level::Info, "door", None, "the door is open".into());
            }
            ChildOrder::ShutDoor => self.child.door = Door::Shut,
            ChildOrder::Fence => self.child.fence = Some(Fence::Up),
            ChildOrder::Unfence | ChildOrder::TakeBack => self.child.fence = Some(Fence::Down),
            ChildOrder::Priority(priority) => self.child.priority = Some(*priority),
            ChildOrder::Belong(tag) => self.belongs_now(tag),
            ChildOrder::LogIn(login) => self.child.login = Some(*login),
            ChildOrder::Admit(login) => self.child.admits = Some(*login),
            ChildOrder::Quicken => self.child.quick_since = self.child.quick_until.map(|_| self.now),
            _ => {}
        }
    }

    pub(super) fn child_disobeyed(&mut self, order: &ChildOrder, failure: &OrderFailure) {
        if let (ChildOrder::Follow { .. }, Course::Following(following)) = (order, &mut self.course) {
            following.told = Told::No;
        }
        if *failure == OrderFailure::Unknown || matches!(order, ChildOrder::Unquicken) {
            self.child.forget_effect(order);
        }
        self.child.rest_until(self.now + AFTER_REFUSAL);
        if matches!(order, ChildOrder::Keep) {
            return self.not_kept(failure);
        }
        if *failure != OrderFailure::OtherRole {
            let word = words(failure);
            self.decide(Level::Warn, "order", None, format!("the child did not obey {}: {word}", name_of(order)));
        }
    }

    /// Invariant 8: what is given up without a rollback file is said, in bytes of the replication stream.
    fn not_kept(&mut self, failure: &OrderFailure) {
        let why = words(failure);
        let bytes = match self.holding.giving_up.take() {
            Some(bytes) => format!("{bytes} bytes of the replication stream"),
            None => "the whole data set: nothing is known of a common past".to_owned(),
        };
        let reason = format!("no rollback file could be kept ({why}): given up are {bytes}");
        self.decide(Level::Error, "keep", self.course.master(), reason);
    }
}

fn words(failure: &OrderFailure) -> String {
    match failure {
        OrderFailure::Refused(why) | OrderFailure::NoChild(why) => why.clone(),
        OrderFailure::Unknown => "no answer in time".to_owned(),
        other => format!("{other:?}"),
    }
}

fn name_of(order: &ChildOrder) -> &'static str {
    match order {
        ChildOrder::Follow { .. } | ChildOrder::Reconnect { .. } => "REPLICAOF",
        ChildOrder::OpenDoor | ChildOrder::ShutDoor => "CONFIG SET port",
        ChildOrder::Fence | ChildOrder::Unfence | ChildOrder::TakeBack => "CONFIG SET min-replicas-to-write",
        ChildOrder::DropDrain => "CONFIG SET shutdown-timeout",
        ChildOrder::Quicken | ChildOrder::Unquicken | ChildOrder::Admit(_) | ChildOrder::Belong(_) => "ACL SETUSER",
        ChildOrder::LogIn(_) => "CONFIG SET masteruser",
        ChildOrder::Priority(_) => "CONFIG SET replica-priority",
        ChildOrder::CutLink | ChildOrder::Dismiss => "CLIENT KILL",
        ChildOrder::Keep => "BGSAVE",
        ChildOrder::Terminate | ChildOrder::Kill | ChildOrder::KillRest => "a signal",
        ChildOrder::Examine(_) => "an examination",
        ChildOrder::KillScript => "SCRIPT KILL",
        ChildOrder::ShutdownNow => "SHUTDOWN",
        ChildOrder::Spawn(_) | ChildOrder::Lead | ChildOrder::LeadAlone | ChildOrder::Release { .. } => "an order",
    }
}
