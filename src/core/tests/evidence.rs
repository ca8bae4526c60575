//! Section 1, "Known servers" and "Majority of Sentinels"; section 3.1, known Sentinels; A3; M12.

use super::world::*;
use crate::core::event::Names;
use crate::core::evidence::Evidence;
use crate::core::id::{Epoch, RunId};
use crate::core::moment::Moment;
use crate::core::rules::Rules;
use crate::core::seen::{ElectorSeen, SentinelRow};
use crate::core::sighting::Sighting;
use crate::core::verdict::{Own, Unknown, Verdict, verdict};

const T: Moment = Moment::millis(1000);

fn evidence(rules: &Rules) -> Evidence {
    let mut evidence = Evidence::new(rules, None, T);
    let names = Names { sentinels: Some((1..=3).map(sen).collect()), servers: Some((1..=3).map(srv).collect()) };
    evidence.note_names(&names, rules, T);
    evidence
}

fn unexpected() -> Rules {
    let mut rules = rules();
    rules.expected_servers = None;
    rules
}

/// L1 counts from the last look that showed nobody chosen: one from two seconds ago would cost a candidate its last chance
/// before the Sentinel gives up (C12).
#[test]
fn c12_a_glance_at_a_sentinel_without_a_failover_shows_that_nobody_is_chosen() {
    let rules = rules();
    for (failover, last) in [(false, T), (true, Moment::ZERO)] {
        let mut seen = evidence(&rules);
        let mut says = sentinel(1, srv(2), 1);
        seen.note_sentinel(sen(1), Moment::ZERO, Ok(says.clone()), rules.me, T);
        says.rows = None;
        says.master.as_mut().unwrap().failover = failover;
        seen.note_sentinel(sen(1), T, Ok(says), rules.me, T);
        assert_eq!(seen.sentinels[&sen(1)].choice.last_without, Some(last), "failover {failover}");
    }
}

#[test]
fn known_servers_is_the_largest_and_never_a_sum() {
    let rules = unexpected();
    let mut seen = evidence(&rules);
    assert_eq!(seen.known_servers(&rules, T), 1, "we count ourselves");
    seen.note_server(srv(2), T, Ok(server(2, replica_role(srv(9)), 1)), None, T);
    assert_eq!(seen.known_servers(&rules, T), 2, "one answered; whom it names is not counted");
    seen.note_sentinel(sen(1), T, Ok(sentinel(1, srv(2), 1)), rules.me, T);
    assert_eq!(seen.known_servers(&rules, T), 3, "one Sentinel's rows + 1");
    seen.note_sentinel(sen(2), T, Ok(sentinel(2, srv(2), 1)), rules.me, T);
    assert_eq!(seen.known_servers(&rules, T), 3, "two Sentinels' rows are not added up");
    let mut five = rules.clone();
    five.expected_servers = Some(5);
    assert_eq!(seen.known_servers(&five, T), 5, "expected");
    let mut old = record(crate::core::record::RecordedRole::Replica, Some(srv(2)));
    old.servers = (2..=4).map(srv).collect();
    assert_eq!(Evidence::new(&rules, Some(&old), T).known_servers(&rules, T), 4, "the state file's");
}

#[test]
fn an_answer_counts_for_sixty_seconds() {
    let rules = unexpected();
    let mut seen = evidence(&rules);
    seen.note_server(srv(2), T, Ok(server(2, replica_role(srv(2)), 1)), None, T);
    assert_eq!(seen.known_servers(&rules, T + ms(60_000)), 2);
}

/// The state file lists whoever was on the list; nobody leaves that without a master that says so.
#[test]
fn m31_a_cut_off_server_does_not_forget_the_others() {
    let rules = unexpected();
    let mut seen = evidence(&rules);
    for n in [2, 3] {
        seen.note_server(srv(n), T, Ok(server(n, replica_role(srv(2)), 1)), None, T);
    }
    seen.forget(rules.quorum, Some(srv(2)), T);
    let later = T + ms(90_000);
    seen.forget(rules.quorum, None, later);
    assert_eq!(seen.known_servers(&rules, later), 3);
}

