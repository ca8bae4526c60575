//! Split brain and wrong topologies (F2 to F4), and a cluster without any Sentinel.

use super::world::*;
use crate::core::action::{Action, ChildOrder, Expecting};
use crate::core::id::Epoch;
use crate::core::message::PeerMessage;
use crate::core::record::{Record, RecordedRole};
use crate::core::rules::{ElectorRule, Rules};
use crate::core::seen::{ElectorSeen, Failure, Link, RoleSeen};
use crate::core::status::Answer;
use crate::core::verdict::Verdict;

fn is_conflict(answer: &Answer) -> bool {
    matches!(answer, Answer::No(why) if why.starts_with("conflict"))
}

// Two masters.

#[test]
fn f2_two_masters_and_no_majority_both_stay_and_nobody_is_ready() {
    let mut world = World::master();
    for n in 1..=3 {
        world.sentinels.insert(sen(n), Ok(bare(n)));
    }
    world.servers.insert(srv(2), Ok(server(2, master_role(&[]), 1000)));
    world.run(20_000);
    assert!(matches!(world.core.verdict, Verdict::Conflict { .. }), "{:?}", world.core.verdict);
    assert!(world.leads() && !world.ordered(is_follow), "we gave way by guess");
    let probes = world.core.probes();
    assert!(is_conflict(&probes.ready) && is_conflict(&probes.master), "{probes:?}");
    let said = world.done.iter().filter(|(_, action)| matches!(action, Action::Log(line) if line.event == "conflict"));
    assert_eq!(said.count(), 1);
}

#[test]
fn f2_a_replica_of_one_of_two_masters_stays_and_says_so() {
    let mut world = World::replica();
    for n in 1..=3 {
        world.sentinels.insert(sen(n), Ok(bare(n)));
    }
    world.servers.insert(srv(3), Ok(server(3, master_role(&[]), 5000)));
    world.run(20_000);
    assert!(!world.ordered(is_follow) && !world.ordered(is_lead));
    assert_eq!(world.following(), Some(srv(2)));
    assert!(is_conflict(&world.core.probes().ready));
}

#[test]
fn f2_a_majority_says_which_side_is_right() {
    let mut world = World::master();
    for n in 1..=3 {
        world.sentinels.insert(sen(n), Ok(sentinel(n, srv(2), 2)));
    }
    world.servers.insert(srv(2), Ok(server(2, master_role(&[]), 1000)));
    world.run(3_000);
    let order = world.orders().into_iter().find(is_follow);
    assert_eq!(order, Some(ChildOrder::Follow { master: srv(2), expecting: Expecting::Master }));
}

#[test]
fn f3_a_server_promoted_while_we_wait_is_left_alone() {
    let mut world = World::replica();
    world.holds = is_follow;
    world.lose(srv(2), SILENT);
    world.run(3_000);
    // The Sentinels have promoted server 3 meanwhile: we only ever command our own child.
    world.servers.insert(srv(3), Ok(server(3, master_role(&[]), 1000)));
    for n in 1..=3 {
        world.sentinels.insert(sen(n), Ok(sentinel(n, srv(3), 2)));
    }
    world.run(3_000);
    assert_eq!(world.following(), Some(srv(3)));
    assert!(world.failovers().is_empty() && !world.ordered(is_lead));
    assert!(world.messages(tells_lead).is_empty());
}

#[test]
fn f4_while_a_failover_runs_nothing_is_healed() {
    let mut world = World::replica();
    world.lose(srv(2), SILENT);
    world.propose(1, srv(3));
    world.run(2_000);
    assert!(!world.ordered(is_follow) && !world.ordered(is_lead), "{:?}", world.orders());
    assert!(world.failovers().is_empty());
}

#[test]
fn f2_a_replica_promoted_by_hand_is_pulled_back_and_what_it_took_is_kept_once() {
    let mut world = World::replica();
    world.run(2_000);
    world.forget();
    if let Ok(seen) = &mut world.child {
        seen.role = master_role(&[]);
        seen.history.second = Some((seen.history.id.clone(), seen.history.offset));
        seen.history.id = "h2".into();
    }
    world.run(10_000);
    let mut orders: Vec<ChildOrder> =
        world.orders().into_iter().filter(|order| !matches!(order, ChildOrder::Priority(_))).collect();
    orders.dedup();
    let follow = ChildOrder::Follow { master: srv(2), expecting: Expecting::Master };
    assert_eq!(orders.get(..3), Some(&[ChildOrder::Fence, ChildOrder::Keep, follow][..]), "{orders:?}");
    assert_eq!(orders.iter().filter(|order| **order == ChildOrder::Keep).count(), 1, "{orders:?}");
}

