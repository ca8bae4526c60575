//! H0 to H2: the master asks for its own replacement. We are server 1 and lead.

use super::world::*;
use crate::core::action::{ChildOrder, Progress};
use crate::core::event::{ChildExit, SentinelReply, Signal, Wish};
use crate::core::id::Epoch;
use crate::core::message::{PeerAnswer, PeerMessage};
use crate::core::seen::{Failure, RoleSeen};

fn follows(_: crate::core::id::Address, message: &PeerMessage) -> Option<PeerAnswer> {
    matches!(message, PeerMessage::Led { .. } | PeerMessage::Priority { .. }).then_some(PeerAnswer::Ok)
}

fn told_to_stop(mut world: World) -> World {
    world.peers = follows;
    world.holds = is_terminate;
    world.signal(Signal::Stop);
    world
}

#[test]
fn c1_h0_to_p8_the_whole_way() {
    let mut world = told_to_stop(World::master());
    assert!(!world.core.status().probes.ready.is_yes(), "H0, P41: not ready any more");
    assert!(world.core.status().probes.live.is_yes());
    world.run(50);
    let asked = world.failovers();
    assert_eq!(asked.len(), 1, "H2: one Sentinel: {asked:?}");
    assert!(!world.ordered(is_release), "writes go on");
    world.sentinel_says(Ok(SentinelReply::Ok));
    let n = asked[0].ip().to_string().rsplit('.').next().unwrap().parse().unwrap();
    world.propose(n, srv(2));
    world.run(300);
    let (attempt, message) = world.release_message(srv(2), n);
    let reply = world.request(Some(srv(2)), message);
    world.run(50);
    assert!(matches!(world.reply(reply), Some(PeerAnswer::Released { .. })));
    let led = PeerMessage::Led { attempt, leader: srv(2), epoch: Epoch(1) };
    assert_eq!(world.ask(srv(2), led), PeerAnswer::Following);
    assert!(!world.ordered(is_terminate), "P8 comes after P7");
    for n in 1..=3 {
        world.sentinels.insert(sen(n), Ok(sentinel(n, srv(2), 2)));
    }
    world.servers.insert(srv(2), Ok(server(2, master_role(&[srv(3)]), 1000)));
    world.run(300);
    let order = |which: Whim| world.ordered_at(which);
    let (follow, dismiss, end) = (order(is_follow), order(is_dismiss), order(is_terminate));
    assert!(follow.is_some() && follow <= dismiss && dismiss <= end, "{:?}", world.orders());
    world.child_exits(ChildExit::Code(0), Err(crate::core::seen::ChildFailure::NotListening));
    assert_eq!(world.exits(), vec![crate::core::action::Exit::Asked]);
    assert_eq!(world.failovers().len(), 1, "asked once");
}

/// A row of H0: may a Sentinel be asked?
struct Row {
    name: &'static str,
    so: fn(&mut World),
    asks: bool,
}

/// A rolling restart: the only replica has just caught up, and the last look at its supervisor is from before that.
#[test]
fn h0_who_has_just_caught_up_is_asked_once_more() {
    for (what, catches_up) in [("it says so a moment later", true), ("it never does", false)] {
        let mut world = World::master();
        world.attach(&[srv(2)]);
        world.lose(srv(3), REFUSED);
        world.supervisors.get_mut(&srv(2)).unwrap().as_mut().unwrap().never = true;
        world.run(1_500);
        world.forget();
        world.holds = is_terminate;
        world.signal(Signal::Stop);
        world.run(300);
        assert!(!world.ordered(is_terminate) && world.failovers().is_empty(), "{what}");
        world.supervisors.get_mut(&srv(2)).unwrap().as_mut().unwrap().never = !catches_up;
        world.run(1_200);
        assert_eq!(!world.failovers().is_empty(), catches_up, "{what}: {}", world.core.status().reason);
        assert_eq!(world.ordered(is_terminate), !catches_up, "{what}");
    }
}

