//! Servers and an elector only (design section 3, the third authority): crash, silence, total outage.

use super::named;
use crate::config::Config;
use crate::elector::ElectorKind;
use crate::faults::Fault;
use crate::net::Cut;
use crate::world::{HostId, MS, SEC, World};

fn elector_only(c: &mut Config) {
    c.sentinels = 0;
    c.elector = ElectorKind::Lease { explicit: true };
}

fn all_but(w: &World, side: &[HostId]) -> Vec<HostId> {
    (0..w.hosts.len()).filter(|h| !side.contains(h)).collect()
}

#[test]
fn no_sentinels_the_masters_child_crashes() {
    named("no_sentinels_the_masters_child", elector_only, |w| {
        let m = w.the_master();
        w.inflict(&Fault::KillChild(m));
        w.within(5 * SEC, "writable again", World::writable);
        w.nothing_lost();
    });
}

/// Refused is evidence: every other server has seen the reset, and the newest data among them leads at once.
#[test]
fn no_sentinels_the_master_is_dead_and_every_other_server_confirms_it() {
    named("no_sentinels_the_master_is_dead", elector_only, |w| {
        let m = w.the_master();
        w.inflict(&Fault::KillPod { h: m, back_after: 60 * SEC, silent: false });
        w.within(6 * SEC, "somebody else takes writes", |w| w.writable() && w.other_master(m).is_some());
        w.run_for(10 * SEC);
        w.repair();
        let now = w.settle(60 * SEC, 2 * SEC);
        let lost = now.map_or(0, |h| w.lost_on(h).len());
        w.must(lost <= 4, &format!("{lost} writes lost"));
    });
}

/// Silence is not: nobody leads before the lease has run out, and the others have waited for it.
#[test]
fn no_sentinels_the_master_is_silent() {
    named("no_sentinels_the_master_is_silent", elector_only, |w| {
        let m = w.the_master();
        w.inflict(&Fault::KillPod { h: m, back_after: 120 * SEC, silent: true });
        w.within(60 * SEC, "somebody else takes writes", |w| w.writable() && w.other_master(m).is_some());
        w.repair();
        let now = w.settle(60 * SEC, 2 * SEC);
        let lost = now.map_or(0, |h| w.lost_on(h).len());
        w.must(lost <= 4, &format!("{lost} writes lost"));
    });
}

#[test]
fn no_sentinels_the_master_is_cut_off_and_fences_itself() {
    for cut in [Cut::Drop, Cut::Reject] {
        named("no_sentinels_the_master_is_cut_off", elector_only, |w| {
            let m = w.the_master();
            let with_client = w.rng.chance(500);
            let side = if with_client { vec![m, w.client_host()] } else { vec![m] };
            let rest = all_but(w, &side);
            w.cut_between(&side, &rest, cut);
            // The elector's answer that named it may be 10 s old: a lease is given up then.
            w.within(12 * SEC, "fenced", |w| !w.server(m).is_some_and(|s| s.may_acknowledge()));
            w.within(60 * SEC, "somebody else takes writes", |w| {
                w.other_master(m).is_some_and(|h| w.server(h).is_some_and(|s| s.may_acknowledge()))
            });
            w.heal();
            w.within(15 * SEC, "the old one is a replica", |w| w.server(m).is_some_and(|s| !s.is_master()));
            w.settle(60 * SEC, 2 * SEC);
        });
    }
}

/// It keeps the lease and the other servers do not see it: nobody leads beside it.
#[test]
fn no_sentinels_the_servers_are_cut_off_from_each_other() {
    named("no_sentinels_the_servers", elector_only, |w| {
        let servers: Vec<HostId> = w.servers().collect();
        for &h in &servers {
            let rest: Vec<HostId> = servers.iter().copied().filter(|&x| x != h).collect();
            w.cut_between(&[h], &rest, Cut::Drop);
        }
        w.run_for(90 * SEC);
        w.heal();
        w.settle(60 * SEC, 2 * SEC);
    });
}

#[test]
fn no_sentinels_total_outage() {
    named("no_sentinels_total_outage", elector_only, |w| {
        let servers: Vec<HostId> = w.servers().collect();
        for &h in &servers {
            w.kill_pod(h);
        }
        let mut last = 0;
        for h in servers {
            let after = w.rng.range(500 * MS, 5 * SEC);
            last = last.max(after);
            w.pod_returns(h, after);
        }
        w.run_for(last);
        w.within(10 * SEC, "writable", World::writable);
        w.nothing_lost();
    });
}

#[test]
fn no_sentinels_sigterm_of_the_master() {
    named("no_sentinels_sigterm", elector_only, |w| {
        let m = w.the_master();
        w.inflict(&Fault::Term { h: m, back_after: 5 * SEC });
        w.within(60 * SEC, "it exits", |w| !w.hosts[m].sup_proc.alive);
        w.within(15 * SEC, "writable again", World::writable);
        w.nothing_lost();
    });
}
