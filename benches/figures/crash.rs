//! The master's process crashes: how long nobody can write, what is lost, and is a replica emptied?

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::bare::{BOTH, By, Stand, writing_again};
use crate::bed::disks::{AOF, NOTHING};
use crate::bed::floor::Floor;
use crate::report::{Figure, Report};
use crate::{ms, secs};

/// What every server holds before.
const KEYS: usize = 5000;
/// Runs on one cluster: a child that crashes five times in five minutes is given up.
const PER_CLUSTER: usize = 3;

struct Run {
    gap: Duration,
    lost: usize,
    emptied: bool,
}

/// With an append-only file, and with nothing on the disk.
pub fn crashes(figures: &mut Report, count: usize) {
    for by in BOTH {
        let name = by.name("crash with AOF");
        let runs = runs(by, AOF, count, &name);
        let gaps: Vec<_> = runs.iter().map(|run| run.gap).collect();
        figures.add(Figure::times(&format!("{name}: longest gap"), &gaps, None, by.promised(ms(500))));
        let lost = runs.iter().map(|run| run.lost as f64).collect();
        figures.add(Figure::counts(&format!("{name}: lost"), "writes", lost, by.promised(0.0)));
    }
    for by in BOTH {
        let name = by.name("crash without persistence");
        let runs = runs(by, NOTHING, count, &name);
        let gaps: Vec<_> = runs.iter().map(|run| run.gap).collect();
        let (median, worst) = (by.promised(ms(500)), by.promised(ms(1600)));
        figures.add(Figure::times(&format!("{name}: longest gap"), &gaps, median, worst));
        let lost = runs.iter().map(|run| run.lost as f64).collect();
        figures.add(Figure::counts(&format!("{name}: lost"), "writes", lost, None));
        let emptied = runs.iter().map(|run| f64::from(u8::from(run.emptied))).collect();
        figures.add(Figure::counts(&format!("{name}: emptied"), "replicas", emptied, by.promised(0.0)));
    }
}

fn runs(by: By, engine: &[&str], count: usize, name: &str) -> Vec<Run> {
    let mut runs = Vec::new();
    while runs.len() < count {
        let mut stand = Stand::up(by, engine);
        for _ in 0..PER_CLUSTER.min(count - runs.len()) {
            runs.push(crash(&mut stand, name));
        }
    }
    runs
}

fn crash(stand: &mut Stand, name: &str) -> Run {
    stand.rest();
    // A Sentinel whose INFO is younger than 1 s waits for its second: right after a start or a failover all are.
    sleep(secs(11));
    let master = stand.whole();
    stand.bed.fill(&master, KEYS);
    let keys = i64::try_from(KEYS).unwrap();
    let floor = Floor::watch(&stand.bed, &stand.bed.replicas(), keys);
    let ledger = stand.writers();
    let began = Instant::now();
    stand.crash(&master);
    sleep(secs(2));
    writing_again(&ledger, Instant::now());
    let leader = stand.whole();
    let gap = ledger.longest_gap(began, Instant::now()).length;
    let lost = stand.lost(ledger, &leader);
    let emptied = floor.lowest() < keys;
    println!("  {name}: {master} to {leader}, {lost} lost, gap {gap:?}, emptied {emptied}");
    Run { gap, lost, emptied }
}
