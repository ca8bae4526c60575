//! The kept connections, one a peer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::core::id::Address;

/// Peers with a kept connection; beyond that the one that was not looked at for the longest is let go.
pub const PEERS_LIMIT: usize = 64;

/// What is kept of one peer. Whoever asks takes it out and puts it back when it answered: a question that is given
/// up takes its connection with it.
pub type Slot<T> = Arc<Mutex<Option<T>>>;

/// The peers of one kind.
pub struct Peers<T>(StdMutex<HashMap<Address, (Slot<T>, Instant)>>);

impl<T> Default for Peers<T> {
    fn default() -> Self {
        Peers(StdMutex::default())
    }
}

impl<T> Peers<T> {
    /// The place of the peer at `at`.
    pub fn slot(&self, at: Address) -> Slot<T> {
        let mut peers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !peers.contains_key(&at)
            && peers.len() >= PEERS_LIMIT
            && let Some(oldest) = peers.iter().min_by_key(|(_, (_, used))| *used).map(|(at, _)| *at)
        {
            peers.remove(&oldest);
        }
        let (slot, used) = peers.entry(at).or_insert_with(|| (Slot::default(), Instant::now()));
        *used = Instant::now();
        slot.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_beyond_the_limit_replace_the_oldest() {
        let peers = Peers::<u32>::default();
        let at = |port| Address::parse("127.0.0.1", port).expect("an address");
        for port in 1..=200 {
            peers.slot(at(port)).try_lock().expect("free").replace(u32::from(port));
        }
        assert_eq!(peers.0.lock().expect("a table").len(), PEERS_LIMIT);
        assert_eq!(*peers.slot(at(200)).try_lock().expect("free"), Some(200));
        assert_eq!(*peers.slot(at(1)).try_lock().expect("free"), None);
    }
}
