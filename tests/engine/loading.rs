//! U01: what lies in the directory is loaded, whatever kind of file is used from now on.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use redinit::core::action::{Birth, ChildOrder, Depth};
use redinit::core::event::OrderFailure;

use super::node::{Node, run, say};

const KEYS: i64 = 20_000;
pub(super) const SAVES: [&str; 2] = ["--save", "3600 1"];
pub(super) const APPENDS: [&str; 4] = ["--save", "3600 1", "--appendonly", "yes"];

pub(super) fn arguments(node: &mut Node, arguments: &[&str]) {
    node.change(|settings| settings.engine_args = arguments.iter().map(|word| (*word).to_owned()).collect());
}

pub(super) async fn server(ip: &str, words: &[&str]) -> Option<Node> {
    Node::server(ip, |settings| settings.engine_args = words.iter().map(|word| (*word).to_owned()).collect()).await
}

pub(super) async fn lead(node: &mut Node) -> redis::aio::MultiplexedConnection {
    node.ok(ChildOrder::LeadAlone).await;
    node.ok(ChildOrder::OpenDoor).await;
    node.client(None).await.unwrap()
}

pub(super) async fn fill(client: &redis::aio::MultiplexedConnection, keys: i64) {
    // In pieces: an answer that takes longer than half a second is none to this client.
    let script = "for i=ARGV[1],ARGV[2] do redis.call('SET', 'k' .. i, string.rep('x', 100)) end";
    for first in (1..=keys).step_by(5_000) {
        let last = (first + 4_999).min(keys);
        let filled: redis::RedisResult<()> =
            redis::cmd("EVAL").arg(script).arg(0).arg(first).arg(last).query_async(&mut client.clone()).await;
        filled.unwrap();
    }
}

