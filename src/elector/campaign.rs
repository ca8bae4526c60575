//! The rules of the lease, without a clock of their own.
//!
//! Never two leaders: a holder counts its lease from before it wrote, and gives up after [`GIVE_UP`]; the others wait
//! [`LEASE`] from after they saw the last change, and name a holder for [`GIVE_UP`] from before they could have seen it.
//! A clock of another process never enters.

use std::time::{Duration, Instant};

use super::answer::{GIVE_UP, LEASE, RENEW};
use super::lock::{Lease, Lock, LockError, Stamp};

/// How soon to look again while nobody is known to lead.
const UNDECIDED: Duration = Duration::from_millis(500);
/// How often a known leader is looked at by the others: after a release he is named for this long.
const WATCH: Duration = Duration::from_secs(1);
/// The first renewals come fast: one is what the others need to see before they believe in a holder.
const EAGER: Duration = Duration::from_millis(250);
const EAGER_RENEWALS: u64 = 4;

/// Who leads, as far as is known, and until when that may be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The leader's id.
    pub leader: String,
    /// From then on it is not known any more.
    pub until: Instant,
    /// It is we.
    pub own: bool,
}

/// One candidate's view of one election.
#[derive(Debug)]
pub struct Campaign {
    election: String,
    id: String,
    run: String,
    seen: Option<Seen>,
    own: Option<Own>,
    standing: Option<Standing>,
    ever_held: bool,
}

#[derive(Debug)]
struct Seen {
    stamp: Stamp,
    /// After the reading that first showed it.
    since: Instant,
    /// Before the last reading of all.
    last_look: Instant,
}

#[derive(Debug)]
struct Own {
    stamp: Stamp,
    renewal: u64,
}

impl Campaign {
    /// A candidate `id` for `election`; `run` is random, new at every start.
    pub fn new(election: &str, id: &str, run: &str) -> Self {
        let (election, id, run) = (election.to_owned(), id.to_owned(), run.to_owned());
        Campaign { election, id, run, seen: None, own: None, standing: None, ever_held: false }
    }

    /// Who leads, where that may be said at `now`.
    pub fn standing(&self) -> Option<&Standing> {
        self.standing.as_ref()
    }

    /// One step: renew, or look, and take what is free if we `stand`. `clock` reads the monotonic clock.
    pub fn step(&mut self, lock: &mut dyn Lock, clock: &dyn Fn() -> Instant, stand: bool) -> Result<(), LockError> {
        if let Some(own) = self.own.take() {
            if !stand {
                self.own = Some(own);
                return self.release(lock);
            }
            let before = clock();
            if self.put(lock, before, &own.stamp, own.renewal + 1, Some(own.renewal))? {
                return Ok(());
            }
        }
        self.look(lock, clock)?;
        let Some(seen) = &self.seen else { return Ok(()) };
        let (stamp, left_over, before) = (seen.stamp.clone(), self.left_over(&seen.stamp), clock());
        match left_over {
            Some(renewal) if !stand => {
                self.own = Some(Own { stamp, renewal });
                self.release(lock)
            }
            Some(renewal) => self.put(lock, before, &stamp, renewal + 1, Some(renewal)).map(drop),
            None if stand && self.is_free(seen, before) => self.put(lock, before, &stamp, 0, None).map(drop),
            None => Ok(()),
        }
    }

    /// A record of this very run, which we wrote although the lock said that it failed.
    fn left_over(&self, stamp: &Stamp) -> Option<u64> {
        let ours = stamp.lease.as_ref().filter(|lease| lease.run == self.run && lease.holder == self.id)?;
        Some(ours.renewal)
    }

    /// Lets go of the lease, so that the others need not wait.
    pub fn release(&mut self, lock: &mut dyn Lock) -> Result<(), LockError> {
        self.standing = self.standing.take().filter(|standing| !standing.own);
        let Some(own) = self.own.take() else { return Ok(()) };
        let mut lease = self.lease(own.renewal + 1);
        lease.holder.clear();
        lock.swap(&own.stamp, &lease).map(drop)
    }

    /// How long to wait before the next step.
    pub fn pause(&self, now: Instant) -> Duration {
        match (&self.own, &self.standing) {
            (Some(own), _) if own.renewal < EAGER_RENEWALS => EAGER,
            (Some(_), _) => RENEW,
            (None, Some(standing)) if now < standing.until => WATCH,
            _ => UNDECIDED,
        }
    }

    /// Writes our lease over `seen`. An error leaves open whether it was written: we hold what we held, `had`.
    fn put(
        &mut self,
        lock: &mut dyn Lock,
        before: Instant,
        seen: &Stamp,
        renewal: u64,
        had: Option<u64>,
    ) -> Result<bool, LockError> {
        match lock.swap(seen, &self.lease(renewal)) {
            Ok(Some(stamp)) => {
                self.own = Some(Own { stamp, renewal });
                self.standing = Some(Standing { leader: self.id.clone(), until: before + GIVE_UP, own: true });
                (self.seen, self.ever_held) = (None, true);
                Ok(true)
            }
            Ok(None) => {
                self.standing = self.standing.take().filter(|standing| !standing.own);
                Ok(false)
            }
            Err(error) => {
                self.own = had.map(|renewal| Own { stamp: seen.clone(), renewal });
                Err(error)
            }
        }
    }

    fn look(&mut self, lock: &mut dyn Lock, clock: &dyn Fn() -> Instant) -> Result<(), LockError> {
        let before = clock();
        let stamp = lock.read()?;
        let after = clock();
        if let Some(lease) = &stamp.lease
            && lease.election != self.election
        {
            let (theirs, ours) = (lease.election.clone(), self.election.clone());
            return Err(LockError::OtherElection { theirs, ours });
        }
        match &mut self.seen {
            Some(seen) if seen.stamp.version == stamp.version => seen.last_look = before,
            seen => {
                // It changed after our last look: that is the earliest moment that its holder was alive for sure.
                let changed_after = seen.as_ref().map(|seen| seen.last_look);
                self.ever_held |= seen.is_some();
                self.standing = changed_after.and_then(|alive| named(&stamp, alive));
                self.seen = Some(Seen { stamp, since: after, last_look: before });
            }
        }
        Ok(())
    }

    /// Released, never held by anybody, or not renewed for a whole lease.
    fn is_free(&self, seen: &Seen, now: Instant) -> bool {
        let released = seen.stamp.lease.as_ref().is_some_and(|lease| lease.holder.is_empty());
        // A record that vanishes under a living holder is no release.
        let none = seen.stamp.version.is_empty() && !self.ever_held;
        released || none || now.saturating_duration_since(seen.since) >= LEASE
    }

    fn lease(&self, renewal: u64) -> Lease {
        Lease { election: self.election.clone(), holder: self.id.clone(), run: self.run.clone(), renewal }
    }
}

fn named(stamp: &Stamp, alive: Instant) -> Option<Standing> {
    let lease = stamp.lease.as_ref().filter(|lease| !lease.holder.is_empty())?;
    Some(Standing { leader: lease.holder.clone(), until: alive + GIVE_UP, own: false })
}

#[cfg(test)]
mod tests;
