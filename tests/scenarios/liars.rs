//! S1, S4, S5, S6: a stranger's messages against a running cluster without a password; and an address behind which all
//! servers stand. What counts is the keys afterwards.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::bed::disks::{self, AOF};
use super::bed::service::Service;
use super::bed::{self, Bed, Kind, Turn, ms, secs};

/// One message of a stranger. Nobody may be there to hear it.
fn tell(at: SocketAddr, path: &str, body: &str) {
    let ask = |head: &str, body: &str| {
        let mut stream = TcpStream::connect_timeout(&at, ms(300)).ok()?;
        stream.set_read_timeout(Some(ms(500))).ok()?;
        stream.write_all(format!("{head}{body}").as_bytes()).ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok();
        Some(String::from_utf8_lossy(&answer).into_owned())
    };
    let told = ask("GET /peer/nonce HTTP/1.0\r\n\r\n", "").and_then(|answer| {
        let nonce = answer.lines().find_map(|line| line.strip_prefix("x-redinit-nonce: "))?.to_owned();
        let length = body.len();
        let head =
            format!("POST /peer/{path} HTTP/1.0\r\nX-Redinit-Nonce: {nonce}\r\nContent-Length: {length}\r\n\r\n");
        ask(&head, body)
    });
    drop(told);
}

/// A stranger that tells these again and again, until it is dropped.
struct Stranger(Arc<AtomicBool>);

