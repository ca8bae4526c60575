//! The child ends around an order to lead: whoever gave that order learns of it, and can lead another day.

use super::candidacy::ordered_to_lead;
use super::vote::{lead, reporter};
use super::world::*;
use crate::core::course::Basis;
use crate::core::crash::Stage;
use crate::core::event::{ChildExit, Event, OrderFailure};
use crate::core::id::{Address, AttemptId, Offset};
use crate::core::message::{PeerAnswer, PeerMessage};
use crate::core::moment::Moment;
use crate::core::seen::{ChildSeen, Link, RoleSeen};

const NO_CHILD: fn() -> OrderFailure = || OrderFailure::NoChild("it does not listen".into());

fn reborn() -> ChildSeen {
    child(RoleSeen::Replica { master: None, link: Link::Down }, 0)
}

fn agree(_: Address, message: &PeerMessage) -> Option<PeerAnswer> {
    match message {
        PeerMessage::Consent { .. } => Some(PeerAnswer::Consented),
        PeerMessage::Release { .. } => Some(PeerAnswer::Released { offset: Offset(1000), history: "h1".into() }),
        _ => None,
    }
}

/// A vote has told us to lead, the order is out.
fn ordered_by_vote() -> World {
    let mut world = reporter();
    world.holds = is_lead;
    assert_eq!(lead(&mut world, 1), PeerAnswer::Ok);
    assert!(world.ordered(is_lead));
    world
}

/// Our child has crashed, is back and loaded, and the others consent: the order is out.
fn ordered_in_place() -> World {
    let mut world = World::master();
    world.peers = agree;
    world.holds = is_lead;
    world.child_exits(ChildExit::Signal(9), Ok(reborn()));
    world.run(600);
    assert!(world.ordered(is_lead));
    world
}

/// Everybody else is asked whether we may lead again in place.
fn asks_in_place() -> World {
    let mut world = World::master();
    world.child_exits(ChildExit::Signal(9), Ok(reborn()));
    world.run(60);
    assert!(world.asked(srv(2), asks_consent).is_some());
    world
}

fn serves_as(world: &mut World, n: u8) {
    world.child = Ok(child(RoleSeen::Replica { master: None, link: Link::Down }, 1000));
    world.child.as_mut().unwrap().run_id = format!("run-{n}").as_str().into();
}

/// Nobody waits for what became of an order to lead.
fn nobody_waits(world: &World) -> bool {
    let in_place = world.core.crash.as_ref().map(|crash| &crash.stage);
    world.core.candidacy.is_none()
        && world.core.vote.leading.is_none()
        && !matches!(in_place, Some(Stage::Consents { .. } | Stage::Leading { .. }))
}

#[test]
fn whoever_ordered_the_child_to_lead_learns_that_it_is_gone() {
    let owners: [(&str, fn() -> World); 3] =
        [("a proposal", ordered_to_lead), ("a vote", ordered_by_vote), ("a restart in place", ordered_in_place)];
    for (owner, ordered) in owners {
        for failure in [NO_CHILD, || OrderFailure::Unknown] {
            for exit_is_heard_first in [true, false] {
                let mut world = ordered();
                if exit_is_heard_first {
                    world.child_exits(ChildExit::Signal(9), Ok(reborn()));
                    world.fail(is_lead, failure());
                } else {
                    world.fail(is_lead, failure());
                    world.child_exits(ChildExit::Signal(9), Ok(reborn()));
                }
                world.run(100);
                let what = format!("{owner}, {:?}, exit heard first: {exit_is_heard_first}", failure());
                assert!(nobody_waits(&world), "{what}: {:?} {:?}", world.core.crash, world.core.vote.leading);
                let own = world.core.standing_consent().is_some_and(|given| given.candidate == world.core.rules.me);
                assert!(!own, "{what}: a promise to ourselves keeps the others from leading");
            }
        }
    }
}

#[test]
fn a_second_crash_during_a_restart_in_place_begins_anew() {
    let rows: [(&str, fn() -> World); 2] = [("consents are asked for", asks_in_place), ("order out", ordered_in_place)];
    for (what, at) in rows {
        let mut world = at();
        world.child_exits(ChildExit::Signal(9), Ok(reborn()));
        if world.held.iter().any(|(_, order)| is_lead(order)) {
            world.fail(is_lead, NO_CHILD());
        }
        world.forget();
        world.peers = agree;
        world.holds = |_| false;
        world.run(900);
        assert!(!world.ordered(is_lead), "{what}: there is no child yet");
        world.run(1_000);
        assert!(world.leads(), "{what}: {:?} {}", world.core.crash, world.core.status().reason);
        assert!(!world.messages(asks_consent).is_empty(), "{what}: what was agreed for the one before holds no more");
    }
}

