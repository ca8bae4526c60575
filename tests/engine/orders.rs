//! Orders and looks.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use redinit::core::action::{Birth, ChildOrder, Depth, Expecting};
use redinit::core::event::{ChildExit, Done, OrderFailure};
use redinit::core::id::{Address, Offset};
use redinit::core::rules::Mode;
use redinit::core::seen::{ChildFailure, Link, RoleSeen};

use super::node::{Node, refusal, run, say};

#[test]
fn a_child_is_born_a_replica_of_nobody_with_its_door_shut_and_behind_the_gate() {
    run(async {
        let mut node = Node::server("127.91.1.1", |_| ()).await?;
        let seen = node.look(Depth::Full).await.unwrap();
        assert_eq!(seen.role, RoleSeen::Replica { master: None, link: Link::Down });
        assert_eq!((seen.loading, seen.has_data, seen.aof, seen.cannot_save), (None, false, false, false));
        assert!(node.client(None).await.is_err(), "the door is open");
        node.ok(ChildOrder::OpenDoor).await;
        for client in [node.client(None).await.unwrap(), node.as_sentinel().await] {
            for order in ["SLAVEOF NO ONE", "REPLICAOF NO ONE", "FAILOVER", "REPLICAOF 127.91.1.9 6379"] {
                assert!(refusal(say(&client, order).await).contains("permissions"), "{order}");
            }
        }
        let sentinel = node.as_sentinel().await;
        say(&sentinel, "MULTI").await.unwrap();
        assert!(say(&sentinel, "SLAVEOF NO ONE").await.is_err());
        say(&sentinel, "CONFIG REWRITE").await.unwrap();
        assert!(refusal(say(&sentinel, "EXEC").await).contains("discarded"), "its MULTI is aborted whole");
        assert!(say(&sentinel, "GET a").await.is_err() && say(&sentinel, "CONFIG GET *").await.is_err());
        say(&sentinel, "INFO").await.unwrap();
        node.ok(ChildOrder::ShutDoor).await;
        assert!(node.client(None).await.is_err());
        for file in std::fs::read_dir(node.dir.path()).unwrap() {
            let file = file.unwrap();
            if file.file_name().to_str().unwrap().ends_with(".conf") {
                assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            }
        }
        Some(())
    });
}

#[test]
fn a_master_is_born_fenced_and_unfenced_to_the_users_own_value() {
    run(async {
        let mut node = Node::server("127.91.2.1", |_| ()).await?;
        let Done::At { history, .. } = node.ok(ChildOrder::Lead).await else { panic!("no offset") };
        assert_eq!(history.0.len(), 40);
        node.ok(ChildOrder::OpenDoor).await;
        let client = node.client(None).await.unwrap();
        assert!(refusal(say(&client, "SET a 1").await).contains("NOREPLICAS"));
        node.ok(ChildOrder::Unfence).await;
        say(&client, "SET a 1").await.unwrap();
        // Set while unfenced: that is the value to come back to.
        say(&client, "CONFIG SET min-replicas-to-write 3").await.unwrap();
        node.ok(ChildOrder::Fence).await;
        node.ok(ChildOrder::Fence).await;
        node.ok(ChildOrder::Unfence).await;
        let value = say(&client, "CONFIG GET min-replicas-to-write").await.unwrap();
        assert!(format!("{value:?}").contains("'3'") || format!("{value:?}").contains("\"3\""), "{value:?}");
        let seen = node.look(Depth::Full).await.unwrap();
        assert!(seen.role.is_master() && seen.has_data && seen.history.id == history);
        Some(())
    });
}

