//! Looks at real servers, and at names.

use super::*;

#[tokio::test]
async fn a_server_shows_role_data_and_supervisor() {
    let master = Engine::server(at(own_ip(), 6379), "").await;
    let mut driver = driver(settings());
    let seen = server_seen(&mut driver, master.at).await.expect("seen");
    assert!(seen.role.is_master() && !seen.loading);
    assert_eq!((seen.has_data, seen.supervised), (Some(false), Some(false)));
    assert_eq!((seen.run_id.0.len(), seen.history.id.0.len()), (40, 40));
    master.say(&["SET", "a", "1"]).await;
    master.say(&["ACL", "SETUSER", "redinit", "on", "nopass", "+@all"]).await;
    let later = server_seen(&mut driver, master.at).await.expect("seen");
    assert_eq!((later.has_data, later.supervised), (Some(true), Some(true)));
    assert_eq!(later.run_id, seen.run_id);

    let replica_at = at(own_ip(), 6379);
    let follow = format!("replicaof {} {}", master.at.ip(), master.at.port());
    let _replica = Engine::server(replica_at, &follow).await;
    let up = eventually(
        async || server_seen(&mut driver, replica_at).await.expect("seen"),
        |seen| matches!(seen.role, RoleSeen::Replica { link: Link::Up, .. }),
    )
    .await;
    assert_eq!(up.role, RoleSeen::Replica { master: Some(master.at), link: Link::Up });
    assert_eq!(up.has_data, Some(true));
}

#[tokio::test]
async fn a_restarted_server_is_another_one_at_the_first_look() {
    let place = at(own_ip(), 6379);
    let first = Engine::server(place, "").await;
    let mut driver = driver(settings());
    let before = server_seen(&mut driver, place).await.expect("seen");
    drop(first);
    assert_eq!(server_seen(&mut driver, place).await, Err(Failure::Refused));
    let _second = Engine::server(place, "").await;
    let after = server_seen(&mut driver, place).await.expect("seen");
    assert_ne!(before.run_id, after.run_id);
}

#[tokio::test]
async fn g7_passwords_are_taken_missed_refused_and_not_needed() {
    let with = |password: Option<&str>| Settings { password: password.map(Into::into), ..settings() };
    let locked = Engine::server(at(own_ip(), 6379), "requirepass \"p %&\\\\/\\\"# x\"").await;
    let open = Engine::server(at(own_ip(), 6379), "").await;
    assert!(server_seen(&mut driver(with(Some("p %&\\/\"# x"))), locked.at).await.is_ok());
    assert_eq!(server_seen(&mut driver(with(Some("other"))), locked.at).await, Err(Failure::Unauthorised));
    assert_eq!(server_seen(&mut driver(with(None)), locked.at).await, Err(Failure::Unauthorised));
    assert!(server_seen(&mut driver(with(Some("x"))), open.at).await.is_ok());
}

