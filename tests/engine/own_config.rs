//! The user's own configuration.

use std::fs;
use std::time::Duration;

use redinit::config::settings::Durability;
use redinit::core::action::{Birth, ChildOrder, Depth};
use redinit::core::event::OrderFailure;
use redinit::core::rules::Mode;
use redinit::engine::OwnConfig;
use redinit::engine::render::own_min_replicas;
use secrecy::{ExposeSecret, SecretString};

use super::node::{Node, refusal, run, say, settings};

fn read(text: &str, args: &[&str]) -> Result<OwnConfig, String> {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(Mode::Server, "127.0.0.1", dir.path());
    let file = dir.path().join("own.conf");
    fs::write(&file, text).unwrap();
    settings.include = Some(file);
    settings.engine_args = args.iter().map(|arg| (*arg).to_owned()).collect();
    OwnConfig::read(&settings).map_err(|error| error.to_string())
}

#[test]
fn lines_that_would_undo_ours_are_errors_that_name_the_line_and_no_secret() {
    for line in [
        "daemonize yes",
        "supervised systemd",
        "pidfile /x",
        "unixsocket /x",
        "rename-command CONFIG hush",
        "rename-command replicaof \"\"",
        "cluster-enabled yes",
        "sentinel monitor a 127.0.0.1 1 1",
        "user redinit on",
        "user sentinel on",
        "port x",
        "requirepass a hush",
        "requirepass \"hush\\xff\"",
        "include",
        "include /nowhere/x.conf /nowhere/y.conf",
        "replicaof somewhere",
    ] {
        let error = read(&format!("# c\n\n{line}\n"), &[]).expect_err(line);
        assert!(error.contains("own.conf:3: `") && !error.contains("hush") && error.lines().count() == 1, "{error}");
        assert!(read("", &[&format!("--{line}")]).expect_err(line).contains("engine argument 1: `"));
    }
    assert!(read("daemonize no\nsupervised no\nrename-command KEYS \"\"\n", &[]).is_ok());
}

#[test]
fn lines_that_are_settings_are_read_as_settings() {
    let own = read(
        "port 7000\nbind 127.0.0.1 ::1\nrequirepass \"a b\"\nreplicaof 10.0.0.1 6379\nappendonly yes\n",
        &["--dir", "/somewhere", "--slave-priority", "7", "--min-slaves-to-write", "1"],
    )
    .unwrap();
    assert_eq!(own.kept, ["appendonly yes"]);
    assert_eq!((own.port, own.priority, own.min_replicas), (Some(7000), Some(7), Some(1)));
    assert_eq!(own.replicaof.as_ref().map(|master| master.port), Some(6379));
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(Mode::Server, "127.0.0.1", dir.path());
    settings.bind.clear();
    own.apply(&mut settings);
    assert_eq!((settings.port, settings.bind.len()), (7000, 2));
    assert_eq!(settings.data_dir, dir.path(), "a data directory of our own settings counts more");
    assert_eq!(settings.password.as_ref().map(|password| password.expose_secret()), Some("a b"));
    assert_eq!(own_min_replicas(&settings, &own), 1);
    assert_eq!(settings.servers, Vec::from_iter(own.replicaof.clone()), "nobody else is named");
    settings.data_dir = "/data".into();
    own.apply(&mut settings);
    assert_eq!(settings.data_dir.to_str(), Some("/somewhere"));
}

