//! L1 to L4: becoming master by proposal. We are server 1, the master is 2, the other replica is 3.
//!
//! Each message lost, doubled, late, or its sender frozen: what is ordered, and above all what is not.

use std::collections::BTreeSet;

use super::world::*;
use crate::core::action::{ChildOrder, Expecting, SentinelOrder};
use crate::core::candidacy::Stage;
use crate::core::course::Fenced;
use crate::core::event::{Event, Maintenance, OrderFailure, Signal, Wish};
use crate::core::id::{Address, AttemptId, Epoch, Offset};
use crate::core::message::{PeerAnswer, PeerMessage};
use crate::core::seen::{Failure, Link, RoleSeen};
use crate::core::sentinel_life::info_period;

fn consents(_: Address, message: &PeerMessage) -> Option<PeerAnswer> {
    match message {
        PeerMessage::Consent { .. } => Some(PeerAnswer::Consented),
        PeerMessage::Led { .. } => Some(PeerAnswer::Following),
        _ => None,
    }
}

fn nobody(_: Address, _: &PeerMessage) -> Option<PeerAnswer> {
    None
}

fn wake(world: &mut World, n: u8) {
    world.feed(Event::Wake { at: sen(n) });
}

/// Sentinel 1 proposes us, the master lives, nobody has answered yet.
fn proposed() -> World {
    let mut world = World::replica();
    world.propose(1, srv(1));
    wake(&mut world, 1);
    world.run(20);
    assert!(world.core.candidacy.is_some());
    world
}

/// The others consent and Sentinel's INFO is old enough: the release has been asked for.
fn asks_for_release() -> World {
    let mut world = proposed();
    world.answer(srv(3), asks_consent, Ok(PeerAnswer::Consented));
    ripen(&mut world);
    world.run(60);
    assert!(world.asked(srv(2), asks_release).is_some(), "{:?}", world.core.candidacy);
    world
}

fn ripen(world: &mut World) {
    for row in &mut world.sentinel(1).rows.as_mut().unwrap().replicas {
        row.info_refresh = ms(1_100);
    }
}

/// The order to lead is out and not carried out yet.
pub(super) fn ordered_to_lead() -> World {
    let mut world = asks_for_release();
    world.holds = is_lead;
    world.answer(srv(2), asks_release, released(1000));
    world.run(60);
    assert!(world.ordered(is_lead));
    world
}

fn attempt_of(world: &World) -> AttemptId {
    match world.asked(srv(2), asks_release) {
        Some((_, PeerMessage::Release { attempt, .. })) => attempt,
        other => panic!("{other:?}"),
    }
}

fn fate(world: &mut World, attempt: &AttemptId) -> PeerAnswer {
    world.ask(srv(2), PeerMessage::AskLed { attempt: attempt.clone() })
}

// The whole way.

#[test]
fn h2_the_candidate_quickens_and_asks_the_others_first() {
    let world = proposed();
    assert!(world.ordered(is_quicken));
    assert!(world.asked(srv(3), asks_consent).is_some());
    assert!(world.asked(srv(2), asks_consent).is_none(), "the old master is asked for its release, not for its place");
    assert!(world.asked(srv(2), asks_release).is_none(), "consent comes before release");
}

#[test]
fn h3_writes_go_on_until_sentinel_asks_at_every_tick() {
    let mut world = proposed();
    world.answer(srv(3), asks_consent, Ok(PeerAnswer::Consented));
    world.run(400);
    assert!(world.asked(srv(2), asks_release).is_none(), "INFO of us is 400 ms old");
    ripen(&mut world);
    world.run(60);
    assert!(world.asked(srv(2), asks_release).is_some());
}

#[test]
fn l4_all_went_well() {
    let mut world = asks_for_release();
    world.forget_but_asks();
    world.answer(srv(2), asks_release, released(1000));
    world.run(60);
    assert!(world.leads());
    assert_eq!(world.fence(), Some(Fenced::Born), "M9: nobody has named us yet");
    assert!(world.ordered(is_unquicken), "nobody is left quickened");
    assert!(world.asked(srv(2), tells_led).is_some() && world.asked(srv(3), tells_led).is_some());
    assert!(!world.ordered(lets_writers_go));
    for n in 1..=3 {
        world.sentinels.insert(sen(n), Ok(sentinel(n, srv(1), 2)));
    }
    world.servers.insert(srv(2), Ok(server(2, replica_role(srv(1)), 1000)));
    world.run(200);
    assert_eq!(world.fence(), None);
    assert!(world.ordered(is_unfence));
}

// L1.

