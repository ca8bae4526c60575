//! The master is cut off, alone or with a replica, by silence: how long does it go on taking writes that will be lost?

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::bare::{BOTH, By, Stand, writing_again};
use crate::bed::disks::NOTHING;
use crate::bed::{Client, Fault, Ledger, Writing, net};
use crate::report::{Figure, Report};
use crate::{ms, secs};

/// How long the cut lasts.
const CUT: Duration = secs(10);
/// What is promised: no write is taken after that, and the rate times this is lost at most.
const FENCED: Duration = ms(1700);

struct Run {
    last_write: Duration,
    demoted: Duration,
    lost: usize,
    rate: usize,
    lost_waited: usize,
}

/// Alone, and with a replica that only the master can reach.
pub fn isolated(figures: &mut Report, count: usize) {
    if let Some(reason) = net::missing() {
        return println!("SKIPPED isolated master: {reason}");
    }
    for with_a_replica in [false, true] {
        for by in BOTH {
            let name = by.name(if with_a_replica { "isolated with a replica" } else { "isolated master" });
            let mut stand = Stand::apart(by, NOTHING);
            let runs: Vec<Run> = (0..count).map(|_| cut_off(&mut stand, &name, with_a_replica)).collect();
            report(figures, &name, by, with_a_replica, &runs);
        }
    }
}

/// Clients that are shut in with the master and write only there.
fn shut_in(stand: &mut Stand, master: &str, client: Client) -> Ledger {
    let pinned = Some(stand.bed.node(master).address());
    let writing = Writing { rest: Duration::from_micros(300), patience: ms(300), client, pinned, ..Writing::default() };
    let ledger = stand.bed.ledger(master, &writing);
    assert!(ledger.wait_for(200, secs(10)), "no writes: {:?}", ledger.errors());
    ledger
}

fn cut_off(stand: &mut Stand, name: &str, with_a_replica: bool) -> Run {
    let master = stand.rest();
    let replica = stand.bed.replicas().remove(0);
    let side: Vec<&str> = if with_a_replica { vec![&master, &replica] } else { vec![&master] };
    let mut plain = shut_in(stand, &master, Client::Pooled);
    let mut waiting = shut_in(stand, &master, Client::Waiting);
    let outside = stand.writers();
    sleep(secs(1));
    let others = stand.bed.net().others(&side);
    let cut = Instant::now();
    stand.bed.net().cut(&side, &others, Fault::Drop);
    sleep(CUT);
    // Of these seconds: before the cut the clients outside take their share of the processor.
    let rate = plain.acknowledged_between(cut, cut + secs(1));
    writing_again(&outside, Instant::now());
    let last = [&plain, &waiting].into_iter().filter_map(Ledger::last).max();
    let last_write = last.map_or(Duration::ZERO, |last| last.saturating_duration_since(cut));
    stand.bed.net().heal();
    let healed = Instant::now();
    stand.bed.wait("the old master is a replica", secs(120), |cluster| {
        cluster.node(&master).unwrap().role().as_deref() == Some("slave")
    });
    let demoted = healed.elapsed();
    plain.close();
    waiting.close();
    let leader = stand.whole();
    let (lost, lost_waited) = (stand.lost(plain, &leader), stand.lost(waiting, &leader));
    stand.lost(outside, &leader);
    println!(
        "  {name}: {master} to {leader}, last write {last_write:?} after the cut, demoted after {demoted:?}, \
         {lost} lost at {rate} a second, {lost_waited} of those that WAIT 1 confirmed"
    );
    Run { last_write, demoted, lost, rate, lost_waited }
}

fn report(figures: &mut Report, name: &str, by: By, with_a_replica: bool, runs: &[Run]) {
    let last: Vec<_> = runs.iter().map(|run| run.last_write).collect();
    figures.add(Figure::times(&format!("{name}: last write"), &last, None, by.promised(FENCED)));
    let demoted: Vec<_> = runs.iter().map(|run| run.demoted).collect();
    figures.add(Figure::times(&format!("{name}: demoted after"), &demoted, None, by.promised(secs(1))));
    let lost = runs.iter().map(|run| run.lost as f64).collect();
    figures.add(Figure::counts(&format!("{name}: lost"), "writes", lost, None));
    let worth = runs.iter().map(|run| run.lost as f64 / run.rate.max(1) as f64 * 1000.0).collect();
    let limit = by.promised(FENCED.as_secs_f64() * 1000.0);
    figures.add(Figure::counts(&format!("{name}: lost, by the rate"), "ms", worth, limit));
    let waited = runs.iter().map(|run| run.lost_waited as f64).collect();
    // With a replica on its side WAIT 1 proves nothing.
    let limit = by.promised(0.0).filter(|_| !with_a_replica);
    figures.add(Figure::counts(&format!("{name}: lost after WAIT 1"), "writes", waited, limit));
}
