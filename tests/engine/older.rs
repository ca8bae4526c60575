//! V7, F4: what a newer engine wrote is left as it is.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use redinit::config::settings::EngineChoice;
use redinit::core::action::{Birth, ChildOrder, Depth};
use redinit::core::event::OrderFailure;

use super::loading::{APPENDS, SAVES, files, fill, lead, server, size};
use super::node::{Node, run, say};

/// Of another version than any engine knows: no other engine is needed to see it.
#[test]
fn v7_f4_a_newer_snapshot_and_a_newer_base_end_the_start_untouched() {
    run(async {
        for words in [&SAVES[..], &APPENDS[..]] {
            let mut node = server("127.93.5.1", words).await?;
            let client = lead(&mut node).await;
            say(&client, "SET a 1").await.unwrap();
            say(&client, if words == SAVES { "SAVE" } else { "BGREWRITEAOF" }).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1500)).await;
            node.crash().await;
            let (file, whole) = files(node.dir.path())
                .into_iter()
                .find(|(_, bytes)| bytes.starts_with(b"REDIS") || bytes.starts_with(b"VALKEY"))
                .unwrap();
            let mut newer = whole.clone();
            newer[..9].copy_from_slice(b"REDIS0079");
            fs::write(&file, &newer).unwrap();
            let before = files(node.dir.path());
            let Err(OrderFailure::NoChild(said)) = node.order(ChildOrder::Spawn(Birth::Server)).await else {
                panic!("it started")
            };
            assert!(said.contains("was written by a newer engine (RDB version 79; this one, "), "{said}");
            assert!(said.ends_with("start that engine again; the files are whole"), "{said}");
            assert_eq!(files(node.dir.path()), before, "touched");
            fs::write(&file, &whole).unwrap();
            node.spawn(Birth::Server).await;
            assert!(node.look(Depth::Full).await.unwrap().has_data);
        }
        Some(())
    });
}

/// The real thing: one engine after another on the same directory.
#[test]
fn v7_f4_going_back_to_an_older_engine() {
    let Some(engines) = std::env::var_os("REDINIT_TEST_ENGINES").map(PathBuf::from) else {
        return super::skipped::say_skipped(
            "older::v7_f4_going_back_to_an_older_engine",
            "needs REDINIT_TEST_ENGINES, a directory with NAME/bin/NAME-server of several engines",
        );
    };
    let binary = |name: &str| {
        let kind = name.split('-').next().unwrap();
        engines.join(name).join("bin").join(format!("{kind}-server"))
    };
    run(async {
        for (newer, older, says) in [
            ("redis-8.6", "redis-7.0", "RDB version 13; this one, Redis 7.0."),
            ("valkey-9.1", "redis-8.6", "Valkey's RDB version 80; this one, Redis 8.6."),
            ("redis-8.6", "valkey-9.1", "RDB version 13; this one, Valkey 9.1."),
        ] {
            if !binary(newer).is_file() || !binary(older).is_file() {
                super::skipped::say_skipped(
                    "older::v7_f4_going_back_to_an_older_engine",
                    &format!("no {newer}, {older}"),
                );
                continue;
            }
            for words in [&SAVES[..], &APPENDS[..]] {
                println!("{newer} to {older}, {words:?}");
                let with = |settings: &mut redinit::config::settings::Settings, name: &str| {
                    settings.engine = EngineChoice::Path(binary(name));
                    settings.engine_args = words.iter().map(|word| (*word).to_owned()).collect();
                };
                let mut node = Node::server("127.93.6.1", |settings| with(settings, newer)).await?;
                let client = lead(&mut node).await;
                fill(&client, 100).await;
                say(&client, "SAVE").await.unwrap();
                node.crash().await;
                let before = files(node.dir.path());
                node.change(|settings| with(settings, older));
                let Err(OrderFailure::NoChild(said)) = node.order(ChildOrder::Spawn(Birth::Server)).await else {
                    panic!("{older} started with the files of {newer}")
                };
                assert!(said.contains(says) && said.contains("the files are whole"), "{said}");
                assert_eq!(files(node.dir.path()), before, "touched");
                node.change(|settings| with(settings, newer));
                node.spawn(Birth::Server).await;
                let client = lead(&mut node).await;
                assert_eq!(size(&client).await, 100);
            }
        }
        Some(())
    });
}
