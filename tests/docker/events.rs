//! What happens to containers, at a tenth of a processor each: stopped, killed, paused, cut off.

use std::time::{Duration, Instant};

use super::bed::{Watch, Writing, ms, secs};
use super::cli::docker;
use super::cluster::{Cluster, GRACE, PATIENCE};

/// What is promised of a lost node: down-after, by default 5 s, and 2 s.
const LOST_NODE: Duration = secs(5 + 2);

#[test]
fn c1_docker_stop_of_the_master_loses_nothing() {
    let image = needs_image!();
    let mut cluster = Cluster::up(image);
    for _ in 0..3 {
        let outcome = cluster.event(|cluster, master| {
            let (status, took) = cluster.server(master).stop(GRACE);
            println!("{master} ended with {status} after {took:?}");
            assert_eq!(status, 0, "it had to be killed");
            assert!(took < GRACE, "it took {took:?}");
            cluster.server_mut(master).start();
        });
        outcome.lossless().moved().gap_within(secs(2));
    }
}

#[test]
fn m30_docker_kill_of_the_master_is_a_lost_node() {
    let image = needs_image!();
    let mut cluster = Cluster::up(image);
    cluster.ripen();
    // Its address goes with it, so the others hear nothing: no reset that would be evidence.
    let outcome = cluster.event(|cluster, master| {
        let killed = Instant::now();
        docker(&["kill", &cluster.server(master).id]);
        let other = cluster.wait_other_master(master, secs(30));
        println!("{other} is master {:?} after the kill", killed.elapsed());
        cluster.server_mut(master).start();
    });
    outcome.lost_in_flight_at_most().moved().gap_within(LOST_NODE + PATIENCE);
}

#[test]
fn d6_docker_pause_of_the_master_is_a_frozen_machine() {
    let image = needs_image!();
    let mut cluster = Cluster::up(image);
    cluster.ripen();
    let mut frozen_writes = None;
    let outcome = cluster.event(|cluster, master| {
        let at = cluster.server(master).at(6379);
        let mut shut_in = cluster.ledger(&Writing { pinned: Some(at), rest: ms(5), writers: 1, ..Writing::default() });
        assert!(shut_in.wait_for(20, secs(10)), "no writes before the pause");
        docker(&["pause", &cluster.server(master).id]);
        let paused = Instant::now();
        let other = cluster.wait_other_master(master, secs(30));
        println!("{other} is master {:?} after the pause", paused.elapsed());
        std::thread::sleep((paused + secs(15)).saturating_duration_since(Instant::now()));
        let woken = Instant::now();
        docker(&["unpause", &cluster.server(master).id]);
        cluster.server(master).wait_for("replica", secs(15));
        println!("{master} is a replica {:?} after it woke", woken.elapsed());
        shut_in.close();
        frozen_writes = Some(shut_in.acknowledged_between(woken, Instant::now()));
    });
    outcome.lost_in_flight_at_most().moved().gap_within(LOST_NODE + PATIENCE);
    // What was in its socket when it froze it may answer before its supervisor runs.
    assert!(frozen_writes.unwrap() <= 2, "it went on taking writes when it woke: {frozen_writes:?}");
}

#[test]
fn f1_docker_network_disconnect_of_the_master_is_a_partition() {
    let image = needs_image!();
    let mut cluster = Cluster::up(image);
    cluster.ripen();
    let outcome = cluster.event(|cluster, master| {
        cluster.disconnect(master);
        let cut = Instant::now();
        let other = cluster.wait_other_master(master, secs(30));
        println!("{other} is master {:?} after {master} was cut off", cut.elapsed());
        let (status, said) = cluster.server(master).exec(&["redinit", "probe", "master"]);
        assert_eq!(status, Some(1), "{master} is cut off and still says master: {said}");
        let (status, said) = cluster.server(master).exec(&["redinit", "probe", "live"]);
        assert_eq!(status, Some(0), "a restart would not help it: {said}");
        let watch = Watch::start(vec![cluster.server(master).at(6379)], ms(20));
        cluster.connect(master);
        cluster.server(master).wait_for("replica", secs(30));
        println!("{master} is a replica {:?} after it was cut off", cut.elapsed());
        assert_eq!(watch.end().first_writable, None, "{master} came back and took writes");
    });
    outcome.lost_in_flight_at_most().moved().gap_within(LOST_NODE + PATIENCE);
}
