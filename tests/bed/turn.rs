//! Whose turn it is on the machine: clusters that share two cores would only measure each other.

use std::sync::{Condvar, Mutex, PoisonError};

/// A test's turn on the machine, until it is dropped.
pub struct Turn {
    places: u32,
    /// It has none yet: its cluster starts and comes to rest while another test is measured.
    standing: bool,
}

/// As many clusters that mostly wait may share two cores.
const PLACES: u32 = 3;
/// So many may start and rest beside a test that has the machine to itself: idle, one takes a tenth of a core.
const STANDING: u32 = 2;
static FREE: Mutex<u32> = Mutex::new(PLACES);
static FREE_TO_STAND: Mutex<u32> = Mutex::new(STANDING);
static TURN_ENDED: Condvar = Condvar::new();
static STANDING_ENDED: Condvar = Condvar::new();

impl Turn {
    /// Nothing else runs: its limits are fractions of a second, or its writers take all there is.
    pub fn alone() -> Self {
        take(&FREE, &TURN_ENDED, PLACES);
        Turn { places: PLACES, standing: false }
    }

    /// Others like it may run too: it mostly waits, and its limits are many seconds. They go before those that wait for the
    /// machine to themselves, so that they meet.
    pub fn beside() -> Self {
        take(&FREE, &TURN_ENDED, 1);
        Turn { places: 1, standing: false }
    }

    /// Nothing of it is measured yet: [`begin`](Self::begin) then waits for the machine to itself.
    pub(super) fn standing() -> Self {
        take(&FREE_TO_STAND, &STANDING_ENDED, 1);
        Turn { places: 0, standing: true }
    }

    /// From now on nothing else runs.
    pub(super) fn begin(&mut self) {
        if self.standing {
            take(&FREE, &TURN_ENDED, PLACES);
            self.places = PLACES;
            self.stand_no_more();
        }
    }

    /// Nothing of it is measured for a while: whoever waits may run.
    pub(super) fn interrupt(&mut self) {
        if self.places == PLACES {
            give(&FREE, &TURN_ENDED, std::mem::take(&mut self.places));
            take(&FREE_TO_STAND, &STANDING_ENDED, 1);
            self.standing = true;
        }
    }

    fn stand_no_more(&mut self) {
        if std::mem::take(&mut self.standing) {
            give(&FREE_TO_STAND, &STANDING_ENDED, 1);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.stand_no_more();
        give(&FREE, &TURN_ENDED, self.places);
    }
}

fn take(free: &Mutex<u32>, ended: &Condvar, places: u32) {
    let free = free.lock().unwrap_or_else(PoisonError::into_inner);
    *ended.wait_while(free, |free| *free < places).unwrap_or_else(PoisonError::into_inner) -= places;
}

fn give(free: &Mutex<u32>, ended: &Condvar, places: u32) {
    *free.lock().unwrap_or_else(PoisonError::into_inner) += places;
    ended.notify_all();
}
