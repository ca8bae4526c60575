//! V5, V6: engines of different versions in one cluster, and replication behind the gate.

use std::path::Path;
use std::time::Instant;

use super::bed::{self, Bed, Signal, ms, secs};

/// Three servers of this engine, the third one of that.
fn mixed(old: &Path, new: &Path) -> Bed {
    let mut bed = Bed::prepare(bed::plan());
    for (name, engine) in [("server-1", old), ("server-2", old), ("server-3", new)] {
        let engine = engine.to_str().unwrap().to_owned();
        bed.node_mut(name).env.push(("REDINIT_ENGINE".into(), engine));
    }
    bed.cluster.start_all().unwrap();
    bed.settle("at the start");
    bed
}

#[test]
fn v5_a_handover_chooses_an_engine_that_every_other_server_can_load_from() {
    let [old, new] = needs_engines!("redis-7.0", "redis-8.6");
    let mut bed = mixed(&old, &new);
    assert_ne!(bed.master(), "server-3", "with equal data the newer engine was chosen");
    for round in 0..4 {
        let before = bed.master();
        let outcome = bed.event(|bed| {
            bed.signal(&before, Signal::SIGTERM);
            bed.node_mut(&before).wait(secs(60)).expect("it ended");
        });
        outcome.lossless().moved().gap_within(secs(3));
        assert_ne!(outcome.after, "server-3", "round {round}: the newer engine was chosen");
    }
    // A crash: nobody is asked, the Sentinels choose.
    let before = bed.master();
    bed.node_mut(&before).kill();
    let after = bed.wait_leader_other_than(&before, secs(20));
    assert_ne!(after, "server-3", "the newer engine was chosen after a crash");
    bed.restart_ended();
    assert_eq!(bed.settle("after the crash"), after);
}

#[test]
fn v6_who_cannot_load_says_both_versions_and_backs_off() {
    let [old, new] = needs_engines!("redis-7.0", "redis-8.6");
    let mut bed = mixed(&old, &new);
    bed.fill(&bed.master(), 1000);
    let third = bed.node("server-3").address().to_string();
    let (code, text) = bed::command(bed.node(&bed.master()), &["handover", "--to", &third]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("is newer than") && text.contains("Redis 8.6") && text.contains("Redis 7.0"), "{text}");
    assert_eq!(bed.settle("after the handover"), "server-3", "who streams goes on by a partial sync");
    // Started anew it needs a full one.
    bed.node_mut("server-1").wipe().unwrap();
    let began = Instant::now();
    bed.node_mut("server-1").start().unwrap();
    let line = "cannot load what";
    bed.wait("it says so", secs(15), |cluster| {
        let answer = cluster.node("server-1").unwrap().probe("readyz");
        answer.is_some_and(|(ready, why)| {
            !ready && why.contains(line) && why.contains("Redis 7.0") && why.contains("Redis 8.6")
        })
    });
    println!("said after {:?}", began.elapsed());
    std::thread::sleep(secs(20));
    let syncs = bed.node("server-3").info("stats", "sync_full").unwrap();
    println!("{syncs} full syncs of the master");
    assert!(syncs.parse::<u32>().unwrap() <= 15, "a storm of {syncs} full syncs");
    assert_eq!(bed.logged("server-1", line), 1, "said once");
    // The way out that it names.
    let second = bed.node("server-2").address().to_string();
    bed.wait("the master has led for a while", secs(15), |_| began.elapsed() > secs(11));
    let (code, text) = bed::command(bed.node("server-3"), &["handover", "--to", &second]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(bed.settle("after the way back"), "server-2");
    assert_eq!(bed.node("server-1").info("keyspace", "db0").map(|keys| keys.starts_with("keys=1000")), Some(true));
}

#[test]
fn a_replica_is_fenced_and_lets_nobody_in_as_a_replica() {
    let bed = Bed::up(bed::plan());
    std::thread::sleep(ms(1500));
    for name in bed.replicas() {
        let shown = bed.node(&name).ask(&["CONFIG", "GET", "min-replicas-to-write"]).unwrap();
        assert_eq!(shown.field("min-replicas-to-write").as_deref(), Some("100"), "{name} would be born unfenced");
    }
    for node in bed.cluster.servers() {
        for command in [&["PSYNC", "?", "-1"][..], &["SYNC"]] {
            let reply = node.ask(command).unwrap();
            assert!(matches!(&reply, bed::wire::Reply::Error(text) if text.starts_with("NOPERM")), "{reply:?}");
        }
    }
}
