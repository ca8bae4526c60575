//! Section 3.4: total outage, and the first start. We are server 1, the lowest address: the coordinator without an elector.

use super::world::*;
use crate::core::action::ChildOrder;
use crate::core::event::{Event, Names, Signal};
use crate::core::id::{Address, AttemptId, Epoch, Offset};
use crate::core::message::{PeerAnswer, PeerMessage, Report};
use crate::core::record::RecordedRole;
use crate::core::rules::{ElectorRule, Rules};
use crate::core::seen::{ElectorSeen, History, Link, RoleSeen};

fn undecided(n: u8) -> crate::core::seen::ServerSeen {
    server(n, RoleSeen::Replica { master: None, link: Link::Down }, 1000)
}

/// A first start with bare Sentinels; the servers' supervisors answer.
fn cold(rules: Rules) -> World {
    let mut world = World::new(rules, None);
    for n in 1..=3 {
        world.sentinels.insert(sen(n), Ok(bare(n)));
    }
    for n in [2, 3] {
        world.servers.insert(srv(n), Ok(undecided(n)));
        world.supervisors.insert(srv(n), Ok(supervisor(0)));
    }
    world.run(1_000);
    world
}

/// Server `n` reports; data of nobody's epoch, as at a first start.
fn reports(world: &mut World, n: u8, change: fn(&mut Report)) -> PeerAnswer {
    let mut made = report(n, 1000);
    made.rank.epoch = Epoch(0);
    change(&mut made);
    world.ask(srv(n), PeerMessage::Report(Box::new(made)))
}

fn elects(n: u8, lease: bool) -> Result<ElectorSeen, crate::core::seen::Failure> {
    Ok(ElectorSeen { leader: vec![srv(n).ip()], name: format!("pod-{n}"), lease })
}

fn told_to_lead(world: &World, n: u8) -> bool {
    world.asked(srv(n), tells_lead).is_some()
}

#[test]
fn reports_that_count_no_more_make_room_for_new_addresses() {
    let mut world = cold(rules());
    for round in 0..20u8 {
        for n in 0..10 {
            assert_eq!(reports(&mut world, 20 + round * 10 + n, |_| ()), PeerAnswer::Ok, "round {round}");
        }
        world.run(11_000);
    }
}

// Who coordinates.

fn reported_to(world: &World) -> Vec<Address> {
    let mut list: Vec<Address> =
        world.messages(|message| matches!(message, PeerMessage::Report(_))).into_iter().map(|(to, _)| to).collect();
    list.dedup();
    list
}

#[test]
fn the_coordinator_is_the_electors_leader_or_the_lowest_that_answers() {
    let rows: [(&str, ElectorRule, Result<ElectorSeen, crate::core::seen::Failure>, Vec<Address>); 6] = [
        ("no elector", ElectorRule::None, Err(SILENT), vec![]),
        ("the elector names server 3", ElectorRule::Default, elects(3, true), vec![srv(3)]),
        ("A6: it names nobody we know", ElectorRule::Default, elects(99, true), vec![]),
        (
            "A6: an empty name",
            ElectorRule::Default,
            Ok(ElectorSeen { leader: vec![], name: String::new(), lease: false }),
            vec![],
        ),
        ("A6: silence", ElectorRule::Default, Err(SILENT), vec![]),
        ("it names us", ElectorRule::Default, elects(1, true), vec![]),
    ];
    for (what, elector, says, to) in rows {
        let mut rules = rules();
        rules.elector = elector;
        let mut world = World::new(rules, None);
        world.elector = says;
        for n in 1..=3 {
            world.sentinels.insert(sen(n), Ok(bare(n)));
        }
        for n in [2, 3] {
            world.servers.insert(srv(n), Ok(undecided(n)));
            world.supervisors.insert(srv(n), Ok(supervisor(0)));
        }
        world.run(1_500);
        world.forget();
        world.run(2_500);
        assert_eq!(reported_to(&world), to, "{what}");
    }
}

#[test]
fn a6_a_dead_pod_named_by_the_elector_is_not_followed() {
    let mut rules = rules();
    rules.elector = ElectorRule::Default;
    let mut world = cold(rules);
    world.elector = elects(3, false);
    world.lose(srv(3), REFUSED);
    world.run(3_000);
    assert!(!reported_to(&world).contains(&srv(3)));
    assert_eq!(world.core.elected(), None);
}

