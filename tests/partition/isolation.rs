//! F1, M21: a master that is cut off, in one direction or both.

use std::time::{Duration, Instant};

use super::bed::{self, Bed, Fault, ms, secs};
use super::clients::Clients;

/// What is promised of an isolated master.
const FENCED_WITHIN: Duration = ms(1700);
const DEMOTED_WITHIN: Duration = secs(1);

/// Cuts `side`, with the master in it, off from everybody else, until another leads and writes go on.
fn isolated(bed: &mut Bed, master: &str, side: &[&str], fault: Fault) -> super::clients::Count {
    let clients = Clients::open(bed, Some(master));
    let others = bed.net().others(side);
    let cut = Instant::now();
    bed.net().cut(side, &others, fault);
    let leader = bed.wait_leader_other_than(master, secs(12));
    println!("{side:?} cut off by {fault:?}: {leader} leads after {:?}", cut.elapsed());
    clients.all_write_again(Instant::now(), secs(12));
    std::thread::sleep(secs(2));
    let stopped = clients.last_shut_in().unwrap().saturating_duration_since(cut);
    let rate = clients.rate_shut_in(cut);
    println!(
        "{master} took its last write {stopped:?} after the cut, at {rate} a second; gap outside {:?}",
        clients.gap(cut)
    );
    assert!(stopped <= FENCED_WITHIN, "{master} took writes until {stopped:?} after the cut");
    bed.net().heal();
    let healed = Instant::now();
    bed.wait("the old master is a replica", secs(20), |cluster| {
        cluster.node(master).unwrap().role().as_deref() == Some("slave")
    });
    println!("{master} is a replica {:?} after healing", healed.elapsed());
    let demoted = healed.elapsed();
    let count = clients.count(bed);
    assert!(demoted <= DEMOTED_WITHIN, "{master} is a replica only {demoted:?} after healing");
    assert!(count.outside <= 3, "those outside lost more than was in flight: {count:?}");
    assert_eq!(count.waited, 0, "a write that a replica had is lost (M20): {count:?}");
    let bound = rate * 17 / 10;
    assert!(count.shut_in + count.waited_shut_in <= bound, "more than {bound} lost: {count:?}");
    count
}

#[test]
fn f1_m20_a_master_cut_off_alone() {
    needs_net!();
    let mut bed = Bed::apart(bed::plan());
    for fault in [Fault::Drop, Fault::Reject, Fault::Drop].into_iter().take(bed::rounds(3)) {
        let master = bed.master();
        let count = isolated(&mut bed, &master, &[&master], fault);
        assert_eq!(count.waited_shut_in, 0, "no replica was there to say that it had it: {count:?}");
        bed.rest(secs(10));
    }
}

#[test]
fn f1_a_master_cut_off_with_a_replica() {
    needs_net!();
    let mut bed = Bed::apart(bed::plan());
    for fault in [Fault::Drop, Fault::Reject, Fault::Drop] {
        let (master, replica) = (bed.master(), bed.replicas().remove(0));
        isolated(&mut bed, &master, &[&master, &replica], fault);
        bed.rest(secs(10));
    }
}

#[test]
fn f1_a_master_cut_off_with_a_replica_and_one_sentinel() {
    needs_net!();
    let mut bed = Bed::apart(bed::plan());
    let (master, replica) = (bed.master(), bed.replicas().remove(0));
    isolated(&mut bed, &master, &[&master, &replica, "sentinel-1"], Fault::Drop);
}

#[test]
fn f1_m20_strict_durability_through_an_isolation() {
    needs_net!();
    let mut bed = Bed::apart(bed::plan().set("REDINIT_DURABILITY", "strict"));
    let shown = |bed: &Bed| -> Vec<String> {
        let ask = |node: &bed::Node| node.ask(&["CONFIG", "GET", "min-replicas-to-write"]).unwrap();
        let mut all: Vec<_> =
            bed.cluster.servers().filter_map(|node| ask(node).field("min-replicas-to-write")).collect();
        all.sort();
        all
    };
    // The master's, and those of the replicas, which are fenced.
    let one = ["1", "100", "100"];
    assert_eq!(shown(&bed), one, "before");
    let master = bed.master();
    let count = isolated(&mut bed, &master, &[&master], Fault::Drop);
    assert_eq!(count.waited_shut_in, 0, "no replica was there to say that it had it: {count:?}");
    assert_eq!(shown(&bed), one, "after the fence and a change of master");
}

#[test]
fn m21_m20_nothing_reaches_the_master_and_its_own_words_get_out() {
    needs_net!();
    let mut bed = Bed::apart(bed::plan());
    let (master, replica) = (bed.master(), bed.replicas().remove(0));
    let clients = Clients::open(&mut bed, Some(&master));
    bed.net().cut_port(&[&replica], &[&master], 6379, Fault::Reject);
    bed.wait("that link is down", secs(20), |cluster| {
        cluster.node(&replica).unwrap().info("replication", "master_link_status").as_deref() == Some("down")
    });
    std::thread::sleep(secs(2));
    let others = bed.net().others(&[&master]);
    let cut = Instant::now();
    bed.net().cut_one_way(&others, &[&master], Fault::Drop);
    let leader = bed.wait_leader_other_than(&master, secs(20));
    let led = Instant::now();
    println!("{leader} leads {:?} after the cut", led - cut);
    std::thread::sleep(secs(2));
    let last = clients.last_shut_in().unwrap();
    let (stopped, rate) = (last.saturating_duration_since(cut), clients.rate_shut_in(cut));
    println!("{master} took its last write {stopped:?} after the cut, at {rate} a second");
    assert!(last < led, "{master} took writes although {leader} led already");
    bed.net().heal();
    clients.all_write_again(Instant::now(), secs(20));
    let count = clients.count(&bed);
    count.lossless();
    assert!(stopped <= FENCED_WITHIN, "{master} took writes until {stopped:?} after the cut");
    assert!(count.shut_in + count.waited_shut_in <= rate * 17 / 10, "{count:?}");
}
