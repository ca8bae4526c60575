//! Watches that no server is emptied.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::JoinHandle;

use super::{Bed, Cluster, disks, ms, secs, wire};

/// A watch over the number of keys that servers hold.
pub struct Floor {
    lowest: Arc<AtomicI64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Floor {
    /// Waits until each of them holds so many keys, then watches them.
    #[track_caller]
    pub fn watch(bed: &Bed, servers: &[String], keys: i64) -> Self {
        let full = |cluster: &Cluster| {
            servers.iter().all(|name| disks::size(cluster.node(name).unwrap()).is_some_and(|held| held >= keys))
        };
        bed.wait("every replica holds every key", secs(20), full);
        let (lowest, stop) = (Arc::new(AtomicI64::new(i64::MAX)), Arc::new(AtomicBool::new(false)));
        let (low, end) = (Arc::clone(&lowest), Arc::clone(&stop));
        let at: Vec<_> = servers.iter().map(|name| bed.node(name).address()).collect();
        let thread = std::thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                for at in &at {
                    if let Ok(wire::Reply::Integer(keys)) = wire::ask(*at, ms(200), &["DBSIZE"]) {
                        low.fetch_min(keys, Ordering::Relaxed);
                    }
                }
                std::thread::sleep(ms(10));
            }
        });
        Floor { lowest, stop, thread: Some(thread) }
    }

    /// The fewest keys that one of them ever held while it answered.
    pub fn lowest(mut self) -> i64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        self.lowest.load(Ordering::Relaxed)
    }
}
