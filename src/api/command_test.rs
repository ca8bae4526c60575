//! The commands against a real socket.

use std::time::{Duration, Instant};

use super::client::{self, Output};
use super::dial;
use super::picture::Picture;
use super::table;
use super::testing::{address, published, replica, start};
use crate::core::status::Answer;

#[test]
fn a_handover_prints_its_steps_as_they_come() {
    let running = start(None).with_control();
    let mut reply =
        dial::ask(&running.socket, "POST", "/handover", r#"{"to":"10.0.0.1:6379"}"#, Duration::from_secs(5)).unwrap();
    assert_eq!(reply.status, 200);
    let mut lines = Vec::new();
    while let Some(line) = reply.line().unwrap() {
        lines.push(line);
    }
    assert_eq!(lines, [r#"{"step":"first"}"#, r#"{"step":"second"}"#, r#"{"done":"all is done"}"#]);
    assert_eq!(client::handover(&running.socket, None), 0);
    let bad = dial::ask(&running.socket, "POST", "/handover", r#"{"to":"somebody"}"#, Duration::from_secs(5)).unwrap();
    assert_eq!(bad.status, 400);
}

#[test]
fn maintenance_is_switched() {
    let running = start(None).with_control();
    assert_eq!(client::maintenance(&running.socket, true), 0);
    assert_eq!(client::maintenance(&running.socket, false), 0);
}

#[test]
fn a_stuck_control_loop_is_said() {
    let running = start(None);
    let begun = Instant::now();
    assert_eq!(client::maintenance(&running.socket, true), 1);
    assert!(begun.elapsed() < Duration::from_secs(3));
}

#[test]
fn status_tells_healthy_from_trouble_from_nobody() {
    let running = start(None);
    for output in [Output::Table, Output::Json] {
        assert_eq!(client::status(&running.socket, false, output), 0);
    }
    let mut ill = replica();
    ill.probes.ready = Answer::No("link down".to_owned());
    running.shared.publish(published(ill));
    assert_eq!(client::status(&running.socket, false, Output::Table), 25);
    let nobody = running.socket.with_extension("gone");
    assert_eq!(client::status(&nobody, false, Output::Json), 2);
    assert_eq!(client::handover(&nobody, None), 2);
    assert_eq!(client::maintenance(&nobody, true), 2);
}

fn picture(change: impl FnOnce(&mut crate::core::status::Status)) -> Picture {
    let mut status = replica();
    change(&mut status);
    let shared = super::Shared::new(crate::control::clock::Clock::new(), published(status));
    Picture::take(&shared)
}

#[test]
fn the_table_shows_who_is_what() {
    let page = table::draw(&picture(|_| ()), &[]);
    let expected = "\
server 10.0.0.2:6379: replica since 2025-11-22T08:26:41.500Z
  3 of 3 Sentinels name 10.0.0.1:6379 at epoch 7
  redis 7.0.15, pid 12, restarted 1 times
  master 10.0.0.1:6379, confirmed by sentinels, epoch 7

  Server         Role     Link  Offset  Lag  Supervisor
  10.0.0.1:6379  master   -     1000    0    yes
  10.0.0.2:6379  replica  up    1000    0    yes         this node

  Sentinel        Names          Epoch  State
  10.0.0.1:26379  10.0.0.1:6379  7      ok
";
    assert_eq!(page, expected);
}

#[test]
fn the_table_shows_the_cluster_and_who_is_of_another_one() {
    use crate::core::cluster::{ClusterId, Identity, Standing};
    let shown = |standing, strangers: &[(&str, Option<&str>)]| {
        let picture = picture(|status| {
            status.cluster = Some(Identity { id: ClusterId::parse("prod/a").unwrap(), standing });
            status.strangers = strangers.iter().map(|(at, id)| (address(at), id.map(str::to_owned))).collect();
        });
        assert_eq!(table::warnings(&picture), Vec::<String>::new());
        table::draw(&picture, &[])
    };
    assert!(shown(Standing::Settled, &[]).contains("epoch 7\n  cluster prod/a\n\n"));
    assert!(shown(Standing::New, &[]).contains("\n  cluster prod/a, new: no write was taken under it yet\n"));
    let page = shown(Standing::Settled, &[("10.0.0.9:6379", Some("prod/b\x1b")), ("10.0.0.10:6379", None)]);
    let end = "
  stranger 10.0.0.9:6379 of cluster prod/b : not followed, not counted
  stranger 10.0.0.10:6379 of no known cluster: not followed, not counted
";
    assert!(page.ends_with(end), "{page}");
}

#[test]
fn every_trouble_has_a_warning() {
    use crate::core::status::RoleShown;
    assert_eq!(table::warnings(&picture(|_| ())), Vec::<String>::new());
    let warned = |change: fn(&mut crate::core::status::Status), text: &str| {
        let warnings = table::warnings(&picture(change));
        assert!(warnings.iter().any(|warning| warning.contains(text)), "{text} in {warnings:?}");
    };
    warned(|status| status.probes.live = Answer::No("stuck".to_owned()), "not live: stuck");
    warned(|status| status.probes.ready = Answer::No("loading".to_owned()), "not ready: loading");
    warned(|status| status.master = None, "no master");
    warned(|status| status.master.as_mut().unwrap().verdict = "conflict", "conflict");
    warned(|status| status.fenced = true, "fenced");
    warned(|status| status.maintenance = crate::core::event::Maintenance::On, "maintenance");
    warned(|status| status.servers[1].role = RoleShown::Master, "2 servers say master");
    warned(|status| status.servers[1].role = RoleShown::Unknown, "does not answer");
    warned(|status| status.servers[1].link = Some(crate::core::seen::Link::Down), "its link is down");
    warned(|status| status.servers[1].supervised = Some(false), "no supervisor");
    warned(|status| status.sentinels[0].state = "s_down", "sentinel 10.0.0.1:26379: s_down");
    warned(|status| status.sentinels[0].master = Some(address("10.0.0.3:6379")), "names another master");
}
