//! A: choosing a master at start.

use std::time::Instant;

use super::bed::liar::{Liar, array, json, sentinel_that_names};
use super::bed::{self, Bed, ElectorPlan, Signal, Watch, ms, nowhere, secs};

/// Six nodes started within a second in an order of `seed`; exactly one master, agreed.
fn cold_start(seed: u64, elector: ElectorPlan) {
    let mut plan = bed::plan().elector(elector);
    let mut random = seed;
    for name in ["server-1", "server-2", "server-3", "sentinel-1", "sentinel-2", "sentinel-3"] {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        plan = plan.delayed(name, ms((random >> 33) % 1000));
    }
    let mut bed = Bed::prepare(plan);
    let watch = Watch::start(bed.cluster.server_addresses(), ms(5));
    bed.cluster.start_all().unwrap();
    let began = Instant::now();
    let master = bed.settle("after a cold start");
    println!("cold start {seed}: {master} after {:?} more", began.elapsed());
    assert!(began.elapsed() < secs(20), "agreed only after {:?}", began.elapsed());
    std::thread::sleep(ms(500));
    assert_eq!(bed.settle("a moment later"), master, "the first master did not stay");
    let seen = watch.end();
    assert!(seen.doubles.is_empty(), "two masters at once: {seen:?}");
    let masters: Vec<_> = seen.changes.iter().flat_map(|(_, masters)| masters).collect();
    assert!(masters.iter().all(|one| *one == masters[0]), "more than one took writes: {seen:?}");
}

#[test]
fn a1_parallel_cold_start_without_an_elector() {
    (1..=3).for_each(|seed| cold_start(seed, ElectorPlan::None));
}

#[test]
fn a1_parallel_cold_start_with_an_elector() {
    (11..=13).for_each(|seed| cold_start(seed, ElectorPlan::File));
}

#[test]
fn a2_a_named_master_that_restarts_does_not_lead_unconfirmed() {
    let mut bed = Bed::up(bed::plan());
    let master = bed.master();
    bed.fill(&master, 2000);
    bed.wait("the replicas have it", secs(10), |cluster| {
        cluster.servers().all(|node| node.ask(&["DBSIZE"]).is_ok_and(|reply| reply == bed::wire::Reply::Integer(2000)))
    });
    let watch = Watch::start(bed.cluster.server_addresses(), ms(5));
    // Back at once and empty, while every Sentinel still names it.
    bed.node_mut(&master).wipe().unwrap();
    bed.node_mut(&master).start().unwrap();
    let empty = bed.node(&master).address();
    bed.settle("after an empty restart");
    let seen = watch.end();
    assert!(seen.doubles.is_empty(), "two masters at once: {seen:?}");
    let after = bed.node(&bed.master()).ask(&["DBSIZE"]).unwrap();
    assert_eq!(after, bed::wire::Reply::Integer(2000), "data gone after {empty} came back empty: {seen:?}");
}

#[test]
fn a4_the_majority_of_the_sentinels_counts() {
    // Bare Sentinels of our own name the last server (two of them) and the second (one): nobody would choose either by
    // its address.
    let mut bed = Bed::prepare(bed::plan().sized(3, 3, 2));
    let (named, other) = (bed.node("server-3").ip.to_string(), bed.node("server-2").ip.to_string());
    let lies: Vec<_> = ["sentinel-1", "sentinel-2", "sentinel-3"].map(|name| bed.node(name).address()).into();
    let _liars: Vec<Liar> = lies
        .into_iter()
        .zip([named.clone(), other, named])
        .map(|(at, host)| Liar::redis(at, sentinel_that_names(at, move || host.clone())))
        .collect();
    for name in ["server-1", "server-2", "server-3"] {
        bed.node_mut(name).start().unwrap();
    }
    bed.wait("the master that two of three name", secs(40), |cluster| {
        cluster.node("server-3").unwrap().role().as_deref() == Some("master")
    });
}

#[test]
fn a4_a_split_of_one_each_gives_nobody_a_role() {
    let mut bed = Bed::prepare(bed::plan().sized(3, 3, 2));
    let _liars: Vec<Liar> = (1..=3)
        .map(|n| {
            let host = bed.node(&format!("server-{n}")).ip.to_string();
            let at = bed.node(&format!("sentinel-{n}")).address();
            Liar::redis(at, sentinel_that_names(at, move || host.clone()))
        })
        .collect();
    let watch = Watch::start(bed.cluster.server_addresses(), ms(20));
    for name in ["server-1", "server-2", "server-3"] {
        bed.node_mut(name).start().unwrap();
    }
    std::thread::sleep(secs(12));
    let seen = watch.end();
    assert!(seen.doubles.is_empty(), "{seen:?}");
    for node in bed.cluster.servers() {
        assert!(node.probe("livez").is_some_and(|(live, _)| live), "{} is not live", node.name);
    }
}

