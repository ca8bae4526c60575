//! Two clusters in one network (N1 to N6): we are of cluster `a`, and somebody of cluster `b` has got an address that was ours.

use super::world::*;
use crate::core::action::{Birth, ChildOrder, Progress};
use crate::core::cluster::{ClusterId, Identity};
use crate::core::course::Course;
use crate::core::event::{Adopting, Event, Wish};
use crate::core::id::{Address, Epoch, Offset, ReplyId, SentinelId};
use crate::core::message::{PeerAnswer, PeerMessage};
use crate::core::record::{Record, RecordedRole};
use crate::core::rules::{Mode, Rules};
use crate::core::seen::{History, Link, RoleSeen, SentinelRow, SentinelSeen, ServerSeen, SupervisorSeen};
use crate::core::verdict::Verdict;

pub fn id(text: &str) -> Identity {
    Identity::settled(ClusterId::parse(text).unwrap())
}

pub fn of_cluster(cluster: &str) -> Rules {
    Rules { cluster_id: Some(id(cluster).id), ..rules() }
}

pub fn shows(cluster: &str, epoch: u64) -> SupervisorSeen {
    SupervisorSeen { cluster: Some(id(cluster)), ..supervisor(epoch) }
}

/// A server of cluster `b`: a history of its own.
fn of_b(n: u8, master: Option<Address>) -> ServerSeen {
    let role = master.map_or_else(|| master_role(&[srv(32)]), replica_role);
    let mut seen = server(n, role, 500);
    seen.history.id = "hb".into();
    seen.run_id = crate::core::id::RunId(format!("run-b-{n}"));
    seen
}

/// All supervisors show our id.
pub fn known(world: &mut World) {
    for seen in world.supervisors.values_mut().flatten() {
        seen.cluster = Some(id("a"));
    }
    world.run(3_000);
    world.forget();
}

/// Server 3 is gone, a server of `b` has its address and follows 31, the master of `b`; our Sentinels `taken` name that one at
/// a higher epoch, and list its replicas.
pub fn merged(world: &mut World, taken: &[u8], supervised: bool) {
    world.servers.insert(srv(3), Ok(of_b(3, Some(srv(31)))));
    world.servers.insert(srv(31), Ok(of_b(31, None)));
    world.servers.insert(srv(32), Ok(of_b(32, Some(srv(31)))));
    for n in [3, 31, 32] {
        match supervised {
            true => world.supervisors.insert(srv(n), Ok(shows("b", 9))),
            false => world.supervisors.insert(srv(n), Err(REFUSED)),
        };
        if let Some(Ok(seen)) = world.servers.get_mut(&srv(n)) {
            seen.supervised = Some(supervised);
        }
    }
    if let Some(Ok(seen)) = world.supervisors.get_mut(&srv(31)) {
        (seen.leads, seen.fenced) = (true, false);
    }
    for n in taken {
        world.sentinels.insert(sen(*n), Ok(taken_over(*n)));
    }
}

fn taken_over(n: u8) -> SentinelSeen {
    let mut seen = sentinel(n, srv(31), 9);
    let rows = seen.rows.as_mut().unwrap();
    rows.replicas = [1, 2, 3, 32].map(|n| replica_row(srv(n))).to_vec();
    seen
}

pub fn said(world: &World, event: &str) -> Vec<String> {
    world.core.history().filter(|line| line.event == event).map(|line| line.reason.clone()).collect()
}

#[test]
fn n1_a_master_is_not_demoted_for_another_clusters_and_says_so_within_2_s() {
    for (supervised, empty) in [(true, false), (false, false), (true, true), (false, true)] {
        let mut world = World::master_with(of_cluster("a"));
        known(&mut world);
        merged(&mut world, &[1, 2, 3], supervised);
        for n in [3, 31, 32].into_iter().filter(|_| empty) {
            if let Some(Ok(seen)) = world.servers.get_mut(&srv(n)) {
                seen.has_data = Some(false);
            }
        }
        world.run(2_000);
        assert!(!said(&world, "foreign").is_empty(), "said: supervised {supervised}, empty {empty}");
        world.run(20_000);
        assert!(world.leads(), "supervised {supervised}, empty {empty}: {:?}", said(&world, "demote"));
        assert!(!world.ordered(is_follow), "supervised {supervised}, empty {empty}");
        let found = said(&world, "foreign");
        assert!((2..=3).contains(&found.len()), "one line for each address: {found:?}");
        let shown = world.core.status();
        assert!(shown.servers.iter().all(|row| ![srv(3), srv(31)].contains(&row.address)), "{:?}", shown.servers);
        assert!(shown.strangers.iter().any(|(at, _)| *at == srv(31)), "{:?}", shown.strangers);
    }
}

