//! S1, S4, S5, S6: what a stranger, or a member that lies, makes us do: nothing.

use super::vote::{lead, reporter};
use super::world::*;
use crate::core::event::Names;
use crate::core::id::{Address, AttemptId, Epoch, Offset};
use crate::core::message::{PeerAnswer, PeerMessage};
use crate::core::rules::Rules;
use crate::core::seen::{History, Link, RoleSeen, ServerSeen};
use crate::core::status::Answer;
use crate::core::verdict::{Unknown, Verdict};

/// A server that says master, with a history of its own.
fn foreign(n: u8) -> ServerSeen {
    let history = History { id: "somebody-elses".into(), second: None, offset: Offset(9_000) };
    ServerSeen { history, ..server(n, master_role(&[]), 9_000) }
}

fn undecided(n: u8) -> ServerSeen {
    server(n, RoleSeen::Replica { master: None, link: Link::Down }, 1000)
}

/// A total outage: servers 2 and 3 answer and follow nobody, the Sentinels are silent; we hold data.
fn outage(rules: Rules) -> World {
    let mut world = World::new(rules, recovered(record(crate::core::record::RecordedRole::Replica, Some(srv(2)))));
    for n in [2, 3] {
        world.servers.insert(srv(n), Ok(undecided(n)));
        world.supervisors.insert(srv(n), Ok(supervisor(0)));
    }
    world.run(1_000);
    world
}

fn led(n: u8) -> PeerMessage {
    PeerMessage::Led { attempt: AttemptId::from("x"), leader: srv(n), epoch: Epoch(9) }
}

// S6: a server that is known by messages only.

#[test]
fn s6_whom_only_a_message_speaks_of_makes_no_hint() {
    type Known = fn(&mut World);
    let rows: [(&str, Known, bool); 4] = [
        ("a message", |world| world.core.evidence.hear_of(srv(9), world.now), false),
        ("the settings", |world| world.names.servers = Some((1..=9).map(srv).collect()), true),
        (
            "another server of ours",
            |world| {
                let follows = RoleSeen::Replica { master: Some(srv(9)), link: Link::Up };
                world.servers.insert(srv(3), Ok(server(3, follows, 1000)));
            },
            true,
        ),
        (
            "most of those that report",
            |world| {
                for n in [2, 3] {
                    let mut made = report(n, 1000);
                    made.servers = vec![srv(n), srv(9)];
                    world.ask(srv(n), PeerMessage::Report(Box::new(made)));
                }
                world.run(5);
            },
            true,
        ),
    ];
    for (what, known, hint) in rows {
        let mut world = outage(rules());
        world.servers.insert(srv(9), Ok(server(9, master_role(&[]), 9_000)));
        known(&mut world);
        world.ask(srv(9), led(9));
        world.run(3_000);
        let then = Verdict::Hint { master: srv(9) };
        assert_eq!(world.core.verdict == then, hint, "known by {what}: {:?}", world.core.verdict);
        assert!(hint || world.core.verdict == Verdict::Unknown(Unknown::Silent), "{what}");
    }
}

#[test]
fn s6_data_of_our_own_are_not_given_up_for_an_unrelated_history_on_a_hint() {
    // (what, its history is ours, we hold data, servers that stream from it, followed)
    let rows = [
        ("of our history", true, true, 0, true),
        ("a name that resolves to a server of nobody's cluster", false, true, 0, false),
        ("we hold nothing", false, false, 0, true),
        ("most of the known servers stream from it", false, true, 1, true),
    ];
    for (what, related, data, streaming, followed) in rows {
        let mut rules = rules();
        rules.expected_servers = None;
        let mut world = World::new(rules, None);
        world.names = Names { sentinels: Some(vec![]), servers: Some((1..=3).map(srv).collect()) };
        if let Ok(seen) = &mut world.child {
            (seen.has_data, seen.aof) = (data, false);
        }
        let master = if related { server(2, master_role(&[]), 9_000) } else { foreign(2) };
        world.servers.insert(srv(2), Ok(master));
        let third = if streaming > 0 { server(3, replica_role(srv(2)), 1000) } else { undecided(3) };
        world.servers.insert(srv(3), Ok(third));
        world.run(4_000);
        assert_eq!(world.core.verdict, Verdict::Hint { master: srv(2) }, "{what}");
        assert_eq!(world.following() == Some(srv(2)), followed, "{what}");
    }
}

