//! L2 from the other side, and H3 to H5: the old master lets go. We are server 1 and lead; server 2 is proposed.
//!
//! What must never happen here: a write acknowledged after the release, unless it is known that nobody leads under it.

use super::world::*;
use crate::core::action::{ChildOrder, Expecting};
use crate::core::course::Fenced;
use crate::core::event::{ChildExit, Maintenance, OrderFailure, Signal, Wish};
use crate::core::id::{AttemptId, Epoch, ReplyId};
use crate::core::message::{PeerAnswer, PeerMessage};
use crate::core::moment::Moment;
use crate::core::seen::{ChildFailure, Link, RoleSeen};

/// Server 2 asks for our release under the proposal of Sentinel 1, which shows it chosen.
fn asked() -> (World, AttemptId, ReplyId) {
    let mut world = World::master();
    world.propose(1, srv(2));
    let (attempt, message) = world.release_message(srv(2), 1);
    let reply = world.request(Some(srv(2)), message);
    (world, attempt, reply)
}

/// We have let go for server 2.
fn out() -> (World, AttemptId) {
    let (mut world, attempt, reply) = asked();
    world.run(20);
    assert_eq!(world.reply(reply), released(1000).ok());
    (world, attempt)
}

fn led(world: &mut World, attempt: &AttemptId) -> PeerAnswer {
    let message = PeerMessage::Led { attempt: attempt.clone(), leader: srv(2), epoch: Epoch(1) };
    world.ask(srv(2), message)
}

/// All Sentinels name server 2, which says master.
fn named(world: &mut World) {
    for n in 1..=3 {
        world.sentinels.insert(sen(n), Ok(sentinel(n, srv(2), 2)));
    }
    world.servers.insert(srv(2), Ok(server(2, master_role(&[srv(3)]), 1000)));
}

// Who is let go for, and who is not.

#[test]
fn h3_pause_and_fence_first_then_the_answer() {
    let (mut world, _, reply) = asked();
    world.holds = is_release;
    world.run(50);
    let pause = world.orders().into_iter().find(is_release);
    assert_eq!(pause, Some(ChildOrder::Release { pause: ms(4_500) }), "min(down-after - 500, 4500)");
    assert_eq!(world.reply(reply), None, "nothing is said before writers stand still");
    world.let_go(is_release);
    assert_eq!(world.reply(reply), released(1000).ok());
    assert!(world.core.status().fenced && !world.core.status().probes.master.is_yes());
}

/// A row: what is different from the healthy case, and whether we let go.
struct Row {
    name: &'static str,
    so: fn(&mut World),
    yes: bool,
}

#[test]
fn a_healthy_master_says_yes_and_when_not() {
    let rows = [
        Row { name: "all is well", so: |_| (), yes: true },
        Row {
            name: "the candidate lags",
            so: |world| {
                world.attach(&[srv(3), srv(2)]);
                if let Ok(seen) = &mut world.child
                    && let RoleSeen::Master { replicas } = &mut seen.role
                {
                    replicas[1].lag = ms(2_000);
                }
            },
            yes: false,
        },
        Row { name: "the candidate is not attached", so: |world| world.attach(&[srv(3)]), yes: false },
        Row {
            name: "the candidate is not online",
            so: |world| {
                if let Ok(seen) = &mut world.child
                    && let RoleSeen::Master { replicas } = &mut seen.role
                {
                    replicas[0].online = false;
                }
            },
            yes: false,
        },
        Row { name: "in maintenance", so: |world| world.wish(Wish::Maintenance(Maintenance::On)), yes: false },
        Row {
            name: "in maintenance, but told to stop",
            so: |world| {
                world.wish(Wish::Maintenance(Maintenance::On));
                world.signal(Signal::Stop);
            },
            yes: true,
        },
        Row { name: "S shows nobody chosen", so: |world| world.abort(1), yes: false },
        Row { name: "S shows another chosen", so: |world| world.propose(1, srv(3)), yes: false },
        Row {
            name: "S does not answer",
            so: |world| {
                world.sentinels.insert(sen(1), Err(SILENT));
            },
            yes: false,
        },
    ];
    for row in rows {
        let mut world = World::master();
        world.propose(1, srv(2));
        (row.so)(&mut world);
        world.run(1_100);
        world.forget();
        let (_, message) = world.release_message(srv(2), 1);
        let reply = world.request(Some(srv(2)), message);
        world.run(700);
        let answer = world.reply(reply).unwrap_or_else(|| panic!("{}: no answer", row.name));
        assert_eq!(matches!(answer, PeerAnswer::Released { .. }), row.yes, "{}: {answer:?}", row.name);
        assert_eq!(world.ordered(is_release), row.yes, "{}", row.name);
    }
}

