//! Who may do what in the child (design section 4, "Who is who on the wire").

use super::lines::Line;
use super::own_config::OwnConfig;
use super::secret::{ChildPassword, password_rule};
use crate::core::cluster::ClusterTag;

/// A `user` line, word by word: the configuration quotes words, an ACL file must not.
pub type User = Vec<String>;

/// The gate: refused to everybody but us (invariant 3). `FAILOVER` beside Sentinel is a 32 s outage.
const GATE: [&str; 3] = ["-slaveof", "-replicaof", "-failover"];

/// Who may open a replication stream has the data, and a handshake of it changes a replica's role: replication has a user
/// of its own, and whoever is not named as another one is refused.
const STREAM: [&str; 2] = ["-psync", "-sync"];

/// Replication's own user.
pub const REPLICATION: &str = "redinit-replication";

/// Replication's user of this cluster: another cluster's servers know no such user.
pub fn replication_of(tag: &ClusterTag) -> String {
    format!("{REPLICATION}-{tag}")
}

/// A name of ours.
pub fn is_redinits_own(name: &str) -> bool {
    matches!(name, "redinit" | "sentinel") || name.starts_with(REPLICATION)
}

/// What `ACL SETUSER` makes that one with.
pub fn replication_rules(password: &str) -> Vec<String> {
    words(&format!("reset on {} {REPLICATION_RIGHTS}", password_rule(password)))
}

/// All that a replica sends once it has logged in; `sync` by the second connection of Valkey's dual channel (measured).
const REPLICATION_RIGHTS: &str = "resetkeys resetchannels -@all +psync +sync +replconf";

/// The name that everybody has who gives a password alone.
const DEFAULT: &str = "default";

/// All that a failover needs (measured, facts section 12). `client|kill` never without `multi`: alone it cut every
/// client of the chosen replica. The last four only keep the engine's ACL log quiet.
const SENTINEL: &str = "resetkeys resetchannels &__sentinel__:hello -@all +ping +info +publish +subscribe +multi \
    +exec +client|setname +client|kill +config|rewrite +script|kill";

/// Who logs in with what, on a server.
#[derive(Clone, Copy, Debug)]
pub struct Logins<'a> {
    /// The cluster's password, where one is set.
    pub password: Option<&'a str>,
    /// Replication's, derived from it; `None` where there is nothing to derive it from.
    pub replication: Option<&'a str>,
    /// Our own in the child.
    pub child: &'a ChildPassword,
}

/// The `user` lines of a server: the user's own behind the gate, Sentinel's, replication's, ours. Who is in `replicas` may
/// open a replication stream, as far as the user's own rules let it.
pub fn of_server(own: &[Line], logins: Logins, replicas: &[String]) -> Vec<User> {
    let gate = |name: &str| match replicas.iter().any(|other| other == name) {
        true => GATE.to_vec(),
        false => [&GATE[..], &STREAM[..]].concat(),
    };
    let mut users = merged(own, logins.password, gate);
    let login = logins.password.map_or_else(|| "nopass".to_owned(), password_rule);
    users.push(words(&format!("user sentinel reset on {login} {SENTINEL}")));
    let login = match logins.replication {
        Some(password) => format!("on {}", password_rule(password)),
        // No door beside one that the user has locked.
        None if is_open(own) => "on nopass".to_owned(),
        None => "off".to_owned(),
    };
    users.push(words(&format!("user {REPLICATION} reset {login} {REPLICATION_RIGHTS}")));
    users.push(ours(logins.child));
    users
}

/// The `user` lines of a Sentinel: the user's own, and ours.
pub fn of_sentinel(own: &[Line], password: Option<&str>, child: &ChildPassword) -> Vec<User> {
    let mut users = merged(own, password, |_| Vec::new());
    users.push(ours(child));
    users
}

/// Those beside replication's own user that may open a replication stream: the settings' and the one of `masteruser`.
pub fn replicas(own: &OwnConfig, settings: &[String]) -> Vec<String> {
    settings.iter().cloned().chain(own.masteruser.clone()).collect()
}

