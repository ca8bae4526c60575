//! Crashes, empty masters, isolation: D1, D2, D3, D6, F1, M16, M27, M30, M31.

use super::{figure, from_start, named};
use crate::faults::Fault;
use crate::net::Cut;
use crate::server::{Disk, Persistence};
use crate::world::{HostId, MS, SEC, Which, World};

#[test]
fn d1_master_comes_back_empty() {
    named(
        "d1_master",
        |c| c.persistence = Persistence::None,
        |w| {
            let m = w.the_master();
            let back_after = w.rng.range(50 * MS, 3 * SEC);
            w.inflict(&Fault::KillPod { h: m, back_after, silent: false });
            w.within(15 * SEC, "writable again", World::writable);
            w.repair();
            let now = w.settle(60 * SEC, 2 * SEC);
            // Nearly everything was replicated: at most what was in flight is missing.
            let lost = now.map_or(0, |h| w.lost_on(h).len());
            w.must(lost <= 4, &format!("{lost} writes lost"));
        },
    );
}

#[test]
fn d1_childs_crash_without_persistence() {
    named(
        "d1_childs",
        |c| c.persistence = Persistence::None,
        |w| {
            let m = w.the_master();
            w.inflict(&Fault::KillChild(m));
            w.within(3 * SEC, "writable again", World::writable);
            let now = w.settle(60 * SEC, 2 * SEC);
            let lost = now.map_or(0, |h| w.lost_on(h).len());
            w.must(lost <= 4, &format!("{lost} writes lost"));
        },
    );
}

#[test]
fn d2_master_comes_back_with_older_data() {
    named(
        "d2_master",
        |c| c.persistence = Persistence::Rdb,
        |w| {
            let m = w.the_master();
            let back_after = w.rng.range(50 * MS, 3 * SEC);
            w.inflict(&Fault::KillPod { h: m, back_after, silent: false });
            w.within(15 * SEC, "writable again", World::writable);
            w.repair();
            let now = w.settle(60 * SEC, 2 * SEC);
            let lost = now.map_or(0, |h| w.lost_on(h).len());
            w.must(lost <= 4, &format!("{lost} writes lost"));
        },
    );
}

#[test]
fn d3_childs_crash_with_a_good_aof() {
    named(
        "d3_childs",
        |_| {},
        |w| {
            let m = w.the_master();
            w.inflict(&Fault::KillChild(m));
            w.within(3 * SEC, "writable again", World::writable);
            w.settle(60 * SEC, 2 * SEC);
        },
    );
}

#[test]
fn d6_master_frozen_for_15_s() {
    named(
        "d6_master",
        |_| {},
        |w| {
            let m = w.the_master();
            w.inflict(&Fault::FreezePod(m, 15 * SEC));
            w.within(9 * SEC, "somebody else leads", |w| {
                w.other_master(m).is_some_and(|h| w.server(h).is_some_and(|s| s.may_acknowledge()))
            });
            w.run_for(15 * SEC);
            let demoted = w.server(m).is_some_and(|s| !s.is_master());
            w.must(demoted, "the old master is a replica");
            w.settle(60 * SEC, 2 * SEC);
        },
    );
}

#[test]
fn m30_lost_node() {
    let gaps = std::cell::RefCell::new(Vec::new());
    named(
        "m30_lost",
        |_| {},
        |w| {
            let m = w.the_master();
            let wait = w.rng.below(3 * SEC);
            w.run_for(wait);
            w.inflict(&Fault::KillPod { h: m, back_after: 30 * SEC, silent: true });
            let led = w.within(7 * SEC, "a leader", |w| w.other_master(m).is_some());
            // Its Sentinel may need one more second to see it, where nobody could hold INFO back in time.
            let more = w.within(1_200 * MS, "writable", |w| w.other_master(m).is_some() && w.writable());
            if let (Some(led), Some(more)) = (led, more) {
                figure(&format!("led after {} ms, writable after {} ms", led / MS, (led + more) / MS));
                gaps.borrow_mut().push(led + more);
            }
            w.repair();
            w.settle(60 * SEC, 2 * SEC);
        },
    );
    let mut gaps = gaps.into_inner();
    gaps.sort_unstable();
    // down-after is 5 s, and the promise is of the median.
    assert!(gaps.get(gaps.len() / 2).is_none_or(|median| *median <= 6 * SEC), "{gaps:?}");
}

