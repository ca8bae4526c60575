//! Whose address is it? That of a Service, a second one of somebody, or its own; and who may be followed there.

use super::world::*;
use crate::core::event::Names;
use crate::core::evidence::Evidence;
use crate::core::id::{Address, RunId};
use crate::core::moment::Moment;
use crate::core::seen::{SentinelRow, ServerSeen, SupervisorSeen};
use crate::core::verdict::Verdict;

/// An address that leads to all servers.
fn service() -> Address {
    srv(100)
}

fn process(n: u8) -> ServerSeen {
    server(n, replica_role(srv(1)), 1000)
}

fn announces(at: Address) -> SupervisorSeen {
    SupervisorSeen { node: Some(at), ..supervisor(0) }
}

/// Servers 2 and 3 and the Service are configured; we are server 1.
fn evidence() -> Evidence {
    let mut evidence = Evidence::new(&rules(), None, Moment::ZERO);
    let names = Names { sentinels: None, servers: Some(vec![srv(1), srv(2), srv(3), service()]) };
    evidence.note_names(&names, &rules(), Moment::ZERO);
    evidence
}

/// At this second, at this address, this process.
type Answer = (u64, Address, u8);

fn after(answers: &[Answer]) -> Evidence {
    let mut evidence = evidence();
    for (second, at, n) in answers {
        let now = Moment::millis(second * 1_000);
        evidence.note_server(*at, now, Ok(process(*n)), Some(&RunId::from("run-1")), now);
    }
    evidence
}

#[test]
fn an_address_of_several_servers_or_of_one_that_is_known_elsewhere_is_nobodys() {
    // (what, answers, it is a server's own)
    let rows: [(&str, Vec<Answer>, bool); 10] = [
        ("it answers", vec![(1, service(), 9)], true),
        ("it is a server that we know, seen before", vec![(1, srv(2), 2), (1, service(), 2)], false),
        ("or after", vec![(1, service(), 2), (1, srv(2), 2)], false),
        ("it has been restarted", vec![(1, service(), 8), (2, service(), 9)], true),
        ("twice", vec![(1, service(), 7), (2, service(), 8), (3, service(), 9)], true),
        ("one that had gone is back", vec![(1, service(), 8), (2, service(), 9), (3, service(), 8)], false),
        ("too many at once", vec![(1, service(), 6), (2, service(), 7), (3, service(), 8), (4, service(), 9)], false),
        (
            "as many in a minute",
            vec![(1, service(), 6), (20, service(), 7), (40, service(), 8), (60, service(), 9)],
            true,
        ),
        ("another, then we", vec![(1, service(), 2), (2, service(), 1)], false),
        (
            "alone for long enough",
            vec![(1, service(), 8), (2, service(), 9), (3, service(), 8), (40, service(), 8)],
            true,
        ),
    ];
    for (what, answers, own) in rows {
        let evidence = after(&answers);
        assert_eq!(evidence.servers.contains_key(&service()), own, "{what}");
        assert!(evidence.targets().any(|(at, _)| *at == service()), "{what}: it is looked at");
        assert!(!evidence.is_ours(service()), "{what}");
        assert!(evidence.servers.contains_key(&srv(2)) && evidence.servers.contains_key(&srv(3)), "{what}");
    }
    assert!(after(&[(1, service(), 1)]).is_ours(service()), "nobody but us has ever answered there");
}

#[test]
fn a_server_whose_own_address_is_silent_for_a_while_does_not_make_the_service_a_member() {
    let mut evidence = after(&[(1, srv(2), 2), (2, service(), 2)]);
    for second in 3..50 {
        let now = Moment::millis(second * 1_000);
        evidence.note_server(srv(2), now, Err(SILENT), None, now);
        evidence.note_server(service(), now, Ok(process(2)), None, now);
        assert!(!evidence.servers.contains_key(&service()), "at {second} s");
    }
}

