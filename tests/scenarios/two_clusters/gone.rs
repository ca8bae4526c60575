//! N7, N8: what is left in the lists of a cluster that met another one.

use std::time::{Duration, Instant};

use redinit::demo::cluster::Cluster;

use super::bed::names::NamedBed;
use super::bed::{self, Bed, Kind, Turn, ms, secs};
use super::pair::{OPEN, Pair};

/// No entry of somebody else is left after this long.
const CLEAN_WITHIN: Duration = secs(300);

/// What of others this cluster's Sentinels list.
fn of_others(bed: &Bed, sentinels: &[&str]) -> Vec<String> {
    let own: Vec<String> = bed.cluster.nodes.iter().map(|node| node.ip.to_string()).collect();
    let listed = sentinels.iter().flat_map(|name| {
        let (sentinels, replicas) = bed.listed(name);
        sentinels.into_iter().chain(replicas)
    });
    listed.filter(|ip| !own.contains(ip)).collect()
}

#[track_caller]
fn wait_clean(bed: &Bed, sentinels: &[&str]) {
    let since = Instant::now();
    loop {
        let others = of_others(bed, sentinels);
        let quorum = sentinels.iter().all(|name| bed.quorum_ok(name));
        if others.is_empty() && quorum {
            return println!("clean, and CKQUORUM OK, after {:?}", since.elapsed());
        }
        assert!(since.elapsed() < CLEAN_WITHIN, "after {CLEAN_WITHIN:?}: {others:?}, CKQUORUM {quorum}");
        std::thread::sleep(ms(200));
    }
}

/// N7: they meet, and the other cluster is deleted before anybody has put right what came of it.
#[test]
fn n7_another_cluster_is_deleted_and_leaves_nothing() {
    needs_namespaces!();
    let mut pair = Pair::up(Turn::beside(), OPEN);
    let ours = ["sentinel-1", "sentinel-2", "sentinel-3"];
    pair.our_one_stops("server-3");
    let came = pair.their_one_comes("server-3");
    while of_others(&pair.ours, &ours).is_empty() && came.elapsed() < secs(4) {
        std::thread::sleep(ms(5));
    }
    println!("listed after {:?}: {:?}", came.elapsed(), of_others(&pair.ours, &ours));
    for node in &mut pair.theirs.nodes {
        node.kill();
    }
    wait_clean(&pair.ours, &ours);
    pair.ours_is_whole();
    let bed = &mut pair.ours;
    bed.node_mut("server-3").start().unwrap();
    let outcome = bed.event(|bed| {
        let master = bed.master();
        bed.node_mut(&master).kill();
    });
    outcome.lost_in_flight_at_most().moved();
    bed.wait("every list is right", secs(60), |_| bed.lists_are_clean().is_ok());
}

/// N8: two Sentinels are replaced, and Sentinels of other groups take their addresses: one of this make, one of another.
#[test]
fn n8_addresses_of_replaced_sentinels_are_taken_by_other_groups() {
    needs_namespaces!();
    let mut named = NamedBed::up(bed::plan().sized(3, 4, 3));
    let taken: Vec<_> = ["sentinel-3", "sentinel-4"].map(|name| named.bed.node(name).ip).into();
    named.bed.wait("they know each other", secs(10), |_| named.bed.lists_are_clean().is_ok());
    for name in ["sentinel-3", "sentinel-4"] {
        named.replace_sentinel(name, Some(&format!("{name}-new")));
    }
    let mut others = bed::plan().sized(1, 2, 1).set("REDINIT_MASTER_NAME", "other");
    others.expected_servers = Some(1);
    let mut others = Cluster::prepare(others).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let text = bed::BARE.replace("mymaster", "other");
    let bare = bed::script(dir.path(), "bare", &text);
    for (node, ip) in others.nodes.iter_mut().filter(|node| node.kind == Kind::Sentinel).zip(&taken) {
        let old = node.ip.to_string();
        node.ip = *ip;
        for (_, value) in &mut node.env {
            *value = value.replace(&old, &ip.to_string());
        }
    }
    others.node_mut("sentinel-2").unwrap().program = bare;
    others.start_all().unwrap();
    let bed = &mut named.bed;
    let every = ["sentinel-1", "sentinel-2", "sentinel-3", "sentinel-4"];
    wait_clean(bed, &every);
    bed.wait("every list is right", secs(60), |_| bed.lists_are_clean().is_ok());
    let outcome = bed.event(|bed| {
        let master = bed.master();
        bed.node_mut(&master).kill();
    });
    outcome.lost_in_flight_at_most().moved();
}
