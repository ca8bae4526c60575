//! Following: whom, when the child is told, and when never (H1, H2, H3; F2, F6; I1).

use super::world::*;
use crate::core::action::{ChildOrder, Exit, Expecting};
use crate::core::event::{ChildExit, Event, Maintenance, OrderFailure, Wish};
use crate::core::id::{AttemptId, Epoch, Offset};
use crate::core::message::{PeerAnswer, PeerMessage};
use crate::core::record::RecordedRole;
use crate::core::seen::{ChildFailure, History, Link, RoleSeen, ServerSeen};

fn follows(world: &World) -> Vec<crate::core::id::Address> {
    let master = |order: &ChildOrder| match order {
        ChildOrder::Follow { master, .. } => Some(*master),
        _ => None,
    };
    world.orders().iter().filter_map(master).collect()
}

/// All Sentinels name server `n` at this epoch, and it says master, alone.
fn all_name(world: &mut World, n: u8, epoch: u64) {
    for t in 1..=3 {
        world.sentinels.insert(sen(t), Ok(sentinel(t, srv(n), epoch)));
    }
    for other in 2..=3 {
        let role = if other == n { master_role(&[srv(1)]) } else { replica_role(srv(n)) };
        world.servers.insert(srv(other), Ok(server(other, role, 1000)));
    }
}

#[test]
fn h1_a_new_master_is_followed_once() {
    let mut world = World::replica();
    all_name(&mut world, 3, 2);
    world.run(10_000);
    assert_eq!(follows(&world), vec![srv(3)]);
}

#[test]
fn h1_the_role_it_expects_is_the_one_just_read() {
    let mut world = World::replica();
    world.run(10_000);
    all_name(&mut world, 3, 2);
    world.run(3_000);
    let order = world.orders().into_iter().find(is_follow);
    assert_eq!(order, Some(ChildOrder::Follow { master: srv(3), expecting: Expecting::Replica }));
}

#[test]
fn h1_promoted_meanwhile_the_order_is_not_carried_out_and_not_forced() {
    let mut world = World::replica();
    world.run(10_000);
    world.holds = is_follow;
    all_name(&mut world, 3, 2);
    world.run(1_500);
    world.fail(is_follow, OrderFailure::OtherRole);
    assert!(world.following().is_some());
}

#[test]
fn h1_whom_it_never_follows() {
    let rows: [(&str, fn(&mut World)); 4] = [
        ("A5: a named one that says replica", |world| {
            for n in 1..=3 {
                world.sentinels.insert(sen(n), Ok(sentinel(n, srv(3), 2)));
            }
        }),
        ("a named one that is silent", |world| {
            for n in 1..=3 {
                world.sentinels.insert(sen(n), Ok(sentinel(n, srv(9), 2)));
            }
        }),
        ("ourselves", |world| {
            for n in 1..=3 {
                world.sentinels.insert(sen(n), Ok(sentinel(n, srv(1), 2)));
            }
        }),
        ("F2: one of two masters without a majority", |world| {
            world.servers.insert(srv(3), Ok(server(3, master_role(&[]), 1000)));
            for n in 1..=3 {
                world.sentinels.insert(sen(n), Err(SILENT));
            }
        }),
    ];
    for (what, so) in rows {
        let mut world = World::replica();
        so(&mut world);
        world.run(5_000);
        assert!(follows(&world).is_empty(), "{what}: {:?}", follows(&world));
    }
}

#[test]
fn h3_flapping_answers_rewrite_once_in_ten_seconds() {
    let mut world = World::replica();
    world.run(10_000);
    let mut count = 0;
    for turn in 0..40 {
        all_name(&mut world, if turn % 2 == 0 { 3 } else { 2 }, 1);
        world.run(1_000);
        count = follows(&world).len();
    }
    assert!(count <= 5, "{count} in 40 s: {:?}", follows(&world));
}

/// A Sentinel that has heard of the new epoch first does not make the old master one of that epoch.
#[test]
fn c9_a_second_failover_within_ten_seconds_is_followed_at_once() {
    let mut world = World::replica();
    world.sentinels.insert(sen(1), Ok(sentinel(1, srv(3), 2)));
    world.run(1_100);
    all_name(&mut world, 3, 2);
    world.run(2_500);
    assert_eq!(follows(&world), vec![srv(3)], "a higher epoch is no conflicting answer");
}

