//! P0 to P9: handing over to a replica that has no supervisor. We are server 1 and lead; server 2 has none.

use super::world::*;
use crate::core::action::{ChildOrder, SentinelOrder};
use crate::core::event::{OrderFailure, SentinelReply, Signal, Wish};
use crate::core::rules::Rules;

fn unsupervised(world: &mut World, n: u8, offset: u64) {
    let mut seen = server(n, replica_role(srv(1)), offset);
    seen.supervised = Some(false);
    world.servers.insert(srv(n), Ok(seen));
    world.supervisors.insert(srv(n), Err(REFUSED));
}

/// A master whose two replicas have no supervisor and hold all it has.
fn migration_with(rules: Rules) -> World {
    let mut world = World::born_master_with(rules);
    world.healthy(srv(1), 1);
    for n in 2..=3 {
        unsupervised(&mut world, n, 1000);
        let entry = world.core.evidence.servers.get_mut(&srv(n)).unwrap();
        (entry.http_answered, entry.supervised) = (false, Some(false));
    }
    world.attach(&[srv(2), srv(3)]);
    world.run(15_000);
    assert!(world.leads() && world.fence().is_none());
    world.forget();
    world
}

fn migration() -> World {
    migration_with(rules())
}

fn begun(mut world: World) -> World {
    world.holds = is_terminate;
    world.signal(Signal::Stop);
    world.run(30);
    world
}

#[test]
fn p2_to_p8_the_whole_way() {
    let mut world = migration();
    world.holds = |order| is_release(order) || is_terminate(order);
    world.signal(Signal::Stop);
    world.run(100);
    assert!(world.ordered(is_release), "P2");
    assert!(world.failovers().is_empty(), "P4 never before P3");
    world.holds = is_terminate;
    world.let_go(is_release);
    world.run(50);
    assert_eq!(world.failovers().len(), 1, "P4");
    assert!(!world.ordered(is_follow));
    world.sentinel_says(Ok(SentinelReply::Ok));
    world.servers.insert(srv(2), Ok(server(2, master_role(&[]), 1000)));
    world.run(30);
    assert_eq!(world.following(), Some(srv(2)), "P6, at once");
    assert!(!world.ordered(is_dismiss), "P7: not named yet");
    for n in 1..=3 {
        world.sentinels.insert(sen(n), Ok(sentinel(n, srv(2), 2)));
    }
    world.run(300);
    let (follow, dismiss, end) =
        (world.ordered_at(is_follow), world.ordered_at(is_dismiss), world.ordered_at(is_terminate));
    assert!(follow.is_some() && follow < dismiss && dismiss <= end, "{:?}", world.orders());
    assert!(!world.ordered(lets_writers_go), "a replica stays fenced: {:?}", world.orders());
}

#[test]
fn p3_every_replica_is_at_the_offset_or_no() {
    let mut world = migration();
    unsupervised(&mut world, 3, 900);
    world.run(1_100);
    let mut world = begun(world);
    world.run(900);
    assert!(world.failovers().is_empty(), "900 of 1000");
    world.run(300);
    assert!(world.ordered(is_take_back), "NO: nobody is left paused");
    world.run(3_000);
    assert!(world.failovers().is_empty());
}

#[test]
fn p3_caught_up_in_time() {
    let mut world = migration();
    unsupervised(&mut world, 3, 900);
    world.run(1_100);
    let mut world = begun(world);
    world.run(500);
    unsupervised(&mut world, 3, 1000);
    world.run(30);
    assert_eq!(world.failovers().len(), 1);
}

#[test]
fn p3_a_replica_that_does_not_answer_is_not_at_the_offset() {
    let mut world = migration();
    world.servers.insert(srv(3), Err(SILENT));
    world.run(1_100);
    let mut world = begun(world);
    world.run(3_000);
    assert!(world.failovers().is_empty(), "it is attached and S could choose it");
    assert!(world.ordered(is_take_back));
}

#[test]
fn p4_only_with_three_and_a_half_seconds_of_the_pause_left() {
    let mut world = migration();
    world.holds = |order| is_release(order) || is_terminate(order);
    world.signal(Signal::Stop);
    world.run(1_200);
    world.let_go(is_release);
    world.run(300);
    assert!(world.failovers().is_empty(), "paused 1.2 s ago or more: 3.3 of 4.5 s are left");
    assert!(world.ordered(is_take_back));
}

#[test]
fn p4_nogoodslave_is_no_at_once() {
    let mut world = begun(migration());
    assert_eq!(world.failovers().len(), 1);
    world.sentinel_says(Ok(SentinelReply::NoGoodReplica));
    world.run(50);
    assert!(world.ordered(is_take_back));
    assert!(world.sentinel_orders(SentinelOrder::Reset).is_empty(), "nothing was begun there");
}

#[test]
fn p5_nobody_promoted_reset_look_again_no() {
    let mut world = begun(migration());
    world.sentinel_says(Ok(SentinelReply::Ok));
    let asked = world.now;
    world.run(1_900);
    assert!(world.sentinel_orders(SentinelOrder::Reset).is_empty());
    assert!(!world.ordered(is_take_back));
    world.run(700);
    assert_eq!(world.sentinel_orders(SentinelOrder::Reset), world.failovers(), "on S");
    let back = world.ordered_at(is_take_back).expect("NO");
    assert!(back.since(asked) <= ms(2_600), "within the pause: {:?}", back.since(asked));
}

