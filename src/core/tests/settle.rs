//! Settle: making the Sentinels name the leader. We are server 1 and lead under a proposal of Sentinel 1; server 2 is dead.

use super::world::*;
use crate::core::action::{Action, ChildOrder};
use crate::core::course::Fenced;
use crate::core::id::Address;
use crate::core::message::{PeerAnswer, PeerMessage};
use crate::core::record::RecordedRole;

fn peers(_: Address, message: &PeerMessage) -> Option<PeerAnswer> {
    match message {
        PeerMessage::Consent { .. } => Some(PeerAnswer::Consented),
        PeerMessage::Priority { .. } => Some(PeerAnswer::Ok),
        _ => None,
    }
}

/// Just led; the Sentinels name the dead master still and none runs a failover.
fn led() -> World {
    let mut world = World::replica();
    world.peers = peers;
    world.lose(srv(2), REFUSED);
    world.run(1_500);
    world.propose(1, srv(1));
    for _ in 0..2_000 {
        if world.leads() {
            break;
        }
        world.run(1);
    }
    assert!(world.leads());
    world.abort(1);
    world.forget();
    world
}

/// A kill a moment later must not find a state file that calls it a replica: what its append-only file holds would be given up.
#[test]
fn m9_that_it_leads_is_on_the_disk_before_it_takes_writes() {
    let mut world = World::replica();
    world.peers = peers;
    world.lose(srv(2), REFUSED);
    world.run(1_500);
    world.propose(1, srv(1));
    world.run(500);
    assert!(world.leads());
    for n in 1..=3 {
        world.sentinels.insert(sen(n), Ok(sentinel(n, srv(1), 2)));
    }
    world.run(500);
    let position = |which: fn(&Action) -> bool| world.done.iter().position(|(_, action)| which(action));
    let kept = position(|action| matches!(action, Action::Promise(record) if record.role == RecordedRole::Master));
    let unfenced = position(|action| matches!(action, Action::Child { order: ChildOrder::Unfence, .. }));
    assert!(kept.is_some() && kept < unfenced, "{kept:?} {unfenced:?}");
}

/// The same, and both others stream from us and have said so: unfenced, and named by nobody yet.
fn followed() -> World {
    let mut world = led();
    for n in [2, 3] {
        world.servers.insert(srv(n), Ok(server(n, replica_role(srv(1)), 1000)));
        world.supervisors.insert(srv(n), Ok(supervisor(1)));
    }
    world.run(600);
    for (to, _) in world.messages(tells_led) {
        world.answer(to, tells_led, Ok(PeerAnswer::Following));
    }
    world.run(200);
    assert_eq!(world.fence(), None, "every known server follows");
    world
}

fn others_step_back(world: &mut World) {
    for n in 1..=3 {
        for row in &mut world.sentinel(n).rows.as_mut().unwrap().replicas {
            row.priority = if row.address == srv(1) { 100 } else { 0 };
        }
    }
}

#[test]
fn m9_not_named_after_a_second_the_others_step_back_then_a_sentinel_is_asked() {
    let mut world = led();
    world.run(800);
    assert!(world.messages(steers).is_empty() && world.failovers().is_empty());
    world.run(500);
    let steered = world.messages(steers);
    assert!(steered.iter().any(|(to, _)| *to == srv(3)), "{steered:?}");
    assert!(
        steered.iter().all(|(_, message)| matches!(message, PeerMessage::Priority { priority: Some(0), leader, .. }
        if *leader == srv(1)))
    );
    assert!(world.failovers().is_empty(), "S does not show it yet");
    others_step_back(&mut world);
    world.run(300);
    assert_eq!(world.failovers().len(), 1);
    assert_eq!(world.fence(), Some(Fenced::Born), "nothing is acknowledged meanwhile");
}