#[test]
fn h0_when_a_sentinel_is_asked() {
    let rows = [
        Row { name: "all is well", so: |_| (), asks: true },
        Row {
            name: "no CKQUORUM anywhere",
            so: |world| {
                for n in 1..=3 {
                    world.sentinel(n).rows.as_mut().unwrap().quorum_ok = false;
                }
            },
            asks: false,
        },
        Row {
            name: "M2: all in TILT",
            so: |world| {
                for n in 1..=3 {
                    world.sentinel(n).rows.as_mut().unwrap().tilt = true;
                }
            },
            asks: false,
        },
        Row {
            name: "all name another",
            so: |world| {
                for n in 1..=3 {
                    world.sentinels.insert(sen(n), Ok(sentinel(n, srv(9), 1)));
                }
            },
            asks: false,
        },
        Row {
            name: "the only online replica is told to stop (never)",
            so: |world| {
                world.attach(&[srv(2)]);
                world.supervisors.get_mut(&srv(2)).unwrap().as_mut().unwrap().never = true;
                world.lose(srv(3), SILENT);
            },
            asks: false,
        },
        Row {
            name: "one of two may take over",
            so: |world| world.supervisors.get_mut(&srv(2)).unwrap().as_mut().unwrap().never = true,
            asks: true,
        },
        Row {
            name: "lag of 2 s everywhere",
            so: |world| {
                if let Ok(seen) = &mut world.child
                    && let RoleSeen::Master { replicas } = &mut seen.role
                {
                    for replica in replicas {
                        replica.lag = ms(2_000);
                    }
                }
            },
            asks: false,
        },
        Row {
            name: "their supervisors are silent (M17)",
            so: |world| {
                for n in 2..=3 {
                    world.supervisors.insert(srv(n), Err(SILENT));
                }
            },
            asks: false,
        },
    ];
    for row in rows {
        let mut world = World::master();
        (row.so)(&mut world);
        world.run(2_600);
        world.forget();
        let mut world = told_to_stop(world);
        world.run(1_500);
        assert_eq!(!world.failovers().is_empty(), row.asks, "{}", row.name);
        assert!(!world.ordered(is_release), "{}: nobody is paused for it", row.name);
    }
}

#[test]
fn c5_a_sentinel_that_is_gone_is_passed_over() {
    let mut world = World::master();
    world.sentinels.insert(sen(1), Err(REFUSED));
    world.run(1_100);
    let mut world = told_to_stop(world);
    world.run(100);
    assert_eq!(world.failovers().len(), 1);
    assert_ne!(world.failovers()[0], sen(1));
}

#[test]
fn h2_no_proposal_within_two_seconds_the_next_one() {
    let mut world = told_to_stop(World::master());
    world.run(50);
    world.begins_a_failover();
    world.run(1_800);
    assert_eq!(world.failovers().len(), 1, "one at a time");
    world.run(500);
    let asked = world.failovers();
    assert_eq!(asked.len(), 2);
    assert_ne!(asked[0], asked[1]);
}

#[test]
fn c4_refused_by_all_it_tries_again_and_ends_in_time() {
    let replies: [Result<SentinelReply, Failure>; 4] = [
        Ok(SentinelReply::NoGoodReplica),
        Ok(SentinelReply::Error("x".into())),
        Err(SILENT),
        Ok(SentinelReply::InProgress),
    ];
    for says in replies {
        let mut world = told_to_stop(World::master());
        let began = world.now;
        let mut answered = 0;
        while world.now.since(began) < ms(25_000) {
            world.run(50);
            if world.failovers().len() > answered {
                answered = world.failovers().len();
                world.sentinel_says(says.clone());
            }
        }
        assert!(answered >= 3, "{says:?}: only {answered} asked");
        assert!(answered <= 100, "{says:?}: {answered} asked, that is a storm");
        let end = world.ordered_at(is_terminate).expect("the child is stopped").since(began);
        assert!(end <= ms(20_500), "{says:?}: the handover's share is 20 of 60 s: {end:?}");
        assert!(!world.ordered(is_release), "{says:?}: nobody was paused");
    }
}