#[test]
fn who_has_led_for_less_than_ten_seconds_does_not_let_go_its_own_stop_excepted() {
    // (led for, told to stop, yes)
    for (since, stop, yes) in [(3_000, false, false), (9_000, false, false), (11_000, false, true), (3_000, true, true)]
    {
        let mut world = World::born_master_with(rules());
        world.healthy(srv(1), 1);
        world.attach(&[srv(2), srv(3)]);
        world.run(since);
        assert_eq!(world.fence(), None);
        if stop {
            world.signal(Signal::Stop);
        }
        world.propose(1, srv(2));
        let (_, message) = world.release_message(srv(2), 1);
        let reply = world.request(Some(srv(2)), message);
        world.run(600);
        let answer = world.reply(reply).expect("answered");
        assert_eq!(matches!(answer, PeerAnswer::Released { .. }), yes, "{since} ms, {stop}: {answer:?}");
    }
}

#[test]
fn m12_the_same_attempt_asked_twice_gets_the_same_answer_and_one_pause() {
    let (mut world, attempt) = out();
    let message = PeerMessage::Release {
        attempt,
        candidate: srv(2),
        sentinel: sentinel_id(1),
        replaces: srv(1),
        offset: crate::core::id::Offset(1000),
    };
    assert_eq!(Some(world.ask(srv(2), message)), released(1000).ok());
    assert_eq!(world.orders().iter().filter(|order| is_release(order)).count(), 1);
}

/// The answer was lost and it asks again: it may lead for 1.5 s from then, and we wait as long; later it gets no answer
/// that it could lead under.
#[test]
fn m12_asked_again_our_clock_begins_anew_and_a_void_release_is_not_repeated() {
    let (mut world, attempt) = out();
    let message = || PeerMessage::Release {
        attempt: attempt.clone(),
        candidate: srv(2),
        sentinel: sentinel_id(1),
        replaces: srv(1),
        offset: crate::core::id::Offset(1000),
    };
    world.supervisors.insert(srv(2), Err(SILENT));
    world.run(1_380);
    assert_eq!(Some(world.ask(srv(2), message())), released(1000).ok());
    world.abort(1);
    world.run(1_400);
    assert!(!world.ordered(lets_writers_go), "it may lead until 1.5 s after it asked again: {:?}", world.orders());
    assert_eq!(world.fence(), None, "the release itself stops writers");
    let (mut world, attempt) = out();
    world.supervisors.insert(srv(2), Err(SILENT));
    world.run(1_600);
    let (_, mut message) = world.release_message(srv(2), 1);
    if let PeerMessage::Release { attempt: of, .. } = &mut message {
        *of = attempt;
    }
    assert!(matches!(world.ask(srv(2), message), PeerAnswer::No { .. }));
}

#[test]
fn m5_one_release_at_a_time() {
    let (mut world, _) = out();
    world.propose(2, srv(3));
    let (_, message) = world.release_message(srv(3), 2);
    assert!(is_no(&world.ask(srv(3), message)));
}

#[test]
fn who_follows_has_nothing_to_release() {
    let mut world = World::replica();
    let (_, message) = world.release_message(srv(3), 1);
    assert_eq!(world.ask(srv(3), message), PeerAnswer::NothingToRelease);
}

