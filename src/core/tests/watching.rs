//! As whom Sentinels log in at servers, and whom servers let into their channel.

use super::foreign::{id, known, merged, of_cluster, shows};
use super::world::*;
use crate::core::action::{Change, ChildOrder};
use crate::core::cluster::Identity;
use crate::core::event::OrderFailure;
use crate::core::id::{Address, SentinelId};
use crate::core::rules::{Mode, Rules};
use crate::core::seen::{Failure, Login, MasterRow, SentinelSeen, ServerSeen, WatcherSeen};

/// Our Sentinel is told: the cluster's login or that of before; anew where it has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Ours,
    Shared,
    Anew,
}

fn told(world: &World) -> Vec<Told> {
    let told = |order: &ChildOrder| match order {
        ChildOrder::WatchAs { how: Change::None, .. } => None,
        ChildOrder::WatchAs { cluster: Some(_), how: Change::Anew } => Some(Told::Anew),
        ChildOrder::WatchAs { cluster: Some(_), .. } => Some(Told::Ours),
        ChildOrder::WatchAs { cluster: None, .. } => Some(Told::Shared),
        _ => None,
    };
    world.orders().iter().filter_map(told).collect()
}

fn is_told(order: &ChildOrder) -> bool {
    matches!(order, ChildOrder::WatchAs { how: Change::Needed | Change::Anew, .. })
}

fn knows(world: &mut World, n: u8, knows: Option<bool>) {
    let Some(Ok(seen)) = world.servers.get_mut(&srv(n)) else { panic!("server {n} answers") };
    seen.knows_sentinels = knows;
}

fn sentinel_rules() -> Rules {
    Rules { mode: Mode::Sentinel, me: sen(1), ..of_cluster("a") }
}

/// Sentinel 1 of three monitors server 1; servers 2 and 3 follow it. Servers `new` know our login.
fn watching(rules: Rules, new: &[u8]) -> World {
    let mut world = World::new(rules, None);
    world.healthy(srv(1), 1);
    // Our child is none of them.
    let first = ServerSeen { run_id: "run-of-1".into(), ..server(1, master_role(&[srv(2), srv(3)]), 1000) };
    world.servers.insert(srv(1), Ok(first));
    for n in 1..=3 {
        world.supervisors.insert(srv(n), Ok(shows("a", 1)));
        knows(&mut world, n, Some(new.contains(&n)));
    }
    world
}

fn row(world: &mut World, n: u8, change: fn(&mut MasterRow)) {
    let Some(Ok(SentinelSeen { master: Some(row), .. })) = world.sentinels.get_mut(&sen(n)) else { panic!("it names") };
    change(row);
}

#[test]
fn a_sentinel_takes_its_clusters_login_once_every_server_knows_it_and_gives_it_back() {
    let mut world = watching(sentinel_rules(), &[1, 2]);
    world.run(30_000);
    assert!(told(&world).is_empty(), "server 3 is of before: {:?}", told(&world));
    assert_eq!(world.core.status().login, Some(Login::Own));
    world.forget();
    knows(&mut world, 3, Some(true));
    world.run(30_000);
    assert_eq!(told(&world), [Told::Ours]);
    assert_eq!(world.core.status().login, Some(Login::Cluster));
    // The rolling update goes back.
    for answer in [Some(false), None] {
        world.forget();
        knows(&mut world, 2, answer);
        world.run(30_000);
        assert_eq!(told(&world), [Told::Shared], "{answer:?}");
        assert_eq!(world.core.status().login, Some(Login::Own));
        knows(&mut world, 2, Some(true));
        world.run(30_000);
        assert_eq!(told(&world), [Told::Shared, Told::Ours], "{answer:?}");
    }
}

#[test]
fn without_a_settled_id_nothing_is_told() {
    let mut world = watching(Rules { cluster_id: None, ..sentinel_rules() }, &[1, 2, 3]);
    world.supervisors.values_mut().flatten().for_each(|seen| seen.cluster = None);
    world.run(30_000);
    assert!(told(&world).is_empty());
}

#[test]
fn a_replica_that_may_learn_it_in_a_moment_takes_nobodys_login_away_and_a_master_does_at_once() {
    for (n, within) in [(2, 9_000..=13_000), (1, 0..=2_500)] {
        let mut world = watching(sentinel_rules(), &[1, 2, 3]);
        world.run(20_000);
        world.forget();
        knows(&mut world, n, Some(false));
        let from = world.now;
        world.run(20_000);
        assert_eq!(told(&world), [Told::Shared], "server {n}");
        let after = world.ordered_at(is_told).expect("told").since(from).as_millis();
        assert!(within.contains(&after), "server {n}: after {after} ms");
    }
}

/// A crash in the middle of a failover must not end all links of the Sentinels.
#[test]
fn who_has_shown_it_and_is_down_changes_nothing() {
    for failure in [SILENT, REFUSED] {
        let mut world = watching(sentinel_rules(), &[1, 2, 3]);
        world.run(20_000);
        world.forget();
        world.lose(srv(2), failure);
        world.run(40_000);
        world.lose(srv(1), failure);
        world.run(40_000);
        assert!(told(&world).is_empty(), "{:?}", told(&world));
    }
}

