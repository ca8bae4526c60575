//! Messages come from anybody (M12): what a stray report or `led` may do, and from when on a server counts.

use super::world::*;
use crate::core::event::Names;
use crate::core::id::{Address, AttemptId, Epoch};
use crate::core::message::{PeerAnswer, PeerMessage};
use crate::core::rules::Rules;
use crate::core::seen::{Link, RoleSeen};

/// A report of server `n`, which says that it knows servers 7 and 8 too.
fn stray(n: u8) -> PeerMessage {
    let mut made = report(n, 1000);
    made.rank.epoch = Epoch(0);
    made.servers = vec![srv(7), srv(8), srv(n)];
    PeerMessage::Report(Box::new(made))
}

fn standalone() -> World {
    let mut rules = rules();
    (rules.sentinels_configured, rules.servers_configured, rules.expected_servers) = (false, false, None);
    let mut world = World::new(rules, None);
    world.names = Names { sentinels: Some(vec![]), servers: Some(vec![]) };
    world
}

fn listed(world: &World) -> Vec<Address> {
    world.core.evidence.looked_at().map(|(at, _)| *at).collect()
}

#[test]
fn a_standalone_server_refuses_reports_and_knows_nobody_by_them() {
    let led = PeerMessage::Led { attempt: AttemptId::from("x"), leader: srv(9), epoch: Epoch(9) };
    let follow = PeerMessage::Follow { attempt: AttemptId::from("x"), leader: srv(9) };
    for (what, message) in [("report", stray(9)), ("led", led), ("follow", follow)] {
        for before in [true, false] {
            let mut world = standalone();
            if before {
                world.run(1);
            } else {
                world.run(600);
                assert!(world.leads() && world.fence().is_none());
            }
            let answer = world.ask(srv(9), message.clone());
            assert!(is_no(&answer), "{what}: {answer:?}");
            world.run(60_000);
            assert_eq!(listed(&world), vec![], "{what}");
            assert!(world.leads() && !world.ordered(is_fence), "{what}, before it led: {before}");
            assert_eq!(world.messages(tells_led), vec![], "{what}");
        }
    }
}

fn only_one() -> World {
    let mut rules = rules();
    (rules.expected_servers, rules.quorum) = (Some(1), 1);
    let mut world = World::new(rules, None);
    world.names = Names { sentinels: Some(vec![sen(1)]), servers: Some(vec![srv(1)]) };
    world.sentinels.insert(sen(1), Ok(bare(1)));
    world
}

#[test]
fn the_only_expected_server_is_not_fenced_by_a_stray_report_nor_kept_from_leading() {
    for before in [true, false] {
        let mut world = only_one();
        world.run(if before { 1 } else { 600 });
        world.ask(srv(9), stray(9));
        world.run(10_000);
        assert!(world.leads() && !world.ordered(is_fence), "before it led: {before}: {:?}", world.core.vote.why());
        assert!(world.core.evidence.servers.is_empty());
    }
}

/// The Sentinels are silent: every known replica must confirm the master.
fn proven_by_replicas() -> World {
    let mut world = World::master();
    for n in 1..=3 {
        world.sentinels.insert(sen(n), Err(SILENT));
    }
    world.run(5_000);
    assert_eq!(world.fence(), None);
    world
}

#[test]
fn who_was_only_spoken_of_fences_nobody_until_it_answers() {
    let other = RoleSeen::Replica { master: Some(srv(6)), link: Link::Up };
    // (what, what servers 7 to 9 show, their supervisors answer, fenced)
    let rows = [
        ("silent", Err(SILENT), false, false),
        ("refusing", Err(REFUSED), false, false),
        ("of another cluster, by its password", Err(crate::core::seen::Failure::Unauthorised), false, false),
        ("it answers", Ok(other), false, true),
        ("its supervisor answers", Err(SILENT), true, true),
    ];
    for (what, shows, supervised, fenced) in rows {
        let mut world = proven_by_replicas();
        for n in 7..=9 {
            world.servers.insert(srv(n), shows.clone().map(|role| server(n, role, 1)));
            if supervised {
                world.supervisors.insert(srv(n), Ok(supervisor(0)));
            }
        }
        world.ask(srv(9), stray(9));
        world.request(Some(srv(8)), PeerMessage::Led { attempt: "x".into(), leader: srv(8), epoch: Epoch(9) });
        world.run(6_000);
        assert_eq!(world.fence().is_some(), fenced, "{what}");
    }
}