#[test]
fn a_release_pauses_and_fences_at_an_offset_and_can_be_taken_back() {
    run(async {
        let mut node = Node::server("127.91.3.1", |_| ()).await?;
        let pause = ChildOrder::Release { pause: Duration::from_secs(2) };
        assert_eq!(node.order(pause.clone()).await, Err(OrderFailure::OtherRole));
        node.ok(ChildOrder::LeadAlone).await;
        node.ok(ChildOrder::OpenDoor).await;
        let client = node.client(None).await.unwrap();
        say(&client, "SET a 1").await.unwrap();
        let Done::At { offset, .. } = node.ok(pause.clone()).await else { panic!("no offset") };
        let publisher = node.client(None).await.unwrap();
        let waiting = tokio::spawn(async move { say(&publisher, "PUBLISH b 1").await });
        tokio::time::sleep(Duration::from_millis(100)).await;
        // The engine looks at the fence first: writers get an error at once, what the fence does not cover is paused.
        assert!(!waiting.is_finished(), "paused");
        assert!(refusal(say(&client, "SET b 1").await).contains("NOREPLICAS"));
        assert_eq!(node.look(Depth::Glance).await.unwrap().history.offset, offset);
        node.ok(ChildOrder::TakeBack).await;
        waiting.await.unwrap().unwrap();
        // A pause that ends by itself lands on the fence (M10).
        node.ok(ChildOrder::Release { pause: Duration::from_millis(200) }).await;
        assert!(refusal(say(&client, "SET c 1").await).contains("NOREPLICAS"));
        Some(())
    });
}

#[test]
fn h1_follow_is_a_compare_and_set_and_i1_a_demotion_sends_clients_away() {
    run(async {
        let mut old = Node::server("127.91.4.1", |_| ()).await?;
        let mut new = Node::server("127.91.4.2", |_| ()).await?;
        new.ok(ChildOrder::LeadAlone).await;
        new.ok(ChildOrder::OpenDoor).await;
        old.ok(ChildOrder::LeadAlone).await;
        old.ok(ChildOrder::OpenDoor).await;
        let client = old.client(None).await.unwrap();
        say(&client, "SET a 1").await.unwrap();
        let follow = |expecting| ChildOrder::Follow { master: Address::parse("127.91.4.2", 6379).unwrap(), expecting };
        assert_eq!(old.order(follow(Expecting::Replica)).await, Err(OrderFailure::OtherRole));
        let itself = ChildOrder::Follow { master: old.me(), expecting: Expecting::Anything };
        assert!(matches!(old.order(itself).await, Err(OrderFailure::Refused(_))));
        old.ok(follow(Expecting::Master)).await;
        assert!(say(&client, "PING").await.is_err(), "its clients were sent away");
        let seen = old.until(|seen| matches!(seen.role, RoleSeen::Replica { link: Link::Up, .. })).await;
        assert_eq!(seen.role.master(), Some(new.me()));
        assert!(seen.link_idle.is_some() && !seen.has_data);
        let RoleSeen::Master { replicas } = new.look(Depth::Full).await.unwrap().role else { panic!("a master") };
        assert_eq!(replicas[0].address, old.me());
        // Done already: no error, whatever was expected.
        old.ok(follow(Expecting::Master)).await;
        // A cut link comes back at once (facts, section 12).
        old.ok(ChildOrder::CutLink).await;
        old.until(|seen| matches!(seen.role, RoleSeen::Replica { link: Link::Up, .. })).await;
        // One that stands is not given up.
        old.ok(ChildOrder::Reconnect { master: new.me() }).await;
        let seen = old.look(Depth::Full).await.unwrap();
        assert!(matches!(seen.role, RoleSeen::Replica { link: Link::Up, .. }), "{:?}", seen.role);
        Some(())
    });
}

