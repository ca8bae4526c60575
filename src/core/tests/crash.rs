//! The child crashes while its supervisor lives; and a supervisor that starts and is named master (section 4).

use super::world::*;
use crate::core::action::{ChildOrder, Exit};
use crate::core::course::Fenced;
use crate::core::event::{ChildExit, Event, Maintenance, Names, SentinelReply, Wish};
use crate::core::evidence::Evidence;
use crate::core::id::{Epoch, Offset};
use crate::core::in_place::forbids_in_place;
use crate::core::message::{PeerAnswer, PeerMessage};
use crate::core::moment::Moment;
use crate::core::record::RecordedRole;
use crate::core::seen::{Appended, ChildFailure, ChildSeen, Link, RoleSeen};

const T: Moment = Moment::millis(10_000);

/// Loaded from its append-only file: a new id, and nothing of an offset.
pub(super) fn reborn() -> ChildSeen {
    let mut seen = child(RoleSeen::Replica { master: None, link: Link::Down }, 0);
    seen.history.id = "loaded".into();
    seen
}

fn loading() -> ChildSeen {
    let mut seen = reborn();
    seen.loading = Some(ms(60_000));
    seen
}

fn consents(_: crate::core::id::Address, message: &PeerMessage) -> Option<PeerAnswer> {
    matches!(message, PeerMessage::Consent { .. }).then_some(PeerAnswer::Consented)
}

/// One line of what forbids a restart in place.
struct Row {
    name: &'static str,
    so: fn(&mut Evidence),
    trustworthy: bool,
    allowed: bool,
}

fn note(evidence: &mut Evidence, n: u8, change: fn(&mut crate::core::seen::MasterRow)) {
    let mut says = sentinel(n, srv(1), 1);
    change(says.master.as_mut().unwrap());
    evidence.note_sentinel(sen(n), T, Ok(says), srv(1), T);
}

#[test]
fn what_forbids_a_restart_in_place() {
    let rows = [
        Row { name: "nothing does", so: |_| (), trustworthy: true, allowed: true },
        Row { name: "data that cannot be trusted", so: |_| (), trustworthy: false, allowed: false },
        Row {
            name: "no majority names us",
            so: |evidence| {
                evidence.note_sentinel(sen(1), T, Err(SILENT), srv(1), T);
                evidence.note_sentinel(sen(2), T, Err(SILENT), srv(1), T);
            },
            trustworthy: true,
            allowed: false,
        },
        Row {
            name: "D3: a majority names another",
            so: |evidence| {
                for n in 1..=2 {
                    evidence.note_sentinel(sen(n), T, Ok(sentinel(n, srv(2), 2)), srv(1), T);
                }
            },
            trustworthy: true,
            allowed: false,
        },
        Row {
            name: "one shows s_down",
            so: |e| note(e, 3, |row| row.s_down = true),
            trustworthy: true,
            allowed: false,
        },
        Row {
            name: "one shows o_down",
            so: |e| note(e, 3, |row| row.o_down = true),
            trustworthy: true,
            allowed: false,
        },
        Row {
            name: "one leads a failover",
            so: |e| note(e, 3, |row| row.failover = true),
            trustworthy: true,
            allowed: false,
        },
        Row {
            name: "one has not heard us for down-after - 2 s",
            so: |e| note(e, 3, |row| row.last_ok_ping = ms(3_000)),
            trustworthy: true,
            allowed: false,
        },
        Row {
            name: "all have heard us just in time",
            so: |e| note(e, 3, |row| row.last_ok_ping = ms(2_999)),
            trustworthy: true,
            allowed: true,
        },
        Row {
            name: "another says master",
            so: |evidence| evidence.note_server(srv(2), T, Ok(server(2, master_role(&[]), 1)), None, T),
            trustworthy: true,
            allowed: false,
        },
        Row {
            name: "one Sentinel is silent, two are fine",
            so: |evidence| evidence.note_sentinel(sen(3), T, Err(SILENT), srv(1), T),
            trustworthy: true,
            allowed: true,
        },
    ];
    for row in rows {
        let rules = rules();
        let mut evidence = Evidence::new(&rules, None, T);
        let names = Names { sentinels: Some((1..=3).map(sen).collect()), servers: Some((2..=3).map(srv).collect()) };
        evidence.note_names(&names, &rules, T);
        for n in 1..=3 {
            note(&mut evidence, n, |_| ());
        }
        for n in 2..=3 {
            evidence.note_server(srv(n), T, Ok(server(n, replica_role(srv(1)), 1)), None, T);
        }
        (row.so)(&mut evidence);
        let why = forbids_in_place(&evidence, &rules, row.trustworthy, T);
        assert_eq!(why.is_none(), row.allowed, "{}: {why:?}", row.name);
    }
}

