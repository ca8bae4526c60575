//! A Sentinel's file: repaired, completed, written.

use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::config::settings::Durability;
use crate::config::settings::{Elector, EngineChoice, LogFormat, Restart};
use crate::core::action::Monitor;
use crate::core::id::{Address, Epoch};
use crate::core::rules::Mode;

fn settings() -> Settings {
    Settings {
        cluster_id: None,
        mode: Mode::Sentinel,
        sentinels: Vec::new(),
        servers: Vec::new(),
        elector: Elector::None,
        election: "mymaster".into(),
        master_name: "mymaster".into(),
        quorum: 2,
        down_after: Duration::from_secs(5),
        failover_timeout: Duration::from_secs(10),
        parallel_syncs: 1,
        expected_servers: None,
        announce_address: "127.0.0.5".into(),
        announce_ip: IpAddr::from([127, 0, 0, 5]),
        bind: Vec::new(),
        port: 26379,
        data_dir: PathBuf::new(),
        grace_period: Duration::from_secs(60),
        socket: PathBuf::new(),
        http_listen: None,
        engine: EngineChoice::Auto,
        password: None,
        sentinel_password: None,
        replication_users: vec![],
        restart: Restart { max: 5, within: Duration::from_secs(300) },
        durability: Durability::Default,
        name: "sentinel-0".into(),
        include: None,
        engine_args: Vec::new(),
        log: String::new(),
        log_format: LogFormat::Text,
        in_kubernetes: false,
        pod: None,
    }
}

fn file() -> String {
    let (a, b, me) = ("a".repeat(40), "b".repeat(40), my_id(&settings(), None));
    format!(
        "port 26379\nsentinel myid {me}\nsentinel monitor mymaster 127.0.0.1 6379 2\n\
         sentinel config-epoch mymaster 3\nsentinel leader-epoch mymaster 4\nsentinel current-epoch 4\n\
         sentinel known-replica mymaster 127.0.0.2 6379\nsentinel known-replica mymaster 127.0.0.2 6379\n\
         sentinel known-slave mymaster 127.0.0.3 6379\nsentinel known-replica mymaster 127.0.0.1 6379\n\
         sentinel known-replica mymaster gone.example 6379\nsentinel known-replica mymaster 127.0.0.4 0\n\
         sentinel known-sentinel mymaster 127.0.0.6 26379 {a}\nsentinel known-sentinel mymaster 127.0.0.7 26379 {a}\n\
         sentinel known-sentinel mymaster 127.0.0.8 26379 {b}\nsentinel known-sentinel mymaster 127.0.0.5 26379 {b}\n\
         sentinel known-sentinel mymaster 127.0.0.9 26379 {me}\nsentinel known-sentinel mymaster 127.0.0.10 26379\n\
         sentinel known-replica other 127.0.0.99 6379\nsentinel monitor other 127.0.0.98 6379 2\n"
    )
}

#[test]
fn an_id_is_stable_and_its_own() {
    let mut other = settings();
    other.name = "sentinel-1".into();
    assert_eq!(my_id(&settings(), None), my_id(&settings(), None));
    assert_ne!(my_id(&settings(), None), my_id(&other, None));
    assert!(is_id(&my_id(&settings(), None).0));
}

#[test]
fn e5_duplicate_own_and_unresolvable_entries_are_repaired() {
    let state = SentinelState::parse(&file(), &settings(), false);
    let hosts: Vec<&str> = state.replicas.iter().map(|entry| entry.host.as_str()).collect();
    assert_eq!(hosts, ["127.0.0.2", "127.0.0.3"]);
    let sentinels: Vec<&str> = state.sentinels.iter().map(|(entry, _)| entry.host.as_str()).collect();
    assert_eq!(sentinels, ["127.0.0.7", "127.0.0.8", "127.0.0.10"]);
    assert_eq!((state.config_epoch, state.leader_epoch, state.current_epoch), (3, 4, 4));
    let again = SentinelState::parse(&state.lines(&settings(), None, &[]).join("\n"), &settings(), false);
    assert_eq!(again, state);
}

#[test]
fn names_stay_where_they_are_to_be_resolved() {
    let state = SentinelState::parse(&file(), &settings(), true);
    assert!(state.replicas.iter().any(|entry| entry.host == "gone.example"));
}

#[test]
fn a_re_point_takes_the_told_epoch_and_a_prune_drops_lines() {
    let mut state = SentinelState::parse(&file(), &settings(), false);
    let at = |host| Address::parse(host, 6379).expect("an address");
    state.complete(&SentinelFile {
        monitor: Some(Monitor { master: at("127.0.0.3"), epoch: Epoch(9) }),
        forget: vec![SentinelId("a".repeat(40))],
        forget_replicas: vec![at("127.0.0.2")],
        ..SentinelFile::default()
    });
    let lines = state.lines(&settings(), None, &["sentinel notification-script mymaster /x".into()]);
    assert_eq!(lines.first().map(String::as_str), Some("sentinel monitor mymaster 127.0.0.3 6379 2"));
    assert!(lines.contains(&"sentinel config-epoch mymaster 9".to_owned()));
    assert_eq!(lines.last().map(String::as_str), Some("sentinel current-epoch 9"));
    assert!(!lines.iter().any(|line| line.contains("known-replica") || line.contains("127.0.0.7")));
    // The same master again at a lower epoch is no step back.
    state.complete(&SentinelFile {
        monitor: Some(Monitor { master: at("127.0.0.3"), epoch: Epoch(1) }),
        ..SentinelFile::default()
    });
    assert_eq!((state.config_epoch, state.current_epoch), (9, 9));
}

#[test]
fn a_file_of_nonsense_is_a_bare_sentinel() {
    for text in [
        "",
        "sentinel",
        "sentinel monitor",
        "sentinel monitor mymaster",
        "\0\0",
        "sentinel config-epoch mymaster -1",
        "sentinel known-sentinel mymaster \"",
        "sentinel monitor mymaster 1.2.3.4 99999 x",
    ] {
        let state = SentinelState::parse(text, &settings(), false);
        assert_eq!(state.lines(&settings(), None, &[]), ["sentinel current-epoch 0"], "{text}");
    }
    let many: String =
        (0..5000).map(|n| format!("sentinel known-replica mymaster 10.0.{}.{} 1\n", n / 250, n % 250)).collect();
    assert_eq!(SentinelState::parse(&many, &settings(), false).replicas.len(), ENTRIES_LIMIT);
}
