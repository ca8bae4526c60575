//! What is on the disks, and what became of it: plans with persistence, marks that are counted later, writers that
//! outlive a total outage.

use std::time::{Duration, Instant};

use super::{Bed, Ledger, Node, Plan, Writing, ms, secs, wire};

/// Every write is appended to a file.
pub const AOF: &[&str] = &["--appendonly", "yes"];
/// Nothing is kept but what is saved by hand.
pub const RDB: &[&str] = &["--save", "36000 1"];
/// Nothing is kept at all.
pub const NOTHING: &[&str] = &["--save", ""];

/// Three servers and three Sentinels whose engines get these arguments.
pub fn plan_with(arguments: &[&str]) -> Plan {
    let mut plan = super::plan();
    for number in 1..=plan.servers {
        plan.node_args.insert(format!("server-{number}"), run_with(arguments));
    }
    plan
}

/// A supervisor's arguments, so that its engine gets these.
pub fn run_with(arguments: &[&str]) -> Vec<String> {
    ["run", "--"].iter().chain(arguments).map(|word| (*word).to_owned()).collect()
}

/// Two writers that go on while nobody can take their writes.
pub fn writers(bed: &mut Bed) -> Ledger {
    bed.ledgers += 1;
    let writing = Writing { rest: Duration::from_micros(800), ..Writing::default() };
    let ledger = Ledger::open(&bed.cluster.sentinels(), &bed.ledgers.to_string(), &writing);
    assert!(ledger.wait_for(500, secs(10)), "no writes: {:?}", ledger.errors());
    ledger
}

/// Waits until both writers have a write acknowledged from now on; how long that took.
#[track_caller]
pub fn writable(ledger: &Ledger, what: &str, limit: Duration) -> Duration {
    let from = Instant::now();
    loop {
        if let Some(at) = ledger.all_after(from) {
            let took = at.saturating_duration_since(from);
            println!("writable {took:?} after {what}");
            assert!(took <= limit, "writable only {took:?} after {what}, promised are {limit:?}");
            return took;
        }
        assert!(from.elapsed() < limit + secs(20), "not writable {limit:?} after {what}: {:?}", ledger.errors());
        std::thread::sleep(ms(5));
    }
}

/// New writers, which must get through within the limit.
#[track_caller]
pub fn writers_after(bed: &mut Bed, limit: Duration) -> Ledger {
    let back = Instant::now();
    bed.ledgers += 1;
    let writing = Writing { rest: ms(1), ..Writing::default() };
    let ledger = Ledger::open(&bed.cluster.sentinels(), &bed.ledgers.to_string(), &writing);
    assert!(ledger.wait_for(1, limit + secs(20)), "not writable: {:?}", ledger.errors());
    println!("writable {:?} after the last one is back", back.elapsed());
    assert!(back.elapsed() <= limit, "writable only after {:?}, promised are {limit:?}", back.elapsed());
    ledger
}

/// How many acknowledged writes the server does not have. Closes the ledger.
#[track_caller]
pub fn lost(mut ledger: Ledger, bed: &Bed, master: &str) -> usize {
    ledger.close();
    let lost = ledger.lost(bed.node(master).address()).unwrap();
    println!("{} acknowledged, {} lost on {master}, {:?}", ledger.acknowledged(), lost.len(), ledger.errors());
    lost.len()
}

/// Sets the keys `name:0` to `name:count-1`.
#[track_caller]
pub fn mark(node: &Node, name: &str, count: usize) {
    let mut link = wire::Connection::open(node.address(), secs(5)).unwrap();
    for key in 0..count {
        let reply = link.call(&["SET", &format!("{name}:{key}"), "x"]).unwrap();
        assert!(matches!(reply, wire::Reply::Status(_)), "{reply:?}");
    }
}

/// How many of those keys it has.
#[track_caller]
pub fn marks(node: &Node, name: &str, count: usize) -> usize {
    let mut link = wire::Connection::open(node.address(), secs(5)).unwrap();
    let keys: Vec<String> = (0..count).map(|key| format!("{name}:{key}")).collect();
    let command: Vec<&str> = std::iter::once("EXISTS").chain(keys.iter().map(String::as_str)).collect();
    match link.call(&command).unwrap() {
        wire::Reply::Integer(found) => usize::try_from(found).unwrap(),
        reply => panic!("{reply:?}"),
    }
}

/// How many keys it holds; `None` where its door is shut.
pub fn size(node: &Node) -> Option<i64> {
    match node.ask(&["DBSIZE"]) {
        Ok(wire::Reply::Integer(keys)) => Some(keys),
        _ => None,
    }
}

/// The rollback files in a node's directory.
pub fn rollbacks(node: &Node) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(node.data()).unwrap().flatten().map(|entry| entry.path());
    entries
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("rollback-")))
        .collect()
}