#[test]
fn the_child_is_back_at_once_and_leads_in_place_by_consent() {
    let mut world = World::master();
    world.peers = consents;
    world.child_exits(ChildExit::Signal(9), Ok(reborn()));
    assert!(world.ordered(|order| matches!(order, ChildOrder::KillRest)), "P31");
    world.run(600);
    assert!(world.leads(), "{:?}", world.orders());
    assert_eq!(world.messages(asks_consent).len(), 2, "of every other server");
    let (spawn, lead) = (world.ordered_at(is_spawn), world.ordered_at(is_lead));
    assert!(spawn < lead);
    assert!(world.failovers().is_empty());
}

#[test]
fn d3_its_first_write_may_be_younger_than_its_last_look() {
    let mut world = World::master();
    world.peers = consents;
    world.child.as_mut().unwrap().has_data = false;
    world.run(1_500);
    world.child_exits(ChildExit::Signal(9), Ok(reborn()));
    world.run(700);
    assert!(world.leads(), "{}", world.core.status().reason);
}

#[test]
fn in_place_it_is_born_fenced_and_behind_a_shut_door() {
    let mut world = World::master();
    world.peers = consents;
    world.holds = |order| is_lead(order);
    world.child_exits(ChildExit::Signal(9), Ok(reborn()));
    world.run(600);
    assert!(!world.ordered(|order| matches!(order, ChildOrder::OpenDoor)), "invariant 2");
    assert!(!world.core.status().probes.master.is_yes());
    world.each_row(|row| row.failover = true);
    world.run(600);
    world.let_go(is_lead);
    assert_eq!(world.fence(), Some(Fenced::Born));
}

#[test]
fn in_place_only_where_all_that_answer_agree() {
    let rows: [(&str, Option<PeerAnswer>, bool); 4] = [
        ("all consent", Some(PeerAnswer::Consented), true),
        ("one refuses", Some(PeerAnswer::No { reason: "no".into() }), false),
        ("M8: one holds more", Some(PeerAnswer::HoldMore { offset: Offset(2000) }), false),
        ("one is silent: not a no", None, true),
    ];
    for (what, of_three, leads) in rows {
        let mut world = World::master();
        world.child_exits(ChildExit::Signal(9), Ok(reborn()));
        world.run(60);
        world.answer(srv(2), asks_consent, Ok(PeerAnswer::Consented));
        match &of_three {
            Some(answer) => world.answer(srv(3), asks_consent, Ok(answer.clone())),
            None => world.answer(srv(3), asks_consent, Err(SILENT)),
        }
        world.run(400);
        assert_eq!(world.ordered(is_lead), leads, "{what}");
        assert_eq!(!world.failovers().is_empty(), !leads, "{what}: else somebody else shall lead");
    }
}

#[test]
fn d1_d2_it_does_not_lead_with_data_gone_or_older() {
    let rows: [(&str, fn(&mut ChildSeen)); 2] =
        [("D1: an empty directory", |seen| seen.has_data = false), ("D2: RDB only", |seen| seen.aof = false)];
    for (what, so) in rows {
        let mut world = World::master();
        world.peers = consents;
        let mut next = reborn();
        so(&mut next);
        world.child_exits(ChildExit::Signal(9), Ok(next));
        world.run(3_000);
        assert!(!world.ordered(is_lead), "{what}");
        assert!(!world.failovers().is_empty(), "{what}: a failover at once");
        assert!(!world.ordered(|order| matches!(order, ChildOrder::OpenDoor)), "{what}: the door stays shut");
        assert!(!world.ordered(is_follow), "{what}: never a replica of who does not say master");
        let (_, message) = world.release_message(srv(2), 1);
        assert_eq!(world.ask(srv(2), message), PeerAnswer::ChildGone, "{what}");
    }
}

