//! What we could lead with; and what of it is sure.

use std::time::Duration;

use super::Supervisor;
use super::id::{Address, Offset, ReplId};
use super::message::{Rank, Step};
use super::record::{Record, RecordedRole};
use super::recording::{HELLOS, PING, line_before};
use super::seen::{Appended, History};

/// In the stream, never in the file, or the reverse: a ping, a `SELECT`.
const NEVER_APPENDED: u64 = 64;

/// A supervisor shows that it leads so soon after it has begun to.
const SAYS_THAT_IT_LEADS: Duration = Duration::from_millis(300);

impl Supervisor {
    /// What we could lead with.
    pub(super) fn own_rank(&self) -> Rank {
        let seen = self.child.last_seen();
        let mut history = seen.map(|seen| seen.history.clone()).unwrap_or_default();
        let record = self.last_record();
        let loaded_aof = self.loaded_an_append_only_file();
        if loaded_aof && let Some(record) = record {
            history.id = record.history.clone();
            history.second.clone_from(&record.second);
            history.offset = self.reckoned(record);
        }
        let line = record.map(|record| line_from(record, &history.id)).unwrap_or_default();
        // A snapshot from before the last change of master: the state file knows that what came after is its sequel (B1).
        if let (Some(record), Some(oldest)) = (record, line.last())
            && history.offset <= oldest.upto
        {
            history.id = record.history.clone();
            history.second.clone_from(&record.second);
        }
        let recorded_epoch = record.map(|record| record.epoch).unwrap_or_default();
        let current = self.holds_the_present();
        Rank {
            has_data: seen.is_some_and(|seen| seen.has_data),
            epoch: if current { self.highest_epoch_known() } else { recorded_epoch },
            was_master_with_aof: self.was_master_and_loaded_its_file()
                && self.file_is_whole()
                && self.not_appended(&history).is_none(),
            line,
            data: self.last_data(history.offset),
            history: history.id,
            second: history.second,
            offset: history.offset,
            last_write: self.recovered.as_ref().map(|found| found.written).unwrap_or_default(),
            address: self.rules.me,
        }
    }

    /// What the child holds is from its append-only file. Every engine makes a new id at such a load. Its offset says
    /// nothing: 0 on most, on Redis 8 one that it reckons from the file, 84 bytes short of the stream or 1,384 ahead of it
    /// (measured). So the state file's id and offset stand for both.
    pub(super) fn loaded_an_append_only_file(&self) -> bool {
        let Some(seen) = self.child.last_seen() else { return false };
        let recorded = |record: &Record| {
            record.history == seen.history.id || line_before(record).any(|(id, _)| *id == seen.history.id)
        };
        seen.aof && seen.has_data && !self.holds_the_present() && !self.last_record().is_some_and(recorded)
    }

    /// It was master when it last ran, and brought back what it appended.
    pub(super) fn was_master_and_loaded_its_file(&self) -> bool {
        let was_master = self.last_record().is_some_and(|record| record.role == RecordedRole::Master);
        was_master && self.loaded_an_append_only_file()
    }

    /// How far the append-only file was, as the state file has it, and how far it is now.
    fn file_sizes(&self) -> Option<(Appended, Appended)> {
        let before = self.last_record()?.appended?;
        Some((before, self.child.last_seen()?.appended?))
    }

    /// So many bytes longer than that is the file that was loaded: negative where its end is lost (V2).
    fn growth(&self) -> Option<i128> {
        let (before, now) = self.file_sizes().filter(|_| self.loaded_an_append_only_file())?;
        Some(i128::from(now.bytes) - i128::from(before.bytes))
    }

    /// The loaded file is as long as it was when the state file was written, as far as that is known.
    pub(super) fn file_is_whole(&self) -> bool {
        self.growth().is_none_or(|bytes| bytes >= 0)
    }

    /// Where the stream stood that the loaded file holds.
    fn reckoned(&self, record: &Record) -> Offset {
        let (Some(growth), Some((before, _))) = (self.growth(), self.file_sizes()) else { return record.offset };
        let bytes = u64::try_from(growth.unsigned_abs()).unwrap_or(u64::MAX);
        if growth >= 0 {
            return Offset(before.offset.0.saturating_add(bytes));
        }
        // What is lost was before the pings that came last.
        let end = record.calm.map_or(before.offset, |calm| calm.from.min(before.offset));
        Offset(end.0.saturating_sub(bytes))
    }

