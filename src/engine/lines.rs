//! The user's own engine configuration, line by line: a file with what it includes, and arguments in the forms that
//! the official images take (`/etc/redis.conf --appendonly yes`).

use std::fs;
use std::path::{Path, PathBuf};

use super::error::EngineError;
use super::files::read_text;
use super::words::{quote, split};

/// Files that include each other end here.
const DEPTH_LIMIT: usize = 8;
/// More lines than this are refused.
const LINES_LIMIT: usize = 20_000;

/// One directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// `/etc/redinit/redis.conf:12`, or the argument.
    pub place: String,
    /// Its name, in lower case.
    pub name: String,
    /// What follows.
    pub values: Vec<String>,
    /// As it was written.
    pub raw: String,
}

impl Line {
    /// The error that this line is, without its values (they may be secrets).
    pub fn error(&self, problem: impl Into<String>) -> EngineError {
        EngineError::Line { place: self.place.clone(), directive: self.name.clone(), problem: problem.into() }
    }

    /// Its only value.
    pub fn only(&self) -> Result<&str, EngineError> {
        match self.values.as_slice() {
            [value] => Ok(value),
            _ => Err(self.error("wants one value")),
        }
    }
}

/// Every line of `file` and of what it includes. Relative includes are looked for in `cwd` as the engine does, then
/// beside the file.
pub fn of_file(file: &Path, cwd: &Path) -> Result<Vec<Line>, EngineError> {
    let mut lines = Vec::new();
    read_into(&mut lines, file, cwd, 0)?;
    Ok(lines)
}

fn read_into(lines: &mut Vec<Line>, file: &Path, cwd: &Path, depth: usize) -> Result<(), EngineError> {
    let text = read_text(file).map_err(|error| EngineError::file("read", file, error))?;
    for (number, raw) in text.lines().enumerate() {
        let raw = raw.trim();
        if raw.is_empty() || raw.starts_with('#') {
            continue;
        }
        let line = parse(format!("{}:{}", file.display(), number + 1), raw)?;
        if line.name != "include" {
            lines.push(line);
        } else if depth == DEPTH_LIMIT {
            return Err(line.error("is nested too deeply: do files include each other?"));
        } else {
            for included in targets(&line, file, cwd)? {
                read_into(lines, &included, cwd, depth + 1)?;
            }
        }
        if lines.len() > LINES_LIMIT {
            return Err(EngineError::Line {
                place: file.display().to_string(),
                directive: "include".into(),
                problem: format!("brings more than {LINES_LIMIT} lines"),
            });
        }
    }
    Ok(())
}

fn parse(place: String, raw: &str) -> Result<Line, EngineError> {
    let (name, values) = match split(raw) {
        Some(words) => {
            let mut words = words.into_iter();
            (words.next().unwrap_or_default().to_lowercase(), words.collect())
        }
        None => {
            let name = raw.split_whitespace().next().unwrap_or_default().to_lowercase();
            return Err(EngineError::Line { place, directive: name, problem: "has unbalanced quotes".into() });
        }
    };
    Ok(Line { place, name, values, raw: raw.to_owned() })
}

/// The files that an `include` line names. A `*` in the last part stands for anything (Redis 7).
fn targets(line: &Line, file: &Path, cwd: &Path) -> Result<Vec<PathBuf>, EngineError> {
    let named = Path::new(line.only()?);
    let beside = file.parent().unwrap_or(cwd);
    let pattern = named.file_name().and_then(|name| name.to_str()).filter(|name| name.contains('*'));
    let Some((before, after)) = pattern.and_then(|pattern| pattern.split_once('*')) else {
        let in_cwd = cwd.join(named);
        return Ok(vec![if in_cwd.exists() { in_cwd } else { beside.join(named) }]);
    };
    let parent = named.parent().unwrap_or(Path::new(""));
    let directory = if cwd.join(parent).is_dir() { cwd.join(parent) } else { beside.join(parent) };
    let entries = fs::read_dir(&directory).map_err(|error| EngineError::file("read", &directory, error))?;
    let fits =
        |name: &str| name.starts_with(before) && name.ends_with(after) && name.len() >= before.len() + after.len();
    let mut found: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_str().is_some_and(fits))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    Ok(found)
}

