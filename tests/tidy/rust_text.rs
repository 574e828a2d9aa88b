//! Rust source with its comments and literals blanked out, so that braces and words can be counted.
//!
//! A lexer of what matters here and no more: line and nested block comments, strings with escapes, raw strings, byte and C
//! strings, character literals against lifetimes.

/// The same text, line for line and byte for byte, with spaces where comments and literals were.
pub(crate) fn code_only(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes.get(at + 1) == Some(&b'/') => line_end(bytes, at),
            b'/' if bytes.get(at + 1) == Some(&b'*') => block_comment_end(bytes, at),
            b'"' => string_end(bytes, at),
            b'r' if !follows_word(bytes, at) => raw_string_end(bytes, at).unwrap_or(at),
            b'\'' => char_end(bytes, at).unwrap_or(at),
            _ => at,
        };
        if end == at {
            at += 1;
            continue;
        }
        for byte in &mut out[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end;
    }
    String::from_utf8(out).expect("whole literals and comments were blanked, so no character was cut")
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |len| at + len)
}

fn block_comment_end(bytes: &[u8], at: usize) -> usize {
    let mut depth = 0;
    let mut here = at;
    while here < bytes.len() {
        match bytes.get(here..here + 2) {
            Some(b"/*") => depth += 1,
            Some(b"*/") => depth -= 1,
            _ => {
                here += 1;
                continue;
            }
        }
        here += 2;
        if depth == 0 {
            return here;
        }
    }
    bytes.len()
}

fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut here = at + 1;
    while here < bytes.len() {
        match bytes[here] {
            b'\\' => here += 2,
            b'"' => return here + 1,
            _ => here += 1,
        }
    }
    bytes.len()
}

/// `r"…"`, `r#"…"#`; the `b` or `c` in front of a raw string is left standing, which does no harm.
fn raw_string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let hashes = bytes[at + 1..].iter().take_while(|byte| **byte == b'#').count();
    let open = at + 1 + hashes;
    if bytes.get(open) != Some(&b'"') {
        return None;
    }
    let close: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
    let len = bytes[open + 1..].windows(close.len()).position(|window| window == close)?;
    Some(open + 1 + len + close.len())
}

/// `'x'`, `'\n'`, `'é'`; `None` for a lifetime.
fn char_end(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes.get(at + 1) == Some(&b'\\') {
        let len = bytes[at + 3..].iter().position(|byte| *byte == b'\'')?;
        return Some(at + 3 + len + 1);
    }
    // One character of up to four bytes, then the closing quote.
    let first = *bytes.get(at + 1)?;
    let len = match first {
        0..=0x7f => 1,
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        _ => 4,
    };
    (bytes.get(at + 1 + len) == Some(&b'\'')).then_some(at + 1 + len + 1)
}

/// Whether the byte before `at` belongs to a word: `for"` is no raw string. A `b` or `c` prefix may come before the `r`.
fn follows_word(bytes: &[u8], at: usize) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    match at.checked_sub(1).map(|before| bytes[before]) {
        Some(b'b' | b'c') => at >= 2 && is_word(bytes[at - 2]),
        Some(before) => is_word(before),
        None => false,
    }
}

/// The line, from 0, at which the unit tests at the end of a file begin; the number of lines if there are none.
pub(crate) fn tests_begin(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let is_attribute = |line: &&str| line.trim_start().starts_with("#[");
    let begins = |at: &usize| {
        lines[*at].trim() == "#[cfg(test)]"
            && lines[*at..].iter().find(|line| !is_attribute(line)).is_some_and(|line| line.starts_with("mod "))
    };
    (0..lines.len()).find(begins).unwrap_or(lines.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_in_literals_and_comments_do_not_count() {
        let text = "fn f<'a>(x: &'a str) { // {\n  let a = \"{\\\"{\"; /* { /* { */ */ let b = '{'; let c = r#\"{\"{\"#;\n \
                    let d = '\\''; let e = b\"{\"; let g = br\"{\\\"; let h = 'é'; }";
        let code = code_only(text);
        assert_eq!(code.len(), text.len());
        assert_eq!(code.lines().count(), text.lines().count());
        assert_eq!(code.matches('{').count(), 1, "{code}");
        assert_eq!(code.matches('}').count(), 1, "{code}");
        assert!(code.contains("let h =") && code.contains("<'a>"), "{code}");
    }

    #[test]
    fn the_tests_of_a_file_begin_at_their_module() {
        assert_eq!(tests_begin("//! x\nfn a() {}\n#[cfg(test)]\nmod tests {\n}\n"), 2);
        assert_eq!(tests_begin("//! x\n#[cfg(test)]\nfn only_for_tests() {}\nfn a() {}\n"), 4);
        assert_eq!(tests_begin("//! x\n#[cfg(test)]\n#[path = \"x.rs\"]\nmod tests;\n"), 1);
    }
}