#[test]
fn n1_the_master_goes_on_taking_writes_by_its_replicas() {
    let mut world = World::master_with(of_cluster("a"));
    known(&mut world);
    merged(&mut world, &[1, 2, 3], true);
    world.attach(&[srv(2)]);
    world.run(20_000);
    assert_eq!(world.fence(), None, "server 2 streams from us");
}

#[test]
fn n1_a_replica_does_not_follow_another_clusters_master() {
    for supervised in [true, false] {
        let mut world = World::replica_with(of_cluster("a"));
        known(&mut world);
        merged(&mut world, &[1, 2, 3], supervised);
        world.run(20_000);
        assert_eq!(world.core.course.master(), Some(srv(2)), "supervised {supervised}");
        assert!(matches!(world.core.verdict, Verdict::Hint { master } if master == srv(2)), "{:?}", world.core.verdict);
        assert!(!world.ordered(is_follow));
    }
}

#[test]
fn n1_one_sentinel_that_was_taken_over_leaves_the_other_two_their_majority() {
    let mut world = World::replica_with(of_cluster("a"));
    known(&mut world);
    merged(&mut world, &[1], true);
    world.run(5_000);
    assert_eq!(world.core.verdict, Verdict::Confirmed { master: srv(2), epoch: Epoch(1) });
}

#[test]
fn n4_a_server_of_another_cluster_at_our_masters_address_is_not_followed() {
    let mut world = World::replica_with(of_cluster("a"));
    known(&mut world);
    world.servers.insert(srv(2), Ok(of_b(2, None)));
    world.supervisors.insert(srv(2), Ok(shows("b", 9)));
    world.run(4_000);
    assert!(
        !matches!(world.core.verdict, Verdict::Confirmed { .. } | Verdict::Hint { .. }),
        "{:?}",
        world.core.verdict
    );
    assert!(world.core.evidence.is_stranger(srv(2)));
    // It is gone, as one that does not answer: whoever is left may vote.
    assert!(
        matches!(world.core.verdict, Verdict::Named { master, .. } if master == srv(2)),
        "{:?}",
        world.core.verdict
    );
    assert_ne!(world.core.course.master(), Some(srv(2)), "its engine must not sync from there");
    assert!(matches!(world.core.course, Course::Undecided), "{:?}", world.core.course);
}

#[test]
fn who_shows_our_id_again_is_one_of_us_again() {
    let mut world = World::replica_with(of_cluster("a"));
    known(&mut world);
    merged(&mut world, &[], true);
    world.run(3_000);
    assert!(world.core.evidence.is_stranger(srv(3)));
    world.servers.insert(srv(3), Ok(ServerSeen { run_id: "run-3b".into(), ..server(3, replica_role(srv(2)), 1000) }));
    world.supervisors.insert(srv(3), Ok(shows("a", 1)));
    world.run(3_000);
    assert!(!world.core.evidence.is_stranger(srv(3)) && world.core.evidence.servers.contains_key(&srv(3)));
}

#[test]
fn a_member_that_shows_another_id_once_stays_one() {
    let mut world = World::replica_with(of_cluster("a"));
    known(&mut world);
    world.supervisors.insert(srv(2), Ok(shows("b", 1)));
    world.run(100);
    world.supervisors.insert(srv(2), Ok(shows("a", 1)));
    world.run(5_000);
    assert_eq!((said(&world, "foreign"), world.core.course.master()), (vec![], Some(srv(2))));
}

