//! Late, doubled and stalled: M2, M3, M10, M12, M19, M29.

use super::handover::until_released;
use super::named;
use crate::faults::Fault;
use crate::net::Cut;
use crate::world::{MS, SEC, Which, World};

#[test]
fn m2_sentinel_in_tilt_acts_half_a_minute_later() {
    named(
        "m2_sentinel_in_tilt",
        |_| {},
        |w| {
            let t = w.config.servers + w.rng.below(3) as usize;
            w.freeze(t, Which::Child);
            w.run_for(3 * SEC);
            w.thaw(t, Which::Child);
            w.run_for(SEC);
            w.inflict(&Fault::TypedFailover(t));
            w.run_for(50 * SEC);
            w.nothing_lost();
        },
    );
}

#[test]
fn m2_sentinel_frozen_with_the_command_queued() {
    named(
        "m2_sentinel_frozen",
        |_| {},
        |w| {
            let t = w.config.servers + w.rng.below(3) as usize;
            w.freeze(t, Which::Child);
            w.inflict(&Fault::TypedFailover(t));
            let asleep = w.rng.range(SEC, 30 * SEC);
            w.run_for(asleep);
            w.thaw(t, Which::Child);
            w.run_for(50 * SEC);
            w.nothing_lost();
        },
    );
}

#[test]
fn m3_sentinels_order_arrives_after_the_handover_was_called_off() {
    named(
        "m3_sentinels_order",
        |_| {},
        |w| {
            let m = w.the_master();
            w.inflict(&Fault::Handover { h: m, to: None });
            w.within(5 * SEC, "a proposal", |w| w.proposal().is_some());
            let Some((_, c)) = w.proposal() else { return };
            w.inflict(&Fault::FreezeChild(c, 2 * SEC));
            w.run_for(30 * SEC);
            w.nothing_lost();
        },
    );
}

/// The other one leads, also where the sleeper holds a little more and every Sentinel chooses it.
#[test]
fn f3_the_master_dies_while_a_replicas_supervisor_sleeps() {
    for (silent, behind) in [(false, false), (false, true), (true, false), (true, true)] {
        named(
            "f3_a_replicas_supervisor_sleeps",
            |_| {},
            |w| {
                let m = w.the_master();
                let mut replicas = w.servers().filter(|h| *h != m);
                let (Some(sleeper), Some(other)) = (replicas.next(), replicas.next()) else { return };
                w.unplanned = true;
                w.inflict(&Fault::FreezeSup(sleeper, 90 * SEC));
                if behind {
                    w.inflict(&Fault::OneWay { from: m, to: other, cut: Cut::Drop, lasting: 2 * SEC });
                }
                let before = w.rng.range(100 * MS, SEC);
                w.run_for(before);
                let back_after = w.rng.range(50 * SEC, 90 * SEC);
                w.inflict(&Fault::KillPod { h: m, back_after, silent });
                w.within(40 * SEC, "somebody leads", World::writable);
                w.must(w.master() == Some(other), "the sleeper leads");
            },
        );
    }
}

#[test]
fn m10_old_masters_supervisor_frozen_right_after_the_release() {
    named(
        "m10_old_masters",
        |_| {},
        |w| {
            let Some((m, _, _)) = until_released(w) else { return };
            w.inflict(&Fault::FreezeSup(m, 10 * SEC));
            w.run_for(25 * SEC);
            w.nothing_lost();
        },
    );
}

#[test]
fn m12_messages_doubled_delayed_crossed() {
    named(
        "m12_messages",
        |_| {},
        |w| {
            w.inflict(&Fault::Doubled(800));
            for h in w.servers() {
                w.inflict(&Fault::Loss { h, permille: 100, lasting: 60 * SEC });
            }
            for _ in 0..4 {
                let m = w.the_master();
                w.inflict(&Fault::Handover { h: m, to: None });
                let wait = w.rng.range(500 * MS, 12 * SEC);
                w.run_for(wait);
            }
            w.nothing_lost();
        },
    );
}

#[test]
fn m19_candidates_supervisor_frozen_at_every_step() {
    for step_ms in [0, 40, 150, 400, 800, 1_000, 1_100, 1_250, 1_500] {
        named(
            "m19_candidates",
            |_| {},
            |w| {
                let m = w.the_master();
                w.inflict(&Fault::Handover { h: m, to: None });
                w.within(5 * SEC, "a proposal", |w| w.proposal().is_some());
                let Some((_, c)) = w.proposal() else { return };
                w.run_for(step_ms * MS);
                w.inflict(&Fault::FreezeSup(c, 8 * SEC));
                w.run_for(20 * SEC);
                w.nothing_lost();
            },
        );
    }
}

#[test]
fn m19_candidates_supervisor_frozen_at_the_release() {
    named(
        "m19_candidates_supervisor_frozen_at_the_release",
        |_| {},
        |w| {
            let Some((_, _, c)) = until_released(w) else { return };
            w.inflict(&Fault::FreezeSup(c, 8 * SEC));
            w.run_for(20 * SEC);
            w.nothing_lost();
        },
    );
}

#[test]
fn m29_candidates_machine_stalls_with_the_order_to_lead_in_its_socket() {
    named(
        "m29_candidates",
        |_| {},
        |w| {
            let Some((_, _, c)) = until_released(w) else { return };
            // The answer is under way; somewhere between it and the order the machine stands still.
            let wait = w.rng.below(3 * MS);
            w.run_for(wait);
            w.inflict(&Fault::FreezePod(c, 10 * SEC));
            w.run_for(40 * SEC);
            w.nothing_lost();
        },
    );
}

#[test]
fn m29_only_the_candidates_server_stalls() {
    named(
        "m29_only",
        |_| {},
        |w| {
            let Some((_, _, c)) = until_released(w) else { return };
            let wait = w.rng.below(2 * MS);
            w.run_for(wait);
            w.inflict(&Fault::FreezeChild(c, 10 * SEC));
            w.run_for(40 * SEC);
            w.nothing_lost();
        },
    );
}
