//! Decisions: each logged once, with its one reason, and the last of them kept for `/status`.

use std::collections::VecDeque;

use super::action::{Action, Decision, Level};
use super::id::Address;
use super::moment::Moment;
use super::outbox::Outbox;
use super::status::HistoryLine;

/// Lines kept for `/status`.
const KEPT: usize = 64;

/// The history of decisions and the present reason.
#[derive(Debug)]
pub struct Journal {
    lines: VecDeque<HistoryLine>,
    count: u64,
    reason: String,
    since: Moment,
}

impl Journal {
    /// An empty journal.
    pub fn new(now: Moment) -> Self {
        Journal { lines: VecDeque::new(), count: 0, reason: "starting".into(), since: now }
    }

    /// Logs a decision, unless the very same was the last one.
    pub fn decide(
        &mut self,
        out: &mut Outbox,
        now: Moment,
        level: Level,
        event: &'static str,
        address: Option<Address>,
        reason: String,
    ) {
        if self.lines.back().is_some_and(|last| last.event == event && last.reason == reason) {
            return;
        }
        if self.lines.len() == KEPT {
            self.lines.pop_front();
        }
        self.count += 1;
        self.lines.push_back(HistoryLine { at: now, event, reason: reason.clone() });
        out.push(Action::Log(Decision { level, event, reason, address }));
    }

    /// The present reason, changed only where it differs.
    pub fn explain(&mut self, now: Moment, reason: String) {
        if self.reason != reason {
            self.reason = reason;
            self.since = now;
        }
    }

    /// The present reason and since when it holds.
    pub fn reason(&self) -> (&str, Moment) {
        (&self.reason, self.since)
    }

    /// How many lines there have been.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The kept lines, oldest first.
    pub fn lines(&self) -> impl Iterator<Item = &HistoryLine> {
        self.lines.iter()
    }
}
