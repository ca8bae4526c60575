//! By what others reach us.

use std::net::IpAddr;

use crate::config::fake::machine;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap_or_else(|_| unreachable!("{text}"))
}

/// Variables, the address, its origin.
type Row<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);

#[test]
fn the_setting_else_the_pod_else_the_machine() {
    let table: &[Row] = &[
        (&[], "10.0.0.1", "the first address of this machine"),
        (&[("POD_IP", "10.9.9.9")], "10.9.9.9", "POD_IP"),
        (&[("POD_IP", "::ffff:10.9.9.9")], "10.9.9.9", "POD_IP"),
        (&[("POD_IP", "10.9.9.9"), ("REDINIT_ANNOUNCE_ADDRESS", "10.8.8.8")], "10.8.8.8", "REDINIT_ANNOUNCE_ADDRESS"),
        (&[("REDINIT_ANNOUNCE_ADDRESS", "127.0.0.7")], "127.0.0.7", "REDINIT_ANNOUNCE_ADDRESS"),
    ];
    for (variables, address, origin) in table {
        let loaded = machine(variables).load().unwrap_or_else(|errors| unreachable!("{errors}"));
        assert_eq!(loaded.settings.announce_address, *address);
        assert_eq!(loaded.settings.announce_ip, ip(address));
        assert_eq!(loaded.sources["announce_address"].origin, *origin);
    }
    assert_eq!(
        machine(&[("POD_IP", "me")]).errors(),
        ["announce_address = \"me\" (from POD_IP): allowed: an IP address"]
    );
}

#[test]
fn the_machines_addresses_ipv4_first_and_none_of_one_link_only() {
    for (addresses, expected) in [
        (["fd00::1", "10.0.0.2"], "10.0.0.2"),
        (["fe80::1", "fd00::1"], "fd00::1"),
        (["169.254.1.1", "10.0.0.2"], "10.0.0.2"),
    ] {
        let mut env = machine(&[]);
        env.addresses = addresses.map(ip).into();
        assert_eq!(env.settings().announce_ip, ip(expected), "{addresses:?}");
    }
}

#[test]
fn without_any_address_only_a_node_by_itself_runs() {
    let mut env = machine(&[]);
    env.addresses.clear();
    let loaded = env.load().unwrap_or_else(|errors| unreachable!("{errors}"));
    assert_eq!((loaded.settings.announce_ip, loaded.warnings.len()), (ip("127.0.0.1"), 1));
    env.variables.push(("REDINIT_SERVERS".into(), "a".into()));
    assert_eq!(env.errors().len(), 1);
    assert!(env.errors()[0].ends_with("set REDINIT_ANNOUNCE_ADDRESS"), "{:?}", env.errors());
}

#[test]
fn a_name_is_resolved_once_and_prefers_what_is_ours() {
    let named = machine(&[("REDINIT_ANNOUNCE_ADDRESS", "redis-0.redis")]);
    let ours = named.clone().name("redis-0.redis", &[[10, 0, 0, 9], [10, 0, 0, 1]]);
    assert_eq!(ours.settings().announce_ip, ip("10.0.0.1"));
    assert_eq!(ours.settings().announce_address, "redis-0.redis");
    // Behind address translation none is ours.
    let translated = named.clone().name("redis-0.redis", &[[192, 0, 2, 9]]);
    assert_eq!(translated.settings().announce_ip, ip("192.0.2.9"));
}

#[test]
fn a_name_that_does_not_resolve_yet_does_not_stop_a_pod() {
    let mut env = machine(&[("REDINIT_ANNOUNCE_ADDRESS", "redis-0.redis"), ("POD_IP", "10.9.9.9")]);
    let loaded = env.load().unwrap_or_else(|errors| unreachable!("{errors}"));
    assert_eq!((loaded.settings.announce_ip, loaded.warnings.len()), (ip("10.9.9.9"), 1));
    env.variables.pop();
    env.addresses.clear();
    assert_eq!(env.errors().len(), 1, "{:?}", env.errors());
}
