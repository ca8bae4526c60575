//! M: races that lost data or wedged without the gate.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::bed::{self, Bed, Outcome, Signal, Writing, ms, secs, wire};

#[test]
fn m2_a_sentinel_that_acts_half_a_minute_late() {
    let mut bed = Bed::up(bed::plan());
    let outcome = bed.event(|bed| {
        // The command waits in a frozen Sentinel, which is then in TILT for 30 s.
        bed.node("sentinel-1").signal_engine(Signal::SIGSTOP);
        let mut typed = TcpStream::connect(bed.node("sentinel-1").address()).unwrap();
        typed.write_all(b"SENTINEL FAILOVER mymaster\r\n").unwrap();
        std::thread::sleep(secs(5));
        bed.node("sentinel-1").signal_engine(Signal::SIGCONT);
        std::thread::sleep(secs(36));
    });
    outcome.lossless().gap_within(secs(3));
}

/// The master refuses to hand over (maintenance), somebody types FAILOVER, and the master is gone `after` that.
fn called_off_then_dead(bed: &mut Bed, after: Duration) -> Outcome {
    bed.event(|bed| {
        let master = bed.master();
        let (code, text) = bed::command(bed.node(&master), &["maintenance", "on"]);
        assert_eq!(code, Some(0), "{text}");
        assert_eq!(bed.type_failover("sentinel-1"), wire::Reply::Status("OK".into()));
        std::thread::sleep(after);
        assert_eq!(bed.node(&master).role().as_deref(), Some("master"), "it was deposed in maintenance");
        bed.node_mut(&master).kill();
        bed.wait_leader_other_than(&master, secs(40));
        // What a proposal cannot use any more lapses first: failover-timeout.
        std::thread::sleep(ms(200));
    })
}

#[test]
fn m4_the_master_dies_after_a_handover_was_called_off() {
    let mut bed = Bed::up(bed::plan());
    for (after, limit) in [(1000, 1500), (4000, 1500), (9500, 5000)] {
        let outcome = called_off_then_dead(&mut bed, ms(after));
        println!("dead {after} ms after: gap {:?}", outcome.gap);
        outcome.lost_in_flight_at_most().moved().gap_within(ms(limit));
        std::thread::sleep(secs(12));
    }
}

#[test]
fn m5_two_sentinels_are_asked_at_once() {
    let mut bed = Bed::rested(bed::plan());
    for _ in 0..3 {
        let outcome = bed.event(|bed| {
            let old = bed.master();
            bed.type_failover("sentinel-1");
            bed.type_failover("sentinel-2");
            bed.wait_leader_other_than(&old, secs(10));
            let led = Instant::now();
            bed.wait("all Sentinels agree", secs(20), |cluster| cluster.sentinels().unanimous().is_ok());
            let agreed = led.elapsed();
            println!("agreed {agreed:?} after the new master led");
            assert!(agreed < ms(1500), "agreed only {agreed:?} after it led, promised are 1.5 s");
        });
        outcome.lossless().moved().gap_within(secs(3));
        bed.rest(bed::REST);
    }
}

/// A master that has led for less than 10 s says no to the next release.
#[test]
fn m9_the_proposing_sentinel_dies_before_it_told_anybody() {
    let mut bed = Bed::rested(bed::plan());
    let outcome = bed.event(|bed| {
        let old = bed.master();
        bed.type_failover("sentinel-1");
        bed.wait_leader_other_than(&old, secs(10));
        bed.node_mut("sentinel-1").kill();
        let led = Instant::now();
        bed.wait("a majority names one master that leads", secs(20), |cluster| {
            cluster
                .sentinels()
                .majority()
                .is_some_and(|at| cluster.node(&cluster.name_of(at)).unwrap().role().as_deref() == Some("master"))
        });
        println!("agreed {:?} after the Sentinel died", led.elapsed());
        assert!(led.elapsed() < secs(3), "agreed only {:?} after the Sentinel died, promised are 3 s", led.elapsed());
    });
    outcome.lossless();
}

#[test]
fn m10_the_old_masters_supervisor_freezes_right_after_the_release() {
    let mut bed = Bed::rested(bed::plan());
    let outcome = bed.event(|bed| {
        let old = bed.master();
        bed.type_failover("sentinel-1");
        bed.wait_fenced(&old, secs(10));
        bed.signal(&old, Signal::SIGSTOP);
        std::thread::sleep(secs(10));
        bed.signal(&old, Signal::SIGCONT);
    });
    outcome.lossless();
}

