//! Stopping: the budget, the ladder, signals and exit statuses (section 4, Stopping; P1 to P7, P27, P30, P35; K4).

use super::world::*;
use crate::core::action::{ChildOrder, Exit};
use crate::core::event::{ChildExit, Event, Maintenance, Signal, Wish};
use crate::core::id::Offset;
use crate::core::rules::Mode;
use crate::core::seen::{AttachedReplica, ChildFailure, RoleSeen};
use crate::core::stop::Budget;

const GONE: Result<crate::core::seen::ChildSeen, ChildFailure> = Err(ChildFailure::NotListening);

#[test]
fn the_budget_is_twenty_ten_fifteen_five_ten_of_sixty_and_scales() {
    // grace, handover, until the first forced step, until SIGKILL; ms
    for (grace, handover, force, kill) in
        [(60_000, 20_000, 45_000, 50_000), (30_000, 10_000, 22_500, 25_000), (20_000, 6_667, 15_000, 16_667)]
    {
        let budget = Budget::scaled(ms(grace));
        let whole = |duration: std::time::Duration| u64::try_from((duration + ms(1) / 2).as_millis()).unwrap();
        assert_eq!(whole(budget.handover), handover, "{grace}");
        assert_eq!(whole(budget.until_force()), force, "{grace}");
        assert_eq!(whole(budget.until_kill()), kill, "{grace}");
        assert!(budget.until_kill() + budget.margin <= ms(grace), "invariant 9");
    }
}

/// A replica told to stop whose child does not end by itself.
fn stubborn() -> World {
    let mut world = World::replica();
    world.signal(Signal::Stop);
    world
}

#[test]
fn p1_term_before_anything_was_started() {
    let mut world = World::new(rules(), None);
    world.signal(Signal::Stop);
    world.run(5_000);
    assert!(!world.ordered(is_spawn));
    assert_eq!(world.exits(), vec![Exit::Asked]);
}

#[test]
fn k4_term_while_loading_ends_fast() {
    let mut world = World::new(rules(), None);
    if let Ok(seen) = &mut world.child {
        seen.loading = Some(ms(60_000));
    }
    world.run(500);
    world.signal(Signal::Stop);
    world.run(50);
    assert!(world.ordered(is_terminate), "nothing to hand over");
    world.child_exits(ChildExit::Signal(15), GONE);
    assert_eq!(world.exits(), vec![Exit::Asked]);
}

#[test]
fn p3_term_ten_times_one_shutdown() {
    let mut world = World::replica();
    for _ in 0..10 {
        world.signal(Signal::Stop);
        world.run(100);
    }
    assert_eq!(world.orders().iter().filter(|order| is_terminate(order)).count(), 1);
}

#[test]
fn p4_quit_goes_to_the_bottom_of_the_ladder() {
    let mut world = World::master();
    world.signal(Signal::Stop);
    world.run(100);
    assert!(!world.ordered(is_terminate), "handing over");
    world.signal(Signal::Quit);
    assert!(world.ordered(is_kill));
    world.run(100);
    world.child_exits(ChildExit::Signal(9), GONE);
    assert_eq!(world.exits(), vec![Exit::Forced]);
}

#[test]
fn p7_quit_without_a_child_exits_once() {
    let mut world = World::new(rules(), None);
    world.signal(Signal::Quit);
    world.run(1_000);
    assert_eq!(world.exits(), vec![Exit::Asked]);
}

#[test]
fn p6_term_in_restart_back_off_stops_at_once() {
    let mut world = World::replica();
    world.child_exits(ChildExit::Code(1), GONE);
    world.run(100);
    world.child_exits(ChildExit::Code(1), GONE);
    world.forget();
    world.signal(Signal::Stop);
    world.run(5_000);
    assert!(!world.ordered(is_spawn));
    assert_eq!(world.exits(), vec![Exit::Asked]);
}

