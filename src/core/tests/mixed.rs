//! V5, V6: engines of different versions: who should lead, and who cannot follow.

use super::world::*;
use crate::core::action::{ChildOrder, Progress};
use crate::core::consent::Consent;
use crate::core::engines::EngineVersion;
use crate::core::event::Wish;
use crate::core::id::Address;
use crate::core::rules::Rules;
use crate::core::seen::{History, Link, RoleSeen, ServerSeen};

fn engine(text: &str) -> EngineVersion {
    EngineVersion::parse(text).expect("an engine")
}

fn of_engine(text: &str) -> Rules {
    Rules { engine: engine(text), ..rules() }
}

fn runs(world: &mut World, n: u8, text: &str) {
    let Some(Ok(seen)) = world.servers.get_mut(&srv(n)) else { panic!("server {n} answers") };
    *seen = ServerSeen { engine: Some(engine(text)), ..seen.clone() };
}

fn follows(world: &World) -> Vec<Address> {
    let master = |order: &ChildOrder| match order {
        ChildOrder::Follow { master, .. } => Some(*master),
        _ => None,
    };
    world.orders().iter().filter_map(master).collect()
}

fn priorities(world: &World) -> Vec<Option<u32>> {
    let priority = |order: &ChildOrder| match order {
        ChildOrder::Priority(priority) => Some(*priority),
        _ => None,
    };
    world.orders().iter().filter_map(priority).collect()
}

fn reason(world: &World) -> String {
    world.core.probes().ready.reason().to_owned()
}

fn says_both(text: &str) -> bool {
    text.contains("Redis 7.0.15, cannot load what") && text.contains("Redis 8.6.3, sends")
}

#[test]
fn v6_who_cannot_load_and_has_no_common_past_is_not_told_to_follow() {
    let mut world = World::new(rules(), None);
    world.healthy(srv(2), 1);
    runs(&mut world, 2, "redis 8.6.3");
    if let Some(Ok(seen)) = world.servers.get_mut(&srv(2)) {
        seen.history = History { id: "another".into(), ..seen.history.clone() };
    }
    world.run(30_000);
    assert!(follows(&world).is_empty(), "{:?}", follows(&world));
    assert!(!world.ordered(|order| matches!(order, ChildOrder::OpenDoor)), "its door stays shut");
    assert!(says_both(&reason(&world)), "{}", reason(&world));
    assert!(says_both(&world.core.status().reason));
    let said = world.core.history().filter(|line| line.event == "engine").count();
    assert_eq!(said, 1, "said once");
    // The master's engine is another one now.
    runs(&mut world, 2, "redis 7.0.15");
    world.run(3_000);
    assert_eq!(follows(&world), [srv(2)]);
}

#[test]
fn v6_a_partial_sync_is_tried_and_a_full_one_stopped_at_once() {
    let mut world = World::replica();
    runs(&mut world, 2, "redis 8.6.3");
    world.run(5_000);
    assert!(follows(&world).is_empty() && world.core.probes().ready.is_yes(), "who streams goes on");
    if let Ok(seen) = &mut world.child {
        seen.role = RoleSeen::Replica { master: Some(srv(2)), link: Link::Syncing };
    }
    world.run(30_000);
    assert_eq!(follows(&world), [Address::nobody()], "once, and no second try");
    assert!(world.ordered(|order| matches!(order, ChildOrder::ShutDoor)));
    assert!(says_both(&reason(&world)), "{}", reason(&world));
    // Another one leads.
    world.healthy(srv(3), 2);
    runs(&mut world, 2, "redis 8.6.3");
    runs(&mut world, 3, "redis 7.0.15");
    world.run(15_000);
    assert_eq!(follows(&world), [Address::nobody(), srv(3)]);
    assert!(world.core.probes().ready.is_yes(), "{}", reason(&world));
}

#[test]
fn v6_an_unknown_pair_is_tried_as_any_other() {
    let mut world = World::new(of_engine("valkey 9.1.2"), None);
    world.healthy(srv(2), 1);
    runs(&mut world, 2, "redis 8.6.3");
    world.run(3_000);
    assert_eq!(follows(&world), [srv(2)]);
}

#[test]
fn v5_a_newer_engine_goes_last_and_a_priority_of_the_users_counts_on() {
    for (own, other, expected) in [
        ("redis 8.6.3", "redis 7.0.15", vec![Some(10_100)]),
        ("redis 7.0.15", "redis 8.6.3", vec![]),
        ("redis 8.6.3", "redis 8.6.3", vec![]),
        ("valkey 9.1.2", "valkey 8.1.1", vec![]),
    ] {
        let mut world = World::replica_with(of_engine(own));
        runs(&mut world, 3, other);
        world.run(5_000);
        assert_eq!(priorities(&world), expected, "{own} beside {other}");
    }
    let mut world = World::replica_with(Rules { priority: 0, ..of_engine("redis 8.6.3") });
    runs(&mut world, 3, "redis 7.0.15");
    world.run(5_000);
    assert!(priorities(&world).is_empty(), "never is never");
}

#[test]
fn v5_with_the_same_data_the_engine_that_suits_all_goes_first() {
    for (fits, own, theirs, more) in
        [(true, 1000, 1000, true), (true, 1001, 1000, true), (true, 999, 1000, false), (false, 1000, 1000, false)]
    {
        let on =
            crate::core::consent::Situation { fits_better: fits, rank: rank(1, own), ..super::consent::situation() };
        let answer = Consent::default().answer(srv(1), srv(2), &"new".into(), &rank(2, theirs), &on, world_start());
        let held = matches!(answer, crate::core::message::PeerAnswer::HoldMore { .. });
        assert_eq!(held, more, "fits {fits}, {own} against {theirs}: {answer:?}");
    }
}

fn world_start() -> crate::core::moment::Moment {
    crate::core::moment::Moment::millis(1)
}

#[test]
fn v6_to_a_newer_engine_it_is_handed_over_with_a_warning() {
    for (text, warned) in [("redis 8.6.3", true), ("redis 7.0.15", false)] {
        let mut world = World::master();
        runs(&mut world, 2, text);
        world.run(3_000);
        world.wish(Wish::Handover { to: Some(srv(2)) });
        world.run(500);
        let said = |line: &Progress| matches!(line, Progress::Step(text) if text.contains("is newer than"));
        assert_eq!(world.progress().iter().any(said), warned, "{:?}", world.progress());
        assert!(!world.progress().iter().any(|line| matches!(line, Progress::Failed(_))));
    }
}
