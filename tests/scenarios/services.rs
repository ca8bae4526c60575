//! M18, M26: behind Services that hold only pods that say ready.

use std::time::{Duration, Instant};

use super::bed::disks::{self, AOF};
use super::bed::service::Service;
use super::bed::{self, Bed, ElectorPlan, Turn, Watch, ms, secs};

/// 2 x (down-after + 2 s).
const W: Duration = secs(14);

#[test]
fn m18_a_first_start_behind_services_without_a_ready_endpoint() {
    for expected in [Some(3), None] {
        let plan = bed::Plan { expected_servers: expected, ..bed::plan().elector(ElectorPlan::File) };
        let mut bed = Bed::prepare_in(Turn::beside(), plan);
        let _services = Service::before_all(&mut bed);
        let watch = Watch::start(bed.cluster.server_addresses(), ms(10));
        let began = Instant::now();
        bed.cluster.start_all().unwrap();
        bed.wait("somebody leads", W, |cluster| {
            std::thread::sleep(ms(50));
            cluster.servers().any(|node| node.probe("master").is_some_and(|(yes, _)| yes))
        });
        println!("M18, expecting {expected:?}: a master after {:?}", began.elapsed());
        bed.settle("behind Services");
        println!("M18, expecting {expected:?}: whole after {:?}", began.elapsed());
        assert!(watch.end().doubles.is_empty(), "two masters took writes");
    }
}

#[test]
fn m26_everything_restarts_behind_services_that_hold_only_who_is_ready() {
    let mut bed = Bed::prepare(disks::plan_with(AOF).elector(ElectorPlan::File));
    let _services = Service::before_all(&mut bed);
    bed.cluster.start_all().unwrap();
    bed.settle("at the start");
    std::thread::sleep(secs(2));
    let ledger = disks::writers(&mut bed);
    let watch = Watch::start(bed.cluster.server_addresses(), ms(10));
    for node in &mut bed.cluster.nodes {
        node.kill();
    }
    for number in 1..=3 {
        bed.node_mut(&format!("sentinel-{number}")).wipe().unwrap();
    }
    std::thread::sleep(secs(1));
    for node in &mut bed.cluster.nodes {
        node.start().unwrap();
        std::thread::sleep(ms(300));
    }
    disks::writable(&ledger, "everything is back", secs(60));
    let leader = bed.settle("without the Sentinels' files");
    assert_eq!(disks::lost(ledger, &bed, &leader), 0);
    assert!(watch.end().doubles.is_empty(), "two masters took writes");
}
