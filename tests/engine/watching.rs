//! A Sentinel logs in at servers by its cluster's login: one of another cluster takes no part, with one password for both.

use std::path::PathBuf;
use std::time::Duration;

use redinit::config::settings::{EngineChoice, Settings};
use redinit::core::action::{Birth, Change, ChildOrder, Expecting, Monitor, SentinelFile};
use redinit::core::cluster::{ClusterId, ClusterTag};
use redinit::core::event::OrderFailure;
use redinit::core::id::{Address, Epoch};
use redinit::core::seen::Login;
use redinit::engine::acl;
use secrecy::SecretString;

use super::node::{Node, engines, run, say};
use super::sentinels::{sentinel_row, until};

const MASTER: &str = "SENTINEL MASTER mymaster";
const SENTINELS: &str = "SENTINEL SENTINELS mymaster";

fn tag(id: &str) -> ClusterTag {
    ClusterId::parse(id).unwrap().tag()
}

/// An engine, and where its servers and Sentinels stand.
struct Place {
    engine: EngineChoice,
    net: String,
}

impl Place {
    fn at(&self, last: u8) -> String {
        format!("{}.{last}", self.net)
    }

    fn settings(&self) -> impl Fn(&mut Settings) {
        let engine = self.engine.clone();
        move |settings| {
            settings.password = Some(SecretString::from("hush".to_owned()));
            settings.engine = engine.clone();
        }
    }

    async fn sentinel(&self, last: u8, cluster: &str, master: Address) -> Option<Node> {
        let monitor = Some(Monitor { master, epoch: Epoch(1) });
        let file = SentinelFile { monitor, cluster: Some(tag(cluster)), ..SentinelFile::default() };
        Node::sentinel(&self.at(last), file, self.settings()).await
    }

    /// A master and a replica of cluster `a`, whose login they know.
    async fn servers(&self) -> Option<(Node, Node)> {
        let mut master = Node::server(&self.at(1), self.settings()).await?;
        let mut replica = Node::server(&self.at(2), self.settings()).await?;
        for node in [&mut master, &mut replica] {
            node.ok(ChildOrder::Belong(tag("a"))).await;
            node.ok(ChildOrder::LogIn(Login::Cluster)).await;
        }
        master.ok(ChildOrder::LeadAlone).await;
        let follow = ChildOrder::Follow { master: master.me(), expecting: Expecting::Replica };
        replica.ok(follow).await;
        for node in [&mut master, &mut replica] {
            node.ok(ChildOrder::OpenDoor).await;
        }
        Some((master, replica))
    }
}

/// On every engine that is there, side by side: they mostly wait.
fn on_all(test: &str, net: &str, shows: fn(Place)) {
    let place = |(number, engine): (usize, Option<PathBuf>)| Place {
        engine: engine.map_or(EngineChoice::Auto, EngineChoice::Path),
        net: format!("{net}.{number}"),
    };
    std::thread::scope(|scope| {
        for place in engines(test).into_iter().enumerate().map(place) {
            scope.spawn(move || shows(place));
        }
    });
}

fn by_that_of(cluster: &str) -> ChildOrder {
    ChildOrder::WatchAs { cluster: Some(tag(cluster)), how: Change::Needed }
}

/// As whom each of these Sentinels is connected there.
async fn logins(server: &Node) -> String {
    let client = server.client(Some(("default", "hush"))).await.unwrap();
    format!("{:?}", say(&client, "CLIENT LIST").await.unwrap())
}

fn is_up(row: &str) -> bool {
    !["disconnected", "s_down"].iter().any(|flag| row.contains(flag))
}