/// Nobody there takes a report: a Redis that somebody else started, or its supervisor is gone. W is 14 s.
#[test]
fn an_elected_server_whose_supervisor_does_not_answer_is_waited_for_for_w() {
    for (elector, answers) in
        [ElectorRule::Default, ElectorRule::Explicit].into_iter().flat_map(|rule| [(rule, false), (rule, true)])
    {
        let mut rules = rules();
        rules.elector = elector;
        let mut world = World::new(rules, None);
        world.elector = elects(3, false);
        for n in 1..=3 {
            world.sentinels.insert(sen(n), Ok(bare(n)));
        }
        for n in [2, 3] {
            world.servers.insert(srv(n), Ok(undecided(n)));
            world.supervisors.insert(srv(n), Ok(supervisor(0)));
        }
        if !answers {
            world.supervisors.insert(srv(3), Err(REFUSED));
        }
        while !world.ordered(is_lead) && world.now.since(crate::core::moment::Moment::ZERO) < ms(30_000) {
            reports(&mut world, 2, |_| ());
            world.run(500);
        }
        let at = world.ordered_at(is_lead).map(|at| at.since(crate::core::moment::Moment::ZERO));
        let in_time = at.is_some_and(|at| at >= ms(13_900) && at <= ms(16_000));
        assert_eq!(
            (in_time, at.is_none()),
            (!answers, answers),
            "{elector:?}, its supervisor answers: {answers}: {at:?}"
        );
        assert_eq!(world.core.elected(), Some(srv(3)), "it counts all the same");
    }
}

#[test]
fn m14_whom_only_the_elector_names_is_no_server_to_remember() {
    let mut rules = rules();
    rules.elector = ElectorRule::Explicit;
    let mut world = cold(rules);
    world.elector = elects(99, false);
    world.run(2_000);
    assert!(world.core.evidence.looked_at().any(|(at, _)| *at == srv(99)), "it is looked at");
    for n in [2, 3] {
        reports(&mut world, n, |_| ());
    }
    world.run(3_000);
    let kept = world.core.last_record().map(|record| record.servers.clone());
    assert_eq!(kept, Some(vec![srv(2), srv(3)]), "else the next vote would wait for a fourth");
}

#[test]
fn an_answer_of_the_elector_counts_when_two_agree_a_poll_apart() {
    let mut rules = rules();
    rules.elector = ElectorRule::Default;
    let mut world = cold(rules);
    let now = world.now;
    world.feed(Event::Elector { asked: now, seen: elects(3, true) });
    assert_eq!(world.core.elected(), None, "once");
    world.now = now + ms(1_000);
    let now = world.now;
    world.feed(Event::Elector { asked: now, seen: elects(2, true) });
    assert_eq!(world.core.elected(), None, "two that differ");
}

#[test]
fn a_report_is_sent_anew_every_second() {
    let mut rules = rules();
    rules.me = srv(3);
    let mut world = World::new(rules, None);
    for n in 1..=3 {
        world.sentinels.insert(sen(n), Ok(bare(n)));
    }
    for n in [1, 2] {
        world.servers.insert(srv(n), Ok(undecided(n)));
        world.supervisors.insert(srv(n), Ok(supervisor(0)));
    }
    world.run(2_000);
    world.forget();
    world.run(5_100);
    let sent = world.messages(|message| matches!(message, PeerMessage::Report(_))).len();
    assert!((4..=6).contains(&sent), "{sent}");
}

// When it decides.

#[test]
fn a1_all_expected_have_reported_it_decides_at_once() {
    let mut world = cold(rules());
    let since = world.now;
    reports(&mut world, 2, |_| ());
    assert!(!world.ordered(is_lead), "two of three");
    reports(&mut world, 3, |_| ());
    world.run(1_500);
    let at = world.ordered_at(is_lead).expect("a tie goes to the lowest address");
    assert!(at.since(since) <= ms(1_000), "{:?}", at.since(since));
}

#[test]
fn patience_five_seconds_or_thirty_and_a_majority() {
    // (what, reports of, with state files, decided between, ms)
    let rows: [(&str, &[u8], bool, Option<(u64, u64)>); 4] = [
        ("two of three, no state file", &[2], false, Some((4_900, 6_500))),
        ("two of three, state files", &[2], true, Some((29_900, 31_500))),
        ("M24: one of three, no state file", &[], false, None),
        ("M24: one of three, state files", &[], true, None),
    ];
    for (what, of, state, decided) in rows {
        let mut world = cold(rules());
        let since = crate::core::moment::Moment::millis(2);
        let mut at = None;
        while at.is_none() && world.now.since(since) < ms(60_000) {
            for n in of {
                if state {
                    reports(&mut world, *n, |report| report.has_state = true);
                } else {
                    reports(&mut world, *n, |_| ());
                }
            }
            world.run(500);
            at = world.ordered_at(is_lead);
        }
        match decided {
            None => assert_eq!(at, None, "{what}"),
            Some((from, to)) => {
                let at = at.unwrap_or_else(|| panic!("{what}: decided")).since(since);
                assert!(at >= ms(from) && at <= ms(to), "{what}: {at:?}");
            }
        }
    }
}

#[test]
fn elector_and_count_unknown_nobody_leads_and_says_why() {
    let mut rules = rules();
    rules.expected_servers = None;
    let mut world = cold(rules);
    for _ in 0..80 {
        reports(&mut world, 2, |_| ());
        reports(&mut world, 3, |_| ());
        world.run(500);
    }
    assert!(!world.ordered(is_lead));
    assert!(
        world.core.status().reason.contains("set expected_servers or an elector"),
        "{}",
        world.core.status().reason
    );
}