#[test]
fn s6_a_strangers_engine_is_no_conflict_for_a_cluster_without_sentinels() {
    let mut rules = rules();
    rules.sentinels_configured = false;
    let mut world = World::born_master_with(rules);
    world.names.sentinels = Some(vec![]);
    world.sentinels.clear();
    world.attach(&[srv(2), srv(3)]);
    for n in [2, 3] {
        world.servers.insert(srv(n), Ok(server(n, replica_role(srv(1)), 1000)));
    }
    world.run(15_000);
    world.servers.insert(srv(9), Ok(foreign(9)));
    for _ in 0..10 {
        let mut made = report(9, 9_000);
        made.servers = vec![srv(9)];
        world.ask(srv(9), PeerMessage::Report(Box::new(made)));
        world.ask(srv(9), led(9));
        world.run(1_000);
    }
    assert!(world.core.evidence.servers.contains_key(&srv(9)), "it has answered");
    assert!(world.leads());
    assert_eq!(world.core.verdict, Verdict::Hint { master: srv(1) });
    assert_eq!(world.core.status().probes.ready.is_yes(), world.fence().is_none());
    assert_ne!(world.core.status().probes.ready, Answer::No("conflict".into()));
    let kept = world.core.last_record().map(|record| record.servers.clone());
    assert_eq!(kept, Some(vec![srv(2), srv(3)]), "the next life does not take it for one of ours");
}

// S1: `lead`.

#[test]
fn s1_the_coordinator_is_asked_back_before_anybody_leads() {
    type Says = fn(Address, &PeerMessage) -> Option<PeerAnswer>;
    fn decided(leader: u8, holding: Vec<Address>) -> Option<PeerAnswer> {
        Some(PeerAnswer::Decided { leader: srv(leader), reported: (1..=3).map(srv).collect(), holding })
    }
    fn asks(message: &PeerMessage) -> bool {
        matches!(message, PeerMessage::Decided { .. })
    }
    let rows: [(&str, bool, Says, bool); 7] = [
        ("it decided so", true, |_, m| asks(m).then(|| decided(2, vec![srv(2)])).flatten(), true),
        ("it decided nothing", true, |_, m| asks(m).then(|| PeerAnswer::No { reason: "x".into() }), false),
        ("it decided for another", true, |_, m| asks(m).then(|| decided(3, vec![])).flatten(), false),
        ("an earlier version, or a Sentinel's", true, |_, m| asks(m).then_some(PeerAnswer::NoServer), false),
        ("we hold nothing, and another does", false, |_, m| asks(m).then(|| decided(2, vec![srv(3)])).flatten(), false),
        ("nobody holds anything", false, |_, m| asks(m).then(|| decided(2, vec![])).flatten(), true),
        (
            "we hold nothing, one that has not reported does",
            false,
            |_, m| {
                let reported = vec![srv(1)];
                asks(m).then_some(PeerAnswer::Decided { leader: srv(2), reported, holding: vec![] })
            },
            false,
        ),
    ];
    for (what, data, says, obeyed) in rows {
        let mut world = reporter();
        if let Ok(seen) = &mut world.child {
            seen.has_data = data;
        }
        world.run(1_000);
        world.peers = says;
        let answer = lead(&mut world, 1);
        assert_eq!(answer == PeerAnswer::Ok, obeyed, "{what}: {answer:?}");
        assert_eq!(world.ordered(is_lead), obeyed, "{what}");
    }
}

