//! Replication logs in as a user of its own, and is refused to everybody else.

use redinit::config::settings::EngineChoice;
use redinit::core::action::{ChildOrder, Depth, Expecting};
use redinit::core::cluster::{ClusterId, ClusterTag};
use redinit::core::seen::{Link, Login, RoleSeen};
use redinit::engine::acl;
use secrecy::SecretString;

use super::node::{Node, engines, refusal, run, say};

const STREAMS: [&str; 2] = ["PSYNC ? -1", "SYNC"];

async fn refuses(node: &Node, login: Option<(&str, &str)>) {
    let client = node.client(login).await.unwrap();
    for command in STREAMS {
        assert!(refusal(say(&client, command).await).contains("permissions"), "{login:?}: {command}");
    }
}

fn is_up(role: &RoleSeen) -> bool {
    matches!(role, RoleSeen::Replica { link: Link::Up, .. })
}

#[test]
fn nobody_but_replications_own_user_opens_a_stream() {
    run(async {
        let mut node = Node::server("127.91.31.1", |settings| {
            settings.password = Some(SecretString::from("hush".to_owned()));
            let own = settings.data_dir.join("own.conf");
            let users = "user app on >x +@all ~*\nuser backup on >y +psync +replconf\nuser mirror on >z +@all ~*\n";
            std::fs::write(&own, format!("{users}masteruser mirror\n")).unwrap();
            settings.include = Some(own);
            settings.replication_users = vec!["backup".to_owned()];
        })
        .await?;
        node.ok(ChildOrder::LeadAlone).await;
        node.ok(ChildOrder::OpenDoor).await;
        for login in [("default", "hush"), ("app", "x"), ("sentinel", "hush")] {
            refuses(&node, Some(login)).await;
        }
        let admin = node.client(Some(("default", "hush"))).await.unwrap();
        for (user, may) in [
            ("default", false),
            ("app", false),
            ("sentinel", false),
            ("backup", true),
            ("mirror", true),
            ("redinit-replication", true),
        ] {
            let answer = say(&admin, &format!("ACL DRYRUN {user} PSYNC ? -1")).await.unwrap();
            assert_eq!(format!("{answer:?}").contains("no permissions"), !may, "{user}: {answer:?}");
        }
        for command in ["GET a", "INFO", "CONFIG GET *", "REPLICAOF NO ONE", "SET a 1"] {
            let answer = say(&admin, &format!("ACL DRYRUN redinit-replication {command}")).await.unwrap();
            assert!(format!("{answer:?}").contains("no permissions"), "replication may {command}");
        }
        // What is read here opens nothing else.
        let shown = format!("{:?}", say(&admin, "CONFIG GET masterauth").await.unwrap());
        assert!(!shown.contains("hush") && shown.len() > 64, "{shown}");
        assert!(node.client(Some(("redinit-replication", "hush"))).await.is_err());
        Some(())
    });
}

#[test]
fn replicas_of_before_are_let_in_with_the_shared_password_and_shut_out_again() {
    run(async {
        let password = |settings: &mut redinit::config::settings::Settings| {
            settings.password = Some(SecretString::from("hush".to_owned()));
        };
        let mut master = Node::server("127.91.32.1", password).await?;
        let mut replica = Node::server("127.91.32.2", password).await?;
        master.ok(ChildOrder::LeadAlone).await;
        master.ok(ChildOrder::OpenDoor).await;
        let follow = ChildOrder::Follow { master: master.me(), expecting: Expecting::Replica };
        replica.ok(ChildOrder::LogIn(Login::Shared)).await;
        replica.ok(follow.clone()).await;
        tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
        assert!(!is_up(&replica.look(Depth::Full).await.unwrap().role), "let in as default");
        master.ok(ChildOrder::Admit(Login::Shared)).await;
        replica.until(|seen| is_up(&seen.role)).await;
        // Who is in stays in; nobody new comes.
        master.ok(ChildOrder::Admit(Login::Own)).await;
        assert!(is_up(&replica.look(Depth::Full).await.unwrap().role));
        refuses(&master, Some(("default", "hush"))).await;
        // By its own login it comes back, and with a partial sync.
        replica.ok(ChildOrder::LogIn(Login::Own)).await;
        replica.ok(ChildOrder::CutLink).await;
        replica.until(|seen| is_up(&seen.role)).await;
        let client = master.client(Some(("default", "hush"))).await.unwrap();
        let stats = format!("{:?}", say(&client, "INFO stats").await.unwrap());
        assert!(!stats.contains("sync_partial_ok:0") && stats.contains("sync_partial_err:0"), "{stats}");
        Some(())
    });
}

