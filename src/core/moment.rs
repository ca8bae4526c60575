//! The core's only notion of time: how long the supervisor has been running.

use std::ops::Add;
use std::time::Duration;

/// A point on the monotonic clock, counted from the start of the supervisor.
///
/// The drivers read the clock; the core only compares. A wall-clock time never becomes a `Moment` (P44).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(Duration);

impl Moment {
    /// The start of the supervisor.
    pub const ZERO: Moment = Moment(Duration::ZERO);

    /// The moment `since_start` after the start.
    pub const fn at(since_start: Duration) -> Self {
        Moment(since_start)
    }

    /// The moment `millis` milliseconds after the start.
    pub const fn millis(millis: u64) -> Self {
        Moment(Duration::from_millis(millis))
    }

    /// Time that passed from `earlier` to here; zero where `earlier` is later.
    pub fn since(self, earlier: Moment) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// Time since the start.
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// The moment `by` before this one, at the earliest the start.
    pub fn before(self, by: Duration) -> Moment {
        Moment(self.0.saturating_sub(by))
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;
    fn add(self, by: Duration) -> Moment {
        Moment(self.0.saturating_add(by))
    }
}