#[test]
fn l1_a_proposal_seen_without_a_poll_before_is_let_lapse() {
    let mut world = World::new(rules(), None);
    world.healthy(srv(2), 1);
    world.propose(1, srv(1));
    world.run(4_000);
    assert!(world.core.candidacy.is_none());
    world.abort(1);
    world.run(1_200);
    world.propose(1, srv(1));
    world.run(1_200);
    assert!(world.core.candidacy.is_some(), "asked anew, it counts");
}

#[test]
fn l1_a_proposal_with_less_than_a_second_and_a_half_left_is_let_lapse() {
    let mut world = World::replica();
    world.peers = |_, message| match message {
        PeerMessage::Consent { .. } => Some(PeerAnswer::No { reason: "no".into() }),
        _ => None,
    };
    world.propose(1, srv(1));
    world.run(8_600);
    world.forget();
    world.peers = consents;
    world.run(3_000);
    assert!(!world.ordered(is_lead) && world.asked(srv(2), asks_release).is_none());
}

/// Pods' addresses come round again: a server that is gone may have left its own to a Sentinel's pod.
#[test]
fn e2_a_sentinels_supervisor_at_a_gone_servers_address_refuses_nobody() {
    let mut world = World::replica();
    world.peers = |at, message| match message {
        PeerMessage::Consent { .. } if at == srv(3) => Some(PeerAnswer::NoServer),
        _ => consents(at, message),
    };
    world.propose(1, srv(1));
    world.run(3_000);
    assert!(world.asked(srv(3), |message| matches!(message, PeerMessage::Consent { .. })).is_some());
    assert!(world.asked(srv(2), asks_release).is_some(), "{}", world.core.status().reason);
}

#[test]
fn h0_who_must_not_lead_does_not_take_a_proposal_up() {
    let rows: [(&str, fn(&mut World)); 5] = [
        ("never synced", |world| world.core.child.synced = false),
        ("told to stop", |world| {
            world.holds = is_terminate;
            world.signal(Signal::Stop);
        }),
        ("M25: priority 0 by the user", |world| world.core.rules.priority = 0),
        ("in maintenance", |world| world.wish(Wish::Maintenance(Maintenance::On))),
        ("it has consented to another", |world| {
            let message = world.consent_message(3, srv(2), 1000);
            world.ask(srv(3), message);
        }),
    ];
    for (what, so) in rows {
        let mut world = World::replica();
        so(&mut world);
        if let Ok(seen) = &mut world.child
            && !world.core.child.synced
        {
            seen.role = RoleSeen::Replica { master: Some(srv(2)), link: Link::Syncing };
            seen.has_data = false;
        }
        world.peers = consents;
        world.propose(1, srv(1));
        world.run(2_000);
        assert!(world.core.candidacy.is_none() && !world.ordered(is_lead), "{what}");
        assert!(world.asked(srv(2), asks_release).is_none(), "{what}");
    }
}

// L3.

#[test]
fn l3_a_refusal_ends_the_attempt_and_silence_does_not() {
    // (what, the answer, the release is asked for)
    let rows: [(&str, Result<PeerAnswer, Failure>, bool); 4] = [
        ("consented", Ok(PeerAnswer::Consented), true),
        ("silent", Err(SILENT), true),
        ("refused connection", Err(REFUSED), true),
        ("no", no(), false),
    ];
    for (what, answer, goes_on) in rows {
        let mut world = proposed();
        world.answer(srv(3), asks_consent, answer);
        ripen(&mut world);
        world.run(60);
        assert_eq!(world.asked(srv(2), asks_release).is_some(), goes_on, "{what}");
        if !goes_on {
            assert!(world.ordered(is_unquicken), "{what}: nobody is left quickened");
        }
    }
}

#[test]
fn l3_another_attempt_follows_while_the_proposal_stands() {
    let mut world = proposed();
    world.answer(srv(3), asks_consent, no());
    world.forget();
    world.run(400);
    assert!(world.asked(srv(3), asks_consent).is_some());
}

#[test]
fn m12_a_consent_to_an_earlier_attempt_means_nothing() {
    let mut world = proposed();
    let first = world.asked(srv(3), asks_consent).unwrap().0;
    world.answer(srv(3), asks_consent, no());
    ripen(&mut world);
    world.run(300);
    assert!(world.core.candidacy.is_some(), "the second attempt");
    world.feed(Event::Answer { id: first, from: srv(3), answer: Ok(PeerAnswer::Consented) });
    world.run(100);
    assert!(world.asked(srv(2), asks_release).is_none());
}

#[test]
fn m5_who_yields_to_a_better_candidate_does_not_lead() {
    let mut world = asks_for_release();
    let attempt = attempt_of(&world);
    let message = world.consent_message(3, srv(2), 1001);
    assert_eq!(world.ask(srv(3), message), PeerAnswer::Consented);
    world.answer(srv(2), asks_release, released(1000));
    world.run(500);
    assert!(!world.ordered(is_lead));
    assert_eq!(fate(&mut world, &attempt), PeerAnswer::Never);
}