#[test]
fn p5_cut_off_meanwhile_no_leaves_the_fence_up() {
    let mut world = begun(migration());
    world.sentinel_says(Ok(SentinelReply::Ok));
    for n in 1..=3 {
        world.sentinels.insert(sen(n), Err(SILENT));
        world.servers.insert(srv(n), Err(SILENT));
    }
    world.run(6_000);
    assert!(world.leads() && world.fence().is_some());
    assert!(!world.orders().iter().any(lets_writers_go), "S may have promoted somebody: {:?}", world.orders());
}

#[test]
fn p5_promoted_at_the_last_look_is_followed() {
    let mut world = begun(migration());
    world.sentinel_says(Ok(SentinelReply::Ok));
    world.run(2_050);
    assert_eq!(world.sentinel_orders(SentinelOrder::Reset).len(), 1);
    world.servers.insert(srv(3), Ok(server(3, master_role(&[]), 1000)));
    world.run(50);
    assert_eq!(world.following(), Some(srv(3)));
    assert!(!world.ordered(is_take_back));
}

#[test]
fn the_answer_to_failover_may_be_lost() {
    for says in [Err(SILENT), Ok(SentinelReply::InProgress)] {
        let mut world = begun(migration());
        world.sentinel_says(says.clone());
        world.run(300);
        assert!(!world.ordered(is_take_back), "{says:?}: it may have begun");
        world.servers.insert(srv(2), Ok(server(2, master_role(&[]), 1000)));
        world.run(50);
        assert_eq!(world.following(), Some(srv(2)), "{says:?}");
    }
}

#[test]
fn no_then_fifteen_seconds_of_watching() {
    let mut world = migration();
    world.holds = is_terminate;
    world.wish(Wish::Handover { to: None });
    world.run(30);
    world.sentinel_says(Ok(SentinelReply::Ok));
    world.run(2_600);
    assert!(world.ordered(is_take_back) && world.leads() && !world.core.status().fenced);
    world.forget();
    world.wish(Wish::Handover { to: None });
    world.run(10_000);
    assert!(!world.ordered(is_release) && world.failovers().is_empty(), "a late command may still arrive");
}

#[test]
fn a_late_promotion_after_no_is_followed_once_the_sentinels_name_it() {
    let mut world = migration();
    world.wish(Wish::Handover { to: None });
    world.run(30);
    world.sentinel_says(Ok(SentinelReply::Ok));
    world.run(2_600);
    world.forget();
    for n in 1..=3 {
        world.sentinels.insert(sen(n), Ok(sentinel(n, srv(2), 2)));
    }
    world.servers.insert(srv(2), Ok(server(2, master_role(&[]), 1000)));
    world.run(3_000);
    assert_eq!(world.following(), Some(srv(2)));
    assert!(world.ordered(is_fence) && world.ordered_at(is_fence) <= world.ordered_at(is_follow));
}

#[test]
fn p2_failed_is_taken_back() {
    for failure in [OrderFailure::Unknown, OrderFailure::Refused("no".into())] {
        let mut world = migration();
        world.holds = |order| is_release(order) || is_terminate(order);
        world.wish(Wish::Handover { to: None });
        world.run(50);
        world.fail(is_release, failure.clone());
        world.run(50);
        assert!(world.ordered(is_take_back), "{failure:?}");
        assert!(world.failovers().is_empty(), "{failure:?}");
    }
}

#[test]
fn supervised_replicas_go_the_gated_way() {
    let mut world = World::master();
    world.holds = is_terminate;
    world.signal(Signal::Stop);
    world.run(300);
    assert!(!world.ordered(is_release), "nobody is paused before a proposal");
    assert_eq!(world.failovers().len(), 1);
}

#[test]
fn one_without_a_supervisor_among_supervised_ones_takes_the_direct_way() {
    let mut world = World::master();
    unsupervised(&mut world, 3, 1000);
    let entry = world.core.evidence.servers.get_mut(&srv(3)).unwrap();
    (entry.http_answered, entry.supervised) = (false, Some(false));
    world.run(3_000);
    world.forget();
    let world = begun(world);
    assert!(world.ordered(is_release), "nobody gates that one");
}

#[test]
fn one_that_s_could_not_choose_needs_no_direct_way() {
    let mut world = World::master();
    unsupervised(&mut world, 3, 1000);
    let entry = world.core.evidence.servers.get_mut(&srv(3)).unwrap();
    (entry.http_answered, entry.supervised) = (false, Some(false));
    for n in 1..=3 {
        for row in &mut world.sentinel(n).rows.as_mut().unwrap().replicas {
            if row.address == srv(3) {
                row.priority = 0;
            }
        }
    }
    world.run(3_000);
    world.forget();
    let world = begun(world);
    assert!(!world.ordered(is_release), "its priority is 0 on every Sentinel");
    assert_eq!(world.failovers().len(), 1);
}

#[test]
fn an_offset_beyond_ours_counts_too() {
    let mut world = migration();
    unsupervised(&mut world, 2, 1014);
    world.run(1_100);
    let world = begun(world);
    assert_eq!(world.failovers().len(), 1);
    assert!(world.orders().iter().any(|order| matches!(order, ChildOrder::Release { .. })));
}
