//! S1, S4, S5, S6: a stranger's messages, again and again, where they would hurt most; and an address of a Service.

use redinit::core::id::{Address, AttemptId, Epoch, Offset, ReplId};
use redinit::core::message::{PeerMessage, Rank, Report};

use super::{from_start, named};
use crate::lies::foreigner;
use crate::server::Disk;
use crate::world::{HostId, MS, SEC, World};

/// Tells this to these again and again, for so long.
fn tells(
    w: &mut World,
    every: u64,
    until: u64,
    told: impl Fn(&World, HostId) -> Vec<(Option<Address>, PeerMessage)> + Clone + 'static,
) {
    for h in w.servers() {
        for (from, message) in told(w, h) {
            w.forge(h, from, message);
        }
    }
    let next = w.now + every;
    if next < until {
        w.at(next, Box::new(move |w| tells(w, every, until, told)));
    }
}

/// All are killed, and everybody is back but as `back` says.
fn outage(w: &mut World, back: impl Fn(HostId) -> u64) {
    for h in 0..w.lock_host() {
        w.kill_pod(h);
        let after = back(h);
        w.pod_returns(h, after);
    }
}

fn a_rank(of: Address) -> Rank {
    Rank {
        has_data: true,
        epoch: Epoch(999),
        was_master_with_aof: true,
        history: ReplId("x".into()),
        second: None,
        offset: Offset(99_999_999),
        last_write: u64::MAX,
        address: of,
        line: vec![],
        data: None,
    }
}

#[test]
fn s1_an_empty_server_does_not_lead_by_a_strangers_word() {
    named(
        "s1_an_empty",
        |c| c.lies = true,
        |w| {
            let empty = (w.the_master() + 1) % 3;
            outage(w, |h| if h == empty { 200 * MS } else { 12 * SEC });
            w.hosts[empty].disk = Disk::default();
            w.hosts[empty].sup.saved = None;
            let until = w.now + 11 * SEC;
            tells(w, 100 * MS, until, |w, _| {
                let lead = |h| {
                    (
                        Some(w.address(h)),
                        PeerMessage::Lead { coordinator: w.address(h), attempt: AttemptId("x".into()) },
                    )
                };
                w.servers().map(lead).collect()
            });
            w.run_for(11 * SEC);
            w.must(w.master().is_none(), "the empty one leads");
            w.nothing_lost();
        },
    );
}

#[test]
fn s4_a_stranger_holds_off_no_failover() {
    named(
        "s4_a_stranger",
        |c| c.lies = true,
        |w| {
            let m = w.the_master();
            let until = w.now + 12 * SEC;
            tells(w, 250 * MS, until, move |_, h| {
                let nobody = foreigner();
                let priority = PeerMessage::Priority {
                    priority: Some(0),
                    leader: nobody,
                    lasting: std::time::Duration::from_secs(10),
                };
                let attempt = AttemptId(format!("x-{h}"));
                let consent =
                    PeerMessage::Consent { attempt, candidate: nobody, replaces: None, rank: Box::new(a_rank(nobody)) };
                vec![(Some(nobody), priority), (Some(nobody), consent)]
            });
            w.run_for(SEC);
            w.killed_with_a_reset(m, 4 * SEC);
        },
    );
}

#[test]
fn s5_a_report_in_anothers_name_makes_nobody_lead() {
    named(
        "s5_a_report",
        |c| c.lies = true,
        |w| {
            let empty = (w.the_master() + 1) % 3;
            outage(w, |_| 300 * MS);
            w.hosts[empty].disk = Disk::default();
            w.hosts[empty].sup.saved = None;
            let until = w.now + 20 * SEC;
            tells(w, 200 * MS, until, move |w, _| {
                let of = w.address(empty);
                let report = Report {
                    rank: a_rank(of),
                    loading: false,
                    has_state: true,
                    was_master: true,
                    never: false,
                    known_servers: 3,
                    servers: vec![of],
                    engine: None,
                };
                vec![(Some(of), PeerMessage::Report(Box::new(report)))]
            });
            w.run_for(2 * SEC);
            w.nothing_lost();
        },
    );
}

#[test]
fn s6_an_engine_of_nobodys_cluster_is_followed_by_nobody() {
    named(
        "s6_an_engine",
        |c| c.lies = true,
        |w| {
            let until = w.now + 40 * SEC;
            tells(w, 500 * MS, until, |_, _| {
                let at = foreigner();
                let led = PeerMessage::Led { attempt: AttemptId("x".into()), leader: at, epoch: Epoch(999) };
                let follow = PeerMessage::Follow { attempt: AttemptId("x".into()), leader: at };
                vec![(Some(at), led), (Some(at), follow)]
            });
            w.run_for(3 * SEC);
            for t in w.sentinels() {
                w.kill_pod(t);
                w.pod_returns(t, 20 * SEC);
            }
            for h in w.servers() {
                w.kill_pod(h);
                w.pod_returns(h, SEC);
            }
            w.run_for(15 * SEC);
            w.nothing_lost();
        },
    );
}

#[test]
fn a3_an_address_that_leads_to_all_servers_is_nobodys() {
    from_start(
        "a3_an_address",
        |c| c.virtual_server = true,
        |w| {
            w.within(6 * SEC, "writable", World::writable);
            w.settle(20 * SEC, 3 * SEC);
            let service = crate::looks::service(crate::world::HostRole::Server);
            for h in 0..w.lock_host() {
                let shown = w.status(h).is_some_and(|status| status.servers.iter().any(|row| row.address == service));
                w.must(!shown, "the address of a Service is listed");
            }
            let m = w.the_master();
            w.run_for(11 * SEC);
            w.killed_with_a_reset(m, 3 * SEC);
        },
    );
}
