//! C: planned termination.

use std::process::ExitStatus;
use std::time::{Duration, Instant};

use super::bed::{self, Bed, Outcome, Signal, Writing, ms, secs};

/// What C1 promises.
const GAP: Duration = secs(3);

/// SIGTERM, and the wait for the end. Every branch ends within the grace period (C10).
fn stop(bed: &mut Bed, name: &str) -> (ExitStatus, Duration) {
    let told = Instant::now();
    bed.signal(name, Signal::SIGTERM);
    let status = bed.node_mut(name).wait(secs(60)).expect("SIGTERM to exit took over 60 s (C10)");
    println!("{name}: SIGTERM to exit {:?}, {status}", told.elapsed());
    (status, told.elapsed())
}

#[test]
fn c1_c10_a_terminated_master_loses_nothing() {
    let mut bed = Bed::up(bed::plan());
    let rounds = bed::rounds(3);
    for round in 0..rounds {
        // Once as fast as they can, where nothing else runs.
        let writing =
            if round == 0 && rounds > 1 { Writing::default() } else { Writing { rest: ms(1), ..Writing::default() } };
        let outcome = bed.event_with(&writing, |bed| {
            let master = bed.master();
            let (status, took) = stop(bed, &master);
            assert_eq!(status.code(), Some(0));
            assert!(took <= secs(5), "SIGTERM to exit took {took:?} with small data, promised are 5 s");
        });
        outcome.lossless().moved().gap_within(GAP);
    }
}

#[test]
fn c2_supervisor_and_engine_are_told_at_the_same_moment() {
    let mut bed = Bed::up(bed::plan());
    let outcome = bed.event(|bed| {
        let master = bed.master();
        assert!(bed.node(&master).signal_engine(Signal::SIGTERM));
        stop(bed, &master);
    });
    // The engine has drained its replicas and gone: a failover at once, no down-after.
    outcome.lossless().moved().gap_within(secs(5));
}

#[test]
fn c3_nobody_to_take_over_ends_quickly() {
    let mut bed = Bed::up(bed::plan().sized(1, 1, 1).set("REDINIT_EXPECTED_SERVERS", "1"));
    bed.fill("server-1", 1000);
    let (status, took) = stop(&mut bed, "server-1");
    assert_eq!(status.code(), Some(0));
    assert!(took <= secs(5), "alone, it took {took:?}");
    bed.node_mut("server-1").start().unwrap();
    bed.settle("after its restart");
    assert_eq!(bed.node("server-1").ask(&["DBSIZE"]).unwrap(), bed::wire::Reply::Integer(1000), "data not saved");
}

#[test]
fn c3_all_replicas_down_ends_quickly() {
    let mut bed = Bed::up(bed::plan());
    let master = bed.master();
    for replica in bed.replicas() {
        bed.node_mut(&replica).kill();
    }
    std::thread::sleep(secs(2));
    let (status, took) = stop(&mut bed, &master);
    assert_eq!(status.code(), Some(0));
    assert!(took <= secs(5), "without replicas, it took {took:?}");
}

#[test]
fn c4_no_sentinel_answers() {
    let mut bed = Bed::up(bed::plan());
    let outcome = bed.event(|bed| {
        let master = bed.master();
        for sentinel in ["sentinel-1", "sentinel-2", "sentinel-3"] {
            bed.node(sentinel).signal_engine(Signal::SIGSTOP);
        }
        let (status, _) = stop(bed, &master);
        assert_eq!(status.code(), Some(0));
        for sentinel in ["sentinel-1", "sentinel-2", "sentinel-3"] {
            bed.node(sentinel).signal_engine(Signal::SIGCONT);
        }
    });
    outcome.lossless();
}

#[test]
fn c4_no_replica_can_be_promoted() {
    let mut bed = Bed::up(bed::plan());
    let outcome = bed.event(|bed| {
        let (master, replicas) = (bed.master(), bed.replicas());
        for replica in &replicas {
            bed.signal_machine(replica, Signal::SIGSTOP);
        }
        let (status, _) = stop(bed, &master);
        assert_eq!(status.code(), Some(0));
        for replica in &replicas {
            bed.signal_machine(replica, Signal::SIGCONT);
        }
    });
    // Nobody got the last writes; they are on the old master's disk, which is back.
    outcome.lossless();
}

#[test]
fn c5_a_sentinel_that_stops_first() {
    let mut bed = Bed::up(bed::plan());
    let outcome = bed.event(|bed| {
        let master = bed.master();
        bed.signal("sentinel-1", Signal::SIGTERM);
        stop(bed, &master);
        assert!(bed.node_mut("sentinel-1").wait(secs(10)).is_some());
    });
    outcome.lossless().moved().gap_within(GAP);
}

