//! Lines of the engine's configuration language, split and joined as the engine does it.

/// Splits a line into words: quotes, and `\xNN` and friends within double quotes. `None`: unbalanced quotes.
pub fn split(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = line.trim().chars().peekable();
    while let Some(first) = rest.next() {
        let word = match first {
            c if c.is_whitespace() => continue,
            '"' => double_quoted(&mut rest)?,
            '\'' => single_quoted(&mut rest)?,
            c => {
                let mut word = String::from(c);
                while let Some(c) = rest.next_if(|c| !c.is_whitespace()) {
                    match c {
                        '"' => word.push_str(&double_quoted(&mut rest)?),
                        c => word.push(c),
                    }
                }
                word
            }
        };
        words.push(word);
    }
    Some(words)
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn double_quoted(rest: &mut Chars) -> Option<String> {
    let mut word = String::new();
    loop {
        match rest.next()? {
            '"' => return closed(rest).then_some(word),
            '\\' => word.push(escaped(rest)?),
            c => word.push(c),
        }
    }
}

fn single_quoted(rest: &mut Chars) -> Option<String> {
    let mut word = String::new();
    loop {
        match rest.next()? {
            '\'' => return closed(rest).then_some(word),
            '\\' if rest.peek() == Some(&'\'') => word.extend(rest.next()),
            c => word.push(c),
        }
    }
}

/// A closing quote is followed by space or nothing.
fn closed(rest: &mut Chars) -> bool {
    rest.peek().is_none_or(|c| c.is_whitespace())
}

fn escaped(rest: &mut Chars) -> Option<char> {
    Some(match rest.next()? {
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'b' => '\u{8}',
        'a' => '\u{7}',
        'x' => {
            let (high, low) = (rest.next()?.to_digit(16)?, rest.next()?.to_digit(16)?);
            char::from_u32(high * 16 + low)?
        }
        c => c,
    })
}

/// A word as it must be written to be read as one word again.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\'' | '\\');
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in word.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_ascii_control() => quoted.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_the_engine_does() {
        let words = |line| split(line).expect("balanced");
        assert_eq!(words("save 900 1"), ["save", "900", "1"]);
        assert_eq!(words("  requirepass \"a b\\\"\\x41\"  "), ["requirepass", "a b\"A"]);
        assert_eq!(words("save ''"), ["save", ""]);
        assert_eq!(words(""), Vec::<String>::new());
        for broken in ["a \"b", "a \"b\"c", "a 'b", "\"\\x4"] {
            assert_eq!(split(broken), None, "{broken}");
        }
    }

    #[test]
    fn a_quoted_word_comes_back_as_it_was() {
        for word in ["", "a", "a b", "q\"uo'te", "back\\slash", "line\nend\r\t\u{1}", "ü#$%"] {
            assert_eq!(split(&format!("x {}", quote(word))), Some(vec!["x".to_owned(), word.to_owned()]), "{word:?}");
        }
    }

    #[test]
    fn any_line_is_survived() {
        let pieces = ["\"", "'", "\\", "\\x", "a", " ", "\u{1F980}", "\0", "4", "("];
        let mut seed = 1_u64;
        for _ in 0..20_000 {
            let mut line = String::new();
            for _ in 0..12 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                line.push_str(pieces[(seed >> 33) as usize % pieces.len()]);
            }
            for word in split(&line).unwrap_or_default() {
                assert_eq!(split(&quote(&word)), Some(vec![word]));
            }
        }
    }
}
