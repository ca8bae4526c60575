//! Several servers stopped together, a cluster without any Sentinel, and `durability = "strict"`.

use std::time::Instant;

use super::bed::{self, Bed, ElectorPlan, Signal, secs, wire};

#[test]
fn c8_master_and_a_replica_are_stopped_together() {
    let mut bed = Bed::up(bed::plan());
    let outcome = bed.event(|bed| {
        let (master, replicas) = (bed.master(), bed.replicas());
        bed.signal(&master, Signal::SIGTERM);
        bed.signal(&replicas[0], Signal::SIGTERM);
        bed.wait("the survivor leads", secs(40), |cluster| {
            cluster.node(&replicas[1]).unwrap().probe("master").is_some_and(|(yes, _)| yes)
        });
        for name in [&master, &replicas[0]] {
            assert!(bed.node_mut(name).wait(secs(60)).is_some(), "{name} has not ended within its grace period");
        }
    });
    outcome.lossless().moved();
}

#[test]
fn an_outage_of_the_sentinels_alone_fails_no_write() {
    let mut bed = Bed::up(bed::plan());
    for _ in 0..3 {
        let outcome = bed.event(|bed| {
            for node in bed.cluster.nodes.iter_mut().filter(|node| node.kind == bed::Kind::Sentinel) {
                node.kill();
            }
            std::thread::sleep(secs(5));
        });
        outcome.lossless();
        assert_eq!(outcome.before, outcome.after);
        assert_eq!(outcome.errors, "{}", "a write failed");
    }
}

/// Writes one key; whether it was acknowledged.
fn written(bed: &Bed, name: &str, key: &str) -> bool {
    bed.node(name).ask(&["SET", key, "x"]).is_ok_and(|reply| reply == wire::Reply::Status("OK".into()))
}

/// Waits until a server other than `old` takes writes; its name, and how long that took.
fn successor(bed: &Bed, old: &str) -> (String, std::time::Duration) {
    let began = Instant::now();
    let mut found = None;
    bed.wait("another server takes writes", secs(60), |cluster| {
        let able = |node: &&bed::Node| node.name != old && node.probe("master").is_some_and(|(yes, _)| yes);
        found = cluster.servers().find(able).map(|node| node.name.clone());
        found.is_some()
    });
    (found.unwrap(), began.elapsed())
}

#[test]
fn without_sentinels_a_stopped_and_a_killed_master_are_replaced() {
    for elector in [ElectorPlan::None, ElectorPlan::File] {
        let mut bed = Bed::up(bed::plan().sized(3, 0, 1).elector(elector.clone()));
        let first = bed.settle("at the start");
        std::thread::sleep(secs(3));
        let kept = (0..500).filter(|n| written(&bed, &first, &format!("stop:{n}"))).count();
        bed.signal(&first, Signal::SIGTERM);
        let (second, took) = successor(&bed, &first);
        println!("{elector:?}: stopped, replaced after {took:?}");
        let there = bed.node(&second).ask(&["DBSIZE"]).unwrap();
        assert_eq!(there, wire::Reply::Integer(i64::try_from(kept).unwrap()), "an acknowledged write is missing");
        assert!(took < secs(15), "{took:?}");
        bed.node_mut(&first).wait(secs(30)).expect("it has ended");
        bed.restart_ended();
        assert_eq!(bed.settle("after the stop"), second, "who came back took the role");
        std::thread::sleep(secs(3));
        bed.node_mut(&second).kill();
        let (third, took) = successor(&bed, &second);
        println!("{elector:?}: killed, replaced after {took:?}");
        assert!(took < secs(25), "{took:?}");
        bed.restart_ended();
        assert_eq!(bed.settle("after the kill"), third, "who came back took the role");
    }
}

#[test]
fn durability_strict_keeps_one_replica_before_and_after_a_handover() {
    let mut bed = Bed::up(bed::plan().set("REDINIT_DURABILITY", "strict"));
    let shows = |bed: &Bed, name: &str, key: &str| {
        bed.node(name).ask(&["CONFIG", "GET", key]).unwrap().field(key).unwrap_or_default()
    };
    let outcome = bed.event(|bed| {
        let old = bed.master();
        assert_eq!(shows(bed, &old, "min-replicas-to-write"), "1");
        assert_eq!(shows(bed, &old, "min-replicas-max-lag"), "2");
        std::thread::sleep(secs(11));
        let (code, text) = bed::command(bed.node(&old), &["handover"]);
        assert_eq!(code, Some(0), "{text}");
    });
    outcome.lossless().moved();
    let master = bed.master();
    assert_eq!(shows(&bed, &master, "min-replicas-to-write"), "1", "{master}");
    // Alone it refuses.
    for name in bed.replicas() {
        bed.node_mut(&name).kill();
    }
    bed.wait("writes are refused", secs(10), |cluster| {
        let reply = cluster.node(&master).unwrap().ask(&["SET", "alone", "x"]);
        reply.is_ok_and(|reply| matches!(reply, wire::Reply::Error(_)))
    });
}
