//! Every setting by name: its environment variables in order of precedence, and what it takes.
//!
//! Precedence within one setting: `REDINIT_*`, then `REDIS_*` (the popular images), then their `VALKEY_*` twins, then
//! the names of others (the OT operator, redis-ha, KubeBlocks). `NAME_FILE` beats `NAME`.

use crate::core::rules::Mode;

/// One setting.
#[derive(Debug)]
pub struct Key {
    /// Its name in `conf/redinit.toml`, with dots.
    pub key: &'static str,
    /// Environment names besides `REDINIT_<KEY>` and the `VALKEY_*` twins, in order of precedence.
    pub others: &'static [Name],
    /// Never shown.
    pub secret: bool,
    /// What it takes, for errors and the reference.
    pub allowed: &'static str,
}

/// An environment variable that means a setting.
#[derive(Clone, Copy, Debug)]
pub struct Name {
    /// The variable.
    pub name: &'static str,
    /// How its value is written.
    pub form: Form,
    /// It counts in this mode only: one name means different things in different images.
    pub only: Option<Mode>,
}

/// How an environment variable's value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As in a file.
    Plain,
    /// A bare number is milliseconds.
    Millis,
    /// A truth value that stands for one of two words.
    Flag(&'static str, &'static str),
    /// A host, whose port is in another variable.
    Host(&'static str),
}

const fn plain(name: &'static str) -> Name {
    Name { name, form: Form::Plain, only: None }
}
const fn millis(name: &'static str) -> Name {
    Name { name, form: Form::Millis, only: None }
}
const fn host(name: &'static str, port: &'static str) -> Name {
    Name { name, form: Form::Host(port), only: None }
}
const fn server(name: &'static str) -> Name {
    Name { name, form: Form::Plain, only: Some(Mode::Server) }
}
const fn sentinel(name: &'static str) -> Name {
    Name { name, form: Form::Plain, only: Some(Mode::Sentinel) }
}
const fn key(key: &'static str, others: &'static [Name], allowed: &'static str) -> Key {
    Key { key, others, secret: false, allowed }
}
const fn secret(key: &'static str, others: &'static [Name], allowed: &'static str) -> Key {
    Key { key, others, secret: true, allowed }
}

const HOSTS: &str = "a list of at most 256 hosts, each `name`, `address`, `host:port` or `[v6]:port`";
const PASSWORD: &str = "text of at most 512 bytes without control characters";
const TLS_PATH: &str = "a path; TLS is not in this version";