#[test]
fn inprog_is_a_proposal_to_join() {
    let mut world = World::master();
    world.propose(2, srv(3));
    world.run(1_100);
    let mut world = told_to_stop(world);
    world.run(1_500);
    assert!(world.failovers().is_empty(), "it stands already: {:?}", world.failovers());
    let (_, message) = world.release_message(srv(3), 2);
    let reply = world.request(Some(srv(3)), message);
    world.run(100);
    assert!(matches!(world.reply(reply), Some(PeerAnswer::Released { .. })));
}

#[test]
fn a_proposal_nobody_uses_is_passed_over() {
    let mut world = told_to_stop(World::master());
    world.run(50);
    world.sentinel_says(Ok(SentinelReply::Ok));
    world.propose(1, srv(2));
    world.run(6_000);
    assert!(world.failovers().len() >= 2, "the candidate is frozen: the next Sentinel");
}

#[test]
fn c3_no_replica_no_pause_and_a_quick_end() {
    let rows: [(&str, fn(&mut World)); 2] = [
        ("alone: all replicas are gone", World::all_replicas_leave),
        ("no Sentinel answers", |world| {
            for n in 1..=3 {
                world.sentinels.insert(sen(n), Err(REFUSED));
            }
        }),
    ];
    for (what, so) in rows {
        let mut world = World::master();
        so(&mut world);
        world.run(3_000);
        world.forget();
        let mut world = told_to_stop(world);
        let began = world.now;
        world.run(7_000);
        let end = world.ordered_at(is_terminate).expect("the child is stopped").since(began);
        assert!(end <= ms(5_500), "{what}: {end:?}");
        assert!(!world.ordered(is_release), "{what}");
    }
}

/// Else what it acknowledged since that one was away is lost with a planned stop (simulation, 810).
#[test]
fn c3_a_replica_whose_supervisor_has_just_come_back_is_waited_for() {
    let mut world = World::master();
    world.all_replicas_leave();
    world.run(3_000);
    world.forget();
    world.supervisors.insert(srv(2), Ok(supervisor(0)));
    let mut world = told_to_stop(world);
    world.run(8_000);
    assert!(!world.ordered(is_terminate) && world.failovers().is_empty(), "it is on its way");
    world.servers.insert(srv(2), Ok(server(2, replica_role(srv(1)), 1000)));
    world.attach(&[srv(2)]);
    world.run(1_200);
    assert_eq!(world.failovers().len(), 1);
}

#[test]
fn p9_a_replica_that_still_syncs_is_waited_for() {
    let mut world = World::master();
    if let Ok(seen) = &mut world.child
        && let RoleSeen::Master { replicas } = &mut seen.role
    {
        replicas.truncate(1);
        replicas[0].online = false;
    }
    world.lose(srv(3), REFUSED);
    world.run(1_100);
    world.forget();
    let mut world = told_to_stop(world);
    world.run(8_000);
    assert!(!world.ordered(is_terminate) && world.failovers().is_empty(), "it syncs");
    world.attach(&[srv(2)]);
    world.run(1_200);
    assert_eq!(world.failovers().len(), 1);
}

// With a target.

#[test]
fn h1_the_others_step_back_before_a_sentinel_is_asked() {
    let mut world = World::master();
    world.peers = follows;
    world.wish(Wish::Handover { to: Some(srv(3)) });
    world.run(500);
    let steered = world.messages(steers);
    assert_eq!(steered.len(), 1, "{steered:?}");
    let (to, message) = &steered[0];
    assert_eq!(*to, srv(2));
    assert!(matches!(message, PeerMessage::Priority { priority: Some(0), leader, lasting }
        if *leader == srv(3) && *lasting <= ms(10_000)));
    assert!(world.failovers().is_empty(), "no Sentinel shows it yet");
    for row in &mut world.sentinel(2).rows.as_mut().unwrap().replicas {
        row.priority = if row.address == srv(3) { 100 } else { 0 };
    }
    world.run(500);
    assert_eq!(world.failovers().len(), 1);
}

