//! Section 5, prune: a row a condition. We stand at Sentinel 1, of three that name server 2.

use super::world::*;
use crate::core::action::SentinelFile;
use crate::core::id::{Address, Epoch};
use crate::core::moment::Moment;
use crate::core::rules::Mode;
use crate::core::seen::{SentinelRow, SentinelSeen};

/// A Sentinel and a replica that nobody has heard of for long.
const GHOST: u8 = 9;

fn rows(seen: &mut SentinelSeen) -> &mut crate::core::seen::Rows {
    seen.rows.as_mut().expect("full")
}

fn ghost_sentinel() -> SentinelRow {
    SentinelRow { address: sen(GHOST), id: Some(sentinel_id(GHOST)), down_for: Some(ms(90_000)) }
}

/// Three Sentinels of which each lists both ghosts; everybody else is well. `so` makes it differ from the start.
fn haunted(so: fn(&mut World)) -> World {
    let mut rules = rules();
    (rules.mode, rules.me) = (Mode::Sentinel, sen(1));
    let mut world = World::new(rules, None);
    world.healthy(srv(2), 4);
    world.servers.insert(srv(1), Ok(server(1, replica_role(srv(2)), 1000)));
    for n in 1..=3 {
        let rows = rows(world.sentinel(n));
        rows.sentinels.push(ghost_sentinel());
        let mut row = replica_row(srv(GHOST));
        (row.s_down, row.down_for) = (true, ms(90_000));
        rows.replicas.push(row);
    }
    so(&mut world);
    world
}

fn both() -> SentinelFile {
    SentinelFile { forget: vec![sentinel_id(GHOST)], forget_replicas: vec![srv(GHOST)], ..SentinelFile::default() }
}

fn only_replica() -> SentinelFile {
    SentinelFile { forget: vec![], ..both() }
}

fn only_sentinel() -> SentinelFile {
    SentinelFile { forget_replicas: vec![], ..both() }
}

fn without_quorum(world: &mut World) {
    for n in 1..=3 {
        rows(world.sentinel(n)).quorum_ok = false;
    }
}

