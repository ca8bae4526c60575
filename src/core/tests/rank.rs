//! Section 3.4, Rank: whose data are the newest.

use super::world::*;
use crate::core::id::{Epoch, Offset};
use crate::core::message::{Rank, Step};
use crate::core::rank::{Standing, compare, compare_among, given_up, holds_more, same_data};
use crate::core::seen::History;

fn with(n: u8, offset: u64, change: impl FnOnce(&mut Rank)) -> Rank {
    let mut made = rank(n, offset);
    change(&mut made);
    made
}

#[test]
fn the_newest_data_win() {
    let plain = || rank(1, 1000);
    // (what, the better one, the worse one)
    let rows = [
        ("data before none", with(3, 10, |_| ()), with(2, 5000, |r| r.has_data = false)),
        ("epoch before offset", with(3, 10, |r| r.epoch = Epoch(2)), plain()),
        ("data before epoch", plain(), with(2, 0, |r| (r.has_data, r.epoch) = (false, Epoch(9)))),
        (
            "M16: the master of that epoch with its AOF before offset",
            with(3, 10, |r| r.was_master_with_aof = true),
            plain(),
        ),
        (
            "V2: but not where the end of its file is lost",
            rank(1, 9_000),
            with(3, 10, |r| r.was_master_with_aof = true),
        ),
        (
            "epoch before having been master",
            with(3, 10, |r| r.epoch = Epoch(2)),
            with(2, 10, |r| r.was_master_with_aof = true),
        ),
        ("offset", rank(3, 1001), plain()),
        ("time of last write on equal offsets", with(3, 1000, |r| r.last_write = 5), plain()),
        ("offset before time", rank(3, 1001), with(1, 1000, |r| r.last_write = 5)),
        ("lowest address last", plain(), rank(2, 1000)),
        (
            "offsets count through the second id",
            with(3, 1100, |r| (r.history, r.second) = ("h2".into(), Some(("h1".into(), Offset(1050))))),
            plain(),
        ),
    ];
    for (what, better, worse) in rows {
        assert_eq!(compare(&better, &worse), Standing::Better, "{what}");
        assert_eq!(compare(&worse, &better), Standing::Worse, "{what}, the other way round");
    }
}

#[test]
fn unrelated_histories_at_one_epoch_are_a_conflict() {
    let other = |n, offset| with(n, offset, |r| r.history = "other".into());
    assert_eq!(compare(&rank(1, 1000), &other(2, 2000)), Standing::Unrelated);
    assert_eq!(compare(&other(2, 2000), &rank(1, 1000)), Standing::Unrelated);
    // (what, change, then)
    let newer = with(2, 10, |r| (r.history, r.epoch) = ("other".into(), Epoch(2)));
    assert_eq!(compare(&newer, &rank(1, 1000)), Standing::Better, "but not at different epochs");
    let led = with(2, 10, |r| (r.history, r.was_master_with_aof) = ("other".into(), true));
    assert_eq!(compare(&led, &rank(1, 1000)), Standing::Better, "nor where one was master with its AOF");
    let empty = |n| with(n, 0, |r| (r.has_data, r.history) = (false, "other".into()));
    assert_eq!(compare(&rank(1, 1000), &empty(2)), Standing::Better, "nor against nothing");
    assert_eq!(
        compare(&with(1, 0, |r| r.has_data = false), &empty(2)),
        Standing::Better,
        "nor nothing against nothing"
    );
}

#[test]
fn a_history_reaches_into_another_up_to_its_second_offset() {
    let own = History { id: "h2".into(), second: Some(("h1".into(), Offset(1000))), offset: Offset(1500) };
    // (what, the other's id, the other's offset, related)
    let rows = [
        ("within", "h1", 1000, true),
        ("beyond", "h1", 1001, false),
        ("same", "h2", 9, true),
        ("other", "h3", 9, false),
    ];
    for (what, id, offset, related) in rows {
        let other = History { id: id.into(), second: None, offset: Offset(offset) };
        assert_eq!(own.related(&other), related, "{what}");
        assert_eq!(other.related(&own), related, "{what}, the other way round");
    }
}

