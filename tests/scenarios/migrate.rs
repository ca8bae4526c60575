//! The path of `docs/migrate.md`: an old master without a supervisor is followed, and then replaced.

use super::bed::{self, Bed, secs, wire::Reply};

const KEYS: usize = 10_000;
const OLD: &str = "server-1";
const NEW: [&str; 3] = ["server-2", "server-3", "server-4"];

#[test]
fn an_old_master_is_followed_and_replaced_with_every_key() {
    let dir = tempfile::tempdir().unwrap();
    let mut bed = Bed::prepare(bed::plan().sized(4, 3, 2));
    bed.node_mut(OLD).program = bed::bare(dir.path());
    bed.node_mut(OLD).start().unwrap();
    bed.wait("the old one answers", secs(10), |cluster| {
        cluster.node(OLD).is_some_and(|node| node.role().as_deref() == Some("master"))
    });
    bed.fill(OLD, KEYS);
    for name in NEW.iter().chain(&["sentinel-1", "sentinel-2", "sentinel-3"]) {
        bed.node_mut(name).start().unwrap();
    }
    // Step 1: it is found among the servers, and followed.
    bed.wait("all follow the old one", secs(40), |cluster| {
        let up = |name: &&str| {
            let node = cluster.node(name).unwrap();
            node.info("replication", "master_link_status").as_deref() == Some("up")
        };
        NEW.iter().all(up) && cluster.sentinels().unanimous() == Ok(cluster.node(OLD).unwrap().address())
    });
    bed.wait("the Sentinels list the new ones", secs(20), |cluster| {
        let list = cluster.sentinels().order(cluster.sentinels().addresses()[0], &["REPLICAS"]);
        list.is_ok_and(|list| list.items().len() == NEW.len())
    });
    // Step 2: no more writes; everything has arrived.
    assert_eq!(
        bed.node(OLD).ask(&["CONFIG", "SET", "min-replicas-to-write", "100"]).unwrap(),
        Reply::Status("OK".into())
    );
    let all = i64::try_from(KEYS).unwrap();
    let holds = |bed: &Bed, name: &str| bed.node(name).ask(&["DBSIZE"]).ok() == Some(Reply::Integer(all));
    assert!(NEW.iter().all(|name| holds(&bed, name)), "a replica lacks keys");
    // Step 3: a new one leads, and the old one follows.
    // A Sentinel that has just heard of them knows too little of them for some seconds: NOGOODSLAVE.
    bed.wait("a Sentinel proposes one", secs(20), |_| bed.type_failover("sentinel-1") == Reply::Status("OK".into()));
    let leader = bed.wait_leader_other_than(OLD, secs(20));
    assert!(holds(&bed, &leader), "{leader} lacks keys");
    bed.wait("the new master takes writes", secs(10), |cluster| {
        cluster.node(&leader).unwrap().ask(&["SET", "after", "1"]).ok() == Some(Reply::Status("OK".into()))
    });
    bed.wait("the old one is a replica", secs(30), |cluster| {
        cluster.node(OLD).unwrap().role().as_deref() == Some("slave")
    });
    assert_eq!(bed.node(&leader).role().as_deref(), Some("master"));
}
