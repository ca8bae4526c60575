//! Handover: what is lost, how long nobody can write, how long SIGTERM takes.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use redinit::demo::cluster::Cluster;
use redinit::demo::ledger::{Ledger, Writing};

use crate::report::{Figure, Report};
use crate::{ms, plan, secs};

/// What each way of handing over promises.
const MEDIAN: Duration = ms(200);
const WORST: Duration = ms(600);

/// One run's outcome.
struct Run {
    lost: usize,
    gap: Duration,
}

/// Writers run, `what` happens and returns once the master has changed, the cluster becomes whole again.
fn run(cluster: &mut Cluster, name: &str, what: impl FnOnce(&mut Cluster, &str)) -> Run {
    let old = cluster.wait_settled(secs(60)).expect("not whole before the run");
    let mut ledger = Ledger::open(&cluster.sentinels(), name, &Writing::default());
    assert!(ledger.wait_for(1000, secs(10)), "no writes: {:?}", ledger.errors());
    sleep(ms(500));
    let began = Instant::now();
    what(cluster, &old);
    sleep(ms(1500));
    let gap = ledger.longest_gap(began, Instant::now()).length;
    ledger.close();
    for node in &mut cluster.nodes {
        node.start().expect("cannot start a node again");
    }
    let new = cluster.sentinels().majority().expect("no master after the run");
    let lost = ledger.lost(new).expect("cannot read back").len();
    ledger.erase(new).expect("cannot erase");
    println!("  {name}: {old} to {}, {} writes, {lost} lost, gap {gap:?}", cluster.name_of(new), ledger.acknowledged());
    Run { lost, gap }
}

fn changed(cluster: &Cluster, old: &str, limit: Duration) {
    let end = Instant::now() + limit;
    while cluster.sentinels().majority().is_none_or(|at| cluster.name_of(at) == old) {
        assert!(Instant::now() < end, "the master did not change within {limit:?}");
        sleep(ms(5));
    }
}

fn report(report: &mut Report, name: &str, runs: &[Run], median: Duration, worst: Duration) {
    let lost = runs.iter().map(|run| run.lost as f64).collect();
    let gaps: Vec<Duration> = runs.iter().map(|run| run.gap).collect();
    report.add(Figure::counts(&format!("{name}: acknowledged writes lost"), "writes", lost, 0.0));
    report.add(Figure::times(&format!("{name}: longest gap"), &gaps, Some(median), Some(worst)));
}

/// SIGTERM to the master.
pub fn sigterm(figures: &mut Report, count: usize) {
    let mut cluster = Cluster::start(plan()).expect("cannot start");
    let mut exits = Vec::new();
    let runs: Vec<Run> = (0..count)
        .map(|number| {
            run(&mut cluster, &format!("sigterm-{number}"), |cluster, old| {
                let told = Instant::now();
                let node = cluster.node_mut(old).unwrap();
                node.signal(Signal::SIGTERM);
                node.wait(secs(60)).expect("it did not end within its grace period");
                exits.push(told.elapsed());
                changed(cluster, old, secs(10));
            })
        })
        .collect();
    report(figures, "SIGTERM", &runs, MEDIAN, WORST);
    figures.add(Figure::times("SIGTERM to exit", &exits, None, Some(secs(5))));
}

/// `redinit handover`.
pub fn command(figures: &mut Report, count: usize) {
    let mut cluster = Cluster::start(plan()).expect("cannot start");
    let runs: Vec<Run> = (0..count)
        .map(|number| {
            // A master that has led for less than 10 s may say no.
            sleep(secs(11));
            run(&mut cluster, &format!("command-{number}"), |cluster, old| {
                let node = cluster.node(old).unwrap();
                let mut command = Command::new(&node.program);
                command.arg("handover").env_clear().envs(node.env.iter().map(|(name, value)| (name, value)));
                let output = command.output().expect("cannot run redinit");
                assert!(output.status.success(), "redinit handover: {output:?}");
                changed(cluster, old, secs(10));
            })
        })
        .collect();
    report(figures, "redinit handover", &runs, MEDIAN, WORST);
}

/// `SENTINEL FAILOVER` typed by hand.
pub fn typed(figures: &mut Report, count: usize) {
    let mut cluster = Cluster::start(plan()).expect("cannot start");
    let runs: Vec<Run> = (0..count)
        .map(|number| {
            sleep(secs(11));
            run(&mut cluster, &format!("typed-{number}"), |cluster, old| {
                let sentinels = cluster.sentinels();
                let sentinel = sentinels.addresses()[number % 3];
                sentinels.order(sentinel, &["FAILOVER"]).expect("the Sentinel does not answer");
                changed(cluster, old, secs(20));
            })
        })
        .collect();
    report(figures, "SENTINEL FAILOVER by hand", &runs, MEDIAN, WORST);
}

/// A replica without a supervisor: a server that is being migrated.
const BARE: &str = r#"#!/bin/sh
cd "$REDINIT_DATA_DIR" || exit 1
exec redis-server --bind "$REDINIT_BIND" --replica-announce-ip "$REDINIT_BIND" --port 6379 --save "" \
    --repl-diskless-sync-delay 0 --protected-mode no --replicaof "$MASTER" 6379
"#;

/// The direct way: SIGTERM to the master while a replica has no supervisor. A fresh cluster each time, since that
/// replica leads afterwards.
pub fn direct(figures: &mut Report, count: usize) {
    let dir = tempfile::tempdir().expect("no temporary directory");
    let script = dir.path().join("bare");
    std::fs::write(&script, BARE).expect("cannot write");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("cannot write");
    let runs: Vec<Run> = (0..count)
        .map(|number| {
            let mut cluster = Cluster::prepare(plan().set("REDINIT_EXPECTED_SERVERS", "2")).expect("cannot prepare");
            for node in cluster.nodes.iter_mut().filter(|node| node.name != "server-3") {
                node.start().expect("cannot start");
            }
            let end = Instant::now() + secs(60);
            let master = loop {
                match cluster.sentinels().unanimous() {
                    Ok(master) => break master,
                    Err(reason) => assert!(Instant::now() < end, "{reason}"),
                }
                sleep(ms(50));
            };
            let bare = cluster.node_mut("server-3").unwrap();
            bare.env.push(("MASTER".into(), master.ip().to_string()));
            bare.program = script.clone();
            bare.start().expect("cannot start");
            sleep(secs(12));
            run(&mut cluster, &format!("direct-{number}"), |cluster, old| {
                let node = cluster.node_mut(old).unwrap();
                node.signal(Signal::SIGTERM);
                node.wait(secs(60)).expect("it did not end within its grace period");
                changed(cluster, old, secs(10));
            })
        })
        .collect();
    report(figures, "direct way", &runs, ms(1400), ms(2500));
}
