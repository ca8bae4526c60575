//! The master's whole container is gone: killed, so that its address answers with a reset, or lost with its node, so
//! that nothing answers.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::bare::{BOTH, Stand, writing_again};
use crate::bed::disks::AOF;
use crate::bed::{Fault, net};
use crate::report::{Figure, Report};
use crate::{ms, secs};

const DOWN_AFTER: Duration = secs(5);

struct Run {
    gap: Duration,
    lost: usize,
}

/// Supervisor and child are killed.
pub fn killed(figures: &mut Report, count: usize) {
    for by in BOTH {
        let name = by.name("killed container");
        let mut stand = Stand::up(by, AOF);
        let runs: Vec<Run> = (0..count).map(|number| gone(&mut stand, &name, number, false)).collect();
        report(figures, &name, &runs, None, by.promised(ms(1500)));
    }
}

/// The node is lost: silence.
pub fn lost_node(figures: &mut Report, count: usize) {
    if let Some(reason) = net::missing() {
        return println!("SKIPPED lost node: {reason}");
    }
    for by in BOTH {
        let name = by.name("lost node");
        let mut stand = Stand::apart(by, AOF);
        let runs: Vec<Run> = (0..count).map(|number| gone(&mut stand, &name, number, true)).collect();
        let (median, worst) = (by.promised(DOWN_AFTER + secs(1)), by.promised(DOWN_AFTER + secs(2)));
        report(figures, &name, &runs, median, worst);
    }
}

/// It stays away until somebody else takes writes.
fn gone(stand: &mut Stand, name: &str, number: usize, silent: bool) -> Run {
    let master = stand.rest();
    // A stand that is at rest has just been pinged: without this every run would begin at the same moment of that second.
    sleep(ms(100) * u32::try_from(number % 10).unwrap());
    let ledger = if silent { stand.writers_that_wait(ms(50)) } else { stand.writers() };
    let began = Instant::now();
    if silent {
        let others = stand.bed.net().others(&[&master]);
        stand.bed.net().cut(&[&master], &others, Fault::Drop);
    }
    stand.bed.node_mut(&master).kill();
    writing_again(&ledger, Instant::now());
    let gap = ledger.longest_gap(began, Instant::now()).length;
    if silent {
        stand.bed.net().heal();
    }
    stand.bed.restart_ended();
    let leader = stand.whole();
    let lost = stand.lost(ledger, &leader);
    println!("  {name}: {master} to {leader}, {lost} lost, gap {gap:?}");
    Run { gap, lost }
}

fn report(figures: &mut Report, name: &str, runs: &[Run], median: Option<Duration>, worst: Option<Duration>) {
    let gaps: Vec<_> = runs.iter().map(|run| run.gap).collect();
    figures.add(Figure::times(&format!("{name}: longest gap"), &gaps, median, worst));
    let lost = runs.iter().map(|run| run.lost as f64).collect();
    figures.add(Figure::counts(&format!("{name}: lost"), "writes", lost, None));
}
