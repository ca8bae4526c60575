//! The outcomes of looking at one thing again and again.

use super::evidence::FRESH;
use super::moment::Moment;
use super::seen::Failure;

/// The outcomes of looking at one thing again and again.
#[derive(Clone, Debug)]
pub struct Sighting<T> {
    good: Option<Good<T>>,
    bad: Option<Bad>,
}

#[derive(Clone, Debug)]
struct Good<T> {
    asked: Moment,
    view: T,
}

/// The run of failures since the last good answer.
#[derive(Clone, Copy, Debug)]
pub struct Bad {
    /// When the first of them was asked.
    pub since: Moment,
    /// When the last of them was asked.
    pub asked: Moment,
    /// Since when they have been what the last of them was: who was silent may begin to refuse.
    pub alike: Moment,
    /// What the last of them was.
    pub failure: Failure,
}

impl<T> Default for Sighting<T> {
    fn default() -> Self {
        Sighting { good: None, bad: None }
    }
}

impl<T> Sighting<T> {
    /// Takes in an outcome; answers that overtook each other are put right by when they were asked (M12).
    pub fn note(&mut self, asked: Moment, outcome: Result<T, Failure>) {
        if self.asked().is_some_and(|last| asked < last) {
            return;
        }
        match outcome {
            Ok(view) => {
                self.good = Some(Good { asked, view });
                self.bad = None;
            }
            Err(failure) => {
                let since = self.bad.map_or(asked, |bad| bad.since);
                let alike = self.bad.filter(|bad| bad.failure == failure).map_or(asked, |bad| bad.alike);
                self.bad = Some(Bad { since, asked, alike, failure });
            }
        }
    }

    /// When the newest outcome was asked for.
    pub fn asked(&self) -> Option<Moment> {
        self.good.as_ref().map(|good| good.asked).max(self.bad.map(|bad| bad.asked))
    }

    /// The newest outcome was asked for at `since` or later.
    pub fn asked_since(&self, since: Moment) -> bool {
        self.asked().is_some_and(|asked| asked >= since)
    }

    /// The view, where the newest outcome was good and asked at `since` or later.
    pub fn view_since(&self, since: Moment) -> Option<&T> {
        match (&self.good, self.bad) {
            (Some(good), None) if good.asked >= since => Some(&good.view),
            _ => None,
        }
    }

    /// The view, where it answers now.
    pub fn view(&self, now: Moment) -> Option<&T> {
        self.view_since(now.before(FRESH))
    }

    /// The last good view, however old, and when it was asked for.
    pub fn remembered(&self) -> Option<(&T, Moment)> {
        self.good.as_ref().map(|good| (&good.view, good.asked))
    }

    /// The present run of failures.
    pub fn failing(&self) -> Option<Bad> {
        self.bad
    }

    /// The newest outcome, asked at `since` or later, is a reset.
    pub fn refused_since(&self, since: Moment) -> bool {
        self.bad.is_some_and(|bad| bad.failure == Failure::Refused && bad.asked >= since)
    }
}
