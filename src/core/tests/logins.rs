//! As whom replicas log in, and whom we let in: a server of before, or without a supervisor, knows no user for replication.

use super::foreign::{id, known, merged, of_cluster};
use super::world::*;
use crate::core::action::{Action, ChildOrder};
use crate::core::seen::{Login, ServerSeen};

fn logins(world: &World) -> Vec<Login> {
    let login = |order: &ChildOrder| match order {
        ChildOrder::LogIn(login) => Some(*login),
        _ => None,
    };
    world.orders().iter().filter_map(login).collect()
}

fn admitted(world: &World) -> Vec<Login> {
    let login = |order: &ChildOrder| match order {
        ChildOrder::Admit(login) => Some(*login),
        _ => None,
    };
    world.orders().iter().filter_map(login).collect()
}

fn takes(world: &mut World, n: u8, login: Option<Login>) {
    let Some(Ok(seen)) = world.servers.get_mut(&srv(n)) else { panic!("server {n} answers") };
    *seen = ServerSeen { login, ..seen.clone() };
}

#[test]
fn a_replica_logs_in_as_its_master_takes_it_before_it_follows() {
    for (login, expected) in [(Some(Login::Own), vec![]), (Some(Login::Shared), vec![Login::Shared]), (None, vec![])] {
        let mut world = World::new(rules(), None);
        world.healthy(srv(2), 1);
        takes(&mut world, 2, login);
        world.run(3_000);
        assert_eq!(world.core.course.master(), Some(srv(2)));
        assert_eq!(logins(&world), expected, "{login:?}");
        let at = world.ordered_at(|order| matches!(order, ChildOrder::LogIn(_)));
        assert!(at.is_none_or(|at| Some(at) <= world.ordered_at(is_follow)), "too late");
    }
}

#[test]
fn a_master_that_comes_back_as_another_build_is_logged_in_at_as_that_one() {
    let mut world = World::replica();
    takes(&mut world, 2, Some(Login::Shared));
    world.run(3_000);
    // Who could not be asked changes nothing.
    takes(&mut world, 2, None);
    world.run(3_000);
    assert_eq!(logins(&world), [Login::Shared]);
    takes(&mut world, 2, Some(Login::Own));
    world.run(3_000);
    assert_eq!(logins(&world), [Login::Shared, Login::Own]);
}

#[test]
fn servers_of_before_are_let_in_while_one_is_there_and_for_a_minute_more() {
    for mut world in [World::replica(), World::master()] {
        assert!(admitted(&world).is_empty(), "nobody of before is there");
        takes(&mut world, 3, Some(Login::Shared));
        world.run(3_000);
        assert_eq!(admitted(&world), [Login::Shared]);
        world.lose(srv(3), REFUSED);
        world.run(50_000);
        assert_eq!(admitted(&world), [Login::Shared], "it may be back");
        world.run(20_000);
        assert_eq!(admitted(&world), [Login::Shared, Login::Own]);
    }
}

fn belongs(order: &ChildOrder) -> bool {
    matches!(order, ChildOrder::Belong(_))
}

/// All others of ours know our cluster's login.
fn all_know_it(world: &mut World) {
    for n in [2, 3] {
        takes(world, n, Some(Login::Cluster));
    }
}

#[test]
fn the_child_knows_its_clusters_login_before_it_follows_and_before_its_door_opens() {
    let mut world = World::new(of_cluster("a"), None);
    world.healthy(srv(2), 1);
    all_know_it(&mut world);
    world.supervisors.values_mut().flatten().for_each(|seen| seen.cluster = Some(id("a")));
    world.run(3_000);
    let at = |which: fn(&ChildOrder) -> bool| world.orders().iter().position(which).expect("such an order is given");
    let first = at(belongs);
    assert!(first < at(|order| *order == ChildOrder::LogIn(Login::Cluster)));
    assert!(at(|order| matches!(order, ChildOrder::LogIn(_))) < at(is_follow));
    assert!(at(|order| *order == ChildOrder::Admit(Login::Cluster)) < at(|order| *order == ChildOrder::OpenDoor));
    assert_eq!(world.core.child.belongs, Some(id("a").id.tag()));
    let told = |action: &Action| matches!(action, Action::Cluster(tag) if *tag == id("a").id.tag());
    assert!(world.done.iter().any(|(_, action)| told(action)), "who looks at servers must know it");
}

#[test]
fn while_the_id_is_not_settled_there_is_no_login_of_the_cluster() {
    let mut world = World::replica();
    world.run(5_000);
    assert!(!world.ordered(belongs));
    assert!(admitted(&world).is_empty() && logins(&world).is_empty());
}