/// M17: its append-only file gave it a new history, and nobody reaches its supervisor. It is not followed anew, and no stranger.
#[test]
fn m17_a_member_that_restarted_while_its_supervisor_is_out_of_reach_is_no_stranger() {
    let mut world = World::replica_with(of_cluster("a"));
    known(&mut world);
    world.supervisors.insert(srv(2), Err(SILENT));
    let mut seen = server(2, master_role(&[]), 1000);
    (seen.run_id, seen.history.id) = ("run-2b".into(), "h2".into());
    world.servers.insert(srv(2), Ok(seen));
    world.run(5_000);
    assert!(!world.core.evidence.is_stranger(srv(2)));
    assert_eq!(world.core.course.master(), Some(srv(2)), "its engine goes on asking there");
}

#[test]
fn without_ids_related_data_are_enough() {
    let mut world = World::replica_with(of_cluster("a"));
    known(&mut world);
    world.supervisors.insert(srv(2), Err(REFUSED));
    world.servers.insert(srv(2), Ok(ServerSeen { run_id: "run-2b".into(), ..server(2, master_role(&[srv(1)]), 1000) }));
    world.run(5_000);
    assert!(world.core.verdict.confirms(srv(2)), "{:?}", world.core.verdict);
}

/// A migration: an old master goes on with its pings beyond the offset at which its successor's history begins.
#[test]
fn n15_a_predecessor_without_a_supervisor_that_went_on_for_a_moment_is_no_stranger() {
    let mut world = World::replica_with(of_cluster("a"));
    known(&mut world);
    let mut old = server(3, master_role(&[]), 1_500);
    (old.run_id, old.supervised) = ("old".into(), Some(false));
    world.supervisors.insert(srv(3), Err(REFUSED));
    world.servers.insert(srv(3), Ok(old));
    if let Ok(seen) = &mut world.child {
        seen.history = History { id: "h2".into(), second: Some(("h1".into(), Offset(1_000))), offset: Offset(1_100) };
    }
    if let Some(Ok(seen)) = world.servers.get_mut(&srv(2)) {
        seen.history = History { id: "h2".into(), second: Some(("h1".into(), Offset(1_000))), offset: Offset(1_100) };
    }
    world.run(5_000);
    assert!(!world.core.evidence.is_stranger(srv(3)), "{:?}", said(&world, "foreign"));
}

#[test]
fn a_message_of_another_cluster_has_no_effect() {
    let mut world = World::replica_with(of_cluster("a"));
    known(&mut world);
    let message = PeerMessage::Priority { priority: Some(0), leader: srv(3), lasting: ms(5_000) };
    let reply = crate::core::id::ReplyId(4_711);
    let from = Some(srv(3));
    world.feed(crate::core::event::Event::Request { reply, from, cluster: Some(id("b")), message });
    assert_eq!(world.reply(reply), Some(PeerAnswer::OtherCluster { belongs_to: id("a") }));
    world.run(1_000);
    assert!(!world.ordered(|order| matches!(order, crate::core::action::ChildOrder::Priority(_))));
}

fn adopt(world: &mut World, at: Address, how: Adopting) -> Progress {
    world.feed(Event::Operator { reply: ReplyId(900), wish: Wish::Adopt { at, how } });
    world.progress().pop().expect("an answer")
}

/// N14: dry, then for real. The word is about the process: who has its address later is a stranger again.
#[test]
fn n14_a_stranger_without_an_id_is_adopted() {
    let mut world = World::replica_with(of_cluster("a"));
    known(&mut world);
    merged(&mut world, &[], false);
    world.run(3_000);
    assert!(matches!(adopt(&mut world, srv(2), Adopting::Real), Progress::Failed(_)), "no stranger");
    assert!(matches!(adopt(&mut world, srv(3), Adopting::Dry), Progress::Done(said) if said.starts_with("would do")));
    assert!(world.core.evidence.is_stranger(srv(3)));
    assert!(matches!(adopt(&mut world, srv(3), Adopting::Real), Progress::Done(_)));
    world.run(1_000);
    assert!(!world.core.evidence.is_stranger(srv(3)));
    world.servers.insert(srv(3), Ok(ServerSeen { run_id: "another".into(), ..of_b(3, Some(srv(31))) }));
    world.run(3_000);
    assert!(world.core.evidence.is_stranger(srv(3)), "another process");
}

