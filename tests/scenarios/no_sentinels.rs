//! Servers and an elector, and no Sentinel: a crash, and the power cut. Silence is in `tests/partition`.

use std::time::{Duration, Instant};

use super::bed::disks::{self, AOF, NOTHING};
use super::bed::{self, Bed, ElectorPlan, Signal, Watch, ms, secs};

/// Three servers with these arguments, and a lock file that they share.
fn servers_alone(arguments: &[&str]) -> bed::Plan {
    bed::Plan { sentinels: 0, ..disks::plan_with(arguments).elector(ElectorPlan::File) }
}

/// Waits until somebody takes writes.
#[track_caller]
fn leader(bed: &Bed, what: &str, limit: Duration) -> String {
    let began = Instant::now();
    let mut found = None;
    bed.wait(what, limit, |cluster| {
        let able = |node: &&bed::Node| node.probe("master").is_some_and(|(yes, _)| yes);
        found = cluster.servers().find(able).map(|node| node.name.clone());
        found.is_some()
    });
    println!("{what}: {found:?} takes writes after {:?}", began.elapsed());
    found.unwrap()
}

#[test]
fn d1_d3_without_sentinels_a_crashed_master_loses_nothing() {
    for (arguments, same) in [(AOF, true), (NOTHING, false)] {
        let mut bed = Bed::prepare(servers_alone(arguments));
        bed.cluster.start_all().unwrap();
        let master = bed.settle("at the start");
        std::thread::sleep(secs(3));
        disks::mark(bed.node(&master), "mark", 500);
        bed.wait("it is everywhere", secs(10), |cluster| {
            cluster.servers().all(|node| disks::marks(node, "mark", 500) == 500)
        });
        let watch = Watch::start(bed.cluster.server_addresses(), ms(10));
        assert!(bed.node(&master).signal_engine(Signal::SIGKILL));
        // The old one answers no longer.
        std::thread::sleep(ms(100));
        let now = leader(&bed, "a crash without Sentinels", secs(20));
        let settled = bed.settle("after the crash");
        assert_eq!(settled, now);
        println!("{master} crashed, {now} leads");
        assert_eq!(disks::marks(bed.node(&now), "mark", 500), 500, "data lost");
        assert!(same || now != master, "who came back with nothing leads");
        assert!(watch.end().doubles.is_empty(), "two masters took writes");
    }
}

#[test]
fn b1_without_sentinels_all_killed_at_once() {
    let mut bed = Bed::prepare(servers_alone(AOF));
    bed.cluster.start_all().unwrap();
    for round in 0..3 {
        let master = bed.settle("before the power cut");
        std::thread::sleep(secs(2));
        let name = format!("round{round}");
        disks::mark(bed.node(&master), &name, 500);
        std::thread::sleep(ms(1100));
        let watch = Watch::start(bed.cluster.server_addresses(), ms(10));
        for node in &mut bed.cluster.nodes {
            node.kill();
        }
        std::thread::sleep(secs(1));
        for place in 0..3 {
            bed.node_mut(&format!("server-{}", (place + round) % 3 + 1)).start().unwrap();
            std::thread::sleep(ms(700));
        }
        let now = leader(&bed, "a power cut without Sentinels", secs(20));
        assert_eq!(bed.settle("after the power cut"), now);
        for mark in 0..=round {
            assert_eq!(disks::marks(bed.node(&now), &format!("round{mark}"), 500), 500, "round {mark} is lost");
        }
        assert!(watch.end().doubles.is_empty(), "two masters took writes");
    }
}
