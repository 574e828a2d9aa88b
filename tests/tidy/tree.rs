//! The source tree: where it is, which files it has, and which of them are tests.
//!
//! Only what belongs to the project is seen: build output, version control and what a demo left are passed over.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold no source, wherever they are.
const PASSED_OVER: [&str; 6] = ["target", ".git", "orgtrail-demo", "__pycache__", "corpus", "artifacts"];

/// Text that people write, by extension.
const TEXT: [&str; 11] = ["rs", "toml", "md", "proto", "sh", "py", "yml", "yaml", "json", "service", "tf"];

/// One file of the project.
pub(crate) struct Source {
    /// From the top of the repository, with slashes.
    pub(crate) name: String,
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn is_rust(&self) -> bool {
        self.name.ends_with(".rs")
    }

    /// Whether the whole file is tests: a `tests.rs` beside a module, a `tests/` folder of a module, or a test binary.
    pub(crate) fn is_test(&self) -> bool {
        let mut parts: Vec<&str> = self.name.split('/').collect();
        let file = parts.pop().unwrap_or_default();
        let is_harness = self.name.starts_with("tests/src/");
        file == "tests.rs" || (parts.contains(&"tests") && !is_harness)
    }

    /// `file:line`, with the line counted from 1.
    pub(crate) fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.name)
    }

    fn is_text(path: &Path) -> bool {
        let extension = path.extension().and_then(|extension| extension.to_str());
        extension.map_or_else(|| path.ends_with(".ci/run"), |extension| TEXT.contains(&extension))
    }
}

/// The top of the repository.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("this crate is a folder of the repository").to_owned()
}

/// All text files of the project, in the order of their names.
pub(crate) fn sources() -> Vec<Source> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() {
                let is_hidden = name.starts_with('.') && name != ".ci" && name != ".config";
                if !is_hidden && !PASSED_OVER.contains(&name) {
                    folders.push(path);
                }
            } else if Source::is_text(&path) {
                let name = path.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
                found.push(Source { name, text: fs::read_to_string(&path).unwrap() });
            }
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(found.iter().any(|source| source.name == "service/src/lib.rs"), "the source tree was not found");
    found
}

#[test]
fn tests_are_told_from_what_they_test() {
    let is_test = |name: &str| Source { name: name.to_owned(), text: String::new() }.is_test();
    assert!(is_test("service/src/quarantine/tests.rs"));
    assert!(is_test("agent/src/discover/tests/listing.rs"));
    assert!(is_test("tests/e2e/main.rs"));
    assert!(!is_test("tests/src/lib.rs"));
    assert!(!is_test("service/src/quarantine.rs"));
}