/// Every setting, in the order of `conf/redinit.toml`.
pub const KEYS: &[Key] = &[
    key(
        "mode",
        &[Name { name: "SENTINEL", form: Form::Flag("sentinel", "server"), only: None }],
        "`server` or `sentinel` (`SENTINEL`: `true` or `false`)",
    ),
    key(
        "sentinels",
        &[
            host("REDIS_SENTINEL_SERVICE_HOST", "REDIS_SENTINEL_SERVICE_PORT"),
            host("REDIS_SENTINEL_HOST", "REDIS_SENTINEL_PORT_NUMBER"),
            plain("SENTINEL_POD_FQDN_LIST"),
            plain("SENTINEL_ADDR"),
        ],
        HOSTS,
    ),
    key(
        "servers",
        &[
            host("REDIS_SERVER_SERVICE_HOST", "REDIS_SERVER_SERVICE_PORT"),
            host("REDIS_MASTER_HOST", "REDIS_MASTER_PORT_NUMBER"),
            plain("REDIS_POD_FQDN_LIST"),
            plain("REDIS_ADDRS"),
        ],
        HOSTS,
    ),
    key("elector", &[], "`kubernetes`, `http://host:port`, `file:` and an absolute path, `none` or `auto`"),
    key("election", &[], "1 to 128 of `A-Z a-z 0-9 . - _`, or `auto`; for a Lease `a-z 0-9 - .` only"),
    key(
        "master_name",
        &[
            plain("REDIS_MASTER_SET"),
            plain("REDIS_SENTINEL_MASTER_NAME"),
            plain("MASTER_GROUP_NAME"),
            plain("MASTER_NAME"),
        ],
        "1 to 128 of `A-Z a-z 0-9 . - _`",
    ),
    key("cluster_id", &[], "1 to 128 of `A-Z a-z 0-9 . - _ /`, or `auto`"),
    key(
        "quorum",
        &[plain("REDIS_SENTINEL_QUORUM"), plain("QUORUM")],
        "a whole number from 1 to the number of Sentinels",
    ),
    key(
        "down_after",
        &[millis("REDIS_SENTINEL_DOWN_AFTER_MILLISECONDS"), millis("DOWN_AFTER_MILLISECONDS")],
        "3s to 60s",
    ),
    key(
        "failover_timeout",
        &[millis("REDIS_SENTINEL_FAILOVER_TIMEOUT"), millis("FAILOVER_TIMEOUT")],
        "at least 2 x down_after and at least 10s, at most 24h",
    ),
    key("parallel_syncs", &[plain("PARALLEL_SYNCS")], "a whole number from 1 to 1000"),
    key("expected_servers", &[], "a whole number from 1 to 1000, or `auto`"),
    key(
        "announce_address",
        &[server("REDIS_REPLICA_IP"), sentinel("REDIS_SENTINEL_ANNOUNCE_IP")],
        "an address or a host name, not `0.0.0.0` or `::`, or `auto`",
    ),
    key("bind", &[], "a list of at most 16 addresses or host names, `*` and `::*` included"),
    key(
        "port",
        &[
            server("REDIS_PORT_NUMBER"),
            server("REDIS_PORT"),
            sentinel("REDIS_SENTINEL_PORT_NUMBER"),
            sentinel("SENTINEL_PORT"),
        ],
        "1 to 65535, or `auto`",
    ),
    key("data_dir", &[plain("REDIS_DATA_DIR"), plain("DATA_DIR")], "an absolute path, or `auto`"),
    key("grace_period", &[], "20s to 24h"),
    key("socket", &[], "an absolute path of at most 107 bytes"),
    key("http_listen", &[], "an address and a port like `0.0.0.0:8379`, another port than the child's, or `off`"),
    key("engine", &[], "`auto`, `redis`, `valkey` or an absolute path"),
    secret(
        "password",
        &[plain("REDIS_PASSWORD"), plain("REDIS_MASTER_PASSWORD"), plain("MASTER_PASSWORD"), plain("AUTH")],
        PASSWORD,
    ),
    secret("sentinel_password", &[plain("REDIS_SENTINEL_PASSWORD"), plain("SENTINELAUTH")], PASSWORD),
    key(
        "replication_users",
        &[],
        "a list of at most 16 names of ACL users, each 1 to 64 of `A-Z a-z 0-9 . - _`; `default` is one too",
    ),
    key("durability", &[], "`default` or `strict`"),
    key("name", &[], "1 to 253 printable characters without blanks, or `auto`"),
    key(
        "include",
        &[plain("REDIS_OVERRIDES_FILE"), plain("EXTERNAL_CONFIG_FILE")],
        "an absolute path of a file that exists, or `auto`",
    ),
    key("log", &[], "a level (`error`, `warn`, `info`, `debug`, `trace`, `off`), or a list with `module=level` in it"),
    key("log_format", &[], "`json`, `text` or `auto`"),
    key("restart.max", &[], "a whole number from 0 to 1000"),
    key("restart.within", &[], "1s to 24h"),
    key("kubernetes.role_label", &[], "a label's name, with or without a prefix, or `off`"),
    key("kubernetes.group", &[], "1 to 63 of `A-Z a-z 0-9 - _ .`, a letter or digit at both ends, or `auto`"),
    key("kubernetes.events", &[], "`on` or `off`"),
    key(
        "tls.enabled",
        &[server("REDIS_TLS_ENABLED"), sentinel("REDIS_SENTINEL_TLS_ENABLED"), plain("TLS_MODE")],
        "`false`: TLS is not in this version",
    ),
    key(
        "tls.port",
        &[server("REDIS_TLS_PORT_NUMBER"), server("REDIS_TLS_PORT"), sentinel("REDIS_SENTINEL_TLS_PORT_NUMBER")],
        "1 to 65535, or `auto`; TLS is not in this version",
    ),
    key(
        "tls.cert_file",
        &[server("REDIS_TLS_CERT_FILE"), sentinel("REDIS_SENTINEL_TLS_CERT_FILE"), plain("REDIS_TLS_CERT")],
        TLS_PATH,
    ),
    key(
        "tls.key_file",
        &[server("REDIS_TLS_KEY_FILE"), sentinel("REDIS_SENTINEL_TLS_KEY_FILE"), plain("REDIS_TLS_CERT_KEY")],
        TLS_PATH,
    ),
    key(
        "tls.ca_file",
        &[server("REDIS_TLS_CA_FILE"), sentinel("REDIS_SENTINEL_TLS_CA_FILE"), plain("REDIS_TLS_CA_CERT")],
        TLS_PATH,
    ),
    key("tls.ca_dir", &[server("REDIS_TLS_CA_DIR"), sentinel("REDIS_SENTINEL_TLS_CA_DIR")], TLS_PATH),
    key(
        "tls.dh_params_file",
        &[server("REDIS_TLS_DH_PARAMS_FILE"), sentinel("REDIS_SENTINEL_TLS_DH_PARAMS_FILE")],
        TLS_PATH,
    ),
    key(
        "tls.auth_clients",
        &[server("REDIS_TLS_AUTH_CLIENTS"), sentinel("REDIS_SENTINEL_TLS_AUTH_CLIENTS")],
        "`yes`, `no` or `optional`; TLS is not in this version",
    ),
];