/// The same where no Sentinel ever confirmed anybody: the list is in the state file all the same.
#[test]
fn m31_nor_does_one_that_knew_its_master_by_a_hint() {
    let rules = unexpected();
    let mut seen = evidence(&rules);
    for n in [2, 3] {
        seen.note_server(srv(n), T, Ok(server(n, replica_role(srv(2)), 1)), None, T);
    }
    let later = T + ms(90_000);
    seen.forget(rules.quorum, None, later);
    assert_eq!(seen.known_servers(&rules, later), 3);
}

#[test]
fn a_server_leaves_only_by_a_living_masters_word() {
    let rules = unexpected();
    let later = T + ms(61_000);
    // (what, a living master is named, a Sentinel lists it, its port answers, it stays)
    let rows = [
        ("no living master is named", false, false, false, true),
        ("named, not listed, silent", true, false, false, false),
        ("a Sentinel lists it", true, true, false, true),
        ("its port answers", true, false, true, true),
    ];
    for (what, confirmed, listed, answers, stays) in rows {
        let mut seen = Evidence::new(&rules, None, T);
        let names = Names { sentinels: Some((1..=3).map(sen).collect()), servers: None };
        seen.note_names(&names, &rules, T);
        seen.add_server(srv(2), T);
        seen.add_server(srv(3), T);
        for n in 1..=3 {
            let mut says = sentinel(n, srv(2), 1);
            if !listed {
                says.rows.as_mut().unwrap().replicas.retain(|row| row.address != srv(3));
            }
            seen.note_sentinel(sen(n), later, Ok(says), rules.me, later);
        }
        seen.note_server(srv(2), later, Ok(server(2, master_role(&[srv(1)]), 1)), None, later);
        if answers {
            seen.note_server(srv(3), later, Ok(server(3, replica_role(srv(2)), 1)), None, later);
        }
        seen.forget(rules.quorum, confirmed.then_some(srv(2)), later);
        assert_eq!(seen.servers.contains_key(&srv(3)), stays, "{what}");
        assert!(seen.servers.contains_key(&srv(2)), "{what}: the master itself");
    }
}

#[test]
fn a3_we_are_recognised_by_run_id_under_any_address() {
    let rules = rules();
    let own = RunId::from("run-1");
    let mut seen = evidence(&rules);
    seen.add_server(srv(9), T);
    seen.note_server(srv(9), T, Ok(server(1, master_role(&[]), 1)), Some(&own), T);
    assert!(!seen.servers.contains_key(&srv(9)));
    seen.add_server(srv(9), T);
    assert!(!seen.servers.contains_key(&srv(9)), "never again");
    seen.add_server(rules.me, T);
    assert!(!seen.servers.contains_key(&rules.me));
}

#[test]
fn known_sentinels_are_the_union_of_what_those_that_answer_list() {
    let rules = rules();
    let mut seen = Evidence::new(&rules, None, T);
    let names = Names { sentinels: Some(vec![sen(1)]), servers: None };
    seen.note_names(&names, &rules, T);
    assert_eq!(seen.sentinel_majority(rules.quorum, T), 2, "at least quorum");
    let five = sentinel_of(1, &[1, 2, 3, 4, 5], srv(2), 1);
    seen.note_sentinel(sen(1), T, Ok(five), rules.me, T);
    assert_eq!(seen.known_sentinels(rules.quorum, T), 5, "its rows and itself, down or not");
    assert_eq!(seen.sentinel_majority(rules.quorum, T), 3);
}