/// Whether `default` would be a replication user, had it no gate: a redinit of an earlier version and bare servers come as
/// that one. Doubt is a no: with rules of the user's own it is let in only where they say so plainly.
pub fn default_replicates(own: &[Line]) -> bool {
    let line = own.iter().find(|line| line.values.first().is_some_and(|name| name == DEFAULT));
    let Some(rules) = line.and_then(|line| line.values.get(1..)) else { return true };
    let any = |words: &[&str]| rules.iter().any(|rule| words.contains(&rule.to_lowercase().as_str()));
    let taken = ["off", "-psync", "-@all", "-@slow", "-@admin", "-@dangerous", "nocommands"];
    any(&["+psync"]) || any(&["+@all", "allcommands"]) && !any(&taken)
}

/// Everybody may log in as `default`.
pub fn is_open(own: &[Line]) -> bool {
    let line = own.iter().find(|line| line.values.first().is_some_and(|name| name == DEFAULT));
    line.is_none_or(|line| line.values.iter().any(|rule| rule == "nopass"))
}

fn ours(child: &ChildPassword) -> User {
    words(&format!("user redinit reset on {} ~* &* +@all", child.rule()))
}

fn words(line: &str) -> User {
    line.split_whitespace().map(str::to_owned).collect()
}

fn merged(own: &[Line], password: Option<&str>, last: impl Fn(&str) -> Vec<&'static str>) -> Vec<User> {
    let mut users = Vec::new();
    let name_of = |line: &Line| line.values.first().cloned().unwrap_or_default();
    let is_default = |line: &&Line| name_of(line) == DEFAULT;
    let rules_of = |line: &Line| rules(line.values.get(1..).unwrap_or_default(), &last(&name_of(line)));
    let default = own.iter().find(is_default);
    let mut rules = match default {
        Some(line) => rules_of(line),
        None => ["on", "nopass", "~*", "&*", "+@all"].map(str::to_owned).to_vec(),
    };
    // A password takes `nopass` away.
    rules.extend(password.map(password_rule));
    users.push(user(DEFAULT, &rules, &last(DEFAULT)));
    for line in own.iter().filter(|line| !is_default(line)) {
        if let Some(name) = line.values.first() {
            users.push(user(name, &rules_of(line), &last(name)));
        }
    }
    users
}

fn user(name: &str, rules: &[String], last: &[&str]) -> User {
    let mut words = vec!["user".to_owned(), name.to_owned()];
    words.extend(rules.iter().cloned());
    words.extend(last.iter().map(|rule| (*rule).to_owned()));
    words
}

