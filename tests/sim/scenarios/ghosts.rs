//! Members that change their addresses or are replaced: E1, E3, M23, B4, F5.

use redinit::core::event::ChildExit;

use super::named;
use crate::config::Config;
use crate::faults::Fault;
use crate::sentinel::Monitored;
use crate::world::{HostId, MS, SEC, World};

/// E1 and M23: how long a ghost may stay in a list.
const CLEAN_WITHIN: u64 = 300 * SEC;

fn by_name(c: &mut Config) {
    c.by_address = false;
}

/// What a Sentinel lists that is not there any more.
fn ghosts_of(w: &World, t: HostId) -> Vec<String> {
    let Some(m) = w.sentinel(t).and_then(|s| s.m.as_ref()) else { return vec!["it monitors nothing".into()] };
    let replicas = m.replicas.keys().filter(|&&a| w.host_at(a).is_none()).map(ToString::to_string);
    let ids: Vec<u128> = w.sentinels().map(|t| w.sentinel_id(t)).collect();
    let sentinels = m.sentinels.iter().filter(|(id, i)| !ids.contains(id) || w.host_at(i.addr).is_none());
    replicas.chain(sentinels.map(|(id, i)| format!("{id:x} at {}", i.addr))).collect()
}

fn clean(w: &World) -> bool {
    w.sentinels().all(|t| ghosts_of(w, t).is_empty())
}

fn haunted(w: &World) -> bool {
    w.sentinels().any(|t| !ghosts_of(w, t).is_empty())
}

fn a_replica(w: &mut World) -> HostId {
    let m = w.the_master();
    (m + 1 + w.rng.below(2) as usize) % 3
}

fn replica_moves(w: &mut World) -> HostId {
    let r = a_replica(w);
    w.kill_pod(r);
    w.readdress(r);
    let after = w.rng.range(500 * MS, 5 * SEC);
    w.pod_returns(r, after);
    r
}

#[test]
fn e1_a_replica_at_a_new_address_leaves_no_ghost() {
    named("e1_a_replica", by_name, |w| {
        replica_moves(w);
        w.run_for(10 * SEC);
        w.must(haunted(w), "its old address is listed");
        w.within(CLEAN_WITHIN, "no ghost", clean);
        w.must(w.sentinels().all(|t| w.sentinel(t).is_some_and(|s| s.quorum_ok())), "CKQUORUM");
        w.nothing_lost();
        w.must(clean(w), "no ghost");
    });
}

#[test]
fn e1_e2_the_master_at_a_new_address_leaves_no_ghost() {
    named("e1_e2_the_master", by_name, |w| {
        let m = w.the_master();
        w.kill_pod(m);
        w.readdress(m);
        w.pod_returns(m, 2 * SEC);
        // It has the newest data and no Sentinel lists it; or a Sentinel's failover is quicker.
        w.within(30 * SEC, "writable", World::writable);
        w.within(15 * SEC, "every Sentinel names it", named_by_all);
        w.within(CLEAN_WITHIN, "no ghost", clean);
        w.settle(60 * SEC, 2 * SEC);
    });
}

/// Its role is handed over before it goes; what it comes back as is a replica that nobody has seen there before.
#[test]
fn e2_the_masters_address_changes_after_a_graceful_restart() {
    named("e2_the_masters_address", by_name, |w| {
        let m = w.the_master();
        w.stop_pod(m);
        w.within(60 * SEC, "it exits", |w| !w.hosts[m].sup_proc.alive);
        w.readdress(m);
        w.pod_returns(m, 2 * SEC);
        let all = |w: &World| named_by_all(w) && lists_every_replica(w) && crate::invariants::settled(w).is_ok();
        w.within(30 * SEC, "every replica and every Sentinel follows", all);
        w.nothing_lost();
        w.within(CLEAN_WITHIN, "no ghost", clean);
    });
}

/// Every Sentinel lists every replica where it is now.
fn lists_every_replica(w: &World) -> bool {
    w.sentinels().all(|t| {
        w.sentinel(t).and_then(|s| s.m.as_ref()).is_some_and(|m| {
            w.servers().map(|h| w.address(h)).all(|at| m.named() == at || m.replicas.contains_key(&at))
        })
    })
}

