//! Where the cluster's id comes from (N9 to N12): the settings, the state file, the first leader, most of the others.

use super::world::*;
use crate::core::action::ChildOrder;
use crate::core::cluster::{ClusterId, Identity, Standing};
use crate::core::id::{AttemptId, Epoch, SentinelId};
use crate::core::message::PeerMessage;
use crate::core::record::RecordedRole;
use crate::core::rules::Rules;
use crate::core::seen::{History, Link, RoleSeen, ServerSeen, SupervisorSeen};

fn settled(text: &str) -> Identity {
    Identity::settled(ClusterId::parse(text).unwrap())
}

fn shown(world: &World) -> Option<Identity> {
    world.core.status().cluster
}

/// Of the others, `n` shows this id.
fn shows(world: &mut World, n: u8, identity: Identity) {
    if let Some(Ok(seen)) = world.supervisors.get_mut(&srv(n)) {
        seen.cluster = Some(identity);
    }
}

#[test]
fn the_first_leader_makes_it_and_it_is_settled_with_its_first_write() {
    let mut world = World::born_master_with(rules());
    let made = shown(&world).expect("made");
    assert_eq!((made.id.clone(), made.standing), (ClusterId::made(rules().nonce), Standing::New));
    world.healthy(srv(1), 1);
    world.attach(&[srv(2), srv(3)]);
    world.run(5_000);
    assert_eq!(world.fence(), None);
    assert_eq!(shown(&world), Some(Identity::settled(made.id)));
}

#[test]
fn what_is_known_at_the_start() {
    let old = crate::core::record::Record { cluster: Some(settled("old")), ..record(RecordedRole::Replica, None) };
    let set = Rules { cluster_id: ClusterId::parse("set"), ..rules() };
    assert_eq!(shown(&World::new(rules(), recovered(old.clone()))), Some(settled("old")));
    assert_eq!(shown(&World::new(set, recovered(old))), Some(settled("set")));
    assert_eq!(shown(&World::new(rules(), None)), None);
}

#[test]
fn n10_a_lost_volume_learns_it_from_most_of_the_others() {
    let mut world = World::new(rules(), None);
    world.healthy(srv(2), 1);
    shows(&mut world, 2, settled("a"));
    shows(&mut world, 3, settled("a"));
    world.run(2_000);
    assert_eq!(shown(&world), Some(settled("a")));
}

#[test]
fn n10_half_of_the_others_is_not_most_of_them() {
    let mut world = World::new(rules(), None);
    world.healthy(srv(2), 1);
    shows(&mut world, 2, settled("a"));
    shows(&mut world, 3, settled("b"));
    undecided(&mut world);
    world.run(2_000);
    assert_eq!(shown(&world), None);
}

/// Nobody leads, and the Sentinels know no master.
fn undecided(world: &mut World) {
    for n in 1..=3 {
        world.sentinels.insert(sen(n), Ok(bare(n)));
    }
    for n in [2, 3] {
        let role = RoleSeen::Replica { master: None, link: Link::Down };
        world.servers.insert(srv(n), Ok(server(n, role, 1000)));
    }
}

/// Nobody of ours has an id yet, and a server of another cluster has got an address of ours.
#[test]
fn n1_one_server_of_another_cluster_is_not_most_of_us() {
    let mut world = World::new(rules(), None);
    world.healthy(srv(2), 1);
    shows(&mut world, 3, settled("b"));
    undecided(&mut world);
    world.run(2_000);
    assert_eq!(shown(&world), None, "server 2 shows none");
    // And where that one alone answers, its data must have to do with ours.
    world.servers.insert(srv(3), Ok(ServerSeen { history: of_another_line(), ..server(3, master_role(&[]), 1) }));
    world.supervisors.insert(srv(2), Err(SILENT));
    world.run(90_000);
    assert_eq!(shown(&world), None, "its data are another cluster's");
}

/// Our Sentinels have merged with those of `b`, and list all of its servers.
#[test]
fn n16_who_is_only_listed_does_not_outvote_those_whom_the_settings_name() {
    let mut world = World::new(rules(), None);
    world.healthy(srv(2), 1);
    for n in 31..=36 {
        world.servers.insert(srv(n), Ok(ServerSeen { history: of_another_line(), ..server(n, master_role(&[]), 1) }));
        world.supervisors.insert(srv(n), Ok(SupervisorSeen { cluster: Some(settled("b")), ..supervisor(1) }));
        for t in 1..=3 {
            world.sentinel(t).rows.as_mut().unwrap().replicas.push(replica_row(srv(n)));
        }
    }
    for n in [2, 3] {
        shows(&mut world, n, settled("a"));
    }
    world.child.as_mut().unwrap().has_data = false;
    world.run(3_000);
    assert_eq!(shown(&world), Some(settled("a")));
}

/// The address was one of `b` until now: its leader tells us first that it leads.
#[test]
fn n16_a_lost_volume_follows_nobody_before_it_knows_whose_it_is() {
    let mut world = World::new(rules(), None);
    world.healthy(srv(2), 1);
    for n in [2, 3] {
        shows(&mut world, n, settled("a"));
    }
    undecided(&mut world);
    world.child.as_mut().unwrap().has_data = false;
    world.servers.insert(srv(31), Ok(ServerSeen { history: of_another_line(), ..server(31, master_role(&[]), 1) }));
    let leads = SupervisorSeen { cluster: Some(settled("b")), leads: true, ..supervisor(1) };
    world.supervisors.insert(srv(31), Ok(leads));
    world.mute = Some(sen(3));
    world.run(200);
    world.ask(srv(31), PeerMessage::Led { attempt: AttemptId("x".into()), leader: srv(31), epoch: Epoch(1) });
    world.run(200);
    assert_eq!(world.core.course.master(), None, "Sentinel 3 has not answered yet");
    world.mute = None;
    world.run(3_000);
    assert_eq!(shown(&world), Some(settled("a")));
    assert_eq!(world.core.course.master(), None, "it is of another cluster");
}