#[test]
fn d3_it_does_not_lead_with_a_file_that_lacks_what_a_replica_got() {
    // (what the replica got since the last look at the master, what the file grew by)
    let rows = [(5000, 5000, true), (5000, 4100, true), (0, 0, true), (5000, 0, false), (5000, 4000, false)];
    // V2: whatever the engine takes for its offset after the load: 0, or of its own reckoning, too little or too much (Redis 8).
    let reckoned = [0, 916, 2_384, 9_000];
    for ((got, grew, leads), offset) in rows.into_iter().flat_map(|row| reckoned.map(|offset| (row, offset))) {
        let mut world = World::master();
        world.peers = consents;
        let appended = |offset, bytes| Some(Appended { offset: Offset(offset), bytes });
        if let Ok(seen) = &mut world.child {
            seen.appended = appended(1000, 70_000);
        }
        world.run(3_000);
        let of_us = replica_role(srv(1));
        world.servers.insert(srv(2), Ok(server(2, of_us.clone(), 1000)));
        world.servers.insert(srv(3), Ok(server(3, of_us, 1000 + got)));
        let mut next = ChildSeen { appended: appended(offset, 70_000 + grew), ..reborn() };
        next.history.offset = Offset(offset);
        world.child_exits(ChildExit::Signal(9), Ok(next));
        world.run(600);
        let what = format!("a replica got {got}, the file grew by {grew}, the engine says {offset}");
        assert_eq!(world.ordered(is_lead), leads, "{what}");
        assert_eq!(world.failovers().is_empty(), leads, "else it shall lead");
    }
}

#[test]
fn m7_it_loads_too_long_and_the_door_stays_shut() {
    let mut world = World::master();
    world.peers = consents;
    world.child_exits(ChildExit::Signal(9), Ok(loading()));
    world.run(2_500);
    assert!(world.failovers().is_empty(), "it may come back in time");
    world.run(1_000);
    assert!(!world.failovers().is_empty(), "down-after - 2 s are over");
    world.child = Ok(reborn());
    world.run(2_000);
    assert!(!world.ordered(is_lead));
    assert!(!world.ordered(|order| matches!(order, ChildOrder::OpenDoor)));
}

#[test]
fn what_it_answers_to_a_release_meanwhile() {
    // Restarting, not loaded: no. Decided for another: child gone, lead.
    let mut world = World::master();
    world.child_exits(ChildExit::Signal(9), Ok(loading()));
    world.run(300);
    let (_, message) = world.release_message(srv(2), 1);
    let answer = world.ask(srv(2), message);
    assert!(is_no(&answer) || answer == PeerAnswer::ChildGone, "{answer:?}");
    world.run(4_000);
    let (_, message) = world.release_message(srv(2), 1);
    assert_eq!(world.ask(srv(2), message), PeerAnswer::ChildGone);
}

#[test]
fn child_gone_lead_and_no_restart_in_place_for_two_seconds() {
    let mut world = World::new(rules(), recovered(record(RecordedRole::Master, Some(srv(1)))));
    world.healthy(srv(1), 1);
    world.peers = consents;
    world.child = Ok(loading());
    world.run(500);
    let (_, message) = world.release_message(srv(2), 1);
    let answer = world.ask(srv(2), message);
    world.child = Ok(reborn());
    world.run(1_900);
    if answer == PeerAnswer::ChildGone {
        assert!(!world.ordered(is_lead), "it told somebody to lead");
    } else {
        assert!(is_no(&answer), "{answer:?}");
    }
}