#[test]
fn n14_a_stranger_with_an_id_is_joined_but_not_against_the_settings() {
    let old = Record { cluster: Some(id("a")), ..record(RecordedRole::Replica, Some(srv(2))) };
    for (given, joins) in [(None, true), (Some(id("a").id), false)] {
        let mut world = World::new(Rules { cluster_id: given, ..rules() }, recovered(old.clone()));
        world.healthy(srv(2), 1);
        known(&mut world);
        merged(&mut world, &[], true);
        world.run(3_000);
        assert_eq!(matches!(adopt(&mut world, srv(3), Adopting::Real), Progress::Done(_)), joins);
        assert_eq!(world.core.status().cluster, Some(id(if joins { "b" } else { "a" })));
    }
}

/// Sentinel 1, whose id tells cluster `a`, with two others that name server 2.
pub fn sentinels_supervisor(rules: Rules) -> World {
    let mut world = World::new(Rules { mode: Mode::Sentinel, me: sen(1), ..rules }, None);
    world.healthy(srv(2), 4);
    world.servers.insert(srv(1), Ok(server(1, replica_role(srv(2)), 1000)));
    world.supervisors.insert(srv(1), Ok(supervisor(4)));
    tagged(&mut world, "a");
    known(&mut world);
    world
}

pub fn tag(cluster: &str, n: u8) -> SentinelId {
    SentinelId::of_cluster(&id(cluster).id.tag(), &format!("{n:016x}"))
}

pub fn tagged(world: &mut World, cluster: &str) {
    for n in 1..=3 {
        world.sentinel(n).id = tag(cluster, n);
    }
}

#[test]
fn n1_a_sentinel_that_was_taken_over_is_taken_back_at_a_higher_epoch() {
    let mut world = sentinels_supervisor(of_cluster("a"));
    assert!(!world.ordered(is_terminate), "all is well");
    merged(&mut world, &[1], true);
    world.servers.insert(srv(3), Ok(server(3, replica_role(srv(2)), 1000)));
    world.supervisors.insert(srv(3), Ok(shows("a", 4)));
    world.sentinel(1).id = tag("a", 1);
    let mut row = sentinel(1, srv(31), 9).rows.unwrap().sentinels.remove(0);
    (row.address, row.id) = (sen(9), Some(tag("b", 9)));
    world.sentinel(1).rows.as_mut().unwrap().sentinels.push(row);
    world.run(4_000);
    let file = &world.core.sentinel_file;
    let monitor = file.monitor.expect("taken back");
    assert_eq!(monitor.master, srv(2));
    assert!(monitor.epoch > Epoch(9), "{monitor:?}");
    assert_eq!(file.forget, [tag("b", 9)]);
    assert!(file.forget_replicas.contains(&srv(31)) && file.forget_replicas.contains(&srv(32)), "{file:?}");
    assert!(!file.forget_replicas.contains(&srv(3)), "{file:?}");
    assert_eq!(file.cluster, Some(id("a").id.tag()));
}

/// Where nobody of theirs shows an id, at the same epoch: at a higher one our Sentinels would take theirs over.
#[test]
fn n6_a_sentinel_that_servers_without_redinit_took_over_is_taken_back_at_the_same_epoch() {
    let mut world = sentinels_supervisor(of_cluster("a"));
    merged(&mut world, &[1], false);
    world.servers.insert(srv(3), Ok(server(3, replica_role(srv(2)), 1000)));
    world.supervisors.insert(srv(3), Ok(shows("a", 4)));
    world.sentinel(1).id = tag("a", 1);
    world.run(4_000);
    let monitor = world.core.sentinel_file.monitor.expect("taken back");
    assert_eq!((monitor.master, monitor.epoch), (srv(2), Epoch(9)));
}