/// All other servers are down, our Sentinels 1 and 2 answer, and one of `b` stands at the third address; it lists its leader,
/// the only server that says master (sim 589).
#[test]
fn n16_a_lost_volume_whose_cluster_is_down_does_not_join_another_one() {
    let (ours, theirs) = (ClusterId::made(0xa), ClusterId::made(0xb));
    let mut world = World::new(rules(), None);
    world.healthy(srv(31), 1);
    world.names.servers = Some((1..=4).map(srv).collect());
    for n in 1..=3 {
        let seen = if n == 3 { sentinel(n, srv(31), 9) } else { bare(n) };
        let of = if n == 3 { &theirs } else { &ours };
        let id = SentinelId::of_cluster(&of.tag(), &format!("{n:016x}"));
        world.sentinels.insert(sen(n), Ok(crate::core::seen::SentinelSeen { id, ..seen }));
    }
    world.child.as_mut().unwrap().has_data = false;
    world.lose(srv(2), REFUSED);
    world.lose(srv(3), REFUSED);
    world.servers.insert(srv(31), Ok(ServerSeen { history: of_another_line(), ..server(31, master_role(&[]), 1) }));
    let leads = SupervisorSeen { cluster: Some(Identity::settled(theirs)), leads: true, ..supervisor(1) };
    world.supervisors.insert(srv(31), Ok(leads));
    world.run(45_000);
    assert!(!world.ordered(|order| matches!(order, ChildOrder::Follow { master, .. } if *master == srv(31))));
    assert_eq!(shown(&world), Some(Identity::settled(ours)), "two of those whom the settings name show it");
}

/// One Sentinel alone answers of three, and lists servers of `b`, whose leader is gone: they are not most of us, however long the
/// others are down. Where the settings name nobody else, what is listed is all there is.
#[test]
fn n16_who_is_only_listed_gives_no_id_while_those_whom_the_settings_name_are_down() {
    let theirs = Identity::settled(ClusterId::made(0xb));
    for (named, taken) in [(3_u8, None), (1, Some(theirs.clone()))] {
        let mut world = World::new(rules(), None);
        world.names.sentinels = Some((1..=named).map(sen).collect());
        world.names.servers = Some(vec![srv(1)]);
        world.sentinels.insert(sen(1), Ok(sentinel(1, srv(33), 9)));
        for n in [31, 32] {
            let role = RoleSeen::Replica { master: Some(srv(33)), link: Link::Down };
            world.servers.insert(srv(n), Ok(server(n, role, 1)));
            world.supervisors.insert(srv(n), Ok(SupervisorSeen { cluster: Some(theirs.clone()), ..supervisor(1) }));
            world.sentinel(1).rows.as_mut().unwrap().replicas.push(replica_row(srv(n)));
        }
        world.child.as_mut().unwrap().has_data = false;
        world.run(45_000);
        assert_eq!(shown(&world), taken, "{named} Sentinels are named");
    }
}

fn of_another_line() -> History {
    History { id: "hb".into(), ..history(1) }
}

#[test]
fn n11_servers_that_have_all_lost_their_volumes_learn_it_from_the_sentinels_ids() {
    let made = ClusterId::made(0xabc);
    let mut world = World::new(rules(), None);
    for n in 1..=3 {
        let mut seen = bare(n);
        seen.id = SentinelId::of_cluster(&made.tag(), &format!("{n:016x}"));
        world.sentinels.insert(sen(n), Ok(seen));
    }
    world.run(2_000);
    assert_eq!(shown(&world), Some(Identity::settled(made)));
}

/// Its address is dead by the time that the id is settled: nothing of another cluster (B4).
#[test]
fn who_showed_our_id_before_it_was_settled_and_is_gone_is_no_stranger() {
    let made = ClusterId::made(5);
    let mut world = World::new(rules(), None);
    world.healthy(srv(2), 1);
    let mut third = server(3, replica_role(srv(9)), 1000);
    third.history.id = "of-before".into();
    world.servers.insert(srv(3), Ok(third));
    for n in [2, 3] {
        shows(&mut world, n, Identity { id: made.clone(), standing: Standing::New });
    }
    world.run(3_000);
    world.lose(srv(3), SILENT);
    world.run(4_000);
    shows(&mut world, 2, Identity::settled(made.clone()));
    world.run(5_000);
    assert_eq!(shown(&world), Some(Identity::settled(made)));
    assert!(world.core.evidence.stranger(srv(3)).is_none());
}

#[test]
fn n9_a_new_id_gives_way_to_a_settled_one_and_to_that_of_the_leader() {
    let mut world = World::born_master_with(rules());
    assert!(shown(&world).is_some_and(|made| !made.is_settled()));
    shows(&mut world, 2, settled("theirs"));
    shows(&mut world, 3, settled("theirs"));
    world.run(1_000);
    assert_eq!(shown(&world), Some(settled("theirs")));

    let mut replica = World::new(rules(), None);
    replica.healthy(srv(2), 1);
    shows(&mut replica, 2, Identity { id: ClusterId::made(5), standing: Standing::New });
    replica.run(2_000);
    assert_eq!(shown(&replica), Some(Identity { id: ClusterId::made(5), standing: Standing::New }));
    shows(&mut replica, 2, settled("0000000000000005"));
    replica.run(3_000);
    assert_eq!(shown(&replica), Some(settled("0000000000000005")));
}
