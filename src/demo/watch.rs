//! Looks again and again for a second master that takes writes.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::wire::Connection;

/// How long one server may take to answer.
const LIMIT: Duration = Duration::from_millis(200);

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Sightings {
    /// How many rounds.
    pub rounds: u64,
    /// When the first master that takes writes was seen, since the watch began.
    pub first_writable: Option<Duration>,
    /// Two writable masters at one moment: when, and which. At most 100 are kept.
    pub doubles: Vec<(Duration, SocketAddr, SocketAddr)>,
    /// Every change of the set of writable masters, at most 1000.
    pub changes: Vec<(Duration, Vec<SocketAddr>)>,
}

/// A running watch.
#[derive(Debug)]
pub struct Watch {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Sightings>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Watches these servers, one round every `period`.
    pub fn start(servers: Vec<SocketAddr>, period: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::new(Mutex::new(Sightings::default()));
        let thread = {
            let (stop, seen) = (Arc::clone(&stop), Arc::clone(&seen));
            std::thread::spawn(move || watch(&servers, period, &stop, &seen))
        };
        Watch { stop, seen, thread: Some(thread) }
    }

    /// What was seen so far.
    pub fn seen(&self) -> Sightings {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the watch.
    pub fn end(mut self) -> Sightings {
        self.finish();
        self.seen()
    }

    fn finish(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.finish();
    }
}

fn watch(servers: &[SocketAddr], period: Duration, stop: &AtomicBool, seen: &Mutex<Sightings>) {
    let began = Instant::now();
    let mut links: Vec<(SocketAddr, Option<Connection>)> = servers.iter().map(|at| (*at, None)).collect();
    while !stop.load(Ordering::Relaxed) {
        let writable: Vec<usize> = (0..links.len()).filter(|index| takes_writes(&mut links, *index)).collect();
        // The answers are from different moments: only who says so before *and* after another did, overlaps with it.
        let double = match writable.as_slice() {
            [first, .., last] if takes_writes(&mut links, *first) => Some((*first, *last)),
            _ => None,
        };
        let address = |index: usize| links.get(index).map(|(at, _)| *at);
        let masters: Vec<SocketAddr> = writable.iter().filter_map(|index| address(*index)).collect();
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let at = began.elapsed();
        seen.rounds += 1;
        if seen.first_writable.is_none() && !masters.is_empty() {
            seen.first_writable = Some(at);
        }
        if let Some((first, last)) = double
            && seen.doubles.len() < 100
            && let (Some(first), Some(last)) = (address(first), address(last))
        {
            seen.doubles.push((at, first, last));
        }
        if seen.changes.last().map(|(_, masters)| masters) != Some(&masters) && seen.changes.len() < 1000 {
            seen.changes.push((at, masters));
        }
        drop(seen);
        std::thread::sleep(period);
    }
}

/// Does it say master, and is it not fenced?
fn takes_writes(links: &mut [(SocketAddr, Option<Connection>)], index: usize) -> bool {
    let Some((at, link)) = links.get_mut(index) else { return false };
    if link.is_none() {
        *link = Connection::open(*at, LIMIT).ok();
    }
    let Some(connection) = link.as_mut() else { return false };
    connection.push(&["ROLE"]);
    connection.push(&["CONFIG", "GET", "min-replicas-to-write"]);
    let answers = connection.flush().and_then(|()| Ok((connection.read()?, connection.read()?)));
    let Ok((role, fence)) = answers else {
        *link = None;
        return false;
    };
    let master = role.items().first().and_then(super::wire::Reply::text).as_deref() == Some("master");
    let needed: u64 = fence.field("min-replicas-to-write").and_then(|value| value.parse().ok()).unwrap_or_default();
    master && needed < 100
}
