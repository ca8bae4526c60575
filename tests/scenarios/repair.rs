//! H: replication repair at run time.

use std::time::Instant;

use nix::sys::signal::kill;
use redinit::demo::launch::children_of;

use super::bed::disks;
use super::bed::liar::{Liar, sentinel_that_names};
use super::bed::{self, Bed, Signal, Turn, ms, secs};

/// What an engine logs when it is told to follow somebody.
const FOLLOWS: &str = "REPLICAOF 127.";

#[test]
fn h1_a_replica_that_missed_a_handover_is_pointed_once() {
    let mut bed = Bed::up(bed::plan());
    let (master, replicas) = (bed.master(), bed.replicas());
    let mut sleeper = String::new();
    let mut before = 0;
    let outcome = bed.event(|bed| {
        let node = bed.node(&master);
        let handover = std::process::Command::new(&node.program)
            .arg("handover")
            .env_clear()
            .envs(node.env.iter().map(|(name, value)| (name, value)))
            .spawn();
        let mut candidate = None;
        bed.wait("a proposal", secs(10), |_| {
            candidate = bed.proposed();
            candidate.is_some()
        });
        // Whoever is not the candidate sleeps through the rest.
        sleeper = replicas.iter().find(|name| Some(*name) != candidate.as_ref()).unwrap().clone();
        before = bed.logged(&sleeper, FOLLOWS);
        bed.signal(&sleeper, Signal::SIGSTOP);
        handover.unwrap().wait().unwrap();
        std::thread::sleep(secs(3));
        bed.signal(&sleeper, Signal::SIGCONT);
    });
    outcome.lossless().moved();
    let orders = bed.logged(&sleeper, FOLLOWS) - before;
    assert!(orders <= 1, "{orders} REPLICAOF for one change of master");
    for name in &replicas {
        let ip = bed.node(name).ip;
        assert_eq!(bed.logged(name, &format!("REPLICAOF {ip}:")), 0, "{name} was pointed at itself");
    }
}

#[test]
fn h3_flapping_sentinels_turn_nobody_round_and_round() {
    let dir = tempfile::tempdir().unwrap();
    let bare = bed::bare(dir.path());
    let mut bed = Bed::prepare_in(Turn::beside(), bed::plan());
    // Two masters that nobody supervises, and Sentinels that all change their minds every 1.5 s.
    bed.start_bare_masters(&bare, &["server-2", "server-3"]);
    let hosts = [bed.node("server-2").ip.to_string(), bed.node("server-3").ip.to_string()];
    let began = Instant::now();
    let _liars: Vec<Liar> = (1..=3)
        .map(|n| {
            let (at, hosts) = (bed.node(&format!("sentinel-{n}")).address(), hosts.clone());
            Liar::redis(
                at,
                sentinel_that_names(at, move || hosts[(began.elapsed().as_millis() / 1500 % 2) as usize].clone()),
            )
        })
        .collect();
    bed.node_mut("server-1").start().unwrap();
    std::thread::sleep(secs(32));
    let orders = bed.logged("server-1", FOLLOWS);
    println!("{orders} REPLICAOF in 32 s");
    assert!((1..=4).contains(&orders), "{orders} REPLICAOF in 32 s, promised is one in 10 s");
}

/// The child of a server that writes a snapshot for a replica.
fn saving(node: &bed::Node) -> Option<nix::unistd::Pid> {
    children_of(node.engine_pid()?).first().copied()
}

#[test]
fn h2_a_first_sync_that_does_not_move_for_60_s_is_started_anew() {
    // By a file: meanwhile the master sends newlines, so that neither engine ever gives up.
    let slow = ["--save", "", "--repl-diskless-sync", "no", "--rdb-key-save-delay", "500"];
    let mut bed = Bed::up(disks::plan_with(&slow));
    let (master, replica) = (bed.master(), bed.replicas().remove(0));
    bed.fill(&master, 4000);
    let outcome = bed.event(|bed| {
        bed.node_mut(&replica).wipe().unwrap();
        bed.node_mut(&replica).start().unwrap();
        bed.wait("the master saves for it", secs(20), |cluster| saving(cluster.node(&master).unwrap()).is_some());
        let child = saving(bed.node(&master)).unwrap();
        kill(child, Signal::SIGSTOP).unwrap();
        let frozen = Instant::now();
        let said = "the sync has not moved for 60 s";
        bed.wait("the sync is started anew", secs(75), |_| {
            std::thread::sleep(ms(100));
            bed.logged(&replica, said) > 0
        });
        println!("a stalled sync was started anew after {:?}", frozen.elapsed());
        assert!(frozen.elapsed() >= secs(59), "started anew after {:?}", frozen.elapsed());
        let (ready, why) = bed.node(&replica).probe("readyz").unwrap();
        assert!(!ready, "ready without data: {why}");
        // The engine saves anew once that child is gone: what was written meanwhile too, and quickly.
        bed.node(&master).ask(&["CONFIG", "SET", "rdb-key-save-delay", "0"]).unwrap();
        kill(child, Signal::SIGKILL).unwrap();
        bed.wait("the sync ends", secs(40), |cluster| {
            let node = cluster.node(&replica).unwrap();
            node.info("replication", "master_link_status").as_deref() == Some("up")
        });
        assert_eq!(bed.logged(&replica, said), 1, "started anew more than once");
    });
    outcome.lossless();
    assert_eq!(outcome.before, outcome.after);
}
