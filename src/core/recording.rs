//! What is kept in the state file, and when.

use std::time::Duration;

use super::Supervisor;
use super::action::Action;
use super::course::Course;
use super::evidence::{ServerEntry, Word};
use super::id::{Address, Epoch, Offset, ReplId, RunId};
use super::moment::Moment;
use super::record::{Calm, Record, RecordedConsent, RecordedRole};
use super::rules::Mode;
use super::seen::{History, Written};

/// While only offsets move the file is written at most this often.
const EVERY: Duration = Duration::from_secs(1);
/// And while they move by what is no data, pings and the Sentinels' hellos, at least this often: writing it each second was
/// a seventh of what an idle replica cost (measured).
const IDLE_EVERY: Duration = Duration::from_secs(5);
/// A ping in the replication stream, one a second: `*1\r\n$4\r\nPING\r\n`.
pub(super) const PING: u64 = 14;
/// The hellos of one Sentinel in the stream, in a second: one of 140 to 280 bytes every 2 s (measured).
pub(super) const HELLOS: u64 = 150;
/// Histories kept beyond the second one: as many changes of master since the last snapshot.
const MOST_EARLIER: usize = 16;

/// What was written last.
#[derive(Clone, Debug, Default)]
pub(super) struct Saved {
    record: Option<Record>,
    at: Option<Moment>,
    /// When no data had come since.
    found_idle_at: Option<Moment>,
    /// Write in this turn.
    due: bool,
    /// Where no data have come lately, as far as the looks at this child tell.
    pub(super) calm: Option<Calm>,
    /// By which look: of which process and history, what it had taken, and when.
    counted: Option<(RunId, ReplId, Written, Moment)>,
}

impl Supervisor {
    /// What we know of ourselves from before: the newest record of this life, or of an earlier one.
    pub(super) fn last_record(&self) -> Option<&Record> {
        self.saved.record.as_ref().or(self.recovered.as_ref().map(|found| &found.record))
    }

    /// The highest config epoch that anybody who answers knows of, or our state file: what the Sentinels have lost.
    pub(super) fn highest_epoch_known(&self) -> Epoch {
        let recorded = self.last_record().map(|record| record.epoch).unwrap_or_default();
        self.evidence.highest_epoch(self.now).max(recorded)
    }

    /// The role or a promise has changed: write soon.
    pub(super) fn save_soon(&mut self) {
        self.saved.due = true;
    }

    /// Writes when something has changed; offsets alone once a second, by pings alone more seldom.
    pub(super) fn recording_turn(&mut self) {
        if self.rules.mode == Mode::Sentinel {
            return;
        }
        if self.saved.due {
            return self.save_now(false);
        }
        let decided = !matches!(self.course, Course::Undecided);
        if decided && self.history_went_on() {
            return self.save_now(false);
        }
        let due = |at: Option<Moment>| at.is_none_or(|at| self.now.since(at) >= EVERY);
        if !decided || !due(self.saved.at) || !due(self.saved.found_idle_at) || self.child.seen().is_none() {
            return;
        }
        let record = self.record(false);
        if self.idle_since_saved(&record) {
            self.saved.found_idle_at = Some(self.now);
        } else {
            self.write(record, Action::Save);
        }
    }

    /// A look at the child has come: have any data since the last one? The count of writes tells; a sync that it misses, for
    /// want of any, moves the offset by more than pings and hellos do.
    pub(super) fn note_calm(&mut self) {
        let looked = self.child.seen().filter(|_| self.holds_the_present());
        let Some((seen, now)) = looked.and_then(|seen| Some((seen, seen.written?))) else {
            (self.saved.calm, self.saved.counted) = (None, None);
            return;
        };
        let (run, id) = (seen.run_id.clone(), seen.history.id.clone());
        // Promoted, or led on by who was: the same line goes on under another id.
        let goes_on = |before: &ReplId| seen.history.second.as_ref().is_some_and(|(second, _)| second == before);
        let counted = self.saved.counted.as_ref().filter(|last| last.0 == run && (last.1 == id || goes_on(&last.1)));
        let nothing_came = counted.is_some_and(|(_, _, before, at)| {
            let moved = now.offset.0.checked_sub(before.offset.0);
            (before.changes, before.saves) == (now.changes, now.saves)
                && moved.is_some_and(|moved| moved <= self.idle_bytes(self.now.since(*at)))
        });
        let from = self.saved.calm.filter(|_| nothing_came).map_or(now.offset, |calm| calm.from);
        self.saved.calm = Some(Calm { from, upto: now.offset });
        self.saved.counted = Some((run, id, now, self.now));
    }

    /// So many bytes are in the stream in this time where no data come: pings, and the hellos of Sentinels.
    fn idle_bytes(&self, time: Duration) -> u64 {
        (time.as_secs() + 1) * (PING + HELLOS * self.sentinels_known())
    }

    /// What the child holds is the cluster's now, not what it loaded.
    pub(super) fn holds_the_present(&self) -> bool {
        self.child.has_streamed || self.course.leading().is_some()
    }

    /// What the child holds has another id: whoever has synced by it is known to hold what we held only once that is written.
    fn history_went_on(&self) -> bool {
        let (Some(seen), Some(saved)) = (self.child.seen(), &self.saved.record) else { return false };
        self.holds_the_present() && seen.history.id != saved.history
    }

    /// No data have come since it was written, and that was not long ago. An append-only file tells exactly; without one
    /// nobody counts on the offset that is written here (`own_rank`), and a few short writes may pass for hellos.
    fn idle_since_saved(&self, record: &Record) -> bool {
        let (Some(saved), Some(at)) = (&self.saved.record, self.saved.at) else { return false };
        let since = self.now.since(at);
        let moved = record.offset.0.checked_sub(saved.offset.0);
        let idle = match (saved.appended, record.appended) {
            (Some(before), Some(now)) => before.bytes == now.bytes && moved.is_some(),
            (None, None) => moved.is_some_and(|moved| moved <= self.idle_bytes(since)),
            _ => false,
        };
        since < IDLE_EVERY && idle && saved.moved_from(record)
    }

