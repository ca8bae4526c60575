//! Every call, and what it means.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use super::{Call, DemoArgs, ElectorArgs, Lock, Output, Probe, ProbeArgs, RunArgs, parse, probe_fast_path};
use crate::config::settings::EngineChoice;
use crate::core::rules::Mode;

fn words(line: &[&str]) -> Vec<OsString> {
    line.iter().map(Into::into).collect()
}

fn call(line: &[&str]) -> Call {
    parse(words(line)).unwrap_or_else(|exit| unreachable!("{line:?}: {exit}"))
}

fn run(line: &[&str]) -> RunArgs {
    match call(line) {
        Call::Run(args) => args,
        other => unreachable!("{line:?}: {other:?}"),
    }
}

/// Mode, engine, include, arguments.
fn args(mode: Option<Mode>, engine: Option<EngineChoice>, include: Option<&str>, rest: &[&str]) -> RunArgs {
    let engine_args = rest.iter().map(|&word| word.to_owned()).collect();
    RunArgs { mode, engine, include: include.map(PathBuf::from), engine_args }
}

#[test]
fn every_command() {
    let probe = |probe, docker| Call::Probe(ProbeArgs { probe, docker });
    let status = |watch, output| Call::Status { watch, output };
    let table: &[(&[&str], Call)] = &[
        (&["redinit"], Call::Run(RunArgs::default())),
        (&["/usr/bin/redinit", "run"], Call::Run(RunArgs::default())),
        (&["redinit", "run", "--"], Call::Run(RunArgs::default())),
        (&["redinit", "probe", "live"], probe(Probe::Live, false)),
        (&["redinit", "probe", "ready", "--docker"], probe(Probe::Ready, true)),
        (&["redinit", "probe", "--docker", "startup"], probe(Probe::Startup, true)),
        (&["redinit", "probe", "master"], probe(Probe::Master, false)),
        (&["redinit", "probe", "primary"], probe(Probe::Master, false)),
        (&["redinit", "probe", "replica"], probe(Probe::Replica, false)),
        (&["/live_check.sh"], probe(Probe::Live, false)),
        (&["sentinel_check.sh"], probe(Probe::Live, false)),
        (&["/usr/local/bin/ready_check.sh", "5"], probe(Probe::Ready, false)),
        (&["redinit", "status"], status(false, Output::Table)),
        (&["redinit", "status", "--watch"], status(true, Output::Table)),
        (&["redinit", "status", "-o", "json"], status(false, Output::Json)),
        (&["redinit", "status", "-ojson", "--watch"], status(true, Output::Json)),
        (&["redinit", "handover"], Call::Handover { to: None }),
        (&["redinit", "handover", "--to", "10.0.0.2:6379"], Call::Handover { to: Some("10.0.0.2:6379".into()) }),
        (&["redinit", "handover", "--to=redis-1.redis"], Call::Handover { to: Some("redis-1.redis".into()) }),
        (&["redinit", "adopt", "10.0.0.9"], Call::Adopt { at: "10.0.0.9".into(), dry_run: false }),
        (
            &["redinit", "adopt", "--dry-run", "10.0.0.9:6380"],
            Call::Adopt { at: "10.0.0.9:6380".into(), dry_run: true },
        ),
        (&["redinit", "maintenance", "on"], Call::Maintenance { on: true }),
        (&["redinit", "maintenance", "off"], Call::Maintenance { on: false }),
        (&["redinit", "demo"], Call::Demo(DemoArgs::default())),
        (&["redinit", "demo", "--once", "--dir", "/d"], Call::Demo(DemoArgs { once: true, dir: Some("/d".into()) })),
        (&["redinit", "config", "check"], Call::ConfigCheck),
        (&["redinit", "config", "show"], Call::ConfigShow),
    ];
    for (line, expected) in table {
        assert_eq!(call(line), *expected, "{line:?}");
    }
}

#[test]
fn help_and_version_are_no_errors() {
    for line in [
        &["redinit", "--help"][..],
        &["redinit", "-h"],
        &["redinit", "--version"],
        &["redinit", "-V"],
        &["redinit", "run", "--help"],
        &["redinit", "probe", "--help"],
        &["redinit", "config", "--help"],
        &["redinit", "elector", "-h"],
    ] {
        let Call::Print(text) = call(line) else { unreachable!("{line:?}") };
        assert!(text.contains("redinit"), "{line:?}: {text}");
    }
}

#[test]
fn what_means_nothing_exits_64() {
    for line in [
        &["redinit", "bash"][..],
        &["redinit", "run", "--appendonly", "yes"],
        &["redinit", "run", "--", "bash"],
        &["redinit", "probe"],
        &["redinit", "probe", "alive"],
        &["redinit", "probe", "live", "ready"],
        &["redinit", "status", "-o", "xml"],
        &["redinit", "handover", "--to", "a b"],
        &["redinit", "handover", "--to", "10.0.0.1:0"],
        &["redinit", "adopt"],
        &["redinit", "maintenance"],
        &["redinit", "maintenance", "maybe"],
        &["redinit", "config"],
        &["redinit", "config", "edit"],
        &["redinit", "elector"],
        &["redinit", "elector", "--election", "a", "--lock", "etcd"],
        &["redinit", "elector", "--election", "a", "--lock", "file:relative"],
        &["redinit", "elector", "--election", "a", "--http", "nowhere"],
        &["redinit", "redis-server", "--version"],
        &["redinit", "redis-server", "-"],
        &["redinit", "redis-server", "bash"],
        &["/server"],
    ] {
        let exit = parse(words(line)).err();
        assert_eq!(exit.as_ref().map(|exit| exit.code), Some(64), "{line:?}");
        assert!(exit.is_some_and(|exit| !exit.text.is_empty()), "{line:?}");
    }
    let not_utf8 = vec!["redinit".into(), OsString::from_vec(vec![0xff])];
    assert_eq!(parse(not_utf8).err().map(|exit| exit.code), Some(64));
    assert_eq!(parse(Vec::new()), Ok(Call::Run(RunArgs::default())));
}

