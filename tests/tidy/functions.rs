//! Functions are short enough to be read at once.

use crate::rust_text::{code_only, tests_begin};
use crate::{expect_none, tree};

/// From the line of the `fn` to the closing brace.
const FUNCTION_LINES_MAX: usize = 80;

/// Name, line from 0, and length in lines of every function with a body.
fn functions(code: &str) -> Vec<(String, usize, usize)> {
    let bytes = code.as_bytes();
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        if at > 0 && is_word(&bytes[at - 1]) {
            continue;
        }
        let name: String = code[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        // `fn(` types have no name, a trait's `fn x();` has no body.
        if name.is_empty() {
            continue;
        }
        let Some(open) = body(bytes, at) else { continue };
        let close = matching_brace(bytes, open);
        let line = |at: usize| bytes[..at].iter().filter(|byte| **byte == b'\n').count();
        found.push((name, line(at), line(close) - line(at) + 1));
    }
    found
}

/// Where the body opens: the first brace outside of parentheses and brackets, if it comes before a semicolon.
fn body(bytes: &[u8], at: usize) -> Option<usize> {
    let mut depth = 0;
    for (here, byte) in bytes.iter().enumerate().skip(at) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b'{' if depth == 0 => return Some(here),
            b';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

fn matching_brace(bytes: &[u8], open: usize) -> usize {
    let mut depth = 0;
    for (here, byte) in bytes.iter().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => continue,
        }
        if depth == 0 {
            return here;
        }
    }
    bytes.len()
}

#[test]
fn functions_are_at_most_eighty_lines() {
    let mut violations = Vec::new();
    for source in tree::sources().iter().filter(|source| source.is_rust() && !source.is_test()) {
        let tests = tests_begin(&source.text);
        for (name, line, len) in functions(&code_only(&source.text)) {
            if line < tests && len > FUNCTION_LINES_MAX {
                violations.push(format!("{}: fn {name} has {len} lines", source.at(line + 1)));
            }
        }
    }
    expect_none(&violations);
}

#[test]
fn tests_state_the_promise_without_a_prefix() {
    let mut violations = Vec::new();
    for source in tree::sources().iter().filter(|source| source.is_rust()) {
        for (name, line, _) in functions(&code_only(&source.text)) {
            if name.starts_with("test_") {
                violations.push(format!("{}: fn {name}: say what holds, without `test_`", source.at(line + 1)));
            }
        }
    }
    expect_none(&violations);
}

#[test]
fn a_function_is_measured_to_its_own_brace() {
    let code =
        "trait T {\n    fn no_body(&self, x: [u8; 4]);\n}\nfn a(f: fn (u8)) -> u8 {\n    if x {\n    }\n}\nfn b() {}\n";
    assert_eq!(functions(code), [("a".to_owned(), 3, 4), ("b".to_owned(), 7, 1)]);
}