/// A user's rules: passwords as hashes, and the gate inside each selector of Redis 7 (`(+@all ~*)`) too.
fn rules(words: &[String], last: &[&str]) -> Vec<String> {
    let mut rules = Vec::new();
    let mut in_selector = false;
    for word in words {
        in_selector |= word.starts_with('(');
        match (in_selector.then(|| word.strip_suffix(')')).flatten(), word.strip_prefix('>'), word.strip_prefix('<')) {
            (Some(end), _, _) => {
                in_selector = false;
                let mut inner: User = Some(end.to_owned()).filter(|end| !end.is_empty()).into_iter().collect();
                inner.extend(last.iter().map(|rule| (*rule).to_owned()));
                if let Some(end) = inner.last_mut() {
                    end.push(')');
                }
                rules.extend(inner);
            }
            (None, Some(password), _) if !in_selector => rules.push(password_rule(password)),
            (None, _, Some(password)) if !in_selector => rules.push(password_rule(password).replacen('#', "!", 1)),
            _ => rules.push(word.clone()),
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(users: Vec<User>) -> Vec<String> {
        users.iter().map(|user| user.join(" ")).collect()
    }

    fn line(text: &str) -> Line {
        let values = text.split(' ').map(str::to_owned).collect();
        Line { place: "f:1".into(), name: "user".into(), values, raw: String::new() }
    }

    const DERIVED: &str = "derived";

    fn users(own: &[Line], password: Option<&str>, replicas: &[&str]) -> Vec<String> {
        let child = ChildPassword::random().expect("random");
        let replicas: Vec<String> = replicas.iter().map(|name| (*name).to_owned()).collect();
        let replication = password.map(|_| DERIVED);
        let users = texts(of_server(own, Logins { password, replication, child: &child }, &replicas));
        assert!(users.iter().all(|user| !user.contains(child.plain())));
        users
    }

    #[test]
    fn every_user_but_ours_stands_behind_the_gate() {
        let own = [line("app on >pw +@all ~*"), line("sel on nopass (+@all ~*) -@all (+get)")];
        let users = users(&own, None, &[]);
        assert_eq!(users.len(), 6);
        assert!(users[0].starts_with("user default on nopass ~* &* +@all") && users[0].contains("-failover"));
        assert!(users[1].contains(&password_rule("pw")) && !users[1].contains(">pw"));
        assert_eq!(users[2].matches("-replicaof").count(), 3, "{}", users[2]);
        assert!(users[5].starts_with("user redinit ") && !users[5].contains("-replicaof"));
    }

    #[test]
    fn replication_is_refused_to_everybody_but_its_own_user_and_those_named() {
        let own = [line("app on >pw +@all ~*"), line("sel on nopass (+@all ~*)"), line("backup on >pw +psync")];
        for (replicas, may) in [(&[][..], &[][..]), (&["backup"], &["backup"]), (&["default"], &["default"])] {
            for user in users(&own, Some("secret"), replicas) {
                let name = user.split(' ').nth(1).unwrap_or_default();
                let expected = match name {
                    "redinit" | REPLICATION | "sentinel" => continue,
                    "sel" => 2,
                    name => usize::from(!may.contains(&name)),
                };
                assert_eq!(user.matches("-psync").count(), expected, "{user}");
                assert_eq!(user.matches("-sync").count(), expected, "{user}");
                assert!(user.contains("-replicaof"), "{user}");
            }
        }
        let of = |password| users(&[], password, &[])[2].clone();
        let rights = "resetkeys resetchannels -@all +psync +sync +replconf";
        let rule = password_rule(DERIVED);
        assert_eq!(of(Some("secret")), format!("user redinit-replication reset on {rule} {rights}"));
        assert_eq!(of(None), format!("user redinit-replication reset on nopass {rights}"));
        // Locked by rules of the user's own, and nothing to derive a password from.
        let locked = users(&[line("default on >pw ~* +@all")], None, &[]);
        assert_eq!(locked[2], format!("user redinit-replication reset off {rights}"));
    }

    #[test]
    fn default_is_a_replication_user_of_old_only_where_its_rules_plainly_say_so() {
        for (rules, may) in [
            (None, true),
            (Some("default on >pw ~* &* +@all"), true),
            (Some("default on nopass allcommands allkeys"), true),
            (Some("default off"), false),
            (Some("default on ~app:* +@read"), false),
            (Some("default on +@all -@dangerous"), false),
            (Some("default on -@all +psync +replconf"), true),
        ] {
            let own: Vec<Line> = rules.map(line).into_iter().collect();
            assert_eq!(default_replicates(&own), may, "{rules:?}");
        }
    }

    #[test]
    fn a_password_belongs_to_default_and_to_sentinel() {
        let users = users(&[line("default on ~app:* +@read")], Some("secret"), &[]);
        let hash = password_rule("secret");
        assert!(users[0].starts_with(&format!("user default on ~app:* +@read {hash} -slaveof")), "{}", users[0]);
        assert!(users[1].starts_with(&format!("user sentinel reset on {hash} ")) && !users[1].contains("nopass"));
        assert!(!users[2].contains(&hash), "replication's is another: {}", users[2]);
    }
}
