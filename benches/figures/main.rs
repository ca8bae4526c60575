//! `make bench`: the figures that the product promises, measured on this machine, as a table and as JSON.
//!
//! Three servers, three Sentinels, down-after 5 s, two closed-loop writers, loopback addresses; what needs a network of
//! its own (root) is skipped without. Unplanned events are compared with the same servers and Sentinels without redinit.
#![allow(clippy::disallowed_methods, reason = "the benchmark has no reaper to race with")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark fails by panicking")]

#[path = "../../tests/bed/mod.rs"]
mod bed;

// What the scenarios of two clusters stand on.
#[path = "../../tests/scenarios/two_clusters/asked.rs"]
mod asked;
#[allow(dead_code, reason = "the scenarios use more of it")]
#[path = "../../tests/scenarios/two_clusters/pair.rs"]
mod pair;

mod bare;
mod cold;
mod cost;
mod crash;
mod handover;
mod isolation;
mod kill;
mod merge;
mod outage;
mod report;

use std::path::PathBuf;
use std::time::Duration;

use redinit::demo::cluster::Plan;
use report::Report;

/// Milliseconds.
pub const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Seconds.
pub const fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// The binary that is measured.
pub fn binary() -> PathBuf {
    std::env::var_os("REDINIT_BIN").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_redinit")), PathBuf::from)
}

/// The cluster that is measured.
pub fn plan() -> Plan {
    Plan::new(binary())
}

fn unplanned(report: &mut Report, runs: usize, wanted: impl Fn(&str) -> bool) {
    if wanted("crash") {
        crash::crashes(report, runs);
    }
    if wanted("kill") {
        kill::killed(report, runs);
    }
    if wanted("lost") {
        kill::lost_node(report, runs);
    }
    if wanted("isolated") {
        isolation::isolated(report, runs);
    }
    if wanted("outage") {
        outage::sentinels(report, runs);
        outage::total(report, runs);
    }
}

fn main() {
    let mut words = std::env::args().skip(1);
    let (mut runs, mut figures, mut json) = (20, "all".to_owned(), None);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--runs" => runs = words.next().and_then(|count| count.parse().ok()).expect("--runs takes a number"),
            "--figures" => figures = words.next().expect("--figures takes a list"),
            "--json" => json = words.next(),
            // What cargo adds.
            "--bench" => {}
            other => panic!("unknown argument {other}"),
        }
    }
    let wanted = |name: &str| figures == "all" || figures.split(',').any(|figure| figure == name);
    let mut report = Report::default();
    if wanted("size") {
        cost::size(&mut report);
    }
    if wanted("handover") || wanted("sigterm") {
        handover::sigterm(&mut report, runs);
    }
    if wanted("handover") || wanted("command") {
        handover::command(&mut report, runs);
    }
    if wanted("handover") || wanted("typed") {
        handover::typed(&mut report, runs);
    }
    if wanted("handover") || wanted("direct") {
        handover::direct(&mut report, runs);
    }
    if wanted("cold") {
        cold::starts(&mut report, runs);
    }
    unplanned(&mut report, runs, wanted);
    if wanted("merge") {
        merge::merges(&mut report, runs);
    }
    if wanted("probe") {
        cost::probes(&mut report, runs);
    }
    if wanted("idle") {
        cost::idle(&mut report);
    }
    println!("\n{}", report.table());
    if let Some(path) = json {
        std::fs::write(&path, report.json()).expect("cannot write the JSON");
        println!("JSON: {path}");
    }
    std::process::exit(i32::from(!report.all_kept()));
}
