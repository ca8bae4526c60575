//! An elector beside a server stands for that server: when its supervisor is gone, so is the candidacy. (Started as
//! `/bin/sh -c "/server .."` the elector never gets SIGTERM, measured with dash.)

use std::time::{Duration, Instant};

use crate::core::seen::Failure;

/// How often the supervisor is asked.
pub const ASK_EVERY: Duration = Duration::from_secs(1);
/// It has answered before, and its port has been refused for this long: it is gone.
const GONE_AFTER: Duration = Duration::from_secs(3);
/// It never answered: there is none.
const NEVER_AFTER: Duration = Duration::from_secs(60);

/// What is known of the supervisor beside us.
#[derive(Clone, Copy, Debug)]
pub struct Beside {
    started: Instant,
    answered: bool,
    refused_since: Option<Instant>,
}

impl Beside {
    /// Not asked yet.
    pub fn new(now: Instant) -> Self {
        Beside { started: now, answered: false, refused_since: None }
    }

    /// Takes in one answer. Any HTTP answer is life; silence is neither (a frozen supervisor may come back).
    pub fn heard(&mut self, answer: Result<(), Failure>, now: Instant) {
        match answer {
            Ok(()) => (self.answered, self.refused_since) = (true, None),
            Err(Failure::Refused) => self.refused_since = self.refused_since.or(Some(now)),
            Err(_) => {}
        }
    }

    /// May we stand for it? Again, too, when it is back: a container that restarts inside a living pod.
    pub fn may_stand(&self, now: Instant) -> bool {
        if self.answered {
            self.refused_since.is_none_or(|since| now.duration_since(since) < GONE_AFTER)
        } else {
            now.duration_since(self.started) < NEVER_AFTER
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_candidacy_ends_with_the_supervisor() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut beside = Beside::new(start);
        beside.heard(Err(Failure::Refused), at(1));
        assert!(beside.may_stand(at(59)) && !beside.may_stand(at(60)));
        beside.heard(Ok(()), at(70));
        assert!(beside.may_stand(at(1000)));
        beside.heard(Err(Failure::Silent), at(1001));
        assert!(beside.may_stand(at(1100)), "silence proves nothing");
        beside.heard(Err(Failure::Refused), at(1100));
        beside.heard(Err(Failure::Refused), at(1102));
        assert!(beside.may_stand(at(1102)) && !beside.may_stand(at(1103)));
        beside.heard(Ok(()), at(1104));
        assert!(beside.may_stand(at(1104)));
    }
}