#[test]
fn p6_term_while_starting_waits_for_the_pid_and_ends_it() {
    let mut world = World::new(rules(), None);
    world.holds = is_spawn;
    world.run(50);
    assert!(world.ordered(is_spawn));
    world.signal(Signal::Stop);
    world.run(200);
    assert!(world.exits().is_empty(), "never before the child is gone");
    world.let_go(is_spawn);
    world.run(100);
    assert!(world.ordered(is_terminate));
}

#[test]
fn p7_term_while_fenced() {
    let mut world = World::master();
    for n in 1..=3 {
        world.sentinels.insert(sen(n), Err(SILENT));
    }
    for n in 2..=3 {
        world.lose(srv(n), SILENT);
    }
    world.run(4_000);
    assert!(world.core.status().fenced);
    world.signal(Signal::Stop);
    world.run(21_000);
    assert!(world.ordered(is_terminate));
    world.child_exits(ChildExit::Code(0), GONE);
    assert_eq!(world.exits(), vec![Exit::Asked]);
}

#[test]
fn p27_exit_statuses_of_a_stop_that_was_asked_for() {
    let rows = [(ChildExit::Code(0), Exit::Asked, 0), (ChildExit::Signal(15), Exit::Asked, 0)];
    for (exit, then, status) in rows {
        let mut world = stubborn();
        world.run(100);
        world.child_exits(exit, GONE);
        assert_eq!(world.exits(), vec![then], "{exit:?}");
        assert_eq!(then.status(), status);
    }
    assert_eq!(Exit::Forced.status(), 137);
}

#[test]
fn p25_p26_exit_statuses_of_giving_up() {
    for (exit, status) in [
        (ChildExit::Code(1), 1),
        (ChildExit::Code(255), 255),
        (ChildExit::Code(127), 127),
        (ChildExit::Code(0), 70),
        (ChildExit::Signal(9), 137),
        (ChildExit::Signal(11), 139),
        (ChildExit::Signal(15), 143),
    ] {
        let mut rules = rules();
        rules.restart_max = 0;
        let mut world = World::replica_with(rules);
        world.child_exits(exit, GONE);
        assert_eq!(world.exits(), vec![Exit::GivingUp(exit)], "{exit:?}");
        assert_eq!(Exit::GivingUp(exit).status(), status, "{exit:?}");
        world.run(60_000);
        assert!(!world.ordered(is_spawn), "P28");
        assert_eq!(world.exits().len(), 1);
    }
    assert_eq!(Exit::CannotStart.status(), 78);
}

#[test]
fn p30_the_ladder_down_to_sigkill() {
    let mut world = stubborn();
    if let Ok(seen) = &mut world.child {
        seen.shutting_down = true;
    }
    let began = world.now;
    world.run(55_000);
    let step = |which: Whim| world.ordered_at(which).map(|at| at.since(began));
    let force = step(|order| matches!(order, ChildOrder::ShutdownNow)).expect("forced");
    let kill = step(is_kill).expect("killed");
    assert!(step(is_terminate).is_some_and(|at| at <= ms(50)));
    assert!(force >= ms(44_900) && force <= ms(45_600), "it is shutting down: it gets its save: {force:?}");
    assert!(kill >= ms(49_900) && kill <= ms(50_600), "{kill:?}");
    world.child_exits(ChildExit::Signal(9), GONE);
    assert_eq!(world.exits(), vec![Exit::Forced], "P27");
}

#[test]
fn what_refuses_to_stop_is_forced_soon_where_nothing_is_to_save() {
    let mut world = stubborn();
    let began = world.now;
    world.run(4_000);
    let force = world.ordered_at(|order| matches!(order, ChildOrder::ShutdownNow)).expect("forced");
    assert!(force.since(began) <= ms(3_000), "a replica that ignores SIGTERM: {:?}", force.since(began));
}

