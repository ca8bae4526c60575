//! L3: one consent at a time, kept, for 5 s or until somebody else is named at a higher epoch.

use super::world::*;
use crate::core::action::Action;
use crate::core::consent::{Consent, Given, Situation};
use crate::core::event::Signal;
use crate::core::id::{Address, Epoch, Offset};
use crate::core::message::{PeerAnswer, PeerMessage, Rank};
use crate::core::moment::Moment;
use crate::core::record::{RecordedConsent, RecordedRole};
use crate::core::seen::RoleSeen;

const T: Moment = Moment::millis(10_000);

pub fn situation() -> Situation {
    Situation {
        leads: false,
        follows_another: None,
        reported_to: None,
        replaces: Some(srv(9)),
        master_gone: true,
        candidate: false,
        able: true,
        fits_better: false,
        rank: rank(1, 1000),
        named: Some((srv(9), Epoch(1))),
    }
}

/// Consent given to `to` at `T`, at epoch 1.
fn given(to: Address) -> Consent {
    let mut consent = Consent::default();
    consent.give(Given { candidate: to, attempt: "old".into(), at: T, epoch: Epoch(1) });
    consent
}

/// The answer to server 2, which holds `offset`.
fn answer(consent: &Consent, offset: u64, on: &Situation, now: Moment) -> PeerAnswer {
    consent.answer(srv(1), srv(2), &"new".into(), &rank(2, offset), on, now)
}

enum Then {
    Yes,
    No,
    More(u64),
}

#[test]
fn d3_m16_who_appended_every_write_has_it_all_whatever_its_state_file_says() {
    let own = |_: &mut Situation| {};
    let rows: [(&str, bool, u64, fn(&mut Situation), bool); 5] = [
        ("back in place with its append-only file", true, 1, |s| s.replaces = Some(srv(2)), true),
        ("proposed for another, of one history", true, 1, own, true),
        ("back in place, snapshots only", false, 1, |s| s.replaces = Some(srv(2)), false),
        ("somebody was named since", true, 0, own, false),
        ("somebody was promoted since, at that epoch", true, 1, |s| promoted_since(&mut s.rank), false),
    ];
    for (what, with_aof, epoch, change, consents) in rows {
        let mut on = situation();
        on.rank.epoch = Epoch(1);
        change(&mut on);
        let mut theirs = rank(2, 900);
        (theirs.was_master_with_aof, theirs.epoch) = (with_aof, Epoch(epoch));
        let says = Consent::default().answer(srv(1), srv(2), &"new".into(), &theirs, &on, T);
        assert_eq!(says == PeerAnswer::Consented, consents, "{what}: {says:?}");
    }
}

/// What a promotion does to the history of who follows it.
fn promoted_since(rank: &mut Rank) {
    rank.second = Some((std::mem::replace(&mut rank.history, "since".into()), Offset(950)));
}

#[test]
fn m11_who_holds_more_is_not_bound_to_an_earlier_attempt_of_whom_it_refuses() {
    for (attempt, bound) in [("new", false), ("old", true)] {
        let mut consent = given(srv(2));
        consent.withdraw_earlier(srv(2), &attempt.into());
        assert_eq!(consent.standing(None, T).is_some(), bound, "asked under the {attempt} attempt");
    }
    let mut consent = given(srv(3));
    consent.withdraw_earlier(srv(2), &"new".into());
    assert!(consent.standing(None, T).is_some(), "a promise to somebody else stands");
}

