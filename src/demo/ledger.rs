//! The ledger: clients that write all the time, find the master through the Sentinels as any client does, and record
//! every write that was acknowledged. What they recorded and the last master no longer has, was lost.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::sentinels::Sentinels;
use super::wire::Connection;
pub use super::writer::Client;
use super::writer::Writer;

/// How the writers behave.
#[derive(Clone, Debug)]
pub struct Writing {
    /// How many writers; each waits for its answer before it writes again (closed loop).
    pub writers: usize,
    /// A rest after every write.
    pub rest: Duration,
    /// How long a writer waits for an answer.
    pub patience: Duration,
    /// Keep only the last so many records of each writer and reuse as many keys: for a view that runs for hours, and
    /// says nothing about losses.
    pub only_last: Option<usize>,
    /// What kind of client they are.
    pub client: Client,
    /// Always this server, whoever is master: for clients that a partition has shut in with it.
    pub pinned: Option<SocketAddr>,
}

impl Default for Writing {
    fn default() -> Self {
        Writing {
            writers: 2,
            rest: Duration::ZERO,
            patience: Duration::from_millis(1000),
            only_last: None,
            client: Client::Pooled,
            pinned: None,
        }
    }
}

/// Keys asked for in one go when reading back.
const BATCH: usize = 500;
/// How long reading back may wait for one answer.
const READ_BACK: Duration = Duration::from_secs(5);
/// The most kinds of errors that are told apart.
const KINDS: usize = 64;

/// Running writers.
#[derive(Debug)]
pub struct Ledger {
    stop: Arc<AtomicBool>,
    pages: Vec<Arc<Mutex<Page>>>,
    threads: Vec<JoinHandle<()>>,
    began: Instant,
    prefix: String,
}

/// One writer's record.
#[derive(Debug, Default)]
pub(super) struct Page {
    acks: VecDeque<Ack>,
    count: u64,
    errors: BTreeMap<String, u64>,
}

#[derive(Clone, Copy, Debug)]
struct Ack {
    sequence: u64,
    at: Duration,
}

/// A stretch of time in which one writer got nothing acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gap {
    /// How long.
    pub length: Duration,
    /// When it began, since the ledger was opened.
    pub from: Duration,
}

impl Ledger {
    /// Opens a ledger: its writers start at once. `name` keeps its keys apart from other ledgers'.
    pub fn open(sentinels: &Sentinels, name: &str, writing: &Writing) -> Self {
        let began = Instant::now();
        let stop = Arc::new(AtomicBool::new(false));
        let prefix = format!("w:{name}");
        let pages: Vec<_> = (0..writing.writers).map(|_| Arc::new(Mutex::new(Page::default()))).collect();
        let threads = pages.iter().enumerate().map(|(number, page)| {
            let (prefix, page) = (format!("{prefix}:{number}"), Arc::clone(page));
            let writer = Writer {
                sentinels: sentinels.clone(),
                prefix,
                turn: number,
                writing: writing.clone(),
                began,
                page,
                stop: Arc::clone(&stop),
            };
            std::thread::spawn(move || writer.run())
        });
        Ledger { threads: threads.collect(), stop, pages, began, prefix }
    }

    /// When it was opened.
    pub fn began(&self) -> Instant {
        self.began
    }

