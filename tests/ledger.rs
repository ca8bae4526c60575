//! Does the bed itself tell the truth? Bare servers and Sentinels, without any supervisor: the ledger must see what
//! `SENTINEL FAILOVER` loses there (facts: 88,887 to 125,904 writes), and the watch must see both masters.

mod bed;

use bed::{Bed, Ledger, Plan, Watch, Writing, bare, ms, secs};

#[test]
fn the_ledger_and_the_watch_see_what_bare_sentinels_do() {
    let dir = tempfile::tempdir().unwrap();
    let mut bed = Bed::prepare(Plan::new(bare(dir.path())));
    bed.cluster.start_all().unwrap();
    let sentinels = bed.cluster.sentinels();
    let old = bed.node("server-1").address();
    bed.wait("the bare cluster", secs(30), |cluster| {
        let linked = cluster
            .servers()
            .skip(1)
            .all(|node| node.info("replication", "master_link_status").as_deref() == Some("up"));
        let listed =
            sentinels.order(sentinels.addresses()[0], &["REPLICAS"]).is_ok_and(|reply| reply.items().len() == 2);
        linked && listed && sentinels.unanimous() == Ok(old)
    });
    let mut ledger = Ledger::open(&sentinels, "bare", &Writing { rest: ms(1), ..Writing::default() });
    assert!(ledger.wait_for(200, secs(10)), "{:?}", ledger.errors());
    assert_eq!(ledger.lost(old).unwrap(), Vec::<String>::new());
    let watch = Watch::start(bed.cluster.server_addresses(), ms(10));
    bed.type_failover("sentinel-1");
    bed.wait("Sentinel's own demotion of the old master", secs(40), |cluster| {
        cluster.node("server-1").unwrap().role().as_deref() == Some("slave")
    });
    let seen = watch.end();
    ledger.close();
    let new = sentinels.majority().unwrap();
    assert_ne!(new, old);
    let lost = ledger.lost(new).unwrap();
    assert!(lost.len() > 100, "{} lost of {}", lost.len(), ledger.acknowledged());
    assert!(seen.doubles.len() > 10, "two masters at once were not seen: {seen:?}");
    ledger.erase(new).unwrap();
    assert!(ledger.lost(new).unwrap().len() as u64 >= ledger.acknowledged());
}