#[test]
fn what_is_a_ghost() {
    type Row = (&'static str, fn(&mut World), Option<SentinelFile>);
    let table: [Row; 13] = [
        ("both", |_| (), Some(both())),
        (
            "the Sentinel's row is s_down for a minute only",
            |w| rows(w.sentinel(1)).sentinels[2].down_for = Some(ms(60_000)),
            Some(only_replica()),
        ),
        (
            "the replica's row is s_down for a minute only",
            |w| rows(w.sentinel(1)).replicas[2].down_for = ms(60_000),
            Some(only_sentinel()),
        ),
        (
            "the Sentinel answers us",
            |w| drop(w.sentinels.insert(sen(GHOST), Ok(sentinel(GHOST, srv(2), 4)))),
            Some(only_replica()),
        ),
        (
            "it wants a password: somebody is there",
            |w| drop(w.sentinels.insert(sen(GHOST), Err(crate::core::seen::Failure::Unauthorised))),
            Some(only_replica()),
        ),
        ("it refuses", |w| drop(w.sentinels.insert(sen(GHOST), Err(REFUSED))), Some(both())),
        (
            "the replica's server answers",
            |w| drop(w.servers.insert(srv(GHOST), Ok(server(GHOST, replica_role(srv(2)), 1)))),
            Some(only_sentinel()),
        ),
        (
            "the replica's supervisor answers",
            |w| {
                w.supervisors.insert(srv(GHOST), Ok(supervisor(4)));
            },
            Some(only_sentinel()),
        ),
        ("its row has no id", |w| rows(w.sentinel(1)).sentinels[2].id = None, Some(only_replica())),
        ("CKQUORUM fails, the names no longer list them", without_quorum, Some(both())),
        (
            "CKQUORUM fails, the names do not resolve",
            |w| {
                without_quorum(w);
                (w.names.sentinels, w.names.servers) = (None, None);
            },
            None,
        ),
        (
            "CKQUORUM fails, the names still list the Sentinel",
            |w| {
                without_quorum(w);
                w.names.sentinels.as_mut().expect("a list").push(sen(GHOST));
            },
            Some(only_replica()),
        ),
        (
            "CKQUORUM fails, the names still list the replica",
            |w| {
                without_quorum(w);
                w.names.servers.as_mut().expect("a list").push(srv(GHOST));
            },
            Some(only_sentinel()),
        ),
    ];
    for (what, so, then) in table {
        let mut world = haunted(so);
        world.run(100_000);
        assert_eq!(world.rewritten_file(), then, "{what}");
    }
}

#[test]
fn who_is_configured_by_address_is_no_ghost() {
    for (servers, sentinels, then) in [
        (vec![], vec![], Some(both())),
        (vec![srv(GHOST)], vec![], Some(only_sentinel())),
        (vec![], vec![sen(1), sen(2), sen(3), sen(GHOST)], Some(only_replica())),
        (vec![srv(GHOST)], vec![sen(GHOST)], None),
    ] {
        let mut world = haunted(|_| ());
        let mut rules = rules();
        (rules.mode, rules.me) = (Mode::Sentinel, sen(1));
        (rules.servers_listed, rules.sentinels_listed) = (servers, sentinels);
        world.core = crate::core::Supervisor::new(rules, None, world.now);
        world.run(100_000);
        assert_eq!(world.rewritten_file(), then);
    }
}

#[test]
fn e3_when_it_is_left_alone() {
    type Row = (&'static str, fn(&mut World));
    let table: [Row; 12] = [
        ("the master does not answer", |w| w.lose(srv(2), SILENT)),
        ("the master refuses", |w| w.lose(srv(2), REFUSED)),
        ("the master says replica", |w| drop(w.servers.insert(srv(2), Ok(server(2, replica_role(srv(3)), 1))))),
        ("one shows it s_down", |w| w.sentinel(3).master.as_mut().unwrap().s_down = true),
        ("one shows it o_down", |w| w.sentinel(3).master.as_mut().unwrap().o_down = true),
        ("ours has lost its link to it", |w| w.sentinel(1).master.as_mut().unwrap().disconnected = true),
        ("one runs a failover", |w| w.propose(2, srv(3))),
        ("one is in TILT", |w| rows(w.sentinel(2)).tilt = true),
        ("one names somebody else", |w| *w.sentinel(3).master.as_mut().unwrap() = master_row(srv(3), 3)),
        ("one knows nobody yet", |w| drop(w.sentinels.insert(sen(3), Ok(bare(3))))),
        ("one is listed as alive and does not answer us", |w| drop(w.sentinels.insert(sen(3), Err(SILENT)))),
        ("fewer than quorum live", |w| {
            for n in [2, 3] {
                w.sentinels.insert(sen(n), Err(REFUSED));
                rows(w.sentinel(1)).sentinels[usize::from(n) - 2].down_for = Some(ms(90_000));
            }
        }),
    ];
    for (what, so) in table {
        let mut world = haunted(so);
        world.run(200_000);
        assert!(!world.ordered(is_terminate), "{what}");
    }
}

#[test]
fn one_that_is_down_does_not_keep_the_others_from_it() {
    let mut world = haunted(|w| {
        w.sentinels.insert(sen(3), Err(REFUSED));
        for n in [1, 2] {
            rows(w.sentinel(n)).sentinels[1].down_for = Some(ms(90_000));
        }
    });
    world.run(100_000);
    let file = world.rewritten_file().expect("two of three are enough");
    assert_eq!(file.forget, vec![sentinel_id(3), sentinel_id(GHOST)]);
}

/// When the Sentinel with this id is restarted, after the ghosts became ghosts.
fn turn_of(n: u8) -> (World, Moment) {
    let mut world = haunted(|_| ());
    let mut rules = rules();
    (rules.mode, rules.me) = (Mode::Sentinel, sen(n));
    world.core = crate::core::Supervisor::new(rules, None, world.now);
    world.run(62_000);
    assert!(!world.ordered(is_terminate), "before its time");
    let since = world.now;
    (world, since)
}

fn forgets(world: &mut World, n: u8) {
    let rows = rows(world.sentinel(n));
    rows.sentinels.retain(|row| row.address != sen(GHOST));
    rows.replicas.retain(|row| row.address != srv(GHOST));
}

#[test]
fn turns_of_30_s_by_the_order_of_ids() {
    for n in 1..=3 {
        let (mut world, since) = turn_of(n);
        world.run(100_000);
        let at = world.ordered_at(is_terminate).expect("at last").since(since);
        let turn = ms(30_000) * u32::from(n);
        assert!(at + ms(3_000) > turn && at < turn + ms(1_000), "{n}: {at:?}");
    }
}

#[test]
fn the_next_waits_30_s_from_the_one_before_it() {
    let (mut world, _) = turn_of(3);
    world.run(20_000);
    forgets(&mut world, 1);
    world.run(2_000);
    forgets(&mut world, 2);
    let done: Address = sen(2);
    world.run(29_000);
    assert!(!world.ordered(is_terminate), "{done} was restarted less than 30 s ago");
    world.run(4_000);
    assert!(world.ordered(is_terminate));
}

#[test]
fn a_disturbance_begins_the_turn_anew() {
    let (mut world, _) = turn_of(1);
    world.run(20_000);
    world.propose(2, srv(3));
    world.run(2_000);
    world.abort(2);
    world.run(28_000);
    assert!(!world.ordered(is_terminate), "a failover ran less than 30 s ago");
    world.run(5_000);
    assert_eq!(world.rewritten_file(), Some(both()));
}

#[test]
fn what_it_monitors_stays_as_it_is() {
    let mut world = haunted(|_| ());
    world.run(100_000);
    let file = world.rewritten_file().expect("pruned");
    assert_eq!(file.monitor, None, "no new name, no new epoch: {:?}", Epoch(4));
    assert!(world.sentinel_orders(crate::core::action::SentinelOrder::Reset).is_empty());
}

#[test]
fn a_lost_answer_does_not_begin_the_turn_anew() {
    // (how long one of them does not answer, pruned within its turn)
    for (silent, in_time) in [(2_000, true), (4_000, true), (9_000, false)] {
        let (mut world, _) = turn_of(1);
        world.run(15_000);
        let before = world.sentinels.insert(sen(3), Err(SILENT)).expect("it was there");
        world.run(silent);
        world.sentinels.insert(sen(3), before);
        world.run(16_500 - silent);
        assert_eq!(world.ordered(is_terminate), in_time, "silent for {silent} ms");
    }
}

#[test]
fn nobody_is_restarted_while_an_answer_is_missing() {
    let (mut world, _) = turn_of(1);
    world.run(27_500);
    world.sentinels.insert(sen(3), Err(SILENT));
    world.run(4_500);
    assert!(!world.ordered(is_terminate), "one that is listed as alive does not answer");
}
