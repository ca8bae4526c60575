//! Without Sentinels: addresses that pods have left leave the list, and a server that is cut off never shortens its own.

use super::topology::{leads_within, master_without_sentinels, names, replica_of_record};
use super::world::*;
use crate::core::record::RecordedRole;
use crate::core::seen::{Failure, Link, RoleSeen, SupervisorSeen};

const GHOST: u8 = 9;

fn known(world: &World) -> usize {
    world.core.evidence.known_servers(&world.core.rules, world.now)
}

fn lists(world: &World, n: u8) -> bool {
    world.core.evidence.servers.contains_key(&srv(n))
}

fn resolves_to(world: &mut World, servers: &[u8]) {
    world.names.servers = Some(servers.iter().copied().map(srv).collect());
}

/// We lead servers 2 and 3; a fourth one followed, and its pod has gone.
fn leader_beside_a_ghost() -> World {
    let mut world = master_without_sentinels();
    world.core.rules.expected_servers = None;
    resolves_to(&mut world, &[1, 2, 3, GHOST]);
    world.servers.insert(srv(GHOST), Ok(server(GHOST, replica_role(srv(1)), 1000)));
    world.supervisors.insert(srv(GHOST), Ok(supervisor(0)));
    world.run(3_000);
    assert_eq!(known(&world), 4);
    resolves_to(&mut world, &[1, 2, 3]);
    world.lose(srv(GHOST), SILENT);
    world
}

#[test]
fn without_sentinels_a_leader_by_right_forgets_who_is_gone_for_a_minute() {
    let mut world = leader_beside_a_ghost();
    world.run(59_000);
    assert!(lists(&world, GHOST) && known(&world) == 4, "it may come back");
    world.run(4_000);
    assert!(!lists(&world, GHOST));
    assert_eq!(known(&world), 3);
    let kept = world.core.last_record().map(|record| record.servers.clone());
    assert_eq!(kept, Some(vec![srv(2), srv(3)]), "in the state file too");
    assert!(world.leads() && world.fence().is_none());
}

#[test]
fn m31_without_sentinels_what_keeps_a_server_on_a_leaders_list() {
    let rows: [(&str, fn(&mut World)); 10] = [
        ("its name is configured", |world| resolves_to(world, &[1, 2, 3, GHOST])),
        ("it is attached to us", |world| world.attach(&[srv(2), srv(3), srv(GHOST)])),
        ("its supervisor answers", |world| {
            world.supervisors.insert(srv(GHOST), Ok(supervisor(0)));
        }),
        ("it wants another password", |world| {
            world.servers.insert(srv(GHOST), Err(Failure::Unauthorised));
        }),
        ("F1: we lead by the lease alone, on the small side", |world| {
            world.elector = names(1);
            [2, 3].into_iter().for_each(|n| world.lose(srv(n), SILENT));
        }),
        ("F1: by the lease, with half of the servers", |world| {
            world.elector = names(1);
            world.lose(srv(3), SILENT);
        }),
        ("we are fenced", |world| [2, 3].into_iter().for_each(|n| world.lose(srv(n), SILENT))),
        ("F2: another one says master", |world| {
            world.servers.insert(srv(3), Ok(server(3, master_role(&[]), 1000)));
        }),
        ("a Sentinel is known", |world| {
            world.names.sentinels = Some(vec![sen(1)]);
        }),
        ("P44: we slept for that minute", |world| {
            world.run(5_000);
            world.freeze(90_000);
        }),
    ];
    for (what, change) in rows {
        let mut world = leader_beside_a_ghost();
        change(&mut world);
        world.run(if what.starts_with("P44") { 20_000 } else { 80_000 });
        assert!([2, 3, GHOST].into_iter().all(|n| lists(&world, n)), "{what}");
        assert_eq!(known(&world), 4, "{what}");
    }
}

#[test]
fn expected_servers_is_a_floor_whoever_is_forgotten() {
    let mut world = leader_beside_a_ghost();
    world.core.rules.expected_servers = Some(5);
    world.run(64_000);
    assert_eq!((lists(&world, GHOST), known(&world)), (false, 5));
}