/// A build of before, or one that does not know its id yet, comes by the password alone.
#[test]
fn who_does_not_know_our_clusters_login_is_let_in_by_the_password_while_it_is_there() {
    let mut world = World::replica_with(of_cluster("a"));
    known(&mut world);
    all_know_it(&mut world);
    world.run(14_000);
    assert_eq!(admitted(&world), [Login::Cluster]);
    assert_eq!(logins(&world), [Login::Cluster]);
    takes(&mut world, 3, Some(Login::Own));
    world.run(2_500);
    assert_eq!(admitted(&world), [Login::Cluster, Login::Own]);
    // It restarts: for a moment nobody knows whose it is.
    if let Some(Ok(seen)) = world.servers.get_mut(&srv(3)) {
        seen.run_id = "run-3b".into();
    }
    world.run(8_000);
    assert_eq!(admitted(&world), [Login::Cluster, Login::Own], "no flapping");
    takes(&mut world, 3, Some(Login::Shared));
    world.run(2_500);
    assert_eq!(admitted(&world), [Login::Cluster, Login::Own, Login::Shared]);
    takes(&mut world, 3, Some(Login::Cluster));
    world.run(15_000);
    assert_eq!(admitted(&world).last(), Some(&Login::Cluster));
}

/// N2, N4: with one password for both clusters it would open the door for the other one's engines too.
#[test]
fn n4_for_a_stranger_nobody_is_let_in_by_the_password() {
    let mut world = World::replica_with(of_cluster("a"));
    known(&mut world);
    all_know_it(&mut world);
    world.run(14_000);
    world.forget();
    merged(&mut world, &[], true);
    world.run(10_000);
    assert!(world.core.evidence.is_stranger(srv(3)));
    assert!(admitted(&world).is_empty(), "{:?}", admitted(&world));
}

/// It has just learned its id from the others: what it saw of its master's logins is from before.
#[test]
fn who_has_just_learned_its_id_asks_its_master_again_before_it_follows() {
    let mut world = World::new(rules(), None);
    world.healthy(srv(2), 1);
    world.supervisors.values_mut().flatten().for_each(|seen| seen.cluster = Some(id("a")));
    // It can be told only when it is asked by name.
    while world.core.settled_tag().is_none() {
        world.run(1);
    }
    all_know_it(&mut world);
    world.run(3_000);
    let follow = world.orders().iter().position(is_follow).expect("it follows");
    let login = world.orders().iter().position(|order| *order == ChildOrder::LogIn(Login::Cluster));
    assert!(login.is_some_and(|login| login < follow), "{:?}", world.orders());
}

/// Where `default` may not read the ACL nobody's logins can be asked: could not ask is never "knows it".
#[test]
fn who_could_not_be_asked_is_let_in_by_the_password() {
    let mut world = World::replica_with(of_cluster("a"));
    known(&mut world);
    for n in [2, 3] {
        takes(&mut world, n, None);
    }
    world.run(20_000);
    assert!(!admitted(&world).contains(&Login::Cluster), "{:?}", admitted(&world));
    assert!(logins(&world).is_empty(), "{:?}", logins(&world));
}

/// N4: the engine asks again by itself, each second; by an older login an empty one would empty it.
#[test]
fn n4_who_has_our_masters_address_and_nothing_is_not_asked_by_an_older_login() {
    let mut world = World::replica_with(of_cluster("a"));
    known(&mut world);
    all_know_it(&mut world);
    world.run(14_000);
    assert_eq!(logins(&world), [Login::Cluster]);
    let Some(Ok(seen)) = world.servers.get_mut(&srv(2)) else { panic!("the master answers") };
    (seen.login, seen.supervised, seen.has_data) = (Some(Login::Shared), Some(false), Some(false));
    seen.run_id = "run-empty".into();
    seen.history.id = "empty".into();
    world.supervisors.insert(srv(2), Err(REFUSED));
    world.run(10_000);
    assert_eq!(logins(&world), [Login::Cluster]);
    assert!(!admitted(&world).contains(&Login::Shared), "it comes to nobody: {:?}", admitted(&world));
}

#[test]
fn n14_who_comes_to_another_cluster_logs_in_as_its_member() {
    let mut world = World::replica_with(of_cluster("a"));
    known(&mut world);
    all_know_it(&mut world);
    world.run(14_000);
    world.core.belongs_now(&id("a").id.tag());
    assert_eq!(world.core.child.login, Some(Login::Cluster));
    world.core.belongs_now(&id("b").id.tag());
    assert_eq!(world.core.child.login, None, "told anew");
}