#[test]
fn who_consents_and_who_does_not() {
    let none = Consent::default;
    let on = |change: fn(&mut Situation)| {
        let mut made = situation();
        change(&mut made);
        made
    };
    let rows: Vec<(&str, Consent, Situation, u64, u64, Then)> = vec![
        ("nothing promised", none(), situation(), 1000, 0, Then::Yes),
        ("it leads", none(), on(|s| s.leads = true), 1000, 0, Then::No),
        ("it follows another that lives", none(), on(|s| s.follows_another = Some(srv(8))), 1000, 0, Then::No),
        ("it has reported to a coordinator", none(), on(|s| s.reported_to = Some(srv(4))), 1000, 0, Then::No),
        ("promised to another", given(srv(3)), situation(), 1000, 0, Then::No),
        ("promised to the same candidate", given(srv(2)), situation(), 1000, 0, Then::Yes),
        ("promised to another 4.999 s ago", given(srv(3)), situation(), 1000, 4_999, Then::No),
        ("promised to another 5 s ago", given(srv(3)), situation(), 1000, 5_000, Then::Yes),
        (
            "somebody else was named at a higher epoch since",
            given(srv(3)),
            on(|s| s.named = Some((srv(8), Epoch(2)))),
            1000,
            0,
            Then::Yes,
        ),
        (
            "the one promised to was named at a higher epoch",
            given(srv(3)),
            on(|s| s.named = Some((srv(3), Epoch(2)))),
            1000,
            0,
            Then::No,
        ),
        ("promised to whom the new one replaces", given(srv(9)), situation(), 1000, 0, Then::Yes),
        ("a candidate yields to more data", given(srv(1)), on(|s| s.candidate = true), 1001, 0, Then::Yes),
        (
            "a candidate does not yield to less, M gone",
            given(srv(1)),
            on(|s| s.candidate = true),
            999,
            0,
            Then::More(1000),
        ),
        (
            "a candidate does not yield to less, M living",
            given(srv(1)),
            on(|s| (s.candidate, s.master_gone) = (true, false)),
            999,
            0,
            Then::No,
        ),
        ("a tie goes to the lower address", given(srv(1)), on(|s| s.candidate = true), 1000, 0, Then::No),
        ("M8: it holds more, M gone", none(), situation(), 999, 0, Then::More(1000)),
        ("it holds more, but M lives", none(), on(|s| s.master_gone = false), 999, 0, Then::Yes),
        ("M25: it holds more, but the user gave it priority 0", none(), on(|s| s.able = false), 999, 0, Then::Yes),
        ("it holds more of another history", none(), on(|s| s.rank.history = "other".into()), 999, 0, Then::Yes),
    ];
    for (what, consent, on, offset, later, then) in rows {
        let says = answer(&consent, offset, &on, T + ms(later));
        match then {
            Then::Yes => assert_eq!(says, PeerAnswer::Consented, "{what}"),
            Then::No => assert!(is_no(&says), "{what}: {says:?}"),
            Then::More(offset) => assert_eq!(says, PeerAnswer::HoldMore { offset: Offset(offset) }, "{what}"),
        }
    }
}

#[test]
fn m16_a_master_that_loaded_its_aof_is_not_told_of_more_by_its_record() {
    let mut of_the_master = rank(2, 999);
    of_the_master.was_master_with_aof = true;
    let says = Consent::default().answer(srv(1), srv(2), &"new".into(), &of_the_master, &situation(), T);
    assert_eq!(says, PeerAnswer::Consented, "the vote ranks it first too");
}

#[test]
fn m12_the_same_attempt_asked_twice_is_answered_alike() {
    let mut world = World::replica();
    world.lose(srv(2), REFUSED);
    world.run(2_000);
    world.forget();
    let message = world.consent_message(3, srv(2), 1000);
    assert_eq!(world.ask(srv(3), message.clone()), PeerAnswer::Consented);
    assert_eq!(world.ask(srv(3), message), PeerAnswer::Consented);
    let other = world.consent_message(4, srv(2), 2000);
    assert!(is_no(&world.ask(srv(4), other)));
}

#[test]
fn a_promise_is_on_disk_before_it_is_heard() {
    let mut world = World::replica();
    let message = world.consent_message(3, srv(2), 1000);
    world.ask(srv(3), message);
    let promised = world.done.iter().position(|(_, action)| match action {
        Action::Promise(record) => record.consent.as_ref().is_some_and(|given| given.candidate == srv(3)),
        _ => false,
    });
    let replied = world.done.iter().position(|(_, action)| matches!(action, Action::Reply { .. }));
    assert!(promised.is_some() && promised < replied, "{promised:?} {replied:?}");
}

#[test]
fn a_promise_binds_over_a_restart() {
    let mut kept = record(RecordedRole::Replica, Some(srv(2)));
    kept.consent = Some(RecordedConsent { candidate: srv(3), attempt: "old".into(), epoch: Epoch(1) });
    let mut world = World::new(rules(), recovered(kept));
    world.healthy(srv(2), 1);
    world.lose(srv(2), SILENT);
    world.names.servers = Some((1..=4).map(srv).collect());
    world.supervisors.insert(srv(4), Ok(supervisor(1)));
    world.run(1_000);
    let message = world.consent_message(4, srv(2), 2000);
    assert!(is_no(&world.ask(srv(4), message)));
    world.run(5_000);
    let message = world.consent_message(4, srv(2), 2000);
    assert_eq!(world.ask(srv(4), message), PeerAnswer::Consented);
}

#[test]
fn who_leads_refuses() {
    let mut world = World::master();
    let message = world.consent_message(2, srv(9), 5000);
    assert!(is_no(&world.ask(srv(2), message)));
}

