//! The world against measured facts: bare servers and Sentinels, no supervisor (facts, sections 1, 2, 11, 12).

use crate::config::Config;
use crate::faults::Fault;
use crate::invariants;
use crate::world::{HostId, MS, SEC, Which, World};

fn warm(seed: u64, gated: bool) -> World {
    let mut w = World::bare(Config::new(seed), gated);
    w.run_for(15 * SEC);
    assert_eq!(w.master(), Some(0));
    assert!(w.clients.ledger.len() > 500, "writers write: {}", w.clients.ledger.len());
    w
}

fn majority_names(w: &World, h: HostId) -> bool {
    let a = w.address(h);
    let n = w.sentinels().filter(|&t| w.sentinel(t).is_some_and(|s| s.m.as_ref().is_some_and(|m| m.named() == a)));
    n.count() * 2 > w.config.sentinels
}

fn median(mut v: Vec<u64>) -> u64 {
    v.sort_unstable();
    v[v.len() / 2]
}

/// A plain FAILOVER promotes at 0.19 s, is named at 1.1 s, demotes the old master after 8 to 14 s, and loses writes.
#[test]
fn model_plain_failover_loses_writes() {
    let (mut promoted, mut named, mut demoted) = (vec![], vec![], vec![]);
    for seed in 0..9 {
        let mut w = warm(seed, false);
        let t = w.config.servers + (seed % 3) as usize;
        let start = w.now;
        w.inflict(&Fault::TypedFailover(t));
        let took = w.run_until(3 * SEC, |w| (1..3).any(|h| w.server(h).is_some_and(|s| s.is_master())));
        promoted.push(took.expect("promoted") / MS);
        let new = (1..3).find(|&h| w.server(h).is_some_and(|s| s.is_master())).expect("one");
        let _ = w.run_until(5 * SEC, |w| majority_names(w, new)).expect("named");
        named.push((w.now - start) / MS);
        let _ = w.run_until(30 * SEC, |w| !w.server(0).is_some_and(|s| s.is_master())).expect("demoted");
        demoted.push((w.now - start) / MS);
        w.run_for(5 * SEC);
        assert!(!w.lost_on(new).is_empty(), "seed {seed}: the old master went on acknowledging");
    }
    let (p, n, d) = (median(promoted), median(named), median(demoted));
    assert!((120..400).contains(&p), "promoted after {p} ms, measured 194");
    assert!((1000..1400).contains(&n), "named after {n} ms, measured 1118");
    assert!((8_000..15_000).contains(&d), "demoted after {d} ms, measured 11,200");
}

/// kill -9 of the master: named after down-after + 1.2 s (6.2 s).
#[test]
fn model_detection_takes_down_after_and_a_bit() {
    let mut named = vec![];
    for seed in 0..9 {
        let mut w = warm(seed, false);
        w.inflict(&Fault::KillChild(0));
        let took = w.run_until(20 * SEC, |w| (1..3).any(|h| majority_names(w, h))).expect("named");
        named.push(took / MS);
    }
    let n = median(named.clone());
    assert!((5_900..6_700).contains(&n), "named after {n} ms, measured 6204: {named:?}");
}

/// FAILOVER on a master that is dead but not yet s_down: named after 1.1 s.
#[test]
fn model_early_failover_is_the_fast_path() {
    let mut named = vec![];
    for seed in 0..9 {
        let mut w = warm(seed, false);
        w.inflict(&Fault::KillChild(0));
        w.run_for(3 * MS);
        w.inflict(&Fault::TypedFailover(3));
        let took = w.run_until(20 * SEC, |w| (1..3).any(|h| majority_names(w, h))).expect("named");
        named.push(took / MS);
    }
    let n = median(named.clone());
    assert!((950..1_400).contains(&n), "named after {n} ms, measured 1096: {named:?}");
}

/// Behind the gate nothing is promoted; the proposal stands for failover-timeout and nothing has changed afterwards.
#[test]
fn model_gate_holds_a_promotion() {
    let mut w = warm(1, true);
    w.inflict(&Fault::TypedFailover(4));
    w.run_for(SEC);
    let promoted = |w: &World| w.sentinel(4).and_then(|s| s.m.as_ref()).and_then(|m| m.promoted);
    assert!(promoted(&w).is_some(), "a proposal");
    let took = w.run_until(20 * SEC, |w| promoted(w).is_none()).expect("ends");
    assert!((8_500..10_000).contains(&(took / MS)), "after {} ms more, measured 10.3 s in all", took / MS);
    w.run_for(20 * SEC);
    assert_eq!(w.master(), Some(0));
    assert!(w.lost_on(0).is_empty());
}