#[test]
fn c9_led_within_ten_seconds_is_followed_where_the_followed_one_is_gone() {
    let mut world = World::replica();
    world.lose(srv(2), REFUSED);
    world.servers.insert(srv(3), Ok(server(3, master_role(&[]), 1000)));
    world.run(1_500);
    world.forget();
    led(&mut world, 3, 1);
    world.run(500);
    assert_eq!(world.following(), Some(srv(3)), "nobody contradicts: the other is gone");
}

#[test]
fn in_maintenance_nobody_is_repointed() {
    let mut world = World::replica();
    world.wish(Wish::Maintenance(Maintenance::On));
    all_name(&mut world, 3, 2);
    world.run(5_000);
    assert!(follows(&world).is_empty());
}

// The door and the first role.

#[test]
fn invariant_2_the_door_opens_after_the_role_is_decided() {
    let mut world = World::new(rules(), None);
    world.healthy(srv(2), 1);
    world.holds = is_follow;
    world.run(2_000);
    assert!(!world.ordered(|order| matches!(order, ChildOrder::OpenDoor)));
    world.holds = |_| false;
    world.let_go(is_follow);
    world.run(500);
    assert!(world.ordered(|order| matches!(order, ChildOrder::OpenDoor)));
}

#[test]
fn invariant_2_the_door_stays_shut_without_a_role() {
    let mut world = World::new(rules(), recovered(record(RecordedRole::Replica, Some(srv(2)))));
    world.run(60_000);
    assert!(!world.ordered(|order| matches!(order, ChildOrder::OpenDoor)));
    assert!(!world.core.status().probes.ready.is_yes() && world.core.status().probes.live.is_yes());
}

#[test]
fn nothing_is_done_to_a_child_that_loads() {
    let mut world = World::new(rules(), None);
    world.healthy(srv(2), 1);
    if let Ok(seen) = &mut world.child {
        seen.loading = Some(ms(60_000));
    }
    world.run(5_000);
    assert!(follows(&world).is_empty());
    assert!(world.core.status().probes.startup.is_yes() && !world.core.status().probes.ready.is_yes(), "G1, P40");
}

// Told by another supervisor.

fn led(world: &mut World, n: u8, epoch: u64) -> PeerAnswer {
    let message = PeerMessage::Led { attempt: AttemptId::from("x"), leader: srv(n), epoch: Epoch(epoch) };
    world.ask(srv(n), message)
}

#[test]
fn led_is_followed_as_soon_as_its_server_says_so() {
    let mut world = World::replica();
    world.run(10_000);
    world.lose(srv(2), REFUSED);
    world.run(500);
    let answer = led(&mut world, 3, 1);
    assert!(is_no(&answer), "not yet: {answer:?}");
    world.run(1_000);
    assert!(follows(&world).is_empty(), "it says replica");
    world.servers.insert(srv(3), Ok(server(3, master_role(&[]), 1000)));
    led(&mut world, 3, 1);
    world.run(300);
    assert_eq!(follows(&world), vec![srv(3)]);
    assert_eq!(led(&mut world, 3, 1), PeerAnswer::Following, "attached by now");
}

#[test]
fn m12_led_of_one_that_is_no_master_changes_nothing() {
    let mut world = World::replica();
    led(&mut world, 3, 9);
    world.run(12_000);
    assert!(follows(&world).is_empty());
}

#[test]
fn who_has_consented_to_another_does_not_say_it_follows() {
    let mut world = World::replica();
    world.lose(srv(2), REFUSED);
    world.run(1_500);
    world.names.servers = Some((1..=4).map(srv).collect());
    world.supervisors.insert(srv(4), Ok(supervisor(1)));
    world.run(3_000);
    let message = world.consent_message(4, srv(2), 5000);
    assert_eq!(world.ask(srv(4), message), PeerAnswer::Consented);
    let answer = led(&mut world, 3, 1);
    assert!(is_no(&answer), "{answer:?}");
}

#[test]
fn a_leader_that_writes_does_not_follow_by_hearsay() {
    let mut world = World::master();
    let answer = led(&mut world, 3, 9);
    assert!(is_no(&answer));
    world.run(2_000);
    assert!(world.leads() && follows(&world).is_empty());
}

#[test]
fn led_by_ourselves_is_refused() {
    let mut world = World::replica();
    assert!(is_no(&led(&mut world, 1, 9)));
}

// The link.

