//! What each environment name means, and which one wins.

use std::time::Duration;

use secrecy::ExposeSecret;

use crate::config::fake::{FakeEnv, machine};
use crate::config::keys::{KEYS, secret_variables};
use crate::config::settings::Durability;
use crate::config::settings::{Elector, EngineChoice, HostPort, LogFormat};
#[cfg(feature = "kubernetes")]
use crate::core::notice::Notices;
use crate::core::rules::Mode;

fn shown(env: &FakeEnv, key: &str) -> String {
    env.load().unwrap_or_else(|errors| unreachable!("{errors}")).sources[key].value.clone()
}

/// Setting, variables, what comes out.
type Row = (&'static str, &'static [(&'static str, &'static str)], &'static str);

const TABLE: &[Row] = &[
    ("mode", &[], "server"),
    ("mode", &[("SENTINEL", "true")], "sentinel"),
    ("mode", &[("SENTINEL", "1")], "sentinel"),
    ("mode", &[("SENTINEL", "false")], "server"),
    ("mode", &[("REDINIT_MODE", "sentinel")], "sentinel"),
    ("mode", &[("REDINIT_MODE", "server"), ("SENTINEL", "true")], "server"),
    ("sentinels", &[], ""),
    ("sentinels", &[("REDIS_SENTINEL_SERVICE_HOST", "10.1.1.1")], "10.1.1.1:26379"),
    ("sentinels", &[("REDIS_SENTINEL_SERVICE_HOST", "s"), ("REDIS_SENTINEL_SERVICE_PORT", "26380")], "s:26380"),
    ("sentinels", &[("REDIS_SENTINEL_SERVICE_HOST", "fd00::1"), ("REDIS_SENTINEL_SERVICE_PORT", "1")], "[fd00::1]:1"),
    ("sentinels", &[("REDIS_SENTINEL_HOST", "s"), ("REDIS_SENTINEL_PORT_NUMBER", "5000")], "s:5000"),
    ("sentinels", &[("VALKEY_SENTINEL_HOST", "s"), ("VALKEY_SENTINEL_PORT_NUMBER", "5000")], "s:5000"),
    ("sentinels", &[("REDINIT_SENTINELS", "a, b:2 [fd00::1]:3 fd00::2")], "a:26379, b:2, [fd00::1]:3, [fd00::2]:26379"),
    ("sentinels", &[("REDINIT_SENTINELS", "a"), ("REDIS_SENTINEL_SERVICE_HOST", "b")], "a:26379"),
    ("sentinels", &[("REDINIT_SENTINELS", "a"), ("REDIS_SENTINEL_SERVICE_PORT", "5")], "a:26379"),
    ("sentinels", &[("SENTINEL_POD_FQDN_LIST", "a.b.svc,c.b.svc")], "a.b.svc:26379, c.b.svc:26379"),
    ("sentinels", &[("SENTINEL_ADDR", "s:1")], "s:1"),
    ("servers", &[("REDIS_SERVER_SERVICE_HOST", "r"), ("REDIS_SERVER_SERVICE_PORT", "7000")], "r:7000"),
    ("servers", &[("VALKEY_SERVER_SERVICE_HOST", "r")], "r:6379"),
    ("servers", &[("REDIS_MASTER_HOST", "m"), ("REDIS_MASTER_PORT_NUMBER", "7000")], "m:7000"),
    ("servers", &[("VALKEY_PRIMARY_HOST", "m"), ("VALKEY_PRIMARY_PORT_NUMBER", "7000")], "m:7000"),
    ("servers", &[("REDIS_POD_FQDN_LIST", "a,b,a")], "a:6379, b:6379"),
    ("servers", &[("REDIS_ADDRS", "a:1,b:2")], "a:1, b:2"),
    ("servers", &[("REDINIT_SERVERS", "a"), ("REDIS_SERVER_SERVICE_HOST", "b")], "a:6379"),
    ("servers", &[("REDIS_SERVER_SERVICE_HOST", "b"), ("VALKEY_SERVER_SERVICE_HOST", "c")], "b:6379"),
    ("elector", &[], "http://localhost:4040"),
    ("elector", &[("REDINIT_ELECTOR", "none")], "none"),
    ("elector", &[("REDINIT_ELECTOR", "http://e:1")], "http://e:1"),
    ("elector", &[("REDINIT_ELECTOR", "file:/run/lock")], "file:/run/lock"),
    ("elector", &[("SENTINEL", "true")], "none"),
    ("elector", &[("SENTINEL", "true"), ("REDINIT_SERVERS", "r:7000")], "http://r:4040"),
    ("elector", &[("SENTINEL", "true"), ("REDINIT_SERVERS", "fd00::1,b")], "http://[fd00::1]:4040"),
    ("master_name", &[], "mymaster"),
    ("master_name", &[("REDINIT_MASTER_NAME", "a"), ("REDIS_MASTER_SET", "b")], "a"),
    ("master_name", &[("REDIS_MASTER_SET", "b"), ("VALKEY_PRIMARY_SET", "c")], "b"),
    ("master_name", &[("VALKEY_PRIMARY_SET", "myprimary")], "myprimary"),
    ("master_name", &[("VALKEY_MASTER_SET", "c")], "c"),
    ("master_name", &[("REDIS_SENTINEL_MASTER_NAME", "d")], "d"),
    ("master_name", &[("VALKEY_SENTINEL_PRIMARY_NAME", "d")], "d"),
    ("master_name", &[("MASTER_GROUP_NAME", "myMaster"), ("MASTER_NAME", "x")], "myMaster"),
    ("master_name", &[("MASTER_NAME", "x")], "x"),
    ("quorum", &[], "2"),
    ("quorum", &[("REDINIT_QUORUM", "3"), ("REDIS_SENTINEL_QUORUM", "4")], "3"),
    ("quorum", &[("VALKEY_SENTINEL_QUORUM", "5")], "5"),
    ("quorum", &[("QUORUM", "1")], "1"),
    ("down_after", &[("REDINIT_DOWN_AFTER", "4500ms")], "4500ms"),
    ("down_after", &[("REDIS_SENTINEL_DOWN_AFTER_MILLISECONDS", "4000")], "4000ms"),
    ("down_after", &[("DOWN_AFTER_MILLISECONDS", "4000")], "4000ms"),
    ("failover_timeout", &[("REDIS_SENTINEL_FAILOVER_TIMEOUT", "180000")], "180000ms"),
    ("failover_timeout", &[("VALKEY_SENTINEL_FAILOVER_TIMEOUT", "20s")], "20s"),
    ("failover_timeout", &[("FAILOVER_TIMEOUT", "30000")], "30000ms"),
    ("parallel_syncs", &[("PARALLEL_SYNCS", "2")], "2"),
    ("parallel_syncs", &[("REDINIT_PARALLEL_SYNCS", "3")], "3"),
    ("expected_servers", &[], "unknown"),
    ("expected_servers", &[("REDINIT_SERVERS", "a")], "unknown"),
    ("expected_servers", &[("REDINIT_SERVERS", "a,b,c")], "3"),
    ("expected_servers", &[("REDINIT_SERVERS", "a,b,c"), ("REDINIT_EXPECTED_SERVERS", "5")], "5"),
    ("bind", &[("REDINIT_BIND", "127.0.0.1, -::1")], "127.0.0.1, -::1"),
    ("port", &[], "6379"),
    ("port", &[("SENTINEL", "true")], "26379"),
    ("port", &[("REDIS_PORT", "7000")], "7000"),
    ("port", &[("REDIS_PORT_NUMBER", "7001"), ("REDIS_PORT", "7000")], "7001"),
    ("port", &[("VALKEY_PORT_NUMBER", "7002")], "7002"),
    ("port", &[("SENTINEL", "true"), ("REDIS_PORT", "7000")], "26379"),
    ("port", &[("SENTINEL", "true"), ("REDIS_SENTINEL_PORT_NUMBER", "5000")], "5000"),
    ("port", &[("SENTINEL", "true"), ("SENTINEL_PORT", "5000")], "5000"),
    ("port", &[("REDIS_SENTINEL_PORT_NUMBER", "5000")], "6379"),
    ("port", &[("REDINIT_PORT", "7003"), ("REDIS_PORT", "7000")], "7003"),
    ("data_dir", &[], "/data"),
    ("data_dir", &[("REDIS_DATA_DIR", "/bitnami/redis/data")], "/bitnami/redis/data"),
    ("data_dir", &[("DATA_DIR", "/d")], "/d"),
    ("announce_address", &[("REDIS_REPLICA_IP", "10.2.2.2")], "10.2.2.2"),
    ("announce_address", &[("SENTINEL", "true"), ("REDIS_SENTINEL_ANNOUNCE_IP", "10.2.2.3")], "10.2.2.3"),
    ("announce_address", &[("REDIS_SENTINEL_ANNOUNCE_IP", "10.2.2.3")], "10.0.0.1"),
    ("grace_period", &[("REDINIT_GRACE_PERIOD", "2m")], "2m"),
    ("socket", &[("REDINIT_SOCKET", "/run/x.sock")], "/run/x.sock"),
    ("http_listen", &[("REDINIT_HTTP_LISTEN", "off")], "off"),
    ("http_listen", &[("REDINIT_HTTP_LISTEN", "[::]:8379")], "[::]:8379"),
    ("engine", &[("REDINIT_ENGINE", "/opt/valkey-server")], "/opt/valkey-server"),
    ("durability", &[("REDINIT_DURABILITY", "strict")], "strict"),
    ("name", &[], "node-1"),
    ("name", &[("POD_NAME", "redis-0")], "redis-0"),
    ("name", &[("POD_NAME", "redis-0"), ("REDINIT_NAME", "mine")], "mine"),
    ("log", &[("REDINIT_LOG", "info,redinit::core=trace")], "info,redinit::core=trace"),
    ("log_format", &[], "json"),
    ("log_format", &[("REDINIT_LOG_FORMAT", "text")], "text"),
    ("restart.max", &[("REDINIT_RESTART_MAX", "0")], "0"),
    ("restart.within", &[("REDINIT_RESTART_WITHIN", "1h")], "1h"),
    ("tls.enabled", &[("REDIS_TLS_ENABLED", "no")], "no"),
    // Empty is not set, as `${NAME:-}` of a compose file means it.
    ("quorum", &[("REDINIT_QUORUM", ""), ("QUORUM", "1")], "1"),
    ("port", &[("REDINIT_PORT", "auto"), ("REDIS_PORT", "7000")], "6379"),
];

#[test]
fn every_name_means_its_setting_and_the_first_one_wins() {
    for (key, variables, expected) in TABLE {
        assert_eq!(shown(&machine(variables), key), *expected, "{key} from {variables:?}");
    }
}

#[test]
fn every_setting_has_a_name_of_its_own_and_a_file_variant_of_every_name() {
    for key in KEYS {
        let own = key.variables()[0].name.clone();
        assert!(own.starts_with("REDINIT_"), "{own}");
        // Empty values: known names, not set.
        for variable in key.variables() {
            let env = machine(&[(&variable.name, ""), (&format!("{}_FILE", variable.name), "")]);
            assert_eq!(env.errors(), Vec::<String>::new(), "{}", variable.name);
        }
    }
}

#[test]
fn no_name_means_two_settings_in_one_mode() {
    for mode in [Mode::Server, Mode::Sentinel] {
        let names = KEYS.iter().flat_map(|key| key.variables());
        let mut names: Vec<String> = names.filter(|v| v.only.is_none_or(|only| only == mode)).map(|v| v.name).collect();
        names.sort();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}

#[test]
fn j5_every_name_of_a_password_is_kept_from_the_child() {
    let secret = secret_variables();
    for name in ["REDIS_PASSWORD", "VALKEY_PRIMARY_PASSWORD", "AUTH", "SENTINELAUTH", "REDINIT_SENTINEL_PASSWORD"] {
        assert!(secret.iter().any(|known| known == name), "{name}");
    }
    assert!(!secret.iter().any(|known| known == "REDIS_PORT"));
}

/// Variables, the password, the Sentinels' password.
type Passwords<'a> = (&'a [(&'a str, &'a str)], Option<&'a str>, Option<&'a str>);

#[test]
fn passwords_by_every_name() {
    let table: &[Passwords] = &[
        (&[], None, None),
        (&[("REDIS_PASSWORD", "a")], Some("a"), None),
        (&[("REDINIT_PASSWORD", "x"), ("REDIS_PASSWORD", "a")], Some("x"), None),
        (&[("REDINIT_PASSWORD", "x"), ("REDIS_MASTER_PASSWORD", "a")], Some("x"), None),
        (&[("REDIS_MASTER_PASSWORD", "a")], Some("a"), None),
        (&[("REDIS_MASTER_PASSWORD", "a"), ("REDIS_PASSWORD", "a")], Some("a"), None),
        (&[("VALKEY_PASSWORD", "v")], Some("v"), None),
        (&[("VALKEY_PRIMARY_PASSWORD", "v")], Some("v"), None),
        (&[("MASTER_PASSWORD", "o")], Some("o"), None),
        (&[("AUTH", "h"), ("SENTINELAUTH", "s")], Some("h"), Some("s")),
        (&[("REDIS_SENTINEL_PASSWORD", "s")], None, Some("s")),
        (&[("VALKEY_SENTINEL_PASSWORD", "s")], None, Some("s")),
        (&[("REDIS_PASSWORD_FILE", "/run/secrets/pw")], Some("from file"), None),
        (&[("REDIS_PASSWORD_FILE", "/run/secrets/pw"), ("REDIS_PASSWORD", "a")], Some("from file"), None),
        (&[("REDINIT_SENTINEL_PASSWORD_FILE", "/run/secrets/pw")], None, Some("from file")),
        (&[("REDINIT_PASSWORD", "x"), ("REDIS_PASSWORD_FILE", "/run/secrets/pw")], Some("x"), None),
    ];
    for (variables, password, sentinel) in table {
        let settings = machine(variables).file("/run/secrets/pw", "from file\r\n").settings();
        assert_eq!(settings.password.as_ref().map(ExposeSecret::expose_secret), *password, "{variables:?}");
        assert_eq!(settings.sentinel_password.as_ref().map(ExposeSecret::expose_secret), *sentinel, "{variables:?}");
    }
}

#[test]
fn a_file_variant_works_for_any_setting() {
    let env = machine(&[("REDINIT_QUORUM_FILE", "/q"), ("REDINIT_QUORUM", "5")]).file("/q", "3\n");
    assert_eq!(env.settings().quorum, 3);
    let env = machine(&[("REDIS_SENTINEL_DOWN_AFTER_MILLISECONDS_FILE", "/d")]).file("/d", "4000\n");
    assert_eq!(env.settings().down_after, Duration::from_secs(4));
    let env = machine(&[("SENTINEL_FILE", "/s")]).file("/s", "true");
    assert_eq!(env.settings().mode, Mode::Sentinel);
}

#[test]
fn defaults_are_those_of_the_design() {
    let settings = machine(&[]).settings();
    assert_eq!(settings.mode, Mode::Server);
    assert_eq!(settings.elector, Elector::DefaultHttp("http://localhost:4040".into()));
    assert_eq!(settings.down_after, Duration::from_secs(5));
    assert_eq!(settings.failover_timeout, Duration::from_secs(10));
    assert_eq!(settings.grace_period, Duration::from_secs(60));
    assert_eq!(settings.http_listen, "0.0.0.0:8379".parse().ok());
    assert_eq!(settings.socket.to_str(), Some("/run/redinit/redinit.sock"));
    assert_eq!(settings.engine, EngineChoice::Auto);
    assert_eq!((settings.restart.max, settings.restart.within), (5, Duration::from_secs(300)));
    assert_eq!(settings.durability, Durability::Default);
    assert_eq!(settings.log_format, LogFormat::Json);
    assert_eq!((settings.expected_servers, settings.include, settings.in_kubernetes), (None, None, false));
    assert!(settings.bind.is_empty() && settings.engine_args.is_empty());
}

#[test]
fn an_elector_that_was_set_is_told_from_the_default_one() {
    let elector = |url: &str| machine(&[("REDINIT_ELECTOR", url)]).settings().elector;
    assert_eq!(elector("http://localhost:4040"), Elector::Http("http://localhost:4040".into()));
    assert_eq!(elector("auto"), Elector::DefaultHttp("http://localhost:4040".into()));
}

#[test]
fn what_is_there_decides_data_directory_and_include() {
    let settings = machine(&[]).file("/redis-master-data/dump.rdb", "").settings();
    assert_eq!(settings.data_dir.to_str(), Some("/redis-master-data"));
    let both = machine(&[]).file("/etc/redinit/redis.conf", "").file("/etc/redinit/sentinel.conf", "");
    assert_eq!(both.settings().include.as_deref(), Some("/etc/redinit/redis.conf".as_ref()));
    let mut sentinel = both.clone();
    sentinel.variables.push(("SENTINEL".into(), "true".into()));
    assert_eq!(sentinel.settings().include.as_deref(), Some("/etc/redinit/sentinel.conf".as_ref()));
    let own = machine(&[("REDIS_OVERRIDES_FILE", "/x.conf")]).file("/x.conf", "");
    assert_eq!(own.settings().include.as_deref(), Some("/x.conf".as_ref()));
}

#[test]
fn engine_settings_of_other_images_become_arguments() {
    let table: &[(&str, &str, &[&str])] = &[
        ("REDIS_AOF_ENABLED", "yes", &["--appendonly", "yes"]),
        ("VALKEY_AOF_ENABLED", "no", &["--appendonly", "no"]),
        ("PERSISTENCE_ENABLED", "true", &["--appendonly", "yes"]),
        ("REDIS_RDB_POLICY", "900#1 600#5", &["--save", "900 1 600 5"]),
        ("REDIS_RDB_POLICY_DISABLED", "yes", &["--save", ""]),
        ("REDIS_IO_THREADS", "4", &["--io-threads", "4"]),
        ("REDIS_MAX_MEMORY", "512mb", &["--maxmemory", "512mb"]),
        ("REDIS_ACLFILE", "/acl", &["--aclfile", "/acl"]),
        ("REDIS_DISABLE_COMMANDS", "FLUSHALL", &["--rename-command", "FLUSHALL", ""]),
        ("REDIS_EXTRA_FLAGS", "--maxclients 9", &["--maxclients", "9"]),
    ];
    for (name, value, expected) in table {
        assert_eq!(machine(&[(name, value)]).settings().engine_args, *expected, "{name}");
        assert!(machine(&[("SENTINEL", "true"), (name, value)]).settings().engine_args.is_empty(), "{name}");
    }
    let bad = machine(&[("REDIS_IO_THREADS", "many"), ("REDIS_RDB_POLICY", "1")]).errors();
    assert_eq!(bad.len(), 2, "{bad:?}");
}

#[test]
fn hosts_are_kept_as_written_with_their_port() {
    let servers = machine(&[("REDINIT_SERVERS", "redis-0.redis:7000")]).settings().servers;
    assert_eq!(servers, [HostPort { host: "redis-0.redis".into(), port: 7000 }]);
}

#[cfg(feature = "kubernetes")]
#[test]
fn the_elector_kubernetes_needs_a_service_account_and_a_name_for_its_lease() {
    let token = "/var/run/secrets/kubernetes.io/serviceaccount/token";
    let elector = ("REDINIT_ELECTOR", "kubernetes");
    let said = |variables: &[(&str, &str)]| machine(variables).file(token, "t").errors();
    assert_eq!(said(&[elector]), Vec::<String>::new());
    assert_eq!(machine(&[elector]).file(token, "t").settings().election, "mymaster");
    let settings = machine(&[elector, ("REDINIT_ELECTION", "redis")]).file(token, "t").settings();
    assert_eq!((settings.election.as_str(), settings.master_name.as_str()), ("redis", "mymaster"));
    for (variables, problem) in [
        (vec![elector, ("REDINIT_ELECTION", "My_Redis")], "cannot be the name of a Lease"),
        (vec![elector, ("REDINIT_MASTER_NAME", "My_Redis")], "cannot be the name of a Lease"),
    ] {
        let errors = said(&variables);
        assert!(errors.len() == 1 && errors[0].contains(problem), "{errors:?}");
    }
    let errors = machine(&[elector]).errors();
    assert!(errors.len() == 1 && errors[0].contains("a pod with a service account"), "{errors:?}");
    assert_eq!(machine(&[("REDINIT_ELECTION", "My_Redis")]).settings().election, "My_Redis");
}

#[cfg(feature = "kubernetes")]
#[test]
fn label_and_events_are_for_a_server_in_a_pod_with_a_token() {
    let token = "/var/run/secrets/kubernetes.io/serviceaccount/token";
    let here = ("KUBERNETES_SERVICE_HOST", "10.0.0.1");
    let pod = |variables: &[(&str, &str)]| machine(variables).file(token, "t").settings().pod;
    let found = pod(&[here]).unwrap();
    assert_eq!((found.name.as_str(), found.role_label.as_deref()), ("node-1", Some("redinit.io/role")));
    assert_eq!((found.group, found.events), (None, Notices::On));
    let named =
        pod(&[here, ("POD_NAME", "redis-0"), ("REDINIT_NAME", "x"), ("REDINIT_KUBERNETES_GROUP", "g")]).unwrap();
    assert_eq!((named.name.as_str(), named.group.as_deref()), ("redis-0", Some("g")));
    let off = [("REDINIT_KUBERNETES_ROLE_LABEL", "off"), ("REDINIT_KUBERNETES_EVENTS", "off")];
    assert_eq!(pod(&[here, off[1]]).unwrap().events, Notices::Off);
    assert_eq!(pod(&[here, off[0]]).unwrap().role_label, None);
    for nothing in
        [vec![here, off[0], off[1]], vec![here, ("SENTINEL", "true")], vec![], vec![here, ("POD_NAME", "A_b")]]
    {
        assert_eq!(pod(&nothing), None, "{nothing:?}");
    }
    assert_eq!(machine(&[here]).settings().pod, None);
}