#[test]
fn a_handover_keeps_paused_clients_until_they_are_dismissed() {
    run(async {
        let mut old = Node::server("127.91.5.1", |_| ()).await?;
        let mut new = Node::server("127.91.5.2", |_| ()).await?;
        old.ok(ChildOrder::LeadAlone).await;
        old.ok(ChildOrder::OpenDoor).await;
        new.ok(ChildOrder::OpenDoor).await;
        new.ok(ChildOrder::Follow { master: old.me(), expecting: Expecting::Replica }).await;
        let client = old.client(None).await.unwrap();
        say(&client, "SET a 1").await.unwrap();
        new.until(|seen| seen.has_data).await;
        let Done::At { offset, history } = old.ok(ChildOrder::Release { pause: Duration::from_secs(4) }).await else {
            panic!("no offset")
        };
        new.until(|seen| seen.history.offset >= offset && seen.history.id == history).await;
        let waiting = tokio::spawn({
            let client = client.clone();
            async move { say(&client, "PUBLISH b 1").await }
        });
        let Done::At { offset: led, .. } = new.ok(ChildOrder::Lead).await else { panic!("no offset") };
        assert!(led >= offset);
        old.ok(ChildOrder::Follow { master: new.me(), expecting: Expecting::Master }).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!waiting.is_finished(), "still paused");
        old.ok(ChildOrder::Dismiss).await;
        assert!(waiting.await.unwrap().unwrap_err().is_connection_dropped(), "sent away");
        old.until(|seen| seen.role.master() == Some(new.settings.announce_ip).map(|ip| Address::new(ip, 6379))).await;
        assert!(new.look(Depth::Full).await.unwrap().history.second.is_some());
        Some(())
    });
}