#[test]
fn h2_a_sync_that_does_not_move_is_started_anew() {
    // (bytes move, cut)
    for (moves, cut) in [(false, true), (true, false)] {
        let mut world = World::replica();
        for second in 0..70 {
            if let Ok(seen) = &mut world.child {
                seen.role = RoleSeen::Replica { master: Some(srv(2)), link: Link::Syncing };
                seen.sync_bytes = if moves { second } else { 1 };
            }
            world.run(1_000);
        }
        assert_eq!(world.ordered(|order| matches!(order, ChildOrder::Reconnect { .. })), cut, "moves: {moves}");
    }
}

#[test]
fn m31_a_link_that_stays_down_is_tried_anew_once_the_master_answers() {
    // (the master answers, how long, tries)
    for (answers, seconds, tries) in [(true, 4, 0), (true, 8, 1), (true, 13, 2), (false, 13, 0)] {
        let mut world = World::replica();
        if let Ok(seen) = &mut world.child {
            seen.role = RoleSeen::Replica { master: Some(srv(2)), link: Link::Down };
        }
        if !answers {
            world.lose(srv(2), SILENT);
        }
        world.run(seconds * 1_000);
        let count = world.orders().iter().filter(|order| matches!(order, ChildOrder::Reconnect { .. })).count();
        assert_eq!(count, tries, "answers: {answers}, after {seconds} s");
    }
}

#[test]
fn m18_the_address_of_a_service_is_followed_only_where_nothing_better_is_found() {
    let mut world = World::new(rules(), None);
    world.names.servers = Some(vec![srv(9)]);
    let behind = ServerSeen { supervised: Some(true), ..server(9, master_role(&[]), 1000) };
    world.servers.insert(srv(9), Ok(behind.clone()));
    world.run(12_000);
    assert_eq!(world.following(), None);
    // The same process at its own address, as its supervisor says.
    world.servers.insert(srv(2), Ok(behind));
    world.supervisors.insert(srv(2), Ok(supervisor(0)));
    world.request(Some(srv(2)), PeerMessage::Led { attempt: "x".into(), leader: srv(2), epoch: Epoch(0) });
    world.run(1_000);
    assert_eq!(world.following(), Some(srv(2)));
}

#[test]
fn m18_where_nothing_better_is_found_the_service_is_followed() {
    let mut world = World::new(rules(), None);
    world.names.servers = Some(vec![srv(9)]);
    world.servers.insert(srv(9), Ok(ServerSeen { supervised: Some(true), ..server(9, master_role(&[]), 1000) }));
    world.run(18_000);
    assert_eq!(world.following(), Some(srv(9)));
}

/// The master lost what we have, without an append-only file, and leads again: our engine connects by itself (12443).
#[test]
fn b1_what_a_sync_by_the_engine_itself_discards_is_kept_once() {
    // (append-only file, the master's history, kept)
    let (behind, after) =
        (history(900), History { id: "new".into(), second: Some((history(0).id, Offset(1000))), offset: Offset(1500) });
    for (aof, theirs, kept) in
        [(false, behind.clone(), true), (true, behind, false), (false, after, false), (false, history(1000), false)]
    {
        let mut world = World::replica();
        world.lose(srv(2), REFUSED);
        let seen = world.child.as_mut().unwrap();
        (seen.aof, seen.history) = (aof, history(1000));
        world.run(1_000);
        world.forget();
        let mut back = server(2, master_role(&[]), 0);
        back.history = theirs.clone();
        world.servers.insert(srv(2), Ok(back));
        world.run(3_000);
        let count = world.orders().iter().filter(|order| matches!(order, ChildOrder::Keep)).count();
        assert_eq!(count, usize::from(kept), "aof: {aof}, {theirs:?}");
    }
}

/// The engine is faster than our looks at it.
#[test]
fn v3_what_the_engine_has_synced_by_then_is_not_kept() {
    for (synced, kept) in [(true, false), (false, true)] {
        let mut world = World::replica();
        world.lose(srv(2), REFUSED);
        let seen = world.child.as_mut().unwrap();
        (seen.aof, seen.history) = (false, history(1000));
        world.run(1_000);
        world.forget();
        let mut back = server(2, master_role(&[]), 0);
        back.history = history(900);
        if synced {
            let seen = world.child.as_mut().unwrap();
            (seen.role, seen.history) = (replica_role(srv(2)), back.history.clone());
        }
        world.servers.insert(srv(2), Ok(back.clone()));
        world.feed(Event::Server { at: srv(2), asked: world.now, seen: Ok(back) });
        world.run(3_000);
        assert_eq!(world.ordered(|order| matches!(order, ChildOrder::Keep)), kept, "synced: {synced}");
    }
}