#[test]
fn m8_more_is_more_of_the_same_history() {
    let other = History { id: "other".into(), second: None, offset: Offset(5000) };
    assert!(holds_more(&history(1001), &history(1000)));
    assert!(!holds_more(&history(1000), &history(1000)));
    assert!(!holds_more(&other, &history(1000)));
}

#[test]
fn same_data_is_no_tie_break() {
    assert!(same_data(&rank(1, 1000), &with(2, 1000, |r| r.last_write = 9)));
    assert!(!same_data(&rank(1, 1000), &rank(2, 1001)));
    assert!(!same_data(&rank(1, 1000), &with(2, 1000, |r| r.history = "other".into())));
    assert!(!same_data(&rank(1, 1000), &with(2, 1000, |r| r.epoch = Epoch(2))));
}

/// Outage after outage with snapshots: `led` loaded h1, led and became y; `synced` got y from it, `waited` had not yet.
#[test]
fn b4_snapshots_are_ranked_by_what_anybody_knows_of_how_they_went_on() {
    let step =
        |history: &str, upto, next: &str| Step { history: history.into(), upto: Offset(upto), next: next.into() };
    let led = with(1, 1000, |r| {
        (r.history, r.line) = ("y".into(), vec![step("h1", 1000, "y")]);
    });
    let waited = with(2, 900, |r| {
        (r.history, r.second) = ("h2".into(), Some(("h1".into(), Offset(1050))));
        r.line = vec![step("h1", 1050, "h2")];
    });
    let synced = with(3, 1010, |r| r.history = "y".into());
    let beyond = with(4, 1040, |r| r.history = "h1".into());
    let all: Vec<&Step> = led.line.iter().chain(&waited.line).collect();
    for (what, better, worse) in [
        ("the same snapshot's history, further on", &led, &waited),
        ("what it went on as", &synced, &led),
        ("a third one knows how it went on", &synced, &waited),
        ("what is beyond the point where they part does not count", &synced, &beyond),
    ] {
        assert_eq!(compare_among(better, worse, &all), Standing::Better, "{what}");
        assert_eq!(compare_among(worse, better, &all), Standing::Worse, "{what}, the other way round");
    }
    assert_eq!(compare(&synced, &waited), Standing::Unrelated, "without the third one nobody knows");
}

#[test]
fn who_was_promoted_and_got_nothing_since_holds_no_more_than_before() {
    for (offset, related) in [(1000, true), (1001, false)] {
        let promoted = with(1, offset, |r| (r.history, r.second) = ("h2".into(), Some(("h1".into(), Offset(1000)))));
        let further = rank(2, 1002);
        let expected = if related { Standing::Better } else { Standing::Unrelated };
        assert_eq!(compare(&further, &promoted), expected, "{offset}");
    }
}

#[test]
fn b1_a_history_that_was_never_recorded_is_no_conflict_and_comes_last() {
    let mut unknown = rank(1, 5000);
    unknown.history = "".into();
    assert_eq!(compare(&unknown, &rank(2, 10)), Standing::Worse);
    assert_eq!(compare(&rank(2, 10), &unknown), Standing::Better);
    let mut other = unknown.clone();
    other.address = srv(3);
    assert_eq!(compare(&unknown, &other), Standing::Better, "two of them: the lowest address");
}

#[test]
fn what_a_sync_gives_up_is_counted_from_the_last_common_byte() {
    let own = History { id: "h1".into(), second: None, offset: Offset(1500) };
    let master = |id: &str, second: Option<(&str, u64)>, offset| History {
        id: id.into(),
        second: second.map(|(id, upto)| (id.into(), Offset(upto))),
        offset: Offset(offset),
    };
    assert_eq!(given_up(&own, &master("h1", None, 1000)), Some(500), "the same line, further back");
    assert_eq!(given_up(&own, &master("h2", Some(("h1", 1400)), 9000)), Some(100), "promoted at 1400");
    assert_eq!(given_up(&own, &master("h2", Some(("h1", 1600)), 9000)), Some(0), "promoted further on");
    assert_eq!(given_up(&own, &master("h2", Some(("h0", 1400)), 9000)), None, "no common past is known");
}
