//! `docs/runbook.md` has every line that redinit says of what it decides and of what is wrong, and no other.

use std::collections::{BTreeMap, BTreeSet};

use super::files::{table, text, under};
use super::phrases::literals;

/// The parts that say nothing a person meets in a log, a probe or an answer: tests, the demo, and usage errors.
const SILENT: [&str; 7] = ["src/demo/", "src/cli/", "/tests", "tests.rs", "_test.rs", "testing.rs", "fake.rs"];
/// Whatever words stand in these is said.
const ALL_OF: [&str; 7] = [
    "src/core/",
    "src/api/client.rs",
    "src/api/probe.rs",
    "src/api/progress.rs",
    "src/discovery/mod.rs",
    "src/engine/keep.rs",
    "src/telemetry/line.rs",
];
/// Elsewhere, what stands in one of these: log lines, errors, complaints, refused orders.
const SPEAK: [&str; 6] = ["info!", "warn!", "error!", "error", "say", "Refused"];
/// And in one of these, there.
const SPEAK_THERE: [(&str, &[&str]); 3] =
    [("src/api/table.rs", &["push", "then", "Some"]), ("src/config/", &["warnings.push"]), ("src/main.rs", &["print"])];
/// Names of things within a line that has a row.
const NO_LINES: [&str; 11] = [
    "CONFIG SET masteruser",
    "CONFIG SET min-replicas-to-write",
    "CONFIG SET port",
    "CONFIG SET replica-priority",
    "CONFIG SET shutdown-timeout",
    "Sentinel ..",
    "a signal",
    "an examination",
    "an order",
    "not known",
    "replica ..",
];

/// What cannot be undone.
const DESTROYS: [&str; 4] = ["empty this volume", "remove this file", "--fix", "truncate"];

#[test]
fn whatever_destroys_data_is_advised_with_a_copy_before_it() {
    let lines: Vec<String> = said().into_keys().chain(rows()).collect();
    let destroying: Vec<&String> =
        lines.iter().filter(|line| DESTROYS.iter().any(|word| line.contains(word))).collect();
    assert!(destroying.len() > 4, "{destroying:?}");
    let copies = |line: &&&String| {
        let first = DESTROYS.iter().filter_map(|word| line.find(word)).min();
        line.find("copy").zip(first).is_none_or(|(copy, first)| copy >= first)
    };
    let bare: Vec<&&String> = destroying.iter().filter(copies).collect();
    assert!(bare.is_empty(), "no copy before it: {bare:#?}");
}

#[test]
fn the_runbook_has_every_line_and_no_other() {
    let said = said();
    let rows: Vec<String> = rows();
    let known: BTreeSet<&str> = rows.iter().map(String::as_str).collect();
    assert!(
        said.len() > 250 && rows.len() == known.len(),
        "{} lines, {} rows, {} different",
        said.len(),
        rows.len(),
        known.len()
    );
    let missing: Vec<String> = said
        .iter()
        .filter(|(line, _)| !known.contains(line.as_str()) && !NO_LINES.contains(&line.as_str()))
        .map(|(line, file)| format!("{line}    ({file})"))
        .collect();
    assert!(missing.is_empty(), "docs/runbook.md lacks:\n{}", missing.join("\n"));
    let stale: Vec<&&str> = known.iter().chain(&NO_LINES).filter(|line| !said.contains_key(**line)).collect();
    assert!(stale.is_empty(), "nobody says: {stale:#?}");
}

#[test]
fn the_runbook_s_lines_are_in_order() {
    let rows = rows();
    let wrong = rows.windows(2).find(|two| key(&two[0]) > key(&two[1]));
    assert!(wrong.is_none(), "not in alphabetical order: {wrong:?}");
}

/// What is filled in at its beginning does not count, nor do signs.
fn key(line: &str) -> String {
    line.to_lowercase().chars().filter(|c| c.is_ascii_alphanumeric() || *c == ' ').collect::<String>().trim().to_owned()
}

/// The lines that the runbook explains.
fn rows() -> Vec<String> {
    let rows = table(&text("docs/runbook.md"), "<!-- lines -->");
    rows.iter().map(|row| code(&row[0]).to_owned()).collect()
}

/// What stands between back-ticks, one or two on each side.
fn code(cell: &str) -> &str {
    let ticks = if cell.starts_with("``") { "``" } else { "`" };
    let inner = cell.strip_prefix(ticks).and_then(|rest| rest.strip_suffix(ticks));
    inner.unwrap_or_else(|| panic!("no line in {cell:?}")).trim()
}

/// The lines in the source, and where.
fn said() -> BTreeMap<String, String> {
    let mut said = BTreeMap::new();
    for file in under("src", ".rs").into_iter().filter(|file| SILENT.iter().all(|silent| !file.contains(silent))) {
        let all = ALL_OF.iter().any(|place| file.starts_with(place));
        let there = SPEAK_THERE.iter().find(|(place, _)| file.starts_with(place)).map_or(&[][..], |(_, names)| *names);
        for literal in literals(&text(&file)) {
            // What is wrong with a setting is told by the setting: `docs/settings.md`.
            let speaks = all || literal.is_in(there) || literal.is_in(&SPEAK) && !file.starts_with("src/config/");
            if speaks && (literal.is_phrase() || all && literal.whole && literal.text.len() > 3) {
                said.entry(literal.text).or_insert_with(|| file.clone());
            }
        }
    }
    said
}
