//! Links.

use std::path::Path;

use super::files::{documents, prose, root, text};

#[test]
fn every_link_leads_somewhere() {
    let mut broken = Vec::new();
    let mut followed = 0;
    for document in documents() {
        for (number, line) in prose(&text(&document)).into_iter().map(|(n, l)| (n, l.to_owned())) {
            for target in targets(&line) {
                followed += 1;
                if let Some(why) = trouble(&document, target) {
                    broken.push(format!("{document}:{number}: {target}: {why}"));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(followed > 20, "only {followed} links found: is this test still reading them?");
}

#[test]
fn every_document_is_whole() {
    for document in documents() {
        let text = text(&document);
        let fences = text.lines().filter(|line| line.starts_with("```")).count();
        assert!(fences % 2 == 0, "{document}: a code block is not closed");
        // In pieces, so that this line is no such path itself.
        let paths = [concat!("/", "root/"), concat!("/", "home/"), concat!("/", "work/")];
        for word in ["@@", "TODO", "FIXME", "issue 6"].into_iter().chain(paths) {
            assert!(!text.contains(word), "{document} holds {word}");
        }
    }
}

/// What `](..)` points to.
fn targets(line: &str) -> Vec<&str> {
    line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target).collect()
}

fn trouble(document: &str, target: &str) -> Option<String> {
    if target.contains("://") {
        return None;
    }
    let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
    let folder = Path::new(document).parent().unwrap_or(Path::new(""));
    let file = if path.is_empty() { Path::new(document).to_owned() } else { folder.join(path) };
    let file = root().join(file);
    if !file.exists() {
        return Some("no such file".into());
    }
    let anchor = anchor?;
    let text = std::fs::read_to_string(&file).ok()?;
    let known = prose(&text).iter().any(|(_, line)| line.starts_with('#') && slug(line) == anchor);
    (!known).then(|| "no such heading".into())
}

/// A heading's anchor, as GitHub makes it.
fn slug(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
    words.chars().filter(|c| c.is_alphanumeric() || *c == '-' || *c == '_').collect()
}