#[test]
fn it_joins_whom_the_sentinels_named_meanwhile() {
    let mut world = World::master();
    world.peers =
        |_, message| matches!(message, PeerMessage::Consent { .. }).then_some(PeerAnswer::No { reason: "no".into() });
    world.child_exits(ChildExit::Signal(9), Ok(reborn()));
    world.run(1_000);
    world.healthy(srv(2), 2);
    world.run(1_000);
    assert_eq!(world.following(), Some(srv(2)));
    assert!(!world.ordered(is_lead));
}

// A supervisor that starts and is named.

fn started(peers: fn(crate::core::id::Address, &PeerMessage) -> Option<PeerAnswer>) -> World {
    let mut world = World::new(rules(), recovered(record(RecordedRole::Master, Some(srv(1)))));
    world.healthy(srv(1), 1);
    world.peers = peers;
    world.child = Ok(reborn());
    world
}

#[test]
fn a2_named_while_starting_it_leads_by_consent_of_a_majority() {
    let mut world = started(consents);
    world.run(1_500);
    assert!(world.leads());
}

#[test]
fn a2_named_while_starting_it_joins_without_a_majority() {
    let mut world = started(|_, _| None);
    world.lose(srv(2), SILENT);
    world.lose(srv(3), SILENT);
    world.run(3_000);
    assert!(!world.ordered(is_lead));
}

/// Everything starts at once, and one of the others has yet to load: it may hold more.
#[test]
fn v2_refused_by_who_has_yet_to_load_it_asks_again_for_a_second() {
    for (loads_for, leads) in [(400, true), (5_000, false)] {
        let mut world = started(|_, message| {
            asks_consent(message).then_some(PeerAnswer::No { reason: "it has yet to load its data".into() })
        });
        world.run(loads_for.min(2_500));
        if leads {
            assert!(world.failovers().is_empty(), "not replaced yet");
            world.peers = consents;
            world.run(1_000);
        }
        assert_eq!(world.leads(), leads);
        assert_eq!(world.failovers().is_empty(), leads);
    }
}

#[test]
fn v2_who_has_yet_to_load_lets_nobody_lead_again_in_place() {
    for (state, consented) in [(true, false), (false, true)] {
        let kept = record(RecordedRole::Replica, Some(srv(2)));
        let mut world = World::new(rules(), if state { recovered(kept) } else { None });
        world.healthy(srv(2), 1);
        world.child = Ok(loading());
        world.run(500);
        let rank = Box::new(rank(2, 1000));
        let message = PeerMessage::Consent { attempt: "a".into(), candidate: srv(2), replaces: Some(srv(2)), rank };
        assert_eq!(world.ask(srv(2), message) == PeerAnswer::Consented, consented, "a state file: {state}");
    }
}

/// A container that is back 200 ms after it was killed, empty: each Sentinel has only just named it and has read nobody yet.
#[test]
fn d1_who_has_just_started_asks_the_next_sentinel_as_soon_as_anybody() {
    let mut world = started(|_, _| None);
    world.child.as_mut().unwrap().has_data = false;
    while world.failovers().is_empty() {
        world.run(10);
        assert!(world.now < Moment::millis(1_000), "nobody is asked");
    }
    world.sentinel_says(Ok(SentinelReply::NoGoodReplica));
    world.run(300);
    assert_eq!(world.failovers().len(), 2, "at {:?}", world.now);
}

#[test]
fn a2_named_while_starting_one_consent_of_two_is_a_majority_of_three() {
    let mut world = started(consents);
    world.lose(srv(3), SILENT);
    world.run(1_500);
    assert!(world.ordered(is_lead));
}

#[test]
fn named_while_starting_without_a_state_file_it_does_not_lead() {
    let mut world = World::new(rules(), None);
    world.healthy(srv(1), 1);
    world.peers = consents;
    world.child = Ok(reborn());
    world.run(3_000);
    assert!(!world.ordered(is_lead));
}

