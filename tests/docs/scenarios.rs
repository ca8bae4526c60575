//! The list of scenarios: what is said to be shown has a test of that name there.

use std::collections::BTreeSet;

use super::files::{table, text, under};

#[test]
fn what_is_said_to_be_shown_has_a_test_with_that_id() {
    let real = ids(&["tests/scenarios", "tests/partition"]);
    let model = ids(&["tests/sim"]);
    let part = ids(&["tests/process", "tests/engine", "src"])
        .into_iter()
        .chain(ids_in(&text("tests/process_reaper.rs")))
        .chain(ids_in(&text("tests/engine_child.rs")))
        .collect::<BTreeSet<_>>();
    let rows = table(&text("docs/how-it-decides.md"), "## Scenarios");
    assert!(rows.len() > 40, "only {} rows found", rows.len());
    for row in rows {
        let [list, _, on_real, on_model, on_part] = row.as_slice() else { panic!("five columns: {row:?}") };
        for id in list.split(", ") {
            for (said, shown, where_) in
                [(on_real, &real, "real servers"), (on_model, &model, "the model"), (on_part, &part, "parts")]
            {
                assert!(["yes", "-"].contains(&said.as_str()), "{id}: {said}");
                assert!(said == "-" || shown.contains(id), "{id} is said to be shown on {where_}: no such test");
            }
        }
    }
}

#[test]
fn what_may_be_relied_on_is_shown_somewhere() {
    let document = text("docs/how-it-decides.md");
    let promises = document.split_once("## What you may rely on").unwrap().1.split_once("\n## ").unwrap().0;
    let listed: BTreeSet<String> = table(&document, "## Scenarios")
        .iter()
        .filter(|row| row.iter().skip(2).any(|cell| cell == "yes"))
        .flat_map(|row| row[0].split(", ").map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let named: Vec<&str> = promises
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| is_id(&word.to_lowercase()) && word.starts_with(|c: char| c.is_ascii_uppercase()))
        .collect();
    assert!(named.len() > 8, "{named:?}");
    for id in named {
        assert!(listed.contains(id), "{id} is promised and shown nowhere");
    }
}

fn ids(folders: &[&str]) -> BTreeSet<String> {
    folders.iter().flat_map(|folder| under(folder, ".rs")).flat_map(|file| ids_in(&text(&file))).collect()
}

/// The ids at the beginning of every function's name.
fn ids_in(code: &str) -> BTreeSet<String> {
    let names = code.lines().filter_map(|line| line.trim().split_once("fn ").map(|(_, rest)| rest));
    names.flat_map(|name| name.split(['_', '(']).take_while(|word| is_id(word)).map(str::to_uppercase)).collect()
}

/// A letter and a number.
fn is_id(word: &str) -> bool {
    let digits = word.strip_prefix(|c: char| c.is_ascii_lowercase());
    digits.is_some_and(|digits| !digits.is_empty() && digits.len() < 3 && digits.chars().all(|c| c.is_ascii_digit()))
}
