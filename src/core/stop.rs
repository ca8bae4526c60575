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