/// Two were proposed, both were let go for, and neither reaches the other (sim 4652): the Sentinels named the other one before
/// we began, at the highest epoch known. It is not our predecessor, whom they would name for a moment longer.
#[test]
fn m5_another_named_at_the_epoch_known_is_not_replaced() {
    let mut world = led();
    let epoch = world.core.course.leading().unwrap().epoch;
    world.servers.insert(srv(3), Err(SILENT));
    world.supervisors.insert(srv(3), Err(SILENT));
    for n in 1..=3 {
        let mut says = sentinel(n, srv(3), epoch.0);
        says.rows.as_mut().unwrap().quorum_ok = true;
        world.sentinels.insert(sen(n), Ok(says));
    }
    others_step_back(&mut world);
    world.run(3_000);
    assert!(world.failovers().is_empty(), "a Sentinel is asked to replace it");
    assert_eq!(world.following(), Some(srv(3)));
}

/// What is old enough to be read anew must be so by a look from after the others stepped back.
#[test]
fn m9_an_info_read_just_before_the_others_stepped_back_is_not_taken_for_an_old_one() {
    fn read(world: &mut World, ago: u64) {
        for n in 1..=3 {
            world.sentinel(n).rows.as_mut().unwrap().replicas.iter_mut().for_each(|row| row.info_refresh = ms(ago));
        }
    }
    // The others take up to 150 ms to step back, and are read in that time.
    for after in (0..150).step_by(10) {
        let mut world = led();
        read(&mut world, 1_300);
        while world.messages(steers).is_empty() {
            world.run(1);
        }
        world.run(after);
        read(&mut world, 100);
        world.run(1_000);
        assert!(world.failovers().is_empty(), "read {after} ms after they were asked: it would choose another");
        read(&mut world, 1_300);
        world.run(400);
        assert_eq!(world.failovers().len(), 1);
    }
}

#[test]
fn one_sentinel_at_a_time() {
    let mut world = led();
    others_step_back(&mut world);
    world.run(3_000);
    assert_eq!(world.failovers().len(), 1);
    world.run(1_500);
    assert_eq!(world.failovers().len(), 2);
}

#[test]
fn named_there_is_nothing_to_settle() {
    let mut world = led();
    for n in 1..=3 {
        world.sentinels.insert(sen(n), Ok(sentinel(n, srv(1), 2)));
    }
    world.run(5_000);
    assert!(world.failovers().is_empty() && world.messages(steers).is_empty());
    assert_eq!(world.fence(), None);
}

#[test]
fn never_while_another_server_says_master() {
    let mut world = led();
    others_step_back(&mut world);
    world.servers.insert(srv(3), Ok(server(3, master_role(&[]), 1000)));
    world.run(4_000);
    assert!(world.failovers().is_empty());
}

#[test]
fn no_majority_of_sentinels_answers_it_stays_leader_and_fenced() {
    let mut world = led();
    world.sentinels.insert(sen(1), Err(SILENT));
    world.sentinels.insert(sen(2), Err(SILENT));
    world.run(20_000);
    assert!(world.leads() && world.fence().is_some());
    assert!(world.failovers().is_empty());
    assert!(!world.ordered(is_follow));
}

#[test]
fn not_named_for_ten_seconds_it_is_choosable_again() {
    let mut world = led();
    world.run(9_000);
    assert!(world.leads());
    world.run(3_000);
    assert_eq!(world.following(), Some(srv(2)), "open as a replica of the dead address");
    assert!(world.ordered(is_follow));
}

#[test]
fn a_priority_in_the_leaders_favour_ends_when_it_is_named() {
    let mut world = World::replica();
    let message = PeerMessage::Priority { priority: Some(0), leader: srv(3), lasting: ms(10_000) };
    world.ask(srv(3), message);
    world.run(100);
    for n in 1..=3 {
        world.sentinels.insert(sen(n), Ok(sentinel(n, srv(3), 2)));
    }
    world.servers.insert(srv(3), Ok(server(3, master_role(&[]), 1000)));
    world.run(2_500);
    assert!(world.ordered(|order| *order == ChildOrder::Priority(None)));
}