#[test]
fn who_is_about_to_lead_is_no_replica() {
    let mut world = World::replica();
    world.holds = is_lead;
    world.lose(srv(2), REFUSED);
    world.run(1_500);
    world.propose(1, srv(1));
    world.peers = |_, _| Some(PeerAnswer::Consented);
    world.run(300);
    world.answer(srv(3), asks_consent, Ok(PeerAnswer::Consented));
    world.run(300);
    assert!(world.ordered(is_lead));
    let (_, message) = world.release_message(srv(3), 1);
    let answer = world.ask(srv(3), message);
    assert!(is_no(&answer), "{answer:?}");
}

#[test]
fn a_pause_that_failed_is_taken_back_and_answered_no() {
    for failure in [OrderFailure::Unknown, OrderFailure::Refused("no".into()), OrderFailure::OtherRole] {
        let (mut world, _, reply) = asked();
        world.holds = is_release;
        world.run(50);
        world.forget_but_asks();
        world.fail(is_release, failure.clone());
        assert!(world.reply(reply).is_some_and(|answer| is_no(&answer)), "{failure:?}");
        assert!(world.ordered(is_take_back), "{failure:?}: nobody is left paused");
        assert!(world.leads());
    }
}

// After the release: it is known who leads, that nobody does, or nothing.

#[test]
fn h5_led_is_followed_at_once() {
    let (mut world, attempt) = out();
    world.forget();
    assert_eq!(led(&mut world, &attempt), PeerAnswer::Following);
    let follow = ChildOrder::Follow { master: srv(2), expecting: Expecting::Master };
    assert_eq!(world.orders().first(), Some(&follow), "in the same turn, before anything else");
    assert_eq!(world.following(), Some(srv(2)));
}

#[test]
fn c11_led_was_lost_and_the_candidate_is_seen_as_master() {
    let (mut world, _) = out();
    world.servers.insert(srv(2), Ok(server(2, master_role(&[]), 1000)));
    world.run(300);
    assert_eq!(world.following(), Some(srv(2)));
}

#[test]
fn c11_led_was_lost_and_the_candidate_answers_what_became_of_it() {
    let (mut world, _) = out();
    world.run(600);
    world.answer(srv(2), asks_led, Ok(PeerAnswer::Led));
    assert_eq!(world.following(), Some(srv(2)));
}

#[test]
fn m12_led_doubled_is_followed_once() {
    let (mut world, attempt) = out();
    for _ in 0..3 {
        assert_eq!(led(&mut world, &attempt), PeerAnswer::Following);
    }
    world.run(300);
    assert_eq!(world.orders().iter().filter(|order| is_follow(order)).count(), 1);
}

/// It may have led before we let go, having taken us for gone (10586): what our child did when it thawed is kept.
#[test]
fn m10_who_stood_still_keeps_what_it_holds_before_it_follows() {
    for (slept, kept) in [(0, false), (9_000, true)] {
        let (mut world, attempt) = out();
        world.freeze(slept);
        led(&mut world, &attempt);
        world.run(300);
        let is_keep: fn(&ChildOrder) -> bool = |order| matches!(order, ChildOrder::Keep);
        assert_eq!(world.ordered(is_keep), kept, "{slept} ms");
        assert_eq!(world.following(), Some(srv(2)), "{slept} ms");
    }
}

#[test]
fn nobody_writes_before_replicaof_was_confirmed() {
    let (mut world, attempt) = out();
    world.holds = is_follow;
    led(&mut world, &attempt);
    named(&mut world);
    world.run(5_000);
    assert!(!world.ordered(lets_writers_go), "{:?}", world.orders());
    assert!(!world.ordered(is_dismiss), "P8 comes after");
    world.holds = |_| false;
    world.let_go(is_follow);
    world.run(500);
    assert!(world.ordered(is_dismiss), "clients go on: as a replica's");
    assert!(!world.ordered(lets_writers_go), "which stays fenced");
}

#[test]
fn p8_waits_for_a_replicaof_that_had_to_be_repeated() {
    let (mut world, attempt) = out();
    world.holds = is_follow;
    led(&mut world, &attempt);
    named(&mut world);
    world.run(200);
    world.fail(is_follow, OrderFailure::Unknown);
    world.run(200);
    assert!(!world.ordered(is_dismiss), "the child has not been seen to follow: {:?}", world.orders());
    assert!(!world.ordered(lets_writers_go));
}

