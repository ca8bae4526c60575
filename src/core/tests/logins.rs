//! As whom replicas log in, and whom we let in: a server of before, or without a supervisor, knows no user for replication.

use super::world::*;
use crate::core::action::ChildOrder;
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
