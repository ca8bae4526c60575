//! Section 5, re-point: a row a condition. We stand at Sentinel 1; all three name server 2, which is gone, and all servers
//! have come back at other addresses (11 to 13), where 11 leads.

use super::world::*;
use crate::core::Supervisor;
use crate::core::action::Monitor;
use crate::core::id::Epoch;
use crate::core::moment::Moment;
use crate::core::rules::{ElectorRule, Mode, Rules};
use crate::core::seen::ElectorSeen;

fn our_rules(n: u8) -> Rules {
    let mut rules = rules();
    (rules.mode, rules.me) = (Mode::Sentinel, sen(n));
    rules
}

/// At Sentinel `n`; `so` makes it differ from the start.
fn moved_at(n: u8, so: fn(&mut World)) -> World {
    let mut world = World::new(our_rules(n), None);
    for n in 1..=3 {
        world.sentinels.insert(sen(n), Ok(sentinel(n, srv(2), 4)));
    }
    world.each_row(|row| (row.s_down, row.o_down, row.disconnected) = (true, true, true));
    world.names.servers = Some((11..=13).map(srv).collect());
    world.servers.insert(srv(11), Ok(server(11, master_role(&[srv(12), srv(13)]), 1000)));
    for n in [12, 13] {
        world.servers.insert(srv(n), Ok(server(n, replica_role(srv(11)), 1000)));
    }
    so(&mut world);
    world
}

fn moved(so: fn(&mut World)) -> World {
    moved_at(1, so)
}

#[test]
fn b4_it_points_to_the_leader_that_nobody_lists() {
    let mut world = moved(|_| ());
    world.run(20_000);
    let file = world.rewritten_file().expect("re-pointed");
    assert_eq!(file.monitor, Some(Monitor { master: srv(11), epoch: Epoch(5) }));
    assert_eq!(file.forget_replicas, vec![srv(1), srv(3)], "who is gone is not listed under the new one");
}

#[test]
fn b4_an_old_address_that_answers_nonsense_is_nobody() {
    let mut world = moved(|w| drop(w.servers.insert(srv(2), Err(crate::core::seen::Failure::Nonsense))));
    world.run(20_000);
    assert_eq!(world.rewritten_file().expect("re-pointed").monitor.map(|to| to.master), Some(srv(11)));
}

