//! Sentinels before the gate.

use std::time::{Duration, Instant};

use redinit::core::action::{Birth, ChildOrder, Depth, Expecting, Monitor, SentinelFile};
use redinit::core::event::Done;
use redinit::core::id::{Address, Epoch};
use redinit::core::seen::RoleSeen;

use super::node::{Node, PATIENCE, connect, run, say};

async fn sentinel_row(at: Address, what: &str) -> String {
    let connection = connect(at, None).await.expect("a Sentinel");
    format!("{:?}", say(&connection, what).await.unwrap_or(redis::Value::Nil))
}

async fn until(at: Address, what: &str, holds: impl Fn(&str) -> bool) -> String {
    let begun = Instant::now();
    loop {
        let row = sentinel_row(at, what).await;
        if holds(&row) {
            return row;
        }
        assert!(begun.elapsed() < PATIENCE, "{what} in vain: {row}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn a_sentinel_starts_bare_and_keeps_its_id_and_what_it_is_told() {
    run(async {
        let mut node = Node::sentinel("127.93.1.1", SentinelFile::default(), |_| ()).await?;
        let at = node.me();
        assert!(matches!(node.look(Depth::Full).await.unwrap().role, RoleSeen::Replica { master: None, .. }));
        let id = sentinel_row(at, "SENTINEL MYID").await;
        assert_eq!(sentinel_row(at, "SENTINEL MASTERS").await, "array([])");
        node.ok(ChildOrder::Terminate).await;
        node.exit().await;
        let master = Address::parse("127.93.1.9", 6379)?;
        let told = SentinelFile { monitor: Some(Monitor { master, epoch: Epoch(7) }), ..SentinelFile::default() };
        node.spawn(Birth::Sentinel(told)).await;
        assert_eq!(sentinel_row(at, "SENTINEL MYID").await, id);
        let row = sentinel_row(at, "SENTINEL MASTER mymaster").await;
        assert!(row.contains("127.93.1.9") && row.contains("3000"), "{row}");
        // It keeps its file by itself; a start that is told nothing keeps what is in it.
        node.ok(ChildOrder::Kill).await;
        node.exit().await;
        node.spawn(Birth::Sentinel(SentinelFile::default())).await;
        let text = std::fs::read_to_string(node.dir.path().join("redinit-sentinel.conf")).unwrap();
        assert!(
            text.contains("sentinel config-epoch mymaster 7") && text.contains("sentinel current-epoch 7"),
            "{text}"
        );
        assert!(sentinel_row(at, "SENTINEL MASTER mymaster").await.contains("127.93.1.9"));
        Some(())
    });
}

#[test]
fn a_proposal_waits_at_the_gate_until_the_candidate_leads() {
    run(async {
        let mut master = Node::server("127.93.2.1", |_| ()).await?;
        let mut replica = Node::server("127.93.2.2", |_| ()).await?;
        master.ok(ChildOrder::LeadAlone).await;
        master.ok(ChildOrder::OpenDoor).await;
        replica.ok(ChildOrder::Follow { master: master.me(), expecting: Expecting::Replica }).await;
        replica.ok(ChildOrder::OpenDoor).await;
        let monitor = Some(Monitor { master: master.me(), epoch: Epoch(1) });
        let file = SentinelFile { monitor, ..SentinelFile::default() };
        let sentinel = Node::sentinel("127.93.2.3", file, |settings| settings.quorum = 1).await?;
        let at = sentinel.me();
        until(at, "SENTINEL REPLICAS mymaster", |row| {
            row.contains("127.93.2.2") && row.contains("'ok'") | row.contains("\"ok\"")
        })
        .await;
        let begun = Instant::now();
        while sentinel_row(at, "SENTINEL FAILOVER mymaster").await == "nil" {
            assert!(begun.elapsed() < PATIENCE, "no failover");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        until(at, "SENTINEL REPLICAS mymaster", |row| row.contains("promoted")).await;
        // Its SLAVEOF NO ONE bounces off; writes go on.
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert!(!replica.look(Depth::Full).await.unwrap().role.is_master());
        let client = master.client(None).await.unwrap();
        say(&client, "SET a 1").await.unwrap();
        replica.ok(ChildOrder::Quicken).await;
        let Done::At { offset, .. } = master.ok(ChildOrder::Release { pause: Duration::from_secs(2) }).await else {
            panic!("no offset")
        };
        replica.until(|seen| seen.history.offset >= offset).await;
        replica.ok(ChildOrder::Lead).await;
        replica.ok(ChildOrder::Unquicken).await;
        master.ok(ChildOrder::Follow { master: replica.me(), expecting: Expecting::Master }).await;
        let named = |row: &str| row.contains("127.93.2.2");
        until(at, "SENTINEL GET-MASTER-ADDR-BY-NAME mymaster", named).await;
        replica.ok(ChildOrder::Unfence).await;
        master.ok(ChildOrder::Dismiss).await;
        until(at, "SENTINEL MASTER mymaster", |row| !row.contains("failover_in_progress")).await;
        // Sentinel's CLIENT KILL was aborted with its MULTI: nobody was cut, and we are still heard.
        replica.look(Depth::Glance).await.unwrap();
        say(&replica.client(None).await.unwrap(), "SET b 1").await.unwrap();
        Some(())
    });
}
