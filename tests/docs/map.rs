//! `ARCHITECTURE.md` is the map of the house; and the rule that it states first.

use std::collections::BTreeSet;

use super::files::{quoted, root, text, under};

#[test]
fn every_path_on_the_map_exists() {
    let map = text("ARCHITECTURE.md");
    let places = ["src/", "tests/", "conf/", "docs/", "benches/"];
    let named: BTreeSet<&str> = map
        .lines()
        .flat_map(quoted)
        .flat_map(|quote| quote.split_whitespace())
        .filter(|word| places.iter().any(|place| word.starts_with(place)))
        .collect();
    let gone: Vec<_> = named.iter().filter(|path| !root().join(path).exists()).collect();
    assert!(gone.is_empty(), "gone: {gone:?}");
    assert!(named.len() > 100, "only {} paths found", named.len());
}

#[test]
fn every_file_and_folder_of_src_is_on_the_map() {
    let map = text("ARCHITECTURE.md");
    let named: BTreeSet<&str> = map.lines().flat_map(quoted).collect();
    let files = under("src", "");
    let missing: Vec<_> = files.iter().filter(|file| !named.contains(file.as_str())).collect();
    assert!(missing.is_empty(), "not in ARCHITECTURE.md: {missing:?}");
    let folders: BTreeSet<&str> = files.iter().filter_map(|file| file.rsplit_once('/')).map(|(dir, _)| dir).collect();
    let missing: Vec<_> = folders.iter().filter(|folder| !map.contains(&format!("`{folder}"))).collect();
    assert!(missing.is_empty(), "not in ARCHITECTURE.md: {missing:?}");
}

/// What of the standard library and of other crates it must not use: `src/core/tests/purity.rs`.
#[test]
fn the_core_takes_nothing_from_other_parts() {
    let mut seen = Vec::new();
    for file in under("src/core", ".rs") {
        for (number, line) in text(&file).lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if code.contains("crate::") && !code.contains("crate::core") {
                seen.push(format!("{file}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(seen.is_empty(), "the core knows of nobody:\n{}", seen.join("\n"));
}
