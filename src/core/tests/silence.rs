//! Silence: a link that carries nothing is cut in time, and the Sentinel that completes a majority is asked at once (M30).

use super::world::*;
use crate::core::action::ChildOrder;
use crate::core::id::{Address, Offset};

fn idle(world: &mut World, millis: u64) {
    if let Ok(seen) = &mut world.child {
        seen.link_idle = Some(ms(millis));
    }
}

#[test]
fn m30_a_link_that_carries_nothing_is_cut_once() {
    // (idle, cut) with down-after 5 s
    for (idle, cut) in [(2_000, false), (3_000, true), (9_000, true)] {
        let mut world = World::replica();
        if let Ok(seen) = &mut world.child {
            seen.link_idle = Some(ms(idle));
        }
        world.run(1_100);
        let count = world.orders().iter().filter(|order| matches!(order, ChildOrder::CutLink)).count();
        assert_eq!(count, usize::from(cut), "idle for {idle} ms");
    }
}

#[test]
fn m30_a_link_that_falls_silent_is_cut_as_soon_as_it_has_been() {
    // Whatever the moment, within the second between two looks in calm.
    for after in [100, 350, 600, 850] {
        let mut world = World::replica();
        idle(&mut world, 2_000);
        world.run(1_000 + after);
        let silent = world.now;
        idle(&mut world, 3_000);
        world.run(1_000);
        let cut = world.ordered_at(|order| matches!(order, ChildOrder::CutLink)).expect("cut");
        assert!(cut.since(silent) <= ms(110), "{:?}", cut.since(silent));
    }
}

/// A replica whose master has fallen silent.
fn bereft() -> World {
    let mut world = World::replica();
    world.lose(srv(2), SILENT);
    world
}

/// So much time passes; at its begin a ping of Sentinel `n` has stood unanswered for so long, or none has.
fn wait(world: &mut World, waits: [Option<u64>; 3], millis: u64) {
    for passed in (0..millis).step_by(20) {
        for (n, waits) in (1..=3).zip(waits) {
            let row = world.sentinel(n).master.as_mut().expect("names somebody");
            row.ping_unanswered = waits.map(|waits| ms(waits + passed));
        }
        world.run(20);
    }
}

#[test]
fn m30_the_sentinel_that_completes_the_majority_is_asked_when_it_has_waited_down_after() {
    let cases: [([Option<u64>; 3], Option<(u8, u64)>); 5] = [
        ([Some(4_000), Some(4_600), Some(4_300)], Some((3, 700))),
        ([Some(4_600), Some(4_200), Some(4_000)], Some((2, 800))),
        ([Some(4_600), None, Some(4_100)], Some((3, 900))),
        ([Some(4_600), None, None], None),
        ([Some(3_000), Some(4_600), Some(3_000)], None),
    ];
    for (waits, asks) in cases {
        let mut world = bereft();
        wait(&mut world, waits, 1_000);
        let asked: Vec<Address> = world.failovers();
        assert_eq!(asked, asks.iter().map(|(n, _)| sen(*n)).collect::<Vec<_>>(), "{waits:?}");
        if let Some((_, due)) = asks {
            let mut world = bereft();
            wait(&mut world, waits, due - 60);
            assert!(world.failovers().is_empty(), "{waits:?}: before its time");
            let mut world = bereft();
            wait(&mut world, waits, due + 60);
            assert_eq!(world.failovers().len(), 1, "{waits:?}: at its time");
        }
    }
}

#[test]
fn m30_who_is_not_to_ask_in_silence_does_not() {
    const WAITS: [Option<u64>; 3] = [Some(4_600), Some(4_500), Some(4_000)];
    let cases: [(&str, fn(&mut World)); 5] = [
        ("another holds more", |world| {
            let seen = world.servers.get_mut(&srv(3)).expect("there").as_mut().expect("answers");
            seen.history.offset = Offset(1001);
        }),
        ("a Sentinel has chosen already", |world| world.propose(1, srv(3))),
        ("the one that would be asked is in TILT", |world| {
            world.sentinel(2).rows.as_mut().expect("full").tilt = true;
        }),
        ("it names another", |world| {
            world.sentinel(2).master.as_mut().expect("names somebody").address = srv(3);
        }),
        ("our link to it is up", |world| {
            if let Ok(seen) = &mut world.child {
                seen.role = replica_role(srv(2));
            }
        }),
    ];
    for (what, change) in cases {
        let mut world = bereft();
        change(&mut world);
        wait(&mut world, WAITS, 900);
        assert_eq!(world.failovers(), [], "{what}");
    }
}
