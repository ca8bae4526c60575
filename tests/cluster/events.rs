//! What happens to a cluster, and what is promised then.

use std::time::Duration;

use serde_json::json;

use super::bed::{ms, secs};
use super::clients::Outcome;
use super::kube::Pod;
use super::loss::{cut_off_the_api, kill_everything_in};
use super::town::{Town, WHOLE};

/// A planned change of master, at a tenth of a processor.
const PLANNED: Duration = secs(2);
/// A lost node: `down_after`, two seconds, and what a client's own limit adds.
const SILENCE: Duration = secs(9);
/// The role label, after the promotion.
const LABELLED: Duration = secs(2);
/// Writable again, once the pods run.
const AGAIN: Duration = secs(60);

/// An event by its name; what it saw, in one line, and its longest gap.
pub type Event = (&'static str, fn(&mut Town) -> (String, Duration));

/// Every event of both shapes, in an order in which one leaves the cluster as the next one wants it.
pub const EVENTS: &[Event] = &[
    ("master_pod_deleted", master_pod_deleted),
    ("elector_leader_deleted", elector_leader_deleted),
    ("rolling_restart", rolling_restart),
    ("node_like_loss", node_like_loss),
    ("sentinel_pods_replaced", sentinel_pods_replaced),
    ("api_access_cut", api_access_cut),
    ("scale_to_five_and_back", scale_to_five_and_back),
    ("all_pods_deleted", all_pods_deleted),
    ("probes_while_a_data_set_loads", probes_while_a_data_set_loads),
];

#[track_caller]
fn lossless(outcome: &Outcome, limit: Duration) -> (String, Duration) {
    assert_eq!(outcome.lost, 0, "acknowledged writes lost: {outcome}");
    single(outcome);
    assert!(outcome.gap <= limit, "{:?} without a write, promised are {limit:?}: {outcome}", outcome.gap);
    (format!("0 of {} lost, longest gap {} ms", outcome.acknowledged, outcome.gap.as_millis()), outcome.gap)
}

#[track_caller]
pub fn single(outcome: &Outcome) {
    assert_eq!(outcome.doubles, 0, "two masters took writes at once: {outcome}");
}

fn delete(town: &Town, pod: &str) {
    town.kube.run(&["delete", "pod", pod, "--wait=false"]);
}

fn master_pod_deleted(town: &mut Town) -> (String, Duration) {
    let outcome = town.under_writers(|town| {
        let master = town.master();
        delete(town, &master.name);
        std::thread::sleep(secs(3));
    });
    town.promotion_is_reported();
    let labelled = town.labelled_after();
    assert!(labelled <= LABELLED, "the master was labelled {labelled:?} after its promotion");
    let (line, gap) = lossless(&outcome, PLANNED);
    (format!("{line}; labelled {} ms after its promotion", labelled.as_millis()), gap)
}

/// Whoever holds the lease goes; where that is the master, it hands over as ever.
fn elector_leader_deleted(town: &mut Town) -> (String, Duration) {
    let outcome = town.under_writers(|town| {
        let holder = town.lease_holder();
        delete(town, &holder.name);
        let lease = town.shape.lease;
        town.kube.wait("another holder of the lease", secs(30), || {
            let now = town.lease_holder_id();
            let gone = holder.address.is_some_and(|ip| now.contains(&ip.to_string())) || now.is_empty();
            if gone { Err(format!("{lease} is held by {now:?}")) } else { Ok(()) }
        });
    });
    lossless(&outcome, PLANNED)
}

fn rolling_restart(town: &mut Town) -> (String, Duration) {
    let outcome = town.under_writers(|town| {
        town.roll(town.shape.servers);
        town.roll(town.shape.sentinels);
    });
    lossless(&outcome, PLANNED)
}

/// Replication is asynchronous: each writer may lose the write whose acknowledgement the end overtook.
fn node_like_loss(town: &mut Town) -> (String, Duration) {
    let outcome = town.under_writers(|town| {
        let master = town.master();
        kill_everything_in(&town.kube, &master);
        std::thread::sleep(secs(2));
    });
    assert!(outcome.lost <= 2, "acknowledged writes lost: {outcome}");
    single(&outcome);
    assert!(outcome.gap <= SILENCE, "{:?} without a write: {outcome}", outcome.gap);
    (
        format!("{} of {} lost, longest gap {} ms", outcome.lost, outcome.acknowledged, outcome.gap.as_millis()),
        outcome.gap,
    )
}

/// All at once, and then the master: the new ones must know enough to let another one lead.
fn sentinel_pods_replaced(town: &mut Town) -> (String, Duration) {
    let outcome = town.under_writers(|town| {
        town.kube.run(&["delete", "pods", "--selector", town.shape.sentinel_label, "--wait=false"]);
        std::thread::sleep(secs(2));
        town.whole(3);
        let master = town.master();
        delete(town, &master.name);
        std::thread::sleep(secs(3));
    });
    lossless(&outcome, PLANNED)
}

/// The master's pod cannot reach the API for longer than a lease lasts: nothing else may come of it.
fn api_access_cut(town: &mut Town) -> (String, Duration) {
    let mut skipped = None;
    let outcome = town.under_writers(|town| {
        let master = town.master();
        match cut_off_the_api(&town.kube, &master) {
            Ok(cut) => {
                std::thread::sleep(secs(25));
                assert_eq!(town.master().name, master.name, "the master changed");
                drop(cut);
            }
            Err(reason) => skipped = Some(reason),
        }
    });
    match skipped {
        Some(reason) => (format!("SKIPPED: {reason}"), Duration::ZERO),
        None => lossless(&outcome, PLANNED),
    }
}

fn scale_to_five_and_back(town: &mut Town) -> (String, Duration) {
    let outcome = town.under_writers(|town| {
        town.kube.run(&["scale", town.shape.servers, "--replicas=5"]);
        town.whole(5);
        town.kube.run(&["scale", town.shape.servers, "--replicas=3"]);
        std::thread::sleep(secs(2));
    });
    lossless(&outcome, PLANNED)
}

/// Servers and Sentinels. With volumes, every acknowledged write is there afterwards.
fn all_pods_deleted(town: &mut Town) -> (String, Duration) {
    let mut again = Duration::ZERO;
    let outcome = town.under_writers(|town| {
        let both = [town.shape.server_label, town.shape.sentinel_label];
        let before: Vec<String> = both.iter().flat_map(|label| town.kube.pods(label)).map(|pod| pod.uid).collect();
        for label in both {
            town.kube.run(&["delete", "pods", "--selector", label, "--wait=false"]);
        }
        let kube = &town.kube;
        kube.wait("six new pods that run", WHOLE, || {
            let pods: Vec<_> = both.iter().flat_map(|label| kube.pods(label)).collect();
            let new = pods.iter().filter(|pod| pod.runs && !pod.ending && !before.contains(&pod.uid)).count();
            if new == 6 && pods.len() == 6 { Ok(()) } else { Err(format!("{pods:?}")) }
        });
        let run = town.now_ms();
        again = ms(town.written_after(run, AGAIN).saturating_sub(run));
    });
    single(&outcome);
    assert!(again <= AGAIN, "writable {again:?} after the pods ran");
    if town.shape.keeps_data {
        assert_eq!(outcome.lost, 0, "acknowledged writes lost: {outcome}");
    }
    let kept = outcome.acknowledged - outcome.lost;
    (
        format!("writable {:.1} s after the pods ran, {kept} of {} kept", again.as_secs_f32(), outcome.acknowledged),
        again,
    )
}

/// 200 MB; then a replica is replaced, and then the master, while everything has a tenth of a processor.
fn probes_while_a_data_set_loads(town: &mut Town) -> (String, Duration) {
    town.clients
        .ask(&json!({ "do": "find", "sentinels": town.shape.sentinel_service, "name": town.shape.master_name }));
    let filled = town.clients.ask(&json!({ "do": "fill", "mb": 200 }))["keys"].clone();
    let before = town.kube.pods(town.shape.server_label);
    let outcome = town.under_writers(|town| {
        let replica = town.replica();
        delete(town, &replica.name);
        std::thread::sleep(secs(3));
        town.whole_within(3, secs(300));
        let master = town.master();
        delete(town, &master.name);
        std::thread::sleep(secs(3));
        town.whole_within(3, secs(300));
    });
    let keys = town.clients.ask(&json!({ "do": "keys" }))["keys"].clone();
    assert_eq!(keys, filled, "keys of the data set were lost");
    let pods = town.kube.pods(town.shape.server_label);
    let restarts = |pod: &Pod| before.iter().find(|old| old.uid == pod.uid).map_or(0, |old| old.restarts);
    assert!(pods.iter().all(|pod| pod.restarts == restarts(pod)), "a probe ended a pod that loads: {pods:?}");
    let (line, gap) = lossless(&outcome, PLANNED);
    (format!("{line}; {keys} keys kept, no restart"), gap)
}
