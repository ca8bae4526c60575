//! Section 5: a Sentinel's supervisor. We stand at Sentinel 1.

use super::world::*;
use crate::core::action::{Monitor, SentinelOrder};
use crate::core::event::{ChildExit, Maintenance, SentinelReply, Wish};
use crate::core::id::{Epoch, SentinelId};
use crate::core::message::{PeerAnswer, PeerMessage};
use crate::core::rules::{Mode, Rules};
use crate::core::seen::ServerSeen;
use crate::core::sentinel_life::info_period;

fn sentinel_rules() -> Rules {
    let mut rules = rules();
    (rules.mode, rules.me) = (Mode::Sentinel, sen(1));
    rules
}

/// Our Sentinel is bare; the other two are silent; server 2 says what `so` makes it say.
fn bare_world(so: fn(&mut World)) -> World {
    let mut world = World::new(sentinel_rules(), None);
    world.sentinels.insert(sen(1), Ok(bare(1)));
    so(&mut world);
    world
}

/// What it was told to monitor: rewritten, ended and started anew.
fn monitors(world: &mut World) -> Option<Monitor> {
    world.rewritten_file().and_then(|file| file.monitor)
}

#[test]
fn whom_a_bare_sentinel_monitors() {
    type Row = (&'static str, fn(&mut World), Option<(u8, u64)>);
    let rows: [Row; 6] = [
        ("nobody knows anybody", |_| (), None),
        (
            "confirmed by the others",
            |world| {
                world.sentinels.insert(sen(2), Ok(sentinel(2, srv(2), 4)));
                world.sentinels.insert(sen(3), Ok(sentinel(3, srv(2), 4)));
                world.servers.insert(srv(2), Ok(server(2, master_role(&[]), 1)));
            },
            Some((2, 4)),
        ),
        (
            "the others name one that is down",
            |world| {
                world.sentinels.insert(sen(2), Ok(sentinel(2, srv(2), 4)));
                world.sentinels.insert(sen(3), Ok(sentinel(3, srv(2), 4)));
            },
            Some((2, 4)),
        ),
        (
            "one Sentinel names one that is down: at the highest epoch, contradicted by none",
            |world| {
                world.sentinels.insert(sen(2), Ok(sentinel(2, srv(2), 4)));
            },
            Some((2, 4)),
        ),
        (
            "a server says master, no Sentinel says otherwise",
            |world| {
                world.servers.insert(srv(2), Ok(server(2, master_role(&[]), 1)));
            },
            Some((2, 0)),
        ),
        (
            "two servers say master",
            |world| {
                world.servers.insert(srv(2), Ok(server(2, master_role(&[]), 1)));
                world.servers.insert(srv(3), Ok(server(3, master_role(&[]), 1)));
            },
            None,
        ),
    ];
    for (what, so, then) in rows {
        let mut world = bare_world(so);
        world.run(2_000);
        let then = then.map(|(n, epoch)| Monitor { master: srv(n), epoch: Epoch(epoch) });
        assert_eq!(monitors(&mut world), then, "{what}");
    }
}

#[test]
fn it_does_not_monitor_one_that_says_replica() {
    let mut world = bare_world(|world| {
        world.sentinels.insert(sen(2), Ok(sentinel(2, srv(2), 4)));
        world.servers.insert(srv(2), Ok(server(2, replica_role(srv(3)), 1)));
    });
    world.run(2_000);
    assert_eq!(monitors(&mut world), None, "its own word contradicts: it is asked first");
}

#[test]
fn it_does_not_monitor_what_the_first_of_two_says() {
    let mut world = bare_world(|world| {
        world.sentinels.insert(sen(2), Ok(sentinel(2, srv(2), 4)));
        world.sentinels.insert(sen(3), Ok(sentinel(3, srv(3), 4)));
    });
    world.run(2_000);
    assert_eq!(monitors(&mut world), None, "they differ at one epoch");
}

#[test]
fn it_does_not_monitor_a_named_one_that_a_server_contradicts() {
    let mut world = bare_world(|world| {
        world.servers.insert(srv(2), Ok(server(2, master_role(&[]), 1)));
        world.sentinels.insert(sen(3), Ok(sentinel(3, srv(3), 4)));
    });
    world.run(2_000);
    assert_eq!(monitors(&mut world), None, "server 2 says master");
}

#[test]
fn a_hint_must_have_said_master_twice_a_poll_apart() {
    let mut world = bare_world(|world| {
        world.servers.insert(srv(2), Ok(server(2, master_role(&[]), 1)));
    });
    let since = world.now;
    world.run(2_000);
    let at = world.ordered_at(is_terminate).expect("monitored");
    assert!(at.since(since) >= ms(250), "{:?}", at.since(since));
}

#[test]
fn a_state_file_s_epoch_counts_too() {
    // Section 5: rendered with the highest epoch in any state file or Sentinel, never a bare MONITOR at 0.
    let mut world = bare_world(|world| {
        world.servers.insert(srv(2), Ok(server(2, master_role(&[]), 1)));
        world.supervisors.insert(srv(2), Ok(supervisor(1)));
        world.supervisors.insert(srv(3), Err(SILENT));
        world.sentinels.insert(sen(2), Ok(bare(2)));
    });
    world.supervisors.insert(srv(2), Ok(supervisor(7)));
    world.run(2_000);
    assert_eq!(monitors(&mut world), Some(Monitor { master: srv(2), epoch: Epoch(7) }));
}

fn period() -> SentinelOrder {
    SentinelOrder::InfoPeriod(info_period(0))
}

#[test]
fn d1_sentinels_do_not_read_info_in_step() {
    let periods: Vec<_> = (0..5).map(info_period).collect();
    assert_eq!(periods, [2_500, 2_300, 2_100, 1_900, 1_700].map(ms));
    let mut world = bare_world(|world| world.healthy(srv(2), 1));
    world.sentinel(2).id = SentinelId::from("0 comes before");
    world.sentinel(3).id = SentinelId::from("00 as well");
    world.run(3_000);
    assert_eq!(world.sentinel_orders(SentinelOrder::InfoPeriod(ms(2_100))), vec![sen(1)]);
}

#[test]
fn the_info_period_is_set_once_after_every_start() {
    let mut world = bare_world(|world| world.healthy(srv(2), 1));
    world.run(3_000);
    assert_eq!(world.sentinel_orders(period()), vec![sen(1)]);
    let child = world.child.clone();
    world.child_exits(ChildExit::Signal(9), child);
    world.run(5_000);
    assert_eq!(world.sentinel_orders(period()).len(), 2);
}

/// A server's supervisor may have shortened it (M11).
#[test]
fn the_info_period_is_set_anew_for_another_master_and_each_minute() {
    let mut world = bare_world(|world| world.healthy(srv(2), 1));
    world.run(3_000);
    world.sentinel_says(Ok(SentinelReply::Ok));
    world.run(40_000);
    assert_eq!(world.sentinel_orders(period()).len(), 1);
    world.healthy(srv(3), 2);
    world.run(6_000);
    assert_eq!(world.sentinel_orders(period()).len(), 2, "another master");
    world.sentinel_says(Ok(SentinelReply::Ok));
    world.run(50_000);
    assert_eq!(world.sentinel_orders(period()).len(), 2);
    world.run(15_000);
    assert_eq!(world.sentinel_orders(period()).len(), 3, "a minute");
}

#[test]
fn an_info_period_whose_order_was_lost_is_set_again() {
    let mut world = bare_world(|world| world.healthy(srv(2), 1));
    world.run(3_000);
    world.sentinel_says(Err(SILENT));
    world.run(9_000);
    assert_eq!(world.sentinel_orders(period()).len(), 1, "not in a loop");
    world.run(2_000);
    assert_eq!(world.sentinel_orders(period()).len(), 2);
    world.sentinel_says(Ok(SentinelReply::Ok));
    world.run(12_000);
    assert_eq!(world.sentinel_orders(period()).len(), 2, "it was heard");
}

#[test]
fn f5_alone_with_another_master_it_joins_the_majority() {
    type Row = (&'static str, fn(&mut World), bool);
    let rows: [Row; 4] = [
        ("ours names one that is no master", |_| (), true),
        ("ours leads a failover (F4)", |world| world.sentinel(1).master.as_mut().unwrap().failover = true, false),
        (
            "ours names one that says master too",
            |world| {
                world.servers.insert(srv(3), Ok(server(3, master_role(&[]), 1)));
            },
            false,
        ),
        ("ours is at a higher epoch", |world| world.sentinel(1).master.as_mut().unwrap().epoch = Epoch(9), false),
    ];
    for (what, so, joins) in rows {
        let mut world = bare_world(|world| world.healthy(srv(2), 4));
        world.sentinels.insert(sen(1), Ok(sentinel(1, srv(3), 4)));
        so(&mut world);
        world.run(3_500);
        assert!(!world.ordered(is_terminate), "{what}: a hello takes 2 s");
        world.run(4_000);
        assert_eq!(monitors(&mut world).map(|m| m.master), joins.then_some(srv(2)), "{what}");
    }
}

#[test]
fn in_maintenance_its_file_is_left_alone() {
    let mut world = bare_world(|world| {
        world.servers.insert(srv(2), Ok(server(2, master_role(&[]), 1)));
    });
    world.run(100);
    world.wish(Wish::Maintenance(Maintenance::On));
    world.forget();
    world.run(5_000);
    assert!(!world.ordered(is_terminate));
}

#[test]
fn it_never_asks_for_a_failover_nor_resets_nor_leads() {
    let mut world = bare_world(|world| world.healthy(srv(2), 1));
    world.run(2_000);
    world.lose(srv(2), REFUSED);
    world.each_row(|row| (row.s_down, row.o_down) = (true, true));
    world.propose(1, srv(3));
    world.run(30_000);
    assert!(world.failovers().is_empty() && world.sentinel_orders(SentinelOrder::Reset).is_empty());
    assert!(!world.ordered(is_lead) && !world.ordered(is_follow));
}

#[test]
fn g4_ready_with_a_master_and_ckquorum() {
    let mut world = bare_world(|_| ());
    world.run(1_000);
    let status = world.core.status();
    assert!(!status.probes.ready.is_yes() && status.probes.live.is_yes(), "bare");
    let mut world = bare_world(|world| world.healthy(srv(2), 1));
    world.run(1_000);
    assert!(world.core.status().probes.ready.is_yes());
    world.sentinel(1).rows.as_mut().unwrap().quorum_ok = false;
    world.run(2_000);
    assert!(!world.core.status().probes.ready.is_yes());
}

#[test]
fn m18_a_services_address_is_never_monitored() {
    // (what is seen of server 9, which the name resolves to, monitored): a gated master, and no supervisor at that address.
    type Row = (&'static str, fn(&mut World), bool);
    let rows: [Row; 5] = [
        ("nobody follows it there", |_| (), false),
        (
            "the same, and the name cannot be looked up for a moment",
            |w| {
                w.run(900);
                w.names.servers = None;
            },
            false,
        ),
        (
            "its supervisor answers there",
            |w| {
                w.supervisors.insert(srv(9), Ok(supervisor(0)));
            },
            true,
        ),
        (
            "a replica follows it there",
            |w| drop(w.servers.insert(srv(3), Ok(server(3, replica_role(srv(9)), 1)))),
            true,
        ),
        (
            "no supervisor gates it",
            |w| w.servers.get_mut(&srv(9)).unwrap().as_mut().unwrap().supervised = Some(false),
            true,
        ),
    ];
    for (what, so, monitored) in rows {
        let mut world = bare_world(|world| {
            world.names.servers = Some(vec![srv(9)]);
            let gated = ServerSeen { supervised: Some(true), ..server(9, master_role(&[srv(3)]), 1) };
            world.servers.insert(srv(9), Ok(gated));
        });
        so(&mut world);
        world.run(5_000);
        assert_eq!(world.ordered(is_terminate), monitored, "{what}");
    }
}

#[test]
fn it_answers_no_to_every_supervisor() {
    let mut world = bare_world(|world| world.healthy(srv(2), 1));
    world.run(1_000);
    for message in [
        PeerMessage::AskLed { attempt: "x".into() },
        PeerMessage::Quicken { lasting: ms(100) },
        PeerMessage::Lead { coordinator: srv(2), attempt: "x".into() },
        PeerMessage::Report(Box::new(report(2, 1))),
    ] {
        assert_eq!(world.ask(srv(2), message.clone()), PeerAnswer::NoServer, "{message:?}");
    }
}
