//! Keeps the state file, off the control thread: a slow disk must not hold up a handover.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::core::record::Record;
use crate::engine::store::Store;

/// Records that may wait; the newest matters, so a full queue drops the one that comes.
const QUEUE: usize = 16;
/// A promise is not waited for longer: a disk that hangs must not stop the control loop (P42).
const PROMISE_LIMIT: Duration = Duration::from_millis(500);

/// The thread that writes.
pub struct Saver {
    queue: Option<mpsc::SyncSender<Job>>,
}

struct Job {
    record: Option<Record>,
    done: Option<oneshot::Sender<()>>,
}

impl Saver {
    /// A thread that writes to `store`; without one (a Sentinel) nothing is kept.
    pub fn start(store: Option<Store>) -> std::io::Result<Self> {
        let Some(store) = store else { return Ok(Saver { queue: None }) };
        let (queue, jobs) = mpsc::sync_channel::<Job>(QUEUE);
        thread::Builder::new().name("state-file".into()).spawn(move || write_all(&store, &jobs))?;
        Ok(Saver { queue: Some(queue) })
    }

    /// Writes some time soon.
    pub fn save(&self, record: Record) {
        if let Some(queue) = &self.queue {
            let _full_means_a_newer_one_comes = queue.try_send(Job { record: Some(record), done: None });
        }
    }

    /// Writes, and returns when it is on the disk (or the limit is over: the log says so).
    pub async fn promise(&self, record: Record) {
        self.wait_for(Some(record)).await;
    }

    /// Returns when everything is written.
    pub async fn flush(&self) {
        self.wait_for(None).await;
    }

    async fn wait_for(&self, record: Option<Record>) {
        let Some(queue) = &self.queue else { return };
        let (done, written) = oneshot::channel();
        if queue.try_send(Job { record, done: Some(done) }).is_err()
            || tokio::time::timeout(PROMISE_LIMIT, written).await.is_err()
        {
            tracing::warn!("the state file could not be written in time: the disk is slow");
        }
    }
}

fn write_all(store: &Store, jobs: &mpsc::Receiver<Job>) {
    let mut failing = false;
    let mut last = None;
    while let Ok(job) = jobs.recv() {
        if let Some(record) = job.record {
            match store.save(&record, last.as_ref()) {
                Ok(()) => (failing, last) = (false, Some(record)),
                Err(error) => {
                    if !failing {
                        tracing::error!(%error, "the state file cannot be written; said once until it can");
                    }
                    (failing, last) = (true, None);
                }
            }
        }
        if let Some(done) = job.done {
            let _nobody_waits = done.send(());
        }
    }
}
