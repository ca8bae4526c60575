//! Names that documents use: settings and their variables.

use std::collections::BTreeSet;

use redinit::config::keys::KEYS;

use super::files::{documents, text};

#[test]
fn every_variable_in_a_document_is_a_setting() {
    let known: BTreeSet<String> = KEYS
        .iter()
        .map(|key| format!("REDINIT_{}", key.key.to_uppercase().replace('.', "_")))
        .chain(KEYS.iter().flat_map(|key| key.others).map(|other| other.name.to_owned()))
        .collect();
    let mut unknown = Vec::new();
    for document in documents() {
        for name in variables(&text(&document)) {
            let bare = name.strip_suffix("_FILE").unwrap_or(&name);
            if !known.contains(&name) && !known.contains(bare) {
                unknown.push(format!("{document}: {name}"));
            }
        }
    }
    assert!(unknown.is_empty(), "{}", unknown.join("\n"));
}

#[test]
fn every_setting_is_in_the_reference() {
    let reference = text("docs/settings.md");
    for key in KEYS {
        assert!(reference.contains(&format!("## `{}`", key.key)), "docs/settings.md lacks {}", key.key);
    }
}

/// `REDINIT_..` in a text, whole words. `REDINIT_*` is none.
fn variables(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))
        .filter(|word| word.starts_with("REDINIT_") && word.len() > "REDINIT_".len())
        .map(str::to_owned)
        .collect()
}

/// Two shapes in one network have two master names: Sentinels of one name become one group when an address passes.
#[test]
fn shapes_without_a_password_have_master_names_of_their_own() {
    let given = |file: &str, before: &str| {
        let text = text(file);
        let after =
            text.split("REDINIT_MASTER_NAME").nth(1).and_then(|rest| rest.split(before).nth(1)).map(str::to_owned);
        after.map_or("mymaster".to_owned(), |rest| rest.lines().next().unwrap_or_default().trim().to_owned())
    };
    let names = [
        ("examples/compose/compose.yaml", ":"),
        ("examples/kubernetes/statefulset.yaml", "value:"),
        ("examples/kubernetes/deployment.yaml", "value:"),
    ]
    .map(|(file, before)| given(file, before));
    assert_eq!(names, ["compose", "redis", "mymaster"], "as docs/docker.md and docs/kubernetes.md give them");
    assert!(text("docs/docker.md").contains("get-master-addr-by-name compose"));
    assert!(
        text("docs/kubernetes.md")
            .contains("`redis-sentinel:26379`, master name `redis` | `redis-sentinel-service:26379`, `mymaster`")
    );
}
