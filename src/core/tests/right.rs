//! The fence: who leads proves it again and again, or stops taking writes (section 4, Fence; invariants 4 and 6).

use super::world::*;
use crate::core::action::{Action, ChildOrder};
use crate::core::course::Fenced;
use crate::core::event::{Event, Maintenance, Names, OrderFailure, Wish};
use crate::core::evidence::Evidence;
use crate::core::message::{PeerAnswer, PeerMessage};
use crate::core::moment::Moment;
use crate::core::right::proved_at;
use crate::core::rules::{ElectorRule, Rules};
use crate::core::seen::{ChildFailure, ElectorSeen, Link, MasterRow, RoleSeen};

const T: Moment = Moment::millis(10_000);

#[test]
fn limits_follow_down_after() {
    // down-after, T, pause, cut, surely fenced, W; all in ms
    let rows = [
        (3_000, 1_000, 2_500, 2_000, 1_500, 10_000),
        (4_000, 1_333, 3_500, 2_000, 1_833, 12_000),
        (5_000, 1_500, 4_500, 3_000, 2_000, 14_000),
        (60_000, 1_500, 4_500, 58_000, 2_000, 124_000),
    ];
    for (down_after, fence, pause, cut, sure, w) in rows {
        let mut rules = rules();
        rules.down_after = ms(down_after);
        let whole = |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap();
        assert_eq!(whole(rules.fence_after()), fence, "T of {down_after}");
        assert_eq!(whole(rules.pause()), pause, "pause of {down_after}");
        assert_eq!(whole(rules.cut_after()), cut, "cut of {down_after}");
        assert_eq!(whole(rules.surely_fenced_after()), sure, "surely fenced of {down_after}");
        assert_eq!(whole(rules.w()), w, "W of {down_after}");
    }
}

/// Evidence of a master (server 1): Sentinels and servers that answered at `T`.
fn evidence(rules: &Rules, sentinels: &[(u8, fn(&mut MasterRow))], servers: &[(u8, RoleSeen)]) -> Evidence {
    let mut evidence = Evidence::new(rules, None, T);
    let names = Names { sentinels: Some((1..=3).map(sen).collect()), servers: Some((2..=3).map(srv).collect()) };
    evidence.note_names(&names, rules, T);
    for (n, change) in sentinels {
        let mut says = sentinel(*n, srv(1), 1);
        change(says.master.as_mut().unwrap());
        evidence.note_sentinel(sen(*n), T, Ok(says), rules.me, T);
    }
    for (n, role) in servers {
        evidence.note_server(srv(*n), T, Ok(server(*n, role.clone(), 1000)), None, T);
    }
    evidence
}

#[test]
fn what_proves_the_right_to_lead() {
    type Change = fn(&mut MasterRow);
    let fine: Change = |_| ();
    let rows: Vec<(&str, Vec<(u8, Change)>, Vec<(u8, RoleSeen)>, bool)> = vec![
        ("a majority names us", vec![(1, fine), (2, fine)], vec![], true),
        ("one of three does", vec![(1, fine)], vec![], false),
        ("a majority, but one shows us s_down", vec![(1, fine), (2, |row| row.s_down = true)], vec![], false),
        (
            "a majority, but one has not heard us for 2 s",
            vec![(1, fine), (2, |row| row.last_ok_ping = ms(2_000))],
            vec![],
            false,
        ),
        ("a majority, but one names another", vec![(1, fine), (2, |row| row.address = srv(2))], vec![], false),
        (
            "every known replica streams from us",
            vec![],
            vec![(2, replica_role(srv(1))), (3, replica_role(srv(1)))],
            true,
        ),
        ("one known replica is silent", vec![], vec![(2, replica_role(srv(1)))], false),
        (
            "one known replica has lost its link",
            vec![],
            vec![(2, replica_role(srv(1))), (3, RoleSeen::Replica { master: Some(srv(1)), link: Link::Down })],
            false,
        ),
        ("one follows another", vec![], vec![(2, replica_role(srv(1))), (3, replica_role(srv(2)))], false),
        ("one says master", vec![], vec![(2, replica_role(srv(1))), (3, master_role(&[]))], false),
        ("one Sentinel and one replica", vec![(1, fine)], vec![(2, replica_role(srv(1)))], false),
    ];
    for (what, sentinels, servers, proved) in rows {
        let rules = rules();
        let evidence = evidence(&rules, &sentinels, &servers);
        assert_eq!(proved_at(&evidence, &rules, T), proved.then_some(T), "{what}");
    }
}