#[test]
fn sentinels_listed_in_the_settings_are_known() {
    let mut rules = rules();
    rules.sentinels_listed = (1..=5).map(sen).collect();
    let mut seen = Evidence::new(&rules, None, T);
    for n in 1..=2 {
        seen.note_sentinel(sen(n), T, Ok(sentinel_of(n, &[1, 2], srv(2), 1)), rules.me, T);
    }
    assert_eq!(seen.known_sentinels(rules.quorum, T), 5, "although the two that answer list only each other");
    assert!(!seen.majority_names(srv(2), rules.quorum, T));
}

#[test]
fn a_long_gone_row_counts_while_the_name_still_lists_it() {
    let rules = rules();
    // (what, down for, in the configured name, known)
    let rows = [
        ("just down", 10_000, false, 3),
        ("down for a minute, no longer in the name", 61_000, false, 2),
        ("down for a minute, still in the name", 61_000, true, 3),
    ];
    for (what, down, configured, known) in rows {
        let mut seen = Evidence::new(&rules, None, T);
        let list = if configured { vec![sen(1), sen(2), sen(3)] } else { vec![sen(1), sen(2)] };
        seen.note_names(&Names { sentinels: Some(list), servers: None }, &rules, T);
        for n in 1..=2 {
            let mut says = sentinel(n, srv(2), 1);
            for row in &mut says.rows.as_mut().unwrap().sentinels {
                if row.address == sen(3) {
                    row.down_for = Some(ms(down));
                }
            }
            seen.note_sentinel(sen(n), T, Ok(says), rules.me, T);
        }
        assert_eq!(seen.known_sentinels(rules.quorum, T), known, "{what}");
    }
}

#[test]
fn remembered_sentinels_count_only_while_fewer_than_quorum_answer() {
    let rules = rules();
    let old = record(crate::core::record::RecordedRole::Replica, Some(srv(2)));
    let mut seen = Evidence::new(&rules, Some(&old), T);
    assert_eq!(seen.known_sentinels(rules.quorum, T), 3, "from the state file");
    for n in 4..=5 {
        seen.note_names(&Names { sentinels: Some(vec![sen(4), sen(5)]), servers: None }, &rules, T);
        seen.note_sentinel(sen(n), T, Ok(sentinel_of(n, &[4, 5], srv(2), 1)), rules.me, T);
    }
    assert_eq!(seen.known_sentinels(rules.quorum, T), 2, "m23: all pods replaced under new names");
}

#[test]
fn one_sentinel_at_two_addresses_is_one() {
    let rules = rules();
    let mut seen = evidence(&rules);
    let names = Names { sentinels: Some(vec![sen(1), sen(9)]), servers: None };
    seen.note_names(&names, &rules, T);
    seen.note_sentinel(sen(1), T, Ok(sentinel(1, srv(2), 1)), rules.me, T);
    seen.note_sentinel(sen(9), T, Ok(sentinel(1, srv(2), 1)), rules.me, T);
    assert_eq!(seen.answering(T).count(), 1);
    assert!(!seen.majority_names(srv(2), rules.quorum, T));
}

#[test]
fn the_quorum_counts_as_half_of_all_that_one_which_names_us_ever_listed() {
    let rules = rules();
    let mut seen = evidence(&rules);
    seen.note_sentinel(sen(1), T, Ok(sentinel_of(1, &[1, 2, 3, 4, 5], srv(1), 1)), rules.me, T);
    seen.note_sentinel(sen(1), T, Ok(sentinel_of(1, &[1], srv(1), 1)), rules.me, T + ms(1));
    assert_eq!(seen.sentinel_majority(rules.quorum, T + ms(1)), 3, "a shrunken list does not lower it");
    let mut other = evidence(&rules);
    other.note_sentinel(sen(1), T, Ok(sentinel_of(1, &[1, 2, 3, 4, 5], srv(2), 1)), rules.me, T);
    other.note_sentinel(sen(1), T, Ok(sentinel_of(1, &[1], srv(2), 1)), rules.me, T + ms(1));
    assert_eq!(other.sentinel_majority(rules.quorum, T + ms(1)), 2, "one that names another does not raise it");
}

