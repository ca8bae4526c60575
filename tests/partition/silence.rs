//! D6, M22, M30: nodes that are silent, for a while or for good.

use std::time::{Duration, Instant};

use super::bed::{self, Bed, CLIENTS, Fault, Signal, Writing, ms, secs, wire};
use super::clients::Clients;

const DOWN_AFTER: Duration = secs(5);

/// A machine is gone and its address with it: silence, no reset.
fn lose(bed: &mut Bed, name: &str) {
    let others = bed.net().others(&[name]);
    bed.net().cut(&[name], &others, Fault::Drop);
    bed.node_mut(name).kill();
}

#[test]
fn m30_m20_a_lost_node() {
    needs_net!();
    let mut bed = Bed::apart(bed::plan());
    let (mut gaps, mut silences) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let master = bed.master();
        let clients = Clients::open(&mut bed, None);
        // The clients' own time-out comes on top of the cluster's silence: this one hardly has any.
        let quick = Writing { writers: 1, rest: ms(2), patience: ms(50), ..Writing::default() };
        let quick = bed.ledger(CLIENTS, &quick);
        assert!(quick.wait_for(50, secs(10)), "{:?}", quick.errors());
        let lost = Instant::now();
        lose(&mut bed, &master);
        bed.wait_leader_other_than(&master, secs(20));
        println!("another leads {:?} after {master} was lost", lost.elapsed());
        clients.all_write_again(Instant::now(), secs(20));
        gaps.push(clients.gap(lost));
        silences.push(quick.longest_gap(lost, Instant::now()).length);
        drop(quick);
        bed.net().heal();
        bed.restart_ended();
        clients.count(&bed).lost_in_flight_at_most();
        bed.rest(secs(10));
    }
    println!("gaps after a lost node: {gaps:?}");
    // Its median is a promise too, of tens of runs: `make bench` has it.
    println!("for one that does not wait: {silences:?}");
    assert!(gaps.iter().all(|gap| *gap <= DOWN_AFTER + secs(2)), "promised is down-after + 2 s: {gaps:?}");
}

#[test]
fn d6_a_master_that_is_frozen_for_15_s() {
    let mut bed = Bed::up(bed::plan());
    let master = bed.master();
    let epoch = epoch(&bed);
    let mut clients = Clients::open(&mut bed, Some(&master));
    bed.signal_machine(&master, Signal::SIGSTOP);
    let frozen = Instant::now();
    bed.wait_leader_other_than(&master, secs(14));
    println!("another leads {:?} after the freeze", frozen.elapsed());
    std::thread::sleep((frozen + secs(15)).saturating_duration_since(Instant::now()));
    let woken = clients.woken();
    bed.signal_machine(&master, Signal::SIGCONT);
    bed.wait("the old master is a replica", secs(15), |cluster| {
        cluster.node(&master).unwrap().role().as_deref() == Some("slave")
    });
    let demoted = Instant::now();
    println!("{master} is a replica {:?} after it woke", demoted - woken);
    clients.all_write_again(demoted, secs(10));
    std::thread::sleep(secs(2));
    let last = clients.last_shut_in().unwrap();
    assert!(last <= demoted, "it took a write {:?} after it was a replica", last - demoted);
    let failovers = self::epoch(&bed) - epoch;
    let count = clients.count(&bed);
    count.lost_in_flight_at_most();
    // Two clients of its own, each with one write in its socket that it may answer before its supervisor runs.
    assert!(count.shut_in + count.waited_shut_in <= 4, "it went on taking writes when it woke: {count:?}");
    assert_eq!(failovers, 1, "one failover");
}

/// The Sentinels' config epoch.
fn epoch(bed: &Bed) -> u64 {
    let sentinels = bed.cluster.sentinels();
    let of = |at| sentinels.order(at, &["MASTER"]).ok()?.field("config-epoch")?.parse().ok();
    sentinels.addresses().iter().filter_map(|at| of(*at)).max().unwrap()
}

/// `kill`: how the new master is gone.
fn stuck_in_reconf_slaves(silent: bool) {
    let mut bed = Bed::apart_rested(bed::plan());
    let old = bed.master();
    let clients = Clients::open(&mut bed, None);
    assert_eq!(bed.type_failover("sentinel-1"), wire::Reply::Status("OK".into()));
    let new = bed.wait_leader_other_than(&old, secs(10));
    let clients_back = Instant::now();
    clients.all_write_again(clients_back, secs(3));
    let gone = Instant::now();
    if silent {
        lose(&mut bed, &new);
    } else {
        bed.node_mut(&new).kill();
    }
    let flags = || {
        let reply = bed.cluster.sentinels().order(bed.node("sentinel-1").address(), &["MASTER"]).unwrap();
        format!("{:?} {:?}", reply.field("flags"), reply.field("failover-state"))
    };
    println!("{new} gone; sentinel-1 shows {}", flags());
    assert!(flags().contains("failover_in_progress"), "the failover was over already: this shows nothing");
    // Two of the seconds in which a Sentinel reads INFO, where the promotion falls just behind one, and its ticks.
    let limit = if silent { DOWN_AFTER + secs(2) } else { ms(2500) };
    clients.all_write_again(gone + ms(20), secs(30));
    println!("all write again {:?} after {new} was gone; gap {:?}; {}", gone.elapsed(), clients.gap(gone), flags());
    let gap = clients.gap(gone);
    bed.net().heal();
    bed.restart_ended();
    clients.count(&bed).lost_in_flight_at_most();
    assert!(gap <= limit, "{gap:?} without a write, promised are {limit:?}");
}

#[test]
fn m22_a_sentinel_stuck_in_its_failover_the_new_master_refused() {
    needs_net!();
    stuck_in_reconf_slaves(false);
}

#[test]
fn m22_a_sentinel_stuck_in_its_failover_the_new_master_silent() {
    needs_net!();
    stuck_in_reconf_slaves(true);
}