// Readiness of a replica.

#[test]
fn g2_g3_when_a_replica_is_ready() {
    let mut world = World::replica();
    assert!(world.core.status().probes.ready.is_yes());
    world.lose(srv(2), SILENT);
    world.run(12_000);
    assert!(world.core.status().probes.ready.is_yes(), "G3: through a normal failover");
    if let Ok(seen) = &mut world.child {
        seen.role = RoleSeen::Replica { master: Some(srv(2)), link: Link::Syncing };
    }
    world.run(1_500);
    assert!(!world.core.status().probes.ready.is_yes(), "G2: syncing");
}

#[test]
fn g2_never_synced_is_not_ready_and_never_leads() {
    let mut world = World::new(rules(), None);
    world.healthy(srv(2), 1);
    world.holds = is_follow;
    if let Ok(seen) = &mut world.child {
        seen.has_data = false;
    }
    world.run(1_000);
    let status = world.core.status();
    assert!(!status.probes.ready.is_yes() && status.never, "H0: not synced");
    assert!(world.ordered(|order| *order == ChildOrder::Priority(Some(0))));
}

#[test]
fn who_loaded_old_data_does_not_lead_before_it_has_caught_up_with_the_master_that_lived() {
    let mut world = World::new(rules(), None);
    world.healthy(srv(2), 1);
    world.holds = is_follow;
    world.run(1_000);
    assert!(world.core.status().never, "stale: the master has acknowledged more");
    world.lose(srv(2), REFUSED);
    world.propose(1, srv(1));
    world.run(3_000);
    assert!(!world.ordered(is_lead), "{}", world.core.status().reason);
    assert!(world.core.candidacy.is_none());
}

/// Else a master that is lost for good while its only replica syncs would leave nobody for ever.
#[test]
fn who_has_yet_to_catch_up_leads_all_the_same_when_that_one_has_been_gone_for_30_s() {
    let mut world = World::new(rules(), None);
    world.healthy(srv(2), 1);
    world.servers.insert(srv(3), Err(SILENT));
    world.supervisors.insert(srv(3), Err(SILENT));
    world.holds = is_follow;
    world.run(1_000);
    world.lose(srv(2), SILENT);
    world.run(20_000);
    assert!(world.core.status().never, "somebody with newer data may still come");
    world.run(15_000);
    assert!(!world.core.status().never);
    assert!(
        world.orders().iter().rev().any(|order| *order == ChildOrder::Priority(None)),
        "and a Sentinel may choose it"
    );
}

/// M8: one that streamed once may hold less than one that loaded its disk a moment ago.
#[test]
fn m8_who_has_yet_to_catch_up_says_that_it_holds_more_and_leads_if_the_other_steps_back() {
    let mut world = World::new(rules(), None);
    world.child.as_mut().unwrap().aof = false;
    world.healthy(srv(2), 1);
    world.holds = is_follow;
    world.run(1_000);
    world.lose(srv(2), REFUSED);
    world.run(1_500);
    let message = world.consent_message(3, srv(2), 50);
    assert!(matches!(world.ask(srv(3), message), PeerAnswer::HoldMore { .. }));
    let favour = PeerMessage::Priority { priority: Some(1), leader: srv(1), lasting: ms(10_000) };
    world.ask(srv(3), favour);
    world.run(500);
    assert!(!world.core.status().never);
    assert!(world.orders().contains(&ChildOrder::Priority(Some(1))));
}

#[test]
fn who_has_caught_up_once_leads_whatever_its_link_does() {
    let mut world = World::replica();
    world.lose(srv(2), REFUSED);
    if let Ok(seen) = &mut world.child {
        seen.role = RoleSeen::Replica { master: Some(srv(2)), link: Link::Down };
    }
    world.run(500);
    assert!(!world.core.status().never);
}

#[test]
fn the_best_of_a_vote_never_answers_never() {
    let mut world = World::new(rules(), None);
    world.healthy(srv(2), 1);
    world.holds = is_follow;
    world.run(1_000);
    assert!(world.core.status().never);
    world.lose(srv(2), SILENT);
    world.core.open_as_replica_of_the_dead(srv(2), Epoch(1));
    assert!(!world.core.status().never, "3.4: nobody else holds more");
}

