//! Section 3: who is master? One row a line of steps 1 and 2.

use super::world::*;
use crate::core::evidence::Evidence;
use crate::core::id::{Address, Epoch};
use crate::core::moment::Moment;
use crate::core::seen::{Failure, RoleSeen, SentinelSeen};
use crate::core::verdict::{NamedShows, Own, Unknown, Verdict, verdict};

/// What a Sentinel says, tersely.
#[derive(Clone, Copy)]
enum T {
    /// Names this server at this epoch.
    Names(u8, u64),
    /// Answers and knows no master.
    Bare,
    Fails(Failure),
}
use T::{Bare, Fails, Names};

/// What a server says, tersely.
#[derive(Clone, Copy)]
enum S {
    Master,
    Replica,
    Fails(Failure),
}

struct Row {
    name: &'static str,
    sentinels: [T; 3],
    servers: [S; 2],
    own: Own,
    then: Verdict,
}

fn confirmed(n: u8, epoch: u64) -> Verdict {
    Verdict::Confirmed { master: srv(n), epoch: Epoch(epoch) }
}

fn named(n: u8, epoch: u64, shows: NamedShows) -> Verdict {
    Verdict::Named { master: srv(n), epoch: Epoch(epoch), shows }
}

fn hint(n: u8) -> Verdict {
    Verdict::Hint { master: srv(n) }
}

fn conflict(of: &[u8]) -> Verdict {
    Verdict::Conflict { masters: of.iter().map(|n| srv(*n)).collect() }
}

fn conclude(row: &Row) -> Verdict {
    let (rules, now) = (rules(), Moment::millis(1000));
    let mut evidence = Evidence::new(&rules, None, now);
    let names = crate::core::event::Names {
        sentinels: Some((1..=3).map(sen).collect()),
        servers: Some((2..=3).map(srv).collect()),
    };
    evidence.note_names(&names, &rules, now);
    for (n, says) in (1u8..).zip(row.sentinels) {
        let seen: Result<SentinelSeen, Failure> = match says {
            Names(master, epoch) => Ok(sentinel(n, srv(master), epoch)),
            Bare => Ok(bare(n)),
            Fails(failure) => Err(failure),
        };
        evidence.note_sentinel(sen(n), now, seen, rules.me, now);
    }
    for (n, says) in (2u8..).zip(row.servers) {
        let seen = match says {
            S::Master => Ok(server(n, master_role(&[]), 1000)),
            S::Replica => Ok(server(n, RoleSeen::Replica { master: None, link: crate::core::seen::Link::Down }, 1000)),
            S::Fails(failure) => Err(failure),
        };
        evidence.note_server(srv(n), now, seen, None, now);
    }
    let mut then = verdict(&evidence, &rules, row.own, now);
    if let Verdict::Conflict { masters } = &mut then {
        masters.sort();
    }
    then
}

fn check(rows: &[Row]) {
    for row in rows {
        assert_eq!(conclude(row), row.then, "{}", row.name);
    }
}