#[test]
fn the_official_images_calling_forms() {
    let (redis, valkey) = (Some(EngineChoice::Redis), Some(EngineChoice::Valkey));
    let sentinel = Some(Mode::Sentinel);
    let path = |path: &str| Some(EngineChoice::Path(path.into()));
    let table: &[(&[&str], RunArgs)] = &[
        (&["redis-server"], args(None, redis.clone(), None, &[])),
        (&["valkey-server"], args(None, valkey.clone(), None, &[])),
        (&["redis-server", "--appendonly", "yes"], args(None, redis.clone(), None, &["--appendonly", "yes"])),
        (&["redis-server", "/r.conf"], args(None, redis.clone(), Some("/r.conf"), &[])),
        (&["redis-server", "/r.conf", "--port", "1"], args(None, redis.clone(), Some("/r.conf"), &["--port", "1"])),
        (&["redis-server", "/s.conf", "--sentinel"], args(sentinel, redis.clone(), Some("/s.conf"), &[])),
        (&["redis-sentinel", "/s.conf"], args(sentinel, redis.clone(), Some("/s.conf"), &[])),
        (&["valkey-sentinel"], args(sentinel, valkey.clone(), None, &[])),
        (&["/opt/redis-server", "--save", ""], args(None, path("/opt/redis-server"), None, &["--save", ""])),
        (&["/opt/valkey-sentinel"], args(sentinel, path("/opt/valkey-server"), None, &[])),
        (&["--appendonly", "yes"], args(None, None, None, &["--appendonly", "yes"])),
        (&["--sentinel", "--port", "5"], args(sentinel, None, None, &["--port", "5"])),
        (&["/etc/redis.conf"], args(None, None, Some("/etc/redis.conf"), &[])),
        (&["/etc/s.conf", "--sentinel"], args(sentinel, None, Some("/etc/s.conf"), &[])),
        (&["run", "--", "--appendonly", "yes"], args(None, None, None, &["--appendonly", "yes"])),
        (&["run", "--", "/r.conf", "--port", "1"], args(None, None, Some("/r.conf"), &["--port", "1"])),
        (&["run", "--", "redis-server", "--port", "1"], args(None, redis.clone(), None, &["--port", "1"])),
        (&["--", "--port", "1"], args(None, None, None, &["--port", "1"])),
        // Values that look like something of ours stay values.
        (&["redis-server", "--dbfilename", "x.conf"], args(None, redis, None, &["--dbfilename", "x.conf"])),
    ];
    for (line, expected) in table {
        let line = [&["redinit"], *line].concat();
        assert_eq!(run(&line), *expected, "{line:?}");
    }
    // Relative to where we are called, not to the child's directory.
    let include = run(&["redinit", "redis.conf"]).include;
    assert!(include.as_deref().is_some_and(|path| path.is_absolute() && path.ends_with("redis.conf")));
}

#[test]
fn the_elector_and_the_side_car_that_it_replaces() {
    let elector = |http: &str, id: Option<&str>, lock| {
        let http = http.parse().unwrap();
        Call::Elector(ElectorArgs { election: "redis-master".into(), http, id: id.map(Into::into), lock })
    };
    let plain = elector("0.0.0.0:4040", Some("pod-1"), Lock::Kubernetes);
    for line in [
        &["redinit", "elector", "--election", "redis-master", "--http", "0.0.0.0:4040", "--id", "pod-1"][..],
        &["redinit", "elector", "--election=redis-master", "--id=pod-1"],
        &["/server", "--election=redis-master", "--http=0.0.0.0:4040", "--id=pod-1"],
        &["server", "-election=redis-master", "-http=:4040", "-id", "pod-1"],
        &[
            "/server",
            "--election=redis-master",
            "--election-namespace=x",
            "--ttl=10s",
            "--use-cluster-credentials",
            "--initial-wait=1s",
            "--id=pod-1",
        ],
        &["/server", "--election=redis-master", "--id=pod-1", "fd00::7", "10.0.0.8"],
    ] {
        assert_eq!(call(line), plain, "{line:?}");
    }
    let file = elector("127.0.0.1:1", None, Lock::File("/l".into()));
    let line = ["redinit", "elector", "--election", "redis-master", "--http", "localhost:1", "--lock", "file:/l"];
    assert_eq!(call(&line), file);
}

#[test]
fn the_fast_path_of_probes_agrees_with_the_parser() {
    for line in [
        &["redinit", "probe", "live"][..],
        &["/usr/bin/redinit", "probe", "ready", "--docker"],
        &["redinit", "probe", "--docker", "replica"],
        &["live_check.sh"],
        &["/ready_check.sh", "--docker"],
        &["/data/sentinel_check.sh"],
    ] {
        let fast = probe_fast_path(&words(line)).unwrap_or_else(|| unreachable!("{line:?}"));
        assert_eq!(Call::Probe(fast), call(line), "{line:?}");
    }
    for line in [
        &["redinit"][..],
        &[],
        &["redinit", "run"],
        &["redinit", "probe"],
        &["redinit", "probe", "--help"],
        &["redinit", "probe", "alive"],
        &["redinit", "probe", "live", "ready"],
        &["server", "probe", "live"],
        &["redinit", "--", "probe", "live"],
    ] {
        assert_eq!(probe_fast_path(&words(line)), None, "{line:?}");
    }
}
