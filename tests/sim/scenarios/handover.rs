//! Planned handovers and what happens in the middle of them: C1, C11, C12, C13, M13, M28.

use super::named;
use crate::faults::Fault;
use crate::net::Cut;
use crate::world::{HostId, MS, SEC, World};

/// Starts a handover and runs until the old master has let go: (old, Sentinel, candidate).
pub fn until_released(w: &mut World) -> Option<(HostId, HostId, HostId)> {
    let m = w.the_master();
    w.inflict(&Fault::Handover { h: m, to: None });
    w.within(5 * SEC, "a release", |w| w.released(m))?;
    let (t, c) = w.proposal()?;
    Some((m, t, c))
}

#[test]
fn c1_sigterm_hands_over_without_loss() {
    named(
        "c1_sigterm",
        |_| {},
        |w| {
            let m = w.the_master();
            let start = w.now;
            w.inflict(&Fault::Term { h: m, back_after: 4 * SEC });
            w.within(20 * SEC, "it exits", |w| !w.hosts[m].sup_proc.alive);
            let took = w.now - start;
            w.must(took <= 5 * SEC, &format!("SIGTERM to exit took {} ms", took / MS));
            w.settle(30 * SEC, 2 * SEC);
            let gap = w.gap();
            w.must(gap <= 600 * MS, &format!("longest gap {} ms", gap / MS));
            w.nothing_lost();
        },
    );
}

#[test]
fn m13_failover_typed_eight_times_in_a_row() {
    named(
        "m13_failover",
        |_| {},
        |w| {
            for n in 0..8 {
                w.reset_gap();
                let before = w.the_master();
                let t = w.config.servers + w.rng.below(3) as usize;
                w.inflict(&Fault::TypedFailover(t));
                w.run_for(14 * SEC);
                let gap = w.gap();
                w.must(gap <= 600 * MS, &format!("failover {n}: longest gap {} ms", gap / MS));
                let after = w.the_master();
                w.must(before != after, &format!("failover {n}: nothing changed"));
            }
            w.nothing_lost();
        },
    );
}

#[test]
fn c1_operator_handover_to_a_chosen_one() {
    named(
        "c1_operator",
        |_| {},
        |w| {
            let m = w.the_master();
            let to = (m + 1) % w.config.servers;
            w.inflict(&Fault::Handover { h: m, to: Some(to) });
            w.run_for(10 * SEC);
            let now = w.the_master();
            w.must(now == to, "the one that was asked for leads");
            let gap = w.gap();
            w.must(gap <= 600 * MS, &format!("longest gap {} ms", gap / MS));
            w.nothing_lost();
        },
    );
}

#[test]
fn c11_candidates_answer_is_lost() {
    named(
        "c11_candidates",
        |_| {},
        |w| {
            let Some((m, _, c)) = until_released(w) else { return };
            let first = w.server(m).map(|s| s.paused_until);
            w.cut_between(&[m], &[c], Cut::Drop);
            w.run_for(6 * SEC);
            let paused = w.server(m).is_some_and(|s| s.paused_until > w.now && Some(s.paused_until) == first);
            w.must(!paused, "paused for longer than down-after");
            w.nothing_lost();
        },
    );
}

#[test]
fn c11_candidate_dies_before_it_led() {
    named(
        "c11_candidate_dies_before",
        |_| {},
        |w| {
            let Some((m, _, c)) = until_released(w) else { return };
            let first = w.server(m).map(|s| s.paused_until);
            let silent = w.rng.chance(500);
            w.inflict(&Fault::KillPod { h: c, back_after: 20 * SEC, silent });
            w.run_for(5 * SEC + 100 * MS);
            let paused = w.server(m).is_some_and(|s| s.paused_until > w.now && Some(s.paused_until) == first);
            w.must(!paused, "paused for longer than down-after");
            // S gives up after failover-timeout, and "named again" must hold for another one.
            w.within(20 * SEC, "writable again", World::writable);
            w.nothing_lost();
        },
    );
}

