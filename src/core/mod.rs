//! Every decision of redinit, pure: no clock, socket, file, thread or lock.
//!
//! A driver feeds [`Supervisor::handle`] with events and the time, carries out what [`Supervisor::poll_action`]
//! gives until it gives nothing, and comes back at [`Supervisor::poll_timeout`] with [`event::Event::Tick`].

pub mod action;
pub mod event;
pub mod id;
pub mod message;
pub mod moment;
pub mod record;
pub mod rules;
pub mod seen;
pub mod status;
pub mod stop;

use action::Action;
use event::Event;
use moment::Moment;
use record::Recovered;
use rules::Rules;
use status::Status;

/// The decisions of one supervisor.
pub struct Supervisor {
    _rules: Rules,
}

impl Supervisor {
    /// A supervisor that has decided nothing yet. `recovered` is the state file, where there was one of this cluster.
    pub fn new(rules: Rules, recovered: Option<Recovered>, now: Moment) -> Self {
        let _ = (recovered, now);
        Supervisor { _rules: rules }
    }

    /// Takes in what happened. Never blocks, never fails.
    pub fn handle(&mut self, event: Event, now: Moment) {
        let _ = (event, now);
        unimplemented!()
    }

    /// The next thing to do, in order; `None` when there is nothing now.
    pub fn poll_action(&mut self) -> Option<Action> {
        unimplemented!()
    }

    /// When to come back with [`Event::Tick`], at the latest.
    pub fn poll_timeout(&self) -> Option<Moment> {
        unimplemented!()
    }

    /// The picture for probes, `/status` and metrics.
    pub fn status(&self, now: Moment) -> Status {
        let _ = now;
        unimplemented!()
    }
}