/// The same for a save: asked until it is done.
async fn save(client: &redis::aio::MultiplexedConnection) {
    say(client, "BGSAVE").await.unwrap();
    loop {
        let info: String = redis::cmd("INFO").arg("persistence").query_async(&mut client.clone()).await.unwrap();
        if info.contains("rdb_bgsave_in_progress:0") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(super) async fn size(client: &redis::aio::MultiplexedConnection) -> i64 {
    redis::cmd("DBSIZE").query_async(&mut client.clone()).await.unwrap()
}

fn named(directory: &Path, beginning: &str, end: &str) -> Option<PathBuf> {
    let names = fs::read_dir(directory).unwrap().flatten().map(|entry| entry.path());
    let fits = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with(beginning) && name.ends_with(end)
    };
    names.into_iter().find(fits)
}

/// Every data file, whole.
pub(super) fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for path in fs::read_dir(directory).unwrap().flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            found.extend(files(&path));
        } else if !path.file_name().unwrap().to_string_lossy().starts_with("redinit") {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn u01_a_snapshot_is_loaded_where_appending_is_turned_on() {
    run(async {
        let mut node = server("127.93.1.1", &SAVES).await?;
        let client = lead(&mut node).await;
        fill(&client, KEYS).await;
        say(&client, "SAVE").await.unwrap();
        node.crash().await;
        let snapshot = fs::read(node.dir.path().join("dump.rdb")).unwrap();
        arguments(&mut node, &APPENDS);
        node.spawn(Birth::Server).await;
        let seen = node.look(Depth::Full).await.unwrap();
        assert!(seen.has_data && !seen.aof && seen.appended.is_none(), "what it holds comes from a snapshot: {seen:?}");
        let client = lead(&mut node).await;
        assert_eq!(size(&client).await, KEYS);
        assert!(node.look(Depth::Full).await.unwrap().aof, "and it appends");
        say(&client, "SET more 1").await.unwrap();
        node.crash().await;
        assert_eq!(fs::read(node.dir.path().join("dump.rdb")).unwrap(), snapshot, "touched");
        node.spawn(Birth::Server).await;
        assert!(node.look(Depth::Full).await.unwrap().aof, "an append-only file like any other");
        let client = lead(&mut node).await;
        assert_eq!(size(&client).await, KEYS + 1);
        Some(())
    });
}

#[test]
fn u01_an_append_only_file_is_loaded_where_it_is_turned_off() {
    run(async {
        let mut node = server("127.93.2.1", &APPENDS).await?;
        let client = lead(&mut node).await;
        say(&client, "SET first 1").await.unwrap();
        say(&client, "SAVE").await.unwrap();
        // Files tell the time by the kernel's tick.
        tokio::time::sleep(Duration::from_millis(30)).await;
        fill(&client, KEYS).await;
        node.crash().await;
        let old = fs::read(node.dir.path().join("dump.rdb")).unwrap();
        arguments(&mut node, &SAVES);
        node.spawn(Birth::Server).await;
        let seen = node.look(Depth::Full).await.unwrap();
        assert!(seen.has_data && seen.aof && seen.appended.is_some(), "what it holds comes from that file: {seen:?}");
        let client = lead(&mut node).await;
        assert_eq!(size(&client).await, KEYS + 1);
        assert!(!node.look(Depth::Full).await.unwrap().aof);
        let directory = node.dir.path().to_owned();
        assert_eq!(fs::read(named(&directory, "aside-", "-dump.rdb").unwrap()).unwrap(), old, "the old one is lost");
        let whole = "-appendonlydir";
        assert!(named(&directory, "aside-", whole).is_some() && !directory.join("appendonlydir").exists());
        say(&client, "SET lost 1").await.unwrap();
        node.crash().await;
        node.spawn(Birth::Server).await;
        let client = lead(&mut node).await;
        assert_eq!(size(&client).await, KEYS + 1, "a snapshot like any other");
        // Turned on again while it runs: what was put aside is not missed.
        say(&client, "CONFIG SET appendonly yes").await.unwrap();
        tokio::time::sleep(Duration::from_millis(1500)).await;
        say(&client, "SET again 1").await.unwrap();
        node.crash().await;
        arguments(&mut node, &APPENDS);
        node.spawn(Birth::Server).await;
        let client = lead(&mut node).await;
        assert_eq!(size(&client).await, KEYS + 2);
        Some(())
    });
}

#[test]
fn u01_a_crash_at_any_step_of_either_loses_nothing() {
    run(async {
        let mut node = server("127.93.3.1", &SAVES).await?;
        let client = lead(&mut node).await;
        fill(&client, KEYS * 5).await;
        save(&client).await;
        node.crash().await;
        for (wanted, round) in [(&APPENDS[..], 0), (&SAVES[..], 1)] {
            arguments(&mut node, wanted);
            for wait in [10, 40, 80, 120, 160, 200, 300, 400, 600] {
                node.start(Birth::Server).await;
                tokio::time::sleep(Duration::from_millis(wait)).await;
                node.crash().await;
            }
            node.spawn(Birth::Server).await;
            let client = lead(&mut node).await;
            assert_eq!(size(&client).await, KEYS * 5 + round, "{wanted:?}");
            assert_eq!(node.look(Depth::Full).await.unwrap().aof, wanted == APPENDS);
            say(&client, &format!("SET round:{round} 1")).await.unwrap();
            node.crash().await;
        }
        Some(())
    });
}

/// An engine that writes its first append-only file refuses to end: told to stop, it would be killed at the end of the grace.
#[test]
fn u01_k4_a_stop_in_between_is_quick() {
    run(async {
        let mut node = server("127.93.7.1", &SAVES).await?;
        let client = lead(&mut node).await;
        fill(&client, KEYS).await;
        save(&client).await;
        node.crash().await;
        let before = files(node.dir.path());
        // Writing takes some seconds so.
        arguments(&mut node, &[&APPENDS[..], &["--rdb-key-save-delay", "200"]].concat());
        node.start(Birth::Server).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(node.look(Depth::Full).await.unwrap().loading.is_some(), "it is done already");
        let told = Instant::now();
        node.ok(ChildOrder::Terminate).await;
        node.exit().await;
        assert!(told.elapsed() < Duration::from_secs(2), "{:?}", told.elapsed());
        let dump = node.dir.path().join("dump.rdb");
        assert_eq!(fs::read(&dump).unwrap(), before[&dump], "touched");
        arguments(&mut node, &APPENDS);
        node.spawn(Birth::Server).await;
        let client = lead(&mut node).await;
        assert_eq!(size(&client).await, KEYS);
        Some(())
    });
}

#[test]
fn u01_data_under_another_name_end_the_start() {
    run(async {
        for (words, file) in [
            (["--save", "3600 1", "--dbfilename", "other.rdb"], "other.rdb"),
            (["--appendonly", "yes", "--appendfilename", "other.aof"], "other.aof"),
        ] {
            let mut node = server("127.93.4.1", &words).await?;
            let client = lead(&mut node).await;
            say(&client, "SET a 1").await.unwrap();
            say(&client, "SAVE").await.unwrap();
            node.crash().await;
            let _saved_too = fs::remove_file(node.dir.path().join("dump.rdb"));
            let before = files(node.dir.path());
            arguments(&mut node, &SAVES);
            let Err(OrderFailure::NoChild(said)) = node.order(ChildOrder::Spawn(Birth::Server)).await else {
                panic!("it started beside {before:?}")
            };
            assert!(said.contains(file) && said.contains("holds data that this start would not read"), "{said}");
            assert_eq!(files(node.dir.path()), before, "touched");
            arguments(&mut node, &words);
            node.spawn(Birth::Server).await;
            let client = lead(&mut node).await;
            assert_eq!(size(&client).await, 1);
        }
        Some(())
    });
}
