//! Bad input is one log line, not one a packet: a kind of complaint is said once a minute, with a count.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const PERIOD: Duration = Duration::from_secs(60);

/// What was said when, by kind; the kinds are fixed texts, so there are few.
#[derive(Debug, Default)]
pub struct Complaints(Mutex<HashMap<&'static str, (Instant, u64)>>);

impl Complaints {
    /// Says it, or counts it.
    pub fn say(&self, kind: &'static str, detail: &str) {
        if let Some(before) = self.due(kind, Instant::now()) {
            tracing::warn!(reason = detail, before, "{kind}");
        }
    }

    fn due(&self, kind: &'static str, now: Instant) -> Option<u64> {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match said.get_mut(kind) {
            Some((last, count)) if now.duration_since(*last) < PERIOD => {
                *count += 1;
                None
            }
            Some((last, count)) => {
                *last = now;
                Some(std::mem::take(count))
            }
            None => {
                said.insert(kind, (now, 0));
                Some(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_a_minute() {
        let complaints = Complaints::default();
        let start = Instant::now();
        assert_eq!(complaints.due("garbage", start), Some(0));
        assert_eq!(complaints.due("garbage", start), None);
        assert_eq!(complaints.due("garbage", start + PERIOD / 2), None);
        assert_eq!(complaints.due("other", start), Some(0));
        assert_eq!(complaints.due("garbage", start + PERIOD), Some(2));
        assert_eq!(complaints.due("garbage", start + PERIOD), None);
    }
}
