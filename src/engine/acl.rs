//! Who may do what in the child (design section 4, "Who is who on the wire").

use super::lines::Line;
use super::secret::{ChildPassword, password_rule};

/// A `user` line, word by word: the configuration quotes words, an ACL file must not.
pub type User = Vec<String>;

/// The gate: refused to everybody but us (invariant 3). `FAILOVER` beside Sentinel is a 32 s outage.
const GATE: [&str; 3] = ["-slaveof", "-replicaof", "-failover"];

/// All that a failover needs (measured, facts section 12). `client|kill` never without `multi`: alone it cut every
/// client of the chosen replica. The last four only keep the engine's ACL log quiet.
const SENTINEL: &str = "resetkeys resetchannels &__sentinel__:hello -@all +ping +info +publish +subscribe +multi \
    +exec +client|setname +client|kill +config|rewrite +script|kill";

/// The `user` lines of a server: the user's own behind the gate, Sentinel's, ours.
pub fn of_server(own: &[Line], password: Option<&str>, child: &ChildPassword) -> Vec<User> {
    let mut users = merged(own, password, &GATE);
    let login = password.map_or_else(|| "nopass".to_owned(), password_rule);
    users.push(words(&format!("user sentinel reset on {login} {SENTINEL}")));
    users.push(ours(child));
    users
}

/// The `user` lines of a Sentinel: the user's own, and ours.
pub fn of_sentinel(own: &[Line], password: Option<&str>, child: &ChildPassword) -> Vec<User> {
    let mut users = merged(own, password, &[]);
    users.push(ours(child));
    users
}

fn ours(child: &ChildPassword) -> User {
    words(&format!("user redinit reset on {} ~* &* +@all", child.rule()))
}

fn words(line: &str) -> User {
    line.split_whitespace().map(str::to_owned).collect()
}

fn merged(own: &[Line], password: Option<&str>, last: &[&str]) -> Vec<User> {
    let mut users = Vec::new();
    let is_default = |line: &&Line| line.values.first().is_some_and(|name| name == "default");
    let rules_of = |line: &Line| rules(line.values.get(1..).unwrap_or_default(), last);
    let default = own.iter().find(is_default);
    let mut rules = match default {
        Some(line) => rules_of(line),
        None => ["on", "nopass", "~*", "&*", "+@all"].map(str::to_owned).to_vec(),
    };
    // A password takes `nopass` away.
    rules.extend(password.map(password_rule));
    users.push(user("default", &rules, last));
    for line in own.iter().filter(|line| !is_default(line)) {
        if let Some(name) = line.values.first() {
            users.push(user(name, &rules_of(line), last));
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

    #[test]
    fn every_user_but_ours_stands_behind_the_gate() {
        let child = ChildPassword::random().expect("random");
        let own = [line("app on >pw +@all ~*"), line("sel on nopass (+@all ~*) -@all (+get)")];
        let users = texts(of_server(&own, None, &child));
        assert_eq!(users.len(), 5);
        assert!(users[0].starts_with("user default on nopass ~* &* +@all") && users[0].ends_with("-failover"));
        assert!(users[1].contains(&password_rule("pw")) && !users[1].contains(">pw"));
        assert_eq!(users[2].matches("-replicaof").count(), 3, "{}", users[2]);
        assert!(users[4].starts_with("user redinit") && !users[4].contains("-replicaof"));
    }

    #[test]
    fn a_password_belongs_to_default_and_to_sentinel() {
        let child = ChildPassword::random().expect("random");
        let users = texts(of_server(&[line("default on ~app:* +@read")], Some("secret"), &child));
        let hash = password_rule("secret");
        assert!(users[0].starts_with(&format!("user default on ~app:* +@read {hash} -slaveof")), "{}", users[0]);
        assert!(users[1].starts_with(&format!("user sentinel reset on {hash} ")) && !users[1].contains("nopass"));
        assert!(users.iter().all(|user| !user.contains(child.plain())));
    }
}
