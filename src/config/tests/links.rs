//! Kubernetes' service links.

use crate::config::fake::machine;
use crate::config::links::is_link;

/// What a pod gets for the Services of a chart release called redinit.
const RELEASE: &[(&str, &str)] = &[
    ("REDINIT_SERVICE_HOST", "10.96.0.10"),
    ("REDINIT_SERVICE_PORT", "6379"),
    ("REDINIT_SERVICE_PORT_REDIS", "6379"),
    ("REDINIT_SERVICE_PORT_HTTP", "8379"),
    ("REDINIT_PORT", "tcp://10.96.0.10:6379"),
    ("REDINIT_PORT_6379_TCP", "tcp://10.96.0.10:6379"),
    ("REDINIT_PORT_6379_TCP_PROTO", "tcp"),
    ("REDINIT_PORT_6379_TCP_PORT", "6379"),
    ("REDINIT_PORT_6379_TCP_ADDR", "10.96.0.10"),
    ("REDINIT_PORT_8379_TCP", "tcp://10.96.0.10:8379"),
    ("REDINIT_PORT_8379_TCP_PROTO", "tcp"),
    ("REDINIT_PORT_8379_TCP_PORT", "8379"),
    ("REDINIT_PORT_8379_TCP_ADDR", "10.96.0.10"),
    ("REDINIT_SENTINEL_SERVICE_HOST", "10.96.0.11"),
    ("REDINIT_SENTINEL_SERVICE_PORT", "26379"),
    ("REDINIT_SENTINEL_PORT", "tcp://10.96.0.11:26379"),
    ("REDINIT_SENTINEL_PORT_26379_TCP", "tcp://10.96.0.11:26379"),
    ("REDINIT_SENTINEL_PORT_26379_TCP_PROTO", "tcp"),
    ("REDINIT_SENTINEL_PORT_26379_TCP_PORT", "26379"),
    ("REDINIT_SENTINEL_PORT_26379_TCP_ADDR", "10.96.0.11"),
];

#[test]
fn a_release_called_redinit_is_ignored_with_one_warning() {
    let loaded = machine(RELEASE).load().unwrap_or_else(|errors| unreachable!("{errors}"));
    assert_eq!(loaded.settings.port, 6379);
    assert!(loaded.settings.sentinels.is_empty() && loaded.settings.servers.is_empty());
    assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
    assert!(loaded.warnings[0].starts_with("20 service links"), "{:?}", loaded.warnings);
}

#[test]
fn a_setting_that_looks_like_a_link_is_a_setting_where_its_value_is_usable() {
    let with = |more: &[(&str, &str)]| machine(&[RELEASE, more].concat()).load();
    let loaded = with(&[("REDIS_PORT", "tcp://10.0.0.1:6379")]).unwrap_or_else(|errors| unreachable!("{errors}"));
    assert_eq!(loaded.settings.port, 6379);
    assert!(loaded.warnings[0].starts_with("21 "), "{:?}", loaded.warnings);
    let loaded = with(&[("REDIS_PORT", "7000")]).unwrap_or_else(|errors| unreachable!("{errors}"));
    assert_eq!(loaded.settings.port, 7000);
    assert!(with(&[("REDIS_PORT", "nonsense")]).is_err());
}

/// Variables, the Sentinels, how many links are ignored.
type Row<'a> = (&'a [(&'a str, &'a str)], &'a [(&'a str, u16)], usize);

#[test]
fn names_of_the_table_are_used_where_usable_and_ignored_otherwise() {
    let table: &[Row] = &[
        (&[("REDIS_SENTINEL_SERVICE_HOST", "10.96.0.1")], &[("10.96.0.1", 26379)], 0),
        (
            &[("REDIS_SENTINEL_SERVICE_HOST", "10.96.0.1"), ("REDIS_SENTINEL_SERVICE_PORT", "5000")],
            &[("10.96.0.1", 5000)],
            0,
        ),
        (
            &[("REDIS_SENTINEL_SERVICE_HOST", "10.96.0.1"), ("REDIS_SENTINEL_SERVICE_PORT", "tcp://x:1")],
            &[("10.96.0.1", 26379)],
            1,
        ),
        (&[("REDIS_SENTINEL_SERVICE_HOST", "tcp://10.96.0.1")], &[], 1),
        (&[("REDIS_SENTINEL_SERVICE_HOST", "0.0.0.0")], &[], 1),
        (&[("REDIS_SENTINEL_SERVICE_HOST", "s"), ("REDIS_SENTINEL_PORT", "tcp://s:26379")], &[("s", 26379)], 1),
    ];
    for (variables, expected, ignored) in table {
        let loaded = machine(variables).load().unwrap_or_else(|errors| unreachable!("{errors}"));
        let found: Vec<(&str, u16)> = loaded.settings.sentinels.iter().map(|at| (at.host.as_str(), at.port)).collect();
        assert_eq!(found, *expected, "{variables:?}");
        assert_eq!(loaded.warnings.len(), usize::from(*ignored > 0), "{variables:?}: {:?}", loaded.warnings);
        assert!(*ignored == 0 || loaded.warnings[0].starts_with(&ignored.to_string()));
    }
}

#[test]
fn links_of_every_pod_are_no_warning() {
    let env = machine(&[
        ("KUBERNETES_SERVICE_HOST", "10.96.0.1"),
        ("KUBERNETES_SERVICE_PORT_HTTPS", "443"),
        ("KUBERNETES_PORT", "tcp://10.96.0.1:443"),
        ("KUBERNETES_PORT_443_TCP_ADDR", "10.96.0.1"),
    ]);
    let loaded = env.load().unwrap_or_else(|errors| unreachable!("{errors}"));
    assert!(loaded.settings.in_kubernetes);
    assert_eq!(loaded.warnings, Vec::<String>::new());
}

#[test]
fn what_is_a_link() {
    let table = [
        ("X_SERVICE_HOST", "1", true),
        ("X_SERVICE_PORT", "1", true),
        ("X_SERVICE_PORT_METRICS", "1", true),
        ("X_PORT", "udp://1.1.1.1:53", true),
        ("X_PORT", "53", false),
        ("X_PORT", "://", false),
        ("X_PORT_53_UDP", "udp://1.1.1.1:53", true),
        ("X_PORT_53_SCTP_ADDR", "1.1.1.1", true),
        ("X_PORT_53_TCP_PROTO", "tcp", true),
        ("X_PORT_53_TCP_OTHER", "1", false),
        ("X_PORT_NUMBER", "1", false),
        ("X_PORT_A_TCP", "1", false),
        ("REDINIT_PORT", "7000", false),
        ("REDINIT_QUORUM", "2", false),
    ];
    for (name, value, expected) in table {
        assert_eq!(is_link(name, value), expected, "{name}={value}");
    }
}
