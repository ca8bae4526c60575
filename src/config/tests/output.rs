//! `config check`, `config show`, and the reference.

use std::path::Path;

use crate::config::fake::machine;
use crate::config::keys::KEYS;
use crate::config::{check, reference, show};

#[test]
fn check_says_ok_or_everything() {
    assert_eq!(check(&machine(&[])).as_deref(), Ok("ok\n"));
    let warned = check(&machine(&[("X_SERVICE_HOST", "1.1.1.1")])).unwrap_or_default();
    assert!(warned.starts_with("warning: 1 service link") && warned.ends_with("\nok\n"), "{warned}");
    let errors =
        check(&machine(&[("REDINIT_QUORUM", "0"), ("REDINIT_PORT", "0")])).map_err(|errors| errors.to_string());
    assert_eq!(errors.map_err(|text| text.lines().count()), Err(2));
}

#[test]
fn j5_show_has_every_setting_and_no_secret() {
    let env = machine(&[
        ("REDIS_PASSWORD", "hunter2"),
        ("REDINIT_QUORUM", "3"),
        ("REDIS_EXTRA_FLAGS", "--requirepass hunter2 --maxclients 9 --masterauth hunter2"),
    ]);
    let text = show(&env.load().unwrap_or_else(|errors| unreachable!("{errors}")));
    assert!(!text.contains("hunter2"), "{text}");
    let row = |key: &str| -> Vec<&str> {
        let line = text.lines().find(|line| line.split_whitespace().next() == Some(key));
        line.unwrap_or_else(|| unreachable!("{key} is not in\n{text}")).split_whitespace().collect()
    };
    for key in KEYS {
        assert!(row(key.key).len() >= 3, "{}", key.key);
    }
    assert_eq!(row("password"), ["password", "(set)", "REDIS_PASSWORD"]);
    assert_eq!(row("sentinel_password"), ["sentinel_password", "(not", "set)", "default"]);
    assert_eq!(row("quorum"), ["quorum", "3", "REDINIT_QUORUM"]);
    assert!(text.contains("--requirepass (set) --maxclients 9 --masterauth (set)"), "{text}");
}

#[test]
fn settings_reference_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/settings.md");
    let page = reference();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(there == page, "docs/settings.md is not what the code says: UPDATE_DOCS=1 cargo test settings_reference");
    for key in KEYS {
        assert!(
            crate::config::reference::documented(key.key).is_some_and(|(words, _)| !words.is_empty()),
            "{}",
            key.key
        );
    }
}