/// Whom the others are about to name would be deposed by its word at an epoch above all (sim 2323, 12044).
#[test]
fn n16_a_sentinel_is_not_taken_back_while_the_others_choose_nor_at_once_to_a_master_that_is_gone() {
    let taken_back = |world: &World| world.core.sentinel_file.monitor.map(|monitor| monitor.master);
    let merged_one = || {
        let mut world = sentinels_supervisor(of_cluster("a"));
        merged(&mut world, &[1], true);
        world.servers.insert(srv(3), Ok(server(3, replica_role(srv(2)), 1000)));
        world.supervisors.insert(srv(3), Ok(shows("a", 4)));
        world.sentinel(1).id = tag("a", 1);
        world
    };
    let mut world = merged_one();
    let w = u64::try_from(world.core.rules.w().as_millis()).unwrap();
    world.propose(2, srv(1));
    world.run(5_000);
    assert_eq!(taken_back(&world), None, "Sentinel 2 runs a failover");
    world.abort(2);
    world.run(5_000);
    assert_eq!(taken_back(&world), Some(srv(2)));

    let mut world = merged_one();
    world.propose(2, srv(1));
    world.run(w + 6_000);
    assert_eq!(taken_back(&world), Some(srv(2)), "a failover that never ends is not waited for");

    let mut world = merged_one();
    world.lose(srv(2), SILENT);
    world.run(w - 1_000);
    assert_eq!(taken_back(&world), None, "the master that it named last does not answer");
    world.run(6_000);
    assert_eq!(taken_back(&world), Some(srv(2)), "and nobody has come to lead");
}

/// It learned the id after its first start: each start tells the id that is known by then (sim 2527).
#[test]
fn n16_a_sentinel_starts_under_the_id_that_is_known_by_then() {
    let mut world = sentinels_supervisor(rules());
    assert_eq!(world.core.status().cluster, Some(id("a")), "learned");
    let child = world.child.clone();
    world.child_exits(crate::core::event::ChildExit::Code(1), child);
    world.run(2_000);
    let started = world.orders().into_iter().find_map(|order| match order {
        ChildOrder::Spawn(Birth::Sentinel(file)) => Some(file.cluster),
        _ => None,
    });
    assert_eq!(started, Some(Some(id("a").id.tag())));
}

#[test]
fn n7_what_is_of_another_cluster_leaves_the_list_at_once_one_sentinel_after_the_other() {
    let mut world = sentinels_supervisor(of_cluster("a"));
    merged(&mut world, &[], true);
    world.run(7_000);
    assert!(world.core.sentinel_file.forget_replicas.contains(&srv(3)), "{:?}", world.core.sentinel_file);
    assert_eq!(world.core.sentinel_file.monitor, None);
}

/// One that has chosen theirs is refused again and again, and begins anew; of one whose choice has died a Sentinel never sees the
/// end (sim 167).
#[test]
fn n16_what_is_of_another_cluster_leaves_the_list_although_a_failover_never_ends() {
    let mut world = sentinels_supervisor(of_cluster("a"));
    let w = u64::try_from(world.core.rules.w().as_millis()).unwrap();
    world.propose(2, srv(1));
    world.run(6_000);
    merged(&mut world, &[], true);
    world.run(w - 1_000);
    assert!(world.core.sentinel_file.forget_replicas.is_empty(), "it may end well");
    world.run(6_000);
    assert!(world.core.sentinel_file.forget_replicas.contains(&srv(3)), "{:?}", world.core.sentinel_file);
}

/// A Sentinel of ours was replaced, and one of another group, and of another make, has its address: it answers their pings.
#[test]
fn n8_one_that_does_not_know_our_group_keeps_no_ghost_in_the_list() {
    let mut world = sentinels_supervisor(of_cluster("a"));
    for n in 1..=3 {
        let rows = [1, 2, 3, 9].into_iter().filter(|other| *other != n);
        world.sentinel(n).rows.as_mut().unwrap().sentinels =
            rows.map(|other| SentinelRow { address: sen(other), id: Some(tag("a", other)), down_for: None }).collect();
    }
    world.sentinels.insert(sen(9), Ok(bare(9)));
    world.run(100_000);
    assert_eq!(world.core.sentinel_file.forget, [tag("a", 9)]);
    for n in 1..=3 {
        world.sentinel(n).rows.as_mut().unwrap().sentinels.retain(|row| row.address != sen(9));
    }
    world.run(10_000);
    assert!(!world.core.evidence.sentinels.contains_key(&sen(9)), "it is nobody's any more");
}

