//! The master's child is gone: the replicas are compared, and a Sentinel is asked.

use super::crash::reborn;
use super::world::*;
use crate::core::event::ChildExit;

/// The child is killed, and its successor has loaded nothing.
fn crashes_empty(world: &mut World) {
    let mut next = reborn();
    next.has_data = false;
    world.child_exits(ChildExit::Signal(9), Ok(next));
}

/// We lead; each of these Sentinels shows an INFO of the replicas that is so many ms old.
fn master_with_info_aged(ages: [(u8, u64); 3]) -> World {
    let mut world = World::master();
    for (n, age) in ages {
        for replica in [2, 3] {
            world.replica_row(n, srv(replica)).info_refresh = ms(age);
        }
    }
    world.run(1_100);
    world
}

#[test]
fn a_quickening_is_asked_for_only_where_offsets_are_equal() {
    for (offset, asked) in [(1000, true), (900, false)] {
        let mut world = World::master();
        world.servers.insert(srv(3), Ok(server(3, replica_role(srv(1)), offset)));
        world.run(1_100);
        world.forget();
        crashes_empty(&mut world);
        world.run(1_000);
        assert_eq!(!world.messages(quickens).is_empty(), asked, "offset {offset}");
    }
}

/// Under writers the last looks differ, as they were not at one moment.
#[test]
fn d1_replicas_are_compared_by_looks_since_the_crash() {
    for (later, asked) in [(1000, true), (900, false)] {
        let mut world = World::master();
        world.servers.insert(srv(3), Ok(server(3, replica_role(srv(1)), 900)));
        world.run(1_100);
        world.forget();
        world.servers.insert(srv(3), Ok(server(3, replica_role(srv(1)), later)));
        let since = world.now;
        crashes_empty(&mut world);
        assert!(world.failovers().is_empty(), "a Sentinel is asked before it is known");
        while world.failovers().is_empty() {
            world.run(1);
            assert!(world.now.since(since) < ms(200), "nobody is asked");
        }
        assert_eq!(!world.messages(quickens).is_empty(), asked, "offset {later}");
    }
}

/// One that is slow to say what it lists would cost a second.
#[test]
fn d1_a_slow_sentinel_does_not_keep_the_replicas_from_refusing_info() {
    let mut world = World::master();
    world.run(1_100);
    world.forget();
    world.sentinel(2).rows = None;
    crashes_empty(&mut world);
    world.run(200);
    assert!(!world.messages(quickens).is_empty() && !world.failovers().is_empty());
}

/// A Sentinel whose INFO is younger than 1 s waits for its second; one whose next INFO is due reads it too soon.
#[test]
fn d1_one_whose_info_has_just_become_a_second_old_is_asked() {
    let mut world = master_with_info_aged([(1, 2_400), (2, 300), (3, 1_200)]);
    crashes_empty(&mut world);
    world.run(200);
    assert_eq!(world.failovers().first(), Some(&sen(3)));
}

/// What a Sentinel that stands still holds grows older, and it would be asked first: 1.66 s until another one is.
#[test]
fn d1_a_sentinel_that_has_just_been_frozen_is_asked_last() {
    let mut world = master_with_info_aged([(1, 300), (2, 400), (3, 1_200)]);
    world.mute = Some(sen(3));
    crashes_empty(&mut world);
    world.run(300);
    assert_eq!(world.failovers().first(), Some(&sen(2)));
}