#[test]
fn somebody_who_still_loads_is_waited_for() {
    let mut world = cold(rules());
    for _ in 0..20 {
        reports(&mut world, 2, |report| report.loading = true);
        reports(&mut world, 3, |_| ());
        world.run(500);
    }
    assert!(!world.ordered(is_lead) && !told_to_lead(&world, 3));
}

#[test]
fn reports_older_than_eight_seconds_do_not_count() {
    let mut world = cold(rules());
    reports(&mut world, 2, |_| ());
    world.run(8_500);
    world.forget();
    reports(&mut world, 3, |report| report.rank.has_data = false);
    world.run(500);
    assert!(!world.ordered(is_lead) || world.core.status().servers.len() == 3);
    assert!(!told_to_lead(&world, 2));
}

#[test]
fn just_before_it_looks_again() {
    let mut world = cold(rules());
    reports(&mut world, 2, |_| ());
    world.servers.insert(srv(3), Ok(server(3, master_role(&[]), 1000)));
    reports(&mut world, 3, |_| ());
    world.run(2_000);
    assert!(!world.ordered(is_lead), "a master has come up");
    assert_eq!(world.following(), Some(srv(3)));
}

// Whom it chooses.

#[test]
fn the_newest_data_leads_and_is_told_by_us() {
    let mut world = cold(rules());
    reports(&mut world, 2, |_| ());
    reports(&mut world, 3, |report| report.rank.offset.0 = 2000);
    world.run(700);
    assert!(!world.ordered(is_lead));
    let (_, message) = world.asked(srv(3), tells_lead).expect("told to lead");
    assert!(matches!(message, PeerMessage::Lead { coordinator, .. } if coordinator == srv(1)));
    world.answer(srv(3), tells_lead, Ok(PeerAnswer::Ok));
    let follow = |message: &PeerMessage| matches!(message, PeerMessage::Follow { .. });
    let (_, message) = world.asked(srv(2), follow).expect("the others are told whom");
    assert!(matches!(message, PeerMessage::Follow { leader, .. } if leader == srv(3)));
}

#[test]
fn m25_who_has_priority_zero_or_is_told_to_stop_is_never_chosen() {
    let mut world = cold(rules());
    reports(&mut world, 2, |_| ());
    reports(&mut world, 3, |report| (report.rank.offset.0, report.never) = (2000, true));
    world.run(1_000);
    assert!(!told_to_lead(&world, 3));
    assert!(world.ordered(is_lead), "the next");
}

#[test]
fn unrelated_histories_at_one_epoch_are_a_conflict_and_said() {
    let mut world = cold(rules());
    reports(&mut world, 2, |_| ());
    reports(&mut world, 3, |report| report.rank.history = "other".into());
    world.run(2_000);
    assert!(!world.ordered(is_lead) && !told_to_lead(&world, 3));
    assert!(world.core.status().reason.contains("conflict"), "{}", world.core.status().reason);
}

#[test]
fn one_decision_at_a_time_and_a_lost_one_is_made_anew() {
    let mut world = cold(rules());
    for _ in 0..4 {
        reports(&mut world, 2, |_| ());
        reports(&mut world, 3, |report| report.rank.offset.0 = 2000);
        world.run(500);
    }
    assert_eq!(world.messages(tells_lead).len(), 1, "void after 2 s: not before");
    for _ in 0..12 {
        reports(&mut world, 2, |_| ());
        reports(&mut world, 3, |report| report.rank.offset.0 = 2000);
        world.run(500);
    }
    assert!(world.messages(tells_lead).len() >= 2, "nobody answered");
}

#[test]
fn a_no_is_taken_for_one_and_the_vote_goes_on() {
    let mut world = cold(rules());
    reports(&mut world, 2, |_| ());
    reports(&mut world, 3, |report| report.rank.offset.0 = 2000);
    world.run(700);
    world.answer(srv(3), tells_lead, no());
    world.forget();
    reports(&mut world, 2, |_| ());
    reports(&mut world, 3, |report| (report.rank.offset.0, report.never) = (2000, true));
    world.run(1_500);
    assert!(world.ordered(is_lead));
}

#[test]
fn a_no_is_not_answered_with_the_same_question_at_once() {
    let mut world = cold(rules());
    world.peers = |_, message| tells_lead(message).then(no_answer);
    for _ in 0..4 {
        reports(&mut world, 2, |_| ());
        reports(&mut world, 3, |report| report.rank.offset.0 = 2000);
        world.run(1_000);
    }
    let asked = world.messages(tells_lead).len();
    assert!((2..=4).contains(&asked), "once a report: {asked}");
}

fn no_answer() -> PeerAnswer {
    PeerAnswer::No { reason: "somebody leads, or is about to".into() }
}

