//! One round: clients write, faults strike, everything is healed, and it is counted.

use std::time::{Duration, Instant};

use super::bed::{Bed, CLIENTS, Client, Ledger, WHOLE, Watch, Writing, doubles_but_of_waking, ms, secs};
use super::fault::{Cost, Fault};
use super::leftovers;

/// How long a master may go on after its last proof.
const FENCE_MS: usize = 1700;

/// The outcome in one line, or what must not be.
pub fn run(bed: &mut Bed, faults: &[Fault], durable: bool) -> Result<String, String> {
    let before = whole(bed, "before the fault")?;
    let kind = |client| Writing { writers: 1, rest: ms(2), patience: ms(500), client, ..Writing::default() };
    let mut ledgers = [Client::Pooled, Client::Retrying, Client::Fresh, Client::Waiting]
        .map(|client| (client, bed.ledger(CLIENTS, &kind(client))));
    let (watch, watching) = (Watch::start(bed.cluster.server_addresses(), ms(10)), Instant::now());
    writing(&ledgers, "before the fault", Instant::now())?;
    std::thread::sleep(secs(1));
    let struck = Instant::now();
    let mut woken = None;
    for fault in faults.iter().rev() {
        // The one that comes along strikes first, and heals with the other.
        fault.strike(bed);
        woken = woken.or(fault.wakes_a_server().then(Instant::now));
    }
    bed.net().heal();
    bed.restart_ended();
    let healed = Instant::now();
    let after = whole(bed, "after the fault")?;
    let took = healed.elapsed();
    writing(&ledgers, "after the fault", Instant::now())?;
    std::thread::sleep(ms(500));
    let gap = ledgers.iter().filter(|(client, _)| *client != Client::Waiting);
    let gap = gap.map(|(_, ledger)| ledger.longest_gap(struck, Instant::now()).length).max().unwrap_or_default();
    let after_that = whole(bed, "a moment later")?;
    let seen = watch.end();
    if doubles_but_of_waking(&seen, watching, woken) > 0 {
        return Err(format!("two masters took writes at once: {seen:?}"));
    }
    for (_, ledger) in &mut ledgers {
        ledger.close();
    }
    let (lost, waited) = lost(bed, &ledgers, &after_that, faults, durable, struck)?;
    zombies(bed)?;
    Ok(format!(
        "{before} to {after}, whole {took:.1?} after healing, gap {gap:.1?}, lost {lost}, of those waited for {waited}"
    ))
}

fn whole(bed: &Bed, when: &str) -> Result<String, String> {
    bed.cluster.wait_settled(WHOLE).map_err(|reason| format!("not whole within {WHOLE:?} {when}: {reason}"))
}

fn writing(ledgers: &[(Client, Ledger)], when: &str, after: Instant) -> Result<(), String> {
    let end = Instant::now() + secs(15);
    for (client, ledger) in ledgers {
        while ledger.all_after(after).is_none() {
            if Instant::now() > end {
                return Err(format!("{client:?} writes nothing {when}: {:?}", ledger.errors()));
            }
            std::thread::sleep(ms(5));
        }
    }
    Ok(())
}

/// Lost writes of those that do not wait, and of the one that does; within what the faults may cost.
fn lost(
    bed: &Bed,
    ledgers: &[(Client, Ledger)],
    master: &str,
    faults: &[Fault],
    durable: bool,
    struck: Instant,
) -> Result<(usize, usize), String> {
    let at = bed.node(master).address();
    let cost = faults.iter().map(|fault| fault.cost(durable)).max().unwrap_or(Cost::Nothing);
    let confirmed_too = faults.iter().any(|fault| fault.takes_confirmed_writes(durable));
    let mut all = (0, 0);
    for (client, ledger) in ledgers {
        let lost = ledger.lost(at).map_err(|error| format!("cannot read the ledger back: {error}"))?;
        let before = struck.checked_sub(Duration::from_secs(1)).unwrap_or(struck);
        let rate = ledger.acknowledged_between(before, struck);
        let allowed = match (cost, client) {
            (Cost::Nothing, _) => 0,
            (Cost::Everything, _) => usize::MAX,
            (_, Client::Waiting) if !confirmed_too => 0,
            (Cost::InFlight, _) => 1,
            (Cost::UntilFenced, _) => 1 + rate * FENCE_MS / 1000,
        };
        if lost.len() > allowed {
            let (first, last) = (lost.first(), lost.last());
            return Err(format!(
                "{client:?}: {} of {} acknowledged writes lost, at {rate} a second, allowed are {allowed} ({first:?} to {last:?})",
                lost.len(),
                ledger.acknowledged()
            ));
        }
        *(if *client == Client::Waiting { &mut all.1 } else { &mut all.0 }) += lost.len();
        ledger.erase(at).map_err(|error| format!("cannot erase: {error}"))?;
    }
    Ok(all)
}

/// Nobody may keep a process that ended for longer than it takes to reap it.
fn zombies(bed: &Bed) -> Result<(), String> {
    for node in &bed.cluster.nodes {
        let Some(pid) = node.pid() else { continue };
        let end = Instant::now() + secs(2);
        while !leftovers::zombies(pid).is_empty() {
            if Instant::now() > end {
                return Err(format!("{}: not reaped: {:?}", node.name, leftovers::zombies(pid)));
            }
            std::thread::sleep(ms(20));
        }
    }
    Ok(())
}
