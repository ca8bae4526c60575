use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;

use super::*;

/// A lock in memory; each change has a version of its own.
#[derive(Default)]
struct Memory {
    stamp: Stamp,
    changes: u64,
    broken: bool,
}

impl Memory {
    fn read(&self) -> Result<Stamp, LockError> {
        if self.broken { Err(broken()) } else { Ok(self.stamp.clone()) }
    }

    fn swap(&mut self, seen: &Stamp, new: &Lease) -> Result<Option<Stamp>, LockError> {
        if self.broken {
            return Err(broken());
        }
        if self.stamp.version != seen.version {
            return Ok(None);
        }
        self.changes += 1;
        self.stamp = Stamp { version: self.changes.to_be_bytes().to_vec(), lease: Some(new.clone()) };
        Ok(Some(self.stamp.clone()))
    }
}

fn broken() -> LockError {
    LockError::File { what: "read", path: "/lock".into(), source: std::io::Error::other("no disk") }
}

impl Lock for Memory {
    fn read(&mut self) -> Result<Stamp, LockError> {
        Memory::read(self)
    }

    fn swap(&mut self, seen: &Stamp, new: &Lease) -> Result<Option<Stamp>, LockError> {
        Memory::swap(self, seen, new)
    }
}

struct Table {
    lock: Memory,
    start: Instant,
    now: Duration,
}

impl Table {
    fn new() -> Self {
        Table { lock: Memory::default(), start: Instant::now(), now: Duration::ZERO }
    }

    fn at(&self) -> Instant {
        self.start + self.now
    }

    fn step(&mut self, millis: u64, who: &mut Campaign) {
        self.now = Duration::from_millis(millis);
        let now = self.at();
        let _broken_or_not = who.step(&mut self.lock, &|| now, true);
    }

    fn named(&self, who: &Campaign) -> Option<String> {
        who.standing().filter(|standing| self.at() < standing.until).map(|standing| standing.leader.clone())
    }
}

fn candidate(id: &str) -> Campaign {
    Campaign::new("e", id, &format!("run of {id}"))
}

#[test]
fn the_first_takes_it_and_the_second_believes_after_one_renewal() {
    let (mut table, mut a, mut b) = (Table::new(), candidate("a"), candidate("b"));
    table.step(0, &mut a);
    assert_eq!(table.named(&a), Some("a".to_owned()));
    table.step(10, &mut b);
    assert_eq!(table.named(&b), None, "a record alone proves nothing (A6)");
    table.step(250, &mut a);
    table.step(510, &mut b);
    assert_eq!(table.named(&b), Some("a".to_owned()));
}

#[test]
fn a_dead_holder_is_named_for_the_give_up_time_and_replaced_after_the_lease() {
    let (mut table, mut a, mut b) = (Table::new(), candidate("a"), candidate("b"));
    table.step(0, &mut a);
    table.step(10, &mut b);
    table.step(20, &mut a);
    table.step(1_000, &mut b);
    // a is gone. b saw its last change at 1.0 s, which came after 0.01 s.
    table.step(10_005, &mut b);
    assert_eq!(table.named(&b), Some("a".to_owned()));
    table.step(10_015, &mut b);
    assert_eq!(table.named(&b), None);
    table.step(15_999, &mut b);
    assert_eq!(table.named(&b), None);
    table.step(16_001, &mut b);
    assert_eq!(table.named(&b), Some("b".to_owned()));
    // a wakes up: it has given up by its own clock, and finds the lease taken.
    assert_eq!(table.named(&a), None);
    table.step(16_002, &mut a);
    assert_eq!(table.named(&a), None);
}