/// It made itself a master when it started (empty, and refusing writes, as redinit's own are born) and no Sentinel lists it.
#[test]
fn f7_a_replica_that_no_sentinel_ever_discovered_is_pulled_in() {
    named("f7_a_replica", by_name, |w| {
        let r = a_replica(w);
        w.kill_pod(r);
        w.hosts[r].disk = crate::server::Disk::default();
        w.hosts[r].sup.saved = None;
        w.readdress(r);
        w.pod_returns(r, SEC);
        w.within(10 * SEC, "it runs", |w| w.server(r).is_some());
        w.lead(r);
        w.within(30 * SEC, "it follows, and is listed", |w| {
            lists_every_replica(w) && crate::invariants::settled(w).is_ok()
        });
        w.nothing_lost();
    });
}

fn master_dies_and_all_is_clean_again(w: &mut World) {
    let m = w.the_master();
    w.inflict(&Fault::KillPod { h: m, back_after: 20 * SEC, silent: w.config.seed.is_multiple_of(2) });
    w.within(12 * SEC, "somebody else leads", |w| w.writable() && w.other_master(m).is_some());
    w.repair();
    w.settle(120 * SEC, 2 * SEC);
    w.within(CLEAN_WITHIN, "no ghost", clean);
}

/// The master dies at some moment of the clean-up, or in the middle of a restart.
fn master_dies_while_it_is_cleaned(w: &mut World) {
    replica_moves(w);
    let wait = w.rng.range(55 * SEC, 170 * SEC);
    w.run_for(wait);
    master_dies_and_all_is_clean_again(w);
}

#[test]
fn e3_the_master_dies_in_the_window_of_a_clean_up() {
    named("e3_the_master_dies", by_name, master_dies_while_it_is_cleaned);
}

#[test]
fn e3_the_master_dies_at_the_restart_of_a_clean_up() {
    named("e3_the_master_dies_at_the_restart", by_name, |w| {
        replica_moves(w);
        let running: Vec<(HostId, u32)> = w.sentinels().map(|t| (t, w.hosts[t].child_proc.generation)).collect();
        w.within(CLEAN_WITHIN, "a restart", |w| running.iter().any(|&(t, g)| w.hosts[t].child_proc.generation != g));
        master_dies_and_all_is_clean_again(w);
    });
}

#[test]
fn m23_all_sentinels_replaced_under_new_names_then_the_master_changes() {
    named("m23_all_sentinels", by_name, |w| {
        // One after the other, faster than anybody could be pruned: each learns those that are about to go.
        for t in w.sentinels() {
            w.replace_sentinel(t, true, 500 * MS);
            w.run_for(4 * SEC);
        }
        w.must(haunted(w), "somebody lists those that have gone");
        let wait = w.rng.range(SEC, 90 * SEC);
        w.run_for(wait);
        let m = w.the_master();
        w.inflict(&Fault::KillPod { h: m, back_after: 5 * SEC, silent: false });
        w.within(60 * SEC, "somebody takes writes", World::writable);
        w.settle(CLEAN_WITHIN, 2 * SEC);
        w.within(CLEAN_WITHIN, "no ghost", clean);
        w.nothing_lost();
    });
}

fn four(c: &mut Config) {
    by_name(c);
    c.sentinels = 4;
}

fn ckquorum(w: &World, but: Option<HostId>) -> bool {
    w.sentinels().filter(|&t| Some(t) != but).all(|t| w.sentinel(t).is_some_and(|s| s.quorum_ok()))
}

#[test]
fn four_sentinels_replaced_one_every_150_s() {
    named("four_sentinels_replaced_one", four, |w| {
        for t in w.sentinels() {
            w.replace_sentinel(t, true, SEC);
            w.run_for(10 * SEC);
            // 140 s more, in which each of them is restarted once.
            for _ in 0..14 {
                w.run_for(10 * SEC);
                let ok = ckquorum(w, None);
                w.must(ok, "CKQUORUM OK");
            }
        }
        w.within(CLEAN_WITHIN - 150 * SEC, "no ghost", clean);
        let m = w.the_master();
        w.inflict(&Fault::KillPod { h: m, back_after: 5 * SEC, silent: true });
        w.within(12 * SEC, "somebody else leads", |w| w.writable() && w.other_master(m).is_some());
        w.repair();
        w.settle(120 * SEC, 2 * SEC);
    });
}