#[test]
fn who_was_only_spoken_of_is_looked_at_for_a_minute() {
    let mut world = proven_by_replicas();
    world.ask(srv(9), stray(9));
    assert_eq!(listed(&world), vec![srv(2), srv(3), srv(7), srv(8), srv(9)]);
    world.run(62_000);
    assert_eq!(listed(&world), vec![srv(2), srv(3)]);
    world.ask(srv(9), stray(9));
    world.servers.insert(srv(9), Ok(server(9, replica_role(srv(1)), 1000)));
    world.run(2_000);
    assert!(world.core.evidence.servers.contains_key(&srv(9)), "it has answered");
    let kept = world.core.last_record().map(|record| record.servers.clone());
    assert_eq!(kept, Some(vec![srv(2), srv(3), srv(9)]));
}

/// A first start: servers 2 and 3 answer and do not report.
fn cold(rules: Rules) -> World {
    let mut world = World::new(rules, None);
    for n in 1..=3 {
        world.sentinels.insert(sen(n), Ok(bare(n)));
    }
    for n in [2, 3] {
        answers(&mut world, n);
    }
    world.run(1_000);
    world
}

fn answers(world: &mut World, n: u8) {
    let undecided = RoleSeen::Replica { master: None, link: Link::Down };
    world.servers.insert(srv(n), Ok(server(n, undecided, 1000)));
    world.supervisors.insert(srv(n), Ok(supervisor(0)));
}

#[test]
fn a_report_counts_once_its_sender_has_answered_a_look() {
    for answer in [false, true] {
        let mut world = cold(rules());
        if answer {
            answers(&mut world, 8);
            answers(&mut world, 9);
        }
        for _ in 0..20 {
            world.ask(srv(8), stray(8));
            world.ask(srv(9), stray(9));
            world.run(500);
        }
        assert_eq!(world.ordered(is_lead), answer, "{:?}", world.core.vote.why());
    }
}

#[test]
fn who_was_only_spoken_of_is_no_follower_whose_word_unfences() {
    for answer in [false, true] {
        let mut world = World::born_master_with(rules());
        world.peers = |to, message| (to > srv(3) && tells_led(message)).then_some(PeerAnswer::Following);
        for _ in 0..4 {
            for n in 7..=9 {
                if answer {
                    world.servers.insert(srv(n), Ok(server(n, replica_role(srv(1)), 1000)));
                }
                world.ask(srv(n), stray(n));
            }
            world.run(1_000);
        }
        assert_eq!(world.fence().is_none(), answer, "it has answered a look: {answer}");
    }
}

#[test]
fn a_strangers_state_does_not_hold_up_a_first_vote() {
    // Two of three, the Sentinels silent: where a state file exists somebody with newer data may still come.
    for (from, leads) in [(9, true), (2, false)] {
        let mut world = cold(rules());
        for n in 1..=3 {
            world.sentinels.insert(sen(n), Err(SILENT));
        }
        for _ in 0..40 {
            for n in [2, 9] {
                let mut made = report(n, 1000);
                (made.rank.epoch, made.has_state) = (Epoch(0), n == from);
                world.ask(srv(n), PeerMessage::Report(Box::new(made)));
            }
            world.run(500);
        }
        assert_eq!(world.ordered(is_lead), leads, "state of server {from}: {:?}", world.core.vote.why());
    }
}

#[test]
fn strangers_that_fill_the_list_of_reports_make_room_for_a_known_server() {
    let mut world = cold(rules());
    let refused = (100..180).find(|n| is_no(&world.ask(srv(*n), stray(*n))));
    assert_eq!(refused, Some(163), "63 strangers and our own report are 64");
    assert_eq!(world.ask(srv(100), stray(100)), PeerAnswer::Ok, "a report anew");
    for n in [2, 3] {
        assert_eq!(world.ask(srv(n), stray(n)), PeerAnswer::Ok, "server {n}");
    }
    let vouches = |message: &PeerMessage| matches!(message, PeerMessage::Vouch { .. });
    assert!(world.asked(srv(3), vouches).is_some(), "asked whether it stands by it");
    world.run(2_000);
    assert!(world.ordered(is_lead), "{:?}", world.core.vote.why());
}