/// Every Sentinel's file as if it had always named another: master and replica change places in it.
fn swap_in_files(bed: &Bed, old: &str, new: &str) {
    let (old, new) = (bed.node(old).ip.to_string(), bed.node(new).ip.to_string());
    for node in bed.cluster.sentinel_nodes() {
        let file = node.data().join("redinit-sentinel.conf");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(&format!("sentinel monitor mymaster {old} ")), "{text}");
        let words = |line: &str| -> String {
            let swapped = line.split(' ').map(|word| match word {
                word if word == old => new.as_str(),
                word if word == new => old.as_str(),
                word => word,
            });
            swapped.collect::<Vec<_>>().join(" ") + "\n"
        };
        std::fs::write(&file, text.lines().map(words).collect::<String>()).unwrap();
    }
}

#[test]
fn a5_all_sentinels_name_a_server_that_says_replica() {
    let mut bed = Bed::up(bed::plan());
    let (master, named) = (bed.master(), bed.replicas().remove(0));
    bed.fill(&master, 1000);
    let keys = bed::wire::Reply::Integer(1000);
    bed.wait("all hold it", secs(10), |cluster| {
        cluster.servers().all(|node| node.ask(&["DBSIZE"]).is_ok_and(|reply| reply == keys))
    });
    bed.wait("each Sentinel knows all", secs(20), |cluster| {
        let knows = |at, row: &str, field: &str| {
            let reply = cluster.sentinels().order(at, &["MASTER"]).ok();
            reply.and_then(|reply| reply.field(field)).as_deref() == Some(row)
        };
        cluster
            .sentinel_nodes()
            .map(bed::Node::address)
            .all(|at| knows(at, "2", "num-slaves") && knows(at, "2", "num-other-sentinels"))
    });
    // The Sentinels sleep, and wake with files that name a replica; whom it follows is gone.
    for name in ["sentinel-1", "sentinel-2", "sentinel-3"] {
        bed.signal(name, Signal::SIGTERM);
        assert!(bed.node_mut(name).wait(secs(20)).is_some());
    }
    swap_in_files(&bed, &master, &named);
    let watch = Watch::start(bed.cluster.server_addresses(), ms(10));
    bed.node_mut(&master).kill();
    for name in ["sentinel-1", "sentinel-2", "sentinel-3"] {
        bed.node_mut(name).start().unwrap();
    }
    let began = Instant::now();
    let address = bed.node(&named).address();
    bed.wait("all name it", secs(10), |cluster| cluster.sentinels().unanimous() == Ok(address));
    assert_eq!(bed.node(&named).role().as_deref(), Some("slave"), "no masterless agreement");
    let masters = |cluster: &bed::Cluster| -> Vec<_> {
        cluster.servers().filter(|node| node.role().as_deref() == Some("master")).map(bed::Node::address).collect()
    };
    assert_eq!(masters(&bed.cluster), [], "no masterless agreement");
    bed.wait("one is promoted, and the Sentinels follow", secs(60).saturating_sub(began.elapsed()), |cluster| {
        matches!(masters(cluster).as_slice(), [one] if cluster.sentinels().unanimous() == Ok(*one)
            && bed::wire::ask(*one, ms(300), &["SET", "a", "b"])
                .is_ok_and(|reply| reply == bed::wire::Reply::Status("OK".into())))
    });
    println!("all named a replica: writable and agreed after {:?}", began.elapsed());
    bed.node_mut(&master).start().unwrap();
    let leader = bed.settle("with the former master back");
    assert_eq!(bed.node(&leader).ask(&["DBSIZE"]).unwrap(), bed::wire::Reply::Integer(1001), "data lost");
    let seen = watch.end();
    assert!(seen.doubles.is_empty(), "two masters at once: {seen:?}");
}