async fn pause(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

async fn theirs_is_refused_and_ours_stays(place: Place) -> Option<()> {
    let (mut master, mut replica) = place.servers().await?;
    let mut ours = place.sentinel(3, "a", master.me()).await?;
    until(ours.me(), MASTER, is_up).await;
    ours.ok(by_that_of("a")).await;
    until(ours.me(), MASTER, is_up).await;
    until(ours.me(), "SENTINEL REPLICAS mymaster", |row| row.contains(&place.at(2))).await;
    for node in [&mut master, &mut replica] {
        node.ok(ChildOrder::AdmitSentinels(Login::Cluster)).await;
    }
    // By the login of before it may look, and neither speak nor hear.
    let mut theirs = place.sentinel(4, "b", master.me()).await?;
    pause(7).await;
    assert!(!sentinel_row(ours.me(), SENTINELS).await.contains(&place.at(4)), "ours lists it");
    assert!(!sentinel_row(theirs.me(), SENTINELS).await.contains(&place.at(3)), "it lists ours");
    // By its own login nobody is there for it.
    theirs.ok(by_that_of("b")).await;
    until(theirs.me(), MASTER, |row| row.contains("s_down")).await;
    assert!(is_up(&sentinel_row(ours.me(), MASTER).await));
    assert!(logins(&master).await.contains(&acl::sentinel_of(&tag("a"))));
    assert!(!logins(&master).await.contains(&acl::sentinel_of(&tag("b"))));
    assert!(!sentinel_row(ours.me(), SENTINELS).await.contains(&place.at(4)), "ours lists it");
    // A failover needs no more rights than it had: INFO is refused to it and allowed again, as to the user of before.
    master.ok(ChildOrder::Quicken).await;
    master.ok(ChildOrder::AdmitSentinels(Login::Cluster)).await;
    let admin = master.client(Some(("default", "hush"))).await.unwrap();
    for user in [acl::sentinel_of(&tag("a")), "sentinel".to_owned()] {
        let answer = format!("{:?}", say(&admin, &format!("ACL DRYRUN {user} INFO")).await.unwrap());
        assert!(answer.contains("no permissions"), "{user}: {answer}");
    }
    master.ok(ChildOrder::Unquicken).await;
    // After a start it comes as before, whatever else its file is told.
    ours.ok(ChildOrder::Terminate).await;
    ours.exit().await;
    ours.spawn(Birth::Sentinel(SentinelFile { cluster: Some(tag("a")), ..SentinelFile::default() })).await;
    until(ours.me(), MASTER, is_up).await;
    assert!(logins(&master).await.contains(&acl::sentinel_of(&tag("a"))));
    ours.ok(ChildOrder::WatchAs { cluster: Some(tag("a")), how: Change::None }).await;
    let other = ours.order(ChildOrder::WatchAs { cluster: None, how: Change::None }).await;
    assert_eq!(other, Err(OrderFailure::OtherRole), "and says so");
    Some(())
}

#[test]
fn n8_a_sentinel_of_another_cluster_is_refused_and_ours_stays_with_one_password_for_both() {
    on_all("n8", "127.101", |place| run(theirs_is_refused_and_ours_stays(place)));
}

/// A build of before comes back to servers that have shut it out: it finds nobody down, and takes part once it is let in.
async fn a_sentinel_of_before_is_let_in(place: Place) -> Option<()> {
    let (mut master, mut replica) = place.servers().await?;
    let mut ours = place.sentinel(3, "a", master.me()).await?;
    ours.ok(by_that_of("a")).await;
    until(ours.me(), "SENTINEL REPLICAS mymaster", |row| row.contains(&place.at(2))).await;
    for node in [&mut master, &mut replica] {
        node.ok(ChildOrder::AdmitSentinels(Login::Cluster)).await;
    }
    let before = place.sentinel(4, "a", master.me()).await?;
    for _ in 0..6 {
        pause(1).await;
        assert!(!sentinel_row(before.me(), MASTER).await.contains("s_down"));
    }
    for node in [&mut master, &mut replica] {
        node.ok(ChildOrder::AdmitSentinels(Login::Own)).await;
    }
    until(before.me(), SENTINELS, |row| row.contains(&place.at(3))).await;
    until(ours.me(), SENTINELS, |row| row.contains(&place.at(4))).await;
    // Whoever comes to another cluster loses its login and takes nobody of that one with it.
    master.ok(ChildOrder::Belong(tag("c"))).await;
    let admin = master.client(Some(("default", "hush"))).await.unwrap();
    let users = format!("{:?}", say(&admin, "ACL USERS").await.unwrap());
    assert!(users.contains(&acl::sentinel_of(&tag("c"))) && !users.contains(&acl::sentinel_of(&tag("a"))), "{users}");
    Some(())
}

#[test]
fn a_sentinel_of_before_finds_nobody_down_and_is_let_in_again() {
    on_all("a Sentinel of before", "127.102", |place| run(a_sentinel_of_before_is_let_in(place)));
}

/// What the engine does with a login that was refused: nothing, ever, on that connection. Why nobody is shut `off`.
async fn a_refused_one_is_told_to(place: Place) -> Option<()> {
    let (master, _replica) = place.servers().await?;
    let mut ours = place.sentinel(3, "a", master.me()).await?;
    until(ours.me(), MASTER, is_up).await;
    ours.ok(by_that_of("c")).await;
    until(ours.me(), MASTER, |row| row.contains("s_down")).await;
    let admin = master.client(Some(("default", "hush"))).await.unwrap();
    let rights =
        "on nopass resetkeys resetchannels &__sentinel__:hello -@all +ping +info +publish +subscribe +client|setname";
    say(&admin, &format!("ACL SETUSER {} {rights}", acl::sentinel_of(&tag("c")))).await.unwrap();
    pause(16).await;
    assert!(sentinel_row(ours.me(), MASTER).await.contains("s_down"), "by itself it never comes back");
    ours.ok(by_that_of("c")).await;
    pause(2).await;
    assert!(sentinel_row(ours.me(), MASTER).await.contains("s_down"), "the same login is no reason to begin anew");
    ours.ok(ChildOrder::WatchAs { cluster: Some(tag("c")), how: Change::Anew }).await;
    until(ours.me(), MASTER, is_up).await;
    Some(())
}

#[test]
fn a_sentinel_that_was_refused_logs_in_again_only_when_it_is_told_to() {
    on_all("a refused login", "127.103", |place| run(a_refused_one_is_told_to(place)));
}