#[test]
fn m12_a_late_yes_to_an_earlier_decision_tells_nobody_to_follow() {
    let mut world = cold(rules());
    reports(&mut world, 2, |_| ());
    reports(&mut world, 3, |report| report.rank.offset.0 = 2000);
    world.run(700);
    let (id, _) = world.asked(srv(3), tells_lead).unwrap();
    for _ in 0..10 {
        reports(&mut world, 2, |_| ());
        reports(&mut world, 3, |report| report.rank.offset.0 = 2000);
        world.run(500);
    }
    world.forget();
    world.feed(Event::Answer { id, from: srv(3), answer: Ok(PeerAnswer::Ok) });
    let follow = |message: &PeerMessage| matches!(message, PeerMessage::Follow { .. });
    assert!(world.asked(srv(2), follow).is_none());
}

// Told to lead.

/// We are server 2 and have reported to server 1.
pub(super) fn reporter() -> World {
    let mut rules = rules();
    rules.me = srv(2);
    let mut world = World::new(rules, None);
    for n in 1..=3 {
        world.sentinels.insert(sen(n), Ok(bare(n)));
    }
    for n in [1, 3] {
        world.servers.insert(srv(n), Ok(undecided(n)));
        world.supervisors.insert(srv(n), Ok(supervisor(0)));
    }
    if let Ok(seen) = &mut world.child {
        seen.run_id = "run-2".into();
    }
    world.run(2_500);
    assert!(reported_to(&world).contains(&srv(1)));
    world
}

pub(super) fn lead(world: &mut World, coordinator: u8) -> PeerAnswer {
    let message = PeerMessage::Lead { coordinator: srv(coordinator), attempt: AttemptId::from("vote") };
    let reply = world.request(Some(srv(coordinator)), message);
    world.run(5);
    world.reply(reply).expect("answered once the coordinator has been asked back")
}

fn promise(world: &mut World, candidate: u8) {
    let given =
        crate::core::consent::Given { candidate: srv(candidate), attempt: "x".into(), at: world.now, epoch: Epoch(0) };
    world.core.consent.give(given);
}

#[test]
fn lead_is_obeyed_or_refused() {
    let rows: [(&str, fn(&mut World), u8, bool); 7] = [
        ("all is well", |_| (), 1, true),
        ("from one we have not reported to", |_| (), 3, false),
        ("we have consented to the coordinator", |world| promise(world, 1), 1, true),
        (
            "somebody leads meanwhile",
            |world| {
                world.servers.insert(srv(3), Ok(server(3, master_role(&[]), 1000)));
                world.run(1_000);
            },
            1,
            false,
        ),
        ("we have consented to another", |world| promise(world, 3), 1, false),
        (
            "told to stop",
            |world| {
                world.holds = is_terminate;
                world.signal(Signal::Stop);
            },
            1,
            false,
        ),
        ("our report is older than 8 s", |world| world.freeze(9_000), 1, false),
    ];
    for (what, so, coordinator, obeyed) in rows {
        let mut world = reporter();
        so(&mut world);
        let answer = lead(&mut world, coordinator);
        assert_eq!(answer == PeerAnswer::Ok, obeyed, "{what}: {answer:?}");
        assert_eq!(world.ordered(is_lead), obeyed, "{what}");
    }
}

/// The coordinator becomes a candidate after it has said what it decided: one of both, never both.
#[test]
fn who_consents_to_the_coordinator_while_it_is_asked_back_does_not_lead() {
    let mut world = reporter();
    let message = PeerMessage::Lead { coordinator: srv(1), attempt: AttemptId::from("vote") };
    let reply = world.request(Some(srv(1)), message);
    world.freeze(1);
    promise(&mut world, 1);
    let decided = PeerAnswer::Decided { leader: srv(2), reported: vec![srv(2)], holding: vec![srv(2)] };
    world.answer(srv(1), |message| matches!(message, PeerMessage::Decided { .. }), Ok(decided));
    assert!(world.reply(reply).is_some_and(|answer| is_no(&answer)));
    assert!(!world.ordered(is_lead));
}

#[test]
fn m12_lead_doubled_leads_once() {
    let mut world = reporter();
    world.holds = is_lead;
    lead(&mut world, 1);
    lead(&mut world, 1);
    assert_eq!(world.orders().iter().filter(|order| is_lead(order)).count(), 1);
}

#[test]
fn m29_a_vote_is_void_after_two_seconds_also_in_the_childs_socket() {
    let mut world = reporter();
    world.holds = is_lead;
    assert_eq!(lead(&mut world, 1), PeerAnswer::Ok);
    world.freeze(10_000);
    world.let_go(is_lead);
    assert!(!world.leads(), "somebody else may have been voted in");
}

#[test]
fn a_leader_by_vote_that_nobody_follows_starts_over_and_one_with_a_follower_goes_on_fenced() {
    for follower in [false, true] {
        let mut world = World::born_master_with(rules());
        let answers: fn(Address, &PeerMessage) -> Option<PeerAnswer> = match follower {
            true => |to, message| (to == srv(3) && tells_led(message)).then_some(PeerAnswer::Following),
            false => |_, _| None,
        };
        world.peers = answers;
        if follower {
            world.servers.insert(srv(3), Ok(server(3, replica_role(srv(1)), 1000)));
        }
        // None of the Sentinels can be asked, so that one follower of two would not do.
        for n in 1..=3 {
            world.sentinels.insert(sen(n), Err(SILENT));
        }
        world.core.rules.expected_servers = Some(5);
        world.run(28_000);
        assert!(world.leads() && world.fence().is_some(), "follower: {follower}");
        world.run(4_000);
        let stays = world.leads() && world.fence().is_some();
        assert_eq!(stays, follower, "{:?}", world.fence());
    }
}