/// One request to a supervisor; all it says.
fn exchange(at: std::net::SocketAddr, head: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_write_timeout(Some(secs(2))).unwrap();
    stream.set_read_timeout(Some(secs(5))).unwrap();
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).ok();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn m12_stale_and_forged_messages_have_no_effect() {
    let mut bed = Bed::up(bed::plan());
    let outcome = bed.event(|bed| {
        let (master, replicas) = (bed.master(), bed.replicas());
        let (at, other) = (bed.node(&master).http(), bed.node(&replicas[0]).address());
        let old = bed.node(&master).address();
        let messages = [
            ("led", format!(r#"{{"v":1,"kind":"led","attempt":"old","leader":"{other}","epoch":0}}"#)),
            ("release", format!(r#"{{"v":1,"kind":"release","attempt":"old","candidate":"{other}","sentinel":"none","replaces":"{old}","offset":0}}"#)),
            ("follow", format!(r#"{{"v":1,"kind":"follow","attempt":"old","leader":"{other}"}}"#)),
            ("lead", format!(r#"{{"v":1,"kind":"lead","coordinator":"{other}","attempt":"old"}}"#)),
            ("consent", r#"{"v":1"#.to_owned()),
            ("report", "x".repeat(2 << 20)),
        ];
        for (path, body) in messages {
            for _ in 0..3 {
                let nonce = exchange(at, "GET /peer/nonce HTTP/1.0\r\n\r\n", "");
                let nonce = nonce.lines().find_map(|line| line.strip_prefix("x-redinit-nonce: ")).unwrap();
                let length = body.len();
                let head = format!("POST /peer/{path} HTTP/1.0\r\nX-Redinit-Nonce: {nonce}\r\nContent-Length: {length}\r\n\r\n");
                let answer = exchange(at, &head, &body);
                // Whole messages are weighed, and refused; the others make no sense.
                let weighed = answer.contains(" 200 OK") && answer.contains(r#""answer":"no""#);
                assert_eq!(weighed, body.ends_with('}'), "{path}: {answer}");
            }
        }
        std::thread::sleep(secs(3));
        assert_eq!(bed.master(), master, "a message of nobody's deposed the master");
    });
    outcome.lossless().gap_within(secs(3));
}

#[test]
fn m13_failover_typed_eight_times_in_a_row() {
    let mut bed = Bed::up(bed::plan());
    let mut gaps = Vec::new();
    let mut led_since = Instant::now();
    for round in 0..8 {
        // A master that has led for less than 10 s refuses: then the proposal lapses.
        std::thread::sleep((led_since + secs(10) + ms(300)).saturating_duration_since(Instant::now()));
        let outcome = bed.event_with(&Writing { rest: ms(1), ..Writing::default() }, |bed| {
            let old = bed.cluster.sentinels().majority();
            bed.type_failover(["sentinel-1", "sentinel-2", "sentinel-3"][round * 5 % 3]);
            let end = Instant::now() + secs(9);
            while bed.cluster.sentinels().majority() == old && Instant::now() < end {
                std::thread::sleep(ms(10));
            }
        });
        led_since = Instant::now();
        assert_ne!(outcome.before, outcome.after, "round {round} did not move the master");
        outcome.lossless();
        gaps.push(outcome.gap);
    }
    println!("gaps of eight failovers typed by hand: {gaps:?}");
    assert!(gaps.iter().all(|gap| *gap <= ms(600)), "each is promised within 600 ms: {gaps:?}");
}

#[test]
fn m19_the_candidates_supervisor_freezes_at_any_step() {
    let mut bed = Bed::rested(bed::plan());
    for after in [150, 400, 900].map(ms) {
        let outcome = bed.event(|bed| {
            let old = bed.master();
            bed.type_failover("sentinel-1");
            std::thread::sleep(after);
            let candidate =
                bed.proposed().unwrap_or_else(|| bed.replicas().into_iter().find(|name| *name != old).unwrap());
            bed.signal(&candidate, Signal::SIGSTOP);
            std::thread::sleep(secs(8));
            bed.signal(&candidate, Signal::SIGCONT);
        });
        outcome.lossless();
        bed.rest(bed::REST);
    }
}

#[test]
fn m29_the_candidates_machine_stalls_with_the_order_in_its_socket() {
    let mut bed = Bed::rested(bed::plan());
    let outcome = bed.event(|bed| {
        bed.type_failover("sentinel-1");
        let mut candidate = None;
        bed.wait("a proposal", secs(5), |_| {
            candidate = bed.proposed();
            candidate.is_some()
        });
        let candidate = candidate.unwrap();
        bed.signal_machine(&candidate, Signal::SIGSTOP);
        std::thread::sleep(secs(10));
        bed.signal_machine(&candidate, Signal::SIGCONT);
        std::thread::sleep(secs(2));
    });
    outcome.lossless();
}

/// Runs a test anew in a network namespace of its own, where it may lose packets. `true`: we are inside, go on.
fn in_own_network(test: &str) -> bool {
    const INSIDE: &str = "SCENARIO_OWN_NETWORK";
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let inside = |script: &str| {
        let mut command = std::process::Command::new("unshare");
        command.args(["--net", "sh", "-c", script]).env(INSIDE, "1");
        command
    };
    if !inside("ip link set lo up && iptables -A INPUT -s 127.0.0.9 -j DROP").status().is_ok_and(|s| s.success()) {
        println!("skipped: needs root, network namespaces and iptables");
        return false;
    }
    let mut again = inside("ip link set lo up && exec \"$0\" \"$@\"");
    let again = again.arg(std::env::current_exe().unwrap()).args([test, "--exact", "--nocapture"]);
    assert!(again.status().unwrap().success(), "failed in its own network: see above");
    false
}

fn iptables(arguments: &[&str]) -> String {
    let output = std::process::Command::new("iptables").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// How many orders to change its role a server's gate has turned away.
fn bounced(bed: &Bed, name: &str) -> u64 {
    let stats = bed.node(name).info("commandstats", "cmdstat_slaveof").unwrap_or_default();
    let count = stats.split(',').find_map(|part| part.strip_prefix("rejected_calls="));
    count.and_then(|count| count.parse().ok()).unwrap_or_default()
}

/// From which port a Sentinel sends its orders to a server. All Sentinels of a cluster give their connections one name, the
/// first digits of their ids: so by who holds the socket.
fn orders_port(bed: &Bed, sentinel: &str, server: &str) -> String {
    let holder = format!("pid={},", bed.node(sentinel).engine_pid().unwrap());
    let list = bed.node(server).ask(&["CLIENT", "LIST"]).unwrap().text().unwrap();
    let orders = list
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .filter(|words| words.iter().any(|word| word.starts_with("name=sentinel-") && word.ends_with("-cmd")));
    let ports = orders.filter_map(|words| words.iter().find_map(|word| word.strip_prefix("addr="))?.rsplit_once(':'));
    let held = |port: &&str| {
        let sockets =
            std::process::Command::new("ss").args(["-tnpH", "sport", "=", &format!(":{port}")]).output().unwrap();
        String::from_utf8_lossy(&sockets.stdout).contains(&holder)
    };
    let port = ports.map(|(_, port)| port).find(held);
    port.unwrap_or_else(|| panic!("no connection of {sentinel}'s for orders in {list}")).to_owned()
}

#[test]
fn m3_sentinels_order_is_delayed_and_the_handover_called_off_meanwhile() {
    if !in_own_network("races::m3_sentinels_order_is_delayed_and_the_handover_called_off_meanwhile") {
        return;
    }
    let mut bed = Bed::rested(bed::plan());
    let mut candidate = None;
    let outcome = bed.event(|bed| {
        let master = bed.master();
        let rules: Vec<Vec<String>> = bed
            .replicas()
            .iter()
            .map(|name| {
                let (from, to) = (orders_port(bed, "sentinel-1", name), bed.node(name).ip.to_string());
                let rule = ["INPUT", "-p", "tcp", "--sport", &from, "-d", &to, "--dport", "6379", "-j", "DROP"];
                rule.map(str::to_owned).into()
            })
            .collect();
        let each = |how: &str| {
            for rule in &rules {
                let words: Vec<&str> = [how].into_iter().chain(rule.iter().map(String::as_str)).collect();
                iptables(&words);
            }
        };
        each("-A");
        let lossy = Instant::now();
        // The candidate acts on the proposal some 25 ms after it: no command typed meanwhile is surely quicker.
        let supervisors = bed.replicas();
        supervisors.iter().for_each(|name| bed.signal(name, Signal::SIGSTOP));
        assert_eq!(bed.type_failover("sentinel-1"), wire::Reply::Status("OK".into()));
        bed.wait("a proposal", secs(2), |_| {
            candidate = bed.proposed();
            candidate.is_some()
        });
        // Called off: from now on the master lets go to nobody.
        let (code, text) = bed::command(bed.node(&master), &["maintenance", "on"]);
        assert_eq!(code, Some(0), "{text}");
        supervisors.iter().for_each(|name| bed.signal(name, Signal::SIGCONT));
        let candidate = candidate.as_ref().unwrap();
        assert_eq!(bounced(bed, candidate), 0, "the order was not delayed");
        std::thread::sleep((lossy + secs(2)).saturating_duration_since(Instant::now()));
        assert_eq!(bounced(bed, candidate), 0, "the order was not delayed");
        println!("{}", iptables(&["-nvxL", "INPUT"]));
        each("-D");
        bed.wait("the late order bounces off the gate", secs(8), |_| bounced(bed, candidate) > 0);
        println!("the order came {:?} after it was sent", lossy.elapsed());
        // Longer than Sentinel waits for the promotion that it ordered.
        std::thread::sleep(secs(12));
        assert_eq!(bed.node(&master).role().as_deref(), Some("master"));
        let (code, text) = bed::command(bed.node(&master), &["maintenance", "off"]);
        assert_eq!(code, Some(0), "{text}");
    });
    outcome.lossless().gap_within(ms(600));
    assert_eq!(outcome.before, outcome.after, "the master was replaced although it never let go");
}