/// `ACL LOAD` and `ACL DELUSER` take the cluster's user away: the next order makes it again, and shuts no other way in without it.
#[test]
fn the_clusters_login_that_somebody_removed_is_made_again() {
    run(async {
        let mut node = Node::server("127.91.36.1", |_| {}).await?;
        node.ok(ChildOrder::LeadAlone).await;
        node.ok(ChildOrder::OpenDoor).await;
        let admin = node.client(None).await.unwrap();
        // It belongs to no cluster yet: the login of before is all there is.
        node.ok(ChildOrder::Admit(Login::Cluster)).await;
        assert!(format!("{:?}", say(&admin, "ACL GETUSER redinit-replication").await.unwrap()).contains("\"on\""));
        node.ok(ChildOrder::Belong(tag("a"))).await;
        let user = acl::replication_of(&tag("a"));
        say(&admin, &format!("ACL DELUSER {user}")).await.unwrap();
        node.ok(ChildOrder::Admit(Login::Cluster)).await;
        let users = format!("{:?}", say(&admin, "ACL USERS").await.unwrap());
        assert!(users.contains(&user), "{users}");
        assert!(format!("{:?}", say(&admin, "ACL GETUSER redinit-replication").await.unwrap()).contains("\"off\""));
        Some(())
    });
}

fn tag(id: &str) -> ClusterTag {
    ClusterId::parse(id).unwrap().tag()
}

/// N4, N6: whatever address passes to whom, no engine takes the data of another cluster, with one password for both or none.
async fn no_engine_takes_anothers_data(engine: EngineChoice, net: &str, password: Option<&str>) -> Option<()> {
    let with = |settings: &mut redinit::config::settings::Settings| {
        settings.password = password.map(|text| SecretString::from(text.to_owned()));
        settings.engine = engine.clone();
    };
    let mut master = Node::server(&format!("{net}1"), with).await?;
    let mut replica = Node::server(&format!("{net}2"), with).await?;
    master.ok(ChildOrder::Belong(tag("a"))).await;
    master.ok(ChildOrder::Admit(Login::Cluster)).await;
    master.ok(ChildOrder::LeadAlone).await;
    master.ok(ChildOrder::OpenDoor).await;
    let follow = ChildOrder::Follow { master: master.me(), expecting: Expecting::Replica };
    replica.ok(ChildOrder::Belong(tag("b"))).await;
    replica.ok(ChildOrder::LogIn(Login::Cluster)).await;
    replica.ok(follow.clone()).await;
    for login in [Login::Cluster, Login::Own, Login::Shared] {
        replica.ok(ChildOrder::LogIn(login)).await;
        tokio::time::sleep(std::time::Duration::from_millis(1200)).await;
        assert!(!is_up(&replica.look(Depth::Full).await.unwrap().role), "{login:?}");
    }
    // A build of before, or one that does not know its id yet.
    replica.ok(ChildOrder::LogIn(Login::Own)).await;
    master.ok(ChildOrder::Admit(Login::Own)).await;
    replica.until(|seen| is_up(&seen.role)).await;
    // Who is in stays in, and comes back by the cluster's login with a partial sync.
    master.ok(ChildOrder::Admit(Login::Cluster)).await;
    assert!(is_up(&replica.look(Depth::Full).await.unwrap().role));
    replica.ok(ChildOrder::OpenDoor).await;
    replica.ok(ChildOrder::Belong(tag("a"))).await;
    replica.ok(ChildOrder::LogIn(Login::Cluster)).await;
    replica.ok(ChildOrder::CutLink).await;
    replica.until(|seen| is_up(&seen.role)).await;
    let client = master.client(password.map(|password| ("default", password))).await.unwrap();
    let stats = format!("{:?}", say(&client, "INFO stats").await.unwrap());
    assert!(!stats.contains("sync_partial_ok:0") && stats.contains("sync_partial_err:0"), "{stats}");
    let users =
        format!("{:?}", say(&replica.client(password.map(|p| ("default", p))).await.unwrap(), "ACL USERS").await);
    assert!(!users.contains(&format!("redinit-replication-{}", tag("b"))), "the login of before is gone: {users}");
    Some(())
}

#[test]
fn n4_n6_an_engine_of_another_cluster_is_refused_with_one_password_for_both() {
    for (number, engine) in engines("n4_n6").into_iter().enumerate() {
        run(no_engine_takes_anothers_data(engine, &format!("127.91.34.{}", number + 1), Some("hush")));
    }
}

#[test]
fn n4_n6_an_engine_of_another_cluster_is_refused_without_any_password() {
    for (number, engine) in engines("n4_n6").into_iter().enumerate() {
        run(no_engine_takes_anothers_data(engine, &format!("127.91.35.{}", number + 1), None));
    }
}

#[test]
fn default_of_the_users_own_rules_is_not_let_in() {
    run(async {
        let mut node = Node::server("127.91.33.1", |settings| {
            let own = settings.data_dir.join("own.conf");
            std::fs::write(&own, "user default on nopass ~app:* +@read +auth\n").unwrap();
            settings.include = Some(own);
        })
        .await?;
        node.ok(ChildOrder::LeadAlone).await;
        node.ok(ChildOrder::OpenDoor).await;
        node.ok(ChildOrder::Admit(Login::Shared)).await;
        refuses(&node, None).await;
        // No door beside one that the user has locked.
        node.ok(ChildOrder::Belong(tag("a"))).await;
        Some(())
    });
}
