//! Outages: of the Sentinels alone, and of all three servers at once.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::bare::{BOTH, Stand, writing_again};
use crate::bed::Kind;
use crate::bed::disks::AOF;
use crate::report::{Figure, Report};
use crate::{ms, secs};

/// All Sentinels are gone for 5 s.
pub fn sentinels(figures: &mut Report, count: usize) {
    for by in BOTH {
        let name = by.name("Sentinel outage");
        let mut stand = Stand::up(by, AOF);
        let mut failed = Vec::new();
        for _ in 0..count {
            let master = stand.rest();
            let ledger = stand.writers();
            power_cut(&mut stand, Kind::Sentinel);
            sleep(secs(5));
            stand.bed.restart_ended();
            let leader = stand.whole();
            let errors = ledger.errors();
            failed.push(errors.values().sum::<u64>() as f64);
            let lost = stand.lost(ledger, &leader);
            println!("  {name}: {master} to {leader}, {lost} lost, failed {errors:?}");
        }
        figures.add(Figure::counts(&format!("{name}: failed"), "writes", failed, by.promised(0.0)));
    }
}

/// All servers are killed at once and come back one after the other, in another order each time; the Sentinels go on.
pub fn total(figures: &mut Report, count: usize) {
    for by in BOTH {
        let name = by.name("total outage");
        let mut stand = Stand::up(by, AOF);
        let (mut times, mut losses): (Vec<Duration>, Vec<f64>) = (Vec::new(), Vec::new());
        for number in 0..count {
            let master = stand.rest();
            let ledger = stand.writers();
            power_cut(&mut stand, Kind::Server);
            sleep(secs(1));
            for step in 0..3 {
                if step > 0 {
                    sleep(ms(700));
                }
                // Every order in turn, forwards and backwards.
                let place = (if number % 2 == 0 { number + step } else { number + 3 - step }) % 3;
                stand.bed.node_mut(&format!("server-{}", place + 1)).start().expect("cannot start again");
            }
            let back = Instant::now();
            let writable = writing_again(&ledger, back).saturating_duration_since(back);
            let leader = stand.whole();
            let lost = stand.lost(ledger, &leader);
            println!("  {name}: {master} to {leader}, {lost} lost, writable {writable:?} after the last one was back");
            times.push(writable);
            losses.push(lost as f64);
        }
        figures.add(Figure::times(&format!("{name}: writable"), &times, None, by.promised(secs(10))));
        figures.add(Figure::counts(&format!("{name}: lost"), "writes", losses, by.promised(0.0)));
    }
}

fn power_cut(stand: &mut Stand, kind: Kind) {
    for node in stand.bed.cluster.nodes.iter_mut().filter(|node| node.kind == kind) {
        node.kill();
    }
}
