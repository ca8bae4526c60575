//! Cold starts: how long until the first write, and is there ever a second master?

use std::thread::sleep;
use std::time::{Duration, Instant};

use redinit::demo::cluster::{Cluster, ElectorPlan};
use redinit::demo::ledger::{Ledger, Writing};
use redinit::demo::watch::Watch;

use crate::report::{Figure, Report};
use crate::{ms, plan, secs};

/// All six at once, in a new order each time, half of the runs with an elector.
pub fn starts(figures: &mut Report, count: usize) {
    for (elector, what) in [(ElectorPlan::None, "without an elector"), (ElectorPlan::File, "with an elector")] {
        let runs: Vec<(Duration, Duration, usize)> = (0..count).map(|number| start(&elector, number)).collect();
        let writable: Vec<_> = runs.iter().map(|run| run.0).collect();
        let agreed: Vec<_> = runs.iter().map(|run| run.1).collect();
        let doubles = runs.iter().map(|run| run.2 as f64).collect();
        figures.add(Figure::times(&format!("cold start {what}: writable"), &writable, Some(ms(2500)), Some(secs(5))));
        figures.add(Figure::times(&format!("cold start {what}: all agreed"), &agreed, None, None));
        figures.add(Figure::counts(&format!("cold start {what}: masters too many"), "samples", doubles, 0.0));
    }
}

fn start(elector: &ElectorPlan, number: usize) -> (Duration, Duration, usize) {
    let names = ["server-1", "server-2", "server-3", "sentinel-1", "sentinel-2", "sentinel-3"];
    let mut plan = plan().elector(elector.clone());
    for (place, name) in names.iter().enumerate() {
        // Any order, within a few milliseconds.
        plan = plan.delayed(name, ms(((place * 5 + number * 7) % 6) as u64));
    }
    let mut cluster = Cluster::prepare(plan).expect("cannot prepare");
    let watch = Watch::start(cluster.server_addresses(), ms(10));
    let began = Instant::now();
    cluster.start_all().expect("cannot start");
    let writing = Writing { writers: 1, rest: ms(5), ..Writing::default() };
    let mut ledger = Ledger::open(&cluster.sentinels(), "cold", &writing);
    assert!(ledger.wait_for(1, secs(120)), "not writable within 120 s: {:?}", ledger.errors());
    let writable = ledger.all_after(ledger.began()).expect("an acknowledgement") - began;
    cluster.wait_settled(secs(120)).expect("never agreed");
    let agreed = began.elapsed();
    sleep(ms(300));
    ledger.close();
    let seen = watch.end();
    println!("  cold start {number}: writable {writable:?}, agreed {agreed:?}, changes {:?}", seen.changes);
    (writable, agreed, seen.doubles.len())
}
