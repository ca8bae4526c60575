//! Section 5 and F5: Sentinels at one epoch that name different masters. We stand at Sentinel 1.

use super::world::*;
use crate::core::Supervisor;
use crate::core::action::Monitor;
use crate::core::id::Epoch;
use crate::core::rules::Mode;

/// Server 2 leads and is followed; Sentinels 1 to 3 name these at these epochs. At Sentinel `n`.
fn split_at(n: u8, names: [(u8, u64); 3], so: fn(&mut World)) -> World {
    let mut rules = rules();
    (rules.mode, rules.me) = (Mode::Sentinel, sen(n));
    let mut world = World::new(rules, None);
    world.healthy(srv(2), 4);
    world.servers.insert(srv(1), Ok(server(1, replica_role(srv(2)), 1000)));
    for (n, (master, epoch)) in (1..).zip(names) {
        world.sentinels.insert(sen(n), Ok(sentinel(n, srv(master), epoch)));
    }
    so(&mut world);
    world
}

#[test]
fn f5_who_is_right_says_it_again_at_an_epoch_of_its_own() {
    type Row = (&'static str, u8, [(u8, u64); 3], fn(&mut World), Option<u64>);
    let table: [Row; 10] = [
        ("each names another: ours is right", 1, [(2, 4), (1, 4), (3, 4)], |_| (), Some(5)),
        ("each names another: ours is wrong", 1, [(1, 4), (2, 4), (3, 4)], |_| (), None),
        ("ours is right, and second in the order", 2, [(1, 4), (2, 4), (3, 4)], |_| (), Some(6)),
        ("others are at a lower epoch: hello does it", 1, [(2, 4), (1, 3), (3, 3)], |_| (), None),
        ("another is at a higher epoch: hello does it", 1, [(2, 4), (1, 4), (3, 5)], |_| (), None),
        ("all agree", 1, [(2, 4), (2, 4), (2, 4)], |_| (), None),
        ("one of them runs a failover (F4)", 1, [(2, 4), (1, 4), (3, 4)], |w| w.propose(2, srv(3)), None),
        (
            "the other one says master too (F2)",
            1,
            [(2, 4), (3, 4), (3, 4)],
            |w| drop(w.servers.insert(srv(3), Ok(server(3, master_role(&[]), 1)))),
            None,
        ),
        ("ours does not answer", 1, [(2, 4), (3, 4), (3, 4)], |w| drop(w.servers.insert(srv(2), Err(SILENT))), None),
        (
            "a server follows somebody else",
            1,
            [(2, 4), (1, 4), (3, 4)],
            |w| drop(w.servers.insert(srv(3), Ok(server(3, replica_role(srv(1)), 1)))),
            None,
        ),
    ];
    for (what, n, names, so, epoch) in table {
        let mut world = split_at(n, names, so);
        world.run(20_000);
        let then = epoch.map(|epoch| Monitor { master: srv(2), epoch: Epoch(epoch) });
        assert_eq!(world.rewritten_file().and_then(|file| file.monitor), then, "{what}");
    }
}

#[test]
fn f5_of_two_that_are_right_none_restarts_beside_the_stray_and_the_second_5_s_later() {
    for (n, due) in [(3, ms(4_000)), (1, ms(9_000)), (2, ms(14_000))] {
        let mut world = split_at(n, [(2, 4), (2, 4), (3, 4)], |_| ());
        let since = world.now;
        world.run(30_000);
        let at = world.ordered_at(is_terminate).expect("said again").since(since);
        assert!(at >= due && at < due + ms(1_500), "{n}: {at:?}");
    }
}

#[test]
fn f5_settled_meanwhile_nobody_is_restarted() {
    let mut world = split_at(2, [(2, 4), (2, 4), (3, 4)], |_| ());
    world.run(6_000);
    world.sentinels.insert(sen(1), Ok(sentinel(1, srv(2), 5)));
    world.sentinels.insert(sen(3), Ok(sentinel(3, srv(2), 5)));
    world.run(20_000);
    assert!(!world.ordered(is_terminate));
}

#[test]
fn a5_sentinels_that_agree_on_a_replica_whose_master_they_list_are_left_to_settle() {
    let mut world = split_at(1, [(3, 4), (3, 4), (3, 4)], |_| ());
    let mut rules = rules();
    (rules.mode, rules.me) = (Mode::Sentinel, sen(1));
    world.core = Supervisor::new(rules, None, world.now);
    world.run(40_000);
    assert!(!world.ordered(is_terminate), "the leader asks a Sentinel that lists it");
}