// Is a vote allowed at all?

/// A cluster that ran, of which this side is left: reports of us and server 2, state files, for a minute.
fn cut_off(sentinels: fn(&mut World), change: fn(&mut Report)) -> World {
    let mut kept = record(RecordedRole::Replica, Some(srv(3)));
    kept.servers = vec![srv(2), srv(3)];
    let mut world = World::new(rules(), recovered(kept));
    world.servers.insert(srv(2), Ok(undecided(2)));
    world.supervisors.insert(srv(2), Ok(supervisor(1)));
    sentinels(&mut world);
    world.run(500);
    for _ in 0..160 {
        let mut made = report(2, 1000);
        made.has_state = true;
        change(&mut made);
        world.ask(srv(2), PeerMessage::Report(Box::new(made)));
        world.run(500);
    }
    world
}

fn decided(world: &World) -> bool {
    world.ordered(is_lead) || told_to_lead(world, 2)
}

#[test]
fn m31_two_of_three_cut_off_from_sentinels_and_master_vote_nobody_in() {
    let rows: [(&str, fn(&mut World)); 3] = [
        ("silent", |_| ()),
        ("refusing", |world| {
            for n in 1..=3 {
                world.sentinels.insert(sen(n), Err(REFUSED));
            }
        }),
        ("one Sentinel on our side names the master", |world| {
            world.sentinels.insert(sen(1), Ok(sentinel(1, srv(3), 1)));
        }),
    ];
    for (what, sentinels) in rows {
        let world = cut_off(sentinels, |_| ());
        assert!(!decided(&world), "{what}: {}", world.core.status().reason);
        let reason = world.core.status().reason;
        assert!(reason.contains("publishNotReadyAddresses"), "{what}: {reason}");
    }
}

#[test]
fn with_the_last_master_among_them_a_majority_may_vote() {
    let world = cut_off(|_| (), |report| report.was_master = true);
    assert!(decided(&world), "{}", world.core.status().reason);
}

#[test]
fn m31_who_was_master_once_and_followed_since_is_not_the_last_master() {
    let mut rules = rules();
    rules.me = srv(2);
    let mut kept = record(RecordedRole::Master, Some(srv(2)));
    kept.servers = vec![srv(1), srv(3)];
    let mut world = World::new(rules, recovered(kept));
    world.healthy(srv(3), 2);
    world.servers.insert(srv(1), Ok(server(1, replica_role(srv(3)), 1000)));
    world.supervisors.insert(srv(1), Ok(supervisor(2)));
    if let Ok(seen) = &mut world.child {
        seen.run_id = "run-2".into();
    }
    world.run(4_000);
    assert_eq!(world.following(), Some(srv(3)));
    for n in 1..=3 {
        world.sentinels.insert(sen(n), Err(SILENT));
    }
    world.lose(srv(3), SILENT);
    world.run(6_000);
    let reports = |message: &PeerMessage| matches!(message, PeerMessage::Report(_));
    let Some((_, PeerMessage::Report(report))) = world.asked(srv(1), reports) else { panic!("it reports") };
    assert!(!report.was_master, "its state file says replica by now");
}

#[test]
fn b1_a_snapshot_from_before_the_last_change_of_master_is_of_the_same_history() {
    // (its history, its offset, the one that it is reported as, how many steps back that is): h0 became h1 at 500 and that h2 at
    // 1050; what h1 had after that is not in h2.
    let rows = [
        ("h1", 900, "h2", 1),
        ("h1", 1050, "h2", 1),
        ("h1", 1051, "h1", 1),
        ("h0", 500, "h2", 2),
        ("h0", 501, "h0", 2),
        ("h2", 1060, "h2", 0),
        ("x", 1, "x", 0),
    ];
    for (loaded, offset, history, back) in rows {
        let mut rules = rules();
        rules.me = srv(2);
        let mut kept = record(RecordedRole::Replica, Some(srv(3)));
        kept.servers = vec![srv(1), srv(3)];
        (kept.history, kept.second) = ("h2".into(), Some(("h1".into(), Offset(1050))));
        kept.earlier = vec![("h0".into(), Offset(500))];
        let mut world = World::new(rules, recovered(kept));
        world.servers.insert(srv(1), Ok(undecided(1)));
        world.supervisors.insert(srv(1), Ok(supervisor(0)));
        if let Ok(seen) = &mut world.child {
            seen.run_id = "run-2".into();
            seen.aof = false;
            seen.history = History { id: loaded.into(), second: None, offset: Offset(offset) };
        }
        world.run(6_000);
        let reports = |message: &PeerMessage| matches!(message, PeerMessage::Report(_));
        let Some((_, PeerMessage::Report(report))) = world.messages(reports).pop() else { panic!("it reports") };
        assert_eq!((report.rank.history, report.rank.offset), (history.into(), Offset(offset)));
        assert_eq!(report.rank.line.len(), back, "{loaded} {offset}");
    }
}

