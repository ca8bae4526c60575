//! Errors: all at once, each with key, value, origin and what is allowed; never a secret.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use crate::config::fake::machine;
use crate::config::keys::{KEYS, Key};
use crate::core::rules::Mode;

#[test]
fn all_errors_at_once() {
    let env = machine(&[
        ("REDINIT_QUORUM", "none"),
        ("REDIS_PORT", "70000"),
        ("REDINIT_GRACE_PERIOD", "5s"),
        ("REDINIT_QOURUM", "2"),
        ("REDIS_PASSWORD_FILE", "/run/secrets/gone"),
    ])
    .file("/etc/redinit/a.toml", "donw_after = \"5s\"\nparallel_syncs = 0\n[restart]\nmost = 3\n")
    .file("/etc/redinit/b.toml", "this is not toml");
    let errors = env.errors();
    for expected in [
        "quorum = \"none\" (from REDINIT_QUORUM): allowed: a whole number from 1 to",
        "port = \"70000\" (from REDIS_PORT): allowed: 1 to 65535",
        "grace_period = \"5s\" (from REDINIT_GRACE_PERIOD): allowed: 20s to 24h",
        "REDINIT_QOURUM (from the environment): no such setting",
        "password (from REDIS_PASSWORD_FILE): cannot read /run/secrets/gone:",
        "donw_after (from /etc/redinit/a.toml): no such setting",
        "restart.most (from /etc/redinit/a.toml): no such setting",
        "parallel_syncs = \"0\" (from /etc/redinit/a.toml): allowed: a whole number from 1 to 1000",
        "file (from /etc/redinit/b.toml): line 1 is not TOML:",
    ] {
        assert!(errors.iter().any(|error| error.starts_with(expected)), "{expected}\nnot in {errors:#?}");
    }
    assert_eq!(errors.len(), 9, "{errors:#?}");
}

#[test]
fn j5_no_error_shows_a_secret() {
    let secret = "hunter2";
    let table = [
        machine(&[("REDIS_PASSWORD", "hunter2\nhunter2")]),
        machine(&[("REDINIT_PASWORD", secret)]),
        machine(&[("REDIS_PASSWORD", secret), ("REDIS_MASTER_PASSWORD", "other-hunter2")]),
        machine(&[("REDINIT_ELECTOR", "http://me:hunter2@elector")]),
        machine(&[("REDIS_PASSWORD_FILE", "/p")]).file("/p", "hunter2\nhunter2\n"),
        machine(&[]).file("/etc/redinit/a.toml", "password = \"hunter2\n"),
        machine(&[]).file("/etc/redinit/a.toml", "password = [\"hunter2\"]"),
        machine(&[]).file("/etc/redinit/a.toml", "password = hunter2"),
        machine(&[]).file("/etc/redinit/a.toml", "pasword = \"hunter2\""),
        machine(&[("REDIS_EXTRA_FLAGS", "requirepass hunter2")]),
    ];
    for env in table {
        let errors = env.errors();
        assert!(!errors.is_empty(), "{env:?}");
        assert!(!errors.iter().any(|error| error.contains(secret)), "{errors:?}");
    }
}

#[test]
fn a_number_is_no_password() {
    let errors = machine(&[]).file("/etc/redinit/a.toml", "password = 0x12").errors();
    assert_eq!(errors.len(), 1, "{errors:?}");
}

#[test]
fn two_passwords_for_one_set_of_servers_are_refused() {
    let errors = machine(&[("REDIS_PASSWORD", "a"), ("REDIS_MASTER_PASSWORD", "b")]).errors();
    assert_eq!(
        errors,
        ["password (from REDIS_PASSWORD and REDIS_MASTER_PASSWORD): differ; allowed: one password for clients and \
          replication, the same on every server"]
    );
}

#[test]
fn what_is_not_in_this_version_is_refused_and_not_ignored() {
    for (name, value, key) in [
        ("REDIS_TLS_ENABLED", "yes", "tls.enabled"),
        ("VALKEY_TLS_ENABLED", "true", "tls.enabled"),
        ("TLS_MODE", "true", "tls.enabled"),
        ("REDINIT_TLS_ENABLED", "true", "tls.enabled"),
    ] {
        let errors = machine(&[(name, value)]).errors();
        assert_eq!(errors.len(), 1, "{errors:?}");
        let start = format!("{key} = \"{value}\" (from {name}): not in this version");
        assert!(errors[0].starts_with(&start), "{errors:?}");
    }
    let file = machine(&[("REDIS_TLS_CERT_FILE", "/c")]).load().unwrap_or_else(|errors| unreachable!("{errors}"));
    assert_eq!(file.warnings, ["TLS is not in this version and not turned on: tls.cert_file have no effect"]);
    // The name of a path, and not `_FILE` of another name.
    assert!(machine(&[("REDIS_TLS_CERT", "/c"), ("REDIS_TLS_CERT_FILE", "/not/there")]).errors().is_empty());
}

#[test]
fn a_value_that_is_not_utf8_is_an_error_only_where_it_is_a_setting() {
    let broken = || OsString::from_vec(vec![0xff]);
    let mut env = machine(&[]);
    env.variables = vec![("LS_COLORS".into(), broken()), (broken(), "x".into())];
    assert_eq!(env.errors(), Vec::<String>::new());
    env.variables.push(("REDIS_PASSWORD".into(), broken()));
    assert_eq!(env.errors(), ["password (from REDIS_PASSWORD): is not UTF-8"]);
}

/// Anything may stand in an environment: never a panic, and whatever comes out is within its ranges.
#[test]
fn nonsense_in_every_name_is_an_error_or_a_setting() {
    let nonsense = [
        "-1",
        "0",
        "18446744073709551616",
        "1e9",
        "ä",
        "\u{0}",
        "[",
        "[::",
        "[::1]:",
        ":",
        "::",
        "1:2:3",
        "ms",
        "1msms",
        "9999999999999999999h",
        "1h1h1h",
        "http://[",
        "file:",
        "file:/",
        "=",
        ",",
        " , ",
        "*",
        "#",
        "@",
        "tcp://",
        "%s",
        "..",
    ];
    for (n, variable) in KEYS.iter().flat_map(Key::variables).enumerate() {
        let mode = if variable.only == Some(Mode::Sentinel) { "sentinel" } else { "server" };
        // A fifth of them for each name, another fifth for the next: all of them for most settings, in a moment.
        for value in nonsense.iter().skip(n % 5).step_by(5) {
            let Ok(loaded) = machine(&[("REDINIT_MODE", mode), (&variable.name, value)]).load() else { continue };
            let settings = loaded.settings;
            assert!(settings.quorum > 0 && settings.port > 0 && !settings.name.is_empty());
            assert!(settings.failover_timeout >= settings.down_after * 2, "{}={value}", variable.name);
        }
    }
}

#[test]
fn a_value_is_shown_on_one_line_and_cut() {
    let long = "x\n".repeat(500);
    let errors = machine(&[("REDINIT_DURABILITY", &long)]).errors();
    assert_eq!(errors.len(), 1);
    assert!(errors[0].len() < 400 && !errors[0].contains('\n'), "{errors:?}");
}