#[test]
fn m12_answers_that_overtook_each_other_are_put_right() {
    let mut sighting: Sighting<u8> = Sighting::default();
    sighting.note(Moment::millis(20), Ok(2));
    sighting.note(Moment::millis(10), Ok(1));
    assert_eq!(sighting.view_since(Moment::millis(0)), Some(&2));
    sighting.note(Moment::millis(15), Err(REFUSED));
    assert_eq!(sighting.view_since(Moment::millis(0)), Some(&2), "a late failure neither");
    sighting.note(Moment::millis(30), Err(SILENT));
    assert_eq!(sighting.view_since(Moment::millis(0)), None);
    assert_eq!(sighting.remembered(), Some((&2, Moment::millis(20))));
    sighting.note(Moment::millis(20), Ok(3));
    assert_eq!(sighting.view_since(Moment::millis(0)), None, "what was asked before the failure does not mend it");
}

#[test]
fn an_answer_proves_nothing_before_it_was_asked() {
    let mut sighting: Sighting<u8> = Sighting::default();
    sighting.note(Moment::millis(20), Ok(2));
    assert_eq!(sighting.view_since(Moment::millis(20)), Some(&2));
    assert_eq!(sighting.view_since(Moment::millis(21)), None);
}

#[test]
fn a_glance_keeps_the_rows_but_not_their_date() {
    let rules = rules();
    let mut seen = evidence(&rules);
    seen.note_sentinel(sen(1), T, Ok(sentinel(1, srv(2), 1)), rules.me, T);
    let later = T + ms(100);
    let mut glance = sentinel(1, srv(2), 1);
    glance.rows = None;
    seen.note_sentinel(sen(1), later, Ok(glance), rules.me, later);
    let entry = &seen.sentinels[&sen(1)];
    assert!(entry.seen.view_since(later).is_some_and(|seen| seen.rows.is_some()));
    assert_eq!(entry.rows_asked, Some(T));
    let mut other = sentinel(2, srv(2), 1);
    other.rows = None;
    seen.note_sentinel(sen(1), later, Ok(other), rules.me, later);
    let entry = &seen.sentinels[&sen(1)];
    assert!(entry.seen.view_since(later).is_some_and(|seen| seen.rows.is_none()), "another one behind this address");
}

#[test]
fn refused_is_evidence_only_where_http_has_answered_before() {
    let rules = rules();
    // (what, HTTP has answered before, server port, HTTP port, evidence)
    let rows = [
        ("both refuse", true, REFUSED, REFUSED, true),
        ("HTTP never answered", false, REFUSED, REFUSED, false),
        ("the server is silent", true, SILENT, REFUSED, false),
        ("HTTP is silent", true, REFUSED, SILENT, false),
    ];
    for (what, before, server_port, http_port, evident) in rows {
        let mut seen = evidence(&rules);
        seen.note_server(srv(2), T, Ok(server(2, master_role(&[]), 1)), None, T);
        if before {
            seen.note_supervisor(srv(2), T, Ok(supervisor(1)));
        }
        let later = T + ms(100);
        seen.note_server(srv(2), later, Err(server_port), None, later);
        seen.note_supervisor(srv(2), later, Err(http_port));
        assert_eq!(seen.refuses_everywhere(srv(2), later), evident, "{what}");
    }
}

#[test]
fn lists_from_the_network_have_a_limit() {
    let rules = rules();
    let mut seen = evidence(&rules);
    let mut says = sentinel(1, srv(2), 1);
    let rows = says.rows.as_mut().unwrap();
    for n in 0..=255 {
        rows.replicas.push(replica_row(crate::core::id::Address::new([10, 0, 0, n].into(), 6379)));
        let address = crate::core::id::Address::new([10, 0, 1, n].into(), 26379);
        rows.sentinels.push(SentinelRow { address, id: None, down_for: None });
    }
    seen.note_sentinel(sen(1), T, Ok(says), rules.me, T);
    assert!(seen.servers.len() <= 64 && seen.sentinels.len() <= 64);
}