/// The line behind what the state file says that we hold.
fn line(world: &World) -> Vec<(String, u64)> {
    let record = world.core.last_record().unwrap();
    record.earlier.iter().map(|(id, upto)| (id.0.clone(), upto.0)).collect()
}

fn holds(world: &mut World, id: &str, second: Option<(&str, u64)>, offset: u64) {
    let seen = world.child.as_mut().unwrap();
    let second = second.map(|(id, upto)| (id.into(), Offset(upto)));
    seen.history = History { id: id.into(), second, offset: Offset(offset) };
}

fn ends(line: &[(&str, u64)]) -> Vec<(String, u64)> {
    line.iter().map(|(id, upto)| ((*id).to_owned(), *upto)).collect()
}

#[test]
fn b1_the_line_of_histories_is_kept_and_a_full_sync_from_another_ends_it() {
    let mut world = World::replica();
    let ended = [("h6", 0), ("h5", 0), ("h4", 0), ("h3", 0), ("h2", 0), ("h1", 0)];
    for (id, second, wanted) in [
        ("h2", Some(("h1", 1000)), &[][..]),
        ("h3", Some(("h2", 1100)), &[("h1", 1000)]),
        ("h4", Some(("h3", 1200)), &[("h2", 1100), ("h1", 1000)]),
        // Two changes that nobody saw: how far that goes is in its second history.
        ("h6", Some(("h5", 1250)), &[("h4", 1250), ("h3", 1200), ("h2", 1100), ("h1", 1000)]),
        ("other", None, &ended),
    ] {
        holds(&mut world, id, second, 1300);
        world.run(2_500);
        assert_eq!(line(&world), ends(wanted), "{id}");
    }
}

/// A leader that has loaded a snapshot gets a new id without a second one with its first replica (`syncCommand`); until it
/// saves again, the snapshot is all that it has on its disk. Two outages in a row were a conflict for ever (chaos).
#[test]
fn b4_a_leaders_first_replica_does_not_end_its_line() {
    let mut world = World::born_master_with(rules());
    for (id, second, offset, wanted) in [
        ("led", Some(("h1", 1000)), 1000, &[][..]),
        ("synced", None, 1010, &[("led", 1010), ("h1", 1000)]),
        ("file", None, 10, &[("synced", 10), ("led", 10), ("h1", 10)]),
        ("h1", None, 1000, &[]),
    ] {
        holds(&mut world, id, second, offset);
        world.run(2_500);
        assert!(world.leads());
        assert_eq!(line(&world), ends(wanted), "{id}");
    }
}

/// Sentinels that have lost their files begin at the epoch of the servers' state files (design section 5).
#[test]
fn b4_the_epoch_of_our_state_file_is_told_to_who_has_none() {
    let mut kept = record(RecordedRole::Master, Some(srv(1)));
    kept.epoch = Epoch(7);
    let mut world = World::new(rules(), recovered(kept));
    for n in 1..=3 {
        world.sentinels.insert(sen(n), Ok(bare(n)));
    }
    world.run(1_000);
    assert_eq!(world.core.status().epoch, Epoch(7));
}

#[test]
fn no_vote_while_a_living_master_is_known() {
    let mut world = World::replica();
    for n in 1..=3 {
        world.sentinels.insert(sen(n), Err(SILENT));
    }
    for _ in 0..80 {
        let mut made = report(3, 5000);
        made.has_state = true;
        world.ask(srv(3), PeerMessage::Report(Box::new(made)));
        world.run(500);
    }
    assert!(!decided(&world) && !told_to_lead(&world, 3));
    assert_eq!(world.following(), Some(srv(2)));
}

#[test]
fn m31_an_elector_alone_does_not_make_a_cut_off_replica_lead() {
    let mut rules = rules();
    (rules.expected_servers, rules.elector) = (None, ElectorRule::Default);
    let mut world = World::replica_with(rules);
    world.elector = elects(1, false);
    for n in 1..=3 {
        world.sentinels.insert(sen(n), Err(SILENT));
    }
    for n in 2..=3 {
        world.lose(srv(n), SILENT);
    }
    world.run(180_000);
    assert!(!world.ordered(is_lead), "{}", world.core.status().reason);
}

#[test]
fn a_majority_names_a_dead_master_a_sentinel_shall_choose_the_best() {
    let world = best_of_the_dead(|_| ());
    assert_eq!(world.following(), Some(srv(3)), "open as a replica of the dead address");
    assert!(!world.ordered(is_lead) && !told_to_lead(&world, 2), "the Sentinels are a majority: they promote");
    assert!(world.ordered(|order| *order == ChildOrder::Priority(Some(0))), "all but the best");
    let follow = |message: &PeerMessage| matches!(message, PeerMessage::Follow { .. });
    assert!(matches!(world.asked(srv(2), follow), Some((_, PeerMessage::Follow { leader, .. })) if leader == srv(3)));
}

