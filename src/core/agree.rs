//! Sentinels that name different masters at one epoch: hello never heals that (F5), it brings higher epochs only.

use std::time::Duration;

use super::Supervisor;
use super::id::{Address, Epoch};
use super::sentinel_life::NEXT_ONE;
use super::verdict::Verdict;

/// A Sentinel that names another one is put right after this long: longer than any hello takes (2 s).
const STRAY_FOR: Duration = Duration::from_secs(4);

impl Supervisor {
    /// Where ours names one who is no master, and a majority of the others names one who is, at our epoch or a higher
    /// one, its file is rewritten to theirs.
    pub(super) fn agree_with_the_majority(&mut self) {
        let Some((master, epoch)) = self.majority_against_ours() else { return self.sentinel.alone_since = None };
        let since = *self.sentinel.alone_since.get_or_insert(self.now);
        if self.now.since(since) < STRAY_FOR {
            return self.out.wake_at(since + STRAY_FOR);
        }
        self.sentinel.alone_since = None;
        self.monitor(master, epoch, "a majority of Sentinels names it, and ours one who is no master");
    }

    fn majority_against_ours(&self) -> Option<(Address, Epoch)> {
        let own = self.own_row().filter(|row| !row.failover)?;
        match self.verdict {
            Verdict::Confirmed { master, epoch } if master != own.address && epoch >= own.epoch => {
                (!self.says_master(own.address)).then_some((master, epoch))
            }
            _ => None,
        }
    }

    /// Ours names the one whom the servers confirm, others somebody else at the same epoch: ours says it again at an
    /// epoch of its own, and hello does the rest.
    pub(super) fn break_tie(&mut self) {
        let Some(master) = self.right_in_a_tie() else { return self.sentinel.tied_since = None };
        let since = *self.sentinel.tied_since.get_or_insert(self.now);
        let Some(place) = self.place(|seen| seen.names(master)) else { return };
        // A majority that names it leaves it to the stray's own supervisor first: two Sentinels that restart at once are
        // no majority when the master dies just then (D1: 2.9 s).
        let first = u32::from(self.verdict.confirms(master));
        let due = since + STRAY_FOR + NEXT_ONE * (place + first);
        if self.now < due {
            return self.out.wake_at(due);
        }
        self.sentinel.tied_since = None;
        let epoch = self.epoch_of_our_own();
        self.monitor(master, epoch, "other Sentinels name somebody else at its epoch, and the servers confirm it");
    }

    fn right_in_a_tie(&self) -> Option<Address> {
        let own = self.own_row()?;
        let rows = || self.evidence.answering(self.now).filter_map(|(_, seen)| seen.master.as_ref());
        let highest = rows().all(|row| row.epoch <= own.epoch);
        let tied = rows().any(|row| row.epoch == own.epoch && row.address != own.address);
        let stands = highest && tied && !self.a_failover_runs() && self.confirmed_by_servers() == Some(own.address);
        stands.then_some(own.address)
    }
}