#[test]
fn m8_the_proposed_one_steps_back_for_who_holds_more() {
    let mut world = World::replica();
    world.lose(srv(2), REFUSED);
    world.run(1_500);
    world.forget();
    world.propose(1, srv(1));
    wake(&mut world, 1);
    world.run(20);
    world.answer(srv(3), asks_consent, Ok(PeerAnswer::HoldMore { offset: Offset(2000) }));
    world.run(50);
    assert!(world.ordered(|order| *order == ChildOrder::Priority(Some(0))));
    let (_, message) = world.asked(srv(3), steers).expect("R is told its priority");
    assert!(matches!(message, PeerMessage::Priority { priority: Some(1), leader, .. } if leader == srv(3)));
    world.run(3_000);
    assert!(!world.ordered(is_lead));
    assert!(world.ordered(is_unquicken) || !world.ordered(is_quicken));
}

#[test]
fn m8_who_holds_more_asks_the_sentinel_that_shows_it() {
    for (what, of_three, asked) in [("the other has stepped back", 0, true), ("the other goes first still", 1, false)] {
        let mut world = World::replica();
        // The server is gone, its supervisor lives: nobody is reset, and s_down is far away.
        world.servers.insert(srv(2), Err(REFUSED));
        world.propose(1, srv(3));
        world.run(1_200);
        world.forget();
        let message = PeerMessage::Priority { priority: Some(1), leader: srv(1), lasting: ms(10_000) };
        world.request(Some(srv(3)), message);
        for n in 2..=3 {
            for row in &mut world.sentinel(n).rows.as_mut().unwrap().replicas {
                row.priority = if row.address == srv(1) { 1 } else { of_three };
            }
        }
        world.run(1_500);
        assert_eq!(world.failovers().first().is_some_and(|at| *at != sen(1)), asked, "{what}");
    }
}

/// One that restarted a moment ago, as Sentinels have read it (M11).
#[test]
fn who_is_shown_as_one_that_may_not_be_chosen_lets_sentinels_read_it() {
    for (shown, refuses) in [(100, true), (0, false)] {
        let mut world = World::replica();
        world.replica_row(3, srv(1)).priority = shown;
        world.run(2_100);
        world.forget();
        let answer = world.ask(srv(2), PeerMessage::Quicken { lasting: ms(3_000) });
        assert_eq!(answer == PeerAnswer::Ok, refuses, "priority {shown}: {answer:?}");
        assert_eq!(world.ordered(is_quicken), refuses, "priority {shown}");
    }
}

/// The asker itself holds more than the one whom the Sentinel takes that it has asked.
#[test]
fn m11_who_holds_more_does_not_wait_for_the_sentinel_that_has_chosen_another() {
    let (mut world, asked) = World::asked_after_a_reset();
    let n = (1..=3).find(|n| sen(*n) == asked).expect("one of three");
    world.propose(n, srv(3));
    world.run(100);
    let message = PeerMessage::Priority { priority: Some(1), leader: srv(1), lasting: ms(10_000) };
    world.request(Some(srv(3)), message);
    world.run(50);
    // The others are made to read INFO, once.
    let others: BTreeSet<Address> = (1..=3).map(sen).filter(|at| *at != asked).collect();
    let hastened = world.sentinel_orders(SentinelOrder::InfoPeriod(ms(500)));
    assert_eq!(BTreeSet::from_iter(hastened.clone()), others);
    for other in (1..=3).filter(|other| *other != n) {
        world.replica_row(other, srv(1)).priority = 1;
        world.replica_row(other, srv(3)).priority = 0;
    }
    world.run(150);
    assert_eq!(world.failovers().len(), 2, "one look later");
    assert_eq!(world.sentinel_orders(SentinelOrder::InfoPeriod(ms(500))), hastened);
    assert_ne!(world.failovers()[1], asked);
    world.run(9_000);
    assert_eq!(world.sentinel_orders(SentinelOrder::InfoPeriod(ms(500))), hastened, "once");
    world.forget();
    // The favour ends: each reads INFO as often as its place says.
    world.run(2_000);
    for at in hastened {
        let n = u32::from((1..=3u8).find(|n| sen(*n) == at).expect("one of three"));
        let period = SentinelOrder::InfoPeriod(info_period(n - 1));
        assert_eq!(world.sentinel_orders(period), vec![at]);
    }
}