#[test]
fn a_second_crash_of_one_that_has_stopped_appending_makes_room_for_another() {
    let mut world = asks_in_place();
    world.child.as_mut().unwrap().aof = false;
    world.run(60);
    world.child_exits(ChildExit::Signal(9), Ok(reborn()));
    world.peers = agree;
    world.run(2_500);
    assert!(!world.ordered(is_lead) && !world.failovers().is_empty(), "{:?}", world.core.crash);
}

#[test]
fn consents_that_come_after_the_child_is_gone_order_nothing() {
    let mut world = asks_in_place();
    world.child_exits(ChildExit::Signal(9), Ok(reborn()));
    for n in 2..=3 {
        world.answer(srv(n), asks_consent, Ok(PeerAnswer::Consented));
    }
    world.run(400);
    assert!(!world.ordered(is_lead));
}

/// M27: the others have been down for W, and what we hold is still being read.
#[test]
fn m27_who_still_loads_is_not_told_to_lead() {
    let mut world = World::master();
    world.all_replicas_leave();
    world.every_replica_is_down();
    let mut loading = reborn();
    loading.loading = Some(ms(60_000));
    world.child_exits(ChildExit::Signal(9), Ok(loading));
    world.run(40_000);
    assert!(!world.ordered(is_lead), "{:?}", world.core.crash);
    world.child = Ok(reborn());
    world.run(3_000);
    assert!(world.leads(), "{:?} {}", world.core.crash, world.core.status().reason);
}

/// The vote's order was lost with the child. One of a proposal, later on, is not taken for it: it would be void.
#[test]
fn a_lead_by_proposal_is_not_taken_for_that_of_an_earlier_vote() {
    let mut world = ordered_by_vote();
    world.child_exits(ChildExit::Signal(9), Ok(reborn()));
    serves_as(&mut world, 2);
    world.fail(is_lead, NO_CHILD());
    world.holds = |_| false;
    world.healthy(srv(3), 1);
    world.servers.insert(srv(1), Ok(server(1, replica_role(srv(3)), 1000)));
    world.run(4_000);
    assert_eq!(world.following(), Some(srv(3)));
    world.peers = agree;
    world.propose(1, srv(2));
    world.feed(Event::Wake { at: sen(1) });
    world.run(3_500);
    assert!(world.leads(), "{}", world.core.status().reason);
    assert!(!world.ordered(is_terminate));
}

#[test]
fn a_child_that_is_shut_takes_candidacy_and_release_with_it() {
    let mut world = ordered_to_lead();
    let attempt = AttemptId::from("an earlier vote");
    let basis = Basis::Vote { without_sentinels: true };
    world.core.vote.leading = Some((attempt, basis, Moment::millis(1)));
    world.let_go(is_lead);
    assert!(world.ordered(is_terminate) && !world.leads(), "the vote is void");
    assert!(nobody_waits(&world), "{:?}", world.core.candidacy);

    let mut world = World::master();
    let (_, message) = world.release_message(srv(2), 1);
    let reply = world.request(Some(srv(2)), message);
    assert_eq!(world.reply(reply), None, "looking");
    world.core.shut_and_rediscover();
    world.feed(Event::Tick);
    assert!(world.core.release.is_none());
    assert!(world.reply(reply).is_some_and(|answer| is_no(&answer)));
}

/// Told to end, it ends; in between a Sentinel has proposed us.
#[test]
fn a_child_that_ends_as_told_takes_the_order_to_lead_with_it() {
    let mut world = ordered_to_lead();
    let Some((_, PeerMessage::Release { attempt, .. })) = world.asked(srv(2), asks_release) else { panic!("asked") };
    world.core.expected_exit = Some(world.now);
    let next = world.child.clone();
    world.child_exits(ChildExit::Code(0), next);
    world.fail(is_lead, NO_CHILD());
    world.run(100);
    assert!(nobody_waits(&world), "{:?}", world.core.candidacy);
    assert_eq!(world.ask(srv(2), PeerMessage::AskLed { attempt }), PeerAnswer::Never, "who let go leads on");
    assert!(world.ordered(is_spawn), "at once");
}

/// It drains its replicas for seconds and obeys meanwhile.
#[test]
fn d2_a_child_that_leads_when_it_ends_as_told_has_crashed() {
    let mut world = World::master();
    world.core.expected_exit = Some(world.now);
    let mut snapshot = reborn();
    snapshot.aof = false;
    world.child_exits(ChildExit::Code(0), Ok(snapshot));
    world.run(1_000);
    assert!(!world.ordered(is_lead) && !world.failovers().is_empty(), "what it loads may be older");
}
