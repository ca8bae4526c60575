//! Defaults, files, environment, command line, in this order.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::{Call, parse};
use crate::config::fake::{FakeEnv, machine};
use crate::config::keys::KEYS;
use crate::config::layers::Layer;
use crate::config::settings::EngineChoice;
use crate::config::{Loaded, load, socket};
use crate::core::rules::Mode;

fn called(env: &FakeEnv, words: &[&str]) -> Loaded {
    let argv = ["redinit"].iter().chain(words).map(Into::into).collect();
    let Ok(Call::Run(args)) = parse(argv) else { unreachable!("{words:?} is no run") };
    load(env, args).unwrap_or_else(|errors| unreachable!("{errors}"))
}

#[test]
fn later_layers_win_and_origins_are_kept() {
    let env = machine(&[("REDINIT_PARALLEL_SYNCS", "4")])
        .file("/etc/redinit/10.toml", "quorum = 3\nparallel_syncs = 2\n[restart]\nmax = 1\n")
        .file("/etc/redinit/20.toml", "parallel_syncs = 3\ndown_after = \"4s\"\n[restart]\nwithin = \"1m\"\n")
        .file("/etc/redinit/redis.conf", "not = toml =")
        .file("/etc/redinit/other/30.toml", "quorum = 9");
    let loaded = env.load().unwrap_or_else(|errors| unreachable!("{errors}"));
    let settings = &loaded.settings;
    assert_eq!((settings.quorum, settings.parallel_syncs, settings.down_after), (3, 4, Duration::from_secs(4)));
    assert_eq!((settings.restart.max, settings.restart.within), (1, Duration::from_secs(60)));
    for (key, origin) in [
        ("quorum", "/etc/redinit/10.toml"),
        ("parallel_syncs", "REDINIT_PARALLEL_SYNCS"),
        ("down_after", "/etc/redinit/20.toml"),
        ("restart.max", "/etc/redinit/10.toml"),
        ("restart.within", "/etc/redinit/20.toml"),
        ("failover_timeout", "default"),
        ("announce_address", "the first address of this machine"),
        ("name", "the host name"),
    ] {
        assert_eq!(loaded.sources[key].origin, origin, "{key}");
    }
}

#[test]
fn lists_in_files() {
    let env = machine(&[]).file(
        "/etc/redinit/a.toml",
        "sentinels = [\"a\", \"b:1\"]\nservers = \"c, d\"\nbind = [\"10.0.0.1\", \"-::1\"]\nelector = \"none\"\n",
    );
    let settings = env.settings();
    assert_eq!((settings.sentinels.len(), settings.servers.len(), settings.bind.len()), (2, 2, 2));
    assert_eq!(settings.expected_servers, Some(2));
    for bad in ["servers = [1, [2]]", "servers = { a = 1 }", "port = [1]", "restart = 3", "\"restart.max\" = 3"] {
        assert_eq!(machine(&[]).file("/etc/redinit/a.toml", bad).errors().len(), 1, "{bad}");
    }
}

#[test]
fn the_mode_of_a_file_picks_the_names() {
    let env = machine(&[("REDIS_SENTINEL_PORT_NUMBER", "5000")]).file("/etc/redinit/a.toml", "mode = \"sentinel\"");
    assert_eq!((env.settings().mode, env.settings().port), (Mode::Sentinel, 5000));
}

#[test]
fn the_command_line_beats_the_environment() {
    let env =
        machine(&[("REDINIT_MODE", "server"), ("REDINIT_INCLUDE", "/b.conf")]).file("/a.conf", "").file("/b.conf", "");
    let loaded = called(&env, &["redis-server", "/a.conf", "--sentinel"]);
    assert_eq!(loaded.settings.mode, Mode::Sentinel);
    assert_eq!(loaded.settings.include.as_deref(), Some(Path::new("/a.conf")));
    assert_eq!(loaded.sources["mode"].origin, "the command line");
    let loaded = called(&machine(&[("REDIS_SENTINEL_PORT_NUMBER", "5000")]), &["redis-sentinel"]);
    assert_eq!((loaded.settings.mode, loaded.settings.port), (Mode::Sentinel, 5000));
}

#[test]
fn an_engine_by_its_bare_name_yields_to_a_wish() {
    let engine = |variables: &[(&str, &str)], words: &[&str]| called(&machine(variables), words).settings.engine;
    assert_eq!(engine(&[], &["redis-server"]), EngineChoice::RedisFirst);
    assert_eq!(engine(&[("REDINIT_ENGINE", "auto")], &["redis-sentinel"]), EngineChoice::RedisFirst);
    assert_eq!(engine(&[], &["valkey-sentinel"]), EngineChoice::Auto, "which looks for Valkey first");
    assert_eq!(engine(&[("REDINIT_ENGINE", "valkey")], &["redis-server"]), EngineChoice::Valkey);
    let path = EngineChoice::Path("/opt/redis-server".into());
    assert_eq!(engine(&[("REDINIT_ENGINE", "valkey")], &["/opt/redis-server"]), path);
}

#[test]
fn the_default_command_of_images_leaves_the_mode_to_the_environment() {
    assert_eq!(called(&machine(&[("SENTINEL", "true")]), &["redis-server"]).settings.mode, Mode::Sentinel);
}

#[test]
fn arguments_of_the_command_line_come_last() {
    let env = machine(&[("REDIS_AOF_ENABLED", "no")]);
    let args = called(&env, &["redis-server", "--appendonly", "yes"]).settings.engine_args;
    assert_eq!(args, ["--appendonly", "no", "--appendonly", "yes"]);
}

#[test]
fn every_setting_is_in_the_compiled_in_file() {
    let defaults = Layer::defaults().unwrap_or_else(|error| unreachable!("{error}"));
    for key in KEYS {
        assert!(defaults.has(key.key), "{} is not in conf/redinit.toml", key.key);
    }
}

#[test]
fn the_socket_alone() {
    assert_eq!(socket(&machine(&[])), PathBuf::from("/run/redinit/redinit.sock"));
    let filed = machine(&[]).file("/etc/redinit/a.toml", "socket = \"/a.sock\"\nnonsense = 1");
    assert_eq!(socket(&filed), PathBuf::from("/a.sock"));
    let both = machine(&[("REDINIT_SOCKET", "/b.sock"), ("REDINIT_NONSENSE", "1")]).file("/etc/redinit/a.toml", "=");
    assert_eq!(socket(&both), PathBuf::from("/b.sock"));
    // The same answer as the whole.
    assert_eq!(socket(&machine(&[])), machine(&[]).settings().socket);
}
