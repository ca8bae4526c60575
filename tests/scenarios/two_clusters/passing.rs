//! N1 to N6: an address passes.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::asked::{FOREIGN_SERVER, says_foreign, wait_led};
use super::bed::{self, Turn, secs};
use super::pair::{Neighbour, OPEN, OURS, Pair, THEIRS};
use super::{MERGED_BY, SAID_WITHIN};
use redinit::demo::cluster::Node;

/// An address of A's replica passes to B, whose epoch is higher; B's third server starts there.
fn an_address_passes(neighbour: Neighbour) {
    let mut pair = Pair::up(Turn::alone(), neighbour);
    pair.our_one_stops("server-3");
    let came = pair.their_one_comes("server-3");
    for (name, cluster) in [("ours", &pair.ours.cluster), ("theirs", &pair.theirs)] {
        pair.wait("it is said", SAID_WITHIN.saturating_sub(came.elapsed()), |_| says_foreign(cluster));
        println!("{name} said so after {:?}", came.elapsed());
    }
    std::thread::sleep(MERGED_BY);
    pair.ours_is_whole();
    pair.theirs_is_whole();
    pair.our_handover_works();
}

#[test]
fn n1_an_address_passes_to_another_cluster_of_the_same_name() {
    needs_namespaces!();
    an_address_passes(OPEN);
}

#[test]
fn n2_the_same_with_one_password_for_both() {
    needs_namespaces!();
    an_address_passes(Neighbour { settings: &[("REDIS_PASSWORD", "same")], password: Some("same"), ..OPEN });
}

/// N3: ours that are left go on saying hello to the Sentinel that is there now, and that one answers.
#[test]
fn n3_a_sentinels_address_passes() {
    needs_namespaces!();
    let mut pair = Pair::up(Turn::beside(), Neighbour { moves: &["sentinel-3"], ..OPEN });
    pair.our_one_stops("sentinel-3");
    let came = pair.their_one_comes("sentinel-3");
    pair.wait_said(came, "is a Sentinel of another cluster", secs(5));
    std::thread::sleep(MERGED_BY);
    pair.ours_is_whole();
    pair.theirs_is_whole();
    pair.our_handover_works();
}

/// Whom our Sentinels name in the place of server 3.
fn wait_another(pair: &Pair, limit: Duration) -> String {
    let mut leader = None;
    pair.wait("another one of ours leads", limit, |pair| {
        let named = pair.ours.cluster.sentinels().majority();
        let node = pair.ours.cluster.servers().find(|node| Some(node.address()) == named && node.name != "server-3");
        let seen = node.and_then(|node| Some((node.name.clone(), node.status()?)));
        leader = seen.filter(|(_, seen)| seen["role"] == "master" && seen["fenced"] == false).map(|(name, _)| name);
        leader.is_some()
    });
    leader.unwrap()
}

/// N4: the master is lost, and somebody else has its address as soon as one of those that are left leads.
#[test]
fn n4_the_masters_address_passes() {
    needs_namespaces!();
    let mut pair = Pair::up(Turn::beside(), OPEN);
    // Theirs has the place of server-3.
    if pair.our_leader != "server-3" {
        let (code, text) = bed::command(
            pair.ours.node(&pair.our_leader),
            &["handover", "--to", &pair.ours.node("server-3").ip.to_string()],
        );
        assert_eq!(code, Some(0), "{text}");
        wait_led(&pair.ours.cluster, &[], secs(10));
    }
    // One that dies in the seconds after a handover leaves a Sentinel behind that names it for long.
    pair.wait("no failover runs", secs(20), |pair| pair.ours.sentinels_rest());
    pair.ours.node_mut("server-3").kill();
    pair.away.push("server-3".into());
    let lost = Instant::now();
    pair.our_leader = wait_another(&pair, secs(30));
    println!("ours is led by {} after {:?}", pair.our_leader, lost.elapsed());
    let came = pair.their_one_comes("server-3");
    pair.wait_said(came, FOREIGN_SERVER, secs(5));
    std::thread::sleep(secs(10));
    pair.ours_is_whole();
    pair.theirs_is_whole();
    pair.our_handover_works();
}