#[test]
fn a6_an_elector_that_is_stale_or_broken_hangs_nobody() {
    type Lie = fn() -> Option<Vec<u8>>;
    let lies: [(&str, Lie); 4] = [
        ("a dead pod for ever", || Some(json(r#"{"name":"pod-dead"}"#))),
        ("an empty name", || Some(json(r#"{"name":""}"#))),
        ("nothing", || None),
        ("10 MB", || Some(json(&"x".repeat(10 << 20)))),
    ];
    for (what, lie) in lies {
        let mut bed = Bed::prepare(bed::plan());
        let at = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let elector = Liar::http(at, move |_, _| lie());
        let setting = format!("http://{}", elector.address);
        for node in &mut bed.cluster.nodes {
            node.env.retain(|(name, _)| name != "REDINIT_ELECTOR");
            node.env.push(("REDINIT_ELECTOR".into(), setting.clone()));
        }
        let began = Instant::now();
        bed.cluster.start_all().unwrap();
        bed.settle(&format!("with an elector that says {what}"));
        println!("elector says {what}: whole after {:?}", began.elapsed());
        assert!(elector.asked.load(std::sync::atomic::Ordering::Relaxed) > 0, "the elector was never asked");
    }
}

#[test]
fn a7_an_empty_or_half_master_answer_is_no_answer() {
    let answers: [&'static [&'static str]; 4] = [&["", ""], &["127.0.0.1", ""], &["", "6379"], &["127.0.0.1"]];
    let mut bed = Bed::prepare(bed::plan().sized(1, 3, 2));
    let _liars: Vec<Liar> = (1..=3)
        .map(|n| {
            let at = bed.node(&format!("sentinel-{n}")).address();
            Liar::redis(at, move |words, number| {
                let answer = answers[usize::try_from(number).unwrap() % answers.len()];
                match words.get(1).map(|word| word.to_lowercase()).as_deref() {
                    Some("get-master-addr-by-name") => Some(array(answer)),
                    Some("master") => Some(array(&["name", "mymaster", "ip", "", "port", "0"])),
                    _ => Some(b"*0\r\n".to_vec()),
                }
            })
        })
        .collect();
    bed.node_mut("server-1").start().unwrap();
    std::thread::sleep(secs(6));
    assert!(bed.node_mut("server-1").is_running());
    assert!(bed.node("server-1").probe("livez").is_some_and(|(live, _)| live));
    assert_eq!(bed.logged("server-1", "REPLICAOF :"), 0);
    bed.signal("server-1", Signal::SIGTERM);
    assert_eq!(bed.node_mut("server-1").wait(secs(10)).and_then(|status| status.code()), Some(0));
}

#[test]
fn a8_a_single_node_leads_without_waiting() {
    let mut bed = Bed::prepare(bed::plan().sized(1, 1, 1).set("REDINIT_EXPECTED_SERVERS", "1"));
    let began = Instant::now();
    bed.cluster.start_all().unwrap();
    let server = bed.node("server-1").address();
    bed.wait("a first write", secs(10), |_| {
        bed::wire::ask(server, ms(300), &["SET", "a", "b"])
            .is_ok_and(|reply| reply == bed::wire::Reply::Status("OK".into()))
    });
    println!("single node: writable after {:?}", began.elapsed());
    assert!(began.elapsed() < secs(5), "writable only after {:?}", began.elapsed());
    bed.settle("with one of each");
}

#[test]
fn m24_a_server_that_cannot_see_the_others_does_not_lead_beside_them() {
    let mut bed = Bed::prepare(bed::plan().set("REDINIT_EXPECTED_SERVERS", "3"));
    // Its list leads nowhere, and the Sentinels know nobody yet.
    let dead = nowhere(&bed);
    let alone = bed.node_mut("server-3");
    let list = format!("{},{dead},{}", alone.address(), std::net::SocketAddr::new(dead.ip(), 6380));
    alone.env.retain(|(name, _)| name != "REDINIT_SERVERS");
    alone.env.push(("REDINIT_SERVERS".into(), list));
    let watch = Watch::start(bed.cluster.server_addresses(), ms(10));
    bed.cluster.start_all().unwrap();
    bed.settle("with one server that sees only Sentinels");
    let seen = watch.end();
    assert!(seen.doubles.is_empty(), "{seen:?}");
}

#[test]
fn k4_a_stop_before_anything_is_decided_is_quick() {
    // Discovery cannot finish: nobody else is there.
    let mut bed = Bed::prepare(bed::plan());
    bed.node_mut("server-1").start().unwrap();
    std::thread::sleep(ms(1500));
    let told = Instant::now();
    bed.signal("server-1", Signal::SIGTERM);
    let status = bed.node_mut("server-1").wait(secs(30)).expect("it never ended");
    assert_eq!(status.code(), Some(0));
    assert!(told.elapsed() < secs(5), "ended only after {:?}", told.elapsed());
}
