//! How files are called, how they open, how long they get, and what must not stand in them.

use crate::rust_text::{code_only, tests_begin};
use crate::{expect_none, tree};

/// Lines of a file before its unit tests.
const FILE_LINES_MAX: usize = 500;

/// Lines of a file that is all tests.
const TEST_FILE_LINES_MAX: usize = 1000;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 10] =
    ["util", "utils", "common", "helper", "helpers", "manager", "misc", "stuff", "base", "shared"];

#[test]
fn every_file_opens_with_what_it_owns() {
    let sources = tree::sources();
    let silent = sources.iter().filter(|source| source.is_rust() && !source.text.starts_with("//! "));
    expect_none(&silent.map(|source| format!("{}: does not open with `//! `", source.at(1))).collect::<Vec<_>>());
}

#[test]
fn files_are_short_enough_to_be_read() {
    let mut violations = Vec::new();
    for source in tree::sources().iter().filter(|source| source.is_rust()) {
        let (lines, most) = if source.is_test() {
            (source.text.lines().count(), TEST_FILE_LINES_MAX)
        } else {
            (tests_begin(&source.text), FILE_LINES_MAX)
        };
        if lines > most {
            violations.push(format!("{}: {lines} lines before tests, at most {most}", source.at(lines)));
        }
    }
    expect_none(&violations);
}

#[test]
fn file_names_say_what_is_inside() {
    let mut violations = Vec::new();
    for source in tree::sources().iter().filter(|source| source.is_rust()) {
        for part in source.name.split('/') {
            let stem = part.strip_suffix(".rs").unwrap_or(part);
            if part == "mod.rs" {
                violations.push(format!("{}: use a file named after the folder, beside it", source.at(1)));
            } else if EMPTY_NAMES.contains(&stem) {
                violations.push(format!("{}: `{stem}` does not say what is inside", source.at(1)));
            }
        }
    }
    expect_none(&violations);
}

#[test]
fn nothing_is_left_for_later() {
    // Written apart, so that this file does not find itself.
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME")];
    let macros = [concat!("to", "do!("), concat!("unimple", "mented!(")];
    let mut violations = Vec::new();
    for source in &tree::sources() {
        for (index, line) in source.text.lines().enumerate() {
            for mark in marks.iter().filter(|mark| has_word(line, mark)) {
                violations.push(format!("{}: {mark}: do it, or file an issue", source.at(index + 1)));
            }
        }
        if !source.is_rust() {
            continue;
        }
        for (index, line) in code_only(&source.text).lines().enumerate() {
            for name in macros.iter().filter(|name| line.contains(**name)) {
                violations.push(format!("{}: {name}…): write it", source.at(index + 1)));
            }
            if line.contains("allow(dead_code)") || line.contains("expect(dead_code)") {
                violations.push(format!("{}: dead code: remove it", source.at(index + 1)));
            }
        }
    }
    expect_none(&violations);
}

#[test]
fn no_file_knows_the_machine_it_was_written_on() {
    // Written apart, so that this file does not find itself.
    let paths = [concat!("/wo", "rk/"), concat!("/ro", "ot/."), concat!("/home/", "user/")];
    let mut violations = Vec::new();
    for source in &tree::sources() {
        for (index, line) in source.text.lines().enumerate() {
            for path in paths.iter().filter(|path| line.contains(**path)) {
                violations.push(format!("{}: {path}… is a path of one machine", source.at(index + 1)));
            }
        }
    }
    expect_none(&violations);
}

fn has_word(line: &str, word: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

#[test]
fn words_are_found_whole() {
    assert!(has_word("// XYZ: later", "XYZ"));
    assert!(!has_word("XYZZY", "XYZ"));
    assert!(!has_word("A_XYZ", "XYZ"));
}
