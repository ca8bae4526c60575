//! Which config epochs are believed. Anybody can answer `/status`, and what is believed is kept in the state file and told to
//! the Sentinels: one foreign or forged answer would outrank every failover to come.

use super::evidence::{Evidence, ServerEntry};
use super::id::{Address, Epoch};
use super::moment::Moment;
use super::record::Record;
use super::seen::History;

/// So far above what the Sentinels and our state file know no supervisor's epoch is: a failover takes seconds and adds 1.
const LEAP: u64 = 1_000_000;

/// What we know of ourselves from before, and of our child.
#[derive(Clone, Debug, Default)]
pub(super) struct Own {
    /// The state file's epoch at our start: one of this life may have been taken from a supervisor, a leap at a time.
    epoch: Epoch,
    /// After an AOF load the engine's own history is a new one.
    recorded: Option<History>,
    /// Where it holds data.
    child: Option<History>,
}

impl Own {
    pub(super) fn of(record: Option<&Record>) -> Self {
        let recorded = record.map(|record| History {
            id: record.history.clone(),
            second: record.second.clone(),
            offset: record.offset,
        });
        Own { epoch: record.map(|record| record.epoch).unwrap_or_default(), recorded, child: None }
    }

    /// The histories of what we hold.
    pub(super) fn histories(&self) -> impl Iterator<Item = &History> {
        self.recorded.iter().filter(|history| !history.id.0.is_empty()).chain(&self.child)
    }
}

/// A server that has no history is related to nobody.
pub(super) fn related(ours: &History, theirs: &History) -> bool {
    !ours.id.0.is_empty() && !theirs.id.0.is_empty() && ours.related(theirs)
}

impl Evidence {
    /// Our child was looked at.
    pub(super) fn note_own(&mut self, history: &History, has_data: bool) {
        self.own.child = has_data.then(|| history.clone());
    }

    /// The highest epoch that anybody who answers knows of.
    pub fn highest_epoch(&self, now: Moment) -> Epoch {
        let sentinels = self.answering(now).filter_map(|(_, seen)| seen.master.as_ref().map(|row| row.epoch));
        self.raised(sentinels.max().unwrap_or_default(), |entry| entry.supervisor.view(now).map(|seen| seen.epoch))
    }

    /// The highest epoch that anybody has told us of, also who does not answer any more.
    pub fn highest_epoch_ever(&self) -> Epoch {
        self.raised(self.sentinels_epoch(), |entry| entry.supervisor.remembered().map(|(seen, _)| seen.epoch))
    }

    fn sentinels_epoch(&self) -> Epoch {
        let seen = self.sentinels.values().filter_map(|entry| entry.seen.remembered());
        seen.filter_map(|(seen, _)| seen.master.as_ref().map(|row| row.epoch)).max().unwrap_or_default()
    }

    /// The epoch of the Sentinels, or a higher one that a supervisor says and that is believed.
    fn raised(&self, sentinels: Epoch, said: impl Fn(&ServerEntry) -> Option<Epoch>) -> Epoch {
        let highest = self.sentinels_epoch().max(self.own.epoch).0.saturating_add(LEAP);
        let mut raised = sentinels;
        for (at, entry) in &self.servers {
            let higher = said(entry).filter(|epoch| *epoch > raised && epoch.0 <= highest);
            if let Some(epoch) = higher
                && self.is_one_of_us(*at, entry)
            {
                raised = epoch;
            }
        }
        raised
    }

    /// It belongs to this cluster: by the settings, by a Sentinel's list, or by its data.
    fn is_one_of_us(&self, at: Address, entry: &ServerEntry) -> bool {
        if self.is_listed(at, entry) || self.shares_history(at) {
            return true;
        }
        let Some((theirs, _)) = entry.server.remembered() else { return false };
        // A Sentinel's supervisor has no history, and may know one address of all servers: that of their Service.
        let listed = self.servers.iter().chain(&self.apart).filter(|(other, it)| self.is_listed(**other, it));
        let mut listed = listed.filter_map(|(_, it)| it.server.remembered());
        listed.any(|(seen, _)| seen.role.master() == Some(at) || related(&seen.history, &theirs.history))
    }

    /// Its data and ours, of our child or of the state file, are of one line.
    pub(super) fn shares_history(&self, at: Address) -> bool {
        let theirs = self.servers.get(&at).and_then(|entry| entry.server.remembered());
        let mut own = self.own.recorded.iter().chain(&self.own.child);
        theirs.is_some_and(|(theirs, _)| own.any(|ours| related(ours, &theirs.history)))
    }

    fn is_listed(&self, at: Address, entry: &ServerEntry) -> bool {
        let mut sentinels = self.sentinels.values().filter_map(|entry| entry.seen.remembered());
        entry.configured || sentinels.any(|(seen, _)| seen.names(at) || seen.replica(at).is_some())
    }
}