#[test]
fn m27_named_and_everybody_else_down_for_w_it_leads_however_late() {
    let mut world = started(|_, _| None);
    world.lose(srv(2), SILENT);
    world.lose(srv(3), SILENT);
    world.every_replica_is_down();
    world.run(30_000);
    assert!(world.leads(), "{}", world.core.status().reason);
}

#[test]
fn m27_who_is_refused_asks_again_only_after_a_second() {
    let holds_more = |_, message: &PeerMessage| match message {
        PeerMessage::Consent { .. } => Some(PeerAnswer::HoldMore { offset: Offset(2000) }),
        _ => None,
    };
    let mut world = started(holds_more);
    world.every_replica_is_down();
    world.run(20_000);
    let asked = world.messages(|message| matches!(message, PeerMessage::Consent { .. })).len();
    assert!((4..=20).contains(&asked), "two are asked, at most each second after W: {asked}");
    assert!(!world.leads());
}

#[test]
fn m27_somebody_who_could_be_named_keeps_it_waiting() {
    let rows: [(&str, fn(&mut World)); 4] = [
        ("one is not down on one Sentinel", |w| w.sentinel(3).rows.as_mut().unwrap().replicas[0].s_down = false),
        ("a failover runs", |w| w.each_row(|row| row.failover = true)),
        ("a majority names another", |w| w.each_row(|row| row.address = srv(2))),
        ("its data may be older", |w| w.child.as_mut().unwrap().aof = false),
    ];
    for (what, so) in rows {
        let mut world = started(|_, _| None);
        world.lose(srv(2), SILENT);
        world.lose(srv(3), SILENT);
        world.every_replica_is_down();
        so(&mut world);
        world.run(40_000);
        assert!(!world.ordered(is_lead), "{what}");
    }
}

// Restarts.

#[test]
fn restarts_back_off_and_give_up() {
    let mut world = World::replica();
    let mut waits = Vec::new();
    loop {
        world.forget();
        world.child_exits(ChildExit::Code(1), Err(ChildFailure::NotListening));
        let exited = world.now;
        if !world.exits().is_empty() {
            break;
        }
        world.run(40_000);
        let spawned = world.ordered_at(is_spawn).expect("started again");
        waits.push(spawned.since(exited));
        assert!(waits.len() < 10);
    }
    assert_eq!(world.exits(), vec![Exit::GivingUp(ChildExit::Code(1))]);
    assert_eq!(waits.len(), 5, "5 in 5 minutes");
}

#[test]
fn d3_a_master_that_has_served_is_restarted_at_once_again_and_again() {
    let mut world = World::master();
    world.peers = consents;
    for _ in 0..3 {
        world.forget();
        world.child_exits(ChildExit::Signal(9), Ok(reborn()));
        let exited = world.now;
        world.run(1_000);
        assert!(world.ordered_at(is_spawn).unwrap().since(exited) < ms(20));
        world.attach(&[srv(2), srv(3)]);
        world.run(6_000);
        assert!(world.leads(), "{}", world.core.status().reason);
    }
}

#[test]
fn k1_the_back_off_doubles_with_jitter() {
    let mut world = World::replica();
    let mut waits = Vec::new();
    for _ in 0..5 {
        world.forget();
        world.child_exits(ChildExit::Code(1), Err(ChildFailure::NotListening));
        let exited = world.now;
        while !world.ordered(is_spawn) {
            world.run(10);
            assert!(world.now.since(exited) < ms(40_000));
        }
        waits.push(u64::try_from(world.ordered_at(is_spawn).unwrap().since(exited).as_millis()).unwrap());
        world.run(20);
    }
    for (wait, base) in waits.iter().zip([500, 1_000, 2_000, 4_000, 8_000]) {
        assert!((base..=base + base / 2).contains(wait), "{waits:?}");
    }
}

#[test]
fn in_maintenance_nothing_is_restarted() {
    let mut world = World::replica();
    world.wish(Wish::Maintenance(Maintenance::On));
    world.child_exits(ChildExit::Code(1), Err(ChildFailure::NotListening));
    world.run(60_000);
    assert!(!world.ordered(is_spawn) && world.exits().is_empty());
}

