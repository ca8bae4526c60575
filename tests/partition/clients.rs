//! Clients of every kind at once, outside and, where a scenario cuts a master off, shut in with it.

use std::time::{Duration, Instant};

use super::bed::{Bed, CLIENTS, Client, Ledger, Watch, Writing, doubles_but_of_waking, ms, secs};

/// All that write during a scenario, and the watch for a second master.
pub struct Clients {
    /// One of each kind, in a room of their own; they find the master through the Sentinels.
    outside: Vec<(Client, Ledger)>,
    /// In the master's own room, and never elsewhere: a pooled one and one that waits for a replica.
    shut_in: Vec<(Client, Ledger)>,
    watch: Watch,
    watching: Instant,
    /// When a machine that slept was woken.
    woken: Option<Instant>,
}

/// What became of their acknowledged writes.
#[derive(Debug)]
pub struct Count {
    pub acknowledged: u64,
    /// Of those outside, but for those of the one that waits.
    pub outside: usize,
    /// Of those shut in with a master.
    pub shut_in: usize,
    /// Of those outside that were counted only after `WAIT 1` (M20).
    pub waited: usize,
    /// The same, shut in.
    pub waited_shut_in: usize,
    pub errors: String,
}

impl Clients {
    /// Opens them, and waits until all of them write.
    pub fn open(bed: &mut Bed, shut_in_with: Option<&str>) -> Self {
        let (watch, watching) = (Watch::start(bed.cluster.server_addresses(), ms(10)), Instant::now());
        // Impatient, so that what is measured is the cluster's silence, not the clients' own time-out.
        let kind = |client| Writing { writers: 1, rest: ms(2), patience: ms(300), client, ..Writing::default() };
        let outside = [Client::Pooled, Client::Retrying, Client::Fresh, Client::Waiting]
            .map(|client| (client, bed.ledger(CLIENTS, &kind(client))));
        let mut clients = Clients { outside: outside.into(), shut_in: Vec::new(), watch, watching, woken: None };
        if let Some(name) = shut_in_with {
            for client in [Client::Pooled, Client::Waiting] {
                let pinned = Some(bed.node(name).address());
                let writing = Writing { pinned, ..kind(client) };
                clients.shut_in.push((client, bed.ledger(name, &writing)));
            }
        }
        for (client, ledger) in clients.outside.iter().chain(&clients.shut_in) {
            assert!(ledger.wait_for(50, secs(10)), "{client:?} writes nothing: {:?}", ledger.errors());
        }
        std::thread::sleep(secs(1));
        clients
    }

    /// A machine that slept is woken now.
    pub fn woken(&mut self) -> Instant {
        *self.woken.insert(Instant::now())
    }

    /// When somebody who was shut in had a write acknowledged last.
    pub fn last_shut_in(&self) -> Option<Instant> {
        self.shut_in.iter().filter_map(|(_, ledger)| ledger.last()).max()
    }

    /// Writes a second of those shut in: of the second before the cut or of the one after it, whichever has more. Those
    /// outside take their share of the processor before it, and write nothing after it.
    pub fn rate_shut_in(&self, cut: Instant) -> usize {
        let from = cut.checked_sub(secs(1)).unwrap_or(cut);
        let rate = |from, to| self.shut_in.iter().map(|(_, ledger)| ledger.acknowledged_between(from, to)).sum();
        usize::max(rate(from, cut), rate(cut, cut + secs(1)))
    }

    /// The longest time from a moment on in which some client outside got nothing acknowledged; the one that waits
    /// for a replica excepted.
    pub fn gap(&self, from: Instant) -> Duration {
        let gaps = self.needing_no_replica().map(|(_, ledger)| ledger.longest_gap(from, Instant::now()).length);
        gaps.max().unwrap_or_default()
    }

    /// Those outside that can write to a master without replicas.
    fn needing_no_replica(&self) -> impl Iterator<Item = &(Client, Ledger)> {
        self.outside.iter().filter(|(client, _)| *client != Client::Waiting)
    }

    /// Waits until all outside write again; the one that waits for a replica excepted: there may be none.
    #[track_caller]
    pub fn all_write_again(&self, after: Instant, limit: Duration) {
        let end = Instant::now() + limit;
        while !self.needing_no_replica().all(|(_, ledger)| ledger.all_after(after).is_some()) {
            let errors: Vec<_> = self.needing_no_replica().map(|(client, ledger)| (client, ledger.errors())).collect();
            assert!(Instant::now() < end, "not all write again within {limit:?}: {errors:?}");
            std::thread::sleep(ms(5));
        }
    }

    /// Closes the ledgers and reads them back; nobody may ever have seen two masters that take writes (L), but for one that
    /// is just waking.
    #[track_caller]
    pub fn count(mut self, bed: &Bed) -> Count {
        let master = bed.settle("when the ledgers are read");
        let at = bed.node(&master).address();
        let mut count =
            Count { acknowledged: 0, outside: 0, shut_in: 0, waited: 0, waited_shut_in: 0, errors: String::new() };
        for (client, ledger) in self.outside.iter_mut().chain(&mut self.shut_in) {
            ledger.close();
            count.errors += &format!("{client:?} {:?} ", ledger.errors());
        }
        for (client, ledger) in &self.outside {
            let lost = ledger.lost(at).unwrap().len();
            *(if *client == Client::Waiting { &mut count.waited } else { &mut count.outside }) += lost;
            count.acknowledged += ledger.acknowledged();
            ledger.erase(at).unwrap();
        }
        for (client, ledger) in &self.shut_in {
            let lost = ledger.lost(at).unwrap().len();
            *(if *client == Client::Waiting { &mut count.waited_shut_in } else { &mut count.shut_in }) += lost;
            ledger.erase(at).unwrap();
        }
        let seen = self.watch.end();
        let doubles = doubles_but_of_waking(&seen, self.watching, self.woken);
        assert_eq!(doubles, 0, "two masters took writes at once: {seen:?}");
        println!("{count:?}");
        count
    }
}

impl Count {
    /// Not one acknowledged write is gone.
    #[track_caller]
    pub fn lossless(&self) {
        assert_eq!((self.outside, self.waited), (0, 0), "acknowledged writes lost: {self:?}");
    }

    /// A crash overtakes at most one acknowledgement of each client; none that a replica had.
    #[track_caller]
    pub fn lost_in_flight_at_most(&self) {
        assert!(self.outside <= 3, "more lost than was in flight: {self:?}");
        assert_eq!(self.waited, 0, "a write that a replica had is lost: {self:?}");
    }
}