#[test]
fn f2_nobody_is_followed_before_everybody_was_asked() {
    let mut world = World::new(rules(), None);
    for n in 1..=3 {
        world.sentinels.insert(sen(n), Ok(bare(n)));
    }
    world.servers.insert(srv(2), Ok(server(2, master_role(&[]), 1000)));
    world.servers.insert(srv(3), Ok(server(3, master_role(&[]), 1000)));
    world.run(10_000);
    assert!(!world.ordered(is_follow), "{:?}", world.orders());
    assert!(matches!(world.core.verdict, Verdict::Conflict { .. }), "{:?}", world.core.verdict);
}

#[test]
fn f6_a_chain_and_a_cycle_are_flattened_once() {
    for of in [3, 1] {
        let mut world = World::replica();
        if let Ok(seen) = &mut world.child {
            seen.role = RoleSeen::Replica { master: Some(srv(3)), link: Link::Up };
        }
        world.servers.insert(srv(3), Ok(server(3, replica_role(srv(if of == 3 { 2 } else { 1 })), 1000)));
        world.run(30_000);
        let follows: Vec<ChildOrder> = world.orders().into_iter().filter(is_follow).collect();
        assert_eq!(follows.len(), 1, "once, without a flap: {follows:?}");
        assert!(matches!(follows[0], ChildOrder::Follow { master, .. } if master == srv(2)));
    }
}

#[test]
fn f6_a_master_that_is_made_a_replica_by_hand_leads_again() {
    for link in [Link::Down, Link::Syncing, Link::Up] {
        let mut world = World::master();
        if let Ok(seen) = &mut world.child {
            seen.role = RoleSeen::Replica { master: Some(srv(2)), link };
        }
        world.run(1_500);
        let kill = |order: &ChildOrder| matches!(order, ChildOrder::Kill);
        // Who has got the other's data does not lead with them.
        assert_eq!((world.ordered(is_lead), world.ordered(kill)), (link == Link::Down, link != Link::Down), "{link:?}");
        if link == Link::Down {
            world.attach(&[srv(2), srv(3)]);
            world.run(3_000);
            assert!(world.leads() && world.fence().is_none(), "{:?}", world.fence());
            assert_eq!(world.orders().iter().filter(|order| is_lead(order)).count(), 1, "once");
        }
    }
}

// No Sentinels at all.

fn without_sentinels(elector: ElectorRule) -> Rules {
    let mut rules = rules();
    (rules.sentinels_configured, rules.elector, rules.quorum) = (false, elector, 2);
    rules
}

pub(super) fn names(n: u8) -> Result<ElectorSeen, Failure> {
    Ok(ElectorSeen { leader: vec![srv(n).ip()], name: format!("pod-{n}"), lease: true })
}

/// We follow server 2, as server 3 does; the elector's lease is server `n`'s, if any.
fn replica(lease: Option<u8>) -> World {
    replica_of_record(lease, record(RecordedRole::Replica, Some(srv(2))))
}

/// The same, with this state file.
pub(super) fn replica_of_record(lease: Option<u8>, kept: Record) -> World {
    let elector = lease.map_or(ElectorRule::None, |_| ElectorRule::Explicit);
    let mut world = World::new(without_sentinels(elector), recovered(kept));
    world.healthy(srv(2), 0);
    world.sentinels.clear();
    world.names.sentinels = None;
    world.core.evidence.sentinels.clear();
    world.elector = lease.map_or(Err(SILENT), names);
    world.run(3_000);
    assert_eq!(world.following(), Some(srv(2)), "{:?}", world.core.verdict);
    world.forget();
    world
}

/// Server 3 reports each second that it finds no master; when we led, if within `seconds`.
pub(super) fn leads_within(world: &mut World, seconds: u64) -> Option<u64> {
    for second in 0..seconds {
        let mut made = report(3, 900);
        made.rank.epoch = Epoch(0);
        made.has_state = true;
        world.ask(srv(3), PeerMessage::Report(Box::new(made)));
        world.run(1_000);
        if world.leads() || world.ordered(is_lead) {
            return Some(second);
        }
    }
    None
}

