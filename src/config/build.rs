//! From merged values to checked settings.

use std::path::PathBuf;
use std::time::Duration;

use super::env::Env;
use super::environment::Environment;
use super::reader::Reader;
use super::settings::Durability;
use super::settings::{EngineChoice, HostPort, LogFormat, Restart, Settings};
use super::{announce, elector, engine_names, kubernetes, tls, values};
use crate::cli::RunArgs;
use crate::core::cluster::ClusterId;
use crate::core::rules::Mode;

/// No list of hosts is longer.
const HOSTS_LIMIT: usize = 256;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Checks everything; with any error in `reader` afterwards the result counts for nothing.
pub fn settings(
    reader: &mut Reader,
    variables: &Environment,
    env: &dyn Env,
    args: RunArgs,
    warnings: &mut Vec<String>,
) -> Option<Settings> {
    let mode = reader.parse("mode", mode, Mode::Server);
    let sentinels = hosts(reader, "sentinels", 26379);
    let servers = hosts(reader, "servers", 6379);
    let port = port(reader, mode);
    let elector = elector::read(reader, env, mode, &servers);
    let (down_after, failover_timeout) = timing(reader);
    let alone = sentinels.is_empty() && servers.is_empty();
    let announced = announce::announced(reader, variables, env, alone, warnings);
    tls::refuse(reader, warnings);
    let engine_args = engine_arguments(reader, variables, args.engine_args, mode);
    let master_name = reader.parse("master_name", values::master_name, String::new());
    let settings = Settings {
        mode,
        election: elector::election(reader, &elector, &master_name),
        elector,
        master_name,
        cluster_id: cluster_id(reader),
        quorum: quorum(reader, sentinels.len()),
        down_after,
        failover_timeout,
        parallel_syncs: number(reader, "parallel_syncs", 1, 1000),
        expected_servers: expected_servers(reader, &servers),
        bind: reader.list("bind", 16, values::bind),
        port,
        data_dir: data_dir(reader, env),
        grace_period: within(reader, "grace_period", seconds(20), seconds(24 * 3600)),
        socket: reader.parse("socket", socket, PathBuf::new()),
        http_listen: http_listen(reader, port),
        engine: match reader.parse("engine", engine, EngineChoice::Auto) {
            EngineChoice::Auto if args.engine == Some(EngineChoice::Redis) => EngineChoice::RedisFirst,
            chosen => chosen,
        },
        password: reader.secret("password").map(Into::into),
        sentinel_password: reader.secret("sentinel_password").map(Into::into),
        replication_users: reader.list("replication_users", 16, values::acl_user),
        restart: Restart {
            max: number(reader, "restart.max", 0, 1000),
            within: within(reader, "restart.within", seconds(1), seconds(24 * 3600)),
        },
        durability: reader.parse("durability", durability, Durability::Default),
        name: name(reader, variables, env),
        include: include(reader, env, mode),
        engine_args,
        log: reader.parse("log", values::log_filter, String::new()),
        log_format: log_format(reader, env),
        pod: kubernetes::pod(reader, variables, env, mode),
        in_kubernetes: variables.get("KUBERNETES_SERVICE_HOST").is_some(),
        sentinels,
        servers,
        announce_address: announced.as_ref()?.address.clone(),
        announce_ip: announced?.ip,
    };
    Some(settings)
}

/// A mode as written.
pub fn mode(text: &str) -> Option<Mode> {
    match text {
        "server" => Some(Mode::Server),
        "sentinel" => Some(Mode::Sentinel),
        _ => None,
    }
}

fn durability(text: &str) -> Option<Durability> {
    match text {
        "default" => Some(Durability::Default),
        "strict" => Some(Durability::Strict),
        _ => None,
    }
}

fn path(text: &str) -> Option<PathBuf> {
    (text.starts_with('/') && !text.chars().any(char::is_control)).then(|| PathBuf::from(text))
}

/// A socket's path: `sun_path` holds 108 bytes with its end.
pub fn socket(text: &str) -> Option<PathBuf> {
    path(text).filter(|_| text.len() <= 107 && !text.ends_with('/'))
}

fn engine(text: &str) -> Option<EngineChoice> {
    match text {
        "" | "auto" => Some(EngineChoice::Auto),
        "redis" => Some(EngineChoice::Redis),
        "valkey" => Some(EngineChoice::Valkey),
        _ => path(text).map(EngineChoice::Path),
    }
}

fn hosts(reader: &mut Reader, key: &'static str, port: u16) -> Vec<HostPort> {
    let mut all: Vec<HostPort> = Vec::new();
    for host in reader.list(key, HOSTS_LIMIT, |text| values::host_port(text, port)) {
        // Named twice is there once, or counts of servers would be wrong.
        if !all.contains(&host) {
            all.push(host);
        }
    }
    reader.show(key, all.iter().map(values::show_host_port).collect::<Vec<_>>().join(", "));
    all
}

fn cluster_id(reader: &mut Reader) -> Option<ClusterId> {
    let id = reader.parse_auto("cluster_id", ClusterId::parse);
    if id.is_none() {
        reader.show("cluster_id", "made by the first leader");
    }
    id
}