#[tokio::test]
async fn looks_share_one_connection_until_it_breaks() {
    let server = Engine::server(at(own_ip(), 6379), "").await;
    let front = at(own_ip(), 6379);
    let behind = server.at;
    let count = liar(front, move |number, mut stream| async move {
        let mut onward = TcpStream::connect(behind.0).await.expect("connected");
        let bridge = tokio::io::copy_bidirectional(&mut stream, &mut onward);
        if number == 0 {
            let _cut = tokio::time::timeout(Duration::from_millis(500), bridge).await;
        } else {
            let _ended = bridge.await;
        }
    })
    .await;
    let mut driver = driver(settings());
    for _ in 0..5 {
        server_seen(&mut driver, front).await.expect("seen");
    }
    assert_eq!(count.load(Ordering::SeqCst), 1);
    tokio::time::sleep(Duration::from_millis(700)).await;
    // Broken in between: noticed and replaced within one look.
    server_seen(&mut driver, front).await.expect("seen");
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

/// The whole container is gone: nobody waits for the next look (1.5 s without writes are promised).
#[tokio::test]
async fn m1_the_end_of_a_master_wakes_at_once() {
    let master = Engine::server(at(own_ip(), 6379), "").await;
    let follow = format!("replicaof {} {}", master.at.ip(), master.at.port());
    let replica = Engine::server(at(own_ip(), 6379), &follow).await;
    let mut driver = driver(settings());
    let fed = |seen: &ServerSeen| matches!(&seen.role, RoleSeen::Master { replicas } if !replicas.is_empty());
    eventually(async || server_seen(&mut driver, master.at).await.expect("seen"), fed).await;
    server_seen(&mut driver, replica.at).await.expect("seen");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(driver.1.try_recv().is_err(), "nothing has happened");
    let (gone_at, ended) = (master.at, Instant::now());
    drop(master);
    let wake = timeout_at(ended + Duration::from_millis(500), driver.1.recv()).await.expect("a wake");
    assert_eq!(wake, Some(Event::Wake { at: gone_at }));
    drop(replica);
    let quiet = timeout_at(Instant::now() + Duration::from_millis(500), driver.1.recv()).await;
    assert!(quiet.is_err(), "a replica is not held: {quiet:?}");
}

#[tokio::test]
async fn c6_a_replica_that_follows_a_name_follows_an_address() {
    let master = Engine::server(at(own_ip(), 6379), "").await;
    let replica = Engine::server(at(own_ip(), 6379), "replicaof localhost 6379").await;
    let (sender, events) = channel();
    let ip = master.at.ip();
    let names = Names::with(Arc::new(move |_| Box::pin(async move { Ok(vec![ip]) })));
    let mut driver = (Discovery::with_names(Arc::new(settings()), Clock::new(), sender, names), events);
    let seen = server_seen(&mut driver, replica.at).await.expect("seen");
    assert_eq!(seen.role.master(), Some(master.at));
}

#[tokio::test]
async fn d6_a_frozen_server_is_silent_in_time_and_seen_again_when_it_wakes() {
    let server = Engine::server(at(own_ip(), 6379), "").await;
    let mut driver = driver(settings());
    server_seen(&mut driver, server.at).await.expect("seen");
    let pid = nix::unistd::Pid::from_raw(i32::try_from(server.process.id()).expect("a pid"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).expect("stopped");
    for _ in 0..3 {
        assert_eq!(server_seen(&mut driver, server.at).await, Err(Failure::Silent));
    }
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGCONT).expect("continued");
    tokio::time::sleep(Duration::from_millis(100)).await;
    server_seen(&mut driver, server.at).await.expect("seen");
}

#[tokio::test]
async fn e4_names_that_resolve_are_given_and_the_others_left_out() {
    let names = Names::with(Arc::new(|host| {
        Box::pin(async move {
            match host.as_str() {
                "two" => Ok(vec!["10.0.0.2".parse().expect("ip"), "10.0.0.1".parse().expect("ip")]),
                "slow" => std::future::pending().await,
                _ => Err(std::io::Error::other("no such name")),
            }
        })
    }));
    let host = |host: &str| HostPort { host: host.to_owned(), port: 26379 };
    for (sentinels, wanted) in [
        (vec![host("two"), host("gone"), host("10.0.0.9")], Some(vec!["10.0.0.1", "10.0.0.2", "10.0.0.9"])),
        (vec![host("two"), host("slow")], Some(vec!["10.0.0.1", "10.0.0.2"])),
        (vec![host("gone")], None),
        (vec![host("slow")], None),
        (vec![], Some(vec![])),
    ] {
        let (sender, mut events) = channel();
        let settings = Settings { sentinels, ..settings() };
        let discovery = Discovery::with_names(Arc::new(settings), Clock::new(), sender, names.clone());
        discovery.look(Look::Names);
        let Event::Names(found) = answer(&mut events).await else { panic!("names") };
        let wanted = wanted.map(|ips| ips.iter().filter_map(|ip| Address::parse(ip, 26379)).collect::<Vec<_>>());
        assert_eq!((found.sentinels, found.servers), (wanted, Some(vec![])));
    }
}
