//! F2 to F4, F6, F7: topologies that nobody planned, and hands that went round the gate.

use std::time::{Duration, Instant};

use super::bed::disks;
use super::bed::{self, Bed, Signal, Turn, Watch, ms, secs, wire};

/// What an engine logs when it is told to follow somebody.
const FOLLOWS: &str = "REPLICAOF 127.";
/// Chains and cycles are flattened within this time.
const FLAT: Duration = secs(60);

/// Somebody who may change users takes the gate away, and gives an order: nothing less changes a supervised child's role.
#[track_caller]
fn by_hand(bed: &Bed, name: &str, order: &[&str]) {
    for command in [&["ACL", "SETUSER", "default", "+replicaof"], order] {
        let reply = bed.node(name).ask(command).unwrap();
        assert!(matches!(&reply, wire::Reply::Status(text) if text.starts_with("OK")), "{command:?}: {reply:?}");
    }
}

#[track_caller]
fn follow_by_hand(bed: &Bed, name: &str, whom: &str) {
    by_hand(bed, name, &["REPLICAOF", &bed.node(whom).ip.to_string(), "6379"]);
}

fn written(bed: &Bed, name: &str, key: &str) -> bool {
    bed.node(name).ask(&["SET", key, "x"]).is_ok_and(|reply| reply == wire::Reply::Status("OK".into()))
}

#[test]
fn f2_a_replica_promoted_by_hand_is_pulled_back() {
    let mut bed = Bed::up(bed::plan());
    for round in 0..3 {
        let replica = bed.replicas().remove(round % 2);
        let mut taken = 0;
        let outcome = bed.event(|bed| {
            by_hand(bed, &replica, &["REPLICAOF", "NO", "ONE"]);
            let promoted = Instant::now();
            taken = (0..20).filter(|n| written(bed, &replica, &format!("hand:{round}:{n}"))).count();
            bed.wait("it is a replica again", secs(10), |cluster| {
                cluster.node(&replica).unwrap().role().as_deref() == Some("slave")
            });
            println!("{replica} was pulled back {:?} after", promoted.elapsed());
            assert_eq!(taken, 0, "{replica} was born unfenced");
        });
        assert_eq!(outcome.before, outcome.after, "the master moved");
        assert!(outcome.lost.is_empty(), "acknowledged writes of the right master are lost: {outcome:?}");
    }
}

#[test]
fn f2_two_writable_masters_and_no_majority_nobody_moves() {
    let dir = tempfile::tempdir().unwrap();
    let bare = bed::bare(dir.path());
    let mut bed = Bed::prepare_in(Turn::beside(), bed::plan());
    bed.start_bare_masters(&bare, &["server-2", "server-3"]);
    bed.wait("both take writes", secs(10), |_| ["server-2", "server-3"].iter().all(|name| written(&bed, name, name)));
    for name in ["sentinel-1", "sentinel-2", "sentinel-3", "server-1"] {
        bed.node_mut(name).start().unwrap();
    }
    let end = Instant::now() + secs(25);
    while Instant::now() < end {
        for name in ["server-2", "server-3"] {
            assert_eq!(bed.node(name).role().as_deref(), Some("master"), "{name} was demoted by guess");
        }
        assert_eq!(bed.cluster.sentinels().named(), [None, None, None], "a side was chosen by guess");
        std::thread::sleep(ms(100));
    }
    let (ready, why) = bed.node("server-1").probe("readyz").unwrap();
    assert!(!ready && why.starts_with("conflict"), "{why}");
    assert!(bed.node("server-1").probe("livez").is_some_and(|(live, _)| live));
    assert_eq!(bed.logged("server-1", FOLLOWS), 0, "it follows one of them");
    let said = bed.logged("server-1", "conflict");
    assert!((1..=3).contains(&said), "the conflict was logged {said} times");
}

#[test]
fn f3_who_was_promoted_while_another_slept_stays() {
    let mut plan = bed::plan().delayed("server-2", ms(200)).delayed("server-3", ms(400));
    // A Sentinel chooses server-2.
    plan.node_args.insert("server-3".into(), disks::run_with(&["--replica-priority", "200"]));
    let mut bed = Bed::up_beside(plan);
    assert_eq!(bed.master(), "server-1");
    let ledger = disks::writers(&mut bed);
    bed.signal("server-3", Signal::SIGSTOP);
    bed.signal_machine("server-1", Signal::SIGSTOP);
    let frozen = Instant::now();
    // server-3 may have got a write more: then it is waited for.
    assert_eq!(bed.wait_leader_other_than("server-1", secs(30)), "server-2");
    println!("server-2 leads {:?} after server-1 froze", frozen.elapsed());
    let mut woken = [false, false];
    let end = Instant::now() + secs(20);
    while Instant::now() < end {
        assert_eq!(bed.node("server-2").role().as_deref(), Some("master"), "who had been promoted was demoted");
        let left = end.saturating_duration_since(Instant::now());
        if !std::mem::replace(&mut woken[0], true) {
            bed.signal("server-3", Signal::SIGCONT);
        }
        if left < secs(14) && !std::mem::replace(&mut woken[1], true) {
            bed.signal_machine("server-1", Signal::SIGCONT);
        }
        std::thread::sleep(ms(50));
    }
    assert_eq!(bed.settle("after all woke"), "server-2");
    // Each writer's last write may have been answered by the frozen one when it woke.
    let lost = disks::lost(ledger, &bed, "server-2");
    assert!(lost <= 2, "{lost} acknowledged writes lost");
}

