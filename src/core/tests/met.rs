//! Each of two clusters says that the other one knows an address of its own, and a door waits for the other's Sentinels (N1).

use super::foreign::{id, known, merged, of_cluster, said, sentinels_supervisor, tag, tagged};
use super::world::*;
use crate::core::action::{Action, ChildOrder};
use crate::core::event::Event;
use crate::core::id::ReplyId;
use crate::core::message::PeerMessage;
use crate::core::rules::Rules;

fn is_met(message: &PeerMessage) -> bool {
    matches!(message, PeerMessage::Met { .. })
}

fn opens(order: &ChildOrder) -> bool {
    matches!(order, ChildOrder::OpenDoor)
}

/// A supervisor of cluster `b` knows our address.
fn tells(world: &mut World, n: u8, lists: bool) {
    let message = PeerMessage::Met { lists };
    let reply = ReplyId(5_000 + u64::from(n));
    world.feed(Event::Request { reply, from: Some(sen(n)), cluster: Some(id("b")), message });
}

/// We start, and follow server 2 of our cluster.
fn starts(rules: Rules) -> World {
    let mut world = World::new(rules, None);
    world.healthy(srv(2), 1);
    for seen in world.supervisors.values_mut().flatten() {
        seen.cluster = Some(id("a"));
    }
    world
}

#[test]
fn n1_strangers_are_told_that_we_know_their_addresses_and_by_whom_they_are_listed() {
    let mut world = World::replica_with(of_cluster("a"));
    known(&mut world);
    merged(&mut world, &[], true);
    world.run(2_000);
    assert!(world.messages(is_met).contains(&(srv(3), PeerMessage::Met { lists: false })), "at once");
    world.forget();
    world.run(20_000);
    let told = world.messages(is_met).iter().filter(|(at, _)| *at == srv(3)).count();
    assert!((3..=5).contains(&told), "{told} times in 20 s");

    let mut world = sentinels_supervisor(of_cluster("a"));
    merged(&mut world, &[], true);
    world.holds = is_terminate;
    world.run(8_000);
    let said = world.messages(is_met);
    assert!(said.contains(&(srv(3), PeerMessage::Met { lists: true })), "{said:?}");
}

#[test]
fn n1_who_does_not_answer_or_shows_no_id_is_told_nothing() {
    let mut world = World::replica_with(of_cluster("a"));
    known(&mut world);
    merged(&mut world, &[], false);
    world.run(10_000);
    assert!(world.messages(is_met).is_empty(), "{:?}", world.messages(is_met));
}

#[test]
fn n3_a_sentinel_of_another_cluster_at_an_address_of_ours_is_told() {
    let mut world = World::replica_with(of_cluster("a"));
    known(&mut world);
    tagged(&mut world, "a");
    world.sentinel(3).id = tag("b", 3);
    world.run(5_000);
    assert!(world.messages(is_met).iter().any(|(at, _)| *at == sen(3)));
}

#[test]
fn n1_that_another_cluster_knows_our_address_is_said_once_and_changes_nothing() {
    let mut world = World::replica_with(of_cluster("a"));
    known(&mut world);
    for n in 1..=3 {
        tells(&mut world, n, true);
        world.run(1_000);
    }
    let lines = said(&world, "foreign");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("of cluster b knows this address"), "{lines:?}");
    assert_eq!(world.core.course.master(), Some(srv(2)));
    assert!(world.orders().is_empty(), "{:?}", world.orders());
    // Anybody may write a message.
    for n in 0..50 {
        let message = PeerMessage::Met { lists: false };
        let cluster = Some(id(&format!("liar-{n}")));
        world.feed(Event::Request { reply: ReplyId(9_000 + n), from: Some(sen(9)), cluster, message });
    }
    assert!(said(&world, "foreign").len() <= 8);
}

#[test]
fn n1_a_replicas_door_stays_shut_while_a_foreign_sentinel_lists_its_address_but_not_for_ever() {
    let mut world = starts(of_cluster("a"));
    for _ in 0..10 {
        tells(&mut world, 7, true);
        world.run(500);
    }
    assert_eq!(world.core.course.master(), Some(srv(2)));
    assert!(world.ordered(is_follow) && !world.ordered(opens), "it follows behind a shut door");
    // Dropped: nobody says so any more.
    world.run(3_200);
    assert!(world.ordered(opens));

    let mut world = starts(of_cluster("a"));
    for n in 0..70 {
        assert!(n < 62 || world.ordered(opens), "it has waited long enough");
        assert!(n > 55 || !world.ordered(opens), "after {n} s");
        tells(&mut world, 7, true);
        world.run(1_000);
    }
    assert_eq!(said(&world, "door").iter().filter(|line| line.contains("lists this address")).count(), 2);
}

/// What is missing there is missing now: a leader's door, and that of who may be chosen next.
#[test]
fn n1_a_leader_does_not_wait() {
    let mut world = World::born_master_with(of_cluster("a"));
    world.forget();
    tells(&mut world, 7, true);
    world.run(1_000);
    assert!(!world.done.iter().any(|(_, action)| matches!(action, Action::Child { order: ChildOrder::ShutDoor, .. })));
}

/// The port over which a supervisor tells its cluster is asked each second where a server is gone, by a Sentinel's too.
#[test]
fn n7_who_has_got_the_address_of_one_that_is_gone_is_known_within_two_seconds() {
    let mut world = sentinels_supervisor(of_cluster("a"));
    world.lose(srv(3), REFUSED);
    world.run(10_000);
    world.supervisors.insert(srv(3), Ok(super::foreign::shows("b", 9)));
    world.run(2_000);
    assert!(world.core.evidence.is_stranger(srv(3)), "its door is still shut");
}

/// N1: who looks at the port of a server that has just come learns whose it is before its engine can be reached.
#[test]
fn n1_a_server_tells_its_cluster_before_its_door_opens() {
    for rules in [of_cluster("a"), rules()] {
        let mut world = starts(rules);
        while !world.ordered(opens) {
            world.run(1);
            assert!(world.now < crate::core::moment::Moment::millis(5_000), "its door opens");
        }
        let opened = world.ordered_at(opens).expect("it opens");
        let said = world.core.history().find(|line| line.event == "cluster").map(|line| line.at);
        assert_eq!(world.core.status().cluster, Some(id("a")));
        assert!(said.is_none_or(|said| said < opened), "{said:?} {opened:?}");
    }
}
