//! What the supervisor costs: the binary's size, a probe, memory and time while nothing happens.

use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::unistd::Pid;
use redinit::demo::cluster::{Cluster, Kind};
use redinit::demo::launch::children_of;

use crate::report::{Figure, Report};
use crate::{binary, ms, plan, secs};

/// How long nothing happens.
const IDLE: Duration = secs(60);

/// The release binary's size.
pub fn size(figures: &mut Report) {
    let bytes = fs::metadata(binary()).expect("no binary").len();
    figures.add(Figure::counts("release binary", "MB", vec![bytes as f64 / 1e6], 9.0));
}

/// `redinit probe live` as a whole process, 500 times for each run: 10,000 by default.
pub fn probes(figures: &mut Report, runs: usize) {
    let cluster = Cluster::start(plan().sized(1, 1, 1).set("REDINIT_EXPECTED_SERVERS", "1")).expect("cannot start");
    cluster.wait_settled(secs(60)).expect("not whole");
    let node = cluster.node("server-1").unwrap();
    let supervisor = node.pid().unwrap();
    let before = children_of(supervisor).len();
    let times: Vec<Duration> = (0..runs * 500)
        .map(|_| {
            let mut command = Command::new(&node.program);
            command.args(["probe", "live"]).env_clear().envs(node.env.iter().map(|(name, value)| (name, value)));
            command.stdout(Stdio::null());
            let began = Instant::now();
            assert!(command.status().expect("cannot run redinit").success(), "not live");
            began.elapsed()
        })
        .collect();
    let left = children_of(supervisor).len().saturating_sub(before) as f64;
    figures.add(Figure::times("redinit probe live, whole process", &times, Some(ms(3)), None));
    figures.add(Figure::counts("processes left by all probes", "processes", vec![left], 0.0));
}

/// Resident memory and processor time of each supervisor of an idle cluster.
pub fn idle(figures: &mut Report) {
    let cluster = Cluster::start(plan()).expect("cannot start");
    let master = cluster.wait_settled(secs(60)).expect("not whole");
    sleep(secs(10));
    let pids: Vec<(String, Kind, Pid)> =
        cluster.nodes.iter().map(|node| (node.name.clone(), node.kind, node.pid().unwrap())).collect();
    let before: Vec<_> = pids.iter().map(|(_, _, pid)| (Instant::now(), ran(*pid))).collect();
    sleep(IDLE);
    for ((name, kind, pid), (since, before)) in pids.iter().zip(before) {
        let share = (ran(*pid) - before).as_secs_f64() / since.elapsed().as_secs_f64() * 100.0;
        let (role, limit) = match kind {
            Kind::Server if *name == master => ("master", 0.5),
            Kind::Server => ("replica", 0.2),
            Kind::Sentinel => ("sentinel", 0.2),
        };
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it has ended");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let resident: f64 = resident.trim().trim_end_matches(" kB").parse().unwrap();
        figures.add(Figure::counts(&format!("idle {name} ({role}): processor"), "% of a core", vec![share], limit));
        figures.add(Figure::counts(&format!("idle {name} ({role}): resident"), "MB", vec![resident / 1000.0], 9.0));
    }
}

/// How long all threads of a process have run: by the scheduler's own count, since a tick of 10 ms is a sixth of what is
/// promised for half a minute. (A thread that ends meanwhile is missed; while nothing happens none does.)
fn ran(pid: Pid) -> Duration {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("it has ended");
    let nanos = threads.map(|thread| {
        let count = fs::read_to_string(thread.expect("a thread").path().join("schedstat")).expect("it has ended");
        count.split_whitespace().next().unwrap().parse::<u64>().unwrap()
    });
    Duration::from_nanos(nanos.sum())
}