#[test]
fn m8_more_read_at_its_server_counts_although_its_supervisor_is_silent() {
    let mut world = World::replica();
    world.lose(srv(2), REFUSED);
    world.supervisors.insert(srv(3), Err(SILENT));
    world.servers.insert(srv(3), Ok(server(3, RoleSeen::Replica { master: Some(srv(2)), link: Link::Down }, 1500)));
    world.run(3_000);
    world.forget();
    world.propose(1, srv(1));
    world.run(2_000);
    assert!(!world.ordered(is_lead));
    assert!(world.ordered(|order| *order == ChildOrder::Priority(Some(0))));
}

/// A frozen supervisor leaves a server that every Sentinel would choose, and that nobody lets lead.
#[test]
fn f3_who_is_chosen_while_its_supervisor_is_silent_is_passed_over() {
    // (what, what it holds, we ask to be chosen within so many ms)
    for (what, holds, from, within) in
        [("as much as we", 1000, 2_400, 4_500), ("more: as long as one steps back for it", 1500, 9_500, 12_500)]
    {
        let mut world = World::replica();
        world.supervisors.insert(srv(3), Err(SILENT));
        world.run(2_500);
        world.lose(srv(2), REFUSED);
        let down = RoleSeen::Replica { master: Some(srv(2)), link: Link::Down };
        world.servers.insert(srv(3), Ok(server(3, down, holds)));
        let gone = world.now;
        world.run(400);
        world.propose(1, srv(3));
        world.forget();
        world.run(within);
        let first = |order: &ChildOrder| *order == ChildOrder::Priority(Some(1));
        let at = world.ordered_at(first).unwrap_or_else(|| panic!("{what}: {}", world.core.status().reason));
        assert!(at.since(gone) >= ms(from), "{what}: {:?}", at.since(gone));
        assert_eq!(world.failovers(), vec![], "{what}: a Sentinel that would choose it again was asked");
        for n in 2..=3 {
            world.replica_row(n, srv(1)).priority = 1;
        }
        world.run(1_200);
        let asked = *world.failovers().first().unwrap_or_else(|| panic!("{what}: nobody is asked"));
        let n = (1..=3).find(|n| sen(*n) == asked).expect("one of three");
        world.propose(n, srv(1));
        world.run(1_200);
        assert!(world.ordered(is_lead), "{what}: {}", world.core.status().reason);
    }
}

#[test]
fn a_priority_given_for_another_ends_by_itself() {
    let mut world = World::replica();
    let leader = srv(3);
    let message = PeerMessage::Priority { priority: Some(0), leader, lasting: ms(60_000) };
    assert_eq!(world.ask(srv(3), message), PeerAnswer::Ok);
    world.run(50);
    assert!(world.ordered(|order| *order == ChildOrder::Priority(Some(0))));
    world.run(9_000);
    assert!(!world.ordered(|order| *order == ChildOrder::Priority(None)));
    world.run(1_500);
    assert!(world.ordered(|order| *order == ChildOrder::Priority(None)), "10 s at most, whatever was asked for");
}

#[test]
fn d1_quickening_ends_with_the_failover_for_who_was_not_taken_too() {
    let mut world = World::replica();
    assert_eq!(world.ask(srv(3), PeerMessage::Quicken { lasting: ms(3_000) }), PeerAnswer::Ok);
    world.run(200);
    world.lose(srv(2), REFUSED);
    world.servers.insert(srv(3), Ok(server(3, master_role(&[]), 1000)));
    world.run(1_500);
    world.ask(srv(3), PeerMessage::Led { attempt: "x".into(), leader: srv(3), epoch: Epoch(2) });
    world.run(300);
    assert_eq!(world.following(), Some(srv(3)), "{:?}", world.core.verdict);
    assert!(world.ordered(is_unquicken));
}

#[test]
fn quickening_ends_by_itself() {
    let mut world = World::replica();
    assert_eq!(world.ask(srv(3), PeerMessage::Quicken { lasting: ms(60_000) }), PeerAnswer::Ok);
    world.run(2_900);
    assert!(world.ordered(is_quicken) && !world.ordered(is_unquicken));
    world.run(200);
    assert!(world.ordered(is_unquicken), "3 s at most, whatever was asked for");
}

// L2: never without a release, or proof that it needs none.

#[test]
fn l2_no_answer_no_lead() {
    let mut world = asks_for_release();
    world.peers = consents;
    world.run(7_000);
    assert!(!world.ordered(is_lead), "the master lives and has not let go");
}

#[test]
fn l2_no_is_no() {
    let mut world = asks_for_release();
    let attempt = attempt_of(&world);
    world.answer(srv(2), asks_release, no());
    assert!(world.core.candidacy.is_none() && world.ordered(is_unquicken));
    assert_eq!(fate(&mut world, &attempt), PeerAnswer::Never);
    assert!(!world.ordered(is_lead));
}

