//! What of our environment a child may see: no secret (invariant 10), and nothing that speaks to an init of its own.

use std::ffi::{OsStr, OsString};

/// Parts of a name that give a secret, or the way to one, away. `PASS` alone would take `PASSENGER_..` along; that is
/// harmless, a password that slips through is not.
const TELLING: [&str; 9] =
    ["PASS", "SECRET", "TOKEN", "CREDENTIAL", "AUTH", "PRIVATE", "API_KEY", "APIKEY", "ACCESS_KEY"];

/// Meant for us, not for the child: with them the engine would report to our own service manager.
const FOR_US_ONLY: [&str; 5] = ["NOTIFY_SOCKET", "UPSTART_JOB", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"];

/// The names to remove from what a child inherits.
pub(super) fn removed(environment: impl Iterator<Item = (OsString, OsString)>) -> Vec<OsString> {
    environment.filter(|(name, value)| must_go(name, value)).map(|(name, _)| name).collect()
}

fn must_go(name: &OsStr, value: &OsStr) -> bool {
    let name = name.to_string_lossy().to_ascii_uppercase();
    TELLING.iter().any(|part| name.contains(part))
        || FOR_US_ONLY.contains(&name.as_str())
        || holds_credentials(&value.to_string_lossy())
}

/// `redis://user:secret@host`, also inside a list.
fn holds_credentials(value: &str) -> bool {
    value.split("://").skip(1).any(|rest| {
        let authority = rest.split(['/', ',', ' ', '?', '#']).next().unwrap_or_default();
        authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goes(name: &str, value: &str) -> bool {
        must_go(OsStr::new(name), OsStr::new(value))
    }

    #[test]
    fn secrets_by_name_are_removed() {
        for name in [
            "REDIS_PASSWORD",
            "REDIS_PASSWORD_FILE",
            "VALKEY_MASTER_PASSWORD",
            "REDISCLI_AUTH",
            "redis_pass",
            "SENTINEL_AUTH_PASS",
            "VAULT_TOKEN",
            "AWS_SECRET_ACCESS_KEY",
            "REDIS_TLS_KEY_FILE_PASS",
        ] {
            assert!(goes(name, "x"), "{name}");
        }
    }

    #[test]
    fn secrets_by_value_are_removed() {
        assert!(goes("REDIS_URL", "redis://:pw@10.0.0.1:6379/0"));
        assert!(goes("SEEDS", "redis://a:1,redis://u:pw@b:1"));
        assert!(!goes("REDIS_SERVER_PORT", "tcp://10.96.3.4:6379"));
        assert!(!goes("PROXY", "http://user@proxy:3128/a:b@c"));
    }

    #[test]
    fn the_rest_stays() {
        for (name, value) in
            [("PATH", "/bin"), ("TZ", "UTC"), ("LANG", "C.UTF-8"), ("MALLOC_CONF", "a:b"), ("HOME", "/")]
        {
            assert!(!goes(name, value), "{name}");
        }
        assert!(goes("NOTIFY_SOCKET", "/run/systemd/notify"));
    }
}