#[test]
fn without_sentinels_pods_that_change_their_addresses_leave_a_majority() {
    let mut world = master_without_sentinels();
    world.core.rules.expected_servers = None;
    world.peers = |_, _| None;
    for round in 0..6 {
        let (gone, stays, comes) = (2 + round, 3 + round, 4 + round);
        world.lose(srv(gone), REFUSED);
        world.servers.insert(srv(comes), Ok(server(comes, replica_role(srv(1)), 1000)));
        world.supervisors.insert(srv(comes), Ok(supervisor(0)));
        resolves_to(&mut world, &[1, stays, comes]);
        world.attach(&[srv(stays), srv(comes)]);
        world.run(70_000);
        assert!(world.leads() && world.fence().is_none(), "round {round}");
        assert_eq!(known(&world), 3, "round {round}");
    }
}

/// We follow server 2, as server 3 does; the state file knows a fourth one, which is gone.
fn replica_beside_a_ghost() -> World {
    let mut kept = record(RecordedRole::Replica, Some(srv(2)));
    kept.servers = vec![srv(2), srv(3), srv(GHOST)];
    let mut world = replica_of_record(Some(1), kept);
    world.core.rules.expected_servers = None;
    leader_says(&mut world, false);
    world.run(1_000);
    assert_eq!(known(&world), 4);
    world
}

fn leader_says(world: &mut World, fenced: bool) {
    let seen = SupervisorSeen { leads: true, fenced, ..supervisor(0) };
    world.supervisors.insert(srv(2), Ok(seen));
}

#[test]
fn m31_without_sentinels_what_keeps_a_server_on_a_replicas_list() {
    let rows: [(&str, fn(&mut World), bool); 8] = [
        ("the leader lives and lists it no more", |_| (), false),
        (
            "the leader lists it",
            |world| {
                world.servers.insert(srv(2), Ok(server(2, master_role(&[srv(1), srv(3), srv(GHOST)]), 1000)));
            },
            true,
        ),
        ("the leader is fenced", |world| leader_says(world, true), true),
        (
            "the leader's supervisor is silent",
            |world| {
                world.supervisors.insert(srv(2), Err(SILENT));
            },
            true,
        ),
        ("the leader is silent", |world| world.lose(srv(2), SILENT), true),
        (
            "our link to it is down",
            |world| {
                world.holds = |order| matches!(order, crate::core::action::ChildOrder::Reconnect { .. });
                let Ok(seen) = &mut world.child else { return };
                seen.role = RoleSeen::Replica { master: Some(srv(2)), link: Link::Down };
            },
            true,
        ),
        (
            "only we follow it: two of four",
            |world| {
                let lost = RoleSeen::Replica { master: Some(srv(2)), link: Link::Down };
                world.servers.insert(srv(3), Ok(server(3, lost, 1000)));
            },
            true,
        ),
        (
            "its port answers",
            |world| {
                world.servers.insert(srv(GHOST), Ok(server(GHOST, replica_role(srv(2)), 1000)));
            },
            true,
        ),
    ];
    for (what, change, stays) in rows {
        let mut world = replica_beside_a_ghost();
        change(&mut world);
        world.run(70_000);
        assert_eq!(lists(&world, GHOST), stays, "{what}");
        assert_eq!(known(&world), if stays { 4 } else { 3 }, "{what}");
        assert!(lists(&world, 2) && lists(&world, 3), "{what}");
    }
}

#[test]
fn without_sentinels_two_of_three_replace_a_lost_master_once_a_fourth_address_is_forgotten() {
    for (forgets, leads) in [(true, true), (false, false)] {
        let mut world = replica_beside_a_ghost();
        leader_says(&mut world, !forgets);
        world.run(70_000);
        world.lose(srv(2), SILENT);
        assert_eq!(leads_within(&mut world, 60).is_some(), leads, "{:?}", world.core.vote.why());
    }
}
