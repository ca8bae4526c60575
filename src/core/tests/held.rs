//! What we could lead with, what of it is sure, and what a sync would discard of it.

use super::crash::reborn;
use super::world::*;
use crate::core::action::ChildOrder;
use crate::core::id::{Epoch, Offset};
use crate::core::message::{PeerAnswer, PeerMessage, Rank};
use crate::core::record::{Calm, RecordedRole};
use crate::core::seen::{Appended, ChildFailure, ChildSeen, History, Link, RoleSeen, SupervisorSeen};

/// After a load of an append-only file every engine has a new id; its offset is 0, or of its own reckoning (Redis 8).
#[test]
fn b1_v1_a_load_is_known_by_its_id_whatever_the_offset() {
    // (what, what the child shows, AOF, the history and offset that it is ranked by, was master with it)
    let rows = [
        ("a load", "loaded", true, ("h1", 1100), true),
        ("a snapshot of that history", "h1", false, ("h1", 1), false),
        ("a snapshot of another", "other", false, ("other", 1), false),
        ("what the state file knows is no load", "h1", true, ("h1", 1), false),
        ("nor is what it was before", "h0", true, ("h1", 1), false),
    ];
    for (what, id, aof, (history, offset), was_master) in rows {
        for engine in [0, 916, 2_384] {
            let mut kept = record(RecordedRole::Master, Some(srv(1)));
            kept.second = Some(("h0".into(), Offset(900)));
            kept.appended = Some(Appended { offset: Offset(1000), bytes: 4096 });
            let mut world = World::new(rules(), recovered(kept));
            let appended = Some(Appended { offset: Offset(engine), bytes: 4196 });
            let mut next = ChildSeen { aof, appended, ..reborn() };
            (next.history.id, next.history.offset) = (id.into(), Offset(engine));
            world.child = Ok(next);
            world.run(500);
            let rank = world.core.own_rank();
            let offset = if offset == 1 { engine } else { offset };
            let (history, epoch) = if id == "h0" && engine > 900 { ("h0", Epoch(1)) } else { (history, Epoch(1)) };
            let expected = (history.into(), Offset(offset), was_master, epoch);
            let got = (rank.history, rank.offset, rank.was_master_with_aof, rank.epoch);
            assert_eq!(got, expected, "{what}, the engine says {engine}");
        }
    }
}

/// We follow server 2 at epoch 1, new and empty, and no look has seen the link up.
fn synced_between_two_looks(lost: bool) -> World {
    let mut world = World::new(rules(), None);
    world.healthy(srv(2), 1);
    world.holds = is_follow;
    world.child = Ok(ChildSeen { has_data: false, aof: false, ..reborn() });
    world.run(1_000);
    // The link is not up yet when it has obeyed.
    let master = world.servers.remove(&srv(2)).unwrap();
    world.let_go(is_follow);
    world.servers.insert(srv(2), master);
    let down = RoleSeen::Replica { master: Some(srv(2)), link: Link::Down };
    world.child = Ok(ChildSeen { aof: false, has_lost_a_link: lost, ..child(down, 1000) });
    world
}

/// The master died before anybody looked. The engine keeps that its link was up.
#[test]
fn u36_what_it_got_between_two_looks_is_the_clusters_present() {
    for (lost, epoch) in [(true, 1), (false, 0)] {
        let mut world = synced_between_two_looks(lost);
        world.lose(srv(2), REFUSED);
        world.run(500);
        assert_eq!(world.core.own_rank().epoch, Epoch(epoch), "its link was up: {lost}");
    }
}

/// A look of before the outage is no report of what it holds now.
#[test]
fn u36_who_could_not_read_its_child_since_the_outage_reports_that_it_must_be_waited_for() {
    let rows: [(&str, fn(&mut World), bool); 3] = [
        ("it answers", |_| (), false),
        ("it says nothing", |world| world.child = Err(ChildFailure::Silent), true),
        ("it loads a sync", |world| world.child.as_mut().unwrap().loading = Some(ms(5_000)), true),
    ];
    for (what, so, waited_for) in rows {
        let mut world = synced_between_two_looks(true);
        world.run(1_000);
        so(&mut world);
        world.lose(srv(2), REFUSED);
        world.run(3_000);
        assert_eq!(world.core.own_report().loading, waited_for, "{what}");
    }
}

fn appended(offset: u64, bytes: u64) -> Option<Appended> {
    Some(Appended { offset: Offset(offset), bytes })
}

/// We start with an append-only file of so many bytes; at 4096 we wrote the state file, at offset 1000. No data lay beyond 900.
fn loaded(role: RecordedRole, bytes: u64) -> World {
    let mut kept = record(role, Some(srv(9)));
    kept.appended = appended(1000, 4096);
    kept.calm = Some(Calm { from: Offset(900), upto: Offset(1000) });
    let mut world = World::new(rules(), recovered(kept));
    world.child = Ok(ChildSeen { appended: appended(0, bytes), ..reborn() });
    world
}

/// Everything was stopped, and the end of the last master's file is gone: it is the last master no more.
#[test]
fn v2_who_lost_the_end_of_its_file_is_ranked_by_what_is_left() {
    // (bytes, ranked at, was master with it, surely holds)
    for (bytes, offset, was_master, surely) in
        [(4096, 1000, true, 1000), (4196, 1100, true, 1036), (4095, 899, false, 899), (3996, 800, false, 800)]
    {
        let mut world = loaded(RecordedRole::Master, bytes);
        world.run(500);
        let rank = world.core.own_rank();
        assert_eq!((rank.offset, rank.was_master_with_aof), (Offset(offset), was_master), "{bytes} bytes");
        assert_eq!(world.core.surely_held().offset, Offset(surely), "{bytes} bytes");
    }
}