#[test]
fn without_sentinels_a_master_that_everybody_finds_gone_is_replaced_at_once() {
    for lease in [None, Some(1), Some(2)] {
        let mut world = replica(lease);
        world.lose(srv(2), REFUSED);
        let took = leads_within(&mut world, 10);
        assert!(took.is_some_and(|took| took <= 4), "lease {lease:?}: {took:?}, {:?}", world.core.vote.why());
    }
}

#[test]
fn without_sentinels_silence_is_waited_out() {
    for lease in [None, Some(1)] {
        let mut world = replica(lease);
        world.lose(srv(2), SILENT);
        let took = leads_within(&mut world, 60);
        assert!(took.is_some_and(|took| took >= 25), "lease {lease:?}: {took:?}, {:?}", world.core.vote.why());
    }
}

#[test]
fn f2_without_sentinels_nobody_leads_beside_a_lease_that_may_hold() {
    // The master, cut off from the servers, goes on by its lease; or the elector cannot say.
    for (what, says) in [
        ("its lease is the master's", names(2)),
        ("the elector is silent", Err(SILENT)),
        ("its lease is one's that was only spoken of", names(9)),
    ] {
        let mut world = replica(Some(2));
        world.lose(srv(2), SILENT);
        world.elector = says;
        assert_eq!(leads_within(&mut world, 60), None, "{what}");
        world.elector = names(1);
        assert!(leads_within(&mut world, 10).is_some(), "{what}: the lease has moved: {:?}", world.core.vote.why());
    }
}

/// We lead by a vote, followed by 2 and 3; the elector's lease is server 3's.
pub(super) fn master_without_sentinels() -> World {
    let mut world = World::new(without_sentinels(ElectorRule::Explicit), None);
    world.sentinels.clear();
    world.names.sentinels = None;
    world.elector = names(3);
    for n in [2, 3] {
        world.servers.insert(srv(n), Ok(server(n, replica_role(srv(1)), 1000)));
        world.supervisors.insert(srv(n), Ok(supervisor(0)));
    }
    world.child = Ok(child(master_role(&[srv(2), srv(3)]), 1000));
    world.core.start_leading(
        crate::core::course::Basis::Vote { without_sentinels: true },
        crate::core::id::AttemptId("t".into()),
        "made".into(),
    );
    world.peers = |_, message| tells_led(message).then_some(crate::core::message::PeerAnswer::Following);
    world.run(3_000);
    assert!(world.leads() && world.fence().is_none(), "{:?}", world.fence());
    world
}

#[test]
fn m12_without_sentinels_resets_of_those_only_spoken_of_do_not_fence() {
    let mut world = master_without_sentinels();
    for n in 6..=9 {
        world.servers.insert(srv(n), Err(REFUSED));
    }
    let mut stray = report(9, 1000);
    stray.servers = (6..=9).map(srv).collect();
    world.request(Some(srv(9)), PeerMessage::Report(Box::new(stray)));
    world.run(5_000);
    assert_eq!(world.fence(), None, "four refuse, of three");
}

#[test]
fn f1_without_sentinels_a_fenced_master_follows_whom_most_servers_follow() {
    // (server 3 stands behind it, we are fenced, we follow)
    for (behind, cut, follows) in [(true, true, true), (false, true, false), (true, false, false)] {
        let mut world = master_without_sentinels();
        if cut {
            for n in [2, 3] {
                world.lose(srv(n), SILENT);
            }
            world.run(5_000);
            assert!(world.fence().is_some(), "not fenced");
        }
        let of = if behind { srv(2) } else { srv(1) };
        world.servers.insert(srv(2), Ok(server(2, master_role(&[srv(3)]), 2000)));
        world.servers.insert(srv(3), Ok(server(3, replica_role(of), 2000)));
        world.run(1_000);
        assert_eq!(world.ordered(is_follow), follows, "behind {behind}, cut off {cut}");
    }
}

#[test]
fn f2_a_lease_that_comes_to_a_fenced_master_does_not_unfence_it() {
    let mut world = master_without_sentinels();
    for n in [2, 3] {
        world.lose(srv(n), SILENT);
    }
    world.run(3_000);
    assert!(world.fence().is_some(), "cut off, and the lease is another's");
    world.elector = names(1);
    world.run(30_000);
    assert!(world.fence().is_some(), "a majority of the servers may have voted in another meanwhile");
}
