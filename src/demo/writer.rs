//! One client of the ledger. There are four kinds, as there are in the field; what each may count on differs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::ledger::{Page, Writing, locked};
use super::sentinels::Sentinels;
use super::wire::{Connection, Reply};

/// Between two tries after an error.
const RETRY: Duration = Duration::from_millis(10);
/// How long `WAIT` may wait for a replica, in milliseconds.
const WAIT_LIMIT: &str = "250";

/// The kinds of clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Client {
    /// Keeps its connection, asks the Sentinels anew after every error, and goes on with the next write.
    #[default]
    Pooled,
    /// The same, but tries a write again until it is acknowledged.
    Retrying,
    /// Asks the Sentinels and connects for each write.
    Fresh,
    /// Counts a write only once `WAIT 1` says that a replica has it.
    Waiting,
}

/// A running one.
pub(super) struct Writer {
    pub(super) sentinels: Sentinels,
    pub(super) prefix: String,
    pub(super) turn: usize,
    pub(super) writing: Writing,
    pub(super) began: Instant,
    pub(super) page: Arc<Mutex<Page>>,
    pub(super) stop: Arc<AtomicBool>,
}

impl Writer {
    pub(super) fn run(mut self) {
        let mut connection = None;
        let mut sequence = 0;
        while !self.stop.load(Ordering::Relaxed) {
            let Some(open) = connection.as_mut() else {
                connection = self.find_master();
                continue;
            };
            match self.write(open, sequence) {
                Ok(()) => {
                    locked(&self.page).acknowledged(sequence, self.began.elapsed(), self.writing.only_last);
                    sequence += 1;
                    if self.writing.client == Client::Fresh {
                        connection = None;
                    }
                    if !self.writing.rest.is_zero() {
                        std::thread::sleep(self.writing.rest);
                    }
                }
                Err(error) => {
                    self.failed(error);
                    connection = None;
                    // It may have been written although nobody said so: never another value under the same name.
                    if self.writing.client != Client::Retrying {
                        sequence += 1;
                    }
                }
            }
        }
    }

    fn write(&self, connection: &mut Connection, sequence: u64) -> Result<(), String> {
        let slot = self.writing.only_last.map_or(sequence, |last| sequence % u64::try_from(last).unwrap_or(u64::MAX));
        match told(connection, &["SET", &format!("{}:{slot}", self.prefix), &sequence.to_string()])? {
            Reply::Status(_) => {}
            other => return Err(format!("answered {other:?}")),
        }
        if self.writing.client != Client::Waiting {
            return Ok(());
        }
        match told(connection, &["WAIT", "1", WAIT_LIMIT])? {
            Reply::Integer(1..) => Ok(()),
            other => Err(format!("WAIT answered {other:?}")),
        }
    }

    fn find_master(&mut self) -> Option<Connection> {
        self.turn += 1;
        let found = self.writing.pinned.or_else(|| self.sentinels.first_answer(self.turn));
        let found = found.ok_or("no Sentinel names a master".to_owned());
        match found.and_then(|at| Connection::open(at, self.writing.patience).map_err(|e| format!("{:?}", e.kind()))) {
            Ok(connection) => Some(connection),
            Err(error) => {
                self.failed(error);
                None
            }
        }
    }

    fn failed(&self, error: String) {
        locked(&self.page).failed(error);
        std::thread::sleep(RETRY);
    }
}

/// An answer that is no error.
fn told(connection: &mut Connection, command: &[&str]) -> Result<Reply, String> {
    match connection.call(command) {
        Ok(Reply::Error(error)) => Err(error.split(' ').next().unwrap_or_default().to_owned()),
        Ok(reply) => Ok(reply),
        Err(error) => Err(format!("{:?}", error.kind())),
    }
}