#[test]
fn h1_it_is_asked_of_the_sentinel_that_shows_it() {
    let mut world = World::master();
    world.peers = follows;
    world.wish(Wish::Handover { to: Some(srv(3)) });
    world.run(500);
    for row in &mut world.sentinel(3).rows.as_mut().unwrap().replicas {
        row.priority = if row.address == srv(3) { 100 } else { 0 };
    }
    world.run(500);
    assert_eq!(world.failovers(), vec![sen(3)], "S: the others may choose server 2 still");
}

#[test]
fn wishes_that_cannot_be_met_are_told_why() {
    let rows: [(&str, fn() -> World, Wish); 3] = [
        ("no leader", World::replica, Wish::Handover { to: None }),
        ("nobody known", World::master, Wish::Handover { to: Some(srv(9)) }),
        (
            "under way",
            || {
                let mut world = World::master();
                world.wish(Wish::Handover { to: None });
                world
            },
            Wish::Handover { to: None },
        ),
    ];
    for (what, world, wish) in rows {
        let mut world = world();
        world.forget();
        world.wish(wish);
        assert!(matches!(world.progress().last(), Some(Progress::Failed(_))), "{what}: {:?}", world.progress());
    }
}

#[test]
fn by_hand_it_goes_on_running_as_a_replica() {
    let mut world = World::master();
    world.peers = follows;
    world.wish(Wish::Handover { to: None });
    world.run(100);
    world.propose(1, srv(2));
    world.run(100);
    let (attempt, message) = world.release_message(srv(2), 1);
    world.request(Some(srv(2)), message);
    world.run(50);
    world.ask(srv(2), PeerMessage::Led { attempt, leader: srv(2), epoch: Epoch(1) });
    for n in 1..=3 {
        world.sentinels.insert(sen(n), Ok(sentinel(n, srv(2), 2)));
    }
    world.servers.insert(srv(2), Ok(server(2, master_role(&[srv(3), srv(1)]), 1000)));
    world.run(1_000);
    assert!(matches!(world.progress().last(), Some(Progress::Done(_))), "{:?}", world.progress());
    assert!(!world.ordered(is_terminate));
    assert!(!world.ordered(lets_writers_go), "a replica stays fenced");
    assert_eq!(world.following(), Some(srv(2)));
}

#[test]
fn a_handover_by_hand_that_fails_leaves_a_master_that_writes() {
    let mut world = World::master();
    for n in 1..=3 {
        world.sentinel(n).rows.as_mut().unwrap().quorum_ok = false;
    }
    world.run(1_100);
    world.wish(Wish::Handover { to: None });
    world.run(25_000);
    assert!(matches!(world.progress().last(), Some(Progress::Failed(_))), "{:?}", world.progress());
    assert!(world.leads() && !world.core.status().fenced);
    let touched = |order: &ChildOrder| is_release(order) || is_fence(order) || is_terminate(order);
    assert!(!world.ordered(touched), "{:?}", world.orders());
}

#[test]
fn p35_the_handover_ends_with_its_share_also_with_a_release_out() {
    let mut world = told_to_stop(World::master());
    let began = world.now;
    world.run(50);
    world.propose(1, srv(2));
    world.run(100);
    let (_, message) = world.release_message(srv(2), 1);
    world.request(Some(srv(2)), message);
    world.run(30_000);
    let end = world.ordered_at(is_terminate).expect("the ladder is climbed down").since(began);
    assert!(end <= ms(21_000), "{end:?}");
    assert!(!world.ordered(lets_writers_go), "nobody told what became of the release");
}
