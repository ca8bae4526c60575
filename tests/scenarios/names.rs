//! A3 and C6: names that resolve to everybody, ourselves included, in place of addresses. Every node gets a hosts file
//! of its own, in its own mount namespace.

use super::bed::{self, Bed, Signal};

#[test]
fn a3_c6_headless_names_that_resolve_to_ourselves_too() {
    needs_namespaces!();
    let dir = tempfile::tempdir().unwrap();
    let hosts = dir.path().join("hosts");
    let text = format!(
        "#!/bin/sh\nmount --bind {} /etc/hosts || exit 99\nexec {} \"$@\"\n",
        hosts.display(),
        bed::binary().display()
    );
    let script = bed::script(dir.path(), "in-pod", &text);
    let plan = bed::plan()
        .set("REDINIT_SERVERS", "servers.redinit.test:6379")
        .set("REDINIT_SENTINELS", "sentinels.redinit.test:26379")
        .set("REDINIT_EXPECTED_SERVERS", "3");
    let mut bed = Bed::prepare(bed::Plan { program: script, ..plan });
    let mut lines = String::from("127.0.0.1 localhost\n");
    for node in &bed.cluster.nodes {
        let name = if node.kind == bed::Kind::Server { "servers" } else { "sentinels" };
        lines += &format!("{} {name}.redinit.test\n{} {}\n", node.ip, node.ip, node.name);
    }
    std::fs::write(hosts, lines).unwrap();
    bed.cluster.start_all().unwrap();
    let master = bed.settle("with names only");
    for node in bed.cluster.servers() {
        assert_ne!(node.info("replication", "master_host"), Some(node.ip.to_string()), "{} follows itself", node.name);
    }
    let outcome = bed.event(|bed| {
        bed.signal(&master, Signal::SIGTERM);
        assert!(bed.node_mut(&master).wait(bed::secs(60)).is_some());
    });
    outcome.lossless().moved().gap_within(bed::secs(3));
}