#[test]
fn a_release_is_taken_at_once_and_a_vanished_record_is_none() {
    let (mut table, mut a, mut b) = (Table::new(), candidate("a"), candidate("b"));
    table.step(0, &mut a);
    table.step(10, &mut b);
    table.step(2_000, &mut a);
    table.step(2_010, &mut b);
    table.lock.stamp = Stamp::default();
    table.step(4_000, &mut b);
    assert_eq!(table.named(&b), None);
    table.step(18_000, &mut b);
    assert_eq!(table.named(&b), None);
    table.step(19_000, &mut b);
    assert_eq!(table.named(&b), Some("b".to_owned()));
    b.release(&mut table.lock).expect("released");
    assert_eq!(table.named(&b), None);
    table.step(19_001, &mut a);
    assert_eq!(table.named(&a), Some("a".to_owned()));
}

#[test]
fn a_lock_that_breaks_ends_the_lease_in_time_and_a_short_trouble_does_not() {
    let (mut table, mut a) = (Table::new(), candidate("a"));
    table.step(0, &mut a);
    table.lock.broken = true;
    table.step(2_000, &mut a);
    table.step(9_999, &mut a);
    assert_eq!(table.named(&a), Some("a".to_owned()));
    table.lock.broken = false;
    table.step(9_999, &mut a);
    table.lock.broken = true;
    table.step(19_998, &mut a);
    assert_eq!(table.named(&a), Some("a".to_owned()));
    table.step(19_999, &mut a);
    assert_eq!(table.named(&a), None);
}

#[test]
fn garbage_in_the_record_delays_by_one_lease() {
    let (mut table, mut a) = (Table::new(), candidate("a"));
    table.lock.stamp = Stamp { version: b"garbage".to_vec(), lease: None };
    table.step(0, &mut a);
    table.step(14_999, &mut a);
    assert_eq!(table.named(&a), None);
    table.step(15_000, &mut a);
    assert_eq!(table.named(&a), Some("a".to_owned()));
}

#[test]
fn who_does_not_stand_watches_and_lets_go() {
    let (mut table, mut a) = (Table::new(), candidate("a"));
    let now = table.at();
    a.step(&mut table.lock, &|| now, false).expect("a look");
    assert_eq!(table.named(&a), None);
    table.step(1, &mut a);
    assert_eq!(table.named(&a), Some("a".to_owned()));
    a.step(&mut table.lock, &|| now, false).expect("a release");
    assert_eq!(table.named(&a), None);
    assert_eq!(table.lock.stamp.lease.as_ref().map(|lease| lease.holder.as_str()), Some(""));
}

#[test]
fn a_lock_of_another_election_is_an_error() {
    let (mut table, mut a) = (Table::new(), candidate("a"));
    table.step(0, &mut a);
    let now = table.at();
    let error = Campaign::new("f", "b", "r").step(&mut table.lock, &|| now, true);
    assert!(matches!(error, Err(LockError::OtherElection { .. })));
}

/// Everybody, one lock, one clock; a step may stall at every read and write while the others go on.
struct World {
    lock: RefCell<Memory>,
    start: Instant,
    now: Cell<u64>,
    seed: Cell<u64>,
    all: Vec<RefCell<Campaign>>,
    published: Vec<RefCell<Option<Standing>>>,
    next: Vec<Cell<u64>>,
    depth: Cell<u32>,
    changes_of_leader: RefCell<Vec<String>>,
    released: RefCell<HashSet<String>>,
}

impl World {
    fn random(&self, below: u64) -> u64 {
        // xorshift: the same world for the same seed.
        let mut x = self.seed.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.seed.set(x);
        x % below
    }

    fn at(&self) -> Instant {
        self.start + Duration::from_millis(self.now.get())
    }

    /// Lets time pass, during which everybody who is not stalled goes on.
    fn pass(self: &Rc<Self>, millis: u64) {
        let end = self.now.get() + millis;
        loop {
            let free = |who: &usize| self.all[*who].try_borrow().is_ok();
            let next = (0..self.all.len()).filter(free).min_by_key(|who| self.next[*who].get());
            let Some(who) = next.filter(|who| self.next[*who].get() <= end && self.depth.get() < 4) else { break };
            self.now.set(self.now.get().max(self.next[who].get()));
            self.step(who);
        }
        self.now.set(self.now.get().max(end));
        self.check();
    }