#[test]
fn sentinels_that_know_no_master_do_not_depose_one() {
    let rules = rules();
    let mut evidence = evidence(&rules, &[], &[]);
    for n in 1..=2 {
        evidence.note_sentinel(sen(n), T, Ok(bare(n)), rules.me, T);
    }
    assert_eq!(proved_at(&evidence, &rules, T), Some(T));
}

#[test]
fn no_known_replica_at_all_proves_nothing() {
    let rules = rules();
    let evidence = Evidence::new(&rules, None, T);
    assert_eq!(proved_at(&evidence, &rules, T), None);
}

#[test]
fn one_sentinel_behind_two_addresses_is_no_majority() {
    let rules = rules();
    let mut evidence = evidence(&rules, &[(1, |_| ())], &[]);
    let names = Names { sentinels: Some(vec![sen(1), sen(2), sen(3), sen(9)]), servers: None };
    evidence.note_names(&names, &rules, T);
    evidence.note_sentinel(sen(9), T, Ok(sentinel(1, srv(1), 1)), rules.me, T);
    assert_eq!(proved_at(&evidence, &rules, T), None);
}

#[test]
fn a_round_counts_from_the_question_of_its_slowest() {
    let rules = rules();
    let mut evidence = evidence(&rules, &[(1, |_| ())], &[]);
    let (early, late) = (Moment::millis(10_100), Moment::millis(10_900));
    evidence.note_sentinel(sen(2), early, Ok(sentinel(2, srv(1), 1)), rules.me, late);
    evidence.note_sentinel(sen(3), late, Ok(sentinel(3, srv(1), 1)), rules.me, late);
    assert_eq!(proved_at(&evidence, &rules, late), Some(early), "two of three were asked at 10.1 s or later");
}

#[test]
fn the_electors_lease_stands_in_where_there_is_no_sentinel() {
    // (Sentinels configured, a lease, names us, proves)
    let rows = [
        (false, true, true, true),
        (false, false, true, false),
        (false, true, false, false),
        (true, true, true, false),
    ];
    for (sentinels, lease, us, proves) in rows {
        let mut rules = rules();
        (rules.sentinels_configured, rules.elector) = (sentinels, ElectorRule::Explicit);
        let mut evidence = Evidence::new(&rules, None, T);
        evidence.add_server(srv(2), T);
        let leader = vec![if us { srv(1).ip() } else { srv(2).ip() }];
        evidence.note_elector(T, Ok(ElectorSeen { leader, name: "x".into(), lease }));
        let row = format!("sentinels {sentinels}, lease {lease}, us {us}");
        assert_eq!(proved_at(&evidence, &rules, T), proves.then_some(T), "{row}");
    }
}

// The fence of a living master.

fn cut_off(world: &mut World, how: crate::core::seen::Failure) {
    for n in 1..=3 {
        world.sentinels.insert(sen(n), Err(how));
    }
    for n in 2..=3 {
        world.servers.insert(srv(n), Err(how));
        world.supervisors.insert(srv(n), Err(how));
    }
}

#[test]
fn f1_cut_off_in_silence_it_fences_after_t_from_the_last_round() {
    let mut world = World::master();
    let since = world.now;
    cut_off(&mut world, SILENT);
    world.run(4_000);
    let fenced = world.ordered_at(is_fence).expect("fenced").since(since);
    assert!(fenced <= ms(1_500) && fenced >= ms(1_100), "{fenced:?}");
    assert!(matches!(world.fence(), Some(Fenced::Isolated { .. })));
    assert!(!world.core.status().probes.ready.is_yes() && world.core.status().probes.live.is_yes());
    assert!(world.leads(), "readers go on");
}

