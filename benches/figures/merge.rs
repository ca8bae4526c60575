//! An address of one cluster passes to another one of the same master name: what is lost, who follows whom, how soon both say so.

use std::thread::sleep;
use std::time::{Duration, Instant};

use redinit::demo::cluster::Cluster;

use crate::asked::says_foreign;
use crate::bed::Turn;
use crate::pair::{Neighbour, OPEN, OURS, Pair, THEIRS};
use crate::report::{Figure, Report};
use crate::{ms, secs};

/// Sentinels say hello each 2 s: what can merge has merged by then.
const MERGED_BY: Duration = secs(12);
/// How long it is waited for.
const SAID_WITHIN: Duration = secs(20);

struct Run {
    said: Duration,
    lost: usize,
    following: usize,
}

/// Without a password, and with one for both.
pub fn merges(figures: &mut Report, count: usize) {
    let same = Neighbour { settings: &[("REDIS_PASSWORD", "same")], password: Some("same"), ..OPEN };
    for (name, neighbour) in [("no password", OPEN), ("one password", same)] {
        let name = format!("an address passes, {name}");
        let runs: Vec<Run> = (0..count).map(|_| pass(neighbour, &name)).collect();
        let said: Vec<_> = runs.iter().map(|run| run.said).collect();
        figures.add(Figure::times(&format!("{name}: both say so"), &said, None, Some(secs(2))));
        let lost = runs.iter().map(|run| run.lost as f64).collect();
        figures.add(Figure::counts(&format!("{name}: lost"), "keys", lost, 0.0));
        let following = runs.iter().map(|run| run.following as f64).collect();
        figures.add(Figure::counts(&format!("{name}: following the other"), "servers", following, 0.0));
    }
}

fn pass(neighbour: Neighbour, name: &str) -> Run {
    let mut pair = Pair::up(Turn::alone(), neighbour);
    pair.our_one_stops("server-3");
    let came = pair.their_one_comes("server-3");
    while !(says_foreign(&pair.ours.cluster) && says_foreign(&pair.theirs)) && came.elapsed() < SAID_WITHIN {
        sleep(ms(5));
    }
    let said = came.elapsed();
    let (mut following, end) = (0, Instant::now() + MERGED_BY);
    while Instant::now() < end {
        following = following.max(pair.following_the_other());
        sleep(ms(100));
    }
    let missing = |cluster: &Cluster, prefix: &str, all: usize, away: &[&str]| {
        let servers = cluster.servers().filter(|node| !away.contains(&node.name.as_str()));
        let held = servers.map(|node| pair.keys(node.address(), prefix).map_or(0, |(found, _)| found));
        all - held.min().unwrap_or_default()
    };
    let lost = missing(&pair.ours.cluster, "ours", OURS, &["server-3"]) + missing(&pair.theirs, "theirs", THEIRS, &[]);
    println!("  {name}: said after {said:?}, {lost} keys lost, {following} follow the other");
    Run { said, lost, following }
}