/// The replicas restart too, and have not loaded yet: nobody says that it holds more.
#[test]
fn v2_who_lost_the_end_of_its_file_does_not_lead_in_place_whoever_consents() {
    for (bytes, leads) in [(4096, true), (4095, false)] {
        let mut world = loaded(RecordedRole::Master, bytes);
        world.healthy(srv(1), 1);
        for n in [2, 3] {
            world.servers.insert(srv(n), Err(REFUSED));
        }
        world.peers = |_, message| asks_consent(message).then_some(PeerAnswer::Consented);
        world.run(1_500);
        assert_eq!(world.ordered(is_lead), leads, "{bytes} bytes");
    }
}

/// Server 2 leads under a new id, as after every load; with this it began.
fn led_by_server_2(world: &mut World, began: Option<Rank>) {
    world.healthy(srv(2), 1);
    let mut seen = server(2, master_role(&[]), 0);
    seen.history = History { id: "of server 2".into(), second: None, offset: Offset(0) };
    world.servers.insert(srv(2), Ok(seen));
    world.supervisors.insert(srv(2), Ok(SupervisorSeen { leads: true, began, ..supervisor(1) }));
    world.run(3_000);
    assert!(world.ordered(is_follow), "{}", world.core.status().reason);
}

fn kept(world: &World) -> bool {
    world.ordered(|order| matches!(order, ChildOrder::Keep))
}

#[test]
fn v3_what_the_master_had_loaded_too_is_not_kept() {
    let of = |history: &str, offset| Some(Rank { history: history.into(), ..rank(2, offset) });
    // (what, our file's bytes, what it began with, kept)
    let rows = [
        ("all of ours, and pings beyond", 4096, of("h1", 1000), false),
        ("all our data, if not our last pings", 4096, of("h1", 900), false),
        ("not all our data", 4096, of("h1", 899), true),
        ("more has come since we wrote our state file", 4097, of("h1", 1000), true),
        ("the end of our file is lost", 4095, of("h1", 1000), true),
        ("another history", 4096, of("other", 5000), true),
        ("its supervisor is of an earlier version", 4096, None, true),
    ];
    for (what, bytes, began, keeps) in rows {
        for role in [RecordedRole::Replica, RecordedRole::Master] {
            let mut world = loaded(role, bytes);
            led_by_server_2(&mut world, began.clone());
            assert_eq!(kept(&world), keeps, "{what}, {role:?}");
        }
    }
}

#[test]
fn v3_a_snapshot_is_kept_where_it_may_hold_more_than_the_master_had_loaded() {
    // (offset of our snapshot, what it began with, kept); no data lay between 900 and 1000, and a ping is 14 bytes
    for (offset, began, keeps) in [
        (950, 900, false),
        (950, 899, true),
        (800, 800, false),
        (800, 799, true),
        (1014, 900, false),
        (1015, 900, true),
        (1200, 1200, false),
        (1200, 1199, true),
    ] {
        let mut world = loaded(RecordedRole::Replica, 0);
        world.child = Ok(ChildSeen { aof: false, history: history(offset), ..reborn() });
        led_by_server_2(&mut world, Some(rank(2, began)));
        assert_eq!(kept(&world), keeps, "{offset}, it began with {began}");
    }
}

/// Nobody knows what it began with: better a file too many.
#[test]
fn v3_where_the_masters_supervisor_is_silent_the_data_are_kept() {
    let mut world = loaded(RecordedRole::Replica, 4096);
    world.healthy(srv(2), 1);
    world.servers.get_mut(&srv(2)).unwrap().as_mut().unwrap().history.id = "of server 2".into();
    world.supervisors.insert(srv(2), Err(SILENT));
    world.run(3_000);
    assert!(kept(&world) && world.ordered(is_follow));
}

/// The file may have a `SELECT` that the stream has not: 23 bytes (Valkey 9.1). Whoever made an id has all that is under it.
#[test]
fn v3_a_replica_that_is_back_holds_no_more_than_the_master_that_made_its_history() {
    for (id, keeps) in [("h1", false), ("h2", true)] {
        let mut world = loaded(RecordedRole::Replica, 4096 + 23);
        world.healthy(srv(2), 1);
        world.servers.get_mut(&srv(2)).unwrap().as_mut().unwrap().history.id = id.into();
        world.run(3_000);
        assert_eq!(kept(&world), keeps, "{id}");
        assert!(world.ordered(is_follow));
    }
}

/// What it tells when it leads: what it had loaded, not what became of it.
#[test]
fn v3_a_leader_tells_what_it_began_with() {
    let mut world = loaded(RecordedRole::Master, 4096);
    world.healthy(srv(1), 1);
    world.peers = |_, message| asks_consent(message).then_some(PeerAnswer::Consented);
    world.run(1_500);
    let began = world.core.status().began.expect("it leads");
    assert_eq!((began.history, began.offset), ("h1".into(), Offset(1000)));
    assert_eq!(World::replica().core.status().began, None);
}

/// Told when nobody led, it says nothing of what came while somebody did.
#[test]
fn u36_a_report_of_an_earlier_outage_does_not_count_in_the_next() {
    for (later, counts) in [(500, 1), (1_500, 0)] {
        let mut world = World::replica();
        world.request(Some(srv(3)), PeerMessage::Report(Box::new(report(3, 1000))));
        world.run(later);
        assert_eq!(world.core.counting_reports().count(), counts, "{later} ms later");
    }
}
