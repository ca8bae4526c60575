//! Which engine is there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use redinit::config::settings::EngineChoice;
use redinit::control::events;
use redinit::core::rules::Mode;
use redinit::engine::{Engine, Reaped, detect};

use super::node::{reaper, settings};

/// Asks a script that plays an engine.
fn ask(script: &str) -> Result<Engine, String> {
    let dir = tempfile::tempdir().unwrap();
    let binary = dir.path().join("redis-server");
    fs::write(&binary, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    let mut settings = settings(Mode::Server, "127.0.0.1", dir.path());
    settings.engine = EngineChoice::Path(binary);
    let (sender, _events) = events::channel();
    let processes = Arc::new(Reaped::new(reaper(), sender));
    detect(&settings, processes.as_ref()).map_err(|error| error.to_string())
}

#[test]
fn an_engine_that_is_too_old_or_none_is_refused_in_one_line() {
    let refused = |script: &str| {
        let error = ask(script).expect_err(script);
        assert_eq!(error.lines().count(), 1, "{error}");
        error
    };
    assert!(refused("echo 'Redis server v=6.0.20 sha=0'").contains("redis 6.0.20"));
    assert!(refused("echo 'Redis server v=5.0.14 sha=0'").contains("at least 7.0.0 is needed"));
    assert!(refused("echo hello").contains("it said `hello`"));
    assert!(refused("yes").contains("cannot tell the version"));
    assert!(refused("exit 3").contains("ended"));
    assert!(refused("kill -SEGV $$").contains("ended"));
    assert!(refused("echo 'Redis server v=6.2.19 sha=0'").contains("scripts stop at the fence"));
    assert!(ask("echo 'Redis server v=7.0.0 sha=0'").is_ok());
    assert!(ask("echo 'Valkey server v=8.1.1 sha=0'").is_ok());
}
