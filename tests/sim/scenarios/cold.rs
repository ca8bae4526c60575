//! Cold starts: A1, A8, M24.

use super::from_start;
use crate::elector::ElectorKind;
use crate::net::Cut;
use crate::world::{MS, SEC, START, World};

#[test]
fn a1_cold_start_within_five_seconds() {
    from_start(
        "a1_cold_start",
        |c| {
            if c.seed % 3 == 1 {
                c.elector = ElectorKind::Lease { explicit: c.seed % 2 == 0 };
            }
        },
        |w| {
            // All are up one second after the start at the latest.
            w.within(6 * SEC, "writable", World::writable);
            w.settle(5 * SEC, SEC);
            let took = (w.now - START) / MS;
            w.must(took < 7_500, &format!("agreed after {took} ms"));
        },
    );
}

#[test]
fn a8_single_node_starts_without_waiting() {
    from_start(
        "a8_single",
        |c| {
            c.servers = 1;
            c.sentinels = 1;
        },
        |w| {
            w.within(5 * SEC, "writable", World::writable);
            w.settle(10 * SEC, SEC);
        },
    );
}

/// Nobody is ready, so no Service has an endpoint: the servers know each other by the elector alone.
#[test]
fn m18_first_start_behind_services_without_a_ready_endpoint() {
    from_start(
        "m18_first_start",
        |c| {
            (c.by_address, c.behind_services) = (false, true);
            c.elector = ElectorKind::Lease { explicit: c.seed % 2 == 0 };
            c.expected_servers = c.seed % 3 > 0;
        },
        |w| {
            // W from when the last one has started; then the others follow, and say so.
            w.within(SEC + 14 * SEC, "a master", |w| w.master().is_some());
            w.within(2 * SEC, "writable", World::writable);
            w.settle(30 * SEC, 5 * SEC);
        },
    );
}

fn one_server_is_blind(w: &mut World, cut: Cut, sees_sentinels: bool) {
    let blind = w.rng.below(3) as usize;
    let mut others: Vec<usize> = w.servers().filter(|&h| h != blind).collect();
    if !sees_sentinels {
        others.extend(w.sentinels());
        others.push(w.lock_host());
    }
    w.cut_between(&[blind], &others, cut);
    w.run_for(20 * SEC);
    w.heal();
    w.settle(60 * SEC, 2 * SEC);
}

#[test]
fn m24_one_server_cannot_see_the_others_at_a_cold_start() {
    for cut in [Cut::Drop, Cut::Reject] {
        for sees_sentinels in [true, false] {
            from_start(
                "m24_one_server",
                |c| {
                    if c.seed % 3 == 2 {
                        c.elector = ElectorKind::Lease { explicit: true };
                    }
                },
                |w| one_server_is_blind(w, cut, sees_sentinels),
            );
        }
    }
}