#[test]
fn f1_refused_by_everybody_it_fences_at_once() {
    let mut world = World::master();
    let since = world.now;
    cut_off(&mut world, REFUSED);
    world.run(1_200);
    let fenced = world.ordered_at(is_fence).expect("fenced").since(since);
    assert!(fenced <= ms(250), "one round, not T and not the calm pace of the servers (37988): {fenced:?}");
}

/// Sentinels 8 and 9 and replica 9 are known; after 5 s their addresses refuse.
fn haunted() -> World {
    let mut world = World::master();
    for n in 1..=3 {
        let rows = world.sentinel(n).rows.as_mut().unwrap();
        for ghost in [8, 9] {
            let (address, id) = (sen(ghost), Some(sentinel_id(ghost)));
            rows.sentinels.push(crate::core::seen::SentinelRow { address, id, down_for: None });
        }
        rows.replicas.push(replica_row(srv(9)));
    }
    for ghost in [8, 9] {
        world.sentinels.insert(sen(ghost), Ok(sentinel_of(ghost, &[1, 2, 3, 8, 9], srv(1), 1)));
    }
    world.servers.insert(srv(9), Ok(server(9, replica_role(srv(1)), 1000)));
    world.attach(&[srv(2), srv(3), srv(9)]);
    world.run(5_000);
    for ghost in [8, 9] {
        world.sentinels.insert(sen(ghost), Err(REFUSED));
    }
    world.servers.insert(srv(9), Err(REFUSED));
    world.supervisors.insert(srv(9), Err(REFUSED));
    world.run(30_000);
    assert_eq!(world.fence(), None, "ghosts alone fence nobody");
    world.forget();
    world
}

#[test]
fn e3_a_sentinel_that_is_restarted_beside_ghosts_fences_nobody() {
    let mut world = haunted();
    let before = world.sentinels.insert(sen(3), Err(REFUSED)).expect("it was there");
    world.run(1_100);
    world.sentinels.insert(sen(3), before);
    world.run(3_000);
    assert!(!world.ordered(is_fence), "two more still name us");
}

#[test]
fn f1_refused_by_everybody_beside_ghosts_it_fences_at_once() {
    let mut world = haunted();
    let since = world.now;
    cut_off(&mut world, REFUSED);
    world.run(1_200);
    assert!(world.ordered_at(is_fence).expect("fenced").since(since) <= ms(250));
}

/// One replica has been cut off by silence and the other has refused for long, when the partition that rejects comes: the other
/// side finds us refused and has a new master long before T (F1).
#[test]
fn f1_who_was_silent_and_begins_to_refuse_has_just_begun() {
    let mut world = World::master();
    world.servers.insert(srv(2), Err(SILENT));
    world.supervisors.insert(srv(2), Err(SILENT));
    world.servers.insert(srv(3), Err(REFUSED));
    world.supervisors.insert(srv(3), Err(REFUSED));
    world.run(5_000);
    assert_eq!(world.fence(), None, "the Sentinels prove it");
    let since = world.now;
    world.servers.insert(srv(2), Err(REFUSED));
    for n in [1, 2] {
        world.sentinels.insert(sen(n), Err(REFUSED));
    }
    world.run(1_200);
    assert!(world.ordered_at(is_fence).expect("fenced").since(since) <= ms(250));
}