/// Every line that engine arguments stand for: a leading file, then `--name value ..`.
pub fn of_arguments(args: &[String], cwd: &Path) -> Result<Vec<Line>, EngineError> {
    let mut lines: Vec<Line> = Vec::new();
    let argument = |number: usize, directive: &str, problem: &str| EngineError::Line {
        place: format!("engine argument {}", number + 1),
        directive: directive.to_owned(),
        problem: problem.to_owned(),
    };
    let mut current: Option<Line> = None;
    for (number, arg) in args.iter().enumerate() {
        if arg == "--sentinel" {
            continue;
        }
        if let Some(name) = arg.strip_prefix("--") {
            lines.extend(current.take());
            // `--port 6380` may come as one argument, or `--port=6380` by mistake.
            let line = parse(format!("engine argument {}", number + 1), name)?;
            if line.name.is_empty() || line.name.contains('=') {
                return Err(argument(number, &line.name, "is no directive; write `--name value`"));
            }
            current = Some(line);
        } else if let Some(line) = &mut current {
            let (raw, values) = value(&line.name, arg);
            line.raw.push(' ');
            line.raw.push_str(&raw);
            line.values.extend(values);
        } else if arg.starts_with('-') {
            return Err(argument(number, arg, "is not supported: configuration comes from files and `--name value`"));
        } else {
            lines.extend(of_file(&cwd.join(arg), cwd)?);
        }
    }
    lines.extend(current);
    Ok(lines)
}

/// `--save "60 1000"` is two values and `--requirepass "a b"` is one, whatever the engine's version.
fn value(name: &str, arg: &str) -> (String, Vec<String>) {
    const LISTS: [&str; 7] =
        ["save", "bind", "user", "client-output-buffer-limit", "oom-score-adj-values", "rename-command", "replicaof"];
    if LISTS.contains(&name) && !arg.trim().is_empty() {
        return (arg.to_owned(), arg.split_whitespace().map(str::to_owned).collect());
    }
    (quote(arg), vec![arg.to_owned()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(list: &[&str]) -> Result<Vec<Line>, EngineError> {
        of_arguments(&list.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>(), Path::new("/"))
    }

    #[test]
    fn arguments_come_in_the_official_forms() {
        let lines =
            args(&["--appendonly", "yes", "--save", "60 1000", "--requirepass", "a b", "--save", ""]).expect("ok");
        let raw: Vec<&str> = lines.iter().map(|line| line.raw.as_str()).collect();
        assert_eq!(raw, ["appendonly yes", "save 60 1000", "requirepass \"a b\"", "save \"\""]);
        assert_eq!(lines[1].values, ["60", "1000"]);
        assert!(args(&["-"]).is_err() && args(&["--port=6380"]).is_err() && args(&["--"]).is_err());
    }

    #[test]
    fn a_file_brings_its_includes_with_their_own_places() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        fs::write(at("a.conf"), "# c\nappendonly yes\ninclude b*.conf\nsave 1 1\n").expect("written");
        fs::write(at("b1.conf"), "MAXMEMORY 1mb\n").expect("written");
        fs::write(at("b2.conf"), "hz 10").expect("written");
        let lines = of_file(&at("a.conf"), Path::new("/nowhere")).expect("read");
        let names: Vec<&str> = lines.iter().map(|line| line.name.as_str()).collect();
        assert_eq!(names, ["appendonly", "maxmemory", "hz", "save"]);
        assert!(lines[1].place.ends_with("b1.conf:1"));
        fs::write(at("loop.conf"), "include loop.conf\n").expect("written");
        assert!(of_file(&at("loop.conf"), dir.path()).is_err());
        fs::write(at("bad.conf"), "\n\nrequirepass \"hush\n").expect("written");
        let error = of_file(&at("bad.conf"), dir.path()).expect_err("quotes").to_string();
        assert!(error.contains("bad.conf:3") && !error.contains("hush"), "{error}");
    }
}