#[test]
fn h5_clients_go_on_once_a_majority_names_the_new_master() {
    let (mut world, attempt) = out();
    led(&mut world, &attempt);
    world.run(1_000);
    assert!(!world.ordered(is_dismiss), "not named yet");
    named(&mut world);
    world.run(200);
    assert!(world.ordered(is_dismiss));
}

#[test]
fn h5_after_three_seconds_on_all_the_same() {
    let (mut world, attempt) = out();
    led(&mut world, &attempt);
    let since = world.now;
    world.run(4_000);
    let at = world.ordered_at(is_dismiss).expect("clients go on");
    assert!((ms(2_900)..=ms(3_300)).contains(&at.since(since)), "{:?}", at.since(since));
}

#[test]
fn no_the_candidate_never_will() {
    let (mut world, _) = out();
    world.run(600);
    world.forget_but_asks();
    world.answer(srv(2), asks_led, Ok(PeerAnswer::Never));
    assert!(world.ordered(is_take_back), "min-replicas-to-write and UNPAUSE");
    assert!(world.leads() && world.fence().is_none());
    world.run(2_000);
    assert!(world.leads() && !world.core.status().fenced);
}

/// The order would lie in its socket until it thaws, whoever leads by then (sim 17969).
#[test]
fn a_frozen_childs_release_is_taken_back_once_it_answers() {
    let (mut world, _) = out();
    let child = std::mem::replace(&mut world.child, Err(ChildFailure::Silent));
    world.run(600);
    for n in 1..=3 {
        world.abort(n);
    }
    world.answer(srv(2), asks_led, Ok(PeerAnswer::Never));
    world.run(2_000);
    assert!(!world.ordered(is_take_back) && world.fence().is_some(), "{:?}", world.orders());
    world.child = child;
    world.run(2_000);
    assert!(world.leads() && !world.core.status().fenced);
}

#[test]
fn a_release_granted_while_fenced_leaves_the_fence_when_taken_back() {
    // Isolated, and let go for a proposal; the candidate says never.
    let mut world = World::master();
    world.core.course.leading_mut().unwrap().fence = Some(Fenced::Isolated { since: world.now });
    for n in 1..=3 {
        let row = world.sentinel(n).master.as_mut().unwrap();
        (row.s_down, row.last_ok_ping) = (true, ms(3_000));
    }
    world.run(1_300);
    world.propose(1, srv(2));
    world.run(1_300);
    let (_, message) = world.release_message(srv(2), 1);
    let reply = world.request(Some(srv(2)), message);
    world.run(700);
    assert!(matches!(world.reply(reply), Some(PeerAnswer::Released { .. })), "{:?}", world.reply(reply));
    world.run(600);
    world.forget_but_asks();
    world.answer(srv(2), asks_led, Ok(PeerAnswer::Never));
    world.run(300);
    assert!(world.fence().is_some(), "s_down on all Sentinels: nothing has unfenced us");
}

#[test]
fn a_leader_born_fenced_stays_so_when_its_release_is_taken_back() {
    let mut world = World::born_master_with(rules());
    world.attach(&[srv(2), srv(3)]);
    for n in 1..=3 {
        world.sentinels.insert(sen(n), Ok(sentinel(n, srv(9), 0)));
    }
    world.propose(1, srv(2));
    world.run(400);
    let (_, message) = world.release_message(srv(2), 1);
    let reply = world.request(Some(srv(2)), message);
    world.run(100);
    assert!(matches!(world.reply(reply), Some(PeerAnswer::Released { .. })), "{:?}", world.reply(reply));
    world.run(600);
    world.forget_but_asks();
    world.answer(srv(2), asks_led, Ok(PeerAnswer::Never));
    assert_eq!(world.fence(), Some(Fenced::Born), "nobody has named us");
    assert!(!world.core.status().probes.master.is_yes());
}