/// Whoever asks hears NOGOODSLAVE, and that is not the coordinator (7826).
#[test]
fn a_sentinel_that_was_to_choose_the_best_and_chose_nobody_is_not_waited_for_for_ever() {
    let mut world = best_of_the_dead(|_| ());
    for second in 1..=25 {
        let mut made = report(2, 2000);
        made.has_state = true;
        world.ask(srv(2), PeerMessage::Report(Box::new(made)));
        world.run(1_000);
        assert!(second > 8 || !told_to_lead(&world, 2), "it has its time");
    }
    assert!(told_to_lead(&world, 2), "{:?}", world.core.status().reason);
}

#[test]
fn who_follows_the_dead_one_already_is_choosable_once_the_coordinator_says_so() {
    let mut world = World::new(rules(), None);
    world.healthy(srv(2), 1);
    world.holds = is_follow;
    world.run(1_000);
    world.lose(srv(2), SILENT);
    world.run(3_000);
    assert!(world.core.status().never, "it has yet to catch up");
    let follow = PeerMessage::Follow { attempt: AttemptId("vote".into()), leader: srv(2) };
    assert_eq!(world.ask(srv(3), follow), PeerAnswer::Following);
    assert!(!world.core.status().never);
}

/// All are at priority 0 then: a Sentinel finds nobody for ever.
#[test]
fn b4_where_even_the_best_is_empty_no_sentinel_is_asked_to_choose_it() {
    let world = best_of_the_dead(|report| report.rank.has_data = false);
    assert_eq!(world.following(), None);
    assert!(world.ordered(is_lead) || told_to_lead(&world, 2));
}

/// A liar, or a lost message, opened server 2 alone: a Sentinel proposes it, and no vote comes about without it (lies 830).
#[test]
fn who_holds_more_than_the_proposed_one_is_choosable_too() {
    for (offset, opens) in [(500, true), (2_000, false)] {
        let mut world = behind_a_shut_door();
        let message = world.consent_message(2, srv(3), offset);
        let answer = world.ask(srv(2), message);
        assert_eq!(matches!(answer, PeerAnswer::HoldMore { .. }), opens, "{answer:?}");
        world.run(500);
        assert_eq!(world.following(), opens.then_some(srv(3)));
        assert_eq!(world.ordered(|order| *order == ChildOrder::OpenDoor), opens);
    }
}

/// Sentinels name server 3, which is gone; server 2 reports 2000, so changed, and we hold less, or nothing like it.
fn best_of_the_dead(change: fn(&mut Report)) -> World {
    let mut world = behind_a_shut_door();
    let mut made = report(2, 2000);
    change(&mut made);
    if let Ok(seen) = &mut world.child {
        seen.has_data = made.rank.has_data;
    }
    for _ in 0..80 {
        let mut made = report(2, 2000);
        made.has_state = true;
        change(&mut made);
        world.ask(srv(2), PeerMessage::Report(Box::new(made)));
        world.run(500);
        if world.following().is_some() || world.ordered(is_lead) || told_to_lead(&world, 2) {
            break;
        }
    }
    world.run(300);
    world
}

/// Sentinels name server 3, which is gone; server 2 waits as we do.
fn behind_a_shut_door() -> World {
    let mut kept = record(RecordedRole::Replica, Some(srv(3)));
    kept.servers = vec![srv(2), srv(3)];
    let mut world = World::new(rules(), recovered(kept));
    world.servers.insert(srv(2), Ok(undecided(2)));
    world.supervisors.insert(srv(2), Ok(supervisor(1)));
    for n in 1..=3 {
        let mut says = sentinel(n, srv(3), 1);
        let row = says.master.as_mut().unwrap();
        (row.s_down, row.o_down, row.disconnected) = (true, true, true);
        world.sentinels.insert(sen(n), Ok(says));
    }
    world.run(500);
    world
}

// One server.

#[test]
fn a8_the_only_expected_server_leads_at_once_if_it_knows_no_other() {
    let mut rules = rules();
    (rules.expected_servers, rules.quorum) = (Some(1), 1);
    let mut world = World::new(rules, None);
    world.names = Names { sentinels: Some(vec![sen(1)]), servers: Some(vec![srv(1)]) };
    world.sentinels.insert(sen(1), Ok(bare(1)));
    world.run(600);
    assert!(world.leads());
    assert_eq!(world.fence(), None);
}

#[test]
fn a8_but_not_if_it_knows_another() {
    let mut rules = rules();
    (rules.expected_servers, rules.quorum) = (Some(1), 1);
    let mut world = World::new(rules, None);
    world.sentinels.insert(sen(1), Ok(bare(1)));
    world.servers.insert(srv(2), Ok(server(2, master_role(&[]), 1000)));
    world.run(1_000);
    assert!(!world.ordered(is_lead));
    assert_eq!(world.following(), Some(srv(2)));
}

