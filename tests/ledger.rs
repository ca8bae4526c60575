//! Does the bed itself tell the truth? Bare servers and Sentinels, without any supervisor: the ledger must see what
//! `SENTINEL FAILOVER` loses there (facts: 88,887 to 125,904 writes), and the watch must see both masters.

mod bed;

use std::os::unix::fs::PermissionsExt;

use bed::{Bed, Ledger, Plan, Watch, Writing, ms, secs};

/// Stands in for the supervisor: an engine with the same environment, and nobody that looks after it.
const BARE: &str = r#"#!/bin/sh
cd "$REDINIT_DATA_DIR" || exit 1
first=${REDINIT_SERVERS%%:*}
if [ "$REDINIT_MODE" = sentinel ]; then
    cat > sentinel.conf <<END
port 26379
bind $REDINIT_BIND
sentinel announce-ip $REDINIT_BIND
sentinel monitor mymaster $first 6379 2
sentinel down-after-milliseconds mymaster 5000
END
    exec redis-server sentinel.conf --sentinel
fi
set -- --replica-announce-ip "$REDINIT_BIND" --bind "$REDINIT_BIND" --port 6379 --save "" --repl-diskless-sync-delay 0 --protected-mode no
[ "$REDINIT_BIND" = "$first" ] || set -- "$@" --replicaof "$first" 6379
exec redis-server "$@"
"#;

#[test]
fn the_ledger_and_the_watch_see_what_bare_sentinels_do() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("bare");
    std::fs::write(&script, BARE).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut bed = Bed::prepare(Plan::new(script));
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