/// Two Sentinels propose different replicas at one epoch; one of them leads: all three agree, the other is dropped.
#[test]
fn model_equal_epochs_converge_behind_the_gate() {
    let mut different = 0;
    for seed in 0..20 {
        let mut w = warm(seed, true);
        for (t, not) in [(3, 1), (4, 2)] {
            let (not, now) = (w.address(not), w.now);
            let s = w.sentinel_mut(t).expect("runs");
            let i = s.m.as_mut().expect("monitors").replicas.get_mut(&not).expect("listed");
            (i.connected, i.last_reconnect) = (false, now);
            w.inflict(&Fault::TypedFailover(t));
        }
        w.run_for(250 * MS);
        let chosen = |w: &World, t: HostId| w.sentinel(t).and_then(|s| s.m.as_ref()).and_then(|m| m.promoted);
        let (Some(a), Some(b)) = (chosen(&w, 3), chosen(&w, 4)) else { continue };
        if a == b {
            continue;
        }
        different += 1;
        let leader = w.host_at(a).expect("a server");
        w.end_child(0, redinit::core::event::ChildExit::Signal(9));
        w.lead(leader);
        let agreed = w.run_until(4 * SEC, |w| {
            w.sentinels().all(|t| w.sentinel(t).is_some_and(|s| s.m.as_ref().is_some_and(|m| m.named() == a)))
        });
        assert!(agreed.is_some(), "seed {seed}: all agree on {a}");
        w.run_for(15 * SEC);
        assert!(majority_names(&w, leader));
    }
    assert!(different >= 3, "different proposals happened in {different} of 20");
}

/// A Sentinel that slept is in TILT for 30 s: it says OK to FAILOVER and acts when TILT ends (M2).
#[test]
fn model_tilt_acts_late() {
    let mut w = warm(2, true);
    w.freeze(3, Which::Child);
    w.run_for(3 * SEC);
    w.thaw(3, Which::Child);
    w.run_for(500 * MS);
    assert!(w.sentinel(3).is_some_and(|s| s.tilt()));
    w.inflict(&Fault::TypedFailover(3));
    let proposed = |w: &World| w.sentinel(3).is_some_and(|s| s.m.as_ref().is_some_and(|m| m.promoted.is_some()));
    let took = w.run_until(60 * SEC, proposed).expect("acts in the end");
    assert!((28 * SEC..33 * SEC).contains(&took), "after {} ms", took / MS);
}

/// INFO refused from before the command: the promotion is seen within a tick (facts 1c).
#[test]
fn model_quickened_promotion_is_seen_at_once() {
    let mut named = vec![];
    for seed in 0..9 {
        let mut w = warm(seed, true);
        w.run_for(1_500 * MS);
        for h in 1..3 {
            w.server_mut(h).expect("runs").info_refused = true;
        }
        w.inflict(&Fault::TypedFailover(5));
        let promoted = |w: &World| w.sentinel(5).and_then(|s| s.m.as_ref()).and_then(|m| m.promoted);
        w.run_until(2 * SEC, |w| promoted(w).is_some()).expect("proposed");
        let new = w.host_at(promoted(&w).expect("one")).expect("a server");
        w.run_for(1_100 * MS);
        w.lead(new);
        for h in 1..3 {
            w.server_mut(h).expect("runs").info_refused = false;
        }
        named.push(w.run_until(3 * SEC, |w| majority_names(w, new)).expect("named") / MS);
    }
    let n = median(named.clone());
    assert!(n <= 200, "named after {n} ms, measured 100 to 170: {named:?}");
}

/// A silent master: the replicas' links stay up; a link that is cut comes back partially.
#[test]
fn model_silence_leaves_links_up() {
    let mut w = warm(3, true);
    w.freeze(0, Which::Child);
    w.run_for(8 * SEC);
    assert_eq!(w.server(1).expect("runs").link_seen(), redinit::core::seen::Link::Up);
    w.break_link(1);
    w.run_for(SEC);
    assert_ne!(w.server(1).expect("runs").link_seen(), redinit::core::seen::Link::Up);
    w.thaw(0, Which::Child);
    w.run_for(3 * SEC);
    assert_eq!(w.server(1).expect("runs").link_seen(), redinit::core::seen::Link::Up);
    assert!(w.lost_on(0).is_empty());
}

/// A pause longer than down-after freezes Sentinel's link and brings `s_down` (facts 1).
#[test]
fn model_long_pause_brings_s_down() {
    let mut w = warm(4, true);
    w.pause(0, 12 * SEC);
    let s_down = |w: &World| w.sentinel(3).is_some_and(|s| s.m.as_ref().is_some_and(|m| m.inst.s_down()));
    let took = w.run_until(12 * SEC, s_down).expect("s_down");
    assert!((5 * SEC..8_200 * MS).contains(&took), "after {} ms, measured 6.9 to 7.1 s", took / MS);
    let mut w = warm(5, true);
    w.pause(0, 4 * SEC);
    assert!(w.run_until(8 * SEC, s_down).is_none(), "4 s at down-after 5 s: nothing");
}

/// A replica of a replica learns the history that begins when the middle one is promoted (measured with 7.0.15).
#[test]
fn model_a_promoted_replica_tells_its_own_replicas() {
    let mut w = warm(3, false);
    let middle = w.address(1);
    w.follow(2, Some(middle));
    w.run_for(5 * SEC);
    w.lead(1);
    w.run_for(3 * SEC);
    let history = |h: HostId| w.server(h).map(|s| s.replid);
    assert_eq!(history(2), history(1));
}

/// The same seed is the same run.
#[test]
fn model_is_deterministic() {
    let run = |seed| {
        let mut w = warm(seed, false);
        w.inflict(&Fault::TypedFailover(3));
        w.run_for(20 * SEC);
        (w.steps, w.clients.ledger.len(), w.now)
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7).0, run(8).0);
    let _ = invariants::settled;
}