fn number<T: TryFrom<u64> + Default>(reader: &mut Reader, key: &'static str, least: u64, most: u64) -> T {
    let read = |text: &str| text.parse().ok().filter(|n| (least..=most).contains(n)).and_then(|n| T::try_from(n).ok());
    reader.parse(key, read, T::default())
}

fn within(reader: &mut Reader, key: &'static str, least: Duration, most: Duration) -> Duration {
    reader.parse(key, |text| values::duration(text).filter(|d| (least..=most).contains(d)), least)
}

fn port(reader: &mut Reader, mode: Mode) -> u16 {
    let set = reader.parse_auto("port", values::port);
    let port = set.unwrap_or(match mode {
        Mode::Server => 6379,
        Mode::Sentinel => 26379,
    });
    reader.show("port", port);
    port
}

fn timing(reader: &mut Reader) -> (Duration, Duration) {
    let before = reader.errors.len();
    let down_after = within(reader, "down_after", seconds(3), seconds(60));
    let known = reader.errors.len() == before;
    let failover_timeout = within(reader, "failover_timeout", seconds(10), seconds(24 * 3600));
    if known && reader.errors.len() == before && failover_timeout < down_after * 2 {
        let least = values::show_duration(down_after * 2);
        reader.refuse("failover_timeout", format!("allowed: at least {least}, which is 2 x down_after, to 24h"));
    }
    (down_after, failover_timeout)
}

fn quorum(reader: &mut Reader, sentinels: usize) -> usize {
    // One name may stand for any number of Sentinels.
    let most = if sentinels > 1 { sentinels } else { 1000 };
    let read = |text: &str| text.parse().ok().filter(|n| (1..=most).contains(n));
    let before = reader.errors.len();
    let quorum = reader.parse("quorum", read, 1);
    if sentinels > 1
        && let Some(error) = reader.errors.get_mut(before)
    {
        error.problem = format!("allowed: a whole number from 1 to {sentinels}, the number of Sentinels");
    }
    quorum
}

fn expected_servers(reader: &mut Reader, servers: &[HostPort]) -> Option<usize> {
    let read = |text: &str| text.parse().ok().filter(|n| (1..=1000).contains(n));
    let set = reader.parse_auto("expected_servers", read);
    match set {
        Some(_) => set,
        None if servers.len() > 1 => {
            reader.derive("expected_servers", servers.len(), "the length of servers");
            Some(servers.len())
        }
        None => {
            reader.show("expected_servers", "unknown");
            None
        }
    }
}

fn data_dir(reader: &mut Reader, env: &dyn Env) -> PathBuf {
    let set = reader.parse_auto("data_dir", path);
    let found = ["/redis-master-data", "/data"].map(PathBuf::from);
    let [old, usual] = found;
    let dir = set.unwrap_or_else(|| if env.exists(&old) { old } else { usual });
    reader.show("data_dir", dir.display());
    dir
}

fn http_listen(reader: &mut Reader, port: u16) -> Option<std::net::SocketAddr> {
    let listen = reader.parse("http_listen", values::listen, None);
    if listen.is_some_and(|at| at.port() == port) {
        reader.refuse_plainly("http_listen");
    }
    listen
}

fn name(reader: &mut Reader, variables: &Environment, env: &dyn Env) -> String {
    if let Some(name) = reader.parse_auto("name", values::name) {
        return name;
    }
    let pod = variables.get("POD_NAME").map(|name| (name.to_owned(), "POD_NAME"));
    let found = pod.or_else(|| env.hostname().map(|name| (name, "the host name")));
    match found.and_then(|(name, origin)| Some((values::name(&name)?, origin))) {
        Some((name, origin)) => {
            reader.derive("name", &name, origin);
            name
        }
        None => {
            if !reader.is_set("name") {
                reader.refuse("name", "POD_NAME and the host name are no use: set REDINIT_NAME".into());
            }
            String::new()
        }
    }
}

fn include(reader: &mut Reader, env: &dyn Env, mode: Mode) -> Option<PathBuf> {
    let set = reader.parse_auto("include", |text| path(text).filter(|path| env.exists(path)));
    let usual = PathBuf::from(match mode {
        Mode::Server => "/etc/redinit/redis.conf",
        Mode::Sentinel => "/etc/redinit/sentinel.conf",
    });
    let include = set.or_else(|| (!reader.is_set("include") && env.exists(&usual)).then_some(usual));
    reader.show("include", include.as_ref().map_or("none".into(), |path| path.display().to_string()));
    include
}

fn log_format(reader: &mut Reader, env: &dyn Env) -> LogFormat {
    let read = |text: &str| match text {
        "json" => Some(LogFormat::Json),
        "text" => Some(LogFormat::Text),
        _ => None,
    };
    let found = if env.on_terminal() { LogFormat::Text } else { LogFormat::Json };
    let format = reader.parse_auto("log_format", read).unwrap_or(found);
    reader.show("log_format", if format == LogFormat::Json { "json" } else { "text" });
    format
}

/// What other images take from the environment first, so that the user's own arguments win.
fn engine_arguments(reader: &mut Reader, variables: &Environment, own: Vec<String>, mode: Mode) -> Vec<String> {
    let mut all = match mode {
        Mode::Server => engine_names::arguments(variables, &mut reader.errors),
        Mode::Sentinel => Vec::new(),
    };
    all.extend(own);
    all
}