#[test]
fn sentinels_go_first() {
    let other = Own::Other;
    check(&[
        Row {
            name: "a majority names one at the highest epoch and it says master",
            sentinels: [Names(2, 3), Names(2, 3), Names(2, 3)],
            servers: [S::Master, S::Replica],
            own: other,
            then: confirmed(2, 3),
        },
        Row {
            name: "two of three are a majority",
            sentinels: [Names(2, 3), Names(2, 3), Fails(SILENT)],
            servers: [S::Master, S::Replica],
            own: other,
            then: confirmed(2, 3),
        },
        Row {
            name: "A4: one of three names another at a lower epoch",
            sentinels: [Names(3, 2), Names(2, 3), Names(2, 3)],
            servers: [S::Master, S::Replica],
            own: other,
            then: confirmed(2, 3),
        },
        Row {
            name: "A4: one of three names another at the same epoch",
            sentinels: [Names(3, 3), Names(2, 3), Names(2, 3)],
            servers: [S::Master, S::Replica],
            own: other,
            then: confirmed(2, 3),
        },
        Row {
            name: "A4: a 1-1-1 split takes no role from Sentinel",
            sentinels: [Names(1, 3), Names(2, 3), Names(3, 3)],
            servers: [S::Replica, S::Replica],
            own: other,
            then: Verdict::Unknown(Unknown::Split),
        },
        Row {
            name: "one Sentinel alone is no majority of three; its server that says master is a hint by its own word",
            sentinels: [Names(2, 3), Fails(SILENT), Fails(SILENT)],
            servers: [S::Master, S::Replica],
            own: other,
            then: hint(2),
        },
        Row {
            name: "A5: named, but it says replica: a failover is due, never pointed at",
            sentinels: [Names(2, 3), Names(2, 3), Names(2, 3)],
            servers: [S::Replica, S::Replica],
            own: other,
            then: named(2, 3, NamedShows::Replica),
        },
        Row {
            name: "named and silent",
            sentinels: [Names(2, 3), Names(2, 3), Names(2, 3)],
            servers: [S::Fails(SILENT), S::Replica],
            own: other,
            then: named(2, 3, NamedShows::Nothing),
        },
        Row {
            name: "named and refusing; another says master, but Sentinels go first",
            sentinels: [Names(2, 3), Names(2, 3), Names(2, 3)],
            servers: [S::Fails(REFUSED), S::Master],
            own: other,
            then: named(2, 3, NamedShows::Nothing),
        },
        Row {
            name: "A2: they name us while we are (re)starting",
            sentinels: [Names(1, 3), Names(1, 3), Names(1, 3)],
            servers: [S::Replica, S::Replica],
            own: other,
            then: named(1, 3, NamedShows::Ourselves),
        },
        Row {
            name: "they name us and we lead",
            sentinels: [Names(1, 3), Names(1, 3), Names(1, 3)],
            servers: [S::Replica, S::Replica],
            own: Own::Master,
            then: confirmed(1, 3),
        },
        Row {
            name: "F2: another server says master too: the Sentinels have chosen",
            sentinels: [Names(2, 3), Names(2, 3), Names(2, 3)],
            servers: [S::Master, S::Master],
            own: other,
            then: confirmed(2, 3),
        },
        Row {
            name: "one each at the highest epoch, a lower one agrees with one of them: still a split",
            sentinels: [Names(2, 3), Names(2, 4), Names(3, 4)],
            servers: [S::Replica, S::Replica],
            own: other,
            then: Verdict::Unknown(Unknown::Split),
        },
        Row {
            name: "the old one at the old epoch is no majority at the highest",
            sentinels: [Names(2, 3), Names(2, 3), Names(3, 4)],
            servers: [S::Replica, S::Replica],
            own: other,
            then: Verdict::Unknown(Unknown::Split),
        },
    ]);
}

#[test]
fn servers_go_second() {
    let (other, mute) = (Own::Other, [Fails(SILENT); 3]);
    check(&[
        Row {
            name: "exactly one master: a hint",
            sentinels: mute,
            servers: [S::Replica, S::Master],
            own: other,
            then: hint(3),
        },
        Row {
            name: "several, and no Sentinel names one: a conflict, nobody moves",
            sentinels: mute,
            servers: [S::Master, S::Master],
            own: other,
            then: conflict(&[2, 3]),
        },
        Row {
            name: "we and another: a conflict",
            sentinels: [Bare; 3],
            servers: [S::Master, S::Replica],
            own: Own::Master,
            then: conflict(&[1, 2]),
        },
        Row {
            name: "several: the one that the highest-epoch Sentinels name",
            sentinels: [Names(3, 4), Fails(SILENT), Fails(SILENT)],
            servers: [S::Master, S::Master],
            own: other,
            then: hint(3),
        },
        Row {
            name: "several, and the highest-epoch Sentinel names a third",
            sentinels: [Names(1, 4), Fails(SILENT), Fails(SILENT)],
            servers: [S::Master, S::Master],
            own: other,
            then: conflict(&[2, 3]),
        },
        Row {
            name: "several; of two Sentinels the higher epoch counts",
            sentinels: [Names(3, 4), Names(2, 3), Fails(SILENT)],
            servers: [S::Master, S::Master],
            own: other,
            then: hint(3),
        },
        Row {
            name: "several, and two Sentinels differ at the same epoch",
            sentinels: [Names(3, 4), Names(2, 4), Fails(SILENT)],
            servers: [S::Master, S::Master],
            own: other,
            then: conflict(&[2, 3]),
        },
    ]);
}

