//! How many connections may be open. Where a new one finds no place, the oldest that is not being served goes:
//! 300 idle or half-open ones never keep a probe or another supervisor out.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::AbortHandle;

/// Is a request of this connection being served?
#[derive(Clone, Debug, Default)]
pub struct Busy(Arc<AtomicUsize>);

/// One request being served.
#[derive(Debug)]
pub struct Serving(Busy);

impl Busy {
    /// A request begins; it ends when the guard is dropped.
    pub fn serve(&self) -> Serving {
        self.0.fetch_add(1, Ordering::Relaxed);
        Serving(self.clone())
    }

    fn is(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The open connections of one listener.
#[derive(Debug)]
pub struct Connections {
    limit: usize,
    open: Vec<(AbortHandle, Busy)>,
}

impl Connections {
    /// None yet.
    pub fn new(limit: usize) -> Self {
        Connections { limit, open: Vec::new() }
    }

    /// Makes a place for one more; false where all are being served.
    pub fn make_place(&mut self) -> bool {
        self.open.retain(|(task, _)| !task.is_finished());
        if self.open.len() < self.limit {
            return true;
        }
        let Some(oldest) = self.open.iter().position(|(_, busy)| !busy.is()) else { return false };
        let (task, _) = self.open.remove(oldest);
        task.abort();
        true
    }

    /// One more.
    pub fn add(&mut self, task: AbortHandle, busy: Busy) {
        self.open.push((task, busy));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_idle_one_goes() {
        let mut connections = Connections::new(2);
        let mut tasks = Vec::new();
        let mut add = |connections: &mut Connections, busy: &Busy| {
            let task = tokio::spawn(std::future::pending::<()>());
            connections.add(task.abort_handle(), busy.clone());
            tasks.push(task);
        };
        let (first, second) = (Busy::default(), Busy::default());
        let serving = first.serve();
        add(&mut connections, &first);
        add(&mut connections, &second);
        assert!(connections.make_place());
        assert_eq!(connections.open.len(), 1);
        let third = Busy::default();
        add(&mut connections, &third);
        let serving_third = third.serve();
        assert!(!connections.make_place(), "both are being served");
        drop((serving, serving_third));
        assert!(connections.make_place());
        tokio::task::yield_now().await;
        assert!(tasks[0].is_finished() && tasks[1].is_finished() && !tasks[2].is_finished());
    }
}