#[test]
fn c11_candidate_dies_after_it_led() {
    named(
        "c11_candidate_dies_after",
        |_| {},
        |w| {
            let Some((m, _, c)) = until_released(w) else { return };
            let first = w.server(m).map(|s| s.paused_until);
            w.within(3 * SEC, "it leads", |w| w.other_master(m).is_some());
            w.inflict(&Fault::KillPod { h: c, back_after: 20 * SEC, silent: false });
            w.run_for(5 * SEC + 100 * MS);
            let paused = w.server(m).is_some_and(|s| s.paused_until > w.now && Some(s.paused_until) == first);
            w.must(!paused, "paused for longer than down-after");
            w.within(30 * SEC, "writable again", World::writable);
            w.nothing_lost();
        },
    );
}

#[test]
fn c12_old_master_dies_after_the_release_with_a_reset() {
    named(
        "c12_old_master_dies_after_the_release_with_a_reset",
        |_| {},
        |w| {
            let Some((m, _, _)) = until_released(w) else { return };
            w.inflict(&Fault::KillPod { h: m, back_after: 15 * SEC, silent: false });
            w.within(2 * SEC, "writable again", World::writable);
            w.nothing_lost();
        },
    );
}

#[test]
fn c12_old_master_dies_after_the_release_in_silence() {
    named(
        "c12_old_master_dies_after_the_release_in_silence",
        |_| {},
        |w| {
            let Some((m, _, _)) = until_released(w) else { return };
            w.inflict(&Fault::KillPod { h: m, back_after: 25 * SEC, silent: true });
            w.within(7 * SEC, "writable again", World::writable);
            w.nothing_lost();
        },
    );
}

/// The promise: 2 s where its address answers with a reset, whatever step it dies in.
#[test]
fn m11_master_and_supervisor_die_at_any_step() {
    named(
        "m11_master_and_supervisor",
        |c| c.think_ms = 5,
        |w| {
            let m = w.the_master();
            let wait = w.rng.below(3 * SEC);
            w.run_for(wait);
            let to = w.rng.chance(500).then_some((m + 1) % w.config.servers);
            w.inflict(&Fault::Handover { h: m, to });
            let wait = w.rng.below(1500 * MS);
            w.step_until(wait, |w| w.other_master(m).is_some());
            w.killed_with_a_reset(m, 2 * SEC);
        },
    );
}

#[test]
fn c13_another_sentinel_starts_its_own_during_a_handover() {
    named(
        "c13_another",
        |_| {},
        |w| {
            let m = w.the_master();
            w.inflict(&Fault::Handover { h: m, to: None });
            w.within(5 * SEC, "a proposal", |w| w.proposal().is_some());
            let Some((t, _)) = w.proposal() else { return };
            let wait = w.rng.below(1200 * MS);
            w.run_for(wait);
            let other = w.sentinels().find(|&x| x != t).unwrap_or(t);
            w.inflict(&Fault::TypedFailover(other));
            w.inflict(&Fault::KillPod { h: m, back_after: 12 * SEC, silent: false });
            w.within(10 * SEC, "writable again", |w| w.writable() && w.other_master(m).is_some());
            w.repair();
            w.settle(120 * SEC, 2 * SEC);
        },
    );
}

#[test]
fn m28_sigterm_to_master_and_candidate_together() {
    named(
        "m28_sigterm_to_master_and",
        |_| {},
        |w| {
            let m = w.the_master();
            let c = (m + 1) % w.config.servers;
            w.inflict(&Fault::Term { h: m, back_after: 20 * SEC });
            let wait = if w.rng.chance(500) { 0 } else { w.rng.below(500 * MS) };
            w.run_for(wait);
            w.inflict(&Fault::Term { h: c, back_after: 20 * SEC });
            w.within(60 * SEC, "both exit", |w| !w.hosts[m].sup_proc.alive && !w.hosts[c].sup_proc.alive);
            w.nothing_lost();
        },
    );
}

#[test]
fn m28_sigterm_to_all_three_at_once() {
    named(
        "m28_sigterm_to_all",
        |_| {},
        |w| {
            for h in w.servers() {
                w.stop_pod(h);
            }
            w.within(60 * SEC, "all exit", |w| w.servers().all(|h| !w.hosts[h].sup_proc.alive));
            w.run_for(3 * SEC);
            w.nothing_lost();
        },
    );
}
