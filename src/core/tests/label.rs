//! The role label on our own pod, and what the cluster's history is told.

use super::world::*;
use crate::core::action::Action;
use crate::core::course::{Basis, Ground};
use crate::core::event::{Event, Wish};
use crate::core::id::RequestId;
use crate::core::label::{LabelFailure, Labels, PodRole};
use crate::core::moment::Moment;
use crate::core::notice::{NoticeKind, Notices, of_a_lead};
use crate::core::rules::Rules;

fn in_a_pod() -> Rules {
    Rules { labels: Labels::On, notices: Notices::On, ..rules() }
}

fn labels(world: &World) -> Vec<(Moment, RequestId, PodRole)> {
    let label = |(at, action): &(Moment, Action)| match action {
        Action::Label { id, role } => Some((*at, *id, *role)),
        _ => None,
    };
    world.done.iter().filter_map(label).collect()
}

fn last(world: &World) -> Option<PodRole> {
    labels(world).last().map(|(_, _, role)| *role)
}

fn answer(world: &mut World, done: Result<(), LabelFailure>) {
    let (_, id, _) = *labels(world).last().expect("ordered");
    world.feed(Event::Labelled { id, done });
}

fn notices(world: &World) -> Vec<NoticeKind> {
    let notice = |(_, action): &(Moment, Action)| match action {
        Action::Notice(notice) => Some(notice.kind),
        _ => None,
    };
    world.done.iter().filter_map(notice).collect()
}

fn said(world: &World, event: &str) -> usize {
    world.done.iter().filter(|(_, action)| matches!(action, Action::Log(decision) if decision.event == event)).count()
}

/// A master whose label is on, and known to be.
fn labelled_master() -> World {
    let mut world = World::master_with(in_a_pod());
    world.run(2_000);
    // Ordered while it became one: the order was never answered.
    if labels(&world).is_empty() {
        world.core.label = crate::core::label::Label::default();
        world.run(10);
    }
    answer(&mut world, Ok(()));
    world.forget();
    world
}

#[test]
fn the_label_says_what_we_are() {
    let mut fresh = World::new(in_a_pod(), None);
    fresh.run(10);
    assert_eq!(last(&fresh), Some(PodRole::Nothing), "a label of an earlier life comes off at once");
    let mut replica = World::new(in_a_pod(), None);
    replica.healthy(srv(2), 1);
    replica.run(3_000);
    assert_eq!(last(&replica), Some(PodRole::Replica));
    let mut master = World::born_master_with(in_a_pod());
    assert!(master.fence().is_some());
    master.run(300);
    assert!(labels(&master).iter().all(|(_, _, role)| *role == PodRole::Nothing), "fenced until it is named");
    master.healthy(srv(1), 1);
    master.attach(&[srv(2), srv(3)]);
    master.run(15_000);
    assert!(master.fence().is_none());
    assert_eq!(last(&master), Some(PodRole::Master));
    let mut nowhere = World::master();
    nowhere.run(1_000);
    assert!(labels(&nowhere).is_empty() && notices(&nowhere).is_empty());
}

/// The order to the child goes out at the same moment, whatever becomes of the label.
#[test]
fn f1_the_fence_does_not_wait_for_the_label() {
    let mut world = labelled_master();
    for n in 1..=3 {
        world.sentinels.insert(sen(n), Err(SILENT));
    }
    for n in 2..=3 {
        world.servers.insert(srv(n), Err(SILENT));
        world.supervisors.insert(srv(n), Err(SILENT));
    }
    world.run(4_000);
    let fenced = world.ordered_at(is_fence).expect("fenced");
    assert_eq!(
        labels(&world).into_iter().map(|(at, _, role)| (at, role)).collect::<Vec<_>>(),
        [(fenced, PodRole::Nothing)]
    );
    assert_eq!(notices(&world), [NoticeKind::Fence]);
}

#[test]
fn in_a_planned_handover_it_is_off_before_writes_stop() {
    let mut world = labelled_master();
    world.wish(Wish::Handover { to: None });
    assert_eq!(last(&world), Some(PodRole::Nothing));
    assert!(!world.ordered(is_release));
}

#[test]
fn a_missing_right_is_said_once_and_tried_again_when_it_may_have_come() {
    let mut world = labelled_master();
    world.run(31_000);
    assert_eq!(last(&world), Some(PodRole::Master), "looked at again after 30 s");
    let refused = || Err(LabelFailure::Forbidden("pods is forbidden".into()));
    answer(&mut world, refused());
    let before = labels(&world).len();
    world.run(59_000);
    assert_eq!(labels(&world).len(), before);
    for _ in 0..5 {
        world.run(61_000);
        answer(&mut world, refused());
    }
    assert_eq!((labels(&world).len(), said(&world, "label")), (before + 5, 1));
    assert!(world.leads() && world.fence().is_none(), "all else works");
}

#[test]
fn an_api_server_that_is_away_is_asked_again_each_second_and_said_once() {
    let mut world = labelled_master();
    world.run(31_000);
    for _ in 0..10 {
        answer(&mut world, Err(LabelFailure::Unknown("no answer".into())));
        world.run(1_100);
    }
    assert_eq!((labels(&world).len(), said(&world, "label")), (11, 1));
    answer(&mut world, Ok(()));
    let before = labels(&world).len();
    world.run(29_000);
    assert_eq!(labels(&world).len(), before);
}

#[test]
fn what_is_wanted_now_takes_the_place_of_what_is_under_way() {
    let mut world = labelled_master();
    world.wish(Wish::Handover { to: None });
    let (_, off, _) = *labels(&world).last().expect("ordered");
    world.feed(Event::Labelled { id: RequestId(off.0 + 1_000), done: Ok(()) });
    world.feed(Event::Labelled { id: off, done: Err(LabelFailure::Superseded) });
    world.run(10);
    assert_eq!(last(&world), Some(PodRole::Nothing), "nobody else took its place: ordered anew");
    assert!(labels(&world).len() > 1);
}

#[test]
fn a_conflict_that_lasts_is_told_once() {
    let mut world = World::new(in_a_pod(), None);
    world.healthy(srv(2), 1);
    for n in 1..=3 {
        world.sentinels.insert(sen(n), Ok(bare(n)));
    }
    world.servers.insert(srv(3), Ok(server(3, master_role(&[]), 1000)));
    world.run(20_000);
    let told = notices(&world).iter().filter(|kind| **kind == NoticeKind::Conflict).count();
    assert_eq!((told, said(&world, "conflict")), (1, 1), "{}", world.core.status().reason);
}

#[test]
fn what_it_is_called_when_somebody_begins_to_lead() {
    let proposal = |ground| Basis::Proposal { sentinel: sentinel_id(1), replaces: srv(2), ground };
    for (basis, kind) in [
        (proposal(Ground::Word), Some(NoticeKind::Promotion)),
        (proposal(Ground::Absence), Some(NoticeKind::Failover)),
        (Basis::Vote { without_sentinels: false }, Some(NoticeKind::Promotion)),
        (Basis::InPlace, Some(NoticeKind::Promotion)),
        (Basis::Alone, None),
    ] {
        assert_eq!(of_a_lead(&basis), kind, "{basis:?}");
    }
}
