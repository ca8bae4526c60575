//! The user's own engine configuration, line by line: a file with what it includes, and arguments in the forms that
//! the official images take (`/etc/redis.conf --appendonly yes`).

use std::path::Path;

use super::error::EngineError;
use super::files::read_text;
use super::includes::{FILES_LIMIT, targets};
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
    let mut reading = Reading::new(cwd);
    reading.file(file, 0)?;
    Ok(reading.lines)
}

/// Lines as they are gathered, from however many files.
struct Reading<'a> {
    lines: Vec<Line>,
    files: usize,
    cwd: &'a Path,
}

impl<'a> Reading<'a> {
    fn new(cwd: &'a Path) -> Self {
        Reading { lines: Vec::new(), files: 0, cwd }
    }

    fn file(&mut self, file: &Path, depth: usize) -> Result<(), EngineError> {
        let too_much = |what: String| EngineError::Line {
            place: file.display().to_string(),
            directive: "include".into(),
            problem: format!("brings more than {what}"),
        };
        self.files += 1;
        if self.files > FILES_LIMIT {
            return Err(too_much(format!("{FILES_LIMIT} files")));
        }
        let text = read_text(file).map_err(|error| EngineError::file("read", file, error))?;
        for (number, raw) in text.split('\n').enumerate() {
            let raw = raw.trim_matches([' ', '\t', '\r', '\n']);
            if raw.is_empty() || raw.starts_with('#') {
                continue;
            }
            self.take(parse(format!("{}:{}", file.display(), number + 1), raw)?, file.parent(), depth)?;
            if self.lines.len() > LINES_LIMIT {
                return Err(too_much(format!("{LINES_LIMIT} lines")));
            }
        }
        Ok(())
    }

    /// Takes a line in; an `include`, from wherever it comes, is what its files say (U09).
    fn take(&mut self, line: Line, beside: Option<&Path>, depth: usize) -> Result<(), EngineError> {
        if line.name != "include" {
            self.lines.push(line);
            return Ok(());
        }
        if depth == DEPTH_LIMIT {
            return Err(line.error("is nested too deeply: do files include each other?"));
        }
        let named = Path::new(line.only()?);
        let found = targets(named, self.cwd, beside.unwrap_or(self.cwd));
        for included in found.map_err(|error| EngineError::file("read", named, error))? {
            self.file(&included, depth + 1)?;
        }
        Ok(())
    }
}

fn parse(place: String, raw: &str) -> Result<Line, EngineError> {
    match split(raw) {
        Ok(words) => {
            let mut words = words.into_iter();
            let name = words.next().unwrap_or_default().to_ascii_lowercase();
            Ok(Line { place, name, values: words.collect(), raw: raw.to_owned() })
        }
        Err(broken) => {
            let name = raw.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
            Err(EngineError::Line { place, directive: name, problem: broken.to_string() })
        }
    }
}

/// Every line that engine arguments stand for: a leading file, then `--name value ..`.
pub fn of_arguments(args: &[String], cwd: &Path) -> Result<Vec<Line>, EngineError> {
    let mut reading = Reading::new(cwd);
    // Relative to where we were started, if not to where the engine runs.
    let started_in = std::env::current_dir().ok();
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
            if let Some(line) = current.take() {
                reading.take(line, started_in.as_deref(), 0)?;
            }
            // `--port 6380` may come as one argument, or `--port=6380` by mistake.
            let line = parse(format!("engine argument {}", number + 1), &one_line(name))?;
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
            reading.file(&cwd.join(arg), 0)?;
        }
    }
    if let Some(line) = current {
        reading.take(line, started_in.as_deref(), 0)?;
    }
    Ok(reading.lines)
}

/// A line break within an argument would begin another directive, which nobody here has read.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

/// `--save "60 1000"` is two values and `--requirepass "a b"` is one, whatever the engine's version.
fn value(name: &str, arg: &str) -> (String, Vec<String>) {
    const LISTS: [&str; 7] =
        ["save", "bind", "user", "client-output-buffer-limit", "oom-score-adj-values", "rename-command", "replicaof"];
    if LISTS.contains(&name) && !arg.trim().is_empty() {
        return (one_line(arg), arg.split_whitespace().map(str::to_owned).collect());
    }
    (quote(arg), vec![arg.to_owned()])
}

#[cfg(test)]
mod tests {
    use std::fs;

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
    fn u09_an_include_among_the_arguments_is_what_its_file_says() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        fs::write(at("a.conf"), "requirepass secret\ninclude b.conf\n").expect("written");
        fs::write(at("b.conf"), "user app on nopass +@all\n").expect("written");
        let file = at("a.conf").display().to_string();
        let names = |list: &[&str]| -> Vec<String> {
            let lines = args(list).expect("readable");
            lines.iter().map(|line| line.name.clone()).collect()
        };
        for include in [vec!["--include", &file], vec!["--INCLUDE", &file], vec![&*format!("--include {file}")]] {
            let all = [vec!["--hz", "9"], include, vec!["--save", ""]].concat();
            assert_eq!(names(&all), ["hz", "requirepass", "user", "save"]);
        }
        let of_a_pattern = format!("{}/?.conf", dir.path().display());
        assert_eq!(names(&["--include", &of_a_pattern]), ["requirepass", "user", "user"]);
        for wrong in [vec!["--include"], vec!["--include", "/nowhere/x.conf"], vec!["--include", &file, &file]] {
            assert!(args(&wrong).is_err(), "{wrong:?}");
        }
        fs::write(at("self.conf"), format!("include {0}\ninclude {0}\n", at("self.conf").display())).expect("written");
        assert!(args(&["--include", &at("self.conf").display().to_string()]).is_err());
    }

    #[test]
    fn an_argument_is_one_line_whatever_is_in_it() {
        for hidden in
            [vec!["--save", "60 1\ninclude /x"], vec!["--hz 9\ninclude /x"], vec!["--maxmemory", "1\ninclude /x"]]
        {
            let lines = args(&hidden).expect("read");
            assert!(lines.len() == 1 && !lines[0].raw.contains('\n'), "{lines:?}");
        }
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