#[test]
fn a_listed_server_that_never_answered_has_not_shown_it() {
    let mut world = watching(sentinel_rules(), &[1, 2, 3]);
    world.servers.insert(srv(3), Err(SILENT));
    world.run(40_000);
    assert!(told(&world).is_empty());
}

#[test]
fn nothing_changes_while_a_failover_runs_or_a_master_is_down() {
    let troubles: [fn(&mut MasterRow); 3] =
        [|row| row.s_down = true, |row| row.o_down = true, |row| row.failover = true];
    for trouble in troubles {
        let mut world = watching(sentinel_rules(), &[1, 2, 3]);
        row(&mut world, 2, trouble);
        world.run(40_000);
        assert!(told(&world).is_empty(), "towards it");
        row(&mut world, 2, |row| (row.s_down, row.o_down, row.failover) = (false, false, false));
        world.run(20_000);
        assert_eq!(told(&world), [Told::Ours]);
        world.forget();
        row(&mut world, 2, trouble);
        knows(&mut world, 3, Some(false));
        world.run(40_000);
        assert!(told(&world).is_empty(), "and back");
    }
}

/// Down to our Sentinel because it does not know the login: but for that nothing would ever change again.
#[test]
fn a_master_without_the_login_is_logged_in_at_although_it_is_down_to_us() {
    let mut world = watching(sentinel_rules(), &[1, 2, 3]);
    world.run(20_000);
    world.forget();
    row(&mut world, 1, |row| (row.s_down, row.failover) = (true, true));
    world.run(2_000);
    knows(&mut world, 1, Some(false));
    world.run(20_000);
    assert!(told(&world).is_empty(), "a failover runs");
    row(&mut world, 1, |row| row.failover = false);
    world.run(3_000);
    assert_eq!(told(&world), [Told::Shared]);
}

#[test]
fn who_refused_it_before_it_knew_the_login_is_logged_in_at_anew() {
    let mut world = watching(sentinel_rules(), &[1, 2, 3]);
    world.run(20_000);
    world.forget();
    if let Some(Ok(seen)) = world.sentinels.get_mut(&sen(1)) {
        let rows = seen.rows.as_mut().expect("rows");
        rows.replicas.iter_mut().for_each(|row| row.s_down = row.address == srv(3));
    }
    world.run(20_000);
    assert_eq!(told(&world), [Told::Anew], "not again and again");
    world.run(20_000);
    assert_eq!(told(&world), [Told::Anew, Told::Anew]);
}

/// What it did before our start is found out first: nothing ends a link for what it does already.
#[test]
fn a_supervisor_that_has_just_started_asks_how_its_sentinel_comes() {
    let mut world = watching(sentinel_rules(), &[1, 2, 3]);
    world.holds = |order| matches!(order, ChildOrder::WatchAs { .. });
    world.run(2_000);
    world.let_go(|order| matches!(order, ChildOrder::WatchAs { how: Change::None, .. }));
    assert_eq!(world.core.status().login, Some(Login::Cluster), "by the cluster's, as before");
    world.run(30_000);
    assert!(told(&world).is_empty());
}

#[test]
fn one_sentinel_after_the_other() {
    let mut moments = Vec::new();
    for n in 1..=3 {
        let mut world = watching(Rules { me: sen(n), ..sentinel_rules() }, &[1, 2]);
        world.run(15_000);
        knows(&mut world, 3, Some(true));
        world.forget();
        world.run(40_000);
        moments.push(world.ordered_at(is_told).expect("told"));
    }
    assert!(moments.windows(2).all(|two| two[1].since(two[0]) >= ms(4_000)), "{moments:?}");
}

#[test]
fn an_order_that_was_lost_is_given_again() {
    let mut world = watching(sentinel_rules(), &[1, 2, 3]);
    world.holds = is_told;
    world.run(10_000);
    world.fail(is_told, OrderFailure::Unknown);
    assert_eq!(world.core.status().login, Some(Login::Own), "it may be either");
    world.holds = |_| false;
    world.run(10_000);
    assert_eq!(world.core.status().login, Some(Login::Cluster));
}

fn admitted(world: &World) -> Vec<Login> {
    let login = |order: &ChildOrder| match order {
        ChildOrder::AdmitSentinels(login) => Some(*login),
        _ => None,
    };
    world.orders().iter().filter_map(login).collect()
}

fn watcher(n: u8, cluster: Option<Identity>, login: Login) -> Result<WatcherSeen, Failure> {
    Ok(WatcherSeen { cluster, node: Some(sen(n)), login })
}

