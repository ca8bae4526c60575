//! G: probes, and I1: what clients of a demoted master see.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::bed::{self, Bed, Signal, command, ms, secs, wire};

/// Makes loading slow: 1 ms a key.
fn slow_loading(bed: &mut Bed, name: &str) {
    let arguments = ["run", "--", "--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024"];
    bed.node_mut(name).args = arguments.map(str::to_owned).into();
}

fn probe(bed: &Bed, name: &str, probe: &str) -> Option<bool> {
    bed.node(name).probe(probe).map(|(yes, _)| yes)
}

#[test]
fn g1_g2_k4_loading_and_first_sync_are_alive_but_not_ready() {
    let mut bed = Bed::up(bed::plan());
    let (master, replicas) = (bed.master(), bed.replicas());
    bed.fill(&master, 8000);
    // G1: a replica that loads its own data for 8 s.
    let loads = &replicas[0];
    bed.wait(
        "the replica holds every key",
        secs(20),
        |cluster| matches!(cluster.node(loads).unwrap().ask(&["DBSIZE"]), Ok(wire::Reply::Integer(keys)) if keys >= 8000),
    );
    bed.node(loads).ask(&["SAVE"]).unwrap();
    bed.signal(loads, Signal::SIGTERM);
    assert!(bed.node_mut(loads).wait(secs(20)).is_some());
    slow_loading(&mut bed, loads);
    bed.node_mut(loads).start().unwrap();
    let mut seen = None;
    bed.wait("loading is seen", secs(5), |cluster| {
        let phase = cluster.node(loads).unwrap().status().map(|status| status["phase"].to_string());
        if phase != seen {
            println!("phase while loading: {phase:?}");
            seen = phase;
        }
        seen.as_deref() == Some("\"loading\"")
    });
    let pid = bed.node(loads).engine_pid();
    for _ in 0..10 {
        assert_eq!(probe(&bed, loads, "livez"), Some(true), "not live while loading");
        assert_eq!(probe(&bed, loads, "startupz"), Some(true), "not started while loading");
        assert_eq!(probe(&bed, loads, "readyz"), Some(false), "ready while loading");
        std::thread::sleep(ms(200));
    }
    assert_eq!(bed.node(loads).engine_pid(), pid, "the loading child was replaced");
    // K4: a stop while it still loads.
    let told = Instant::now();
    bed.signal(loads, Signal::SIGTERM);
    let status = bed.node_mut(loads).wait(secs(30)).expect("it never ended");
    assert_eq!(status.code(), Some(0));
    assert!(told.elapsed() < secs(5), "a stop while loading took {:?}", told.elapsed());
    // G2: the same one comes back empty and syncs for 8 s.
    bed.node_mut(loads).wipe().unwrap();
    bed.node_mut(loads).start().unwrap();
    let mut unready = 0;
    bed.wait("the first sync is over", secs(60), |cluster| {
        let node = cluster.node(loads).unwrap();
        let ready = node.probe("readyz").is_some_and(|(ready, _)| ready);
        let linked = node.info("replication", "master_link_status").as_deref() == Some("up");
        let live = node.probe("livez").is_none_or(|(live, _)| live);
        assert!(live, "not live during the first sync");
        assert!(
            !ready || linked || node.info("replication", "master_link_status").as_deref() == Some("up"),
            "ready before it was synced"
        );
        unready += u32::from(!ready);
        ready
    });
    assert!(unready > 10, "ready too soon");
}

#[test]
fn g3_i1_the_other_replica_stays_ready_and_clients_are_closed() {
    let mut bed = Bed::up(bed::plan());
    let (master, replicas) = (bed.master(), bed.replicas());
    let address = bed.node(&master).address();
    let mut plain = wire::Connection::open(address, secs(5)).unwrap();
    plain.call(&["PING"]).unwrap();
    let mut listening = wire::Connection::open(address, secs(5)).unwrap();
    listening.call(&["SUBSCRIBE", "news"]).unwrap();
    let (stop, refused) = (Arc::new(AtomicBool::new(false)), Arc::new(std::sync::Mutex::new(Vec::new())));
    let watched: Vec<_> = replicas.iter().map(|name| (name.clone(), bed.node(name).http())).collect();
    let looking = {
        let (stop, refused) = (Arc::clone(&stop), Arc::clone(&refused));
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                for (name, at) in &watched {
                    match bed::http::get(*at, "/readyz", ms(500)) {
                        Ok((200, _)) => {}
                        other => refused.lock().unwrap().push((name.clone(), other.map_err(|error| error.to_string()))),
                    }
                }
                std::thread::sleep(ms(20));
            }
        })
    };
    let outcome = bed.event(|bed| {
        // The process stays: only the role moves.
        let (code, text) = command(bed.node(&master), &["handover"]);
        assert_eq!(code, Some(0), "redinit handover: {text}");
        bed.wait_leader_other_than(&master, secs(10));
    });
    outcome.lossless().moved().gap_within(secs(3));
    stop.store(true, Ordering::Relaxed);
    looking.join().unwrap();
    let new = bed.master();
    let refused: Vec<_> = refused.lock().unwrap().iter().filter(|(name, _)| *name != new).cloned().collect();
    assert!(refused.is_empty(), "the replica that was not promoted was not ready: {refused:?}");
    assert!(plain.call(&["PING"]).is_err(), "a normal client's connection to the demoted master is still open");
    assert!(listening.read().is_err_and(|error| error.kind() != std::io::ErrorKind::WouldBlock), "a subscriber's is");
}

#[test]
fn g5_probes_are_quick_and_leave_no_process() {
    let bed = Bed::up(bed::plan().sized(1, 1, 1).set("REDINIT_EXPECTED_SERVERS", "1"));
    let node = bed.node("server-1");
    let mut took: Vec<_> = (0..200)
        .map(|_| {
            let began = Instant::now();
            let (code, text) = command(node, &["probe", "live"]);
            assert_eq!(code, Some(0), "{text}");
            began.elapsed()
        })
        .collect();
    took.sort();
    println!("probe live: median {:?}, 99 of 100 {:?}", took[100], took[198]);
    // The figures themselves are the benchmark's: this machine builds and tests other things meanwhile.
    assert!(took[100] < ms(100), "every second one within {:?}", took[100]);
    assert!(took[198] < secs(1), "99 of 100 within {:?}", took[198]);
    let children = redinit::demo::launch::children_of(node.pid().unwrap());
    assert_eq!(children.len(), 1, "the supervisor has more children than its engine: {children:?}");
}

#[test]
fn g7_errors_from_the_engine_are_signs_of_life() {
    let bed = Bed::up(bed::plan());
    let replica = bed.replicas().remove(0);
    // NOAUTH to everybody who comes as default.
    bed.node(&replica).ask(&["CONFIG", "SET", "requirepass", "somebody-elses"]).unwrap();
    assert!(
        matches!(bed.node(&replica).ask(&["PING"]).unwrap(), wire::Reply::Error(error) if error.starts_with("NOAUTH"))
    );
    let pid = bed.node(&replica).engine_pid();
    for _ in 0..15 {
        assert_eq!(probe(&bed, &replica, "livez"), Some(true));
        std::thread::sleep(ms(200));
    }
    assert_eq!(bed.node(&replica).engine_pid(), pid);
}