impl Stranger {
    fn tells(messages: Vec<(SocketAddr, &'static str, String)>, every: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let ending = Arc::clone(&stop);
        std::thread::spawn(move || {
            while !ending.load(Ordering::Relaxed) {
                for (at, path, body) in &messages {
                    tell(*at, path, body);
                }
                std::thread::sleep(every);
            }
        });
        Stranger(stop)
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn rank(of: SocketAddr, data: bool) -> String {
    format!(
        r#"{{"has_data":{data},"epoch":999,"was_master_with_aof":true,"history":"x","second":null,"offset":99999999,"last_write":9999999999,"address":"{of}"}}"#
    )
}

fn report(of: SocketAddr, data: bool, servers: &[SocketAddr]) -> String {
    let servers: Vec<String> = servers.iter().map(|at| format!(r#""{at}""#)).collect();
    let (rank, servers) = (rank(of, data), servers.join(","));
    format!(
        r#"{{"v":1,"from":"{of}","rank":{rank},"loading":false,"has_state":true,"was_master":true,"never":false,"known_servers":3,"servers":[{servers}]}}"#
    )
}

/// A thousand keys everywhere; the master's name.
fn with_keys(bed: &Bed) -> String {
    let master = bed.master();
    disks::mark(bed.node(&master), "mark", 1_000);
    everywhere(bed, "at the start");
    master
}

#[track_caller]
fn everywhere(bed: &Bed, when: &str) {
    bed.wait(&format!("all keys are everywhere {when}"), secs(20), |cluster| {
        cluster.servers().all(|node| disks::marks(node, "mark", 1_000) == 1_000)
    });
}

fn addresses(bed: &Bed) -> Vec<(SocketAddr, SocketAddr)> {
    bed.cluster.servers().map(|node| (node.address(), node.http())).collect()
}

#[test]
fn s1_a_strangers_lead_makes_no_empty_server_lead() {
    let mut bed = Bed::up(disks::plan_with(AOF));
    with_keys(&bed);
    let empty = bed.replicas()[0].clone();
    std::thread::sleep(secs(2));
    for node in &mut bed.cluster.nodes {
        node.kill();
    }
    bed.node_mut(&empty).wipe().unwrap();
    bed.node_mut(&empty).start().unwrap();
    let to = bed.node(&empty).http();
    let names: Vec<SocketAddr> = addresses(&bed).into_iter().map(|(at, _)| at).collect();
    let lead = |at: &SocketAddr| (to, "lead", format!(r#"{{"v":1,"coordinator":"{at}","attempt":"x"}}"#));
    let stranger = Stranger::tells(names.iter().map(lead).collect(), ms(100));
    std::thread::sleep(secs(5));
    assert_ne!(bed.node(&empty).role().as_deref(), Some("master"), "it leads by a stranger's word");
    bed.restart_ended();
    bed.settle("after the outage");
    drop(stranger);
    everywhere(&bed, "after the outage");
}

#[test]
fn s4_a_stranger_holds_off_no_failover() {
    let mut bed = Bed::up(disks::plan_with(AOF));
    let master = with_keys(&bed);
    bed.rest(bed::REST);
    let nobody = bed::nowhere(&bed);
    let replicas: Vec<SocketAddr> = bed.replicas().iter().map(|name| bed.node(name).http()).collect();
    let mut messages = Vec::new();
    for to in replicas {
        let priority = format!(r#"{{"v":1,"from":"{nobody}","priority":0,"leader":"{nobody}","lasting":10000}}"#);
        let rank = rank(nobody, true);
        let consent = format!(
            r#"{{"v":1,"from":"{nobody}","attempt":"x","candidate":"{nobody}","replaces":"{nobody}","rank":{rank}}}"#
        );
        messages.extend([(to, "priority", priority), (to, "consent", consent)]);
    }
    let stranger = Stranger::tells(messages, ms(250));
    std::thread::sleep(secs(1));
    bed.node_mut(&master).kill();
    let killed = Instant::now();
    bed.wait_leader_other_than(&master, secs(8));
    println!("S4: another leads after {:?}", killed.elapsed());
    drop(stranger);
    bed.restart_ended();
    bed.settle("after the failover");
    everywhere(&bed, "after the failover");
}

#[test]
fn s5_a_report_in_anothers_name_makes_nobody_lead() {
    let mut bed = Bed::up(disks::plan_with(AOF));
    with_keys(&bed);
    let empty = bed.replicas()[0].clone();
    std::thread::sleep(secs(2));
    for node in &mut bed.cluster.nodes {
        node.kill();
    }
    bed.node_mut(&empty).wipe().unwrap();
    let of = bed.node(&empty).address();
    let all: Vec<SocketAddr> = addresses(&bed).into_iter().map(|(at, _)| at).collect();
    let messages = addresses(&bed).into_iter().map(|(_, to)| (to, "report", report(of, true, &all))).collect();
    let stranger = Stranger::tells(messages, ms(200));
    bed.restart_ended();
    bed.settle("after the outage");
    drop(stranger);
    assert_ne!(bed.master(), empty, "the empty one leads");
    everywhere(&bed, "after the outage");
}

#[test]
fn s6_a_strangers_engine_that_messages_speak_of_is_nobody() {
    let mut bed = Bed::up(disks::plan_with(AOF));
    with_keys(&bed);
    let at = bed::nowhere(&bed);
    let dir = tempfile::tempdir().unwrap();
    let engine = std::process::Command::new("redis-server")
        .args([
            "--bind",
            &at.ip().to_string(),
            "--port",
            &at.port().to_string(),
            "--save",
            "",
            "--protected-mode",
            "no",
        ])
        .current_dir(dir.path())
        .stdout(std::process::Stdio::null())
        .spawn();
    let Ok(mut engine) = engine else {
        return bed::say_skipped("s6_a_strangers_engine_that_messages_speak_of_is_nobody", "no redis-server");
    };
    let led = format!(r#"{{"v":1,"from":"{at}","attempt":"x","leader":"{at}","epoch":999}}"#);
    let follow = format!(r#"{{"v":1,"from":"{at}","attempt":"x","leader":"{at}"}}"#);
    let mut messages = Vec::new();
    for (_, to) in addresses(&bed) {
        messages.extend([
            (to, "report", report(at, true, &[at])),
            (to, "led", led.clone()),
            (to, "follow", follow.clone()),
        ]);
    }
    let stranger = Stranger::tells(messages, ms(500));
    std::thread::sleep(secs(3));
    // The Sentinels fall silent, and the servers have only each other.
    for node in bed.cluster.nodes.iter_mut().filter(|node| node.kind == Kind::Sentinel) {
        node.kill();
    }
    for node in bed.cluster.nodes.iter_mut().filter(|node| node.kind == Kind::Server) {
        node.kill();
    }
    let names: Vec<String> = bed.cluster.servers().map(|node| node.name.clone()).collect();
    for name in &names {
        bed.node_mut(name).start().unwrap();
    }
    std::thread::sleep(secs(12));
    for node in bed.cluster.servers() {
        assert_ne!(node.info("replication", "master_host"), Some(at.ip().to_string()), "{} follows it", node.name);
    }
    bed.restart_ended();
    bed.settle("after the outage");
    drop(stranger);
    engine.kill().unwrap();
    engine.wait().unwrap();
    everywhere(&bed, "after the outage");
}

#[test]
fn a3_an_address_that_leads_to_all_servers_is_nobody() {
    let mut bed = Bed::prepare_in(Turn::alone(), bed::plan());
    let _balancers = Service::beside_all(&mut bed);
    bed.cluster.start_all().unwrap();
    bed.settle("with an address that leads to all");
    std::thread::sleep(secs(3));
    let service = Service::address(&bed, Kind::Server).ip().to_string();
    for node in &bed.cluster.nodes {
        let (code, text) = bed::command(node, &["status"]);
        assert_eq!(code, Some(0), "{}: {text}", node.name);
        assert!(!text.contains("WARNING") && !text.contains(&service), "{}: {text}", node.name);
        assert_eq!(bed.logged(&node.name, &format!("following {service}")), 0, "{} followed it", node.name);
    }
    let outcome = bed.event(|bed| {
        let (code, text) = bed::command(bed.node(&bed.master()), &["handover"]);
        assert_eq!(code, Some(0), "{text}");
    });
    outcome.lossless().moved();
}
