//! Looks at real Sentinels.

use super::*;

#[tokio::test]
async fn a_bare_sentinel_has_no_opinion() {
    let sentinel = Engine::start("sentinel", at(own_ip(), 26379), "").await;
    let mut driver = driver(settings());
    let seen = sentinel_seen(&mut driver, sentinel.at, Depth::Glance).await.expect("seen");
    assert_eq!((seen.master, seen.rows), (None, None));
    assert_eq!(seen.id.0.len(), 40);
    let full = sentinel_seen(&mut driver, sentinel.at, Depth::Full).await.expect("seen");
    assert_eq!((full.id, full.master), (seen.id, None));
    assert_eq!(full.rows.map(|rows| rows.quorum_ok), Some(false));
}

#[tokio::test]
async fn two_sentinels_show_everything_they_list() {
    let (master, replica) = (at(own_ip(), 6379), at(own_ip(), 6379));
    let announce = |at: Address| format!("replica-announce-ip {}\nreplica-announce-port {}\n", at.ip(), at.port());
    let _master = Engine::server(master, "").await;
    let follow = format!("replicaof {} {}\n{}", master.ip(), master.port(), announce(replica));
    let _replica = Engine::server(replica, &follow).await;
    let (first, second) = (at(own_ip(), 26379), at(own_ip(), 26379));
    let own = |at: Address| format!("{}sentinel announce-ip {}\n", monitor(master, 2), at.ip());
    let asked = Engine::start("sentinel", first, &own(first)).await;
    asked.say(&["SENTINEL", "DEBUG", "INFO-PERIOD", "500"]).await;
    let _second = Engine::start("sentinel", second, &own(second)).await;
    let mut driver = driver(settings());
    let seen = eventually(
        async || sentinel_seen(&mut driver, first, Depth::Full).await.expect("seen"),
        |seen| {
            let rows = seen.rows.as_ref().expect("rows");
            rows.replicas.len() == 1 && rows.sentinels.len() == 1 && rows.quorum_ok && rows.replicas[0].offset.0 > 0
        },
    )
    .await;
    let (row, rows) = (seen.master.expect("a master"), seen.rows.expect("rows"));
    assert_eq!((row.address, row.quorum, row.epoch.0), (master, 2, 0));
    assert!(row.run_id.is_some() && !row.s_down && !row.failover && row.last_ok_ping < Duration::from_secs(3));
    let listed = &rows.replicas[0];
    assert_eq!((listed.address, listed.priority, listed.promoted, listed.link_up), (replica, 100, false, true));
    assert!(listed.info_refresh < Duration::from_secs(11));
    assert_eq!((rows.sentinels[0].address, rows.sentinels[0].down_for), (second, None));
    assert!(rows.quorum_ok && !rows.tilt);
}