    pub(super) fn sentinels_known(&self) -> u64 {
        u64::try_from(self.evidence.sentinels.len()).unwrap_or(u64::MAX >> 16)
    }

    /// Writes now, unless nothing has changed.
    pub(super) fn save_now(&mut self, clean: bool) {
        self.save(clean, Action::Save);
    }

    /// Writes before anything that follows.
    pub(super) fn promise(&mut self) {
        self.save(false, Action::Promise);
    }

    fn save(&mut self, clean: bool, how: fn(Box<Record>) -> Action) {
        self.saved.due = false;
        if self.rules.mode == Mode::Sentinel {
            return;
        }
        self.write(self.record(clean), how);
    }

    fn write(&mut self, record: Record, how: fn(Box<Record>) -> Action) {
        self.saved.at = Some(self.now);
        if self.saved.record.as_ref() != Some(&record) {
            self.saved.record = Some(record.clone());
            self.out.push(how(Box::new(record)));
        }
    }

    fn record(&self, clean: bool) -> Record {
        let before = self.last_record();
        let seen = self.child.last_seen();
        let (role, master) = match &self.course {
            Course::Leading(_) => (RecordedRole::Master, Some(self.rules.me)),
            Course::Following(following) if self.child.has_streamed => (RecordedRole::Replica, Some(following.master)),
            _ => before.map_or((RecordedRole::None, None), |record| (record.role, record.master)),
        };
        let decided = self.holds_the_present();
        let now = match (seen, before) {
            (Some(seen), _) if decided => seen.history.clone(),
            (_, Some(record)) => {
                History { id: record.history.clone(), second: record.second.clone(), offset: record.offset }
            }
            _ => History::default(),
        };
        let known_epoch = before.map(|record| record.epoch).unwrap_or_default();
        Record {
            master_name: self.rules.master_name.clone(),
            cluster: self.evidence.cluster.clone(),
            role,
            master,
            epoch: if decided { self.highest_epoch_known() } else { known_epoch },
            earlier: before.map(|record| earlier(record, &now, self.course.leading().is_some())).unwrap_or_default(),
            history: now.id,
            second: now.second,
            offset: now.offset,
            appended: seen.filter(|_| decided).map_or(before.and_then(|record| record.appended), |seen| seen.appended),
            calm: if decided { self.saved.calm } else { before.and_then(|record| record.calm) },
            clean,
            consent: self.consent.standing(self.named(), self.now).map(|given| RecordedConsent {
                candidate: given.candidate,
                attempt: given.attempt.clone(),
                epoch: given.epoch,
            }),
            servers: self.servers_to_remember(before),
            unsupervised: self
                .evidence
                .servers
                .iter()
                .filter(|(_, entry)| entry.supervised == Some(false))
                .map(|(at, _)| *at)
                .collect(),
            sentinels: self.evidence.remembered_sentinels().collect(),
        }
    }

    /// Who has answered us, or is listed by a Sentinel, or was remembered. Not whom only an elector names: of one that
    /// names somebody long gone a vote would wait for a fourth of three servers (M14). Nor whom only a message spoke of, and
    /// whose data are not ours: the next life would take it for one of the cluster (S6).
    fn servers_to_remember(&self, before: Option<&Record>) -> Vec<Address> {
        let listed =
            |at| self.evidence.answering(self.now).any(|(_, seen)| seen.names(at) || seen.replica(at).is_some());
        let remembered = |at| before.is_some_and(|record| record.servers.contains(&at));
        let ours = |at: &Address, entry: &ServerEntry| entry.word == Word::Ours || self.evidence.shares_history(*at);
        let known = self.evidence.servers.iter().filter(|(at, entry)| {
            let answered = entry.server.remembered().is_some() || entry.heard.is_some();
            answered && ours(at, entry) || listed(**at) || remembered(**at)
        });
        known.map(|(at, _)| *at).collect()
    }
}

/// The histories before the record's own, newest first, each with how far it is the same line.
pub(super) fn line_before(record: &Record) -> impl Iterator<Item = &(ReplId, Offset)> {
    record.second.iter().chain(&record.earlier)
}

/// The line of histories behind what the child holds now, beyond its second one: a snapshot may be older than two changes of
/// master.
fn earlier(before: &Record, now: &History, leads: bool) -> Vec<(ReplId, Offset)> {
    if before.history == now.id {
        return before.earlier.clone();
    }
    if let Some(back) = line_before(before).position(|(id, _)| *id == now.id) {
        // From a snapshot: what came after it is no part of what it holds.
        return line_before(before).skip(back + 1).cloned().collect();
    }
    let upto = match &now.second {
        Some((_, upto)) => *upto,
        // Its own data go on under another id. The first replica after a start gets one that names no second (chaos: two
        // outages in a row, the leader's snapshot older than the first of them).
        None if leads => now.offset,
        // A sync from another line. A snapshot that is left of the old one holds nothing of this for certain.
        None => Offset(0),
    };
    let ended = (before.history.clone(), upto);
    let line = [&ended].into_iter().chain(line_before(before));
    let known = |id: &ReplId| id.0.is_empty() || now.second.as_ref().is_some_and(|(second, _)| second == id);
    // An append-only file begins at 0 again: nothing older reaches further than what it goes on from.
    let line = line.filter(|(id, _)| !known(id)).map(|(id, reached)| (id.clone(), (*reached).min(upto)));
    line.take(MOST_EARLIER).collect()
}