/// We lead no more: fenced, and the Sentinels have named server 2 at epoch 2, which does not answer.
fn deposed() -> World {
    let mut world = World::master();
    for n in 1..=3 {
        world.sentinels.insert(sen(n), Err(SILENT));
    }
    for n in [2, 3] {
        world.lose(srv(n), SILENT);
    }
    world.run(3_000);
    assert!(matches!(world.fence(), Some(Fenced::Isolated { .. })));
    world.forget();
    world.healthy(srv(2), 2);
    world.lose(srv(2), REFUSED);
    world
}

#[test]
fn d6_a_deposed_leader_does_not_stand_in_the_way_of_who_comes_after() {
    let mut world = deposed();
    world.run(1_000);
    let message = world.consent_message(3, srv(2), 1000);
    assert_eq!(world.ask(srv(3), message), PeerAnswer::Consented);
    assert!(world.messages(tells_led).is_empty(), "it does not lead any more");
}

#[test]
fn d6_a_deposed_leader_whose_successor_is_dead_is_choosable_again() {
    let mut world = deposed();
    world.run(1_500);
    assert!(world.leads(), "the one named may only be slow to answer");
    world.run(2_000);
    assert_eq!(world.following(), Some(srv(2)), "as a replica of the dead address");
    let keep = world.ordered_at(|order| matches!(order, ChildOrder::Keep));
    assert!(keep.is_some() && keep <= world.ordered_at(is_follow), "invariant 8: {:?}", world.orders());
}

/// 1028: with more bytes, of an older history, it went before the replica of its successor.
#[test]
fn d6_a_deposed_leader_goes_last_for_30_s() {
    let mut world = deposed();
    world.run(4_000);
    assert!(world.ordered(|order| *order == ChildOrder::Priority(Some(0))), "{:?}", world.orders());
    world.forget();
    world.run(25_000);
    assert!(!world.ordered(|order| *order == ChildOrder::Priority(None)));
    world.run(5_000);
    assert!(world.ordered(|order| *order == ChildOrder::Priority(None)));
}

#[test]
fn d6_a_deposed_leader_that_has_followed_somebody_is_a_replica_like_others() {
    let mut world = deposed();
    world.run(4_000);
    world.forget();
    world.healthy(srv(3), 3);
    world.run(3_000);
    assert_eq!(world.following(), Some(srv(3)));
    assert!(world.ordered(|order| *order == ChildOrder::Priority(None)), "{:?}", world.orders());
}

#[test]
fn d6_a_deposed_leader_whom_a_vote_chooses_is_choosable_at_once() {
    let mut world = deposed();
    world.run(4_000);
    world.forget();
    let answer = world.ask(srv(3), PeerMessage::Follow { attempt: "a vote".into(), leader: srv(2) });
    assert_eq!(answer, PeerAnswer::Following);
    world.run(500);
    assert!(world.ordered(|order| *order == ChildOrder::Priority(None)));
}

/// Server 3 asks, behind us in our history. Server 4 holds what followed: of our successor.
#[test]
fn d6_a_deposed_leader_claims_no_more_than_whom_its_successors_line_leaves() {
    for (another_line, more) in [(true, false), (false, true)] {
        let mut world = deposed();
        world.names.servers = Some((1..=4).map(srv).collect());
        let mut other = server(4, replica_role(srv(2)), 1_100);
        if another_line {
            other.history.id = "new".into();
        }
        world.servers.insert(srv(4), Ok(other));
        world.run(6_000);
        let message = world.consent_message(3, srv(2), 900);
        let answer = world.ask(srv(3), message);
        assert_eq!(matches!(answer, PeerAnswer::HoldMore { .. }), more, "another line: {another_line}: {answer:?}");
    }
}

/// It follows its successor, which dies before anything has come over the link.
#[test]
fn d6_a_deposed_leader_that_has_got_nothing_from_its_successor_goes_last() {
    let mut world = World::master();
    world.healthy(srv(2), 2);
    world.holds = is_follow;
    world.run(1_500);
    assert_eq!(world.following(), Some(srv(2)));
    assert!(world.ordered(|order| *order == ChildOrder::Priority(Some(0))), "{:?}", world.orders());
}

