//! The architecture page speaks of what is there: every path of its code map exists, and every crate is on it.

use std::fs;

use crate::{expect_none, tree};

const PAGE: &str = "docs/ARCHITECTURE.md";

/// The lines, with their numbers from 1, of the section whose heading contains `title`, up to the next heading of the same
/// level or above.
fn section<'t>(text: &'t str, title: &str) -> Vec<(usize, &'t str)> {
    let mut found = Vec::new();
    let mut inside = None;
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        fenced ^= line.trim_start().starts_with("```");
        let level = line.chars().take_while(|c| *c == '#').count();
        if level > 0 && !fenced {
            if inside.is_some_and(|begun| level <= begun) {
                inside = None;
            }
            if line.to_lowercase().contains(title) {
                inside = Some(level);
                continue;
            }
        }
        if inside.is_some() {
            found.push((index + 1, line));
        }
    }
    found
}

/// What looks like a path: in backticks anywhere, or first on a line of a fenced block.
fn paths(lines: &[(usize, &str)]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (number, line) in lines {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            continue;
        }
        let candidates: Vec<&str> = if fenced {
            line.split_whitespace().take(1).collect()
        } else {
            line.split('`').skip(1).step_by(2).collect()
        };
        for candidate in candidates.into_iter().filter(|candidate| is_path(candidate)) {
            found.extend(expand(candidate).into_iter().map(|path| (*number, path)));
        }
    }
    found
}

fn is_path(text: &str) -> bool {
    let is_named = text.contains('/') || [".rs", ".toml", ".md"].iter().any(|end| text.ends_with(end));
    let is_pattern = ["*", "<", "$", "…", "::", "://", " ", "("].iter().any(|mark| text.contains(mark));
    is_named && !is_pattern && !text.starts_with('/')
}

/// `a/{b,c}.rs` as `a/b.rs` and `a/c.rs`.
fn expand(path: &str) -> Vec<String> {
    let Some((before, rest)) = path.split_once('{') else { return vec![path.to_owned()] };
    let Some((choices, after)) = rest.split_once('}') else { return vec![path.to_owned()] };
    choices.split(',').flat_map(|choice| expand(&format!("{before}{}{after}", choice.trim()))).collect()
}

#[test]
fn every_path_of_the_code_map_exists() {
    let root = tree::root();
    let Ok(text) = fs::read_to_string(root.join(PAGE)) else { return };
    let map = section(&text, "code map");
    assert!(!map.is_empty(), "{PAGE} has no section called code map");
    let missing = paths(&map).into_iter().filter(|(_, path)| !root.join(path).exists());
    expect_none(&missing.map(|(line, path)| format!("{PAGE}:{line}: {path} does not exist")).collect::<Vec<_>>());
}

#[test]
fn every_crate_is_on_the_code_map() {
    let root = tree::root();
    let Ok(text) = fs::read_to_string(root.join(PAGE)) else { return };
    let manifest: toml::Table = fs::read_to_string(root.join("Cargo.toml")).unwrap().parse().unwrap();
    let map = section(&text, "code map");
    let members = manifest["workspace"]["members"].as_array().unwrap().iter().filter_map(toml::Value::as_str);
    let absent = members.filter(|member| !map.iter().any(|(_, line)| line.contains(&format!("{member}/"))));
    expect_none(&absent.map(|member| format!("{PAGE}:1: {member}/ is not on the code map")).collect::<Vec<_>>());
}

#[test]
fn paths_are_recognised_in_both_forms() {
    let page = "# A\n## Code map\ntext `agent/src/{a,b}.rs` and `Type::method` and `/healthz`\n```\n# x/y\nevent/  the record\n```\n## Next\n`z/z`\n";
    let found: Vec<_> = paths(&section(page, "code map")).into_iter().map(|(_, path)| path).collect();
    assert_eq!(found, ["agent/src/a.rs", "agent/src/b.rs", "event/"]);
}
