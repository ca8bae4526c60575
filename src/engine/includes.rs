//! The files that an `include` names, found as the engine finds them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// More files than this are refused, from one pattern and in all.
pub const FILES_LIMIT: usize = 256;

/// The files behind `named`, which may hold `*`, `?` and `[..]` in every part (Redis 7). Relative ones are looked for in `cwd`
/// as the engine does, then in `beside`. A pattern may fit nothing; a plain name that is not there is the reader's to tell.
pub fn targets(named: &Path, cwd: &Path, beside: &Path) -> io::Result<Vec<PathBuf>> {
    if !is_pattern(&named.to_string_lossy()) {
        let in_cwd = cwd.join(named);
        return Ok(vec![if in_cwd.exists() { in_cwd } else { beside.join(named) }]);
    }
    let found = expand(cwd, named)?;
    if found.is_empty() { expand(beside, named) } else { Ok(found) }
}

fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Part by part, sorted as `glob` does.
fn expand(from: &Path, named: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = vec![from.to_owned()];
    for part in named.components() {
        let part = part.as_os_str();
        let text = part.to_string_lossy();
        if !is_pattern(&text) {
            found = found.into_iter().map(|path| path.join(part)).filter(|path| path.exists()).collect();
            continue;
        }
        let mut next = Vec::new();
        for directory in &found {
            next.extend(fitting(directory, &text)?);
            if next.len() > FILES_LIMIT {
                return Err(io::Error::other(format!("more than {FILES_LIMIT} files fit {}", named.display())));
            }
        }
        found = next;
    }
    found.sort();
    Ok(found)
}

/// What there is in a directory of that pattern. One that cannot be read may hold what the engine would read.
fn fitting(directory: &Path, pattern: &str) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let pattern: Vec<char> = pattern.chars().collect();
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name: Vec<char> = entry.file_name().to_string_lossy().chars().collect();
        // A dot at the beginning is fitted by a dot only.
        let hidden = name.first() == Some(&'.') && pattern.first() != Some(&'.');
        if !hidden && fits(&pattern, &name) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Goes back to the last `*` only: never more than pattern times name.
fn fits(pattern: &[char], name: &[char]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut last_star: Option<(usize, usize)> = None;
    while let Some(c) = name.get(n) {
        if pattern.get(p) == Some(&'*') {
            last_star = Some((p, n));
            p += 1;
        } else if let Some(length) = one(pattern.get(p..).unwrap_or_default(), *c) {
            (p, n) = (p + length, n + 1);
        } else if let Some((star, from)) = last_star {
            (p, n) = (star + 1, from + 1);
            last_star = Some((star, from + 1));
        } else {
            return false;
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|c| *c == '*')
}

/// How much of the pattern fits this one sign.
fn one(pattern: &[char], c: char) -> Option<usize> {
    match pattern {
        ['?', ..] => Some(1),
        ['\\', escaped, ..] => (*escaped == c).then_some(2),
        ['[', set @ ..] => one_of(set, c).or((c == '[' && closing(set).is_none()).then_some(1)),
        [plain, ..] => (*plain == c).then_some(1),
        [] => None,
    }
}

/// Where the set ends; a `]` that comes first belongs to it.
fn closing(set: &[char]) -> Option<usize> {
    let first = usize::from(matches!(set, ['!' | '^', ..]));
    set.iter().enumerate().skip(first + 1).find(|(_, c)| **c == ']').map(|(at, _)| at)
}

fn one_of(set: &[char], c: char) -> Option<usize> {
    let end = closing(set)?;
    let inner = set.get(..end)?;
    let (negated, mut inner) = match inner {
        ['!' | '^', inner @ ..] => (true, inner),
        inner => (false, inner),
    };
    let mut within = false;
    loop {
        match inner {
            [low, '-', high, after @ ..] => {
                within |= (*low..=*high).contains(&c);
                inner = after;
            }
            [single, after @ ..] => {
                within |= *single == c;
                inner = after;
            }
            [] => break,
        }
    }
    // The bracket, the set, the closing one.
    (within != negated).then_some(end + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_as_glob_s_do() {
        let fit =
            |pattern: &str, name: &str| fits(&pattern.chars().collect::<Vec<_>>(), &name.chars().collect::<Vec<_>>());
        for (pattern, name) in [
            ("*", "a"),
            ("*", ""),
            ("a*c*e", "abcde"),
            ("*.conf", "x.conf"),
            ("a?c", "abc"),
            ("[ab]x", "bx"),
            ("[!ab]x", "cx"),
            ("[a-c]*", "beta"),
            ("[]]", "]"),
            ("a[", "a["),
            ("\\*", "*"),
            ("*[0-9][0-9].conf", "a-07.conf"),
        ] {
            assert!(fit(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("a*c*e", "abcd"),
            ("?", ""),
            ("[!ab]", "a"),
            ("[a-c]", "d"),
            ("*.conf", "x.conf.bak"),
            ("\\*", "a"),
            ("", "a"),
        ] {
            assert!(!fit(pattern, name), "{pattern} {name}");
        }
        let (stars, name) = (format!("{}b", "*a".repeat(200)), "a".repeat(5000));
        assert!(!fit(&stars, &name), "and not for ever");
    }

    #[test]
    fn every_part_may_be_a_pattern_and_hidden_files_are_left_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        for file in ["b/1.conf", "a/2.conf", "a/.3.conf", "a/4.txt", "c"] {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, "").expect("written");
        }
        let found = |named: &str| -> Vec<String> {
            let all = targets(Path::new(named), dir.path(), Path::new("/nowhere")).expect("read");
            all.iter().map(|path| path.strip_prefix(dir.path()).unwrap_or(path).display().to_string()).collect()
        };
        assert_eq!(found("*/*.conf"), ["a/2.conf", "b/1.conf"]);
        assert_eq!(found("[b-z]/?.conf"), ["b/1.conf"]);
        assert_eq!(found("c/*"), Vec::<String>::new());
        assert_eq!(found("none-*.conf"), Vec::<String>::new(), "nothing fits: nothing is included");
        assert_eq!(found("none.conf"), ["/nowhere/none.conf"]);
        assert_eq!(found(&format!("{}/a/*.conf", dir.path().display())), ["a/2.conf"], "absolute ones too");
    }
}
