//! The list of scenarios: what is said to be shown has a test of that name there.

use std::collections::BTreeSet;

use super::files::{quoted, table, text, under};

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
fn what_is_guaranteed_is_shown_by_tests_of_those_names() {
    let guarantees = text("docs/guarantees.md");
    let listed: BTreeSet<String> = table(&text("docs/how-it-decides.md"), "## Scenarios")
        .iter()
        .filter(|row| row.iter().skip(2).any(|cell| cell == "yes"))
        .flat_map(|row| row[0].split(", ").map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let tests: BTreeSet<String> = ["tests", "src"]
        .iter()
        .flat_map(|folder| under(folder, ".rs"))
        .flat_map(|file| names_in(&text(&file)))
        .collect();
    let named = |line: &str| quoted(line).filter(|word| is_name(word)).map(str::to_owned).collect::<Vec<_>>();
    let gone: Vec<String> = guarantees.lines().flat_map(named).filter(|name| !tests.contains(name)).collect();
    assert!(gone.is_empty(), "no such test: {gone:?}");
    let mut promised = 0;
    for row in guarantees.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| promised")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [what, list, limit, by] = cells[..] else { panic!("four columns: {row}") };
        let by = named(by);
        assert!(!by.is_empty() && !limit.is_empty(), "no test or no limit: {what}");
        for id in list.split(", ").filter(|id| *id != "-") {
            assert!(listed.contains(id), "{id} is promised and shown nowhere");
            assert!(by.iter().any(|name| ids_of(name).contains(id)), "none of {by:?} is of {id}");
        }
        promised += 1;
    }
    assert!(promised > 50, "only {promised} promises found");
    let ids = guarantees
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| is_id(&word.to_lowercase()) && word.starts_with(|c: char| c.is_ascii_uppercase()));
    for id in ids {
        assert!(listed.contains(id), "{id} is named and shown nowhere");
    }
}

fn ids(folders: &[&str]) -> BTreeSet<String> {
    folders.iter().flat_map(|folder| under(folder, ".rs")).flat_map(|file| ids_in(&text(&file))).collect()
}

/// The ids at the beginning of every function's name.
fn ids_in(code: &str) -> BTreeSet<String> {
    names_in(code).iter().flat_map(|name| ids_of(name)).collect()
}

/// Every function's name.
fn names_in(code: &str) -> BTreeSet<String> {
    let names = code.lines().filter_map(|line| line.trim().split_once("fn ").map(|(_, rest)| rest));
    names.filter_map(|rest| rest.split(['(', '<']).next()).map(str::to_owned).collect()
}

/// The ids that a test's name begins with.
fn ids_of(name: &str) -> BTreeSet<String> {
    name.split('_').take_while(|word| is_id(word)).map(str::to_uppercase).collect()
}

/// Words joined as a test's name is, not a setting.
fn is_name(word: &str) -> bool {
    word.matches('_').count() > 1 && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// A letter and a number.
fn is_id(word: &str) -> bool {
    let digits = word.strip_prefix(|c: char| c.is_ascii_lowercase());
    digits.is_some_and(|digits| !digits.is_empty() && digits.len() < 3 && digits.chars().all(|c| c.is_ascii_digit()))
}