#[test]
fn s1_an_empty_server_that_is_alone_does_not_lead_in_its_own_name() {
    let mut world = World::new(rules(), None);
    if let Ok(seen) = &mut world.child {
        seen.has_data = false;
    }
    world.run(3_000);
    assert!(is_no(&lead(&mut world, 1)), "it reports to itself, and has told itself nothing");
    world.run(5_000);
    assert!(!world.ordered(is_lead));
}

// S5: reports.

#[test]
fn s5_a_report_counts_by_its_servers_own_answer() {
    type Says = fn(Address, &PeerMessage) -> Option<PeerAnswer>;
    // A stranger reports in the name of server 3, empty, at the highest epoch; what that one answers itself.
    let truth: Says = |to, message| {
        let asked = matches!(message, PeerMessage::Vouch { .. }) && to == srv(3);
        asked.then(|| PeerAnswer::Report(Box::new(report(3, 1000))))
    };
    let denies: Says = |to, message| {
        let asked = matches!(message, PeerMessage::Vouch { .. }) && to == srv(3);
        asked.then(|| PeerAnswer::No { reason: "we have not reported to you lately".into() })
    };
    let of_another: Says = |to, message| {
        let asked = matches!(message, PeerMessage::Vouch { .. }) && to == srv(3);
        asked.then(|| PeerAnswer::Report(Box::new(report(7, 1000))))
    };
    for (what, says, counts) in [("the truth", truth, true), ("no", denies, false), ("another's", of_another, false)] {
        let mut world = outage(rules());
        world.peers = says;
        let mut lie = report(3, 9_999);
        (lie.rank.has_data, lie.rank.epoch) = (false, Epoch(99));
        for _ in 0..4 {
            world.ask(srv(3), PeerMessage::Report(Box::new(lie.clone())));
            world.run(200);
        }
        let told: Vec<u64> =
            world.core.counting_reports().filter(|(at, _)| *at == srv(3)).map(|(_, it)| it.rank.offset.0).collect();
        assert_eq!(told, if counts { vec![1000] } else { vec![] }, "{what}");
    }
}

#[test]
fn s5_who_has_reported_to_that_coordinator_stands_by_it_and_is_bound_by_it() {
    let mut world = reporter();
    let asked = |world: &mut World, coordinator| {
        world.ask(srv(coordinator), PeerMessage::Vouch { coordinator: srv(coordinator) })
    };
    assert!(matches!(asked(&mut world, 1), PeerAnswer::Report(report) if report.rank.address == srv(2)));
    assert!(is_no(&asked(&mut world, 3)), "it has reported to another");
    let mut leads = World::master();
    assert!(is_no(&asked(&mut leads, 2)), "it reports to nobody");
}

// S4: favours.

#[test]
fn s4_favours_are_for_members_and_of_members() {
    let (known, unknown) = (srv(3), srv(9));
    let consent = |at: Address| {
        let mut made = rank(3, 1000);
        made.address = at;
        PeerMessage::Consent { attempt: "x".into(), candidate: at, replaces: Some(srv(2)), rank: Box::new(made) }
    };
    let priority = |leader| PeerMessage::Priority { priority: Some(0), leader, lasting: ms(10_000) };
    let quicken = || PeerMessage::Quicken { lasting: ms(3_000) };
    let rows = [
        ("consent, of a member for itself", Some(known), consent(known), true),
        ("consent for somebody unknown", Some(known), consent(unknown), false),
        ("consent, of somebody unknown", Some(unknown), consent(known), false),
        ("consent, of nobody", None, consent(known), false),
        ("priority, of a member", Some(known), priority(known), true),
        ("priority in our own favour", Some(known), priority(srv(1)), true),
        ("priority for somebody unknown", Some(known), priority(unknown), false),
        ("priority, of somebody unknown", Some(unknown), priority(known), false),
        ("quicken, of a member", Some(known), quicken(), true),
        ("quicken, of somebody unknown", Some(unknown), quicken(), false),
    ];
    for (what, from, message, obeyed) in rows {
        let mut world = World::replica();
        world.lose(srv(2), REFUSED);
        world.run(1_500);
        let reply = world.request(from, message);
        let answer = world.reply(reply).expect("known at once: both have answered within seconds");
        assert_eq!(!is_no(&answer), obeyed, "{what}: {answer:?}");
        assert!(obeyed || world.core.standing_consent().is_none() && world.core.priority_favour.is_none(), "{what}");
    }
}