#[test]
fn l2_a_lost_answer_is_not_a_no_nor_a_yes() {
    let mut world = asks_for_release();
    world.answer(srv(2), asks_release, Err(SILENT));
    world.run(500);
    assert!(!world.ordered(is_lead));
}

#[test]
fn l2_every_answer_is_void_a_second_and_a_half_after_it_was_asked_for() {
    // (answered after, leads): L4 keeps 300 ms of it free
    for (after, leads) in [(100, true), (1_100, true), (1_250, false)] {
        assert_eq!(answered_after(after), leads, "answered after {after} ms");
    }
}

#[test]
fn l2_an_answer_to_the_first_question_is_not_one_to_the_second() {
    assert!(!answered_after(1_600));
}

fn answered_after(after: u64) -> bool {
    let mut world = asks_for_release();
    let (id, _) = world.asked(srv(2), asks_release).unwrap();
    let asked = world.done.iter().find_map(|(at, action)| match action {
        crate::core::action::Action::Ask { id: of, .. } if *of == id => Some(*at),
        _ => None,
    });
    let gone = world.now.since(asked.unwrap());
    world.run(after - u64::try_from(gone.as_millis()).unwrap());
    world.feed(Event::Answer { id, from: srv(2), answer: released(1000) });
    world.peers = nobody;
    world.run(30);
    world.ordered(is_lead)
}

#[test]
fn p44_frozen_between_the_answer_and_the_order_it_does_not_lead() {
    let mut world = asks_for_release();
    if let Ok(seen) = &mut world.child {
        seen.history.offset = Offset(900);
    }
    world.run(10);
    let attempt = attempt_of(&world);
    world.answer(srv(2), asks_release, released(1000));
    world.run(10);
    if let Ok(seen) = &mut world.child {
        seen.history.offset = Offset(1000);
    }
    world.freeze(8_000);
    world.run(20);
    assert!(!world.ordered(is_lead), "M19");
    assert_eq!(fate(&mut world, &attempt), PeerAnswer::Never);
}

#[test]
fn l4_the_offset_is_reached_before_it_leads() {
    let mut world = asks_for_release();
    world.answer(srv(2), asks_release, released(2000));
    world.run(300);
    assert!(!world.ordered(is_lead), "1000 of 2000");
    if let Ok(seen) = &mut world.child {
        seen.history.offset = Offset(2000);
    }
    world.run(10);
    assert!(world.ordered(is_lead));
}

#[test]
fn l4_an_offset_of_another_history_is_never_reached() {
    let mut world = asks_for_release();
    world.answer(srv(2), asks_release, Ok(PeerAnswer::Released { offset: Offset(10), history: "other".into() }));
    world.run(3_000);
    assert!(!world.ordered(is_lead));
}

#[test]
fn l4_the_sentinel_still_shows_us_chosen() {
    let rows: [(&str, fn(&mut World)); 3] = [
        ("it gave up", |world| world.abort(1)),
        ("it shows another", |world| world.propose(1, srv(3))),
        ("it is silent", |world| {
            world.sentinels.insert(sen(1), Err(SILENT));
        }),
    ];
    for (what, so) in rows {
        let mut world = asks_for_release();
        so(&mut world);
        world.run(40);
        world.peers = nobody;
        if world.core.candidacy.is_some() {
            world.answer(srv(2), asks_release, released(1000));
        }
        world.run(200);
        assert!(!world.ordered(is_lead), "{what}");
    }
}

#[test]
fn m12_a_release_of_an_earlier_attempt_means_nothing() {
    let mut world = asks_for_release();
    let first = world.asked(srv(2), asks_release).unwrap().0;
    world.answer(srv(3), asks_consent, no());
    let attempt = attempt_of(&world);
    world.core.end_attempt("for the test".into());
    world.run(300);
    world.feed(Event::Answer { id: first, from: srv(2), answer: released(1000) });
    world.run(300);
    assert!(!world.ordered(is_lead));
    assert_eq!(fate(&mut world, &attempt), PeerAnswer::Never);
}

#[test]
fn m12_a_doubled_release_leads_once() {
    let mut world = asks_for_release();
    let (id, _) = world.asked(srv(2), asks_release).unwrap();
    for _ in 0..2 {
        world.feed(Event::Answer { id, from: srv(2), answer: released(1000) });
    }
    world.run(100);
    assert_eq!(world.orders().iter().filter(|order| is_lead(order)).count(), 1);
}

