//! Two clusters with one master name in one network, without a password or with the same one; an address of the one passes
//! to the other. Both keep their masters and every key.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use redinit::demo::cluster::{Cluster, Plan};
use redinit::demo::plan::Place;

use super::bed::{self, Bed, Turn, ms, secs};

/// Keys of each cluster.
const OURS: usize = 500;
const THEIRS: usize = 1000;

/// How soon it must be said that somebody of another cluster is there.
const SAID_WITHIN: Duration = secs(2);

/// Cluster B, of which server 3 shall live at an address of A's. Without that one it starts now.
fn neighbour(at: SocketAddr, settings: &[(&str, &str)]) -> Cluster {
    let mut plan = bed::plan().set_for("server-3", "REDINIT_BIND", &at.ip().to_string());
    plan = plan.set_for("server-3", "REDINIT_HTTP_LISTEN", &format!("{}:8379", at.ip()));
    plan.places = BTreeMap::from([("server-3".to_owned(), Place { ip: at.ip(), enter: Vec::new() })]);
    for (name, value) in settings {
        plan = plan.set(name, value);
    }
    let mut theirs = Cluster::prepare(plan).unwrap();
    let known: Vec<String> = theirs.server_addresses().iter().take(2).map(ToString::to_string).collect();
    for node in theirs.nodes.iter_mut().filter(|node| node.name != "server-3") {
        // Nobody of theirs has been told of that address: it passes to them later.
        node.env.retain(|(name, _)| name != "REDINIT_SERVERS");
        node.env.push(("REDINIT_SERVERS".into(), known.join(",")));
        node.start().unwrap();
    }
    theirs
}

fn plan(settings: &[(&str, &str)]) -> Plan {
    settings.iter().fold(bed::plan(), |plan, (name, value)| plan.set(name, value))
}

/// Whom all three Sentinels of a cluster name, where that one takes writes.
fn led(cluster: &Cluster) -> Option<String> {
    let named = cluster.sentinels().unanimous().ok()?;
    let leads = cluster.nodes.iter().find(|node| node.address() == named)?;
    let seen = leads.status()?;
    (seen["role"] == "master" && seen["fenced"] == false).then(|| leads.name.clone())
}

fn wait_led(cluster: &Cluster, limit: Duration) -> String {
    let began = Instant::now();
    loop {
        if let Some(name) = led(cluster) {
            return name;
        }
        assert!(began.elapsed() < limit, "nobody leads the other cluster after {limit:?}");
        std::thread::sleep(ms(100));
    }
}

fn ask(link: &mut bed::wire::Connection, words: &[&str]) -> bed::wire::Reply {
    link.push(words);
    link.flush().unwrap();
    link.read().unwrap()
}

fn write(cluster: &Cluster, leader: &str, prefix: &str, keys: usize, password: Option<&str>) {
    let mut link = bed::wire::Connection::open(cluster.node(leader).unwrap().address(), secs(5)).unwrap();
    if let Some(password) = password {
        ask(&mut link, &["AUTH", password]);
    }
    for key in 0..keys {
        let answer = ask(&mut link, &["SET", &format!("{prefix}:{key}"), "x"]);
        assert!(matches!(answer, bed::wire::Reply::Status(_)), "{answer:?}");
    }
}

/// How many keys with this prefix the server has, and how many in all.
fn keys(cluster: &Cluster, server: &str, prefix: &str, password: Option<&str>) -> (usize, usize) {
    let mut link = bed::wire::Connection::open(cluster.node(server).unwrap().address(), secs(5)).unwrap();
    if let Some(password) = password {
        ask(&mut link, &["AUTH", password]);
    }
    let found = ask(&mut link, &["KEYS", &format!("{prefix}:*")]).items().len();
    let all = ask(&mut link, &["DBSIZE"]).text().and_then(|text| text.parse().ok()).unwrap();
    (found, all)
}

/// A server of it says that another cluster is there.
fn says_foreign(cluster: &Cluster) -> bool {
    let says = |line: &str| line.contains("is a server of cluster") || line.contains("knows this address");
    cluster.servers().any(|node| {
        let text = std::fs::read(node.log()).unwrap_or_default();
        String::from_utf8_lossy(&text).lines().any(says)
    })
}