#[test]
fn a_supervisor_tells_its_own_address() {
    let now = Moment::millis(1_000);
    // (what, what it announces, whether that one answers, whether the Sentinels list the address, it is its own)
    let rows = [
        ("its own", service(), false, false, true),
        ("that of another that answers", srv(2), true, false, false),
        ("one that does not answer, behind another network", srv(7), false, false, true),
        ("another, but the Sentinels list this one (E6)", srv(2), true, true, true),
        ("ours", srv(1), false, false, false),
    ];
    for (what, node, answers, listed, own) in rows {
        let mut evidence = evidence();
        if answers {
            evidence.note_server(node, now, Ok(process(2)), None, now);
        }
        if listed {
            let mut seen = sentinel(1, srv(1), 1);
            seen.rows.as_mut().unwrap().replicas.push(replica_row(service()));
            evidence.note_names(&Names { sentinels: Some(vec![sen(1)]), servers: None }, &rules(), now);
            evidence.note_sentinel(sen(1), now, Ok(seen), srv(1), now);
        }
        evidence.note_supervisor(service(), now, Ok(announces(node)));
        assert_eq!(evidence.servers.contains_key(&service()), own, "{what}");
        assert!(evidence.is_ours(node) || evidence.servers.contains_key(&node), "{what}: whom it tells of is known");
    }
}

/// Nobody else knows the address: who answers there says master.
fn lone_master(supervisor: Option<SupervisorSeen>) -> World {
    let mut rules = rules();
    rules.expected_servers = None;
    let mut world = World::new(rules, None);
    world.latency = ms(20);
    world.names = Names { sentinels: Some(vec![]), servers: Some(vec![srv(1), srv(2), srv(3)]) };
    world.servers.insert(srv(2), Ok(server(2, master_role(&[]), 1000)));
    if let Some(seen) = supervisor {
        world.supervisors.insert(srv(2), Ok(seen));
    }
    world
}

#[test]
fn who_is_known_by_a_configured_address_alone_is_followed_once_it_stands_for_itself() {
    // One look takes 20 ms, and a second one as much again.
    for (what, supervisor, within) in
        [("its supervisor announces it", Some(announces(srv(2))), 30), ("seen twice", None, 70)]
    {
        let mut world = lone_master(supervisor);
        let mut at = 0;
        while world.following().is_none() && at < 2_000 {
            world.run(5);
            at += 5;
        }
        let looked = world.core.evidence.servers.contains_key(&srv(2));
        assert!(looked && at <= 30 + within && at > 20, "{what}: after {at} ms");
    }
}

#[test]
fn a_service_is_never_followed_nor_a_conflict_nor_shown() {
    let mut world = World::new(rules(), None);
    world.names.servers = Some(vec![srv(1), srv(2), srv(3), service()]);
    for n in [2, 3] {
        let role = if n == 2 { master_role(&[srv(3)]) } else { replica_role(srv(2)) };
        world.servers.insert(srv(n), Ok(server(n, role, 1000)));
        world.supervisors.insert(srv(n), Ok(announces(srv(n))));
    }
    for round in 0..40u8 {
        // It leads to one after the other, and shows for a moment what that one was.
        let seen = match round % 3 {
            0 => server(2, master_role(&[srv(3)]), 1000),
            1 => server(3, replica_role(srv(2)), 1000),
            _ => server(1, replica_role(srv(2)), 1000),
        };
        world.servers.insert(service(), Ok(seen));
        world.run(130);
        assert!(!matches!(world.core.verdict, Verdict::Conflict { .. }), "round {round}");
        assert_ne!(world.following(), Some(service()), "round {round}");
    }
    assert_eq!(world.following(), Some(srv(2)));
    let shown: Vec<Address> = world.core.status().servers.iter().map(|row| row.address).collect();
    assert_eq!(shown, vec![srv(1), srv(2), srv(3)]);
    assert_eq!(world.core.evidence.known_servers(&world.core.rules, world.now), 3);
    let kept = world.core.last_record().map(|record| record.servers.clone());
    assert_eq!(kept, Some(vec![srv(2), srv(3)]));
}

#[test]
fn a_sentinel_behind_a_service_is_one_sentinel() {
    let mut world = World::replica();
    world.names.sentinels = Some(vec![sen(1), sen(2), sen(3), sen(100)]);
    let mut behind = sentinel(2, srv(2), 1);
    if let Some(rows) = &mut behind.rows {
        rows.sentinels =
            [1, 3].map(|n| SentinelRow { address: sen(n), id: Some(sentinel_id(n)), down_for: None }).to_vec();
    }
    world.sentinels.insert(sen(100), Ok(behind));
    world.run(5_000);
    let shown: Vec<Address> = world.core.status().sentinels.iter().map(|row| row.address).collect();
    assert_eq!(shown, vec![sen(1), sen(2), sen(3)]);
    assert_eq!(world.core.evidence.known_sentinels(2, world.now), 3);
    world.sentinels.insert(sen(100), Err(SILENT));
    world.run(10_000);
    assert_eq!(world.core.status().sentinels.len(), 3, "nor while nobody is ready behind it");
}