#[test]
fn l2_both_must_let_go_where_we_follow_another_than_the_one_replaced() {
    let mut world = World::replica();
    world.peers = consents;
    for n in 1..=3 {
        let mut says = sentinel(n, srv(3), 2);
        if n == 1 {
            says.master.as_mut().unwrap().failover = true;
            for row in &mut says.rows.as_mut().unwrap().replicas {
                row.promoted = row.address == srv(1);
            }
        }
        world.sentinels.insert(sen(n), Ok(sentinel(n, srv(3), 2)));
        world.run(1_200);
        world.sentinels.insert(sen(n), Ok(says));
    }
    world.run(2_000);
    assert!(
        world.asked(srv(2), asks_release).is_some(),
        "we follow it: {:?}",
        world.core.history().collect::<Vec<_>>()
    );
    assert!(world.asked(srv(3), asks_release).is_some(), "S replaces it");
    world.answer(srv(3), asks_release, Ok(PeerAnswer::NothingToRelease));
    world.run(300);
    assert!(!world.ordered(is_lead), "one of two");
}

/// What a row of L2's evidence sets before the proposal comes.
struct Gone {
    name: &'static str,
    so: fn(&mut World),
    leads: bool,
}

fn silent(world: &mut World) {
    world.lose(srv(2), SILENT);
    world.each_row(|row| (row.s_down, row.o_down) = (true, true));
}

fn leads_on(row: &Gone) -> bool {
    let mut world = World::replica();
    world.peers = consents;
    (row.so)(&mut world);
    world.run(1_500);
    world.propose(1, srv(1));
    world.run(6_000);
    world.ordered(is_lead)
}

#[test]
fn l2_gone_for_sure_or_not() {
    let rows = [
        Gone { name: "refused at both ports, S has lost it", so: |w| w.lose(srv(2), REFUSED), leads: true },
        Gone {
            name: "its HTTP port is silent (M17)",
            so: |w| {
                w.lose(srv(2), REFUSED);
                w.supervisors.insert(srv(2), Err(SILENT));
            },
            leads: false,
        },
        Gone {
            name: "its server port is silent",
            so: |w| {
                w.lose(srv(2), REFUSED);
                w.servers.insert(srv(2), Err(SILENT));
            },
            leads: false,
        },
        Gone {
            name: "no Sentinel has lost it",
            so: |w| {
                w.lose(srv(2), REFUSED);
                w.each_row(|row| row.disconnected = false);
            },
            leads: false,
        },
        Gone {
            name: "its HTTP port has never answered before",
            so: |w| {
                w.core.evidence.servers.get_mut(&srv(2)).unwrap().http_answered = false;
                w.lose(srv(2), REFUSED);
            },
            leads: false,
        },
        Gone {
            name: "it refuses us and S has lost it, but another streams from it: a partition that rejects (1133)",
            so: |w| {
                w.lose(srv(2), REFUSED);
                w.servers.insert(srv(3), Ok(server(3, replica_role(srv(2)), 1000)));
            },
            leads: false,
        },
        Gone { name: "silence, link cut, a majority shows it s_down", so: silent, leads: true },
        Gone {
            name: "silence, but our link still streams (M21)",
            so: |w| {
                silent(w);
                if let Ok(seen) = &mut w.child {
                    seen.role = replica_role(srv(2));
                }
            },
            leads: false,
        },
        Gone {
            name: "silence, but only one Sentinel shows it s_down",
            so: |w| {
                silent(w);
                for n in 2..=3 {
                    let row = w.sentinel(n).master.as_mut().unwrap();
                    (row.s_down, row.o_down) = (false, false);
                }
            },
            leads: false,
        },
        Gone {
            name: "s_down, but it answers us",
            so: |w| {
                w.each_row(|row| (row.s_down, row.o_down) = (true, true));
                if let Ok(seen) = &mut w.child {
                    seen.role = RoleSeen::Replica { master: Some(srv(2)), link: Link::Down };
                }
            },
            leads: false,
        },
        Gone {
            name: "no supervisor stands there: as Sentinel says",
            so: |w| {
                let entry = w.core.evidence.servers.get_mut(&srv(2)).unwrap();
                (entry.supervised, entry.http_answered) = (Some(false), false);
                w.servers.insert(srv(2), Err(SILENT));
                w.supervisors.insert(srv(2), Err(REFUSED));
            },
            leads: true,
        },
        Gone {
            name: "nobody knows whether one stands there: as silent",
            so: |w| {
                let entry = w.core.evidence.servers.get_mut(&srv(2)).unwrap();
                (entry.supervised, entry.http_answered) = (None, false);
                w.servers.insert(srv(2), Err(SILENT));
                w.supervisors.insert(srv(2), Err(REFUSED));
            },
            leads: false,
        },
    ];
    for row in rows {
        assert_eq!(leads_on(&row), row.leads, "{}", row.name);
    }
}