#[test]
fn half_a_cluster_is_enough_or_not() {
    let rows: [(&str, fn(&mut World), bool); 5] = [
        (
            "a majority of Sentinels is left",
            |world| {
                cut_off(world, SILENT);
                world.sentinels.insert(sen(1), Ok(sentinel(1, srv(1), 1)));
                world.sentinels.insert(sen(2), Ok(sentinel(2, srv(1), 1)));
            },
            false,
        ),
        (
            "one Sentinel is left",
            |world| {
                cut_off(world, SILENT);
                world.sentinels.insert(sen(1), Ok(sentinel(1, srv(1), 1)));
            },
            true,
        ),
        (
            "every replica is left",
            |world| {
                for n in 1..=3 {
                    world.sentinels.insert(sen(n), Err(SILENT));
                }
            },
            false,
        ),
        (
            "one replica of two is left",
            |world| {
                let kept = world.servers[&srv(2)].clone();
                cut_off(world, SILENT);
                world.servers.insert(srv(2), kept);
            },
            true,
        ),
        (
            "all Sentinels name another",
            |world| {
                for n in 1..=3 {
                    world.sentinels.insert(sen(n), Ok(sentinel(n, srv(2), 2)));
                }
                world.servers.insert(srv(2), Err(SILENT));
            },
            true,
        ),
    ];
    for (what, so, fenced) in rows {
        let mut world = World::master();
        so(&mut world);
        world.run(4_000);
        assert_eq!(world.ordered(is_fence), fenced, "{what}");
    }
}

#[test]
fn a_fence_that_stands_is_ordered_anew() {
    let mut world = World::master();
    for n in 1..=3 {
        world.sentinels.insert(sen(n), Err(SILENT));
        world.servers.insert(srv(n), Err(SILENT));
    }
    world.run(4_000);
    assert!(world.fence().is_some());
    world.forget();
    world.run(5_000);
    let orders = world.orders();
    assert!((3..=6).contains(&orders.iter().filter(|order| is_fence(order)).count()), "{orders:?}");
    assert!(!orders.iter().any(lets_writers_go), "{orders:?}");
}

#[test]
fn p44_after_a_freeze_it_fences_first_then_asks_then_unfences() {
    let mut world = World::master();
    world.freeze(30_000);
    world.feed(Event::Tick);
    assert!(world.ordered(is_fence), "before anything else is known");
    let fenced = world.now;
    world.run(2_000);
    let free = world.ordered_at(is_unfence).expect("named again by answers asked for after it woke");
    assert!(free > fenced);
}

#[test]
fn p44_answers_asked_for_before_the_freeze_prove_nothing() {
    let mut world = World::master();
    let asked = world.now;
    world.freeze(30_000);
    for n in 1..=3 {
        world.feed(Event::Sentinel { at: sen(n), asked, seen: Ok(sentinel(n, srv(1), 1)) });
    }
    assert!(world.ordered(is_fence) && !world.ordered(is_unfence));
}

/// A Sentinel's failover kept it fenced; then it is cut off, so that nobody speaks against it any more.
#[test]
fn what_was_said_before_a_cut_lowers_no_fence_during_it() {
    let mut world = World::master();
    for n in 1..=3 {
        let mut says = sentinel(n, srv(1), 1);
        says.master.as_mut().unwrap().failover = true;
        world.sentinels.insert(sen(n), Ok(says));
    }
    world.freeze(30_000);
    world.run(2_000);
    assert!(world.ordered(is_fence) && !world.ordered(is_unfence));
    for n in 1..=3 {
        world.sentinels.insert(sen(n), Err(SILENT));
        world.servers.insert(srv(n), Err(SILENT));
    }
    world.run(1_500);
    assert!(world.fence().is_some(), "what was asked before the cut holds for so long");
    world.forget();
    world.run(30_000);
    assert!(!world.ordered(is_unfence), "{:?}", world.orders());
}

#[test]
fn in_maintenance_nothing_is_fenced() {
    let mut world = World::master();
    world.wish(Wish::Maintenance(Maintenance::On));
    cut_off(&mut world, SILENT);
    world.run(5_000);
    assert!(!world.ordered(is_fence));
}