#[test]
fn the_engine_starts_with_users_passwords_and_an_acl_file_of_the_users_own() {
    run(async {
        let node = |file: bool| {
            Node::server(if file { "127.92.1.1" } else { "127.92.1.2" }, move |settings| {
                let own = settings.data_dir.join("own.conf");
                let acl = settings.data_dir.join("own.acl");
                let users = "user app on >app-pass ~app:* ~it's:* ~ü:* +@all\n";
                fs::write(&acl, users).unwrap();
                let users =
                    if file { format!("aclfile {}\n", acl.display()) } else { users.replace("~it's:*", "\"~it's:*\"") };
                fs::write(
                    &own,
                    format!("{users}appendonly yes\nmin-replicas-to-write 0\nreplicaof 127.0.0.9 1\nport 1\n"),
                )
                .unwrap();
                settings.include = Some(own);
                settings.password = Some(SecretString::from("se cret\"".to_owned()));
            })
        };
        for file in [false, true] {
            let mut node = node(file).await?;
            node.ok(ChildOrder::LeadAlone).await;
            node.ok(ChildOrder::OpenDoor).await;
            assert!(node.look(Depth::Full).await.unwrap().aof);
            let nobody = node.client(None).await.unwrap();
            assert!(refusal(say(&nobody, "PING").await).contains("NOAUTH") || file);
            let client = node.client(Some(("default", "se cret\""))).await.unwrap();
            say(&client, "SET a 1").await.unwrap();
            let app = node.client(Some(("app", "app-pass"))).await.unwrap();
            say(&app, "SET app:a 1").await.unwrap();
            say(&app, "SET it's:a 1").await.unwrap();
            say(&app, "SET ü:a 1").await.unwrap();
            assert!(refusal(say(&app, "REPLICAOF NO ONE").await).contains("permissions"));
            node.client(Some(("sentinel", "se cret\""))).await.unwrap();
            let line = fs::read_to_string(format!("/proc/{}/cmdline", node.pid)).unwrap();
            let environment = fs::read_to_string(format!("/proc/{}/environ", node.pid)).unwrap();
            assert!(!line.contains("cret") && !environment.contains("cret"));
        }
        Some(())
    });
}

#[test]
fn replicas_log_in_with_the_password() {
    run(async {
        let password = |settings: &mut redinit::config::settings::Settings| {
            settings.password = Some(SecretString::from("hush".to_owned()));
        };
        let mut master = Node::server("127.92.2.1", password).await?;
        let mut replica = Node::server("127.92.2.2", password).await?;
        master.ok(ChildOrder::LeadAlone).await;
        master.ok(ChildOrder::OpenDoor).await;
        let expecting = redinit::core::action::Expecting::Replica;
        replica.ok(ChildOrder::Follow { master: master.me(), expecting }).await;
        say(&master.client(Some(("default", "hush"))).await.unwrap(), "SET a 1").await.unwrap();
        replica.until(|seen| seen.has_data).await;
        Some(())
    });
}

#[test]
fn selectors_do_not_go_round_the_gate() {
    run(async {
        for (ip, file) in [("127.92.3.1", false), ("127.92.3.2", true)] {
            let mut node = Node::new(Mode::Server, ip, |settings| {
                let own = settings.data_dir.join("own.conf");
                let acl = settings.data_dir.join("own.acl");
                let users = "user app on nopass +ping (+@all ~* &*) (~x +get)\n";
                fs::write(&acl, users).unwrap();
                let text = if file { format!("aclfile {}\n", acl.display()) } else { users.to_owned() };
                fs::write(&own, text).unwrap();
                settings.include = Some(own);
            })?;
            node.spawn(Birth::Server).await;
            node.ok(ChildOrder::OpenDoor).await;
            let app = node.client(Some(("app", "x"))).await.unwrap();
            say(&app, "GET a").await.unwrap();
            assert!(refusal(say(&app, "REPLICAOF NO ONE").await).contains("permissions"));
            // The private copy keeps ours when somebody loads it again.
            if file {
                say(&node.client(None).await.unwrap(), "ACL LOAD").await.unwrap();
                node.ok(ChildOrder::Fence).await;
                node.look(Depth::Full).await.unwrap();
            }
        }
        Some(())
    });
}

