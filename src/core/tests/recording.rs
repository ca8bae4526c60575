//! When the state file is written.

use super::world::*;
use crate::core::action::Action;
use crate::core::id::Offset;

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

#[test]
fn the_state_file_is_written_each_second_while_data_move_and_seldom_while_only_pings_do() {
    let mut world = World::replica();
    world.run(3_000);
    for (what, bytes, expected) in [
        ("nothing moves", 0, 0..=0),
        ("pings", 14, 3..=5),
        ("the shortest write", 14 + 20, 18..=20),
        ("pings again", 14, 3..=5),
    ] {
        let count = written(&mut world, 20, bytes);
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