fn begin_handover(node: &Node) -> Child {
    let mut command = Command::new(&node.program);
    command.arg("handover").env_clear().envs(node.env.iter().map(|(name, value)| (name, value)));
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// From its next start on each lives where the other did.
fn swap_addresses(one: &mut Node, other: &mut Node) {
    let (first, second) = (one.ip, other.ip);
    for (node, from, to) in [(one, first, second), (other, second, first)] {
        node.ip = to;
        for (name, value) in &mut node.env {
            if ["REDINIT_ANNOUNCE_ADDRESS", "REDINIT_BIND", "REDINIT_HTTP_LISTEN"].contains(&name.as_str()) {
                *value = value.replace(&from.to_string(), &to.to_string());
            }
        }
    }
}

/// N5: a server of each moves to where one of the other was, while the masters of both hand over.
#[test]
fn n5_addresses_are_swapped_while_both_hand_over() {
    needs_namespaces!();
    let mut pair = Pair::up(Turn::beside(), Neighbour { moves: &[], ..OPEN });
    for (cluster, leader) in [(&pair.ours.cluster, &pair.our_leader), (&pair.theirs, &pair.their_leader)] {
        if leader == "server-3" {
            let to = cluster.node("server-1").unwrap().ip.to_string();
            let (code, text) = bed::command(cluster.node(leader).unwrap(), &["handover", "--to", &to]);
            assert_eq!(code, Some(0), "{text}");
        }
    }
    let our_leader = wait_led(&pair.ours.cluster, &[], secs(10));
    let their_leader = wait_led(&pair.theirs, &[], secs(10));
    let handovers =
        [begin_handover(pair.ours.node(&our_leader)), begin_handover(pair.theirs.node(&their_leader).unwrap())];
    let (one, other) = (pair.ours.node_mut("server-3"), pair.theirs.node_mut("server-3").unwrap());
    one.kill();
    other.kill();
    swap_addresses(one, other);
    one.start().unwrap();
    other.start().unwrap();
    for mut handover in handovers {
        handover.wait().unwrap();
    }
    pair.our_leader = wait_led(&pair.ours.cluster, &[], secs(40));
    pair.their_leader = wait_led(&pair.theirs, &[], secs(40));
    println!("ours: {our_leader} to {}, theirs: {their_leader} to {}", pair.our_leader, pair.their_leader);
    pair.wait("each has joined its own", secs(60), |pair| {
        pair.keys(pair.ours.node("server-3").address(), "ours") == Some((OURS, OURS))
            && pair.keys_of_theirs("server-3") == Some((THEIRS, THEIRS))
    });
    std::thread::sleep(secs(10));
    pair.ours_is_whole();
    pair.theirs_is_whole();
    assert!(pair.ours.logged(&pair.our_leader, FOREIGN_SERVER) > 0, "nobody of ours says so");
    pair.our_handover_works();
}

/// N6: servers and Sentinels without redinit. Those Sentinels go on saying hello to ours, and stay in their lists.
#[test]
fn n6_an_address_passes_to_servers_without_redinit() {
    needs_namespaces!();
    let mut pair = Pair::up(Turn::beside(), Neighbour { bare: true, ..OPEN });
    pair.our_one_stops("server-3");
    let came = pair.their_one_comes("server-3");
    pair.wait_said(came, "has no part in our history and shows no cluster id", secs(5));
    std::thread::sleep(MERGED_BY);
    pair.ours_is_whole();
    for name in ["server-1", "server-2", "server-3"] {
        assert_eq!(pair.keys_of_theirs(name), Some((THEIRS, THEIRS)), "theirs, {name}");
    }
}