#[test]
fn a8_a_server_that_has_never_known_another_is_never_fenced() {
    let mut rules = rules();
    rules.expected_servers = Some(1);
    rules.quorum = 1;
    let mut world = World::new(rules, None);
    world.names = Names { sentinels: Some(vec![sen(1)]), servers: Some(vec![srv(1)]) };
    world.sentinels.insert(sen(1), Ok(bare(1)));
    world.run(2_000);
    assert!(world.leads(), "{}", world.core.status().reason);
    let mut says = sentinel_of(1, &[1], srv(1), 1);
    says.rows.as_mut().unwrap().replicas.clear();
    world.sentinels.insert(sen(1), Ok(says));
    world.run(1_000);
    assert_eq!(world.fence(), None);
    world.sentinels.insert(sen(1), Err(SILENT));
    world.forget();
    world.run(20_000);
    assert_eq!(world.fence(), None, "nobody else can lead");
}

// Named again.

/// Fenced by a cut of 3 s, now healed.
fn healed() -> World {
    let mut world = World::master();
    cut_off(&mut world, SILENT);
    world.run(3_000);
    assert!(world.ordered(is_fence));
    world.forget();
    world.healthy(srv(1), 1);
    world
}

#[test]
fn named_again_and_when_not() {
    let rows: [(&str, fn(&mut World), bool); 7] = [
        ("all is well", |_| (), true),
        ("one Sentinel shows us s_down", |world| world.sentinel(3).master.as_mut().unwrap().s_down = true, false),
        ("one Sentinel shows us o_down", |world| world.sentinel(3).master.as_mut().unwrap().o_down = true, false),
        ("one Sentinel shows a failover", |world| world.propose(3, srv(2)), false),
        (
            "another server says master",
            |world| {
                world.servers.insert(srv(2), Ok(server(2, master_role(&[]), 1000)));
            },
            false,
        ),
        (
            "a majority does not answer",
            |world| {
                world.sentinels.insert(sen(1), Err(SILENT));
                world.sentinels.insert(sen(2), Err(SILENT));
            },
            false,
        ),
        (
            "a server that could be promoted does not answer",
            |world| {
                world.servers.insert(srv(3), Err(SILENT));
            },
            false,
        ),
    ];
    for (what, so, free) in rows {
        let mut world = healed();
        so(&mut world);
        world.run(5_000);
        assert_eq!(world.ordered(is_unfence), free, "{what}");
        assert_eq!(world.fence().is_none(), free, "{what}");
    }
}

#[test]
fn one_that_does_not_answer_is_waited_for_for_failover_timeout() {
    let mut world = healed();
    let since = world.now;
    world.servers.insert(srv(3), Err(SILENT));
    world.run(13_000);
    let free = world.ordered_at(is_unfence).expect("at last").since(since);
    assert!(free >= ms(10_000) && free <= ms(12_000), "{free:?}");
}

/// The order would lie in its socket until it thaws, whoever leads by then (sim 17969).
#[test]
fn while_the_child_is_frozen_it_stays_fenced() {
    let mut world = healed();
    let child = std::mem::replace(&mut world.child, Err(ChildFailure::Silent));
    world.run(5_000);
    assert!(!world.ordered(is_unfence) && world.fence().is_some(), "a frozen child is unfenced");
    world.child = child;
    world.run(2_000);
    assert!(world.ordered(is_unfence) && world.fence().is_none(), "it has thawed");
}

/// The looks that a busy child now and then leaves unanswered would keep it fenced for ever.
#[test]
fn a_child_that_now_and_then_misses_a_look_is_unfenced_all_the_same() {
    let mut world = healed();
    let since = world.now;
    world.servers.insert(srv(3), Err(SILENT));
    let child = world.child.clone();
    while !world.ordered(is_unfence) && world.now.since(since) < ms(30_000) {
        world.child = Err(ChildFailure::Busy);
        world.run(600);
        world.child = child.clone();
        world.run(3_000);
    }
    assert!(world.now.since(since) < ms(16_000), "{:?}", world.now.since(since));
}

