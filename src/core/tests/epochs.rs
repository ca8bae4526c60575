//! Whose config epoch is believed: it goes into the state file, and from there to Sentinels that have lost theirs (B4).

use super::world::*;
use crate::core::event::Names;
use crate::core::evidence::Evidence;
use crate::core::id::{Epoch, Offset};
use crate::core::message::PeerMessage;
use crate::core::moment::Moment;
use crate::core::record::RecordedRole;
use crate::core::seen::{History, Link, RoleSeen};

const LEAP: u64 = 1_000_000;

fn of(id: &str, second: Option<(&str, u64)>) -> History {
    History { id: id.into(), second: second.map(|(id, upto)| (id.into(), Offset(upto))), offset: Offset(1000) }
}

/// Server 9 speaks of itself, answers, and its supervisor says this epoch; the Sentinels say 1.
fn beside(history: History, epoch: u64, listed: fn(&mut World)) -> World {
    let mut world = World::replica();
    let mut shows = server(9, RoleSeen::Replica { master: None, link: Link::Down }, 1000);
    shows.history = history;
    world.servers.insert(srv(9), Ok(shows));
    world.supervisors.insert(srv(9), Ok(supervisor(epoch)));
    listed(&mut world);
    let mut made = report(9, 1000);
    made.servers = vec![srv(9)];
    world.ask(srv(9), PeerMessage::Report(Box::new(made)));
    world.run(8_000);
    world
}

fn by_settings(world: &mut World) {
    world.names.servers.get_or_insert_default().push(srv(9));
}

fn by_a_sentinel(world: &mut World) {
    world.sentinel(1).rows.as_mut().expect("full").replicas.push(replica_row(srv(9)));
}

#[test]
fn b4_an_epoch_is_believed_of_our_own_cluster_alone_and_kept() {
    let nobody: fn(&mut World) = |_| ();
    let rows: [(&str, History, u64, fn(&mut World), bool); 10] = [
        ("a foreign history", of("other", None), 500, nobody, false),
        ("no history", of("", None), 500, nobody, false),
        ("our history", of("h1", None), 500, nobody, true),
        ("ours is the one before", of("h2", Some(("h1", 1000))), 500, nobody, true),
        ("and was left long ago", of("h2", Some(("h1", 10))), 500, nobody, false),
        ("the settings list it", of("other", None), 500, by_settings, true),
        ("a Sentinel lists it", of("other", None), 500, by_a_sentinel, true),
        ("listed, the highest that may be", of("other", None), LEAP + 1, by_settings, true),
        ("listed, a leap", of("other", None), LEAP + 2, by_settings, false),
        ("listed, the end of all epochs", of("h1", None), u64::MAX, by_a_sentinel, false),
    ];
    for (what, history, epoch, listed, believed) in rows {
        let world = beside(history, epoch, listed);
        let expected = Epoch(if believed { epoch } else { 1 });
        assert!(world.core.evidence.servers.contains_key(&srv(9)), "{what}: it answers");
        assert_eq!(world.core.status().epoch, expected, "{what}");
        assert_eq!(world.core.last_record().map(|record| record.epoch), Some(expected), "{what}");
    }
}

#[test]
fn no_row_of_leaps_leads_on() {
    let mut world = beside(of("h1", None), LEAP, |_| ());
    for step in 2..6 {
        world.supervisors.insert(srv(9), Ok(supervisor(step * LEAP)));
        world.run(8_000);
        assert_eq!(world.core.status().epoch, Epoch(LEAP), "step {step}");
    }
}

/// With an append-only file the engine begins a new history: the state file knows which one it goes on from.
#[test]
fn b4_who_has_just_loaded_believes_the_servers_of_its_state_files_history() {
    let mut kept = record(RecordedRole::Replica, Some(srv(2)));
    kept.epoch = Epoch(3);
    for (theirs, epoch) in [("h1", 7), ("other", 3)] {
        let mut world = World::new(rules(), recovered(kept.clone()));
        (1..=3).for_each(|n| drop(world.sentinels.insert(sen(n), Ok(bare(n)))));
        world.names.servers = None;
        world.child.as_mut().expect("answers").history = of("fresh", None);
        let mut shows = server(2, RoleSeen::Replica { master: None, link: Link::Down }, 1000);
        shows.history = of(theirs, None);
        world.servers.insert(srv(2), Ok(shows));
        world.supervisors.insert(srv(2), Ok(supervisor(7)));
        world.run(1_000);
        assert_eq!(world.core.status().epoch, Epoch(epoch), "{theirs}");
    }
}

/// A Sentinel's supervisor holds no data, and knows the servers by their Service.
#[test]
fn b4_behind_a_service_the_master_that_a_server_names_is_believed() {
    const T: Moment = Moment::millis(1000);
    let mut rules = rules();
    (rules.mode, rules.me) = (crate::core::rules::Mode::Sentinel, sen(1));
    let mut seen = Evidence::new(&rules, None, T);
    seen.note_names(&Names { sentinels: None, servers: Some(vec![srv(8)]) }, &rules, T);
    seen.note_server(srv(8), T, Ok(server(3, replica_role(srv(2)), 1)), None, T);
    let mut master = server(2, master_role(&[srv(3), srv(4)]), 1);
    master.history.id = "fresh".into();
    seen.note_server(srv(2), T, Ok(master), None, T);
    for (n, history, epoch) in [(2, "fresh", 7), (3, "h1", 8), (4, "other", 8)] {
        if n != 2 {
            let mut replica = server(n, replica_role(srv(2)), 1);
            replica.history.id = history.into();
            seen.note_server(srv(n), T, Ok(replica), None, T);
        }
        seen.note_supervisor(srv(n), T, Ok(supervisor(u64::from(n) + 5)));
        assert_eq!(seen.highest_epoch(T), Epoch(epoch), "server {n}");
        assert_eq!(seen.highest_epoch_ever(), Epoch(epoch), "server {n}");
    }
}