#[test]
fn when_it_is_left_alone() {
    type Row = (&'static str, fn(&mut World));
    let table: [Row; 14] = [
        ("the monitored one says master", |w| drop(w.servers.insert(srv(2), Ok(server(2, master_role(&[]), 1))))),
        ("its Sentinel can reach it", |w| w.each_row(|row| *row = master_row(srv(2), 4))),
        ("it wants a password", |w| drop(w.servers.insert(srv(2), Err(crate::core::seen::Failure::Unauthorised)))),
        ("nobody says master", |w| drop(w.servers.insert(srv(11), Err(SILENT)))),
        ("two say master", |w| drop(w.servers.insert(srv(12), Ok(server(12, master_role(&[]), 1))))),
        ("one follows somebody else", |w| drop(w.servers.insert(srv(12), Ok(server(12, replica_role(srv(2)), 1))))),
        ("it is alone of three", |w| {
            w.servers.insert(srv(12), Err(REFUSED));
            w.servers.insert(srv(13), Err(REFUSED));
        }),
        ("ours lists it: settle will do", |w| {
            w.sentinel(1).rows.as_mut().unwrap().replicas.push(replica_row(srv(11)));
        }),
        ("another lists it: settle will do", |w| {
            w.sentinel(3).rows.as_mut().unwrap().replicas.push(replica_row(srv(11)));
        }),
        ("another names it: a hello is under way", |w| w.sentinel(3).master.as_mut().unwrap().address = srv(11)),
        ("ours runs a failover", |w| w.propose(1, srv(3))),
        ("another runs a failover", |w| w.propose(2, srv(3))),
        ("the elector names somebody who is not with it", |w| {
            w.elector = Ok(ElectorSeen { leader: vec![[127, 0, 0, 3].into()], name: "server-3".into(), lease: true });
        }),
        ("it has no rows of the others, and knows nobody", |w| drop(w.sentinels.insert(sen(1), Ok(bare(1))))),
    ];
    for (what, so) in table {
        let mut world = moved(so);
        let mut rules = our_rules(1);
        rules.elector = ElectorRule::Explicit;
        world.core = Supervisor::new(rules, None, world.now);
        world.run(60_000);
        let pointed = world.rewritten_file().and_then(|file| file.monitor).filter(|monitor| monitor.epoch.0 > 4);
        assert_eq!(pointed, None, "{what}");
    }
}

#[test]
fn what_does_not_keep_it() {
    type Row = (&'static str, fn(&mut World));
    let table: [Row; 7] = [
        ("they list it at priority 0, from when it held nothing: settle cannot make them choose it", |w| {
            for n in 1..=3 {
                let row = crate::core::seen::ReplicaRow { priority: 0, ..replica_row(srv(11)) };
                w.sentinel(n).rows.as_mut().unwrap().replicas.push(row);
            }
        }),
        ("the elector names nobody", |w| {
            w.elector = Ok(ElectorSeen { leader: vec![], name: String::new(), lease: false });
        }),
        ("the elector names the leader", |w| {
            w.elector = Ok(ElectorSeen { leader: vec![[127, 0, 0, 11].into()], name: "server-11".into(), lease: true });
        }),
        ("the elector names one that follows it: that one counted the votes", |w| {
            w.elector = Ok(ElectorSeen { leader: vec![[127, 0, 0, 12].into()], name: "server-12".into(), lease: true });
        }),
        ("one server is missing", |w| drop(w.servers.insert(srv(13), Err(SILENT)))),
        ("the old address refuses", |w| drop(w.servers.insert(srv(2), Err(REFUSED)))),
        ("the monitored one follows the leader (A5)", |w| {
            w.servers.insert(srv(2), Ok(server(2, replica_role(srv(11)), 1)));
            w.each_row(|row| {
                (row.s_down, row.o_down, row.disconnected, row.says_replica) = (false, false, false, true);
            });
        }),
    ];
    for (what, so) in table {
        let mut world = moved(so);
        let mut rules = our_rules(1);
        rules.elector = ElectorRule::Explicit;
        world.core = Supervisor::new(rules, None, world.now);
        world.run(20_000);
        let monitor = world.rewritten_file().and_then(|file| file.monitor);
        assert_eq!(monitor, Some(Monitor { master: srv(11), epoch: Epoch(5) }), "{what}");
    }
}

#[test]
fn w_then_5_s_for_each_place_and_no_two_epochs_are_equal() {
    for n in 1..=3 {
        let mut world = moved_at(n, |_| ());
        let since: Moment = world.now;
        world.run(60_000);
        let at = world.ordered_at(is_terminate).expect("re-pointed").since(since);
        let due = ms(14_000 + 5_000 * (u64::from(n) - 1));
        assert!(at >= due && at < due + ms(1_500), "{n}: {at:?}");
        let monitor = world.rewritten_file().and_then(|file| file.monitor).expect("re-pointed");
        assert_eq!(monitor.epoch, Epoch(4 + u64::from(n)), "{n}");
    }
}

#[test]
fn the_lowest_that_lives_is_first() {
    let mut world = moved_at(2, |w| drop(w.sentinels.insert(sen(1), Err(REFUSED))));
    let since = world.now;
    world.run(30_000);
    let at = world.ordered_at(is_terminate).expect("re-pointed").since(since);
    assert!(at < ms(15_500), "{at:?}");
}

#[test]
fn the_epoch_is_above_all_that_was_ever_seen() {
    let mut world = moved(|w| {
        w.sentinel(3).master.as_mut().unwrap().epoch = Epoch(9);
        w.supervisors.insert(srv(12), Ok(supervisor(11)));
    });
    world.run(5_000);
    // Who knew it is gone by then.
    world.supervisors.insert(srv(12), Err(SILENT));
    world.sentinels.insert(sen(3), Err(SILENT));
    world.run(20_000);
    let monitor = world.rewritten_file().and_then(|file| file.monitor).expect("re-pointed");
    assert_eq!(monitor.epoch, Epoch(12));
}

#[test]
fn who_comes_back_begins_w_anew() {
    let mut world = moved(|_| ());
    world.run(10_000);
    world.servers.insert(srv(2), Ok(server(2, master_role(&[]), 1)));
    world.run(2_000);
    world.servers.insert(srv(2), Err(SILENT));
    world.run(13_000);
    assert!(!world.ordered(is_terminate), "gone for less than W");
    world.run(5_000);
    assert!(world.ordered(is_terminate));
}

#[test]
fn e2_one_that_ours_has_never_met_tells_it_nothing() {
    let mut world = moved(|w| {
        w.sentinel(3).master.as_mut().unwrap().address = srv(11);
        w.sentinel(1).rows.as_mut().unwrap().sentinels.retain(|row| row.address != sen(3));
    });
    world.run(20_000);
    let file = world.rewritten_file().expect("re-pointed");
    assert_eq!(file.monitor, Some(Monitor { master: srv(11), epoch: Epoch(5) }));
}

/// A failover that could name it would have done so: what they name instead, at a later epoch, keeps it fenced.
#[test]
fn n16_one_that_is_listed_and_that_no_failover_names_for_90_s_is_pointed_to() {
    let listed = |w: &mut World| w.sentinel(3).rows.as_mut().unwrap().replicas.push(replica_row(srv(11)));
    let mut world = moved(listed);
    world.run(85_000);
    assert_eq!(world.rewritten_file(), None, "a failover may name it");
    world.run(30_000);
    let monitor = world.rewritten_file().and_then(|file| file.monitor);
    assert_eq!(monitor, Some(Monitor { master: srv(11), epoch: Epoch(5) }));

    let mut world = moved(|w| {
        w.sentinel(3).rows.as_mut().unwrap().replicas.push(replica_row(srv(11)));
        w.propose(2, srv(3));
    });
    world.run(115_000);
    assert_eq!(world.rewritten_file(), None, "a failover runs");
}
