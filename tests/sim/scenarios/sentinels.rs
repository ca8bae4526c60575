//! Sentinels that disagree, die, or hold on to old failovers: M4, M5, M9.

use super::named;
use crate::faults::Fault;
use crate::world::{HostId, MS, SEC, World};

/// A proposal that nobody takes up: the candidate's supervisor sleeps. Master and candidate.
fn called_off(w: &mut World, after: u64) -> Option<(HostId, HostId)> {
    let m = w.the_master();
    w.inflict(&Fault::Handover { h: m, to: None });
    w.within(5 * SEC, "a proposal", |w| w.proposal().is_some())?;
    let (_, c) = w.proposal()?;
    w.inflict(&Fault::FreezeSup(c, after));
    w.run_for(after);
    Some((m, c))
}

fn master_dies_after_a_called_off_handover(id: &str, after: u64, limit: u64) {
    named(
        id,
        |_| {},
        |w| {
            let Some((m, _)) = called_off(w, after) else { return };
            w.inflict(&Fault::KillPod { h: m, back_after: 20 * SEC, silent: false });
            w.within(limit, "writable again", World::writable);
            w.repair();
            w.settle(120 * SEC, 2 * SEC);
        },
    );
}

#[test]
fn m4_master_dies_1_s_after_a_called_off_handover() {
    master_dies_after_a_called_off_handover("m4_master_dies_1", SEC, 1_500 * MS);
}

#[test]
fn m4_master_dies_4_s_after_a_called_off_handover() {
    master_dies_after_a_called_off_handover("m4_master_dies_4", 4 * SEC, 1_500 * MS);
}

#[test]
fn m4_master_dies_9_and_a_half_s_after_a_called_off_handover() {
    master_dies_after_a_called_off_handover("m4_master_dies_9", 9_500 * MS, 5 * SEC);
}

/// Two Sentinels are asked at once; each has lost its link to another replica, so they propose different ones.
fn two_proposals(w: &mut World) {
    let m = w.the_master();
    let mut others = w.servers().filter(|&h| h != m);
    let (Some(a), Some(b)) = (others.next(), others.next()) else { return };
    let t = w.config.servers;
    for (t, not) in [(t, a), (t + 1, b)] {
        let (not, now) = (w.address(not), w.now);
        if let Some(i) = w.sentinel_mut(t).and_then(|s| s.m.as_mut()).and_then(|m| m.replicas.get_mut(&not)) {
            (i.connected, i.last_reconnect) = (false, now);
        }
    }
    w.inflict(&Fault::TypedFailover(t));
    w.inflict(&Fault::TypedFailover(t + 1));
}

fn all_agree(w: &World) -> bool {
    let named: Vec<_> = w.sentinels().filter_map(|t| Some(w.sentinel(t)?.m.as_ref()?.named())).collect();
    named.windows(2).all(|p| p[0] == p[1])
        && named.first().and_then(|&a| w.host_at(a)).is_some_and(|h| w.server(h).is_some_and(|s| s.is_master()))
}

#[test]
fn m5_two_sentinels_propose_different_replicas() {
    named(
        "m5_two_sentinels_propose_different_replicas",
        |_| {},
        |w| {
            let m = w.the_master();
            two_proposals(w);
            w.within(4 * SEC, "one of them leads", |w| w.other_master(m).is_some());
            w.within(1_500 * MS, "all Sentinels agree", all_agree);
            w.run_for(20 * SEC);
            w.nothing_lost();
        },
    );
}

#[test]
fn m5_two_sentinels_propose_while_the_master_dies() {
    named(
        "m5_two_sentinels_propose_while",
        |_| {},
        |w| {
            let m = w.the_master();
            two_proposals(w);
            let wait = w.rng.below(1_500 * MS);
            w.run_for(wait);
            w.inflict(&Fault::KillPod { h: m, back_after: 20 * SEC, silent: false });
            w.within(5 * SEC, "writable again", |w| w.writable() && w.other_master(m).is_some());
            w.within(3 * SEC, "all Sentinels agree", all_agree);
            w.repair();
            w.settle(120 * SEC, 2 * SEC);
        },
    );
}

#[test]
fn m9_sentinel_dies_before_it_told_anybody() {
    named(
        "m9_sentinel_dies",
        |_| {},
        |w| {
            let m = w.the_master();
            w.inflict(&Fault::Handover { h: m, to: None });
            w.within(5 * SEC, "a proposal", |w| w.proposal().is_some());
            let Some((t, _)) = w.proposal() else { return };
            w.within(5 * SEC, "it leads", |w| w.other_master(m).is_some());
            w.inflict(&Fault::KillPod { h: t, back_after: 30 * SEC, silent: false });
            w.within(3 * SEC, "agreed and writable", |w| all_agree(w) && w.writable());
            w.run_for(5 * SEC);
            w.nothing_lost();
        },
    );
}