/// An address of A's server 3 passes to B, whose epoch is higher; B's third server starts there.
fn an_address_passes(settings: &[(&str, &str)], password: Option<&str>) {
    let mut ours = Bed::prepare_in(Turn::alone(), plan(settings));
    ours.cluster.start_all().unwrap();
    wait_led(&ours.cluster, secs(60));
    let at = ours.node("server-3").address();
    let mut theirs = neighbour(at, settings);
    for _ in 0..3 {
        let leader = wait_led(&theirs, secs(60));
        // Each adds one to their epoch.
        let (code, text) = bed::command(theirs.node(&leader).unwrap(), &["handover"]);
        assert_eq!(code, Some(0), "{text}");
    }
    let their_leader = wait_led(&theirs, secs(60));
    write(&theirs, &their_leader, "theirs", THEIRS, password);
    if wait_led(&ours.cluster, secs(10)) == "server-3" {
        let (code, text) = bed::command(ours.node("server-3"), &["handover"]);
        assert_eq!(code, Some(0), "{text}");
    }
    let leader = wait_led(&ours.cluster, secs(30));
    write(&ours.cluster, &leader, "ours", OURS, password);
    ours.signal("server-3", bed::Signal::SIGTERM);
    ours.node_mut("server-3").wait(secs(20)).expect("it ends");

    theirs.node_mut("server-3").unwrap().start().unwrap();
    let began = Instant::now();
    for (name, cluster) in [("ours", &ours.cluster), ("theirs", &theirs)] {
        while !says_foreign(cluster) {
            assert!(began.elapsed() < SAID_WITHIN, "{name} does not say so within {SAID_WITHIN:?}");
            std::thread::sleep(ms(20));
        }
        println!("{name} said so after {:?}", began.elapsed());
    }
    // Sentinels say hello each 2 s; what can merge has merged by then, and has been taken back.
    std::thread::sleep(secs(20));
    assert_eq!(led(&ours.cluster).as_deref(), Some(leader.as_str()), "our Sentinels name our master");
    assert_eq!(wait_led(&theirs, secs(10)), their_leader, "theirs name theirs");
    for server in ["server-1", "server-2"] {
        assert_eq!(keys(&ours.cluster, server, "ours", password), (OURS, OURS), "ours, {server}");
        assert_eq!(keys(&theirs, server, "theirs", password), (THEIRS, THEIRS), "theirs, {server}");
    }
    assert_eq!(keys(&theirs, "server-3", "theirs", password), (THEIRS, THEIRS), "it has joined its own cluster");
    for node in &ours.cluster.nodes {
        assert_eq!(ours.logged(&node.name, " demote"), 0, "{}", node.name);
    }
    let (code, text) = bed::command(ours.node(&leader), &["handover"]);
    assert_eq!(code, Some(0), "a handover works afterwards: {text}");
}

#[test]
fn n1_an_address_passes_to_another_cluster_of_the_same_name() {
    needs_namespaces!();
    an_address_passes(&[], None);
}

#[test]
fn n2_the_same_with_one_password_for_both() {
    needs_namespaces!();
    an_address_passes(&[("REDIS_PASSWORD", "same")], Some("same"));
}

/// N13: the volume of B put into A. By the id that the settings give it is refused at once.
#[test]
fn n13_the_volume_of_another_cluster_is_refused() {
    needs_namespaces!();
    let mut plan = bed::plan().sized(1, 1, 1).set("REDINIT_CLUSTER_ID", "prod/a");
    plan.expected_servers = Some(1);
    let mut bed = Bed::up_beside(plan);
    bed.signal("server-1", bed::Signal::SIGTERM);
    bed.node_mut("server-1").wait(secs(20)).expect("it ends");
    let node = bed.node_mut("server-1");
    node.env.retain(|(name, _)| name != "REDINIT_CLUSTER_ID");
    node.env.push(("REDINIT_CLUSTER_ID".into(), "prod/b".into()));
    node.start().unwrap();
    let status = node.wait(secs(10)).expect("it ends");
    assert_eq!(status.code(), Some(78));
    assert_eq!(bed.logged("server-1", "belongs to cluster `prod/a`, not to `prod/b`"), 1);
}