/// The old master consents to whoever replaces it: it is asked for its release, not for its place.
#[test]
fn who_follows_a_living_master_refuses_to_have_another_replaced() {
    let mut world = World::replica();
    let message = world.consent_message(3, srv(9), 5000);
    assert!(is_no(&world.ask(srv(3), message)));
    let message = world.consent_message(3, srv(2), 1000);
    assert_eq!(world.ask(srv(3), message), PeerAnswer::Consented, "the one that S replaces");
}

#[test]
fn who_has_ordered_its_child_to_lead_refuses() {
    let mut world = World::replica();
    world.holds = is_lead;
    world.lose(srv(2), REFUSED);
    world.run(1_500);
    world.propose(1, srv(1));
    world.run(300);
    world.answer(srv(3), asks_consent, Ok(PeerAnswer::Consented));
    world.run(300);
    assert!(world.ordered(is_lead));
    let message = world.consent_message(3, srv(2), 9000);
    assert!(is_no(&world.ask(srv(3), message)), "nobody yields once the order is out, whatever the other holds");
}

#[test]
fn m28_who_is_told_to_stop_does_not_hold_more() {
    let mut world = World::replica();
    world.holds = is_terminate;
    world.lose(srv(2), REFUSED);
    world.run(1_500);
    world.signal(Signal::Stop);
    let message = world.consent_message(3, srv(2), 500);
    assert_eq!(world.ask(srv(3), message), PeerAnswer::Consented);
}

#[test]
fn a_sentinels_supervisor_has_nothing_to_promise() {
    let mut rules = rules();
    rules.mode = crate::core::rules::Mode::Sentinel;
    let mut world = World::new(rules, None);
    world.child = Ok(child(RoleSeen::Replica { master: None, link: crate::core::seen::Link::Down }, 0));
    world.run(500);
    let message = world.consent_message(3, srv(2), 500);
    assert_eq!(world.ask(srv(3), message), PeerAnswer::NoServer);
}

/// A supervisor without a state file, among Sentinels without an opinion, that has reported to server 1.
fn reported() -> World {
    let mut rules = rules();
    rules.me = srv(2);
    let mut world = World::new(rules, None);
    for n in 1..=3 {
        world.sentinels.insert(sen(n), Ok(bare(n)));
    }
    for n in [1, 3] {
        world.supervisors.insert(srv(n), Ok(supervisor(0)));
    }
    world.run(2_500);
    let reports = |message: &PeerMessage| matches!(message, PeerMessage::Report(_));
    assert!(world.asked(srv(1), reports).is_some(), "it reports to the lowest that answers");
    world
}

/// A report is its sender's consent for 10 s (3.4): the coordinator may make somebody lead whom no Sentinel has to name.
#[test]
fn a_report_is_a_consent_for_ten_seconds() {
    let mut world = reported();
    let message = world.consent_message(3, srv(9), 5000);
    assert!(is_no(&world.ask(srv(3), message)));
    // The coordinator is not to be found any more, and two of the Sentinels name somebody: from then on none is sent.
    world.supervisors.retain(|at, _| *at == srv(3));
    for n in 1..=3 {
        world.sentinels.insert(sen(n), Ok(sentinel(n, srv(9), 1)));
    }
    world.run(9_000);
    let message = world.consent_message(3, srv(9), 5000);
    assert!(is_no(&world.ask(srv(3), message)), "it may still count");
    world.run(1_500);
    let message = world.consent_message(3, srv(9), 5000);
    assert_eq!(world.ask(srv(3), message), PeerAnswer::Consented);
}

#[test]
fn a_report_does_not_bind_against_the_coordinators_own_choice() {
    let mut world = reported();
    let message = world.consent_message(1, srv(9), 5000);
    assert_eq!(world.ask(srv(1), message), PeerAnswer::Consented, "the coordinator itself");
    let mut world = reported();
    let lasting = ms(10_000);
    world.ask(srv(1), PeerMessage::Priority { priority: Some(0), leader: srv(3), lasting });
    let message = world.consent_message(3, srv(9), 5000);
    assert_eq!(world.ask(srv(3), message), PeerAnswer::Consented, "whom it has others step back for");
}

/// A master dies, and all report while its failover runs: whom a Sentinel proposes must not be held up by that.
#[test]
fn a_report_does_not_bind_where_the_sentinels_name_somebody() {
    let mut world = World::replica();
    world.lose(srv(2), SILENT);
    world.supervisors.insert(srv(2), Err(SILENT));
    world.run(5_000);
    let message = world.consent_message(3, srv(2), 1000);
    assert_eq!(world.ask(srv(3), message), PeerAnswer::Consented);
}