#[test]
fn i1_a_demoted_master_sends_its_clients_away() {
    let mut world = World::master();
    if let Ok(seen) = &mut world.child {
        seen.history.offset = Offset(1000);
    }
    for n in 1..=3 {
        world.sentinels.insert(sen(n), Ok(sentinel(n, srv(2), 2)));
    }
    world.servers.insert(srv(2), Ok(server(2, master_role(&[srv(3)]), 1000)));
    world.run(3_000);
    assert_eq!(world.following(), Some(srv(2)));
    let (fence, follow, dismiss) =
        (world.ordered_at(is_fence), world.ordered_at(is_follow), world.ordered_at(is_dismiss));
    assert!(fence.is_some() && fence <= follow && follow < dismiss, "{:?}", world.orders());
}

#[test]
fn a_wake_looks_at_once() {
    let mut world = World::replica();
    world.run(10_000);
    world.run(500);
    all_name(&mut world, 3, 2);
    let since = world.now;
    for n in 1..=3 {
        world.feed(Event::Wake { at: sen(n) });
    }
    world.feed(Event::Wake { at: sen(9) });
    world.run(1_200);
    let at = world.ordered_at(is_follow).expect("followed");
    assert!(at.since(since) <= ms(1_050), "{:?}", at.since(since));
}

/// The whole container is gone: its connections end, and the looks of the calm pace would come up to a second later.
#[test]
fn m1_the_end_of_the_masters_connections_is_acted_upon_at_once() {
    // (woken, asked for a failover within 100 ms)
    for woken in [true, false] {
        let mut world = World::replica();
        world.run(10_500);
        world.lose(srv(2), REFUSED);
        world.each_row(|row| row.disconnected = true);
        world.forget();
        let now = world.now;
        if woken {
            world.feed(Event::Wake { at: srv(2) });
        }
        world.run(100);
        assert_eq!(!world.failovers().is_empty(), woken, "woken: {woken}");
        world.run(2_000);
        assert!(!world.failovers().is_empty() && world.now.since(now) < ms(2_200));
    }
}

/// Server 3 holds more. It restarted a second ago, and we have not asked its supervisor since.
#[test]
fn m11_a_replica_whose_supervisor_has_just_come_back_counts() {
    let mut world = World::replica();
    world.run(10_500);
    world.supervisors.insert(srv(3), Err(REFUSED));
    world.run(2_100);
    world.supervisors.insert(srv(3), Ok(supervisor(1)));
    world.servers.insert(srv(3), Ok(server(3, replica_role(srv(2)), 1_001)));
    world.lose(srv(2), REFUSED);
    world.feed(Event::Wake { at: srv(2) });
    world.run(1_000);
    assert_eq!(world.failovers(), [], "it is on server 3 to ask");
}

#[test]
fn m11_a_sentinel_that_finds_nobody_good_after_all_is_not_waited_for() {
    // (it gives up, when the next one has not yet been asked, and when it has)
    for (gives_up, early, late) in [(true, 300, 500), (false, 1_900, 2_200)] {
        let (mut world, asked) = World::asked_after_a_reset();
        world.run(100);
        if gives_up {
            let seen = world.sentinels.get_mut(&asked).unwrap().as_mut().unwrap();
            seen.master.as_mut().unwrap().failover = false;
            // As its event `-failover-abort-no-good-slave` does.
            world.feed(Event::Wake { at: asked });
        }
        world.run(early - 200);
        assert_eq!(world.failovers().len(), 1, "gives up: {gives_up}");
        world.run(late - early);
        assert_eq!(world.failovers().len(), 2, "gives up: {gives_up}");
        assert_ne!(world.failovers()[1], asked);
    }
}

/// Server 3 says that it leads, at this epoch; the Sentinels name server 9 at epoch 2, which is silent.
fn led_at(epoch: u64) -> Vec<crate::core::id::Address> {
    let mut world = World::replica();
    world.lose(srv(2), REFUSED);
    world.servers.insert(srv(3), Ok(server(3, master_role(&[]), 1000)));
    for n in 1..=3 {
        world.sentinels.insert(sen(n), Ok(sentinel(n, srv(9), 2)));
    }
    world.run(2_000);
    let message = PeerMessage::Led { attempt: "old".into(), leader: srv(3), epoch: Epoch(epoch) };
    world.request(Some(srv(3)), message);
    world.run(3_000);
    follows(&world)
}

