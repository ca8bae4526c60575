//! Lines of the engine's configuration language, split and joined as the engine does it.

/// Why a line is no list of words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// A quote that does not end, or not before a blank.
    #[error("has unbalanced quotes")]
    Quotes,
    /// Bytes that are no UTF-8, as they are or written as `\xNN`: a password of such bytes could not be what it is.
    #[error("holds bytes that are no text (UTF-8)")]
    NotText,
}

/// Splits a line into words, byte for byte as the engine does: quotes, also in the middle of a word, and `\xNN` and friends
/// within double quotes. What were split otherwise here than there might be a directive that only the engine sees.
pub fn split(line: &str) -> Result<Vec<String>, Unreadable> {
    // Where a file's bytes were no text, reading has put this in their place.
    if line.contains(['\0', char::REPLACEMENT_CHARACTER]) {
        return Err(Unreadable::NotText);
    }
    let mut words = Vec::new();
    let mut rest = line.bytes().peekable();
    loop {
        while rest.next_if(|c| is_space(*c)).is_some() {}
        if rest.peek().is_none() {
            return Ok(words);
        }
        let word = one(&mut rest).ok_or(Unreadable::Quotes)?;
        words.push(String::from_utf8(word).map_err(|_| Unreadable::NotText)?);
    }
}

type Bytes<'a> = std::iter::Peekable<std::str::Bytes<'a>>;

/// `isspace` of the C locale: nothing beyond ASCII parts words.
fn is_space(c: u8) -> bool {
    c.is_ascii_whitespace() || c == 0x0b
}

fn one(rest: &mut Bytes) -> Option<Vec<u8>> {
    let mut word = Vec::new();
    // Within a word vertical tabs and form feeds are signs like any other.
    while let Some(c) = rest.next_if(|c| !matches!(c, b' ' | b'\n' | b'\r' | b'\t')) {
        match c {
            b'"' => return double_quoted(rest, word),
            b'\'' => return single_quoted(rest, word),
            c => word.push(c),
        }
    }
    Some(word)
}

fn double_quoted(rest: &mut Bytes, mut word: Vec<u8>) -> Option<Vec<u8>> {
    loop {
        match rest.next()? {
            b'"' => return closed(rest).then_some(word),
            b'\\' => word.push(escaped(rest)?),
            c => word.push(c),
        }
    }
}

fn single_quoted(rest: &mut Bytes, mut word: Vec<u8>) -> Option<Vec<u8>> {
    loop {
        match rest.next()? {
            b'\'' => return closed(rest).then_some(word),
            b'\\' if rest.peek() == Some(&b'\'') => word.extend(rest.next()),
            c => word.push(c),
        }
    }
}

/// A closing quote is followed by space or nothing.
fn closed(rest: &mut Bytes) -> bool {
    rest.peek().is_none_or(|c| is_space(*c))
}

fn escaped(rest: &mut Bytes) -> Option<u8> {
    let mut hex = rest.clone().skip(1).map_while(|c| char::from(c).to_digit(16));
    Some(match rest.next()? {
        b'x' => match (hex.next(), hex.next()) {
            (Some(high), Some(low)) => {
                rest.nth(1)?;
                u8::try_from(high * 16 + low).ok()?
            }
            _ => b'x',
        },
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
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
        // A quote in the middle of a word is one too: otherwise these would be no `include` here.
        for hidden in ["incl'ude' f", "\"include\" f", "i\"nclude\" f", "in\"\\x63lude\" f", "\u{b}include f"] {
            assert_eq!(words(hidden), ["include", "f"], "{hidden}");
        }
        assert_eq!(words("a\u{a0}b c\u{b}d"), ["a\u{a0}b", "c\u{b}d"], "no blanks to the engine");
        assert_eq!(words("a \"\\xzz\\q\""), ["a", "xzzq"]);
        for broken in ["a \"b", "a \"b\"c", "a 'b", "\"\\x4", "a'b'c", "a \"\\"] {
            assert_eq!(split(broken), Err(Unreadable::Quotes), "{broken}");
        }
    }

    #[test]
    fn u30_bytes_written_as_numbers_are_bytes_of_one_text() {
        assert_eq!(split("x \"caf\\xc3\\xa9\""), Ok(vec!["x".to_owned(), "café".to_owned()]));
        for no_text in ["x \"caf\\xe9\"", "x a\0b", "x \"\\xff\""] {
            assert_eq!(split(no_text), Err(Unreadable::NotText), "{no_text:?}");
        }
        let from_a_file = String::from_utf8_lossy(b"x caf\xe9").into_owned();
        assert_eq!(split(&from_a_file), Err(Unreadable::NotText), "never another password than the file's");
    }

    #[test]
    fn a_quoted_word_comes_back_as_it_was() {
        for word in ["", "a", "a b", "q\"uo'te", "back\\slash", "line\nend\r\t\u{1}", "ü#$%"] {
            assert_eq!(split(&format!("x {}", quote(word))), Ok(vec!["x".to_owned(), word.to_owned()]), "{word:?}");
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
                assert_eq!(split(&quote(&word)), Ok(vec![word]));
            }
        }
    }
}
