//! N10 to N13: volumes that are lost, and the volume of another cluster.

use super::asked::{ok, wait_led};
use super::bed::disks::{AOF, plan_with};
use super::bed::{self, Bed, Kind, Turn, secs};
use super::pair::{Neighbour, OPEN, Pair, THEIRS};

/// The id that every node of this kind shows, where it is one, and settled.
fn id(bed: &Bed, kind: Kind) -> Option<String> {
    let nodes = bed.cluster.nodes.iter().filter(|node| node.kind == kind);
    let ids: Option<Vec<String>> = nodes
        .map(|node| {
            let seen = node.status()?;
            let settled = seen["cluster"]["standing"] == "settled";
            settled.then(|| seen["cluster"]["id"].as_str().map(str::to_owned))?
        })
        .collect();
    let ids = ids?;
    ids.first().filter(|first| ids.iter().all(|id| id == *first)).cloned()
}

/// The ids of the Sentinels themselves.
fn tags(bed: &Bed) -> Vec<String> {
    let all = bed.cluster.sentinel_nodes().filter_map(|node| node.ask(&["SENTINEL", "MYID"]).ok()?.text());
    let mut all: Vec<String> = all.map(|id| id.chars().take(16).collect()).collect();
    all.dedup();
    all
}

#[track_caller]
fn wait_id(bed: &Bed, known: &str) {
    bed.wait("everybody shows the id", secs(20), |_| {
        let both = [Kind::Server, Kind::Sentinel];
        both.iter().all(|kind| id(bed, *kind).as_deref() == Some(known)) && tags(bed) == [known]
    });
}

#[track_caller]
fn wipe(bed: &mut Bed, names: &[&str]) {
    for name in names {
        bed.node_mut(name).wipe().unwrap();
    }
    for name in names {
        bed.node_mut(name).start().unwrap();
    }
}

/// N10: one volume of each kind. N12: all Sentinels'. N11: all servers', and with them all data.
#[test]
fn n10_n11_n12_who_loses_its_volume_learns_the_id() {
    needs_namespaces!();
    let mut bed = Bed::up_beside(plan_with(AOF));
    let master = bed.master();
    bed.fill(&master, 500);
    let mut known = None;
    bed.wait("all have an id", secs(20), |_| {
        known = id(&bed, Kind::Server);
        known.is_some()
    });
    let known = known.unwrap();
    wait_id(&bed, &known);
    let replica = bed.replicas().remove(0);
    wipe(&mut bed, &[&replica, "sentinel-2"]);
    bed.settle("after one volume of each kind was lost");
    wait_id(&bed, &known);

    wipe(&mut bed, &["sentinel-1", "sentinel-2", "sentinel-3"]);
    bed.settle("after all Sentinels' were lost");
    wait_id(&bed, &known);
    assert_eq!(bed.master(), master);
    for node in bed.cluster.servers() {
        assert_eq!(node.ask(&["DBSIZE"]).unwrap(), bed::wire::Reply::Integer(500), "{}", node.name);
    }

    wipe(&mut bed, &["server-1", "server-2", "server-3"]);
    let master = bed.settle("after all servers' were lost");
    assert_eq!(bed.node(&master).ask(&["SET", "anew", "1"]).unwrap(), ok());
    wait_id(&bed, &known);
    assert_eq!(bed.node(&master).ask(&["DBSIZE"]).unwrap(), bed::wire::Reply::Integer(1));
}

/// N13: the volume of B put into A. By the id that the settings give it is refused at once.
#[test]
fn n13_the_volume_of_another_cluster_is_refused() {
    needs_namespaces!();
    let mut plan = bed::plan().sized(1, 1, 1).set("REDINIT_CLUSTER_ID", "prod/a");
    plan.expected_servers = Some(1);
    let mut bed = Bed::up_beside(plan);
    bed.signal("server-1", bed::Signal::SIGTERM);
    bed.node_mut("server-1").wait(secs(20)).expect("it ends");
    let node = bed.node_mut("server-1");
    node.env.retain(|(name, _)| name != "REDINIT_CLUSTER_ID");
    node.env.push(("REDINIT_CLUSTER_ID".into(), "prod/b".into()));
    node.start().unwrap();
    let status = node.wait(secs(10)).expect("it ends");
    assert_eq!(status.code(), Some(78));
    assert_eq!(bed.logged("server-1", "belongs to cluster `prod/a`, not to `prod/b`"), 1);
}

/// N13, N14: where leaders made the ids. The volume is not refused: it joins nobody, and gives up nothing, until a person
/// says so.
#[test]
fn n13_n14_the_volume_of_another_cluster_waits_for_a_persons_word() {
    needs_namespaces!();
    let mut pair = Pair::up(Turn::beside(), Neighbour { moves: &[], engine: AOF, ..OPEN });
    let moving = if pair.our_leader == "server-3" { "server-2" } else { "server-3" };
    let place = if pair.their_leader == "server-3" { "server-2" } else { "server-3" };
    pair.our_one_stops(moving);
    let volume = pair.ours.node(moving).data();
    let guest = pair.theirs.node_mut(place).unwrap();
    guest.wipe().unwrap();
    let status = std::process::Command::new("cp").arg("-a").arg(volume.join(".")).arg(guest.data()).status().unwrap();
    assert!(status.success());
    // Where its own cluster still is, it finds it by its state file, and joins it.
    for node in &mut pair.ours.cluster.nodes {
        node.kill();
    }
    let guest = pair.theirs.node_mut(place).unwrap();
    guest.start().unwrap();
    std::thread::sleep(secs(12));
    pair.theirs_goes_on(place);
    let guest = pair.theirs.node(place).unwrap();
    let leader = pair.theirs.node(&pair.their_leader).unwrap().address();
    let (ready, why) = guest.probe("readyz").expect("it is there");
    println!("{why}");
    assert!(!ready, "it has joined by itself: {}", guest.log_tail(20));
    let seen = guest.status().unwrap();
    assert!(seen["strangers"].as_array().is_some_and(|rows| rows.len() >= 2), "{seen}");

    let at = leader.to_string();
    let (code, text) = bed::command(guest, &["adopt", &at, "--dry-run"]);
    println!("{text}");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("would do: this node leaves cluster"), "{text}");
    std::thread::sleep(secs(3));
    assert!(!guest.probe("readyz").unwrap().0, "a dry run has changed something");
    let (code, text) = bed::command(guest, &["adopt", &at]);
    assert_eq!(code, Some(0), "{text}");
    pair.wait("it joins", secs(30), |pair| pair.keys_of_theirs(place) == Some((THEIRS, THEIRS)));
    let data = pair.theirs.node(place).unwrap().data();
    let kept = std::fs::read_dir(data).unwrap().filter_map(Result::ok);
    let kept = kept.filter(|entry| entry.file_name().to_string_lossy().starts_with("rollback-")).count();
    assert_eq!(kept, 1, "what it held is kept");
    assert_eq!(wait_led(&pair.theirs, &[], secs(10)), pair.their_leader);
}