#[test]
fn a_quickening_refuses_info_to_sentinel_and_ends_by_itself() {
    run(async {
        let mut node = Node::server("127.91.6.1", |_| ()).await?;
        node.ok(ChildOrder::OpenDoor).await;
        let sentinel = node.as_sentinel().await;
        node.ok(ChildOrder::Quicken).await;
        assert!(refusal(say(&sentinel, "INFO").await).contains("permissions"));
        say(&node.client(None).await.unwrap(), "INFO").await.unwrap();
        node.ok(ChildOrder::Unquicken).await;
        say(&sentinel, "INFO").await.unwrap();
        node.ok(ChildOrder::Quicken).await;
        let begun = Instant::now();
        while say(&sentinel, "INFO").await.is_err() {
            assert!(begun.elapsed() < Duration::from_secs(5), "it does not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(begun.elapsed() > Duration::from_millis(2500), "{:?}", begun.elapsed());
        Some(())
    });
}

#[test]
fn a_cut_connection_is_made_anew_and_a_frozen_child_is_silence_in_time() {
    run(async {
        let mut node = Node::server("127.91.7.1", |_| ()).await?;
        node.ok(ChildOrder::OpenDoor).await;
        let client = node.client(None).await.unwrap();
        for _ in 0..3 {
            say(&client, "CLIENT KILL TYPE normal SKIPME yes").await.unwrap();
            node.look(Depth::Glance).await.unwrap();
            node.ok(ChildOrder::Priority(Some(0))).await;
        }
        node.ok(ChildOrder::Priority(None)).await;
        kill(Pid::from_raw(node.pid), Signal::SIGSTOP).unwrap();
        let asked = Instant::now();
        assert_eq!(node.look(Depth::Full).await, Err(ChildFailure::Silent));
        assert!(asked.elapsed() < Duration::from_millis(450), "{:?}", asked.elapsed());
        let asked = Instant::now();
        assert_eq!(node.order(ChildOrder::Lead).await, Err(OrderFailure::Unknown));
        assert_eq!(node.order(ChildOrder::Fence).await, Err(OrderFailure::Unknown));
        assert!(asked.elapsed() < Duration::from_millis(1800), "{:?}", asked.elapsed());
        kill(Pid::from_raw(node.pid), Signal::SIGCONT).unwrap();
        node.until(|_| true).await;
        node.ok(ChildOrder::Fence).await;
        Some(())
    });
}

#[test]
fn g7_a_busy_script_is_life_and_can_be_killed() {
    run(async {
        let mut node = Node::server("127.91.8.1", |settings| {
            settings.engine_args.extend(["--lua-time-limit".into(), "100".into()]);
        })
        .await?;
        node.ok(ChildOrder::LeadAlone).await;
        node.ok(ChildOrder::OpenDoor).await;
        let client = node.client(None).await.unwrap();
        let busy = tokio::spawn(async move {
            let mut eval = redis::cmd("EVAL");
            eval.arg("while true do end").arg(0).query_async::<redis::Value>(&mut client.clone()).await
        });
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(node.look(Depth::Full).await, Err(ChildFailure::Busy));
        assert!(matches!(node.order(ChildOrder::Fence).await, Err(OrderFailure::Refused(_))));
        node.ok(ChildOrder::KillScript).await;
        node.until(|_| true).await;
        assert!(busy.await.unwrap().is_err());
        assert!(matches!(node.order(ChildOrder::KillScript).await, Err(OrderFailure::Refused(_))), "nothing runs");
        Some(())
    });
}

#[test]
fn a_child_that_lost_our_user_is_told_from_one_that_is_full() {
    run(async {
        let mut node = Node::server("127.91.15.1", |_| ()).await?;
        node.ok(ChildOrder::LeadAlone).await;
        node.ok(ChildOrder::OpenDoor).await;
        let client = node.client(None).await.unwrap();
        say(&client, "CONFIG SET maxclients 1").await.unwrap();
        say(&client, "CLIENT KILL TYPE normal SKIPME yes").await.unwrap();
        assert_eq!(node.look(Depth::Full).await, Err(ChildFailure::Refuses));
        say(&client, "CONFIG SET maxclients 100").await.unwrap();
        node.until(|_| true).await;
        say(&client, "ACL DELUSER redinit").await.unwrap();
        assert_eq!(node.look(Depth::Full).await, Err(ChildFailure::LockedOut));
        // A signal still reaches it.
        node.ok(ChildOrder::Terminate).await;
        assert_eq!(node.exit().await, ChildExit::Code(0));
        Some(())
    });
}

#[test]
fn what_would_be_discarded_is_kept_in_a_rollback_file() {
    run(async {
        let mut node = Node::server("127.91.9.1", |_| ()).await?;
        node.ok(ChildOrder::LeadAlone).await;
        node.ok(ChildOrder::OpenDoor).await;
        say(&node.client(None).await.unwrap(), "SET diverged 1").await.unwrap();
        let Done::Kept { file, bytes } = node.ok(ChildOrder::Keep).await else { panic!("not kept") };
        assert!(file.contains("rollback-") && bytes > 0);
        let content = std::fs::read(&file).unwrap();
        assert!(content.windows(8).any(|part| part == b"diverged"));
        Some(())
    });
}

#[test]
fn children_end_as_they_are_told_and_a_new_one_knows_a_new_password() {
    run(async {
        let mut node = Node::server("127.91.10.1", |_| ()).await?;
        let file = node.dir.path().join("redinit-server.conf");
        let ours = |text: String| text.lines().find(|line| line.starts_with("user redinit ")).unwrap().to_owned();
        let first = ours(std::fs::read_to_string(&file).unwrap());
        node.ok(ChildOrder::Terminate).await;
        assert_eq!(node.exit().await, ChildExit::Code(0));
        assert_eq!(node.look(Depth::Full).await, Err(ChildFailure::NotListening));
        assert!(matches!(node.order(ChildOrder::Terminate).await, Err(OrderFailure::NoChild(_))));
        node.spawn(Birth::Server).await;
        assert_ne!(ours(std::fs::read_to_string(&file).unwrap()), first);
        node.ok(ChildOrder::ShutdownNow).await;
        assert_eq!(node.exit().await, ChildExit::Code(0));
        node.spawn(Birth::Server).await;
        kill(Pid::from_raw(node.pid), Signal::SIGSTOP).unwrap();
        node.ok(ChildOrder::Kill).await;
        assert_eq!(node.exit().await, ChildExit::Signal(9));
        node.ok(ChildOrder::KillRest).await;
        Some(())
    });
}

#[test]
fn a_restart_keeps_history_and_offset_with_an_rdb() {
    run(async {
        let mut node = Node::server("127.91.11.1", |settings| settings.engine_args.clear()).await?;
        let mut replica = Node::server("127.91.11.2", |_| ()).await?;
        node.ok(ChildOrder::LeadAlone).await;
        node.ok(ChildOrder::OpenDoor).await;
        replica.ok(ChildOrder::Follow { master: node.me(), expecting: Expecting::Replica }).await;
        replica.until(|seen| matches!(seen.role, RoleSeen::Replica { link: Link::Up, .. })).await;
        say(&node.client(None).await.unwrap(), "SET a 1").await.unwrap();
        replica.until(|seen| seen.has_data).await;
        let before = node.look(Depth::Full).await.unwrap().history;
        assert!(before.offset > Offset(0));
        node.ok(ChildOrder::Terminate).await;
        node.exit().await;
        node.spawn(Birth::Server).await;
        let after = node.until(|seen| seen.has_data).await.history;
        assert!(before.related(&after) && after.offset >= before.offset, "{before:?} {after:?}");
        Some(())
    });
}

#[test]
fn g1_k4_a_loading_child_is_alive_refuses_to_follow_and_stops_at_once() {
    run(async {
        let mut node = Node::new(Mode::Server, "127.91.12.1", |settings| {
            settings.engine_args =
                ["--save", "3600 1", "--loading-process-events-interval-bytes", "1024"].map(str::to_owned).to_vec();
        })?;
        node.spawn(Birth::Server).await;
        node.ok(ChildOrder::LeadAlone).await;
        node.ok(ChildOrder::OpenDoor).await;
        let client = node.client(None).await.unwrap();
        for key in 0..2000 {
            say(&client, &format!("SET key:{key} {key}")).await.unwrap();
        }
        node.ok(ChildOrder::Terminate).await;
        node.exit().await;
        // Slow loading, as with 20 GB: 1 ms a key.
        let own = node.dir.path().join("slow.conf");
        std::fs::write(&own, "key-load-delay 1000\n").unwrap();
        node.add_argument(own.to_str().unwrap());
        node.start(Birth::Server).await;
        let seen = node.until(|seen| seen.loading.is_some()).await;
        assert!(!seen.role.is_master());
        let other = Address::parse("127.91.12.2", 6379).unwrap();
        let follow = ChildOrder::Follow { master: other, expecting: Expecting::Replica };
        let refused = node.order(follow).await;
        assert!(matches!(&refused, Err(OrderFailure::Refused(reason)) if reason.contains("loading")), "{refused:?}");
        let asked = Instant::now();
        node.ok(ChildOrder::Terminate).await;
        node.exit().await;
        assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
        Some(())
    });
}

#[test]
fn a_failing_save_is_seen() {
    run(async {
        let mut node = Node::server("127.91.13.1", |settings| {
            settings.engine_args = ["--save", "3600 1"].map(str::to_owned).to_vec();
        })
        .await?;
        node.ok(ChildOrder::LeadAlone).await;
        node.ok(ChildOrder::OpenDoor).await;
        let client = node.client(None).await.unwrap();
        say(&client, "SET a 1").await.unwrap();
        // A directory in the file's place: the rename at the end of the save fails.
        std::fs::create_dir(node.dir.path().join("dump.rdb")).unwrap();
        assert!(matches!(node.order(ChildOrder::Keep).await, Err(OrderFailure::Refused(_))));
        assert!(node.look(Depth::Full).await.unwrap().cannot_save);
        assert!(refusal(say(&client, "SET a 2").await).contains("MISCONF"));
        say(&client, "CONFIG SET stop-writes-on-bgsave-error no").await.unwrap();
        assert!(!node.look(Depth::Full).await.unwrap().cannot_save);
        node.ok(ChildOrder::ShutdownNow).await;
        assert_eq!(node.exit().await, ChildExit::Code(0));
        Some(())
    });
}

#[test]
fn a_kill_does_not_wait_for_a_slow_order() {
    run(async {
        let mut node = Node::server("127.91.14.1", |_| ()).await?;
        kill(Pid::from_raw(node.pid), Signal::SIGSTOP).unwrap();
        let asked = Instant::now();
        for id in 900..920 {
            node.driver.order(redinit::core::id::OrderId(id), ChildOrder::Fence);
        }
        node.ok(ChildOrder::Kill).await;
        assert_eq!(node.exit().await, ChildExit::Signal(9));
        assert!(asked.elapsed() < Duration::from_millis(900), "{:?}", asked.elapsed());
        Some(())
    });
}