#[test]
fn d6_who_is_only_fenced_and_still_named_refuses_and_stays() {
    let mut world = deposed();
    world.healthy(srv(1), 1);
    world.lose(srv(2), REFUSED);
    world.run(4_000);
    let message = world.consent_message(3, srv(2), 1000);
    assert!(is_no(&world.ask(srv(3), message)));
    assert!(world.leads());
}

/// Led, unfenced by the servers' word, then cut off: named by nobody yet, and no Sentinel will name it by itself.
#[test]
fn c13_an_unnamed_leader_that_was_cut_off_settles_once_every_replica_streams_from_it_again() {
    let mut world = led();
    for n in [2, 3] {
        world.servers.insert(srv(n), Ok(server(n, replica_role(srv(1)), 1000)));
        world.supervisors.insert(srv(n), Ok(supervisor(1)));
    }
    world.run(600);
    for (to, _) in world.messages(tells_led) {
        world.answer(to, tells_led, Ok(PeerAnswer::Following));
    }
    world.run(200);
    assert_eq!(world.fence(), None, "every known server follows");
    for n in 1..=3 {
        world.sentinels.insert(sen(n), Err(SILENT));
    }
    for n in [2, 3] {
        world.servers.insert(srv(n), Err(SILENT));
    }
    world.run(2_500);
    assert!(matches!(world.fence(), Some(Fenced::Isolated { .. })));
    world.forget();
    for n in 1..=3 {
        world.sentinels.insert(sen(n), Ok(sentinel(n, srv(2), 1)));
    }
    world.run(1_500);
    assert!(world.messages(steers).is_empty(), "the others may have decided without us");
    for n in [2, 3] {
        world.servers.insert(srv(n), Ok(server(n, replica_role(srv(1)), 1000)));
    }
    others_step_back(&mut world);
    world.run(3_000);
    assert_eq!(world.failovers().len(), 1);
    assert!(world.leads() && world.fence().is_some(), "fenced until it is named");
}

/// It said that it follows, and was restarted before any Sentinel named us: they still name it, so that it waits for a leader.
#[test]
fn c13_a_follower_that_was_restarted_is_told_again() {
    for restarted in [true, false] {
        let mut world = followed();
        world.forget();
        if restarted {
            world.servers.insert(srv(2), Err(REFUSED));
        }
        world.run(14_000);
        let told: Vec<_> = world.messages(tells_led).into_iter().map(|(to, _)| to).collect();
        assert_eq!(told.contains(&srv(2)), restarted, "{told:?}");
        assert!(!told.contains(&srv(3)), "{told:?}");
    }
}

/// Sentinels without files hear the name of a master from before the outage, at an epoch above what they began with.
#[test]
fn b1_an_old_name_that_comes_late_is_settled_while_every_server_streams_from_us() {
    // Else what they chose may have acknowledged writes: then nothing is settled.
    for streams in [true, false] {
        let mut world = followed();
        if !streams {
            world.servers.insert(srv(2), Ok(server(2, replica_role(srv(3)), 1000)));
            world.run(1_200);
        }
        for n in 1..=3 {
            world.sentinels.insert(sen(n), Ok(sentinel(n, srv(2), 3)));
        }
        others_step_back(&mut world);
        world.run(3_000);
        assert_eq!(!world.failovers().is_empty(), streams, "every server streams from us: {streams}");
    }
}

#[test]
fn b4_where_no_sentinel_lists_it_it_waits_to_be_pointed_to() {
    // (listed by, choosable again)
    for (by, steps_down) in [(vec![1, 2, 3], true), (vec![3], true), (vec![], false)] {
        let mut world = led();
        for n in 1..=3 {
            if !by.contains(&n) {
                world.sentinel(n).rows.as_mut().unwrap().replicas.retain(|row| row.address != srv(1));
            }
        }
        world.run(15_000);
        assert_eq!(!world.leads(), steps_down, "listed by {by:?}");
        assert!(steps_down || world.fence() == Some(Fenced::Born), "nothing is acknowledged meanwhile");
    }
}