/// C9: the one we follow led and is gone before any Sentinel named it, so that it is a replica to them; the one they name
/// follows it as we do. (how it is gone, what they show of it, we lead)
#[test]
fn c9_a_leader_that_no_sentinel_has_named_can_be_gone_too() {
    type Show = fn(&mut crate::core::seen::ReplicaRow);
    let rows: [(Failure, Show, bool); 4] = [
        (REFUSED, |row| row.disconnected = true, true),
        (REFUSED, |_| (), false),
        (SILENT, |row| row.s_down = true, true),
        (SILENT, |_| (), false),
    ];
    for (how, show, leads) in rows {
        let mut world = World::replica();
        world.peers = |to, message| match message {
            PeerMessage::Release { .. } => (to == srv(2)).then_some(PeerAnswer::NothingToRelease),
            other => consents(to, other),
        };
        world.servers.insert(srv(2), Ok(server(2, replica_role(srv(3)), 1000)));
        world.servers.insert(srv(3), Ok(server(3, master_role(&[srv(1), srv(2)]), 1000)));
        let led = PeerMessage::Led { attempt: AttemptId("1".into()), leader: srv(3), epoch: Epoch(2) };
        world.ask(srv(3), led);
        world.run(500);
        assert_eq!(world.following(), Some(srv(3)));
        world.lose(srv(3), how);
        world.each_row(|row| row.disconnected = false);
        for n in 1..=3 {
            show(world.replica_row(n, srv(3)));
        }
        world.run(3_000);
        world.propose(1, srv(1));
        world.run(6_000);
        assert_eq!(world.ordered(is_lead), leads, "{how:?}: {:?}", world.core.history().collect::<Vec<_>>());
    }
}

/// Its child is frozen and its supervisor answers, so that it may take writes when it wakes; then we stand still ourselves.
#[test]
fn p44_what_we_slept_through_is_no_silence_of_the_master() {
    let mut world = World::replica();
    world.peers = consents;
    silent(&mut world);
    world.supervisors.insert(srv(2), Ok(supervisor(1)));
    world.run(4_000);
    world.freeze(4_000);
    let woke = world.now;
    world.supervisors.insert(srv(2), Err(SILENT));
    world.propose(1, srv(1));
    world.run(6_000);
    let led = world.ordered_at(is_lead).expect("in the end it is silence").since(woke);
    assert!(led >= ms(2_000), "{led:?}");
}

#[test]
fn l2_silence_counts_from_the_cut_on_for_the_fence_and_half_a_second() {
    let mut world = World::replica();
    world.peers = consents;
    silent(&mut world);
    world.run(1_100);
    let cut = world.core.child.link_down_since.expect("seen down");
    world.propose(1, srv(1));
    world.run(4_000);
    let led = world.ordered_at(is_lead).expect("it leads");
    assert!(led.since(cut) >= ms(2_000), "{:?}", led.since(cut));
}

#[test]
fn l2_it_is_s_that_must_have_lost_it() {
    let row = Gone {
        name: "another Sentinel has lost it, S has not",
        so: |w| {
            w.lose(srv(2), REFUSED);
            w.sentinel(1).master.as_mut().unwrap().disconnected = false;
            w.sentinel(3).master.as_mut().unwrap().disconnected = false;
        },
        leads: false,
    };
    assert!(!leads_on(&row));
}

#[test]
fn l4_without_any_release_too_the_sentinel_still_shows_us_chosen() {
    let mut world = World::replica();
    world.peers = consents;
    silent(&mut world);
    world.run(300);
    world.propose(1, srv(1));
    world.run(1_200);
    assert!(world.core.candidacy.is_some() && !world.ordered(is_lead), "the fence time is not over");
    world.sentinels.insert(sen(1), Err(SILENT));
    world.run(4_000);
    assert!(!world.ordered(is_lead), "nobody shows us chosen");
}

#[test]
fn child_gone_lead_is_a_release_without_offset() {
    let mut world = World::replica();
    world.peers = consents;
    world.lose(srv(2), REFUSED);
    world.supervisors.insert(srv(2), Ok(supervisor(1)));
    world.run(1_500);
    world.propose(1, srv(1));
    world.run(1_200);
    assert!(!world.ordered(is_lead), "its supervisor lives: it is asked");
    world.answer(srv(2), asks_release, Ok(PeerAnswer::ChildGone));
    world.run(100);
    assert!(world.leads());
}

#[test]
fn nonsense_is_no_release() {
    for answer in [PeerAnswer::Ok, PeerAnswer::Consented, PeerAnswer::Led, PeerAnswer::Following] {
        let mut world = asks_for_release();
        world.answer(srv(2), asks_release, Ok(answer.clone()));
        world.run(200);
        assert!(!world.ordered(is_lead), "{answer:?}");
    }
}

// L4: the order itself, and what is said about it.