#[test]
fn a_busy_script_is_killed_first() {
    let mut world = stubborn();
    world.child = Err(ChildFailure::Busy);
    world.run(4_000);
    let step = |which: Whim| world.ordered_at(which);
    let script = step(|order| matches!(order, ChildOrder::KillScript));
    let force = step(|order| matches!(order, ChildOrder::ShutdownNow));
    assert!(script.is_some() && (force.is_none() || script <= force), "{:?}", world.orders());
}

#[test]
fn a_master_alone_with_its_data_gets_its_save_time() {
    let mut world = World::master();
    world.all_replicas_leave();
    world.run(3_000);
    world.forget();
    let began = world.now;
    world.signal(Signal::Stop);
    world.run(40_000);
    assert!(world.ordered(is_terminate));
    let forced = world.ordered_at(|order| matches!(order, ChildOrder::ShutdownNow));
    assert!(forced.is_none(), "its save is worth waiting for: {:?}", forced.map(|at| at.since(began)));
    world.run(6_000);
    assert!(world.ordered(|order| matches!(order, ChildOrder::ShutdownNow)));
}

#[test]
fn a_replica_that_holds_our_offset_makes_our_save_worthless() {
    let mut world = World::master();
    world.run(100);
    if let Ok(seen) = &mut world.child {
        let at = |n| AttachedReplica { address: srv(n), online: true, offset: Offset(1000), lag: ms(5_000) };
        seen.role = RoleSeen::Master { replicas: vec![at(2), at(3)] };
    }
    for n in 1..=3 {
        world.sentinels.insert(sen(n), Err(REFUSED));
    }
    world.run(3_000);
    world.forget();
    world.signal(Signal::Stop);
    let began = world.now;
    world.run(25_000);
    let term = world.ordered_at(is_terminate).expect("stopped");
    let force = world.ordered_at(|order| matches!(order, ChildOrder::ShutdownNow)).expect("forced");
    assert!(force.since(term) <= ms(3_000), "{:?} after SIGTERM", force.since(began));
}

#[test]
fn p8_a_replica_shuts_its_door_before_it_goes() {
    let mut world = stubborn();
    world.run(100);
    let (shut, term) =
        (world.ordered_at(|order| matches!(order, ChildOrder::ShutDoor)), world.ordered_at(is_terminate));
    assert!(shut.is_some() && shut <= term, "{:?}", world.orders());
}

#[test]
fn p41_not_ready_at_once_and_alive_to_the_end() {
    let mut world = World::replica();
    assert!(world.core.status().probes.ready.is_yes());
    world.signal(Signal::Stop);
    assert!(!world.core.status().probes.ready.is_yes());
    world.run(20_000);
    assert!(world.core.status().probes.live.is_yes());
}

#[test]
fn a_stop_is_never_led_out_of() {
    let mut world = stubborn();
    world.peers = |_, _| Some(crate::core::message::PeerAnswer::Consented);
    world.lose(srv(2), REFUSED);
    world.propose(1, srv(1));
    world.run(5_000);
    assert!(!world.ordered(is_lead), "a server told to stop never leads only to hand over again");
    assert!(world.core.status().never);
}

#[test]
fn nothing_is_ordered_once_it_is_over() {
    let mut world = stubborn();
    world.run(100);
    world.child_exits(ChildExit::Code(0), GONE);
    world.forget();
    world.signal(Signal::Stop);
    world.feed(Event::Tick);
    assert!(world.orders().is_empty() && world.exits().is_empty());
}

#[test]
fn in_maintenance_a_stop_is_a_stop() {
    let mut world = World::replica();
    world.wish(Wish::Maintenance(Maintenance::On));
    world.signal(Signal::Stop);
    world.run(100);
    assert!(world.ordered(is_terminate));
}

#[test]
fn a_sentinel_has_nothing_to_hand_over() {
    let mut rules = rules();
    (rules.mode, rules.me) = (Mode::Sentinel, sen(1));
    let mut world = World::new(rules, None);
    world.healthy(srv(1), 1);
    world.run(2_000);
    world.signal(Signal::Stop);
    world.run(50);
    assert!(world.ordered(is_terminate));
    assert!(world.failovers().is_empty());
}