/// A replica, and all Sentinels have shown the cluster's login for long.
fn shut() -> World {
    let mut world = World::replica_with(of_cluster("a"));
    known(&mut world);
    for n in 1..=3 {
        world.watchers.insert(sen(n), watcher(n, Some(id("a")), Login::Cluster));
    }
    world.run(30_000);
    assert_eq!(admitted(&world), [Login::Cluster]);
    world.forget();
    world
}

#[test]
fn the_shared_login_is_shut_out_once_every_sentinel_of_ours_shows_the_clusters() {
    let of = |n, cluster: &str, login| watcher(n, Some(id(cluster)), login);
    let rows: [(&str, Result<WatcherSeen, Failure>, bool); 7] = [
        ("it does not come by it", of(3, "a", Login::Own), false),
        ("its supervisor is of another cluster", of(3, "b", Login::Cluster), false),
        ("it does not know its id yet", watcher(3, None, Login::Cluster), false),
        ("another one answers for it", of(2, "a", Login::Cluster), false),
        ("a bare Sentinel", Err(REFUSED), false),
        ("nobody could ask", Err(SILENT), false),
        ("it comes by it", of(3, "a", Login::Cluster), true),
    ];
    for (what, third, shuts) in rows {
        let mut world = World::replica_with(of_cluster("a"));
        known(&mut world);
        for n in 1..=2 {
            world.watchers.insert(sen(n), of(n, "a", Login::Cluster));
        }
        world.watchers.insert(sen(3), third.clone());
        world.run(40_000);
        assert_eq!(admitted(&world).contains(&Login::Cluster), shuts, "{what}");
        // And at once again, whatever was shown before.
        if !shuts && third.is_ok() {
            let mut world = shut();
            world.watchers.insert(sen(3), third);
            world.run(6_000);
            assert_eq!(admitted(&world), [Login::Own], "{what}");
        }
    }
}

#[test]
fn a_sentinel_that_has_shown_it_may_go_and_come_back() {
    let mut world = shut();
    for failure in [SILENT, REFUSED] {
        world.sentinels.insert(sen(3), Err(failure));
        world.watchers.insert(sen(3), Err(failure));
        world.run(40_000);
        assert!(admitted(&world).is_empty(), "gone: {:?}", admitted(&world));
        world.sentinels.insert(sen(3), Ok(sentinel(3, srv(2), 1)));
        world.watchers.insert(sen(3), watcher(3, Some(id("a")), Login::Cluster));
        world.run(10_000);
        assert!(admitted(&world).is_empty(), "back: {:?}", admitted(&world));
    }
}

#[test]
fn sentinels_that_may_come_back_as_another_build_are_let_in() {
    let mut world = shut();
    // Without a supervisor, under the same id.
    world.watchers.insert(sen(3), Err(REFUSED));
    world.run(30_000);
    assert_eq!(admitted(&world), [Login::Own], "a bare Sentinel");
    // A lost volume: another id, and its supervisor does not know which cluster it is of.
    let mut world = shut();
    world.sentinels.insert(sen(3), Ok(SentinelSeen { id: SentinelId("new".into()), ..sentinel(3, srv(2), 1) }));
    world.watchers.insert(sen(3), watcher(3, None, Login::Own));
    world.run(6_000);
    assert_eq!(admitted(&world), [Login::Own], "a lost volume");
    // Most of them are gone.
    let mut world = shut();
    for n in [2, 3] {
        world.sentinels.insert(sen(n), Err(REFUSED));
        world.watchers.insert(sen(n), Err(REFUSED));
    }
    world.run(6_000);
    assert_eq!(admitted(&world), [Login::Own], "most are gone");
}

/// N8: another cluster's Sentinel at an address of ours opens nothing.
#[test]
fn n8_for_a_sentinel_of_another_cluster_nobody_is_let_in() {
    let mut world = shut();
    let theirs = SentinelId::of_cluster(&id("b").id.tag(), "0123456789abcdef0123456789abcdef01234567");
    world.sentinels.insert(sen(3), Ok(SentinelSeen { id: theirs, ..sentinel(3, srv(31), 9) }));
    world.watchers.insert(sen(3), watcher(3, Some(id("b")), Login::Own));
    world.run(20_000);
    assert!(admitted(&world).is_empty(), "{:?}", admitted(&world));
}

#[test]
fn a_server_that_does_not_know_its_id_shuts_nobody_out() {
    let mut world = World::replica();
    for n in 1..=3 {
        world.watchers.insert(sen(n), watcher(n, Some(id("a")), Login::Cluster));
    }
    world.run(40_000);
    assert!(admitted(&world).is_empty());
}

/// A stranger that our Sentinels list is none of ours: what it knows tells nothing.
#[test]
fn n1_another_clusters_server_takes_no_login_away() {
    let mut world = watching(sentinel_rules(), &[1, 2, 3]);
    world.run(20_000);
    world.forget();
    merged(&mut world, &[], true);
    let at: Address = srv(3);
    world.run(40_000);
    assert!(world.core.evidence.is_stranger(at));
    assert!(told(&world).is_empty(), "{:?}", told(&world));
}