#[test]
fn open_until_it_is_decided() {
    let mut world = asks_for_release();
    let attempt = attempt_of(&world);
    assert_eq!(fate(&mut world, &attempt), PeerAnswer::Open);
    world.holds = is_lead;
    world.answer(srv(2), asks_release, released(1000));
    world.run(60);
    assert_eq!(fate(&mut world, &attempt), PeerAnswer::Open, "the order is out");
    world.let_go(is_lead);
    assert_eq!(fate(&mut world, &attempt), PeerAnswer::Led);
}

#[test]
fn never_for_an_attempt_nobody_knows() {
    let mut world = World::replica();
    assert_eq!(fate(&mut world, &AttemptId::from("of another life")), PeerAnswer::Never);
}

#[test]
fn m29_an_order_to_lead_that_came_too_late_is_undone() {
    let mut world = ordered_to_lead();
    let attempt = attempt_of(&world);
    world.freeze(10_000);
    world.let_go(is_lead);
    assert!(!world.leads(), "the release is void");
    assert_eq!(fate(&mut world, &attempt), PeerAnswer::Open, "the child says master still");
    assert!(!world.ordered(lets_writers_go), "and takes no writes");
    world.holds = |_| false;
    world.run(500);
    let back = |order: &ChildOrder| matches!(order, ChildOrder::Follow { expecting: Expecting::Master, .. });
    assert!(world.ordered(back), "{:?}", world.orders());
    world.run(500);
    assert_eq!(fate(&mut world, &attempt), PeerAnswer::Never, "seen as a replica again");
    assert!(!world.ordered(is_unfence) || world.ordered_at(is_unfence) > world.ordered_at(back));
}

#[test]
fn m29_not_never_before_the_child_was_seen_to_follow() {
    let mut world = ordered_to_lead();
    let attempt = attempt_of(&world);
    world.freeze(10_000);
    world.let_go(is_lead);
    world.holds = is_follow;
    world.run(3_000);
    assert_eq!(fate(&mut world, &attempt), PeerAnswer::Open);
    assert!(!world.ordered(lets_writers_go));
}

#[test]
fn an_order_to_lead_whose_answer_was_lost_stays_open() {
    let mut world = ordered_to_lead();
    let attempt = attempt_of(&world);
    world.fail(is_lead, OrderFailure::Unknown);
    assert!(!world.leads());
    assert_eq!(fate(&mut world, &attempt), PeerAnswer::Open);
    world.holds = |_| false;
    world.run(500);
    assert_eq!(fate(&mut world, &attempt), PeerAnswer::Never, "the child was seen to be a replica");
}

#[test]
fn an_order_to_lead_that_was_refused_is_never() {
    for failure in [OrderFailure::Refused("no".into()), OrderFailure::OtherRole] {
        let mut world = ordered_to_lead();
        let attempt = attempt_of(&world);
        world.fail(is_lead, failure.clone());
        assert!(!world.leads());
        assert_eq!(fate(&mut world, &attempt), PeerAnswer::Never, "{failure:?}");
    }
}

#[test]
fn the_child_dies_with_the_order_to_lead_in_hand() {
    let mut world = ordered_to_lead();
    let attempt = attempt_of(&world);
    world.child_exits(crate::core::event::ChildExit::Signal(9), Err(crate::core::seen::ChildFailure::NotListening));
    assert_eq!(fate(&mut world, &attempt), PeerAnswer::Never, "what is born next has its door shut");
    assert!(!world.leads());
}

#[test]
fn m29_a_late_leader_that_the_sentinels_name_leads() {
    let mut world = ordered_to_lead();
    let attempt = attempt_of(&world);
    for n in 1..=3 {
        world.sentinels.insert(sen(n), Ok(sentinel(n, srv(1), 2)));
    }
    world.run(1_600);
    world.let_go(is_lead);
    world.run(100);
    assert!(world.leads());
    assert_eq!(fate(&mut world, &attempt), PeerAnswer::Led);
}

#[test]
fn the_stage_waits_with_the_order_out() {
    let world = ordered_to_lead();
    assert!(matches!(world.core.candidacy.as_ref().map(|c| c.stage), Some(Stage::Leading { .. })));
}

#[test]
fn a_stop_that_comes_with_the_order_out_lets_it_end() {
    let mut world = ordered_to_lead();
    let attempt = attempt_of(&world);
    world.signal(Signal::Stop);
    assert_eq!(fate(&mut world, &attempt), PeerAnswer::Open, "nobody knows yet");
}

#[test]
fn a_stop_before_the_order_ends_the_attempt() {
    let mut world = asks_for_release();
    world.holds = is_terminate;
    let attempt = attempt_of(&world);
    world.signal(Signal::Stop);
    assert_eq!(fate(&mut world, &attempt), PeerAnswer::Never, "M28");
    world.answer(srv(2), asks_release, released(1000));
    world.run(500);
    assert!(!world.ordered(is_lead));
}