#[test]
fn d6_led_of_an_epoch_older_than_a_majority_names_is_not_followed() {
    assert_eq!(led_at(1), vec![], "a frozen master that has just woken");
    assert_eq!(led_at(2), vec![srv(3)], "the successor of the one named");
}

#[test]
fn b1_opened_as_a_replica_of_the_dead_with_more_than_it_shows_keeps_that_first() {
    for (theirs, keeps) in [(2000, false), (10, true)] {
        let mut world = World::new(rules(), None);
        world.child.as_mut().unwrap().aof = false;
        for n in 1..=3 {
            world.sentinels.insert(sen(n), Ok(sentinel(n, srv(2), 1)));
        }
        let shut = RoleSeen::Replica { master: None, link: Link::Down };
        world.servers.insert(srv(2), Ok(server(2, shut, theirs)));
        world.supervisors.insert(srv(2), Ok(supervisor(1)));
        world.run(2_000);
        world.request(Some(srv(3)), PeerMessage::Follow { attempt: "vote".into(), leader: srv(2) });
        world.run(500);
        assert_eq!(world.following(), Some(srv(2)));
        let kept = world.ordered_at(|order| matches!(order, ChildOrder::Keep));
        assert_eq!(kept.is_some(), keeps, "it showed {theirs}, we hold 1000");
    }
}

#[test]
fn d4_a_volume_that_may_be_newer_is_refused() {
    let rows: [(&str, u64, &str, bool, bool); 5] = [
        ("a later epoch, an unrelated history", 9, "other", true, true),
        ("the same history", 9, "h1", true, false),
        ("merely away for long", 1, "other", true, false),
        ("the same epoch: its master loaded an append-only file", 2, "other", true, false),
        ("nothing on it", 9, "other", false, false),
    ];
    for (what, epoch, history, has_data, refused) in rows {
        let mut kept = record(RecordedRole::Replica, Some(srv(9)));
        kept.epoch = Epoch(epoch);
        kept.history = history.into();
        let mut world = World::new(rules(), recovered(kept));
        all_name(&mut world, 2, 2);
        world.child = Ok(child(RoleSeen::Replica { master: None, link: Link::Down }, 0));
        let own = world.child.as_mut().unwrap();
        (own.aof, own.has_data, own.history.id) = (true, has_data, "fresh".into());
        world.run(3_000);
        assert_eq!(world.ordered(is_kill), refused, "{what}: {}", world.core.status().reason);
        assert_eq!(world.ordered(is_follow), !refused, "{what}");
        if refused {
            world.child_exits(ChildExit::Signal(9), Err(ChildFailure::NotListening));
            assert_eq!(world.exits(), vec![Exit::CannotStart]);
        }
    }
}

#[test]
fn m11_a_dead_masters_replicas_quicken_where_whoever_is_taken_has_everything() {
    let down = RoleSeen::Replica { master: Some(srv(2)), link: Link::Down };
    let other = |offset| Ok(server(3, RoleSeen::Replica { master: Some(srv(2)), link: Link::Down }, offset));
    let read = ms(1_000);
    for (what, how, other, refresh, quickens) in [
        ("equal offsets", REFUSED, other(1000), read, true),
        ("a Sentinel has not read its INFO yet (D1)", REFUSED, other(1000), ms(1_700_000_000_000), false),
        ("the other one has less", REFUSED, other(999), read, false),
        ("the other one has more", REFUSED, other(1001), read, false),
        ("the other one is still linked", REFUSED, Ok(server(3, replica_role(srv(2)), 1000)), read, false),
        ("the other one does not answer", REFUSED, Err(SILENT), read, false),
        ("the master is silent", SILENT, other(1000), read, false),
    ] {
        let mut world = World::replica();
        for row in &mut world.sentinel(2).rows.as_mut().unwrap().replicas {
            row.info_refresh = refresh;
        }
        world.servers.insert(srv(2), Err(how));
        world.supervisors.insert(srv(2), Err(how));
        world.child = Ok(child(down.clone(), 1000));
        world.servers.insert(srv(3), other);
        world.run(800);
        assert_eq!(world.ordered(is_quicken), quickens, "{what}");
    }
}