    fn step(self: &Rc<Self>, who: usize) {
        self.depth.set(self.depth.get() + 1);
        let mut campaign = self.all[who].borrow_mut();
        let mut lock = Stalling(self.clone());
        let (release, stand) = (self.random(40) == 0, self.random(30) != 0);
        if release || !stand {
            let mut published = self.published[who].borrow_mut();
            *published = published.take().filter(|standing| !standing.own);
            self.released.borrow_mut().insert(who.to_string());
        }
        let _broken =
            if release { campaign.release(&mut lock) } else { campaign.step(&mut lock, &|| self.at(), stand) };
        if campaign.standing().is_some_and(|standing| standing.own) {
            self.released.borrow_mut().remove(&who.to_string());
        }
        *self.published[who].borrow_mut() = campaign.standing().cloned();
        self.next[who].set(self.now.get() + campaign.pause(self.at()).as_millis() as u64 + self.random(50));
        drop(campaign);
        self.depth.set(self.depth.get() - 1);
        self.check();
    }

    fn check(&self) {
        let now = self.at();
        let said = |standing: &RefCell<Option<Standing>>| standing.borrow().clone().filter(|one| now < one.until);
        let said: Vec<Standing> = self.published.iter().filter_map(said).collect();
        let own: Vec<_> = said.iter().filter(|standing| standing.own).collect();
        assert!(own.len() <= 1, "two leaders at {} ms: {own:?}", self.now.get());
        if let (Some(leader), mut changes) = (own.first(), self.changes_of_leader.borrow_mut())
            && changes.last() != Some(&leader.leader)
        {
            changes.push(leader.leader.clone());
        }
        // Nobody names somebody while another one leads. (Who has let go may still be named until the next look.)
        for standing in said.iter().filter(|standing| !self.released.borrow().contains(&standing.leader)) {
            for leader in &own {
                assert_eq!(standing.leader, leader.leader, "at {} ms: {said:?}", self.now.get());
            }
        }
    }
}

struct Stalling(Rc<World>);

impl Stalling {
    fn stall(&self) {
        let world = &self.0;
        match world.random(60) {
            0 => world.pass(world.random(30_000)),
            1..=4 => world.pass(world.random(3_000)),
            _ => world.pass(world.random(20)),
        }
    }
}

impl Lock for Stalling {
    fn read(&mut self) -> Result<Stamp, LockError> {
        self.stall();
        let stamp = self.0.lock.borrow().read();
        self.stall();
        stamp
    }

    fn swap(&mut self, seen: &Stamp, new: &Lease) -> Result<Option<Stamp>, LockError> {
        self.stall();
        let swapped = self.0.lock.borrow_mut().swap(seen, new);
        self.stall();
        // Written, and yet an error: a full disk, a lost answer.
        if self.0.random(50) == 0 { Err(broken()) } else { swapped }
    }
}

#[test]
fn never_two_leaders_whatever_stalls() {
    let mut elections = 0;
    for seed in 1..=300_u64 {
        let world = Rc::new(World {
            lock: RefCell::default(),
            start: Instant::now(),
            now: Cell::new(0),
            seed: Cell::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)),
            all: (0..4).map(|id| RefCell::new(candidate(&id.to_string()))).collect(),
            published: (0..4).map(|_| RefCell::default()).collect(),
            next: (0..4).map(|id| Cell::new(id * 10)).collect(),
            depth: Cell::new(0),
            changes_of_leader: RefCell::default(),
            released: RefCell::default(),
        });
        for _ in 0..40 {
            world.pass(10_000);
        }
        elections += world.changes_of_leader.borrow().len();
    }
    assert!(elections > 1_000, "the world is not dull: {elections}");
}
