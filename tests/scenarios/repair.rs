//! H: replication repair at run time.

use super::bed::{self, Bed, Signal, secs};

/// What an engine logs when it is told to follow somebody.
const FOLLOWS: &str = "REPLICAOF 127.";

#[test]
fn h1_a_replica_that_missed_a_handover_is_pointed_once() {
    let mut bed = Bed::up(bed::plan());
    let (master, replicas) = (bed.master(), bed.replicas());
    let sleeper = replicas[1].clone();
    let before = bed.logged(&sleeper, FOLLOWS);
    let outcome = bed.event(|bed| {
        bed.signal(&sleeper, Signal::SIGSTOP);
        let (code, text) =
            bed::command(bed.node(&master), &["handover", "--to", &bed.node(&replicas[0]).address().to_string()]);
        assert_eq!(code, Some(0), "redinit handover: {text}");
        std::thread::sleep(secs(3));
        bed.signal(&sleeper, Signal::SIGCONT);
    });
    outcome.lossless().moved();
    let orders = bed.logged(&sleeper, FOLLOWS) - before;
    assert!(orders <= 1, "{orders} REPLICAOF for one change of master");
    for name in &replicas {
        let ip = bed.node(name).ip;
        assert_eq!(bed.logged(name, &format!("REPLICAOF {ip}:")), 0, "{name} was pointed at itself");
    }
}