#[test]
fn unfencing_restores_the_users_own_value_and_nothing_else_changes() {
    let mut world = healed();
    world.run(3_000);
    let only = |order: &ChildOrder| !matches!(order, ChildOrder::Unfence);
    assert!(!world.ordered(only), "{:?}", world.orders());
}

/// Fenced, in silence, with 500 bytes that nobody else has.
fn cut_off_with_more() -> World {
    let mut world = World::master();
    if let Ok(seen) = &mut world.child {
        seen.history.offset = crate::core::id::Offset(1500);
    }
    world.run(1_100);
    cut_off(&mut world, SILENT);
    world.run(3_000);
    world
}

#[test]
fn f1_another_was_confirmed_meanwhile_keep_follow_and_stay_fenced() {
    let mut world = cut_off_with_more();
    world.forget();
    world.healthy(srv(2), 2);
    world.holds = is_follow;
    world.run(1_500);
    let keep = world.ordered_at(|order| matches!(order, ChildOrder::Keep));
    let follow = world.ordered_at(is_follow);
    assert!(keep.is_some() && keep <= follow, "invariant 8: {:?}", world.orders());
    assert!(!world.ordered(is_unfence), "REPLICAOF has not been confirmed");
    world.holds = |_| false;
    world.let_go(is_follow);
    world.run(1_000);
    assert!(world.ordered(is_dismiss), "I1");
    assert!(!world.ordered(lets_writers_go), "a replica stays fenced");
}

#[test]
fn f1_what_no_rollback_file_holds_is_said_in_bytes() {
    let mut world = cut_off_with_more();
    world.healthy(srv(2), 2);
    world.holds = |order| matches!(order, ChildOrder::Keep);
    world.run(1_500);
    let full = OrderFailure::Refused("the rollback file: no room".into());
    world.fail(|order| matches!(order, ChildOrder::Keep), full);
    let said = |action: &Action| match action {
        Action::Log(decision) => decision.reason.contains("given up are 500 bytes of the replication stream"),
        _ => false,
    };
    assert!(world.done.iter().any(|(_, action)| said(action)));
}

// Born fenced: invariant 4.

/// Server `n` says that it follows us.
fn follows(world: &mut World, n: u8) {
    let attempt = world.core.course.leading().unwrap().attempt.clone();
    let id = world.asked(srv(n), tells_led).map(|(id, _)| id);
    if let Some(id) = id {
        world.feed(Event::Answer { id, from: srv(n), answer: Ok(PeerAnswer::Following) });
    }
    assert!(world.core.course.leading().is_some_and(|leading| leading.attempt == attempt));
}

#[test]
fn m9_born_fenced_until_named_or_followed() {
    let rows: [(&str, fn(&mut World), bool); 5] = [
        ("nobody", |_| (), false),
        ("a majority names us", |world| world.healthy(srv(1), 1), true),
        (
            "one Sentinel names us",
            |world| {
                world.sentinels.insert(sen(1), Ok(sentinel(1, srv(1), 1)));
            },
            false,
        ),
        (
            "voted without Sentinels, a majority of the servers follows",
            |world| {
                world.run(600);
                follows(world, 2);
            },
            true,
        ),
        (
            "its server streams, but its supervisor has not said so",
            |world| {
                world.servers.insert(srv(2), Ok(server(2, replica_role(srv(1)), 1000)));
            },
            false,
        ),
    ];
    for (what, so, free) in rows {
        let mut world = World::born_master_with(rules());
        so(&mut world);
        world.run(800);
        assert_eq!(world.fence().is_none(), free, "{what}");
        assert_eq!(world.ordered(is_unfence), free, "{what}");
    }
}

