//! E2: the master stops as it should and comes back at another address.

use std::time::{Duration, Instant};

use super::bed::disks::{self, AOF};
use super::bed::names::NamedBed;
use super::bed::{self, Signal, secs};

/// Replicas and Sentinels follow within this time.
const FOLLOWED: Duration = secs(30);

/// SIGTERM to the master, which then starts at another address; until all is whole.
fn moves(named: &mut NamedBed) -> (String, Duration) {
    let master = named.bed.master();
    named.bed.signal(&master, Signal::SIGTERM);
    assert!(named.bed.node_mut(&master).wait(secs(60)).is_some(), "SIGTERM to exit took over 60 s");
    named.readdress(&master);
    named.bed.node_mut(&master).start().unwrap();
    let back = Instant::now();
    named.bed.settle("with the old master at a new address");
    (master, back.elapsed())
}

#[test]
fn e2_a_stopped_master_returns_at_another_address() {
    needs_namespaces!();
    let mut named = NamedBed::up(disks::plan_with(AOF));
    let ledger = disks::writers(&mut named.bed);
    for _ in 0..2 {
        let (old, took) = moves(&mut named);
        println!("{old} moved: whole {took:?} after it was back");
        assert!(took <= FOLLOWED, "whole only after {took:?}");
        assert_ne!(named.bed.master(), old);
        // Whoever has led for less than 10 s hands over only for its own stop.
        std::thread::sleep(secs(3));
    }
    let master = named.bed.master();
    assert_eq!(disks::lost(ledger, &named.bed, &master), 0);
}

#[test]
fn e2_a_master_that_nobody_can_replace_moves_and_is_followed() {
    needs_namespaces!();
    let mut plan = disks::plan_with(AOF);
    for name in ["server-2", "server-3"] {
        let never = ["--appendonly", "yes", "--replica-priority", "0"];
        plan.node_args.insert(name.into(), disks::run_with(&never));
    }
    let mut named = NamedBed::up(plan);
    assert_eq!(named.bed.master(), "server-1");
    named.bed.fill("server-1", 1000);
    std::thread::sleep(secs(2));
    let (old, took) = moves(&mut named);
    println!("{old}, which nobody can replace, moved: whole {took:?} after it was back");
    assert_eq!(named.bed.master(), "server-1");
    assert_eq!(disks::size(named.bed.node("server-1")), Some(1000));
    assert!(took <= FOLLOWED, "whole only after {took:?}");
}

/// One server, three Sentinels.
fn only_server() -> NamedBed {
    let plan = bed::Plan { servers: 1, ..disks::plan_with(AOF) };
    let mut named = NamedBed::prepare(plan);
    for node in &mut named.bed.cluster.nodes {
        node.env.retain(|(name, _)| name != "REDINIT_EXPECTED_SERVERS");
        node.env.push(("REDINIT_EXPECTED_SERVERS".into(), "1".into()));
    }
    named.bed.cluster.start_all().unwrap();
    named.bed.settle("at the start");
    named
}

#[test]
fn e2_the_only_server_moves() {
    needs_namespaces!();
    // Where the Sentinels have hardly met, nobody tells them what one of them found out.
    for met in [false, true] {
        let mut named = only_server();
        named.bed.fill("server-1", 1000);
        if met {
            named.bed.wait("they know each other", secs(20), |_| named.bed.lists_are_clean().is_ok());
        }
        let (_, took) = moves(&mut named);
        println!("the only server moved, the Sentinels had met: {met}: whole {took:?} after it was back");
        assert_eq!(disks::size(named.bed.node("server-1")), Some(1000));
        assert!(took <= FOLLOWED, "whole only after {took:?}");
    }
}