#[test]
fn nobody_says_master() {
    let none = [S::Replica, S::Fails(SILENT)];
    check(&[
        Row {
            name: "quorum of the Sentinels knows no master: no opinion",
            sentinels: [Bare, Bare, Fails(SILENT)],
            servers: none,
            own: Own::Other,
            then: Verdict::Unknown(Unknown::NoOpinion),
        },
        Row {
            name: "fewer than quorum answer: that is not no opinion",
            sentinels: [Bare, Fails(SILENT), Fails(SILENT)],
            servers: none,
            own: Own::Other,
            then: Verdict::Unknown(Unknown::Silent),
        },
        Row {
            name: "silence is never no opinion",
            sentinels: [Fails(SILENT); 3],
            servers: none,
            own: Own::Other,
            then: Verdict::Unknown(Unknown::Silent),
        },
        Row {
            name: "nor is a refusal",
            sentinels: [Fails(REFUSED); 3],
            servers: none,
            own: Own::Other,
            then: Verdict::Unknown(Unknown::Silent),
        },
        Row {
            name: "nonsense is no opinion of anybody",
            sentinels: [Fails(Failure::Nonsense), Fails(Failure::Unauthorised), Fails(Failure::Nonsense)],
            servers: none,
            own: Own::Other,
            then: Verdict::Unknown(Unknown::Silent),
        },
        Row {
            name: "two bare ones and one that names somebody: not without opinion",
            sentinels: [Bare, Bare, Names(2, 3)],
            servers: none,
            own: Own::Other,
            then: Verdict::Unknown(Unknown::Split),
        },
    ]);
}

#[test]
fn nothing_configured_is_no_sentinels() {
    let mut rules = rules();
    rules.sentinels_configured = false;
    let now = Moment::millis(1000);
    let evidence = Evidence::new(&rules, None, now);
    assert_eq!(verdict(&evidence, &rules, Own::Other, now), Verdict::Unknown(Unknown::NoSentinels));
}

#[test]
fn answers_grow_stale() {
    let rules = rules();
    let (then, later) = (Moment::millis(1000), Moment::millis(10_000));
    let mut evidence = Evidence::new(&rules, None, then);
    let names = crate::core::event::Names { sentinels: Some((1..=3).map(sen).collect()), servers: None };
    evidence.note_names(&names, &rules, then);
    for n in 1..=3 {
        evidence.note_sentinel(sen(n), then, Ok(sentinel(n, srv(2), 1)), rules.me, then);
    }
    evidence.note_server(srv(2), then, Ok(server(2, master_role(&[]), 1)), None, then);
    assert_eq!(verdict(&evidence, &rules, Own::Other, then), confirmed(2, 1));
    assert_eq!(verdict(&evidence, &rules, Own::Other, later), Verdict::Unknown(Unknown::Silent));
}

#[test]
fn a7_a_half_address_is_none() {
    for (host, port) in [("", 6379), ("127.0.0.1", 0), ("", 0), ("pod-0", 6379), ("127.0.0.1 ", 6379)] {
        assert_eq!(Address::parse(host, port), None, "{host:?} {port}");
    }
    assert_eq!(Address::parse("127.0.0.2", 6379), Some(srv(2)));
}

#[test]
fn c6_two_ways_to_write_an_address_are_one() {
    assert_eq!(Address::parse("::ffff:127.0.0.2", 6379), Some(srv(2)));
}

#[test]
fn m18_a_service_in_front_of_the_master_is_no_second_one() {
    // (what differs, the master) Server 9 is the Service's address, which is configured; 2 is who stands behind it.
    type Other = fn(&mut Evidence);
    let rows: [(&str, Other, Verdict); 3] = [
        ("the same process", |_| (), hint(2)),
        (
            "the Service leads to its supervisor too",
            |e| e.note_supervisor(srv(9), Moment::millis(1000), Ok(supervisor(0))),
            hint(2),
        ),
        ("another process, one after the other", |e| note(e, 9, "run-3"), hint(2)),
    ];
    fn note(evidence: &mut Evidence, at: u8, run: &str) {
        let seen = crate::core::seen::ServerSeen { run_id: run.into(), ..server(at, master_role(&[]), 1) };
        evidence.note_server(srv(at), Moment::millis(1000), Ok(seen), None, Moment::millis(1000));
    }
    for (what, so, then) in rows {
        let (rules, now) = (rules(), Moment::millis(1000));
        let mut evidence = Evidence::new(&rules, None, now);
        let names = crate::core::event::Names { sentinels: Some(vec![]), servers: Some(vec![srv(9)]) };
        evidence.note_names(&names, &rules, now);
        evidence.add_server(srv(2), now);
        note(&mut evidence, 2, "run-2");
        note(&mut evidence, 9, "run-2");
        evidence.note_supervisor(srv(2), now, Ok(supervisor(0)));
        so(&mut evidence);
        assert_eq!(verdict(&evidence, &rules, Own::Other, now), then, "{what}");
    }
}
