//! The string literals of a source file, and which of them people may come to read.

use std::mem::take;

/// A literal as it is printed: what is filled in is `..`.
pub struct Literal {
    /// Its text.
    pub text: String,
    /// The calls and macros around it, the innermost last.
    pub inside: Vec<String>,
    /// It is a whole text by itself: `"..".into()`.
    pub whole: bool,
}

impl Literal {
    /// Words, not a name, a separator or a format.
    pub fn is_phrase(&self) -> bool {
        let words = self.text.split_whitespace().count();
        let letters: Vec<char> = self.text.chars().collect();
        words > 1 && letters.windows(2).any(|two| two.iter().all(char::is_ascii_lowercase))
    }

    /// Is it in a call or macro of one of these names, whosever it is?
    pub fn is_in(&self, names: &[&str]) -> bool {
        let is = |call: &String, name: &&str| call == name || call.ends_with(&format!(".{name}"));
        self.inside.iter().any(|call| names.iter().any(|name| is(call, name)))
    }
}

/// All of them, but for those of the tests beside the code.
pub fn literals(code: &str) -> Vec<Literal> {
    let code = without_tests(code);
    let mut reader = Reader { letters: code.chars().collect(), at: 0 };
    let (mut found, mut calls, mut word) = (Vec::new(), Vec::new(), String::new());
    while let Some(letter) = reader.next() {
        match letter {
            '/' if reader.peek() == Some('/') => while !matches!(reader.next(), None | Some('\n')) {},
            '\'' => reader.skip_character(),
            '"' => {
                let text = reader.string(word == "r");
                let whole = reader.rest().starts_with(".into()");
                found.push(Literal { text: shown(&text), inside: calls.clone(), whole });
            }
            '(' | '[' | '{' => calls.push(take(&mut word)),
            ')' | ']' | '}' => drop(calls.pop()),
            '!' if !word.is_empty() => word.push('!'),
            _ if letter.is_alphanumeric() || "_.".contains(letter) => word.push(letter),
            _ => {}
        }
        // A name is that of a call only where the bracket follows it.
        let goes_on = |next: char| next.is_alphanumeric() || "_.!([{\"".contains(next);
        if !reader.peek().is_some_and(goes_on) {
            word.clear();
        }
    }
    found
}

fn without_tests(code: &str) -> &str {
    code.split_once("#[cfg(test)]\nmod tests {")
        .or_else(|| code.split_once("#[cfg(test)]\n#[allow"))
        .map_or(code, |(before, _)| before)
}

struct Reader {
    letters: Vec<char>,
    at: usize,
}

impl Reader {
    fn next(&mut self) -> Option<char> {
        self.at += 1;
        self.letters.get(self.at - 1).copied()
    }

    fn peek(&self) -> Option<char> {
        self.letters.get(self.at).copied()
    }

    fn rest(&self) -> String {
        self.letters.iter().skip(self.at).take(8).collect()
    }

    /// A character, or nothing where it was a lifetime.
    fn skip_character(&mut self) {
        if self.peek() == Some('\\') {
            self.at += 2;
            while !matches!(self.next(), None | Some('\'')) {}
        } else if self.letters.get(self.at + 1) == Some(&'\'') {
            self.at += 2;
        }
    }

    fn string(&mut self, raw: bool) -> String {
        let mut text = String::new();
        while let Some(letter) = self.next() {
            match letter {
                '"' => break,
                '\\' if !raw => match self.next() {
                    Some('\n') => {
                        while self.peek().is_some_and(char::is_whitespace) {
                            self.at += 1;
                        }
                    }
                    Some('n' | 't' | 'r') => text.push(' '),
                    Some(other) => text.push(other),
                    None => break,
                },
                _ => text.push(letter),
            }
        }
        text
    }
}

/// `follows {master}` is shown as `follows ..`.
fn shown(format: &str) -> String {
    let format = format.replace("{{", "\u{1}").replace("}}", "\u{2}");
    let mut parts = format.split('{');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text += "..";
        text += part.split_once('}').map_or("", |(_, rest)| rest);
    }
    text.replace('\u{1}', "{").replace('\u{2}', "}").split_whitespace().collect::<Vec<_>>().join(" ")
}
