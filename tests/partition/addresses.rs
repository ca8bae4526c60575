//! E6, E7: what address a node has, and what others see of it.

use std::process::ExitStatus;

use super::bed::{self, Bed, Family, Signal, Turn, secs};
use super::clients::Clients;

/// SIGTERM to the master; it moves, nothing is lost.
fn hand_over(bed: &mut Bed) -> ExitStatus {
    let master = bed.master();
    let clients = Clients::open(bed, None);
    bed.signal(&master, Signal::SIGTERM);
    let status = bed.node_mut(&master).wait(secs(60)).unwrap();
    bed.restart_ended();
    assert_ne!(bed.settle("after a handover"), master, "the master did not move");
    clients.count(bed).lossless();
    status
}

#[test]
fn e6_behind_a_translation_the_announced_address_counts() {
    needs_net!();
    let mut bed = Bed::prepare_apart_in(Turn::beside(), bed::plan(), Family::V4);
    let names: Vec<String> = bed.cluster.nodes.iter().map(|node| node.name.clone()).collect();
    for (name, number) in names.iter().zip(101..) {
        bed.net().translate(name, number);
    }
    bed.cluster.start_all().unwrap();
    bed.settle("behind translations");
    std::thread::sleep(secs(11));
    assert_eq!(hand_over(&mut bed).code(), Some(0));
    let master = bed.master();
    let servers = bed.cluster.server_addresses();
    // The sockets came from elsewhere, or this shows nothing.
    let clients = bed.node(&master).ask(&["CLIENT", "LIST"]).unwrap().text().unwrap();
    assert!(clients.contains("addr=10.77.0.10"), "no translated address: {clients}");
    let replication = bed.node(&master).ask(&["INFO", "replication"]).unwrap().text().unwrap();
    for replica in bed.replicas() {
        let ip = bed.node(&replica).ip;
        assert!(
            replication.contains(&format!("ip={ip},")),
            "{replica} is not listed by its own address: {replication}"
        );
    }
    let sentinels = bed.cluster.sentinels();
    for at in sentinels.addresses() {
        let rows = sentinels.order(*at, &["REPLICAS"]).unwrap();
        let listed: Vec<_> = rows.items().iter().filter_map(|row| row.field("ip")).collect();
        assert_eq!(listed.len(), servers.len() - 1, "{at} lists {listed:?}");
        for ip in listed {
            assert!(servers.iter().any(|server| server.ip().to_string() == ip), "{at} lists {ip}");
        }
        let others = sentinels.order(*at, &["SENTINELS"]).unwrap();
        for ip in others.items().iter().filter_map(|row| row.field("ip")) {
            assert!(sentinels.addresses().iter().any(|one| one.ip().to_string() == ip), "{at} lists Sentinel {ip}");
        }
    }
}

#[test]
fn e7_ipv6_alone() {
    needs_net!();
    let mut bed = Bed::prepare_apart_in(Turn::beside(), bed::plan(), Family::V6);
    bed.cluster.start_all().unwrap();
    bed.settle("on IPv6 alone");
    std::thread::sleep(secs(11));
    assert_eq!(hand_over(&mut bed).code(), Some(0));
    let master = bed.master();
    let clients = Clients::open(&mut bed, None);
    bed.node_mut(&master).kill();
    bed.wait_leader_other_than(&master, secs(20));
    bed.restart_ended();
    clients.count(&bed).lost_in_flight_at_most();
}