#[test]
fn nothing_configured_is_a_standalone_server_unfenced() {
    let mut rules = rules();
    (rules.sentinels_configured, rules.servers_configured, rules.expected_servers) = (false, false, None);
    let mut world = World::new(rules, None);
    world.names = Names { sentinels: Some(vec![]), servers: Some(vec![]) };
    world.run(600);
    assert!(world.ordered(|order| matches!(order, ChildOrder::LeadAlone)));
    assert!(world.leads() && world.fence().is_none());
    world.run(60_000);
    assert!(!world.ordered(is_fence));
}

#[test]
fn in_kubernetes_a_default_elector_is_waited_for_for_five_seconds() {
    let mut rules = rules();
    (rules.sentinels_configured, rules.servers_configured, rules.expected_servers) = (false, false, None);
    (rules.elector, rules.in_kubernetes) = (ElectorRule::Default, true);
    let mut world = World::new(rules, None);
    world.names = Names { sentinels: Some(vec![]), servers: Some(vec![]) };
    world.run(4_800);
    assert!(!world.leads());
    world.run(1_000);
    assert!(world.leads());
}

/// We are server 3 and have reported to server 1, which then says master in a history of its own (AOF, loaded anew);
/// the Sentinels name server 2, which is gone.
fn another_history(reports: bool) -> World {
    let mut rules = rules();
    rules.me = srv(3);
    let mut world = World::new(rules, recovered(record(RecordedRole::Replica, Some(srv(2)))));
    world.child.as_mut().unwrap().run_id = "run-3".into();
    for n in 1..=3 {
        world.sentinels.insert(sen(n), Ok(sentinel(n, srv(2), 1)));
    }
    world.each_row(|row| (row.s_down, row.o_down, row.disconnected) = (true, true, true));
    if reports {
        world.servers.insert(srv(1), Ok(server(1, replica_role(srv(2)), 1000)));
        world.supervisors.insert(srv(1), Ok(supervisor(1)));
    }
    world.run(4_000);
    let report = |message: &PeerMessage| matches!(message, PeerMessage::Report { .. });
    assert_eq!(world.asked(srv(1), report).is_some(), reports);
    let mut leader = server(1, master_role(&[]), 0);
    (leader.history.id, leader.history.second) = ("h7".into(), None);
    world.servers.insert(srv(1), Ok(leader));
    world
}

#[test]
fn b4_the_choice_of_a_vote_that_we_took_part_in_is_followed_whatever_its_history() {
    for (reports, told, follows) in [(true, true, true), (true, false, false), (false, true, false)] {
        let mut world = another_history(reports);
        let attempt = AttemptId::from("vote-1");
        if told {
            world.request(Some(srv(1)), PeerMessage::Follow { attempt: attempt.clone(), leader: srv(1) });
        }
        world.request(Some(srv(1)), PeerMessage::Led { attempt, leader: srv(1), epoch: Epoch(1) });
        world.run(2_000);
        assert_eq!(world.following() == Some(srv(1)), follows, "reported: {reports}, told by the vote: {told}");
    }
}

/// 77750: who has everything is told to stop and never leads; the empty ones wait for it.
#[test]
fn b1_no_empty_one_leads_beside_data_that_may_not() {
    for (never, leads) in [(true, false), (false, true)] {
        let mut world = cold(rules());
        for n in [2, 3] {
            world.supervisors.insert(srv(n), Ok(supervisor(0)));
        }
        world.child.as_mut().expect("answers").has_data = false;
        world.run(1_100);
        reports(&mut world, 2, |report| report.rank.has_data = false);
        let full: fn(&mut Report) = if never { |report| report.never = true } else { |_| () };
        reports(&mut world, 3, full);
        world.run(3_000);
        let anybody = world.ordered(is_lead) || told_to_lead(&world, 2) || told_to_lead(&world, 3);
        assert_eq!(anybody, leads, "never: {never}: {:?}", world.core.vote.why());
    }
}

#[test]
fn v5_with_the_same_data_an_engine_that_all_can_load_from_leads() {
    let rows: [(&str, fn(&mut Report), bool); 4] = [
        ("one of an earlier build", |report| report.rank.last_write = 10, true),
        ("ours", |report| (report.rank.last_write, report.engine) = (10, Some(rules().engine)), true),
        ("a newer one", |report| (report.rank.last_write, report.engine) = (10, newer()), false),
        ("a newer one that holds more", |report| (report.rank.offset.0, report.engine) = (2000, newer()), true),
    ];
    for (what, change, leads) in rows {
        let mut world = cold(rules());
        reports(&mut world, 2, change);
        reports(&mut world, 3, |_| ());
        world.run(2_000);
        assert_eq!(told_to_lead(&world, 2), leads, "{what}: {:?}", world.core.vote.why());
    }
}

fn newer() -> Option<crate::core::engines::EngineVersion> {
    crate::core::engines::EngineVersion::parse("redis 8.6.3")
}