/// The setting of this name.
pub fn find(key: &str) -> Option<&'static Key> {
    KEYS.iter().find(|known| known.key == key)
}

/// Environment variables that may hold a secret in plain text: nothing that is passed on to a child (invariant 10).
pub fn secret_variables() -> Vec<String> {
    let ours = KEYS.iter().filter(|key| key.secret).flat_map(Key::variables).map(|variable| variable.name);
    // `redis-cli`'s own, and arguments that may have one among them.
    ours.chain(["REDISCLI_AUTH", "VALKEYCLI_AUTH", "REDIS_EXTRA_FLAGS", "VALKEY_EXTRA_FLAGS"].map(str::to_owned))
        .collect()
}

/// One environment variable of a setting, twins written out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// The variable.
    pub name: String,
    /// How its value is written.
    pub form: Form,
    /// For [`Form::Host`]: where the port is.
    pub port: Option<String>,
    /// It counts in this mode only.
    pub only: Option<Mode>,
}

impl Key {
    /// `REDINIT_<KEY>`.
    pub fn own_name(&self) -> String {
        format!("REDINIT_{}", self.key.to_uppercase().replace('.', "_"))
    }

    /// Every environment variable of this setting, the one that wins first.
    pub fn variables(&self) -> Vec<Variable> {
        let own = Variable { name: self.own_name(), form: Form::Plain, port: None, only: None };
        let redis = |name: &&Name| name.name.starts_with("REDIS_");
        let mut all = vec![own];
        all.extend(self.others.iter().filter(redis).map(|name| name.written(str::to_owned)));
        all.extend(self.others.iter().filter(redis).flat_map(Name::twins));
        all.extend(self.others.iter().filter(|name| !redis(name)).map(|name| name.written(str::to_owned)));
        all
    }
}

impl Name {
    fn written(&self, spell: impl Fn(&str) -> String) -> Variable {
        let port = match self.form {
            Form::Host(port) => Some(spell(port)),
            _ => None,
        };
        Variable { name: spell(self.name), form: self.form, port, only: self.only }
    }

    /// `VALKEY_*`, with `PRIMARY` for `MASTER` first: that is how the Valkey images spell it.
    fn twins(&self) -> Vec<Variable> {
        let valkey = |name: &str| name.replacen("REDIS_", "VALKEY_", 1);
        let mut twins = vec![self.written(|name| valkey(name).replace("MASTER", "PRIMARY"))];
        if self.name.contains("MASTER") {
            twins.push(self.written(valkey));
        }
        twins
    }
}

/// A table of `conf/redinit.toml`, such as `restart`.
pub fn is_section(name: &str) -> bool {
    KEYS.iter().any(|known| known.key.split_once('.').is_some_and(|(section, _)| section == name))
}