#[test]
fn s4_a_member_that_has_been_silent_is_looked_at_first() {
    for answers in [true, false] {
        let mut world = World::replica();
        let (server, supervisor) = (world.servers[&srv(3)].clone(), world.supervisors[&srv(3)].clone());
        world.lose(srv(3), SILENT);
        world.run(8_000);
        if answers {
            world.servers.insert(srv(3), server);
            world.supervisors.insert(srv(3), supervisor);
        }
        let message = PeerMessage::Priority { priority: Some(0), leader: srv(3), lasting: ms(3_000) };
        let reply = world.request(Some(srv(3)), message);
        assert_eq!(world.reply(reply), None, "not before it has been looked at");
        world.run(400);
        assert_eq!(world.reply(reply).map(|answer| !is_no(&answer)), Some(answers));
    }
}

#[test]
fn s4_a_rank_is_checked_against_the_last_look() {
    let lost = RoleSeen::Replica { master: Some(srv(2)), link: Link::Down };
    // (what, offset in the look, its link, offset it says, consented)
    let rows = [
        ("as it shows", 1000, lost.clone(), 1000, true),
        ("more than it shows, its link down", 1000, lost, 5000, false),
        ("more than it showed, and it goes on", 1000, replica_role(srv(2)), 5000, true),
    ];
    for (what, shows, role, says, consented) in rows {
        let mut world = World::replica();
        world.lose(srv(2), REFUSED);
        world.servers.insert(srv(3), Ok(server(3, role, shows)));
        world.run(1_500);
        let message = world.consent_message(3, srv(2), says);
        let answer = world.ask(srv(3), message);
        assert_eq!(answer == PeerAnswer::Consented, consented, "{what}: {answer:?}");
    }
}

#[test]
fn s4_a_promise_that_its_candidate_denies_does_not_bind_against_a_proposal() {
    for (denied, answer) in [(true, PeerAnswer::Never), (false, PeerAnswer::Open)] {
        let mut world = World::replica();
        world.lose(srv(2), REFUSED);
        world.run(1_500);
        // Somebody asks in the name of server 3, which knows of nothing.
        let message = world.consent_message(3, srv(2), 1000);
        assert_eq!(world.ask(srv(3), message), PeerAnswer::Consented);
        world.propose(1, srv(1));
        world.run(600);
        assert!(world.asked(srv(3), asks_led).is_some(), "it is asked whether there is anything to it");
        world.answer(srv(3), asks_led, Ok(answer));
        world.run(600);
        assert_eq!(world.asked(srv(3), asks_consent).is_some(), denied, "we are a candidate: {denied}");
    }
}

#[test]
fn s4_a_release_that_no_sentinel_stands_behind_holds_up_no_other() {
    let mut world = World::master();
    let (_, stray) = world.release_message(srv(3), 1);
    let stray = world.request(Some(srv(3)), stray);
    world.propose(2, srv(2));
    let (_, real) = world.release_message(srv(2), 2);
    let real = world.request(Some(srv(2)), real);
    world.run(100);
    assert!(matches!(world.reply(real), Some(PeerAnswer::Released { .. })), "{:?}", world.reply(real));
    world.run(600);
    assert!(world.reply(stray).is_some_and(|answer| is_no(&answer)));
}