#[test]
fn a_missing_engine_is_78() {
    let mut world = World::new(rules(), None);
    world.holds = is_spawn;
    world.run(50);
    world.fail(is_spawn, crate::core::event::OrderFailure::NoChild("no such file".into()));
    assert_eq!(world.exits(), vec![Exit::CannotStart]);
}

#[test]
fn d6_a_child_that_is_silent_for_thirty_seconds_is_killed() {
    let mut world = World::replica();
    world.child = Err(ChildFailure::Silent);
    world.run(29_000);
    assert!(!world.ordered(is_kill) && world.core.status().probes.live.is_yes());
    world.run(3_000);
    assert!(world.ordered(is_kill));
}

#[test]
fn d6_nothing_kills_a_silent_child_in_maintenance() {
    let mut world = World::replica();
    world.wish(Wish::Maintenance(Maintenance::On));
    world.child = Err(ChildFailure::Silent);
    world.run(120_000);
    assert!(!world.ordered(is_kill));
    world.wish(Wish::Maintenance(Maintenance::Off));
    world.run(1_000);
    assert!(world.ordered(is_kill));
}

#[test]
fn a_child_that_has_lost_our_user_is_ended_gently_then_killed() {
    let mut world = World::master();
    world.child = Err(ChildFailure::LockedOut);
    while world.core.status().probes.master.is_yes() {
        world.run(10);
    }
    world.run(900);
    assert!(!world.ordered(is_terminate), "one look may be wrong");
    world.run(200);
    assert!(world.ordered(is_terminate) && world.core.status().probes.live.is_yes());
    world.forget();
    world.run(29_000);
    assert!(!world.ordered(is_kill) && !world.ordered(is_terminate), "it is told once");
    world.run(2_000);
    assert!(world.ordered(is_kill));
    world.child_exits(ChildExit::Code(0), Ok(reborn()));
    world.run(1_000);
    assert!(world.ordered(is_spawn), "a new child, with a new user of ours");
}

#[test]
fn in_maintenance_no_sentinel_chooses_it() {
    let mut world = World::replica();
    for (wanted, priority) in [(Maintenance::On, Some(0)), (Maintenance::Off, None)] {
        world.wish(Wish::Maintenance(wanted));
        world.run(1_000);
        let newest = world.orders().into_iter().rev().find(|order| matches!(order, ChildOrder::Priority(_)));
        assert_eq!(newest, Some(ChildOrder::Priority(priority)));
    }
}

#[test]
fn a_child_that_is_gone_in_maintenance_keeps_nobody_from_leading() {
    let mut world = World::master();
    world.run(1_000);
    world.wish(Wish::Maintenance(Maintenance::On));
    world.child_exits(ChildExit::Signal(9), Err(ChildFailure::NotListening));
    world.run(1_000);
    let (_, message) = world.release_message(srv(2), 1);
    assert_eq!(world.ask(srv(2), message), PeerAnswer::ChildGone);
    world.run(10_000);
    assert!(!world.ordered(is_spawn), "nothing is restarted");
}

#[test]
fn g7_any_reply_at_all_is_life() {
    for failure in [ChildFailure::Busy, ChildFailure::Loading, ChildFailure::Refuses] {
        let mut world = World::replica();
        world.child = Err(failure);
        world.run(120_000);
        assert!(!world.ordered(is_kill), "{failure:?}");
        assert!(world.core.status().probes.live.is_yes());
    }
}

#[test]
fn m12_a_consent_in_place_of_an_earlier_attempt_means_nothing() {
    let mut world = World::master();
    world.child_exits(ChildExit::Signal(9), Ok(reborn()));
    world.run(60);
    let (first, _) = world.asked(srv(3), asks_consent).unwrap();
    world.child_exits(ChildExit::Signal(9), Ok(reborn()));
    world.run(1_200);
    world.feed(Event::Answer { id: first, from: srv(3), answer: Ok(PeerAnswer::Consented) });
    world.run(50);
    assert!(!world.ordered(is_lead));
    assert_eq!(world.core.status().epoch, Epoch(1));
}
