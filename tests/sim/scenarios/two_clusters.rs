//! Two clusters in one network: N5, N8, N12. What both hold, and that neither lists anybody of the other, is looked at by `settle`.

use super::named;
use crate::clusters::{Pass, mark_in};
use crate::config::Config;
use crate::faults::Fault;
use crate::world::{HostId, MS, SEC, World};

/// What is stale leaves the lists (E1).
const CLEAN_WITHIN: u64 = 300 * SEC;

fn two(c: &mut Config) {
    c.clusters = 2;
    c.by_address = false;
    c.same_names = c.seed.is_multiple_of(2);
}

fn master_of(w: &mut World, cluster: usize) -> HostId {
    w.in_cluster(cluster, World::the_master)
}

/// Both are led by one of their own, apart, and hold every write that they have acknowledged.
fn both_are_whole(w: &mut World) {
    w.repair();
    if w.settle(CLEAN_WITHIN, 2 * SEC).is_none() {
        return;
    }
    for cluster in 0..2 {
        let m = master_of(w, cluster);
        let lost = w.lost_on(m).len();
        w.must(lost == 0, &format!("{lost} acknowledged writes of cluster {cluster} are lost"));
    }
}

fn pass(from: HostId, to: HostId) -> Pass {
    Pass { from, to, swap: false, planned: false, back_after: (2 * SEC, 200 * MS), wiped: (false, false), stale_for: 0 }
}

/// Whose supervisor stands still cannot keep its engine from asking its master's address again: the login of its cluster does.
#[test]
fn n4_an_engine_alone_takes_nothing_from_the_cluster_that_has_got_its_masters_address() {
    named("n4_an_engine", two, |w| {
        let (a, b) = (master_of(w, 0), master_of(w, 1));
        let replica = w.server_after(a, 1);
        w.inflict(&Fault::FreezeSup(replica, 4 * SEC));
        w.inflict(&Fault::AddressPasses(pass(a, b)));
        w.run_for(3 * SEC);
        w.must(w.server(b).is_some_and(|s| s.door), "the other cluster's server serves at that address");
        let ours = w.server(replica).is_some_and(|s| s.data.iter().all(|&write| write == 0 || mark_in(write) == 0));
        w.must(ours, "the replica has taken writes of the other cluster");
        both_are_whole(w);
    });
}

#[test]
fn n5_the_masters_addresses_are_swapped_while_both_hand_over() {
    named("n5_the_masters", two, |w| {
        let (a, b) = (master_of(w, 0), master_of(w, 1));
        let after = (w.rng.range(50 * MS, 3 * SEC), w.rng.range(50 * MS, 3 * SEC));
        w.inflict(&Fault::AddressPasses(Pass { swap: true, planned: true, back_after: after, ..pass(a, b) }));
        w.within(60 * SEC, "both have their new addresses", |w| [a, b].iter().all(|&h| !w.hosts[h].moving));
        both_are_whole(w);
    });
}

#[test]
fn n8_the_address_of_a_replaced_sentinel_becomes_that_of_a_sentinel_of_another_master() {
    let other = |c: &mut Config| {
        two(c);
        c.other_name = true;
    };
    named("n8_the_address", other, |w| {
        let (t, other) = (w.sentinels_of(0).start, w.sentinels_of(1).start);
        w.hosts[t].renamed += 1;
        w.inflict(&Fault::AddressPasses(Pass { wiped: (true, true), ..pass(t, other) }));
        w.run_for(10 * SEC);
        w.must(crate::clusters::check_apart(w).is_err(), "the address is still listed");
        w.within(CLEAN_WITHIN, "gone from every list", |w| crate::clusters::check_apart(w).is_ok());
        let sure = |w: &World| w.all_sentinels().into_iter().all(|t| w.sentinel(t).is_some_and(|s| s.quorum_ok()));
        w.within(60 * SEC, "CKQUORUM OK", sure);
        let m = master_of(w, 0);
        w.inflict(&Fault::KillPod { h: m, back_after: 20 * SEC, silent: true });
        w.within(12 * SEC, "somebody else leads", |w| w.writable() && w.other_master(m).is_some());
        w.repair();
        w.settle(CLEAN_WITHIN, 2 * SEC);
    });
}

#[test]
fn n12_every_sentinel_loses_its_volume_and_its_address_to_the_other_cluster() {
    named("n12_every_sentinel", two, |w| {
        for i in 0..w.config.sentinels {
            let (a, b) = (w.sentinels_of(0).start + i, w.sentinels_of(1).start + i);
            let after = (w.rng.range(50 * MS, 5 * SEC), w.rng.range(50 * MS, 5 * SEC));
            w.inflict(&Fault::AddressPasses(Pass { swap: true, wiped: (true, true), back_after: after, ..pass(a, b) }));
        }
        w.run_for(6 * SEC);
        both_are_whole(w);
        for t in w.all_sentinels() {
            let servers = w.servers_of(w.cluster_of(t)).start;
            let id = |h| w.status(h).and_then(|status| status.cluster).map(|identity| identity.id.tag());
            w.must(id(t).is_some() && id(t) == id(servers), "a Sentinel is of its servers' cluster");
        }
    });
}
