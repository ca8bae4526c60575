//! The nemesis: faults drawn at random on real servers, healed, and everything counted. `make chaos SEED=n MINUTES=m`.
//! A seed draws the same faults again; when they strike is the machine's affair, so a violation may need several runs.
#![allow(clippy::disallowed_methods, reason = "tests have no reaper to race with")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../bed/mod.rs"]
#[macro_use]
mod bed;
#[path = "../sim/rng.rs"]
#[allow(dead_code, reason = "the simulation needs more of it")]
mod rng;

mod fault;
mod leftovers;
mod round;

use std::time::Instant;

use bed::{Bed, secs};
use rng::Rng;

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text}: not a number")))
}

#[test]
fn faults_at_random() {
    needs_net!();
    let minutes = number("MINUTES").unwrap_or(3);
    let seed = number("SEED").unwrap_or(1);
    let mut random = Rng::new(seed);
    let durable = random.chance(500);
    println!("chaos: SEED={seed} MINUTES={minutes}, append-only files {}", if durable { "on" } else { "off" });
    let mut plan = bed::plan();
    if durable {
        for number in 1..=plan.servers {
            let words = ["--", "--appendonly", "yes"].map(str::to_owned);
            plan.node_args.insert(bed::Kind::Server.name(number), words.into());
        }
    }
    let mut bed = Bed::apart(plan);
    let mut history = Vec::new();
    let end = Instant::now() + secs(minutes * 60);
    while Instant::now() < end {
        let faults = fault::draw(&mut random);
        let what = faults.iter().map(|fault| format!("{fault:?}")).collect::<Vec<_>>().join(" and ");
        println!("{:>3}. {what}", history.len() + 1);
        history.push(what);
        match round::run(&mut bed, &faults, durable) {
            Ok(outcome) => {
                println!("     {outcome}");
                if let Some(last) = history.last_mut() {
                    *last += &format!(": {outcome}");
                }
            }
            Err(violation) => panic!(
                "VIOLATION: {violation}\nwhat led to it:\n  {}\nto run this seed again: make chaos SEED={seed} MINUTES={minutes}",
                history.join("\n  ")
            ),
        }
    }
    println!("chaos: {} rounds, SEED={seed}: nothing to complain of", history.len());
    let dir = bed.cluster.dir().to_owned();
    drop(bed);
    let left = leftovers::of(&dir);
    assert!(left.is_empty(), "left behind: {left:?}");
}