    /// Writes acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.pages.iter().map(|page| locked(page).count).sum()
    }

    /// Writes acknowledged from one moment to another.
    pub fn acknowledged_between(&self, from: Instant, to: Instant) -> usize {
        let (from, to) = (from.saturating_duration_since(self.began), to.saturating_duration_since(self.began));
        let until = |page: &Page, moment| page.acks.partition_point(|ack| ack.at < moment);
        self.pages.iter().map(|page| locked(page)).map(|page| until(&page, to) - until(&page, from)).sum()
    }

    /// When the last write of any writer was acknowledged.
    pub fn last(&self) -> Option<Instant> {
        let last = self.pages.iter().filter_map(|page| locked(page).acks.back().map(|ack| ack.at)).max();
        last.map(|at| self.began + at)
    }

    /// When every writer had a write acknowledged that was acknowledged after `moment`.
    pub fn all_after(&self, moment: Instant) -> Option<Instant> {
        let moment = moment.saturating_duration_since(self.began);
        let mut latest = None;
        for page in &self.pages {
            let page = locked(page);
            let first = page.acks.partition_point(|ack| ack.at <= moment);
            latest = latest.max(Some(page.acks.get(first)?.at));
        }
        latest.map(|at| self.began + at)
    }

    /// Waits until `more` writes were acknowledged from now on.
    pub fn wait_for(&self, more: u64, limit: Duration) -> bool {
        let (end, goal) = (Instant::now() + limit, self.acknowledged() + more);
        while self.acknowledged() < goal {
            if Instant::now() > end {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }

    /// The longest gap of any writer between two moments; one that reaches over a border counts whole.
    pub fn longest_gap(&self, from: Instant, to: Instant) -> Gap {
        let (from, to) = (from.saturating_duration_since(self.began), to.saturating_duration_since(self.began));
        let gaps = self.pages.iter().map(|page| locked(page).longest_gap(from, to));
        gaps.max_by_key(|gap| gap.length).unwrap_or_default()
    }

    /// What the writers were told instead of OK, and how often.
    pub fn errors(&self) -> BTreeMap<String, u64> {
        let mut all = BTreeMap::new();
        for page in &self.pages {
            for (error, count) in &locked(page).errors {
                *all.entry(error.clone()).or_default() += count;
            }
        }
        all
    }

    /// Stops the writers.
    pub fn close(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().ok();
        }
    }

    /// The acknowledged writes that `master` does not have. Close the ledger first.
    pub fn lost(&self, master: SocketAddr) -> io::Result<Vec<String>> {
        let mut connection = Connection::open(master, READ_BACK)?;
        let mut lost = Vec::new();
        for (number, page) in self.pages.iter().enumerate() {
            let sequences: Vec<u64> = locked(page).acks.iter().map(|ack| ack.sequence).collect();
            for batch in sequences.chunks(BATCH) {
                let keys: Vec<String> = batch.iter().map(|n| format!("{}:{number}:{n}", self.prefix)).collect();
                let mut command = vec!["MGET"];
                command.extend(keys.iter().map(String::as_str));
                let reply = connection.call(&command)?;
                if reply.items().len() != keys.len() {
                    return Err(io::Error::other(format!("MGET answered {reply:?}")));
                }
                for ((sequence, key), value) in batch.iter().zip(keys).zip(reply.items()) {
                    if value.text() != Some(sequence.to_string()) {
                        lost.push(key);
                    }
                }
            }
        }
        Ok(lost)
    }

    /// Removes what was written, so that the next ledger starts with small data.
    pub fn erase(&self, master: SocketAddr) -> io::Result<()> {
        let mut connection = Connection::open(master, READ_BACK)?;
        for (number, page) in self.pages.iter().enumerate() {
            let sequences: Vec<u64> = locked(page).acks.iter().map(|ack| ack.sequence).collect();
            for batch in sequences.chunks(BATCH) {
                let keys: Vec<String> = batch.iter().map(|n| format!("{}:{number}:{n}", self.prefix)).collect();
                let mut command = vec!["UNLINK"];
                command.extend(keys.iter().map(String::as_str));
                connection.call(&command)?;
            }
        }
        Ok(())
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.close();
    }
}

impl Page {
    pub(super) fn acknowledged(&mut self, sequence: u64, at: Duration, only_last: Option<usize>) {
        self.acks.push_back(Ack { sequence, at });
        self.count += 1;
        if only_last.is_some_and(|last| self.acks.len() > last) {
            self.acks.pop_front();
        }
    }

    pub(super) fn failed(&mut self, error: String) {
        if self.errors.len() < KINDS || self.errors.contains_key(&error) {
            *self.errors.entry(error).or_default() += 1;
        }
    }

    fn longest_gap(&self, from: Duration, to: Duration) -> Gap {
        let first = self.acks.partition_point(|ack| ack.at < from).saturating_sub(1);
        let mut last = self.acks.get(first).map_or(from, |ack| ack.at.min(to));
        let mut longest = Gap { length: Duration::ZERO, from: last };
        for ack in self.acks.iter().skip(first) {
            longest = longest.or(last, ack.at);
            last = ack.at;
            if last >= to {
                return longest;
            }
        }
        longest.or(last, to)
    }
}

impl Gap {
    fn or(self, from: Duration, to: Duration) -> Gap {
        let length = to.saturating_sub(from);
        if length > self.length { Gap { length, from } } else { self }
    }
}

/// A writer that panicked leaves a page that is as good as before.
pub(super) fn locked(page: &Mutex<Page>) -> MutexGuard<'_, Page> {
    page.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(acks: &[u64]) -> Page {
        let ack = |(sequence, at): (u64, &u64)| Ack { sequence, at: Duration::from_millis(*at) };
        Page { acks: (0..).zip(acks).map(ack).collect(), ..Page::default() }
    }

    fn gap(acks: &[u64], from: u64, to: u64) -> u128 {
        page(acks).longest_gap(Duration::from_millis(from), Duration::from_millis(to)).length.as_millis()
    }

    #[test]
    fn gaps_reach_over_the_borders() {
        assert_eq!(gap(&[0, 10, 20, 120, 130], 0, 130), 100);
        assert_eq!(gap(&[0, 10, 20, 120, 130], 50, 125), 100, "one that began before counts whole");
        assert_eq!(gap(&[0, 10, 20, 120, 130], 0, 60), 100, "one that ends after counts whole");
        assert_eq!(gap(&[0, 10, 20], 0, 500), 480, "one that has not ended counts so far");
        assert_eq!(gap(&[], 0, 500), 500);
        assert_eq!(gap(&[0, 300, 310, 320], 305, 320), 10, "one that ended before does not count");
    }
}
