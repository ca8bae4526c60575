//! The monotonic clock that turns into the core's [`Moment`]s.

use std::time::{Duration, Instant};

use crate::core::moment::Moment;

/// Counts from the start of the supervisor. Cheap to copy, the same everywhere.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts now.
    #[expect(clippy::new_without_default, reason = "a default that reads the clock would surprise")]
    pub fn new() -> Self {
        Clock { start: Instant::now() }
    }

    /// Now.
    pub fn now(&self) -> Moment {
        Moment::at(self.start.elapsed())
    }

    /// How long from now until `moment`; zero where it has passed.
    pub fn until(&self, moment: Moment) -> Duration {
        moment.since(self.now())
    }
}
