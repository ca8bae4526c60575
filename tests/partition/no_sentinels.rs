//! Servers and no Sentinel: a lost node, and a master that is cut off.

use std::time::{Duration, Instant};

use super::bed::{self, Bed, Client, ElectorPlan, Family, Fault, Turn, Watch, Writing, disks, ms, secs};

/// A silent master is waited for 30 s; the rest is finding it out, and the vote.
const REPLACED: Duration = secs(45);
const FENCED_WITHIN: Duration = ms(1700);

fn servers_alone(turn: Turn, elector: ElectorPlan) -> Bed {
    let plan = bed::Plan { sentinels: 0, ..disks::plan_with(disks::AOF).elector(elector) };
    let mut bed = Bed::prepare_apart_in(turn, plan, Family::V4);
    bed.cluster.start_all().unwrap();
    bed.settle("at the start");
    std::thread::sleep(secs(3));
    bed
}

/// Waits until another takes writes.
#[track_caller]
fn successor(bed: &Bed, old: &str, cut: Instant, limit: Duration) -> String {
    let mut found = None;
    bed.wait("another takes writes", limit, |cluster| {
        std::thread::sleep(ms(50));
        let able = |node: &&bed::Node| node.name != old && node.probe("master").is_some_and(|(yes, _)| yes);
        found = cluster.servers().find(able).map(|node| node.name.clone());
        found.is_some()
    });
    println!("{found:?} takes writes {:?} after {old} was silent", cut.elapsed());
    found.unwrap()
}

fn a_lost_node_is_replaced(elector: ElectorPlan) {
    let mut bed = servers_alone(Turn::beside(), elector);
    let master = bed.settle("before");
    disks::mark(bed.node(&master), "mark", 500);
    std::thread::sleep(ms(1100));
    let others = bed.net().others(&[&master]);
    let cut = Instant::now();
    bed.net().cut(&[&master], &others, Fault::Drop);
    bed.node_mut(&master).kill();
    let leader = successor(&bed, &master, cut, REPLACED);
    assert_eq!(disks::marks(bed.node(&leader), "mark", 500), 500, "data lost");
    bed.net().heal();
    bed.restart_ended();
    assert_eq!(bed.settle("with the lost one back"), leader, "who came back took the role");
}

#[test]
fn m30_without_sentinels_a_lost_node_is_replaced() {
    needs_net!();
    a_lost_node_is_replaced(ElectorPlan::None);
}

#[test]
fn m30_without_sentinels_beside_an_elector_a_lost_node_is_replaced() {
    needs_net!();
    a_lost_node_is_replaced(ElectorPlan::File);
}

#[test]
fn f1_without_sentinels_a_master_that_is_cut_off_is_fenced_before_another_leads() {
    needs_net!();
    let mut bed = servers_alone(Turn::alone(), ElectorPlan::None);
    let master = bed.settle("before");
    let pinned = Some(bed.node(&master).address());
    let kind = |client| Writing { writers: 1, rest: ms(2), patience: ms(300), client, pinned, ..Writing::default() };
    let mut ledgers = [Client::Pooled, Client::Waiting].map(|client| bed.ledger(&master, &kind(client)));
    assert!(ledgers.iter().all(|ledger| ledger.wait_for(100, secs(10))), "no writes");
    let watch = Watch::start(bed.cluster.server_addresses(), ms(10));
    let others = bed.net().others(&[&master]);
    let cut = Instant::now();
    let rate: usize = ledgers.iter().map(|one| one.acknowledged_between(cut.checked_sub(secs(1)).unwrap(), cut)).sum();
    bed.net().cut(&[&master], &others, Fault::Drop);
    let leader = successor(&bed, &master, cut, REPLACED);
    let last = ledgers.iter().filter_map(bed::Ledger::last).max().unwrap().saturating_duration_since(cut);
    println!("{master} took its last write {last:?} after the cut, at {rate} a second");
    assert!(last <= FENCED_WITHIN, "{master} took writes until {last:?} after the cut");
    bed.net().heal();
    assert_eq!(bed.settle("after healing"), leader, "the leader moved");
    let at = bed.node(&leader).address();
    let lost = ledgers.each_mut().map(|ledger| {
        ledger.close();
        ledger.lost(at).unwrap().len()
    });
    println!("lost: {lost:?}");
    assert!(lost[0] <= rate * 17 / 10 && lost[1] == 0, "{lost:?} lost at {rate} a second");
    assert!(watch.end().doubles.is_empty(), "two masters took writes");
}