/// The promise: 1.5 s where its address answers with a reset.
#[test]
fn m1_the_whole_container_is_killed_and_stays_away() {
    named(
        "m1_the_whole",
        |c| c.think_ms = 5,
        |w| {
            let m = w.the_master();
            let wait = w.rng.below(3 * SEC);
            w.run_for(wait);
            w.killed_with_a_reset(m, 1_500 * MS);
        },
    );
}

fn isolated(w: &mut World, with_client: bool) -> HostId {
    let m = w.the_master();
    let mut side = vec![m];
    if with_client {
        side.push(w.client_host());
    }
    let rest: Vec<HostId> = (0..w.hosts.len()).filter(|h| !side.contains(h)).collect();
    w.cut_between(&side, &rest, Cut::Drop);
    m
}

#[test]
fn f1_isolated_master_fences_itself() {
    named(
        "f1_isolated",
        |_| {},
        |w| {
            let with_client = w.rng.chance(500);
            let m = isolated(w, with_client);
            w.within(2 * SEC, "fenced", |w| !w.server(m).is_some_and(|s| s.may_acknowledge()));
            w.within(8 * SEC, "somebody else leads", |w| w.other_master(m).is_some());
            w.run_for(10 * SEC);
            w.heal();
            w.within(15 * SEC, "the old one is a replica", |w| w.server(m).is_some_and(|s| !s.is_master()));
            w.settle(60 * SEC, 2 * SEC);
        },
    );
}

#[test]
fn m16_all_killed_under_load_with_aof() {
    named(
        "m16_all",
        |_| {},
        |w| {
            let sentinels_too = w.rng.chance(500);
            let hosts: Vec<HostId> = if sentinels_too { (0..w.lock_host()).collect() } else { w.servers().collect() };
            for &h in &hosts {
                w.kill_pod(h);
            }
            w.run_for(SEC);
            for h in hosts {
                let wait = w.rng.below(5 * SEC);
                w.pod_returns(h, wait);
            }
            w.run_for(6 * SEC);
            w.nothing_lost();
        },
    );
}

#[test]
fn m27_two_servers_gone_for_good_and_the_master_restarts() {
    named(
        "m27_two",
        |_| {},
        |w| {
            let m = w.the_master();
            let others: Vec<HostId> = w.servers().filter(|h| *h != m).collect();
            for h in others {
                w.kill_pod(h);
            }
            let wait = w.rng.below(3 * SEC);
            w.run_for(SEC + wait);
            w.kill_pod(m);
            w.run_for(SEC);
            w.pod_returns(m, SEC);
            // Two of three could still be cut off and promote one of them, until they have been down for W.
            w.within(36 * SEC, "it leads again", World::writable);
            let lost = w.lost_on(m).len();
            w.must(lost == 0, &format!("{lost} writes lost"));
        },
    );
}

/// What the runbook says of a last server with snapshots only.
#[test]
fn m27_with_snapshots_only_empty_servers_in_the_lost_ones_place_let_it_lead() {
    named(
        "m27_snapshots",
        |c| c.persistence = Persistence::Rdb,
        |w| {
            let m = w.the_master();
            let others: Vec<HostId> = w.servers().filter(|h| *h != m).collect();
            w.run_for(2 * SEC);
            w.save_disk(m);
            w.run_for(SEC);
            w.unplanned = true;
            for &h in &others {
                w.kill_pod(h);
                w.hosts[h].disk = Disk::default();
                w.hosts[h].sup.saved = None;
            }
            w.run_for(2 * SEC);
            w.kill_pod(m);
            w.run_for(SEC);
            let held = w.hosts[m].disk.data.clone();
            w.pod_returns(m, SEC);
            w.run_for(60 * SEC);
            w.must(!w.writable(), "it leads although the others may hold more");
            for &h in &others {
                w.pod_returns(h, SEC);
            }
            w.within(60 * SEC, "writable", World::writable);
            let now = w.settle(60 * SEC, 2 * SEC);
            w.must(now == Some(m), "an empty one leads");
            let whole = w.server(m).is_some_and(|s| held.iter().all(|key| s.data.contains(key)));
            w.must(whole && !held.is_empty(), "what the snapshot held is lost");
        },
    );
}

