//! Sentinels before the gate.

use std::time::{Duration, Instant};

use redinit::core::action::{Birth, ChildOrder, Depth, Expecting, Monitor, SentinelFile};
use redinit::core::event::Done;
use redinit::core::id::{Address, Epoch};
use redinit::core::seen::RoleSeen;

use redinit::config::settings::Settings;
use secrecy::{ExposeSecret, SecretString};

use super::node::{Node, PATIENCE, connect, run, say};

async fn sentinel_row(at: Address, what: &str) -> String {
    // One that wants no password takes any.
    let connection = connect(at, Some(("default", "sentinels"))).await.expect("a Sentinel");
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

/// A failover by hand, from the proposal to its end, with and without passwords.
async fn failover(net: &str, password: Option<&str>) -> Option<()> {
    let password = password.map(|text| SecretString::from(text.to_owned()));
    let with = |settings: &mut Settings| settings.password = password.clone();
    let mut master = Node::server(&format!("{net}.1"), with).await?;
    let mut replica = Node::server(&format!("{net}.2"), with).await?;
    let login = password.as_ref().map(|password| ("default", password.expose_secret()));
    let chosen = format!("{net}.2");
    master.ok(ChildOrder::LeadAlone).await;
    master.ok(ChildOrder::OpenDoor).await;
    replica.ok(ChildOrder::Follow { master: master.me(), expecting: Expecting::Replica }).await;
    replica.ok(ChildOrder::OpenDoor).await;
    let monitor = Some(Monitor { master: master.me(), epoch: Epoch(1) });
    let file = SentinelFile { monitor, ..SentinelFile::default() };
    let sentinels = |settings: &mut Settings| {
        settings.password = password.clone();
        settings.sentinel_password = password.as_ref().map(|_| SecretString::from("sentinels".to_owned()));
    };
    let sentinel = Node::sentinel(&format!("{net}.3"), file.clone(), sentinels).await?;
    let other = Node::sentinel(&format!("{net}.4"), file, sentinels).await?;
    let at = sentinel.me();
    let listed = format!("{net}.4");
    until(at, "SENTINEL SENTINELS mymaster", |row| row.contains(&listed)).await;
    until(at, "SENTINEL REPLICAS mymaster", |row| row.contains(&chosen) && row.contains("ok")).await;
    let begun = Instant::now();
    while sentinel_row(at, "SENTINEL FAILOVER mymaster").await == "nil" {
        assert!(begun.elapsed() < PATIENCE, "no failover");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    until(at, "SENTINEL REPLICAS mymaster", |row| row.contains("promoted")).await;
    // Its SLAVEOF NO ONE bounces off; writes go on.
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(!replica.look(Depth::Full).await.unwrap().role.is_master());
    let client = master.client(login).await.unwrap();
    say(&client, "SET a 1").await.unwrap();
    replica.ok(ChildOrder::Quicken).await;
    let Done::At { offset, .. } = master.ok(ChildOrder::Release { pause: Duration::from_secs(2) }).await else {
        panic!("no offset")
    };
    replica.until(|seen| seen.history.offset >= offset).await;
    replica.ok(ChildOrder::Lead).await;
    replica.ok(ChildOrder::Unquicken).await;
    master.ok(ChildOrder::Follow { master: replica.me(), expecting: Expecting::Master }).await;
    let named = |row: &str| row.contains(&chosen);
    until(at, "SENTINEL GET-MASTER-ADDR-BY-NAME mymaster", named).await;
    until(other.me(), "SENTINEL GET-MASTER-ADDR-BY-NAME mymaster", named).await;
    replica.ok(ChildOrder::Unfence).await;
    master.ok(ChildOrder::Dismiss).await;
    until(at, "SENTINEL MASTER mymaster", |row| !row.contains("failover_in_progress")).await;
    // Sentinel's CLIENT KILL was aborted with its MULTI: nobody was cut, and we are still heard.
    replica.look(Depth::Glance).await.unwrap();
    say(&replica.client(login).await.unwrap(), "SET b 1").await.unwrap();
    Some(())
}

#[test]
fn a_proposal_waits_at_the_gate_until_the_candidate_leads() {
    run(failover("127.93.2", None));
}

#[test]
fn sentinels_and_servers_with_passwords_fail_over_alike() {
    run(failover("127.93.3", Some("hu \"sh")));
}