#[test]
fn four_sentinels_replaced_at_once_under_their_names() {
    named("four_sentinels_replaced_at_once", four, |w| {
        let every: Vec<HostId> = w.sentinels().collect();
        for t in every {
            let after = w.rng.range(SEC, 3 * SEC);
            w.replace_sentinel(t, false, after);
        }
        w.within(15 * SEC, "CKQUORUM OK", |w| ckquorum(w, None));
        w.must(clean(w), "no ghost");
        let m = w.the_master();
        w.inflict(&Fault::KillPod { h: m, back_after: 5 * SEC, silent: true });
        w.within(12 * SEC, "somebody else leads", |w| w.writable() && w.other_master(m).is_some());
        w.repair();
        w.settle(120 * SEC, 2 * SEC);
    });
}

/// All servers die at once and come back at other addresses.
fn every_server_moves(w: &mut World) {
    let servers: Vec<HostId> = w.servers().collect();
    for &s in &servers {
        w.kill_pod(s);
        w.readdress(s);
    }
    for s in servers {
        let after = w.rng.range(500 * MS, 3 * SEC);
        w.pod_returns(s, after);
    }
}

fn named_by_all(w: &World) -> bool {
    let leader = w.servers().find(|&h| w.server(h).is_some_and(|s| s.is_master()));
    let named = |m: &Monitored| leader.is_some_and(|h| m.named() == w.address(h));
    w.sentinels().all(|t| w.sentinel(t).and_then(|s| s.m.as_ref()).is_some_and(named))
}

#[test]
fn b4_every_server_at_a_new_address_and_the_sentinels_point_to_a_dead_one() {
    named("b4_every_server", by_name, |w| {
        every_server_moves(w);
        w.within(23 * SEC, "named and writable", |w| named_by_all(w) && w.writable());
        w.settle(SEC, 20 * SEC);
        w.within(CLEAN_WITHIN, "no ghost", clean);
    });
}

#[test]
fn b4_every_server_at_a_new_address_and_the_sentinels_have_lost_their_files() {
    named("b4_every_server_lost", by_name, |w| {
        every_server_moves(w);
        let every: Vec<HostId> = w.sentinels().collect();
        for t in every {
            let after = w.rng.range(500 * MS, 3 * SEC);
            w.replace_sentinel(t, w.config.seed.is_multiple_of(2), after);
        }
        w.within(45 * SEC, "writable", World::writable);
        w.within(15 * SEC, "every Sentinel names it", named_by_all);
        w.settle(60 * SEC, 20 * SEC);
        w.must(clean(w), "no ghost");
    });
}

#[test]
fn f5_equal_epochs_and_different_masters_converge() {
    named(
        "f5_equal_epochs",
        |_| {},
        |w| {
            let m = w.the_master();
            let others: Vec<HostId> = w.servers().filter(|&h| h != m).collect();
            let (a, b, now) = (w.address(others[0]), w.address(others[1]), w.now);
            let every: Vec<HostId> = w.sentinels().collect();
            // Two of three are wrong: about one replica or about two.
            let wrong = [(every[0], a), (every[1], if w.config.seed.is_multiple_of(2) { a } else { b })];
            for (t, to) in wrong {
                if let Some(s) = w.sentinel_mut(t) {
                    s.change_master(to, now);
                }
            }
            w.within(40 * SEC, "they agree on the master", named_by_all);
            w.settle(60 * SEC, 10 * SEC);
            w.nothing_lost();
        },
    );
}

#[test]
fn f5_after_a_restart_with_files_that_differ() {
    named(
        "f5_after_a_restart",
        |_| {},
        |w| {
            let m = w.the_master();
            let (replica, epoch) = (w.address((m + 1) % 3), w.rng.below(2));
            let t = w.config.servers + w.rng.below(3) as usize;
            w.end_child(t, ChildExit::Signal(9));
            if let Some(file) = w.hosts[t].sentinel_disk.as_mut().and_then(|disk| disk.monitor.as_mut()) {
                let old = std::mem::replace(&mut file.addr, replica);
                file.replicas = file.replicas.iter().copied().filter(|&a| a != replica).chain([old]).collect();
                file.config_epoch -= epoch.min(file.config_epoch);
            }
            w.within(40 * SEC, "they agree on the master", named_by_all);
            w.settle(60 * SEC, 10 * SEC);
            w.nothing_lost();
        },
    );
}
