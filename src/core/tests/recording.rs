//! When the state file is written.

use super::world::*;
use crate::core::action::Action;
use crate::core::id::Offset;
use crate::core::record::Calm;
use crate::core::seen::{Appended, Written};

/// Seconds in which each the offset moves by so much; how often the file was written.
fn written(world: &mut World, seconds: u64, bytes: u64) -> usize {
    world.forget();
    for _ in 0..seconds {
        let Ok(seen) = &mut world.child else { panic!("it runs") };
        seen.history.offset = Offset(seen.history.offset.0 + bytes);
        world.run(1_000);
    }
    world.done.iter().filter(|(_, action)| matches!(action, Action::Save(_))).count()
}

/// An idle cluster of three Sentinels: a ping each second and a hello of each every other one.
const IDLE: u64 = 14 + 3 * 140;

#[test]
fn the_state_file_is_written_each_second_while_data_move_and_seldom_while_only_pings_and_hellos_do() {
    let mut world = World::replica();
    world.run(3_000);
    for (what, bytes, expected) in [
        ("nothing moves", 0, 0..=0),
        ("pings", 14, 3..=5),
        ("pings and hellos", IDLE, 3..=5),
        ("data", IDLE + 600, 18..=20),
        ("pings again", 14, 3..=5),
    ] {
        let count = written(&mut world, 20, bytes);
        assert!(expected.contains(&count), "{what}: {count} times in 20 s");
    }
}

#[test]
fn d3_an_append_only_file_tells_data_from_hellos_to_the_byte() {
    let mut world = World::replica();
    for (what, data, expected) in [("hellos", 0, 3..=5), ("the shortest write", 20, 18..=20)] {
        if let Ok(seen) = &mut world.child {
            seen.aof = true;
            seen.appended = Some(Appended { offset: seen.history.offset, bytes: 4096 });
        }
        world.run(3_000);
        let mut count = 0;
        for _ in 0..20 {
            let Ok(seen) = &mut world.child else { panic!("it runs") };
            let offset = Offset(seen.history.offset.0 + IDLE);
            let bytes = seen.appended.map_or(0, |appended| appended.bytes + data);
            seen.appended = Some(Appended { offset, bytes });
            count += written(&mut world, 1, IDLE);
        }
        assert!(expected.contains(&count), "{what}: {count} times in 20 s");
    }
}

#[test]
fn a_change_of_anything_but_the_offset_is_written_within_a_second() {
    let mut world = World::replica();
    world.run(8_000);
    assert_eq!(written(&mut world, 2, 0), 0);
    world.names.servers.get_or_insert_default().push(srv(9));
    world.servers.insert(srv(9), Ok(server(9, replica_role(srv(1)), 1000)));
    assert!(written(&mut world, 4, 14) >= 1, "a server that is new is not kept");
}

/// Where no data come the stream moves on by pings and hellos; the count of writes stands.
#[test]
fn v3_where_no_data_came_is_kept_beside_the_offset() {
    let mut world = World::replica();
    let stands = |world: &mut World, offset, changes| {
        let seen = world.child.as_mut().unwrap();
        seen.history.offset = Offset(offset);
        seen.written = Some(Written { offset: Offset(offset), changes, saves: 0 });
        world.run(6_000);
        world.core.last_record().unwrap().calm
    };
    for (what, offset, changes, from) in [
        ("the first look", 1000, 5, 1000),
        ("pings", 1014, 5, 1000),
        ("pings and hellos", 1014 + IDLE, 5, 1000),
        ("a write", 2000, 6, 2000),
        ("more than pings and hellos are, though nothing was counted", 90_000, 6, 90_000),
        ("back", 500, 6, 500),
    ] {
        let calm = Some(Calm { from: Offset(from), upto: Offset(offset) });
        assert_eq!(stands(&mut world, offset, changes), calm, "{what}");
    }
    let seen = world.child.as_mut().unwrap();
    seen.written = None;
    world.run(6_000);
    assert_eq!(world.core.last_record().unwrap().calm, None, "an engine that does not count");
}
