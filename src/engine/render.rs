//! The files that the child is started with: written anew at every start, never trusted, for nobody else to read.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::acl;
use super::detect::Engine;
use super::error::EngineError;
use super::files::write_private;
use super::loading::Loading;
use super::own_config::OwnConfig;
use super::secret::{ChildPassword, Purpose, derived};
use super::sentinel_file::SentinelState;
use super::words::quote;
use crate::config::settings::Durability;
use crate::config::settings::Settings;
use crate::core::stop::Budget;

const SERVER: &str = include_str!("../../conf/redis.conf");
const SENTINEL: &str = include_str!("../../conf/sentinel.conf");

/// `min-replicas-to-write` while fenced: more replicas than anybody has.
pub const FENCED: u32 = 100;

/// Where the rendered server file is.
pub fn server_file(data_dir: &Path) -> PathBuf {
    data_dir.join("redinit-server.conf")
}

/// Where a Sentinel's file is; the Sentinel keeps its state in it.
pub fn sentinel_file(data_dir: &Path) -> PathBuf {
    data_dir.join("redinit-sentinel.conf")
}

/// What a start needs.
#[derive(Clone, Copy)]
pub struct Start<'a> {
    /// The settings.
    pub settings: &'a Settings,
    /// The user's own configuration.
    pub own: &'a OwnConfig,
    /// The engine.
    pub engine: &'a Engine,
    /// The child's socket.
    pub socket: &'a Path,
    /// Our password in the child.
    pub password: &'a ChildPassword,
}

/// `min-replicas-to-write` of an unfenced master: the user's own, at least 1 where `durability` is strict and two
/// replicas are expected.
pub fn own_min_replicas(settings: &Settings, own: &OwnConfig) -> u32 {
    own.min_replicas.filter(|_| !own.lag_off).unwrap_or(0).max(u32::from(is_strict(settings)))
}

/// What all servers know and nobody else: the cluster's password, or what their own lines give replication.
pub fn shared_password<'a>(settings: &'a Settings, own: &'a OwnConfig) -> Option<&'a SecretString> {
    settings.password.as_ref().or(own.requirepass.as_ref()).or(own.masterauth.as_ref())
}

/// What a replica logs in with at its master. Without a password of the cluster anything will do, but a user needs one.
pub fn replication_password(settings: &Settings, own: &OwnConfig) -> SecretString {
    let password = shared_password(settings, own);
    derived(password.map_or("", |password| password.expose_secret()), Purpose::Replication)
}

/// What the logins of one cluster are derived from. No door beside one that the user has locked.
pub fn cluster_secret(settings: &Settings, own: &OwnConfig) -> Option<SecretString> {
    let password = shared_password(settings, own).cloned();
    password.or_else(|| acl::is_open(&own.users).then(SecretString::default))
}

fn is_strict(settings: &Settings) -> bool {
    settings.durability == Durability::Strict && settings.expected_servers.is_some_and(|servers| servers >= 3)
}

/// Writes a server's file; gives its path.
pub fn server(start: Start, loading: &Loading) -> Result<PathBuf, EngineError> {
    let Start { settings, own, .. } = start;
    // Where nobody has put the user's own lines into the settings yet, they still count: never open by mistake.
    let password = settings.password.as_ref().or(own.requirepass.as_ref());
    let password = password.map(|password| password.expose_secret());
    let replication = replication_password(settings, own);
    let known = shared_password(settings, own).map(|_| replication.expose_secret());
    let logins = acl::Logins { password, replication: known, child: start.password };
    let replicas = acl::replicas(own, &settings.replication_users);
    let users = place_users(start, acl::of_server(&own.users, logins, &replicas))?;
    // The engine drains its replicas for this long at SIGTERM; whole seconds (P35).
    let drain = Budget::scaled(settings.grace_period).drain.as_secs().max(1);
    let values = [
        ("own", own.kept.join("\n")),
        ("loading", loading.line().to_owned()),
        ("bind", bind(start)),
        ("dir", quote(&settings.data_dir.to_string_lossy())),
        ("socket", quote(&start.socket.to_string_lossy())),
        // Nobody but us is local: without a password the mode would shut everybody out.
        ("protected_mode", if password.is_some() { "yes" } else { "no" }.to_owned()),
        ("announce_ip", settings.announce_ip.to_string()),
        ("announce_port", settings.port.to_string()),
        ("priority", own.priority.unwrap_or(100).to_string()),
        ("max_lag", if is_strict(settings) { "min-replicas-max-lag 2" } else { "" }.to_owned()),
        ("shutdown_timeout", drain.to_string()),
        ("masteruser", acl::REPLICATION.to_owned()),
        ("masterauth", quote(replication.expose_secret())),
        ("users", users),
    ];
    write(&server_file(&settings.data_dir), SERVER, &values)
}