#[test]
fn p8_reload_and_report_end_nothing() {
    let mut world = World::replica();
    world.signal(Signal::Reload);
    world.signal(Signal::Report);
    world.run(3_000);
    assert!(world.exits().is_empty() && !world.ordered(is_terminate));
    assert!(world.done.iter().any(|(_, action)| matches!(action, crate::core::action::Action::LogStatus)));
}

// C2: the engine got the signal too. Somebody else shall lead, where there is somebody.

/// A master told to stop whose child ends at the same moment, the others as they were changed before.
fn ends_with_its_child(change: fn(&mut World)) -> World {
    let mut world = World::master();
    change(&mut world);
    world.run(1_500);
    world.signal(Signal::Stop);
    world.child_exits(ChildExit::Code(0), GONE);
    world
}

fn all_say_never(world: &mut World) {
    for seen in world.supervisors.values_mut().flatten() {
        seen.never = true;
    }
}

#[test]
fn c2_a_stop_waits_for_a_successor_only_where_one_may_come() {
    let rows: [(&str, fn(&mut World), bool); 5] = [
        ("two may take over", |_| (), true),
        ("one may", |world| world.supervisors.get_mut(&srv(2)).unwrap().as_mut().unwrap().never = true, true),
        ("both never lead", all_say_never, false),
        ("both are gone", World::all_replicas_leave, false),
        ("their supervisors are silent", |world| world.supervisors.clear(), false),
    ];
    for (what, change, waits) in rows {
        let mut world = ends_with_its_child(change);
        world.run(1_000);
        assert_eq!(world.exits().is_empty(), waits, "{what}: {}", world.core.status().reason);
        world.run(20_000);
        assert_eq!(world.exits(), vec![Exit::Asked], "{what}");
    }
}

#[test]
fn c2_a_stop_waits_no_longer_than_the_last_one_that_may_come() {
    for all_leave in [all_say_never, World::all_replicas_leave] {
        let mut world = ends_with_its_child(|_| ());
        world.run(2_000);
        assert!(world.exits().is_empty());
        all_leave(&mut world);
        world.run(1_000);
        assert_eq!(world.exits(), vec![Exit::Asked]);
    }
}

/// Its child has crashed and somebody else shall lead; a new child runs and serves nobody.
fn replaced() -> World {
    let mut world = World::master();
    let mut next = child(RoleSeen::Replica { master: None, link: crate::core::seen::Link::Down }, 0);
    next.aof = false;
    world.child_exits(ChildExit::Signal(9), Ok(next));
    world.run(1_000);
    assert!(!world.failovers().is_empty() && world.core.status().pid.is_some());
    world
}

#[test]
fn p4_quit_waits_for_no_successor() {
    for told_to_stop in [false, true] {
        let mut world = replaced();
        if told_to_stop {
            world.signal(Signal::Stop);
            world.run(100);
        }
        world.signal(Signal::Quit);
        assert!(world.ordered(is_kill));
        world.child_exits(ChildExit::Signal(9), GONE);
        assert_eq!(world.exits(), vec![Exit::Forced], "told to stop before: {told_to_stop}");
    }
    let mut world = ends_with_its_child(|_| ());
    world.run(1_000);
    assert!(world.exits().is_empty(), "a successor may come");
    world.signal(Signal::Quit);
    assert_eq!(world.exits(), vec![Exit::Asked], "there was no child to kill");
}

#[test]
fn p27_a_child_killed_at_the_deadline_is_137_also_where_another_shall_lead() {
    let mut world = replaced();
    world.signal(Signal::Stop);
    world.run(55_000);
    assert!(world.ordered(is_kill));
    world.child_exits(ChildExit::Signal(9), GONE);
    assert_eq!(world.exits(), vec![Exit::Forced]);
}