#[test]
fn m10_m19_nobody_tells_and_nobody_writes() {
    // The candidate's supervisor is frozen; its server says replica; S shows it chosen still.
    let (mut world, _) = out();
    world.supervisors.insert(srv(2), Err(SILENT));
    world.forget();
    world.run(8_000);
    assert!(!world.ordered(lets_writers_go), "{:?}", world.orders());
    assert!(matches!(world.fence(), Some(Fenced::Uncertain { .. })));
    assert!(world.messages(asks_led).len() > 10, "asked again and again");
    assert!(world.core.status().fenced);
}

#[test]
fn open_is_not_never() {
    let (mut world, _) = out();
    world.peers = |_, message| matches!(message, PeerMessage::AskLed { .. }).then_some(PeerAnswer::Open);
    world.run(5_000);
    assert!(!world.ordered(lets_writers_go));
    assert!(world.leads());
}

#[test]
fn a_no_or_nonsense_to_what_became_of_it_is_not_never() {
    for answer in [no(), Ok(PeerAnswer::Ok), Ok(PeerAnswer::Following), Err(SILENT), Err(REFUSED)] {
        let (mut world, _) = out();
        world.run(600);
        world.answer(srv(2), asks_led, answer.clone());
        world.run(600);
        assert!(!world.ordered(lets_writers_go), "{answer:?}");
    }
}

#[test]
fn nobody_tells_named_again_unfences_once_s_gave_up() {
    let (mut world, _) = out();
    world.supervisors.insert(srv(2), Err(SILENT));
    world.run(5_000);
    world.abort(1);
    let gave_up = world.now;
    world.run(11_000);
    let at = world.ordered_at(lets_writers_go).expect("writable again");
    assert!(at > gave_up && at.since(gave_up) <= ms(10_500), "at most failover-timeout: {:?}", at.since(gave_up));
    assert_eq!(world.fence(), None);
}

#[test]
fn nobody_tells_and_the_candidate_is_gone_failover_timeout_is_waited_for() {
    let (mut world, _) = out();
    world.lose(srv(2), SILENT);
    world.each_row(|row| row.disconnected = false);
    world.run(3_000);
    world.abort(1);
    let gave_up = world.now;
    world.run(12_000);
    let at: Moment = world.ordered_at(lets_writers_go).expect("writable again");
    assert!(at.since(gave_up) >= ms(9_500), "it may lead behind our back: {:?}", at.since(gave_up));
}

#[test]
fn nobody_tells_and_a_majority_names_another() {
    let (mut world, _) = out();
    world.run(3_000);
    named(&mut world);
    world.run(500);
    assert_eq!(world.following(), Some(srv(2)));
    let (follow, free) = (world.ordered_at(is_follow), world.ordered_at(lets_writers_go));
    assert!(follow.is_some() && free.is_none_or(|at| Some(at) > follow));
}

/// Sentinel 1's failover has ended; the others have not heard, and our look at server 2 is from before.
#[test]
fn nobody_tells_and_one_sentinel_names_another_at_a_higher_epoch() {
    let (mut world, _) = out();
    world.run(3_000);
    world.sentinels.insert(sen(1), Ok(sentinel(1, srv(2), 2)));
    world.run(1_500);
    assert_eq!(world.ordered_at(lets_writers_go), None, "{:?}", world.core.history().collect::<Vec<_>>());
}

#[test]
fn m12_led_of_an_earlier_attempt_is_not_followed() {
    let (mut world, attempt) = out();
    world.run(600);
    world.answer(srv(2), asks_led, Ok(PeerAnswer::Never));
    world.run(500);
    world.forget();
    let answer = led(&mut world, &attempt);
    assert!(is_no(&answer), "{answer:?}");
    world.run(3_000);
    assert!(world.leads() && !world.ordered(is_follow));
}

#[test]
fn m12_fate_of_an_earlier_attempt_is_not_taken_for_this_one() {
    let (mut world, _) = out();
    world.run(600);
    let (id, _) = world.asked(srv(2), asks_led).unwrap();
    world.answer(srv(2), asks_led, Ok(PeerAnswer::Never));
    world.run(11_000);
    let (_, message) = world.release_message(srv(2), 1);
    let reply = world.request(Some(srv(2)), message);
    world.run(100);
    assert!(matches!(world.reply(reply), Some(PeerAnswer::Released { .. })));
    world.forget_but_asks();
    world.feed(crate::core::event::Event::Answer { id, from: srv(2), answer: Ok(PeerAnswer::Never) });
    world.run(100);
    assert!(!world.ordered(lets_writers_go));
}