#[test]
fn f4_while_a_failover_runs_nobody_heals() {
    let mut plan = bed::plan().delayed("server-2", ms(200)).delayed("server-3", ms(400));
    plan.node_args.insert("server-3".into(), disks::run_with(&["--replica-priority", "200"]));
    let mut bed = Bed::up(plan);
    bed.wait("they know each other", secs(20), |_| bed.lists_are_clean().is_ok());
    bed.rest(bed::REST);
    let outcome = bed.event(|bed| {
        // The candidate's supervisor sleeps, so the failover stays open.
        bed.signal("server-2", Signal::SIGSTOP);
        assert_eq!(bed.type_failover("sentinel-1"), wire::Reply::Status("OK".into()));
        bed.wait("a proposal", secs(5), |_| bed.proposed().as_deref() == Some("server-2"));
        let state = |bed: &Bed| -> Vec<_> {
            bed.cluster.nodes.iter().map(|node| (node.engine_pid(), bed.logged(&node.name, FOLLOWS))).collect()
        };
        let before = state(bed);
        let began = Instant::now();
        while began.elapsed() < secs(6) {
            assert_eq!(bed.node("server-1").role().as_deref(), Some("master"), "the master was deposed");
            std::thread::sleep(ms(50));
        }
        assert_eq!(state(bed), before, "somebody was restarted or pointed elsewhere while the failover ran");
        bed.signal("server-2", Signal::SIGCONT);
    });
    outcome.lossless();
}

/// Waits until the topology is flat, then for a flap; how many orders each server's engine was given.
#[track_caller]
fn flattened(bed: &Bed, what: &str, master: &str) -> Vec<usize> {
    let began = Instant::now();
    bed.wait(what, FLAT, |cluster| cluster.settled().as_deref() == Ok(master));
    println!("{what}: flat after {:?}", began.elapsed());
    std::thread::sleep(secs(12));
    assert_eq!(bed.cluster.settled().as_deref(), Ok(master), "{what}: it flaps");
    bed.cluster.servers().map(|node| bed.logged(&node.name, FOLLOWS)).collect()
}

#[test]
fn f6_a_chain_and_a_cycle_are_flattened_once() {
    let mut bed = Bed::up(bed::plan());
    let (master, replicas) = (bed.master(), bed.replicas());
    let outcome = bed.event(|bed| {
        let before: usize = bed.cluster.servers().map(|node| bed.logged(&node.name, FOLLOWS)).sum();
        follow_by_hand(bed, &replicas[1], &replicas[0]);
        let orders: usize = flattened(bed, "a chain", &master).iter().sum();
        assert_eq!(orders - before, 2, "one by hand, and one back");
        let before = orders;
        follow_by_hand(bed, &replicas[0], &replicas[1]);
        follow_by_hand(bed, &replicas[1], &replicas[0]);
        let orders: usize = flattened(bed, "a cycle", &master).iter().sum();
        assert!((3..=4).contains(&(orders - before)), "two by hand, and each back at most once: {}", orders - before);
    });
    assert_eq!(outcome.before, outcome.after);
    outcome.lossless();
}

#[test]
fn f6_a_master_that_is_made_a_replica_of_its_replica() {
    let mut bed = Bed::up(bed::plan());
    let outcome = bed.event(|bed| {
        let (master, replica) = (bed.master(), bed.replicas().remove(0));
        follow_by_hand(bed, &master, &replica);
        let began = Instant::now();
        bed.wait("one leads, all follow it", FLAT, |cluster| {
            std::thread::sleep(ms(20));
            cluster.settled().is_ok()
        });
        println!("{master} made a replica of {replica}: whole after {:?}, {} leads", began.elapsed(), bed.master());
    });
    outcome.lost_in_flight_at_most();
}

#[test]
fn f7_one_that_promoted_itself_and_that_no_sentinel_knows_is_pulled_in() {
    let mut bed = Bed::prepare_in(Turn::beside(), bed::plan());
    let lists: Vec<String> = (1..=3).map(|n| bed.node(&format!("server-{n}")).address().to_string()).collect();
    for node in &mut bed.cluster.nodes {
        // Nobody has heard of server-3, and it thinks that it is the only one.
        let (servers, expected) =
            if node.name == "server-3" { (lists[2].clone(), "1") } else { (lists[..2].join(","), "2") };
        node.env.retain(|(name, _)| name != "REDINIT_SERVERS" && name != "REDINIT_EXPECTED_SERVERS");
        node.env.push(("REDINIT_SERVERS".into(), servers));
        node.env.push(("REDINIT_EXPECTED_SERVERS".into(), expected.into()));
    }
    bed.node_mut("server-3").start().unwrap();
    bed.wait("it leads alone", secs(30), |_| written(&bed, "server-3", "alone:0"));
    let taken = (1..100).filter(|n| written(&bed, "server-3", &format!("alone:{n}"))).count();
    std::thread::sleep(secs(1));
    bed.cluster.start_all().unwrap();
    bed.wait("the others have a master", secs(30), |cluster| {
        ["server-1", "server-2"]
            .iter()
            .any(|name| cluster.node(name).unwrap().probe("master").is_some_and(|(yes, _)| yes))
    });
    let led = Instant::now();
    let watch = Watch::start(bed.cluster.server_addresses()[..2].to_vec(), ms(10));
    let leader = bed.settle("with one that nobody knew");
    println!("pulled in {:?} after {leader} led; it had taken {taken} writes alone", led.elapsed());
    assert!(led.elapsed() <= secs(30), "pulled in only after {:?}", led.elapsed());
    assert_ne!(leader, "server-3", "the cluster joined the one that nobody knew");
    assert_eq!(disks::rollbacks(bed.node("server-3")).len(), 1, "what it had taken alone was not kept");
    bed.wait("every Sentinel lists it", secs(30), |_| bed.lists_are_clean().is_ok());
    assert!(watch.end().doubles.is_empty(), "two masters took writes");
}