/// Writes a Sentinel's file with this state; gives its path.
pub fn sentinel(start: Start, state: &SentinelState) -> Result<PathBuf, EngineError> {
    let Start { settings, own, .. } = start;
    let own_password = settings.sentinel_password.as_ref().or(own.requirepass.as_ref());
    let own_password = own_password.map(|password| password.expose_secret());
    let data_password = settings.password.as_ref().or(own.masterauth.as_ref());
    let values = [
        ("own", own.kept.join("\n")),
        ("port", settings.port.to_string()),
        ("bind", bind(start)),
        ("dir", quote(&settings.data_dir.to_string_lossy())),
        ("socket", quote(&start.socket.to_string_lossy())),
        ("users", place_users(start, acl::of_sentinel(&own.users, own_password, start.password))?),
        ("myid", super::sentinel_file::my_id(settings, state.cluster.as_ref()).0),
        ("announce_ip", settings.announce_ip.to_string()),
        ("announce_port", settings.port.to_string()),
        (
            "sentinel_pass",
            own_password.map(|text| format!("sentinel sentinel-pass {}", quote(text))).unwrap_or_default(),
        ),
        ("state", state.lines(settings, data_password, &own.about_master).join("\n")),
    ];
    write(&sentinel_file(&settings.data_dir), SENTINEL, &values)
}

/// With an ACL file of the user's own, all users go into a private copy of it, for the engine takes them from one
/// place only; without, into the configuration.
fn place_users(start: Start, users: Vec<acl::User>) -> Result<String, EngineError> {
    let lines = |word: fn(&str) -> String| -> String {
        let line = |user: &acl::User| user.iter().map(|text| word(text)).collect::<Vec<_>>().join(" ");
        users.iter().map(line).collect::<Vec<_>>().join("\n")
    };
    if start.own.aclfile.is_none() {
        return Ok(lines(quote));
    }
    let users = lines(str::to_owned);
    let path = start.settings.data_dir.join("redinit-users.acl");
    write_private(&path, format!("{users}\n").as_bytes()).map_err(|error| EngineError::file("write", &path, error))?;
    Ok(format!("aclfile {}", quote(&path.to_string_lossy())))
}

fn bind(start: Start) -> String {
    let addresses = if start.settings.bind.is_empty() { &start.own.bind } else { &start.settings.bind };
    if addresses.is_empty() {
        return "* -::*".to_owned();
    }
    addresses.iter().map(|address| quote(address)).collect::<Vec<_>>().join(" ")
}

fn write(path: &Path, template: &str, values: &[(&str, String)]) -> Result<PathBuf, EngineError> {
    write_private(path, fill(template, values).as_bytes()).map_err(|error| EngineError::file("write", path, error))?;
    Ok(path.to_owned())
}

/// Fills in the template line by line, so that a value that looks like a place holder stays what it is.
fn fill(template: &str, values: &[(&str, String)]) -> String {
    let mut text = String::new();
    for line in template.lines() {
        let holds = |name: &str| !line.starts_with('#') && line.contains(&format!("{{{{{name}}}}}"));
        let place = values.iter().find(|(name, _)| holds(name));
        match place {
            Some((name, value)) => text.push_str(&line.replacen(&format!("{{{{{name}}}}}"), value, 1)),
            None => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_holders_are_filled_once_and_all_of_them() {
        let text = fill("# c\na {{a}}\nb {{b}}\n", &[("a", "{{b}}".into()), ("b", "2".into())]);
        assert_eq!(text, "# c\na {{b}}\nb 2\n");
    }
}