/// The leader's snapshot is older than the first of them, and nobody writes enough for another; replicas may not have synced yet.
#[test]
fn b4_one_total_outage_after_another_with_snapshots_only() {
    named(
        "b4_again",
        |c| c.persistence = Persistence::Rdb,
        |w| {
            w.run_for(2 * SEC);
            w.unplanned = true;
            for _ in 0..3 {
                let all: Vec<HostId> = w.servers().collect();
                for &h in &all {
                    w.kill_pod(h);
                }
                for &h in &all {
                    let after = w.rng.below(4 * SEC);
                    w.pod_returns(h, after);
                }
                w.within(64 * SEC, "writable", World::writable);
                // Sooner than a look at what the first sync has made of its history, nobody knows how the two belong together.
                let then = w.rng.range(SEC, 4 * SEC);
                w.run_for(then);
            }
            w.settle(60 * SEC, 2 * SEC);
        },
    );
}

#[test]
fn m31_master_and_sentinels_on_one_side() {
    for cut in [Cut::Drop, Cut::Reject] {
        named(
            "m31_master",
            |_| {},
            |w| {
                let m = w.the_master();
                let mut side: Vec<HostId> = w.sentinels().collect();
                side.push(m);
                side.push(w.client_host());
                let rest: Vec<HostId> = (0..w.hosts.len()).filter(|h| !side.contains(h)).collect();
                w.cut_between(&side, &rest, cut);
                w.run_for(180 * SEC);
                let other = w.other_master(m).is_some();
                w.must(!other, "nobody leads on the second side");
                w.heal();
                w.settle(60 * SEC, 2 * SEC);
            },
        );
    }
}

#[test]
fn p44_supervisor_frozen_for_30_s() {
    named(
        "p44_supervisor",
        |_| {},
        |w| {
            let m = w.the_master();
            w.freeze(m, Which::Sup);
            w.run_for(30 * SEC);
            w.thaw(m, Which::Sup);
            w.run_for(5 * SEC);
            w.nothing_lost();
        },
    );
}

#[test]
fn k4_sigterm_during_start() {
    from_start(
        "k4_sigterm",
        |_| {},
        |w| {
            let wait = w.rng.below(3 * SEC);
            w.run_for(SEC + wait);
            let h = w.rng.below(3) as usize;
            w.stop_pod(h);
            w.within(10 * SEC, "it exits", |w| !w.hosts[h].sup_proc.alive);
        },
    );
}

/// A frozen master wakes after its successor was named and has died too: it is in nobody's way (seeds 575, 1754, 3047).
#[test]
fn d6_woken_when_its_successor_has_died() {
    named(
        "d6_woken",
        |c| c.persistence = Persistence::None,
        |w| {
            let m = w.the_master();
            w.freeze(m, Which::Sup);
            w.freeze(m, Which::Child);
            let Some(_) = w.within(20 * SEC, "a successor takes writes", |w| {
                w.other_master(m).is_some_and(|c| w.server(c).is_some_and(|s| !s.fenced()))
            }) else {
                return;
            };
            w.run_for(2 * SEC);
            let next = w.other_master(m).unwrap_or(m);
            w.kill_pod(next);
            w.pod_returns(next, 15 * SEC);
            w.run_for(100 * MS);
            w.thaw(m, Which::Sup);
            w.thaw(m, Which::Child);
            w.settle(40 * SEC, 2 * SEC);
        },
    );
}
