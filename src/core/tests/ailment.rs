//! What ails a child that does not start: what is said, to whom, and when it is given up at once (U02).

use super::crash::reborn;
use super::world::*;
use crate::core::action::{Action, ChildOrder, Exit};
use crate::core::ailment::{Ailment, Complaint};
use crate::core::event::{ChildExit, Done, Event, Signal};
use crate::core::seen::ChildFailure;

fn is_examine(order: &ChildOrder) -> bool {
    matches!(order, ChildOrder::Examine(Complaint::Start))
}

/// A child that has just ended before it had loaded, and what was found.
fn ails(found: Ailment) -> World {
    let mut world = World::replica();
    world.child_exits(ChildExit::Code(1), Err(ChildFailure::NotListening));
    world.run(600);
    world.holds = is_examine;
    world.done.clear();
    world.child_exits(ChildExit::Code(1), Err(ChildFailure::NotListening));
    let id = world.done.iter().find_map(|(_, action)| match action {
        Action::Child { id, order } if is_examine(order) => Some(*id),
        _ => None,
    });
    let id = id.expect("it is examined");
    world.feed(Event::ChildDone { id, done: Ok(Done::Found(found)) });
    world
}

fn every() -> [(Ailment, bool, &'static str); 8] {
    let (file, tool, said) = ("/data/f".to_owned(), "redis-check-aof".to_owned(), "words".to_owned());
    [
        (Ailment::Refused { said: said.clone() }, true, "does not take its configuration, words"),
        (Ailment::NotLoadable { said }, true, "words"),
        (Ailment::DamagedAof { file: file.clone(), tool: tool.clone() }, false, "says redis-check-aof: copy"),
        (Ailment::DamagedSnapshot { file, tool: tool.clone() }, false, "says redis-check-aof: copy"),
        (Ailment::Unchecked { tool }, false, "could not be checked"),
        (Ailment::Passed, false, "passes the engine's check"),
        (Ailment::NothingToLoad, false, "its data are not the reason"),
        (Ailment::DiskFull { free: 1 }, false, "is full (1 bytes free)"),
    ]
}

#[test]
fn u02_what_no_restart_puts_right_ends_at_once_and_the_rest_is_tried_again() {
    for (found, ends, _) in every() {
        let mut world = ails(found.clone());
        let expected = if ends { vec![Exit::CannotStart] } else { Vec::new() };
        assert_eq!(world.exits(), expected, "{found:?}");
        if !ends {
            world.done.clear();
            world.run(3_000);
            assert!(world.ordered(is_spawn), "{found:?}: tried again");
        }
    }
}

#[test]
fn u02_who_asks_hears_why_the_child_is_down() {
    for (found, ends, words) in every() {
        let mut world = ails(found.clone());
        let status = world.core.status();
        assert!(
            !status.probes.ready.is_yes() && status.probes.ready.reason().contains(words),
            "{found:?}: {:?}",
            status.probes.ready
        );
        if !ends {
            world.child = Ok(reborn());
            world.run(5_000);
            let ready = world.core.status().probes.ready;
            assert!(!ready.reason().contains("does not start"), "{found:?}, and it has: {ready:?}");
        }
    }
}

#[test]
fn u02_data_are_given_up_by_no_word_but_a_check_s_and_after_a_copy() {
    for (found, ..) in every() {
        let advice = found.advice(Complaint::Start);
        let gives_up = ["empty", "--fix", "put a backup", "delete", "remove"].iter().any(|word| advice.contains(word));
        let damaged = matches!(found, Ailment::DamagedAof { .. } | Ailment::DamagedSnapshot { .. });
        assert_eq!(gives_up, damaged, "{advice}");
        if damaged {
            assert!(advice.contains("copy the data directory first"), "{advice}");
        }
    }
}

#[test]
fn a_stop_that_was_asked_for_is_one_also_where_the_child_would_not_start() {
    let mut world = World::replica();
    world.holds = is_examine;
    world.child_exits(ChildExit::Code(1), Err(ChildFailure::NotListening));
    world.run(600);
    world.signal(Signal::Stop);
    world.run(100);
    world.child_exits(ChildExit::Code(0), Err(ChildFailure::NotListening));
    world.run(100);
    assert_eq!(world.exits(), vec![Exit::Asked]);
}