    /// No data that we hold lie beyond this. What a file grew by since it was written down stands somewhere after that: how
    /// many pings and hellos came before it, nobody knows.
    fn last_data(&self, reached: Offset) -> Option<Offset> {
        if self.holds_the_present() {
            let calm = self.saved.calm.filter(|calm| calm.upto >= reached);
            return Some(calm.map_or(reached, |calm| calm.from));
        }
        let calm = self.last_record().and_then(|record| record.calm);
        if self.loaded_an_append_only_file() {
            let (before, _) = self.file_sizes().filter(|(before, now)| before.bytes == now.bytes)?;
            return Some(calm.filter(|calm| calm.upto >= before.offset).map_or(before.offset, |calm| calm.from));
        }
        let own = self.child.last_seen().map(|seen| &seen.history.id);
        let recorded = self.last_record().is_some_and(|record| Some(&record.history) == own);
        // A fenced master may send one ping more after its state file was written, and save that: no write is as short.
        let calm = calm.filter(|calm| recorded && reached.0 <= calm.upto.0 + PING);
        Some(calm.map_or(reached, |calm| reached.min(calm.from)))
    }

    /// What of our rank is sure to be held whole, up to its offset: with that we begin to lead.
    pub(super) fn surely_held(&self) -> Rank {
        let mut rank = self.own_rank();
        if self.loaded_an_append_only_file() {
            rank.offset = match self.growth() {
                Some(0) => rank.offset,
                Some(1..) => Offset(rank.offset.0.saturating_sub(NEVER_APPENDED)),
                Some(_) if self.last_record().is_some_and(|record| record.calm.is_some()) => rank.offset,
                _ => Offset(0),
            };
        }
        // Of the line only what was loaded is looked at.
        rank.line = rank.line.pop().into_iter().collect();
        rank
    }

    /// So many bytes that a replica got are not in our append-only file. While a sync of the file runs, the engine
    /// acknowledges, sends to replicas and keeps what it would append in memory, for up to 2 s (`appendfsync everysec`): a
    /// crash takes that (D3: 499 of 500 writes, measured with syncs of 300 ms).
    pub(super) fn not_appended(&self, own: &History) -> Option<u64> {
        self.last_record().filter(|record| record.appended.is_some())?;
        let seen = self.evidence.servers.values().filter_map(|entry| entry.server.view(self.now));
        let replicas = seen.filter(|seen| !seen.role.is_master() && seen.history.related(own));
        let more = replicas.map(|seen| seen.history.offset.0.saturating_sub(own.offset.0)).max()?;
        // Pings, and in 2 s two hellos of each Sentinel.
        let beside = NEVER_APPENDED + 2 * HELLOS * self.sentinels_known();
        (more > beside).then_some(more)
    }

    /// The master had loaded all that we hold when it began to lead; `None` until its supervisor has been asked since we
    /// meant to follow it. One that does not tell has not.
    pub(super) fn began_with_all_of_ours(&self, master: Address, own: &Rank) -> Option<bool> {
        if own.data.is_none() {
            return Some(false);
        }
        let entry = self.evidence.servers.get(&master);
        let Some((entry, since)) = entry.zip(self.course.following_since()) else { return Some(false) };
        if !entry.supervisor.asked_since(since) {
            return None;
        }
        let seen = entry.supervisor.view_since(since);
        // It says so a moment after it has told us to follow.
        if seen.is_some_and(|seen| !seen.leads) && self.now.since(since) < SAYS_THAT_IT_LEADS {
            return None;
        }
        let seen = seen.filter(|seen| seen.leads);
        let began = seen.and_then(|seen| seen.began.as_ref());
        Some(began.is_some_and(|began| super::rank::holds_all_of(began, own)))
    }
}

/// How the snapshot's history led to the record's; nothing where it did not.
fn line_from(record: &Record, loaded: &ReplId) -> Vec<Step> {
    let nexts = [&record.history].into_iter().chain(line_before(record).map(|(id, _)| id));
    let steps = line_before(record).zip(nexts);
    let mut line: Vec<Step> = steps
        .map(|((history, upto), next)| Step { history: history.clone(), upto: *upto, next: next.clone() })
        .collect();
    match line.iter().position(|step| step.history == *loaded) {
        Some(at) => line.truncate(at + 1),
        None => line.clear(),
    }
    line
}
