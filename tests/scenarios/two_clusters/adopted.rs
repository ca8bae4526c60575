//! N14: `redinit adopt`, for servers that nobody supervises.

use super::asked::{ok, wait_led};
use super::bed::wire::Reply;
use super::bed::{self, Bed, Turn, secs};

/// The old server of another shape.
const OLD: &str = "server-4";

/// A bare master with data of its own beside a cluster that leads: a stranger, until a person says otherwise; then it counts
/// and may follow. The cluster's own data are not touched.
#[test]
fn n14_a_server_without_redinit_is_adopted() {
    needs_namespaces!();
    let mut plan = bed::plan().sized(4, 3, 2);
    plan.expected_servers = Some(3);
    let mut bed = Bed::prepare_in(Turn::beside(), plan);
    for node in bed.cluster.nodes.iter_mut().filter(|node| node.name != OLD) {
        node.start().unwrap();
    }
    let leader = wait_led(&bed.cluster, &[], secs(60));
    bed.fill(&leader, 500);
    let dir = tempfile::tempdir().unwrap();
    bed.start_bare_masters(&bed::bare(dir.path()), &[OLD]);
    bed.wait("the old one answers", secs(10), |_| bed.node(OLD).ask(&["SET", "old", "1"]).is_ok_and(|r| r == ok()));
    let at = bed.node(OLD).address().to_string();
    let named = |bed: &Bed, name: &str, rows: &str| {
        bed.node(name).status().is_some_and(|seen| {
            seen[rows].as_array().is_some_and(|rows| rows.iter().any(|row| row["address"] == at.as_str()))
        })
    };
    let all: Vec<String> = bed.cluster.nodes.iter().map(|node| node.name.clone()).filter(|name| name != OLD).collect();
    bed.wait("a stranger to all", secs(20), |_| all.iter().all(|name| named(&bed, name, "strangers")));
    let said = format!("if it belongs here: redinit adopt {at}");
    assert!(all.iter().all(|name| bed.logged(name, &said) == 1), "each says so once");
    let (_, page) = bed::command(bed.node(&leader), &["status"]);
    assert!(page.contains(&format!("stranger {at} of no known cluster")), "{page}");

    let (code, text) = bed::command(bed.node(&leader), &["adopt", &at, "--dry-run"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("would do:") && named(&bed, &leader, "strangers"), "{text}");
    for name in &all {
        let (code, text) = bed::command(bed.node(name), &["adopt", &at]);
        assert_eq!(code, Some(0), "{name}: {text}");
    }
    bed.wait("it counts", secs(5), |_| all.iter().all(|name| named(&bed, name, "servers")));
    std::thread::sleep(secs(8));
    assert_eq!(wait_led(&bed.cluster, &[], secs(5)), leader);
    assert_eq!(bed.node(OLD).ask(&["DBSIZE"]).unwrap(), Reply::Integer(1), "nobody has touched the old one");
    for name in ["server-1", "server-2", "server-3"] {
        assert_eq!(bed.node(name).ask(&["DBSIZE"]).unwrap(), Reply::Integer(500), "{name}");
    }
    let host = bed.node(&leader).ip.to_string();
    assert_eq!(bed.node(OLD).ask(&["REPLICAOF", &host, "6379"]).unwrap(), ok());
    bed.wait("the old one follows", secs(20), |_| {
        bed.node(OLD).ask(&["DBSIZE"]).is_ok_and(|reply| reply == Reply::Integer(500))
    });
    assert_eq!(wait_led(&bed.cluster, &[], secs(5)), leader);
}