#[test]
fn n3_a_sentinels_id_is_made_anew_where_it_does_not_tell_its_cluster() {
    let mut world = sentinels_supervisor(of_cluster("a"));
    world.sentinel(1).id = sentinel_id(1);
    world.run(5_000);
    assert_eq!(world.core.sentinel_file.cluster, Some(id("a").id.tag()));
    assert!(world.ordered(is_terminate));
}

/// F7, N9: it led alone and made an id; its Sentinels are another cluster's by now. Not where the settings give the id, nor
/// where somebody else has ever shown ours.
#[test]
fn n9_f7_the_odd_one_joins_the_cluster_of_its_sentinels() {
    let old = Record { cluster: Some(id("a")), ..record(RecordedRole::Master, None) };
    for (given, met, joins) in [(None, false, true), (Some(id("a").id), false, false), (None, true, false)] {
        let mut world =
            World::new(Rules { cluster_id: given, ..rules() }, recovered(Record { servers: vec![], ..old.clone() }));
        world.names.servers = Some(if met { vec![srv(2)] } else { vec![] });
        if met {
            world.servers.insert(srv(2), Ok(server(2, replica_role(srv(1)), 1000)));
            world.supervisors.insert(srv(2), Ok(shows("a", 1)));
        }
        world.servers.insert(srv(31), Ok(of_b(31, None)));
        world.supervisors.insert(srv(31), Ok(shows("b", 9)));
        for n in 1..=3 {
            world.sentinels.insert(sen(n), Ok(SentinelSeen { id: tag("b", n), ..sentinel(n, srv(31), 9) }));
        }
        world.run(5_000);
        assert_eq!(world.core.status().cluster, Some(id(if joins { "b" } else { "a" })), "met {met}");
    }
}

#[test]
fn n3_a_sentinel_of_another_cluster_counts_nowhere() {
    let mut world = World::replica_with(of_cluster("a"));
    known(&mut world);
    tagged(&mut world, "a");
    world.sentinel(3).id = tag("b", 3);
    world.sentinels.insert(sen(9), Ok(SentinelSeen { id: tag("b", 9), ..sentinel(9, srv(31), 9) }));
    for n in [1, 2] {
        let rows = world.sentinel(n).rows.as_mut().unwrap();
        let mut row = rows.sentinels[0].clone();
        (row.address, row.id) = (sen(9), Some(tag("b", 9)));
        rows.sentinels.push(row);
    }
    world.run(5_000);
    assert_eq!(world.core.evidence.answering(world.now).count(), 2, "1 and 2");
    assert_eq!(world.core.evidence.known_sentinels(2, world.now), 3, "9 is none of ours");
    assert!(world.core.verdict.confirms(srv(2)));
    let told = said(&world, "foreign");
    assert_eq!(told.iter().filter(|line| line.contains("is a Sentinel of another cluster")).count(), 1, "{told:?}");
}

/// The master is dead, a Sentinel has chosen us, and a server of `b` has got the master's address: it lets go of nothing.
#[test]
fn n16_a_master_whose_address_is_another_clusters_is_gone_once_its_fence_is_up() {
    let mut world = World::replica_with(of_cluster("a"));
    known(&mut world);
    world.peers = |_, message| matches!(message, PeerMessage::Consent { .. }).then_some(PeerAnswer::Consented);
    world.lose(srv(2), REFUSED);
    let lost = RoleSeen::Replica { master: Some(srv(2)), link: Link::Down };
    world.servers.insert(srv(3), Ok(server(3, lost, 1000)));
    for n in 1..=3 {
        world.sentinel(n).master = Some(master_row(srv(2), 1));
    }
    world.run(1_300);
    world.propose(1, srv(1));
    world.feed(Event::Wake { at: sen(1) });
    world.run(100);
    assert!(world.core.candidacy.is_some());
    world.servers.insert(srv(2), Ok(ServerSeen { run_id: crate::core::id::RunId("b".into()), ..of_b(2, None) }));
    world.supervisors.insert(srv(2), Ok(shows("b", 9)));
    world.run(300);
    assert!(world.core.evidence.is_stranger(srv(2)) && !world.leads(), "its fence may not be up yet");
    world.run(1_500);
    assert!(world.leads(), "{:?}", world.core.history().map(|line| line.reason.clone()).collect::<Vec<_>>());
}