/// U09: what a file says that an argument includes holds as if it stood in the configuration file.
#[test]
fn u09_a_file_that_an_argument_includes_is_behind_the_gate() {
    run(async {
        let mut node = Node::server("127.92.7.1", |settings| {
            let (own, deeper) = (settings.data_dir.join("secret.conf"), settings.data_dir.join("more-1.conf"));
            let acl = settings.data_dir.join("own.acl");
            fs::write(&acl, "user app on >pw ~* +@all\n").unwrap();
            fs::write(
                &own,
                "requirepass \"caf\\xc3\\xa9\"\nmin-replicas-max-lag 0\nreplica-priority 0\ninclude more-*.conf\n",
            )
            .unwrap();
            fs::write(&deeper, format!("aclfile {}\nappendonly yes\n", acl.display())).unwrap();
            settings.engine_args.extend(["--include".into(), own.display().to_string()]);
        })
        .await?;
        node.ok(ChildOrder::Lead).await;
        node.ok(ChildOrder::OpenDoor).await;
        let nobody = node.client(None).await.unwrap();
        assert!(refusal(say(&nobody, "PING").await).contains("NOAUTH"), "the password of the file is undone");
        let client = node.client(Some(("default", "café"))).await.unwrap();
        assert!(refusal(say(&client, "SET a 1").await).contains("NOREPLICAS"), "the fence is gone");
        let priority = format!("{:?}", say(&client, "CONFIG GET replica-priority").await.unwrap());
        assert!(priority.contains("'0'") || priority.contains("\"0\""), "{priority}");
        let app = node.client(Some(("app", "pw"))).await.unwrap();
        for order in ["REPLICAOF 127.0.0.1 9", "SLAVEOF NO ONE"] {
            assert!(refusal(say(&app, order).await).contains("permissions"), "{order} goes round the gate");
        }
        assert!(node.look(Depth::Full).await.unwrap().aof);
        Some(())
    });
}

#[test]
fn a_max_lag_of_0_does_not_take_the_fence_down() {
    run(async {
        let mut node = Node::server("127.92.6.1", |settings| {
            let lines = ["--min-replicas-to-write", "2", "--min-slaves-max-lag", "0"];
            settings.engine_args.extend(lines.map(str::to_owned));
        })
        .await?;
        node.ok(ChildOrder::Lead).await;
        node.ok(ChildOrder::OpenDoor).await;
        let client = node.client(None).await.unwrap();
        assert!(refusal(say(&client, "SET a 1").await).contains("NOREPLICAS"), "born fenced");
        node.ok(ChildOrder::Unfence).await;
        say(&client, "SET a 1").await.unwrap();
        // The same at run time, before the fence and before a release.
        for order in [ChildOrder::Fence, ChildOrder::Release { pause: Duration::from_millis(1) }] {
            say(&client, "CONFIG SET min-replicas-max-lag 0").await.unwrap();
            node.ok(order.clone()).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert!(refusal(say(&client, "SET a 2").await).contains("NOREPLICAS"), "{order:?}");
            node.ok(ChildOrder::TakeBack).await;
            say(&client, "SET a 3").await.unwrap();
        }
        Some(())
    });
}

#[test]
fn p42_a_child_that_cannot_be_started_is_one_line_that_says_why() {
    run(async {
        for (arg, dir, why) in [
            ("--pidfile", None, "engine argument 1: `pidfile`"),
            ("/nowhere/own.conf", None, "cannot read /nowhere/own.conf"),
            ("--appendonly", Some("/proc/nowhere"), "the data directory /proc/nowhere cannot be written"),
        ] {
            let mut node = Node::new(Mode::Server, "127.92.4.1", |settings| {
                settings.engine_args = vec![arg.into(), "x".into()];
                settings.data_dir = dir.map_or(settings.data_dir.clone(), Into::into);
            })?;
            let refused = node.order(ChildOrder::Spawn(Birth::Server)).await;
            let Err(OrderFailure::NoChild(reason)) = refused else { panic!("{refused:?}") };
            assert!(reason.contains(why) && reason.lines().count() == 1, "{reason}");
            assert!(matches!(node.order(ChildOrder::Lead).await, Err(OrderFailure::NoChild(_))));
        }
        Some(())
    });
}

#[test]
fn a_long_data_directory_moves_the_socket_and_strict_durability_is_the_value_to_come_back_to() {
    run(async {
        let mut node = Node::new(Mode::Server, "127.92.5.1", |settings| {
            settings.data_dir = settings.data_dir.join("d".repeat(110));
            settings.durability = Durability::Strict;
            settings.expected_servers = Some(3);
        })?;
        node.spawn(Birth::Server).await;
        node.ok(ChildOrder::Lead).await;
        node.ok(ChildOrder::Unfence).await;
        node.ok(ChildOrder::OpenDoor).await;
        let client = node.client(None).await.unwrap();
        // One replica is wanted, and there is none.
        assert!(refusal(say(&client, "SET a 1").await).contains("NOREPLICAS"));
        let value = format!("{:?}", say(&client, "CONFIG GET min-replicas-to-write").await.unwrap());
        assert!(value.contains('1') && !value.contains("100"), "{value}");
        Some(())
    });
}