#[tokio::test]
async fn a_sentinels_events_wake_and_its_silence_does_not() {
    let master = at(own_ip(), 6379);
    let sentinel = Engine::start("sentinel", at(own_ip(), 26379), &monitor(master, 1)).await;
    let mut driver = driver(settings());
    sentinel_seen(&mut driver, sentinel.at, Depth::Glance).await.expect("seen");
    // The master is not there: +sdown and +odown follow after 3 s.
    let wake = timeout_at(Instant::now() + Duration::from_secs(6), driver.1.recv()).await.expect("a wake");
    assert_eq!(wake, Some(Event::Wake { at: sentinel.at }));
    sentinel.say(&["SENTINEL", "REMOVE", "mymaster"]).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    while driver.1.try_recv().is_ok() {}
    let quiet = timeout_at(Instant::now() + Duration::from_secs(3), driver.1.recv()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    sentinel.say(&["SENTINEL", "MONITOR", "mymaster", &master.ip().to_string(), "6379", "1"]).await;
    let wake = timeout_at(Instant::now() + Duration::from_secs(1), driver.1.recv()).await.expect("a wake");
    assert_eq!(wake, Some(Event::Wake { at: sentinel.at }));
}

#[tokio::test]
async fn orders_bring_the_sentinels_own_words() {
    let master = Engine::server(at(own_ip(), 6379), "").await;
    let sentinel = Engine::start("sentinel", at(own_ip(), 26379), &monitor(master.at, 1)).await;
    let (discovery, mut events) = driver(settings());
    let period = SentinelOrder::InfoPeriod(Duration::from_millis(1900));
    for (number, order, wanted) in [
        (1, SentinelOrder::Failover, Ok(SentinelReply::NoGoodReplica)),
        (2, period, Ok(SentinelReply::Ok)),
        (3, SentinelOrder::Reset, Ok(SentinelReply::Ok)),
    ] {
        discovery.order(RequestId(number), sentinel.at, order);
        let Event::SentinelDone { id, done, .. } = answer(&mut events).await else { panic!("an answer") };
        assert_eq!(id, RequestId(number));
        assert_eq!(done, wanted);
    }
    let nobody = at(own_ip(), 26379);
    discovery.order(RequestId(4), nobody, SentinelOrder::Failover);
    assert!(matches!(answer(&mut events).await, Event::SentinelDone { done: Err(Failure::Refused), .. }));
    sentinel.say(&["SENTINEL", "REMOVE", "mymaster"]).await;
    discovery.order(RequestId(5), sentinel.at, SentinelOrder::Failover);
    let Event::SentinelDone { done: Ok(SentinelReply::Error(text)), .. } = answer(&mut events).await else { panic!() };
    assert!(text.contains("No such master"), "{text}");
}

/// A gated replica refuses Sentinel's order, so the proposal stands and can be looked at (design section 4).
#[tokio::test]
async fn m2_a_proposal_wakes_and_shows_on_its_sentinel() {
    let master = Engine::server(at(own_ip(), 6379), "").await;
    let place = at(own_ip(), 6379);
    let (ip, port) = (master.at.ip(), master.at.port());
    let gated = format!(
        "replicaof {ip} {port}\nreplica-announce-ip {}\nuser default on nopass ~* &* +@all -slaveof -replicaof",
        place.ip()
    );
    let _replica = Engine::server(place, &gated).await;
    let sentinel = Engine::start("sentinel", at(own_ip(), 26379), &monitor(master.at, 1)).await;
    sentinel.say(&["SENTINEL", "DEBUG", "INFO-PERIOD", "500"]).await;
    let mut driver = driver(settings());
    let ready = |seen: &SentinelSeen| {
        let replicas = seen.rows.as_ref().map(|rows| rows.replicas.as_slice()).unwrap_or_default();
        matches!(replicas, [row] if row.link_up && row.offset.0 > 0)
    };
    eventually(async || sentinel_seen(&mut driver, sentinel.at, Depth::Full).await.expect("seen"), ready).await;
    while driver.1.try_recv().is_ok() {}
    let idle = timeout_at(Instant::now() + Duration::from_secs(3), driver.1.recv()).await;
    assert!(idle.is_err(), "nothing happens, nobody wakes: {idle:?}");

    driver.0.order(RequestId(1), sentinel.at, SentinelOrder::Failover);
    assert!(matches!(answer(&mut driver.1).await, Event::SentinelDone { done: Ok(SentinelReply::Ok), .. }));
    let asked = Instant::now();
    let wake = timeout_at(asked + Duration::from_secs(1), driver.1.recv()).await.expect("a wake");
    assert_eq!(wake, Some(Event::Wake { at: sentinel.at }));
    let proposed =
        |seen: &SentinelSeen| seen.rows.as_ref().is_some_and(|rows| rows.replicas.iter().any(|row| row.promoted));
    let seen =
        eventually(async || sentinel_seen(&mut driver, sentinel.at, Depth::Full).await.expect("seen"), proposed).await;
    let row = seen.master.expect("a master");
    assert!(row.failover && row.address == master.at);
    assert_eq!(seen.rows.map(|rows| rows.replicas[0].address), Some(place));
    driver.0.order(RequestId(2), sentinel.at, SentinelOrder::Failover);
    assert!(matches!(answer(&mut driver.1).await, Event::SentinelDone { done: Ok(SentinelReply::InProgress), .. }));
}

#[tokio::test]
async fn a_sentinel_with_a_password_is_asked_and_heard() {
    let master = at(own_ip(), 6379);
    let config = format!("requirepass secret\n{}", monitor(master, 1));
    let sentinel = Engine::start("sentinel", at(own_ip(), 26379), &config).await;
    let mut driver = driver(Settings { sentinel_password: Some("secret".into()), ..settings() });
    let seen = sentinel_seen(&mut driver, sentinel.at, Depth::Full).await.expect("seen");
    assert_eq!(seen.master.map(|row| row.address), Some(master));
    let wake = timeout_at(Instant::now() + Duration::from_secs(6), driver.1.recv()).await.expect("a wake");
    assert_eq!(wake, Some(Event::Wake { at: sentinel.at }));
}

#[tokio::test]
async fn a3_behind_a_service_each_look_may_meet_another_sentinel() {
    let master = at(own_ip(), 6379);
    let one = Engine::start("sentinel", at(own_ip(), 26379), &monitor(master, 1)).await;
    let two = Engine::start("sentinel", at(own_ip(), 26379), &monitor(master, 1)).await;
    let service = at(own_ip(), 26379);
    let behind = [one.at, two.at];
    liar(service, move |number, mut stream| async move {
        let mut onward = TcpStream::connect(behind[number % 2].0).await.expect("connected");
        let _ended = tokio::io::copy_bidirectional(&mut stream, &mut onward).await;
    })
    .await;
    let host = HostPort { host: service.ip().to_string(), port: 26379 };
    let mut driver = driver(Settings { sentinels: vec![host], ..settings() });
    driver.0.look(Look::Names);
    let names = Event::Names(Resolved { sentinels: Some(vec![service]), servers: Some(vec![]) });
    assert_eq!(answer(&mut driver.1).await, names);
    let mut ids = HashSet::new();
    for _ in 0..6 {
        ids.insert(sentinel_seen(&mut driver, service, Depth::Glance).await.expect("seen").id.0);
    }
    assert_eq!(ids.len(), 2, "both were met");
}