#[test]
fn a6_the_elector_is_steady_only_while_it_names_the_same() {
    let rules = rules();
    let mut seen = evidence(&rules);
    let says = |name: &str| ElectorSeen { leader: vec![], name: name.into(), lease: false };
    seen.note_elector(T, Ok(says("a")));
    seen.note_elector(T + ms(300), Ok(says("a")));
    assert_eq!(seen.elector.steady_since, Some(T));
    seen.note_elector(T + ms(600), Ok(says("b")));
    assert_eq!(seen.elector.steady_since, Some(T + ms(600)));
    seen.note_elector(T + ms(900), Err(SILENT));
    assert_eq!(seen.elector.steady_since, None);
    seen.note_elector(T + ms(1200), Ok(says("b")));
    assert_eq!(seen.elector.steady_since, Some(T + ms(1200)), "one lost answer is not the end of it (M18)");
}

#[test]
fn m18_behind_one_address_sentinels_without_opinion_are_counted_by_id() {
    let rules = rules();
    let mut seen = Evidence::new(&rules, None, T);
    seen.note_names(&Names { sentinels: Some(vec![sen(9)]), servers: None }, &rules, T);
    let rows = [
        ("one", 0, Ok(bare(1)), Unknown::Silent),
        ("a second", 250, Ok(bare(2)), Unknown::NoOpinion),
        ("the second again", 500, Ok(bare(2)), Unknown::NoOpinion),
        ("a refusal is no opinion", 750, Err(REFUSED), Unknown::Silent),
        ("both were asked lately", 1000, Ok(bare(2)), Unknown::NoOpinion),
        ("the first was asked too long ago", 3000, Ok(bare(2)), Unknown::Silent),
        ("the first again", 3250, Ok(bare(1)), Unknown::NoOpinion),
    ];
    for (what, at, answer, then) in rows {
        let now = T + ms(at);
        seen.note_sentinel(sen(9), now, answer, rules.me, now);
        assert_eq!(verdict(&seen, &rules, Own::Other, now), Verdict::Unknown(then), "{what}");
    }
    let named = T + ms(3500);
    seen.note_sentinel(sen(9), named, Ok(sentinel(3, srv(2), 1)), rules.me, named);
    seen.note_sentinel(sen(9), named + ms(250), Ok(bare(1)), rules.me, named + ms(250));
    assert_eq!(seen.without_opinion(named + ms(250)), 1, "one of them names somebody");
}

#[test]
fn the_highest_epoch_is_anybodys_who_answers() {
    let rules = rules();
    let mut seen = evidence(&rules);
    seen.note_sentinel(sen(1), T, Ok(sentinel(1, srv(2), 4)), rules.me, T);
    seen.note_supervisor(srv(3), T, Ok(supervisor(7)));
    assert_eq!(seen.highest_epoch(T), Epoch(7));
}

/// In months many addresses come and go: whoever leaves the lists is forgotten here too.
#[test]
fn who_is_on_no_list_any_more_is_not_remembered_as_looked_at() {
    let mut world = World::replica();
    let looked_at = |world: &World, at| format!("{:?}", world.core.lookout).contains(&format!("{at:?}"));
    let (server, sentinel) = (srv(9), sen(9));
    let others = world.names.clone();
    world.names.servers.as_mut().unwrap().push(server);
    world.names.sentinels.as_mut().unwrap().push(sentinel);
    world.run(3_000);
    assert!(looked_at(&world, server) && looked_at(&world, sentinel));
    world.names = others;
    world.run(70_000);
    assert!(
        !world.core.evidence.servers.contains_key(&server) && !world.core.evidence.sentinels.contains_key(&sentinel)
    );
    assert!(!looked_at(&world, server) && !looked_at(&world, sentinel), "{:?}", world.core.lookout);
    assert!(looked_at(&world, srv(2)) && looked_at(&world, sen(1)));
}