#[test]
fn the_child_dies_with_the_release_out() {
    let (mut world, _) = out();
    world.forget();
    let next = child(RoleSeen::Replica { master: None, link: Link::Down }, 1000);
    world.child_exits(ChildExit::Signal(9), Ok(next));
    world.peers = |_, message| {
        matches!(message, PeerMessage::Consent { .. }).then_some(PeerAnswer::No { reason: "I lead".into() })
    };
    world.run(3_000);
    assert!(!world.ordered(is_lead), "S shows a failover: no restart in place");
    assert!(!world.ordered(lets_writers_go));
}

#[test]
fn the_child_dies_before_the_pause_was_confirmed() {
    let (mut world, _, reply) = asked();
    world.holds = is_release;
    world.run(50);
    world.child_exits(ChildExit::Signal(9), Err(ChildFailure::NotListening));
    assert!(!matches!(world.reply(reply), Some(PeerAnswer::Released { .. }) | None), "{:?}", world.reply(reply));
}

#[test]
fn p44_frozen_with_the_release_out_we_stay_silent() {
    let (mut world, _) = out();
    world.forget();
    world.freeze(30_000);
    world.run(200);
    assert!(!world.ordered(lets_writers_go), "{:?}", world.orders());
}

// Nobody tells, and something else is the matter too.

/// We were cut off for a moment beside it, so that the fence of an isolated one is up: it comes down all the same.
#[test]
fn nobody_tells_and_the_fence_was_up_already() {
    let (mut world, _) = out();
    let since = world.now;
    world.core.course.leading_mut().expect("leads").fence = Some(Fenced::Isolated { since });
    world.lose(srv(2), SILENT);
    world.run(2_000);
    assert!(matches!(world.fence(), Some(Fenced::Isolated { .. })), "{:?}", world.fence());
    world.abort(1);
    world.forget();
    world.run(12_500);
    assert!(world.ordered(lets_writers_go), "{:?} {:?}", world.fence(), world.core.release);
    assert_eq!(world.fence(), None);
}

/// The candidate refuses us at both ports. (who else speaks against it, taken back)
#[test]
fn a_candidate_that_refuses_us_alone_is_not_gone() {
    type So = fn(&mut World);
    let rows: [(&str, So, bool); 4] = [
        ("every Sentinel has lost it", |_| (), true),
        ("one Sentinel still has it", |w| w.replica_row(2, srv(2)).disconnected = false, false),
        (
            "a replica streams from it",
            |w| drop(w.servers.insert(srv(3), Ok(server(3, replica_role(srv(2)), 1000)))),
            false,
        ),
        ("another says master", |w| drop(w.servers.insert(srv(3), Ok(server(3, master_role(&[]), 1000)))), false),
    ];
    for (what, so, back) in rows {
        let (mut world, _) = out();
        world.lose(srv(2), REFUSED);
        world.each_row(|row| row.disconnected = false);
        for n in 1..=3 {
            world.replica_row(n, srv(2)).disconnected = true;
        }
        so(&mut world);
        world.forget();
        world.run(4_500);
        assert_eq!(world.ordered(lets_writers_go), back, "{what}: {:?}", world.fence());
    }
}

/// It led, was named, and was restarted: its new supervisor knows of no attempt.
#[test]
fn never_is_not_believed_where_a_sentinel_names_it_after_us() {
    let (mut world, _) = out();
    world.run(600);
    world.sentinels.insert(sen(2), Ok(sentinel(2, srv(2), 2)));
    world.run(300);
    world.forget_but_asks();
    world.answer(srv(2), asks_led, Ok(PeerAnswer::Never));
    world.run(400);
    assert!(!world.ordered(lets_writers_go), "{:?}", world.orders());
}
