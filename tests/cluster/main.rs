//! The manifests on a real Kubernetes, whichever `KUBECONFIG` names: both shapes, and what was written before redinit.
//!
//! `REDINIT_IMAGE`: the image under test, which the nodes must have or can pull. `CLUSTER_EVENTS`: only these, by name,
//! with commas. `CLUSTER_RUNS`: how many times each; ten by `make cluster-test`.
#![allow(clippy::disallowed_methods, reason = "tests have no reaper to race with")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use bed::{ms, secs};
use events::EVENTS;
use shape::{BEFORE, CHART, CLASSIC, STATEFUL, Shape};
use town::Town;

#[path = "../bed/mod.rs"]
mod bed;
mod clients;
mod disks;
mod events;
mod inside;
mod kube;
mod loss;
mod roles;
mod shape;
mod town;

/// From `kubectl apply` to the first write through a Sentinel.
const COLD_START: Duration = secs(60);
/// The same with probes that begin after 30 s and come every 30 s.
const COLD_START_BEFORE: Duration = secs(75);

/// The master's pod deleted: the median of ten or more runs.
const MEDIAN: Duration = ms(500);

/// Prints why and returns, where there is no cluster.
macro_rules! needs_cluster {
    ($name:literal) => {
        if let Err(reason) = cluster() {
            return bed::say_skipped($name, &reason);
        }
        let _turn = bed::Turn::alone();
    };
}

fn cluster() -> Result<(), String> {
    std::env::var_os("KUBECONFIG").ok_or("KUBECONFIG is not set: no cluster to test on")?;
    let version = std::process::Command::new("kubectl").args(["version", "--request-timeout=5s"]).output();
    let version = version.map_err(|error| format!("kubectl: {error}"))?;
    if version.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&version.stderr).trim().to_owned()) }
}

#[test]
#[ignore = "runs inside the cluster, where the other tests start it"]
fn in_a_pod() {
    inside::serve();
}

#[test]
fn the_classic_shape_survives_every_event() {
    needs_cluster!("the_classic_shape_survives_every_event");
    survives(&CLASSIC, COLD_START);
}

#[test]
fn the_stateful_shape_survives_every_event() {
    needs_cluster!("the_stateful_shape_survives_every_event");
    survives(&STATEFUL, COLD_START);
}

#[test]
fn the_chart_survives_every_event() {
    needs_cluster!("the_chart_survives_every_event");
    if std::env::var_os("CHART_PYTHON").is_none_or(|python| !std::path::Path::new(&python).is_file()) {
        return bed::say_skipped("the_chart_survives_every_event", "CHART_PYTHON is not there: no Helm to render with");
    }
    survives(&CHART, COLD_START);
}

/// Its probes say "ready" while a new server still syncs, so a rolling update is the hardest that can happen to it.
#[test]
fn a_manifest_from_before_redinit_works_and_rolls_200_mb_without_losing_a_key() {
    needs_cluster!("a_manifest_from_before_redinit_works_and_rolls_200_mb_without_losing_a_key");
    let mut town = Town::empty(&BEFORE);
    report(&BEFORE, "cold_start", &cold_start(&mut town, COLD_START_BEFORE).0);
    let filled = town.clients.ask(&serde_json::json!({ "do": "fill", "mb": 200 }))["keys"].clone();
    town.roll(BEFORE.servers);
    town.whole_within(3, secs(300));
    let keys = town.clients.ask(&serde_json::json!({ "do": "keys" }))["keys"].clone();
    assert_eq!(keys, filled, "keys were lost");
    report(&BEFORE, "rolling_update", &format!("{keys} of {filled} keys kept"));
}

#[track_caller]
fn cold_start(town: &mut Town, limit: Duration) -> (String, Duration) {
    let (took, outcome) = town.cold_start();
    events::single(&outcome);
    assert!(took <= limit, "{took:?} from apply to the first write, promised are {limit:?}");
    (format!("writable through a Sentinel after {:.1} s", took.as_secs_f32()), took)
}

/// Brings a shape up and does everything to it; events that fail are told together at the end.
fn survives(shape: &'static Shape, limit: Duration) {
    let runs: u32 = std::env::var("CLUSTER_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(1);
    let only = std::env::var("CLUSTER_EVENTS").unwrap_or_default();
    let wanted = |name: &str| only.is_empty() || only.split(',').any(|one| one == name);
    let mut town = Town::empty(shape);
    report(shape, "cold_start", &cold_start(&mut town, limit).0);
    let mut failed = Vec::new();
    for (name, event) in EVENTS.iter().filter(|(name, _)| wanted(name)) {
        let mut gaps = Vec::new();
        for _ in 0..runs {
            match catch_unwind(AssertUnwindSafe(|| event(&mut town))) {
                Ok((line, gap)) => {
                    report(shape, name, &line);
                    gaps.push(gap);
                }
                Err(_) => failed.push(*name),
            }
        }
        gaps.sort_unstable();
        if let (true, Some(median), Some(worst)) = (runs > 1, gaps.get(gaps.len() / 2), gaps.last()) {
            report(shape, name, &format!("{} of {runs} runs, median {median:?}, worst {worst:?}", gaps.len()));
            assert!(
                runs < 10 || *name != "master_pod_deleted" || *median <= MEDIAN,
                "{name}: the median is {median:?}"
            );
        }
    }
    assert!(failed.is_empty(), "{}: {failed:?} failed", shape.name);
}

fn report(shape: &Shape, event: &str, line: &str) {
    println!("{} {event}: {line}", shape.name);
}
