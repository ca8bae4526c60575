//! What each setting takes, at its edges.

use crate::config::fake::machine;

/// Name, what it takes, what it does not.
const RANGES: &[(&str, &[&str], &[&str])] = &[
    ("REDINIT_MODE", &["server", "sentinel"], &["Server", "master", "1"]),
    ("SENTINEL", &["true", "no", "ON", "0"], &["redis", "2"]),
    ("REDINIT_DOWN_AFTER", &["3s", "5000ms"], &["2999ms", "61s", "5", "5 s", "-5s", "5.5s", "s", "abc"]),
    ("REDINIT_FAILOVER_TIMEOUT", &["10s", "3m", "24h"], &["9999ms", "25h", "10"]),
    ("REDINIT_GRACE_PERIOD", &["20s", "24h"], &["19999ms", "25h", "60", "99999999999999999999s"]),
    ("REDINIT_QUORUM", &["1", "1000"], &["0", "1001", "-1", "two", "2.0"]),
    ("REDINIT_PARALLEL_SYNCS", &["1", "1000"], &["0", "1001"]),
    ("REDINIT_EXPECTED_SERVERS", &["1", "1000", "auto"], &["0", "1001", "some"]),
    ("REDINIT_PORT", &["1", "65535", "auto"], &["0", "65536", "+1", " 1", "8379"]),
    (
        "REDINIT_HTTP_LISTEN",
        &["off", "127.0.0.1:1", "[::]:1"],
        &["8379", ":8379", "0.0.0.0", "0.0.0.0:0", "0.0.0.0:6379"],
    ),
    (
        "REDINIT_SENTINELS",
        &["a", "a:1", "[::1]:1"],
        &["a:0", "a:b", "http://a", "a b:c", "10.1", "300.1.1.1", "[a]:1", "-a", "0.0.0.0"],
    ),
    ("REDINIT_SERVERS", &["a_b.c.", "fd00::1"], &["a..b", "a/b", "[::1", "[::1]1", "ä"]),
    (
        "REDINIT_ELECTOR",
        &["none", "auto", "http://e", "http://e:1/x", "file:/l"],
        &["e:4040", "https://e", "file:l", "file:/", "ftp://e", "http://u:p@e", "http://"],
    ),
    ("REDINIT_ELECTION", &["a", "A.b-c_9", "auto"], &["a b", "a/b"]),
    ("REDINIT_MASTER_NAME", &["a", "A.b-c_9"], &["a b", "ä", "a/b"]),
    (
        "REDINIT_ANNOUNCE_ADDRESS",
        &["10.1.1.1", "127.0.0.1", "fd00::1"],
        &["0.0.0.0", "::", "a b", "10.1.1.1:1", "nowhere?"],
    ),
    ("REDINIT_BIND", &["*", "* -::*", "10.0.0.1", "lo"], &["10.0.0.1:1", "a/b"]),
    ("REDINIT_DATA_DIR", &["/d", "auto"], &["d", "./d"]),
    ("REDINIT_SOCKET", &["/s"], &["s", "/s/", "auto"]),
    ("REDINIT_ENGINE", &["auto", "redis", "valkey", "/x/redis-server"], &["keydb", "bin/redis-server"]),
    ("REDINIT_DURABILITY", &["default", "strict"], &["paranoid"]),
    ("REDINIT_NAME", &["a", "auto"], &["a b"]),
    ("REDINIT_INCLUDE", &["auto"], &["/not/there.conf", "x.conf"]),
    ("REDINIT_LOG", &["info", "WARN", "off", "info,a::b=debug"], &["inof", "info,", "a=loud", "=info"]),
    ("REDINIT_LOG_FORMAT", &["json", "text", "auto"], &["xml"]),
    ("REDINIT_RESTART_MAX", &["0", "1000"], &["1001", "-1"]),
    ("REDINIT_RESTART_WITHIN", &["1s", "24h"], &["0s", "25h"]),
    ("REDINIT_KUBERNETES_ROLE_LABEL", &["off", "role", "a.b/c-d"], &["a/b/c", "/a", "a/", "A_b/c", "-a"]),
    ("REDINIT_KUBERNETES_GROUP", &["auto", "a", "A.b-c_9"], &["a b", "a/b", "-a"]),
    ("REDINIT_KUBERNETES_EVENTS", &["on", "off"], &["auto", "yes"]),
    ("REDINIT_PASSWORD", &["x", "p w#\"ä"], &["a\nb", "a\0b"]),
    ("REDINIT_TLS_ENABLED", &["false", "no"], &["true", "yes", "maybe"]),
];

#[test]
fn ranges_hold_at_their_edges() {
    for (name, good, bad) in RANGES {
        for value in *good {
            // Wide enough for every down_after.
            let variables = [(*name, *value), ("FAILOVER_TIMEOUT", "120s")];
            assert_eq!(machine(&variables).errors(), Vec::<String>::new(), "{name}={value}");
        }
        for value in *bad {
            let errors = machine(&[(name, value), ("FAILOVER_TIMEOUT", "120s")]).errors();
            assert_eq!(errors.len(), 1, "{name}={value}: {errors:?}");
            assert!(errors[0].contains(name) || errors[0].contains("http_listen"), "{name}={value}: {errors:?}");
        }
    }
}

#[test]
fn lengths_have_limits() {
    let socket = |length: usize| machine(&[("REDINIT_SOCKET", &format!("/{}", "s".repeat(length - 1)))]).errors().len();
    assert_eq!((socket(107), socket(108)), (0, 1));
    assert_eq!(machine(&[("REDINIT_PASSWORD", &"p".repeat(513))]).errors().len(), 1);
    assert_eq!(machine(&[("REDINIT_SERVERS", &"a,".repeat(257))]).errors().len(), 1);
}

#[test]
fn the_failover_timeout_is_at_least_twice_down_after() {
    let with =
        |down, failover| machine(&[("REDINIT_DOWN_AFTER", down), ("REDINIT_FAILOVER_TIMEOUT", failover)]).errors();
    assert_eq!(with("5s", "10s"), Vec::<String>::new());
    assert_eq!(with("60s", "2m"), Vec::<String>::new());
    assert_eq!(
        with("8s", "15s"),
        [
            "failover_timeout = \"15s\" (from REDINIT_FAILOVER_TIMEOUT): allowed: at least 16s, which is 2 x down_after, to 24h"
        ]
    );
    // The default has to fit too: what is in force is what is checked.
    let errors = machine(&[("REDINIT_DOWN_AFTER", "20s")]).errors();
    assert_eq!(
        errors,
        ["failover_timeout = \"10s\" (from default): allowed: at least 40s, which is 2 x down_after, to 24h"]
    );
}

#[test]
fn the_quorum_is_at_most_the_number_of_sentinels_listed() {
    let with = |sentinels, quorum| machine(&[("REDINIT_SENTINELS", sentinels), ("REDINIT_QUORUM", quorum)]).errors();
    assert_eq!(with("a,b,c", "3"), Vec::<String>::new());
    assert_eq!(
        with("a,b,c", "4"),
        ["quorum = \"4\" (from REDINIT_QUORUM): allowed: a whole number from 1 to 3, the number of Sentinels"]
    );
    // One name may stand for any number.
    assert_eq!(with("a", "4"), Vec::<String>::new());
    // Named twice is there once.
    assert_eq!(with("a,b,b", "3").len(), 1);
}