#[test]
fn c7_a_rolling_restart_of_everything() {
    let mut bed = Bed::up(bed::plan());
    let outcome = bed.event(|bed| {
        let epoch = epoch(bed);
        let mut masters = 0;
        for name in ["server-1", "server-2", "server-3", "sentinel-1", "sentinel-2", "sentinel-3"] {
            masters += u64::from(bed.master() == name);
            stop(bed, name);
            let unready = bed.cluster.nodes.iter().filter(|node| !node.probe("readyz").is_some_and(|(ready, _)| ready));
            let unready: Vec<_> = unready.map(|node| node.name.clone()).collect();
            assert!(unready.len() <= 1, "not ready: {unready:?}");
            bed.node_mut(name).start().unwrap();
            bed.wait("the restarted node is ready", secs(40), |cluster| {
                cluster.nodes.iter().all(|node| node.probe("readyz").is_some_and(|(ready, _)| ready))
            });
        }
        assert!(self::epoch(bed) - epoch <= masters, "more failovers than master restarts ({masters})");
    });
    outcome.lossless().gap_within(GAP);
}

fn epoch(bed: &Bed) -> u64 {
    let reply = bed.cluster.sentinels().order(bed.node("sentinel-3").address(), &["MASTER"]).unwrap();
    reply.field("config-epoch").unwrap().parse().unwrap()
}

#[test]
fn c9_the_new_master_dies_right_after_its_promotion() {
    let mut bed = Bed::up(bed::plan());
    let outcome = bed.event(|bed| {
        let old = bed.master();
        bed.signal(&old, Signal::SIGTERM);
        let new = bed.wait_leader_other_than(&old, secs(20));
        bed.node_mut(&new).kill();
        assert!(bed.node_mut(&old).wait(secs(60)).is_some(), "SIGTERM to exit took over 60 s (C10)");
    });
    outcome.lost_in_flight_at_most();
}

/// A hand-over during which something happens `after` the SIGTERM.
fn disturbed(bed: &mut Bed, after: Duration, disturb: impl FnOnce(&mut Bed, &str)) -> Outcome {
    bed.event(|bed| {
        let old = bed.master();
        bed.signal(&old, Signal::SIGTERM);
        std::thread::sleep(after);
        disturb(bed, &old);
        assert!(bed.node_mut(&old).wait(secs(60)).is_some(), "SIGTERM to exit took over 60 s (C10)");
    })
}

#[test]
fn c11_the_candidate_dies_around_the_release() {
    let mut bed = Bed::up(bed::plan());
    for after in [100, 300, 600].map(ms) {
        let outcome = disturbed(&mut bed, after, |bed, old| {
            // Whoever is being promoted; where nobody shows yet, the first that could be.
            let leads = bed.cluster.servers().find(|node| node.name != old && node.role().as_deref() == Some("master"));
            let candidate = leads.map(|node| node.name.clone()).unwrap_or_else(|| bed.replicas().remove(0));
            bed.node_mut(&candidate).kill();
        });
        println!("candidate killed {after:?} after SIGTERM: gap {:?}", outcome.gap);
        outcome.lost_in_flight_at_most();
    }
}

#[test]
fn c12_the_old_masters_supervisor_dies_after_the_release() {
    let mut bed = Bed::up(bed::plan());
    let outcome = bed.event(|bed| {
        let old = bed.master();
        bed.signal(&old, Signal::SIGTERM);
        bed.wait_fenced(&old, secs(20));
        bed.node_mut(&old).kill();
    });
    outcome.lossless().moved().gap_within(secs(2));
}

#[test]
fn c13_another_sentinel_starts_its_own_failover_meanwhile() {
    let mut bed = Bed::up(bed::plan());
    for after in [0, 200].map(ms) {
        let outcome = disturbed(&mut bed, after, |bed, _| {
            bed.type_failover("sentinel-2");
            bed.type_failover("sentinel-3");
        });
        outcome.lossless().moved();
    }
}

#[test]
fn m28_master_and_candidate_are_told_together() {
    let mut bed = Bed::up(bed::plan());
    let outcome = bed.event(|bed| {
        let (master, replica) = (bed.master(), bed.replicas().remove(0));
        bed.signal(&replica, Signal::SIGTERM);
        bed.signal(&master, Signal::SIGTERM);
        for name in [&master, &replica] {
            let status = bed.node_mut(name).wait(secs(60)).expect("not within its grace period");
            assert_eq!(status.code(), Some(0), "{name}");
        }
    });
    outcome.lossless().moved();
}

#[test]
fn m28_all_three_are_told_together() {
    let mut bed = Bed::up(bed::plan());
    let outcome = bed.event(|bed| {
        for name in ["server-1", "server-2", "server-3"] {
            bed.signal(name, Signal::SIGTERM);
        }
        for name in ["server-1", "server-2", "server-3"] {
            let status = bed.node_mut(name).wait(secs(60)).expect("not within its grace period");
            assert_eq!(status.code(), Some(0), "{name}");
        }
    });
    outcome.lossless();
}