/// Its child stands still while everybody follows it; when it answers again, it is cut off.
#[test]
fn what_was_said_before_a_cut_lowers_no_first_fence_during_it() {
    for (cut, free) in [(true, false), (false, true)] {
        let mut world = World::born_master_with(rules());
        world.peers = |_, message| matches!(message, PeerMessage::Led { .. }).then_some(PeerAnswer::Following);
        let alive = std::mem::replace(&mut world.child, Err(ChildFailure::Silent));
        for n in [2, 3] {
            world.servers.insert(srv(n), Ok(server(n, replica_role(srv(1)), 1000)));
        }
        world.run(1_000);
        assert_eq!(world.fence(), Some(Fenced::Born));
        for n in (1..=3).filter(|_| cut) {
            world.sentinels.insert(sen(n), Err(SILENT));
            world.servers.insert(srv(n), Err(SILENT));
        }
        world.run(2_500);
        world.child = alive;
        world.run(1_000);
        assert_eq!(world.ordered(is_unfence), free, "cut: {cut}");
    }
}

#[test]
fn born_fenced_is_not_ready() {
    let world = World::born_master_with(rules());
    let status = world.core.status();
    assert!(status.fenced && !status.probes.ready.is_yes() && !status.probes.master.is_yes());
    assert!(status.probes.live.is_yes());
}

/// By a proposal it takes the Sentinels, or everybody: a majority of the servers is not enough.
#[test]
fn by_proposal_a_majority_of_servers_is_not_enough() {
    let mut world = World::replica();
    world.peers = |at, message| match message {
        PeerMessage::Consent { .. } => Some(PeerAnswer::Consented),
        PeerMessage::Led { .. } if at == srv(3) => Some(PeerAnswer::Following),
        _ => None,
    };
    world.lose(srv(2), REFUSED);
    world.run(1_500);
    world.propose(1, srv(1));
    world.run(1_500);
    assert!(world.leads());
    assert_eq!(world.fence(), Some(Fenced::Born));
}

/// We lead under a proposal, server 2 taken for gone by resets; the Sentinels name it for another 3 s.
fn led_by_absence() -> World {
    let mut world = World::replica();
    world.peers = |_, message| matches!(message, PeerMessage::Consent { .. }).then_some(PeerAnswer::Consented);
    world.lose(srv(2), REFUSED);
    world.run(1_500);
    world.propose(1, srv(1));
    world.run(2_000);
    assert!(world.leads());
    world.abort(1);
    world.run(1_000);
    world.forget();
    world
}

#[test]
fn m31_named_late_after_a_partition_that_rejected_the_old_master_must_know_first() {
    let mut world = led_by_absence();
    let since = world.now;
    world.healthy(srv(1), 2);
    // The Sentinels are heard first: an answer of server 2 while they still name it would take us down.
    world.lose(srv(2), REFUSED);
    world.run(300);
    world.servers.insert(srv(2), Ok(server(2, master_role(&[]), 1000)));
    world.run(4_000);
    assert!(world.fence().is_some(), "server 2 says master: it has not heard yet");
    world.servers.insert(srv(2), Ok(server(2, replica_role(srv(1)), 1000)));
    world.run(2_000);
    assert!(world.fence().is_none());

    let mut world = led_by_absence();
    world.healthy(srv(1), 2);
    world.lose(srv(2), SILENT);
    world.run(4_000);
    let free = world.ordered_at(is_unfence).expect("at last").since(since);
    assert!(free >= ms(2_000) && free <= ms(3_300), "not before its last proof is surely old: {free:?}");
}

#[test]
fn a_replica_is_fenced_and_stays_so_whoever_makes_it_a_master() {
    let mut world = World::replica();
    world.run(25_000);
    let fences = world.orders().iter().filter(|order| is_fence(order)).count();
    assert!((2..=4).contains(&fences), "anew each 10 s: {fences}");
    if let Ok(seen) = &mut world.child {
        seen.role = master_role(&[]);
    }
    world.run(10_000);
    assert!(!world.ordered(lets_writers_go));
    // A person who looks after it in maintenance is left alone.
    let mut world = World::replica();
    world.wish(Wish::Maintenance(Maintenance::On));
    world.forget();
    world.run(25_000);
    assert!(!world.ordered(is_fence));
}
